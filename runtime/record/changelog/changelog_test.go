package changelog_test

import (
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/changelog"
)

var schema = arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "name", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)

func rows(mem memory.Allocator, ids ...int64) arrow.RecordBatch {
	b := array.NewRecordBuilder(mem, schema)
	defer b.Release()
	for _, id := range ids {
		b.Field(0).(*array.Int64Builder).Append(id)
		b.Field(1).AppendNull()
	}
	return b.NewRecordBatch()
}

func idsOf(batch arrow.RecordBatch) []int64 {
	return slices.Clone(batch.Column(0).(*array.Int64).Int64Values())
}

func TestPartsAreJoinedInTheirOrder(t *testing.T) {
	for name, parts := range map[string][][]int64{"several": {{1, 2}, {3}, {4, 5}}, "one": {{1, 2, 3, 4, 5}}, "an empty one": {{1, 2, 3}, {}, {4, 5}}} {
		mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
		var all changelog.Parts
		for _, ids := range parts {
			if len(ids) == 0 {
				all.Add(record.Changelog{})
				continue
			}
			all.Add(record.Changelog{Ops: slices.Repeat([]record.Op{record.OpUpdate}, len(ids)), Rows: rows(mem, ids...)})
		}
		joined, err := all.Join(mem)
		all.Release()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := idsOf(joined.Rows), []int64{1, 2, 3, 4, 5}; !slices.Equal(got, want) || joined.Check() != nil {
			t.Errorf("%s: got %v, %d operations", name, got, joined.Len())
		}
		joined.Release()
		mem.AssertSize(t, 0)
	}
}

func TestNoPartsAreNoChanges(t *testing.T) {
	var none changelog.Parts
	defer none.Release()
	if joined, err := none.Join(memory.DefaultAllocator); err != nil || joined.Len() != 0 || joined.Rows != nil {
		t.Errorf("got %v, %v", joined, err)
	}
}

func TestJoinedRowsOutliveTheirParts(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	parts := []arrow.RecordBatch{rows(mem, 1), rows(mem, 2)}
	joined, err := changelog.JoinRows(parts, mem)
	if err != nil {
		t.Fatal(err)
	}
	defer joined.Release()
	for _, p := range parts {
		p.Release()
	}
	if got := idsOf(joined); !slices.Equal(got, []int64{1, 2}) || !joined.Schema().Equal(schema) {
		t.Errorf("got %v of %v", got, joined.Schema())
	}
}

func TestRowsThatDoNotBelongToOperationsAreRefused(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	for name, ops := range map[string][]record.Op{"too few": {record.OpCreate}, "unknown": {record.OpCreate, 'x'}} {
		if log, err := changelog.Of(ops, rows(mem, 1, 2)); err == nil || log.Rows != nil {
			t.Errorf("%s: got %v, %v", name, log, err)
		}
	}
	log, err := changelog.Of([]record.Op{record.OpCreate, record.OpDelete}, rows(mem, 1, 2))
	if err != nil || log.Len() != 2 {
		t.Errorf("got %v, %v", log, err)
	}
	log.Release()
}
