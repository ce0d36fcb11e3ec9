package aggregate

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// distincts are those of count_distinct: the values themselves, of long ones
// their SHA-256.
type distincts[T any] struct {
	kind  *kind[T]
	limit int
	slots []distinct
	value []byte // of the row in hand
}

type distinct struct {
	values map[string]struct{}
	over   bool // there were more than the limit, and none is kept
}

func (d *distincts[T]) grow(slots int) { d.slots = resize(d.slots, slots) }
func (d *distincts[T]) reset()         { d.slots = emptied(d.slots) }

func (d *distincts[T]) add(rows *Rows, argument arrow.Array) {
	value, nulls := d.kind.reader(argument), argument.NullN() > 0
	for row, slot := range rows.Slots {
		if slot < 0 || nulls && argument.IsNull(row) || d.slots[slot].over {
			continue
		}
		s := &d.slots[slot]
		d.value = short(d.kind.append(d.value[:0], value(row)))
		if _, have := s.values[string(d.value)]; have {
			continue
		}
		if s.values == nil {
			s.values = map[string]struct{}{}
		}
		s.values[string(d.value)] = struct{}{}
		s.bound(d.limit)
	}
}

// short is a value in at most 33 bytes.
func short(value []byte) []byte {
	if len(value) <= sha256.Size {
		return value
	}
	sum := sha256.Sum256(value)
	return append(append(value[:0], sum[:]...), 'h') // one more byte than any value has
}

func (s *distinct) bound(limit int) {
	if len(s.values) > limit {
		s.values, s.over = nil, true
	}
}

func (d *distincts[T]) merge(into, from int) {
	a, b := &d.slots[into], &d.slots[from]
	switch {
	case a.over || b.over:
		*a = distinct{over: true}
		return
	case a.values == nil:
		a.values = b.values
	default:
		maps.Copy(a.values, b.values)
	}
	a.bound(d.limit)
}

func (d *distincts[T]) append(to []byte, slot int) []byte {
	s := &d.slots[slot]
	if to = appendFlag(to, s.over); s.over {
		return to
	}
	to = binary.AppendUvarint(to, uint64(len(s.values)))
	for _, v := range slices.Sorted(maps.Keys(s.values)) {
		to = append(append(to, byte(len(v))), v...)
	}
	return to
}

func (d *distincts[T]) load(slot int, data []byte) (rest []byte, err error) {
	s := &d.slots[slot]
	if s.over, rest, err = loadFlag(data); err != nil || s.over {
		return rest, err
	}
	n, rest, err := loadCount(rest)
	if err != nil || n == 0 {
		return rest, err
	}
	s.values = make(map[string]struct{}, n)
	last := ""
	for i := range n {
		if len(rest) == 0 || len(rest) <= int(rest[0]) {
			return nil, errShort
		}
		v := string(rest[1 : 1+rest[0]])
		if i > 0 && v <= last {
			return nil, errors.New("distinct values are not in order")
		}
		rest, last = rest[1+len(v):], v
		s.values[v] = struct{}{}
	}
	return rest, nil
}

func (d *distincts[T]) result(slots []int, mem memory.Allocator) (arrow.Array, []Fault) {
	var faults []Fault
	for i, slot := range slots {
		if d.slots[slot].over {
			faults = append(faults, Fault{Row: i, Message: fmt.Sprintf("there are more than %d distinct values; use approx_count_distinct", d.limit)})
		}
	}
	return longs(slots, mem, func(slot int) int64 { return int64(len(d.slots[slot].values)) }), faults
}
