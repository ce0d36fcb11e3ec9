package aggregate

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"slices"
)

// exact is the sum of doubles without a rounding, so that it does not depend on
// their order: an integer in units of 2^-1074, the smallest double (Kulisch's
// long accumulator). Only the words that it needs are there: doubles of similar
// size have two or three.
type exact struct {
	words   []uint64 // in two's complement, the lowest first; none for 0
	low     int32    // the place of words[0]: it counts 2^(64*low-1074)
	special byte     // infinities and NaN among the doubles
}

const (
	specialNaN = 1 << iota
	specialPlus
	specialMinus
	specialAll = specialNaN | specialPlus | specialMinus
)

const (
	mantissaBits = 52
	exponentMask = 1<<11 - 1
	// A double reaches bit 2098, 2^64 of them bit 2162; the words behind are
	// signs.
	maxWords = 36
)

func (e *exact) add(v float64) {
	b := math.Float64bits(v)
	exponent, mantissa := int(b>>mantissaBits)&exponentMask, b&(1<<mantissaBits-1)
	switch {
	case exponent == exponentMask && mantissa != 0:
		e.special |= specialNaN
		return
	case exponent == exponentMask && v > 0:
		e.special |= specialPlus
		return
	case exponent == exponentMask:
		e.special |= specialMinus
		return
	case exponent > 0:
		mantissa |= 1 << mantissaBits
		exponent--
	}
	if mantissa == 0 {
		return
	}
	word, shift := int32(exponent/64), uint(exponent%64)
	e.cover(word, 2)
	low, high := mantissa<<shift, mantissa>>1>>(63-shift)
	if v < 0 {
		e.subtractAt(int(word-e.low), low, high)
	} else {
		e.addAt(int(word-e.low), low, high)
	}
}

// cover makes sure that there are words from a place on, and one more that
// holds nothing but the sign, for a carry.
func (e *exact) cover(from int32, n int) {
	if len(e.words) == 0 {
		e.low = from
	}
	if below := int(e.low - from); below > 0 {
		e.words = slices.Insert(e.words, 0, make([]uint64, below)...)
		e.low = from
	}
	need := int(from-e.low) + n + 1
	for len(e.words) < need || !e.hasSign() {
		e.words = append(e.words, e.sign())
	}
}

func (e *exact) sign() uint64 {
	if len(e.words) == 0 {
		return 0
	}
	return uint64(int64(e.words[len(e.words)-1]) >> 63)
}

func (e *exact) hasSign() bool {
	top := e.words[len(e.words)-1]
	return top == 0 || top == math.MaxUint64
}

func (e *exact) addAt(i int, low, high uint64) {
	var carry uint64
	e.words[i], carry = bits.Add64(e.words[i], low, 0)
	e.words[i+1], carry = bits.Add64(e.words[i+1], high, carry)
	for i += 2; carry != 0 && i < len(e.words); i++ {
		e.words[i], carry = bits.Add64(e.words[i], 0, carry)
	}
}

func (e *exact) subtractAt(i int, low, high uint64) {
	var borrow uint64
	e.words[i], borrow = bits.Sub64(e.words[i], low, 0)
	e.words[i+1], borrow = bits.Sub64(e.words[i+1], high, borrow)
	for i += 2; borrow != 0 && i < len(e.words); i++ {
		e.words[i], borrow = bits.Sub64(e.words[i], 0, borrow)
	}
}

func (e *exact) merge(o *exact) {
	e.special |= o.special
	if len(o.words) == 0 {
		return
	}
	e.cover(o.low, len(o.words))
	sign, carry := o.sign(), uint64(0)
	for i := range e.words[o.low-e.low:] {
		at, word := i+int(o.low-e.low), sign
		if i < len(o.words) {
			word = o.words[i]
		}
		e.words[at], carry = bits.Add64(e.words[at], word, carry)
	}
}

// trim takes away the words that say nothing: the same sum has the same words.
func (e *exact) trim() {
	for len(e.words) > 0 && e.words[0] == 0 {
		e.words, e.low = e.words[1:], e.low+1
	}
	for len(e.words) > 1 && e.hasSign() && (e.words[len(e.words)-2]^e.sign())>>63 == 0 {
		e.words = e.words[:len(e.words)-1]
	}
	if len(e.words) == 0 {
		e.low = 0
	}
}

// value is the double nearest to the sum, half to even; of doubles that are no
// numbers it is as if they were added up. False is a sum that no double holds.
func (e *exact) value() (float64, bool) {
	switch {
	case e.special&specialNaN != 0 || e.special == specialPlus|specialMinus:
		return math.NaN(), true
	case e.special == specialPlus:
		return math.Inf(1), true
	case e.special == specialMinus:
		return math.Inf(-1), true
	}
	words, negative := e.magnitude()
	top := len(words) - 1
	for top >= 0 && words[top] == 0 {
		top--
	}
	if top < 0 {
		return 0, true
	}
	// Of the bits from the highest on, 53 are the double's.
	length := 64*(int(e.low)+top) + bits.Len64(words[top])
	shift := max(length-(mantissaBits+1), 0)
	mantissa := bitsAt(words, int(e.low), shift)
	if roundsUp(words, int(e.low), shift, mantissa) {
		mantissa++
	}
	// A mantissa with all of its bits counts as an exponent of one more, which
	// is right for subnormals, and for one that was rounded up to 2^53.
	b := uint64(shift)<<mantissaBits + mantissa
	if b >= exponentMask<<mantissaBits {
		return 0, false
	}
	v := math.Float64frombits(b)
	if negative {
		v = -v
	}
	return v, true
}

func (e *exact) magnitude() (words []uint64, negative bool) {
	if e.sign() == 0 {
		return e.words, false
	}
	words = make([]uint64, len(e.words))
	carry := uint64(1)
	for i, w := range e.words {
		words[i], carry = bits.Add64(^w, 0, carry)
	}
	return words, true
}

// bitsAt is the 64 bits from a bit on, words[0] having the bits from 64*low on.
func bitsAt(words []uint64, low, bit int) uint64 {
	at := func(i int) uint64 {
		if i -= low; i < 0 || i >= len(words) {
			return 0
		}
		return words[i]
	}
	i, shift := bit/64, uint(bit%64)
	return at(i)>>shift | at(i+1)<<1<<(63-shift)
}

func roundsUp(words []uint64, low, shift int, mantissa uint64) bool {
	if shift == 0 {
		return false
	}
	if bitsAt(words, low, shift-1)&1 == 0 {
		return false
	}
	if mantissa&1 == 1 {
		return true
	}
	half := shift - 1 // the bits below it decide
	for i, w := range words {
		at := 64 * (low + i)
		if at >= half {
			return false
		}
		if below := half - at; below < 64 {
			w &= 1<<below - 1
		}
		if w != 0 {
			return true
		}
	}
	return false
}

func (e *exact) append(to []byte) []byte {
	e.trim()
	to = append(to, e.special, byte(len(e.words)), byte(e.low))
	for _, w := range e.words {
		to = binary.LittleEndian.AppendUint64(to, w)
	}
	return to
}

func (e *exact) load(data []byte) (rest []byte, err error) {
	if len(data) < 3 {
		return nil, errShort
	}
	special, n, low := data[0], int(data[1]), int(data[2])
	if special > specialAll || n+low > maxWords {
		return nil, errors.New("a sum of doubles is out of range")
	}
	if data = data[3:]; len(data) < 8*n {
		return nil, errShort
	}
	e.special, e.low, e.words = special, int32(low), make([]uint64, n, n+1)
	for i := range e.words {
		e.words[i] = binary.LittleEndian.Uint64(data[8*i:])
	}
	return data[8*n:], nil
}
