package daemon_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
)

// warnings runs a project once and returns what it warned of.
func warnings(t *testing.T, p *project.Project) string {
	t.Helper()
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == "epoch" {
			return slog.Attr{}
		}
		return a
	}}))
	if _, err := daemon.Run(t.Context(), p, daemon.RunOptions{Once: true, Logger: logger}); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(log.String(), "\n")
}

func wantWarnings(t *testing.T, p *project.Project, want string) {
	t.Helper()
	if got := warnings(t, p); got != want {
		t.Errorf("got warnings\n%s\nwant\n%s", got, want)
	}
	wantProven(t, p)
}

func TestUniqueOverEvents(t *testing.T) {
	dir := t.TempDir()
	write := func(severity string) *project.Project {
		return setup{columns: "  - {name: n, data_type: int, data_tests: [{unique: {severity: " + severity + "}}]}\n"}.load(t, dir)
	}
	p := write("warn")
	produce(t, p, "events", `{"id":1,"n":1}`, `{"id":2,"n":2}`, `{"id":3}`, `{"id":4}`)
	wantWarnings(t, p, "")
	produce(t, p, "events", `{"id":5,"n":1}`, `{"id":6,"n":3}`)
	wantWarnings(t, p, `msg="rows fail a data test" model=events test=unique_n rows=1 first="data test unique_n: n = 1 is at events/0 offset 0 and at events/0 offset 4"`)

	p = write("error")
	produce(t, p, "events", `{"id":7,"n":3}`)
	_, err := once(t.Context(), p)
	if !errors.Is(err, pipeline.ErrTestFailed) || !strings.Contains(err.Error(), "model events: 1 rows: the first: data test unique_n: n = 3 is at events/0 offset 5 and at events/0 offset 6; correct the source or the model, or give the test severity warn") {
		t.Errorf("got error %v, want one of the test", err)
	}
	if got, want := events(t, p, "id"), "[1]\n[2]\n[3]\n[4]\n[5]\n[6]"; got != want {
		t.Errorf("rows:\n%s\nwant nothing of the epoch:\n%s", got, want)
	}
	wantWarnings(t, write("warn"), `msg="rows fail a data test" model=events test=unique_n rows=1 first="data test unique_n: n = 3 is at events/0 offset 5 and at events/0 offset 6"`)
}

func TestTestsThatAreAddedReadWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	p := setup{columns: "  - {name: n, data_type: int}\n"}.load(t, dir)
	produce(t, p, "events", `{"id":1,"n":1}`, `{"id":2,"n":2}`)
	mustRun(t, p)
	const twos = `msg="rows fail a data test" model=events test=unique_n rows=1 first="data test unique_n: n = 2 is at events/0 offset 1 and at events/0 offset 2"`
	for _, test := range []struct {
		horizon, value string
		want           []string
	}{
		{"7d", "2", []string{twos}},
		// Another test: all is read again, and what is new comes behind it.
		{"1d", "1", []string{twos, `msg="rows fail a data test" model=events test=unique_n rows=1 first="data test unique_n: n = 1 is at events/0 offset 0 and at events/0 offset 3"`}},
	} {
		p = setup{columns: "  - {name: n, data_type: int, data_tests: [{unique: {severity: warn, horizon: " + test.horizon + "}}]}\n"}.load(t, dir)
		produce(t, p, "events", `{"id":3,"n":`+test.value+`}`)
		wantWarnings(t, p, strings.Join(test.want, "\n"))
	}
	// The local copy of the state is a cache.
	if err := os.RemoveAll(filepath.Join(dir, ".calve", "state")); err != nil {
		t.Fatal(err)
	}
	produce(t, p, "events", `{"id":5,"n":5}`)
	wantWarnings(t, p, "")
}

func TestUniqueAndRelationshipsOfKeyedModels(t *testing.T) {
	dir := t.TempDir()
	fact := map[string]string{"models/fct_visits.yaml": `name: fct_visits
kind: fact
namespace: marts
from: ref.events
grain: [id]
columns: [page]
data_tests:
  - unique: {columns: [id]}
  - unique: {columns: [page], severity: warn}
  - relationships: {column: page, to: ref.sections, field: page, severity: warn}
`}
	p := mapped(t, dir, "json", "", fact)
	produce(t, p, "events", visit(1, "ada", 0, "/"), visit(2, "ada", 1, "/a"))
	produce(t, p, "sections", section("/", "home", 1), section("/a", "news", 1), section("/b", "shop", 1))
	wantWarnings(t, p, "")
	unique := `msg="rows fail a data test" model=fct_visits test=unique_page rows=1 first="data test unique_page: page = \"/a\" is that of two rows, id = 2 and id = 3"`
	produce(t, p, "events", visit(3, "bob", 2, "/a"))
	wantWarnings(t, p, unique)
	produce(t, p, "events", visit(2, "ada", 2, "/c")) // a newer row of that grain
	wantWarnings(t, p, `msg="rows fail a data test" model=fct_visits test=relationships_page rows=1 first="data test relationships_page: page = \"/c\" is in no row of sections as page"`)
	produce(t, p, "sections", section("/c", "late", 1))
	wantWarnings(t, p, "")
}

func TestRelationshipsAcrossStagingModels(t *testing.T) {
	dir := t.TempDir()
	p := mapped(t, dir, "json", "", nil)
	produce(t, p, "events", visit(1, "ada", 0, "/"), visit(2, "ada", 1, "/a"))
	produce(t, p, "sections", section("/", "home", 1))
	mustRun(t, p)
	file := filepath.Join(dir, "models/staging/events.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, "data_tests: [{relationships: {column: page, to: ref.stg_sections, field: page}}]\n"...)
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if p, err = project.Load(dir, func(string) (string, bool) { return "", false }); err != nil {
		t.Fatal(err)
	}
	if _, err := once(t.Context(), p); !errors.Is(err, pipeline.ErrTestFailed) || !strings.Contains(err.Error(), `page = "/a" is in no row of stg_sections as page`) {
		t.Errorf("a test that is added judges what is there: got error %v, want one of the test", err)
	}
	produce(t, p, "sections", section("/a", "news", 1))
	mustRun(t, p)
	wantProven(t, p)
}

func TestTestsOverTablesThatCannotBeAreRefused(t *testing.T) {
	for _, test := range []struct{ test, want string }{
		{"relationships: {column: depth, to: ref.stg_sections, field: page}", "models/sections.yaml:1: model sections: data test relationships: column depth of sections is long, but page of stg_sections is string; both must be of one type"},
		{"unique: {columns: [section], horizon: 1d}", "a horizon says nothing"},
	} {
		dir := t.TempDir()
		mapped(t, dir, "json", "", nil)
		file := filepath.Join(dir, "models/sections.yaml")
		text := "name: sections\nkind: map\nnamespace: marts\nfrom: ref.stg_sections\nnatural_key: [page]\ndata_tests: [{" + test.test + "}]\n"
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		p, err := project.Load(dir, func(string) (string, bool) { return "", false })
		if err == nil {
			_, err = daemon.MakePlan(t.Context(), p, quiet)
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got error %v, want one with %q", test.test, err, test.want)
		}
	}
}

// Keys of members that are inferred in the epoch, and keys that move in it, are in
// the dimension when the tests look.
func TestRelationshipsWithinAStar(t *testing.T) {
	tests := `data_tests:
  - relationships: {column: customer_key, to: ref.dim_customers, field: customer_key}
  - relationships: {column: order_date_key, to: ref.dim_date, field: date_key}
`
	p := starSetup{
		dimension: "data_tests: [{unique: {columns: [customer_id, valid_from]}}]\n",
		fact:      ordersOfCustomers + "  - {name: order_date_key, to: ref.dim_date, on: [ordered_at]}\n" + tests,
		more:      map[string]string{"models/dim_date.yaml": "name: dim_date\nkind: date\nnamespace: marts\nrange: [2026-05-01, 2026-05-31]\n"},
	}.load(t, t.TempDir())
	produce(t, p, "customers", moves("c", 1, 1, day(1), "Austin"), moves("u", 2, 1, day(20), "Denver"))
	produce(t, p, "orders", buys(1, 100, 1, day(5)), buys(2, 101, 0, day(12)), buys(3, 102, 9, day(25)), buys(4, 103, 1, day(25).AddDate(1, 0, 0)))
	wantWarnings(t, p, "")
	produce(t, p, "customers", moves("u", 3, 1, day(2), "Boise"), moves("u", 4, 1, day(10), "Denver")) // the latter moves the key of 20
	wantWarnings(t, p, "")
	if got, want := rowsOf(t, p, "marts.fct_orders", "order_id", "order_date_key"), "[100 2.0260505e+07]\n[101 2.0260512e+07]\n[102 2.0260525e+07]\n[103 0]"; got != want {
		t.Errorf("got keys of days\n%s\nwant\n%s", got, want)
	}
}

// Tests say nothing of the unknown member, nor of one that an early fact infers,
// before it has come.
func TestTestsSkipMembersThatAreNotKnown(t *testing.T) {
	p := starSetup{
		dimension: "unknown_member: {city: Unknown}\ndata_tests:\n  - not_null: {columns: [customer_id, city, email]}\n" +
			"  - accepted_values: {column: city, values: [Austin, Rome]}\n" +
			"  - relationships: {column: city, to: ref.stg_customers, field: city}\n" +
			"  - unique: {columns: [email]}\n",
		fact: ordersOfCustomers + "data_tests: [{relationships: {column: customer_key, to: ref.dim_customers, field: customer_key}}]\n",
	}.load(t, t.TempDir())
	produce(t, p, "customers", moves("c", 1, 1, day(1), "Austin"))
	produce(t, p, "orders", buys(1, 100, 1, day(5)), buys(2, 101, 0, day(5)), buys(3, 102, 9, day(5)))
	wantWarnings(t, p, "")
	wantOrders(t, p, "100 Austin", "101 Unknown", "102 null")
	produce(t, p, "customers", moves("c", 2, 9, day(3), "Rome"))
	wantWarnings(t, p, "")
	wantOrders(t, p, "100 Austin", "101 Unknown", "102 Rome")
	produce(t, p, "customers", moves("u", 3, 9, day(4), "Oslo"))
	if _, err := once(t.Context(), p); !errors.Is(err, pipeline.ErrTestFailed) || !strings.Contains(err.Error(), "Oslo") {
		t.Errorf("a member that has come: got error %v, want one of the test", err)
	}
}
