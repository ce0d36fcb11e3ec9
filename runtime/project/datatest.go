package project

import (
	"fmt"
	"time"
)

// TestKind is a kind of data test.
type TestKind string

const (
	TestNotNull          TestKind = "not_null"
	TestUnique           TestKind = "unique"
	TestAcceptedValues   TestKind = "accepted_values"
	TestAcceptedRange    TestKind = "accepted_range"
	TestRelationships    TestKind = "relationships"
	TestExpressionIsTrue TestKind = "expression_is_true"
)

var testKinds = []TestKind{TestNotNull, TestUnique, TestAcceptedValues, TestAcceptedRange, TestRelationships, TestExpressionIsTrue}

// Severity is what becomes of an epoch, or a row, that fails a test.
type Severity string

const (
	SeverityWarn       Severity = "warn"       // it is reported
	SeverityQuarantine Severity = "quarantine" // the row becomes a dead letter
	SeverityError      Severity = "error"      // the epoch is not committed
)

// Test is a data test of a model. Which fields are set depends on the kind.
type Test struct {
	Kind       TestKind
	Columns    []string `json:",omitempty"` // the tested column; of unique one or several
	Values     []string `json:",omitempty"` // accepted_values, as text
	Min, Max   *string  `json:",omitempty"` // accepted_range, as text; nil for no bound
	Inclusive  bool     `json:",omitempty"` // accepted_range: the bounds themselves are accepted
	To         Ref      `json:",omitzero"`  // relationships: the model that has the value
	Field      string   `json:",omitempty"` // relationships: the column of To
	Expression string   `json:",omitempty"` // expression_is_true
	// Horizon is how far behind the watermark unique looks for another row in a
	// staging model.
	Horizon  time.Duration `json:",omitzero"`
	Severity Severity
}

// defaultHorizon is how long rows of events are remembered that come again: longer
// than a producer repeats what it is not sure of.
const (
	defaultHorizon = 7 * 24 * time.Hour
	horizonText    = "7d"
)

// testArguments builds the shapes of the arguments of each kind of test. A test
// of a column knows its column; a test of a model names it.
type testArguments struct {
	prefix string // of the names in errors and schema
	model  bool
}

// columnTest is a test below a column, modelTest one below a model.
var (
	columnTest = either[Test]{
		short: convert(shape[string](oneOf(string(TestNotNull), string(TestUnique)).literal()), func(s string) Test {
			t := Test{Kind: TestKind(s), Severity: SeverityError}
			if t.Kind == TestUnique {
				t.Horizon = defaultHorizon
			}
			return t
		}),
		long: testArguments{prefix: "column test"}.shape(),
	}
	modelTest = testArguments{prefix: "model test", model: true}.shape()
)

func (a testArguments) shape() object[Test] {
	whole := func(t *Test) *Test { return t }
	return object[Test]{
		name: a.prefix, single: true,
		doc: "A data test: exactly one key, the kind of test.",
		fields: []field[Test]{
			key("not_null", a.of(TestNotNull, a.columns()), whole, "The column has no nulls."),
			key("unique", a.of(TestUnique, a.columns(),
				key("horizon", duration, func(t *Test) *time.Duration { return &t.Horizon }, "Of a staging model: how far behind the watermark another row with the same value is looked for.").or(horizonText)), whole, "No two rows have the same value; null is none."),
			key("accepted_values", a.of(TestAcceptedValues, a.column(),
				key("values", list[string]{of: anyScalar, least: 1, unique: func(s string) string { return s }}, func(t *Test) *[]string { return &t.Values }, "The values that are accepted.").must()), whole, "The column has one of these values, or null."),
			key("accepted_range", a.of(TestAcceptedRange, a.column(),
				key("min_value", optional(anyScalar), func(t *Test) **string { return &t.Min }, "The least value."),
				key("max_value", optional(anyScalar), func(t *Test) **string { return &t.Max }, "The greatest value."),
				key("inclusive", boolean, func(t *Test) *bool { return &t.Inclusive }, "Whether the bounds themselves are accepted.").or("true")), whole, "The column is within bounds, or null."),
			key("relationships", a.of(TestRelationships, a.column(),
				key("to", modelRef, func(t *Test) *Ref { return &t.To }, "The model that must have the value.").must(),
				key("field", columnName, func(t *Test) *string { return &t.Field }, "Its column.").must()), whole, "Every value is one of another model's."),
			key("expression_is_true", a.of(TestExpressionIsTrue, nil,
				key("expression", expressionText, func(t *Test) *string { return &t.Expression }, "The expression.").must()), whole, "An expression is true of every row."),
		},
	}
}

func (a testArguments) of(kind TestKind, column *field[Test], more ...field[Test]) object[Test] {
	severities := []Severity{SeverityWarn, SeverityError}
	if kind.isRowTest() {
		severities = []Severity{SeverityWarn, SeverityQuarantine, SeverityError}
	}
	var fields []field[Test]
	if column != nil {
		fields = append(fields, *column)
	}
	fields = append(fields, more...)
	fields = append(fields, key("severity", oneOf(severities...), func(t *Test) *Severity { return &t.Severity }, "What a failure does: warn, error (nothing of the epoch is committed), or for tests of single rows quarantine (the row becomes a dead letter).").or(string(SeverityError)))
	return object[Test]{
		name: fmt.Sprintf("%s %s", a.prefix, kind), fields: fields,
		start: func(t *Test) { t.Kind = kind },
		check: func(r reader, t *Test) {
			if kind == TestAcceptedRange && t.Min == nil && t.Max == nil {
				r.failHere("accepted_range has no bound", "give min_value, max_value or both")
			}
		},
	}
}

// isRowTest tells whether single rows can fail, so that they alone can be put
// aside.
func (k TestKind) isRowTest() bool { return k != TestUnique && k != TestRelationships }

func (a testArguments) columns() *field[Test] {
	if !a.model {
		return nil
	}
	f := key("columns", names(1), func(t *Test) *[]string { return &t.Columns }, "The columns tested.").must()
	return &f
}

func (a testArguments) column() *field[Test] {
	if !a.model {
		return nil
	}
	one := convert(shape[string](columnName), func(s string) []string { return []string{s} })
	f := key("column", one, func(t *Test) *[]string { return &t.Columns }, "The column tested.").must()
	return &f
}
