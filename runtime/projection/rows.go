package projection

import (
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Rows are rows whose columns grow by what is computed of them. It holds no
// references: its columns live as long as whoever adds them says.
type Rows struct {
	Fields  []arrow.Field
	Columns []arrow.Array
	Len     int
}

// RowsOf are the rows of a batch.
func RowsOf(batch arrow.RecordBatch) Rows {
	return Rows{slices.Clone(batch.Schema().Fields()), slices.Clone(batch.Columns()), int(batch.NumRows())}
}

// Add adds a column.
func (r *Rows) Add(f arrow.Field, column arrow.Array) {
	r.Fields, r.Columns = append(r.Fields, f), append(r.Columns, column)
}

// Find is a column that is there, by name; of several the first.
func (r *Rows) Find(name string) arrow.Array {
	at := slices.IndexFunc(r.Fields, func(f arrow.Field) bool { return f.Name == name })
	if at < 0 {
		panic("BUG: the rows have no column " + name)
	}
	return r.Columns[at]
}

// Batch is the rows as they are now, which the caller releases.
func (r *Rows) Batch() arrow.RecordBatch {
	return array.NewRecordBatch(arrow.NewSchema(r.Fields, nil), r.Columns, int64(r.Len))
}

// NewSchema is the schema of columns, of which no two have one name.
func NewSchema(fields []arrow.Field) (*arrow.Schema, error) {
	seen := map[string]bool{}
	for _, f := range fields {
		if seen[f.Name] {
			return nil, fmt.Errorf("column %s twice", f.Name)
		}
		seen[f.Name] = true
	}
	return arrow.NewSchema(fields, nil), nil
}
