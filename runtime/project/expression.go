package project

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/expression"
	"github.com/calvelake/calve/runtime/record"
)

// checkSyntax parses the expressions of a model of another kind than staging:
// what columns they see is known when it runs.
func (c *checker) checkSyntax(m *Model) {
	if m.Where != "" {
		c.parse("where", m.Where)
	}
	for _, e := range m.Derive {
		c.parse("derive."+e.Name, e.Text)
	}
	if m.Bridge != nil && m.Bridge.Weight != "" {
		c.parse("weight", m.Bridge.Weight)
	}
	for i, t := range m.Tests {
		if t.Kind == TestExpressionIsTrue {
			c.parse(expressionPath(i), t.Expression)
		}
	}
}

func expressionPath(i int) string {
	return indexed("data_tests", i) + "." + string(TestExpressionIsTrue) + ".expression"
}

// parse parses an expression, and reports what is wrong with it at its place.
func (c *checker) parse(path, text string) *expression.Expr {
	e, err := expression.Parse(text)
	if err != nil {
		c.failExpression(path, text, err)
		return nil
	}
	return e
}

// failExpression reports a problem of an expression at the character at fault.
func (c *checker) failExpression(path, text string, err error) {
	var at *expression.Error
	if !errors.As(err, &at) {
		panic("BUG: an expression fails without a place: " + err.Error())
	}
	c.errs.add(c.model.doc.within(path, text, at))
}

// Within is what is wrong with an expression of the model, at its place in the
// file. The path is that of the expression, as in derive.total.
func (m *Model) Within(path, text string, err *expression.Error) error {
	return m.doc.within(path, text, err)
}

// within is a problem inside a text: at the character itself where the file
// has the text as it is, else at the value that holds it. What came from a
// variable is not quoted.
func (d *document) within(path, text string, at *expression.Error) *Error {
	m := d.at(path)
	if m.text != "" {
		return d.problem(path, fmt.Sprintf("%q does not expand to an expression that fits: it is wrong at character %d", m.text, at.Position), "")
	}
	e := d.problem(path, at.Message, at.Hint)
	if shift, ok := d.verbatim(m, text); ok {
		e.Column += shift + at.Position - 1
		return e
	}
	e.Message = fmt.Sprintf("at character %d of the expression: %s", at.Position, at.Message)
	return e
}

// verbatim tells whether the file has a text as it is at a place, and how many
// characters behind the place it begins.
func (d *document) verbatim(m mark, text string) (shift int, ok bool) {
	if d.text == nil || m.line < 1 || m.line > len(d.text.lines) {
		return 0, false
	}
	line := d.text.lines[m.line-1]
	for i := 1; i < m.column; i++ {
		_, size := utf8.DecodeRuneInString(line)
		line = line[size:]
	}
	if unquoted := strings.TrimLeft(line, `'"`); len(line)-len(unquoted) == 1 && strings.HasPrefix(line[1:], text) {
		return 1, true
	}
	return 0, strings.HasPrefix(line, text)
}

// WhereSchema is what where sees of a staging model: the columns that are
// decoded, then the change and position columns.
func (m *Model) WhereSchema() *arrow.Schema { return m.schema(m.Input()) }

// DeriveSchema is what derived column i of a staging model sees: the columns,
// those derived before it, then the change and position columns. At i the
// number of derived columns it is what data tests see.
func (m *Model) DeriveSchema(i int) *arrow.Schema {
	return m.schema(slices.Concat(m.Columns, m.Derived[:i]))
}

func (m *Model) schema(columns []Column) *arrow.Schema {
	var fields []arrow.Field
	for _, c := range columns {
		fields = append(fields, arrow.Field{Name: c.Name, Type: c.Type, Nullable: c.Nullable})
	}
	return arrow.NewSchema(append(fields, m.SystemFields()...), nil)
}

// SystemFields are the columns that a staging table ends with: the change
// columns, if it has them, and the position columns.
func (m *Model) SystemFields() []arrow.Field {
	if m.Changes {
		return append(record.ChangeFields(), record.PositionFields()...)
	}
	return record.PositionFields()
}

// checkExpressions checks where and derive of a staging model, and completes
// Derived. Derived columns are optional whatever makes them, so that one can be
// added to a table that has rows.
func (c *checker) checkExpressions(m *Model) {
	m.Derived = nil
	if m.Where != "" {
		if e := c.parse("where", m.Where); e != nil {
			if _, err := e.CheckCondition(m.WhereSchema()); err != nil {
				c.failExpression("where", m.Where, err)
			}
		}
	}
	for _, d := range m.Derive {
		path := "derive." + d.Name
		e := c.parse(path, d.Text)
		if e == nil || hasColumn(m.Columns, d.Name) {
			continue // the name is reported where columns are gathered
		}
		compiled, err := e.Check(m.DeriveSchema(len(m.Derived)))
		if err != nil {
			c.failExpression(path, d.Text, err)
			continue
		}
		m.Derived = append(m.Derived, Column{
			Name: d.Name, Type: compiled.Type(), TypeText: record.FormatType(compiled.Type()), Nullable: true,
		})
	}
}

// addDerived adds the derived columns to a staging model's, with their types.
func (c *checker) addDerived(m *Model, out *columnSet) {
	c.checkExpressions(m)
	c.makeAll(out, nil, "derive", m.Derive)
	for _, d := range m.Derived {
		out.types[d.Name] = d.Type
	}
}

// checkTestExpression checks an expression_is_true.
func (c *checker) checkTestExpression(m *Model, i int, t Test) {
	if t.Kind != TestExpressionIsTrue || m.Kind != KindStaging || len(m.Derived) < len(m.Derive) {
		return
	}
	path := expressionPath(i)
	e := c.parse(path, t.Expression)
	if e == nil {
		return
	}
	if _, err := e.CheckCondition(m.DeriveSchema(len(m.Derived))); err != nil {
		c.failExpression(path, t.Expression, err)
	}
}

// checkTestValues checks that the values of a test are of the column's type,
// where that is known.
func (c *checker) checkTestValues(set *columnSet, path string, t Test) {
	if len(t.Columns) != 1 || set.types[t.Columns[0]] == nil {
		return
	}
	typ := set.types[t.Columns[0]]
	for i, v := range t.Values {
		c.checkTestValue(indexed(path+".values", i), t.Columns[0], v, typ)
	}
	for _, bound := range []struct {
		key   string
		value *string
	}{{"min_value", t.Min}, {"max_value", t.Max}} {
		if bound.value != nil {
			c.checkTestValue(path+"."+bound.key, t.Columns[0], *bound.value, typ)
		}
	}
	bounds := expression.Bounds{Min: t.Min, Max: t.Max, Inclusive: t.Inclusive}
	if t.Min == nil || t.Max == nil || expression.CheckValue(*t.Min, typ) != nil || expression.CheckValue(*t.Max, typ) != nil {
		return // nothing to compare, or reported above
	}
	if err := expression.CheckRange(bounds, typ); err != nil {
		c.fail(path+".max_value", err.Error(), "swap min_value and max_value, or correct one of them")
	}
}

func (c *checker) checkTestValue(path, column, value string, t arrow.DataType) {
	if expression.CheckValue(value, t) != nil {
		c.fail(path, fmt.Sprintf("%s is no value of column %q, which is %s", c.model.doc.quote(path, value), column, typeName(t)), "")
	}
}

// checkContract refuses what an enforced contract and the rest of a model say
// against each other.
func (c *checker) checkContract(m *Model) {
	if m.Contract.Enforced && m.OnSchemaChange == SchemaChangeAppendNewColumns {
		path := "contract"
		if _, given := m.doc.marks["on_schema_change"]; given {
			path = "on_schema_change"
		}
		c.fail(path, "an enforced contract holds the table to the declared columns, and on_schema_change: append_new_columns adds others", "set on_schema_change to fail or ignore, or contract.enforced to false")
	}
}
