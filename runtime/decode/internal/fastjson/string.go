package fastjson

import (
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

// string reads a string, from behind its quote, into a row of v.
func (r *Reader) string(v *vector.Vector, i, row int) int {
	t, to := r.text, r.free(v)
	for n := 0; ; n += 16 {
		a, b := t.word(i+n), t.word(i+n+8)
		to.store(n, a)
		to.store(n+8, b)
		if x, y := special(a), special(b); x|y != 0 {
			n += first(x, y)
			if t.byte(i+n) != '"' {
				return r.hardString(v, i, i+n, row)
			}
			end := len(v.Data) + n
			v.Data = v.Data[:end]
			v.Offsets[row+1] = int32(end)
			return i + n + 1
		}
	}
}

// markedString is string, and gives up on the marker of an unavailable value.
func (r *Reader) markedString(v *vector.Vector, i, row int) int {
	start := len(v.Data)
	end := r.string(v, i, row)
	if end >= 0 && r.unavailable(v.Data[start:]) {
		return -1
	}
	return end
}

// hardString reads a string, from behind its quote, that is plain as far as at.
func (r *Reader) hardString(v *vector.Vector, i, at, row int) int {
	out, end := r.unescape(v.Data, i, at)
	if end < 0 {
		return -1
	}
	v.Data = out
	v.Offsets[row+1] = int32(len(out))
	return end + 1
}

// unescape appends the text of a string, from behind its quote, that is plain
// as far as at, and returns the index of the closing quote, or -1. Half a
// surrogate pair becomes U+FFFD, as in encoding/json.
func (r *Reader) unescape(to []byte, i, at int) ([]byte, int) {
	t := r.text
	foreign := false // characters beyond ASCII
	start := i
	for {
		for {
			w := t.word(at)
			if m := ending(w); m != 0 {
				n := bits.TrailingZeros64(m) >> 3
				foreign = foreign || w&highs&(m&-m-1) != 0
				at += n
				break
			}
			foreign = foreign || w&highs != 0
			at += 8
		}
		to = append(to, t.slice(i, at)...)
		switch t.byte(at) {
		case '"':
			if foreign && !utf8.Valid(t.slice(start, at)) {
				return to, -1
			}
			return to, at
		case '\\':
			if to, at = r.escape(to, at); at < 0 {
				return to, -1
			}
			i = at
		default:
			return to, -1
		}
	}
}

// escape appends what the escape at i says, and returns the index behind it, or
// -1.
func (r *Reader) escape(to []byte, i int) ([]byte, int) {
	c := r.text.byte(i + 1)
	if c == 'u' {
		return r.unicode(to, i)
	}
	c = escapes[c]
	if c == 0 {
		return to, -1
	}
	return append(to, c), i + 2
}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (r *Reader) unicode(to []byte, i int) ([]byte, int) {
	c, ok := r.hex(i + 2)
	if !ok {
		return to, -1
	}
	i += 6
	if utf16.IsSurrogate(c) {
		pair := utf8.RuneError
		if r.text.byte(i) == '\\' && r.text.byte(i+1) == 'u' {
			low, ok := r.hex(i + 2)
			if !ok {
				return to, -1
			}
			if pair = utf16.DecodeRune(c, low); pair != utf8.RuneError {
				i += 6
			}
		}
		c = pair
	}
	return utf8.AppendRune(to, c), i
}

// hex reads four hex digits.
func (r *Reader) hex(i int) (rune, bool) {
	var x rune
	for n := range 4 {
		c := r.text.byte(i + n)
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		x = x<<4 | rune(c)
	}
	return x, true
}

// plain returns the index of the quote that ends a string without escapes, from
// behind its first quote; -1 if it is none.
func (r *Reader) plain(i int) int {
	start, foreign := i, false
	for {
		x, y := special(r.text.word(i)), special(r.text.word(i+8))
		if x|y == 0 {
			i += 16
			continue
		}
		i += first(x, y)
		break
	}
	for r.text.byte(i) != '"' {
		w := r.text.word(i)
		if m := ending(w); m != 0 {
			foreign = foreign || w&highs&(m&-m-1) != 0
			i += bits.TrailingZeros64(m) >> 3
			break
		}
		foreign = foreign || w&highs != 0
		i += 8
	}
	if r.text.byte(i) != '"' || foreign && !utf8.Valid(r.text.slice(start, i)) {
		return -1
	}
	return i
}

// quoted returns the text of the string that begins at the quote at i, valid
// until the next call, and the index behind it; -1 to give up.
func (r *Reader) quoted(i int) ([]byte, int) {
	if end := r.plain(i + 1); end >= 0 {
		return r.text.slice(i+1, end), end + 1
	}
	out, end := r.unescape(r.scratch[:0], i+1, i+1)
	r.scratch = out
	return out, end + 1 | end>>63
}
