package expression

import (
	"fmt"
	"math"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

func checkAbs(n *callNode, args []*term) (*term, *fault) {
	if err := wantNumber(n, args...); err != nil {
		return nil, err
	}
	x := args[0]
	switch classOf(x.typ) {
	case classDouble:
		return apply(n.at(), x.typ, ofDoubles(math.Abs), x), nil
	case classDecimal:
		return apply(n.at(), x.typ, func(r *run, v *vector) *vector {
			return withDecimals(map1(r.rows, v, v.decimals, decimal128.Num.Abs))
		}, x), nil
	}
	return apply(n.at(), typeLong, func(r *run, v *vector) *vector {
		return withInts(try1(r.rows, v, v.ints, func(i int64) (int64, bool) { return max(i, -i), i != math.MinInt64 }, func(row int) string {
			return fmt.Sprintf("abs(%s) is out of the range of long", v.show(row, typeLong))
		}))
	}, x), nil
}

func ofDoubles(f func(float64) float64) kernel1 {
	return func(r *run, v *vector) *vector {
		return withDoubles(map1(r.rows, v, v.doubles, f))
	}
}

// checkWhole is floor and ceil: a whole number of the same kind.
func checkWhole(up bool) func(*callNode, []*term) (*term, *fault) {
	return func(n *callNode, args []*term) (*term, *fault) {
		if err := wantNumber(n, args...); err != nil {
			return nil, err
		}
		x := args[0]
		switch t := x.typ.(type) {
		case *arrow.Decimal128Type:
			to := decimalType(min(t.Precision-t.Scale+1, decimal128.MaxPrecision), 0)
			return apply(n.at(), to, wholeDecimal(up, t, to), x), nil
		case *arrow.Float32Type, *arrow.Float64Type:
			if up {
				return apply(n.at(), x.typ, ofDoubles(math.Ceil), x), nil
			}
			return apply(n.at(), x.typ, ofDoubles(math.Floor), x), nil
		}
		return coerce(x, typeLong)
	}
}

func wholeDecimal(up bool, from, to *arrow.Decimal128Type) kernel1 {
	return func(r *run, v *vector) *vector {
		var w wide
		return withDecimals(map1(r.rows, v, v.decimals, func(n decimal128.Num) decimal128.Num {
			if up {
				n = n.Negate()
			}
			w.set(&w.x, n)
			w.z.Div(&w.x, powerOfTen(from.Scale)) // Euclidean: down
			whole, _ := w.get(&w.z, to.Precision) // one digit more than before always fits
			if up {
				whole = whole.Negate()
			}
			return whole
		}))
	}
}

const maxRoundDigits = 18

// checkRound is round(x) and round(x, digits), half away from zero.
func checkRound(n *callNode, args []*term) (*term, *fault) {
	if err := wantNumber(n, args[:1]...); err != nil {
		return nil, err
	}
	digits := int32(0)
	if len(args) == 2 {
		c := args[1].constant
		if c == nil || !isInteger(args[1].typ) || !c.ok(0) || c.ints[0] < 0 || c.ints[0] > maxRoundDigits {
			return nil, failf(n.args[1].at(), "round needs a whole number from 0 to %d as its digits", maxRoundDigits)
		}
		digits = int32(c.ints[0])
	}
	x := args[0]
	switch t := x.typ.(type) {
	case *arrow.Decimal128Type:
		if digits >= t.Scale {
			return x, nil
		}
		to := decimalType(min(t.Precision-t.Scale+digits+1, decimal128.MaxPrecision), digits)
		return apply(n.at(), to, toDecimal(t, to), x), nil
	case *arrow.Float32Type, *arrow.Float64Type:
		return apply(n.at(), x.typ, roundKernel(int(digits), x.typ), x), nil
	}
	return coerce(x, typeLong)
}

// roundKernel rounds the number that people see: 2.675 to two digits is 2.68,
// although the double is a little less.
func roundKernel(digits int, t arrow.DataType) kernel1 {
	if digits == 0 {
		return ofDoubles(math.Round)
	}
	return func(r *run, v *vector) *vector {
		var buffer [400]byte
		return withDoubles(map1(r.rows, v, v.doubles, func(x float64) float64 { return roundText(x, digits, t, buffer[:0]) }))
	}
}

func roundText(x float64, digits int, t arrow.DataType, buffer []byte) float64 {
	if abs := math.Abs(x); math.IsNaN(x) || abs >= 1<<53 || abs < 1e-6 {
		if abs < 1e-6 && digits < 6 {
			return 0
		}
		if !(abs < 1e-6) {
			return x // whole, infinite or no number
		}
		unit := math.Pow10(digits)
		return math.Round(x*unit) / unit
	}
	text := appendDouble(buffer, x, t)
	point := strings.IndexByte(unsafeString(text), '.')
	if point < 0 || len(text)-point-1 <= digits {
		return x
	}
	up := text[point+1+digits] >= '5'
	text = text[:point+1+digits]
	if up {
		text = increment(text)
	}
	return parseFinite(unsafeString(text))
}

// increment adds one to the last digit of a number's magnitude.
func increment(text []byte) []byte {
	for i := len(text) - 1; i >= 0; i-- {
		switch {
		case text[i] == '.' || text[i] == '-':
			continue
		case text[i] < '9':
			text[i]++
			return text
		}
		text[i] = '0'
	}
	// All nines: a digit more.
	at := 0
	if text[0] == '-' {
		at = 1
	}
	text = append(text, 0)
	copy(text[at+1:], text[at:])
	text[at] = '1'
	return text
}
