// Package decode turns the records of one poll into rows: bytes to an Arrow
// record batch, by a decoder that is compiled once from a model's columns.
//
// Three formats exist. text is one UTF-8 value a record, bytes is one opaque
// value a record, json is one JSON object a record whose members are columns.
// In every format a column may also read the record's key or a header (see
// Column.From).
//
// Every record given to Decode ends either as one row of the batch or as one
// Reject (invariant 6). A rejected record leaves nothing behind in the batch.
//
// # Nulls
//
// A column that finds no value takes its default, else it is null if it is
// nullable, else the record is rejected as missing. In JSON, an absent member
// and a null are the same.
//
// A tombstone (a record whose value is a Kafka null) is rejected as a tombstone
// if the model reads anything of the value: in json always, since there is no
// document to read; in text and bytes only if the column of kafka.value has no
// default and is not nullable. A model that reads only kafka.key and headers
// makes a row of it.
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
// string in a long column. Timestamps finer than a microsecond are truncated
// towards the past, because no table can hold more. Of members with the same
// name the last wins.
package decode
