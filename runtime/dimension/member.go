package dimension

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/calvelake/calve/runtime/record/keyvalue"
)

// room is how many of the newest changes of a member are kept in its head.
type room struct {
	changes, bytes         int // at most
	keepChanges, keepBytes int // of those, how many stay when others go
}

// headRoom lets most members have all of their changes in their heads, and heads
// be written for each change of one that has many.
var headRoom = room{changes: 16, bytes: 4 << 10, keepChanges: 8, keepBytes: 2 << 10}

// work is what the changes of an epoch make of a member.
type work struct {
	*member
	fold    *fold
	todo    []change         // in order, from where fold is
	old     []version        // from the first that fold has on, as the state has them
	values  map[int64][]byte // of those but the last one, as the state has them, by from
	shares  bool             // the first version of fold is the first of old
	inOrder bool             // all that came is behind what was known
	after   *head
	due     []change // to forget, beside the head
	base    []byte   // the order of the last change to forget; nil for none
}

// plan finds where to go through the changes of a member from: behind all that is
// known, or where the first of what came belongs.
func (o *Operator) plan(m *member) (*work, error) {
	w := &work{member: m}
	h := m.head
	o.belated(m)
	slices.SortFunc(m.fresh, func(a, b change) int { return bytes.Compare(a.order, b.order) })
	at := Within(m.fresh[0].at())
	if w.inOrder = len(h.newest) == 0 || at > Within(keyvalue.Time(h.newest)); w.inOrder {
		if h.last != nil {
			w.old, w.shares = append(w.old, *h.last), true
		}
		w.fold, w.todo = o.begin(h), m.fresh
		return w, nil
	}
	before, err := o.readVersions(w, at)
	if err != nil {
		return nil, err
	}
	w.shares = before != nil
	kept := func(*change) bool { return true }
	var from []byte
	switch {
	case h.base != nil && Within(keyvalue.Time(h.base.order)) == at:
		w.fold = o.resumeWithin(&h.base.mark, at, before)
		w.fold.split = o.spec.Decider != nil && slices.ContainsFunc(w.old, func(v version) bool { return v.at == at })
	case h.base != nil && (before == nil || Within(keyvalue.Time(h.base.order)) > before.at):
		w.fold = o.resume(&h.base.mark, before)
	case before != nil:
		w.fold = o.resume(&before.start, before)
		kept = func(c *change) bool { return Within(c.at()) > before.at }
		from = keyvalue.AppendTime(nil, before.at+1)
	default:
		w.fold = o.begin(newHead())
	}
	if h.spilled {
		if w.todo, err = o.readChanges(m.key, from, nil); err != nil {
			return nil, err
		}
	}
	w.todo = slices.DeleteFunc(append(w.todo, h.changes...), func(c change) bool { return !kept(&c) })
	w.todo = append(w.todo, m.fresh...)
	slices.SortFunc(w.todo, func(a, b change) int { return bytes.Compare(a.order, b.order) })
	return w, nil
}

// belated moves changes of a keyed model that come before forgotten ones behind
// them: there is no refusing them.
func (o *Operator) belated(m *member) {
	if !o.spec.From.IsKeyed() || m.head.base == nil {
		return
	}
	first := m.head.base.order[:8]
	for i := range m.fresh {
		if c := &m.fresh[i]; bytes.Compare(c.order[:8], first) < 0 {
			c.order = append(bytes.Clone(first), c.order[8:]...)
		}
	}
}

// readVersions reads the versions from a time on, and that before it, which is nil
// if there is none.
func (o *Operator) readVersions(w *work, at int64) (before *version, err error) {
	h := w.head
	if h.last == nil {
		return nil, nil
	}
	w.old = append(w.old, *h.last)
	w.values = map[int64][]byte{}
	if h.closed > 0 && h.last.at >= at {
		prefix := ofMember(spaceVersions, w.key)
		err := o.scanVersions(w.key, prefix, func(v version, value []byte) bool {
			w.old = append(w.old, v)
			w.values[v.from] = value
			return v.at >= at
		})
		if err != nil {
			return nil, err
		}
		slices.Reverse(w.old)
	}
	if w.old[0].at < at {
		return &w.old[0], nil
	}
	return nil, nil
}

// scanVersions visits the versions of a member but the last one, the newest first.
func (o *Operator) scanVersions(member string, from []byte, visit func(v version, value []byte) bool) error {
	prefix := ofMember(spaceVersions, member)
	err := o.store.Scan(from, keyvalue.Behind(prefix), func(key, value []byte) (bool, error) {
		if len(key) != len(prefix)+8 {
			return false, fmt.Errorf("%w: the key of a version has %d bytes", keyvalue.ErrCorrupt, len(key))
		}
		value = bytes.Clone(value)
		r := keyvalue.NewReader(value)
		v := loadVersion(r, ^keyvalue.Time(key[len(prefix):]), &values{})
		if r.End(); r.Err() != nil {
			return false, r.Err()
		}
		return visit(v, value), nil
	})
	if err != nil {
		return fmt.Errorf("read versions of member %x: %w", member, err)
	}
	return nil
}

// readChanges reads the changes of a member that are not in its head, of orders
// from one up to, but without, another; nil is no bound.
func (o *Operator) readChanges(member string, from, to []byte) ([]change, error) {
	prefix := ofMember(spaceChanges, member)
	end := keyvalue.Behind(prefix)
	if to != nil {
		end = changeKey(member, to)
	}
	var all []change
	err := o.store.Scan(changeKey(member, from), end, func(key, value []byte) (bool, error) {
		r := keyvalue.NewReader(bytes.Clone(value))
		c := loadChange(r, bytes.Clone(key[len(prefix):]), &values{})
		r.End()
		all = append(all, c)
		return true, r.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read changes of member %x: %w", member, err)
	}
	return all, nil
}

// keep makes the head behind an epoch, and writes what belongs beside it.
func (e *ending) keep(w *work) {
	h, f := w.head, w.fold
	after := &head{now: f.state, overwritten: f.overwritten, closed: h.closed, first: h.first, asked: h.asked, base: h.base, spilled: h.spilled}
	w.after = after
	after.newest = h.newest
	if last := w.fresh[len(w.fresh)-1].order; bytes.Compare(last, after.newest) > 0 {
		after.newest = last
	}
	if after.last = f.last(); after.last != nil {
		after.closed += len(f.versions) - max(len(w.old), 1)
		if !w.shares {
			after.first = f.versions[0].from
		}
		if !e.infersBefore() {
			after.asked = neverAsked
		}
	} else {
		after.closed, after.first = 0, 0
	}
	e.keepVersions(w)
	e.keepChanges(w)
	e.writes = append(e.writes, keyvalue.Change{Key: headKey(w.key), Value: after.bytes()})
}

// keepVersions writes the versions but the last one.
func (e *ending) keepVersions(w *work) {
	var kept map[int64]bool
	for i := range w.fold.versions {
		v := &w.fold.versions[i]
		if v == w.after.last {
			break
		}
		if len(w.values) > 0 {
			if kept == nil {
				kept = map[int64]bool{}
			}
			kept[v.from] = true
		}
		if value := v.append(nil, &values{}); !bytes.Equal(value, w.values[v.from]) {
			e.writes = append(e.writes, keyvalue.Change{Key: versionKey(w.key, v.from), Value: value})
		}
	}
	for _, v := range w.old {
		if _, stored := w.values[v.from]; stored && !kept[v.from] {
			e.writes = append(e.writes, keyvalue.Change{Key: versionKey(w.key, v.from)})
		}
	}
}

// keepChanges writes the changes of the epoch, in the head or beside it, and
// forgets those that nothing can come before any more, if that is simple.
func (e *ending) keepChanges(w *work) {
	h, after := w.head, w.after
	due := func(order []byte) bool { return keyvalue.Time(order) <= e.horizon }
	switch {
	case h.spilled:
	case due(after.newest):
		after.base = &folded{after.newest, after.mark()}
		return
	case w.inOrder && len(h.newest) > 0 && due(h.newest):
		after.base = &folded{h.newest, h.mark()}
		after.changes = w.fresh
		e.spill(w)
		return
	}
	after.changes = append(after.changes, h.changes...)
	for _, c := range w.fresh {
		if h.spilled && (len(h.changes) == 0 || bytes.Compare(c.order, h.changes[0].order) < 0) && !w.inOrder {
			e.writes = append(e.writes, keyvalue.Change{Key: changeKey(w.key, c.order), Value: c.append(nil, &values{})})
		} else {
			after.changes = append(after.changes, c)
		}
	}
	slices.SortFunc(after.changes, func(a, b change) int { return bytes.Compare(a.order, b.order) })
	e.spill(w)
}

// spill takes changes out of a head that are too many for it.
func (e *ending) spill(w *work) {
	after := w.after
	total := 0
	for i := range after.changes {
		total += after.changes[i].size(&after.now.values)
	}
	if len(after.changes) <= e.room.changes && total <= e.room.bytes {
		return
	}
	keep := len(after.changes)
	for bytes := 0; keep > 0 && len(after.changes)-keep < e.room.keepChanges; keep-- {
		if bytes += after.changes[keep-1].size(&after.now.values); bytes > e.room.keepBytes {
			break
		}
	}
	for i := range after.changes[:keep] {
		c := &after.changes[i]
		e.writes = append(e.writes, keyvalue.Change{Key: changeKey(w.key, c.order), Value: c.append(nil, &values{})})
	}
	if !after.spilled {
		after.spilled = true
		e.writes = append(e.writes, keyvalue.Change{Key: timerKey(e.next(after.changes[0].at()), w.key), Value: []byte{}})
	}
	after.changes = after.changes[keep:]
}

// next is when to look at changes again of which the first took effect at a time:
// a while later than it is due, so that there are some to forget.
func (e *ending) next(first int64) int64 { return min(first, Forever) + e.late/4 }
