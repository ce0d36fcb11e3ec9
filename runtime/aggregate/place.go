package aggregate

import (
	"cmp"
	"encoding/binary"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// places are those of first (sign 1) and last (sign -1): a value and where the
// row that has it is in the order of rows.
type places[T any] struct {
	kind   *kind[T]
	sign   int
	topics *topics
	slots  []placed[T]
}

type placed[T any] struct {
	place
	value T
	has   bool
}

type place struct {
	time      int64
	topic     string
	offset    int64
	partition int32
	ordinal   int32
}

// compare orders by event time, then by position, which no two rows share.
func (p place) compare(o place) int {
	if p.time != o.time {
		return cmp.Compare(p.time, o.time)
	}
	return cmp.Or(strings.Compare(p.topic, o.topic), cmp.Compare(p.partition, o.partition), cmp.Compare(p.offset, o.offset), cmp.Compare(p.ordinal, o.ordinal))
}

func (x *places[T]) grow(slots int) { x.slots = resize(x.slots, slots) }
func (x *places[T]) reset()         { x.slots = emptied(x.slots) }

func (x *places[T]) add(rows *Rows, argument arrow.Array) {
	value, nulls, o := x.kind.reader(argument), argument.NullN() > 0, &rows.Order
	for row, slot := range rows.Slots {
		if slot < 0 || nulls && argument.IsNull(row) {
			continue
		}
		s := &x.slots[slot]
		if s.has && cmp.Compare(o.Times[row], s.time)*x.sign > 0 {
			continue
		}
		at := place{o.Times[row], o.Topic, o.Offsets[row], o.Partition, o.Ordinals[row]}
		if !s.has || at.compare(s.place)*x.sign < 0 {
			*s = placed[T]{at, x.kind.keep(value(row)), true}
		}
	}
}

func (x *places[T]) merge(into, from int) {
	a, b := &x.slots[into], &x.slots[from]
	if b.has && (!a.has || b.compare(a.place)*x.sign < 0) {
		*a = *b
	}
}

func (x *places[T]) append(to []byte, slot int) []byte {
	s := &x.slots[slot]
	if to = appendFlag(to, s.has); !s.has {
		return to
	}
	to = binary.AppendVarint(to, s.time)
	to = append(binary.AppendUvarint(to, uint64(len(s.topic))), s.topic...)
	to = binary.AppendVarint(to, int64(s.partition))
	to = binary.AppendVarint(to, s.offset)
	to = binary.AppendVarint(to, int64(s.ordinal))
	return x.kind.append(to, s.value)
}

func (x *places[T]) load(slot int, data []byte) (rest []byte, err error) {
	s := &x.slots[slot]
	if s.has, rest, err = loadFlag(data); err != nil || !s.has {
		return rest, err
	}
	if s.time, rest, err = loadVarint(rest); err != nil {
		return nil, err
	}
	var topic []byte
	if topic, rest, err = loadBytes(rest); err != nil {
		return nil, err
	}
	s.topic = x.topics.name(topic)
	var numbers [3]int64
	for i := range numbers {
		if numbers[i], rest, err = loadVarint(rest); err != nil {
			return nil, err
		}
	}
	s.partition, s.offset, s.ordinal = int32(numbers[0]), numbers[1], int32(numbers[2])
	s.value, rest, err = x.kind.load(rest)
	return rest, err
}

func (x *places[T]) result(slots []int, mem memory.Allocator) (arrow.Array, []Fault) {
	return build(x.kind, slots, mem, func(slot int) (T, bool) { return x.slots[slot].value, x.slots[slot].has }), nil
}
