package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/contract"
	"github.com/calvelake/calve/runtime/record"
)

// ErrTestFailed: a row fails a data test of severity error. Nothing of the
// epoch is committed.
var ErrTestFailed = errors.New("a data test of severity error fails")

// DataTests checks rows before they are written: it refuses single rows, or
// stops the pipeline.
type DataTests struct {
	contract *contract.Contract
	mem      memory.Allocator
}

// NewDataTests takes a contract over the model's columns, derived ones
// included, and its change and position columns.
func NewDataTests(c *contract.Contract, mem memory.Allocator) *DataTests { return &DataTests{c, mem} }

// Apply implements Step.
func (t *DataTests) Apply(_ context.Context, batch record.Batch) (Applied, error) {
	rows, err := withColumns(batch, t.contract.Columns(), t.mem)
	if err != nil {
		return Applied{}, err
	}
	defer rows.Release()
	found, err := t.contract.Check(rows, t.mem)
	if err != nil {
		return Applied{}, err
	}
	if len(found.Failed) > 0 {
		return Applied{}, testError(batch, found.Failed)
	}
	out := Applied{Rows: retained(batch)}
	for _, w := range found.Warned {
		out.Warnings = append(out.Warnings, Warning{
			Test: w.First.Test, Rows: w.Rows, Message: w.First.Message, At: batch.Source.TopicPartition, Offset: offsetOf(batch, w.First.Row),
		})
	}
	if len(found.Refused) == 0 {
		return out, nil
	}
	out.Rows.Release()
	return refuse(batch, found.Refused, out, t.mem)
}

// Sparing implements Sparing.
func (t *DataTests) Sparing() Step { return NewDataTests(t.contract.Refusing(), t.mem) }

func offsetOf(batch record.Batch, row int) int64 {
	return batch.Source.Records[batch.Records[row]].Offset
}

// testError names the first row that fails.
func testError(batch record.Batch, failed []contract.Finding) error {
	first := slices.MinFunc(failed, func(a, b contract.Finding) int { return cmp.Compare(a.Row, b.Row) })
	return fmt.Errorf("%w: %s offset %d, row %d: %s; correct the source or the model, or give the test severity quarantine, which makes a dead letter of the row, or warn",
		ErrTestFailed, batch.Source.TopicPartition, offsetOf(batch, first.Row), batch.RowOrdinals()[first.Row], first.Message)
}

// refuse leaves out single rows; the others keep their ordinals.
func refuse(batch record.Batch, refused []contract.Finding, out Applied, mem memory.Allocator) (Applied, error) {
	ordinals := batch.RowOrdinals()
	gone := make([]bool, len(batch.Records))
	for _, f := range refused {
		gone[f.Row] = true
		out.Rejects = append(out.Rejects, record.Reject{
			Record: batch.Records[f.Row], OfRow: true, Row: ordinals[f.Row], Code: record.CodeTest, Message: f.Message, Column: f.Column,
		})
	}
	keep := make([]int, 0, len(gone)-len(refused))
	for i := range gone {
		if !gone[i] {
			keep = append(keep, i)
		}
	}
	var err error
	out.Rows, err = batch.Select(keep, mem)
	return out, err
}

// warned is a test of severity warn of a model.
type warned struct{ model, test string }

// warn counts what tests of severity warn found in an outcome.
func (e *epoch) warn(o outcome) {
	for _, w := range o.warnings {
		key := warned{o.model.Name, w.Test}
		have, ok := e.warnings[key]
		if !ok {
			have = w
			have.Rows = 0
		}
		have.Rows += w.Rows
		e.warnings[key] = have
	}
}

// reportWarnings logs them, once an epoch for each test, and what else the epoch
// is to be told of.
func (p *Pipeline) reportWarnings(e *epoch) {
	byName := func(a, b warned) int { return cmp.Or(cmp.Compare(a.model, b.model), cmp.Compare(a.test, b.test)) }
	for _, key := range slices.SortedFunc(maps.Keys(e.warnings), byName) {
		w := e.warnings[key]
		first := w.Message
		if !w.Keyed {
			first = fmt.Sprintf("%s offset %d: %s", w.At, w.Offset, w.Message)
		}
		p.parts.Logger.Warn("rows fail a data test", "epoch", e.number, "model", key.model, "test", key.test, "rows", w.Rows,
			"first", first)
		p.stats.warn(key, w.Rows)
	}
	p.reportTruncations(e)
}
