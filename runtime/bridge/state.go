package bridge

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/upstream"
)

// stateFormat is the version of the encodings below, and the first byte of every
// history.
const stateFormat = 1

// Keys of the state begin with what they are. An owner is its durable keys, joined.
//
//	o <owner>   its history
//	k <id>      the owner of a keyed model's row
const (
	spaceOwners = 'o'
	spaceRows   = 'k'
)

const (
	flagBase = 1 << iota
	flagGone // the base is
)

// append writes a history:
//
//	format u8, flags u8, last, [base], changes
//
// Lists come behind their number, bytes behind their length; numbers are varints.
func (h *history) append(to []byte) []byte {
	flags := byte(0)
	if h.base != nil {
		flags |= flagBase
		if h.base.gone {
			flags |= flagGone
		}
	}
	to = binary.AppendUvarint(append(to, stateFormat, flags), h.last)
	if b := h.base; b != nil {
		to = binary.AppendVarint(to, b.at)
		to = keyvalue.AppendBytes(keyvalue.AppendBytes(to, b.row), b.id)
		to = binary.AppendUvarint(to, uint64(len(b.open)))
		for _, o := range b.open {
			to = keyvalue.AppendBytes(to, []byte(o.keys))
			to = o.stamp.Append(binary.AppendVarint(to, o.from))
		}
	}
	to = binary.AppendUvarint(to, uint64(len(h.changes)))
	for i := range h.changes {
		to = h.changes[i].append(to)
	}
	return to
}

// append writes a change:
//
//	gone u8, at, order, id, stamp, row, holes
func (c *change) append(to []byte) []byte {
	gone := byte(0)
	if c.gone {
		gone = 1
	}
	to = binary.AppendVarint(append(to, gone), c.at)
	to = c.stamp.Append(keyvalue.AppendBytes(keyvalue.AppendBytes(to, c.order), c.id))
	to = binary.AppendUvarint(keyvalue.AppendBytes(to, c.row), uint64(len(c.holes)))
	for _, column := range c.holes {
		to = binary.AppendUvarint(to, uint64(column))
	}
	return to
}

// load reads a history, whose rows have a number of columns. What it keeps are parts
// of data. The error is keyvalue.ErrCorrupt.
func (h *history) load(data []byte, columns int) error {
	r := keyvalue.NewReader(data)
	if format := r.Byte(); r.Err() == nil && format != stateFormat {
		r.Fail(fmt.Sprintf("format %d, expected %d", format, stateFormat))
	}
	flags := r.Byte()
	if flags > flagBase|flagGone || flags == flagGone {
		r.Fail("flags are out of range")
	}
	h.last = r.Uvarint()
	if flags&flagBase != 0 {
		h.base = &base{at: r.Varint(), row: r.Bytes(), id: r.Bytes(), gone: flags&flagGone != 0}
		for range r.Count() {
			h.base.open = append(h.base.open, open{string(r.Bytes()), r.Varint(), upstream.LoadStamp(r)})
		}
	}
	h.changes = make([]change, r.Count())
	for i := range h.changes {
		c := &h.changes[i]
		c.load(r, columns)
		if r.Err() == nil && (i > 0 && h.changes[i-1].compare(c) >= 0 || h.isLate(c.at)) {
			r.Fail("changes are not in order")
		}
	}
	if r.Err() == nil && h.base != nil && h.isEmpty() {
		r.Fail("there is no change behind those that are settled")
	}
	r.End()
	return r.Err()
}

func (c *change) load(r *keyvalue.Reader, columns int) {
	gone := r.Byte()
	c.gone, c.at = gone == 1, r.Varint()
	c.order, c.id, c.stamp, c.row = r.Bytes(), r.Bytes(), upstream.LoadStamp(r), r.Bytes()
	for range r.Count() {
		column := int(min(r.Uvarint(), math.MaxInt32))
		if r.Err() == nil && column >= columns {
			r.Fail("a column is out of range")
		}
		c.holes = append(c.holes, column)
	}
	if r.Err() == nil && (gone > 1 || c.gone != (len(c.row) == 0)) {
		r.Fail("a change is neither a row nor a deletion")
	}
}
