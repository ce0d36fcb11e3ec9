package expression

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow"
)

// arithmetic checks + - * / %. Whole numbers make longs, but their division a
// double; with a decimal decimals, with a double doubles.
func arithmetic(n *binaryNode, x, y *term) (*term, *fault) {
	for _, t := range []*term{x, y} {
		if t.typ != nil && !isNumeric(t.typ) {
			return nil, noNumber(n, t, x, y)
		}
	}
	switch {
	case x.typ == nil && y.typ == nil:
		return nullTerm(n.at(), typeLong), nil
	case isFloating(x.typ) || isFloating(y.typ) || n.op == "/" && !isDecimal(x.typ) && !isDecimal(y.typ):
		return numbers(n, typeDouble, x, y, doubleKernel(n.op))
	case isDecimal(x.typ) || isDecimal(y.typ):
		return decimalArithmetic(n, x, y)
	}
	return numbers(n, typeLong, x, y, longKernel(n.op))
}

func noNumber(n *binaryNode, t, x, y *term) *fault {
	err := failf(t.at, "%s needs numbers, found %s", n.op, typeName(t.typ))
	switch {
	case isTime(x.typ) && isTime(y.typ) && n.op == "-":
		return err.hinted("date_diff('day', from, to) and seconds_between(from, to) give the time between")
	case isTime(t.typ):
		return err.hinted("add an interval to a time, as in t + interval '5 minutes'")
	case isString(t.typ) && n.op == "+":
		return err.hinted("texts are joined by ||, and made numbers by cast(x as long)")
	}
	return err.hinted("cast it, as in cast(x as long)")
}

func numbers(n *binaryNode, t arrow.DataType, x, y *term, kernel kernel2) (*term, *fault) {
	x, err := coerce(x, t)
	if err != nil {
		return nil, err
	}
	if y, err = coerce(y, t); err != nil {
		return nil, err
	}
	return apply2(n.at(), t, kernel, x, y), nil
}

// failed describes an operation on two values that has no result.
func failed(op string, a, b *vector, t arrow.DataType, zero func(row int) bool) reason {
	return func(row int) string {
		if zero(row) {
			return fmt.Sprintf("division by zero: %s %s %s", a.show(row, t), op, b.show(row, t))
		}
		return fmt.Sprintf("%s %s %s is out of the range of %s", a.show(row, t), op, b.show(row, t), typeName(t))
	}
}

func longKernel(op string) kernel2 {
	f := map[string]func(x, y int64) (int64, bool){"+": addLong, "-": subtractLong, "*": multiplyLong, "%": moduloLong}[op]
	return func(r *run, a, b *vector) *vector {
		zero := func(row int) bool { return op == "%" && b.ints[row&b.mask] == 0 }
		return withInts(try2(r.rows, a, b, a.ints, b.ints, f, failed(op, a, b, typeLong, zero)))
	}
}

func addLong(x, y int64) (int64, bool) {
	sum := x + y
	return sum, (sum > x) == (y > 0)
}

func subtractLong(x, y int64) (int64, bool) {
	difference := x - y
	return difference, (difference < x) == (y > 0)
}

func multiplyLong(x, y int64) (int64, bool) {
	high, low := bits.Mul64(magnitude(x), magnitude(y))
	product := x * y
	if (x < 0) != (y < 0) {
		return product, high == 0 && low <= 1<<63
	}
	return product, high == 0 && low <= math.MaxInt64
}

func magnitude(x int64) uint64 {
	if x < 0 {
		return -uint64(x)
	}
	return uint64(x)
}

// moduloLong has the sign of x.
func moduloLong(x, y int64) (int64, bool) {
	switch y {
	case 0:
		return 0, false
	case -1:
		return 0, true
	}
	return x % y, true
}

// doubleKernel computes as IEEE 754 does, but that a division by zero, and
// finite numbers that make an infinite one, have no result.
func doubleKernel(op string) kernel2 {
	f := map[string]func(x, y float64) float64{
		"+": func(x, y float64) float64 { return x + y },
		"-": func(x, y float64) float64 { return x - y },
		"*": func(x, y float64) float64 { return x * y },
		"/": func(x, y float64) float64 { return x / y },
		"%": math.Mod,
	}[op]
	divides := op == "/" || op == "%"
	checked := func(x, y float64) (float64, bool) {
		if divides && y == 0 {
			return 0, false
		}
		z := f(x, y)
		return z, !math.IsInf(z, 0) || math.IsInf(x, 0) || math.IsInf(y, 0)
	}
	return func(r *run, a, b *vector) *vector {
		zero := func(row int) bool { return divides && b.doubles[row&b.mask] == 0 }
		return withDoubles(try2(r.rows, a, b, a.doubles, b.doubles, checked, failed(op, a, b, typeDouble, zero)))
	}
}

// negate is -x: of whole numbers a long, else of the same type.
func negate(at int, x *term) *term {
	switch classOf(x.typ) {
	case classDouble:
		return apply(at, x.typ, func(r *run, v *vector) *vector {
			return withDoubles(map1(r.rows, v, v.doubles, func(f float64) float64 { return -f }))
		}, x)
	case classDecimal:
		return apply(at, x.typ, negateDecimal, x)
	}
	return apply(at, typeLong, func(r *run, v *vector) *vector {
		return withInts(try1(r.rows, v, v.ints, func(n int64) (int64, bool) { return -n, n != math.MinInt64 }, func(row int) string {
			return "-(" + v.show(row, typeLong) + ") is out of the range of long"
		}))
	}, x)
}
