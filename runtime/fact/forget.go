package fact

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
)

// keepFacts writes the facts that were touched, and where their rows to be joined
// look for them.
func (e *ending) keepFacts() error {
	var changes []Change
	for _, f := range e.all {
		key := []byte(f.key)
		value := f.kept.append(nil)
		switch {
		case e.done(f):
			if f.old != nil {
				changes = append(changes, Change{Key: spaced(spaceFacts, key)})
			}
		case !bytes.Equal(value, f.old):
			changes = append(changes, Change{Key: spaced(spaceFacts, key), Value: value})
		}
		for i := range f.joins {
			before := joined{}
			if f.before != nil {
				before = f.before[i]
			}
			changes = e.index(changes, e.joins[i], key, before, f.joins[i])
		}
	}
	for _, timer := range slices.Sorted(maps.Keys(e.timers)) {
		changes = append(changes, Change{Key: []byte(timer), Value: []byte{}})
	}
	return e.write(changes)
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
	return true
}

// index lets the rows of a join find a fact.
func (e *ending) index(changes []Change, j *join, key []byte, before, now joined) []Change {
	if bytes.Equal(before.group, now.group) && before.within == now.within {
		return changes
	}
	if before.group != nil {
		changes = append(changes, Change{Key: spaced(spaceLefts, before.group, key)})
	}
	if now.group == nil || e.closed(j, now.within) {
		return changes
	}
	if j.staging {
		e.schedule(now.group, now.within.to)
	}
	return append(changes, Change{Key: spaced(spaceLefts, now.group, key), Value: now.within.bytes()})
}

// forget forgets what nothing that is not late can ask for.
func (e *ending) forget() error {
	if e.watermark < math.MinInt64+1+e.lateness {
		return nil
	}
	last := min(e.watermark-e.lateness, math.MaxInt64-1) // what is at that time is late
	var changes []Change
	groups := map[string]bool{}
	err := e.state.Scan([]byte{spaceTimers}, timerKey(last+1, nil), func(key, _ []byte) (bool, error) {
		if len(key) < 9 {
			return false, fmt.Errorf("%w: a timer %x is too short", ErrState, key)
		}
		groups[string(key[9:])] = true
		changes = append(changes, Change{Key: bytes.Clone(key)})
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("read what is due: %w", err)
	}
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		if changes, err = e.forgetGroup(changes, []byte(group), last); err != nil {
			return err
		}
	}
	return e.write(changes)
}

// forgetGroup lets go of facts whose range is closed, and of rows that are in no
// range that is open.
func (e *ending) forgetGroup(changes []Change, group []byte, last int64) ([]Change, error) {
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
		changes = append(changes, Change{Key: spaced(spaceLefts, group, grain)})
	}
	if e.appended {
		if changes, err = e.forgetAppended(changes, closed); err != nil {
			return nil, err
		}
	}
	prefix := spaced(spaceRights, group)
	to := appendTime(prefix[:len(prefix):len(prefix)], min(last+1, first))
	err = e.state.Scan(prefix, to, func(key, _ []byte) (bool, error) {
		changes = append(changes, Change{Key: bytes.Clone(key)})
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read rows to forget: %w", err)
	}
	return changes, nil
}

// forgetAppended forgets the facts of which all ranges are closed: each was one row
// of the input, which nothing changes.
func (e *ending) forgetAppended(changes []Change, keys [][]byte) ([]Change, error) {
	names := make([][]byte, len(keys))
	for i, key := range keys {
		names[i] = spaced(spaceFacts, key)
	}
	values, err := e.state.Get(names)
	if err != nil {
		return nil, fmt.Errorf("read facts to forget: %w", err)
	}
	for i, value := range values {
		f := entry{kept: kept{milestones: make([]milestone, len(e.milestones)), joins: make([]joined, len(e.joins))}}
		if value == nil {
			continue
		}
		if err := e.load(&f.kept, value); err != nil {
			return nil, fmt.Errorf("fact %x: %w", keys[i], err)
		}
		if e.done(&f) {
			changes = append(changes, Change{Key: names[i]})
		}
	}
	return changes, nil
}
