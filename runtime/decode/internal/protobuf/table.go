package protobuf

import (
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// table is what a node's fields are on the wire.
type table struct {
	ops  []op // in the order in which encoders write fields, then one of noTag
	tags []uint16
	more map[uint64]uint16 // of tags beyond tags
	// A singular field has a slot, a bit that tells whether it was seen. want
	// are the bits of those that need something where they were not.
	slots []*field
	want  []uint64
	wide  bool     // there are more slots than a word has bits
	ends  []*value // lists and maps, ended behind the message
	plain bool     // nothing is to be done behind a message that has all fields
	odd   bool     // the exact reader reads every message
}

// op is a field in one of the wire types that its readers take.
type op struct {
	tag  uint64
	code opcode
	kind protoreflect.Kind
	// bit and clash are of a table that is not wide: a record in which a bit of
	// clash was seen before is for the exact reader, which knows about merging
	// and about the last one of a oneof.
	bit, clash uint64
	slot       int      // -1 without
	rivals     []uint64 // of a wide table: slots of the other members of a oneof
	vector     int      // of the only value
	value      *value   // the only one
	field      *field
	node       *node // of the message to descend into
}

// opcode says what to do with a field. Those with an arrow write to the only
// column of the field without a cast. Reader.field relies on their order.
type opcode uint8

const (
	opValues     opcode = iota // any values
	opSkipNumber               // no values; checked
	opSkipBytes
	opSkipText
	opSkipPacked
	opSkipMessage
	opGroup     // path, structure, as a group
	opMessage   // path, structure
	opText      // string → string
	opInt       // int32, enum → int
	opIntLong   // int32, enum → long
	opUintLong  // uint32 → long
	opLong      // int64 → long
	opUlong     // uint64 → long
	opSint      // sint32 → int
	opSlong     // sint64 → long
	opBool      // bool → boolean
	opName      // enum → string
	opFloat     // float → float
	opDouble    // double → double
	opFixedLong // sfixed64 → long
	opBinary    // bytes → binary
	opTimestamp // Timestamp → timestamp, timestamptz
)

// noTag is what the reader takes no field's tag for.
const noTag = math.MaxUint64

// lowTags bounds the table by tag: fields up to 255.
const lowTags = 256 << 3

// compileTable makes the table of a node whose fields are complete.
func (n *node) compileTable() {
	slices.SortFunc(n.fields, func(a, b *field) int { return int(a.desc.Number()) - int(b.desc.Number()) })
	n.odd = messageSet(n.message)
	slots := n.assignSlots()
	for _, f := range n.fields {
		for _, v := range f.values {
			if v.shape == list || v.shape == mapping {
				n.ends = append(n.ends, v)
			}
		}
		for _, wire := range wireTypes(f.desc) {
			o := op{tag: protowire.EncodeTag(f.desc.Number(), wire), kind: f.desc.Kind(), slot: -1, field: f}
			if slot, ok := slots[f]; ok {
				o.slot = slot
			}
			o.compile(wire)
			n.ops = append(n.ops, o)
		}
	}
	n.plain = !n.wide && len(n.ends) == 0 && len(n.absent) == 0
	n.compileClashes(slots)
	n.ops = append(n.ops, op{tag: noTag, slot: -1})
	n.more = map[uint64]uint16{}
	for i := range n.ops[:len(n.ops)-1] {
		tag := n.ops[i].tag
		if tag >= lowTags {
			n.more[tag] = uint16(i + 1)
			continue
		}
		for uint64(len(n.tags)) <= tag {
			n.tags = append(n.tags, 0)
		}
		n.tags[tag] = uint16(i + 1)
	}
}

// find returns the op of a tag, -1 without.
func (t *table) find(tag uint64) int {
	if tag < uint64(len(t.tags)) {
		return int(t.tags[tag]) - 1
	}
	return int(t.more[tag]) - 1
}

// assignSlots numbers the fields that must be seen once at most: those with
// values, required ones, and those that merge or displace others.
func (n *node) assignSlots() map[*field]int {
	slots := map[*field]int{}
	add := func(f *field) {
		slots[f] = len(n.slots)
		n.slots = append(n.slots, f)
	}
	for _, f := range n.fields {
		if f.wanted() {
			add(f)
		}
	}
	wanted := len(n.slots)
	for _, f := range n.fields {
		if _, ok := slots[f]; !ok && f.desc.Cardinality() != protoreflect.Repeated && (f.desc.Message() != nil || f.desc.ContainingOneof() != nil) {
			add(f)
		}
	}
	n.wide = len(n.slots) > 64
	n.want = make([]uint64, max(1, (len(n.slots)+63)/64))
	for i := range wanted {
		n.want[i/64] |= 1 << (i % 64)
	}
	return slots
}

// wanted tells whether something must be done where the field is absent.
func (f *field) wanted() bool {
	if f.desc.Cardinality() == protoreflect.Required {
		return true
	}
	return slices.ContainsFunc(f.values, func(v *value) bool { return v.shape != list && v.shape != mapping })
}

func (n *node) compileClashes(slots map[*field]int) {
	for i := range n.ops {
		o := &n.ops[i]
		if o.slot < 0 || o.field.desc.Cardinality() == protoreflect.Repeated {
			continue
		}
		rivals := make([]uint64, len(n.want))
		if oneof := o.field.desc.ContainingOneof(); oneof != nil {
			for f, slot := range slots {
				if f.desc.ContainingOneof() == oneof {
					rivals[slot/64] |= 1 << (slot % 64)
				}
			}
			o.rivals = rivals
		}
		if !n.wide {
			o.bit = 1 << o.slot
			o.clash = o.bit | rivals[0]
		}
	}
}

// wireTypes are those that protobuf-go reads a field from: of a repeated number
// packed and one by one.
func wireTypes(desc protoreflect.FieldDescriptor) []protowire.Type {
	wire := wireType(desc.Kind())
	if desc.IsList() && wire != protowire.BytesType && wire != protowire.StartGroupType {
		return []protowire.Type{protowire.BytesType, wire}
	}
	return []protowire.Type{wire}
}

func wireType(kind protoreflect.Kind) protowire.Type {
	switch kind {
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	}
	return protowire.VarintType
}

// compile chooses what is done with a field in a wire type.
func (o *op) compile(wire protowire.Type) {
	switch len(o.field.values) {
	case 0:
		o.code, o.node = o.skipCode(wire), o.field.check
		return
	case 1:
	default:
		return // opValues
	}
	o.value = o.field.values[0]
	o.vector = o.value.vector
	switch o.value.shape {
	case path, structure:
		o.code, o.node = opMessage, o.value.node
		if wire == protowire.StartGroupType {
			o.code = opGroup
		}
	case timestamp:
		if wire == protowire.BytesType && o.value.class == classInt {
			o.code = opTimestamp
		}
	case scalar:
		if o.value.direct {
			o.code = directCodes[o.kind][o.value.id]
		}
	}
}

func (o *op) skipCode(wire protowire.Type) opcode {
	switch {
	case o.field.check != nil:
		return opSkipMessage
	case wire != protowire.BytesType:
		return opSkipNumber
	case wireType(o.kind) != protowire.BytesType:
		return opSkipPacked
	case enforcesUTF8(o.field.desc):
		return opSkipText
	}
	return opSkipBytes
}

// directCodes are the pairs of kind and data_type without encoding that need no
// cast; opValues, the zero, does the others.
var directCodes = map[protoreflect.Kind]map[arrow.Type]opcode{
	protoreflect.Int32Kind:    {arrow.INT32: opInt, arrow.INT64: opIntLong},
	protoreflect.EnumKind:     {arrow.INT32: opInt, arrow.INT64: opIntLong, arrow.STRING: opName},
	protoreflect.Uint32Kind:   {arrow.INT64: opUintLong},
	protoreflect.Int64Kind:    {arrow.INT64: opLong},
	protoreflect.Uint64Kind:   {arrow.INT64: opUlong},
	protoreflect.Sint32Kind:   {arrow.INT32: opSint},
	protoreflect.Sint64Kind:   {arrow.INT64: opSlong},
	protoreflect.Sfixed64Kind: {arrow.INT64: opFixedLong},
	protoreflect.BoolKind:     {arrow.BOOL: opBool},
	protoreflect.FloatKind:    {arrow.FLOAT32: opFloat},
	protoreflect.DoubleKind:   {arrow.FLOAT64: opDouble},
	protoreflect.StringKind:   {arrow.STRING: opText},
	protoreflect.BytesKind:    {arrow.BINARY: opBinary},
}
