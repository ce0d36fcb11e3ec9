package expression

import (
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal128"

	"github.com/calvelake/calve/runtime/record"
)

// primary reads a literal, a column, a call or an expression in parentheses.
func (p *parser) primary() (node, *fault) {
	t := p.take()
	switch t.kind {
	case tokenNumber:
		return numberLiteral(t.at, "", t.text)
	case tokenText:
		return &literalNode{place(t.at), literalText, t.text}, nil
	case tokenQuoted:
		return p.column(t)
	case tokenName:
		return p.named(t)
	}
	if !t.is("(") {
		return nil, failf(t.at, "expected a column, a value, a function or an opening parenthesis, found %s", t.found())
	}
	n, err := p.expression()
	if err != nil {
		return nil, err
	}
	if end, ok := p.accept(")"); !ok {
		err := failf(end.at, `expected ")", found %s`, end.found())
		if end.is(",") {
			err.hinted("a list in parentheses stands after in alone")
		}
		return nil, err
	}
	return n, nil
}

// named reads what begins with a name that is not quoted.
func (p *parser) named(t token) (node, *fault) {
	switch t.text {
	case "null":
		return &literalNode{place: place(t.at), kind: literalNull}, nil
	case "true":
		return &literalNode{place: place(t.at), kind: literalTrue}, nil
	case "false":
		return &literalNode{place: place(t.at), kind: literalFalse}, nil
	case "case":
		return p.cases(t)
	case "not", "and", "or", "between", "distinct", "else", "end", "escape", "from", "in", "is", "like", "then", "when":
		return nil, failf(t.at, "expected a column, a value or a function, found %s", t.found()).hinted(`a column of that name is written in double quotes: "%s"`, t.text)
	}
	after := p.peek()
	if after.kind == tokenText {
		switch t.text {
		case "date":
			return p.timeLiteral(t, literalDate)
		case "timestamp", "timestamptz":
			return p.timeLiteral(t, literalTimestamp)
		case "interval":
			return p.timeLiteral(t, literalInterval)
		}
	}
	if !after.is("(") {
		return p.column(t)
	}
	p.take()
	switch t.text {
	case "cast", "try_cast":
		return p.cast(t)
	case "extract":
		return p.extract(t)
	}
	args, err := p.arguments()
	if err != nil {
		return nil, err
	}
	return &callNode{place(t.at), t.text, args}, nil
}

// column reads a column, and the fields below it.
func (p *parser) column(t token) (node, *fault) {
	n := &columnNode{place(t.at), []string{t.text}}
	for {
		if _, ok := p.accept("."); !ok {
			return n, nil
		}
		field := p.take()
		if field.kind != tokenName && field.kind != tokenQuoted {
			return nil, failf(field.at, "expected the name of a field after the dot, found %s", field.found())
		}
		if len(n.path) == maxDepth {
			return nil, failf(field.at, "the path is deeper than %d", maxDepth)
		}
		n.path = append(n.path, field.text)
	}
}

// numberLiteral makes 1 an integer, 1.5 a decimal with the digits as written,
// and 1e3 a double. What no integer holds is a decimal.
func numberLiteral(at int, sign, text string) (node, *fault) {
	if strings.ContainsAny(text, "eE") {
		if _, err := strconv.ParseFloat(text, 64); err != nil {
			return nil, failf(at, "the number %s is out of range", excerpt(text))
		}
		return &literalNode{place(at), literalDouble, sign + strings.ToLower(text)}, nil
	}
	whole, fraction, point := strings.Cut(text, ".")
	whole = strings.TrimLeft(whole, "0")
	if len(whole)+len(fraction) > decimal128.MaxPrecision {
		return nil, failf(at, "the number %s has more than %d digits", excerpt(text), decimal128.MaxPrecision).hinted("with an exponent it is a double: %se0", excerpt(text))
	}
	if whole == "" {
		whole = "0"
	}
	if !point || fraction == "" {
		kind := literalInteger
		if _, err := strconv.ParseInt(sign+whole, 10, 64); err != nil {
			kind = literalDecimal
		}
		return &literalNode{place(at), kind, sign + whole}, nil
	}
	return &literalNode{place(at), literalDecimal, sign + whole + "." + fraction}, nil
}

func (p *parser) timeLiteral(t token, kind literalKind) (node, *fault) {
	text := p.take()
	n := &literalNode{place(t.at), kind, strings.TrimSpace(text.text)}
	var err error
	switch kind {
	case literalDate:
		_, err = parseDate(n.text)
	case literalTimestamp:
		_, _, err = parseTimestamp(n.text)
	case literalInterval:
		_, err = parseInterval(n.text)
	}
	if err != nil {
		return nil, failf(text.at, "%s", err.Error())
	}
	return n, nil
}

func (p *parser) cases(t token) (node, *fault) {
	n := &caseNode{place: place(t.at)}
	var err *fault
	if !p.peek().is("when") {
		if n.subject, err = p.expression(); err != nil {
			return nil, err
		}
	}
	for {
		if _, ok := p.accept("when"); !ok {
			break
		}
		var one when
		if one.condition, err = p.expression(); err != nil {
			return nil, err
		}
		if err = p.expect("then", " after the condition of when"); err != nil {
			return nil, err
		}
		if one.then, err = p.expression(); err != nil {
			return nil, err
		}
		n.whens = append(n.whens, one)
	}
	if len(n.whens) == 0 {
		return nil, failf(p.peek().at, "expected when in case, found %s", p.peek().found())
	}
	if _, ok := p.accept("else"); ok {
		if n.otherwise, err = p.expression(); err != nil {
			return nil, err
		}
	}
	return n, p.expect("end", " of case")
}

func (p *parser) cast(t token) (node, *fault) {
	n := &castNode{place: place(t.at), try: t.text == "try_cast"}
	var err *fault
	if n.x, err = p.expression(); err != nil {
		return nil, err
	}
	word, ok := p.accept("as")
	if !ok {
		return nil, failf(word.at, "expected as in %s, found %s", t.text, word.found()).hinted("write %s(x as long)", t.text)
	}
	begin := p.peek().at
	text, err := p.typeText()
	if err != nil {
		return nil, err
	}
	if n.to, err = parseType(begin, text); err != nil {
		return nil, err
	}
	return n, p.expect(")", " after the type")
}

// typeText joins the tokens of a type, up to the parenthesis that closes cast.
func (p *parser) typeText() (string, *fault) {
	var text strings.Builder
	for depth := 0; ; {
		t := p.peek()
		switch {
		case t.kind == tokenEnd:
			return "", failf(t.at, `expected a type and ")", found the end`)
		case t.is(")") && depth == 0:
			return text.String(), nil
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		}
		text.WriteString(t.text)
		p.take()
	}
}

// typeAliases are names of types in other dialects. Those that record names
// itself in its errors are here too: in an expression they are no mistake.
var typeAliases = map[string]string{
	"integer": "int", "bigint": "long", "bool": "boolean", "varchar": "string", "text": "string", "real": "float",
}

func parseType(at int, text string) (arrow.DataType, *fault) {
	if name, ok := typeAliases[text]; ok {
		text = name
	}
	t, err := record.ParseType(text)
	if err != nil {
		return nil, failf(at, "%s", err.Error())
	}
	if classOf(t) == classNested {
		return nil, failf(at, "cast cannot make a %s", record.FormatType(t)).hinted("a plugin can")
	}
	return t, nil
}

// extract(unit from x) is date_part('unit', x).
func (p *parser) extract(t token) (node, *fault) {
	unit := p.take()
	if unit.kind != tokenName && unit.kind != tokenText {
		return nil, failf(unit.at, "expected a unit of time in extract, found %s", unit.found()).hinted("write extract(year from x)")
	}
	if err := p.expect("from", " in extract"); err != nil {
		return nil, err
	}
	x, err := p.expression()
	if err != nil {
		return nil, err
	}
	name := &literalNode{place(unit.at), literalText, unit.text}
	return &callNode{place(t.at), "date_part", []node{name, x}}, p.expect(")", " after extract")
}
