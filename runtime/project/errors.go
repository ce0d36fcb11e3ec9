package project

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one problem of a project, with its place.
type Error struct {
	File         string // relative to the project's folder, with slashes
	Line, Column int    // from 1, columns in characters; 0 if the problem is with the file as a whole
	Path         string // of the value within its document, as in columns[2].from; "" for the whole
	Message      string // what is wrong and what was expected
	Hint         string // what to do about it, or ""

	cause error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	b.WriteString(": ")
	b.WriteString(e.Message)
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(e.Hint)
	}
	return b.String()
}

// Unwrap returns what the file system or another package answered, if the
// problem is not Calve's own finding.
func (e *Error) Unwrap() error { return e.cause }

// Errors are all problems that were found in a project, ordered by file, line
// and column.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems one by one.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// problems collects errors while a project is read.
type problems struct {
	found Errors
}

func (p *problems) add(e *Error) { p.found = append(p.found, e) }

func (p *problems) count() int { return len(p.found) }

// err returns the problems in order, without repetitions, or nil.
func (p *problems) err() error {
	if len(p.found) == 0 {
		return nil
	}
	slices.SortStableFunc(p.found, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.CompactFunc(p.found, func(a, b *Error) bool {
		return a.Error() == b.Error()
	})
}
