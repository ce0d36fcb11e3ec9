package dimension

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/upstream"
)

// changeKind is what a change is.
type changeKind byte

const (
	changeRow     changeKind = iota // the attributes of a row
	changePartial                   // raw columns of which some are not carried, so that nothing is computed yet
	changeLeave                     // a row that does not meet the condition
	changeDelete
)

// change is a change of a member.
type change struct {
	// order is where it belongs among those of its member: when it took effect, and
	// what tells changes of one time apart. It is of no other.
	order []byte
	kind  changeKind
	op    byte // c, u, d or r
	values
	holes []int // columns that are not carried: of raw where there is one, or attributes
	stamp upstream.Stamp
}

// at is when the change took effect.
func (c *change) at() int64 { return keyvalue.Time(c.order) }

func (c *change) append(to []byte, like *values) []byte {
	to = append(to, byte(c.kind), c.op)
	return c.stamp.Append(appendInts(c.values.append(to, like), c.holes))
}

// size is about what append writes.
func (c *change) size(like *values) int {
	size := 24 + len(c.order)
	theirs := like.parts()
	for i, mine := range c.parts() {
		if !bytes.Equal(*mine, *theirs[i]) {
			size += len(*mine)
		}
	}
	return size
}

func loadChange(r *keyvalue.Reader, order []byte, like *values) (c change) {
	c.order, c.kind, c.op = order, changeKind(r.Byte()), r.Byte()
	if c.kind > changeDelete {
		r.Fail("the kind of a change is out of range")
	}
	if len(order) < 8 {
		r.Fail("the order of a change is too short")
	}
	c.values, c.holes, c.stamp = loadValues(r, like), loadInts(r), upstream.LoadStamp(r)
	return c
}

// neverAsked is the time that nobody asked for.
const neverAsked = math.MaxInt64

// head is what is kept of a member in one place.
type head struct {
	newest      []byte         // the order of the last change; empty while there is none
	now         state          // behind that
	overwritten upstream.Stamp // of the last change of an attribute of type 1
	last        *version
	closed      int      // versions before the last one
	first       int64    // where the first version starts
	asked       int64    // the earliest time at which a fact found no version, or neverAsked
	base        *folded  // changes up to that are forgotten; nil for none
	changes     []change // the newest
	spilled     bool     // there are older ones, and there is a timer for them
}

// folded is what is left of changes that were forgotten.
type folded struct {
	order []byte
	mark
}

const (
	headLast = 1 << iota
	headBase
	headSpilled
	headAsked
)

// append writes a head:
//
//	format u8, flags u8, newest, now, overwritten, [from, last, closed, first], [asked], [order, base], changes
//
// Lists come behind their number, bytes behind their length, and numbers are
// varints. Values that are those of now are not repeated.
func (h *head) append(to []byte) []byte {
	to = append(to, stateFormat, h.flags())
	to = keyvalue.AppendBytes(to, h.newest)
	to = h.overwritten.Append(h.now.append(to, &values{}))
	like := &h.now.values
	if h.last != nil {
		to = h.last.append(binary.AppendVarint(to, h.last.from), like)
		to = binary.AppendVarint(binary.AppendUvarint(to, uint64(h.closed)), h.first)
	}
	if h.asked != neverAsked {
		to = binary.AppendVarint(to, h.asked)
	}
	if h.base != nil {
		to = h.base.append(keyvalue.AppendBytes(to, h.base.order), like)
	}
	to = binary.AppendUvarint(to, uint64(len(h.changes)))
	for i := range h.changes {
		c := &h.changes[i]
		to = c.append(keyvalue.AppendBytes(to, c.order), like)
	}
	return to
}

// bytes is what append writes, at once in a slice that is likely large enough.
func (h *head) bytes() []byte {
	n := 160 + 2*len(h.newest) + len(h.now.raw) + len(h.now.fixed) + len(h.now.over) + len(h.now.versioned)
	for i := range h.changes {
		n += h.changes[i].size(&h.now.values)
	}
	if h.base != nil {
		n += len(h.base.order) + len(h.base.raw) + len(h.base.fixed) + len(h.base.over) + len(h.base.versioned)
	}
	return h.append(make([]byte, 0, n))
}

func (h *head) flags() (flags byte) {
	if h.last != nil {
		flags |= headLast
	}
	if h.base != nil {
		flags |= headBase
	}
	if h.spilled {
		flags |= headSpilled
	}
	if h.asked != neverAsked {
		flags |= headAsked
	}
	return flags
}

// loadHead reads a head. What it keeps are parts of data. The error is
// keyvalue.ErrCorrupt.
func loadHead(data []byte) (*head, error) {
	r := keyvalue.NewReader(data)
	if format := r.Byte(); format != stateFormat {
		r.Fail("the format is another")
	}
	flags := r.Byte()
	if flags > headLast|headBase|headSpilled|headAsked {
		r.Fail("flags are out of range")
	}
	h := &head{asked: neverAsked, spilled: flags&headSpilled != 0}
	h.newest = r.Bytes()
	h.now, h.overwritten = loadState(r, &values{}), upstream.LoadStamp(r)
	like := &h.now.values
	if flags&headLast != 0 {
		last := loadVersion(r, r.Varint(), like)
		h.last = &last
		h.closed, h.first = int(min(r.Uvarint(), math.MaxInt32)), r.Varint()
	}
	if flags&headAsked != 0 {
		h.asked = r.Varint()
	}
	if flags&headBase != 0 {
		h.base = &folded{order: r.Bytes()}
		h.base.mark = loadMark(r, like)
		if len(h.base.order) < 8 {
			r.Fail("the order of a change is too short")
		}
	}
	h.changes = make([]change, r.Count())
	for i := range h.changes {
		h.changes[i] = loadChange(r, r.Bytes(), like)
	}
	r.End()
	if len(h.newest) > 0 && len(h.newest) < 8 {
		r.Fail("the order of a change is too short")
	}
	return h, r.Err()
}

// mark is behind the newest change.
func (h *head) mark() mark {
	m := mark{state: h.now, to: Forever, stamp: upstream.NoStamp, overwritten: h.overwritten}
	if h.last != nil {
		m.to, m.stamp = h.last.to, h.last.stamp
	}
	return m
}

// newHead is the head of a member of which nothing is known.
func newHead() *head { return &head{asked: neverAsked, overwritten: upstream.NoStamp} }

// meta is what is known of all members.
type meta struct {
	// horizon: changes of that time and before may be forgotten.
	horizon int64
	// follows counts calls of Follow: of two changes of a keyed model with one time
	// that of the later call counts.
	follows uint64
	// unknown is the row of the unknown member that the table has; nil for none.
	unknown []byte
}

func (m *meta) append(to []byte) []byte {
	to = append(to, stateFormat)
	return keyvalue.AppendBytes(binary.AppendUvarint(binary.AppendVarint(to, m.horizon), m.follows), m.unknown)
}

func loadMeta(data []byte) (meta, error) {
	if data == nil {
		return meta{horizon: record.NoTime}, nil
	}
	r := keyvalue.NewReader(data)
	if r.Byte() != stateFormat {
		r.Fail("the format is another")
	}
	m := meta{horizon: r.Varint(), follows: r.Uvarint(), unknown: append([]byte{}, r.Bytes()...)}
	r.End()
	return m, r.Err()
}
