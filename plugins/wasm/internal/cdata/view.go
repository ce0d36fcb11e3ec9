package cdata

import (
	"encoding/binary"
	"math"
	"math/bits"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/decimal128"

	"github.com/calvelake/calve/sdk/abi"
)

// view is a column in guest memory, checked. Row i is at physical place off+i
// of its buffers.
type view struct {
	typ      arrow.DataType
	n, off   int
	valid    []byte // nil: no nulls
	nulls    int
	data     []byte // values, or the bytes of strings
	offsets  []int32
	children []*view
	untidy   bool        // the bytes of strings are not UTF-8 where a value is null
	indexes  string      // format of the indexes when dict is set
	input    arrow.Array // the input column that was passed through, nil if none
	dict     *view       // the values of a dictionary-encoded column; typ is theirs
}

// shape is what a column must be like.
type shape struct {
	name    string
	typ     arrow.DataType
	indexes string // format of the indexes of a dictionary-encoded column, "" if plain
}

func (r *Reader) column(address uint32, want shape) (*view, error) {
	s, err := r.aligned(address, abi.ArraySize, 8, want.name)
	if err != nil {
		return nil, err
	}
	v := &view{typ: want.typ, indexes: want.indexes}
	length, offset := i64(s, abi.ArrayLength), i64(s, abi.ArrayOffset)
	if length < 0 || offset < 0 || length > math.MaxInt32 || offset > math.MaxInt32 || length+offset > math.MaxInt32-64 {
		return nil, invalid("%s: length %d at offset %d", want.name, length, offset)
	}
	if length > 0 { // without rows nothing is read, wherever it would begin
		v.n, v.off = int(length), int(offset)
	}
	buffers, err := r.buffers(s, v.bufferCount(), want)
	if err != nil {
		return nil, err
	}
	if err := r.validity(v, buffers[0], i64(s, abi.ArrayNullCount), want.name); err != nil {
		return nil, err
	}
	if err := r.values(v, s, buffers, want); err != nil {
		return nil, err
	}
	return v, nil
}

func (v *view) bufferCount() int {
	if v.indexes != "" {
		return 2
	}
	switch v.typ.ID() {
	case arrow.STRING, arrow.BINARY:
		return 3
	case arrow.STRUCT:
		return 1
	}
	return 2
}

// buffers reads the pointers to the buffers of an array.
func (r *Reader) buffers(s []byte, want int, c shape) ([]uint32, error) {
	if n := i64(s, abi.ArrayNBuffers); n != int64(want) {
		return nil, invalid("%s: %d buffers, a %s has %d", c.name, n, TypeName(c.typ), want)
	}
	if d := u32(s, abi.ArrayDictionary); (d != 0) != (c.indexes != "") {
		return nil, invalid("%s: a dictionary where the schema has none, or none where it has one", c.name)
	}
	b, err := r.aligned(u32(s, abi.ArrayBuffers), 4*int64(want), 4, c.name+": buffers")
	if err != nil {
		return nil, err
	}
	pointers := make([]uint32, want)
	for i := range pointers {
		pointers[i] = u32(b, 4*i)
	}
	return pointers, nil
}

func (r *Reader) validity(v *view, address uint32, nulls int64, name string) error {
	if address == 0 || v.n == 0 {
		if nulls > 0 {
			return invalid("%s: null_count is %d, but there is no validity bitmap", name, nulls)
		}
		return nil
	}
	b, err := r.region(address, bitutil.BytesForBits(int64(v.off+v.n)), name+": validity")
	if err != nil {
		return err
	}
	v.nulls = v.n - bitutil.CountSetBits(b, v.off, v.n)
	if nulls != -1 && nulls != int64(v.nulls) {
		return invalid("%s: null_count is %d, but the validity bitmap has %d nulls", name, nulls, v.nulls)
	}
	if v.nulls > 0 {
		v.valid = b
	}
	return r.spend(int64(v.n+7) / 8)
}

func (r *Reader) values(v *view, s []byte, buffers []uint32, want shape) error {
	if v.indexes == "" && v.typ.ID() != arrow.STRUCT && v.typ.ID() != arrow.LIST && v.typ.ID() != arrow.MAP {
		if n := i64(s, abi.ArrayNChildren); n != 0 {
			return invalid("%s: %d children, a %s has none", want.name, n, TypeName(v.typ))
		}
	}
	switch {
	case v.indexes != "":
		return r.dictionary(v, s, buffers[1], want)
	case v.typ.ID() == arrow.STRING || v.typ.ID() == arrow.BINARY:
		return r.strings(v, buffers[1], buffers[2], want)
	case v.typ.ID() == arrow.BOOL:
		b, err := r.optional(buffers[1], bitutil.BytesForBits(int64(v.off+v.n)), 1, v, want.name)
		v.data = b
		return err
	case v.typ.ID() == arrow.STRUCT:
		return r.nested(v, s, v.off+v.n, want)
	case v.typ.ID() == arrow.LIST || v.typ.ID() == arrow.MAP:
		if err := r.offsets(v, buffers[1], want.name); err != nil {
			return err
		}
		return r.nested(v, s, v.last(), want)
	}
	return r.fixed(v, buffers[1], want.name)
}

// optional reads a buffer that may be missing where there are no rows, and
// spends what the rows take.
func (r *Reader) optional(address uint32, n int64, align uint32, v *view, name string) ([]byte, error) {
	if v.n == 0 {
		return nil, nil
	}
	if err := r.spend(n * int64(v.n) / int64(v.off+v.n)); err != nil {
		return nil, err
	}
	if address == 0 {
		return nil, invalid("%s: a buffer is missing", name)
	}
	return r.aligned(address, n, align, name)
}

func (r *Reader) fixed(v *view, address uint32, name string) (err error) {
	width := v.typ.(arrow.FixedWidthDataType).BitWidth() / 8
	v.data, err = r.optional(address, int64(width)*int64(v.off+v.n), uint32(min(width, 8)), v, name)
	if err != nil {
		return err
	}
	if t, ok := v.typ.(*arrow.Decimal128Type); ok {
		return v.decimals(t, name)
	}
	return nil
}

// decimals checks that the values fit the precision: Parquet would cut off the
// digits that do not.
func (v *view) decimals(t *arrow.Decimal128Type, name string) error {
	if v.n == 0 {
		return nil
	}
	for i, d := range decimals(v.data)[v.off : v.off+v.n] {
		// The smallest 128-bit integer has no absolute value.
		if (!d.FitsInPrecision(t.Precision) || d.Abs().Sign() < 0) && v.isValid(i) {
			return invalid("%s: row %d: the value has more than %d digits", name, i, t.Precision)
		}
	}
	return nil
}

func decimals(b []byte) []decimal128.Num { return arrow.Decimal128Traits.CastFromBytes(b) }

func (v *view) isValid(i int) bool { return v.valid == nil || bitutil.BitIsSet(v.valid, v.off+i) }

// offsets reads the offsets of strings or lists: none negative, none decreasing.
func (r *Reader) offsets(v *view, address uint32, name string) error {
	if v.n == 0 {
		v.offsets = []int32{0}
		return nil
	}
	b, err := r.aligned(address, 4*int64(v.off+v.n+1), 4, name+": offsets")
	if err != nil {
		return err
	}
	if err := r.spend(4 * int64(v.n)); err != nil {
		return err
	}
	v.offsets = arrow.Int32Traits.CastFromBytes(b)
	rows := v.offsets[v.off : v.off+v.n+1]
	bad := rows[0] // the sign bit remembers, without a branch a row
	last := bad
	for _, o := range rows[1:] {
		bad |= (o - last) | o
		last = o
	}
	if bad < 0 {
		return invalid("%s: the offsets decrease or are negative", name)
	}
	return nil
}

// last is the end of the values that the rows use.
func (v *view) last() int { return int(v.offsets[v.off+v.n]) }

func (r *Reader) strings(v *view, offsets, data uint32, want shape) error {
	if err := r.offsets(v, offsets, want.name); err != nil {
		return err
	}
	first, last := int64(v.offsets[v.off]), int64(v.last())
	if err := r.spend(last - first); err != nil {
		return err
	}
	if last == 0 {
		return nil
	}
	b, err := r.region(data, last, want.name+": bytes")
	if err != nil {
		return err
	}
	v.data = b
	if v.typ.ID() == arrow.STRING {
		return v.text(want.name)
	}
	return nil
}

// text checks that every value is UTF-8: first all bytes at once and that no
// value begins inside a rune, which is fast; and only if that fails value by
// value, since the bytes behind nulls do not matter.
func (v *view) text(name string) error {
	rows := v.offsets[v.off : v.off+v.n+1]
	all := v.data[rows[0]:rows[v.n]]
	if isASCII(all) {
		return nil
	}
	if utf8.Valid(all) {
		split := false
		for _, o := range rows[:v.n] {
			split = split || int(o) < len(v.data) && !utf8.RuneStart(v.data[o])
		}
		if !split {
			return nil
		}
	}
	for i := range v.n {
		if v.isValid(i) && !utf8.Valid(v.data[rows[i]:rows[i+1]]) {
			return invalid("%s: row %d is not UTF-8", name, i)
		}
	}
	v.untidy = true
	return nil
}

// isASCII looks at 64 bytes at a time. The slices of constant bounds are what
// lets the compiler drop its checks: without them it is seven times slower.
func isASCII(b []byte) bool {
	const high = 0x8080808080808080
	for ; len(b) >= 64; b = b[64:] {
		w := b[:64:64]
		x := le64(w[0:8]) | le64(w[8:16]) | le64(w[16:24]) | le64(w[24:32])
		y := le64(w[32:40]) | le64(w[40:48]) | le64(w[48:56]) | le64(w[56:64])
		if (x|y)&high != 0 {
			return false
		}
	}
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func le64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// nested reads the children of a struct, list or map, which must have at least
// that many rows.
func (r *Reader) nested(v *view, s []byte, rows int, want shape) error {
	fields := children(v.typ)
	if n := i64(s, abi.ArrayNChildren); n != int64(len(fields)) {
		return invalid("%s: %d children, a %s has %d", want.name, n, TypeName(v.typ), len(fields))
	}
	pointers, err := r.childPointers(s, abi.ArrayChildren, int64(len(fields)), want.name)
	if err != nil {
		return err
	}
	for i, f := range fields {
		child, err := r.column(u32(pointers, 4*i), shape{name: want.name + "." + f.Name, typ: f.Type})
		if err != nil {
			return err
		}
		if child.n < rows {
			return invalid("%s.%s: %d rows where %d are referred to", want.name, f.Name, child.n, rows)
		}
		if !f.Nullable && child.nulls > 0 {
			return invalid("%s.%s: nulls in a field that cannot be null", want.name, f.Name)
		}
		v.children = append(v.children, child)
	}
	return nil
}

// indexWidths is the bytes of each format of dictionary indexes.
var indexWidths = map[string]int{"c": 1, "C": 1, "s": 2, "S": 2, "i": 4, "I": 4}

func (r *Reader) dictionary(v *view, s []byte, address uint32, want shape) (err error) {
	if n := i64(s, abi.ArrayNChildren); n != 0 {
		return invalid("%s: %d children, a dictionary-encoded column has none", want.name, n)
	}
	width := indexWidths[v.indexes]
	v.data, err = r.optional(address, int64(width)*int64(v.off+v.n), uint32(width), v, want.name)
	if err != nil {
		return err
	}
	v.dict, err = r.column(u32(s, abi.ArrayDictionary), shape{name: want.name + ": dictionary", typ: v.typ})
	if err != nil {
		return err
	}
	var expanded int64
	for i := range v.n {
		if !v.isValid(i) {
			continue
		}
		at := v.index(i)
		if at < 0 || at >= int64(v.dict.n) {
			return invalid("%s: row %d: index %d into a dictionary of %d values", want.name, i, at, v.dict.n)
		}
		o := v.dict.offsets[v.dict.off+int(at):]
		expanded += int64(o[1] - o[0])
	}
	return r.spend(expanded + 4*int64(v.n))
}

// index is the dictionary index of row i.
func (v *view) index(i int) int64 {
	i += v.off
	switch v.indexes {
	case "c":
		return int64(int8(v.data[i]))
	case "C":
		return int64(v.data[i])
	case "s":
		return int64(int16(uint16(v.data[2*i]) | uint16(v.data[2*i+1])<<8))
	case "S":
		return int64(uint16(v.data[2*i]) | uint16(v.data[2*i+1])<<8)
	case "I":
		return int64(u32(v.data, 4*i))
	}
	return int64(int32(u32(v.data, 4*i)))
}

// selected lists the rows whose bit is set in a bitmap.
func selected(bitmap []byte, n int) []int32 {
	rows := make([]int32, 0, bitutil.CountSetBits(bitmap, 0, n))
	for i, b := range bitmap {
		for b != 0 {
			row := i*8 + bits.TrailingZeros8(b)
			if row >= n {
				break
			}
			rows = append(rows, int32(row))
			b &= b - 1
		}
	}
	return rows
}
