package record

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func TestSelectedRowsKeepTheirOrdinalsAndChanges(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "v", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "m", Type: arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64), Nullable: true},
		{Name: "s", Type: arrow.StructOf(arrow.Field{Name: "a", Type: arrow.BinaryTypes.String, Nullable: true}), Nullable: true},
	}, nil)
	var lines, changes []string
	for i := range 40 {
		lines = append(lines, fmt.Sprintf(`{"v":%d,"m":[{"key":"k","value":%d}],"s":{"a":"x%d"}}`, i, i, i))
		changes = append(changes, fmt.Sprintf(`{"change_op":"c","source_sequence":"%d","unavailable_columns":[]}`, i))
	}
	rows := recordOf(t, mem, schema, lines)
	defer rows.Release()
	changed := recordOf(t, mem, arrow.NewSchema(ChangeFields(), nil), changes)
	defer changed.Release()
	whole := Batch{Rows: rows, Changes: changed, Records: make([]int32, 40), Source: &Slice{Records: make([]Record, 20)}}
	for i := range whole.Records {
		whole.Records[i] = int32(i / 2)
	}
	for _, c := range []struct {
		keep []int
		want string // v, record, ordinal, sequence
	}{
		{[]int{1, 4, 5}, "1 0 1 1|4 2 0 4|5 2 1 5|"},
		{nil, ""},
		{[]int{39}, "39 19 1 39|"},
	} {
		got, err := whole.Select(c.keep, mem)
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for i := range c.keep {
			v := got.Rows.Column(0).ValueStr(i)
			if m, s := got.Rows.Column(1).ValueStr(i), got.Rows.Column(2).ValueStr(i); !strings.Contains(m, v) || !strings.Contains(s, "x"+v) {
				t.Errorf("row of %s: map %s, struct %s", v, m, s)
			}
			fmt.Fprintf(&text, "%s %d %d %s|", v, got.Records[i], got.Ordinals[i], got.Changes.Column(2).ValueStr(i))
		}
		got.Release()
		if text.String() != c.want {
			t.Errorf("rows %v: got %s, want %s", c.keep, text.String(), c.want)
		}
	}
	long := make([]int, 0, 39)
	for i := 1; i < 40; i++ {
		long = append(long, i)
	}
	taken, err := Take(rows, long, mem)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Release()
	if taken.NumRows() != 39 || taken.Column(0).ValueStr(38) != "39" {
		t.Errorf("got %v", taken)
	}
	all, err := Take(rows, append([]int{0}, long...), mem)
	if err != nil || all != rows {
		t.Errorf("all rows are copied: %v", err)
	}
	all.Release()
}

func recordOf(t *testing.T, mem memory.Allocator, schema *arrow.Schema, lines []string) arrow.RecordBatch {
	t.Helper()
	batch, _, err := array.RecordFromJSON(mem, schema, strings.NewReader("["+strings.Join(lines, ",")+"]"))
	if err != nil {
		t.Fatal(err)
	}
	return batch
}
