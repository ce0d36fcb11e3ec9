// Package projection holds what operators make of rows by the expressions of a
// model: columns and conditions, each compiled with its place in the model, so that
// errors say where, and columns over groups of rows with the aggregates that they
// call.
package projection

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/expression"
)

// Column is a column that an expression makes.
type Column struct {
	Name       string
	Expression *expression.Expr
}

// ExpressionError is what is wrong with an expression of a model.
type ExpressionError struct {
	Path string // in the model, as in where, derive.<column> or left_join[0].aggregates.<column>
	Text string // of the expression
	Err  error  // an *expression.Error
}

func (e *ExpressionError) Error() string { return fmt.Sprintf("%s: %s", e.Path, e.Err) }

func (e *ExpressionError) Unwrap() error { return e.Err }

// Compiled is an expression that was compiled, with its place in the model.
type Compiled struct {
	Name string // of the column that it makes, "" of a condition
	Path string
	*expression.Compiled
}

// Compile compiles a column, whose path is its name behind a prefix. The error is an
// *ExpressionError.
func Compile(prefix string, c Column, over *arrow.Schema) (Compiled, error) {
	path := prefix + c.Name
	made, err := c.Expression.Check(over)
	if err != nil {
		return Compiled{}, &ExpressionError{path, c.Expression.String(), err}
	}
	return Compiled{c.Name, path, made}, nil
}

// CompileWhere compiles a model's condition, nil for none. The error is an
// *ExpressionError.
func CompileWhere(where *expression.Expr, over *arrow.Schema) (*Compiled, error) {
	if where == nil {
		return nil, nil
	}
	made, err := where.CheckCondition(over)
	if err != nil {
		return nil, &ExpressionError{"where", where.String(), err}
	}
	return &Compiled{"", "where", made}, nil
}

// Field is the column that an expression makes. It may be null, so that it can be
// added to a table that has rows.
func (c *Compiled) Field() arrow.Field {
	return arrow.Field{Name: c.Name, Type: c.Type(), Nullable: true}
}

// Fault is told of a row of which something cannot be computed, where it is null.
type Fault func(row int, c *Compiled, message string)

// Compute computes the expression of rows that have the columns that it reads. The
// caller releases the result.
func (c *Compiled) Compute(rows arrow.RecordBatch, mem memory.Allocator, fault Fault) (arrow.Array, error) {
	made, faults, err := c.Eval(rows, mem)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Path, err)
	}
	for _, f := range faults {
		fault(f.Row, c, f.Message)
	}
	return made, nil
}
