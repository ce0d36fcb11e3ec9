package aggregate

import (
	"errors"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// ErrState: bytes that are no accumulators of the calls of a Set.
var ErrState = errors.New("aggregate state is corrupt")

// Limits bound what a group may keep.
type Limits struct {
	TextBytes      int // of a value that min, max, any, first or last keep; 0 for DefaultTextBytes
	DistinctValues int // of count_distinct; 0 for DefaultDistinctValues
}

// A group's state is written as a whole whenever it changes: these bound it to
// some MB.
const (
	DefaultTextBytes      = 64 << 10
	DefaultDistinctValues = 100_000
)

// Set is the accumulators of some calls for many groups, each of which is a
// slot. It is not safe for concurrent use.
type Set struct {
	calls  []Call
	limits Limits
	each   []accumulators // a call
	topics topics
	slots  int
}

// accumulators are one call's, by slot.
type accumulators interface {
	grow(slots int)
	reset()
	// add adds the rows of a batch; argument is nil of count().
	add(rows *Rows, argument arrow.Array)
	merge(into, from int)
	append(to []byte, slot int) []byte
	// load sets a slot that is empty, and returns what is behind its bytes.
	load(slot int, data []byte) (rest []byte, err error)
	result(slots []int, mem memory.Allocator) (arrow.Array, []Fault)
}

// New makes a set without slots.
func New(calls []Call, limits Limits) (*Set, error) {
	if limits.TextBytes == 0 {
		limits.TextBytes = DefaultTextBytes
	}
	if limits.DistinctValues == 0 {
		limits.DistinctValues = DefaultDistinctValues
	}
	s := &Set{calls: calls, limits: limits, topics: topics{}}
	for _, c := range calls {
		result, err := ResultType(c.Function, c.Argument)
		if err != nil {
			return nil, err
		}
		s.each = append(s.each, newAccumulators(c, result, limits, &s.topics))
	}
	return s, nil
}

// Slots is how many slots there are.
func (s *Set) Slots() int { return s.slots }

// Grow adds empty slots until there are so many.
func (s *Set) Grow(slots int) {
	if slots <= s.slots {
		return
	}
	s.slots = slots
	for _, a := range s.each {
		a.grow(slots)
	}
}

// Reset takes all slots away, and keeps their memory for others.
func (s *Set) Reset() {
	s.slots = 0
	for _, a := range s.each {
		a.reset()
	}
}

// Rows says which rows of a batch belong to which groups, and their order.
type Rows struct {
	Slots []int32 // of each row; less than 0: the row is left out
	Order Order
}

// Order is the order of the rows of a batch: by event time, then by position.
type Order struct {
	Times     []int64 // event time, µs since 1970 UTC
	Topic     string
	Partition int32
	Offsets   []int64
	Ordinals  []int32 // among the rows of the record
}

// Fault is why a row cannot be taken, or a group has no result.
type Fault struct {
	Row     int // of the batch; for results, of the slots
	Call    int
	Message string
}

// Check finds the rows of a batch that no group may take: those with a text
// that is longer than may be kept. arguments has an array for each call.
// A row with several has a fault for each.
func (s *Set) Check(arguments []arrow.Array) []Fault {
	var faults []Fault
	for i, c := range s.calls {
		switch c.Function {
		case "min", "max", "any", "first", "last":
			faults = s.checkTexts(faults, i, arguments[i])
		}
	}
	return faults
}

func (s *Set) checkTexts(faults []Fault, call int, argument arrow.Array) []Fault {
	texts, ok := argument.(array.BinaryLike)
	if !ok || len(texts.ValueBytes()) <= s.limits.TextBytes {
		return faults
	}
	for row := range texts.Len() {
		if size := texts.ValueLen(row); size > s.limits.TextBytes && texts.IsValid(row) {
			faults = append(faults, Fault{Row: row, Call: call, Message: fmt.Sprintf("%s would keep a value of %d bytes, it may be %d; shorten it, as in substr(x, 1, 1000)", s.calls[call].Function, size, s.limits.TextBytes)})
		}
	}
	return faults
}

// Add adds rows. arguments has an array for each call, nil of count().
func (s *Set) Add(rows *Rows, arguments []arrow.Array) {
	for i, a := range s.each {
		a.add(rows, arguments[i])
	}
}

// Merge adds what a slot has to another. The one it is taken from must not be
// used again.
func (s *Set) Merge(into, from int) {
	for _, a := range s.each {
		a.merge(into, from)
	}
}

// Append writes a slot.
func (s *Set) Append(to []byte, slot int) []byte {
	for _, a := range s.each {
		to = a.append(to, slot)
	}
	return to
}

// Load sets an empty slot to what Append wrote, and returns the bytes behind
// it. The error is ErrState; the slot is of no use then.
func (s *Set) Load(slot int, data []byte) (rest []byte, err error) {
	for i, a := range s.each {
		if data, err = a.load(slot, data); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrState, s.calls[i].Function, err)
		}
	}
	return data, nil
}

// Results gives an array for each call, with a value for each of slots. Where
// there is a fault the value is null; Fault.Row is an index of slots. The
// caller releases the arrays.
func (s *Set) Results(slots []int, mem memory.Allocator) ([]arrow.Array, []Fault) {
	out := make([]arrow.Array, len(s.each))
	var all []Fault
	for i, a := range s.each {
		made, faults := a.result(slots, mem)
		for _, f := range faults {
			f.Call = i
			all = append(all, f)
		}
		out[i] = made
	}
	return out, all
}

// Describe is what the bytes of a slot depend on. Bytes of a set with another
// description must not be loaded.
func (s *Set) Describe() string {
	var b strings.Builder
	b.WriteString("aggregates 1") // the version of the encoding
	for _, c := range s.calls {
		fmt.Fprintf(&b, "; %s(%s)", c.Function, typeName(c.Argument))
	}
	return b.String()
}

// topics holds the name of each topic once.
type topics map[string]string

func (t topics) name(text []byte) string {
	if have, ok := t[string(text)]; ok {
		return have
	}
	made := string(text)
	t[made] = made
	return made
}

// emptied keeps the memory of slots, and nothing that they refer to.
func emptied[T any](have []T) []T {
	clear(have)
	return have[:0]
}

// resize makes room for slots, whose values are zero.
func resize[T any](have []T, slots int) []T {
	if slots <= cap(have) {
		grown := have[:slots]
		clear(grown[len(have):])
		return grown
	}
	grown := make([]T, slots, max(slots, cap(have)+cap(have)/4+64))
	copy(grown, have)
	return grown
}
