package lakehouse

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/runtime/record"
)

// DeadLetter is what a model could not take of a slice: a whole record, or one
// row of a record whose other rows stand (Reject.OfRow). A record has at most
// one letter of its whole in a model, and then none of a row.
type DeadLetter struct {
	Epoch        int64
	Model        string
	Reader       string
	Origin       record.Origin
	Source       *record.Slice
	Reject       record.Reject
	RecordRows   int32  // rows of the record that were written beside it; 0 if it is of the whole
	PluginDigest string // of the plugin that refused it, "" if none did
}

// Letter is a dead letter as the table "dead_letters" has it, with the record's
// original bytes. It is never changed: what later became of it is in rows of
// its own, see Resolution.
type Letter struct {
	Epoch  int64 // that wrote it
	Model  string
	Reader string // ReplayReader if it came up in a replay
	record.Origin
	record.TopicPartition
	Record       record.Record
	IngestedAt   int64 // µs since 1970-01-01 UTC
	OfRow        bool  // of row Row alone (kafka_row), else of the whole record
	Row          int32
	RecordRows   int32 // see DeadLetter
	Reason       string
	Message      string
	Column       string // "" if none in particular
	PluginDigest string // "" if no plugin refused it
}

// Outcome is what a request made of a letter.
type Outcome string

// The outcomes. A letter is open until it has one other than Refused.
const (
	Replayed  Outcome = "replayed"  // its rows are in the model's table
	Filtered  Outcome = "filtered"  // the model leaves it out now
	Refused   Outcome = "refused"   // the model still cannot take it
	Discarded Outcome = "discarded" // given up by a person
)

// Resolution is a row of the table "dead_letters" that tells what a request
// made of a letter. It repeats the letter's id and position but not the
// record's bytes.
type Resolution struct {
	Letter
	Epoch   int64 // that resolved it
	Request string
	Outcome Outcome
	// Refusal says why the model refuses the letter now; nil for any other
	// outcome, which repeats the letter's own reason.
	Refusal      *record.Reject
	PluginDigest string // of the plugin that it was replayed through
}

// ReplayReader is the name of the reader whose source is the table of dead
// letters.
const ReplayReader = "replay"

// LetterID identifies a letter for good: the same record refused by the same
// model at the same place has the same id, however often it is read.
type LetterID [16]byte

func (id LetterID) String() string { return hex.EncodeToString(id[:]) }

// IsLetterID tells whether text has the form of a letter's id.
func IsLetterID(text string) bool {
	_, ok := parseLetterID(text)
	return ok
}

// parseLetterID is the inverse of String. Text that is no id gives false.
func parseLetterID(text string) (id LetterID, ok bool) {
	if len(text) != hex.EncodedLen(len(id)) {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(text))
	return id, err == nil
}

// ID is a digest of the model and the letter's place.
func (l *Letter) ID() LetterID {
	if !l.OfRow {
		return l.recordID()
	}
	return letterID(l.Model, l.Origin, l.Partition, l.Record.Offset, strconv.Itoa(int(l.Row)))
}

// recordID is the id of a letter of the whole record.
func (l *Letter) recordID() LetterID {
	return letterID(l.Model, l.Origin, l.Partition, l.Record.Offset, "whole")
}

func letterID(model string, origin record.Origin, partition int32, offset int64, part string) LetterID {
	digest := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%d\x00%d\x00%s", model, origin.ClusterID, origin.TopicID, partition, offset, part))
	return LetterID(digest[:16])
}

func (d DeadLetter) letter() Letter {
	return Letter{
		Epoch: d.Epoch, Model: d.Model, Reader: d.Reader, Origin: d.Origin, TopicPartition: d.Source.TopicPartition,
		Record: d.Source.Records[d.Reject.Record], IngestedAt: d.Source.IngestedAt,
		OfRow: d.Reject.OfRow, Row: d.Reject.Row, RecordRows: d.RecordRows,
		Reason: d.Reject.Code, Message: d.Reject.Message, Column: d.Reject.Column, PluginDigest: d.PluginDigest,
	}
}

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
	{Name: record.ColumnRow, Type: arrow.PrimitiveTypes.Int32, Nullable: true}, // null: the whole record
	{Name: "record_rows", Type: arrow.PrimitiveTypes.Int32},
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
		Description: "Records that a model could not take, as they came, with the reason; a row with a resolution tells what became of one.",
	}
}

// DeadLetterBatch renders letters. The caller releases it.
func DeadLetterBatch(letters []DeadLetter, mem memory.Allocator) arrow.RecordBatch {
	b := array.NewRecordBuilder(mem, arrow.NewSchema(letterFields, nil))
	defer b.Release()
	for _, d := range letters {
		l := d.letter()
		l.append(&rowBuilder{builder: b}, "", "")
	}
	return b.NewRecordBatch()
}

// ResolutionBatch renders resolutions. The caller releases it.
func ResolutionBatch(resolutions []Resolution, mem memory.Allocator) arrow.RecordBatch {
	b := array.NewRecordBuilder(mem, arrow.NewSchema(letterFields, nil))
	defer b.Release()
	for _, r := range resolutions {
		l := r.Letter
		l.Epoch, l.Reader, l.PluginDigest = r.Epoch, ReplayReader, r.PluginDigest
		l.Record.Key, l.Record.Value, l.Record.Headers = nil, nil, nil
		if r.Refusal != nil {
			l.Reason, l.Message, l.Column = r.Refusal.Code, r.Refusal.Message, r.Refusal.Column
		}
		l.append(&rowBuilder{builder: b}, r.Outcome, r.Request)
	}
	return b.NewRecordBatch()
}

func (l *Letter) append(b *rowBuilder, outcome Outcome, request string) {
	b.string(l.ID().String())
	b.int64(l.Epoch)
	b.string(l.Model)
	b.string(l.Reader)
	b.string(l.Reason)
	b.string(l.Message)
	b.optional(l.Column)
	b.optional(l.PluginDigest)
	b.string(l.ClusterID)
	b.string(l.TopicID)
	b.string(l.Topic)
	b.int32(l.Partition)
	b.int64(l.Record.Offset)
	if l.OfRow {
		b.int32(l.Row)
	} else {
		b.next().AppendNull()
	}
	b.int32(l.RecordRows)
	b.timestamp(&l.Record.Timestamp)
	b.timestamp(&l.IngestedAt)
	b.binary(l.Record.Key)
	b.binary(l.Record.Value)
	b.headers(l.Record.Headers)
	b.optional(string(outcome))
	b.optional(request)
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
