package record

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// RowOrdinals is the ordinal of each row among the rows of its record
// (kafka_row): Ordinals, or counted from 0.
func (b Batch) RowOrdinals() []int32 {
	if b.Ordinals != nil {
		return b.Ordinals
	}
	ordinals := make([]int32, len(b.Records))
	for i := 1; i < len(ordinals); i++ {
		if b.Records[i] == b.Records[i-1] {
			ordinals[i] = ordinals[i-1] + 1
		}
	}
	return ordinals
}

// Select is the batch with some of its rows, given in order; they keep their
// ordinals. The caller releases it; b keeps its own reference.
func (b Batch) Select(keep []int, mem memory.Allocator) (Batch, error) {
	ordinals := b.RowOrdinals()
	out := Batch{Source: b.Source, Records: make([]int32, len(keep)), Ordinals: make([]int32, len(keep))}
	for i, row := range keep {
		out.Records[i], out.Ordinals[i] = b.Records[row], ordinals[row]
	}
	var err error
	if out.Rows, err = Take(b.Rows, keep, mem); err != nil {
		return Batch{}, err
	}
	if b.Changes != nil {
		if out.Changes, err = Take(b.Changes, keep, mem); err != nil {
			out.Release()
			return Batch{}, err
		}
	}
	return out, nil
}

// Take copies rows, which may repeat. The caller releases the result.
func Take(rows arrow.RecordBatch, keep []int, mem memory.Allocator) (arrow.RecordBatch, error) {
	runs := runsOf(keep)
	if len(runs) == 1 && runs[0] == (run{0, int(rows.NumRows())}) {
		rows.Retain()
		return rows, nil
	}
	columns := make([]arrow.Array, 0, rows.NumCols())
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	indices := indicesOf(keep, mem)
	defer indices.Release()
	// Long runs are copied as they are. arrow-go takes no rows of maps.
	joins := len(runs)*16 <= len(keep)
	for i, c := range rows.Columns() {
		var made arrow.Array
		var err error
		if joins || containsMap(c.DataType()) {
			made, err = joinRuns(c, runs, mem)
		} else {
			made, err = compute.TakeArray(compute.WithAllocator(context.Background(), mem), c, indices)
		}
		if err != nil {
			return nil, fmt.Errorf("take %d rows of column %s: %w", len(keep), rows.ColumnName(i), err)
		}
		columns = append(columns, made)
	}
	return array.NewRecordBatch(rows.Schema(), columns, int64(len(keep))), nil
}

// run is rows [from, to).
type run struct{ from, to int }

func runsOf(keep []int) []run {
	var runs []run
	for _, row := range keep {
		if n := len(runs); n > 0 && runs[n-1].to == row {
			runs[n-1].to++
			continue
		}
		runs = append(runs, run{row, row + 1})
	}
	return runs
}

func indicesOf(keep []int, mem memory.Allocator) arrow.Array {
	b := array.NewInt64Builder(mem)
	defer b.Release()
	b.Reserve(len(keep))
	for _, row := range keep {
		b.UnsafeAppend(int64(row))
	}
	return b.NewArray()
}

func joinRuns(c arrow.Array, runs []run, mem memory.Allocator) (arrow.Array, error) {
	parts := []arrow.Array{array.NewSlice(c, 0, 0)}
	for _, r := range runs {
		parts = append(parts, array.NewSlice(c, int64(r.from), int64(r.to)))
	}
	defer func() {
		for _, p := range parts {
			p.Release()
		}
	}()
	return array.Concatenate(parts, mem)
}

func containsMap(t arrow.DataType) bool {
	switch t := t.(type) {
	case *arrow.MapType:
		return true
	case *arrow.ListType:
		return containsMap(t.Elem())
	case *arrow.StructType:
		for _, f := range t.Fields() {
			if containsMap(f.Type) {
				return true
			}
		}
	}
	return false
}
