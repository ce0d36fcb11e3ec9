package fastjson

import (
	"math/bits"
	"unicode/utf8"

	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

// skip checks the value that begins at i and returns the index behind it, or -1
// to give up.
func (r *Reader) skip(i, depth int) int {
	t := r.text
	switch c := t.byte(i); c {
	case '"':
		return r.skipString(i + 1)
	case '{', '[':
		if depth > maxDepth {
			return -1
		}
		if c == '{' {
			return r.skipObject(i+1, depth+1)
		}
		return r.skipArray(i+1, depth+1)
	case 'n':
		if t.word(i)&(1<<32-1) == wordNull {
			return i + 4
		}
	case 't':
		if t.word(i)&(1<<32-1) == wordTrue {
			return i + 4
		}
	case 'f':
		if t.word(i)&(1<<40-1) == wordFalse {
			return i + 5
		}
	default:
		return r.skipNumber(i)
	}
	return -1
}

// skipString checks a string, from behind its quote.
func (r *Reader) skipString(i int) int {
	t := r.text
	for {
		if x, y := special(t.word(i)), special(t.word(i+8)); x|y != 0 {
			i += first(x, y)
			if t.byte(i) == '"' {
				return i + 1
			}
			return r.skipHardString(i)
		}
		i += 16
	}
}

// skipHardString checks the rest of a string, whose beginning is plain ASCII.
func (r *Reader) skipHardString(i int) int {
	t := r.text
	start, foreign := i, false
	for {
		w := t.word(i)
		m := ending(w)
		if m == 0 {
			foreign = foreign || w&highs != 0
			i += 8
			continue
		}
		foreign = foreign || w&highs&(m&-m-1) != 0
		i += bits.TrailingZeros64(m) >> 3
		switch t.byte(i) {
		case '"':
			if foreign && !utf8.Valid(t.slice(start, i)) {
				return -1
			}
			return i + 1
		case '\\':
			if t.byte(i+1) == 'u' {
				if _, ok := r.hex(i + 2); !ok {
					return -1
				}
				i += 6
			} else if escapes[t.byte(i+1)] == 0 {
				return -1
			} else {
				i += 2
			}
		default:
			return -1
		}
	}
}

func (r *Reader) skipObject(i, depth int) int {
	t := r.text
	if i = r.space(i); t.byte(i) == '}' {
		return i + 1
	}
	for {
		if t.byte(i) != '"' {
			return -1
		}
		if i = r.skipString(i + 1); i < 0 {
			return -1
		}
		if t.byte(i) != ':' {
			if i = r.space(i); t.byte(i) != ':' {
				return -1
			}
		}
		if i++; t.byte(i) <= ' ' {
			i = r.space(i)
		}
		if i = r.skip(i, depth); i < 0 {
			return -1
		}
		if t.byte(i) <= ' ' {
			i = r.space(i)
		}
		switch t.byte(i) {
		case ',':
			if i++; t.byte(i) <= ' ' {
				i = r.space(i)
			}
		case '}':
			return i + 1
		default:
			return -1
		}
	}
}

func (r *Reader) skipArray(i, depth int) int {
	t := r.text
	if i = r.space(i); t.byte(i) == ']' {
		return i + 1
	}
	for {
		if i = r.skip(r.space(i), depth); i < 0 {
			return -1
		}
		i = r.space(i)
		switch t.byte(i) {
		case ',':
			i++
		case ']':
			return i + 1
		default:
			return -1
		}
	}
}

// skipNumber checks a number (RFC 8259 §6).
func (r *Reader) skipNumber(i int) int {
	t := r.text
	if t.byte(i) == '-' {
		i++
	}
	n := r.digits(i)
	if n == 0 || n > 1 && t.byte(i) == '0' {
		return -1
	}
	i += n
	if t.byte(i) == '.' {
		if n = r.digits(i + 1); n == 0 {
			return -1
		}
		i += n + 1
	}
	if t.byte(i)|0x20 == 'e' {
		i++
		if c := t.byte(i); c == '+' || c == '-' {
			i++
		}
		if n = r.digits(i); n == 0 {
			return -1
		}
		i += n
	}
	return i
}

// digits returns the number of digits from i.
func (r *Reader) digits(i int) int {
	for n := 0; ; n += 8 {
		if m := notDigits(r.text.word(i+n) ^ zeros); m != 0 {
			return n + bits.TrailingZeros64(m)>>3
		}
	}
}

// raw writes the text of an object or array to a string column.
func (r *Reader) raw(v *vector.Vector, i, row, depth int) int {
	end := r.skip(i, depth)
	if end < 0 || r.mayHoldMarker(r.text.slice(i, end)) {
		return -1
	}
	v.SetBytes(row, r.text.slice(i, end))
	return end
}
