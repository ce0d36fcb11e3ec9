package dimension

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyspace"
	"github.com/calvelake/calve/runtime/upstream"
)

// stateFormat is the version of the encodings below, and the first byte of
// heads.
const stateFormat = 1

// Keys of the state begin with what they are. A member is its natural key behind
// its length; times are eight bytes that sort.
//
//	h <member>                  the head: what the member is now, and its newest changes
//	v <member> <inverted from>  a version before the last one, so that a scan from a time finds the one in force first
//	c <member> <order>          a change that is in the head no longer
//	t <time> <member>           some c of a member may be forgotten at that time, late_changes left aside; no value
//	m                           what is known of all members
const (
	spaceHeads    = 'h'
	spaceVersions = 'v'
	spaceChanges  = 'c'
	spaceTimers   = 't'
	spaceMeta     = 'm'
)

// ofMember is the keys of a space that belong to a member.
func ofMember(space byte, member string) []byte {
	to := append(make([]byte, 0, len(member)+16), space)
	return append(binary.AppendUvarint(to, uint64(len(member))), member...)
}

func headKey(member string) []byte { return ofMember(spaceHeads, member) }

func versionKey(member string, from int64) []byte {
	return keyvalue.AppendTime(ofMember(spaceVersions, member), ^from)
}

func changeKey(member string, order []byte) []byte {
	return append(ofMember(spaceChanges, member), order...)
}

func timerKey(at int64, member string) []byte { return keyspace.Timer(spaceTimers, at, member) }

// values are columns of a member, as rowcodec.AppendRow writes them: those of
// Program.raw, and the attributes of each type.
type values struct{ raw, fixed, over, versioned []byte }

func (v *values) parts() [4]*[]byte { return [4]*[]byte{&v.raw, &v.fixed, &v.over, &v.versioned} }

// sameAttributes tells whether all but raw is the same.
func (v *values) sameAttributes(o *values) bool {
	return bytes.Equal(v.versioned, o.versioned) && bytes.Equal(v.over, o.over) && bytes.Equal(v.fixed, o.fixed)
}

// append writes values: a bit for each part that is that of like, and the others
// behind their length.
func (v *values) append(to []byte, like *values) []byte {
	at := len(to)
	to = append(to, 0)
	theirs := like.parts()
	for i, mine := range v.parts() {
		if bytes.Equal(*mine, *theirs[i]) {
			to[at] |= 1 << i
			continue
		}
		to = keyvalue.AppendBytes(to, *mine)
	}
	return to
}

// loadValues reads values, as parts of what is read and of like.
func loadValues(r *keyvalue.Reader, like *values) (v values) {
	same := r.Byte()
	if same > 1<<4-1 {
		r.Fail("flags are out of range")
	}
	theirs := like.parts()
	for i, mine := range v.parts() {
		if same&(1<<i) != 0 {
			*mine = *theirs[i]
		} else {
			*mine = r.Bytes()
		}
	}
	return v
}

// state is what the changes of a member up to some of them make of it.
type state struct {
	values
	exists bool  // there was a row
	gone   bool  // it was deleted, or does not meet the condition
	open   []int // attributes of type 0 that no change has carried yet
}

const (
	flagExists = 1 << iota
	flagGone
	flagOpen
)

func (s *state) append(to []byte, like *values) []byte {
	flags := byte(0)
	if s.exists {
		flags |= flagExists
	}
	if s.gone {
		flags |= flagGone
	}
	if len(s.open) > 0 {
		flags |= flagOpen
	}
	to = s.values.append(append(to, flags), like)
	if len(s.open) > 0 {
		to = appendInts(to, s.open)
	}
	return to
}

func loadState(r *keyvalue.Reader, like *values) (s state) {
	flags := r.Byte()
	if flags > flagExists|flagGone|flagOpen {
		r.Fail("flags are out of range")
	}
	s.exists, s.gone = flags&flagExists != 0, flags&flagGone != 0
	s.values = loadValues(r, like)
	if flags&flagOpen != 0 {
		s.open = loadInts(r)
	}
	return s
}

func appendInts(to []byte, all []int) []byte {
	to = binary.AppendUvarint(to, uint64(len(all)))
	for _, n := range all {
		to = binary.AppendUvarint(to, uint64(n))
	}
	return to
}

func loadInts(r *keyvalue.Reader) []int {
	all := make([]int, r.Count())
	for i := range all {
		all[i] = int(min(r.Uvarint(), math.MaxInt32))
	}
	return all
}

// mark is where the changes of a member can be gone through from.
type mark struct {
	state
	to          int64          // where the version in force ends
	stamp       upstream.Stamp // of the version in force
	overwritten upstream.Stamp // of the last change of an attribute of type 1
}

func (m *mark) append(to []byte, like *values) []byte {
	to = m.state.append(to, like)
	return m.overwritten.Append(m.stamp.Append(binary.AppendVarint(to, m.to)))
}

func loadMark(r *keyvalue.Reader, like *values) mark {
	return mark{state: loadState(r, like), to: r.Varint(), stamp: upstream.LoadStamp(r), overwritten: upstream.LoadStamp(r)}
}

// version is a row of a member.
type version struct {
	from, to  int64
	at        int64 // when what made it took effect, within Beginning and Forever
	changedAt int64 // the same as it was given
	deleted   bool
	stamp     upstream.Stamp
	start     mark   // behind the changes that made it
	end       values // of the last change in it, without raw
}

// append writes a version without from:
//
//	flags u8, to, at, changed_at, stamp, start, end
func (v *version) append(to []byte, like *values) []byte {
	flags := byte(0)
	if v.deleted {
		flags = 1
	}
	to = append(to, flags)
	for _, n := range []int64{v.to, v.at, v.changedAt} {
		to = binary.AppendVarint(to, n)
	}
	to = v.start.append(v.stamp.Append(to), like)
	end := v.end
	end.raw = v.start.raw
	return end.append(to, &v.start.values)
}

func loadVersion(r *keyvalue.Reader, from int64, like *values) (v version) {
	flags := r.Byte()
	if flags > 1 {
		r.Fail("flags are out of range")
	}
	v.deleted = flags == 1
	v.from, v.to, v.at, v.changedAt = from, r.Varint(), r.Varint(), r.Varint()
	v.stamp = upstream.LoadStamp(r)
	v.start = loadMark(r, like)
	v.end = loadValues(r, &v.start.values)
	v.end.raw = nil
	if r.Err() == nil && (v.from < Beginning || v.to > Forever || v.from >= v.to) {
		r.Fail("a version ends before it begins")
	}
	return v
}
