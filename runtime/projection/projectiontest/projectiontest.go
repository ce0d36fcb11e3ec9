// Package projectiontest makes columns of texts, for tests.
package projectiontest

import (
	"testing"

	"github.com/calvelake/calve/runtime/expression"
	"github.com/calvelake/calve/runtime/projection"
)

// Parse is the expression of a text, which must be one.
func Parse(t testing.TB, text string) *expression.Expr {
	t.Helper()
	e, err := expression.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Column is a column that a text makes.
func Column(t testing.TB, name, text string) projection.Column {
	t.Helper()
	return projection.Column{Name: name, Expression: Parse(t, text)}
}
