package daemon

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/contract"
	"github.com/calvelake/calve/runtime/decode"
	"github.com/calvelake/calve/runtime/expression"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
)

// addSteps builds what surrounds a model's plugin: where on what is decoded,
// then derive and the data tests on what the model's table has. The types are
// those of the decoder, which the table may have made wider.
func addSteps(m *project.Model, built *pipeline.Model, input []decode.Column) error {
	mem := memory.DefaultAllocator
	decoded := make([]arrow.Field, len(input))
	for i, c := range input {
		decoded[i] = arrow.Field{Name: c.Name, Type: c.Type, Nullable: c.Nullable}
	}
	if m.Where != "" {
		condition, err := compileExpression(m.Where, schemaOf(m, decoded), (*expression.Expr).CheckCondition)
		if err != nil {
			return fmt.Errorf("where: %w", err)
		}
		built.Before = []pipeline.Step{pipeline.NewWhere(condition, mem)}
	}
	columns := decoded
	if m.Plugin != nil {
		columns = arrowFields(m.Columns)
		if required := requiredColumns(m); len(required) > 0 {
			built.After = append(built.After, pipeline.NewRequired(required))
		}
	}
	derived, columns, err := derivedColumns(m, columns, built.Table)
	if err != nil {
		return err
	}
	if len(derived) > 0 {
		built.After = append(built.After, pipeline.NewDerive(derived, mem))
	}
	tests := rowTests(m)
	if len(tests) == 0 {
		return nil
	}
	checks, err := contract.Compile(contract.Spec{Schema: schemaOf(m, columns), Tests: tests})
	if err != nil {
		return err
	}
	built.After = append(built.After, pipeline.NewDataTests(checks, mem))
	return nil
}

// schemaOf is what an expression sees: columns, and those that every staging
// table has.
func schemaOf(m *project.Model, columns []arrow.Field) *arrow.Schema {
	return arrow.NewSchema(append(columns[:len(columns):len(columns)], m.SystemFields()...), nil)
}

func compileExpression(text string, schema *arrow.Schema, check func(*expression.Expr, *arrow.Schema) (*expression.Compiled, error)) (*expression.Compiled, error) {
	e, err := expression.Parse(text)
	if err != nil {
		return nil, err
	}
	return check(e, schema)
}

// requiredColumns are the columns that the plugin must fill.
func requiredColumns(m *project.Model) []string {
	var names []string
	for _, c := range m.Columns {
		if !c.Nullable {
			names = append(names, c.Name)
		}
	}
	return names
}

// derivedColumns compiles derive, each column with the type that the table has.
// It also returns the columns with those derived.
func derivedColumns(m *project.Model, columns []arrow.Field, t *lakehouse.Table) ([]pipeline.Derived, []arrow.Field, error) {
	var derived []pipeline.Derived
	for i, d := range m.Derive {
		want := m.Derived[i].Type
		if t != nil {
			want = t.ColumnType(d.Name, want)
		}
		compiled, err := compileExpression(d.Text, schemaOf(m, columns), func(e *expression.Expr, s *arrow.Schema) (*expression.Compiled, error) {
			return checkAs(e, s, want)
		})
		if err != nil {
			return nil, nil, fmt.Errorf("derive %s: %w", d.Name, err)
		}
		derived = append(derived, pipeline.Derived{Name: d.Name, Expression: compiled})
		columns = append(columns[:len(columns):len(columns)], arrow.Field{Name: d.Name, Type: want, Nullable: true})
	}
	return derived, columns, nil
}

// checkAs compiles an expression for a column of a type.
func checkAs(e *expression.Expr, schema *arrow.Schema, want arrow.DataType) (*expression.Compiled, error) {
	compiled, err := e.Check(schema)
	if err != nil || arrow.TypeEqual(compiled.Type(), want) {
		return compiled, err
	}
	if !expression.Widens(compiled.Type(), want) {
		return nil, fmt.Errorf("it is %s since the table's columns became wider than the model declares, and the table has %s; declare the columns that it reads as the table has them, or cast it", compiled.Type(), want)
	}
	return e.As(want).Check(schema)
}

// rowTests are a model's data tests of single rows, those of columns first.
func rowTests(m *project.Model) []contract.Test {
	var tests []contract.Test
	for _, t := range testsOf(m) {
		if !ofTables(t) {
			tests = append(tests, rowTest(t)...)
		}
	}
	return tests
}

// rowTest is a data test, of each of its columns.
func rowTest(t project.Test) []contract.Test {
	one := contract.Test{
		Kind: contract.Kind(t.Kind), Values: t.Values, Range: expression.Bounds{Min: t.Min, Max: t.Max, Inclusive: t.Inclusive},
		Expression: t.Expression, Severity: contract.Severity(t.Severity),
	}
	if len(t.Columns) == 0 {
		return []contract.Test{one}
	}
	tests := make([]contract.Test, len(t.Columns))
	for i, column := range t.Columns {
		tests[i] = one
		tests[i].Column = column
	}
	return tests
}
