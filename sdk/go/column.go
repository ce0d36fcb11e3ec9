package calve

import "strconv"

// Column declares a column or a nested field: its name, and its type as an
// Arrow C Data format string. Make one with String, Long and the like, whose
// names are those of data_type in a model. Columns may be null unless Required.
type Column struct {
	Name     string
	Format   string
	NotNull  bool
	Children []Column
}

// Required says that the column is never null.
func (c Column) Required() Column {
	c.NotNull = true
	return c
}

// Boolean declares a column of true and false.
func Boolean(name string) Column { return Column{Name: name, Format: "b"} }

// Int declares a column of 32-bit integers.
func Int(name string) Column { return Column{Name: name, Format: "i"} }

// Long declares a column of 64-bit integers.
func Long(name string) Column { return Column{Name: name, Format: "l"} }

// Float declares a column of 32-bit floating-point numbers.
func Float(name string) Column { return Column{Name: name, Format: "f"} }

// Double declares a column of 64-bit floating-point numbers.
func Double(name string) Column { return Column{Name: name, Format: "g"} }

// String declares a column of UTF-8 text.
func String(name string) Column { return Column{Name: name, Format: "u"} }

// Binary declares a column of bytes.
func Binary(name string) Column { return Column{Name: name, Format: "z"} }

// Date declares a column of days since 1970-01-01.
func Date(name string) Column { return Column{Name: name, Format: "tdD"} }

// Timestamp declares a column of microseconds since 1970-01-01 00:00:00 without
// a time zone.
func Timestamp(name string) Column { return Column{Name: name, Format: "tsu:"} }

// Timestamptz declares a column of instants: microseconds since 1970-01-01
// 00:00:00 UTC.
func Timestamptz(name string) Column { return Column{Name: name, Format: "tsu:UTC"} }

// Decimal declares a column of decimals of precision digits (1 to 38), scale of
// them after the point.
func Decimal(name string, precision, scale int) Column {
	return Column{Name: name, Format: "d:" + strconv.Itoa(precision) + "," + strconv.Itoa(scale)}
}

// List declares a column of lists. Nested columns can be passed through, not
// read or built.
func List(name string, element Column) Column {
	return Column{Name: name, Format: "+l", Children: []Column{element}}
}

// Struct declares a column of structs.
func Struct(name string, fields ...Column) Column {
	return Column{Name: name, Format: "+s", Children: fields}
}

// Map declares a column of maps. Keys are never null.
func Map(name string, key, value Column) Column {
	entries := Struct("entries", key.Required(), value).Required()
	return Column{Name: name, Format: "+m", Children: []Column{entries}}
}
