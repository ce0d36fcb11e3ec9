package upstream

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/record"
)

// Changes are the change columns of the rows of a model: record.ChangeFields. The zero
// value is that of rows that are no changes of a database.
type Changes struct {
	ops       *array.String
	madeAt    *array.Timestamp
	sequences *array.String
	missing   *array.List
}

// ChangesOf finds the change columns of rows of a model, if it has them.
func ChangesOf(m Model, rows arrow.RecordBatch) (Changes, error) {
	if !m.HasChanges() {
		return Changes{}, nil
	}
	columns, err := Columns(rows, record.ChangeFields())
	if err != nil {
		return Changes{}, err
	}
	return Changes{columns[0].(*array.String), columns[1].(*array.Timestamp), columns[2].(*array.String), columns[3].(*array.List)}, nil
}

// Op is what a row is: c, u, d or r; c of one that is no change.
func (c Changes) Op(row int) byte {
	if c.ops == nil || c.ops.ValueLen(row) == 0 {
		return 'c'
	}
	return c.ops.Value(row)[0]
}

// IsDelete tells whether a row is a deletion.
func (c Changes) IsDelete(row int) bool { return c.Op(row) == 'd' }

// MadeAt is when a change was made in the database, if that is known.
func (c Changes) MadeAt(row int) (at int64, known bool) {
	if c.madeAt == nil || c.madeAt.IsNull(row) {
		return 0, false
	}
	return int64(c.madeAt.Value(row)), true
}

// AppendSequence writes the place of a change in the database's log, in the order of
// the bytes.
func (c Changes) AppendSequence(to []byte, row int) []byte {
	if c.sequences != nil && c.sequences.IsValid(row) {
		to = append(to, c.sequences.Value(row)...)
	}
	return append(to, 0)
}

// Holes are the columns of a schema that a change does not carry.
func (c Changes) Holes(row int, among *arrow.Schema) []int {
	if c.missing == nil || c.missing.IsNull(row) {
		return nil
	}
	names := c.missing.ListValues().(*array.String)
	var holes []int
	for i, end := c.missing.ValueOffsets(row); i < end; i++ {
		if at := among.FieldIndices(names.Value(int(i))); len(at) == 1 {
			holes = append(holes, at[0])
		}
	}
	return holes
}
