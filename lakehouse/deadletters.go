package lakehouse

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/runtime/record"
)

// DeadLetter is a row of the table "dead_letters": a record, or a row of one,
// that a model could not take, with its original bytes.
type DeadLetter struct {
	Epoch        int64
	Model        string
	Reader       string
	Origin       record.Origin
	Source       *record.Slice
	Reject       record.Reject
	PluginDigest string // of the plugin that refused it, "" if none did
}

// ID identifies a letter for good: the same record refused by the same model
// at the same place has the same id, however often it is read.
func (d DeadLetter) ID() string {
	position := fmt.Sprintf("%s\x00%s\x00%s\x00%d\x00%d\x00%d", d.Model, d.Origin.ClusterID, d.Origin.TopicID,
		d.Source.Partition, d.Source.Records[d.Reject.Record].Offset, d.Reject.Row)
	digest := sha256.Sum256([]byte(position))
	return hex.EncodeToString(digest[:16])
}

// A letter is never changed. What later became of it is another row with its
// letter_id and a resolution (replayed, discarded).
var letterFields = []arrow.Field{
	{Name: "letter_id", Type: arrow.BinaryTypes.String},
	{Name: "epoch", Type: arrow.PrimitiveTypes.Int64},
	{Name: "model", Type: arrow.BinaryTypes.String},
	{Name: "reader", Type: arrow.BinaryTypes.String},
	{Name: "reason_code", Type: arrow.BinaryTypes.String},
	{Name: "message", Type: arrow.BinaryTypes.String},
	{Name: "column_name", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "plugin_digest", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "kafka_cluster_id", Type: arrow.BinaryTypes.String},
	{Name: "kafka_topic_id", Type: arrow.BinaryTypes.String},
	{Name: record.ColumnTopic, Type: arrow.BinaryTypes.String},
	{Name: record.ColumnPartition, Type: arrow.PrimitiveTypes.Int32},
	{Name: record.ColumnOffset, Type: arrow.PrimitiveTypes.Int64},
	{Name: record.ColumnRow, Type: arrow.PrimitiveTypes.Int32},
	{Name: record.ColumnTimestamp, Type: record.Timestamptz},
	{Name: record.ColumnIngestedAt, Type: record.Timestamptz},
	{Name: "record_key", Type: arrow.BinaryTypes.Binary, Nullable: true},
	{Name: "record_value", Type: arrow.BinaryTypes.Binary, Nullable: true},
	{Name: "record_headers", Type: arrow.ListOfField(arrow.Field{Name: "element", Nullable: true, Type: arrow.StructOf(
		arrow.Field{Name: "key", Type: arrow.BinaryTypes.String, Nullable: true},
		arrow.Field{Name: "value", Type: arrow.BinaryTypes.Binary, Nullable: true},
	)})},
	{Name: "resolution", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "request_id", Type: arrow.BinaryTypes.String, Nullable: true},
}

// DeadLettersDefinition is the pipeline's table of dead letters.
func DeadLettersDefinition(pipeline string) Definition {
	return Definition{
		ID:          catalog.Identifier{Namespace: SystemNamespace(pipeline), Name: "dead_letters"},
		Schema:      arrow.NewSchema(letterFields, nil),
		PartitionBy: []PartitionField{{Column: record.ColumnIngestedAt, Transform: "day"}},
		Description: "Records that a model could not take, as they came, with the reason.",
	}
}

// DeadLetterBatch renders letters. The caller releases it.
func DeadLetterBatch(letters []DeadLetter, mem memory.Allocator) arrow.RecordBatch {
	b := array.NewRecordBuilder(mem, arrow.NewSchema(letterFields, nil))
	defer b.Release()
	for _, d := range letters {
		d.append(&rowBuilder{builder: b})
	}
	return b.NewRecordBatch()
}

func (d DeadLetter) append(b *rowBuilder) {
	r := d.Source.Records[d.Reject.Record]
	b.string(d.ID())
	b.int64(d.Epoch)
	b.string(d.Model)
	b.string(d.Reader)
	b.string(d.Reject.Code)
	b.string(d.Reject.Message)
	b.optional(d.Reject.Column)
	b.optional(d.PluginDigest)
	b.string(d.Origin.ClusterID)
	b.string(d.Origin.TopicID)
	b.string(d.Source.Topic)
	b.int32(d.Source.Partition)
	b.int64(r.Offset)
	b.int32(d.Reject.Row)
	b.timestamp(&r.Timestamp)
	b.timestamp(&d.Source.IngestedAt)
	b.binary(r.Key)
	b.binary(r.Value)
	b.headers(r.Headers)
	b.optional("") // resolution: the letter itself has none
	b.optional("") // request_id
}

func (b *rowBuilder) headers(v []record.Header) {
	list := b.next().(*array.ListBuilder)
	list.Append(true)
	element := list.ValueBuilder().(*array.StructBuilder)
	for _, h := range v {
		element.Append(true)
		element.FieldBuilder(0).(*array.StringBuilder).Append(h.Key)
		value := element.FieldBuilder(1).(*array.BinaryBuilder)
		if h.Value == nil {
			value.AppendNull()
		} else {
			value.Append(h.Value)
		}
	}
}
