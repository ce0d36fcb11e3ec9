package pipeline

import (
	"slices"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/watermark"
)

// reached is how far a keyed model's event time has come.
type reached struct {
	at, seen int64 // see lakehouse.Reached
	open     bool  // after the last record it had sessions open
}

// nowhere is where a model begins.
var nowhere = reached{at: record.NoTime, seen: record.NoTime}

// reachedOf is what records tell of a model.
func reachedOf(recorded []lakehouse.KeyedModel, name string) reached {
	r := nowhere
	for _, k := range recorded {
		if k.Name != name {
			continue
		}
		if w := k.Watermark; w != nil {
			r.at, r.seen = w.At, w.Seen
		}
		r.open = k.Open != nil && *k.Open > 0
	}
	return r
}

// moment is what the event time of keyed models follows from at the end of an
// epoch, beside where they were: its record has all of it.
type moment struct {
	keyed   []keyed
	staging map[string]record.Watermark
	open    func(*keyed) bool // whether a model has sessions open

	// What was found of models, which many others may wait for.
	owns    map[*keyed]int64
	silents map[*keyed]bool
}

func newMoment(all []keyed, staging map[string]record.Watermark, open func(*keyed) bool) moment {
	return moment{all, staging, open, map[*keyed]int64{}, map[*keyed]bool{}}
}

// present is the moment that the last record tells of.
func (p *Pipeline) present() moment {
	return newMoment(p.keyed, p.watermarks.recorded, func(k *keyed) bool { return k.reached.open })
}

// watermark is what a keyed model sees: the lowest of the models that it waits
// for, but for those that are silent, as far as it and they have taken in what was
// there. It never goes back while the model keeps its state, also when one that
// was silent delivers what is older: that is late then.
//
// A dimension is never behind the models that have keys of it. These go on while it
// is silent, and forget which keys they have: a change that it took by an older
// watermark would move keys that nobody follows any more (invariant 8).
func (m moment) watermark(k *keyed) int64 {
	at := m.own(k)
	for i := range m.keyed {
		if other := &m.keyed[i]; k.hasTime() && slices.Contains(other.Keys, k.Name) {
			at = max(at, m.own(other))
		}
	}
	return at
}

// own is how far a keyed model comes by what it waits for.
func (m moment) own(k *keyed) int64 {
	if at, found := m.owns[k]; found {
		return at
	}
	at := watermark.Merge(m.inputs(k))
	switch {
	case k.behind != nil:
		at = min(at, k.behind.watermark)
	case k.rework != nil: // the rows that it made anew are compared with those of this time
		at = max(at, k.rework.Shown)
	}
	m.owns[k] = max(at, k.reached.at)
	return m.owns[k]
}

// inputs are the models that a keyed model waits for. A calendar has no event
// time, and is waited for by none.
func (m moment) inputs(k *keyed) []watermark.Input {
	var all []watermark.Input
	for _, name := range k.follows() {
		other := m.find(name)
		switch {
		case other == nil:
			all = append(all, m.stagingInput(name))
		case !other.hasTime():
		case other.rework != nil && slices.Contains(k.Inputs, name): // whose rows are of that time, until others are shown
			all = append(all, watermark.Input{At: other.rework.Shown})
		default:
			idle := m.silent(other) && !(m.takesRows(k) && m.owes(other))
			all = append(all, watermark.Input{At: m.own(other), Idle: idle})
		}
	}
	return all
}

func (m moment) stagingInput(name string) watermark.Input {
	s, ok := m.staging[name]
	if !ok {
		return watermark.Input{At: record.NoTime}
	}
	return watermark.Input{At: s.At, Idle: watermark.Silent(s)}
}

// silent tells whether nothing comes to a keyed model: all that it waits for is
// silent, and it has taken in what was there.
func (m moment) silent(k *keyed) bool {
	silent, found := m.silents[k]
	if !found {
		silent = m.isSilent(k)
		m.silents[k] = silent
	}
	return silent
}

func (m moment) isSilent(k *keyed) bool {
	if k.behind != nil || k.rework != nil {
		return false
	}
	for _, name := range k.follows() {
		switch other := m.find(name); {
		case other == nil:
			if !m.stagingInput(name).Idle {
				return false
			}
		case other.hasTime() && !m.silent(other):
			return false
		}
	}
	return true
}

// owes tells whether rows of a keyed model are to come although nothing comes to
// it: sessions are open, of it or of those that it reads. Time stands still for
// them, and their rows are of the time at which it does.
func (m moment) owes(k *keyed) bool {
	if m.open(k) {
		return true
	}
	return slices.ContainsFunc(k.Inputs, func(name string) bool {
		other := m.find(name)
		return other != nil && m.owes(other)
	})
}

// takesRows tells whether a keyed model is given rows of a staging model. Those it
// joins with rows of others it keeps for as long as its watermark says: so it
// waits for rows that others owe.
func (m moment) takesRows(k *keyed) bool {
	return slices.ContainsFunc(k.Inputs, func(name string) bool { return m.find(name) == nil })
}

// find is a keyed model by name, nil for a staging model.
func (m moment) find(name string) *keyed {
	for i := range m.keyed {
		if m.keyed[i].Name == name {
			return &m.keyed[i]
		}
	}
	return nil
}

// hasTime tells whether event time passes for a keyed model: it depends on a
// staging model.
func (k *keyed) hasTime() bool { return len(k.staging) > 0 }

// watermark is what a keyed model sees in the epoch in hand.
func (p *Pipeline) watermark(k *keyed) int64 { return p.present().watermark(k) }

// end is what a keyed model sees as it ends, and notes it: no more than its
// dimensions did, which have ended.
func (p *Pipeline) end(k *keyed) int64 {
	at := p.watermark(k)
	for i := range p.keyed {
		if d := &p.keyed[i]; slices.Contains(k.Keys, d.Name) && d.hasTime() {
			at = min(at, d.reached.seen)
		}
	}
	k.reached.at = max(k.reached.at, at)
	k.reached.seen = k.reached.at
	return k.reached.at
}

// nextReached is what the record of an epoch says of a keyed model that has
// ended: nil for one without event time.
func (m moment) nextReached(k *keyed) *lakehouse.Reached {
	if !k.hasTime() {
		return nil
	}
	return &lakehouse.Reached{At: m.watermark(k), Seen: k.reached.seen}
}

// settledKeyed tells whether operators of keyed models have seen their watermarks
// as they are, and would be if the epoch were decided over these of staging models.
func (p *Pipeline) settledKeyed(staging map[string]record.Watermark) bool {
	now := p.present()
	next := newMoment(now.keyed, staging, now.open)
	for i := range p.keyed {
		if k := &p.keyed[i]; k.hasTime() && (now.watermark(k) != k.reached.seen || next.watermark(k) != k.reached.seen) {
			return false
		}
	}
	return true
}

// committedKeyed takes over what a record says.
func (p *Pipeline) committedKeyed(recorded []lakehouse.KeyedModel) {
	for i := range p.keyed {
		p.keyed[i].reached = reachedOf(recorded, p.keyed[i].Name)
	}
}
