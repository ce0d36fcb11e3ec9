package fastjson

import (
	"math"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// notDigits marks the bytes of a word, less '0' by exclusive or, that are no
// digits; only the first mark is exact.
func notDigits(w uint64) uint64 { return ((w + 0x76*ones) | w) & highs }

// eight is the value of eight digits in a word, the first in the lowest byte.
func eight(w uint64) uint64 {
	w = w*10 + w>>8
	return ((w&0x000000FF000000FF)*0x000F424000000064 + (w>>16&0x000000FF000000FF)*0x0000271000000001) >> 32
}

// powers of ten that 64 bits hold.
var powers = [20]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

// run reads up to 16 digits from i, and their number.
func (r *Reader) run(i int) (x uint64, n int) {
	w := r.text.word(i) ^ zeros
	if m := notDigits(w); m != 0 {
		n = bits.TrailingZeros64(m) >> 3
		return eight(w << uint(64-8*n)), n
	}
	x = eight(w)
	w = r.text.word(i+8) ^ zeros
	n = 8
	if m := notDigits(w); m != 0 {
		n = bits.TrailingZeros64(m) >> 3
	}
	return x*powers[n] + eight(w<<uint(64-8*n)), 8 + n
}

// integer reads a whole number. The index is -1 if there is none that 64 bits
// hold; the caller's check of what follows refuses fractions.
func (r *Reader) integer(i int) (int64, int) {
	negative := r.text.byte(i) == '-'
	if negative {
		i++
	}
	w := r.text.word(i) ^ zeros
	var x uint64
	var n int
	if m := notDigits(w); m != 0 {
		n = bits.TrailingZeros64(m) >> 3
		if n == 0 || w&0xff == 0 && n > 1 {
			return 0, -1
		}
		x = eight(w << uint(64-8*n))
	} else {
		if x, n = r.run(i); w&0xff == 0 {
			return 0, -1
		}
	}
	i += n
	if n == 16 {
		y, more := r.run(i)
		if more > 3 {
			return 0, -1
		}
		x, i = x*powers[more]+y, i+more
		if x > math.MaxInt64 {
			return 0, -1
		}
	}
	if negative {
		return -int64(x), i
	}
	return int64(x), i
}

func isFraction(c byte) bool { return c == '.' || c|0x20 == 'e' }

// exact are the powers of ten that a double holds.
var exact = [23]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// double reads a number whose digits and power of ten are doubles themselves,
// so that one division rounds correctly (Clinger's fast path); -1 for others.
func (r *Reader) double(i int) (float64, int) {
	t := r.text
	// Most have few digits before and behind the point.
	w := t.word(i) ^ zeros
	if m := notDigits(w); m != 0 {
		n := bits.TrailingZeros64(m) >> 3
		if n > 0 && t.byte(i+n) == '.' && (w&0xff != 0 || n == 1) {
			v := t.word(i+n+1) ^ zeros
			if m := notDigits(v); m != 0 {
				places := bits.TrailingZeros64(m) >> 3
				end := i + n + 1 + places
				if places > 0 && t.byte(end)|0x20 != 'e' {
					// 14 digits are below 2^53.
					return float64(eight(w<<(uint(-8*n)&63))*powers[places]+eight(v<<(uint(-8*places)&63))) / exact[places], end
				}
			}
		}
	}
	x, places, negative, end := r.fixed(i)
	if end < 0 || x > 1<<53 {
		return 0, -1
	}
	f := float64(x) / exact[places]
	if negative {
		f = -f
	}
	return f, end
}

// fixed reads a number of at most 16 digits as a whole number and the count of
// its decimal places; end is -1 for others, those with an exponent too.
func (r *Reader) fixed(i int) (x uint64, places int, negative bool, end int) {
	t := r.text
	if negative = t.byte(i) == '-'; negative {
		i++
	}
	x, n := r.run(i)
	if n == 0 || n == 16 || n > 1 && t.byte(i) == '0' {
		return 0, 0, false, -1
	}
	i += n
	if t.byte(i) == '.' {
		var y uint64
		y, places = r.run(i + 1)
		if places == 0 || places+n > 16 {
			return 0, 0, false, -1
		}
		x = x*powers[places] + y
		i += places + 1
	}
	if t.byte(i)|0x20 == 'e' {
		return 0, 0, false, -1
	}
	return x, places, negative, i
}

// decimal reads a number, or a string that holds one, of at most 18 digits at
// the column's scale; -1 for others.
func (r *Reader) decimal(s *slot, i, row int) int {
	quoted := 0
	if r.text.byte(i) == '"' {
		quoted = 1
	}
	x, places, negative, end := r.fixed(i + quoted)
	if end < 0 || places > s.scale || s.scale-places > 18 || quoted == 1 && r.text.byte(end) != '"' {
		return -1
	}
	high, low := bits.Mul64(x, powers[s.scale-places])
	if high != 0 || low >= s.limit {
		return -1
	}
	d := decimal128.FromU64(low)
	if negative {
		d = d.Negate()
	}
	s.vector.Decimals[row] = d
	return end + quoted
}

// epoch writes a whole number since 1970 as microseconds, rounded down.
func (r *Reader) epoch(s *slot, x int64, end, row int) int {
	if s.over != 1 {
		q := x / s.over
		if x%s.over < 0 {
			q--
		}
		s.vector.I64[row] = q
		return end
	}
	if s.times != 1 && (x > math.MaxInt64/1_000_000 || x < math.MinInt64/1_000_000) {
		return -1
	}
	s.vector.I64[row] = x * s.times
	return end
}

// scalar has the slot's Cast read a value that is not null.
func (r *Reader) scalar(s *slot, i, row int) int {
	t := r.text
	var err error
	end := -1
	switch c := t.byte(i); c {
	case '"':
		var text []byte
		if text, end = r.quoted(i); end >= 0 && r.unavailable(text) {
			return -1
		} else if end >= 0 {
			err = s.cast.Text(s.vector, row, text)
		}
	case 't', 'f':
		if end = r.skip(i, 0); end >= 0 {
			err = s.cast.Bool(s.vector, row, c == 't')
		}
	case '{', '[', 'n':
	default:
		if end = r.skipNumber(i); end >= 0 {
			err = s.cast.Number(s.vector, row, t.slice(i, end))
		}
	}
	if err != nil {
		return -1
	}
	return end
}
