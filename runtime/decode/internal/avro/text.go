package avro

import (
	"encoding/binary"
	"slices"
	"unicode/utf8"

	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

const highBits = 0x8080808080808080

// shortText is the length up to which text is copied by words, which costs less
// than a call to copy it and another to check it.
const shortText = 96

// makeRoom makes room for n more bytes, and once rows have told how long they
// are, for those to come in this batch and in the next.
func (r *Reader) makeRoom(v *vector.Vector, row, n int) {
	if row < 64 {
		v.Data = slices.Grow(v.Data, max(n, 1024))
		return
	}
	width := (len(v.Data)+n)/(row+1) + 1
	width += width / 16
	r.program.widths[slices.Index(r.vectors, v)].Store(int32(min(width, maxAhead)))
	v.Data = slices.Grow(v.Data, max(n, min(width*(v.Cap-row), maxAhead)))
}

// maxAhead bounds the room that is made for rows to come.
const maxAhead = 64 << 20

// putText writes n bytes of data at pos to a row of a string vector, and tells
// whether they are UTF-8.
func (r *Reader) putText(v *vector.Vector, row int, data []byte, pos, n int) bool {
	start := len(v.Data)
	if cap(v.Data)-start < n+8 {
		r.makeRoom(v, row, n+8)
	}
	v.Offsets[row+1] = int32(start + n)
	if n > shortText {
		v.Data = append(v.Data, data[pos:pos+n]...)
		return utf8.Valid(data[pos : pos+n])
	}
	to, from := v.Data[start:start+n+8], data[pos:]
	v.Data = v.Data[:start+n]
	var high uint64
	i := 0
	for ; i+8 <= n; i += 8 {
		word := binary.LittleEndian.Uint64(from[i:])
		high |= word
		binary.LittleEndian.PutUint64(to[i:], word)
	}
	switch rest := n - i; {
	case rest == 0:
	case len(from)-i >= 8: // bytes behind the text are copied, and overwritten by what follows
		word := binary.LittleEndian.Uint64(from[i:])
		high |= word << (64 - 8*rest)
		binary.LittleEndian.PutUint64(to[i:], word)
	default:
		for ; i < n; i++ {
			high |= uint64(from[i]) << 56 & highBits
			to[i] = from[i]
		}
	}
	return high&highBits == 0 || utf8.Valid(data[pos:pos+n])
}
