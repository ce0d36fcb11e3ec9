package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/expression"
	"github.com/calvelake/calve/runtime/record"
)

// Derived is a column that an expression makes.
type Derived struct {
	Name       string
	Expression *expression.Compiled
}

// Derive appends columns to the rows. Each can use those before it.
type Derive struct {
	columns []Derived
	reads   []string
	mem     memory.Allocator
}

// NewDerive takes expressions over the model's columns, the change and position
// columns, and the columns derived before.
func NewDerive(columns []Derived, mem memory.Allocator) *Derive {
	d := &Derive{columns: columns, mem: mem}
	made := map[string]bool{}
	for _, c := range columns {
		for _, name := range c.Expression.Columns() {
			if !made[name] {
				d.reads = append(d.reads, name)
			}
		}
		made[c.Name] = true
	}
	return d
}

// Apply implements Step.
func (d *Derive) Apply(_ context.Context, batch record.Batch) (Applied, error) {
	seen, err := withColumns(batch, d.reads, d.mem)
	if err != nil {
		return Applied{}, err
	}
	defer func() { seen.Release() }()
	out := Applied{Rows: retained(batch)}
	for _, c := range d.columns {
		column, errs, err := c.Expression.Eval(seen, d.mem)
		if err != nil {
			out.Rows.Release()
			return Applied{}, fmt.Errorf("derive %s: %w", c.Name, err)
		}
		out.Rejects = append(out.Rejects, expressionRejects(batch, errs, "derive "+c.Name, c.Name)...)
		f := arrow.Field{Name: c.Name, Type: c.Expression.Type(), Nullable: c.Expression.Nullable()}
		seen = appendColumn(seen, f, column)
		out.Rows.Rows = appendColumn(out.Rows.Rows, f, column)
		column.Release()
	}
	return out, nil
}

// appendColumn is a batch with a column more; it takes the batch over.
func appendColumn(rows arrow.RecordBatch, f arrow.Field, column arrow.Array) arrow.RecordBatch {
	defer rows.Release()
	fields := append(slices.Clone(rows.Schema().Fields()), f)
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), append(slices.Clone(rows.Columns()), column), rows.NumRows())
}

// Required refuses records whose rows have no value in a column that must have
// one. The decoder sees to it for what it decodes; this is for what a plugin or
// an expression makes.
type Required struct{ columns []string }

// NewRequired takes the columns that are never null.
func NewRequired(columns []string) *Required { return &Required{columns} }

// Apply implements Step.
func (s *Required) Apply(_ context.Context, batch record.Batch) (Applied, error) {
	out := Applied{Rows: retained(batch)}
	for _, name := range s.columns {
		at := batch.Rows.Schema().FieldIndices(name)
		if len(at) != 1 {
			out.Rows.Release()
			return Applied{}, fmt.Errorf("BUG: the rows have %d columns %s", len(at), name)
		}
		column := batch.Rows.Column(at[0])
		if column.NullN() == 0 {
			continue
		}
		for i, r := range batch.Records {
			if column.IsNull(i) {
				out.Rejects = append(out.Rejects, record.Reject{
					Record: r, Code: record.CodeMissing, Message: fmt.Sprintf("column %s is null and must have a value (nullable: false)", name), Column: name,
				})
			}
		}
	}
	return out, nil
}
