// Package protobuf decodes messages of Protocol Buffers to the rows of vectors,
// by a schema of a registry: proto2, proto3 and editions.
//
// A Schema is compiled with columns to a Program, of which a Reader is made for
// each batch. The Reader goes along the bytes by a table of each message's
// fields. Where a record is wrong, or merges what came before (a field again,
// another member of a oneof, a key of a map again), it begins anew by way of
// protobuf-go's dynamicpb, which decides: so the values are those of protobuf-go,
// and so are the refusals, fields that no column reads included.
//
// # No value
//
// A field with presence that is absent has the default of proto2, if it has
// one. Else, and where a message on the path is absent, or the schema has no
// such field, the column has its default, or null, or the record is rejected. A
// field without presence (of proto3 without optional) is never absent: it has
// its zero, its empty text, or the name of the enum's 0. Only where the column
// cannot hold empty text or bytes (a date, a decimal, a time by encoding) they
// count as no value. A list or map without elements is empty.
//
// # Types
//
//	bool                       boolean
//	int32, int64, …            int, long, float, double, decimal; others by encoding
//	uint64, fixed64            also string
//	float, double              float, double; timestamps by encoding
//	enum                       string: its name, or digits if it has none; int, long
//	string                     string; what text can be: date, timestamps, decimal, binary (base64)
//	bytes                      binary; string of UTF-8; decimal in two's complement
//	message, group             struct by names of fields; string: JSON text
//	repeated                   list; string: JSON text
//	map                        map with keys of string, int, long or date; string: JSON text
//	google.protobuf.Timestamp  timestamptz, timestamp (of UTC); string: RFC 3339
//	google.protobuf.Duration   long: nanoseconds; string: seconds, as in "1.500s"
//	google.protobuf.*Value     as the scalar, null where it is absent
//	google.protobuf.Any        string: JSON text, of the URL and base64 where the schema
//	                           does not have the type
//	google.type.Date           date, of a whole one
//	google.type.Decimal        decimal
//	confluent.type.Decimal     decimal
//
// JSON text is that of protobuf's JSON with the names of the schema. A column's
// path goes through single messages by the names of fields, or by those of JSON.
//
// # Bounds
//
// Messages are inside of one another up to 100 deep, and the lists and maps of a
// record take up to 16 million values: more is a reject.
package protobuf
