package expression

import (
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/record"
)

// aggregateFunctions are the functions over rows that CheckAggregated knows,
// with how they are written. Those with an optional argument count the rows
// without it.
var aggregateFunctions = map[string]struct {
	usage       string
	least, most int
}{
	"count":                 {"count() or count(x)", 0, 1},
	"count_if":              {"count_if(condition)", 1, 1},
	"sum":                   {"sum(number)", 1, 1},
	"avg":                   {"avg(number)", 1, 1},
	"min":                   {"min(x)", 1, 1},
	"max":                   {"max(x)", 1, 1},
	"any":                   {"any(x)", 1, 1},
	"first":                 {"first(x)", 1, 1},
	"last":                  {"last(x)", 1, 1},
	"count_distinct":        {"count_distinct(x)", 1, 1},
	"approx_count_distinct": {"approx_count_distinct(x)", 1, 1},
}

// AggregateNames lists the aggregate functions, in order of name.
func AggregateNames() []string { return slices.Sorted(maps.Keys(aggregateFunctions)) }

// AggregateScope is what an expression over aggregates sees.
type AggregateScope struct {
	Rows  *arrow.Schema // inside of an aggregate: the rows that are aggregated
	Group *arrow.Schema // outside: what all rows of a group have in common
	// Type is the type of an aggregate function's result over an argument of
	// a type, which is nil where there is none. The error is for a person.
	Type func(function string, argument arrow.DataType) (arrow.DataType, error)
}

// AggregateCall is one call of an aggregate function.
type AggregateCall struct {
	Function string
	Argument *Compiled // over AggregateScope.Rows; nil if there is none
	Type     arrow.DataType
	// Column is the name under which Aggregated.Result reads what the call
	// gives: its canonical text, as in sum(bytes).
	Column string
}

// Nullable tells whether a call may give null: over no values anything but a
// count does.
func (c AggregateCall) Nullable() bool {
	switch c.Function {
	case "count", "count_if", "count_distinct", "approx_count_distinct":
		return false
	}
	return true
}

// Aggregated is an expression over aggregates, as sum(bytes) / count().
type Aggregated struct {
	Calls  []AggregateCall // each once, in order of their first place
	Result *Compiled       // over the columns of AggregateScope.Group and those of Calls
}

// CheckAggregated is Check for an expression over aggregates of the rows of a
// group: columns of the rows stand inside of aggregates, and aggregates not
// within one another. The error is an *Error.
func (e *Expr) CheckAggregated(scope AggregateScope) (*Aggregated, error) {
	k := &aggregateChecker{scope: scope}
	root, err := k.rewrite(e.root)
	if err == nil && len(k.calls) == 0 {
		err = failf(e.root.at(), "the expression aggregates nothing").hinted("use one of the aggregates, as in count(); derive computes columns from columns")
	}
	if err != nil {
		return nil, err.in(e.text)
	}
	fields := slices.Clone(scope.Group.Fields())
	for _, c := range k.calls {
		fields = append(fields, arrow.Field{Name: c.Column, Type: c.Type, Nullable: c.Nullable()})
	}
	result, failure := (&Expr{text: e.text, root: root}).Check(arrow.NewSchema(fields, nil))
	if failure != nil {
		return nil, failure
	}
	return &Aggregated{Calls: k.calls, Result: result}, nil
}

// Plain tells whether the expression is a column as it is, and which.
func (c *Compiled) Plain() (column string, ok bool) {
	n, ok := c.expr.root.(*columnNode)
	if !ok || len(n.path) > 1 {
		return "", false
	}
	return c.columns[0].Name, true
}

type aggregateChecker struct {
	scope AggregateScope
	calls []AggregateCall
}

// rewrite puts a column in the place of each aggregate.
func (k *aggregateChecker) rewrite(n node) (node, *fault) {
	switch n := n.(type) {
	case *columnNode:
		return n, k.outside(n)
	case *callNode:
		if _, ok := aggregateFunctions[n.name]; ok {
			return k.aggregate(n)
		}
		if near, ok := nearAggregate(n.name); ok {
			return nil, failf(n.at(), "there is no function %q", n.name).hinted("did you mean %s?", near)
		}
		args, err := k.all(n.args)
		return &callNode{n.place, n.name, args}, err
	case *unaryNode:
		x, err := k.rewrite(n.x)
		return &unaryNode{n.place, n.op, x}, err
	case *castNode:
		x, err := k.rewrite(n.x)
		return &castNode{n.place, x, n.to, n.try}, err
	case *caseNode:
		return k.cases(n)
	}
	operands := children(n)
	made, err := k.all(operands)
	if err != nil {
		return nil, err
	}
	return withOperands(n, made), nil
}

// nearAggregate finds the function that a misspelt name means, an aggregate or
// not.
func nearAggregate(name string) (string, bool) {
	if _, ok := functions[name]; ok || aliases[name] != "" {
		return "", false
	}
	return record.Nearest(name, append(AggregateNames(), FunctionNames()...))
}

func (k *aggregateChecker) all(nodes []node) ([]node, *fault) {
	made := make([]node, len(nodes))
	for i, n := range nodes {
		var err *fault
		if made[i], err = k.rewrite(n); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// withOperands is a node with others in the place of its children.
func withOperands(n node, made []node) node {
	switch n := n.(type) {
	case *binaryNode:
		return &binaryNode{n.place, n.op, made[0], made[1]}
	case *isNode:
		one := *n
		if one.x = made[0]; n.other != nil {
			one.other = made[1]
		}
		return &one
	case *betweenNode:
		return &betweenNode{n.place, made[0], made[1], made[2], n.not}
	case *inNode:
		return &inNode{n.place, made[0], made[1:], n.not}
	case *likeNode:
		one := *n
		if one.x, one.pattern = made[0], made[1]; n.escape != nil {
			one.escape = made[2]
		}
		return &one
	}
	return n // a literal
}

func (k *aggregateChecker) cases(n *caseNode) (node, *fault) {
	one := &caseNode{place: n.place, whens: make([]when, len(n.whens))}
	for _, part := range []struct {
		from node
		to   *node
	}{{n.subject, &one.subject}, {n.otherwise, &one.otherwise}} {
		if part.from == nil {
			continue
		}
		made, err := k.rewrite(part.from)
		if err != nil {
			return nil, err
		}
		*part.to = made
	}
	for i, w := range n.whens {
		made, err := k.all([]node{w.condition, w.then})
		if err != nil {
			return nil, err
		}
		one.whens[i] = when{made[0], made[1]}
	}
	return one, nil
}

// outside refuses a column of the rows where there is no single row.
func (k *aggregateChecker) outside(n *columnNode) *fault {
	name := n.path[0]
	if _, err := findField(n.at(), "column", name, k.scope.Group.Fields()); err == nil {
		return nil
	}
	i, err := findField(n.at(), "column", name, k.scope.Rows.Fields())
	if err != nil {
		return nil // Check says what there is
	}
	name = k.scope.Rows.Field(i).Name
	return failf(n.at(), "column %s has a value for each row, outside of an aggregate there is one for all", name).hinted("aggregate it, as in first(%s) or max(%s)", name, name)
}

func (k *aggregateChecker) aggregate(n *callNode) (node, *fault) {
	f := aggregateFunctions[n.name]
	if len(n.args) < f.least || len(n.args) > f.most {
		return nil, failf(n.at(), "%s takes %s, found %d", n.name, function{least: f.least, most: f.most}.arity(), len(n.args)).hinted("write %s", f.usage)
	}
	call := AggregateCall{Function: n.name, Column: canonicalText(n)}
	column := &columnNode{n.place, []string{call.Column}}
	if slices.ContainsFunc(k.calls, func(have AggregateCall) bool { return have.Column == call.Column }) {
		return column, nil
	}
	var of arrow.DataType
	if len(n.args) > 0 {
		argument, err := k.argument(n.args[0])
		if err != nil {
			return nil, err
		}
		call.Argument, of = argument, argument.Type()
	}
	t, err := k.scope.Type(n.name, of)
	if err != nil {
		return nil, failf(n.at(), "%s", err)
	}
	call.Type = t
	k.calls = append(k.calls, call)
	return column, nil
}

func (k *aggregateChecker) argument(n node) (*Compiled, *fault) {
	if inner := aggregateWithin(n); inner != nil {
		return nil, failf(inner.at(), "%s stands within another aggregate", inner.name).hinted("an aggregate's argument is computed for each row")
	}
	rows := &checker{schema: k.scope.Rows}
	t, err := rows.value(n)
	if err != nil {
		return nil, err
	}
	if t.typ == nil {
		return nil, failf(n.at(), "the argument is always null")
	}
	return &Compiled{expr: &Expr{text: canonicalText(n), root: n}, result: t, columns: rows.columns}, nil
}

func aggregateWithin(n node) *callNode {
	if call, ok := n.(*callNode); ok {
		if _, ok := aggregateFunctions[call.name]; ok {
			return call
		}
	}
	for _, child := range children(n) {
		if found := aggregateWithin(child); found != nil {
			return found
		}
	}
	return nil
}

// canonicalText is the canonical text of a part of an expression.
func canonicalText(n node) string {
	var w writer
	w.node(n)
	return w.String()
}
