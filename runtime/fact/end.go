package fact

import (
	"bytes"
	"context"
	"crypto/md5"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/changelog"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyspace"
	"github.com/calvelake/calve/runtime/record/rowcodec"
)

// RowError is a fact whose row cannot be computed: it has no row until that
// changes. There is no single record at fault.
type RowError struct {
	Key     string // the columns of the grain, as in order_id=5
	Path    string // of the expression in the model
	Column  string // that it makes, "" for where
	Message string
}

// End ends an epoch at a watermark: it joins what came, forgets what is due,
// writes the state, and tells what changed in the table. The caller releases the
// changelog.
func (o *Operator) End(_ context.Context, watermark int64) (record.Changelog, []RowError, error) {
	if err := o.ready(watermark); err != nil {
		return record.Changelog{}, nil, err
	}
	e := &ending{Operator: o, watermark: watermark}
	changes, err := e.run()
	if err != nil {
		return record.Changelog{}, nil, fmt.Errorf("fact %s: %w", o.spec.Model, err)
	}
	o.watermark = watermark
	o.release()
	return changes, e.failed, nil
}

// ending is one call of End.
type ending struct {
	*Operator
	watermark int64
	all       []*entry // that were touched, in the order of their keys
	live      []candidate
	removed   []candidate // rows that the table had
	failed    []RowError
}

// candidate is a fact whose row is to be made, with the version that it shows.
type candidate struct {
	*entry
	kept  *kept
	shown *version
}

func (e *ending) run() (record.Changelog, error) {
	for _, name := range slices.Sorted(maps.Keys(e.moved)) {
		e.writes = append(e.writes, keyvalue.Change{Key: []byte(name), Value: e.moved[name]})
	}
	if err := keyspace.Write(e.state, e.writes); err != nil {
		return record.Changelog{}, err
	}
	if err := e.holdAffected(); err != nil {
		return record.Changelog{}, err
	}
	if err := e.holdReferring(); err != nil {
		return record.Changelog{}, err
	}
	for _, key := range slices.Sorted(maps.Keys(e.entries)) {
		e.all = append(e.all, e.entries[key])
	}
	e.choose()
	made, err := e.make()
	if err != nil {
		return record.Changelog{}, err
	}
	defer made.release()
	changes, err := e.changelog(made)
	if err != nil {
		return record.Changelog{}, err
	}
	if err = e.keepFacts(); err == nil {
		err = e.forget()
	}
	if err != nil {
		changes.Release()
		return record.Changelog{}, err
	}
	return changes, nil
}

// holdAffected reads the facts that rows are joined to which changed.
func (e *ending) holdAffected() error {
	var keys [][]byte
	for _, group := range slices.Sorted(maps.Keys(e.groups)) {
		changed := e.groups[group]
		err := e.eachLeft([]byte(group), func(grain []byte, within span) {
			if within.from <= changed.to && changed.from <= within.to {
				keys = append(keys, bytes.Clone(grain))
			}
		})
		if err != nil {
			return err
		}
	}
	_, err := e.hold(keys)
	return err
}

// eachLeft visits the facts that rows of a group are joined to. grain may be used
// during visit only.
func (o *Operator) eachLeft(group []byte, visit func(grain []byte, within span)) error {
	prefix := keyspace.Key(spaceLefts, group)
	err := o.state.Scan(prefix, keyvalue.Behind(prefix), func(key, value []byte) (bool, error) {
		within, err := loadSpan(value)
		if err == nil {
			visit(key[len(prefix):], within)
		}
		return true, err
	})
	if err != nil {
		return fmt.Errorf("read the facts of a join: %w", err)
	}
	return nil
}

// choose finds the facts that have a version to show.
func (e *ending) choose() {
	for _, f := range e.all {
		v := f.kept.shown()
		if v == nil || f.isDeleted(v) && e.spec.OnDelete == DeleteHard {
			clear(f.joins)
			clear(f.foreign)
			continue
		}
		e.live = append(e.live, candidate{f, &f.kept, v})
	}
}

// make joins facts, finds what they refer to, and makes the rows of those that have
// one.
func (e *ending) make() (*made, error) {
	if len(e.live) == 0 {
		return &made{}, nil
	}
	b, err := e.newBuilder(e.live)
	if err != nil {
		return nil, err
	}
	defer b.release()
	for _, j := range e.joins {
		if err := e.join(j, b); err != nil {
			return nil, fmt.Errorf("%s: %w", j.path(""), err)
		}
	}
	b.anew = true
	return b.make()
}

// changelog tells rows that are new, others, or gone from those that stay.
func (e *ending) changelog(made *made) (record.Changelog, error) {
	e.failed = made.errors
	var ops []record.Op
	var keep []int
	for _, f := range e.all {
		f.visible = false
	}
	for i, c := range e.live {
		if c.visible = !made.leftOut[i] && !made.bad[i]; !c.visible {
			continue
		}
		hash := md5.Sum(rowcodec.AppendRow(nil, made.rows.Columns(), i))
		switch {
		case !c.was:
			ops, keep = append(ops, record.OpCreate), append(keep, i)
		case hash != c.hash:
			ops, keep = append(ops, record.OpUpdate), append(keep, i)
		}
		c.entry.hash = hash
	}
	gone, err := e.gone()
	if err != nil {
		return record.Changelog{}, err
	}
	defer gone.release()
	ops = append(ops, slices.Repeat([]record.Op{record.OpDelete}, len(e.removed))...)
	if len(ops) == 0 {
		return record.Changelog{}, nil
	}
	rows, err := e.together(made, keep, gone)
	if err != nil {
		return record.Changelog{}, err
	}
	return changelog.Of(ops, rows)
}

// gone makes the rows that the table has no longer, as it had them.
func (e *ending) gone() (*made, error) {
	for _, f := range e.all {
		if f.visible || !f.was {
			continue
		}
		old := e.newKept()
		if err := e.load(&old, f.old); err != nil {
			return nil, fmt.Errorf("fact %x: %w", f.key, err)
		}
		v := old.shown()
		if v == nil {
			return nil, fmt.Errorf("%w: fact %x has a row, and nothing that it is made of", keyvalue.ErrCorrupt, f.key)
		}
		e.removed = append(e.removed, candidate{f, &old, v})
	}
	if len(e.removed) == 0 {
		return &made{}, nil
	}
	// Where a column cannot be computed, for the expressions of derive are others
	// now, it is null: a delete is about the key.
	b, err := e.newBuilder(e.removed)
	if err != nil {
		return nil, err
	}
	defer b.release()
	return b.make()
}

// together is some rows of one, and all of another.
func (e *ending) together(some *made, keep []int, all *made) (arrow.RecordBatch, error) {
	if len(keep) == 0 {
		all.rows.Retain()
		return all.rows, nil
	}
	chosen, err := record.Take(some.rows, keep, e.mem)
	if err != nil || all.rows == nil {
		return chosen, err
	}
	defer chosen.Release()
	return changelog.JoinRows([]arrow.RecordBatch{chosen, all.rows}, e.mem)
}
