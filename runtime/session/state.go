package session

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/calvelake/calve/runtime/record/eventtime"
	"github.com/calvelake/calve/runtime/record/keyvalue"
)

// stateFormat is the version of the encodings below, and the first byte of
// every value.
const stateFormat = 1

// Keys of the state begin with what they are:
//
//	m                              the counts of Stats
//	s <key>                        the sessions of a key
//	t <time, 8 bytes> <key>        that something falls due for a key; no value
//	k                              that surrogate keys are kept: see Keep
//	n <key>                        the names that are kept for a key
//
// A key is its parts, as keyPartOf writes them. The time is a watermark, as
// keyvalue.AppendTime writes it. There is at most one t for a key, at or before
// the first time that one of its sessions is closed or forgotten: while a session
// grows it stays, and is moved when it is reached.
const (
	spaceMeta     = 'm'
	spaceSessions = 's'
	spaceTimers   = 't'
	spaceKept     = 'k'
	spaceNames    = 'n'
)

const timerHead = 1 + 8 // bytes before a timer's key

// noTimer is the time of a key that has no timer.
const noTimer = math.MaxInt64

func sessionsKey(to, key []byte) []byte { return append(append(to, spaceSessions), key...) }

func timerKey(to []byte, at int64, key []byte) []byte {
	return append(keyvalue.AppendTime(append(to, spaceTimers), at), key...)
}

// Flags of a session in the state.
const (
	flagNamed   = 1 << iota // its surrogate key was given
	flagVisible             // the table has its row
	flagClosed              // it was closed at the end of the last epoch
	flagPlugin              // it has state of a plugin
	flagsAll    = flagNamed | flagVisible | flagClosed | flagPlugin
)

// appendEntry writes the sessions of a key:
//
//	format u8, timer varint, number of sessions uvarint, then for each in order
//	of start: flags u8, start varint, end - start uvarint, rows uvarint,
//	start - the start in its surrogate key varint (if named), accumulators,
//	plugin's state and the columns it added, each behind its length (if there).
func (o *Operator) appendEntry(to []byte, e *entry) []byte {
	n := 0
	for slot := e.head; slot >= 0; slot = o.sessions[slot].next {
		n++
	}
	to = binary.AppendVarint(append(to, stateFormat), e.timer)
	to = binary.AppendUvarint(to, uint64(n))
	for slot := e.head; slot >= 0; slot = o.sessions[slot].next {
		s := &o.sessions[slot]
		flags := s.flags &^ flagPlugin
		if s.plugin != nil {
			flags |= flagPlugin
		}
		to = binary.AppendVarint(append(to, flags), s.start)
		to = binary.AppendUvarint(to, uint64(s.end)-uint64(s.start))
		to = binary.AppendUvarint(to, uint64(s.rows))
		if flags&flagNamed != 0 {
			to = binary.AppendVarint(to, s.start-s.named)
		}
		to = o.set.Append(to, int(slot))
		if flags&flagPlugin != 0 {
			to = keyvalue.AppendBytes(keyvalue.AppendBytes(to, s.plugin), s.adds)
		}
	}
	return to
}

// loadEntry reads the sessions of a key into new slots. The sessions keep parts
// of data. The error is keyvalue.ErrCorrupt.
func (o *Operator) loadEntry(e *entry, data []byte) error {
	r := keyvalue.NewReader(data)
	if format := r.Byte(); r.Err() == nil && format != stateFormat {
		r.Fail(fmt.Sprintf("format %d, expected %d", format, stateFormat))
	}
	e.timer = r.Varint()
	n := r.Count()
	o.set.Grow(len(o.sessions) + n)
	last, end := int32(-1), int64(0)
	for i := 0; i < n && r.Err() == nil; i++ {
		slot := int32(len(o.sessions))
		o.sessions = append(o.sessions, noSession)
		s := &o.sessions[slot]
		o.loadSession(r, s, int(slot))
		if i > 0 && r.Err() == nil && s.start <= eventtime.After(end, o.gap) {
			r.Fail("sessions are not in order")
		}
		if end = s.end; last < 0 {
			e.head = slot
		} else {
			o.sessions[last].next = slot
		}
		last = slot
	}
	r.End()
	return r.Err()
}

func (o *Operator) loadSession(r *keyvalue.Reader, s *session, slot int) {
	s.flags = r.Byte()
	s.start = r.Varint()
	length := r.Uvarint()
	s.end = int64(uint64(s.start) + length)
	rows := r.Uvarint()
	s.rows = int64(rows)
	if s.flags&flagNamed != 0 {
		s.named = s.start - r.Varint()
	}
	if r.Err() == nil && (s.flags&^flagsAll != 0 || s.end < s.start || rows == 0 || rows > math.MaxInt64 || s.flags&flagVisible != 0 && s.flags&flagNamed == 0) {
		r.Fail("a session is out of range")
	}
	if r.Err() != nil {
		return
	}
	rest, err := o.set.Load(slot, r.Rest())
	if err != nil {
		r.Fail(err.Error())
		return
	}
	r.Take(len(r.Rest()) - len(rest))
	if (s.flags&flagPlugin != 0) != (o.plugin != nil) {
		r.Fail("a session has state of a plugin and the model has none, or the reverse")
		return
	}
	if s.flags&flagPlugin != 0 {
		s.plugin, s.adds = r.Bytes(), r.Bytes()
	}
	s.flags &^= flagPlugin
}
