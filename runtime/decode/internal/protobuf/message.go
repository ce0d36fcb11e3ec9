package protobuf

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

// message reads a message to a row. It tells false, with the row half written,
// if the exact reader has to decide.
func (r *Reader) message(n *node, b []byte, row int) bool {
	if r.depth == maxDepth || n.odd {
		return false
	}
	r.depth++
	base := 0
	if n.wide {
		base = len(r.more)
		r.more = append(r.more, n.want...)
		clear(r.more[base:])
	}
	seen, ok := r.fields(n, b, row, base)
	if !ok {
		return false
	}
	r.depth--
	if n.plain && seen&n.want[0] == n.want[0] {
		return true
	}
	return r.end(n, row, seen, base)
}

// fields reads the fields of a message and returns the slots seen.
//
// Fields are expected in the order of their numbers, in which encoders write
// them: the tag of the next is compared before any is looked up. The cases that
// are common in flat messages are here, since calls would cost them a quarter of
// their time.
func (r *Reader) fields(n *node, b []byte, row, base int) (seen uint64, ok bool) {
	next := 0
	for p := 0; p < len(b); {
		tag := uint64(b[p])
		p++
		if tag >= 0x80 {
			if tag, p = varint(b, p-1); p < 0 || tag == noTag {
				return 0, false
			}
		}
		o := &n.ops[next]
		next++
		if o.tag != tag {
			i := n.find(tag)
			if i < 0 {
				next--
				if p = skip(tag, b, p); p < 0 {
					return 0, false
				}
				r.count(n)
				continue
			}
			o, next = &n.ops[i], i+1
		}
		if seen&o.clash != 0 || n.wide && !r.track(o, base) || p >= len(b) {
			return 0, false
		}
		seen |= o.bit
		if o.code < opText || o.code >= opFloat {
			if p = r.field(n, o, b, p, row); p < 0 {
				return 0, false
			}
			continue
		}
		u := uint64(b[p])
		p++
		if u >= 0x80 {
			if u, p = varint(b, p-1); p < 0 {
				return 0, false
			}
		}
		v := r.vectors[o.vector]
		switch o.code {
		case opText:
			if u > uint64(len(b)-p) || !setText(v, row, b, p, int(u)) {
				return 0, false
			}
			p += int(u)
		case opLong:
			v.I64[row] = int64(u)
		default:
			if !o.number(v, row, u) {
				return 0, false
			}
		}
	}
	return seen, true
}

// number writes a number.
func (o *op) number(v *vector.Vector, row int, u uint64) bool {
	switch o.code {
	case opInt:
		v.I32[row] = int32(u)
	case opBool:
		v.SetBool(row, u != 0)
	case opIntLong:
		v.I64[row] = int64(int32(u))
	case opUintLong:
		v.I64[row] = int64(uint32(u))
	case opUlong:
		v.I64[row] = int64(u)
		return u <= math.MaxInt64
	case opSint:
		v.I32[row] = int32(protowire.DecodeZigZag(u & math.MaxUint32))
	case opSlong:
		v.I64[row] = protowire.DecodeZigZag(u)
	case opName:
		o.value.enum.set(v, row, int64(int32(u)))
	}
	return true
}

// field reads a field that is no varint and no text behind its tag. It returns
// the position behind it, -1 if the exact reader has to decide.
func (r *Reader) field(n *node, o *op, b []byte, p, row int) int {
	switch {
	case o.code == opMessage && b[p] < 0x80 && int(b[p]) < len(b)-p:
		end := p + 1 + int(b[p])
		if !r.message(o.node, b[p+1:end], row) {
			return -1
		}
		return end
	case o.code < opText:
		return r.fieldOf(n, o, b, p, row)
	case o.code < opBinary:
		return directFixed(o.code, r.vectors[o.vector], b, p, row)
	}
	s, p := delimited(b, p)
	if p < 0 {
		return -1
	}
	if o.code == opBinary {
		r.vectors[o.vector].SetBytes(row, s)
	} else if r.depth == maxDepth || !setTimestampWire(r.vectors[o.vector], row, s) {
		return -1
	}
	return p
}

// directFixed reads numbers of a fixed width.
func directFixed(code opcode, v *vector.Vector, b []byte, p, row int) int {
	if code == opFloat {
		if len(b)-p < 4 {
			return -1
		}
		v.F32[row] = math.Float32frombits(binary.LittleEndian.Uint32(b[p:]))
		return p + 4
	}
	if len(b)-p < 8 {
		return -1
	}
	u := binary.LittleEndian.Uint64(b[p:])
	if code == opDouble {
		v.F64[row] = math.Float64frombits(u)
	} else {
		v.I64[row] = int64(u)
	}
	return p + 8
}

// fieldOf reads a field that is no single scalar.
func (r *Reader) fieldOf(n *node, o *op, b []byte, p, row int) int {
	wire := protowire.Type(o.tag & 7)
	if o.code == opValues {
		end := -1
		for _, x := range o.field.values {
			if end = r.value(x, wire, b, p, row); end < 0 {
				return -1
			}
		}
		return end
	}
	if o.code < opGroup {
		r.count(n)
	}
	switch o.code {
	case opSkipNumber:
		_, p = number(wire, b, p)
		return p
	case opMessage, opGroup, opSkipMessage:
		s, p := o.field.body(wire, b, p)
		if p < 0 || !r.message(o.node, s, row) {
			return -1
		}
		return p
	}
	s, p := delimited(b, p)
	if p < 0 || o.code == opSkipText && !validText(s) || o.code == opSkipPacked && !validPacked(wireType(o.kind), s) {
		return -1
	}
	return p
}

// count counts a field that no column reads.
func (r *Reader) count(n *node) {
	if n.counts {
		r.unknown++
	}
}

// body reads what is in a message or a group.
func (f *field) body(wire protowire.Type, b []byte, p int) ([]byte, int) {
	if wire == protowire.StartGroupType {
		return group(f.desc.Number(), b, p)
	}
	return delimited(b, p)
}

func validPacked(wire protowire.Type, s []byte) bool {
	for p := 0; p < len(s); {
		if _, p = number(wire, s, p); p < 0 {
			return false
		}
	}
	return true
}

// track notes that a field of a wide message was seen. It tells false if the
// field, or another of its oneof, was seen before.
func (r *Reader) track(o *op, base int) bool {
	if o.slot < 0 {
		return true
	}
	seen := r.more[base:]
	word, bit := o.slot/64, uint64(1)<<(o.slot%64)
	if seen[word]&bit != 0 {
		return false
	}
	for i, rivals := range o.rivals {
		if seen[i]&rivals != 0 {
			return false
		}
	}
	seen[word] |= bit
	return true
}

// end writes what the message did not have, and ends its lists and maps.
func (r *Reader) end(n *node, row int, seen uint64, base int) bool {
	if n.wide {
		for i, want := range n.want {
			if !r.unsetSlots(n, row, i, want&^r.more[base+i]) {
				return false
			}
		}
		r.more = r.more[:base]
	} else if left := n.want[0] &^ seen; left != 0 && !r.unsetSlots(n, row, 0, left) {
		return false
	}
	for _, x := range n.ends {
		if !r.endList(x, row) {
			return false
		}
	}
	for _, x := range n.absent {
		if r.none(x, row) != nil {
			return false
		}
	}
	return true
}
