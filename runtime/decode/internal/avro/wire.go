package avro

import (
	"encoding/binary"
	"math/bits"
)

// varint reads an unsigned number of up to 64 bits in groups of seven; next is
// -1 if it does not end within data or is larger.
func varint(data []byte, pos int) (u uint64, next int) {
	if pos+8 <= len(data) {
		word := binary.LittleEndian.Uint64(data[pos:])
		if stop := ^word & 0x8080808080808080; stop != 0 {
			next = pos + (bits.TrailingZeros64(stop)+1)/8
			return sevens(word & (stop ^ (stop - 1))), next
		}
	}
	for shift := uint(0); pos < len(data) && shift < 64; shift += 7 {
		b := data[pos]
		pos++
		if b < 0x80 {
			if shift == 63 && b > 1 {
				return 0, -1
			}
			return u | uint64(b)<<shift, pos
		}
		u |= uint64(b&0x7f) << shift
	}
	return 0, -1
}

// sevens joins the low seven bits of eight bytes.
func sevens(w uint64) uint64 {
	w = w&0x007f007f007f007f | w&0x7f007f007f007f00>>1
	w = w&0x00003fff00003fff | w&0x3fff00003fff0000>>2
	return w&0x0fffffff | w&0x0fffffff00000000>>4
}

// varlong reads a zigzag number of 64 bits.
func varlong(data []byte, pos int) (x int64, next int) {
	u, next := varint(data, pos)
	return int64(u>>1) ^ -int64(u&1), next
}

// varsmall reads a zigzag number of 32 bits, in five bytes at most.
func varsmall(data []byte, pos int) (x int32, next int) {
	u, next := varint(data, pos)
	if u > 1<<32-1 || next-pos > 5 {
		return 0, -1
	}
	return int32(u>>1) ^ -int32(u&1), next
}

// length reads the length of bytes that follow; next is -1 if data ends before
// they do.
func length(data []byte, pos int) (n, next int) {
	x, next := varlong(data, pos)
	if next < 0 || x < 0 || x > int64(len(data)-next) {
		return 0, -1
	}
	return int(x), next
}

// maxEmptyItems bounds the items of a record's arrays that take no bytes (of
// nulls, of records without fields), of which a few bytes can claim any number.
const maxEmptyItems = 4096

// blocks goes through the blocks of an array or map.
type blocks struct {
	least int // bytes that an item takes at least
	items int // of the present block
	end   int // of the present block, if it tells its size; else -1
	total int
}

// next reads the head of a block; it returns -1 if it is not one. At the end of
// the array, items is 0.
func (b *blocks) next(r *Reader, data []byte, pos int) int {
	if b.total > 0 && b.end >= 0 && pos != b.end {
		return -1
	}
	count, pos := varlong(data, pos)
	if pos < 0 {
		return -1
	}
	b.end, b.items = -1, 0
	if count == 0 {
		return pos
	}
	if count < 0 {
		size, after := length(data, pos)
		if after < 0 || count == -count {
			return -1
		}
		count, pos, b.end = -count, after, after+size
	}
	if b.least > 0 {
		if count > int64((len(data)-pos)/b.least) {
			return -1
		}
	} else if r.empty += int(min(count, maxEmptyItems+1)); r.empty > maxEmptyItems {
		return -1
	}
	b.items = int(count)
	b.total += b.items
	return pos
}
