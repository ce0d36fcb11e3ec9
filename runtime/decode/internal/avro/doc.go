// Package avro decodes records of Avro's binary encoding (Avro 1.12
// specification, "Binary encoding") to vectors.
//
// A writer's schema is parsed and checked by github.com/twmb/avro, and compiled
// with the columns into a flat list of operations that a Reader runs once for
// each record: no value becomes a Go value on its way, and no row allocates.
//
// # Schema resolution
//
// The columns are the reader's schema. A column is a path of field names
// through records and unions of them; names are compared as they are, and a
// writer's aliases are no names. A field that the writer does not have gives
// the column's default, else null, else a reject. Defaults of the writer's
// schema do not apply: Avro has them for readers, and the reader is the model.
//
//	boolean        boolean
//	int, long      int, long; float, double; decimal
//	float, double  float, double
//	bytes, fixed   binary; string, if UTF-8 (bytes); decimal by its logical type
//	string         string, binary; date, timestamps and decimal as text
//	enum           string
//	record         struct; string as JSON text; the fields of it by paths
//	array          list; map, if of records of key and value (Kafka Connect);
//	               string as JSON text
//	map            map; string as JSON text
//	union          of null and a type: nullable; of several types: value by value
//	               if the column takes each of them, else string as JSON text
//
// A long in an int column, and the like, is decided value by value. Logical
// types and the names of Kafka Connect and Debezium (connect.name) say what a
// number means: no encoding is needed, and one that a column declares wins.
// Instants and local times are both taken by timestamp and timestamptz, as UTC.
// A duration is text of ISO 8601, a UUID its text.
//
// What neither promotes nor converts refuses the schema, by the column's name.
//
// # Hostile data
//
// Every length and count is checked against the bytes that are left, the number
// of items that take no bytes is bounded, and so is the depth of values that
// are skipped. A block's byte size must be that of its items, and bytes behind
// the value are malformed.
package avro
