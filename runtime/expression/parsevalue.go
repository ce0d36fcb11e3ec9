package expression

import (
	"math"
	"strconv"
	"strings"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

const whiteSpace = " \t\n\r\v\f"

func trimSpace(s string) string { return strings.Trim(s, whiteSpace) }

func parseBoolean(s string) (value, ok bool) {
	s = trimSpace(s)
	switch {
	case strings.EqualFold(s, "true"):
		return true, true
	case strings.EqualFold(s, "false"):
		return false, true
	}
	return false, false
}

// integerParser reads int, long, date or timestamps.
func integerParser(t arrow.DataType) func(string) (int64, bool) {
	switch {
	case is(t, arrow.DATE32):
		return func(s string) (int64, bool) {
			days, err := parseDate(trimSpace(s))
			return days, err == nil
		}
	case isTimestamp(t):
		zoned := t.(*arrow.TimestampType).TimeZone != ""
		return func(s string) (int64, bool) {
			us, hasZone, err := parseTimestamp(trimSpace(s))
			return us, err == nil && (zoned || !hasZone)
		}
	}
	low, high := int64(math.MinInt64), int64(math.MaxInt64)
	if is(t, arrow.INT32) {
		low, high = math.MinInt32, math.MaxInt32
	}
	return func(s string) (int64, bool) {
		n, ok := parseLong(trimSpace(s))
		return n, ok && n >= low && n <= high
	}
}

// parseLong reads decimal digits with or without a sign. strconv's own errors
// would allocate.
func parseLong(s string) (int64, bool) {
	digits := strings.TrimLeft(s, "+-")
	if len(s)-len(digits) > 1 || digits == "" {
		return 0, false
	}
	var n uint64
	for i := 0; i < len(digits); i++ {
		if !isDigit(digits[i]) || n > (1<<63)/10 {
			return 0, false
		}
		n = n*10 + uint64(digits[i]-'0')
	}
	switch {
	case s[0] == '-' && n <= 1<<63:
		return -int64(n), true
	case s[0] != '-' && n <= math.MaxInt64:
		return int64(n), true
	}
	return 0, false
}

// doubleParser reads numbers as SQL writes them: no hexadecimal, no NaN.
func doubleParser(t arrow.DataType) func(string) (float64, bool) {
	bits := 64
	if is(t, arrow.FLOAT32) {
		bits = 32
	}
	return func(s string) (float64, bool) {
		s = trimSpace(s)
		for i := 0; i < len(s); i++ {
			if c := s[i]; !isDigit(c) && c != '.' && c != '+' && c != '-' && c != 'e' && c != 'E' {
				return 0, false
			}
		}
		x, err := strconv.ParseFloat(s, bits)
		return x, err == nil
	}
}

// parseFinite reads a number that is known to be one.
func parseFinite(s string) float64 {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic("BUG: " + s + " is no number")
	}
	return x
}

// parseDecimal reads a number, with or without an exponent, and rounds it half
// away from zero to the type's scale; exact tells that nothing was lost.
func parseDecimal(s string, t *arrow.Decimal128Type) (n decimal128.Num, exact, ok bool) {
	negative, digits, point, ok := splitNumber(s)
	if !ok {
		return n, false, false
	}
	digits = strings.TrimLeft(digits, "0")
	keep := len(digits) + point + int(t.Scale) // digits that the scale has room for
	exact = true
	up := false
	switch {
	case keep < 0:
		exact, digits, keep = digits == "", "", 0
	case keep < len(digits):
		exact = strings.Trim(digits[keep:], "0") == ""
		up = digits[keep] >= '5'
		digits = digits[:keep]
	}
	if keep > decimal128.MaxPrecision && digits != "" {
		return n, false, false
	}
	if digits == "" {
		keep = 0
	}
	for _, c := range []byte(digits) {
		n = n.Mul(ten).Add(decimal128.FromU64(uint64(c - '0')))
	}
	if keep > len(digits) {
		n = n.Mul(decimal128.GetScaleMultiplier(keep - len(digits)))
	}
	if up {
		n = n.Add(decimal128.FromU64(1))
	}
	if negative {
		n = n.Negate()
	}
	return n, exact, n.FitsInPrecision(t.Precision)
}

var ten = decimal128.FromU64(10)

// splitNumber takes a number apart: its digits, and the power of ten of the
// last of them.
func splitNumber(s string) (negative bool, digits string, power int, ok bool) {
	negative = strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(strings.TrimPrefix(s, "-"), "+")
	if negative && strings.HasPrefix(s, "+") {
		return false, "", 0, false
	}
	if at := strings.IndexAny(s, "eE"); at >= 0 {
		exponent, fine := parseLong(s[at+1:])
		if !fine || exponent < -9999 || exponent > 9999 {
			return false, "", 0, false
		}
		s, power = s[:at], int(exponent)
	}
	whole, fraction, _ := strings.Cut(s, ".")
	if whole+fraction == "" {
		return false, "", 0, false
	}
	digits = whole
	if fraction != "" {
		digits = whole + fraction
	}
	for i := 0; i < len(digits); i++ {
		if !isDigit(digits[i]) {
			return false, "", 0, false
		}
	}
	return negative, digits, power - len(fraction), true
}

// arena keeps the texts that a kernel makes in few large pieces.
type arena struct{ free []byte }

// scratch is room to build the next text in.
func (a *arena) scratch() []byte {
	const least, piece = 64, 16 << 10
	if cap(a.free) < least {
		a.free = make([]byte, 0, piece)
	}
	return a.free
}

// keep makes a string of what was appended to scratch.
func (a *arena) keep(b []byte) string {
	if len(b) > 0 && cap(a.free) > 0 && &b[0] == &a.free[:1][0] {
		a.free = b[len(b):]
	}
	return unsafeString(b)
}

// unsafeString is bytes that nobody writes to any more.
func unsafeString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// unsafeBytes is a string's bytes, for those who only read them.
func unsafeBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
