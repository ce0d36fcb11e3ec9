package session

import (
	"fmt"

	"github.com/calvelake/calve/runtime/record/keyvalue"
)

// write forgets the sessions that are due, and writes the others.
func (e *ending) write() error {
	w := stateWriter{state: e.state}
	stats := e.stats
	for _, key := range e.keys {
		entry := &e.entries[key]
		e.forget(entry)
		if err := e.writeKey(&w, key, entry); err != nil {
			return err
		}
		var all, open int32
		e.count(entry, &all, &open)
		stats.Open += int64(open - entry.hadOpen)
		stats.Sessions += int64(all - entry.hadAll)
		stats.Keys += sign(all) - sign(entry.hadAll)
	}
	if stats != e.written {
		if err := w.set([]byte{spaceMeta}, stats.bytes()); err != nil {
			return err
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	e.stats, e.written = stats, stats
	return nil
}

func sign(n int32) int64 {
	if n > 0 {
		return 1
	}
	return 0
}

// forget takes the sessions away that no event can touch any more. They are
// the first ones.
func (e *ending) forget(entry *entry) {
	for entry.head >= 0 && e.forgottenAt(e.sessions[entry.head].end) <= e.watermark {
		entry.head = e.sessions[entry.head].next
	}
}

// writeKey writes a key and its timer. A timer that comes too early stays: when
// it comes, the key is looked at, and it is set anew.
func (e *ending) writeKey(w *stateWriter, key int32, entry *entry) error {
	due, changed := int64(noTimer), false
	for slot := entry.head; slot >= 0; slot = e.sessions[slot].next {
		s := &e.sessions[slot]
		changed = changed || s.changed
		if at := e.closesAt(s.end); at > e.watermark {
			due = min(due, at)
		} else {
			due = min(due, e.forgottenAt(s.end))
		}
	}
	name, timer := e.Operator.keys.key(key), entry.timer
	if due < timer || timer <= e.watermark || entry.head < 0 {
		entry.timer = due
	}
	if timer != entry.timer && timer != noTimer {
		if err := w.set(w.keep(timerKey(w.room(), timer, name)), nil); err != nil {
			return err
		}
	}
	if timer != entry.timer && entry.timer != noTimer {
		if err := w.set(w.keep(timerKey(w.room(), entry.timer, name)), []byte{}); err != nil {
			return err
		}
	}
	if entry.found {
		if err := e.writeFound(w, name, entry); err != nil {
			return err
		}
	}
	switch {
	case entry.head >= 0 && (changed || timer != entry.timer): // a session closes, or is forgotten, by a timer alone
		return w.set(w.keep(sessionsKey(w.room(), name)), w.keep(e.appendEntry(w.room(), entry)))
	case entry.head < 0 && entry.had:
		return w.set(w.keep(sessionsKey(w.room(), name)), nil)
	}
	return nil
}

// stateWriter writes changes some at a time.
type stateWriter struct {
	state   keyvalue.Store
	changes []keyvalue.Change
	bytes   int
	slab    []byte // holds small keys and values one behind the other
}

// Bounds of what is written at once.
const (
	writeChanges = 16 << 10
	writeBytes   = 8 << 20
	slabBytes    = 64 << 10
	slabRest     = 512 // what is left of a slab when it is given up
)

// room is memory to append a key or a value to, and keep gives it away.
func (w *stateWriter) room() []byte {
	if cap(w.slab)-len(w.slab) < slabRest {
		w.slab = make([]byte, 0, slabBytes)
	}
	return w.slab[len(w.slab):]
}

// keep is what was appended to room. More than there was room for is memory of
// its own.
func (w *stateWriter) keep(data []byte) []byte {
	if n := len(w.slab) + len(data); n <= cap(w.slab) {
		w.slab = w.slab[:n]
	}
	return data[:len(data):len(data)]
}

func (w *stateWriter) set(key, value []byte) error {
	w.changes = append(w.changes, keyvalue.Change{Key: key, Value: value})
	if w.bytes += len(key) + len(value); len(w.changes) < writeChanges && w.bytes < writeBytes {
		return nil
	}
	return w.flush()
}

func (w *stateWriter) flush() error {
	if len(w.changes) == 0 {
		return nil
	}
	if err := w.state.Write(w.changes); err != nil {
		return fmt.Errorf("write %d changes of sessions: %w", len(w.changes), err)
	}
	w.changes, w.bytes = w.changes[:0], 0
	return nil
}
