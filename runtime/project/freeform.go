package project

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// freeform is a mapping of any content, handed on as JSON.
type freeform struct{}

func (freeform) read(r reader, n *yaml.Node) (json.RawMessage, bool) {
	if n.Kind != yaml.MappingNode {
		r.wrongType(n, freeform{}.expects())
		return nil, false
	}
	before := r.errs.count()
	value := r.freeform(n)
	if r.errs.count() > before {
		return nil, false
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		r.fail(n, "expected a value that JSON can hold", "")
		return nil, false
	}
	return json.RawMessage(bytes.TrimSpace(out.Bytes())), true
}

func (freeform) expects() string                  { return "a mapping" }
func (freeform) accepts(k yaml.Kind) bool         { return k == yaml.MappingNode }
func (freeform) describe(*definitions) jsonSchema { return jsonSchema{"type": "object"} }

// freeform gives the JSON value of a node: numbers keep their text, so that
// none is rounded.
func (r reader) freeform(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		out := map[string]any{}
		seen := map[string]int{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			if r.checkKey(k, seen) {
				out[k.Value] = r.key(k.Value).freeform(n.Content[i+1])
			}
		}
		return out
	case yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, item := range n.Content {
			out[i] = r.index(i).freeform(item)
		}
		return out
	}
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int", "!!float":
		if !json.Valid([]byte(n.Value)) {
			r.fail(n, fmt.Sprintf("%q is no number that JSON can hold", excerpt(n.Value)), "put it in quotes if it is meant as a string")
			return nil
		}
		return json.Number(n.Value)
	}
	text, _ := r.expand(n)
	return text
}
