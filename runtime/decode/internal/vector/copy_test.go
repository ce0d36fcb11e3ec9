package vector

import (
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
)

// TestCopiedAndTruncatedRows writes random rows, copies some of them to another
// set, cuts rows off there again, and compares with the builders that saw the
// rest.
func TestCopiedAndTruncatedRows(t *testing.T) {
	var fields []arrow.Field
	for _, text := range types {
		typ, err := record.ParseType(text)
		if err != nil {
			t.Fatal(err)
		}
		fields = append(fields, arrow.Field{Name: text, Type: typ, Nullable: true})
	}
	schema := arrow.NewSchema(fields, nil)
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 2))
		from, to := newSet(t, schema), newSet(t, schema)
		source := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for range 50 {
			for i, v := range from.Columns {
				write(random, v, from.Row, source.Field(i))
			}
			from.Next()
		}
		var picked []int
		for range random.IntN(100) {
			row := random.IntN(50)
			for i, v := range to.Columns {
				v.Copy(to.Row, from.Columns[i], row)
			}
			to.Next()
			picked = append(picked, row)
			if random.IntN(5) == 0 {
				keep := len(picked) - random.IntN(min(len(picked), 3)+1)
				to.Truncate(keep)
				picked = picked[:keep]
			}
		}
		rows, got := source.NewRecordBatch(), to.Batch()
		if got.NumRows() != int64(len(picked)) {
			t.Fatalf("seed %d: got %d rows, want %d", seed, got.NumRows(), len(picked))
		}
		for i, row := range picked {
			if !array.RecordEqual(got.NewSlice(int64(i), int64(i+1)), rows.NewSlice(int64(row), int64(row+1))) {
				t.Fatalf("seed %d: row %d differs from row %d that it was copied of", seed, i, row)
			}
		}
	}
}

func newSet(t *testing.T, schema *arrow.Schema) *Set {
	t.Helper()
	set, err := NewSet(schema, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	return set
}
