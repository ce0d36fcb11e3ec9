package fastjson

import (
	"strings"

	"github.com/calvelake/calve/runtime/decode/internal/cast"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

// maxName is the length of the longest name, with its quotes and colon, that is
// compared without looking for its end; shorter than the padding.
const maxName = 56

// maxLearned bounds the names of an object that are remembered though no field
// reads them. Beyond it, names are dynamic.
const maxLearned = 256

// op is what is done with a member's value.
type op uint8

const (
	opSkip op = iota
	opString
	opLong
	opInt
	opDouble
	opFloat
	opBoolean
	opEpoch     // a timestamp as a number
	opTimestamp // as RFC 3339
	opDate
	opDecimal
	opObject // on the way to fields
	opStruct // a column, or a part of one
	opList
	opCast    // a scalar, by its Cast
	opRead    // by Field.Read
	opSeveral // more than one
	// In change events.
	opText      // opString, unless it is the marker of an unavailable value
	opMarkAfter // a column of the natural key, by the slot in parts
	// Members of change events that are no columns; all ops from here on.
	opMarkBefore // a column of the natural key
	opBefore
	opAfter
	opOperation
	opSource
	opSourceLong  // a field of source
	opSourceText  // one whose text is used
	opSourceOther // one that must be text
	opGiveUp
)

// object is what is known and learned of the members of an object.
type object struct {
	start   slot    // before the likely first member
	slots   []*slot // members, then what was learned
	members int     // the slots that a field reads
	counts  bool    // members that no field reads are counted
	loose   bool    // nothing is done for absent members
	index   map[string]*slot
}

func newObject(counts bool) *object {
	return &object{start: slot{next: never}, counts: counts, loose: !counts, index: map[string]*slot{}}
}

// slot is a member of an object, and where its value goes.
type slot struct {
	// The first 8 bytes of the quoted name and its colon, and the last 8, which
	// begin at shift. A shorter one has both in the first.
	head, headMask uint64
	tail, tailMask uint64
	shift, size    int
	next           *slot  // the likely next member
	seen           uint64 // the last object that had it, by Reader.objects

	vector   *vector.Vector
	counts   int // 1 if a field reads it
	op       op
	nullable bool
	offset   bool // a timestamp has one
	unread   bool // no field reads it

	times, over int64  // opEpoch
	limit       uint64 // opDecimal: 10^precision
	scale       int
	width       int     // opString: bytes a row in the last batch
	object      *object // opObject, opStruct
	element     *slot   // opList
	parts       []*slot // opSeveral
	cast        *cast.Cast
	fallback    func(v *vector.Vector, row int)
	read        func(raw []byte, v *vector.Vector, row int) (int64, bool)
	column      int
	name        string
	quoted      string // the name between quotes, and the colon
}

func (s *slot) setName(name string) {
	s.name = name
	s.quoted = `"` + name + `":`
	if s.next == nil {
		s.next = never
	}
	s.size = len(s.quoted)
	s.head, s.tail, s.headMask, s.tailMask, s.shift = never.head, never.tail, never.headMask, never.tailMask, 0
	if s.size > maxName || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' }) {
		return // is long or written with escapes: only find looks for it
	}
	var padded [8]byte
	copy(padded[:], s.quoted)
	s.head, s.headMask = newText(padded[:]).word(0), ^uint64(0)
	s.tail, s.tailMask, s.shift = s.head, s.headMask, 0
	if s.size < 8 {
		s.headMask = 1<<(8*s.size) - 1
		s.tailMask = s.headMask
		return
	}
	s.shift = s.size - 8
	s.tail = newText([]byte(s.quoted)).word(s.shift)
}

// never is the slot of no name: it matches nothing.
var never = newNever()

func newNever() *slot {
	s := &slot{head: 1, tail: 2, headMask: ^uint64(0), tailMask: ^uint64(0)}
	s.next = s
	return s
}

// matches tells whether the slot's name may begin at i: whether its first and
// last 8 bytes do.
func (s *slot) matches(t text, i int) bool {
	return (t.word(i)^s.head)&s.headMask|(t.word(i+s.shift)^s.tail)&s.tailMask == 0
}

// matchesMiddle tells whether a slot that matches has the bytes between, too.
func (s *slot) matchesMiddle(t text, i int) bool { return s.size <= 16 || s.matchesLong(t, i) }

func (s *slot) matchesLong(t text, i int) bool {
	return string(t.slice(i+8, i+s.size-8)) == s.quoted[8:s.size-8]
}

// find returns the slot of the name that begins at i, or behind white space
// there, and the index behind its colon; nil to give up. last is the member
// before, or the object's start; what it predicts was not found at i.
func (r *Reader) find(o *object, last *slot, i int) (*slot, int) {
	t := r.text
	i = r.space(i)
	if t.byte(i) != '"' {
		return nil, 0
	}
	// Behind white space, it may well be the next; or the next is absent, and
	// what follows it comes.
	guess := last
	for range 4 {
		if guess = guess.next; guess.matches(t, i) && guess.matchesMiddle(t, i) {
			return guess, i + guess.size
		}
	}
	end := r.plain(i + 1)
	if end < 0 {
		return nil, 0
	}
	name := t.slice(i+1, end)
	colon := r.space(end + 1)
	if t.byte(colon) != ':' {
		return nil, 0
	}
	if r.change != nil && r.change.marker.Is(name) {
		return nil, 0
	}
	s := o.learn(name)
	if s == nil {
		return &r.unread, colon + 1
	}
	if last != &r.unread {
		last.next = s
	}
	return s, colon + 1
}

// learn returns the slot of a name, a new one if need be; nil if there are too
// many.
func (o *object) learn(name []byte) *slot {
	if s := o.index[string(name)]; s != nil {
		return s
	}
	if len(o.slots)-o.members == maxLearned {
		return nil
	}
	s := &slot{op: opSkip, unread: true}
	s.setName(string(name))
	o.slots = append(o.slots, s)
	o.index[s.name] = s
	return s
}
