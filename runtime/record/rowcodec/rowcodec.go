// Package rowcodec writes single rows of Arrow record batches to bytes, and
// reads them back: rows that are kept by key in state.
//
// A row is its columns one after the other, each a byte that tells a null (0)
// from a value (1), and the value: numbers in their own size, the lowest byte
// first; a text, list or map behind its length as an unsigned varint; a
// struct as its fields. The same row has the same bytes.
package rowcodec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// ErrRow: bytes that are no row of a schema.
var ErrRow = errors.New("row is corrupt")

var errShort = fmt.Errorf("%w: it ends too early", ErrRow)

// Supports tells whether values of a type can be written: all types that
// tables have.
func Supports(t arrow.DataType) bool {
	switch t := t.(type) {
	case *arrow.BooleanType, *arrow.Int32Type, *arrow.Int64Type, *arrow.Float32Type, *arrow.Float64Type, *arrow.StringType, *arrow.BinaryType,
		*arrow.Date32Type, *arrow.TimestampType, *arrow.Decimal128Type:
		return true
	case *arrow.ListType:
		return Supports(t.Elem())
	case *arrow.MapType:
		return Supports(t.KeyType()) && Supports(t.ItemType())
	case *arrow.StructType:
		for _, f := range t.Fields() {
			if !Supports(f.Type) {
				return false
			}
		}
		return true
	}
	return false
}

// AppendRow writes a row.
func AppendRow(to []byte, columns []arrow.Array, row int) []byte {
	for _, c := range columns {
		to = appendValue(to, c, row)
	}
	return to
}

func appendValue(to []byte, a arrow.Array, i int) []byte {
	if a.IsNull(i) {
		return append(to, 0)
	}
	to = append(to, 1)
	switch a := a.(type) {
	case *array.Boolean:
		if a.Value(i) {
			return append(to, 1)
		}
		return append(to, 0)
	case *array.Int32:
		return binary.LittleEndian.AppendUint32(to, uint32(a.Value(i)))
	case *array.Date32:
		return binary.LittleEndian.AppendUint32(to, uint32(a.Value(i)))
	case *array.Float32:
		return binary.LittleEndian.AppendUint32(to, math.Float32bits(a.Value(i)))
	case *array.Int64:
		return binary.LittleEndian.AppendUint64(to, uint64(a.Value(i)))
	case *array.Timestamp:
		return binary.LittleEndian.AppendUint64(to, uint64(a.Value(i)))
	case *array.Float64:
		return binary.LittleEndian.AppendUint64(to, math.Float64bits(a.Value(i)))
	case *array.Decimal128:
		v := a.Value(i)
		return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(to, v.LowBits()), uint64(v.HighBits()))
	case *array.String:
		return append(binary.AppendUvarint(to, uint64(a.ValueLen(i))), a.Value(i)...)
	case *array.Binary:
		return append(binary.AppendUvarint(to, uint64(a.ValueLen(i))), a.Value(i)...)
	case *array.Map:
		from, end := a.ValueOffsets(i)
		return appendItems(to, from, end, a.Keys(), a.Items())
	case *array.List:
		from, end := a.ValueOffsets(i)
		return appendItems(to, from, end, a.ListValues())
	case *array.Struct:
		for f := range a.NumField() {
			to = appendValue(to, a.Field(f), i)
		}
		return to
	}
	panic("BUG: a row has a column of " + a.DataType().String())
}

func appendItems(to []byte, from, end int64, columns ...arrow.Array) []byte {
	to = binary.AppendUvarint(to, uint64(end-from))
	for i := from; i < end; i++ {
		to = AppendRow(to, columns, int(i))
	}
	return to
}

// Batch makes a record batch of rows. The error is ErrRow; the caller releases
// the batch.
func Batch(schema *arrow.Schema, rows [][]byte, mem memory.Allocator) (arrow.RecordBatch, error) {
	b := array.NewRecordBuilder(mem, schema)
	defer b.Release()
	b.Reserve(len(rows))
	for _, row := range rows {
		rest, err := loadColumns(row, b.Fields())
		if err != nil {
			return nil, err
		}
		if len(rest) > 0 {
			return nil, fmt.Errorf("%w: it has %d bytes too many", ErrRow, len(rest))
		}
	}
	for i, f := range schema.Fields() {
		if !f.Nullable && b.Field(i).NullN() > 0 {
			return nil, fmt.Errorf("%w: column %s has nulls", ErrRow, f.Name)
		}
	}
	return b.NewRecordBatch(), nil
}

func loadColumns(data []byte, columns []array.Builder) (rest []byte, err error) {
	for _, c := range columns {
		if data, err = loadValue(data, c); err != nil {
			return nil, err
		}
	}
	return data, nil
}

func loadValue(data []byte, b array.Builder) ([]byte, error) {
	if len(data) == 0 {
		return nil, errShort
	}
	flag, data := data[0], data[1:]
	switch flag {
	case 0:
		b.AppendNull()
		return data, nil
	case 1:
	default:
		return nil, fmt.Errorf("%w: a value is neither there nor null", ErrRow)
	}
	switch b := b.(type) {
	case *array.MapBuilder:
		b.Append(true)
		return loadItems(data, b.KeyBuilder(), b.ItemBuilder())
	case *array.ListBuilder:
		b.Append(true)
		return loadItems(data, b.ValueBuilder())
	case *array.StructBuilder:
		b.Append(true)
		var err error
		for f := range b.NumField() {
			if data, err = loadValue(data, b.FieldBuilder(f)); err != nil {
				return nil, err
			}
		}
		return data, nil
	}
	return loadScalar(data, b)
}

func loadItems(data []byte, columns ...array.Builder) ([]byte, error) {
	n, size := binary.Uvarint(data)
	if size <= 0 || n > uint64(len(data)-size) {
		return nil, errShort
	}
	data = data[size:]
	var err error
	for range n {
		if data, err = loadColumns(data, columns); err != nil {
			return nil, err
		}
	}
	return data, nil
}

func loadScalar(data []byte, b array.Builder) ([]byte, error) {
	size, head := 0, 0
	switch b.(type) {
	case *array.BooleanBuilder:
		size = 1
	case *array.Int32Builder, *array.Date32Builder, *array.Float32Builder:
		size = 4
	case *array.Int64Builder, *array.TimestampBuilder, *array.Float64Builder:
		size = 8
	case *array.Decimal128Builder:
		size = 16
	default:
		n, varint := binary.Uvarint(data)
		if varint <= 0 || n > uint64(len(data)) {
			return nil, errShort
		}
		size, head = int(n), varint
	}
	if len(data)-head < size {
		return nil, errShort
	}
	setScalar(b, data[head:head+size])
	return data[head+size:], nil
}

func setScalar(b array.Builder, v []byte) {
	switch b := b.(type) {
	case *array.BooleanBuilder:
		b.Append(v[0] != 0)
	case *array.Int32Builder:
		b.Append(int32(binary.LittleEndian.Uint32(v)))
	case *array.Date32Builder:
		b.Append(arrow.Date32(binary.LittleEndian.Uint32(v)))
	case *array.Float32Builder:
		b.Append(math.Float32frombits(binary.LittleEndian.Uint32(v)))
	case *array.Int64Builder:
		b.Append(int64(binary.LittleEndian.Uint64(v)))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(binary.LittleEndian.Uint64(v)))
	case *array.Float64Builder:
		b.Append(math.Float64frombits(binary.LittleEndian.Uint64(v)))
	case *array.Decimal128Builder:
		b.Append(decimal128.New(int64(binary.LittleEndian.Uint64(v[8:])), binary.LittleEndian.Uint64(v)))
	case *array.StringBuilder:
		b.BinaryBuilder.Append(v)
	case *array.BinaryBuilder:
		b.Append(v)
	default:
		panic("BUG: a row has a column of " + b.Type().String())
	}
}
