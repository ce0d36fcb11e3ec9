package project

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// variant is a mapping whose keys depend on the value of one of them, as a
// model's do on its kind.
type variant[O any] struct {
	name     string
	on       string // the key that decides
	fallback string // its value when absent; "" if it is required
	fixed    bool   // it takes no environment variables
	cases    []variantCase[O]
}

type variantCase[O any] struct {
	value string
	object[O]
}

func (v variant[O]) expects() string          { return "a mapping (" + v.name + ")" }
func (v variant[O]) accepts(k yaml.Kind) bool { return k == yaml.MappingNode }

func (v variant[O]) read(r reader, n *yaml.Node) (O, bool) {
	var zero O
	if n.Kind != yaml.MappingNode {
		r.wrongType(n, v.expects())
		return zero, false
	}
	value, ok := v.decide(r, n)
	if !ok {
		return zero, false
	}
	for _, c := range v.cases {
		if c.value == value {
			c.elsewhere = v.owners
			return c.read(r, n)
		}
	}
	panic("BUG: variant " + v.name + " has no case " + value)
}

func (v variant[O]) decide(r reader, n *yaml.Node) (string, bool) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == v.on && n.Content[i].Kind == yaml.ScalarNode && (v.fixed || !r.blank(n.Content[i+1])) {
			return read(r.key(v.on), shape[string](v.decider()), n.Content[i+1])
		}
	}
	if v.fallback == "" {
		r.fail(n, fmt.Sprintf("key %q is missing in %s", v.on, v.name), "expected one of "+strings.Join(v.values(), ", "))
		return "", false
	}
	return v.fallback, true
}

// owners names the cases that have a key.
func (v variant[O]) owners(key string) []string {
	var out []string
	for _, c := range v.cases {
		if slices.Contains(c.keys(), key) {
			out = append(out, v.on+" "+c.value)
		}
	}
	return out
}

func (v variant[O]) decider() scalar[string] {
	s := oneOf(v.values()...)
	s.fixed = v.fixed
	return s
}

func (v variant[O]) values() []string {
	out := make([]string, len(v.cases))
	for i, c := range v.cases {
		out[i] = c.value
	}
	return out
}

func (v variant[O]) describe(d *definitions) jsonSchema {
	return d.define(v.name, func() jsonSchema {
		decides := v.decider().describe(d)
		all := jsonSchema{"type": "object", "properties": jsonSchema{v.on: decides}}
		if v.fallback == "" {
			all["required"] = []any{v.on}
		}
		var cases []any
		for _, c := range v.cases {
			is := jsonSchema{"properties": jsonSchema{v.on: jsonSchema{"const": c.value}}}
			if c.value != v.fallback {
				is["required"] = []any{v.on}
			}
			cases = append(cases, jsonSchema{"if": is, "then": c.describe(d)})
		}
		all["allOf"] = cases
		return all
	})
}
