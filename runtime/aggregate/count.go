package aggregate

import (
	"encoding/binary"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// counts are those of count and count_if.
type counts struct {
	condition bool
	slots     []int64
}

func (c *counts) grow(slots int) { c.slots = resize(c.slots, slots) }
func (c *counts) reset()         { c.slots = emptied(c.slots) }

func (c *counts) add(rows *Rows, argument arrow.Array) {
	if c.condition {
		holds := argument.(*array.Boolean)
		for row, slot := range rows.Slots {
			if slot >= 0 && holds.IsValid(row) && holds.Value(row) {
				c.slots[slot]++
			}
		}
		return
	}
	nulls := argument != nil && argument.NullN() > 0
	for row, slot := range rows.Slots {
		if slot >= 0 && (!nulls || argument.IsValid(row)) {
			c.slots[slot]++
		}
	}
}

func (c *counts) merge(into, from int) { c.slots[into] += c.slots[from] }

func (c *counts) append(to []byte, slot int) []byte {
	return binary.AppendUvarint(to, uint64(c.slots[slot]))
}

func (c *counts) load(slot int, data []byte) (rest []byte, err error) {
	c.slots[slot], rest, err = loadPositive(data)
	return rest, err
}

func (c *counts) result(slots []int, mem memory.Allocator) (arrow.Array, []Fault) {
	return longs(slots, mem, func(slot int) int64 { return c.slots[slot] }), nil
}
