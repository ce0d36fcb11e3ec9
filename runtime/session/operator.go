package session

import (
	"encoding/binary"
	"fmt"

	"github.com/calvelake/calve/runtime/aggregate"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
)

// Operator makes sessions of rows. An epoch is calls of Take and one of End.
// After an error, or when an epoch is given up, put its store back and call
// Discard. It is not safe for concurrent use.
type Operator struct {
	*Program
	state   keyvalue.Store
	set     *aggregate.Set
	initial []byte // the plugin's state of a new session
	held
	plan      plan
	stats     Stats
	written   Stats // as the store has them
	known     bool  // stats were read
	keeps     bool  // it is told of keys: see Keep
	watermark int64 // of the last End
	dueAtOnce int   // tests hold fewer
	scratch   scratch
}

// Stats counts what is kept after the last End.
type Stats struct {
	Open     int64 // sessions that are not closed
	Sessions int64 // open ones, and closed ones that events may amend
	Keys     int64 // that have sessions
}

// New compiles a spec and goes on from what the store has.
func New(spec Spec, state keyvalue.Store) (*Operator, error) {
	p, err := Compile(spec)
	if err != nil {
		return nil, err
	}
	return p.Open(state)
}

// Open goes on from what the store has, which must be of this StateVersion. A
// store that has anything else is keyvalue.ErrCorrupt.
func (p *Program) Open(state keyvalue.Store) (*Operator, error) {
	set, err := aggregate.New(p.set, p.spec.Limits)
	if err != nil {
		return nil, err
	}
	o := &Operator{Program: p, state: state, set: set, held: held{keys: newKeyTable()}, watermark: record.NoTime, dueAtOnce: dueAtOnce}
	if p.plugin != nil {
		if o.initial, err = p.initialState(); err != nil {
			return nil, fmt.Errorf("sessions of %s: %w", p.spec.Model, err)
		}
	}
	return o, o.know()
}

// Stats counts what the store had when it was last asked or written.
func (o *Operator) Stats() Stats { return o.stats }

// Discard drops what was taken since the last End that was made durable. The
// store must have been put back.
func (o *Operator) Discard() {
	o.release()
	o.known, o.watermark = false, record.NoTime
}

// release ends an epoch.
func (o *Operator) release() {
	o.held.reset()
	o.set.Reset()
	o.begin()
}

// know reads the counts, unless they are known.
func (o *Operator) know() error {
	if o.known {
		return nil
	}
	values, err := o.state.Get([][]byte{{spaceMeta}, {spaceKept}})
	if err != nil {
		return fmt.Errorf("read session counts of %s: %w", o.spec.Model, err)
	}
	s := Stats{}
	if values[0] != nil {
		r := keyvalue.NewReader(values[0])
		if format := r.Byte(); r.Err() == nil && format != stateFormat {
			r.Fail(fmt.Sprintf("format %d, expected %d", format, stateFormat))
		}
		s = Stats{Open: r.Varint(), Sessions: r.Varint(), Keys: r.Varint()}
		if r.Err() != nil {
			return fmt.Errorf("read session counts of %s: %w", o.spec.Model, r.Err())
		}
	}
	o.stats, o.written, o.known, o.keeps = s, s, true, values[1] != nil
	return nil
}

func (s Stats) bytes() []byte {
	to := []byte{stateFormat}
	for _, n := range []int64{s.Open, s.Sessions, s.Keys} {
		to = binary.AppendVarint(to, n)
	}
	return to
}

// ready refuses time that goes backwards: what was forgotten would be missing.
func (o *Operator) ready(watermark int64) error {
	if watermark < o.watermark {
		return fmt.Errorf("BUG: sessions of %s: watermark %d after %d", o.spec.Model, watermark, o.watermark)
	}
	return o.know()
}

// hold makes the entry of a key that is new to the epoch.
func (o *Operator) hold() {
	o.entries = append(o.entries, entry{head: -1, recent: -1, timer: noTimer})
}

// load reads the sessions of keys that were not held before: those from a
// number on.
func (o *Operator) load(from int) error {
	if from == len(o.entries) {
		return nil
	}
	var names []byte
	keys := make([][]byte, 0, len(o.entries)-from)
	for id := from; id < len(o.entries); id++ {
		start := len(names)
		names = sessionsKey(names, o.keys.key(int32(id)))
		keys = append(keys, names[start:len(names):len(names)])
	}
	values, err := o.state.Get(keys)
	if err != nil {
		return fmt.Errorf("read %d keys of sessions of %s: %w", len(keys), o.spec.Model, err)
	}
	for i, data := range values {
		if data == nil {
			continue
		}
		if err := o.loadEntry(&o.entries[from+i], data); err != nil {
			return fmt.Errorf("read sessions of %s, key %x: %w", o.spec.Model, keys[i][1:], err)
		}
		e := &o.entries[from+i]
		e.had = true
		o.count(e, &e.hadAll, &e.hadOpen)
	}
	if o.keeps {
		return o.loadNames(from)
	}
	return nil
}

// count counts the sessions of a key by what the store knows of them.
func (o *Operator) count(e *entry, all, open *int32) {
	for slot := e.head; slot >= 0; slot = o.sessions[slot].next {
		if *all++; o.sessions[slot].flags&flagClosed == 0 {
			*open++
		}
	}
}

// scratch is memory of calls, used again.
type scratch struct {
	slots []int32 // of rows: the session, -1 for a row that is refused
	ids   []int32 // of rows: the key
	key   []byte
	times []int64
	offs  []int64
}

func sized[T any](have []T, n int) []T {
	if cap(have) < n {
		return make([]T, n)
	}
	return have[:n]
}
