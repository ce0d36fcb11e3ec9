package expression

import (
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// vector holds the values of an expression for all rows of a batch, or the one
// value that all rows have. Row i is at i&mask. Vectors are not changed once
// their maker has returned them: constants are shared by all evaluations.
//
// A row that cannot be computed is null and has a reason; the reason goes
// wherever the value would have gone, and is dropped where the value is not
// asked for: in the branch of a case that is not taken, behind a false and.
type vector struct {
	mask   int
	valid  []bool   // nil: no row is null
	faults []reason // nil: all rows could be computed

	bools    []bool
	ints     []int64
	doubles  []float64
	decimals []decimal128.Num
	texts    []string
	nested   arrow.Array // never constant

	ownsValid, ownsFaults bool // they are not another vector's
}

// reason says why a row cannot be computed.
type reason func(row int) string

const allRows = -1 // mask of a vector that has a value a row

func (v *vector) isConstant() bool { return v.mask == 0 }

func (v *vector) ok(i int) bool { return v.valid == nil || v.valid[i&v.mask] }

func (v *vector) fault(i int) reason {
	if v.faults == nil {
		return nil
	}
	return v.faults[i&v.mask]
}

// length is how many values a vector of a mask has.
func length(mask, rows int) int {
	if mask == 0 {
		return 1
	}
	return rows
}

// strict is a vector without values yet: a row is null where an operand is,
// and cannot be computed where an operand could not.
func strict(rows int, operands ...*vector) (*vector, int) {
	out := &vector{}
	for _, o := range operands {
		out.mask |= o.mask
	}
	n := length(out.mask, rows)
	for _, o := range operands {
		out.addNulls(o, n)
		out.addFaults(o, n)
	}
	return out, n
}

func (v *vector) addNulls(o *vector, n int) {
	switch {
	case o.valid == nil:
	case v.valid == nil && o.mask == v.mask:
		v.valid = o.valid
	default:
		v.own(n)
		for i := range v.valid {
			v.valid[i] = v.valid[i] && o.valid[i&o.mask]
		}
	}
}

func (v *vector) addFaults(o *vector, n int) {
	if o.faults == nil {
		return
	}
	for i := range n {
		if f := o.faults[i&o.mask]; f != nil && v.fault(i) == nil {
			v.fail(i, n, f)
		}
	}
}

// own makes validity that may be written.
func (v *vector) own(n int) {
	switch {
	case v.ownsValid:
		return
	case v.valid == nil:
		v.valid = slices.Repeat([]bool{true}, n)
	default:
		v.valid = slices.Clone(v.valid)
	}
	v.ownsValid = true
}

func (v *vector) setNull(i, n int) {
	v.own(n)
	v.valid[i] = false
}

// fail marks row i of n as one that cannot be computed.
func (v *vector) fail(i, n int, why reason) {
	v.setNull(i, n)
	if !v.ownsFaults {
		faults := make([]reason, n)
		copy(faults, v.faults)
		v.faults, v.ownsFaults = faults, true
	}
	v.faults[i] = why
}

// show is a value for a message.
func (v *vector) show(row int, t arrow.DataType) string {
	if !v.ok(row) {
		return "null"
	}
	i := row & v.mask
	switch classOf(t) {
	case classBoolean:
		return strconv.FormatBool(v.bools[i])
	case classInteger:
		return string(appendInteger(nil, v.ints[i], t))
	case classDouble:
		return string(appendDouble(nil, v.doubles[i], t))
	case classDecimal:
		return string(appendDecimal(nil, v.decimals[i], t.(*arrow.Decimal128Type).Scale))
	case classText:
		return showText(v.texts[i])
	}
	return typeName(t)
}

func showText(text string) string {
	const most = 100
	cut := text
	if len(cut) > most {
		cut = cut[:most]
		for len(cut) > 0 && !utf8.ValidString(cut[max(0, len(cut)-1):]) && len(cut) > most-utf8.UTFMax {
			cut = cut[:len(cut)-1]
		}
	}
	quoted := strconv.Quote(cut)
	if len(cut) < len(text) {
		quoted += "…"
	}
	return quoted
}

// appendInteger writes what is held as an integer in the form that cast gives.
func appendInteger(b []byte, v int64, t arrow.DataType) []byte {
	switch {
	case is(t, arrow.DATE32):
		return appendDate(b, v)
	case isTimestamp(t):
		return appendTimestamp(b, v, t.(*arrow.TimestampType).TimeZone != "")
	}
	return strconv.AppendInt(b, v, 10)
}

// appendDouble writes the shortest text that reads back as the same number.
func appendDouble(b []byte, v float64, t arrow.DataType) []byte {
	bits := 64
	if is(t, arrow.FLOAT32) {
		bits = 32
	}
	format := byte('f')
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(b, v, format, -1, bits)
}

// appendDecimal writes all digits of the scale.
func appendDecimal(b []byte, n decimal128.Num, scale int32) []byte {
	if n.Sign() < 0 {
		b, n = append(b, '-'), n.Negate()
	}
	begin := len(b)
	if n.HighBits() == 0 {
		b = strconv.AppendUint(b, n.LowBits(), 10)
	} else {
		b = n.BigInt().Append(b, 10)
	}
	if scale == 0 {
		return b
	}
	if missing := int(scale) + 1 - (len(b) - begin); missing > 0 { // zeros before and behind the point
		b = slices.Insert(b, begin, slices.Repeat([]byte{'0'}, missing)...)
	}
	return slices.Insert(b, len(b)-int(scale), '.')
}

func withBools(v *vector, values []bool) *vector {
	v.bools = values
	return v
}

func withInts(v *vector, values []int64) *vector {
	v.ints = values
	return v
}

func withDoubles(v *vector, values []float64) *vector {
	v.doubles = values
	return v
}

func withDecimals(v *vector, values []decimal128.Num) *vector {
	v.decimals = values
	return v
}

func withTexts(v *vector, values []string) *vector {
	v.texts = values
	return v
}

// map1 computes a strict function of one operand.
func map1[A, B any](rows int, a *vector, in []A, f func(A) B) (*vector, []B) {
	out, n := strict(rows, a)
	made := make([]B, n)
	if out.valid == nil {
		for i := range made {
			made[i] = f(in[i&a.mask])
		}
		return out, made
	}
	for i := range made {
		if out.valid[i] {
			made[i] = f(in[i&a.mask])
		}
	}
	return out, made
}

// map2 computes a strict function of two operands.
func map2[A, B, C any](rows int, a, b *vector, x []A, y []B, f func(A, B) C) (*vector, []C) {
	out, n := strict(rows, a, b)
	made := make([]C, n)
	if out.valid == nil {
		for i := range made {
			made[i] = f(x[i&a.mask], y[i&b.mask])
		}
		return out, made
	}
	for i := range made {
		if out.valid[i] {
			made[i] = f(x[i&a.mask], y[i&b.mask])
		}
	}
	return out, made
}

// try1 is map1 for a function that some values have no result for.
func try1[A, B any](rows int, a *vector, in []A, f func(A) (B, bool), why reason) (*vector, []B) {
	out, n := strict(rows, a)
	made := make([]B, n)
	for i := range made {
		if !out.ok(i) {
			continue
		}
		var ok bool
		if made[i], ok = f(in[i&a.mask]); !ok {
			out.fail(i, n, why)
		}
	}
	return out, made
}

// try2 is map2 for a function that some values have no result for.
func try2[A, B, C any](rows int, a, b *vector, x []A, y []B, f func(A, B) (C, bool), why reason) (*vector, []C) {
	out, n := strict(rows, a, b)
	made := make([]C, n)
	for i := range made {
		if !out.ok(i) {
			continue
		}
		var ok bool
		if made[i], ok = f(x[i&a.mask], y[i&b.mask]); !ok {
			out.fail(i, n, why)
		}
	}
	return out, made
}
