package project

import (
	"fmt"
	"regexp"
)

// Ref names what a model reads: a table of a source, or another model.
type Ref struct {
	Source string `json:",omitempty"` // with Table, or ""
	Table  string `json:",omitempty"`
	Model  string `json:",omitempty"`
}

// String gives the reference as a project writes it.
func (r Ref) String() string {
	switch {
	case r.Model != "":
		return "ref." + r.Model
	case r.Source != "":
		return "source." + r.Source + "." + r.Table
	}
	return ""
}

// IsZero tells whether there is no reference.
func (r Ref) IsZero() bool { return r == Ref{} }

const (
	sourceRefPattern = `^source\.([a-z][a-z0-9_]*)\.([a-z][a-z0-9_]*)$`
	modelRefPattern  = `^ref\.([a-z][a-z0-9_]*)$`
)

var (
	sourceRefText = regexp.MustCompile(sourceRefPattern)
	modelRefText  = regexp.MustCompile(modelRefPattern)
)

var sourceRef = patterned("a source table, source.<source>.<table>", sourceRefPattern, func(text string) (Ref, error) {
	if m := sourceRefText.FindStringSubmatch(text); m != nil {
		return Ref{Source: m[1], Table: m[2]}, nil
	}
	if modelRefText.MatchString(text) {
		return Ref{}, fmt.Errorf("%q is a model, expected a source table, source.<source>.<table>", text)
	}
	return Ref{}, fmt.Errorf("%q is no reference, expected source.<source>.<table>", excerpt(text))
}).literal()

var modelRef = patterned("a model, ref.<model>", modelRefPattern, func(text string) (Ref, error) {
	if m := modelRefText.FindStringSubmatch(text); m != nil {
		return Ref{Model: m[1]}, nil
	}
	if sourceRefText.MatchString(text) {
		return Ref{}, hintedError{fmt.Sprintf("%q is a source, expected a model, ref.<model>", text), "read the source by a model of kind staging, and that model here"}
	}
	return Ref{}, fmt.Errorf("%q is no reference, expected ref.<model>", excerpt(text))
}).literal()
