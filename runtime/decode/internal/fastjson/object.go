package fastjson

import (
	"math/bits"

	"github.com/calvelake/calve/runtime/decode/internal/debezium"
)

// maxDepth bounds the recursion into nested values.
const maxDepth = 64

// members reads the members of an object, from behind its brace, into a row of
// its slots' vectors, and returns the index behind the object, or -1 to give
// up.
//
// It is the loop in which a document's time goes, so the common forms of the
// common types are read in its body; value knows all others.
func (r *Reader) members(o *object, i, row, depth int) int {
	t := r.text
	r.objects++
	object, left := r.objects, o.members
	if t.byte(i) != '"' {
		if i = r.space(i); t.byte(i) == '}' {
			return r.finish(o, object, left, i+1, row)
		}
	}
	if depth > maxDepth {
		return -1
	}
	for last := &o.start; ; {
		s := last.next
		if s.matches(t, i) && s.matchesMiddle(t, i) {
			i += s.size
		} else if s, i = r.find(o, last, i); s == nil {
			return -1
		}
		last = s
		if s.seen == object && !s.unread {
			return -1 // the last of a name wins, which is not worth the trouble here
		}
		s.seen = object
		left -= s.counts
		switch s.op {
		case opString:
			if t.byte(i) == '"' {
				i = r.string(s.vector, i+1, row)
				break
			}
			i = r.value(s, i, row, depth)
		case opLong:
			w := t.word(i) ^ zeros
			if n := bits.TrailingZeros64(notDigits(w)) >> 3; uint(n-1) < 7 && (w&0xff != 0 || n == 1) {
				s.vector.I64[row] = int64(eight(w << (uint(-8*n) & 63)))
				i += n
				break
			}
			i = r.value(s, i, row, depth)
		case opInt:
			w := t.word(i) ^ zeros
			if n := bits.TrailingZeros64(notDigits(w)) >> 3; uint(n-1) < 7 && (w&0xff != 0 || n == 1) {
				s.vector.I32[row] = int32(eight(w << (uint(-8*n) & 63)))
				i += n
				break
			}
			i = r.value(s, i, row, depth)
		case opDouble:
			if x, end := r.double(i); end >= 0 {
				s.vector.F64[row] = x
				i = end
				break
			}
			i = r.value(s, i, row, depth)
		case opBoolean: // without a jump on which of the two it is
			w, yes, no := t.word(i), 0, 0
			if uint32(w) == wordTrue {
				yes = 1
			}
			if w<<24 == wordFalse<<24 {
				no = 1
			}
			if yes|no == 0 {
				i = r.value(s, i, row, depth)
				break
			}
			s.vector.Bits[row>>3] = s.vector.Bits[row>>3]&^(1<<(row&7)) | byte(yes<<(row&7))
			i += 4 + no
		case opTimestamp:
			if x, end := r.timestamp(s, i); end >= 0 {
				s.vector.I64[row] = x
				i = end
				break
			}
			i = r.value(s, i, row, depth)
		case opText:
			if t.byte(i) == '"' {
				i = r.markedString(s.vector, i+1, row)
				break
			}
			i = r.value(s, i, row, depth)
		case opDecimal:
			if end := r.decimal(s, i, row); end >= 0 {
				i = end
				break
			}
			i = r.value(s, i, row, depth)
		case opSkip:
			if o.counts {
				if r.knownOnly {
					return -1
				}
				r.unknown++
			}
			if t.byte(i) == '"' {
				i = r.skipString(i + 1)
				break
			}
			i = r.skip(r.space(i), depth)
		case opSourceLong:
			if x, end := r.integer(i); end >= 0 {
				r.change.to.SetLong(debezium.Field(s.column), x)
				i = end
				break
			}
			i = r.event(s, r.space(i), row, depth)
		default:
			if s.op >= opMarkAfter {
				i = r.event(s, r.space(i), row, depth)
				break
			}
			i = r.value(s, i, row, depth)
		}
		if i < 0 {
			return -1
		}
		if t.byte(i) == ',' {
			i++
			continue
		}
		i = r.space(i)
		switch t.byte(i) {
		case ',':
			i++
		case '}':
			return r.finish(o, object, left, i+1, row)
		default:
			return -1
		}
	}
}

// finish writes what an object has left out, and returns i, or -1 to give up.
func (r *Reader) finish(o *object, object uint64, left, i, row int) int {
	if left == 0 || o.loose {
		return i
	}
	for _, s := range o.slots[:o.members] {
		if s.seen != object && !r.absent(s, row) {
			return -1
		}
	}
	return i
}

// absent writes the row of a slot that has no value or null.
func (r *Reader) absent(s *slot, row int) bool {
	switch {
	case s.op >= opMarkBefore:
	case r.change != nil && r.change.deleting:
		return false
	case s.op == opObject:
		for _, kid := range s.object.slots[:s.object.members] {
			if !r.absent(kid, row) {
				return false
			}
		}
	case s.op == opSeveral, s.op == opMarkAfter:
		for _, part := range s.parts {
			if !r.absent(part, row) {
				return false
			}
		}
	case s.fallback != nil:
		s.fallback(s.vector, row)
	case s.nullable:
		s.vector.SetNull(row)
	default:
		return false
	}
	return true
}
