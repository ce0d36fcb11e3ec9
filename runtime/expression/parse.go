package expression

import (
	"slices"
	"unicode/utf8"
)

// Bounds of what Parse takes: beyond them an expression is no longer written
// by a person.
const (
	maxLength = 16 << 10 // bytes
	maxDepth  = 100      // operations within one another
)

// Expr is a parsed expression. It is immutable.
type Expr struct {
	text string // as written
	root node
}

// Parse reads an expression. The error is an *Error.
func Parse(text string) (*Expr, error) {
	root, err := parse(text)
	if err != nil {
		return nil, err.in(text)
	}
	return &Expr{text: text, root: root}, nil
}

// String is the expression in its canonical text, which parses to the same
// expression.
func (e *Expr) String() string {
	var w writer
	w.node(e.root)
	return w.String()
}

// Names lists the columns that the expression names, each once, in order of
// their first place. Of a field of a struct it is the column.
func (e *Expr) Names() []string {
	var names []string
	var walk func(n node)
	walk = func(n node) {
		if c, ok := n.(*columnNode); ok && !slices.Contains(names, c.path[0]) {
			names = append(names, c.path[0])
		}
		for _, child := range children(n) {
			walk(child)
		}
	}
	walk(e.root)
	return names
}

func parse(text string) (node, *fault) {
	switch {
	case len(text) > maxLength:
		return nil, failf(maxLength, "the expression is longer than %d bytes", maxLength).hinted("a plugin can hold more logic")
	case !utf8.ValidString(text):
		return nil, failf(0, "the expression is not valid UTF-8")
	}
	tokens, err := lex(text)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	root, err := p.expression()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != tokenEnd {
		return nil, p.unexpected(t)
	}
	return root, nil
}

type parser struct {
	tokens []token
	next   int
	depth  int
}

func (p *parser) peek() token { return p.tokens[p.next] }

func (p *parser) take() token {
	t := p.tokens[p.next]
	if t.kind != tokenEnd {
		p.next++
	}
	return t
}

// accept takes the next token if it is one of these words.
func (p *parser) accept(words ...string) (token, bool) {
	t := p.peek()
	if slices.ContainsFunc(words, t.is) {
		return p.take(), true
	}
	return t, false
}

func (p *parser) expect(word, why string) *fault {
	if t, ok := p.accept(word); !ok {
		return failf(t.at, "expected %s%s, found %s", word, why, t.found())
	}
	return nil
}

// unexpected is the fault of a token where an operator or the end belongs.
func (p *parser) unexpected(t token) *fault {
	err := failf(t.at, "expected an operator or the end, found %s", t.found())
	switch {
	case t.kind == tokenSymbol && isComparison(t.text):
		err = failf(t.at, "comparisons do not chain, found a second %s", t.found()).hinted("join them with and, or put one in parentheses")
	case t.is("ilike"):
		err.hinted("use lower(…) like …")
	case t.is("rlike") || t.is("regexp"):
		err.hinted("use regexp_like(text, 'pattern')")
	case t.is("is") || t.is("in") || t.is("between") || t.is("like"):
		err.hinted("put the comparison before it in parentheses")
	}
	return err
}

// enter bounds the depth; every call is paired with leave.
func (p *parser) enter() *fault {
	if p.depth++; p.depth > maxDepth {
		return failf(p.peek().at, "the expression is nested deeper than %d", maxDepth).hinted("derive a column for a part of it")
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

func (p *parser) expression() (node, *fault) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	return p.chain(p.conjunction, "or")
}

func (p *parser) conjunction() (node, *fault) { return p.chain(p.negation, "and") }

// chain reads operands joined by left-associative operators.
func (p *parser) chain(operand func() (node, *fault), operators ...string) (node, *fault) {
	left, err := operand()
	if err != nil {
		return nil, err
	}
	for {
		t, ok := p.accept(operators...)
		if !ok {
			return left, nil
		}
		right, err := operand()
		if err != nil {
			return nil, err
		}
		left = &binaryNode{place(t.at), t.text, left, right}
	}
}

func (p *parser) negation() (node, *fault) {
	t, ok := p.accept("not")
	if !ok {
		return p.predicate()
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	x, err := p.negation()
	if err != nil {
		return nil, err
	}
	return &unaryNode{place(t.at), "not", x}, nil
}

var comparisons = []string{"=", "<>", "<", "<=", ">", ">="}

func isComparison(op string) bool { return slices.Contains(comparisons, op) }

func (p *parser) predicate() (node, *fault) {
	x, err := p.concatenation()
	if err != nil {
		return nil, err
	}
	if t, ok := p.accept(comparisons...); ok {
		right, err := p.concatenation()
		if err != nil {
			return nil, err
		}
		return &binaryNode{place(t.at), t.text, x, right}, nil
	}
	if t, ok := p.accept("is"); ok {
		return p.is(t, x)
	}
	_, not := p.accept("not")
	t := p.peek()
	switch {
	case t.is("between"):
		return p.between(x, not)
	case t.is("in"):
		return p.in(x, not)
	case t.is("like"):
		return p.like(x, not)
	case not:
		return nil, failf(t.at, "expected between, in or like after not, found %s", t.found())
	}
	return x, nil
}

func (p *parser) is(t token, x node) (node, *fault) {
	_, not := p.accept("not")
	n := &isNode{place: place(t.at), x: x, not: not}
	word, ok := p.accept("null", "true", "false", "distinct", "unknown")
	if !ok {
		return nil, failf(word.at, "expected null, true, false or distinct from after is, found %s", word.found()).hinted("values are compared with =")
	}
	n.what = word.text
	if n.what == "unknown" {
		n.what = "null"
	}
	if n.what != "distinct" {
		return n, nil
	}
	if err := p.expect("from", " after distinct"); err != nil {
		return nil, err
	}
	var err *fault
	n.other, err = p.concatenation()
	return n, err
}

func (p *parser) between(x node, not bool) (node, *fault) {
	n := &betweenNode{place: place(p.take().at), x: x, not: not}
	var err *fault
	if n.low, err = p.concatenation(); err != nil {
		return nil, err
	}
	if err := p.expect("and", " between the bounds"); err != nil {
		return nil, err
	}
	n.high, err = p.concatenation()
	return n, err
}

func (p *parser) in(x node, not bool) (node, *fault) {
	n := &inNode{place: place(p.take().at), x: x, not: not}
	if err := p.expect("(", " after in"); err != nil {
		return nil, err
	}
	var err *fault
	n.list, err = p.arguments()
	if err == nil && len(n.list) == 0 {
		return nil, failf(n.at(), "the list of in is empty")
	}
	return n, err
}

func (p *parser) like(x node, not bool) (node, *fault) {
	n := &likeNode{place: place(p.take().at), x: x, not: not}
	var err *fault
	if n.pattern, err = p.concatenation(); err != nil {
		return nil, err
	}
	if _, ok := p.accept("escape"); ok {
		n.escape, err = p.concatenation()
	}
	return n, err
}

// arguments reads what follows an opening parenthesis, the closing one
// included.
func (p *parser) arguments() ([]node, *fault) {
	if _, ok := p.accept(")"); ok {
		return nil, nil
	}
	var list []node
	for {
		n, err := p.expression()
		if err != nil {
			return nil, err
		}
		list = append(list, n)
		t, ok := p.accept(",", ")")
		if !ok {
			return nil, failf(t.at, `expected "," or ")", found %s`, t.found())
		}
		if t.text == ")" {
			return list, nil
		}
	}
}

func (p *parser) concatenation() (node, *fault) { return p.chain(p.sum, "||") }
func (p *parser) sum() (node, *fault)           { return p.chain(p.product, "+", "-") }
func (p *parser) product() (node, *fault)       { return p.chain(p.signed, "*", "/", "%") }

func (p *parser) signed() (node, *fault) {
	t, ok := p.accept("-", "+")
	if !ok {
		return p.primary()
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	if number := p.peek(); number.kind == tokenNumber && t.text == "-" {
		return numberLiteral(t.at, "-", p.take().text)
	}
	x, err := p.signed()
	if err != nil || t.text == "+" {
		return x, err
	}
	return &unaryNode{place(t.at), "-", x}, nil
}
