// Package contract checks the rows of a batch by a model's data tests, before
// they are visible to anybody: which rows are refused, which tests stop the
// pipeline, and what is only counted.
//
// Tests are those of single rows. As in dbt and dbt_utils, a test looks for
// rows that are against it, so that a null passes all but not_null: a null is
// not outside a range, and an expression that is null is not false.
package contract

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/expression"
)

// Kind is a kind of test.
type Kind string

// The kinds of tests of single rows.
const (
	NotNull          Kind = "not_null"
	AcceptedValues   Kind = "accepted_values"
	AcceptedRange    Kind = "accepted_range"
	ExpressionIsTrue Kind = "expression_is_true"
)

// Severity is what becomes of a row that fails a test.
type Severity string

const (
	Warn       Severity = "warn"       // it is counted, and stays
	Quarantine Severity = "quarantine" // it is refused
	Error      Severity = "error"      // nothing of the epoch may become visible
)

// Test is a test of the rows of a model. Which fields are used depends on the
// kind.
type Test struct {
	Kind       Kind
	Column     string            // of all but expression_is_true
	Values     []string          // accepted_values, as expression.CheckValue takes them
	Range      expression.Bounds // accepted_range
	Expression string            // expression_is_true
	Severity   Severity
}

// Spec is what Compile makes a Contract of.
type Spec struct {
	Schema *arrow.Schema // of the batches that are checked; they may have more columns
	Tests  []Test
}

// Contract is the tests of a model. It is immutable and safe for concurrent
// use.
type Contract struct {
	checks []check
}

// check is one compiled test: its condition is false for the rows against it.
type check struct {
	name      string
	column    string // "" for expression_is_true
	severity  Severity
	condition *expression.Compiled
	wanted    string // completes "expected …"
}

// Compile checks the tests against the schema. Its errors name the test, what
// was found and what was expected.
func Compile(spec Spec) (*Contract, error) {
	c := &Contract{}
	names := namesOf(spec.Tests)
	for i, t := range spec.Tests {
		made, err := compile(spec.Schema, t)
		if err != nil {
			return nil, fmt.Errorf("data test %s: %w", names[i], err)
		}
		made.name = names[i]
		c.checks = append(c.checks, made)
	}
	return c, nil
}

// Refusing is the contract for where nothing is to stop: the rows that fail a
// test of severity error are refused, as by severity quarantine.
func (c *Contract) Refusing() *Contract {
	refusing := &Contract{checks: slices.Clone(c.checks)}
	for i := range refusing.checks {
		if refusing.checks[i].severity == Error {
			refusing.checks[i].severity = Quarantine
		}
	}
	return refusing
}

// Names lists the tests' names, in order.
func (c *Contract) Names() []string {
	names := make([]string, len(c.checks))
	for i, one := range c.checks {
		names[i] = one.name
	}
	return names
}

// Columns lists the columns that the tests read, each once.
func (c *Contract) Columns() []string {
	var names []string
	for _, one := range c.checks {
		for _, name := range one.condition.Columns() {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// namesOf names tests as dbt does: not_null_order_id, expression_is_true_1. A
// second test of one kind and column gets a number.
func namesOf(tests []Test) []string {
	names := make([]string, len(tests))
	given := map[string]bool{}
	for i, t := range tests {
		base, number := string(t.Kind), 1
		name := base + "_1"
		if t.Kind != ExpressionIsTrue {
			base += "_" + t.Column
			name = base
		}
		for given[name] {
			number++
			name = fmt.Sprintf("%s_%d", base, number)
		}
		given[name] = true
		names[i] = name
	}
	return names
}

func compile(schema *arrow.Schema, t Test) (check, error) {
	if !slices.Contains([]Severity{Warn, Quarantine, Error}, t.Severity) {
		return check{}, fmt.Errorf("severity %q is not known; expected warn, quarantine or error", t.Severity)
	}
	e, wanted, err := condition(schema, t)
	if err != nil {
		return check{}, err
	}
	compiled, err := e.CheckCondition(schema)
	if err != nil {
		return check{}, err
	}
	return check{column: t.Column, severity: t.Severity, condition: compiled, wanted: wanted}, nil
}

// condition is the expression that is not false for the rows that pass.
func condition(schema *arrow.Schema, t Test) (e *expression.Expr, wanted string, err error) {
	if t.Kind == ExpressionIsTrue {
		e, err = expression.Parse(t.Expression)
		return e, "", err
	}
	at := schema.FieldIndices(t.Column)
	if len(at) != 1 {
		return nil, "", fmt.Errorf("there is no column %q", t.Column)
	}
	typ := schema.Field(at[0]).Type
	switch t.Kind {
	case NotNull:
		return expression.NotNull(t.Column), "a value", nil
	case AcceptedValues:
		e, err = expression.OneOf(t.Column, t.Values, typ)
		return e, "one of " + listed(t.Values), err
	case AcceptedRange:
		e, err = expression.InRange(t.Column, t.Range, typ)
		return e, described(t.Range), err
	}
	return nil, "", fmt.Errorf("kind %q is not known; expected %s, %s, %s or %s", t.Kind, NotNull, AcceptedValues, AcceptedRange, ExpressionIsTrue)
}

func listed(values []string) string {
	const most = 10
	if len(values) > most {
		return strings.Join(values[:most], ", ") + ", …"
	}
	return strings.Join(values, ", ")
}

func described(b expression.Bounds) string {
	least, most := "more than", "less than"
	if b.Inclusive {
		least, most = "at least", "at most"
	}
	var parts []string
	if b.Min != nil {
		parts = append(parts, least+" "+*b.Min)
	}
	if b.Max != nil {
		parts = append(parts, most+" "+*b.Max)
	}
	return strings.Join(parts, " and ")
}
