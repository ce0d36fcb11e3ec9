package fact

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/upstream"
)

// stateFormat is the version of the encodings below, and the first byte of
// every fact.
const stateFormat = 1

// Keys of the state begin with what they are. A group is the number of a join (one
// byte) and a key of it behind its length, a member that of a foreign key and a
// natural key; times are eight bytes that sort.
//
//	f <grain>                 a fact: kept
//	k <id>                    the grain that the row of a keyed model has
//	l <group> <grain>         a fact that the rows of a group are joined to: its range
//	r <group> <time> <id>     a row to be joined
//	i <join> <id>             where the row of a keyed model is: group and time
//	t <time> <group>          something of a group may be forgotten at that time, lateness left aside; no value
//	m <member> <time> <grain> a fact that refers to a member at a time: until when that may change, Spec.Rekey left aside, if later
//	u <time> <member>         something of a member may be forgotten at that time, Spec.Rekey left aside; no value
//
// Groups of keyed models have no t, those of staging models no i.
const (
	spaceFacts   = 'f'
	spaceSources = 'k'
	spaceLefts   = 'l'
	spaceRights  = 'r'
	spaceIDs     = 'i'
	spaceTimers  = 't'
	spaceMembers = 'm'
	spaceUntil   = 'u'
)

// groupOf is the rows of a join that have a key.
func groupOf(to []byte, join int, key []byte) []byte {
	return keyvalue.AppendBytes(append(to, byte(join)), key)
}

// span is a range of time, ends included.
type span struct{ from, to int64 }

// always is the range of a join without one.
var always = span{math.MinInt64, math.MaxInt64}

func (s span) bytes() []byte { return keyvalue.AppendTime(keyvalue.AppendTime(nil, s.from), s.to) }

func loadSpan(data []byte) (span, error) {
	if len(data) != 16 {
		return span{}, fmt.Errorf("%w: a range of %d bytes", keyvalue.ErrCorrupt, len(data))
	}
	return span{keyvalue.Time(data), keyvalue.Time(data[8:])}, nil
}

// append writes a fact:
//
//	format u8, flags u8, versions, milestones, joins, foreign keys, deletion, hash (if visible)
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
		to = keyvalue.AppendBytes(keyvalue.AppendBytes(to, m.order), m.value)
	}
	for _, j := range k.joins {
		if to = append(to, j.flags()); !j.known {
			continue
		}
		to = keyvalue.AppendBytes(keyvalue.AppendBytes(to, j.group), j.values)
		to = binary.AppendVarint(binary.AppendVarint(to, j.within.from), j.within.to)
		to = j.newest.Append(to)
	}
	for i := range k.foreign {
		to = k.foreign[i].append(to)
	}
	to = k.deletion.Append(keyvalue.AppendBytes(to, k.deleted))
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
	to = keyvalue.AppendBytes(keyvalue.AppendBytes(keyvalue.AppendBytes(to, v.id), v.order), v.row)
	to = binary.AppendUvarint(to, uint64(len(v.holes)))
	for _, h := range v.holes {
		to = keyvalue.AppendBytes(binary.AppendUvarint(to, uint64(h.column)), h.order)
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

// load reads a fact. What it keeps are parts of data. The error is keyvalue.ErrCorrupt.
func (p *Program) load(k *kept, data []byte) error {
	r := keyvalue.NewReader(data)
	if format := r.Byte(); r.Err() == nil && format != stateFormat {
		return fmt.Errorf("%w: format %d, expected %d", keyvalue.ErrCorrupt, format, stateFormat)
	}
	flags := r.Byte()
	k.visible = flags&1 != 0
	k.versions = make([]version, r.Count())
	for i := range k.versions {
		k.versions[i].load(r, p.base.NumFields())
	}
	for i := range k.milestones {
		k.milestones[i] = milestone{r.Bytes(), r.Bytes()}
	}
	for i := range k.joins {
		k.joins[i].load(r)
	}
	for i := range k.foreign {
		k.foreign[i].load(r)
	}
	if k.deleted = r.Bytes(); len(k.deleted) == 0 {
		k.deleted = nil
	}
	k.deletion = upstream.LoadStamp(r)
	if k.visible {
		copy(k.hash[:], r.Take(len(k.hash)))
	}
	if flags > 1 {
		r.Fail("flags are out of range")
	}
	r.End()
	return r.Err()
}

func (v *version) load(r *keyvalue.Reader, columns int) {
	flags := r.Byte()
	v.gone = flags&1 != 0
	v.id, v.order, v.row = r.Bytes(), r.Bytes(), r.Bytes()
	for range r.Count() {
		h := hole{column: int(min(r.Uvarint(), math.MaxInt32)), order: r.Bytes()}
		if r.Err() == nil && h.column >= columns {
			r.Fail("a column is out of range")
		}
		v.holes = append(v.holes, h)
	}
	if r.Err() == nil && flags > 1 {
		r.Fail("flags are out of range")
	}
}

func (j *joined) load(r *keyvalue.Reader) {
	flags := r.Byte()
	if flags > 3 || flags == 2 {
		r.Fail("flags are out of range")
	}
	if flags&1 == 0 {
		return
	}
	j.known = true
	j.group, j.values = r.Bytes(), r.Bytes()
	if flags&2 == 0 {
		j.group = nil
	}
	j.within = span{r.Varint(), r.Varint()}
	j.newest = upstream.LoadStamp(r)
}
