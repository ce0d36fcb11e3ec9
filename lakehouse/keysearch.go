package lakehouse

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/iceberg-go"

	"github.com/calvelake/calve/lakehouse/internal/keyindex"
)

// search finds the row groups that hold changed keys without an index, for a
// process that has none and carries an epoch of another through: it reads the
// keys of the files whose bounds allow one of those that are changed.
func (h *keyedHead) search(ctx context.Context, changes *changeSet) (groups touched, found int, err error) {
	wanted := newKeyBounds(h.table, changes.rows)
	r := &keyReader{table: h.table, head: h.loaded, hasher: h.table.keyHasher()}
	defer r.close()
	groups = touched{}
	for location, f := range h.files.at {
		if !wanted.mayBeIn(f.data) {
			continue
		}
		err := r.read(ctx, f, func(group int, _ int64, hashes []keyindex.Hash) error {
			for _, hash := range hashes {
				if changes.of(hash) >= 0 {
					groups.add(location, group)
					found++
				}
			}
			return nil
		})
		if err != nil {
			return nil, 0, err
		}
	}
	return groups, found, nil
}

// keyBounds are the values of changed keys, to compare with the bounds of data
// files: of each column of the key alone, in order.
type keyBounds struct {
	columns []boundColumn
}

// boundColumn holds values as bytes that compare as the values do.
type boundColumn struct {
	id     int
	number bool // else text or bytes
	values [][]byte
}

func newKeyBounds(t *Table, rows arrow.RecordBatch) *keyBounds {
	b := &keyBounds{}
	for _, name := range t.key {
		field, ok := t.schema.FindFieldByName(name)
		indices := rows.Schema().FieldIndices(name)
		if !ok || len(indices) != 1 {
			continue
		}
		if c, ok := newBoundColumn(field.ID, rows.Column(indices[0])); ok {
			b.columns = append(b.columns, c)
		}
	}
	return b
}

// newBoundColumn sorts a column's values; false for types that are not compared.
func newBoundColumn(id int, column arrow.Array) (boundColumn, bool) {
	c := boundColumn{id: id}
	var at func(i int) []byte
	switch a := column.(type) {
	case *array.Int32:
		c.number, at = true, func(i int) []byte { return sortable(int64(a.Value(i))) }
	case *array.Int64:
		c.number, at = true, func(i int) []byte { return sortable(a.Value(i)) }
	case *array.Date32:
		c.number, at = true, func(i int) []byte { return sortable(int64(a.Value(i))) }
	case *array.Timestamp:
		c.number, at = true, func(i int) []byte { return sortable(int64(a.Value(i))) }
	case *array.String:
		at = func(i int) []byte { return []byte(a.Value(i)) }
	case *array.Binary:
		at = a.Value
	default:
		return c, false
	}
	for i := range column.Len() {
		c.values = append(c.values, at(i))
	}
	slices.SortFunc(c.values, bytes.Compare)
	c.values = slices.CompactFunc(c.values, bytes.Equal)
	return c, true
}

// sortable is a number as bytes in its order.
func sortable(v int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v)^1<<63) }

// mayBeIn tells whether a file's bounds allow any of the keys. A bound that is
// not there allows all.
func (b *keyBounds) mayBeIn(f iceberg.DataFile) bool {
	lower, upper := f.LowerBoundValues(), f.UpperBoundValues()
	for i := range b.columns {
		if c := &b.columns[i]; !c.within(lower[c.id], upper[c.id]) {
			return false
		}
	}
	return true
}

// within tells whether any value lies between bounds (Iceberg spec, "Appendix D:
// Single-value serialization"); those of text may be cut, downwards and upwards.
func (c *boundColumn) within(lower, upper []byte) bool {
	if c.number {
		lower, upper = numberBound(lower), numberBound(upper)
	}
	first := 0
	if lower != nil {
		first, _ = slices.BinarySearchFunc(c.values, lower, bytes.Compare)
	}
	if first == len(c.values) {
		return false
	}
	return upper == nil || cmp.Compare(bytes.Compare(c.values[first], upper), 0) <= 0
}

// numberBound is a bound of a number as bytes in its order; nil if there is
// none. One of a column that was promoted is as short as it was.
func numberBound(b []byte) []byte {
	switch len(b) {
	case 4:
		return sortable(int64(int32(binary.LittleEndian.Uint32(b))))
	case 8:
		return sortable(int64(binary.LittleEndian.Uint64(b)))
	}
	return nil
}
