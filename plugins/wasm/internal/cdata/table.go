package cdata

import (
	"bytes"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"

	"github.com/calvelake/calve/sdk/abi"
)

// Want is what an output must be like.
type Want struct {
	Schema  *arrow.Schema
	Input   int    // rows of the batch that the guest was given
	MaxRows int64  // of the output
	Dropped []bool // input rows that are left out, nil for none
}

// Table is the rows of an output, copied out of guest memory.
type Table struct {
	Rows   arrow.RecordBatch
	Origin []int32 // input row of each row; nil: one to one
}

// Table reads an output. Rows that the guest did not select, and those made of
// dropped input rows, are left out. The caller releases Rows.
func (r *Reader) Table(o Output, want Want) (Table, error) {
	name := fmt.Sprintf("output stream %d", o.Stream)
	root, err := r.root(o.Array, want.Schema.NumFields(), name)
	if err != nil {
		return Table{}, err
	}
	if int64(root.n) > want.MaxRows {
		return Table{}, fmt.Errorf("%w: %s has %d rows, at most %d are allowed", ErrOutputLimit, name, root.n, want.MaxRows)
	}
	origin, err := r.origin(o, root.n, want.Input, name)
	if err != nil {
		return Table{}, err
	}
	keep, err := r.keep(o, root.n, origin, want.Dropped, name)
	if err != nil {
		return Table{}, err
	}
	shapes, err := r.shapes(o.Schema, want.Schema)
	if err != nil {
		return Table{}, fmt.Errorf("%s: %w", name, err)
	}
	views := make([]*view, len(shapes))
	for i, s := range shapes {
		v, err := r.column(u32(root.children, 4*i), s)
		if err != nil {
			return Table{}, fmt.Errorf("%s: %w", name, err)
		}
		if v.n < root.off+root.n {
			return Table{}, fmt.Errorf("%s: %w", name, invalid("%s: %d rows, the output has %d", s.name, v.n, root.off+root.n))
		}
		if keep.index == nil && root.off == 0 && v.n == root.n {
			v.input = r.passed(u32(root.children, 4*i), v, want.Schema.Field(i).Type)
		}
		views[i] = v
	}
	return assemble(views, want.Schema, keep.shift(root.off), resultOrigin(keep, origin))
}

// resultOrigin is the input row of each kept row, nil where all are kept one to
// one.
func resultOrigin(keep rows, origin []int32) []int32 {
	switch {
	case keep.index == nil:
		return origin
	case origin == nil:
		return keep.index
	}
	mapped := make([]int32, len(keep.index))
	for i, at := range keep.index {
		mapped[i] = origin[at]
	}
	return mapped
}

func assemble(views []*view, schema *arrow.Schema, keep rows, origin []int32) (Table, error) {
	columns := make([]arrow.Array, 0, len(views))
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for i, v := range views {
		f := schema.Field(i)
		columns = append(columns, v.column(keep))
		if !f.Nullable && columns[i].NullN() > 0 {
			return Table{}, invalid("column %q: %d nulls, but it is declared never to be null (first in row %d of those kept)", f.Name, columns[i].NullN(), firstNull(columns[i]))
		}
	}
	return Table{Rows: array.NewRecordBatch(schema, columns, int64(keep.len())), Origin: origin}, nil
}

// passed is the input column of which a column at that address is the
// unchanged ArrowArray, nil if it is none.
func (r *Reader) passed(address uint32, v *view, typ arrow.DataType) arrow.Array {
	c, ok := r.Input[address]
	if !ok || c.array.Len() != v.n || !arrow.TypeEqual(c.array.DataType(), typ) {
		return nil
	}
	if now, err := r.region(address, int64(len(c.as)), "input"); err != nil || !bytes.Equal(now, c.as) {
		return nil
	}
	return c.array
}

// column is the rows as an array. The caller releases it.
func (v *view) column(keep rows) arrow.Array {
	if v.input != nil {
		v.input.Retain()
		return v.input
	}
	data := v.take(keep)
	defer data.Release()
	return array.MakeFromData(data)
}

func firstNull(a arrow.Array) int {
	for i := range a.Len() {
		if a.IsNull(i) {
			return i
		}
	}
	return -1
}

// root is the struct array of an output.
type root struct {
	n, off   int
	children []byte // pointers
}

func (r *Reader) root(address uint32, columns int, name string) (root, error) {
	s, err := r.aligned(address, abi.ArraySize, 8, name)
	if err != nil {
		return root{}, err
	}
	length, offset, nulls := i64(s, abi.ArrayLength), i64(s, abi.ArrayOffset), i64(s, abi.ArrayNullCount)
	const most = 1<<31 - 65
	if length < 0 || offset < 0 || length > most || offset > most-length {
		return root{}, invalid("%s: length %d at offset %d", name, length, offset)
	}
	if nulls != 0 && nulls != -1 {
		return root{}, invalid("%s: null_count is %d, rows cannot be null", name, nulls)
	}
	if n := i64(s, abi.ArrayNBuffers); n != 1 {
		return root{}, invalid("%s: %d buffers, a struct has 1", name, n)
	}
	validity, err := r.aligned(u32(s, abi.ArrayBuffers), 4, 4, name+": buffers")
	if err != nil {
		return root{}, err
	}
	if at := u32(validity, 0); at != 0 && nulls != 0 {
		b, err := r.region(at, bitutil.BytesForBits(offset+length), name+": validity")
		if err != nil {
			return root{}, err
		}
		if bitutil.CountSetBits(b, int(offset), int(length)) != int(length) {
			return root{}, invalid("%s: rows cannot be null", name)
		}
	}
	if n := i64(s, abi.ArrayNChildren); n != int64(columns) {
		return root{}, invalid("%s: %d columns, %d are declared", name, n, columns)
	}
	pointers, err := r.childPointers(s, abi.ArrayChildren, int64(columns), name)
	return root{n: int(length), off: int(offset), children: pointers}, err
}

// origin reads the input row of each output row.
func (r *Reader) origin(o Output, n, input int, name string) ([]int32, error) {
	if o.Rows == 0 {
		if n != input {
			return nil, invalid("%s: %d rows for %d rows of input, and no mapping between them", name, n, input)
		}
		return nil, nil
	}
	b, err := r.aligned(o.Rows, 4*int64(n), 4, name+": rows")
	if err != nil {
		return nil, err
	}
	origin := make([]int32, n)
	copy(origin, arrow.Int32Traits.CastFromBytes(b))
	last := int32(0)
	for i, row := range origin {
		if row < last || int(row) >= input {
			return nil, invalid("%s: rows[%d] is %d: it must be an input row, of 0 to %d, and not decrease", name, i, row, input-1)
		}
		last = row
	}
	return origin, nil
}

// keep is the rows that the guest selected and that are not of dropped input.
func (r *Reader) keep(o Output, n int, origin []int32, dropped []bool, name string) (rows, error) {
	all := rows{n: n}
	if o.Selection != 0 {
		b, err := r.region(o.Selection, bitutil.BytesForBits(int64(n)), name+": selection")
		if err != nil {
			return rows{}, err
		}
		all.index = selected(b, n)
	}
	if dropped == nil {
		return all, nil
	}
	kept := make([]int32, 0, all.len())
	for i := range all.len() {
		at := int32(i)
		if all.index != nil {
			at = all.index[i]
		}
		from := at
		if origin != nil {
			from = origin[at]
		}
		if !dropped[from] {
			kept = append(kept, at)
		}
	}
	return rows{index: kept}, nil
}

// shapes is what the columns must be like: those of the schema, each perhaps
// dictionary-encoded if the output brings a schema of its own.
func (r *Reader) shapes(own uint32, schema *arrow.Schema) ([]shape, error) {
	shapes := make([]shape, schema.NumFields())
	for i, f := range schema.Fields() {
		shapes[i] = shape{name: fmt.Sprintf("column %q", f.Name), typ: f.Type}
	}
	if own == 0 {
		return shapes, nil
	}
	columns, err := r.Schema(own)
	if err != nil {
		return nil, err
	}
	if len(columns) != len(shapes) {
		return nil, invalid("schema: %d columns, %d are declared", len(columns), len(shapes))
	}
	for i, c := range columns {
		f := schema.Field(i)
		if c.Name != f.Name {
			return nil, invalid("schema: column %d is %q, declared is %q", i, c.Name, f.Name)
		}
		if c.Dictionary != "" {
			if _, ok := indexWidths[c.Format]; !ok {
				return nil, invalid("column %q: dictionary indexes of format %q, expected int8 to int32", c.Name, c.Format)
			}
			shapes[i].indexes, c.Format = c.Format, c.Dictionary
		}
		got, err := dataType(c.Column)
		if err != nil {
			return nil, invalid("column %q: %v", c.Name, err)
		}
		if !SameType(got, f.Type) || shapes[i].indexes != "" && f.Type.ID() != arrow.STRING && f.Type.ID() != arrow.BINARY {
			return nil, invalid("column %q: the schema says %s, declared is %s", c.Name, TypeName(got), TypeName(f.Type))
		}
	}
	return shapes, nil
}

// RowError is an input row that the guest could not use.
type RowError struct {
	Row                   uint32
	Code, Column, Message string
}

var rowErrorTypes = [abi.RowErrorColumns]struct {
	name string
	typ  arrow.DataType
}{
	abi.RowErrorRow:     {"row", arrow.PrimitiveTypes.Uint32},
	abi.RowErrorCode:    {"code", arrow.BinaryTypes.Binary},
	abi.RowErrorColumn:  {"column", arrow.BinaryTypes.Binary},
	abi.RowErrorMessage: {"message", arrow.BinaryTypes.Binary},
}

// RowErrors reads the row errors of a result, at most one for each input row:
// the first. They are in the order of the guest.
func (r *Reader) RowErrors(address uint32, input int) ([]RowError, error) {
	const name = "row errors"
	root, err := r.root(address, abi.RowErrorColumns, name)
	if err != nil {
		return nil, err
	}
	if int64(root.n) > 16*int64(input) {
		return nil, fmt.Errorf("%w: %d row errors for %d rows", ErrOutputLimit, root.n, input)
	}
	var views [abi.RowErrorColumns]*view
	for i, t := range rowErrorTypes {
		views[i], err = r.column(u32(root.children, 4*i), shape{name: name + "." + t.name, typ: t.typ})
		if err != nil {
			return nil, err
		}
		if views[i].n < root.off+root.n {
			return nil, invalid("%s.%s: %d rows of %d", name, t.name, views[i].n, root.off+root.n)
		}
	}
	seen := make([]bool, input)
	var out []RowError
	for i := range root.n {
		e, err := rowError(views, root.off+i, input)
		if err != nil {
			return nil, err
		}
		if !seen[e.Row] {
			seen[e.Row] = true
			out = append(out, e)
		}
	}
	return out, nil
}

func rowError(views [abi.RowErrorColumns]*view, i, input int) (RowError, error) {
	rows := views[abi.RowErrorRow]
	e := RowError{Row: u32(rows.data, 4*(rows.off+i))}
	if int64(e.Row) >= int64(input) || !rows.isValid(i) {
		return e, invalid("row errors: row %d of %d rows", e.Row, input)
	}
	e.Code = views[abi.RowErrorCode].textAt(i, abi.MaxCodeBytes)
	e.Column = views[abi.RowErrorColumn].textAt(i, abi.MaxNameBytes)
	e.Message = views[abi.RowErrorMessage].textAt(i, abi.MaxMessageBytes)
	if !isCode(e.Code) {
		return e, invalid("row errors: row %d: code %q must be lower-case letters, digits and underscores, and begin with a letter", e.Row, e.Code)
	}
	return e, nil
}

func (v *view) textAt(i, most int) string {
	if !v.isValid(i) {
		return ""
	}
	return clean(v.data[v.offsets[v.off+i]:v.offsets[v.off+i+1]], most)
}

func isCode(s string) bool {
	for i, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}
