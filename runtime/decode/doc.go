// Package decode turns the records of one poll into rows: bytes to an Arrow
// record batch, by a decoder that is compiled once from a model's columns.
//
// text is one UTF-8 value a record, bytes is one opaque value a record. The
// other formats have fields that columns read: json and confluent-json are JSON
// objects; avro and protobuf are read by the writer's schema, which the record
// names and Schemas finds; debezium-json and debezium-avro are change events of
// a database. In every format a column may also read the record's key or a
// header (see Column.From).
//
// Every record given to Decode ends as rows of the batch (one, or two for a
// change of a natural key), as one Reject, or as a counted filter (invariant 6).
// A rejected record leaves nothing behind in the batch.
//
// # How rows are made
//
// The columns of a batch are raw Arrow vectors (internal/vector), written row by
// row and rolled back where a record is rejected; internal/cast writes one value
// as a column's type, for all formats alike. JSON is read twice at most: by
// internal/fastjson, which knows the common shapes and no messages, and, where
// it gives up, by the exact way in this package, which decides every reject.
// internal/avro and internal/protobuf compile each schema once.
//
// # Nulls
//
// A column that finds no value takes its default, else it is null if it is
// nullable, else the record is rejected as missing. In JSON, an absent member
// and a null are the same.
//
// A tombstone (a record whose value is a Kafka null) is rejected as a tombstone
// if the model reads anything of the value: in formats with fields always, since
// there is nothing to read; in text and bytes only if the column of kafka.value
// has no default and is not nullable. A model that reads only keys and headers
// makes a row of it. Over change events tombstones are filtered.
//
// # Change events
//
// internal/debezium says what they mean. The row is the image after the change,
// or before it for a delete; record.ChangeFields go with it in Batch.Changes. A
// delete takes what its image lacks from the record's key. A value that the
// event leaves out as untouched is null and listed as unavailable. Messages are
// filtered, and so is a truncation if Spec.IgnoreTruncations is set, else it is a
// *TruncateError.
//
// # New fields
//
// Under Spec.OnSchemaChange, fields that no column reads are a *ChangeError: in
// Avro and Protobuf those of the schema, in JSON those that records of the slice
// have, with types that hold all of their values (unseen.go). Rejected records
// add nothing.
//
// # Types in JSON
//
//	boolean          true, false
//	int, long        a number without fraction and exponent, in range
//	float, double    a number, in range
//	decimal(p,s)     a number, or a string that holds one, exactly representable
//	string           a string; an object or array gives its JSON text
//	binary           a string of padded base64 (RFC 4648 §4)
//	date             a string YYYY-MM-DD
//	timestamptz      a string of RFC 3339, with offset; or a number, by encoding
//	timestamp        the same without offset; or a number, by encoding
//	struct<…>        an object
//	list<…>          an array
//	map<K,V>         an object; K is string, int, long or date
//
// Nothing else is coerced: a number in a string column is a reject, and so is a
// string in a long column. (Two sources know text alone, and any scalar is read
// of it: the key and headers, and the values of format text.) Timestamps finer
// than a microsecond are truncated towards the past, because no table can hold
// more. Of members with the same name the last wins. Encodings change what a
// value is (Encodings; internal/cast). The documents of MongoDB's change events
// are extended JSON: an object that wraps a value is read as the value.
package decode
