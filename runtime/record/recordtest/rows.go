// Package recordtest makes the rows, batches and changelogs that tests give to
// operators of keyed models, and the tables that their changelogs lead to.
package recordtest

import (
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
)

// Scribbler overwrites memory that is given back: what is kept of a batch shows.
type Scribbler struct{ memory.Allocator }

// Free implements memory.Allocator.
func (s Scribbler) Free(b []byte) {
	for i := range b {
		b[i] = 0xaa
	}
	s.Allocator.Free(b)
}

// Nullable is a column that may be null.
func Nullable(name string, t arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: t, Nullable: true}
}

// StagingSchema is the table of a staging model with some columns, which are those of
// changes of a database or not.
func StagingSchema(fields []arrow.Field, changes bool) *arrow.Schema {
	fields = slices.Clone(fields)
	if changes {
		fields = append(fields, record.ChangeFields()...)
	}
	return arrow.NewSchema(append(fields, record.PositionFields()...), nil)
}

// KeyedSchema is the table of a keyed model with some columns.
func KeyedSchema(fields ...arrow.Field) *arrow.Schema {
	return arrow.NewSchema(append(slices.Clone(fields), Nullable(record.ColumnTimestamp, record.Timestamptz), Nullable(record.ColumnIngestedAt, record.Timestamptz)), nil)
}

// Append adds a value to a column: nil for null, a string, an int64, also for a time,
// or a list of them, as []string where none is null.
func Append(b array.Builder, v any) {
	if v == nil {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(v.(string))
	case *array.Int64Builder:
		b.Append(v.(int64))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(v.(int64)))
	case *array.ListBuilder:
		b.Append(true)
		items, _ := v.([]any)
		if texts, ok := v.([]string); ok {
			for _, text := range texts {
				items = append(items, text)
			}
		}
		for _, item := range items {
			Append(b.ValueBuilder(), item)
		}
	default:
		panic(fmt.Sprintf("a column of %T", b))
	}
}

// Rows makes rows of values, in memory of a Scribbler. The caller releases them.
func Rows(fields []arrow.Field, rows [][]any) arrow.RecordBatch {
	b := array.NewRecordBuilder(Scribbler{memory.DefaultAllocator}, arrow.NewSchema(fields, nil))
	defer b.Release()
	for _, row := range rows {
		for i, v := range row {
			Append(b.Field(i), v)
		}
	}
	return b.NewRecordBatch()
}
