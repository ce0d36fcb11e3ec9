package avro

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// fast executes operations from o as long as they are common ones on common
// values, and gives the operation to go on with, nothing of which is done. It
// checks all that step checks, and calls nothing, so that what it needs stays
// in registers.
//
// Slices that are made of a position just compared with a length, all of a
// constant number of bytes, cost no check of their own. Text of up to 32 bytes
// is copied as 32 where the record and the column go on that far: what is
// behind it is overwritten by the next row's.
func fast(o *op, data []byte, pos, row int) (*op, int) {
	data = data[:len(data):len(data)] // one register less
	for {
		switch o.code {
		case opText:
			if uint(pos) >= uint(len(data)) {
				return o, pos
			}
			n := int(bits.RotateLeft8(data[pos], 7)) // fastText or more if negative or of two bytes
			v := o.v
			start, to := len(v.Data), v.Data[:cap(v.Data)]
			if start > len(to)-fastText {
				return o, pos
			}
			end := pos + 1 + n
			var high uint64
			switch {
			case n <= 32 && pos <= len(data)-33:
				from, mask := (*[32]byte)(data[pos+1:pos+33]), &asciiMasks[n]
				high = word(from[0:8])&mask[0] | word(from[8:16])&mask[1] | word(from[16:24])&mask[2] | word(from[24:32])&mask[3]
				put(to[start:start+32], from)
			case n > 32:
				if n >= fastText || end > len(data) {
					return o, pos
				}
				from, last := (*[32]byte)(data[pos+1:pos+33]), (*[32]byte)(data[end-32:end])
				high = word(from[0:8]) | word(from[8:16]) | word(from[16:24]) | word(from[24:32]) |
					word(last[0:8]) | word(last[8:16]) | word(last[16:24]) | word(last[24:32])
				put(to[start:start+32], from)
				put(to[start+n-32:start+n], last)
			case n <= 16 && pos <= len(data)-17:
				from, mask := (*[16]byte)(data[pos+1:pos+17]), &asciiMasks[n]
				high = word(from[0:8])&mask[0] | word(from[8:16])&mask[1]
				*(*[16]byte)(to[start : start+16]) = *from
			case end > len(data):
				return o, pos
			case n > 16:
				from, last := (*[16]byte)(data[pos+1:pos+17]), (*[16]byte)(data[end-16:end])
				high = word(from[0:8]) | word(from[8:16]) | word(last[0:8]) | word(last[8:16])
				*(*[16]byte)(to[start : start+16]) = *from
				*(*[16]byte)(to[start+n-16 : start+n]) = *last
			case n >= 8:
				p, q := word(data[pos+1:]), word(data[end-8:])
				high = p | q
				putWord(to[start:], p)
				putWord(to[start+n-8:], q)
			default:
				if len(data) < 8 {
					return o, pos
				}
				p := wordAt(data, pos+1)
				high = p << (64 - 8*uint(n))
				putWord(to[start:start+8], p)
			}
			if high&highBits != 0 { // not ASCII
				return o, pos
			}
			v.Data = v.Data[:start+n]
			v.Offsets[row+1] = int32(start + n)
			pos = end
		case opLong, opInt:
			if uint(pos) >= uint(len(data)) {
				return o, pos
			}
			u, size := uint64(data[pos]), 1
			if u >= 0x80 {
				var w uint64
				if pos <= len(data)-8 {
					w = word(data[pos : pos+8])
				} else if len(data) >= 8 {
					w = wordAt(data, pos)
				} else {
					return o, pos
				}
				stop := ^w & highBits
				if stop == 0 {
					return o, pos
				}
				if size = (bits.TrailingZeros64(stop) + 1) / 8; size > len(data)-pos {
					return o, pos
				}
				u = sevens(w & (stop ^ (stop - 1)))
			}
			x := int64(u>>1) ^ -int64(u&1)
			if o.code == opLong {
				o.v.I64[row] = x
			} else {
				if size > 5 || u > math.MaxUint32 {
					return o, pos
				}
				o.v.I32[row] = int32(x)
			}
			pos += size
		case opDouble:
			if pos < 0 || pos > len(data)-8 {
				return o, pos
			}
			o.v.F64[row] = math.Float64frombits(word(data[pos : pos+8]))
			pos += 8
		case opOptionText:
			if uint(pos) >= uint(len(data)) || data[pos]&^2 != 0 {
				return o, pos
			}
			// Whether there is text is hard to predict: a null is read as no text.
			present := data[pos]>>1 ^ byte(o.size)
			v := o.v
			start, to := len(v.Data), v.Data[:cap(v.Data)]
			if pos > len(data)-34 || start > len(to)-fastText {
				if present != 0 {
					pos++
					break
				}
				if !v.NullText(row) {
					return o, pos
				}
				pos++
				o = o.past
				continue
			}
			n := int(bits.RotateLeft8(data[pos+1], 7) & -present)
			if n > 32 {
				pos++
				break
			}
			at := pos + 1 + int(present)
			from, mask := (*[32]byte)(data[at:at+32]), &asciiMasks[n]
			if (word(from[0:8])&mask[0]|word(from[8:16])&mask[1]|word(from[16:24])&mask[2]|word(from[24:32])&mask[3])&highBits != 0 || !v.NullIf(row, present^1) {
				return o, pos
			}
			put(to[start:start+32], from)
			v.Data = v.Data[:start+n]
			v.Offsets[row+1] = int32(start + n)
			pos = at + n
			o = o.past
			continue
		case opOption:
			if uint(pos) >= uint(len(data)) || data[pos]&^2 != 0 {
				return o, pos
			}
			if o.first != (data[pos] == 2) {
				if o.v == nil || !o.v.NullText(row) {
					return o, pos
				}
				pos++
				o = o.past
				continue
			}
			pos++
		case opBool:
			if uint(pos) >= uint(len(data)) || data[pos] > 1 {
				return o, pos
			}
			o.v.SetBool(row, data[pos] == 1)
			pos++
		case opJump:
			o = o.past
			continue
		default:
			return o, pos
		}
		o = o.then
	}
}

// put copies 32 bytes, by halves, since what may overlap is copied by a call.
func put(to []byte, from *[32]byte) {
	p := (*[32]byte)(to)
	*(*[16]byte)(p[:16]) = *(*[16]byte)(from[:16])
	*(*[16]byte)(p[16:]) = *(*[16]byte)(from[16:])
}

// wordAt reads up to eight bytes at pos; what is behind data, which has eight
// bytes at least, is zeros.
func wordAt(data []byte, pos int) uint64 {
	if left := len(data) - pos; left < 8 {
		return word(data[len(data)-8:]) >> (64 - 8*uint(left))
	}
	return word(data[pos:])
}

func word(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

func putWord(b []byte, w uint64) { binary.LittleEndian.PutUint64(b, w) }

// fastText is the least length that takes two bytes, and so the room in a column
// that is enough for any text that fast copies.
const fastText = 64

// asciiMasks are, by n, the highest bits of the first n bytes of 32, which text
// in ASCII leaves 0.
var asciiMasks = func() (masks [33][4]uint64) {
	for n := range masks {
		for i := range n {
			masks[n][i/8] |= 0x80 << (8 * uint(i%8))
		}
	}
	return masks
}()
