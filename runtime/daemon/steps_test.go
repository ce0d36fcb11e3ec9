package daemon_test

import (
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/pipeline"
)

const stepped = `where: status is distinct from 'test' and kafka_offset >= 0
derive:
  net: cast(amount / 1.19 as decimal(10,2))
  per_item: amount / items
  is_large: net > 50
data_tests:
  - expression_is_true: {expression: "net >= 0", severity: quarantine}
  - accepted_range: {column: items, max_value: 100, severity: warn}
  - not_null: {columns: [id, amount], severity: quarantine}
`

const steppedColumns = `  - {name: status, data_type: string, data_tests: [{accepted_values: {values: [new, paid, test], severity: quarantine}}]}
  - {name: amount, data_type: "decimal(10,2)"}
  - {name: items, data_type: int}
`

func TestModelsFilterDeriveAndTest(t *testing.T) {
	dir := t.TempDir()
	p := setup{model: stepped + "contract: {enforced: true}\n", columns: steppedColumns}.load(t, dir)
	produce(t, p, "events",
		`{"id":1,"status":"new","amount":119,"items":2}`,
		`{"id":2,"status":"test","amount":1,"items":1}`,
		`{"id":3,"status":"lost","amount":1,"items":1}`,
		`{"id":4,"status":"paid","amount":-5,"items":1}`,
		`{"id":5,"status":"paid","amount":5,"items":0}`,
		`{"id":6,"amount":1.19,"items":200}`,
		`{"id":7,"status":"paid"}`,
	)
	stats := mustRun(t, p)
	wantColumns(t, p, "id long", "status string", "amount decimal(10,2)", "items int", "net decimal(10,2)", "per_item decimal(21,13)", "is_large boolean")
	if got, want := events(t, p, "id", "net", "per_item", "is_large"), "[1 100 59.5 true]\n[6 1 0.00595 false]"; got != want {
		t.Errorf("rows:\n%s\nwant:\n%s", got, want)
	}
	wantAccounted(t, p, 7, counts{rows: 2, letters: 4, filtered: 1})
	if got, want := reasons(t, p), "2:test 3:test 4:expression 6:test"; got != want {
		t.Errorf("reasons: got %s, want %s", got, want)
	}
	if len(stats.Warnings) != 1 || stats.Warnings[0] != (pipeline.TestCount{Model: "events", Test: "accepted_range_items", Rows: 1}) {
		t.Errorf("warnings: got %+v", stats.Warnings)
	}
}

func TestADataTestOfSeverityErrorStops(t *testing.T) {
	dir := t.TempDir()
	s := setup{model: "data_tests: [{accepted_range: {column: id, min_value: 0}}]\n"}
	p := s.load(t, dir)
	produce(t, p, "events", `{"id":1}`, `{"id":-2,"text":"x"}`)
	_, err := once(t.Context(), p)
	wantError(t, err, pipeline.ErrTestFailed, "model events", "events/0 offset 1, row 0", "accepted_range_id: id = -2, expected at least 0", "severity quarantine")
	s.model = strings.Replace(s.model, "min_value: 0", "min_value: 0, severity: quarantine", 1)
	p = s.load(t, dir)
	mustRun(t, p)
	wantAccounted(t, p, 2, counts{rows: 1, letters: 1})
}

// A declaration may be wider than the table was, and the other way round:
// derived columns follow.
func TestDerivedColumnsFollowWiderTypes(t *testing.T) {
	dir := t.TempDir()
	s := setup{columns: "  - {name: n, data_type: int}\n", model: "derive: {copy: n}\n"}
	p := s.load(t, dir)
	produce(t, p, "events", `{"id":1,"n":1}`)
	mustRun(t, p)
	s.columns = "  - {name: n, data_type: long}\n"
	p = s.load(t, dir)
	produce(t, p, "events", `{"id":2,"n":3000000000}`)
	mustRun(t, p)
	wantColumns(t, p, "id long", "n long", "copy long")
	s.columns = "  - {name: n, data_type: int}\n"
	p = s.load(t, dir)
	produce(t, p, "events", `{"id":3,"n":3}`)
	mustRun(t, p)
	if got, want := events(t, p, "id", "copy"), "[1 1]\n[2 3e+09]\n[3 3]"; got != want {
		t.Errorf("rows:\n%s\nwant:\n%s", got, want)
	}
}
