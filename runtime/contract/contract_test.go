package contract

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/expression"
)

var schema = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	{Name: "status", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "amount", Type: &arrow.Decimal128Type{Precision: 10, Scale: 2}, Nullable: true},
	{Name: "day", Type: arrow.FixedWidthTypes.Date32, Nullable: true},
	{Name: "tags", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
}, nil)

const rows = `[
	{"id":1,"status":"new","amount":"5.00","day":"2024-02-29"},
	{"id":null,"status":"paid","amount":"-1.50","day":"2019-12-31"},
	{"id":3,"status":null,"amount":null,"day":null},
	{"id":0,"status":"lost","amount":"100.01","day":"2024-01-01"}
]`

func outcome(t *testing.T, tests ...Test) Outcome {
	t.Helper()
	c, err := Compile(Spec{Schema: schema, Tests: tests})
	if err != nil {
		t.Fatal(err)
	}
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	batch, _, err := array.RecordFromJSON(mem, schema, strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Release()
	out, err := c.Check(batch, mem)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func text(s string) *string { return &s }

func TestRowsAgainstATestAreRefused(t *testing.T) {
	for _, c := range []struct {
		test Test
		want []string // row: message
	}{
		{Test{Kind: NotNull, Column: "id"}, []string{"1 id: data test not_null_id: id = null, expected a value"}},
		{Test{Kind: AcceptedValues, Column: "status", Values: []string{"new", "paid"}},
			[]string{`3 status: data test accepted_values_status: status = "lost", expected one of new, paid`}},
		{Test{Kind: AcceptedValues, Column: "id", Values: []string{"1", "3"}}, []string{"3 id: data test accepted_values_id: id = 0, expected one of 1, 3"}},
		{Test{Kind: AcceptedValues, Column: "amount", Values: []string{"5", "100.01"}}, []string{"1 amount: data test accepted_values_amount: amount = -1.5, expected one of 5, 100.01"}},
		{Test{Kind: AcceptedRange, Column: "amount", Range: expression.Bounds{Min: text("0"), Max: text("100.01"), Inclusive: true}},
			[]string{"1 amount: data test accepted_range_amount: amount = -1.5, expected at least 0 and at most 100.01"}},
		{Test{Kind: AcceptedRange, Column: "amount", Range: expression.Bounds{Max: text("100.01")}},
			[]string{"3 amount: data test accepted_range_amount: amount = 100.01, expected less than 100.01"}},
		{Test{Kind: AcceptedRange, Column: "amount", Range: expression.Bounds{Min: text("5"), Max: text("5.00"), Inclusive: true}}, []string{
			"1 amount: data test accepted_range_amount: amount = -1.5, expected at least 5 and at most 5.00",
			"3 amount: data test accepted_range_amount: amount = 100.01, expected at least 5 and at most 5.00"}},
		{Test{Kind: AcceptedRange, Column: "day", Range: expression.Bounds{Min: text("2020-01-01"), Inclusive: true}},
			[]string{"1 day: data test accepted_range_day: day = 2019-12-31, expected at least 2020-01-01"}},
		{Test{Kind: ExpressionIsTrue, Expression: "amount>0 or status is null"},
			[]string{`1 : data test expression_is_true_1: amount > 0 or status is null is not true: amount = -1.5, status = "paid"`}},
		{Test{Kind: ExpressionIsTrue, Expression: "10 / id > 0"}, []string{"3 : data test expression_is_true_1 cannot be computed: division by zero: 10 / 0 (id = 0)"}},
	} {
		c.test.Severity = Quarantine
		var got []string
		for _, f := range outcome(t, c.test).Refused {
			got = append(got, fmt.Sprintf("%d %s: %s", f.Row, f.Column, f.Message))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v\ngot:  %q\nwant: %q", c.test, got, c.want)
		}
	}
}

func TestSeverities(t *testing.T) {
	out := outcome(t,
		Test{Kind: AcceptedRange, Column: "id", Range: expression.Bounds{Min: text("1"), Inclusive: true}, Severity: Quarantine},
		Test{Kind: ExpressionIsTrue, Expression: "status <> 'lost'", Severity: Quarantine},
		Test{Kind: NotNull, Column: "id", Severity: Quarantine},
		Test{Kind: ExpressionIsTrue, Expression: "amount between 0 and 10", Severity: Warn},
		Test{Kind: NotNull, Column: "day", Severity: Error},
		Test{Kind: NotNull, Column: "day", Severity: Warn},
	)
	if len(out.Refused) != 2 || out.Refused[0].Row != 1 || out.Refused[1].Row != 3 ||
		out.Refused[1].Message != "data test accepted_range_id: id = 0, expected at least 1; expression_is_true_1 fails too" {
		t.Errorf("refused: %+v", out.Refused)
	}
	if len(out.Failed) != 1 || out.Failed[0].Row != 2 || out.Failed[0].Test != "not_null_day" {
		t.Errorf("failed: %+v", out.Failed)
	}
	if len(out.Warned) != 2 || out.Warned[0].Rows != 2 || out.Warned[0].First.Row != 1 || out.Warned[0].First.Test != "expression_is_true_2" || out.Warned[1].First.Test != "not_null_day_2" {
		t.Errorf("warned: %+v", out.Warned)
	}
}

func TestRefusingContractsStopNothing(t *testing.T) {
	strict, err := Compile(Spec{Schema: schema, Tests: []Test{
		{Kind: NotNull, Column: "day", Severity: Error},
		{Kind: AcceptedRange, Column: "amount", Range: expression.Bounds{Max: text("5"), Inclusive: true}, Severity: Error},
		{Kind: AcceptedRange, Column: "amount", Range: expression.Bounds{Min: text("5"), Inclusive: true}, Severity: Error},
	}})
	if err != nil {
		t.Fatal(err)
	}
	batch, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Release()
	for _, c := range []struct {
		contract        *Contract
		failed, refused int
	}{{strict, 3, 0}, {strict.Refusing(), 0, 3}, {strict, 3, 0}} {
		out, err := c.contract.Check(batch, memory.DefaultAllocator)
		if err != nil || len(out.Failed) != c.failed || len(out.Refused) != c.refused {
			t.Errorf("%d rows fail and %d are refused (%v), want %d and %d", len(out.Failed), len(out.Refused), err, c.failed, c.refused)
		}
	}
}

func TestTestsMustFitTheSchema(t *testing.T) {
	for _, c := range []struct {
		test Test
		want string
	}{
		{Test{Kind: NotNull, Column: "idd"}, `data test not_null_idd: there is no column "idd"`},
		{Test{Kind: AcceptedValues, Column: "id", Values: []string{"1", "x"}}, `data test accepted_values_id: "x" is no long`},
		{Test{Kind: AcceptedValues, Column: "amount", Values: []string{"1.005"}}, `data test accepted_values_amount: "1.005" is no decimal(10,2)`},
		{Test{Kind: AcceptedValues, Column: "tags", Values: []string{"a"}}, `data test accepted_values_tags: values of type list<string> are not compared`},
		{Test{Kind: AcceptedRange, Column: "day", Range: expression.Bounds{Min: text("yesterday")}}, `data test accepted_range_day: "yesterday" is no date`},
		{Test{Kind: AcceptedRange, Column: "id", Range: expression.Bounds{Min: text("10"), Max: text("9"), Inclusive: true}},
			"data test accepted_range_id: no value is accepted: the least, 10, is greater than the greatest, 9"},
		{Test{Kind: AcceptedRange, Column: "amount", Range: expression.Bounds{Min: text("-1"), Max: text("-1.50"), Inclusive: true}},
			"data test accepted_range_amount: no value is accepted: the least, -1, is greater than the greatest, -1.50"},
		{Test{Kind: AcceptedRange, Column: "day", Range: expression.Bounds{Min: text("2024-01-02"), Max: text("2024-01-01")}},
			"data test accepted_range_day: no value is accepted: the least, 2024-01-02, is greater than the greatest, 2024-01-01"},
		{Test{Kind: AcceptedRange, Column: "amount", Range: expression.Bounds{Min: text("1.5"), Max: text("1.50")}},
			"data test accepted_range_amount: no value is accepted: 1.5 and 1.50 are equal, and are not accepted themselves"},
		{Test{Kind: AcceptedRange, Column: "day"}, `data test accepted_range_day: a range of column day has no bound`},
		{Test{Kind: ExpressionIsTrue, Expression: "amount + 1"}, "data test expression_is_true_1: at character 8: the expression is decimal(11,2), expected a condition that is true or false"},
		{Test{Kind: ExpressionIsTrue, Expression: "amount >"}, "data test expression_is_true_1: at character 9: expected a column, a value, a function or an opening parenthesis, found the end"},
		{Test{Kind: "unique", Column: "id"}, `data test unique_id: kind "unique" is not known; expected not_null, accepted_values, accepted_range or expression_is_true`},
	} {
		c.test.Severity = Error
		if _, err := Compile(Spec{Schema: schema, Tests: []Test{c.test}}); err == nil || err.Error() != c.want {
			t.Errorf("got %v\nwant %s", err, c.want)
		}
	}
	if _, err := Compile(Spec{Schema: schema, Tests: []Test{{Kind: NotNull, Column: "id"}}}); err == nil {
		t.Error("a test without a severity passes")
	}
}
