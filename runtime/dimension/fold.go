package dimension

import (
	"bytes"

	"github.com/calvelake/calve/runtime/upstream"
)

// fold goes through changes of a member in their order, and makes its versions.
// Changes of one time make one version.
type fold struct {
	*Operator
	state
	overwritten upstream.Stamp
	versions    []version // the first may be the one before
	// Of the group of changes of one time that is gone through:
	running   bool
	group     int64 // their time, within Beginning and Forever
	before    state // in front of them
	changedAt int64
	newest    upstream.Stamp // of those that altered something
	forced    bool           // something was altered before the first of them
	split     bool           // a Decider wants a version
}

// begin starts behind the newest change of a member.
func (o *Operator) begin(h *head) *fold {
	f := &fold{Operator: o, state: h.now, overwritten: h.overwritten}
	if h.last != nil {
		f.versions = append(f.versions, *h.last)
	}
	return f
}

// resume starts at a mark, with the version in force there, nil for none.
func (o *Operator) resume(m *mark, v *version) *fold {
	f := &fold{Operator: o, state: m.state, overwritten: m.overwritten}
	if v != nil {
		again := *v
		again.end, again.to, again.stamp = m.values, m.to, m.stamp
		again.end.raw = nil
		if !o.hasVersions {
			again.deleted = m.gone && o.spec.HardDeletes == HardDeletesNewRecord
		}
		f.versions = append(f.versions, again)
	}
	return f
}

// resumeWithin starts at a mark among changes of one time, with the version before
// that time, nil for none.
func (o *Operator) resumeWithin(m *mark, at int64, before *version) *fold {
	f := &fold{Operator: o, state: m.state, overwritten: m.overwritten}
	f.running, f.group, f.before, f.newest, f.forced, f.changedAt = true, at, m.state, m.stamp, true, at
	if before != nil {
		again := *before
		if again.to >= at {
			again.to = Forever
		}
		f.versions = append(f.versions, again)
	}
	return f
}

// reach tells the fold of the next change's time.
func (f *fold) reach(c *change) {
	at := Within(c.at())
	if !f.running || at != f.group {
		f.settle()
		f.running, f.group, f.before, f.newest, f.forced, f.split = true, at, f.state, upstream.NoStamp, false, false
	}
	f.changedAt = c.at()
}

// alter makes the state another one.
func (f *fold) alter(next state, by upstream.Stamp) {
	if next.gone != f.gone || next.exists != f.exists || !next.sameAttributes(&f.values) {
		f.newest = f.newest.Max(by)
	}
	f.state = next
}

// settle makes of the changes of one time what they make together: the last one
// counts.
func (f *fold) settle() {
	if !f.running {
		return
	}
	f.running = false
	if f.gone { // what came before the deletion, at its time, was never in force
		raw := f.raw
		f.values, f.exists, f.open = f.before.values, f.before.exists, f.before.open
		f.raw, f.gone = raw, f.exists
	}
	unaltered := f.gone == f.before.gone && f.exists == f.before.exists && f.sameAttributes(&f.before.values)
	if unaltered && !f.forced && !f.split || !f.exists {
		return
	}
	if !bytes.Equal(f.over, f.before.over) {
		f.overwritten = f.newest
	}
	last := f.last()
	switch {
	case last == nil:
		if !f.gone {
			f.start()
		}
	case !f.hasVersions:
		f.amend(last)
		last.deleted = f.gone && f.spec.HardDeletes == HardDeletesNewRecord
		if f.spec.HardDeletes == HardDeletesInvalidate {
			f.closeOrOpen(last)
		}
	case f.gone && f.spec.HardDeletes == HardDeletesInvalidate:
		last.stamp = last.stamp.Max(f.newest)
		last.to = min(last.to, f.group)
	case f.differs(last):
		f.start()
	default:
		f.amend(last)
	}
}

func (f *fold) last() *version {
	if len(f.versions) == 0 {
		return nil
	}
	return &f.versions[len(f.versions)-1]
}

// closeOrOpen ends the one row of a member when it is deleted, until it comes back.
func (f *fold) closeOrOpen(row *version) {
	switch {
	case !f.gone:
		row.to = Forever
	case row.to == Forever:
		row.to = f.group
	}
}

// differs tells whether there is another version.
func (f *fold) differs(last *version) bool {
	if f.gone || last.deleted {
		return f.gone != last.deleted
	}
	if last.to != Forever || f.split {
		return true
	}
	return f.spec.Decider == nil && !bytes.Equal(last.end.versioned, f.state.versioned)
}

// amend makes the version in force what it is now.
func (f *fold) amend(last *version) {
	last.end = f.values
	last.end.raw = nil
	last.stamp = last.stamp.Max(f.newest)
}

// start begins a version (invariants 8 and 9).
func (f *fold) start() {
	v := version{from: f.group, to: Forever, at: f.group, changedAt: f.changedAt, deleted: f.gone, stamp: f.newest, end: f.values}
	v.end.raw = nil
	if last := f.last(); last == nil {
		if f.spec.FirstValidFrom == FirstValidFromBeginning {
			v.from = Beginning
		}
	} else {
		last.to = min(last.to, f.group)
	}
	v.start = mark{state: f.state, to: Forever, stamp: v.stamp, overwritten: f.overwritten}
	f.versions = append(f.versions, v)
}

// advance starts at a mark, to go through changes that begin no version.
func (o *Operator) advance(m *mark) *fold {
	return o.resume(m, &version{deleted: m.gone && o.spec.HardDeletes == HardDeletesNewRecord})
}

// mark is where the fold is, if it was made by advance.
func (f *fold) mark() mark {
	last := f.last()
	return mark{state: f.state, to: last.to, stamp: last.stamp, overwritten: f.overwritten}
}

// take goes through one change, as the types of columns have it.
func (f *fold) take(c *change) error {
	f.reach(c)
	next, err := f.after(c)
	if err != nil {
		return err
	}
	f.alter(next, c.stamp)
	return nil
}
