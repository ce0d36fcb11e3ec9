package upstream

import (
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/rowcodec"
)

// Column is a column of rows, by the name and type of a field.
func Column(rows arrow.RecordBatch, f arrow.Field) (arrow.Array, error) {
	at := rows.Schema().FieldIndices(f.Name)
	if len(at) != 1 {
		return nil, fmt.Errorf("BUG: the rows have %d columns %s", len(at), f.Name)
	}
	if c := rows.Column(at[0]); arrow.TypeEqual(c.DataType(), f.Type) {
		return c, nil
	}
	return nil, fmt.Errorf("BUG: column %s is %s, its reader was compiled for %s", f.Name, rows.Column(at[0]).DataType(), f.Type)
}

// Columns are columns of rows, by the names and types of fields.
func Columns(rows arrow.RecordBatch, fields []arrow.Field) ([]arrow.Array, error) {
	all := make([]arrow.Array, len(fields))
	for i, f := range fields {
		var err error
		if all[i], err = Column(rows, f); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Times is a timestamptz of rows.
func Times(rows arrow.RecordBatch, name string) (*array.Timestamp, error) {
	c, err := Column(rows, arrow.Field{Name: name, Type: record.Timestamptz})
	if err != nil {
		return nil, err
	}
	return c.(*array.Timestamp), nil
}

// KeyText is a row's key for a message: order_id=5, line=1.
func KeyText(names []string, columns []arrow.Array, row int) string {
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = name + "=" + columns[i].ValueStr(row)
	}
	return strings.Join(parts, ", ")
}

// Filling is a row that was kept, as that of a change which does not carry all
// columns, and another one that has them. An empty other one has none.
type Filling struct {
	Schema     *arrow.Schema // of both
	Row, Other []byte        // as rowcodec.AppendRow writes them
}

// Fill is the row with those columns of the other one that takes tells. The error is
// keyvalue.ErrCorrupt.
func (f Filling) Fill(mem memory.Allocator, takes func(column int) bool) ([]byte, error) {
	if len(f.Other) == 0 {
		return f.Row, nil
	}
	rows, err := rowcodec.Batch(f.Schema, [][]byte{f.Row, f.Other}, mem)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", keyvalue.ErrCorrupt, err)
	}
	defer rows.Release()
	var out []byte
	for i := range rows.Columns() {
		from := 0
		if takes(i) {
			from = 1
		}
		out = rowcodec.AppendRow(out, rows.Columns()[i:i+1], from)
	}
	return out, nil
}
