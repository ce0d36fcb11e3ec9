package aggregate

import (
	"encoding/binary"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// doubleTotals are those of sum and avg of float and double.
type doubleTotals struct {
	average bool
	slots   []doubleTotal
}

type doubleTotal struct {
	sum  exact
	rows int64 // that are not null
}

func (s *doubleTotal) count() int64 { return s.rows }

func (t *doubleTotals) grow(slots int) { t.slots = resize(t.slots, slots) }
func (t *doubleTotals) reset()         { t.slots = emptied(t.slots) }

func (t *doubleTotals) add(rows *Rows, argument arrow.Array) {
	value, nulls := doubleReader(argument), argument.NullN() > 0
	for row, slot := range rows.Slots {
		if slot < 0 || nulls && argument.IsNull(row) {
			continue
		}
		s := &t.slots[slot]
		s.sum.add(value(row))
		s.rows++
	}
}

func (t *doubleTotals) merge(into, from int) {
	a, b := &t.slots[into], &t.slots[from]
	a.sum.merge(&b.sum)
	a.rows += b.rows
}

func (t *doubleTotals) append(to []byte, slot int) []byte {
	s := &t.slots[slot]
	return s.sum.append(binary.AppendUvarint(to, uint64(s.rows)))
}

func (t *doubleTotals) load(slot int, data []byte) (rest []byte, err error) {
	s := &t.slots[slot]
	if s.rows, rest, err = loadPositive(data); err != nil {
		return nil, err
	}
	return s.sum.load(rest)
}

func (t *doubleTotals) result(slots []int, mem memory.Allocator) (arrow.Array, []Fault) {
	return computed(doubles(arrow.PrimitiveTypes.Float64), t.slots, slots, mem, func(s *doubleTotal) (float64, bool) {
		v, fits := s.sum.value()
		if t.average {
			v /= float64(s.rows)
		}
		return v, fits
	}, func() string { return "the sum does not fit double" })
}
