package project

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// field is one key of an object: its name, what it means, and how its value
// gets into the Go struct.
type field[O any] struct {
	name, doc string
	required  bool
	fallback  string // the default as it would be written; "" for none
	read      func(r reader, n *yaml.Node, into *O)
	blankable bool // an empty value from the environment counts as absent
	describe  func(d *definitions) jsonSchema
}

// key describes a key whose value has shape s and goes to where at points.
func key[O, T any](name string, s shape[T], at func(*O) *T, doc string) field[O] {
	literal, ok := s.(interface{ literalOnly() bool })
	return field[O]{
		name: name, doc: doc, blankable: !ok || !literal.literalOnly(),
		read: func(r reader, n *yaml.Node, into *O) {
			if value, ok := read(r, s, n); ok {
				*at(into) = value
			}
		},
		describe: s.describe,
	}
}

// must makes a key required.
func (f field[O]) must() field[O] {
	f.required = true
	return f
}

// or gives the value of an absent key, as it would be written.
func (f field[O]) or(fallback string) field[O] {
	f.fallback = fallback
	return f
}

// object is a mapping with a closed set of keys.
type object[O any] struct {
	name   string // "column": in errors, and the name of its JSON Schema definition
	doc    string
	fields []field[O]
	start  func(*O)             // prepares the struct, may be nil
	check  func(r reader, o *O) // rules between keys, may be nil; it runs when all keys were read without error
	single bool                 // exactly one key

	elsewhere func(key string) []string // which objects of a variant have a key; nil outside variants
}

func (o object[O]) expects() string          { return "a mapping (" + o.name + ")" }
func (o object[O]) accepts(k yaml.Kind) bool { return k == yaml.MappingNode }

// read gives the struct even when some of its keys are in error, so that other
// problems of the same object are found too.
func (o object[O]) read(r reader, n *yaml.Node) (O, bool) {
	var out O
	if o.start != nil {
		o.start(&out)
	}
	if n.Kind != yaml.MappingNode {
		r.wrongType(n, o.expects())
		return out, false
	}
	before := r.errs.count()
	given := o.readKeys(r, n, &out)
	for _, f := range o.fields {
		switch {
		case given[f.name]:
		case f.required:
			r.fail(n, fmt.Sprintf("key %q is missing in %s", f.name, o.name), f.doc)
		case f.fallback != "":
			f.read(o.defaultReader(r, f), defaultNode(n, f.fallback), &out)
		}
	}
	if o.single && len(n.Content) != 2 {
		r.fail(n, fmt.Sprintf("expected exactly one key in %s, one of %s", o.name, listed(o.keys())), "")
	}
	if o.check != nil && r.errs.count() == before {
		o.check(r, &out)
	}
	return out, true
}

func (o object[O]) readKeys(r reader, n *yaml.Node, out *O) (given map[string]bool) {
	given = map[string]bool{}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if !r.checkKey(k, seen) {
			continue
		}
		at := slices.IndexFunc(o.fields, func(f field[O]) bool { return f.name == k.Value })
		if at < 0 {
			o.unknownKey(r, k)
			continue
		}
		f := o.fields[at]
		if f.blankable && r.blank(v) {
			if f.required {
				given[f.name] = true
				r.key(f.name).fail(v, fmt.Sprintf("%q is empty, but key %q is required in %s", excerpt(v.Value), f.name, o.name), "")
			}
			continue
		}
		given[f.name] = true
		f.read(r.key(f.name), v, out)
	}
	return given
}

func (o object[O]) unknownKey(r reader, k *yaml.Node) {
	hint := didYouMean(k.Value, o.keys())
	if o.elsewhere != nil {
		if owners := o.elsewhere(k.Value); len(owners) > 0 {
			hint = fmt.Sprintf("%q belongs to %s", k.Value, strings.Join(owners, ", "))
		}
	}
	r.fail(k, fmt.Sprintf("unknown key %q in %s, expected one of %s", excerpt(k.Value), o.name, listed(o.keys())), hint)
}

// checkKey refuses keys that are not plain strings, and keys given twice.
func (r reader) checkKey(k *yaml.Node, seen map[string]int) bool {
	if k.Kind != yaml.ScalarNode {
		r.fail(k, "expected a key, found "+found(k), "")
		return false
	}
	if first, twice := seen[k.Value]; twice {
		r.fail(k, fmt.Sprintf("key %q is given twice, first on line %d", excerpt(k.Value), first), "")
		return false
	}
	seen[k.Value] = k.Line
	return true
}

func (o object[O]) keys() []string {
	names := make([]string, len(o.fields))
	for i, f := range o.fields {
		names[i] = f.name
	}
	return names
}

// defaultReader leaves no marks: a default has no place in the file.
func (o object[O]) defaultReader(r reader, f field[O]) reader {
	r.doc = &document{file: r.doc.file, marks: map[string]mark{}}
	return r.key(f.name)
}

// defaultNode is a default as YAML would read it, at the place of the object.
func defaultNode(around *yaml.Node, text string) *yaml.Node {
	var n yaml.Node
	if err := yaml.Load([]byte(text), &n); err != nil || len(n.Content) != 1 {
		panic(fmt.Sprintf("BUG: default %q is no YAML: %v", text, err))
	}
	value := n.Content[0]
	value.Line, value.Column = around.Line, around.Column
	return value
}

func (o object[O]) describe(d *definitions) jsonSchema {
	return d.define(o.name, func() jsonSchema { return o.schema(d) })
}

func (o object[O]) schema(d *definitions) jsonSchema {
	properties := jsonSchema{}
	required := []any{}
	for _, f := range o.fields {
		s := jsonSchema{}
		for k, v := range f.describe(d) {
			s[k] = v
		}
		s["description"] = f.doc
		if f.fallback != "" {
			s["default"] = defaultValue(f.fallback)
		}
		properties[f.name] = s
		if f.required {
			required = append(required, f.name)
		}
	}
	out := jsonSchema{"type": "object", "properties": properties, "additionalProperties": false}
	if o.doc != "" {
		out["description"] = o.doc
	}
	if len(required) > 0 {
		out["required"] = required
	}
	if o.single {
		out["minProperties"], out["maxProperties"] = 1, 1
	}
	return out
}

// defaultValue is the JSON of a default that is written as a YAML scalar.
func defaultValue(text string) any {
	switch defaultNode(&yaml.Node{}, text).ShortTag() {
	case "!!int":
		if v, err := integer(math.MinInt64, math.MaxInt64).parse(text); err == nil {
			return v
		}
	case "!!float":
		if v, err := ratio.parse(text); err == nil {
			return v
		}
	case "!!bool":
		return strings.EqualFold(text, "true")
	}
	return text
}
