package fact

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyspace"
)

// keepFacts writes the facts that were touched, and where rows to be joined and
// members look for them.
func (e *ending) keepFacts() error {
	changes := make([]keyvalue.Change, 0, len(e.all)*(1+len(e.joins)+len(e.foreign))+len(e.timers))
	for _, f := range e.all {
		key := []byte(f.key)
		value := f.kept.append(nil)
		switch {
		case e.done(f):
			if f.old != nil {
				changes = append(changes, keyvalue.Change{Key: keyspace.Key(spaceFacts, key)})
			}
		case !bytes.Equal(value, f.old):
			changes = append(changes, keyvalue.Change{Key: keyspace.Key(spaceFacts, key), Value: value})
		}
		for i := range f.joins {
			before := joined{}
			if f.before != nil {
				before = f.before[i]
			}
			changes = e.index(changes, e.joins[i], key, before, f.joins[i])
		}
		for i, now := range f.foreign {
			before := reference{}
			if f.referred != nil {
				before = f.referred[i]
			}
			changes = e.indexMember(changes, memberOf(i, before.member), memberOf(i, now.member), key, before, now)
		}
	}
	for _, timer := range slices.Sorted(maps.Keys(e.timers)) {
		changes = append(changes, keyvalue.Change{Key: []byte(timer), Value: []byte{}})
	}
	return keyspace.Write(e.state, changes)
}

// done tells whether a fact need not be kept: there is nothing of it, or nothing
// can change it.
func (e *ending) done(f *entry) bool {
	if !e.appended {
		return len(f.versions) == 0 && len(f.deleted) == 0 && !slices.ContainsFunc(f.milestones, func(m milestone) bool { return len(m.value) > 0 })
	}
	for i, j := range f.joins {
		if j.group != nil && !e.closed(e.joins[i], j.within) {
			return false
		}
	}
	return !slices.ContainsFunc(f.foreign, e.mayMove)
}

// index lets the rows of a join find a fact.
func (e *ending) index(changes []keyvalue.Change, j *join, key []byte, before, now joined) []keyvalue.Change {
	if bytes.Equal(before.group, now.group) && before.within == now.within {
		return changes
	}
	if before.group != nil {
		changes = append(changes, keyvalue.Change{Key: keyspace.Key(spaceLefts, before.group, key)})
	}
	if now.group == nil || e.closed(j, now.within) {
		return changes
	}
	if j.staging {
		e.schedule(spaceTimers, now.group, now.within.to)
	}
	return append(changes, keyvalue.Change{Key: keyspace.Key(spaceLefts, now.group, key), Value: now.within.bytes()})
}

// forget forgets what nothing that is not late can ask for.
func (e *ending) forget() error {
	changes, err := e.forgetDue(nil, spaceTimers, e.lateness, e.forgetGroup)
	if err != nil {
		return err
	}
	if changes, err = e.forgetDue(changes, spaceUntil, e.rekey, e.forgetReferring); err != nil {
		return err
	}
	return keyspace.Write(e.state, changes)
}

// forgetDue forgets what is due a span ago.
func (e *ending) forgetDue(changes []keyvalue.Change, space byte, ago int64, forget func(changes []keyvalue.Change, of []byte, last int64) ([]keyvalue.Change, error)) ([]keyvalue.Change, error) {
	if e.watermark < math.MinInt64+1+ago {
		return changes, nil
	}
	last := min(e.watermark-ago, math.MaxInt64-1) // what is at that time is late
	timers, all, err := e.due(space, last)
	if err != nil {
		return nil, err
	}
	changes = append(changes, timers...)
	for _, of := range all {
		if changes, err = forget(changes, []byte(of), last); err != nil {
			return nil, err
		}
	}
	return changes, nil
}

// due is the timers up to a time, as changes that delete them, and what they are
// of.
func (e *ending) due(space byte, last int64) (timers []keyvalue.Change, of []string, err error) {
	seen := map[string]bool{}
	err = e.state.Scan([]byte{space}, keyspace.Timer(space, last+1, ""), func(key, _ []byte) (bool, error) {
		if len(key) < keyspace.TimerBytes {
			return false, fmt.Errorf("%w: a timer %x is too short", keyvalue.ErrCorrupt, key)
		}
		seen[string(key[keyspace.TimerBytes:])] = true
		timers = append(timers, keyvalue.Change{Key: bytes.Clone(key)})
		return true, nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read what is due: %w", err)
	}
	return timers, slices.Sorted(maps.Keys(seen)), nil
}

// forgetGroup lets go of facts whose range is closed, and of rows that are in no
// range that is open.
func (e *ending) forgetGroup(changes []keyvalue.Change, group []byte, last int64) ([]keyvalue.Change, error) {
	first := int64(math.MaxInt64) // where the first open range begins
	var closed [][]byte
	err := e.eachLeft(group, func(grain []byte, within span) {
		if within.to <= last {
			closed = append(closed, bytes.Clone(grain))
		} else {
			first = min(first, within.from)
		}
	})
	if err != nil {
		return nil, err
	}
	for _, grain := range closed {
		changes = append(changes, keyvalue.Change{Key: keyspace.Key(spaceLefts, group, grain)})
	}
	if e.appended {
		if changes, err = e.forgetAppended(changes, closed); err != nil {
			return nil, err
		}
	}
	prefix := keyspace.Key(spaceRights, group)
	to := keyvalue.AppendTime(prefix[:len(prefix):len(prefix)], min(last+1, first))
	err = e.state.Scan(prefix, to, func(key, _ []byte) (bool, error) {
		changes = append(changes, keyvalue.Change{Key: bytes.Clone(key)})
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read rows to forget: %w", err)
	}
	return changes, nil
}

// forgetAppended forgets the facts of which all ranges are closed, and no foreign
// key may change: each was one row of the input, which nothing changes.
func (e *ending) forgetAppended(changes []keyvalue.Change, keys [][]byte) ([]keyvalue.Change, error) {
	names := make([][]byte, len(keys))
	for i, key := range keys {
		names[i] = keyspace.Key(spaceFacts, key)
	}
	values, err := e.state.Get(names)
	if err != nil {
		return nil, fmt.Errorf("read facts to forget: %w", err)
	}
	for i, value := range values {
		f := entry{kept: e.newKept()}
		if value == nil {
			continue
		}
		if err := e.load(&f.kept, value); err != nil {
			return nil, fmt.Errorf("fact %x: %w", keys[i], err)
		}
		if e.done(&f) {
			changes = append(changes, keyvalue.Change{Key: names[i]})
		}
	}
	return changes, nil
}
