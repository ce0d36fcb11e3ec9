package project

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// mark is the place of a value, and its text as written if an environment
// variable is part of it.
type mark struct {
	line, column int
	text         string
}

// fileText is a file as it is. Secrets may be in it: it is never printed, and
// behind a pointer so that printing a project does not.
type fileText struct{ lines []string }

// document is one YAML document while and after it is read.
type document struct {
	file  string
	text  *fileText
	root  *yaml.Node
	marks map[string]mark // by path; "" is the document
}

// at returns the place of a path, or of the nearest value around it: a default
// has no place of its own.
func (d *document) at(path string) mark {
	for {
		if m, ok := d.marks[path]; ok || path == "" {
			return m
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
}

// atKey marks the path of a mapping's key instead of its value.
const atKey = "#key"

// quote quotes a value for an error. What came from a variable is shown as it
// is written in the file.
func (d *document) quote(path, value string) string {
	if m, ok := d.marks[path]; ok && m.text != "" {
		return fmt.Sprintf("%q", m.text)
	}
	return fmt.Sprintf("%q", value)
}

func (d *document) problem(path, message, hint string) *Error {
	m := d.at(path)
	path = strings.TrimSuffix(path, atKey)
	return &Error{File: d.file, Line: m.line, Column: m.column, Path: path, Message: message, Hint: hint}
}

// reader reads the values of one document; it is where errors get their place.
type reader struct {
	doc  *document
	env  func(string) (string, bool)
	errs *problems
	path string
}

// read reads one value by its shape. False means that there is no value, and
// that the reason was reported.
func read[T any](r reader, s shape[T], n *yaml.Node) (T, bool) {
	m := mark{line: n.Line, column: n.Column}
	if n.Kind == yaml.ScalarNode && hasVariable(n.Value) {
		m.text = n.Value
	}
	r.doc.marks[r.path] = m
	return s.read(r, n)
}

func (r reader) key(name string) reader {
	if r.path != "" {
		name = r.path + "." + name
	}
	r.path = name
	return r
}

func (r reader) index(i int) reader {
	r.path = fmt.Sprintf("%s[%d]", r.path, i)
	return r
}

// fail reports a problem at a node.
func (r reader) fail(n *yaml.Node, message, hint string) {
	r.errs.add(&Error{File: r.doc.file, Line: n.Line, Column: n.Column, Path: r.path, Message: message, Hint: hint})
}

// failAt reports a problem at a key of the object being read.
func (r reader) failAt(key, message, hint string) {
	r.errs.add(r.doc.problem(r.key(key).path, message, hint))
}

// wrongType reports a value of another type. It names the type that was found
// and never the value, which may be a secret.
func (r reader) wrongType(n *yaml.Node, expected string) {
	hint := ""
	if n.Kind == yaml.ScalarNode && n.ShortTag() != "!!str" && n.ShortTag() != "!!null" {
		hint = "a string that looks like another type needs quotes"
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		hint = "if it is meant as another type, leave out the quotes"
	}
	r.fail(n, fmt.Sprintf("expected %s, found %s", expected, found(n)), hint)
}

func found(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!int":
		return "an integer"
	case "!!float":
		return "a number"
	case "!!bool":
		return "a boolean"
	}
	return "a string"
}

// expand replaces the variables of a scalar.
func (r reader) expand(n *yaml.Node) (string, bool) {
	text, err := expand(n.Value, r.env)
	if err == nil {
		return text, true
	}
	hint := "write $${ for a literal ${"
	var missing unset
	if errors.As(err, &missing) {
		hint = fmt.Sprintf("set it, or give a default: ${%s:-value}", missing.name)
	}
	r.fail(n, err.Error(), hint)
	return "", false
}

// blank tells whether a scalar has variables and they expand to nothing.
func (r reader) blank(n *yaml.Node) bool {
	if n.Kind != yaml.ScalarNode || !hasVariable(n.Value) {
		return false
	}
	text, err := expand(n.Value, r.env)
	return err == nil && text == ""
}

// failHere reports a problem at the value being read.
func (r reader) failHere(message, hint string) {
	r.errs.add(r.doc.problem(r.path, message, hint))
}
