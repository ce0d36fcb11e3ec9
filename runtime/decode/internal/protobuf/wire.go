package protobuf

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// The functions of this file read the wire format
// (https://protobuf.dev/programming-guides/encoding). They return the position
// behind what they read, or -1 where there is no such thing; what is wrong with
// it is for the exact reader to say. They may look at, but not take, what is
// between the length and the capacity of b.

const continuation = 0x8080808080808080

// varint reads a number of up to ten bytes at b[p:].
func varint(b []byte, p int) (uint64, int) {
	if uint(p) >= uint(len(b)) {
		return 0, -1
	}
	if c := b[p]; c < 0x80 {
		return uint64(c), p + 1
	}
	if cap(b)-p < 10 {
		return shortVarint(b, p)
	}
	w := binary.LittleEndian.Uint64(b[p : p+8])
	stop := ^w & continuation
	if stop == 0 {
		return longVarint(b, p, w)
	}
	n := bits.TrailingZeros64(stop) + 1 // bits of the number's bytes
	p += n / 8
	if p > len(b) {
		return 0, -1
	}
	return squeeze(w & (^uint64(0) >> (64 - uint(n)))), p
}

// squeeze joins the low seven bits of eight bytes.
func squeeze(w uint64) uint64 {
	w = w&0x007f007f007f007f | w&0x7f007f007f007f00>>1
	w = w&0x00003fff00003fff | w&0x3fff00003fff0000>>2
	return w&0x000000000fffffff | w&0x0fffffff00000000>>4
}

// longVarint reads a number of nine or ten bytes, w being the first eight.
func longVarint(b []byte, p int, w uint64) (uint64, int) {
	if len(b)-p < 9 {
		return 0, -1
	}
	u, ninth := squeeze(w), b[p+8]
	if ninth < 0x80 {
		return u | uint64(ninth)<<56, p + 9
	}
	if len(b)-p < 10 || b[p+9] > 1 {
		return 0, -1 // more than 64 bits
	}
	return u | uint64(ninth&0x7f)<<56 | uint64(b[p+9])<<63, p + 10
}

// shortVarint reads near the end of b.
func shortVarint(b []byte, p int) (uint64, int) {
	var u uint64
	for shift := uint(0); p < len(b) && shift < 64; shift += 7 {
		c := b[p]
		p++
		u |= uint64(c&0x7f) << shift
		if c < 0x80 {
			if shift == 63 && c > 1 {
				return 0, -1
			}
			return u, p
		}
	}
	return 0, -1
}

// fixed32 and fixed64 read numbers of four and eight bytes.
func fixed32(b []byte, p int) (uint64, int) {
	if len(b)-p < 4 {
		return 0, -1
	}
	return uint64(binary.LittleEndian.Uint32(b[p:])), p + 4
}

func fixed64(b []byte, p int) (uint64, int) {
	if len(b)-p < 8 {
		return 0, -1
	}
	return binary.LittleEndian.Uint64(b[p:]), p + 8
}

// delimited reads a length and as many bytes.
func delimited(b []byte, p int) ([]byte, int) {
	u, p := varint(b, p)
	if p < 0 || u > uint64(len(b)-p) {
		return nil, -1
	}
	end := p + int(u)
	return b[p:end], end
}

// group reads what is before the end of group num.
func group(num protowire.Number, b []byte, p int) ([]byte, int) {
	body, n := protowire.ConsumeGroup(num, b[p:])
	if n < 0 {
		return nil, -1
	}
	return body, p + n
}

// number reads a number of a wire type.
func number(wire protowire.Type, b []byte, p int) (uint64, int) {
	switch wire {
	case protowire.VarintType:
		return varint(b, p)
	case protowire.Fixed32Type:
		return fixed32(b, p)
	}
	return fixed64(b, p)
}

// skip reads over a field of a schema that does not have it.
func skip(tag uint64, b []byte, p int) int {
	num := tag >> 3
	if num < uint64(protowire.MinValidNumber) || num > uint64(protowire.MaxValidNumber) {
		return -1
	}
	n := protowire.ConsumeFieldValue(protowire.Number(num), protowire.Type(tag&7), b[p:])
	if n < 0 {
		return -1
	}
	return p + n
}

// validText tells whether s is UTF-8; ASCII is seen eight bytes at a time, the
// last of them counted from the end.
func validText(s []byte) bool {
	var high uint64
	switch n := len(s); {
	case n >= 8:
		for i := 0; i+8 < n; i += 8 {
			high |= binary.LittleEndian.Uint64(s[i:])
		}
		high |= binary.LittleEndian.Uint64(s[n-8:])
	case n >= 4:
		high = uint64(binary.LittleEndian.Uint32(s) | binary.LittleEndian.Uint32(s[n-4:]))
	default:
		for _, c := range s {
			high |= uint64(c)
		}
	}
	return high&continuation == 0 || utf8.Valid(s)
}
