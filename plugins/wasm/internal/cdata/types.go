package cdata

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/sdk/abi"
)

// scalars is the types without parameters or children that cross the boundary,
// by format string.
var scalars = map[string]arrow.DataType{
	"b":       arrow.FixedWidthTypes.Boolean,
	"i":       arrow.PrimitiveTypes.Int32,
	"l":       arrow.PrimitiveTypes.Int64,
	"f":       arrow.PrimitiveTypes.Float32,
	"g":       arrow.PrimitiveTypes.Float64,
	"u":       arrow.BinaryTypes.String,
	"z":       arrow.BinaryTypes.Binary,
	"tdD":     arrow.PrimitiveTypes.Date32,
	"tsu:":    &arrow.TimestampType{Unit: arrow.Microsecond},
	"tsu:UTC": &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"},
}

// unsupported names layouts and types of Arrow that tables cannot hold, for
// errors.
var unsupported = map[string]string{
	"n": "null", "c": "int8", "C": "uint8", "s": "int16", "S": "uint16", "I": "uint32", "L": "uint64", "e": "float16",
	"U": "large_utf8", "Z": "large_binary", "vu": "utf8_view", "vz": "binary_view", "tdm": "date64",
	"+L": "large_list", "+vl": "list_view", "+vL": "large_list_view", "+r": "run_end_encoded",
}

// Field reads a column as an Arrow field. It refuses by name what no table can
// hold.
func Field(c abi.Column) (arrow.Field, error) {
	t, err := dataType(c)
	if err != nil {
		return arrow.Field{}, fmt.Errorf("column %q: %w", c.Name, err)
	}
	return arrow.Field{Name: c.Name, Type: t, Nullable: c.IsNullable()}, nil
}

// Schema reads columns as an Arrow schema.
func Schema(columns []abi.Column) (*arrow.Schema, error) {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		f, err := Field(c)
		if err != nil {
			return nil, err
		}
		fields[i] = f
	}
	return arrow.NewSchema(fields, nil), nil
}

func dataType(c abi.Column) (arrow.DataType, error) {
	if t, ok := scalars[c.Format]; ok {
		return t, wantChildren(c, 0)
	}
	switch {
	case strings.HasPrefix(c.Format, "d:"):
		return decimalType(c)
	case c.Format == "+l":
		return listType(c)
	case c.Format == "+s":
		return structType(c)
	case c.Format == "+m":
		return mapType(c)
	}
	if name, ok := unsupported[c.Format]; ok {
		return nil, fmt.Errorf("%s cannot be used: tables hold boolean, int, long, float, double, decimal, string, binary, date, timestamp, timestamptz, struct, list and map", name)
	}
	return nil, fmt.Errorf("unknown Arrow format %q", c.Format)
}

func wantChildren(c abi.Column, n int) error {
	if len(c.Children) != n {
		return fmt.Errorf("format %q has %d children, it must have %d", c.Format, len(c.Children), n)
	}
	return nil
}

func decimalType(c abi.Column) (arrow.DataType, error) {
	precision, scale, _ := strings.Cut(c.Format[len("d:"):], ",")
	p, err1 := strconv.Atoi(precision)
	s, err2 := strconv.Atoi(scale)
	if err1 != nil || err2 != nil || p < 1 || p > 38 || s < 0 || s > p {
		return nil, fmt.Errorf("decimal format %q: expected d:precision,scale with a precision of 1 to 38 and a scale of 0 to the precision", c.Format)
	}
	return &arrow.Decimal128Type{Precision: int32(p), Scale: int32(s)}, wantChildren(c, 0)
}

func listType(c abi.Column) (arrow.DataType, error) {
	if err := wantChildren(c, 1); err != nil {
		return nil, err
	}
	element, err := Field(c.Children[0])
	if err != nil {
		return nil, err
	}
	return arrow.ListOfField(element), nil
}

func structType(c abi.Column) (arrow.DataType, error) {
	if len(c.Children) == 0 {
		return nil, fmt.Errorf("a struct needs fields")
	}
	s, err := Schema(c.Children)
	if err != nil {
		return nil, err
	}
	return arrow.StructOf(s.Fields()...), nil
}

func mapType(c abi.Column) (arrow.DataType, error) {
	if err := wantChildren(c, 1); err != nil {
		return nil, err
	}
	entries := c.Children[0]
	if entries.Format != "+s" || len(entries.Children) != 2 {
		return nil, fmt.Errorf("the child of a map must be a struct of key and value")
	}
	key, err := Field(entries.Children[0])
	if err != nil {
		return nil, err
	}
	value, err := Field(entries.Children[1])
	if err != nil {
		return nil, err
	}
	return arrow.MapOfFields(key, value), nil
}

// Format is the format string of a type, or an error that names it.
func Format(t arrow.DataType) (string, error) {
	switch t := t.(type) {
	case *arrow.Decimal128Type:
		return fmt.Sprintf("d:%d,%d", t.Precision, t.Scale), nil
	case *arrow.ListType:
		return "+l", nil
	case *arrow.StructType:
		return "+s", nil
	case *arrow.MapType:
		return "+m", nil
	}
	for format, scalar := range scalars {
		if arrow.TypeEqual(t, scalar) {
			return format, nil
		}
	}
	return "", fmt.Errorf("type %s cannot be handed to a plugin", t)
}

// writtenFormat is Format, and those of the columns that the host adds.
func writtenFormat(t arrow.DataType) (string, error) {
	if t.ID() == arrow.UINT32 {
		return "I", nil
	}
	return Format(t)
}

// children is the fields below a type, as the Arrow C Data Interface nests them.
func children(t arrow.DataType) []arrow.Field {
	switch t := t.(type) {
	case *arrow.ListType:
		return []arrow.Field{t.ElemField()}
	case *arrow.StructType:
		return t.Fields()
	case *arrow.MapType:
		key := t.KeyField()
		key.Nullable = false
		entries := arrow.StructOf(key, t.ItemField())
		return []arrow.Field{{Name: "entries", Type: entries}}
	}
	return nil
}

// Supported tells whether every column of a schema can be handed to a plugin.
func Supported(s *arrow.Schema) error {
	var walk func(fields []arrow.Field, depth int) error
	walk = func(fields []arrow.Field, depth int) error {
		for _, f := range fields {
			if depth > abi.MaxDepth+1 { // a map is two levels here
				return fmt.Errorf("column %q: nested deeper than %d", f.Name, abi.MaxDepth)
			}
			if _, err := Format(f.Type); err != nil {
				return fmt.Errorf("column %q: %w", f.Name, err)
			}
			if err := walk(children(f.Type), depth+1); err != nil {
				return fmt.Errorf("column %q: %w", f.Name, err)
			}
		}
		return nil
	}
	return walk(s.Fields(), 0)
}

// SameType compares types as tables see them: field names of lists and maps,
// and what may be null below the top, do not count.
func SameType(a, b arrow.DataType) bool {
	fa, err1 := Format(a)
	fb, err2 := Format(b)
	if err1 != nil || err2 != nil || fa != fb {
		return false
	}
	ca, cb := children(a), children(b)
	if len(ca) != len(cb) {
		return false
	}
	_, named := a.(*arrow.StructType)
	for i := range ca {
		if named && ca[i].Name != cb[i].Name || !SameType(ca[i].Type, cb[i].Type) {
			return false
		}
	}
	return true
}

// TypeName is a type in the words of a model's data_type.
func TypeName(t arrow.DataType) string {
	switch t := t.(type) {
	case *arrow.Decimal128Type:
		return fmt.Sprintf("decimal(%d,%d)", t.Precision, t.Scale)
	case *arrow.ListType:
		return "list<" + TypeName(t.Elem()) + ">"
	case *arrow.MapType:
		return "map<" + TypeName(t.KeyType()) + ", " + TypeName(t.ItemType()) + ">"
	case *arrow.StructType:
		parts := make([]string, t.NumFields())
		for i, f := range t.Fields() {
			parts[i] = f.Name + ": " + TypeName(f.Type)
		}
		return "struct<" + strings.Join(parts, ", ") + ">"
	}
	format, err := Format(t)
	if err != nil {
		return t.String()
	}
	return names[format]
}

// names is the data_type of each scalar, by format string.
var names = map[string]string{
	"b": "boolean", "i": "int", "l": "long", "f": "float", "g": "double", "u": "string", "z": "binary",
	"tdD": "date", "tsu:": "timestamp", "tsu:UTC": "timestamptz",
}
