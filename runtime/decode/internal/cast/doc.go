// Package cast writes a value, as a source's format holds it, to a row of a
// vector as its column's data_type. It is where every format agrees on what
// fits: ranges, exact decimals, times and their encodings.
//
// Nothing is coerced beyond the table:
//
//	boolean          Bool
//	int, long        Long and Number, whole and in range; a time of day by encoding
//	float, double    Long, Double and Number, in range
//	decimal(p,s)     Long, Number, Text that holds a number, Unscaled; Bytes and
//	                 base64 Text are two's complement at the column's scale
//	string           Text, Bytes of UTF-8
//	binary           Bytes, Text of base64 or hex
//	date             Text; Long as days; a number or text by encoding
//	timestamp(tz)    Text; a number or text by encoding
//
// A source that has text alone (a record's key, a header) is read by Plain,
// which takes the text of any of these types.
package cast
