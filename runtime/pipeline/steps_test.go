package pipeline_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/contract"
	"github.com/calvelake/calve/runtime/expression"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/record"
)

// What a model of a scenario does that is stepped.
const (
	steppedWhere = "kind is distinct from 'hidden' and kafka_offset >= 0"
	steppedShare = "cast(100 / id as decimal(10,2))"
	steppedBig   = "share > 10"
)

var steppedTests = []contract.Test{
	{Kind: contract.ExpressionIsTrue, Expression: "kind <> 'bad'", Severity: contract.Quarantine},
	{Kind: contract.ExpressionIsTrue, Expression: "kind <> 'partly' or kafka_row <> 1", Severity: contract.Quarantine},
	{Kind: contract.AcceptedValues, Column: "big", Values: []string{"true"}, Severity: contract.Warn},
	{Kind: contract.ExpressionIsTrue, Expression: "kind <> 'fatal'", Severity: contract.Error},
}

// derived are the columns that a stepped model's table has beside the others.
func (m modelSpec) derived() []arrow.Field {
	if !m.stepped {
		return nil
	}
	return []arrow.Field{
		{Name: "share", Type: &arrow.Decimal128Type{Precision: 10, Scale: 2}},
		{Name: "big", Type: arrow.FixedWidthTypes.Boolean},
	}
}

func (m modelSpec) addSteps(built *pipeline.Model) error {
	condition, err := compileOver(steppedWhere, m.columns())
	if err != nil {
		return err
	}
	built.Before = []pipeline.Step{pipeline.NewWhere(condition, memory.DefaultAllocator)}
	columns := make([]pipeline.Derived, 2)
	for i, text := range []string{steppedShare, steppedBig} {
		f := m.derived()[i]
		compiled, err := compileOver(text, slices.Concat(m.columns(), m.derived()[:i]))
		if err != nil {
			return err
		}
		columns[i] = pipeline.Derived{Name: f.Name, Expression: compiled}
	}
	schema := arrow.NewSchema(slices.Concat(m.columns(), m.derived(), record.PositionFields()), nil)
	tests, err := contract.Compile(contract.Spec{Schema: schema, Tests: steppedTests})
	if err != nil {
		return err
	}
	built.After = []pipeline.Step{
		pipeline.NewDerive(columns, memory.DefaultAllocator), pipeline.NewRequired([]string{"id"}), pipeline.NewDataTests(tests, memory.DefaultAllocator),
	}
	return nil
}

func compileOver(text string, columns []arrow.Field) (*expression.Compiled, error) {
	e, err := expression.Parse(text)
	if err != nil {
		return nil, err
	}
	return e.Check(arrow.NewSchema(slices.Concat(columns, record.PositionFields()), nil))
}

// steppedFate is fate of a model that is stepped.
func (m modelSpec) steppedFate(id int64, kind *string) (rows, letters int) {
	k := "none"
	if kind != nil {
		k = *kind
	}
	if k == "hidden" {
		return 0, 0
	}
	copies := 1
	if m.plugin {
		var ok bool
		if copies, ok = map[string]int{"drop": 0, "reject": 0, "torn": 0, "twice": 2, "split": 3, "partly": 3, "split-all": 3}[k]; !ok {
			copies = 1
		}
	}
	switch {
	case m.plugin && (k == "reject" || k == "torn"), copies > 0 && id == 0:
		return 0, 1
	case k == "bad":
		return 0, copies
	case k == "partly" && copies > 1:
		return copies - 1, 1
	}
	return copies, 0
}

// nullPlugin leaves a required column without a value.
type nullPlugin struct{}

func (nullPlugin) Digest() string { return "" }

func (nullPlugin) Transform(_ context.Context, batch record.Batch) (record.Batch, []record.Reject, error) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, batch.Rows.Schema())
	defer b.Release()
	out := record.Batch{Source: batch.Source}
	for i, r := range batch.Records {
		b.Field(0).AppendNull()
		b.Field(1).(*array.StringBuilder).Append(fmt.Sprint(i))
		out.Records = append(out.Records, r)
	}
	out.Rows = b.NewRecordBatch()
	return out, nil, nil
}

// rowsOf is a batch of two rows a record.
func rowsOf(t *testing.T, mem memory.Allocator, kinds ...string) record.Batch {
	t.Helper()
	lines := make([]string, len(kinds))
	out := record.Batch{Source: &record.Slice{Records: make([]record.Record, (len(kinds)+1)/2)}}
	for i, k := range kinds {
		lines[i] = fmt.Sprintf(`{"id":%d,"kind":%q}`, i, k)
		out.Records = append(out.Records, int32(i/2))
		out.Source.Records[i/2].Offset = int64(10 + i/2)
	}
	rows, _, err := array.RecordFromJSON(mem, arrow.NewSchema(modelColumns, nil), strings.NewReader("["+strings.Join(lines, ",")+"]"))
	if err != nil {
		t.Fatal(err)
	}
	out.Rows = rows
	return out
}

func describe(a pipeline.Applied) string {
	var b strings.Builder
	ordinals := a.Rows.RowOrdinals()
	for i, r := range a.Rows.Records {
		fmt.Fprintf(&b, "%s@%d.%d ", a.Rows.Rows.Column(1).ValueStr(i), r, ordinals[i])
	}
	for _, r := range a.Rejects {
		fmt.Fprintf(&b, "(%d.%d %v %s %s: %s)", r.Record, r.Row, r.OfRow, r.Code, r.Column, r.Message)
	}
	return b.String()
}

func TestStepsKeepOrdinalsAndReleaseWhatTheyMake(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	columns := slices.Clone(modelColumns)
	expr := func(text string) *expression.Compiled {
		c, err := compileOver(text, columns)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	tests := func(all ...contract.Test) pipeline.Step {
		c, err := contract.Compile(contract.Spec{Schema: arrow.NewSchema(slices.Concat(columns, record.PositionFields()), nil), Tests: all})
		if err != nil {
			t.Fatal(err)
		}
		return pipeline.NewDataTests(c, mem)
	}
	for name, c := range map[string]struct {
		step pipeline.Step
		want string
	}{
		"where leaves out single rows": {pipeline.NewWhere(expr("kind <> 'a'"), mem), "b@0.1 c@1.0 "},
		"where keeps all":              {pipeline.NewWhere(expr("kafka_offset < 12"), mem), "a@0.0 b@0.1 a@1.0 c@1.1 "},
		"where cannot be computed":     {pipeline.NewWhere(expr("10 / (id - 1) > -11"), mem), "a@0.0 a@1.0 c@1.1 (0.0 false expression : where: division by zero: 10 / 0)"},
		"derive cannot be computed": {pipeline.NewDerive([]pipeline.Derived{{Name: "x", Expression: expr("10 / (id - 1)")}}, mem),
			"a@0.0 b@0.1 a@1.0 c@1.1 (0.0 false expression x: derive x: division by zero: 10 / 0)"},
		"a test refuses single rows": {tests(contract.Test{Kind: contract.ExpressionIsTrue, Expression: "kind <> 'a' or kafka_row > 0", Severity: contract.Quarantine}),
			`b@0.1 c@1.1 (0.0 true test : data test expression_is_true_1: kind <> 'a' or kafka_row > 0 is not true: kind = "a", kafka_row = 0)` +
				`(1.0 true test : data test expression_is_true_1: kind <> 'a' or kafka_row > 0 is not true: kind = "a", kafka_row = 0)`},
	} {
		batch := rowsOf(t, mem, "a", "b", "a", "c")
		if name == "where leaves out single rows" {
			batch.Ordinals = []int32{0, 1, 7, 0}
		}
		got, err := c.step.Apply(context.Background(), batch)
		if err != nil {
			t.Fatal(err)
		}
		if text := describe(got); text != c.want {
			t.Errorf("%s\ngot:  %s\nwant: %s", name, text, c.want)
		}
		got.Rows.Release()
		batch.Release()
	}
}

func TestRequiredColumnsAreGuaranteed(t *testing.T) {
	batch := rowsOf(t, memory.DefaultAllocator, "a", "b", "c")
	rows, _, err := nullPlugin{}.Transform(context.Background(), batch)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pipeline.NewRequired([]string{"id"}).Apply(context.Background(), rows)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Rejects) != 3 {
		t.Fatalf("got %d rejects, want one a row", len(got.Rejects))
	}
	want := record.Reject{Record: 1, Code: record.CodeMissing, Column: "id", Message: "column id is null and must have a value (nullable: false)"}
	if r := slices.MaxFunc(got.Rejects, func(a, b record.Reject) int { return cmp.Compare(a.Record, b.Record) }); r != want {
		t.Errorf("got %+v, want %+v", r, want)
	}
}
