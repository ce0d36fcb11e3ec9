package expression

import (
	"slices"
	"strings"

	"github.com/calvelake/calve/runtime/record"
)

// How tightly operations bind, the loosest first.
const (
	levelOr = iota
	levelAnd
	levelNot
	levelPredicate // comparison, is, between, in, like
	levelConcat
	levelSum
	levelProduct
	levelSign
	levelPrimary
)

var binaryLevels = map[string]int{
	"or": levelOr, "and": levelAnd,
	"=": levelPredicate, "<>": levelPredicate, "<": levelPredicate, "<=": levelPredicate, ">": levelPredicate, ">=": levelPredicate,
	"||": levelConcat, "+": levelSum, "-": levelSum, "*": levelProduct, "/": levelProduct, "%": levelProduct,
}

// reserved names mean something where a column could stand: as columns they
// are quoted.
var reserved = []string{
	"and", "between", "case", "distinct", "else", "end", "escape", "false", "from", "in", "is", "like", "not", "null", "or", "then", "true", "when",
}

func level(n node) int {
	switch n := n.(type) {
	case *unaryNode:
		if n.op == "not" {
			return levelNot
		}
		return levelSign
	case *binaryNode:
		return binaryLevels[n.op]
	case *isNode, *betweenNode, *inNode, *likeNode:
		return levelPredicate
	case *literalNode:
		if strings.HasPrefix(n.text, "-") && n.kind >= literalInteger && n.kind <= literalDouble {
			return levelSign
		}
	}
	return levelPrimary
}

// writer writes canonical text: what parses to the same tree.
type writer struct{ strings.Builder }

// operand writes n, in parentheses if it binds less than the place demands.
func (w *writer) operand(n node, least int) {
	if level(n) < least {
		w.WriteByte('(')
		w.node(n)
		w.WriteByte(')')
		return
	}
	w.node(n)
}

func (w *writer) node(n node) {
	switch n := n.(type) {
	case *columnNode:
		w.path(n.path)
	case *literalNode:
		w.literal(n)
	case *unaryNode:
		w.unary(n)
	case *binaryNode:
		own := binaryLevels[n.op]
		left := own
		if own == levelPredicate {
			left++ // comparisons do not chain
		}
		w.operand(n.l, left)
		w.words(" ", n.op, " ")
		w.operand(n.r, own+1)
	case *isNode:
		w.is(n)
	case *betweenNode:
		w.operand(n.x, levelConcat)
		w.words(negated(n.not), " between ")
		w.operand(n.low, levelConcat)
		w.WriteString(" and ")
		w.operand(n.high, levelConcat)
	case *inNode:
		w.operand(n.x, levelConcat)
		w.words(negated(n.not), " in ")
		w.list(n.list)
	case *likeNode:
		w.operand(n.x, levelConcat)
		w.words(negated(n.not), " like ")
		w.operand(n.pattern, levelConcat)
		if n.escape != nil {
			w.WriteString(" escape ")
			w.operand(n.escape, levelConcat)
		}
	case *caseNode:
		w.cases(n)
	case *castNode:
		name := "cast("
		if n.try {
			name = "try_cast("
		}
		w.WriteString(name)
		w.node(n.x)
		w.words(" as ", record.FormatType(n.to), ")")
	case *callNode:
		w.WriteString(n.name)
		w.list(n.args)
	}
}

func (w *writer) words(all ...string) {
	for _, s := range all {
		w.WriteString(s)
	}
}

func (w *writer) list(all []node) {
	w.WriteByte('(')
	for i, n := range all {
		if i > 0 {
			w.WriteString(", ")
		}
		w.node(n)
	}
	w.WriteByte(')')
}

func (w *writer) path(path []string) {
	for i, name := range path {
		if i > 0 {
			w.WriteByte('.')
		}
		if isPlainName(name) {
			w.WriteString(name)
		} else {
			w.words(`"`, strings.ReplaceAll(name, `"`, `""`), `"`)
		}
	}
}

func isPlainName(name string) bool {
	if name == "" || isDigit(name[0]) || slices.Contains(reserved, name) {
		return false
	}
	for i := 0; i < len(name); i++ {
		if !isDigit(name[i]) && (!isLetter(name[i]) || name[i] >= 'A' && name[i] <= 'Z') {
			return false
		}
	}
	return true
}

var literalWords = map[literalKind]string{
	literalNull: "null", literalTrue: "true", literalFalse: "false",
	literalDate: "date ", literalTimestamp: "timestamp ", literalInterval: "interval ",
}

func (w *writer) literal(n *literalNode) {
	w.WriteString(literalWords[n.kind])
	switch n.kind {
	case literalInteger, literalDecimal, literalDouble:
		w.WriteString(n.text)
	case literalText, literalDate, literalTimestamp, literalInterval:
		w.words("'", strings.ReplaceAll(n.text, "'", "''"), "'")
	}
}

func (w *writer) unary(n *unaryNode) {
	if n.op == "not" {
		w.WriteString("not ")
		w.operand(n.x, levelNot)
		return
	}
	w.WriteByte('-')
	// A sign before a number is read as part of it, and -- looks like a comment.
	if level(n.x) == levelSign || isNumber(n.x) {
		w.WriteByte('(')
		w.node(n.x)
		w.WriteByte(')')
		return
	}
	w.operand(n.x, levelSign)
}

func isNumber(n node) bool {
	l, ok := n.(*literalNode)
	return ok && l.kind >= literalInteger && l.kind <= literalDouble
}

func (w *writer) is(n *isNode) {
	w.operand(n.x, levelConcat)
	w.words(" is", negated(n.not), " ", n.what)
	if n.other != nil {
		w.WriteString(" from ")
		w.operand(n.other, levelConcat)
	}
}

func negated(not bool) string {
	if not {
		return " not"
	}
	return ""
}

func (w *writer) cases(n *caseNode) {
	w.WriteString("case")
	if n.subject != nil {
		w.WriteByte(' ')
		w.node(n.subject)
	}
	for _, one := range n.whens {
		w.WriteString(" when ")
		w.node(one.condition)
		w.WriteString(" then ")
		w.node(one.then)
	}
	if n.otherwise != nil {
		w.WriteString(" else ")
		w.node(n.otherwise)
	}
	w.WriteString(" end")
}
