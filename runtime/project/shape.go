package project

import (
	"go.yaml.in/yaml/v4"
)

// shape describes one form of YAML value: how it is read, and its JSON Schema.
// Shapes are tables of constants; they hold nothing of a project.
type shape[T any] interface {
	// read reads a node. False means that there is no value, and that the
	// reason was reported.
	read(r reader, n *yaml.Node) (T, bool)
	// expects completes "expected …".
	expects() string
	// accepts tells whether a node of this YAML kind can be of the shape.
	accepts(k yaml.Kind) bool
	describe(d *definitions) jsonSchema
}

// converted is a shape whose values are turned into another Go type.
type converted[A, B any] struct {
	from shape[A]
	to   func(A) B
}

func convert[A, B any](from shape[A], to func(A) B) shape[B] { return converted[A, B]{from, to} }

func (c converted[A, B]) read(r reader, n *yaml.Node) (B, bool) {
	a, ok := c.from.read(r, n)
	if !ok {
		var zero B
		return zero, false
	}
	return c.to(a), true
}

func (c converted[A, B]) expects() string                    { return c.from.expects() }
func (c converted[A, B]) accepts(k yaml.Kind) bool           { return c.from.accepts(k) }
func (c converted[A, B]) describe(d *definitions) jsonSchema { return c.from.describe(d) }

// optional is a shape whose value is told apart from an absent one.
func optional[T any](s shape[T]) shape[*T] {
	return convert(s, func(v T) *T { return &v })
}

// either is a value that may be written in two forms that differ in YAML kind,
// such as a name or a mapping.
type either[T any] struct {
	short, long shape[T]
}

func (e either[T]) read(r reader, n *yaml.Node) (T, bool) {
	for _, s := range []shape[T]{e.short, e.long} {
		if s.accepts(n.Kind) {
			return s.read(r, n)
		}
	}
	r.wrongType(n, e.expects())
	var zero T
	return zero, false
}

func (e either[T]) expects() string { return e.short.expects() + ", or " + e.long.expects() }

func (e either[T]) accepts(k yaml.Kind) bool { return e.short.accepts(k) || e.long.accepts(k) }

func (e either[T]) describe(d *definitions) jsonSchema {
	return jsonSchema{"anyOf": []any{e.short.describe(d), e.long.describe(d)}}
}
