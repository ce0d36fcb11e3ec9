package session

import "github.com/calvelake/calve/runtime/record/eventtime"

// held is what an operator holds of the epoch in hand: the keys that were
// touched, and their sessions. A session is a slot, its number among sessions
// and accumulators; those of a key are a list in order of start.
type held struct {
	keys     keyTable
	entries  []entry // by key
	sessions []session
	gone     []row // rows of the table whose session became part of another
}

// entry is a key.
type entry struct {
	head    int32 // its first session, -1 if it has none
	recent  int32 // the session that was touched last, -1 for none
	timer   int64 // the time of its timer in the store, noTimer for none
	had     bool  // the store has sessions of it
	hadOpen int32 // how many of them were open
	hadAll  int32
	undo    uint32 // the call of Take that has saved it

	names   []keptName // see Keep
	unknown int        // how many of them have no time
	found   bool       // that of one was found in this epoch
}

type session struct {
	start, end int64 // of its first and last event, µs since 1970 UTC
	rows       int64
	named      int64 // the start in its surrogate key (flagNamed)
	plugin     []byte
	adds       []byte // the columns that the plugin added to its row (flagVisible)
	next       int32  // of the key, -1 at the end
	into       int32  // the session that it became part of, -1 for none
	flags      byte
	changed    bool // in this epoch
	undo       uint32
}

var noSession = session{next: -1, into: -1}

// row is a row of the table, as it was at the end of the last epoch.
type row struct {
	key   int32
	named int64
}

func (h *held) reset() {
	h.keys.reset()
	clear(h.sessions) // of the plugin's state
	h.entries, h.sessions, h.gone = h.entries[:0], h.sessions[:0], h.gone[:0]
}

// root is the session that a slot is part of.
func (h *held) root(slot int32) int32 {
	for h.sessions[slot].into >= 0 {
		slot = h.sessions[slot].into
	}
	return slot
}

// plan is the changes of one call of Take, which can be undone until its rows
// are in the accumulators.
type plan struct {
	number   uint32 // of the call
	sessions int    // that there were before
	gone     int
	merges   []merge // in order
	saved    []savedSession
	keys     []savedEntry
	failed   bool // sessions could not be merged
}

type merge struct{ into, from int32 }

type savedSession struct {
	slot int32
	session
}

type savedEntry struct {
	key int32
	entry
}

func (o *Operator) begin() {
	p := &o.plan
	p.number++
	p.sessions, p.gone = len(o.sessions), len(o.gone)
	p.merges, p.saved, p.keys = p.merges[:0], p.saved[:0], p.keys[:0]
}

// undo puts everything back to where begin was called.
func (o *Operator) undo() {
	p := &o.plan
	for _, s := range p.saved {
		o.sessions[s.slot] = s.session
	}
	for _, e := range p.keys {
		o.entries[e.key] = e.entry
	}
	o.sessions, o.gone = o.sessions[:p.sessions], o.gone[:p.gone]
	o.begin()
}

// edit is a session whose row is about to change.
func (o *Operator) edit(slot int32) *session {
	s := o.save(slot)
	s.changed = true
	return s
}

// save is a session that can be undone.
func (o *Operator) save(slot int32) *session {
	s := &o.sessions[slot]
	if s.undo != o.plan.number {
		if int(slot) < o.plan.sessions {
			o.plan.saved = append(o.plan.saved, savedSession{slot, *s})
		}
		s.undo = o.plan.number
	}
	return s
}

func (o *Operator) editKey(key int32) *entry {
	e := &o.entries[key]
	if e.undo != o.plan.number {
		o.plan.keys = append(o.plan.keys, savedEntry{key, *e})
		e.undo = o.plan.number
	}
	return e
}

// place puts an event of a key at a time into a session, and returns its slot:
// one that is no farther away than the gap, or a new one. An event between two
// makes one of them.
func (o *Operator) place(key int32, t int64) int32 {
	e := o.editKey(key)
	before, at := int32(-1), e.head
	if r := e.recent; r >= 0 && t >= o.sessions[r].start {
		at = r // whatever is before it ends too early
	}
	for at >= 0 && eventtime.After(o.sessions[at].end, o.gap) < t {
		before, at = at, o.sessions[at].next
	}
	if at < 0 || eventtime.After(t, o.gap) < o.sessions[at].start {
		at = o.insert(e, before, at, t)
	}
	s := o.edit(at)
	s.start, s.end = min(s.start, t), max(s.end, t)
	s.rows++
	if next := s.next; next >= 0 && o.sessions[next].start <= eventtime.After(s.end, o.gap) {
		o.bridge(key, at, next)
	}
	e.recent = at
	return at
}

// insert makes a session of one event between two others.
func (o *Operator) insert(e *entry, before, next int32, t int64) int32 {
	slot := int32(len(o.sessions))
	made := noSession
	made.start, made.end, made.next = t, t, next
	o.sessions = append(o.sessions, made)
	if before < 0 {
		e.head = slot
	} else {
		o.save(before).next = slot
	}
	return slot
}

// bridge makes two sessions of a key one: the earlier goes on.
func (o *Operator) bridge(key, earlier, later int32) {
	a, b := o.edit(earlier), o.save(later)
	a.end = max(a.end, b.end)
	a.rows += b.rows
	a.next, b.into = b.next, earlier
	switch {
	case b.flags&flagNamed == 0:
	case a.flags&flagNamed == 0:
		a.named, a.adds = b.named, b.adds
		a.flags |= b.flags & (flagNamed | flagVisible)
	case b.flags&flagVisible != 0:
		o.gone = append(o.gone, row{key, b.named})
	}
	o.plan.merges = append(o.plan.merges, merge{earlier, later})
}
