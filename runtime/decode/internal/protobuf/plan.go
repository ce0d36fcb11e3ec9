package protobuf

import (
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/calvelake/calve/runtime/decode/internal/cast"
	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

// node is a message as a program reads it: where each of its fields goes.
type node struct {
	message protoreflect.MessageDescriptor
	fields  []*field // those that a column reads; after finish all of them, by number
	absent  []*value // of fields that the message does not have
	counts  bool     // fields that no column reads are counted
	table            // the same for the wire
}

// field is a field of a message and what is made of it; without values it is
// only checked.
type field struct {
	desc     protoreflect.FieldDescriptor
	values   []*value
	required bool
	check    *node // of a message without values
}

// value is what becomes of one occurrence of a field, of an element, key or
// value of it.
type value struct {
	shape  shape
	vector int // index among the reader's vectors; -1 for shape path
	column *program.Column
	name   string // inside the column, for messages
	// nullable and fallback say what stands for no value.
	nullable bool
	fallback func(v *vector.Vector, row int)

	desc protoreflect.FieldDescriptor // of the field; nil if the schema has none
	// implicit: no value is the type's zero, since the schema does not tell
	// one from the other. emptyNull: but an empty text or bytes, which the
	// column cannot hold, is no value.
	implicit, emptyNull bool

	// standin: what such a field has for a value, or by proto2's default.
	// zero: which is the zero of the data_type.
	standin, zero bool
	number        uint64
	text          []byte

	class classOf
	kind  protoreflect.Kind
	cast  *cast.Cast
	id    arrow.Type
	// direct: no encoding, so that a pair of kind and id may do without a cast.
	direct bool
	enum   *enumNames
	node   *node          // path, structure
	elem   *value         // list, mapping; the scalar of a wrapper
	key    *value         // mapping
	slot   int            // mapping: among the reader's maps
	wire   protowire.Type // list, mapping: of an element or value
	fail   string         // what is expected, for shapes that have no cast
	width  int            // of an element: how many vectors a row of it takes
}

// shape is the kind of a value.
type shape uint8

const (
	scalar     shape = iota // cast
	path                    // a message with columns inside
	structure               // a message in a struct
	list                    // a repeated field
	mapping                 // a map
	jsonText                // a message in a string, as JSON
	jsonField               // a repeated field or a map in a string, as JSON
	timestamp               // google.protobuf.Timestamp
	duration                // google.protobuf.Duration
	calendar                // google.type.Date
	decimal                 // confluent.type.Decimal
	numberText              // google.type.Decimal
	wrapper                 // google.protobuf.Int64Value and its like
)

type compiler struct {
	p      *Program
	checks map[protoreflect.FullName]*node // messages that no column reads
}

// column adds a column to the tree of messages.
func (c *compiler) column(col *program.Column) error {
	at := c.p.root
	vec := c.p.addVector(-1, col.Index)
	base := value{vector: vec, column: col, nullable: col.Nullable, fallback: col.Fallback}
	if len(col.Path) == 1 && col.Path[0] == Rest {
		if !isText(col.Type) {
			return columnError(col, c.p.message, fmt.Errorf("all fields that no column reads are read as data_type string"))
		}
		c.p.rest = &base
		return nil
	}
	for i, name := range col.Path {
		desc := lookup(at.message, name)
		if desc == nil {
			base.shape = scalar
			c.p.root.absent = append(c.p.root.absent, &base)
			return nil
		}
		if i == len(col.Path)-1 {
			v, err := c.value(base, desc, col.Type, col.Encoding)
			if err != nil {
				return columnError(col, c.p.message, err)
			}
			f := at.field(desc)
			f.values = append(f.values, v)
			return nil
		}
		next, err := at.descend(desc)
		if err != nil {
			return columnError(col, c.p.message, err)
		}
		at = next
	}
	return fmt.Errorf("a column has no path into message %s", c.p.message.FullName())
}

// lookup finds a field by its name, or by its name in JSON.
func lookup(m protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if f := m.Fields().ByName(protoreflect.Name(name)); f != nil {
		return f
	}
	return m.Fields().ByJSONName(name)
}

// field returns a field of the node, added if it is new.
func (n *node) field(desc protoreflect.FieldDescriptor) *field {
	for _, f := range n.fields {
		if f.desc.Number() == desc.Number() {
			return f
		}
	}
	f := &field{desc: desc, required: desc.Cardinality() == protoreflect.Required}
	n.fields = append(n.fields, f)
	return f
}

// descend returns the node of the columns inside a message.
func (n *node) descend(desc protoreflect.FieldDescriptor) (*node, error) {
	if desc.Message() == nil || desc.Cardinality() == protoreflect.Repeated {
		return nil, fmt.Errorf("%s is %s, a path can only go on through a single message", desc.Name(), describe(desc))
	}
	f := n.field(desc)
	for _, v := range f.values {
		if v.shape == path {
			return v.node, nil
		}
	}
	v := &value{shape: path, vector: -1, desc: desc, node: &node{message: desc.Message(), counts: true}}
	f.values = append(f.values, v)
	return v.node, nil
}

// value compiles what becomes of a field in a column, or in a field of one.
func (c *compiler) value(v value, desc protoreflect.FieldDescriptor, t arrow.DataType, encoding string) (*value, error) {
	v.desc = desc
	switch {
	case desc.IsMap():
		return c.mapping(v, desc, t, encoding)
	case desc.IsList():
		return c.list(v, desc, t, encoding)
	}
	v.implicit = !desc.HasPresence()
	return c.single(v, desc, t, encoding)
}

func (c *compiler) list(v value, desc protoreflect.FieldDescriptor, t arrow.DataType, encoding string) (*value, error) {
	if isText(t) {
		v.shape = jsonField
		c.p.expanded = append(c.p.expanded, v.vector)
		return &v, noEncoding(encoding)
	}
	l, ok := t.(*arrow.ListType)
	if !ok {
		return nil, mismatch(desc, t)
	}
	elem := value{vector: c.p.addVector(v.vector, 0), column: v.column}
	from := len(c.p.vectors)
	var err error
	if v.elem, err = c.single(elem, desc, l.Elem(), encoding); err != nil {
		return nil, err
	}
	v.shape, v.elem.width, v.wire = list, 1+len(c.p.vectors)-from, wireType(desc.Kind())
	return &v, nil
}

func (c *compiler) mapping(v value, desc protoreflect.FieldDescriptor, t arrow.DataType, encoding string) (*value, error) {
	if isText(t) {
		v.shape = jsonField
		c.p.expanded = append(c.p.expanded, v.vector)
		return &v, noEncoding(encoding)
	}
	m, ok := t.(*arrow.MapType)
	if !ok || !isKey(m.KeyType()) {
		return nil, mismatch(desc, t)
	}
	var err error
	key := value{vector: c.p.addVector(v.vector, 0), column: v.column, implicit: true}
	if v.key, err = c.single(key, desc.MapKey(), m.KeyType(), ""); err != nil {
		return nil, fmt.Errorf("its keys: %w", err)
	}
	v.key.emptyNull = false
	item := value{vector: c.p.addVector(v.vector, 1), column: v.column, implicit: true, nullable: m.ItemField().Nullable}
	from := len(c.p.vectors)
	if v.elem, err = c.single(item, desc.MapValue(), m.ItemType(), encoding); err != nil {
		return nil, fmt.Errorf("its values: %w", err)
	}
	v.shape, v.elem.width, v.wire = mapping, 2+len(c.p.vectors)-from, wireType(desc.MapValue().Kind())
	v.slot = c.p.maps
	c.p.maps++
	return &v, nil
}

// isKey tells whether a data_type can be a map's key: of these, different keys
// stay different.
func isKey(t arrow.DataType) bool {
	switch t.ID() {
	case arrow.STRING, arrow.INT32, arrow.INT64, arrow.DATE32:
		return true
	}
	return false
}

// structure compiles a message in a struct.
func (c *compiler) structure(v value, desc protoreflect.FieldDescriptor, t *arrow.StructType) (*value, error) {
	v.shape, v.node = structure, &node{message: desc.Message(), counts: true}
	for i, f := range t.Fields() {
		kid := value{vector: c.p.addVector(v.vector, i), column: v.column, name: f.Name, nullable: f.Nullable}
		inner := lookup(desc.Message(), f.Name)
		if inner == nil {
			v.node.absent = append(v.node.absent, &kid)
			continue
		}
		compiled, err := c.value(kid, inner, f.Type, "")
		if err != nil {
			return nil, fmt.Errorf("its field %s: %w", f.Name, err)
		}
		into := v.node.field(inner)
		into.values = append(into.values, compiled)
	}
	c.finish(v.node)
	return &v, nil
}

// finish adds the fields that no column reads and compiles the tables for the
// wire, of the node and of those that paths go through.
func (c *compiler) finish(n *node) {
	for i := range n.message.Fields().Len() {
		desc := n.message.Fields().Get(i)
		f := n.field(desc)
		if len(f.values) == 0 && desc.Message() != nil {
			f.check = c.check(desc.Message())
		}
		for _, v := range f.values {
			if v.shape == path {
				c.finish(v.node)
			}
		}
	}
	n.compileTable()
}

// check returns the node of a message that no column reads, which is checked
// as protobuf-go does; a message may hold itself.
func (c *compiler) check(m protoreflect.MessageDescriptor) *node {
	if n := c.checks[m.FullName()]; n != nil {
		return n
	}
	n := &node{message: m}
	c.checks[m.FullName()] = n
	c.finish(n)
	return n
}

// messageSet tells whether a message has a wire format of its own, which
// protobuf-go refuses.
func messageSet(m protoreflect.MessageDescriptor) bool {
	options, ok := m.Options().(*descriptorpb.MessageOptions)
	return ok && options.GetMessageSetWireFormat()
}

func joinPath(path []string) string { return strings.Join(path, ".") }
