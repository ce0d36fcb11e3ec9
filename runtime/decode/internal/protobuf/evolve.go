package protobuf

import (
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/record"
)

// maxNesting is how deep record.ParseType takes types; what is nested deeper is
// kept as JSON text.
const maxNesting = 8

// maxFields bounds the fields of all structs of a type; a message with more is
// JSON text.
const maxFields = 1000

// Unread lists the fields of the message that no column reads, by their
// numbers, and where columns read parts of a message, the others of its fields.
func (p *Program) Unread() []program.Field { return p.unread }

func unreadFields(n *node, at []string) []program.Field {
	var out []program.Field
	for _, f := range n.fields {
		name := append(slices.Clone(at), string(f.desc.Name()))
		if len(f.values) == 0 {
			out = append(out, program.Field{Path: name, Type: new(typer).natural(f.desc, 0, nil)})
		} else if len(f.values) == 1 && f.values[0].shape == path {
			out = append(out, unreadFields(f.values[0].node, name)...)
		}
	}
	return out
}

// Widen lists the columns that are narrower than the message's fields.
func (p *Program) Widen() []program.Widening { return p.widen }

func widenings(n *node) []program.Widening {
	var out []program.Widening
	widenIn(n, &out)
	slices.SortFunc(out, func(a, b program.Widening) int { return a.Column - b.Column })
	return out
}

func widenIn(n *node, out *[]program.Widening) {
	for _, f := range n.fields {
		for _, v := range f.values {
			if v.shape == path {
				widenIn(v.node, out)
			} else if v.column.Encoding == "" {
				if t := widened(v.column.Type, f.desc, 0); t != nil {
					*out = append(*out, program.Widening{Column: v.column.Index, Type: t})
				}
			}
		}
	}
}

var scalarTypes = map[protoreflect.Kind]arrow.DataType{
	protoreflect.BoolKind:  arrow.FixedWidthTypes.Boolean,
	protoreflect.Int32Kind: arrow.PrimitiveTypes.Int32, protoreflect.Sint32Kind: arrow.PrimitiveTypes.Int32, protoreflect.Sfixed32Kind: arrow.PrimitiveTypes.Int32,
	protoreflect.Int64Kind: arrow.PrimitiveTypes.Int64, protoreflect.Sint64Kind: arrow.PrimitiveTypes.Int64, protoreflect.Sfixed64Kind: arrow.PrimitiveTypes.Int64,
	protoreflect.Uint32Kind: arrow.PrimitiveTypes.Int64, protoreflect.Fixed32Kind: arrow.PrimitiveTypes.Int64,
	protoreflect.Uint64Kind: &arrow.Decimal128Type{Precision: 20}, protoreflect.Fixed64Kind: &arrow.Decimal128Type{Precision: 20},
	protoreflect.FloatKind: arrow.PrimitiveTypes.Float32, protoreflect.DoubleKind: arrow.PrimitiveTypes.Float64,
	protoreflect.StringKind: arrow.BinaryTypes.String, protoreflect.BytesKind: arrow.BinaryTypes.Binary, protoreflect.EnumKind: arrow.BinaryTypes.String,
}

// messageTypes are the data_types of messages that stand for values. A decimal
// of Confluent or Google has a scale of its own in each message, so it is text.
var messageTypes = map[protoreflect.FullName]arrow.DataType{
	"google.protobuf.Timestamp": record.Timestamptz,
	"google.protobuf.Duration":  arrow.BinaryTypes.String,
	"google.protobuf.Any":       arrow.BinaryTypes.String,
	"google.protobuf.Struct":    arrow.BinaryTypes.String,
	"google.protobuf.Value":     arrow.BinaryTypes.String,
	"google.protobuf.ListValue": arrow.BinaryTypes.String,
	"google.protobuf.FieldMask": arrow.BinaryTypes.String,
	"google.type.Date":          arrow.FixedWidthTypes.Date32,
	"google.type.Decimal":       arrow.BinaryTypes.String,
	"confluent.type.Decimal":    arrow.BinaryTypes.String,
}

// typer makes the data_types of fields.
type typer struct{ fields int }

// natural is the data_type that holds all values of a field. around are the
// messages that the field is inside of: one that holds itself is JSON text.
func (y *typer) natural(desc protoreflect.FieldDescriptor, depth int, around []protoreflect.FullName) arrow.DataType {
	switch {
	case desc.IsMap():
		key, ok := keyTypes[desc.MapKey().Kind()]
		if !ok || depth+1 > maxNesting {
			return arrow.BinaryTypes.String
		}
		return arrow.MapOf(key, y.naturalOne(desc.MapValue(), depth+1, around))
	case desc.IsList():
		if depth+1 > maxNesting {
			return arrow.BinaryTypes.String
		}
		return listOf(y.naturalOne(desc, depth+1, around))
	}
	return y.naturalOne(desc, depth, around)
}

// keyTypes are those of maps whose keys a data_type has; others are JSON text.
var keyTypes = map[protoreflect.Kind]arrow.DataType{
	protoreflect.StringKind: arrow.BinaryTypes.String,
	protoreflect.Int32Kind:  arrow.PrimitiveTypes.Int32, protoreflect.Sint32Kind: arrow.PrimitiveTypes.Int32, protoreflect.Sfixed32Kind: arrow.PrimitiveTypes.Int32,
	protoreflect.Int64Kind: arrow.PrimitiveTypes.Int64, protoreflect.Sint64Kind: arrow.PrimitiveTypes.Int64, protoreflect.Sfixed64Kind: arrow.PrimitiveTypes.Int64,
	protoreflect.Uint32Kind: arrow.PrimitiveTypes.Int64, protoreflect.Fixed32Kind: arrow.PrimitiveTypes.Int64,
}

func (y *typer) naturalOne(desc protoreflect.FieldDescriptor, depth int, around []protoreflect.FullName) arrow.DataType {
	m := desc.Message()
	if m == nil {
		return scalarTypes[desc.Kind()]
	}
	if t, ok := messageTypes[m.FullName()]; ok {
		return t
	}
	if isWrapper(m) {
		return scalarTypes[m.Fields().ByNumber(1).Kind()]
	}
	n := m.Fields().Len()
	if slices.Contains(around, m.FullName()) || depth+1 > maxNesting || n == 0 || y.fields+n > maxFields || !distinctNames(m) {
		return arrow.BinaryTypes.String
	}
	y.fields += n
	around = append(slices.Clone(around), m.FullName())
	fields := make([]arrow.Field, n)
	for i := range fields {
		f := m.Fields().Get(i)
		fields[i] = arrow.Field{Name: string(f.Name()), Type: y.natural(f, depth+1, around), Nullable: true}
	}
	return arrow.StructOf(fields...)
}

func listOf(elem arrow.DataType) arrow.DataType {
	return arrow.ListOfField(arrow.Field{Name: "element", Type: elem, Nullable: true})
}

// distinctNames tells whether the fields of a message can be those of a struct,
// where engines ignore case.
func distinctNames(m protoreflect.MessageDescriptor) bool {
	seen := map[string]bool{}
	for i := range m.Fields().Len() {
		seen[strings.ToLower(string(m.Fields().Get(i).Name()))] = true
	}
	return len(seen) == m.Fields().Len()
}

// widened is the type that a field needs of a column; nil if the column's does.
func widened(t arrow.DataType, desc protoreflect.FieldDescriptor, depth int) arrow.DataType {
	switch t := t.(type) {
	case *arrow.ListType:
		if elem := widenedOne(t.Elem(), desc, depth+1); elem != nil && desc.IsList() {
			return listOf(elem)
		}
		return nil
	case *arrow.MapType:
		if !desc.IsMap() {
			return nil
		}
		key, item := widenedOne(t.KeyType(), desc.MapKey(), depth+1), widenedOne(t.ItemType(), desc.MapValue(), depth+1)
		if key == nil && item == nil {
			return nil
		}
		return arrow.MapOf(orElse(key, t.KeyType()), orElse(item, t.ItemType()))
	}
	if desc.IsList() || desc.IsMap() {
		return nil
	}
	return widenedOne(t, desc, depth)
}

func orElse(t, other arrow.DataType) arrow.DataType {
	if t == nil {
		return other
	}
	return t
}

// widenedOne does the same for one occurrence of a field.
func widenedOne(t arrow.DataType, desc protoreflect.FieldDescriptor, depth int) arrow.DataType {
	m := desc.Message()
	if s, ok := t.(*arrow.StructType); ok && m != nil {
		return widenedStruct(s, m, depth)
	}
	kind := desc.Kind()
	if m != nil && isWrapper(m) {
		kind = m.Fields().ByNumber(1).Kind()
	}
	writer := scalarTypes[kind]
	switch t := t.(type) {
	case *arrow.Int32Type:
		if writer == arrow.PrimitiveTypes.Int64 {
			return writer
		}
	case *arrow.Float32Type:
		if writer == arrow.PrimitiveTypes.Float64 {
			return writer
		}
	case *arrow.Decimal128Type:
		digits := map[arrow.Type]int32{arrow.INT32: 10, arrow.INT64: 19, arrow.DECIMAL128: 20}
		if writer != nil && digits[writer.ID()] > t.Precision-t.Scale && digits[writer.ID()]+t.Scale <= 38 {
			return &arrow.Decimal128Type{Precision: digits[writer.ID()] + t.Scale, Scale: t.Scale}
		}
	}
	return nil
}

func widenedStruct(s *arrow.StructType, m protoreflect.MessageDescriptor, depth int) arrow.DataType {
	fields := slices.Clone(s.Fields())
	read := map[protoreflect.FieldNumber]bool{}
	names := map[string]bool{}
	changed := false
	for i, f := range fields {
		names[strings.ToLower(f.Name)] = true
		desc := lookup(m, f.Name)
		if desc == nil {
			continue
		}
		read[desc.Number()] = true
		if t := widened(f.Type, desc, depth+1); t != nil {
			fields[i].Type, changed = t, true
		}
	}
	for i := range m.Fields().Len() {
		desc := m.Fields().Get(i)
		if name := string(desc.Name()); !read[desc.Number()] && !names[strings.ToLower(name)] {
			names[strings.ToLower(name)] = true
			fields = append(fields, arrow.Field{Name: name, Type: new(typer).natural(desc, depth+1, []protoreflect.FullName{m.FullName()}), Nullable: true})
			changed = true
		}
	}
	if !changed {
		return nil
	}
	return arrow.StructOf(fields...)
}
