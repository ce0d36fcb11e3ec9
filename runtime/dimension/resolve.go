package dimension

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyspace"
	"github.com/calvelake/calve/runtime/record/rowcodec"
)

// question is what facts asked of a member that had no version then.
type question struct {
	head *head // as the state has it
	at   int64 // the earliest time
}

// Resolve finds the versions of members in force at times, in the order of
// lookups, after the End of an epoch and before its EndInferred. A time before
// Beginning counts as that, one that is not before Forever as the last one before.
//
// Every lookup has an answer: a member without a version at a time, and without
// one before, is inferred, and has its row by EndInferred. One that was deleted
// (HardDeletesInvalidate) is the unknown member while it is gone.
func (o *Operator) Resolve(lookups []Lookup) ([]Found, error) {
	heads, err := o.heads(lookups)
	if err != nil {
		return nil, fmt.Errorf("dimension %s: look up %d members: %w", o.spec.Model, len(lookups), err)
	}
	rows := make([]row, len(lookups))
	for i := range lookups {
		if rows[i], err = o.find(string(lookups[i].Member), Within(lookups[i].At), heads[i]); err != nil {
			return nil, fmt.Errorf("dimension %s: %w", o.spec.Model, err)
		}
	}
	found, err := o.found(rows)
	if err != nil {
		return nil, fmt.Errorf("dimension %s: make keys: %w", o.spec.Model, err)
	}
	return found, nil
}

// heads reads the heads of the members of lookups.
func (o *Operator) heads(lookups []Lookup) ([]*head, error) {
	read := map[string]*head{}
	var keys [][]byte
	var names []string
	for _, l := range lookups {
		if _, ok := read[string(l.Member)]; ok {
			continue
		}
		if q, ok := o.asked[string(l.Member)]; ok {
			read[string(l.Member)] = q.head
			continue
		}
		read[string(l.Member)] = newHead()
		names, keys = append(names, string(l.Member)), append(keys, headKey(string(l.Member)))
	}
	values, err := o.store.Get(keys)
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		if values[i] == nil {
			continue
		}
		if read[name], err = loadHead(values[i]); err != nil {
			return nil, fmt.Errorf("member %x: %w", name, err)
		}
	}
	out := make([]*head, len(lookups))
	for i, l := range lookups {
		out[i] = read[string(l.Member)]
	}
	return out, nil
}

// find finds the row of a member that is in force at a time.
func (o *Operator) find(member string, at int64, h *head) (row, error) {
	v := &view{Program: o.Program, head: h}
	unknown := row{isUnknown: true}
	switch {
	case h.last == nil, o.hasVersions && at < h.first:
		o.ask(member, at, h)
		return v.inferred(member), nil
	case !o.hasVersions || at >= h.last.from:
		if at >= h.last.to {
			return unknown, nil
		}
		return v.row(member, h.last), nil
	}
	found := unknown
	err := o.scanVersions(member, versionKey(member, at), func(of version, _ []byte) bool {
		if at < of.to {
			found = v.row(member, &of)
		}
		return false
	})
	return found, err
}

// ask notes that a fact asked for a version that there is not.
func (o *Operator) ask(member string, at int64, h *head) {
	q, ok := o.asked[member]
	if !ok {
		q = &question{h, neverAsked}
		o.asked[member] = q
	}
	q.at = min(q.at, at)
}

// found makes the answers of rows.
func (o *Operator) found(rows []row) ([]Found, error) {
	out := make([]Found, len(rows))
	var members [][]byte
	var froms []int64
	for i := range rows {
		out[i].Row = o.attributesOf(&rows[i])
		if !rows[i].isUnknown {
			members, froms = append(members, []byte(rows[i].member)), append(froms, rows[i].from)
		}
	}
	batch, err := rowcodec.Batch(o.naturalKey, members, o.mem)
	if err != nil {
		return nil, err
	}
	defer batch.Release()
	keys, durable, err := o.keysOf(batch.Columns(), froms)
	if err != nil {
		return nil, err
	}
	defer keys.Release()
	if durable != nil {
		defer durable.Release()
	}
	n := 0
	for i := range rows {
		key, lasting := UnknownKey, UnknownKey
		if !rows[i].isUnknown {
			key = string([]byte(keys.Value(n))) // the batch is released
			if durable != nil {
				lasting = string([]byte(durable.Value(n)))
			}
			n++
		}
		if out[i].Key = key; o.spec.DurableKey != "" {
			out[i].Durable = lasting
		}
	}
	return out, nil
}

// EndInferred ends an epoch behind End: it returns the rows of versions that
// Resolve inferred and that the table does not have yet, which the caller
// releases, and writes them to the state.
func (o *Operator) EndInferred(_ context.Context, watermark int64) (record.Changelog, error) {
	if _, err := o.ready(watermark); err != nil {
		return record.Changelog{}, err
	}
	var ops []record.Op
	var rows []row
	var writes []keyvalue.Change
	for _, member := range slices.Sorted(maps.Keys(o.asked)) {
		q := o.asked[member]
		before := (&view{Program: o.Program, head: q.head}).rows(member)
		asked := *q.head
		if asked.asked = min(asked.asked, q.at); asked.asked == q.head.asked {
			continue
		}
		if len(before) == 0 {
			ops = append(ops, record.OpCreate)
			rows = append(rows, (&view{Program: o.Program, head: &asked}).inferred(member))
		}
		writes = append(writes, keyvalue.Change{Key: headKey(member), Value: asked.bytes()})
	}
	if err := keyspace.Write(o.store, writes); err != nil {
		return record.Changelog{}, fmt.Errorf("dimension %s: %w", o.spec.Model, err)
	}
	o.asked = map[string]*question{}
	changes, err := o.changelog(ops, rows)
	if err != nil {
		return record.Changelog{}, fmt.Errorf("dimension %s: %w", o.spec.Model, err)
	}
	return changes, nil
}
