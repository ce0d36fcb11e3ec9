package pipeline

import (
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
)

func TestEventTimesAreOfRowsOrChangesOrRecords(t *testing.T) {
	rows := func(column, text string) arrow.RecordBatch {
		schema := arrow.NewSchema([]arrow.Field{{Name: column, Type: record.Timestamptz, Nullable: true}}, nil)
		made, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	b := record.Batch{
		Source:  &record.Slice{Records: []record.Record{{Timestamp: 5}, {Timestamp: 6}}},
		Records: []int32{0, 1},
		Rows:    rows("ordered_at", `[{"ordered_at":"1970-01-01T00:00:01Z"},{"ordered_at":null}]`),
		Changes: rows(record.ColumnSourceTimestamp, `[{"source_ts":"1970-01-01T00:00:02Z"},{"source_ts":"1970-01-01T00:00:03Z"}]`),
	}
	defer b.Release()
	for column, want := range map[string][]int64{
		"ordered_at": {1_000_000}, record.ColumnSourceTimestamp: {2_000_000, 3_000_000}, "": {5, 6}, record.ColumnTimestamp: {5, 6},
	} {
		if got := eventTimes(b, column); !slices.Equal(got, want) {
			t.Errorf("by %q: got %d, want %d", column, got, want)
		}
	}
	b.Changes.Release()
	b.Changes = nil
	if got, want := eventTimes(b, record.ColumnSourceTimestamp), []int64{5, 6}; !slices.Equal(got, want) {
		t.Errorf("without changes: got %d, want %d", got, want)
	}
}
