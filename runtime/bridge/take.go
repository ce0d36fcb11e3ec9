package bridge

import (
	"context"
	"fmt"
	"strings"

	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/eventtime"
	"github.com/calvelake/calve/runtime/upstream"
)

// Take adds rows of a staging model, at a watermark, µs since 1970 UTC. Rows that
// it refuses are rejects, in row order, one for each at most. It does not keep the
// batch.
func (o *Operator) Take(_ context.Context, model string, batch record.Batch, watermark int64) ([]record.Reject, error) {
	if err := o.ready(watermark); err != nil {
		return nil, err
	}
	if o.spec.From.IsKeyed() || model != o.spec.From.Name {
		return nil, fmt.Errorf("bridge %s: %w: staging model %s", o.spec.Model, errModel, model)
	}
	rows, err := upstream.NewBatch(batch, o.mem)
	if err != nil {
		return nil, fmt.Errorf("bridge %s: %w", o.spec.Model, err)
	}
	defer rows.Release()
	t := &taking{Operator: o, Batch: rows, watermark: watermark}
	if err := t.take(); err != nil {
		return nil, fmt.Errorf("bridge %s: take rows of %s: %w", o.spec.Model, model, err)
	}
	return t.Rejects(), nil
}

// taking is one call of Take.
type taking struct {
	*Operator
	*upstream.Batch
	mapped    *mapped
	owners    []string
	watermark int64
	changes   upstream.Changes
	stamps    upstream.Stamps
	effective upstream.Effective
}

func (t *taking) take() error {
	if err := t.read(); err != nil {
		return err
	}
	fault := func(row int, c *projection.Compiled, message string) {
		if !t.changes.IsDelete(row) && len(t.changes.Holes(row, t.kept)) == 0 {
			t.Refuse(row, record.CodeExpression, c.Name, c.Path+": "+message)
		}
	}
	var err error
	if t.mapped, err = t.newMapped(t.Rows, fault); err != nil {
		return err
	}
	defer t.mapped.release()
	if len(t.expressions()) > 0 { // the record at fault is at hand now
		if err := t.mapped.widen(fault); err != nil {
			return err
		}
	}
	if t.owners, err = t.mapped.owners(); err != nil {
		return err
	}
	t.judge()
	if err := t.hold(t.owners); err != nil {
		return err
	}
	for row, owner := range t.owners {
		if owner != "" {
			t.add(t.entries[owner], row)
		}
	}
	return nil
}

// read finds the columns that are not of expressions.
func (t *taking) read() (err error) {
	if t.changes, err = upstream.ChangesOf(t.spec.From, t.Rows); err != nil {
		return err
	}
	if t.stamps, err = upstream.StampsOf(t.Rows); err == nil {
		t.effective, err = upstream.EffectiveOf(t.Rows, t.spec.EffectiveAt, t.changes, t.stamps)
	}
	return err
}

// judge refuses rows that map no member, or have no time. The rows that are refused
// have no owner then.
func (t *taking) judge() {
	for row, owner := range t.owners {
		if owner == "" {
			names := t.ownerColumns()
			t.Refuse(row, record.CodeNullKey, names[0], fmt.Sprintf("%s: a part of each key is null: the row maps no member", strings.Join(names, ", ")))
		}
		if _, ok := t.effective.OfEvent(row); !ok {
			name := t.spec.EffectiveAt
			t.Refuse(row, record.CodeNullEventTime, name, fmt.Sprintf("effective time %s is null: the change has no place among those of its owner", name))
		}
		if t.IsRefused(row) {
			t.owners[row] = ""
		}
	}
}

func (t *taking) ownerColumns() []string {
	var names []string
	for _, k := range t.keys {
		if !k.ofElement {
			names = append(names, k.On...)
		}
	}
	return names
}

// add gives a row to its owner.
func (t *taking) add(e *entry, row int) {
	at, _ := t.effective.OfEvent(row)
	c := change{at: dimension.Within(at), order: t.order(row), stamp: t.stamps.Of(row)}
	if e.isLate(&c, t.horizon(t.watermark)) {
		t.Refuse(row, record.CodeLateChange, t.spec.EffectiveAt, fmt.Sprintf(
			"the change took effect at %s, before the newest one of its owner at %s, and is late: the watermark is at %s, and changes may be late by %s; let the model begin anew with --reset-model %s",
			eventtime.Text(at), eventtime.Text(e.old.newest().at), eventtime.Text(t.watermark), t.spec.LateChanges, t.spec.Model))
		return
	}
	if c.gone = t.changes.IsDelete(row); !c.gone {
		c.row, c.holes = t.mapped.keep(row), t.changes.Holes(row, t.kept)
	}
	e.now.add(c)
}

// isLate tells whether a change comes before others that were known when the epoch
// began, and later than it may: what lies between may have been forgotten. What comes
// behind all others splits nothing, and is not late.
func (e *entry) isLate(c *change, horizon int64) bool {
	if e.old.isLate(c.at) {
		return true
	}
	return c.at <= horizon && !e.old.isEmpty() && c.compare(e.old.newest()) < 0
}

// order is where a change belongs among those of one time: by the source's sequence,
// and then by where it comes from.
func (t *taking) order(row int) []byte {
	return t.AppendPosition(t.changes.AppendSequence(nil, row), row)
}
