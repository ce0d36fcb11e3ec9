package projection_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/projection/projectiontest"
	"github.com/calvelake/calve/runtime/record/recordtest"
)

var (
	long    = arrow.PrimitiveTypes.Int64
	numbers = []arrow.Field{recordtest.Nullable("n", long), recordtest.Nullable("m", long)}
	schema  = arrow.NewSchema(numbers, nil)
)

func TestErrorsSayWhereAnExpressionIs(t *testing.T) {
	wrong := func(name string) projection.Column { return projectiontest.Column(t, name, "nobody + 1") }
	for path, err := range map[string]error{
		"milestones.paid":   second(projection.Compile("milestones.", wrong("paid"), schema)),
		"weight":            second(projection.Compile("", wrong("weight"), schema)),
		"where":             second(projection.CompileWhere(projectiontest.Parse(t, "n + 1"), schema)),
		"derive.twice":      second(projection.Derive([]projection.Column{projectiontest.Column(t, "a", "n"), wrong("twice")}, numbers)),
		"aggregates.total":  second(projection.CompileAggregates("aggregates.", []projection.Column{wrong("total")}, schema, schema)),
		"left_join[0].mean": second(projection.CompileAggregates("left_join[0].", []projection.Column{projectiontest.Column(t, "mean", "avg(x)")}, schema, schema)),
	} {
		var told *projection.ExpressionError
		if !errors.As(err, &told) || told.Path != path || told.Text == "" || err.Error() != path+": "+told.Err.Error() {
			t.Errorf("got %v, want an error at %s", err, path)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestNoConditionIsNone(t *testing.T) {
	if where, err := projection.CompileWhere(nil, schema); where != nil || err != nil {
		t.Errorf("got %v, %v", where, err)
	}
}

func TestDerivedColumnsSeeThoseBeforeThem(t *testing.T) {
	columns := []projection.Column{projectiontest.Column(t, "a", "n + m"), projectiontest.Column(t, "b", "a * 2")}
	made, err := projection.Derive(columns, numbers)
	if err != nil {
		t.Fatal(err)
	}
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	input := recordtest.Rows(numbers, [][]any{{int64(1), int64(2)}, {int64(3), nil}})
	defer input.Release()
	rows := projection.RowsOf(input)
	for i := range made {
		batch := rows.Batch()
		values, err := made[i].Compute(batch, mem, func(row int, c *projection.Compiled, message string) {
			t.Errorf("row %d: %s: %s", row, c.Path, message)
		})
		batch.Release()
		if err != nil {
			t.Fatal(err)
		}
		defer values.Release()
		rows.Add(made[i].Field(), values)
	}
	if got, want := fmt.Sprint(rows.Find("b")), "[6 (null)]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if input.NumCols() != 2 {
		t.Errorf("the rows that were given have %d columns now", input.NumCols())
	}
}

func TestADerivedColumnIsNoOther(t *testing.T) {
	for _, name := range []string{"n", "a"} {
		columns := []projection.Column{projectiontest.Column(t, "a", "n"), projectiontest.Column(t, name, "m")}
		if _, err := projection.Derive(columns, numbers); err == nil || err.Error() != "derive: column "+name+" twice" {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := projection.NewSchema(append(slices.Clone(numbers), numbers[1])); err == nil || err.Error() != "column m twice" {
		t.Errorf("got %v", err)
	}
	if got, err := projection.NewSchema(numbers); err != nil || !got.Equal(schema) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestWhatCannotBeComputedIsToldWithItsColumn(t *testing.T) {
	c, err := projection.Compile("derive.", projectiontest.Column(t, "ratio", "n / m"), schema)
	if err != nil {
		t.Fatal(err)
	}
	rows := recordtest.Rows(numbers, [][]any{{int64(1), int64(2)}, {int64(3), int64(0)}})
	defer rows.Release()
	var told []string
	values, err := c.Compute(rows, memory.DefaultAllocator, func(row int, c *projection.Compiled, message string) {
		told = append(told, fmt.Sprint(row, " ", c.Path, " ", c.Name, " ", message != ""))
	})
	if err != nil {
		t.Fatal(err)
	}
	defer values.Release()
	if want := []string{"1 derive.ratio ratio true"}; !slices.Equal(told, want) {
		t.Errorf("got %v, want %v", told, want)
	}
	if !values.IsNull(1) {
		t.Errorf("got %v", values)
	}
	others := array.NewRecordBatch(arrow.NewSchema(nil, nil), nil, 1)
	defer others.Release()
	if _, err := c.Compute(others, memory.DefaultAllocator, nil); err == nil {
		t.Error("rows without the columns are computed")
	}
}

func TestAggregatesShareTheirCalls(t *testing.T) {
	columns := []projection.Column{projectiontest.Column(t, "mean", "sum(n) / count(n)"), projectiontest.Column(t, "total", "sum(n)"), projectiontest.Column(t, "all", "count()")}
	made, err := projection.CompileAggregates("aggregates.", columns, schema, arrow.NewSchema(nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, c := range made.Calls {
		argument := "none"
		if made.Set[i].Argument != nil {
			argument = made.Set[i].Argument.Name()
		}
		got = append(got, c.Column+" "+made.Set[i].Function+" of "+argument)
	}
	if want := []string{"sum(n) sum of int64", "count(n) count of int64", "count() count of none"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if c := made.Columns[1]; len(made.Columns) != 3 || c.Name != "total" || c.Path != "aggregates.total" || !slices.Equal(c.Columns(), []string{"sum(n)"}) {
		t.Errorf("got %+v", made.Columns)
	}
}

func TestAColumnThatIsNotThereIsABug(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("it is found")
		}
	}()
	rows := projection.Rows{}
	rows.Find("n")
}
