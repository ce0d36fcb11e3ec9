package aggregate

import (
	"encoding/binary"
	"fmt"
	"math/big"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// totals are those of sum and avg of whole numbers and decimals.
type totals struct {
	average         bool
	argument, gives arrow.DataType
	slots           []total
}

type total struct {
	sum  wide
	rows int64 // that are not null
}

func (t *totals) grow(slots int) { t.slots = resize(t.slots, slots) }
func (t *totals) reset()         { t.slots = emptied(t.slots) }

func (t *totals) add(rows *Rows, argument arrow.Array) {
	value, nulls := wideReader(argument), argument.NullN() > 0
	for row, slot := range rows.Slots {
		if slot < 0 || nulls && argument.IsNull(row) {
			continue
		}
		s := &t.slots[slot]
		s.sum.add(value(row))
		s.rows++
	}
}

func wideReader(a arrow.Array) func(row int) wide {
	if a, ok := a.(*array.Decimal128); ok {
		return func(row int) wide { return wideOf(a.Value(row)) }
	}
	value := integerReader(a)
	return func(row int) wide { return wideOfInt(value(row)) }
}

func (t *totals) merge(into, from int) {
	a, b := &t.slots[into], &t.slots[from]
	a.sum.add(b.sum)
	a.rows += b.rows
}

func (t *totals) append(to []byte, slot int) []byte {
	s := &t.slots[slot]
	return appendWide(binary.AppendUvarint(to, uint64(s.rows)), s.sum)
}

func (t *totals) load(slot int, data []byte) (rest []byte, err error) {
	s := &t.slots[slot]
	if s.rows, rest, err = loadPositive(data); err != nil {
		return nil, err
	}
	s.sum, rest, err = loadWide(rest)
	return rest, err
}

func (t *totals) result(slots []int, mem memory.Allocator) (arrow.Array, []Fault) {
	switch result := t.gives.(type) {
	case *arrow.Decimal128Type:
		return computed(decimals(result), t.slots, slots, mem, func(s *total) (decimal128.Num, bool) { return t.decimal(s, result) }, t.overflow)
	case *arrow.Int64Type:
		return computed(integers(result), t.slots, slots, mem, func(s *total) (int64, bool) { return s.sum.long() }, t.overflow)
	}
	return computed(doubles(t.gives), t.slots, slots, mem, func(s *total) (float64, bool) { return s.average(), true }, t.overflow)
}

func (t *totals) overflow() string {
	if t.average {
		return fmt.Sprintf("the average does not fit %s", typeName(t.gives))
	}
	return fmt.Sprintf("the sum does not fit %s; cast the argument to a decimal, as in sum(cast(x as decimal(38,0)))", typeName(t.gives))
}

// decimal is the sum or the average of decimals.
func (t *totals) decimal(s *total, result *arrow.Decimal128Type) (decimal128.Num, bool) {
	n, fits := s.sum.decimal()
	if t.average {
		n, fits = s.decimalAverage(result.Scale - t.argument.(*arrow.Decimal128Type).Scale)
	}
	return n, fits && n.FitsInPrecision(result.Precision)
}

// decimalAverage has more digits behind the point than the sum, the last of
// which is rounded half away from zero.
func (s *total) decimalAverage(digits int32) (decimal128.Num, bool) {
	x, n := s.sum.big(), big.NewInt(s.rows)
	x.Mul(x, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil))
	negative := x.Sign() < 0
	q, r := x.QuoRem(x.Abs(x), n, new(big.Int))
	if r.Lsh(r, 1).Cmp(n) >= 0 {
		q.Add(q, big.NewInt(1))
	}
	if negative {
		q.Neg(q)
	}
	if q.BitLen() > 127 {
		return decimal128.Num{}, false
	}
	return decimal128.FromBigInt(q), true
}

// average is the double nearest to sum / rows.
func (s *total) average() float64 {
	const exact = 1 << 53 // every integer up to it is a double
	if v, ok := s.sum.long(); ok && v <= exact && v >= -exact && s.rows <= exact {
		return float64(v) / float64(s.rows)
	}
	f, _ := new(big.Rat).SetFrac(s.sum.big(), big.NewInt(s.rows)).Float64()
	return f
}

// summed is an accumulator of sum or avg: null over no rows.
type summed interface{ count() int64 }

func (s *total) count() int64 { return s.rows }

// computed builds a column of what is computed of accumulators, with a fault
// where that does not fit.
func computed[T any, S any, P interface {
	*S
	summed
}](k *kind[T], all []S, slots []int, mem memory.Allocator, of func(*S) (T, bool), overflow func() string) (arrow.Array, []Fault) {
	b, appendValue := k.builder(mem)
	defer b.Release()
	b.Reserve(len(slots))
	var faults []Fault
	for i, slot := range slots {
		s := &all[slot]
		if P(s).count() == 0 {
			b.AppendNull()
			continue
		}
		v, fits := of(s)
		if !fits {
			faults = append(faults, Fault{Row: i, Message: overflow()})
			b.AppendNull()
			continue
		}
		appendValue(v)
	}
	return b.NewArray(), faults
}
