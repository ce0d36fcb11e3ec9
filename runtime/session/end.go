package session

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/changelog"
	"github.com/calvelake/calve/runtime/record/keyvalue"
)

// SessionError is a session whose row cannot be computed: it has no row until
// that changes. There is no single record at fault.
type SessionError struct {
	Key          string // the columns of the key, as in user_id=5, device=a
	SurrogateKey string // that it would have
	Start, End   int64  // µs since 1970 UTC
	Code         string // record.CodeExpression, or a plugin's
	Column       string // the column at fault, "" if none in particular
	Message      string
}

// End ends an epoch at a watermark: it closes and forgets the sessions that are
// due, writes its store, and tells what changed in the table. The caller releases
// the changelog.
func (o *Operator) End(ctx context.Context, watermark int64) (record.Changelog, []SessionError, error) {
	changes, failed, err := o.end(ctx, watermark)
	if err != nil {
		return record.Changelog{}, nil, fmt.Errorf("sessions of %s: %w", o.spec.Model, err)
	}
	o.watermark = watermark
	o.release()
	return changes, failed, nil
}

// end ends the epoch of what is held, and with it of a bounded number of keys
// whose timers have come; then that of others, as long as there are any. So an
// end at which most sessions are over, as after a quiet night, needs no more
// memory than another, but for the rows that it makes.
func (o *Operator) end(ctx context.Context, watermark int64) (record.Changelog, []SessionError, error) {
	if err := o.ready(watermark); err != nil {
		return record.Changelog{}, nil, err
	}
	var all changelog.Parts
	var failed []SessionError
	defer all.Release()
	for from := []byte{spaceTimers}; ; o.release() {
		var err error
		if from, err = o.holdDue(from, watermark); err != nil {
			return record.Changelog{}, nil, err
		}
		wrong, err := o.endHeld(ctx, watermark, &all)
		if err != nil {
			return record.Changelog{}, nil, err
		}
		failed = append(failed, wrong...)
		if from == nil {
			break
		}
	}
	joined, err := all.Join(o.mem)
	return joined, failed, err
}

// endHeld ends the epoch of the keys that are held. It returns those of their
// sessions that have no row.
func (o *Operator) endHeld(ctx context.Context, watermark int64, all *changelog.Parts) ([]SessionError, error) {
	e := &ending{Operator: o, watermark: watermark, keys: o.sortedKeys()}
	defer func() { e.made.release() }()
	e.choose()
	if err := e.emit(ctx); err != nil {
		return nil, err
	}
	slices.SortFunc(e.removed, func(a, b row) int {
		return cmp.Or(bytes.Compare(o.keys.key(a.key), o.keys.key(b.key)), cmp.Compare(a.named, b.named))
	})
	log, err := e.changelog()
	if err != nil {
		return nil, err
	}
	all.Add(log)
	return e.failed, e.write()
}

// dueAtOnce bounds the keys that are held for their timers.
const dueAtOnce = 64 << 10

// holdDue reads keys whose timers have come, from a timer on. It returns the
// timer to go on from, nil if that was the last.
func (o *Operator) holdDue(from []byte, watermark int64) ([]byte, error) {
	if watermark == record.NoTime {
		return nil, nil
	}
	known := len(o.entries)
	to := []byte{spaceTimers + 1}
	if watermark < math.MaxInt64 {
		to = timerKey(nil, watermark+1, nil)
	}
	var next []byte
	err := o.state.Scan(from, to, func(key, _ []byte) (bool, error) {
		if len(key) < timerHead {
			return false, fmt.Errorf("%w: a timer %x is too short", keyvalue.ErrCorrupt, key)
		}
		if len(o.entries)-known == o.dueAtOnce {
			next = bytes.Clone(key)
			return false, nil
		}
		if _, fresh := o.keys.id(key[timerHead:]); fresh {
			o.hold()
		}
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read due sessions: %w", err)
	}
	return next, o.load(known)
}

// sortedKeys is all keys that are held, in the order of their bytes: rows of
// changes come so, whatever order events came in, and the store is written so.
func (o *Operator) sortedKeys() []int32 {
	type prefixed struct {
		prefix uint64
		id     int32
	}
	keys := make([]prefixed, len(o.entries))
	for i := range keys {
		var head [8]byte
		copy(head[:], o.keys.key(int32(i)))
		keys[i] = prefixed{binary.BigEndian.Uint64(head[:]), int32(i)}
	}
	slices.SortFunc(keys, func(a, b prefixed) int {
		if a.prefix != b.prefix {
			return cmp.Compare(a.prefix, b.prefix)
		}
		return bytes.Compare(o.keys.key(a.id), o.keys.key(b.id))
	})
	ids := make([]int32, len(keys))
	for i, k := range keys {
		ids[i] = k.id
	}
	return ids
}

// ending is one call of End.
type ending struct {
	*Operator
	watermark int64
	keys      []int32 // in order
	chosen    []candidate
	made      *made // rows after a create or an update
	ops       []record.Op
	removed   []row // of the table
	failed    []SessionError
}

// candidate is a session whose row is to be made.
type candidate struct {
	key, slot int32
	adds      []byte // the plugin's columns
	keep      bool   // the row stays as it is
	failed    bool   // there is no row
}

// choose finds the sessions that need a row: with emit early all, else those
// that are closed or were before, of which those changed in this epoch, were
// closed by it, or could not be computed before.
func (e *ending) choose() {
	early := e.spec.Emit == EmitEarly
	for _, key := range e.keys {
		for slot := e.entries[key].head; slot >= 0; slot = e.sessions[slot].next {
			s := &e.sessions[slot]
			closed := e.closesAt(s.end) <= e.watermark
			closes := closed && s.flags&flagClosed == 0
			if s.flags &^= flagClosed; closed {
				s.flags |= flagClosed
			}
			named := s.flags&flagNamed != 0
			if !early && !closed && !named {
				continue
			}
			// A plugin is told that a session is closed, expressions are not.
			if s.changed || closes && (e.plugin != nil || !named) {
				e.chosen = append(e.chosen, candidate{key: key, slot: slot})
			}
		}
	}
	if e.keeps {
		e.removed = e.rename()
	} else {
		e.removed = slices.Clone(e.gone)
	}
}

// emit makes the rows of the chosen sessions, and says what became of each.
func (e *ending) emit(ctx context.Context) error {
	if len(e.chosen) == 0 {
		return nil
	}
	if e.plugin != nil {
		if err := e.finishPlugin(ctx); err != nil {
			return err
		}
	}
	made, err := e.make(slices.DeleteFunc(slices.Clone(e.chosen), func(c candidate) bool { return c.keep || c.failed }))
	if err != nil {
		return err
	}
	e.made = made
	e.failed = append(e.failed, made.errors...)
	failed := made.failed
	rows := 0
	for i := range e.chosen {
		c := &e.chosen[i]
		if c.keep {
			continue
		}
		if !c.failed {
			c.failed = failed[rows]
			rows++
		}
		e.settle(c)
	}
	return made.leaveOut(e.mem)
}

// settle writes down what the table has of a session from now on.
func (e *ending) settle(c *candidate) {
	s := &e.sessions[c.slot]
	switch {
	case c.failed && s.flags&flagVisible != 0:
		e.removed = append(e.removed, row{c.key, s.named})
		s.flags &^= flagVisible
		s.adds = nil
	case c.failed:
	case s.flags&flagVisible != 0:
		e.ops = append(e.ops, record.OpUpdate)
		s.adds = c.adds
	default:
		if s.flags&flagNamed == 0 {
			s.named = s.start
		}
		e.ops = append(e.ops, record.OpCreate)
		s.flags |= flagNamed | flagVisible
		s.adds = c.adds
	}
}

// changelog joins the rows that were made and those that were removed.
func (e *ending) changelog() (record.Changelog, error) {
	removed, err := e.rowsBefore(e.removed)
	if err != nil {
		return record.Changelog{}, err
	}
	defer removed.release()
	ops := append(e.ops, slices.Repeat([]record.Op{record.OpDelete}, len(e.removed))...)
	if len(ops) == 0 {
		return record.Changelog{}, nil
	}
	rows, err := e.table(e.made, removed)
	if err != nil {
		return record.Changelog{}, err
	}
	return changelog.Of(ops, rows)
}

// rowsBefore makes rows as the table has them: of the sessions as the store has
// them from the end of the last epoch.
func (e *ending) rowsBefore(rows []row) (*made, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	keys := make([][]byte, len(rows))
	for i, r := range rows {
		keys[i] = sessionsKey(nil, e.Operator.keys.key(r.key))
	}
	values, err := e.state.Get(keys)
	if err != nil {
		return nil, fmt.Errorf("read sessions that became part of others: %w", err)
	}
	before := make([]candidate, len(rows))
	for i, r := range rows {
		past := entry{head: -1, recent: -1}
		if err := e.loadEntry(&past, values[i]); err != nil {
			return nil, err
		}
		slot := past.head
		for slot >= 0 && (e.sessions[slot].flags&flagVisible == 0 || e.sessions[slot].named != r.named) {
			slot = e.sessions[slot].next
		}
		if slot < 0 {
			return nil, fmt.Errorf("BUG: no session has the row with start %d that is to be deleted", r.named)
		}
		before[i] = candidate{key: r.key, slot: slot, adds: e.sessions[slot].adds}
	}
	// Where a column cannot be computed, for the expressions of derive are others
	// now, it is null: a delete is about the key.
	return e.make(before)
}
