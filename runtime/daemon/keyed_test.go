package daemon_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
)

// visits is a project with sessions over its events.
func visits(t *testing.T, dir, sessions string) *project.Project {
	t.Helper()
	s := setup{
		model:   "event_time: at\nmax_out_of_orderness: 0s\n",
		columns: "  - {name: visitor, data_type: string}\n  - {name: at, data_type: timestamptz}\n  - {name: page, data_type: string}\n",
	}
	s.write(t, dir)
	file := filepath.Join(dir, "models", "visits.yaml")
	if sessions != "" {
		text := "name: visits\nkind: session\nnamespace: marts\nfrom: ref.events\nkey: [visitor]\n" + sessions
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p, err := project.Load(dir, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const visitsByGap = `gap: 30m
allowed_lateness: 2h
emit: early
aggregates: {pages: count(), entry: first(page), exit: last(page)}
derive: {seconds: "seconds_between(session_start, session_end)"}
`

// visit is an event; minutes count from noon.
func visit(id int, visitor string, minutes int, page string) string {
	return fmt.Sprintf(`{"id":%d,"visitor":%q,"at":"2026-05-01T%02d:%02d:00Z","page":%q}`, id, visitor, 12+minutes/60, minutes%60, page)
}

// rowsOf shows columns of a table, sorted.
func rowsOf(t *testing.T, p *project.Project, name string, columns ...string) string {
	t.Helper()
	lake, err := daemon.OpenLakehouse(t.Context(), p, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer lake.Close() //nolint:errcheck // only read from
	var lines []string
	for _, row := range readTable(t, lake, definitionID(t, name)) {
		cells := make([]any, len(columns))
		for i, column := range columns {
			if err := json.Unmarshal(row[column], &cells[i]); err != nil {
				t.Fatal(err)
			}
		}
		lines = append(lines, fmt.Sprint(cells))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func wantVisits(t *testing.T, p *project.Project, want ...string) {
	t.Helper()
	if got := rowsOf(t, p, "marts.visits", "visitor", "pages", "entry", "exit", "seconds"); got != strings.Join(want, "\n") {
		t.Errorf("got sessions\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	wantProven(t, p)
}

func wantProven(t *testing.T, p *project.Project) {
	t.Helper()
	v, err := daemon.Verify(t.Context(), p, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if !v.Proven {
		t.Errorf("not proven: %+v", v.CounterExamples)
	}
}

func TestSessionsOfATopic(t *testing.T) {
	dir := t.TempDir()
	p := visits(t, dir, visitsByGap)
	produce(t, p, "events",
		visit(1, "ada", 0, "/"), visit(2, "bob", 1, "/b"), visit(3, "ada", 20, "/a"), visit(4, "ada", 60, "/late"),
		`{"id":5,"at":"2026-05-01T12:00:00Z"}`, `{"id":6,"visitor":"eve"}`)
	mustRun(t, p)
	wantVisits(t, p, "[ada 1 /late /late 0]", "[ada 2 / /a 1200]", "[bob 1 /b /b 0]")
	if got, want := reasons(t, p), "4:null_key 5:null_event_time"; got != want {
		t.Errorf("reasons: got %s, want %s", got, want)
	}
	// A late event bridges two sessions, another one begins before the first.
	produce(t, p, "events", visit(7, "ada", 40, "/bridge"), visit(8, "bob", 0, "/first"))
	mustRun(t, p)
	wantVisits(t, p, "[ada 4 / /late 3600]", "[bob 2 /first /b 60]")
	// Time goes on: what is older than the lateness is a dead letter.
	produce(t, p, "events", visit(9, "cid", 300, "/now"))
	mustRun(t, p)
	produce(t, p, "events", visit(10, "ada", 50, "/too-late"))
	mustRun(t, p)
	wantVisits(t, p, "[ada 4 / /late 3600]", "[bob 2 /first /b 60]", "[cid 1 /now /now 0]")
	if got := reasons(t, p); !strings.HasSuffix(got, " 9:late") {
		t.Errorf("reasons: got %s, want the last to be late", got)
	}
}

func TestSessionsOnCloseAreThereOnceTheyAreOver(t *testing.T) {
	dir := t.TempDir()
	p := visits(t, dir, strings.Replace(visitsByGap, "early", "on_close", 1))
	produce(t, p, "events", visit(1, "ada", 0, "/"), visit(2, "ada", 10, "/a"))
	mustRun(t, p)
	wantVisits(t, p)
	produce(t, p, "events", visit(3, "bob", 41, "/b"))
	mustRun(t, p)
	wantVisits(t, p, "[ada 2 / /a 600]")
}

func TestSessionsGoOnWithoutTheLocalState(t *testing.T) {
	dir := t.TempDir()
	p := visits(t, dir, visitsByGap)
	produce(t, p, "events", visit(1, "ada", 0, "/"))
	mustRun(t, p)
	if err := os.RemoveAll(filepath.Join(dir, ".calve", "state")); err != nil {
		t.Fatal(err)
	}
	produce(t, p, "events", visit(2, "ada", 10, "/a"))
	mustRun(t, p)
	wantVisits(t, p, "[ada 2 / /a 600]")
}

func TestASessionModelThatIsAddedTakesInWhatTheTableHolds(t *testing.T) {
	dir := t.TempDir()
	p := visits(t, dir, "")
	for i := range 5 {
		produce(t, p, "events", visit(i, "ada", 10*i, "/"), visit(10+i, "bob", 40*i, "/b"))
		mustRun(t, p)
	}
	p = visits(t, dir, visitsByGap)
	produce(t, p, "events", visit(20, "ada", 50, "/end"))
	mustRun(t, p)
	one := "[bob 1 /b /b 0]"
	wantVisits(t, p, "[ada 6 / /end 3000]", one, one, one, one, one)
}

func TestASessionModelThatIsDefinedOtherwiseBeginsAnew(t *testing.T) {
	dir := t.TempDir()
	p := visits(t, dir, visitsByGap)
	produce(t, p, "events", visit(1, "ada", 0, "/"), visit(2, "ada", 20, "/a"), visit(3, "bob", 1, "/b"))
	mustRun(t, p)
	p = visits(t, dir, strings.Replace(visitsByGap, "30m", "10m", 1))
	if _, err := once(t.Context(), p); err == nil || !strings.Contains(err.Error(), "--reset-model visits") {
		t.Fatalf("got error %v, want the way out", err)
	}
	produce(t, p, "events", visit(4, "ada", 25, "/c"))
	if _, err := daemon.Run(t.Context(), p, daemon.RunOptions{Once: true, Logger: quiet, ResetModels: []string{"visits"}}); err != nil {
		t.Fatal(err)
	}
	wantVisits(t, p, "[ada 1 / / 0]", "[ada 2 /a /c 300]", "[bob 1 /b /b 0]")
	if _, err := daemon.Run(t.Context(), p, daemon.RunOptions{Once: true, Logger: quiet, ResetModels: []string{"events"}}); err == nil || !strings.Contains(err.Error(), "--reset-model events") {
		t.Errorf("got error %v for a model without state", err)
	}
}

func TestDataTestsOfSessions(t *testing.T) {
	dir := t.TempDir()
	test := "data_tests: [{accepted_range: {column: pages, max_value: 1, severity: %s}}]\n"
	p := visits(t, dir, visitsByGap+fmt.Sprintf(test, "warn"))
	produce(t, p, "events", visit(1, "ada", 0, "/"), visit(2, "ada", 1, "/a"))
	if stats := mustRun(t, p); len(stats.Warnings) != 1 || stats.Warnings[0] != (pipeline.TestCount{Model: "visits", Test: "accepted_range_pages", Rows: 1}) {
		t.Errorf("warnings: got %+v", stats.Warnings)
	}
	p = visits(t, dir, visitsByGap+fmt.Sprintf(test, "error"))
	produce(t, p, "events", visit(3, "ada", 2, "/b"))
	_, err := once(t.Context(), p)
	wantError(t, err, pipeline.ErrTestFailed, "model visits", "pages = 3, expected at most 1")
	p = visits(t, dir, visitsByGap+fmt.Sprintf(test, "quarantine"))
	if _, err := daemon.MakePlan(t.Context(), p, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "severity quarantine") {
		t.Errorf("plan: got %v, want the test to be refused", err)
	}
}

func TestPlanFindsWhatIsWrongWithSessions(t *testing.T) {
	for broken, want := range map[string]string{
		"aggregates: {pages: count(), n: sum(page)}\n": "sum",
		"aggregates: {pages: counts()}\n":              "count",
		"aggregates: {pages: page}\n":                  "aggregate it",
		"derive: {x: nothing + 1}\n":                   "nothing",
		"where: page + 1\n":                            "needs numbers",
	} {
		p := visits(t, t.TempDir(), "gap: 30m\nemit: early\n"+broken)
		if _, err := daemon.MakePlan(t.Context(), p, quiet); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "visits.yaml:") {
			t.Errorf("%s: got %v, want %q with its place", strings.TrimSpace(broken), err, want)
		}
	}
}
