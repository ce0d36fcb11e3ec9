package protobuf

import (
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/calvelake/calve/runtime/decode/internal/cast"
	"github.com/calvelake/calve/runtime/record"
)

// classOf is what a scalar of the schema is, whatever its wire type.
type classOf uint8

const (
	classBool   classOf = iota // 0 or 1
	classInt                   // an int64
	classUint                  // a uint64
	classFloat                 // the bits of a float32
	classDouble                // the bits of a float64
	classEnum                  // the number of an enum in a column of numbers
	className                  // the number of an enum in a string
	classDigits                // a uint64 in a string
	classText
	classBytes
)

var classes = map[protoreflect.Kind]classOf{
	protoreflect.BoolKind:  classBool,
	protoreflect.Int32Kind: classInt, protoreflect.Sint32Kind: classInt, protoreflect.Sfixed32Kind: classInt,
	protoreflect.Int64Kind: classInt, protoreflect.Sint64Kind: classInt, protoreflect.Sfixed64Kind: classInt,
	protoreflect.Uint32Kind: classUint, protoreflect.Fixed32Kind: classUint,
	protoreflect.Uint64Kind: classUint, protoreflect.Fixed64Kind: classUint,
	protoreflect.FloatKind: classFloat, protoreflect.DoubleKind: classDouble,
	protoreflect.EnumKind: classEnum, protoreflect.StringKind: classText, protoreflect.BytesKind: classBytes,
}

var sources = map[classOf]cast.Source{
	classBool: cast.FromBool, classInt: cast.FromLong, classUint: cast.FromLong, classEnum: cast.FromLong,
	classFloat: cast.FromDouble, classDouble: cast.FromDouble,
	className: cast.FromText, classDigits: cast.FromText, classText: cast.FromText, classBytes: cast.FromBytes,
}

// single compiles one occurrence of a field.
func (c *compiler) single(v value, desc protoreflect.FieldDescriptor, t arrow.DataType, encoding string) (*value, error) {
	v.desc = desc
	if desc.Message() != nil {
		return c.message(v, desc, t, encoding)
	}
	switch t.(type) {
	case *arrow.ListType, *arrow.MapType, *arrow.StructType:
		return nil, mismatch(desc, t)
	}
	v.class, v.kind, v.id, v.direct = classes[desc.Kind()], desc.Kind(), t.ID(), encoding == ""
	switch {
	case v.class == classEnum && isText(t):
		v.class, v.enum = className, newEnumNames(desc.Enum())
		c.p.expanded = append(c.p.expanded, v.vector)
	case v.class == classUint && is64(desc.Kind()) && isText(t):
		v.class = classDigits
	}
	var err error
	if v.cast, err = cast.New(t, encoding); err != nil {
		return nil, fmt.Errorf("%s: %w", describe(desc), err)
	}
	if !v.cast.Takes(sources[v.class]) || t.ID() == arrow.DATE32 && encoding == "" && v.class != classText {
		return nil, mismatch(desc, t)
	}
	if v.implicit || desc.HasDefault() {
		v.standin = true
		v.number, v.text = unpack(desc.Default())
	}
	holdsEmpty := t.ID() == arrow.STRING && encoding == "" || t.ID() == arrow.BINARY
	v.zero = v.standin && v.direct && v.number == 0 && len(v.text) == 0 && (v.class <= classEnum || v.class == classText && isText(t) || v.class == classBytes && t.ID() == arrow.BINARY)
	v.emptyNull = v.implicit && (v.class == classText || v.class == classBytes) && !holdsEmpty
	return &v, nil
}

// wellKnown are the messages that stand for scalars, with the data_types that
// take them as such.
var wellKnown = map[protoreflect.FullName]struct {
	shape shape
	types []arrow.Type
}{
	"google.protobuf.Timestamp": {timestamp, []arrow.Type{arrow.TIMESTAMP, arrow.STRING}},
	"google.protobuf.Duration":  {duration, []arrow.Type{arrow.INT64, arrow.STRING}},
	"google.type.Date":          {calendar, []arrow.Type{arrow.DATE32}},
	"google.type.Decimal":       {numberText, []arrow.Type{arrow.DECIMAL128}},
	"confluent.type.Decimal":    {decimal, []arrow.Type{arrow.DECIMAL128}},
}

const wrappers = "google.protobuf.BoolValue google.protobuf.Int32Value google.protobuf.Int64Value google.protobuf.UInt32Value " +
	"google.protobuf.UInt64Value google.protobuf.FloatValue google.protobuf.DoubleValue google.protobuf.StringValue google.protobuf.BytesValue"

func isWrapper(m protoreflect.MessageDescriptor) bool {
	for _, name := range strings.Fields(wrappers) {
		if name == string(m.FullName()) {
			return m.Fields().ByNumber(1) != nil
		}
	}
	return false
}

func (c *compiler) message(v value, desc protoreflect.FieldDescriptor, t arrow.DataType, encoding string) (*value, error) {
	m := desc.Message()
	if s, ok := t.(*arrow.StructType); ok {
		if err := noEncoding(encoding); err != nil {
			return nil, err
		}
		return c.structure(v, desc, s)
	}
	if isWrapper(m) {
		v.shape = wrapper
		var err error
		if v.elem, err = c.single(value{vector: v.vector, column: v.column, implicit: true}, m.Fields().ByNumber(1), t, encoding); err != nil {
			return nil, err
		}
		v.elem.emptyNull = false // an empty text in a wrapper is there
		return &v, nil
	}
	for _, id := range wellKnown[m.FullName()].types {
		if id == t.ID() && c.standard(m) {
			v.shape = wellKnown[m.FullName()].shape
			return c.wellKnown(v, t, encoding)
		}
	}
	if !isText(t) {
		return nil, mismatch(desc, t)
	}
	v.shape = jsonText
	c.p.expanded = append(c.p.expanded, v.vector)
	return &v, noEncoding(encoding)
}

// wellKnown compiles a message that stands for a scalar.
func (c *compiler) wellKnown(v value, t arrow.DataType, encoding string) (*value, error) {
	if err := noEncoding(encoding); err != nil {
		return nil, err
	}
	v.fail = record.FormatType(t) + ", " + map[shape]string{
		timestamp:  "a google.protobuf.Timestamp from 0001-01-01 to 9999-12-31",
		duration:   "a google.protobuf.Duration of less than 10,000 years, and in a long of less than 292",
		calendar:   "a google.type.Date with a year, a month and a day that exist",
		numberText: "a google.type.Decimal",
		decimal:    "a confluent.type.Decimal",
	}[v.shape]
	if v.shape == decimal || v.shape == numberText {
		var err error
		v.cast, err = cast.New(t, "")
		return &v, err
	}
	v.class = classInt
	if isText(t) {
		v.class = classText
	}
	return &v, nil
}

// standard tells whether a message named as a well-known one has its fields, as
// a file of a registry can have any.
func (c *compiler) standard(m protoreflect.MessageDescriptor) bool {
	want := map[protoreflect.FullName][]protoreflect.Kind{
		"google.protobuf.Timestamp": {protoreflect.Int64Kind, protoreflect.Int32Kind},
		"google.protobuf.Duration":  {protoreflect.Int64Kind, protoreflect.Int32Kind},
		"google.type.Date":          {protoreflect.Int32Kind, protoreflect.Int32Kind, protoreflect.Int32Kind},
		"google.type.Decimal":       {protoreflect.StringKind},
		"confluent.type.Decimal":    {protoreflect.BytesKind, protoreflect.Uint32Kind, protoreflect.Int32Kind},
	}[m.FullName()]
	for i, kind := range want {
		f := m.Fields().ByNumber(protoreflect.FieldNumber(i + 1))
		if f == nil || f.Kind() != kind || f.IsList() || f.ContainingOneof() != nil {
			return false
		}
	}
	return m.Fields().Len() == len(want)
}

// describe says what a field is, for messages.
func describe(desc protoreflect.FieldDescriptor) string {
	if desc.IsMap() {
		return fmt.Sprintf("map<%s, %s>", typeName(desc.MapKey()), typeName(desc.MapValue()))
	}
	if desc.IsList() {
		return "repeated " + typeName(desc)
	}
	return typeName(desc)
}

func typeName(desc protoreflect.FieldDescriptor) string {
	switch {
	case desc.Message() != nil:
		return "message " + string(desc.Message().FullName())
	case desc.Enum() != nil:
		return "enum " + string(desc.Enum().FullName())
	}
	return desc.Kind().String()
}

func mismatch(desc protoreflect.FieldDescriptor, t arrow.DataType) error {
	return fmt.Errorf("%s cannot be read as data_type %s", describe(desc), record.FormatType(t))
}

func noEncoding(encoding string) error {
	if encoding == "" {
		return nil
	}
	return fmt.Errorf("takes no encoding, found %q", encoding)
}

func isText(t arrow.DataType) bool { return t.ID() == arrow.STRING }

func is64(k protoreflect.Kind) bool {
	return k == protoreflect.Uint64Kind || k == protoreflect.Fixed64Kind
}
