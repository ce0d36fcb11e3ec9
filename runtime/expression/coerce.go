package expression

import (
	"github.com/apache/arrow-go/v18/arrow"
)

// unify widens terms to the one type that holds them all. what completes
// "… of <what> have no common type".
func unify(what string, terms ...*term) ([]*term, arrow.DataType, *fault) {
	var beside, to arrow.DataType
	for _, t := range terms {
		if isDecimal(t.typ) {
			beside = t.typ
		}
	}
	for _, t := range terms {
		if t.text {
			continue // takes the others' type
		}
		c := commonType(to, typeBeside(beside, t))
		if c == nil && to != nil && t.typ != nil {
			return nil, nil, noCommonType(what, to, t)
		}
		to = c
	}
	for _, t := range terms {
		switch {
		case !t.text:
		case to == nil:
			to = typeString
		case !isTime(to) && !isString(to):
			return nil, nil, noCommonType(what, to, t)
		}
	}
	out := make([]*term, len(terms))
	for i, t := range terms {
		var err *fault
		if out[i], err = coerce(t, to); err != nil {
			return nil, nil, err
		}
	}
	return out, to, nil
}

// typeBeside is a term's type, of an integer literal the decimal of its own
// digits where it stands beside a decimal.
func typeBeside(other arrow.DataType, t *term) arrow.DataType {
	if t.whole > 0 && isDecimal(other) {
		return decimalType(t.whole, 0)
	}
	return t.typ
}

func noCommonType(what string, a arrow.DataType, t *term) *fault {
	err := failf(t.at, "%s: %s and %s have no common type", what, typeName(a), typeName(t.typ))
	switch {
	case isTimestamp(a) && isTimestamp(t.typ):
		return err.hinted("timestamps without a time zone are not instants: cast(x as timestamptz) reads them as UTC")
	case isNumeric(a) && isNumeric(t.typ):
		return err.hinted("no decimal has digits for both; cast one of them")
	case isString(a) && isNumeric(t.typ) || isNumeric(a) && isString(t.typ):
		return err.hinted("cast the text to a number, as in cast(x as long), or the number to text")
	case classOf(a) == classNested || classOf(t.typ) == classNested:
		return err.hinted("of structs, lists and maps only fields and nulls can be asked for; a plugin can do more")
	}
	return err.hinted("cast one of them, as in cast(x as %s)", typeName(a))
}

// coerce widens a term to a type that holds it.
func coerce(t *term, to arrow.DataType) (*term, *fault) {
	switch {
	case to == nil || t.typ != nil && arrow.TypeEqual(t.typ, to):
		return t, nil
	case t.typ == nil:
		return nullTerm(t.at, to), nil
	case t.text && isTime(to):
		return timeOfText(t, to)
	}
	kernel := conversion(t.typ, to)
	if kernel == nil {
		panic("BUG: no conversion from " + typeName(t.typ) + " to " + typeName(to))
	}
	from := t.eval
	return fold(&term{at: t.at, typ: to, nullable: t.nullable, eval: func(r *run) *vector { return kernel(r, from(r)) }}, t), nil
}

// timeOfText reads a text literal that stands beside a time.
func timeOfText(t *term, to arrow.DataType) (*term, *fault) {
	made := convertTo(t, to)
	if made.constant == nil {
		return nil, failf(t.at, "the text %s is no %s", t.constant.show(0, typeString), typeName(to)).hinted("write %s", timeExample(to))
	}
	return made, nil
}

func timeExample(t arrow.DataType) string {
	switch {
	case is(t, arrow.DATE32):
		return "'2024-02-29'"
	case arrow.TypeEqual(t, typeTimestamptz):
		return "'2024-02-29T12:00:00Z'"
	}
	return "'2024-02-29T12:00:00'"
}

// convertTo is a cast of a term to a type that cast knows from its own.
func convertTo(t *term, to arrow.DataType) *term {
	kernel, from := conversion(t.typ, to), t.eval
	return fold(&term{at: t.at, typ: to, nullable: t.nullable, eval: func(r *run) *vector { return kernel(r, from(r)) }}, t)
}

// cast is an explicit conversion; try makes null of what does not fit.
func cast(n *castNode, x *term) (*term, *fault) {
	if x.typ == nil {
		return nullTerm(n.at(), n.to), nil
	}
	kernel := conversion(x.typ, n.to)
	if kernel == nil {
		err := failf(n.at(), "cast knows no way from %s to %s", typeName(x.typ), typeName(n.to))
		if conversion(x.typ, typeString) != nil && conversion(typeString, n.to) != nil {
			err.hinted("cast it to string first, if its text is meant")
		}
		return nil, err
	}
	from := x.eval
	made := &term{at: n.at(), typ: n.to, nullable: x.nullable || n.try}
	made.eval = func(r *run) *vector { return kernel(r, from(r)) }
	if n.try {
		made.eval = func(r *run) *vector { return forgive(r, from(r), kernel) }
	}
	return fold(made, x), nil
}

// forgive makes nulls of the values that a kernel has no result for. What the
// operand itself could not compute stays so.
func forgive(r *run, operand *vector, kernel kernel1) *vector {
	v := kernel(r, operand)
	if v.faults == nil {
		return v
	}
	out := *v
	out.faults, out.ownsFaults, out.ownsValid = operand.faults, false, false
	if operand.faults != nil && operand.mask != v.mask {
		panic("BUG: a conversion has changed how many values there are")
	}
	return &out
}

// kernel1 computes a vector of another.
type kernel1 func(*run, *vector) *vector
