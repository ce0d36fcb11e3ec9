package pipeline

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/expression"
	"github.com/calvelake/calve/runtime/record"
)

// Where keeps the rows for which a condition is true. A record without a row
// left is filtered.
type Where struct {
	condition *expression.Compiled
	mem       memory.Allocator
}

// NewWhere takes a condition over the rows that are decoded, their change and
// position columns included.
func NewWhere(condition *expression.Compiled, mem memory.Allocator) *Where {
	return &Where{condition, mem}
}

// Apply implements Step.
func (w *Where) Apply(_ context.Context, batch record.Batch) (Applied, error) {
	rows, err := withColumns(batch, w.condition.Columns(), w.mem)
	if err != nil {
		return Applied{}, err
	}
	defer rows.Release()
	result, errs, err := w.condition.Eval(rows, w.mem)
	if err != nil {
		return Applied{}, fmt.Errorf("where: %w", err)
	}
	defer result.Release()
	rejects := expressionRejects(batch, errs, "where", "")
	holds := result.(*array.Boolean)
	keep := make([]int, 0, holds.Len())
	for i := range holds.Len() {
		if holds.IsValid(i) && holds.Value(i) {
			keep = append(keep, i)
		}
	}
	if len(keep) == holds.Len() {
		return Applied{Rows: retained(batch), Rejects: rejects}, nil
	}
	kept, err := batch.Select(keep, w.mem)
	return Applied{Rows: kept, Rejects: rejects}, err
}

// expressionRejects makes dead letters of the records of rows that cannot be
// computed, one a record.
func expressionRejects(batch record.Batch, errs []expression.RowError, what, column string) []record.Reject {
	var rejects []record.Reject
	for _, e := range errs {
		r := batch.Records[e.Row]
		if n := len(rejects); n > 0 && rejects[n-1].Record == r {
			continue
		}
		rejects = append(rejects, record.Reject{Record: r, Code: record.CodeExpression, Message: what + ": " + e.Message, Column: column})
	}
	return rejects
}
