package protobuf

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

// shortText is the longest text that setText copies itself: the call of a copy
// costs more.
const shortText = 64

// setText writes b[p:p+n] to a row if it is UTF-8. Short text is copied and
// checked in one go, by as many words as its class of length has, the later ones
// counted from its end: a loop would be mispredicted. The capacity of b goes on
// for two words behind its length, which Reader.pad sees to; what is there is
// copied, and overwritten by the next row's text.
func setText(v *vector.Vector, row int, b []byte, p, n int) bool {
	start := len(v.Data)
	if n > shortText || cap(b)-p < n+behind || cap(v.Data)-start < n+behind {
		return setLongText(v, row, b[p:p+n])
	}
	dst := v.Data[start : start+n+behind]
	src := b[p : p+n+behind][:len(dst)]
	high := uint64(0)
	if n <= 16 {
		high = copyWord(dst, src, 0)&below(n) | copyWord(dst, src, 8)&below(max(n-8, 0))
	} else {
		high = copyWord(dst, src, 0) | copyWord(dst, src, 8) | copyWord(dst, src, n-16) | copyWord(dst, src, n-8)
		if n > 32 {
			high |= copyWord(dst, src, 16) | copyWord(dst, src, 24) | copyWord(dst, src, n-32) | copyWord(dst, src, n-24)
		}
	}
	if high&continuation != 0 && !utf8.Valid(b[p:p+n]) {
		return false
	}
	v.Data = v.Data[:start+n]
	v.Offsets[row+1] = int32(start + n)
	return true
}

// behind is how much setText copies behind a text at most.
const behind = 16

// below is a mask of the first n bytes of a word, all of them if n is more than
// a word has.
func below(n int) uint64 { return 1<<(8*uint(n)) - 1 }

func copyWord(dst, src []byte, at int) uint64 {
	w := binary.LittleEndian.Uint64(src[at:])
	binary.LittleEndian.PutUint64(dst[at:], w)
	return w
}

func setLongText(v *vector.Vector, row int, s []byte) bool {
	if !validText(s) {
		return false
	}
	if cap(v.Data)-len(v.Data) < len(s)+shortText {
		makeRoom(v, row, len(s))
	}
	v.SetBytes(row, s)
	return true
}

// maxGuess bounds the room that is made by a guess.
const maxGuess = 1 << 20

// makeRoom makes room for n more bytes, and for the rows to come, if they are
// as those before.
func makeRoom(v *vector.Vector, row, n int) {
	need := len(v.Data) + n
	guess := min(need/(row+1)*v.Cap*9/8, maxGuess) + shortText
	data := vector.Room(max(need+shortText, guess, 2*cap(v.Data)))[:len(v.Data)]
	copy(data, v.Data)
	v.Data = data
}
