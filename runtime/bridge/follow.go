package bridge

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyspace"
	"github.com/calvelake/calve/runtime/record/rowcodec"
	"github.com/calvelake/calve/runtime/upstream"
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
	if o.spec.From.IsKeyed() && model == o.spec.From.Name {
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
		c := change{at: dimension.Within(f.effective.OfChange(row, op)), id: []byte(f.ids[row]), stamp: f.stamps.Of(row)}
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
		names[i] = keyspace.Key(spaceRows, id)
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
	ids       []string
	owners    []string
	stamps    upstream.Stamps
	effective upstream.Effective
}

func (o *Operator) newFollowing(changes record.Changelog) (*following, error) {
	var failed error
	fault := func(row int, c *projection.Compiled, message string) {
		if failed == nil && changes.Ops[row] != record.OpDelete {
			failed = fmt.Errorf("%s cannot be computed for a row: %s; mend the expression, and start again", c.Path, message)
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
	if f.stamps, err = upstream.StampsOf(rows); err != nil {
		return err
	}
	if f.effective, err = upstream.EffectiveOf(rows, f.spec.EffectiveAt, upstream.Changes{}, f.stamps); err != nil {
		return err
	}
	key, err := f.spec.From.KeyColumns(rows)
	if err != nil {
		return err
	}
	for row := range f.narrow.Len {
		f.ids = append(f.ids, string(rowcodec.AppendRow(nil, key, row)))
	}
	return nil
}
