package expression

import (
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// conversion is how values of one type become another; nil if they cannot.
func conversion(from, to arrow.DataType) kernel1 {
	switch {
	case arrow.TypeEqual(from, to):
		return func(_ *run, v *vector) *vector { return v }
	case isString(to):
		return toText(from)
	case isString(from):
		return fromText(to)
	case is(from, arrow.BOOL) && isInteger(to):
		return booleanToInteger
	case isInteger(from) && is(to, arrow.BOOL):
		return integerToBoolean
	case isNumeric(from) && isNumeric(to):
		return numberToNumber(from, to)
	case isTime(from) && isTime(to):
		return timeToTime(from, to)
	}
	return nil
}

// misfit describes a value that has no place in another type.
func misfit(v *vector, from, to arrow.DataType) reason {
	return func(row int) string {
		return fmt.Sprintf("%s %s is no %s", typeName(from), v.show(row, from), typeName(to))
	}
}

func booleanToInteger(r *run, v *vector) *vector {
	return withInts(map1(r.rows, v, v.bools, func(b bool) int64 {
		if b {
			return 1
		}
		return 0
	}))
}

func integerToBoolean(r *run, v *vector) *vector {
	return withBools(map1(r.rows, v, v.ints, func(n int64) bool { return n != 0 }))
}

func numberToNumber(from, to arrow.DataType) kernel1 {
	switch {
	case isDecimal(to):
		return toDecimal(from, to.(*arrow.Decimal128Type))
	case isFloating(to):
		return toDouble(from, to)
	}
	return toInteger(from, to)
}

// toInteger rounds half away from zero.
func toInteger(from, to arrow.DataType) kernel1 {
	low, high := int64(math.MinInt64), int64(math.MaxInt64)
	if is(to, arrow.INT32) {
		low, high = math.MinInt32, math.MaxInt32
	}
	fits := func(n int64) (int64, bool) { return n, n >= low && n <= high }
	return func(r *run, v *vector) *vector {
		why := misfit(v, from, to)
		switch classOf(from) {
		case classDouble:
			return withInts(try1(r.rows, v, v.doubles, func(x float64) (int64, bool) {
				x = math.Round(x)
				if !(x >= -1<<63 && x < 1<<63) {
					return 0, false
				}
				return fits(int64(x))
			}, why))
		case classDecimal:
			var w wide
			scale := from.(*arrow.Decimal128Type)
			return withInts(try1(r.rows, v, v.decimals, func(x decimal128.Num) (int64, bool) {
				whole, ok := w.rescale(x, scale, decimalType(19, 0))
				if !ok || whole.HighBits() != int64(whole.LowBits())>>63 {
					return 0, false
				}
				return fits(int64(whole.LowBits()))
			}, why))
		}
		if is(to, arrow.INT64) {
			return v
		}
		return withInts(try1(r.rows, v, v.ints, fits, why))
	}
}

func toDouble(from, to arrow.DataType) kernel1 {
	single := is(to, arrow.FLOAT32)
	fits := func(x float64) (float64, bool) {
		if !single {
			return x, true
		}
		short := float64(float32(x))
		return short, !math.IsInf(short, 0) || math.IsInf(x, 0)
	}
	return func(r *run, v *vector) *vector {
		why := misfit(v, from, to)
		switch classOf(from) {
		case classInteger:
			return withDoubles(try1(r.rows, v, v.ints, func(n int64) (float64, bool) { return fits(float64(n)) }, why))
		case classDecimal:
			scale := from.(*arrow.Decimal128Type).Scale
			return withDoubles(try1(r.rows, v, v.decimals, func(n decimal128.Num) (float64, bool) { return fits(doubleOf(n, scale)) }, why))
		}
		if !single {
			return v
		}
		return withDoubles(try1(r.rows, v, v.doubles, fits, why))
	}
}

func toDecimal(from arrow.DataType, to *arrow.Decimal128Type) kernel1 {
	return func(r *run, v *vector) *vector {
		why := misfit(v, from, to)
		var w wide
		switch classOf(from) {
		case classInteger:
			// A decimal with room for every long fits without a check.
			whole := asDecimal(from)
			if to.Precision-to.Scale >= whole.Precision {
				up := decimal128.GetScaleMultiplier(int(to.Scale))
				return withDecimals(map1(r.rows, v, v.ints, func(n int64) decimal128.Num { return decimal128.FromI64(n).Mul(up) }))
			}
			return withDecimals(try1(r.rows, v, v.ints, func(n int64) (decimal128.Num, bool) { return w.rescale(decimal128.FromI64(n), whole, to) }, why))
		case classDouble:
			var buffer [400]byte
			return withDecimals(try1(r.rows, v, v.doubles, func(x float64) (decimal128.Num, bool) {
				if math.IsNaN(x) || math.IsInf(x, 0) {
					return decimal128.Num{}, false
				}
				n, _, ok := parseDecimal(unsafeString(appendDouble(buffer[:0], x, from)), to)
				return n, ok
			}, why))
		}
		have := from.(*arrow.Decimal128Type)
		if up := to.Scale - have.Scale; up >= 0 && to.Precision-to.Scale >= have.Precision-have.Scale {
			by := decimal128.GetScaleMultiplier(int(up))
			return withDecimals(map1(r.rows, v, v.decimals, func(n decimal128.Num) decimal128.Num { return n.Mul(by) }))
		}
		return withDecimals(try1(r.rows, v, v.decimals, func(n decimal128.Num) (decimal128.Num, bool) { return w.rescale(n, have, to) }, why))
	}
}

func timeToTime(from, to arrow.DataType) kernel1 {
	switch {
	case is(from, arrow.DATE32):
		return func(r *run, v *vector) *vector {
			return withInts(try1(r.rows, v, v.ints, midnight, misfit(v, from, to)))
		}
	case is(to, arrow.DATE32):
		return func(r *run, v *vector) *vector {
			return withInts(map1(r.rows, v, v.ints, daysOf))
		}
	}
	return func(_ *run, v *vector) *vector { return v } // both count µs; without a zone it is UTC
}

// toText writes values as text; nil for types without one.
func toText(from arrow.DataType) kernel1 {
	switch classOf(from) {
	case classBoolean:
		return func(r *run, v *vector) *vector {
			return withTexts(map1(r.rows, v, v.bools, func(b bool) string {
				if b {
					return "true"
				}
				return "false"
			}))
		}
	case classInteger:
		return func(r *run, v *vector) *vector {
			var text arena
			return withTexts(map1(r.rows, v, v.ints, func(n int64) string { return text.keep(appendInteger(text.scratch(), n, from)) }))
		}
	case classDouble:
		return func(r *run, v *vector) *vector {
			var text arena
			return withTexts(map1(r.rows, v, v.doubles, func(x float64) string { return text.keep(appendDouble(text.scratch(), x, from)) }))
		}
	case classDecimal:
		scale := from.(*arrow.Decimal128Type).Scale
		return func(r *run, v *vector) *vector {
			return withTexts(map1(r.rows, v, v.decimals, func(n decimal128.Num) string { return string(appendDecimal(nil, n, scale)) }))
		}
	case classText: // of binary
		return func(r *run, v *vector) *vector {
			return withTexts(try1(r.rows, v, v.texts, func(s string) (string, bool) { return s, utf8.ValidString(s) }, func(row int) string {
				return "binary " + v.show(row, from) + " is not valid UTF-8"
			}))
		}
	}
	return nil
}

// fromText reads values of text; nil for types without one. White space around
// them is left out.
func fromText(to arrow.DataType) kernel1 {
	switch classOf(to) {
	case classBoolean:
		return func(r *run, v *vector) *vector {
			return withBools(try1(r.rows, v, v.texts, parseBoolean, misfit(v, typeString, to)))
		}
	case classInteger:
		parse := integerParser(to)
		return func(r *run, v *vector) *vector {
			return withInts(try1(r.rows, v, v.texts, parse, misfit(v, typeString, to)))
		}
	case classDouble:
		parse := doubleParser(to)
		return func(r *run, v *vector) *vector {
			return withDoubles(try1(r.rows, v, v.texts, parse, misfit(v, typeString, to)))
		}
	case classDecimal:
		decimal := to.(*arrow.Decimal128Type)
		return func(r *run, v *vector) *vector {
			return withDecimals(try1(r.rows, v, v.texts, func(s string) (decimal128.Num, bool) {
				n, _, ok := parseDecimal(trimSpace(s), decimal)
				return n, ok
			}, misfit(v, typeString, to)))
		}
	case classText: // to binary: its UTF-8
		return func(_ *run, v *vector) *vector { return v }
	}
	return nil
}
