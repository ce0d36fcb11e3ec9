package expression

import (
	"cmp"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// compare checks a comparison, and widens its sides to one type.
func compare(at int, op string, x, y *term) (*term, *fault) {
	if isDecimalPair(x, y) {
		a, b := asDecimal(typeBeside(y.typ, x)), asDecimal(typeBeside(x.typ, y))
		if commonDecimal(a, b) == nil {
			return compareWide(at, op, x, y)
		}
	}
	both, t, err := unify("the sides of "+op, x, y)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nullTerm(at, typeBoolean), nil
	}
	if classOf(t) == classNested {
		return nil, failf(at, "values of type %s are not compared", typeName(t)).hinted("compare their fields")
	}
	return apply2(at, typeBoolean, compareKernel(op, t), both[0], both[1]), nil
}

func isDecimalPair(x, y *term) bool {
	isExact := func(t arrow.DataType) bool { return isDecimal(t) || isInteger(t) }
	return isExact(x.typ) && isExact(y.typ) && (isDecimal(x.typ) || isDecimal(y.typ))
}

func compareKernel(op string, t arrow.DataType) kernel2 {
	switch classOf(t) {
	case classBoolean:
		test := outcome(op)
		return func(r *run, a, b *vector) *vector {
			return withBools(map2(r.rows, a, b, a.bools, b.bools, func(x, y bool) bool { return test(compareBool(x, y)) }))
		}
	case classInteger:
		return orderedKernel(op, func(v *vector) []int64 { return v.ints })
	case classText:
		return orderedKernel(op, func(v *vector) []string { return v.texts })
	case classDouble:
		test := outcome(op)
		return func(r *run, a, b *vector) *vector {
			return withBools(map2(r.rows, a, b, a.doubles, b.doubles, func(x, y float64) bool { return test(compareDouble(x, y)) }))
		}
	}
	test := outcome(op)
	return func(r *run, a, b *vector) *vector {
		return withBools(map2(r.rows, a, b, a.decimals, b.decimals, func(x, y decimal128.Num) bool { return test(x.Cmp(y)) }))
	}
}

// orderedKernel compares values that Go orders as SQL does.
func orderedKernel[T cmp.Ordered](op string, values func(*vector) []T) kernel2 {
	var test func(x, y T) bool
	switch op {
	case "=":
		test = func(x, y T) bool { return x == y }
	case "<>":
		test = func(x, y T) bool { return x != y }
	case "<":
		test = func(x, y T) bool { return x < y }
	case "<=":
		test = func(x, y T) bool { return x <= y }
	case ">":
		test = func(x, y T) bool { return x > y }
	default:
		test = func(x, y T) bool { return x >= y }
	}
	return func(r *run, a, b *vector) *vector {
		return withBools(map2(r.rows, a, b, values(a), values(b), test))
	}
}

// outcome turns an order into the truth of a comparison.
func outcome(op string) func(order int) bool {
	switch op {
	case "=":
		return func(o int) bool { return o == 0 }
	case "<>":
		return func(o int) bool { return o != 0 }
	case "<":
		return func(o int) bool { return o < 0 }
	case "<=":
		return func(o int) bool { return o <= 0 }
	case ">":
		return func(o int) bool { return o > 0 }
	}
	return func(o int) bool { return o >= 0 }
}

func compareBool(x, y bool) int {
	switch {
	case x == y:
		return 0
	case y:
		return -1
	}
	return 1
}

// compareDouble orders doubles: NaN equals itself and is greater than any
// other, and the zeros are equal.
func compareDouble(a, b float64) int {
	if a != a || b != b {
		return -cmp.Compare(a, b) // cmp puts NaN first
	}
	return cmp.Compare(a, b)
}

// compareWide compares decimals that no one decimal holds.
func compareWide(at int, op string, x, y *term) (*term, *fault) {
	a, b := asDecimal(x.typ), asDecimal(y.typ)
	x, err := coerce(x, a)
	if err != nil {
		return nil, err
	}
	if y, err = coerce(y, b); err != nil {
		return nil, err
	}
	test, scale := outcome(op), max(a.Scale, b.Scale)
	up, down := powerOfTen(scale-a.Scale), powerOfTen(scale-b.Scale)
	return apply2(at, typeBoolean, func(r *run, v, w *vector) *vector {
		var s wide
		return withBools(map2(r.rows, v, w, v.decimals, w.decimals, func(p, q decimal128.Num) bool {
			s.set(&s.x, p)
			s.set(&s.y, q)
			return test(s.x.Mul(&s.x, up).Cmp(s.y.Mul(&s.y, down)))
		}))
	}, x, y), nil
}

// withinSet is in over constants, by a set; nil if that cannot be used.
func withinSet(at int, x *term, list []*term) (*term, *fault) {
	for _, one := range list {
		if one.constant == nil || one.typ == nil {
			return nil, nil
		}
	}
	terms, t, err := unify("the values of in", append([]*term{x}, list...)...)
	if err != nil {
		return nil, nil // the comparisons one by one say what is wrong
	}
	switch classOf(t) {
	case classInteger:
		return setTerm(at, terms, func(v *vector) []int64 { return v.ints }), nil
	case classText:
		return setTerm(at, terms, func(v *vector) []string { return v.texts }), nil
	case classDecimal:
		return setTerm(at, terms, func(v *vector) []decimal128.Num { return v.decimals }), nil
	}
	return nil, nil
}

func setTerm[T comparable](at int, terms []*term, values func(*vector) []T) *term {
	set, hasNull := map[T]bool{}, false
	for _, one := range terms[1:] {
		if one.constant == nil {
			return nil
		}
		if one.constant.ok(0) {
			set[values(one.constant)[0]] = true
		} else {
			hasNull = true
		}
	}
	made := apply(at, typeBoolean, func(r *run, v *vector) *vector {
		in := values(v)
		out, found := map1(r.rows, v, in, func(x T) bool { return set[x] })
		if hasNull {
			for i, ok := range found {
				if !ok && out.ok(i) {
					out.setNull(i, len(found))
				}
			}
		}
		out.bools = found
		return out
	}, terms[0])
	made.nullable = made.nullable || hasNull
	return made
}
