package avro

import (
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/decode/internal/cast"
	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

// Program decodes records of one schema to the columns it was compiled for. It
// is safe for concurrent use.
type Program struct {
	root    *node
	columns []program.Column
	ops     []op
	vectors []origin
	marks   int
	marker  *marker // nil but for images of change events
	unread  []program.Field
	widen   []program.Widening
	// widths are the bytes that a row of each vector took where its memory was
	// too small, so that the next batch has enough.
	widths []atomic.Int32
}

// origin says where a Reader finds a vector: in the set (parent is -1), or
// among the kids of a vector before it.
type origin struct{ parent, index int }

// code is what an operation does.
type code uint8

const (
	opReturn    code = iota
	opJump           // to next
	opSkip           // a value of x.node
	opSkipLong       // a long
	opSkipBytes      // bytes or a string
	opBool
	opInt    // int or date to I32
	opWiden  // int to I64
	opLong   // long, or microseconds since 1970
	opMillis // milliseconds since 1970
	opFloat
	opDouble
	opWidenFloat
	opText
	opBytes
	opFixed
	opEnum
	opCast       // a scalar by x.cast
	opVariable   // a decimal with its scale
	opOption     // a union of null and a type
	opOptionText // the same, of text; the opText behind it reads what this one leaves
	opUnion      // any other
	opAbsent     // what is not there, or null
	opMark       // remembers the position
	opRewind     // goes back to it
	opList
	opMap
	opEntries // an array of records of key and value
	opJSON
	opExtra    // a field of the document's rest
	opExtraEnd // writes the rest
)

// op is one step of reading a record.
type op struct {
	code  code
	first bool  // opOption: null is the first branch
	size  int32 // opFixed: bytes; opMark, opRewind: which; opOptionText: 0 if null is the first branch, else 1
	next  int32 // opOption: behind the value; opJump
	alt   int32 // opOption: where a null is handled; opList and the like: the element's operations
	vec   int32 // of Program.vectors; -1 for none
	v     *vector.Vector
	x     *detail
	at    int32 // its own number
	then  *op   // the next one
	past  *op   // that of next
}

// detail is what an operation needs less often.
type detail struct {
	node     *node
	target   *target
	where    string // the field in the writer's schema, for messages
	cast     *cast.Cast
	branches []int32 // opUnion
	key      *cast.Cast
}

// target is where a value goes: a column, or a part of a nested one.
type target struct {
	column   int // in the set
	vec      int32
	typ      arrow.DataType
	encoding string
	nullable bool
	fallback func(v *vector.Vector, row int)
	path     string   // inside the column, for messages
	rest     []string // names of fields still to walk
	extra    bool     // all fields that no column reads
	keys     bool     // a map's key
}

// Rest, as the only part of a column's path, stands for all fields of the
// record that no column reads, as JSON text of one object.
const Rest = "*"

// Compile makes the program that writes columns. An error says which column
// the schema cannot feed, by its path.
func (s *Schema) Compile(columns []program.Column) (*Program, error) {
	return compile(s.root, columns, nil)
}

func compile(root *node, columns []program.Column, m *marker) (*Program, error) {
	c := compiler{p: &Program{root: root, columns: columns, marker: m}}
	var targets []*target
	for i := range columns {
		col := &columns[i]
		t := &target{column: col.Index, vec: c.vector(-1, col.Index), typ: col.Type, encoding: col.Encoding,
			nullable: col.Nullable, fallback: col.Fallback, rest: col.Path}
		if len(col.Path) == 1 && col.Path[0] == Rest {
			t.rest, t.extra = nil, true
		}
		targets = append(targets, t)
	}
	if err := c.value(root, "", targets); err != nil {
		return nil, err
	}
	c.emit(op{code: opReturn, vec: -1})
	if err := c.finish(); err != nil {
		return nil, err
	}
	c.fuse()
	c.p.widths = make([]atomic.Int32, len(c.p.vectors))
	c.p.unread, c.p.widen = evolve(root, columns)
	return c.p, nil
}

// Unread lists the fields of the writer's schema that no column reads.
func (p *Program) Unread() []program.Field { return p.unread }

// Widen lists the columns that are narrower than the writer's fields.
func (p *Program) Widen() []program.Widening { return p.widen }

// Reader makes the reader of a batch. It is for one goroutine.
func (p *Program) Reader(set *vector.Set) *Reader {
	r := &Reader{program: p, set: set, ops: make([]op, len(p.ops)), marks: make([]int, p.marks)}
	copy(r.ops, p.ops)
	vectors := make([]*vector.Vector, len(p.vectors))
	for i, o := range p.vectors {
		if o.parent < 0 {
			vectors[i] = set.Columns[o.index]
		} else {
			vectors[i] = vectors[o.parent].Kids[o.index]
		}
	}
	for i := range r.ops {
		o := &r.ops[i]
		o.at, o.past = int32(i), &r.ops[o.next]
		if i+1 < len(r.ops) { // the last one is a return or a jump
			o.then = &r.ops[i+1]
		}
		if o.vec >= 0 {
			o.v = vectors[o.vec]
		}
	}
	r.vectors = vectors
	for i, v := range vectors {
		if want := int(p.widths[i].Load()) * v.Cap; want > cap(v.Data) && len(v.Data) == 0 {
			v.Data = make([]byte, 0, min(want, maxAhead))
		}
	}
	return r
}
