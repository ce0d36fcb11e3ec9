package expression

import (
	"fmt"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/record"
)

// NotNull is: column is not null.
func NotNull(column string) *Expr {
	return built(&isNode{x: columnOf(column), what: "null", not: true})
}

// OneOf is: column in (values). The values are texts, as CheckValue takes them.
func OneOf(column string, values []string, t arrow.DataType) (*Expr, error) {
	n := &inNode{x: columnOf(column)}
	for _, v := range values {
		if err := CheckValue(v, t); err != nil {
			return nil, err
		}
		n.list = append(n.list, valueOf(v, t))
	}
	return built(n), nil
}

// As is the expression, cast to a type.
func (e *Expr) As(t arrow.DataType) *Expr { return built(&castNode{x: e.root, to: t}) }

// Bounds are the ends of a range, as CheckValue takes them; nil is no bound.
type Bounds struct {
	Min, Max  *string
	Inclusive bool // the bounds themselves are in the range
}

// InRange is: column is within bounds, of which there is one at least.
func InRange(column string, b Bounds, t arrow.DataType) (*Expr, error) {
	above, below := ">", "<"
	if b.Inclusive {
		above, below = ">=", "<="
	}
	var sides []node
	for _, side := range []struct {
		op    string
		bound *string
	}{{above, b.Min}, {below, b.Max}} {
		if side.bound == nil {
			continue
		}
		if err := CheckValue(*side.bound, t); err != nil {
			return nil, err
		}
		sides = append(sides, &binaryNode{op: side.op, l: columnOf(column), r: valueOf(*side.bound, t)})
	}
	if err := b.check(t); err != nil {
		return nil, err
	}
	switch len(sides) {
	case 0:
		return nil, fmt.Errorf("a range of column %s has no bound", column)
	case 1:
		return built(sides[0]), nil
	}
	return built(&binaryNode{op: "and", l: sides[0], r: sides[1]}), nil
}

// CheckRange tells whether there are values of a type within bounds; the bounds
// themselves are checked by CheckValue.
func CheckRange(b Bounds, t arrow.DataType) error {
	for _, bound := range []*string{b.Min, b.Max} {
		if bound == nil {
			return nil
		}
		if err := CheckValue(*bound, t); err != nil {
			return err
		}
	}
	return b.check(t)
}

// check refuses bounds that leave nothing between them.
func (b Bounds) check(t arrow.DataType) error {
	if b.Min == nil || b.Max == nil {
		return nil
	}
	is := func(op string) bool {
		made, err := new(checker).check(&binaryNode{op: op, l: valueOf(*b.Min, t), r: valueOf(*b.Max, t)})
		if err != nil {
			return false
		}
		v := made.eval(&run{rows: 1})
		return v.ok(0) && v.bools[0]
	}
	switch {
	case is(">"):
		return fmt.Errorf("no value is accepted: the least, %s, is greater than the greatest, %s", *b.Min, *b.Max)
	case !b.Inclusive && is("="):
		return fmt.Errorf("no value is accepted: %s and %s are equal, and are not accepted themselves", *b.Min, *b.Max)
	}
	return nil
}

// CheckValue tells whether a text is a value of a type, as cast reads it but
// without a digit lost.
func CheckValue(text string, t arrow.DataType) error {
	failed := fmt.Errorf("%q is no %s", excerpt(text), record.FormatType(t))
	switch {
	case classOf(t) == classNested:
		return fmt.Errorf("values of type %s are not compared", record.FormatType(t))
	case !utf8.ValidString(text):
		return fmt.Errorf("%q is not valid UTF-8", excerpt(text))
	}
	if d, ok := t.(*arrow.Decimal128Type); ok {
		if _, exact, ok := parseDecimal(trimSpace(text), d); !ok || !exact {
			return failed
		}
		return nil
	}
	v := constant(typeString, func(v *vector) { v.texts[0] = text })
	if !arrow.TypeEqual(t, typeString) && conversion(typeString, t)(&run{rows: 1}, v).faults != nil {
		return failed
	}
	return nil
}

func columnOf(name string) node { return &columnNode{path: []string{name}} }

func valueOf(text string, t arrow.DataType) node {
	literal := &literalNode{kind: literalText, text: text}
	if isString(t) {
		return literal
	}
	return &castNode{x: literal, to: t}
}

// built gives an expression that was not parsed the text that it has.
func built(root node) *Expr {
	e := &Expr{root: root}
	e.text = e.String()
	return e
}
