package fact

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// State is where facts are kept from one epoch to the next: the keys of one
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
var ErrState = errors.New("fact state is corrupt")

// stateFormat is the version of the encodings below, and the first byte of
// every fact.
const stateFormat = 1

// Keys of State begin with what they are. A group is the number of a join (one
// byte) and a key of it behind its length; times are eight bytes that sort.
//
//	f <grain>                 a fact: kept
//	k <id>                    the grain that the row of a keyed model has
//	l <group> <grain>         a fact that the rows of a group are joined to: its range
//	r <group> <time> <id>     a row to be joined
//	i <join> <id>             where the row of a keyed model is: group and time
//	t <time> <group>          something of a group may be forgotten at that time, lateness left aside; no value
//
// Groups of keyed models have no t, those of staging models no i.
const (
	spaceFacts   = 'f'
	spaceSources = 'k'
	spaceLefts   = 'l'
	spaceRights  = 'r'
	spaceIDs     = 'i'
	spaceTimers  = 't'
)

func appendTime(to []byte, at int64) []byte {
	return binary.BigEndian.AppendUint64(to, uint64(at)^1<<63)
}

func timeOf(data []byte) int64 { return int64(binary.BigEndian.Uint64(data) ^ 1<<63) }

func appendBytes(to, data []byte) []byte {
	return append(binary.AppendUvarint(to, uint64(len(data))), data...)
}

// groupOf is the rows of a join that have a key.
func groupOf(to []byte, join int, key []byte) []byte {
	return appendBytes(append(to, byte(join)), key)
}

func spaced(space byte, rest ...[]byte) []byte {
	n := 1
	for _, r := range rest {
		n += len(r)
	}
	to := append(make([]byte, 0, n), space)
	for _, r := range rest {
		to = append(to, r...)
	}
	return to
}

func timerKey(at int64, group []byte) []byte {
	return append(appendTime(append(make([]byte, 0, 9+len(group)), spaceTimers), at), group...)
}

// behind is the first key behind all that begin with a prefix, which is not all
// of 0xff.
func behind(prefix []byte) []byte {
	next := append([]byte(nil), prefix...)
	for i := len(next) - 1; i >= 0; i-- {
		if next[i]++; next[i] != 0 {
			return next[:i+1]
		}
	}
	return nil
}

// span is a range of time, ends included.
type span struct{ from, to int64 }

// always is the range of a join without one.
var always = span{math.MinInt64, math.MaxInt64}

func (s span) bytes() []byte { return appendTime(appendTime(nil, s.from), s.to) }

func loadSpan(data []byte) (span, error) {
	if len(data) != 16 {
		return span{}, fmt.Errorf("%w: a range of %d bytes", ErrState, len(data))
	}
	return span{timeOf(data), timeOf(data[8:])}, nil
}

// append writes a fact:
//
//	format u8, flags u8, versions, milestones, joins, deletion, hash (if visible)
//
// A version is its id, order and row, and the columns that are not its own. Lists
// come behind their number, bytes behind their length, and numbers are varints.
func (k *kept) append(to []byte) []byte {
	flags := byte(0)
	if k.visible {
		flags |= 1
	}
	to = append(to, stateFormat, flags)
	to = binary.AppendUvarint(to, uint64(len(k.versions)))
	for i := range k.versions {
		to = k.versions[i].append(to)
	}
	for _, m := range k.milestones {
		to = appendBytes(appendBytes(to, m.order), m.value)
	}
	for _, j := range k.joins {
		if to = append(to, j.flags()); !j.known {
			continue
		}
		to = appendBytes(appendBytes(to, j.group), j.values)
		for _, n := range []int64{j.within.from, j.within.to, j.newest.recorded, j.newest.ingested} {
			to = binary.AppendVarint(to, n)
		}
	}
	to = appendBytes(to, k.deleted)
	to = binary.AppendVarint(binary.AppendVarint(to, k.deletion.recorded), k.deletion.ingested)
	if k.visible {
		to = append(to, k.hash[:]...)
	}
	return to
}

func (v *version) append(to []byte) []byte {
	flags := byte(0)
	if v.gone {
		flags |= 1
	}
	to = append(to, flags)
	to = appendBytes(appendBytes(appendBytes(to, v.id), v.order), v.row)
	to = binary.AppendUvarint(to, uint64(len(v.holes)))
	for _, h := range v.holes {
		to = appendBytes(binary.AppendUvarint(to, uint64(h.column)), h.order)
	}
	return to
}

func (j *joined) flags() byte {
	flags := byte(0)
	if j.known {
		flags |= 1
	}
	if j.group != nil {
		flags |= 2
	}
	return flags
}

// load reads a fact. What it keeps are parts of data. The error is ErrState.
func (p *Program) load(k *kept, data []byte) error {
	r := stateReader{data: data}
	if format := r.byte(); r.err == nil && format != stateFormat {
		return fmt.Errorf("%w: format %d, expected %d", ErrState, format, stateFormat)
	}
	flags := r.byte()
	k.visible = flags&1 != 0
	k.versions = make([]version, r.count())
	for i := range k.versions {
		k.versions[i].load(&r, p.base.NumFields())
	}
	for i := range k.milestones {
		k.milestones[i] = milestone{r.bytes(), r.bytes()}
	}
	for i := range k.joins {
		k.joins[i].load(&r)
	}
	if k.deleted = r.bytes(); len(k.deleted) == 0 {
		k.deleted = nil
	}
	k.deletion = stamp{r.varint(), r.varint()}
	if k.visible && r.err == nil {
		if len(r.data) < len(k.hash) {
			r.fail("it ends too early")
		} else {
			r.data = r.data[copy(k.hash[:], r.data):]
		}
	}
	if r.err == nil && (len(r.data) > 0 || flags > 1) {
		r.fail("there are bytes behind the fact")
	}
	return r.err
}

func (v *version) load(r *stateReader, columns int) {
	flags := r.byte()
	v.gone = flags&1 != 0
	v.id, v.order, v.row = r.bytes(), r.bytes(), r.bytes()
	for range r.count() {
		h := hole{column: int(min(r.uvarint(), math.MaxInt32)), order: r.bytes()}
		if r.err == nil && h.column >= columns {
			r.fail("a column is out of range")
		}
		v.holes = append(v.holes, h)
	}
	if r.err == nil && flags > 1 {
		r.fail("flags are out of range")
	}
}

func (j *joined) load(r *stateReader) {
	flags := r.byte()
	if flags > 3 || flags == 2 {
		r.fail("flags are out of range")
	}
	if flags&1 == 0 {
		return
	}
	j.known = true
	j.group, j.values = r.bytes(), r.bytes()
	if flags&2 == 0 {
		j.group = nil
	}
	j.within = span{r.varint(), r.varint()}
	j.newest = stamp{r.varint(), r.varint()}
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
