package bridge

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/rowcodec"
)

// Follow adds what an epoch changed in the rows of a keyed model. It does not keep
// the changelog.
func (o *Operator) Follow(_ context.Context, model string, changes record.Changelog, watermark int64) error {
	if err := o.ready(watermark); err != nil {
		return err
	}
	if err := changes.Check(); err != nil || changes.Len() == 0 {
		return err
	}
	err := fmt.Errorf("%w: keyed model %s", errModel, model)
	if o.keyed && model == o.spec.From.Model {
		err = o.follow(changes, o.horizon(watermark))
	}
	if err != nil {
		return fmt.Errorf("bridge %s: take changes of %s: %w", o.spec.Model, model, err)
	}
	return nil
}

func (o *Operator) follow(changes record.Changelog, horizon int64) error {
	f, err := o.newFollowing(changes)
	if err != nil {
		return err
	}
	defer f.release()
	former, err := o.former(f.ids)
	if err != nil {
		return err
	}
	if err := o.hold(slices.Concat(former, f.owners)); err != nil {
		return err
	}
	for row, op := range changes.Ops {
		c := change{at: within(f.effective(row, op)), id: []byte(f.ids[row]), stamp: f.stamps.of(row)}
		gone, owner := c, f.owners[row]
		if gone.gone = true; op == record.OpDelete {
			owner = ""
		}
		if former[row] != "" && former[row] != owner {
			o.entries[former[row]].follow(gone, horizon)
		}
		if owner != "" {
			c.row = f.keep(row)
			o.entries[owner].follow(c, horizon)
		}
		if owner != former[row] {
			o.moved[string(c.id)] = owner
		}
	}
	return nil
}

// follow takes a change of a keyed model: of one time, that of the latest epoch
// counts, and none is refused: one that is late counts from behind those that are, or
// could be, settled.
func (e *entry) follow(c change, horizon int64) {
	if e.now.last == e.old.last {
		e.now.last++
	}
	switch {
	case e.old.isEmpty():
	case c.at < e.old.newest().at && e.old.newest().at <= horizon:
		c.at = e.old.newest().at + 1
	case e.old.isLate(c.at):
		c.at = e.old.base.at + 1
	}
	c.order = append(binary.BigEndian.AppendUint64(nil, e.now.last), c.id...)
	e.now.add(c)
}

// former are the owners that rows of a keyed model had.
func (o *Operator) former(ids []string) ([]string, error) {
	names := make([][]byte, len(ids))
	for i, id := range ids {
		names[i] = spaced(spaceRows, id)
	}
	values, err := o.state.Get(names)
	if err != nil {
		return nil, fmt.Errorf("read the owners of %d rows: %w", len(names), err)
	}
	owners := make([]string, len(ids))
	for i, id := range ids {
		owners[i] = string(values[i])
		if moved, ok := o.moved[id]; ok {
			owners[i] = moved
		}
	}
	return owners, nil
}

// following is one call of Follow.
type following struct {
	*mapped
	ids    []string
	owners []string
	times  *array.Timestamp // when changes took effect; nil for the default
	stamps stamps
}

func (o *Operator) newFollowing(changes record.Changelog) (*following, error) {
	var failed error
	fault := func(row int, c *compiledColumn, message string) {
		if failed == nil && changes.Ops[row] != record.OpDelete {
			failed = fmt.Errorf("%s cannot be computed for a row: %s; mend the expression, and start again", c.path, message)
		}
	}
	m, err := o.newMapped(changes.Rows, fault)
	if err != nil {
		return nil, err
	}
	f := &following{mapped: m}
	if err = f.read(changes.Rows); err == nil {
		err = m.widen(fault)
	}
	if err == nil {
		err = failed
	}
	if err != nil {
		f.release()
		return nil, err
	}
	return f, nil
}

func (f *following) read(rows arrow.RecordBatch) error {
	var err error
	if f.owners, err = f.mapped.owners(); err != nil {
		return err
	}
	if f.times, err = effectiveTimes(rows, f.spec.EffectiveAt); err != nil {
		return err
	}
	if f.stamps, err = stampsOf(rows); err != nil {
		return err
	}
	key := make([]arrow.Array, len(f.spec.From.Key))
	for i, name := range f.spec.From.Key {
		at := rows.Schema().FieldIndices(name)
		if len(at) != 1 {
			return fmt.Errorf("BUG: the rows have %d columns %s", len(at), name)
		}
		key[i] = rows.Column(at[0])
	}
	for row := range f.narrow.rows {
		f.ids = append(f.ids, string(rowcodec.AppendRow(nil, key, row)))
	}
	return nil
}

// effective is when a change of a keyed model took effect: there is no refusing one
// without a time.
func (f *following) effective(row int, op record.Op) int64 {
	recorded := f.stamps.of(row).recorded
	switch {
	case f.times == nil || f.times.IsNull(row):
		return recorded
	case op == record.OpDelete:
		return max(recorded, int64(f.times.Value(row)))
	}
	return int64(f.times.Value(row))
}
