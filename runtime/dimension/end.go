package dimension

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyspace"
	"github.com/calvelake/calve/runtime/upstream"
)

// RowError is a change that could not be decided of, and is ignored.
type RowError struct {
	Key           string // the natural key, as in customer_id=5
	Code, Message string
}

// End ends an epoch at a watermark: it goes through the changes that came, writes
// the state, and tells what changed in the table. The caller releases the
// changelog.
func (o *Operator) End(ctx context.Context, watermark int64) (record.Changelog, []RowError, error) {
	m, err := o.ready(watermark)
	if err != nil {
		return record.Changelog{}, nil, err
	}
	o.moved, o.asked = nil, map[string]*question{}
	e := &ending{Operator: o, horizon: o.horizon(m, watermark)}
	changes, err := e.run(ctx)
	if err != nil {
		return record.Changelog{}, nil, fmt.Errorf("dimension %s: %w", o.spec.Model, err)
	}
	o.watermark = watermark
	o.release()
	return changes, e.failed, nil
}

// Moved is what the last End changed for lookups, of members that were known.
func (o *Operator) Moved() []Moved { return o.moved }

// ending is one call of End.
type ending struct {
	*Operator
	horizon int64 // changes of that time and before can be forgotten
	writes  []keyvalue.Change
	ops     []record.Op
	rows    []row
	failed  []RowError
}

func (e *ending) run(ctx context.Context) (record.Changelog, error) {
	all := make([]*member, 0, len(e.members))
	for _, key := range slices.Sorted(maps.Keys(e.members)) {
		if m := e.members[key]; len(m.fresh) > 0 {
			all = append(all, m)
		}
	}
	e.addUnknown()
	for part := range slices.Chunk(all, chunk) {
		if err := e.end(ctx, part); err != nil {
			return record.Changelog{}, err
		}
	}
	if err := e.keepMeta(); err != nil {
		return record.Changelog{}, err
	}
	if err := e.forget(ctx); err != nil {
		return record.Changelog{}, err
	}
	return e.changelog(e.ops, e.rows)
}

// chunk is how many members are read and written together.
const chunk = 4096

// end goes through the changes of some members.
func (e *ending) end(ctx context.Context, members []*member) error {
	if err := e.readHeads(members); err != nil {
		return err
	}
	all := make([]*work, len(members))
	for i, m := range members {
		var err error
		if all[i], err = e.plan(m); err != nil {
			return err
		}
	}
	if err := e.goThrough(ctx, all); err != nil {
		return err
	}
	for _, w := range all {
		e.keep(w)
		if err := e.compare(w); err != nil {
			return err
		}
		w.fresh, w.head, w.value = nil, nil, nil
	}
	err := keyspace.Write(e.store, e.writes)
	e.writes = e.writes[:0]
	return err
}

// goThrough goes through the changes of members.
func (e *ending) goThrough(ctx context.Context, all []*work) error {
	if e.spec.Decider != nil {
		return e.decide(ctx, all)
	}
	for _, w := range all {
		for i := range w.todo {
			if err := w.fold.take(&w.todo[i]); err != nil {
				return fmt.Errorf("member %x: %w", w.key, err)
			}
		}
		w.fold.settle()
	}
	return nil
}

// compare finds what changed in the table, and for lookups.
func (e *ending) compare(w *work) error {
	before, now := &view{e.Program, w.head, w.old}, &view{e.Program, w.after, w.fold.versions}
	shares := w.shares
	if e.all && shares && (w.head.overwritten != w.after.overwritten || !bytes.Equal(w.head.now.over, w.after.now.over)) {
		older, err := e.older(w)
		if err != nil {
			return err
		}
		before.versions, now.versions = slices.Concat(older, before.versions), slices.Concat(older, now.versions)
		shares = false
	}
	e.diff(before.rows(w.key), now.rows(w.key))
	if w.value == nil {
		return nil // nobody has asked for the member
	}
	from := Beginning
	if shares && e.hasVersions {
		from = w.old[0].from
	}
	for _, m := range moved(before, now, from) {
		m.Member = []byte(w.key)
		e.moved = append(e.moved, m)
	}
	return nil
}

// older reads the versions before those that were gone through.
func (e *ending) older(w *work) ([]version, error) {
	if w.head.closed < len(w.old) {
		return nil, nil
	}
	var out []version
	err := e.scanVersions(w.key, versionKey(w.key, w.old[0].from-1), func(v version, _ []byte) bool {
		out = append(out, v)
		return true
	})
	slices.Reverse(out)
	return out, err
}

// diff tells rows that are new, others, or gone from those that stay. Both are in
// the order of their ids.
func (e *ending) diff(before, now []row) {
	for len(before) > 0 || len(now) > 0 {
		switch {
		case len(before) == 0 || len(now) > 0 && e.id(&now[0]) < e.id(&before[0]):
			e.add(record.OpCreate, now[0])
			now = now[1:]
		case len(now) == 0 || e.id(&before[0]) < e.id(&now[0]):
			e.add(record.OpDelete, before[0])
			before = before[1:]
		default:
			if !now[0].equal(&before[0]) {
				e.add(record.OpUpdate, now[0])
			}
			before, now = before[1:], now[1:]
		}
	}
}

func (e *ending) add(op record.Op, r row) {
	e.ops, e.rows = append(e.ops, op), append(e.rows, r)
}

// addUnknown makes the row of the unknown member, once, and when it is another.
func (e *ending) addUnknown() {
	unknown := row{from: Beginning, to: Forever, stamp: upstream.NoStamp, isUnknown: true}
	switch {
	case e.meta.unknown == nil:
		e.add(record.OpCreate, unknown)
	case !bytes.Equal(e.meta.unknown, e.unknown):
		e.add(record.OpUpdate, unknown)
	}
}

// keepMeta writes what is known of all members.
func (e *ending) keepMeta() error {
	before := e.meta.append(nil)
	after := meta{horizon: e.horizon, follows: e.meta.follows, unknown: append([]byte{}, e.unknown...)}
	if value := after.append(nil); e.meta.unknown == nil || !bytes.Equal(value, before) || e.spec.From.IsKeyed() {
		e.writes = append(e.writes, keyvalue.Change{Key: []byte{spaceMeta}, Value: value})
	}
	e.meta = &after
	err := keyspace.Write(e.store, e.writes)
	e.writes = nil
	return err
}
