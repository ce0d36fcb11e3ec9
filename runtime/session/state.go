package session

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// State is where sessions are kept from one epoch to the next: the keys of one
// model.
type State interface {
	// Get returns the values of keys, in their order; nil where there is none.
	// The values are the caller's.
	Get(keys [][]byte) ([][]byte, error)
	// Write carries out changes in order; Get and Scan see them at once.
	Write(changes []Change) error
	// Scan visits the keys from from up to, but without, to, in order. Key and
	// value may be used during visit only.
	Scan(from, to []byte, visit func(key, value []byte) (more bool, err error)) error
}

// Change sets a key, or deletes it when Value is nil.
type Change struct {
	Key   []byte
	Value []byte
}

// ErrState: what State has is not what was written there.
var ErrState = errors.New("session state is corrupt")

// stateFormat is the version of the encodings below, and the first byte of
// every value.
const stateFormat = 1

// Keys of State begin with what they are:
//
//	m                              the counts of Stats
//	s <key>                        the sessions of a key
//	t <time, 8 bytes> <key>        that something falls due for a key; no value
//
// A key is its parts, as keyPartOf writes them. The time is a watermark, the
// highest byte first and its sign turned round, so that times sort. There is at
// most one t for a key, at or before the first time that one of its sessions is
// closed or forgotten: while a session grows it stays, and is moved when it is
// reached.
const (
	spaceMeta     = 'm'
	spaceSessions = 's'
	spaceTimers   = 't'
)

const timerHead = 1 + 8 // bytes before a timer's key

// noTimer is the time of a key that has no timer.
const noTimer = math.MaxInt64

func sessionsKey(to, key []byte) []byte { return append(append(to, spaceSessions), key...) }

func timerKey(to []byte, at int64, key []byte) []byte {
	return append(binary.BigEndian.AppendUint64(append(to, spaceTimers), uint64(at)^1<<63), key...)
}

// Flags of a session in State.
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
			to = appendBytes(appendBytes(to, s.plugin), s.adds)
		}
	}
	return to
}

func appendBytes(to, data []byte) []byte {
	return append(binary.AppendUvarint(to, uint64(len(data))), data...)
}

// loadEntry reads the sessions of a key into new slots. The sessions keep parts
// of data. The error is ErrState.
func (o *Operator) loadEntry(e *entry, data []byte) error {
	r := stateReader{data: data}
	if format := r.byte(); r.err == nil && format != stateFormat {
		return fmt.Errorf("%w: format %d, expected %d", ErrState, format, stateFormat)
	}
	e.timer = r.varint()
	n := r.count()
	o.set.Grow(len(o.sessions) + n)
	last, end := int32(-1), int64(0)
	for i := 0; i < n && r.err == nil; i++ {
		slot := int32(len(o.sessions))
		o.sessions = append(o.sessions, noSession)
		s := &o.sessions[slot]
		o.loadSession(&r, s, int(slot))
		if i > 0 && r.err == nil && s.start <= after(end, o.gap) {
			r.fail("sessions are not in order")
		}
		if end = s.end; last < 0 {
			e.head = slot
		} else {
			o.sessions[last].next = slot
		}
		last = slot
	}
	if r.err == nil && len(r.data) > 0 {
		r.fail("there are bytes behind the last session")
	}
	return r.err
}

func (o *Operator) loadSession(r *stateReader, s *session, slot int) {
	s.flags = r.byte()
	s.start = r.varint()
	length := r.uvarint()
	s.end = int64(uint64(s.start) + length)
	rows := r.uvarint()
	s.rows = int64(rows)
	if s.flags&flagNamed != 0 {
		s.named = s.start - r.varint()
	}
	if r.err == nil && (s.flags&^flagsAll != 0 || s.end < s.start || rows == 0 || rows > math.MaxInt64 || s.flags&flagVisible != 0 && s.flags&flagNamed == 0) {
		r.fail("a session is out of range")
	}
	if r.err != nil {
		return
	}
	rest, err := o.set.Load(slot, r.data)
	if err != nil {
		r.err = fmt.Errorf("%w: %w", ErrState, err)
		return
	}
	r.data = rest
	if (s.flags&flagPlugin != 0) != (o.plugin != nil) {
		r.fail("a session has state of a plugin and the model has none, or the reverse")
		return
	}
	if s.flags&flagPlugin != 0 {
		s.plugin, s.adds = r.bytes(), r.bytes()
	}
	s.flags &^= flagPlugin
}

// stateReader reads parts of a value, until one is wrong.
type stateReader struct {
	data []byte
	err  error
}

func (r *stateReader) fail(why string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrState, why)
	}
	r.data = nil
}

func (r *stateReader) byte() byte {
	if len(r.data) == 0 {
		r.fail("it ends too early")
		return 0
	}
	b := r.data[0]
	r.data = r.data[1:]
	return b
}

func (r *stateReader) varint() int64 {
	v, n := binary.Varint(r.data)
	if n <= 0 {
		r.fail("it ends too early")
		return 0
	}
	r.data = r.data[n:]
	return v
}

func (r *stateReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.data)
	if n <= 0 {
		r.fail("it ends too early")
		return 0
	}
	r.data = r.data[n:]
	return v
}

// count is a number of things that have a byte each at least.
func (r *stateReader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.data)) {
		r.fail("it ends too early")
		return 0
	}
	return int(n)
}

func (r *stateReader) bytes() []byte {
	n := r.count()
	if r.err != nil {
		return nil
	}
	data := r.data[:n:n]
	r.data = r.data[n:]
	return data
}
