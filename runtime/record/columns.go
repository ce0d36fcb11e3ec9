package record

import (
	"fmt"
	"slices"

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

// Names of the change columns that staging tables over change streams of a
// database have, before the position columns.
const (
	ColumnChangeOp        = "change_op"
	ColumnSourceTimestamp = "source_ts"
	ColumnSourceSequence  = "source_sequence"
	ColumnUnavailable     = "unavailable_columns"
)

// ChangeFields returns the change columns in table order:
//
//   - change_op: c (create), u (update), d (delete), r (read by a snapshot);
//   - source_ts: when the change was made in the database (source.ts_ms or a
//     finer one, never the envelope's own, which is the connector's clock);
//   - source_sequence: the place of the change in the database's log; compared
//     as text it orders the changes of one source. null if the connector gives
//     none;
//   - unavailable_columns: columns whose value the change leaves as it was and
//     does not carry (TOAST); null in the row, and the prior value holds.
func ChangeFields() []arrow.Field {
	return []arrow.Field{
		{Name: ColumnChangeOp, Type: arrow.BinaryTypes.String},
		{Name: ColumnSourceTimestamp, Type: Timestamptz, Nullable: true},
		{Name: ColumnSourceSequence, Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: ColumnUnavailable, Type: arrow.ListOfField(arrow.Field{Name: "element", Type: arrow.BinaryTypes.String, Nullable: true})},
	}
}

// IsChangeColumn tells whether name is one of the change columns.
func IsChangeColumn(name string) bool {
	switch name {
	case ColumnChangeOp, ColumnSourceTimestamp, ColumnSourceSequence, ColumnUnavailable:
		return true
	}
	return false
}

// IsPositionColumn tells whether name is one of the position columns.
func IsPositionColumn(name string) bool {
	switch name {
	case ColumnTopic, ColumnPartition, ColumnOffset, ColumnRow, ColumnTimestamp, ColumnIngestedAt:
		return true
	}
	return false
}

// WithPositions appends the change columns, if the batch has them, and the
// position columns to a batch's rows. The caller releases the result; b keeps
// its own reference.
//
// kafka_row is the ordinal of a row among the rows of its record, from 0.
func WithPositions(b Batch, mem memory.Allocator) (arrow.RecordBatch, error) {
	if int64(len(b.Records)) != b.Rows.NumRows() {
		return nil, fmt.Errorf("BUG: batch has %d rows and %d record indexes", b.Rows.NumRows(), len(b.Records))
	}
	if b.Changes != nil && b.Changes.NumRows() != b.Rows.NumRows() {
		return nil, fmt.Errorf("BUG: batch has %d rows and change columns of %d", b.Rows.NumRows(), b.Changes.NumRows())
	}
	if b.Ordinals != nil && len(b.Ordinals) != len(b.Records) {
		return nil, fmt.Errorf("BUG: batch has %d rows and %d ordinals", b.Rows.NumRows(), len(b.Ordinals))
	}
	positions := buildPositions(b, mem)
	defer func() {
		for _, c := range positions {
			c.Release()
		}
	}()
	fields, columns := slices.Clone(b.Rows.Schema().Fields()), slices.Clone(b.Rows.Columns())
	if b.Changes != nil {
		fields, columns = append(fields, ChangeFields()...), append(columns, b.Changes.Columns()...)
	}
	fields, columns = append(fields, PositionFields()...), append(columns, positions...)
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
	for i, index := range b.Records {
		if index != last {
			ordinal, last = 0, index
		}
		if b.Ordinals != nil {
			ordinal = b.Ordinals[i]
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
