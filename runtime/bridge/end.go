package bridge

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/changelog"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyspace"
	"github.com/calvelake/calve/runtime/record/rowcodec"
	"github.com/calvelake/calve/runtime/upstream"
)

// End ends an epoch at a watermark: it settles what is old enough, writes the state,
// lets dimensions infer the members that they do not have, and tells what changed in
// the table. The caller releases the changelog.
func (o *Operator) End(_ context.Context, watermark int64) (record.Changelog, error) {
	if err := o.ready(watermark); err != nil {
		return record.Changelog{}, err
	}
	changes, err := o.end(watermark)
	if err != nil {
		return record.Changelog{}, fmt.Errorf("bridge %s: %w", o.spec.Model, err)
	}
	o.watermark = watermark
	o.release()
	return changes, nil
}

// atOnce bounds the changes that are gone through together.
const atOnce = 8 << 10

func (o *Operator) end(watermark int64) (record.Changelog, error) {
	var all changelog.Parts
	defer all.Release()
	var some []*entry
	changes := 0
	for _, owner := range slices.Sorted(maps.Keys(o.entries)) {
		e := o.entries[owner]
		some = append(some, e)
		if changes += len(e.old.changes) + len(e.now.changes); changes < o.atOnce {
			continue
		}
		if err := o.endSome(some, watermark, &all); err != nil {
			return record.Changelog{}, err
		}
		some, changes = nil, 0
	}
	if err := o.endSome(some, watermark, &all); err != nil {
		return record.Changelog{}, err
	}
	var writes []keyvalue.Change
	for _, id := range slices.Sorted(maps.Keys(o.moved)) {
		c := keyvalue.Change{Key: keyspace.Key(spaceRows, id)}
		if owner := o.moved[id]; owner != "" {
			c.Value = []byte(owner)
		}
		writes = append(writes, c)
	}
	if err := keyspace.Write(o.state, writes); err != nil {
		return record.Changelog{}, err
	}
	return all.Join(o.mem)
}

// ending is some owners, whose changes are gone through together.
type ending struct {
	*Operator
	rows  [][]byte // of the input, each once
	known map[string]int
	all   *mappings // of rows
	ops   []record.Op
	made  []version // a row for each of ops
}

// course is what an owner's changes come to, one after the other.
type course struct {
	steps []step
	after []base
}

// endSome ends the epoch of some owners.
func (o *Operator) endSome(some []*entry, watermark int64, to *changelog.Parts) error {
	if len(some) == 0 {
		return nil
	}
	e := &ending{Operator: o, known: map[string]int{}}
	was, is := make([]course, len(some)), make([]course, len(some))
	for i, entry := range some {
		var err error
		if was[i], err = e.goThrough(&entry.old); err == nil {
			is[i], err = e.goThrough(&entry.now)
		}
		if err != nil {
			return fmt.Errorf("owner %s: %w", entry.owner, err)
		}
	}
	if err := e.compute(); err != nil {
		return err
	}
	defer e.all.release()
	var writes []keyvalue.Change
	for i, entry := range some {
		if err := e.compare(entry, was[i], is[i], watermark); err != nil {
			return fmt.Errorf("owner %s: %w", entry.owner, err)
		}
		if data := entry.now.append(nil); !entry.now.isEmpty() && !bytes.Equal(data, entry.data) {
			writes = append(writes, keyvalue.Change{Key: keyspace.Key(spaceOwners, entry.owner), Value: data})
		}
	}
	if err := e.infer(); err != nil {
		return err
	}
	if err := e.build(to); err != nil {
		return err
	}
	return keyspace.Write(o.state, writes)
}

// goThrough goes through a history, and notes the rows that it has.
func (e *ending) goThrough(h *history) (course, error) {
	steps, after, err := h.steps(e.fill)
	if err != nil {
		return course{}, err
	}
	if h.base != nil {
		e.note(h.base.row)
	}
	for _, s := range steps {
		e.note(s.row)
	}
	return course{steps, after}, nil
}

func (e *ending) note(row []byte) {
	if _, ok := e.known[string(row)]; !ok && len(row) > 0 {
		e.known[string(row)] = len(e.rows)
		e.rows = append(e.rows, row)
	}
}

// fill completes a row with the columns of the one before.
func (e *ending) fill(row []byte, holes []int, before []byte) ([]byte, error) {
	return upstream.Filling{Schema: e.kept, Row: row, Other: before}.Fill(e.mem, func(column int) bool { return slices.Contains(holes, column) })
}

// compute computes what the rows map.
func (e *ending) compute() error {
	rows, err := rowcodec.Batch(e.kept, e.rows, e.mem)
	if err != nil {
		return fmt.Errorf("%w: %w", keyvalue.ErrCorrupt, err)
	}
	defer rows.Release() // what is computed of them keeps what it needs
	e.all, err = e.newMappings(rows)
	return err
}

// mapped is what a row maps, none for no row.
func (e *ending) mapped(row []byte) []member {
	if len(row) == 0 {
		return nil
	}
	return e.all.members[e.known[string(row)]]
}

// before is the mappings that are in force where a history begins.
func (e *ending) before(h *history) ([]version, error) {
	if h.base == nil {
		return nil, nil
	}
	var all []version
	members := e.mapped(h.base.row)
	for _, o := range h.base.open {
		at := slices.IndexFunc(members, func(m member) bool { return m.keys == o.keys })
		if at < 0 {
			return nil, fmt.Errorf("%w: %s is in force, and not in the row", keyvalue.ErrCorrupt, o.keys)
		}
		all = append(all, version{member: members[at], from: o.from, to: dimension.Forever, stamp: o.stamp})
	}
	return all, nil
}

// compare finds what changed in the rows of an owner, and settles its history.
func (e *ending) compare(entry *entry, was, is course, watermark int64) error {
	begun, err := e.before(&entry.old)
	if err != nil {
		return err
	}
	former, latter := versions(begun, was.steps, e.mapped), versions(begun, is.steps, e.mapped)
	type key struct {
		keys string
		from int64
	}
	have := map[key]*version{}
	for i := range former {
		have[key{former[i].keys, former[i].from}] = &former[i]
	}
	for _, v := range latter {
		k := key{v.keys, v.from}
		old := have[k]
		delete(have, k)
		switch {
		case old == nil:
			e.ops, e.made = append(e.ops, record.OpCreate), append(e.made, v)
		case old.to != v.to || old.payload != v.payload || old.stamp != v.stamp:
			e.ops, e.made = append(e.ops, record.OpUpdate), append(e.made, v)
		}
	}
	for _, v := range former {
		if have[key{v.keys, v.from}] != nil {
			e.ops, e.made = append(e.ops, record.OpDelete), append(e.made, v)
		}
	}
	entry.now.settle(e.horizon(watermark), is.steps, is.after, begun, e.mapped)
	return nil
}

// infer asks dimensions for the members of new rows, so that they infer those that
// they do not have.
func (e *ending) infer() error {
	for i := range e.keys {
		k, parts := &e.keys[i], e.all.foreign[i]
		var lookups []dimension.Lookup
		for j, op := range e.ops {
			if v := &e.made[j]; op == record.OpCreate && !anyNull(parts, v.place) {
				lookups = append(lookups, dimension.Lookup{Member: rowcodec.AppendRow(nil, parts, v.place), At: v.from})
			}
		}
		if len(lookups) == 0 {
			continue
		}
		found, err := e.dimensions[i].Resolve(lookups)
		if err == nil && len(found) != len(lookups) {
			err = fmt.Errorf("BUG: %d members were asked for, and %d found", len(lookups), len(found))
		}
		if err != nil {
			return fmt.Errorf("%s: find members of %s: %w", k.path(""), k.To, err)
		}
	}
	return nil
}
