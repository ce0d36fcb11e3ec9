package literal

import (
	"bytes"
	"errors"
	"math/big"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// Why text is no number, or no number of a type.
var (
	ErrNotNumber = errors.New("not a number")
	ErrInexact   = errors.New("too many decimal places")
	ErrTooWide   = errors.New("too many digits")
)

// Number is a JSON number taken apart: ±digits × 10^exponent, digits without
// leading and trailing zeros ("" for zero).
type Number struct {
	Negative bool
	Digits   []byte
	Exponent int
}

// ParseNumber reads the grammar of RFC 8259 §6, whole or not at all. scratch is
// reused for the digits.
func ParseNumber(text, scratch []byte) (Number, error) {
	var n Number
	rest := text
	if len(rest) > 0 && rest[0] == '-' {
		n.Negative = true
		rest = rest[1:]
	}
	whole, rest := SplitDigits(rest)
	if len(whole) == 0 || (len(whole) > 1 && whole[0] == '0') {
		return Number{}, ErrNotNumber
	}
	n.Digits = append(scratch[:0], whole...)
	if len(rest) > 0 && rest[0] == '.' {
		var fraction []byte
		if fraction, rest = SplitDigits(rest[1:]); len(fraction) == 0 {
			return Number{}, ErrNotNumber
		}
		n.Digits = append(n.Digits, fraction...)
		n.Exponent = -len(fraction)
	}
	if len(rest) > 0 {
		exponent, err := parseExponent(rest)
		if err != nil {
			return Number{}, err
		}
		n.Exponent += exponent
	}
	n.Digits = bytes.TrimLeft(n.Digits, "0")
	trimmed := bytes.TrimRight(n.Digits, "0")
	n.Exponent += len(n.Digits) - len(trimmed)
	if n.Digits = trimmed; len(trimmed) == 0 {
		n.Exponent = 0
	}
	return n, nil
}

// SplitDigits cuts text behind the digits that it begins with.
func SplitDigits(s []byte) (digits, rest []byte) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return s[:i], s[i:]
}

func parseExponent(s []byte) (int, error) {
	if s[0] != 'e' && s[0] != 'E' {
		return 0, ErrNotNumber
	}
	s = s[1:]
	sign := 1
	if len(s) > 0 && (s[0] == '+' || s[0] == '-') {
		if s[0] == '-' {
			sign = -1
		}
		s = s[1:]
	}
	digits, rest := SplitDigits(s)
	if len(digits) == 0 || len(rest) > 0 {
		return 0, ErrNotNumber
	}
	digits = bytes.TrimLeft(digits, "0")
	if len(digits) > 9 { // keeps the sums with fraction lengths inside an int
		return sign * 1e9, nil
	}
	e, _ := strconv.Atoi("0" + string(digits))
	return sign * e, nil
}

// Scaled returns the number × 10^scale as an integer of at most maxDigits
// digits. If floor is set, what is finer is dropped towards negative infinity;
// else it is an error.
func (n Number) Scaled(scale, maxDigits int, floor bool) (decimal128.Num, error) {
	digits, zeros, dropped := n.Digits, n.Exponent+scale, false
	if len(digits) == 0 {
		return decimal128.Num{}, nil
	}
	if zeros < 0 {
		if !floor {
			return decimal128.Num{}, ErrInexact
		}
		digits, zeros, dropped = digits[:max(0, len(digits)+zeros)], 0, true
	}
	if zeros > maxDigits || len(digits)+zeros > maxDigits {
		return decimal128.Num{}, ErrTooWide
	}
	v := magnitude(digits, zeros)
	if n.Negative {
		if dropped {
			v = v.Add(decimal128.FromU64(1))
		}
		v = v.Negate()
	}
	return v, nil
}

// magnitude returns digits × 10^zeros, of at most 38 digits in all.
func magnitude(digits []byte, zeros int) decimal128.Num {
	if len(digits)+zeros <= 18 {
		var small uint64
		for _, d := range digits {
			small = small*10 + uint64(d-'0')
		}
		for range zeros {
			small *= 10
		}
		return decimal128.FromU64(small)
	}
	v, _ := new(big.Int).SetString(string(digits)+strings.Repeat("0", zeros), 10)
	return decimal128.FromBigInt(v)
}
