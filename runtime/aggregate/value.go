package aggregate

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// class is how values of a type are held.
type class uint8

const (
	classNone    class = iota // not at all: structs, lists, maps
	classInteger              // int64: boolean, int, long, date, timestamps
	classDouble               // float64: float, double
	classDecimal              // decimal128.Num
	classText                 // string: string, binary
)

func classOf(t arrow.DataType) class {
	switch t.(type) {
	case *arrow.BooleanType, *arrow.Int32Type, *arrow.Int64Type, *arrow.Date32Type, *arrow.TimestampType:
		return classInteger
	case *arrow.Float32Type, *arrow.Float64Type:
		return classDouble
	case *arrow.Decimal128Type:
		return classDecimal
	case *arrow.StringType, *arrow.BinaryType:
		return classText
	}
	return classNone
}

// kind is how the values of a column's type are read, ordered, kept, written
// and made a column again.
type kind[T any] struct {
	reader  func(arrow.Array) func(row int) T
	compare func(a, b T) int // total: what is equal is the same value
	keep    func(T) T        // a copy that outlives the batch
	append  func(to []byte, v T) []byte
	load    func(data []byte) (T, []byte, error)
	builder func(memory.Allocator) (array.Builder, func(T))
}

var errShort = errors.New("the bytes end too early")

func integers(t arrow.DataType) *kind[int64] {
	return &kind[int64]{
		reader: integerReader, compare: cmp.Compare[int64], keep: same[int64], append: binary.AppendVarint, load: loadVarint,
		builder: func(mem memory.Allocator) (array.Builder, func(int64)) {
			b := array.NewBuilder(mem, t)
			switch b := b.(type) {
			case *array.BooleanBuilder:
				return b, func(v int64) { b.Append(v != 0) }
			case *array.Int32Builder:
				return b, func(v int64) { b.Append(int32(v)) }
			case *array.Int64Builder:
				return b, b.Append
			case *array.Date32Builder:
				return b, func(v int64) { b.Append(arrow.Date32(v)) }
			case *array.TimestampBuilder:
				return b, func(v int64) { b.Append(arrow.Timestamp(v)) }
			}
			panic("BUG: " + typeName(t) + " is held as an integer")
		},
	}
}

func integerReader(a arrow.Array) func(row int) int64 {
	switch a := a.(type) {
	case *array.Boolean:
		return func(row int) int64 {
			if a.Value(row) {
				return 1
			}
			return 0
		}
	case *array.Int32:
		return widened(a.Int32Values())
	case *array.Int64:
		return widened(a.Int64Values())
	case *array.Date32:
		return widened(a.Date32Values())
	case *array.Timestamp:
		return widened(a.TimestampValues())
	}
	panic("BUG: " + typeName(a.DataType()) + " is read as an integer")
}

func widened[T ~int32 | ~int64](values []T) func(row int) int64 {
	return func(row int) int64 { return int64(values[row]) }
}

func doubles(t arrow.DataType) *kind[float64] {
	return &kind[float64]{
		reader: doubleReader, compare: compareDoubles, keep: same[float64],
		append: func(to []byte, v float64) []byte { return binary.LittleEndian.AppendUint64(to, math.Float64bits(v)) },
		load: func(data []byte) (float64, []byte, error) {
			if len(data) < 8 {
				return 0, nil, errShort
			}
			return oneDouble(math.Float64frombits(binary.LittleEndian.Uint64(data))), data[8:], nil
		},
		builder: func(mem memory.Allocator) (array.Builder, func(float64)) {
			if t.ID() == arrow.FLOAT32 {
				b := array.NewFloat32Builder(mem)
				return b, func(v float64) { b.Append(float32(v)) }
			}
			b := array.NewFloat64Builder(mem)
			return b, b.Append
		},
	}
}

func doubleReader(a arrow.Array) func(row int) float64 {
	if a, ok := a.(*array.Float32); ok {
		values := a.Float32Values()
		return func(row int) float64 { return oneDouble(float64(values[row])) }
	}
	values := a.(*array.Float64).Float64Values()
	return func(row int) float64 { return oneDouble(values[row]) }
}

// oneDouble makes one of the values that are equal: 0 of -0, and one NaN.
func oneDouble(v float64) float64 {
	switch {
	case v == 0:
		return 0
	case math.IsNaN(v):
		return math.NaN()
	}
	return v
}

// compareDoubles holds NaN for the greatest, where cmp.Compare has it first.
func compareDoubles(a, b float64) int {
	if math.IsNaN(a) || math.IsNaN(b) {
		return -cmp.Compare(a, b)
	}
	return cmp.Compare(a, b)
}

func decimals(t arrow.DataType) *kind[decimal128.Num] {
	return &kind[decimal128.Num]{
		reader:  func(a arrow.Array) func(row int) decimal128.Num { return a.(*array.Decimal128).Value },
		compare: func(a, b decimal128.Num) int { return a.Cmp(b) }, keep: same[decimal128.Num],
		append: func(to []byte, v decimal128.Num) []byte { return appendWide(to, wideOf(v)) },
		load: func(data []byte) (decimal128.Num, []byte, error) {
			w, rest, err := loadWide(data)
			n, fits := w.decimal()
			if err == nil && !fits {
				err = errors.New("a decimal has more than 128 bits")
			}
			return n, rest, err
		},
		builder: func(mem memory.Allocator) (array.Builder, func(decimal128.Num)) {
			b := array.NewDecimal128Builder(mem, t.(*arrow.Decimal128Type))
			return b, b.Append
		},
	}
}

func texts(t arrow.DataType) *kind[string] {
	return &kind[string]{
		reader: func(a arrow.Array) func(row int) string {
			if a, ok := a.(*array.Binary); ok {
				return a.ValueString
			}
			return a.(*array.String).Value
		},
		compare: strings.Compare, keep: strings.Clone,
		append: func(to []byte, v string) []byte { return append(binary.AppendUvarint(to, uint64(len(v))), v...) },
		load: func(data []byte) (string, []byte, error) {
			text, rest, err := loadBytes(data)
			return string(text), rest, err
		},
		builder: func(mem memory.Allocator) (array.Builder, func(string)) {
			if t.ID() == arrow.BINARY {
				b := array.NewBinaryBuilder(mem, arrow.BinaryTypes.Binary)
				return b, b.AppendString
			}
			b := array.NewStringBuilder(mem)
			return b, b.Append
		},
	}
}

func same[T any](v T) T { return v }

func loadVarint(data []byte) (int64, []byte, error) {
	v, n := binary.Varint(data)
	if n <= 0 {
		return 0, nil, errShort
	}
	return v, data[n:], nil
}

func loadUvarint(data []byte) (uint64, []byte, error) {
	v, n := binary.Uvarint(data)
	if n <= 0 {
		return 0, nil, errShort
	}
	return v, data[n:], nil
}

// loadCount reads how many values there are, each of which has a byte at
// least.
func loadCount(data []byte) (int, []byte, error) {
	n, rest, err := loadUvarint(data)
	if err == nil && n > uint64(len(rest)) {
		err = errShort
	}
	return int(n), rest, err
}

// loadPositive reads a number of rows.
func loadPositive(data []byte) (int64, []byte, error) {
	n, rest, err := loadUvarint(data)
	if err == nil && n > math.MaxInt64 {
		err = errors.New("a number of rows is out of range")
	}
	return int64(n), rest, err
}

func loadBytes(data []byte) ([]byte, []byte, error) {
	n, rest, err := loadCount(data)
	if err != nil {
		return nil, nil, err
	}
	return rest[:n:n], rest[n:], nil
}

func loadFlag(data []byte) (bool, []byte, error) {
	if len(data) == 0 {
		return false, nil, errShort
	}
	if data[0] > 1 {
		return false, nil, errors.New("a flag is neither 0 nor 1")
	}
	return data[0] == 1, data[1:], nil
}

func appendFlag(to []byte, set bool) []byte {
	if set {
		return append(to, 1)
	}
	return append(to, 0)
}

// longs builds a column of long.
func longs(slots []int, mem memory.Allocator, of func(slot int) int64) arrow.Array {
	b := array.NewInt64Builder(mem)
	defer b.Release()
	b.Reserve(len(slots))
	for _, slot := range slots {
		b.UnsafeAppend(of(slot))
	}
	return b.NewArray()
}
