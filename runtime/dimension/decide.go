package dimension

import (
	"context"
	"fmt"

	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/rowcodec"
	"github.com/calvelake/calve/runtime/upstream"
)

// decide goes through changes as the Decider has it: in rounds, of one change a
// member each.
func (e *ending) decide(ctx context.Context, all []*work) error {
	for round := 0; len(all) > 0; round++ {
		var left []*work
		for _, w := range all {
			if round < len(w.todo) {
				left = append(left, w)
			} else {
				w.fold.settle()
			}
		}
		if len(left) > 0 {
			if err := e.decideRound(ctx, left, round); err != nil {
				return err
			}
		}
		all = left
	}
	return nil
}

func (e *ending) decideRound(ctx context.Context, all []*work, round int) error {
	p := Proposal{}
	changes := make([]*change, len(all))
	var proposed, inForce [][]byte
	nothing := make([]byte, e.attributes.NumFields()) // nulls
	for i, w := range all {
		c := &w.todo[round]
		w.fold.reach(c)
		if len(c.holes) > 0 {
			filled, err := w.fold.fill(c)
			if err != nil {
				return fmt.Errorf("member %x: %w", w.key, err)
			}
			c = filled
		}
		changes[i] = c
		op, row, now := c.op, c.versioned, w.fold.state.versioned
		if c.kind == changeLeave || c.kind == changeDelete {
			op, row = 'd', nothing
		}
		absent := !w.fold.exists || w.fold.gone
		if absent {
			now = nothing
		}
		p.Ops, p.EffectiveAt, p.Absent = append(p.Ops, op), append(p.EffectiveAt, c.at()), append(p.Absent, absent)
		proposed, inForce = append(proposed, row), append(inForce, now)
	}
	var err error
	if p.Changes, err = rowcodec.Batch(e.attributes, proposed, e.mem); err != nil {
		return fmt.Errorf("%w: %w", keyvalue.ErrCorrupt, err)
	}
	defer p.Changes.Release()
	if p.InForce, err = rowcodec.Batch(e.attributes, inForce, e.mem); err != nil {
		return fmt.Errorf("%w: %w", keyvalue.ErrCorrupt, err)
	}
	defer p.InForce.Release()
	d, err := e.spec.Decider.Decide(ctx, p)
	if err != nil {
		return fmt.Errorf("decide of %d changes: %w", len(all), err)
	}
	defer d.Attributes.Release()
	return e.carryOut(all, changes, &d)
}

// carryOut does what was decided.
func (e *ending) carryOut(all []*work, changes []*change, d *Decision) error {
	columns, err := upstream.Columns(d.Attributes, e.attributes.Fields())
	if err != nil {
		return err
	}
	if len(d.Actions) != len(all) || int(d.Attributes.NumRows()) != len(all) {
		return fmt.Errorf("BUG: %d changes have %d actions and %d rows of attributes", len(all), len(d.Actions), d.Attributes.NumRows())
	}
	failed := map[int]bool{}
	for _, fault := range d.Errors {
		if failed[fault.Row] = true; all[fault.Row].isFresh(changes[fault.Row]) {
			key, err := e.keyText(all[fault.Row].key)
			if err != nil {
				return err
			}
			e.failed = append(e.failed, RowError{Key: key, Code: fault.Code, Message: fault.Message})
		}
	}
	for i, w := range all {
		action := d.Actions[i]
		if failed[i] {
			action = ActionIgnore
		}
		if err := w.fold.act(action, changes[i], rowcodec.AppendRow(nil, columns, i)); err != nil {
			return err
		}
	}
	return nil
}

// act carries out what was decided of a change.
func (f *fold) act(action Action, c *change, attributes []byte) error {
	next := f.state
	if c.kind == changeRow || c.kind == changeLeave {
		next.raw = c.raw
	}
	switch action {
	case ActionIgnore:
	case ActionOverwrite, ActionNewVersion:
		next.versioned, next.exists, next.gone = attributes, true, false
		if action == ActionNewVersion {
			f.split, f.newest = true, f.newest.Max(c.stamp)
		}
	case ActionDelete:
		next.gone = f.exists && f.spec.HardDeletes != HardDeletesIgnore
	default:
		return fmt.Errorf("action %d of a change is unknown", action)
	}
	f.alter(next, c.stamp)
	if next.gone {
		f.split = false
	}
	return nil
}

// isFresh tells whether a change came in this epoch.
func (w *work) isFresh(c *change) bool {
	for i := range w.fresh {
		if string(w.fresh[i].order) == string(c.order) {
			return true
		}
	}
	return false
}

// keyText is a natural key for a message: customer_id=5, line=1.
func (p *Program) keyText(member string) (string, error) {
	rows, err := rowcodec.Batch(p.naturalKey, [][]byte{[]byte(member)}, p.mem)
	if err != nil {
		return "", fmt.Errorf("%w: %w", keyvalue.ErrCorrupt, err)
	}
	defer rows.Release()
	return upstream.KeyText(p.spec.NaturalKey, rows.Columns(), 0), nil
}
