package pipeline

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/contract"
	"github.com/calvelake/calve/runtime/record"
)

// test runs a keyed model's data tests on the rows that it creates or updates,
// before anyone sees them. None of them refuses single rows: such a row is of
// many records.
func (e *epoch) test(k *keyed, changes record.Changelog) error {
	if k.Tests == nil {
		return nil
	}
	rows, err := e.p.testedRows(k, changes)
	if err != nil {
		return err
	}
	defer rows.Release()
	found, err := k.Tests.Check(rows, e.p.parts.Allocator)
	if err != nil {
		return fmt.Errorf("test rows of model %s: %w", k.Name, err)
	}
	if len(found.Failed) > 0 {
		first := slices.MinFunc(found.Failed, func(a, b contract.Finding) int { return cmp.Compare(a.Row, b.Row) })
		return k.fault(fmt.Errorf("%w: model %s: %s; correct the source or the model, or give the test severity warn", ErrTestFailed, k.Name, first.Message))
	}
	for _, w := range found.Warned {
		key := warned{k.Name, w.First.Test}
		have, ok := e.warnings[key]
		if !ok {
			have = Warning{Test: w.First.Test, Message: w.First.Message, Keyed: true}
		}
		have.Rows += w.Rows
		e.warnings[key] = have
	}
	return nil
}

// testedRows is the rows of creates and updates that the model's tests are of. The
// caller releases it.
func (p *Pipeline) testedRows(k *keyed, changes record.Changelog) (arrow.RecordBatch, error) {
	var keep []int
	for i, op := range changes.Ops {
		if op != record.OpDelete && (k.Untested == nil || !k.Untested(changes.Rows, i)) {
			keep = append(keep, i)
		}
	}
	if len(keep) == changes.Len() {
		changes.Rows.Retain()
		return changes.Rows, nil
	}
	return record.Take(changes.Rows, keep, p.parts.Allocator)
}
