package decode

import (
	"bytes"
	"errors"
	"math/big"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

var (
	errNotNumber = errors.New("not a number")
	errInexact   = errors.New("too many decimal places")
	errTooWide   = errors.New("too many digits")
)

// number is a JSON number taken apart: ±digits × 10^exponent, digits without
// leading and trailing zeros ("" for zero).
type number struct {
	negative bool
	digits   []byte
	exponent int
}

// parseNumber reads the grammar of RFC 8259 §6, whole or not at all. scratch is
// reused for the digits.
func parseNumber(text, scratch []byte) (number, error) {
	var n number
	rest := text
	if len(rest) > 0 && rest[0] == '-' {
		n.negative = true
		rest = rest[1:]
	}
	whole, rest := splitDigits(rest)
	if len(whole) == 0 || (len(whole) > 1 && whole[0] == '0') {
		return number{}, errNotNumber
	}
	n.digits = append(scratch[:0], whole...)
	if len(rest) > 0 && rest[0] == '.' {
		var fraction []byte
		if fraction, rest = splitDigits(rest[1:]); len(fraction) == 0 {
			return number{}, errNotNumber
		}
		n.digits = append(n.digits, fraction...)
		n.exponent = -len(fraction)
	}
	if len(rest) > 0 {
		exponent, err := parseExponent(rest)
		if err != nil {
			return number{}, err
		}
		n.exponent += exponent
	}
	n.digits = bytes.TrimLeft(n.digits, "0")
	trimmed := bytes.TrimRight(n.digits, "0")
	n.exponent += len(n.digits) - len(trimmed)
	if n.digits = trimmed; len(trimmed) == 0 {
		n.exponent = 0
	}
	return n, nil
}

func splitDigits(s []byte) (digits, rest []byte) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return s[:i], s[i:]
}

func parseExponent(s []byte) (int, error) {
	if s[0] != 'e' && s[0] != 'E' {
		return 0, errNotNumber
	}
	s = s[1:]
	sign := 1
	if len(s) > 0 && (s[0] == '+' || s[0] == '-') {
		if s[0] == '-' {
			sign = -1
		}
		s = s[1:]
	}
	digits, rest := splitDigits(s)
	if len(digits) == 0 || len(rest) > 0 {
		return 0, errNotNumber
	}
	digits = bytes.TrimLeft(digits, "0")
	if len(digits) > 9 { // keeps the sums with fraction lengths inside an int
		return sign * 1e9, nil
	}
	e, _ := strconv.Atoi("0" + string(digits))
	return sign * e, nil
}

// scaled returns the number × 10^scale as an integer of at most maxDigits
// digits. If floor is set, what is finer is dropped towards negative infinity;
// else it is an error.
func (n number) scaled(scale, maxDigits int, floor bool) (decimal128.Num, error) {
	digits, zeros, dropped := n.digits, n.exponent+scale, false
	if len(digits) == 0 {
		return decimal128.Num{}, nil
	}
	if zeros < 0 {
		if !floor {
			return decimal128.Num{}, errInexact
		}
		digits, zeros, dropped = digits[:max(0, len(digits)+zeros)], 0, true
	}
	if zeros > maxDigits || len(digits)+zeros > maxDigits {
		return decimal128.Num{}, errTooWide
	}
	v := magnitude(digits, zeros)
	if n.negative {
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
