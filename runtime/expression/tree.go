package expression

import "github.com/apache/arrow-go/v18/arrow"

// node is one operation of a parsed expression. Nodes are never changed.
type node interface {
	// at is the byte of the text where the operation is.
	at() int
}

type place int

func (p place) at() int { return int(p) }

type literalKind uint8

const (
	literalNull literalKind = iota
	literalTrue
	literalFalse
	literalInteger
	literalDecimal
	literalDouble
	literalText
	literalDate
	literalTimestamp
	literalInterval
)

type (
	// columnNode is a column, or a field of a struct: a.b.
	columnNode struct {
		place
		path []string
	}
	// literalNode holds a number as written, with its sign; the rest as the
	// text between the quotes.
	literalNode struct {
		place
		kind literalKind
		text string
	}
	// unaryNode is - or not.
	unaryNode struct {
		place
		op string
		x  node
	}
	// binaryNode is or, and, a comparison, ||, + - * / %.
	binaryNode struct {
		place
		op   string
		l, r node
	}
	// isNode is x is [not] null, true, false or distinct from other.
	isNode struct {
		place
		x, other node // other of distinct alone
		what     string
		not      bool
	}
	betweenNode struct {
		place
		x, low, high node
		not          bool
	}
	inNode struct {
		place
		x    node
		list []node
		not  bool
	}
	likeNode struct {
		place
		x, pattern, escape node // escape may be nil
		not                bool
	}
	caseNode struct {
		place
		subject   node // nil for conditions
		whens     []when
		otherwise node // nil for null
	}
	castNode struct {
		place
		x   node
		to  arrow.DataType
		try bool
	}
	callNode struct {
		place
		name string
		args []node
	}
)

type when struct{ condition, then node }

// children lists the operands of a node.
func children(n node) []node {
	var all []node
	add := func(some ...node) {
		for _, one := range some {
			if one != nil {
				all = append(all, one)
			}
		}
	}
	switch n := n.(type) {
	case *unaryNode:
		add(n.x)
	case *binaryNode:
		add(n.l, n.r)
	case *isNode:
		add(n.x, n.other)
	case *betweenNode:
		add(n.x, n.low, n.high)
	case *inNode:
		add(n.x)
		add(n.list...)
	case *likeNode:
		add(n.x, n.pattern, n.escape)
	case *caseNode:
		add(n.subject)
		for _, w := range n.whens {
			add(w.condition, w.then)
		}
		add(n.otherwise)
	case *castNode:
		add(n.x)
	case *callNode:
		add(n.args...)
	}
	return all
}
