package dimension

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyspace"
)

// forget forgets changes that nothing can come before any more, of members that
// have more of them than are in their heads.
func (e *ending) forget(ctx context.Context) error {
	if e.horizon < Beginning {
		return nil
	}
	var timers [][]byte
	err := e.store.Scan([]byte{spaceTimers}, timerKey(e.horizon+1, ""), func(key, _ []byte) (bool, error) {
		if len(key) < keyspace.TimerBytes {
			return false, fmt.Errorf("%w: a timer %x is too short", keyvalue.ErrCorrupt, key)
		}
		timers = append(timers, bytes.Clone(key))
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("read what is due: %w", err)
	}
	for part := range slices.Chunk(timers, chunk) {
		if err := e.forgetSome(ctx, part); err != nil {
			return fmt.Errorf("forget changes: %w", err)
		}
	}
	return nil
}

func (e *ending) forgetSome(ctx context.Context, timers [][]byte) error {
	var writes []keyvalue.Change
	members := make([]*member, len(timers))
	for i, timer := range timers {
		members[i] = &member{key: string(timer[keyspace.TimerBytes:])}
		writes = append(writes, keyvalue.Change{Key: timer})
	}
	if err := e.readHeads(members); err != nil {
		return err
	}
	all := make([]*work, len(members))
	for i, m := range members {
		var err error
		if all[i], err = e.planForget(m); err != nil {
			return fmt.Errorf("member %x: %w", m.key, err)
		}
	}
	if err := e.goThrough(ctx, all); err != nil {
		return err
	}
	for _, w := range all {
		more, err := e.forgetOf(w)
		if err != nil {
			return err
		}
		writes = append(writes, more...)
	}
	return keyspace.Write(e.store, writes)
}

// planForget finds the changes of a member to forget. What they make of it is the
// new base.
func (e *ending) planForget(m *member) (*work, error) {
	if !m.head.spilled {
		return nil, fmt.Errorf("%w: there is a timer, and nothing to forget", keyvalue.ErrCorrupt)
	}
	due, err := e.readChanges(m.key, nil, keyvalue.AppendTime(nil, e.horizon+1))
	if err != nil {
		return nil, err
	}
	w := &work{member: m, due: due}
	// All changes of one time go together: what some of them made was never in force.
	for len(m.head.changes) > 0 && m.head.changes[0].at() <= e.horizon {
		due, m.head.changes = append(due, m.head.changes[0]), m.head.changes[1:]
	}
	start, rest, err := e.lastMark(m, due)
	if err != nil {
		return nil, err
	}
	w.fold, w.todo = e.advance(&start), rest
	if n := len(due); n > 0 {
		w.base = due[n-1].order
	}
	return w, nil
}

// forgetOf writes what is left of a member, and when to look at it again.
func (e *ending) forgetOf(w *work) ([]keyvalue.Change, error) {
	var writes []keyvalue.Change
	h := w.head
	for i := range w.due {
		writes = append(writes, keyvalue.Change{Key: changeKey(w.key, w.due[i].order)})
	}
	if w.base != nil {
		h.base = &folded{w.base, w.fold.mark()}
	}
	first, err := e.firstChange(w.key, e.horizon+1)
	if err != nil {
		return nil, err
	}
	if h.spilled = first != nil; h.spilled {
		writes = append(writes, keyvalue.Change{Key: timerKey(e.next(keyvalue.Time(first)), w.key), Value: []byte{}})
	}
	return append(writes, keyvalue.Change{Key: headKey(w.key), Value: h.bytes()}), nil
}

// lastMark is the last place that changes which are due can be gone through from,
// and those behind it, which begin no version.
func (e *ending) lastMark(m *member, due []change) (mark, []change, error) {
	h := m.head
	if len(due) == 0 {
		return h.mark(), nil, nil
	}
	until := Within(due[len(due)-1].at())
	var last *version
	if h.last != nil && h.last.at <= until {
		last = h.last
	} else if h.closed > 0 {
		err := e.scanVersions(m.key, versionKey(m.key, until), func(v version, _ []byte) bool {
			if v.at <= until {
				last = &v
			}
			return false
		})
		if err != nil {
			return mark{}, nil, err
		}
	}
	if last != nil && (h.base == nil || last.at > Within(keyvalue.Time(h.base.order))) {
		for len(due) > 0 && Within(due[0].at()) <= last.at {
			due = due[1:]
		}
		return last.start, due, nil
	}
	if h.base != nil {
		return h.base.mark, due, nil
	}
	empty := newHead()
	return empty.mark(), due, nil
}

// firstChange is the order of the first change from a time on of those that are in
// the head no longer, nil if there is none.
func (e *ending) firstChange(member string, from int64) (order []byte, err error) {
	prefix := ofMember(spaceChanges, member)
	err = e.store.Scan(changeKey(member, keyvalue.AppendTime(nil, from)), keyvalue.Behind(prefix), func(key, _ []byte) (bool, error) {
		if order = bytes.Clone(key[len(prefix):]); len(order) < 8 {
			return false, fmt.Errorf("%w: the key of a change has %d bytes", keyvalue.ErrCorrupt, len(key))
		}
		return false, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the first change of member %x: %w", member, err)
	}
	return order, nil
}
