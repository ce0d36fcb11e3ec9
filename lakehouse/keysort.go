package lakehouse

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// sortByKey puts rows, given by number, in the order of their keys: the bounds
// of files and row groups then tell readers where a key is, and equal beginnings
// compress.
func sortByKey(t *Table, rows arrow.RecordBatch, order []int) error {
	var parts []keyOrder
	for _, name := range t.key {
		indices := rows.Schema().FieldIndices(name)
		if len(indices) != 1 {
			return fmt.Errorf("key of %s: %d columns %s in the rows, expected 1", t.ID, len(indices), name)
		}
		part, err := keyOrderOf(rows.Column(indices[0]))
		if err != nil {
			return fmt.Errorf("key of %s: column %s: %w", t.ID, name, err)
		}
		parts = append(parts, part)
	}
	type entry struct {
		first uint64 // of the first part
		row   int
	}
	entries := make([]entry, len(order))
	for i, row := range order {
		entries[i] = entry{parts[0].prefix(row), row}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		if a.first != b.first {
			return cmp.Compare(a.first, b.first)
		}
		for _, p := range parts {
			if c := p.compare(a.row, b.row); c != 0 {
				return c
			}
		}
		return cmp.Compare(a.row, b.row)
	})
	for i, e := range entries {
		order[i] = e.row
	}
	return nil
}

// keyOrder compares rows by one column of the key.
type keyOrder struct {
	prefix  func(row int) uint64 // in the order of the values, equal ones perhaps for different values
	compare func(a, b int) int
}

func keyOrderOf(column arrow.Array) (keyOrder, error) {
	number := func(at func(row int) int64) keyOrder {
		return keyOrder{
			prefix:  func(row int) uint64 { return uint64(at(row)) ^ 1<<63 },
			compare: func(a, b int) int { return cmp.Compare(at(a), at(b)) },
		}
	}
	text := func(at func(row int) []byte) keyOrder {
		return keyOrder{prefix: func(row int) uint64 { return prefixOf(at(row)) }, compare: func(a, b int) int { return bytes.Compare(at(a), at(b)) }}
	}
	switch c := column.(type) {
	case *array.Int64:
		return number(c.Value), nil
	case *array.Int32:
		return number(func(row int) int64 { return int64(c.Value(row)) }), nil
	case *array.Date32:
		return number(func(row int) int64 { return int64(c.Value(row)) }), nil
	case *array.Timestamp:
		return number(func(row int) int64 { return int64(c.Value(row)) }), nil
	case *array.Boolean:
		return number(func(row int) int64 {
			if c.Value(row) {
				return 1
			}
			return 0
		}), nil
	case *array.Decimal128:
		return keyOrder{
			prefix:  func(row int) uint64 { return uint64(c.Value(row).HighBits()) ^ 1<<63 },
			compare: func(a, b int) int { return c.Value(a).Cmp(c.Value(b)) },
		}, nil
	case *array.String:
		data, offsets := c.ValueBytes(), c.ValueOffsets()
		return text(func(row int) []byte { return data[offsets[row]-offsets[0] : offsets[row+1]-offsets[0]] }), nil
	case *array.Binary:
		return text(c.Value), nil
	}
	return keyOrder{}, fmt.Errorf("a %s cannot be part of a key", column.DataType())
}

// prefixOf is the first eight bytes, zeros behind.
func prefixOf(b []byte) uint64 {
	if len(b) >= 8 {
		return binary.BigEndian.Uint64(b)
	}
	var first [8]byte
	copy(first[:], b)
	return binary.BigEndian.Uint64(first[:])
}
