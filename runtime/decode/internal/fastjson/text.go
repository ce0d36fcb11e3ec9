package fastjson

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// padding is the number of zero bytes behind a document.
const padding = 64

// text is a document in memory that goes on with padding zeros. Its methods do
// not check bounds, which costs a third of the whole decoder otherwise.
//
// They stay in bounds because a zero byte ends every token: it is part of no
// name, string, number, literal or white space of JSON. A reader steps beyond
// byte i only after it has seen that byte i is not zero, so that it never
// stands behind the first zero of the padding; from there, it looks less than
// padding bytes ahead (a name of maxName is the most).
type text struct{ p unsafe.Pointer }

// newText returns the text of a buffer that ends in padding.
func newText(padded []byte) text { return text{unsafe.Pointer(unsafe.SliceData(padded))} }

func (t text) byte(i int) byte { return *(*byte)(unsafe.Add(t.p, i)) }

// word is 8 bytes, the first in the lowest bits.
func (t text) word(i int) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(t.p, i))[:])
}

// slice is the bytes from i to end, which the caller has read.
func (t text) slice(i, end int) []byte { return unsafe.Slice((*byte)(unsafe.Add(t.p, i)), end-i) }

// room is the free memory behind a string column's data. Its owner has made
// sure that a whole document and 16 bytes fit, and no string is longer than its
// document; what is stored beyond a string's end is not part of any slice.
type room struct{ p unsafe.Pointer }

func roomOf(data []byte) room {
	return room{unsafe.Add(unsafe.Pointer(unsafe.SliceData(data)), len(data))}
}

// store puts 8 bytes at byte i of the room.
func (r room) store(i int, word uint64) {
	binary.LittleEndian.PutUint64((*[8]byte)(unsafe.Add(r.p, i))[:], word)
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
	zeros = '0' * ones
)

// special marks, by the highest bits of their bytes, the bytes of a word that
// end a run of plain ASCII: quotes, backslashes, control characters and those
// of other characters. Only the first mark is exact.
//
// Exclusive or with 2 leaves control characters below the space and puts the
// quote in its place, so one subtraction finds both.
func special(w uint64) uint64 {
	return (((w ^ 2*ones) - 0x21*ones) | ((w ^ '\\'*ones) - ones) | w) & highs
}

// first is the index of the first mark in two words, one of which has any. It
// compiles to no jump, since where strings end is hard to predict.
func first(x, y uint64) int {
	n, second := bits.TrailingZeros64(x), bits.TrailingZeros64(y)+64
	if x == 0 {
		n = second
	}
	return n >> 3
}

// ending marks quotes, backslashes and control characters; only the first mark
// is exact.
func ending(w uint64) uint64 {
	return (((w ^ 2*ones) - 0x21*ones) | ((w ^ '\\'*ones) - ones)) & ^w & highs
}
