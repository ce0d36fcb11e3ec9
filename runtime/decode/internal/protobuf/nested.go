package protobuf

import (
	"bytes"
	"math/bits"

	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"google.golang.org/protobuf/encoding/protowire"
)

// value reads one occurrence of a field behind its tag, and returns the
// position behind it, -1 if the exact reader has to decide.
func (r *Reader) value(x *value, wire protowire.Type, b []byte, p, row int) int {
	switch x.shape {
	case scalar:
		return r.scalar(x, wire, b, p, row)
	case list:
		return r.list(x, wire, b, p)
	case jsonField:
		return -1
	}
	var s []byte
	if wire == protowire.StartGroupType {
		s, p = group(x.desc.Number(), b, p)
	} else {
		s, p = delimited(b, p)
	}
	if p < 0 || !r.inMessage(x, s, row) {
		return -1
	}
	return p
}

func (r *Reader) inMessage(x *value, s []byte, row int) bool {
	if r.depth == maxDepth {
		return false
	}
	switch x.shape {
	case path, structure:
		return r.message(x.node, s, row)
	case mapping:
		return r.entry(x, s)
	case jsonText:
		return r.jsonWire(x, s, row)
	case wrapper:
		return r.wrapperWire(x, s, row)
	}
	return x.wellKnownWire(r.vectors[x.vector], row, s)
}

func (r *Reader) scalar(x *value, wire protowire.Type, b []byte, p, row int) int {
	var u uint64
	var s []byte
	if wire == protowire.BytesType {
		s, p = delimited(b, p)
	} else {
		u, p = number(wire, b, p)
	}
	if p < 0 {
		return -1
	}
	ok, err := x.set(r.vectors[x.vector], row, canonical(x.kind, u), s)
	if err != nil || !ok && r.none(x, row) != nil {
		return -1
	}
	return p
}

// spend takes the memory of one more element from what a record may have.
func (r *Reader) spend(width int) bool {
	r.cells += width
	return r.cells <= maxCells
}

// list reads one element of a repeated field, or a packed run of them.
func (r *Reader) list(x *value, wire protowire.Type, b []byte, p int) int {
	kid := r.vectors[x.elem.vector]
	if wire != protowire.BytesType || x.wire == protowire.BytesType {
		if !r.spend(x.elem.width) {
			return -1
		}
		return r.value(x.elem, wire, b, p, kid.Append())
	}
	s, p := delimited(b, p)
	if p < 0 {
		return -1
	}
	for q := 0; q < len(s); {
		if !r.spend(1) {
			return -1
		}
		if q = r.scalar(x.elem, x.wire, s, q, kid.Append()); q < 0 {
			return -1
		}
	}
	return p
}

// entry reads the entry of a map: a message of a key and a value. One with a
// key or a value twice is for the exact reader.
func (r *Reader) entry(x *value, s []byte) bool {
	if !r.spend(x.elem.width) {
		return false
	}
	r.depth++
	key, item := r.vectors[x.key.vector].Append(), r.vectors[x.elem.vector].Append()
	hasKey, hasItem := false, false
	keyWire := wireType(x.key.kind)
	for p := 0; p < len(s); {
		tag := uint64(0)
		if tag, p = varint(s, p); p < 0 {
			return false
		}
		switch tag {
		case 1<<3 | uint64(keyWire):
			if hasKey {
				return false
			}
			hasKey = true
			p = r.scalar(x.key, keyWire, s, p, key)
		case 2<<3 | uint64(x.wire):
			if hasItem {
				return false
			}
			hasItem = true
			p = r.value(x.elem, x.wire, s, p, item)
		default:
			p = skip(tag, s, p)
		}
		if p < 0 {
			return false
		}
	}
	r.depth--
	if !hasKey && r.unset(x.key, key) != nil {
		return false
	}
	if hasItem {
		return true
	}
	if x.elem.shape == scalar {
		return r.unset(x.elem, item) == nil
	}
	return r.inMessage(x.elem, nil, item)
}

// mapRow remembers keys, to see whether one comes twice.
type mapRow struct {
	numbers map[int64]struct{}
	texts   map[string]struct{}
}

// fewKeys are compared with each other.
const fewKeys = 8

// endList closes the row of a list or map. It tells false for a map with a key
// twice, of which the last counts.
func (r *Reader) endList(x *value, row int) bool {
	v := r.vectors[x.vector]
	v.End(row)
	if x.shape != mapping {
		return true
	}
	from, to := int(v.Offsets[row]), int(v.Offsets[row+1])
	keys := r.vectors[x.key.vector]
	if to-from <= fewKeys {
		for i := from + 1; i < to; i++ {
			for j := from; j < i; j++ {
				if sameKey(keys, i, j) {
					return false
				}
			}
		}
		return true
	}
	return r.maps[x.slot].distinct(keys, from, to)
}

func sameKey(v *vector.Vector, i, j int) bool {
	switch v.Kind {
	case vector.Long:
		return v.I64[i] == v.I64[j]
	case vector.String:
		return bytes.Equal(v.Data[v.Offsets[i]:v.Offsets[i+1]], v.Data[v.Offsets[j]:v.Offsets[j+1]])
	}
	return v.I32[i] == v.I32[j]
}

func (m *mapRow) distinct(v *vector.Vector, from, to int) bool {
	if m.numbers == nil {
		m.numbers, m.texts = map[int64]struct{}{}, map[string]struct{}{}
	}
	clear(m.numbers)
	clear(m.texts)
	for i := from; i < to; i++ {
		switch v.Kind {
		case vector.Long:
			m.numbers[v.I64[i]] = struct{}{}
		case vector.String:
			m.texts[string(v.Data[v.Offsets[i]:v.Offsets[i+1]])] = struct{}{}
		default:
			m.numbers[int64(v.I32[i])] = struct{}{}
		}
	}
	return len(m.numbers)+len(m.texts) == to-from
}

// unsetSlots writes what stands for the fields of slots that were not seen.
func (r *Reader) unsetSlots(n *node, row, word int, left uint64) bool {
	for ; left != 0; left &= left - 1 {
		f := n.slots[word*64+bits.TrailingZeros64(left)]
		if f.required {
			return false
		}
		for _, x := range f.values {
			if x.zero {
				r.vectors[x.vector].SetZero(row)
				continue
			}
			if x.shape != list && x.shape != mapping && r.unset(x, row) != nil {
				return false
			}
		}
	}
	return true
}
