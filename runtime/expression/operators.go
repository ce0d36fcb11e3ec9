package expression

import (
	"github.com/apache/arrow-go/v18/arrow"
)

func (k *checker) unary(n *unaryNode) (*term, *fault) {
	x, err := k.value(n.x)
	if err != nil {
		return nil, err
	}
	if n.op == "not" {
		if x, err = condition(x, "not"); err != nil {
			return nil, err
		}
		return apply(n.at(), typeBoolean, notKernel, x), nil
	}
	if x.typ == nil {
		return nullTerm(n.at(), typeLong), nil
	}
	if !isNumeric(x.typ) {
		return nil, failf(n.at(), "- needs a number, found %s", typeName(x.typ)).hinted("cast it, as in cast(x as long)")
	}
	return negate(n.at(), x), nil
}

// condition wants a boolean.
func condition(t *term, what string) (*term, *fault) {
	switch {
	case t.typ == nil:
		return nullTerm(t.at, typeBoolean), nil
	case isBoolean(t.typ):
		return t, nil
	}
	return nil, failf(t.at, "%s needs a condition that is true or false, found %s", what, typeName(t.typ))
}

// apply makes a term of a strict kernel of one operand.
func apply(at int, typ arrow.DataType, kernel kernel1, x *term) *term {
	eval := x.eval
	return fold(&term{at: at, typ: typ, nullable: x.nullable, eval: func(r *run) *vector { return kernel(r, eval(r)) }}, x)
}

// kernel2 computes a vector of two others.
type kernel2 func(r *run, a, b *vector) *vector

// apply2 makes a term of a kernel of two operands that is null only where one
// of them is.
func apply2(at int, typ arrow.DataType, kernel kernel2, x, y *term) *term {
	a, b := x.eval, y.eval
	return fold(&term{at: at, typ: typ, nullable: x.nullable || y.nullable, eval: func(r *run) *vector { return kernel(r, a(r), b(r)) }}, x, y)
}

func (k *checker) binary(n *binaryNode) (*term, *fault) {
	if err := comparesNull(n); err != nil {
		return nil, err
	}
	x, err := k.check(n.l)
	if err != nil {
		return nil, err
	}
	y, err := k.check(n.r)
	if err != nil {
		return nil, err
	}
	if x.interval != nil || y.interval != nil {
		return shift(n, x, y)
	}
	switch {
	case n.op == "and" || n.op == "or":
		return logical(n, x, y)
	case isComparison(n.op):
		return compare(n.at(), n.op, x, y)
	case n.op == "||":
		return concatenate(n, x, y)
	}
	return arithmetic(n, x, y)
}

// comparesNull refuses x = null and x <> null, which are null for every x: who
// writes them means is null.
func comparesNull(n *binaryNode) *fault {
	test, isEquality := map[string]string{"=": "is null", "<>": "is not null"}[n.op]
	if !isEquality || !isNull(n.l) && !isNull(n.r) {
		return nil
	}
	x := n.l
	if isNull(x) {
		x = n.r
	}
	var w writer
	w.operand(x, levelConcat)
	return failf(n.at(), "a comparison with null by %s is never true", n.op).hinted("write %s %s", w.String(), test)
}

func isNull(n node) bool {
	l, ok := n.(*literalNode)
	return ok && l.kind == literalNull
}

func logical(n *binaryNode, x, y *term) (*term, *fault) {
	x, err := condition(x, n.op)
	if err != nil {
		return nil, err
	}
	if y, err = condition(y, n.op); err != nil {
		return nil, err
	}
	return apply2(n.at(), typeBoolean, logicKernel(n.op == "and"), x, y), nil
}

func (k *checker) is(n *isNode) (*term, *fault) {
	x, err := k.value(n.x)
	if err != nil {
		return nil, err
	}
	var made *term
	switch n.what {
	case "null":
		made = apply(n.at(), typeBoolean, isNullKernel, x)
	case "true", "false":
		if x, err = condition(x, "is "+n.what); err != nil {
			return nil, err
		}
		made = apply(n.at(), typeBoolean, isValueKernel(n.what == "true"), x)
	case "distinct":
		other, err := k.value(n.other)
		if err != nil {
			return nil, err
		}
		if made, err = distinct(n.at(), x, other); err != nil {
			return nil, err
		}
	}
	made.nullable = false
	if n.not {
		made = apply(n.at(), typeBoolean, notKernel, made)
	}
	return made, nil
}

func distinct(at int, x, y *term) (*term, *fault) {
	x, y = shared(x), shared(y)
	equal, err := compare(at, "=", x, y)
	if err != nil {
		return nil, err
	}
	xNull, yNull := apply(at, typeBoolean, isNullKernel, x), apply(at, typeBoolean, isNullKernel, y)
	e, a, b := equal.eval, xNull.eval, yNull.eval
	made := &term{at: at, typ: typeBoolean, eval: func(r *run) *vector { return distinctKernel(r, e(r), a(r), b(r)) }}
	return fold(made, x, y), nil
}

// between is low <= x and x <= high.
func (k *checker) between(n *betweenNode) (*term, *fault) {
	terms, err := k.values([]node{n.x, n.low, n.high})
	if err != nil {
		return nil, err
	}
	x := shared(terms[0])
	above, err := compare(n.at(), ">=", x, terms[1])
	if err != nil {
		return nil, err
	}
	below, err := compare(n.at(), "<=", x, terms[2])
	if err != nil {
		return nil, err
	}
	made := apply2(n.at(), typeBoolean, logicKernel(true), above, below)
	if n.not {
		made = apply(n.at(), typeBoolean, notKernel, made)
	}
	return made, nil
}

func (k *checker) in(n *inNode) (*term, *fault) {
	x, err := k.value(n.x)
	if err != nil {
		return nil, err
	}
	list, err := k.values(n.list)
	if err != nil {
		return nil, err
	}
	made, err := within(n.at(), x, list)
	if err == nil && n.not {
		made = apply(n.at(), typeBoolean, notKernel, made)
	}
	return made, err
}

// within is x = a or x = b or …, by a set where all are constants.
func within(at int, x *term, list []*term) (*term, *fault) {
	if made, err := withinSet(at, x, list); made != nil || err != nil {
		return made, err
	}
	x = shared(x)
	var made *term
	for _, one := range list {
		equal, err := compare(at, "=", x, one)
		if err != nil {
			return nil, err
		}
		if made == nil {
			made = equal
			continue
		}
		made = apply2(at, typeBoolean, logicKernel(false), made, equal)
	}
	return made, nil
}
