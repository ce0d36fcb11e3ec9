package aggregate

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// extremes are those of min, any (sign 1) and max (sign -1).
type extremes[T any] struct {
	kind  *kind[T]
	sign  int
	slots []extreme[T]
}

type extreme[T any] struct {
	value T
	has   bool
}

func (x *extremes[T]) grow(slots int) { x.slots = resize(x.slots, slots) }
func (x *extremes[T]) reset()         { x.slots = emptied(x.slots) }

func (x *extremes[T]) add(rows *Rows, argument arrow.Array) {
	value, nulls := x.kind.reader(argument), argument.NullN() > 0
	for row, slot := range rows.Slots {
		if slot < 0 || nulls && argument.IsNull(row) {
			continue
		}
		v, s := value(row), &x.slots[slot]
		if !s.has || x.kind.compare(v, s.value)*x.sign < 0 {
			s.value, s.has = x.kind.keep(v), true
		}
	}
}

func (x *extremes[T]) merge(into, from int) {
	a, b := &x.slots[into], &x.slots[from]
	if b.has && (!a.has || x.kind.compare(b.value, a.value)*x.sign < 0) {
		*a = *b
	}
}

func (x *extremes[T]) append(to []byte, slot int) []byte {
	s := &x.slots[slot]
	if to = appendFlag(to, s.has); s.has {
		to = x.kind.append(to, s.value)
	}
	return to
}

func (x *extremes[T]) load(slot int, data []byte) (rest []byte, err error) {
	s := &x.slots[slot]
	if s.has, rest, err = loadFlag(data); err != nil || !s.has {
		return rest, err
	}
	s.value, rest, err = x.kind.load(rest)
	return rest, err
}

func (x *extremes[T]) result(slots []int, mem memory.Allocator) (arrow.Array, []Fault) {
	return build(x.kind, slots, mem, func(slot int) (T, bool) { return x.slots[slot].value, x.slots[slot].has }), nil
}

// build makes a column of the values that slots have.
func build[T any](k *kind[T], slots []int, mem memory.Allocator, of func(slot int) (T, bool)) arrow.Array {
	b, appendValue := k.builder(mem)
	defer b.Release()
	b.Reserve(len(slots))
	for _, slot := range slots {
		if v, has := of(slot); has {
			appendValue(v)
		} else {
			b.AppendNull()
		}
	}
	return b.NewArray()
}
