package expression

import (
	"fmt"
	"math"
	"math/big"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// decimalResult is the type of an operation on decimals, by the rules of Spark
// and Hive: wide enough for every result. exact is false where 38 digits are
// not: then digits behind the point go, down to 6, and results can be too
// large.
func decimalResult(op string, a, b *arrow.Decimal128Type) (t *arrow.Decimal128Type, exact bool) {
	p1, s1, p2, s2 := a.Precision, a.Scale, b.Precision, b.Scale
	var precision, scale int32
	switch op {
	case "+", "-":
		scale = max(s1, s2)
		precision = max(p1-s1, p2-s2) + scale + 1
	case "*":
		scale = s1 + s2
		precision = p1 + p2 + 1
	case "/":
		scale = max(6, s1+p2+1)
		precision = p1 - s1 + s2 + scale
	case "%":
		scale = max(s1, s2)
		precision = min(p1-s1, p2-s2) + scale
	}
	if precision <= decimal128.MaxPrecision {
		return decimalType(max(precision, 1), scale), true
	}
	whole := precision - scale
	scale = max(decimal128.MaxPrecision-whole, min(scale, 6))
	return decimalType(decimal128.MaxPrecision, scale), false
}

func decimalArithmetic(n *binaryNode, x, y *term) (*term, *fault) {
	if x.typ == nil || y.typ == nil { // a null beside a decimal
		known := asDecimal(commonType(x.typ, y.typ))
		t, _ := decimalResult(n.op, known, known)
		return nullTerm(n.at(), t), nil
	}
	a, b := asDecimal(typeBeside(y.typ, x)), asDecimal(typeBeside(x.typ, y))
	x, err := coerce(x, a)
	if err != nil {
		return nil, err
	}
	if y, err = coerce(y, b); err != nil {
		return nil, err
	}
	t, exact := decimalResult(n.op, a, b)
	if exact && n.op != "/" && n.op != "%" {
		return apply2(n.at(), t, exactDecimalKernel(n.op, a, b, t), x, y), nil
	}
	return apply2(n.at(), t, wideDecimalKernel(n.op, a, b, t), x, y), nil
}

// exactDecimalKernel computes + - * where no result has more than 38 digits.
func exactDecimalKernel(op string, a, b, t *arrow.Decimal128Type) kernel2 {
	up, down := decimal128.GetScaleMultiplier(int(t.Scale-a.Scale)), decimal128.GetScaleMultiplier(int(t.Scale-b.Scale))
	f := map[string]func(x, y decimal128.Num) decimal128.Num{
		"+": func(x, y decimal128.Num) decimal128.Num { return x.Mul(up).Add(y.Mul(down)) },
		"-": func(x, y decimal128.Num) decimal128.Num { return x.Mul(up).Sub(y.Mul(down)) },
		"*": decimal128.Num.Mul,
	}[op]
	return func(r *run, v, w *vector) *vector {
		return withDecimals(map2(r.rows, v, w, v.decimals, w.decimals, f))
	}
}

// wideDecimalKernel computes with as many digits as it takes, and rounds half
// away from zero.
func wideDecimalKernel(op string, a, b, t *arrow.Decimal128Type) kernel2 {
	return func(r *run, v, w *vector) *vector {
		var s wide
		f := func(x, y decimal128.Num) (decimal128.Num, bool) {
			s.set(&s.x, x)
			s.set(&s.y, y)
			if !s.compute(op, a, b, t.Scale) {
				return decimal128.Num{}, false
			}
			return s.get(&s.z, t.Precision)
		}
		zero := func(row int) bool { return (op == "/" || op == "%") && w.decimals[row&w.mask].Sign() == 0 }
		why := func(row int) string {
			if zero(row) {
				return fmt.Sprintf("division by zero: %s %s %s", v.show(row, a), op, w.show(row, b))
			}
			return fmt.Sprintf("%s %s %s is out of the range of %s", v.show(row, a), op, w.show(row, b), typeName(t))
		}
		return withDecimals(try2(r.rows, v, w, v.decimals, w.decimals, f, why))
	}
}

// compute leaves x op y in z, with digits of the scale behind the point. False
// is a division by zero.
func (w *wide) compute(op string, a, b *arrow.Decimal128Type, scale int32) bool {
	have := max(a.Scale, b.Scale)
	switch op {
	case "*":
		w.z.Mul(&w.x, &w.y)
		w.round(a.Scale + b.Scale - scale)
		return true
	case "/":
		if w.y.Sign() == 0 {
			return false
		}
		w.divide(scale - a.Scale + b.Scale)
		return true
	}
	w.x.Mul(&w.x, powerOfTen(have-a.Scale))
	w.y.Mul(&w.y, powerOfTen(have-b.Scale))
	switch op {
	case "+":
		w.z.Add(&w.x, &w.y)
	case "-":
		w.z.Sub(&w.x, &w.y)
	case "%":
		if w.y.Sign() == 0 {
			return false
		}
		w.z.Rem(&w.x, &w.y)
	}
	w.round(have - scale)
	return true
}

// divide leaves x × 10^digits / y in z, rounded half away from zero.
func (w *wide) divide(digits int32) {
	if digits >= 0 {
		w.x.Mul(&w.x, powerOfTen(digits))
	} else {
		w.y.Mul(&w.y, powerOfTen(-digits))
	}
	w.quotient(&w.x, &w.y)
}

// round drops digits of z, half away from zero.
func (w *wide) round(digits int32) {
	if digits > 0 {
		w.x.Set(&w.z)
		w.quotient(&w.x, powerOfTen(digits))
	}
}

// quotient leaves x / y in z, rounded half away from zero.
func (w *wide) quotient(x, y *big.Int) {
	negative := (x.Sign() < 0) != (y.Sign() < 0)
	w.z.QuoRem(x, y, &w.part)
	w.part.Lsh(&w.part, 1)
	if w.part.CmpAbs(y) < 0 {
		return
	}
	w.low.SetInt64(1)
	if negative {
		w.z.Sub(&w.z, &w.low)
	} else {
		w.z.Add(&w.z, &w.low)
	}
}

func negateDecimal(r *run, v *vector) *vector {
	return withDecimals(map1(r.rows, v, v.decimals, decimal128.Num.Negate))
}

// rescale gives a decimal another precision and scale, rounding half away from
// zero. It fails where there are more digits before the point than the
// precision has room for.
func (w *wide) rescale(n decimal128.Num, from, to *arrow.Decimal128Type) (decimal128.Num, bool) {
	w.set(&w.z, n)
	if up := to.Scale - from.Scale; up > 0 {
		w.z.Mul(&w.z, powerOfTen(up))
	}
	w.round(from.Scale - to.Scale)
	return w.get(&w.z, to.Precision)
}

// doubleOf is the double nearest to a decimal.
func doubleOf(n decimal128.Num, scale int32) float64 {
	const exact = 1 << 53 // every integer below it is a double
	if n.HighBits() == 0 && n.LowBits() < exact && scale <= 22 {
		return float64(n.LowBits()) / math.Pow10(int(scale))
	}
	return parseFinite(string(appendDecimal(nil, n, scale)))
}
