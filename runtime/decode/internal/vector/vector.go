// Package vector holds Arrow arrays in the making: plain slices that a decoder
// writes by row number, without the calls and growth of arrow-go's builders.
//
// A Set is the columns of a batch. A decoder writes row n of every column, in
// any order, each exactly once, then calls Next; or it calls Rollback, after
// which nothing of the row is left. Fixed-width values are stored at their row;
// strings, lists and maps append and note their end.
package vector

import (
	"fmt"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// Kind is how a vector stores its values.
type Kind uint8

// The kinds; a comment names the member of Vector that holds the values.
const (
	Boolean   Kind = iota // Bits
	Int                   // I32
	Long                  // I64
	Float                 // F32
	Double                // F64
	Decimal               // Decimals
	String                // Offsets, Data
	Binary                // Offsets, Data
	Date                  // I32: days
	Timestamp             // I64: µs
	Struct                // Kids: the fields, as long as the vector itself
	List                  // Offsets, Kids[0]: the elements
	Map                   // Offsets, Kids[0] and Kids[1]: keys and values
)

// Vector is one column, or one level of a nested column.
type Vector struct {
	Kind Kind
	Type arrow.DataType
	// Cap is the number of rows there is room for; a row at or beyond it may
	// not be written. Columns of a Set always have room for the present row,
	// elements of lists and maps are made room for by Append.
	Cap int
	// Len is the number of rows of an element vector (below a list or map).
	Len int

	Bits     []byte // Arrow's bitmap
	I32      []int32
	I64      []int64
	F32      []float32
	F64      []float64
	Decimals []decimal128.Num
	Offsets  []int32 // Cap+1, Offsets[0] is 0
	Data     []byte
	Kids     []*Vector

	valid []byte // Arrow's bitmap; nil while no row is null
	spare []byte // memory for it
	skew  int    // bytes that slices begin behind their memory, see stagger
}

// New makes a vector of a data_type (record.ParseType).
func New(t arrow.DataType) (*Vector, error) {
	v := &Vector{Type: t}
	switch t := t.(type) {
	case *arrow.Decimal128Type:
		v.Kind = Decimal
	case *arrow.TimestampType:
		v.Kind = Timestamp
	case *arrow.StructType:
		v.Kind = Struct
		return v, v.addKids(t.Fields())
	case *arrow.ListType:
		v.Kind = List
		return v, v.addKids([]arrow.Field{t.ElemField()})
	case *arrow.MapType:
		v.Kind = Map
		return v, v.addKids([]arrow.Field{t.KeyField(), t.ItemField()})
	default:
		kind, ok := scalars[t.ID()]
		if !ok {
			return nil, fmt.Errorf("data_type %s cannot be decoded", t)
		}
		v.Kind = kind
	}
	return v, nil
}

var scalars = map[arrow.Type]Kind{
	arrow.BOOL: Boolean, arrow.INT32: Int, arrow.INT64: Long, arrow.FLOAT32: Float, arrow.FLOAT64: Double,
	arrow.STRING: String, arrow.BINARY: Binary, arrow.DATE32: Date,
}

func (v *Vector) addKids(fields []arrow.Field) error {
	for _, f := range fields {
		kid, err := New(f.Type)
		if err != nil {
			return err
		}
		v.Kids = append(v.Kids, kid)
	}
	return nil
}

// Reserve makes room for rows in all; strings get room for bytes each.
func (v *Vector) Reserve(rows, bytes int) {
	if rows <= v.Cap {
		return
	}
	switch v.Kind {
	case Boolean:
		v.Bits = grow(v.Bits, (rows+7)/8, v.skew)
	case Int, Date:
		v.I32 = grow(v.I32, rows, v.skew)
	case Long, Timestamp:
		v.I64 = grow(v.I64, rows, v.skew)
	case Float:
		v.F32 = grow(v.F32, rows, v.skew)
	case Double:
		v.F64 = grow(v.F64, rows, v.skew)
	case Decimal:
		v.Decimals = grow(v.Decimals, rows, v.skew)
	case String, Binary:
		v.Offsets = grow(v.Offsets, rows+1, v.skew)
		if cap(v.Data) == 0 {
			v.Data = make([]byte, 0, bytes)
		}
	case List, Map:
		v.Offsets = grow(v.Offsets, rows+1, v.skew)
	case Struct:
		for _, kid := range v.Kids {
			kid.Reserve(rows, bytes)
		}
	}
	if v.valid != nil {
		v.growValid(rows)
	}
	v.Cap = rows
}

// stagger spreads the slices of a batch's columns over the sets of a CPU's
// cache: n counts vectors. Large slices begin at a page, so that a row of many
// columns would lie in lines of one set, of which a cache holds 8 to 12: each
// write would be a miss.
func (v *Vector) stagger(n *int) {
	const line, page = 64, 4096
	v.skew = *n * 7 * line % page // 7: odd, so that all lines of a page come before one comes twice
	*n++
	for _, kid := range v.Kids {
		kid.stagger(n)
	}
}

// grow lengthens a slice to n, zeroed. A long one begins skew bytes behind its
// memory.
func grow[T any](s []T, n, skew int) []T {
	if n <= cap(s) {
		return s[:n]
	}
	width := int(unsafe.Sizeof(*new(T)))
	if skew /= width; skew*8 > n {
		skew = 0 // a short slice would be all skew, and begins at no page
	}
	out := make([]T, skew+n)[skew:]
	copy(out, s)
	return out
}

func (v *Vector) growValid(rows int) {
	if v.valid == nil {
		v.valid = v.spare
	}
	old := len(v.valid)
	v.valid = grow(v.valid, (rows+7)/8, v.skew)
	for i := old; i < len(v.valid); i++ {
		v.valid[i] = 0xff
	}
}

// Append adds a row to an element vector, with room for it in all of its
// fields, and returns its number.
func (v *Vector) Append() int {
	row := v.Len
	if row == v.Cap {
		v.Reserve(max(64, 2*v.Cap), 0)
	}
	v.Len++
	return row
}

// SetNull makes row null. Offsets and fields below it are written too, so
// nothing else may write the row.
func (v *Vector) SetNull(row int) {
	if v.valid == nil {
		v.growValid(v.Cap)
	}
	v.valid[row>>3] &^= 1 << (row & 7)
	v.skip(row)
}

// NullText makes a row of a string null, as SetNull does; or leaves it alone, if
// the vector is another or this would be its first null.
func (v *Vector) NullText(row int) bool {
	if v.Kind != String || v.valid == nil {
		return false
	}
	v.valid[row>>3] &^= 1 << (row & 7)
	v.Offsets[row+1] = v.Offsets[row]
	return true
}

// NullIf makes a row of a string null if null is 1, but for its offset, which
// the caller writes; or reports that this would be the vector's first null.
func (v *Vector) NullIf(row int, null byte) bool {
	if v.valid == nil {
		return null == 0
	}
	v.valid[row>>3] &^= null << (row & 7)
	return true
}

// SetZero writes 0, false or nothing: what a row of a scalar is where a format
// leaves zeros out.
func (v *Vector) SetZero(row int) { v.skip(row) }

// skip writes what a null row needs.
func (v *Vector) skip(row int) {
	switch v.Kind {
	case Boolean:
		v.Bits[row>>3] &^= 1 << (row & 7)
	case Int, Date:
		v.I32[row] = 0
	case Long, Timestamp:
		v.I64[row] = 0
	case Float:
		v.F32[row] = 0
	case Double:
		v.F64[row] = 0
	case Decimal:
		v.Decimals[row] = decimal128.Num{}
	case String, Binary, List, Map:
		v.Offsets[row+1] = v.Offsets[row]
	case Struct:
		for _, kid := range v.Kids {
			kid.SetNull(row)
		}
	}
}

// SetBool writes a value of a Boolean vector.
func (v *Vector) SetBool(row int, value bool) {
	bit := byte(0)
	if value { // no branch, which would be mispredicted as often as values are mixed
		bit = 1
	}
	b := &v.Bits[row>>3]
	*b = *b&^(1<<(row&7)) | bit<<(row&7)
}

// SetBytes writes a value of a String or Binary vector.
func (v *Vector) SetBytes(row int, value []byte) {
	v.Data = append(v.Data, value...)
	v.Offsets[row+1] = int32(len(v.Data))
}

// End closes a row of a List or Map vector behind the elements appended to
// Kids since the row before.
func (v *Vector) End(row int) { v.Offsets[row+1] = int32(v.Kids[0].Len) }

// Rollback forgets what was written of row and the elements below it, so that
// it can be written again.
func (v *Vector) Rollback(row int) {
	if v.valid != nil {
		v.valid[row>>3] |= 1 << (row & 7)
	}
	switch v.Kind {
	case String, Binary:
		v.Data = v.Data[:v.Offsets[row]]
	case List, Map:
		for _, kid := range v.Kids {
			kid.truncate(int(v.Offsets[row]))
		}
	case Struct:
		for _, kid := range v.Kids {
			kid.Rollback(row)
		}
	}
}

// truncate shortens an element vector to n rows.
func (v *Vector) truncate(n int) {
	for row := v.Len - 1; row >= n; row-- {
		v.Rollback(row)
	}
	v.Len = n
}
