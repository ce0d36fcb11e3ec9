package record

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Timestamptz is the Arrow type of every timestamptz column: µs, UTC.
var Timestamptz = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}

// Names of the position columns that every staging table ends with. They are
// not _partition and the like: Spark refuses SELECT * over names of Iceberg
// metadata columns, and BigQuery reserves such prefixes.
const (
	ColumnTopic      = "kafka_topic"
	ColumnPartition  = "kafka_partition"
	ColumnOffset     = "kafka_offset"
	ColumnRow        = "kafka_row"
	ColumnTimestamp  = "kafka_timestamp"
	ColumnIngestedAt = "ingested_at"
)

// PositionFields returns the position columns in table order. (topic,
// partition, offset, row) is unique in a staging table.
func PositionFields() []arrow.Field {
	return []arrow.Field{
		{Name: ColumnTopic, Type: arrow.BinaryTypes.String},
		{Name: ColumnPartition, Type: arrow.PrimitiveTypes.Int32},
		{Name: ColumnOffset, Type: arrow.PrimitiveTypes.Int64},
		{Name: ColumnRow, Type: arrow.PrimitiveTypes.Int32},
		{Name: ColumnTimestamp, Type: Timestamptz},
		{Name: ColumnIngestedAt, Type: Timestamptz},
	}
}

// IsPositionColumn tells whether name is one of the position columns.
func IsPositionColumn(name string) bool {
	switch name {
	case ColumnTopic, ColumnPartition, ColumnOffset, ColumnRow, ColumnTimestamp, ColumnIngestedAt:
		return true
	}
	return false
}

// WithPositions appends the position columns to a batch's rows. The caller
// releases the result; b keeps its own reference.
//
// kafka_row is the ordinal of a row among the rows of its record in b, from 0.
func WithPositions(b Batch, mem memory.Allocator) (arrow.RecordBatch, error) {
	if int64(len(b.Records)) != b.Rows.NumRows() {
		return nil, fmt.Errorf("BUG: batch has %d rows and %d record indexes", b.Rows.NumRows(), len(b.Records))
	}
	positions := buildPositions(b, mem)
	defer func() {
		for _, c := range positions {
			c.Release()
		}
	}()
	fields := append(append([]arrow.Field{}, b.Rows.Schema().Fields()...), PositionFields()...)
	columns := append(append([]arrow.Array{}, b.Rows.Columns()...), positions...)
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, b.Rows.NumRows()), nil
}

func buildPositions(b Batch, mem memory.Allocator) []arrow.Array {
	n := len(b.Records)
	topic := array.NewStringBuilder(mem)
	partition := array.NewInt32Builder(mem)
	offset := array.NewInt64Builder(mem)
	row := array.NewInt32Builder(mem)
	at := array.NewTimestampBuilder(mem, Timestamptz)
	ingested := array.NewTimestampBuilder(mem, Timestamptz)
	builders := []array.Builder{topic, partition, offset, row, at, ingested}
	for _, bl := range builders {
		bl.Reserve(n)
	}
	topic.ReserveData(n * len(b.Source.Topic))
	ordinal, last := int32(0), int32(-1)
	for _, index := range b.Records {
		if index != last {
			ordinal, last = 0, index
		}
		r := &b.Source.Records[index]
		topic.Append(b.Source.Topic)
		partition.UnsafeAppend(b.Source.Partition)
		offset.UnsafeAppend(r.Offset)
		row.UnsafeAppend(ordinal)
		at.UnsafeAppend(arrow.Timestamp(r.Timestamp))
		ingested.UnsafeAppend(arrow.Timestamp(b.Source.IngestedAt))
		ordinal++
	}
	columns := make([]arrow.Array, len(builders))
	for i, bl := range builders {
		columns[i] = bl.NewArray()
		bl.Release()
	}
	return columns
}
