package fastjson

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/decode/internal/cast"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

// Field is a column that is read from a member of the document.
type Field struct {
	Path     []string // member names from the document down
	Column   int      // in the Set
	Type     arrow.DataType
	Encoding string // of package cast; of scalars only
	Nullable bool
	// Default writes the default of a row without a value; nil if there is none.
	Default func(v *vector.Vector, row int)
	// Read writes a value, valid JSON text that is not null, that the plan cannot
	// read itself: of a type with a map in it, or an object for a scalar. It is
	// false if the value is none of the type, and counts members that the type
	// does not have. It may be nil, and called by several goroutines at once.
	Read func(raw []byte, v *vector.Vector, row int) (unknown int64, ok bool)
}

// Options says what else is unusual to a plan.
type Options struct {
	// KnownOnly gives up on documents with members that no field reads, in the
	// document, in objects on the way to a field, and in structs.
	KnownOnly bool
}

// Plan is what a Reader does, compiled from fields. It is safe for concurrent
// use.
type Plan struct {
	fields  []Field
	options Options
	changes *Changes  // nil unless documents are change events
	readers sync.Pool // of *Reader: what they have learned outlives a batch
}

// NewPlan compiles fields. An error means that the plan could read no document:
// the exact reader reads them all.
func NewPlan(fields []Field, options Options) (*Plan, error) {
	p := &Plan{fields: fields, options: options}
	r, err := p.newReader()
	if err != nil {
		return nil, err
	}
	p.readers.Put(r)
	return p, nil
}

func (p *Plan) newReader() (*Reader, error) {
	r := &Reader{plan: p, knownOnly: p.options.KnownOnly, root: newObject(true)}
	r.unread = slot{op: opSkip, unread: true, next: never}
	r.minute = epochMinute()
	for i := range p.fields {
		if err := r.addField(&p.fields[i]); err != nil {
			return nil, err
		}
	}
	if p.changes != nil {
		return r, r.addChanges(p.changes)
	}
	return r, nil
}

// addField adds a field's slot at the end of its path.
func (r *Reader) addField(f *Field) error {
	if len(f.Path) == 0 {
		return errors.New("a field has no path")
	}
	leaf, err := newSlot(f.Type, f.Encoding)
	switch {
	case err != nil && f.Read != nil:
		leaf = &slot{op: opRead}
	case err != nil:
		return fmt.Errorf("field %s: %w", strings.Join(f.Path, "."), err)
	}
	leaf.nullable, leaf.fallback, leaf.read = f.Nullable, f.Default, f.Read
	leaf.column = f.Column
	if r.plan.changes != nil {
		leaf.markText()
	}
	return r.root.addAt(f.Path, leaf, true)
}

// markText makes the strings of a slot look for the marker of an unavailable
// value.
func (s *slot) markText() {
	switch s.op {
	case opString:
		s.op = opText
	case opList:
		s.element.markText()
	}
}

// addAt makes the slot read the member at the end of a path; objects on the way
// count members that no field reads, or not.
func (o *object) addAt(path []string, s *slot, counts bool) error {
	var err error
	for _, name := range path[:len(path)-1] {
		if o, err = o.way(name, counts); err != nil {
			return err
		}
	}
	return o.add(path[len(path)-1], s)
}

// way returns the object that a member on the path of fields is.
func (o *object) way(name string, counts bool) (*object, error) {
	s := o.known(name)
	if s == nil {
		s = &slot{op: opObject, object: newObject(counts)}
		return s.object, o.add(name, s)
	}
	if s.op == opObject {
		return s.object, nil
	}
	if s.op == opSeveral {
		for _, part := range s.parts {
			if part.op == opObject {
				return part.object, nil
			}
		}
	}
	way := &slot{op: opObject, object: newObject(counts)}
	return way.object, o.add(name, way)
}

// add makes the slot read the member of a name, with other slots if need be.
func (o *object) add(name string, s *slot) error {
	if !utf8.ValidString(name) {
		return fmt.Errorf("the name %q is not valid UTF-8", name)
	}
	before := o.known(name)
	switch {
	case before == nil:
		s.setName(name)
		s.counts = 1
		o.slots = append(o.slots, s)
		o.index[name] = s
		o.members++
	case before.op == opSeveral:
		before.parts = append(before.parts, s)
	default:
		first := *before
		*before = slot{op: opSeveral, parts: []*slot{&first, s}, counts: 1}
		before.setName(name)
	}
	return nil
}

// known returns the slot of a name that a field reads, nil if none does.
func (o *object) known(name string) *slot { return o.index[name] }

// newSlot makes the slot of a type, without a name.
func newSlot(t arrow.DataType, encoding string) (*slot, error) {
	if t == nil {
		return nil, errors.New("no data_type")
	}
	if _, nested := t.(arrow.NestedType); nested {
		if encoding != "" {
			return nil, fmt.Errorf("data_type %s takes no encoding", t)
		}
		return newNested(t)
	}
	c, err := cast.New(t, encoding)
	if err != nil {
		return nil, err
	}
	s := &slot{op: opCast, cast: c}
	if op, ok := direct[t.ID()]; ok && encoding == "" {
		s.op = op
	} else if op, ok := encoded[encoding]; ok {
		s.op = op
	}
	switch t := t.(type) {
	case *arrow.Decimal128Type:
		s.scale, s.limit = int(t.Scale), powers[min(int(t.Precision), 18)]
	case *arrow.TimestampType:
		s.offset = t.TimeZone != "" || encoding != ""
		if e, ok := epochs[encoding]; ok {
			s.op, s.times, s.over = opEpoch, e[0], e[1]
		}
	}
	return s, nil
}

func newNested(t arrow.DataType) (*slot, error) {
	switch t := t.(type) {
	case *arrow.StructType:
		s := &slot{op: opStruct, object: newObject(true)}
		for i, f := range t.Fields() {
			kid, err := newSlot(f.Type, "")
			if err != nil {
				return nil, err
			}
			kid.nullable, kid.column = f.Nullable, i
			if s.object.known(f.Name) != nil {
				return nil, fmt.Errorf("data_type %s has two fields %q", t, f.Name)
			}
			if err := s.object.add(f.Name, kid); err != nil {
				return nil, err
			}
		}
		return s, nil
	case *arrow.ListType:
		element, err := newSlot(t.Elem(), "")
		if err != nil {
			return nil, err
		}
		element.nullable = t.ElemField().Nullable
		return &slot{op: opList, element: element}, nil
	}
	return nil, fmt.Errorf("data_type %s is left to the exact reader", t)
}

// direct are the types that are read without a Cast.
var direct = map[arrow.Type]op{
	arrow.BOOL: opBoolean, arrow.INT32: opInt, arrow.INT64: opLong, arrow.FLOAT32: opFloat, arrow.FLOAT64: opDouble,
	arrow.DECIMAL128: opDecimal, arrow.STRING: opString, arrow.DATE32: opDate, arrow.TIMESTAMP: opTimestamp,
}

// encoded are the encodings that are read as another type is, into vectors of
// the same kind.
var encoded = map[string]op{
	"debezium.zoned_timestamp": opTimestamp, "connect.date": opInt, "debezium.date": opInt,
}

// epochs are the encodings of whole numbers since 1970: microseconds are the
// number times the first, divided by the second.
var epochs = map[string][2]int64{
	"epoch_s": {1_000_000, 1}, "epoch_ms": {1_000, 1}, "epoch_us": {1, 1}, "epoch_ns": {1, 1_000},
	"connect.timestamp": {1_000, 1}, "debezium.timestamp": {1_000, 1}, "debezium.micro_timestamp": {1, 1}, "debezium.nano_timestamp": {1, 1_000},
}
