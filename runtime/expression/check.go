package expression

import (
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"

	"github.com/calvelake/calve/runtime/record"
)

// term is a checked operation: its type, and how it is computed.
type term struct {
	at       int
	typ      arrow.DataType // nil for a null without a type, and for an interval
	nullable bool
	constant *vector   // the value, of a term that is the same for every row
	text     bool      // a text literal, which beside a time is read as one
	whole    int32     // digits of an integer literal, which beside a decimal is as short as that
	interval *interval // of an interval alone
	eval     func(*run) *vector
}

// Check finds the types of an expression over the columns of a schema, and
// compiles it. The error is an *Error.
func (e *Expr) Check(schema *arrow.Schema) (*Compiled, error) {
	k := &checker{schema: schema}
	t, err := k.check(e.root)
	if err == nil && t.interval != nil {
		err = failf(t.at, "an interval alone is no value").hinted("add it to a date or a timestamp")
	}
	if err == nil && t.typ == nil {
		err = failf(t.at, "the expression is always null and has no type").hinted("give it one: cast(null as string)")
	}
	if err != nil {
		return nil, err.in(e.text)
	}
	return &Compiled{expr: e, result: t, columns: k.columns}, nil
}

// CheckCondition is Check for an expression that must be a boolean.
func (e *Expr) CheckCondition(schema *arrow.Schema) (*Compiled, error) {
	c, err := e.Check(schema)
	if err != nil {
		return nil, err
	}
	if !isBoolean(c.Type()) {
		return nil, failf(e.root.at(), "the expression is %s, expected a condition that is true or false", typeName(c.Type())).in(e.text)
	}
	return c, nil
}

type checker struct {
	schema  *arrow.Schema
	columns []arrow.Field
}

func (k *checker) check(n node) (*term, *fault) {
	switch n := n.(type) {
	case *columnNode:
		return k.column(n)
	case *literalNode:
		return literalTerm(n), nil
	case *unaryNode:
		return k.unary(n)
	case *binaryNode:
		return k.binary(n)
	case *isNode:
		return k.is(n)
	case *betweenNode:
		return k.between(n)
	case *inNode:
		return k.in(n)
	case *likeNode:
		return k.like(n)
	case *caseNode:
		return k.cases(n)
	case *castNode:
		x, err := k.value(n.x)
		if err != nil {
			return nil, err
		}
		return cast(n, x)
	}
	return k.call(n.(*callNode))
}

// value checks an operand, which is no interval.
func (k *checker) value(n node) (*term, *fault) {
	t, err := k.check(n)
	if err == nil && t.interval != nil {
		return nil, failf(t.at, "found an interval, which can only be added to a date or a timestamp, or taken from one")
	}
	return t, err
}

func (k *checker) values(nodes []node) ([]*term, *fault) {
	terms := make([]*term, len(nodes))
	for i, n := range nodes {
		var err *fault
		if terms[i], err = k.value(n); err != nil {
			return nil, err
		}
	}
	return terms, nil
}

func (k *checker) column(n *columnNode) (*term, *fault) {
	fields := k.schema.Fields()
	i, err := findField(n.at(), "column", n.path[0], fields)
	if err != nil {
		return nil, err
	}
	f := fields[i]
	if classOf(f.Type) == classNone {
		return nil, failf(n.at(), "column %s has the type %s, which expressions do not read", f.Name, f.Type)
	}
	slot := slices.IndexFunc(k.columns, func(have arrow.Field) bool { return have.Name == f.Name })
	if slot < 0 {
		slot = len(k.columns)
		k.columns = append(k.columns, f)
	}
	t := &term{at: n.at(), typ: f.Type, nullable: f.Nullable, eval: func(r *run) *vector { return r.columns[slot] }}
	for _, name := range n.path[1:] {
		if t, err = field(t, name); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// field is a field of a struct.
func field(t *term, name string) (*term, *fault) {
	s, ok := t.typ.(*arrow.StructType)
	if !ok {
		return nil, failf(t.at, "%s has no field %q: it is no struct", typeName(t.typ), name)
	}
	i, err := findField(t.at, "field", name, s.Fields())
	if err != nil {
		return nil, err
	}
	parent := t.eval
	return &term{at: t.at, typ: s.Field(i).Type, nullable: t.nullable || s.Field(i).Nullable, eval: func(r *run) *vector {
		of := parent(r)
		v := load(of.nested.(*array.Struct).Field(i))
		v.addNulls(of, r.rows)
		return v
	}}, nil
}

// findField finds a name as it is, or else ignoring case.
func findField(at int, what, name string, fields []arrow.Field) (int, *fault) {
	found, names := -1, make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
		if f.Name == name {
			return i, nil
		}
		if strings.EqualFold(f.Name, name) {
			if found >= 0 {
				return 0, failf(at, "%s %q could be %q or %q", what, name, names[found], f.Name).hinted("write it in double quotes as it is")
			}
			found = i
		}
	}
	if found >= 0 {
		return found, nil
	}
	err := failf(at, "there is no %s %q, expected one of %s", what, name, listed(names))
	if near, ok := record.Nearest(name, names); ok {
		err.hinted("did you mean %q?", near)
	}
	return 0, err
}

func listed(names []string) string {
	const most = 30
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

func constantTerm(at int, t arrow.DataType, set func(*vector)) *term {
	v := constant(t, set)
	return &term{at: at, typ: t, constant: v, eval: func(*run) *vector { return v }}
}

func nullTerm(at int, t arrow.DataType) *term {
	made := constantTerm(at, t, func(v *vector) { v.valid = []bool{false} })
	made.nullable = true
	return made
}

func literalTerm(n *literalNode) *term {
	switch n.kind {
	case literalTrue, literalFalse:
		return constantTerm(n.at(), typeBoolean, func(v *vector) { v.bools[0] = n.kind == literalTrue })
	case literalInteger:
		return integerLiteral(n)
	case literalDecimal:
		return decimalLiteral(n)
	case literalDouble:
		x, err := strconv.ParseFloat(n.text, 64)
		mustHold(err)
		return constantTerm(n.at(), typeDouble, func(v *vector) { v.doubles[0] = x })
	case literalText:
		t := constantTerm(n.at(), typeString, func(v *vector) { v.texts[0] = n.text })
		t.text = true
		return t
	case literalDate:
		days, err := parseDate(n.text)
		mustHold(err)
		return constantTerm(n.at(), typeDate, func(v *vector) { v.ints[0] = days })
	case literalTimestamp:
		us, zoned, err := parseTimestamp(n.text)
		mustHold(err)
		t := typeTimestamp
		if zoned {
			t = typeTimestamptz
		}
		return constantTerm(n.at(), t, func(v *vector) { v.ints[0] = us })
	case literalInterval:
		i, err := parseInterval(n.text)
		mustHold(err)
		return &term{at: n.at(), interval: &i}
	}
	return nullTerm(n.at(), nil)
}

// mustHold: the parser has read the text of a literal before.
func mustHold(err error) {
	if err != nil {
		panic("BUG: a literal that was parsed does not parse: " + err.Error())
	}
}

func integerLiteral(n *literalNode) *term {
	x, err := strconv.ParseInt(n.text, 10, 64)
	mustHold(err)
	t := arrow.DataType(typeInt)
	if x != int64(int32(x)) {
		t = typeLong
	}
	made := constantTerm(n.at(), t, func(v *vector) { v.ints[0] = x })
	made.whole = int32(len(strings.TrimPrefix(n.text, "-")))
	return made
}

func decimalLiteral(n *literalNode) *term {
	number, negative := strings.CutPrefix(n.text, "-")
	whole, fraction, _ := strings.Cut(number, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	precision := max(int32(len(digits)), int32(len(fraction)), 1)
	x, ok := new(big.Int).SetString("0"+whole+fraction, 10)
	if !ok {
		panic("BUG: a decimal that was parsed is no number: " + n.text)
	}
	if negative {
		x.Neg(x)
	}
	return constantTerm(n.at(), decimalType(precision, int32(len(fraction))), func(v *vector) { v.decimals[0] = decimal128.FromBigInt(x) })
}

// fold computes a term whose operands are constants, unless it cannot be: then
// the rows that ask for it have a reason.
func fold(t *term, operands ...*term) *term {
	for _, o := range operands {
		if o.constant == nil {
			return t
		}
	}
	v := t.eval(&run{rows: 1})
	if v.faults != nil || v.mask != 0 {
		return t
	}
	t.constant = v
	t.nullable = !v.ok(0)
	t.eval = func(*run) *vector { return v }
	return t
}

// shared is a term that several operations ask for: a run computes it once.
// Without it the time would double with each operation within another.
func shared(t *term) *term {
	if t.constant != nil {
		return t
	}
	one := *t
	one.eval = func(r *run) *vector {
		v, ok := r.shared[&one]
		if !ok {
			v = t.eval(r)
			if r.shared == nil {
				r.shared = map[*term]*vector{}
			}
			r.shared[&one] = v
		}
		return v
	}
	return &one
}
