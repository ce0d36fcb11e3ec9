package expression

import (
	"fmt"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
)

// Compiled is an expression over the columns of a schema. It is immutable and
// safe for concurrent use.
type Compiled struct {
	expr    *Expr
	result  *term
	columns []arrow.Field // that it reads, by slot
}

// RowError says why a row cannot be computed.
type RowError struct {
	Row     int // of the batch
	Message string
}

// Type is the type of the result.
func (c *Compiled) Type() arrow.DataType { return c.result.typ }

// Nullable tells whether the result may be null. A row that cannot be computed
// is not counted: it has no result.
func (c *Compiled) Nullable() bool { return c.result.nullable }

// Columns lists the columns that are read, in order of their first place.
func (c *Compiled) Columns() []string {
	names := make([]string, len(c.columns))
	for i, f := range c.columns {
		names[i] = f.Name
	}
	return names
}

// String is the expression in its canonical text.
func (c *Compiled) String() string { return c.expr.String() }

// Eval computes the expression for every row of a batch, which has the columns
// that are read, in any place and among others. The caller releases the array;
// it may share memory with the batch and outlive it.
//
// A row that cannot be computed is null and has a RowError; they are in the
// order of the rows. The error is that the batch does not fit.
func (c *Compiled) Eval(batch arrow.RecordBatch, mem memory.Allocator) (arrow.Array, []RowError, error) {
	r := &run{rows: int(batch.NumRows()), columns: make([]*vector, len(c.columns))}
	for i, f := range c.columns {
		column, err := find(batch, f)
		if err != nil {
			return nil, nil, err
		}
		r.columns[i] = load(column)
	}
	out := c.result.eval(r)
	var errs []RowError
	for i := range r.rows {
		if why := out.fault(i); why != nil {
			errs = append(errs, RowError{i, why(i)})
		}
	}
	if size := out.textBytes(r.rows); size > math.MaxInt32 {
		return nil, nil, fmt.Errorf("compute %s: %d bytes of text in one batch are more than a column can hold (2 GiB); poll fewer records at once", c, size)
	}
	return output(out, c.result.typ, r.rows, mem), errs, nil
}

// textBytes is the size of the texts of all rows.
func (v *vector) textBytes(rows int) (size int64) {
	for _, s := range v.texts {
		size += int64(len(s))
	}
	if v.isConstant() {
		size *= int64(rows)
	}
	return size
}

func find(batch arrow.RecordBatch, f arrow.Field) (arrow.Array, error) {
	at := batch.Schema().FieldIndices(f.Name)
	if len(at) != 1 {
		return nil, fmt.Errorf("BUG: the batch has %d columns %s, the expression reads one", len(at), f.Name)
	}
	column := batch.Column(at[0])
	if !arrow.TypeEqual(column.DataType(), f.Type) {
		have := record.FormatType(column.DataType()) // a table may be wider than its model declares
		return nil, fmt.Errorf("column %s is %s, expected %s: declare it as %s in the model that it is read from, or mend the plugin that returns it", f.Name, have, record.FormatType(f.Type), have)
	}
	return column, nil
}

// run is one evaluation.
type run struct {
	rows    int
	columns []*vector
	shared  map[*term]*vector // what was computed for several operations
}

// load reads an array, which may be a slice of another.
func load(a arrow.Array) *vector {
	v := &vector{mask: allRows, valid: validity(a)}
	n := a.Len()
	switch a := a.(type) {
	case *array.Boolean:
		v.bools = make([]bool, n)
		for i := range v.bools {
			v.bools[i] = a.Value(i)
		}
	case *array.Int64:
		v.ints = a.Int64Values()
	case *array.Int32:
		v.ints = widen(a.Int32Values())
	case *array.Date32:
		v.ints = widen(a.Date32Values())
	case *array.Timestamp:
		v.ints = widen(a.TimestampValues())
	case *array.Float64:
		v.doubles = a.Float64Values()
	case *array.Float32:
		v.doubles = make([]float64, n)
		for i, x := range a.Float32Values() {
			v.doubles[i] = float64(x)
		}
	case *array.Decimal128:
		v.decimals = a.Values()
	case *array.String:
		v.texts = make([]string, n)
		for i := range v.texts {
			v.texts[i] = a.Value(i)
		}
	case *array.Binary:
		v.texts = make([]string, n)
		for i := range v.texts {
			v.texts[i] = a.ValueString(i)
		}
	default:
		v.nested = a
	}
	return v
}

func validity(a arrow.Array) []bool {
	if a.NullN() == 0 {
		return nil
	}
	valid := make([]bool, a.Len())
	for i := range valid {
		valid[i] = a.IsValid(i)
	}
	return valid
}

func widen[T ~int32 | ~int64](in []T) []int64 {
	out := make([]int64, len(in))
	for i, x := range in {
		out[i] = int64(x)
	}
	return out
}

// output makes an array of a vector.
func output(v *vector, t arrow.DataType, rows int, mem memory.Allocator) arrow.Array {
	if v.nested != nil {
		return outputNested(v, rows, mem)
	}
	b := array.NewBuilder(mem, t)
	defer b.Release()
	b.Reserve(rows)
	valid := spread(v.valid, v.mask, rows)
	switch b := b.(type) {
	case *array.BooleanBuilder:
		b.AppendValues(spread(v.bools, v.mask, rows), valid)
	case *array.Int64Builder:
		b.AppendValues(spread(v.ints, v.mask, rows), valid)
	case *array.Int32Builder:
		b.AppendValues(narrow[int32](v, rows), valid)
	case *array.Date32Builder:
		b.AppendValues(narrow[arrow.Date32](v, rows), valid)
	case *array.TimestampBuilder:
		b.AppendValues(narrow[arrow.Timestamp](v, rows), valid)
	case *array.Float64Builder:
		b.AppendValues(spread(v.doubles, v.mask, rows), valid)
	case *array.Float32Builder:
		for i := range rows {
			if v.ok(i) {
				b.UnsafeAppend(float32(v.doubles[i&v.mask]))
			} else {
				b.UnsafeAppendBoolToBitmap(false)
			}
		}
	case *array.Decimal128Builder:
		b.AppendValues(spread(v.decimals, v.mask, rows), valid)
	case *array.StringBuilder:
		b.AppendValues(spread(v.texts, v.mask, rows), valid)
	case *array.BinaryBuilder:
		b.AppendStringValues(spread(v.texts, v.mask, rows), valid)
	}
	return b.NewArray()
}

// outputNested passes an array on, with the nulls that were added to it.
func outputNested(v *vector, rows int, mem memory.Allocator) arrow.Array {
	if v.valid == nil || v.nested.NullN() == rows-count(v.valid) {
		v.nested.Retain()
		return v.nested
	}
	// Its data may be shared: the rows that became null are taken from an
	// array of nulls.
	nulls := array.MakeArrayOfNull(mem, v.nested.DataType(), 1)
	defer nulls.Release()
	var parts []arrow.Array
	for from := 0; from < rows; {
		to := from + 1
		if !v.valid[from] {
			nulls.Retain()
			parts = append(parts, nulls)
			from = to
			continue
		}
		for to < rows && v.valid[to] {
			to++
		}
		parts = append(parts, array.NewSlice(v.nested, int64(from), int64(to)))
		from = to
	}
	defer func() {
		for _, p := range parts {
			p.Release()
		}
	}()
	joined, err := array.Concatenate(parts, mem)
	if err != nil {
		panic("BUG: slices of one array do not join: " + err.Error())
	}
	return joined
}

func count(valid []bool) (n int) {
	for _, ok := range valid {
		if ok {
			n++
		}
	}
	return n
}

// spread gives every row its value.
func spread[T any](values []T, mask, rows int) []T {
	if values == nil {
		return nil
	}
	if mask != 0 {
		return values
	}
	return slices.Repeat(values, rows)
}

func narrow[T ~int32 | ~int64](v *vector, rows int) []T {
	out := make([]T, rows)
	for i := range out {
		out[i] = T(v.ints[i&v.mask])
	}
	return out
}

// constant is a vector of one value.
func constant(t arrow.DataType, set func(*vector)) *vector {
	v := &vector{}
	v.grow(classOf(t), 1)
	set(v)
	return v
}

// grow gives a vector room for n values.
func (v *vector) grow(c class, n int) {
	switch c {
	case classBoolean:
		v.bools = make([]bool, n)
	case classInteger:
		v.ints = make([]int64, n)
	case classDouble:
		v.doubles = make([]float64, n)
	case classDecimal:
		v.decimals = make([]decimal128.Num, n)
	case classText:
		v.texts = make([]string, n)
	}
}
