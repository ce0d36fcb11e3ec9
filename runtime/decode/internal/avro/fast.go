package avro

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// fast executes operations from pc as long as they are common ones on common
// values, and gives the operation to go on with, nothing of which is done. It
// checks all that step checks, and calls nothing, so that what it needs stays
// in registers.
func fast(ops []op, pc int32, data []byte, pos, row int) (int32, int) {
	for {
		if uint(pc) >= uint(len(ops)) {
			return pc, pos
		}
		o := &ops[pc]
		switch o.code {
		case opText:
			if uint(pos) >= uint(len(data)) || data[pos]&0x81 != 0 {
				return pc, pos // nothing, 64 bytes or more, or negative
			}
			n := int(data[pos] >> 1)
			from, v := data[pos+1:], o.v
			start := len(v.Data)
			to := v.Data[start:cap(v.Data)]
			if len(from) < n || len(to) < n {
				return pc, pos
			}
			var high uint64
			switch { // by length, and not in a loop, whose end is hard to predict
			case n > 32:
				from, to := from[:n], to[:n]
				a, b, c, d := word(from), word(from[8:]), word(from[16:]), word(from[24:])
				e, f, g, h := word(from[n-32:]), word(from[n-24:]), word(from[n-16:]), word(from[n-8:])
				high = a | b | c | d | e | f | g | h
				putWord(to, a)
				putWord(to[8:], b)
				putWord(to[16:], c)
				putWord(to[24:], d)
				putWord(to[n-32:], e)
				putWord(to[n-24:], f)
				putWord(to[n-16:], g)
				putWord(to[n-8:], h)
			case n > 16:
				from, to := from[:n], to[:n]
				a, b, c, d := word(from), word(from[8:]), word(from[n-16:]), word(from[n-8:])
				high = a | b | c | d
				putWord(to, a)
				putWord(to[8:], b)
				putWord(to[n-16:], c)
				putWord(to[n-8:], d)
			case len(from) >= 16 && len(to) >= 16: // what is behind the text is copied, and overwritten by the next row's
				a, b := word(from), word(from[8:])
				high = a&below(n) | b&below(max(n-8, 0))
				putWord(to, a)
				putWord(to[8:], b)
			case n >= 8:
				a, b := word(from), word(from[n-8:])
				high = a | b
				putWord(to, a)
				putWord(to[n-8:], b)
			default:
				if len(data) < 8 || len(to) < 8 {
					return pc, pos
				}
				a := wordAt(data, pos+1)
				high = a << (64 - 8*uint(n))
				putWord(to, a)
			}
			if high&highBits != 0 { // not ASCII
				return pc, pos
			}
			v.Data = v.Data[:start+n]
			v.Offsets[row+1] = int32(start + n)
			pos += 1 + n
		case opLong, opInt:
			if uint(pos) >= uint(len(data)) {
				return pc, pos
			}
			u, size := uint64(data[pos]), 1
			if u >= 0x80 {
				if len(data) < 8 {
					return pc, pos
				}
				w := wordAt(data, pos)
				stop := ^w & highBits
				size = (bits.TrailingZeros64(stop) + 1) / 8
				if stop == 0 || size > len(data)-pos {
					return pc, pos
				}
				u = sevens(w & (stop ^ (stop - 1)))
			}
			x := int64(u>>1) ^ -int64(u&1)
			if o.code == opLong {
				o.v.I64[row] = x
			} else {
				if size > 5 || u > math.MaxUint32 {
					return pc, pos
				}
				o.v.I32[row] = int32(x)
			}
			pos += size
		case opDouble:
			if len(data)-pos < 8 {
				return pc, pos
			}
			o.v.F64[row] = math.Float64frombits(binary.LittleEndian.Uint64(data[pos:]))
			pos += 8
		case opOption:
			if uint(pos) >= uint(len(data)) || data[pos]&^2 != 0 {
				return pc, pos
			}
			if o.first != (data[pos] == 2) {
				if o.v == nil || !o.v.NullText(row) {
					return pc, pos
				}
				pos++
				pc = o.next
				continue
			}
			pos++
		case opBool:
			if uint(pos) >= uint(len(data)) || data[pos] > 1 {
				return pc, pos
			}
			o.v.SetBool(row, data[pos] == 1)
			pos++
		case opJump:
			pc = o.next
			continue
		default:
			return pc, pos
		}
		pc++
	}
}

// wordAt reads up to eight bytes at pos; what is behind data, which has eight
// bytes at least, is zeros.
func wordAt(data []byte, pos int) uint64 {
	if left := len(data) - pos; left < 8 {
		return word(data[len(data)-8:]) >> (64 - 8*uint(left))
	}
	return word(data[pos:])
}

// below is a mask of the first n bytes of a word, all of them if n is more than
// a word has.
func below(n int) uint64 { return 1<<(8*uint(n)) - 1 }

func word(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

func putWord(b []byte, w uint64) { binary.LittleEndian.PutUint64(b, w) }
