package daemon_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
)

const appending = "on_schema_change: append_new_columns\n"

// columnsOf are the columns of the model's table, but for those of the position.
func columnsOf(t *testing.T, p *project.Project) []string {
	t.Helper()
	lake, err := daemon.OpenLakehouse(t.Context(), p, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer lake.Close() //nolint:errcheck // only read from
	shown, err := lake.ShowTable(t.Context(), definitionID(t, "staging.events"))
	if err != nil {
		t.Fatal(err)
	}
	var columns []string
	for _, c := range shown.Columns {
		if !strings.HasPrefix(c.Name, "kafka_") && c.Name != "ingested_at" {
			columns = append(columns, c.Name+" "+c.Type)
		}
	}
	return columns
}

func wantColumns(t *testing.T, p *project.Project, want ...string) {
	t.Helper()
	if got := columnsOf(t, p); !slices.Equal(got, want) {
		t.Errorf("the table has %q, want %q", got, want)
	}
}

// events are the rows of the model's table by id, in given columns.
func events(t *testing.T, p *project.Project, columns ...string) string {
	t.Helper()
	lake, err := daemon.OpenLakehouse(t.Context(), p, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer lake.Close() //nolint:errcheck // only read from
	var lines []string
	for _, row := range readTable(t, lake, definitionID(t, "staging.events")) {
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

// A table follows its source: new members become columns, which the next start
// goes on filling, structs get fields, and what the model declares widens.
func TestTableFollowsItsSource(t *testing.T) {
	dir := t.TempDir()
	s := setup{model: appending, columns: "  - {name: size, data_type: int}\n"}
	p := s.load(t, dir)
	produce(t, p, "events", `{"id":1,"size":1}`)
	mustRun(t, p)
	produce(t, p, "events", `{"id":2,"orderId":"a","customer":{"zip":"1"}}`, `{"id":3,"orderId":"b"}`)
	mustRun(t, p)
	wantColumns(t, p, "id long", "size int", "order_id string", "customer struct<zip: string>")
	produce(t, p, "events", `{"id":4,"orderId":"c","customer":{"zip":"2","city":"x"}}`)
	mustRun(t, p)
	wantColumns(t, p, "id long", "size int", "order_id string", "customer struct<zip: string, city: string>")
	want := "[1 1 <nil> <nil>]\n[2 <nil> a map[city:<nil> zip:1]]\n[3 <nil> b <nil>]\n[4 <nil> c map[city:x zip:2]]"
	if got := events(t, p, "id", "size", "order_id", "customer"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	wantAccounted(t, p, 4, counts{rows: 4})
	p = setup{columns: "  - {name: size, data_type: long}\n"}.load(t, dir) // without append: what was added is still filled
	produce(t, p, "events", `{"id":5,"size":5000000000,"orderId":"d","more":1}`)
	mustRun(t, p)
	wantColumns(t, p, "id long", "size long", "order_id string", "customer struct<zip: string, city: string>")
	if got := events(t, p, "id", "size", "order_id"); !strings.Contains(got, `[5 5e+09 d]`) {
		t.Errorf("got\n%s", got)
	}
}

func TestSourceThatChangesStopsAFixedModel(t *testing.T) {
	dir := t.TempDir()
	p := setup{model: "on_schema_change: fail\n"}.load(t, dir)
	produce(t, p, "events", `{"id":1,"text":"x"}`, `{"id":2,"colour":"red"}`)
	_, err := once(t.Context(), p)
	wantError(t, err, pipeline.ErrSourceChanged, "model events", "events/0 at offset 1", "new field colour", "append_new_columns", "ignore")
	p = setup{}.load(t, dir)
	mustRun(t, p)
	wantAccounted(t, p, 2, counts{rows: 2})
	wantColumns(t, p, "id long", "text string")
}

func TestAppendingModelsHaveNoPlugin(t *testing.T) {
	dir := t.TempDir()
	installBytes(t, handmade(""), dir, "events")
	p := setup{model: appending, plugin: "{ref: events, " + kitInput + "}"}.load(t, dir)
	_, err := once(t.Context(), p)
	if err == nil || !strings.Contains(err.Error(), "models/staging/events.yaml:1: model events: on_schema_change is append_new_columns") {
		t.Errorf("got %v, want a refusal that names the model", err)
	}
}

// A plan says of each table what a start would do, and does it not.
func TestPlanTellsOfSchemaChanges(t *testing.T) {
	dir := t.TempDir()
	p := setup{}.load(t, dir)
	produce(t, p, "events", `{"id":1,"text":"x"}`)
	mustRun(t, p)
	for _, c := range []struct {
		setup                   setup
		action                  string
		changes, kept, problems string // parts of their text
	}{
		{setup{}, "keep", "", "", ""},
		{setup{columns: "  - {name: text, data_type: string}\n  - {name: size, data_type: int}\n"}, "change", "column size: added, int", "", ""},
		{setup{columns: "  - {name: size, data_type: int}\n"}, "change", "column size: added, int", "column text string: the project does not declare it", ""},
		{setup{columns: "  - {name: text, data_type: long}\n"}, "refuse", "", "", "column text: the table has string, the project declares long"},
		{setup{model: "on_schema_change: fail\n", columns: "  - {name: text, data_type: string}\n  - {name: size, data_type: int}\n"}, "refuse", "", "", "on_schema_change is fail"},
	} {
		plan, err := daemon.MakePlan(t.Context(), c.setup.load(t, dir), quiet)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(plan.Tables, func(t daemon.PlanTable) bool { return t.Name == "staging.events" })
		got := plan.Tables[i]
		for name, texts := range map[string]struct {
			got  []string
			want string
		}{"changes": {got.Changes, c.changes}, "kept": {got.Kept, c.kept}, "problems": {got.Problems, c.problems}} {
			if text := strings.Join(texts.got, "\n"); (texts.want == "") != (text == "") || !strings.Contains(text, texts.want) {
				t.Errorf("%+v: %s are %q, want %q", c.setup, name, text, texts.want)
			}
		}
		if got.Action != c.action {
			t.Errorf("%+v: action %s, want %s", c.setup, got.Action, c.action)
		}
	}
	_, err := once(t.Context(), setup{columns: "  - {name: text, data_type: long}\n"}.load(t, dir))
	wantError(t, err, lakehouse.ErrDiffers, "column text", "new name")
	wantColumns(t, setup{}.load(t, dir), "id long", "text string")
}
