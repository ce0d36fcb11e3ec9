package expression

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// sums are aggregates that are typed by a rule a test can see through: counts
// are long, anything else is as its argument.
func sums(function string, argument arrow.DataType) (arrow.DataType, error) {
	switch {
	case strings.HasPrefix(function, "count"):
		return typeLong, nil
	case function == "sum" && !isNumeric(argument):
		return nil, fmt.Errorf("sum needs a number, found %s", typeName(argument))
	}
	return argument, nil
}

func scopeOf(t *testing.T) AggregateScope {
	return AggregateScope{Rows: schemaOf(t, "event_type string; bytes long; at timestamptz; user string"), Group: schemaOf(t, "user string!; session_start timestamptz!"), Type: sums}
}

func aggregated(t *testing.T, text string) (*Aggregated, error) {
	t.Helper()
	e, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return e.CheckAggregated(scopeOf(t))
}

func TestAggregatesAreFoundInAnExpression(t *testing.T) {
	f := func(text string, wantType string, wantCalls ...string) {
		t.Helper()
		a, err := aggregated(t, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			return
		}
		var calls []string
		for _, c := range a.Calls {
			argument := ""
			if c.Argument != nil {
				argument = c.Argument.String()
			}
			calls = append(calls, c.Function+"|"+argument)
		}
		if !slices.Equal(calls, wantCalls) {
			t.Errorf("%s: got calls %q, want %q", text, calls, wantCalls)
		}
		if got := typeName(a.Result.Type()); got != wantType {
			t.Errorf("%s: got type %s, want %s", text, got, wantType)
		}
	}
	f("count()", "long", "count|")
	f("count_if(event_type = 'purchase') > 0", "boolean", "count_if|event_type = 'purchase'")
	f("sum(bytes) / count()", "double", "sum|bytes", "count|")
	f("sum(bytes) + SUM( bytes )", "long", "sum|bytes")
	f("seconds_between(min(at), max(at))", "long", "min|at", "max|at")
	f("case when count() > 1 then first(event_type) when last(event_type) is null then 'x' else user end", "string", "count|", "first|event_type", "last|event_type")
	f("case count() when 1 then true end", "boolean", "count|")
	f("count() in (1, count(bytes), 3) or not count() between 1 and sum(bytes)", "boolean", "count|", "count|bytes", "sum|bytes")
	f("any(event_type) like 'a%' escape '!' and -sum(bytes) is distinct from count()", "boolean", "any|event_type", "sum|bytes", "count|")
	f("cast(count_distinct(event_type) as int) + cast(approx_count_distinct(event_type || 'x') as int)", "long", "count_distinct|event_type", "approx_count_distinct|event_type || 'x'")
	f("date_diff('second', session_start, max(at))", "long", "max|at")
}

func TestProblemsOfAggregatesSayWhereAndWhat(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := aggregated(t, text)
		var at *Error
		if !errors.As(err, &at) {
			t.Errorf("%s: got %v, want an *Error", text, err)
			return
		}
		if err.Error() != want {
			t.Errorf("%s\ngot:  %s\nwant: %s", text, err, want)
		}
	}
	f("count() + bytes", "at character 11: column bytes has a value for each row, outside of an aggregate there is one for all; aggregate it, as in first(bytes) or max(bytes)")
	f("1 + 1", "at character 3: the expression aggregates nothing; use one of the aggregates, as in count(); derive computes columns from columns")
	f("sum(bytes, 1)", "at character 1: sum takes 1 argument, found 2; write sum(number)")
	f("count(bytes, at)", "at character 1: count takes 0 to 1 arguments, found 2; write count() or count(x)")
	f("max(1 + sum(bytes))", "at character 9: sum stands within another aggregate; an aggregate's argument is computed for each row")
	f("sum(event_type)", "at character 1: sum needs a number, found string")
	f("sum(byte)", `at character 5: there is no column "byte", expected one of event_type, bytes, at, user; did you mean "bytes"?`)
	f("count(null)", "at character 7: the argument is always null")
	f("count() > 'a'", "at character 11: the sides of >: long and string have no common type; cast the text to a number, as in cast(x as long), or the number to text")
	f("cuont() > 0", `at character 1: there is no function "cuont"; did you mean count?`)
}

func TestAResultIsComputedFromTheColumnsOfItsCalls(t *testing.T) {
	a, err := aggregated(t, "user || ': ' || cast(sum(bytes) / count() as string)")
	if err != nil {
		t.Fatal(err)
	}
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "user", Type: typeString}, {Name: "sum(bytes)", Type: typeLong, Nullable: true}, {Name: "count()", Type: typeLong},
	}, nil)
	rows := batchOf(t, schema, `[{"user": "a", "sum(bytes)": 10, "count()": 4}, {"user": "b", "sum(bytes)": null, "count()": 1}]`)
	out, errs, err := a.Result.Eval(rows, memory.DefaultAllocator)
	if err != nil || len(errs) > 0 {
		t.Fatal(errs, err)
	}
	defer out.Release()
	if got, want := fmt.Sprint(out), `["a: 2.5" (null)]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPlainColumnsAreTold(t *testing.T) {
	for text, want := range map[string]string{"bytes": "bytes", "BYTES": "bytes", "bytes + 1": "", "-bytes": ""} {
		e, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		c, err := e.Check(scopeOf(t).Rows)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := c.Plain(); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}
