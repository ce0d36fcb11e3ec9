package avro

import (
	"fmt"
	"strings"

	"github.com/twmb/avro"

	"github.com/calvelake/calve/runtime/decode/registry"
)

// Schema is a writer's schema, parsed.
type Schema struct {
	root *node
}

// kind is a type of the specification.
type kind uint8

const (
	null kind = iota
	boolean
	integer
	long
	float
	double
	bytes
	text
	fixed
	enum
	array
	mapping
	structure // record
	union
)

var kinds = map[string]kind{
	"null": null, "boolean": boolean, "int": integer, "long": long, "float": float, "double": double,
	"bytes": bytes, "string": text, "fixed": fixed, "enum": enum, "array": array, "map": mapping,
	"record": structure, "error": structure, "union": union,
}

// node is one type of a schema. References to a named type share its node, so
// that a recursive schema is a cycle.
type node struct {
	kind     kind
	meaning  meaning
	name     string // a named type's full name, else the type's
	scale    int    // of a decimal
	digits   int    // of a decimal: its precision
	size     int    // of a fixed
	symbols  [][]byte
	fields   []field
	items    *node // of an array; a map's values
	branches []*node
	least    int // bytes that a value takes at least
}

type field struct {
	name string
	node *node
}

// Parse reads a schema with its references. Names may hold characters that the
// specification forbids, since there are producers that use them.
func Parse(s registry.Schema) (*Schema, error) {
	var cache avro.SchemaCache
	b := builder{named: map[string]*avro.SchemaNode{}, built: map[string]*node{}}
	for _, ref := range s.References {
		parsed, err := cache.Parse(ref.Text, avro.WithLaxNames(nil))
		if err != nil {
			return nil, fmt.Errorf("parse Avro schema %s, a reference of schema %d: %w", ref.Name, s.ID, err)
		}
		b.define(parsed.Root())
	}
	parsed, err := cache.Parse(s.Text, avro.WithLaxNames(nil))
	if err != nil {
		return nil, fmt.Errorf("parse Avro schema %d: %w", s.ID, err)
	}
	root := parsed.Root()
	b.define(root)
	n, err := b.build(root, "")
	if err != nil {
		return nil, fmt.Errorf("read Avro schema %d: %w", s.ID, err)
	}
	return &Schema{root: n}, nil
}

// builder makes nodes of what the library parsed.
type builder struct {
	named map[string]*avro.SchemaNode
	built map[string]*node
}

// define notes the named types of a tree.
func (b *builder) define(n *avro.SchemaNode) {
	if k, ok := kinds[n.Type]; ok && (k == structure || k == fixed || k == enum) {
		b.named[fullName(n)] = n
	}
	for i := range n.Fields {
		b.define(&n.Fields[i].Type)
	}
	for i := range n.Branches {
		b.define(&n.Branches[i])
	}
	if n.Items != nil {
		b.define(n.Items)
	}
	if n.Values != nil {
		b.define(n.Values)
	}
}

// fullName is the name with its namespace, unless that is part of it.
func fullName(n *avro.SchemaNode) string {
	if n.Namespace == "" || strings.Contains(n.Name, ".") {
		return n.Name
	}
	return n.Namespace + "." + n.Name
}

// build makes a node; space is the namespace around it, in which names without
// one are looked for.
func (b *builder) build(n *avro.SchemaNode, space string) (*node, error) {
	k, ok := kinds[n.Type]
	if !ok { // a reference
		def, found := b.named[n.Type]
		if inside, ok := b.named[space+"."+n.Type]; ok && !strings.Contains(n.Type, ".") {
			def, found = inside, true
		}
		if !found {
			return nil, fmt.Errorf("type %q is not defined", n.Type)
		}
		return b.build(def, space)
	}
	switch k {
	case structure, fixed, enum:
		name := fullName(n)
		if done, ok := b.built[name]; ok {
			return done, nil
		}
		out := &node{kind: k, name: name}
		b.built[name] = out
		return out, b.fill(out, n, name[:max(strings.LastIndexByte(name, '.'), 0)])
	}
	out := &node{kind: k, name: n.Type}
	return out, b.fill(out, n, space)
}

// fill sets what a node's kind has.
func (b *builder) fill(out *node, n *avro.SchemaNode, space string) error {
	out.size = n.Size
	for _, s := range n.Symbols {
		out.symbols = append(out.symbols, []byte(s))
	}
	items := n.Items
	if out.kind == mapping {
		items = n.Values
	}
	var err error
	if out.kind == array || out.kind == mapping {
		if out.items, err = b.build(items, space); err != nil {
			return err
		}
	}
	if out.kind == union {
		for i := range n.Branches {
			branch, err := b.build(&n.Branches[i], space)
			if err != nil {
				return err
			}
			out.branches = append(out.branches, branch)
		}
	}
	if out.kind == structure {
		for i := range n.Fields {
			f, err := b.build(&n.Fields[i].Type, space)
			if err != nil {
				return err
			}
			out.fields = append(out.fields, field{n.Fields[i].Name, f})
		}
	}
	out.interpret(n)
	out.least = out.leastBytes()
	return nil
}

// leastBytes is the least number of bytes of a value. A type that holds itself
// does so through a union, array or map, of one byte at least.
func (n *node) leastBytes() int {
	switch n.kind {
	case null:
		return 0
	case float:
		return 4
	case double:
		return 8
	case fixed:
		return n.size
	case structure:
		sum := 0
		for _, f := range n.fields {
			sum = min(sum+f.node.least, 1<<20)
		}
		return sum
	}
	return 1
}

// nullable returns what a union of null and one type holds, and the index of
// its null.
func (n *node) nullable() (inner *node, nullAt int, ok bool) {
	if n.kind != union || len(n.branches) != 2 {
		return nil, 0, false
	}
	for i, b := range n.branches {
		if other := n.branches[1-i]; b.kind == null && other.kind != null {
			return other, i, true
		}
	}
	return nil, 0, false
}

// describe names a type for messages.
func (n *node) describe() string {
	switch n.kind {
	case union:
		text := "a union of "
		for i, b := range n.branches {
			if i > 0 {
				text += ", "
			}
			text += b.describe()
		}
		return text
	case array, mapping:
		return n.name + " of " + n.items.name
	case structure:
		return "record " + n.name
	case fixed, enum:
		return kindNames[n.kind] + " " + n.name
	}
	if n.meaning != plain {
		return n.name + " (" + meaningNames[n.meaning] + ")"
	}
	return n.name
}

var kindNames = map[kind]string{fixed: "fixed", enum: "enum"}
