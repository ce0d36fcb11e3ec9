package record

import "github.com/apache/arrow-go/v18/arrow"

// Header is one Kafka record header. A nil Value is a null.
type Header struct {
	Key   string
	Value []byte
}

// Record is one Kafka record as it was delivered. Key and Value are nil where
// Kafka has a null, and are valid until the Slice they belong to is released.
type Record struct {
	Offset      int64
	LeaderEpoch int32
	Timestamp   int64 // µs since 1970-01-01 UTC; the broker's or the producer's, as the topic is set up
	Key         []byte
	Value       []byte
	Headers     []Header
}

// Slice is what one poll delivered of one TopicPartition: its records in
// offset order. From is where the poll began to read and To is the offset
// after the last one seen, so that To may be larger than the last record's
// offset + 1 and records may be missing in between: control records, aborted
// transactions and compaction leave holes, which are legal.
type Slice struct {
	TopicPartition
	From, To    int64
	LeaderEpoch int32 // of the last record seen
	Records     []Record
	Bytes       int64 // of keys and values, uncompressed
	IngestedAt  int64 // µs since 1970-01-01 UTC, when the poll returned
}

// Batch is the currency from decoding to the table: rows as an Arrow record
// batch, with the record that each row came from.
//
// Records[i] is the index in Slice.Records of row i's record. It never
// decreases, and the rows of one record are always in one batch: their
// ordinals (kafka_row) depend on it.
type Batch struct {
	Rows    arrow.RecordBatch
	Records []int32
	// Ordinals[i] is the ordinal of row i among the rows of its record. nil
	// counts them from 0; a step that leaves out single rows of a record sets
	// it, so that the others keep theirs.
	Ordinals []int32
	// Changes holds ChangeFields for each row where the source is a stream of
	// changes of a database, else it is nil.
	Changes arrow.RecordBatch
	// Truncations are those of the source's tables that were ignored. Only a
	// decoder's batch tells of them; their records give no row.
	Truncations []Truncation
	Source      *Slice
}

// Truncation is a change event that says that a table lost all of its rows.
type Truncation struct {
	Record int32  // index in Slice.Records
	Table  string // in the database
}

// Release releases the rows.
func (b Batch) Release() {
	if b.Rows != nil {
		b.Rows.Release()
	}
	if b.Changes != nil {
		b.Changes.Release()
	}
}

// Reject is a record, or one row of it, that could not become a row. It ends
// as a dead letter with the record's original bytes.
//
// A record is whole as far as decoding and plugins go: if they refuse one of
// its rows, none of them is written. A data test refuses single rows (OfRow)
// of a record whose other rows stand.
type Reject struct {
	Record  int32  // index in Slice.Records
	OfRow   bool   // row Row alone is refused
	Row     int32  // its ordinal among the record's rows (kafka_row); for a plugin's row error, among the rows it was given
	Code    string // reason code, one of the constants below or a plugin's own
	Message string // for a person: what was wrong, what was expected
	Column  string // the column at fault, "" if none in particular
	// ByPlugin: the plugin of a keyed model refuses the row, not its operator.
	ByPlugin bool
}

// Reason codes of dead letters. A plugin's row errors carry codes of its own.
const (
	// CodeMalformed: the value is not what the source's format says (broken
	// JSON, no text).
	CodeMalformed = "malformed"
	// CodeType: a field cannot be read as its column's data_type.
	CodeType = "type"
	// CodeMissing: a required column has no value.
	CodeMissing = "missing"
	// CodeTooLarge: the record is larger than the source's max_record_bytes.
	CodeTooLarge = "too_large"
	// CodeTombstone: the record has no value and the format gives it no meaning.
	CodeTombstone = "tombstone"
	// CodeSchema: the record names a schema that the registry does not have, or
	// was written with one that cannot be read as the model's columns.
	CodeSchema = "schema"
	// CodeTruncate: the record of a dead letter says that its source's table was
	// truncated, which stops a pipeline where it is not ignored.
	CodeTruncate = "truncate"
	// CodeExpression: an expression of the model cannot be computed for this
	// row (a division by zero, a number out of range).
	CodeExpression = "expression"
	// CodeTest: a data test of severity quarantine fails on this row.
	CodeTest = "test"
	// CodePluginTrap: the plugin trapped on this row.
	CodePluginTrap = "plugin_trap"
	// CodePluginLimit: the plugin went past its budget of time, memory or
	// output on this row.
	CodePluginLimit = "plugin_limit"
	// CodePluginOutput: what the plugin returned for this row is invalid.
	CodePluginOutput = "plugin_output"
)

// Fate counts what became of a slice's records in one model: each record is in
// exactly one of WithRows, Dead and Filtered, and their sum is Delivered
// (invariant 6). A record some of whose rows were written counts as WithRows
// even if others of its rows are dead letters.
type Fate struct {
	Delivered int64 // data records, control records not included
	WithRows  int64 // records with at least one row written
	Dead      int64 // records without a row and with at least one dead letter
	Filtered  int64 // records without either
	Rows      int64 // rows written
	Letters   int64 // dead letters written
}

// Add adds other's counts.
func (f *Fate) Add(other Fate) {
	f.Delivered += other.Delivered
	f.WithRows += other.WithRows
	f.Dead += other.Dead
	f.Filtered += other.Filtered
	f.Rows += other.Rows
	f.Letters += other.Letters
}
