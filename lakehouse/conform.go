package lakehouse

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// ErrUnfit: rows have other columns than their table, or values that it cannot
// take.
var ErrUnfit = errors.New("rows do not fit table")

// Conform makes rows those of Schema, as Writer.Write does. The caller releases
// the result.
func (t *Table) Conform(ctx context.Context, rows arrow.RecordBatch, mem memory.Allocator) (arrow.RecordBatch, error) {
	return t.order(ctx, rows, mem)
}

// order puts a batch's columns into the table's order and types, under the data
// files' schema (with field ids): a table may have optional columns and fields
// that the rows lack, which become null, and types that are promoted from
// theirs. The caller releases the result.
func (t *Table) order(ctx context.Context, rows arrow.RecordBatch, mem memory.Allocator) (arrow.RecordBatch, error) {
	fields := t.arrow.Fields()
	columns := make([]arrow.Array, 0, len(fields))
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	var errs []error
	known := 0
	for _, f := range fields {
		indices := rows.Schema().FieldIndices(f.Name)
		known += len(indices)
		switch {
		case len(indices) > 1:
			errs = append(errs, fmt.Errorf("column %s: %d in the rows, expected 1", f.Name, len(indices)))
			continue
		case len(indices) == 0 && !f.Nullable:
			errs = append(errs, fmt.Errorf("column %s: not in the rows, and the table takes no null", f.Name))
			continue
		case len(indices) == 0:
			columns = append(columns, array.MakeArrayOfNull(mem, f.Type, int(rows.NumRows())))
			continue
		}
		column := rows.Column(indices[0])
		if !f.Nullable && column.NullN() > 0 {
			errs = append(errs, fmt.Errorf("column %s: %d nulls in a required column", f.Name, column.NullN()))
			continue
		}
		fitting, err := conform(ctx, column, f.Type, mem)
		if err != nil {
			errs = append(errs, fmt.Errorf("column %s: %w", f.Name, err))
			continue
		}
		columns = append(columns, fitting)
	}
	if n := rows.Schema().NumFields(); n > known {
		errs = append(errs, fmt.Errorf("%d columns of the rows are not in the table", n-known))
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("%w %s: %w", ErrUnfit, t.ID, errors.Join(errs...))
	}
	return array.NewRecordBatch(t.arrow, columns, rows.NumRows()), nil
}

// conform makes a column of a type that holds its values. One that has the type
// is returned as it is; the caller releases the result either way.
func conform(ctx context.Context, column arrow.Array, to arrow.DataType, mem memory.Allocator) (arrow.Array, error) {
	if sameType(column.DataType(), to) {
		column.Retain()
		return column, nil
	}
	data, err := conformData(ctx, column.Data(), to, mem)
	if err != nil {
		return nil, err
	}
	defer data.Release()
	return array.MakeFromData(data), nil
}

// conformData works on whole children, so that offsets and null bitmaps of
// their parents stay right.
func conformData(ctx context.Context, data arrow.ArrayData, to arrow.DataType, mem memory.Allocator) (arrow.ArrayData, error) {
	from := data.DataType()
	if sameType(from, to) {
		data.Retain()
		return data, nil
	}
	if from.ID() != to.ID() {
		return promoteData(ctx, data, to, mem)
	}
	switch to := to.(type) {
	case *arrow.StructType:
		return conformStruct(ctx, data, to, mem)
	case *arrow.ListType:
		return conformChild(ctx, data, to, to.Elem(), mem)
	case *arrow.MapType:
		return conformChild(ctx, data, to, to.Elem(), mem)
	case *arrow.Decimal128Type:
		if widens(from, to) { // the same integers
			return array.NewData(to, data.Len(), data.Buffers(), nil, data.NullN(), data.Offset()), nil
		}
	}
	return nil, fmt.Errorf("the rows have %s, the table %s", from, to)
}

// conformChild converts the one child of a list or a map.
func conformChild(ctx context.Context, data arrow.ArrayData, to, element arrow.DataType, mem memory.Allocator) (arrow.ArrayData, error) {
	child, err := conformData(ctx, data.Children()[0], element, mem)
	if err != nil {
		return nil, err
	}
	defer child.Release()
	return array.NewData(to, data.Len(), data.Buffers(), []arrow.ArrayData{child}, data.NullN(), data.Offset()), nil
}

func conformStruct(ctx context.Context, data arrow.ArrayData, to *arrow.StructType, mem memory.Allocator) (arrow.ArrayData, error) {
	from := data.DataType().(*arrow.StructType)
	for _, f := range from.Fields() {
		if _, ok := to.FieldByName(f.Name); !ok {
			return nil, fmt.Errorf("the rows have a field %s, which the table lacks", f.Name)
		}
	}
	children := make([]arrow.ArrayData, 0, to.NumFields())
	defer func() {
		for _, c := range children {
			c.Release()
		}
	}()
	for _, f := range to.Fields() {
		i, ok := from.FieldIdx(f.Name)
		if !ok && !f.Nullable {
			return nil, fmt.Errorf("the rows have no field %s, and the table takes no null", f.Name)
		}
		if !ok {
			null := array.MakeArrayOfNull(mem, f.Type, data.Offset()+data.Len())
			null.Data().Retain()
			children = append(children, null.Data())
			null.Release()
			continue
		}
		child, err := conformData(ctx, data.Children()[i], f.Type, mem)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
		children = append(children, child)
	}
	return array.NewData(to, data.Len(), data.Buffers(), children, data.NullN(), data.Offset()), nil
}

// promoteData converts int to long and float to double.
func promoteData(ctx context.Context, data arrow.ArrayData, to arrow.DataType, mem memory.Allocator) (arrow.ArrayData, error) {
	if !widens(data.DataType(), to) {
		return nil, fmt.Errorf("the rows have %s, the table %s", data.DataType(), to)
	}
	narrow := array.MakeFromData(data)
	defer narrow.Release()
	wide, err := compute.CastArray(compute.WithAllocator(ctx, mem), narrow, compute.SafeCastOptions(to))
	if err != nil {
		return nil, fmt.Errorf("convert %s to %s: %w", data.DataType(), to, err)
	}
	defer wide.Release()
	wide.Data().Retain()
	return wide.Data(), nil
}
