package lakehouse

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/runtime/record"
)

// AuditRow is a row of the table "epochs": what one epoch took of one
// TopicPartition for one model, and what became of it. From the rows of a
// model one can prove that no offset was skipped or taken twice.
//
// A row of the reader ReplayReader tells what an epoch made of dead letters
// instead: its range is empty (from and to 0), it delivered nothing, and its
// counts are changes: with_rows +k, dead −k (or filtered +k), rows +n,
// dead_letters those that came up new. So the sums over a model still add up.
type AuditRow struct {
	Epoch        int64
	Writer       string
	ConfigHash   string
	Reader       string
	Model        string
	Table        string // "" for a model without one
	Range        Range
	Fate         record.Fate
	PluginDigest string // "" without a plugin
	StartedAt    int64  // µs
	DecidedAt    int64  // µs
}

// Replays tells whether the row is of a replay.
func (r *AuditRow) Replays() bool { return r.Reader == ReplayReader }

// SystemNamespace is where a pipeline's own tables are.
func SystemNamespace(pipeline string) string { return "calve_" + pipeline }

var auditFields = []arrow.Field{
	{Name: "epoch", Type: arrow.PrimitiveTypes.Int64},
	{Name: "writer", Type: arrow.BinaryTypes.String},
	{Name: "config_hash", Type: arrow.BinaryTypes.String},
	{Name: "reader", Type: arrow.BinaryTypes.String},
	{Name: "model", Type: arrow.BinaryTypes.String},
	{Name: "table_name", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "kafka_cluster_id", Type: arrow.BinaryTypes.String},
	{Name: "kafka_topic_id", Type: arrow.BinaryTypes.String},
	{Name: "kafka_topic", Type: arrow.BinaryTypes.String},
	{Name: "kafka_partition", Type: arrow.PrimitiveTypes.Int32},
	{Name: "from_offset", Type: arrow.PrimitiveTypes.Int64},
	{Name: "to_offset", Type: arrow.PrimitiveTypes.Int64},
	{Name: "leader_epoch", Type: arrow.PrimitiveTypes.Int32},
	{Name: "lost", Type: arrow.ListOfField(arrow.Field{Name: "element", Nullable: true, Type: arrow.StructOf(
		arrow.Field{Name: "from_offset", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		arrow.Field{Name: "to_offset", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	)})},
	{Name: "delivered", Type: arrow.PrimitiveTypes.Int64},
	{Name: "with_rows", Type: arrow.PrimitiveTypes.Int64},
	{Name: "dead", Type: arrow.PrimitiveTypes.Int64},
	{Name: "filtered", Type: arrow.PrimitiveTypes.Int64},
	{Name: "rows", Type: arrow.PrimitiveTypes.Int64},
	{Name: "dead_letters", Type: arrow.PrimitiveTypes.Int64},
	{Name: "watermark", Type: record.Timestamptz, Nullable: true},
	{Name: "plugin_digest", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "started_at", Type: record.Timestamptz},
	{Name: "decided_at", Type: record.Timestamptz},
}

// AuditDefinition is the pipeline's audit table.
func AuditDefinition(pipeline string) Definition {
	return Definition{
		ID:          catalog.Identifier{Namespace: SystemNamespace(pipeline), Name: "epochs"},
		Schema:      arrow.NewSchema(auditFields, nil),
		Description: "One row per epoch, model and TopicPartition: delivered = with_rows + dead + filtered. Rows of reader replay hold the changes that replayed dead letters made.",
	}
}

// AuditBatch renders audit rows. The caller releases it.
func AuditBatch(rows []AuditRow, mem memory.Allocator) arrow.RecordBatch {
	b := array.NewRecordBuilder(mem, arrow.NewSchema(auditFields, nil))
	defer b.Release()
	for _, r := range rows {
		r.append(&rowBuilder{builder: b})
	}
	return b.NewRecordBatch()
}

func (r AuditRow) append(b *rowBuilder) {
	b.int64(r.Epoch)
	b.string(r.Writer)
	b.string(r.ConfigHash)
	b.string(r.Reader)
	b.string(r.Model)
	b.optional(r.Table)
	b.string(r.Range.ClusterID)
	b.string(r.Range.TopicID)
	b.string(r.Range.Topic)
	b.int32(r.Range.Partition)
	b.int64(r.Range.From)
	b.int64(r.Range.To)
	b.int32(r.Range.LeaderEpoch)
	b.intervals(r.Range.Lost)
	b.int64(r.Range.Delivered)
	b.int64(r.Fate.WithRows)
	b.int64(r.Fate.Dead)
	b.int64(r.Fate.Filtered)
	b.int64(r.Fate.Rows)
	b.int64(r.Fate.Letters)
	b.timestamp(r.Range.Watermark)
	b.optional(r.PluginDigest)
	b.timestamp(&r.StartedAt)
	b.timestamp(&r.DecidedAt)
}

// rowBuilder appends one row, column after column.
type rowBuilder struct {
	builder *array.RecordBuilder
	column  int
}

func (b *rowBuilder) next() array.Builder {
	field := b.builder.Field(b.column)
	b.column++
	return field
}

func (b *rowBuilder) int64(v int64)   { b.next().(*array.Int64Builder).Append(v) }
func (b *rowBuilder) int32(v int32)   { b.next().(*array.Int32Builder).Append(v) }
func (b *rowBuilder) string(v string) { b.next().(*array.StringBuilder).Append(v) }

// optional appends null for "".
func (b *rowBuilder) optional(v string) {
	field := b.next().(*array.StringBuilder)
	if v == "" {
		field.AppendNull()
		return
	}
	field.Append(v)
}

func (b *rowBuilder) binary(v []byte) {
	field := b.next().(*array.BinaryBuilder)
	if v == nil {
		field.AppendNull()
		return
	}
	field.Append(v)
}

func (b *rowBuilder) timestamp(v *int64) {
	field := b.next().(*array.TimestampBuilder)
	if v == nil {
		field.AppendNull()
		return
	}
	field.Append(arrow.Timestamp(*v))
}

// intervals appends a list, empty rather than null: PyIceberg and ClickHouse
// show a null list as an empty one, the other engines do not.
func (b *rowBuilder) intervals(v []Interval) {
	list := b.next().(*array.ListBuilder)
	list.Append(true)
	element := list.ValueBuilder().(*array.StructBuilder)
	for _, interval := range v {
		element.Append(true)
		element.FieldBuilder(0).(*array.Int64Builder).Append(interval.From)
		element.FieldBuilder(1).(*array.Int64Builder).Append(interval.To)
	}
}
