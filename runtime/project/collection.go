package project

import (
	"fmt"

	"go.yaml.in/yaml/v4"
)

// list is a sequence of values of one shape.
type list[T any] struct {
	of     shape[T]
	least  int
	exact  int            // if not 0, how many there must be
	unique func(T) string // what must differ between items; nil for nothing
	simple bool           // items are scalars, so that the schema can say unique
}

// names is a list of column names without repetitions.
func names(least int) list[string] {
	return list[string]{of: columnName, least: least, simple: true, unique: func(s string) string { return s }}
}

func (l list[T]) read(r reader, n *yaml.Node) ([]T, bool) {
	if n.Kind != yaml.SequenceNode {
		r.wrongType(n, l.expects())
		return nil, false
	}
	if l.exact > 0 && len(n.Content) != l.exact || len(n.Content) < l.least {
		r.fail(n, fmt.Sprintf("expected %s, found %d", l.expects(), len(n.Content)), "")
		return nil, false
	}
	out := make([]T, 0, len(n.Content))
	seen := map[string]int{}
	for i, item := range n.Content {
		value, ok := read(r.index(i), l.of, item)
		if !ok {
			continue
		}
		out = append(out, value)
		if l.unique == nil || l.unique(value) == "" {
			continue
		}
		id := l.unique(value)
		if first, twice := seen[id]; twice {
			r.index(i).fail(item, fmt.Sprintf("%q is given twice, first on line %d", id, first), "")
			continue
		}
		seen[id] = item.Line
	}
	return out, true
}

func (l list[T]) expects() string {
	switch {
	case l.exact > 0:
		return fmt.Sprintf("a list of exactly %d, each %s", l.exact, l.of.expects())
	case l.least > 0:
		return fmt.Sprintf("a list of at least %d, each %s", l.least, l.of.expects())
	}
	return "a list, each " + l.of.expects()
}

func (l list[T]) accepts(k yaml.Kind) bool { return k == yaml.SequenceNode }

func (l list[T]) describe(d *definitions) jsonSchema {
	s := jsonSchema{"type": "array", "items": l.of.describe(d)}
	if l.least > 0 {
		s["minItems"] = l.least
	}
	if l.exact > 0 {
		s["minItems"], s["maxItems"] = l.exact, l.exact
	}
	if l.unique != nil && l.simple {
		s["uniqueItems"] = true
	}
	return s
}

// entry is one key and value of a mapping whose keys are free.
type entry[V any] struct {
	key   string
	value V
}

// mapping is a YAML mapping whose keys are the project's own names. Its entries
// keep the order of the file.
type mapping[V any] struct {
	keys scalar[string]
	of   shape[V]
}

func (m mapping[V]) read(r reader, n *yaml.Node) ([]entry[V], bool) {
	if n.Kind != yaml.MappingNode {
		r.wrongType(n, m.expects())
		return nil, false
	}
	var out []entry[V]
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if !r.checkKey(k, seen) {
			continue
		}
		if n.Style&yaml.FlowStyle != 0 && v.ShortTag() == "!!null" && v.Kind == yaml.ScalarNode {
			r.fail(k, fmt.Sprintf("%q has no value", excerpt(k.Value)), "a comma ends a value inside { }: put a value with commas in quotes")
			continue
		}
		name, ok := m.keys.read(r, asString(k))
		if !ok {
			continue
		}
		r.doc.marks[r.key(name).path+atKey] = mark{line: k.Line, column: k.Column}
		if value, ok := read(r.key(name), m.of, v); ok {
			out = append(out, entry[V]{name, value})
		}
	}
	return out, true
}

// asString is a key as a string, whatever its text looks like: no, on and 1 are
// keys as they are written.
func asString(k *yaml.Node) *yaml.Node {
	s := *k
	s.Tag = "!!str"
	return &s
}

func (m mapping[V]) expects() string {
	return "a mapping of " + m.keys.what + " to " + m.of.expects()
}

func (m mapping[V]) accepts(k yaml.Kind) bool { return k == yaml.MappingNode }

func (m mapping[V]) describe(d *definitions) jsonSchema {
	return jsonSchema{"type": "object", "propertyNames": m.keys.schema, "additionalProperties": m.of.describe(d)}
}

// mapOf is a mapping whose order has no meaning.
func mapOf[V any](keys scalar[string], of shape[V]) shape[map[string]V] {
	return convert(shape[[]entry[V]](mapping[V]{keys, of}), func(entries []entry[V]) map[string]V {
		out := make(map[string]V, len(entries))
		for _, e := range entries {
			out[e.key] = e.value
		}
		return out
	})
}
