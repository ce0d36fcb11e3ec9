package calve

import (
	"errors"
	"math"
)

var errTooLong = errors.New("more than 2 GiB of text in one batch")

// fill is what all builders know: how many rows they have and which are set.
type fill struct{ valid bitmap }

func (f *fill) reset(rows int) { f.valid = f.valid.resize(0).resize(rows) }

func (f *fill) mark(i int) {
	if i>>3 >= len(f.valid) {
		f.valid = f.valid.resize(i + 1)
	}
	f.valid.set(i)
}

// SetNull makes row i null again.
func (f *fill) SetNull(i int) {
	if i>>3 < len(f.valid) {
		f.valid.clear(i)
	}
}

func (f *fill) finish(rows int) bitmap {
	f.valid = f.valid.resize(rows)
	return f.valid
}

// NumberBuilder makes a column of numbers, dates or timestamps.
type NumberBuilder[T Number] struct {
	fill
	values []T
}

// Set sets row i. Rows may be set in any order.
func (b *NumberBuilder[T]) Set(i int, v T) {
	if i >= len(b.values) || i>>3 >= len(b.valid) {
		b.grow(i)
	}
	b.values[i] = v
	b.valid[i>>3] |= 1 << (i & 7)
}

// grow makes room for row i. It is apart for Set to be small.
func (b *NumberBuilder[T]) grow(i int) {
	b.values = resize(b.values, max(len(b.values), i+1))
	b.valid = b.valid.resize(max(8*len(b.valid), i+1))
}

// Values marks every row of the batch as set and returns them to be written,
// which is faster than Set row by row.
func (b *NumberBuilder[T]) Values() []T {
	b.valid.setAll(len(b.values))
	return b.values
}

func (b *NumberBuilder[T]) reset(rows int) {
	b.fill.reset(rows)
	b.values = resize(b.values[:0], rows)
}

func (b *NumberBuilder[T]) finish(rows int) (*vector, error) {
	b.values = resize(b.values, rows)
	return &vector{length: rows, valid: b.fill.finish(rows), data: bytesOf(b.values)}, nil
}

func (b *NumberBuilder[T]) start(v *vector) {
	b.values, b.valid = values[T](v), v.bitmap()
}

// BooleanBuilder makes a column of true and false.
type BooleanBuilder struct {
	fill
	bits bitmap
}

// Set sets row i. Rows may be set in any order.
func (b *BooleanBuilder) Set(i int, v bool) {
	if i>>3 >= len(b.bits) {
		b.bits = b.bits.resize(i + 1)
	}
	if v {
		b.bits.set(i)
	} else {
		b.bits.clear(i)
	}
	b.mark(i)
}

func (b *BooleanBuilder) reset(rows int) {
	b.fill.reset(rows)
	b.bits = b.bits.resize(0).resize(rows)
}

func (b *BooleanBuilder) finish(rows int) (*vector, error) {
	b.bits = b.bits.resize(rows)
	return &vector{length: rows, valid: b.fill.finish(rows), data: b.bits}, nil
}

func (b *BooleanBuilder) start(v *vector) {
	b.bits, b.valid = v.data, v.bitmap()
}

// DecimalBuilder makes a column of decimals.
type DecimalBuilder struct {
	fill
	words []uint64 // two a value; words, since the host wants them aligned
}

// Set sets row i to an unscaled value: a two's complement integer of 128 bits,
// little-endian.
func (b *DecimalBuilder) Set(i int, v [16]byte) {
	b.words = resize(b.words, max(len(b.words), 2*i+2))
	copy(bytesOf(b.words)[16*i:], v[:])
	b.mark(i)
}

// SetInt sets row i to an unscaled value that fits 64 bits: 1234 with scale 2
// is 12.34.
func (b *DecimalBuilder) SetInt(i int, unscaled int64) {
	b.words = resize(b.words, max(len(b.words), 2*i+2))
	b.words[2*i], b.words[2*i+1] = uint64(unscaled), uint64(unscaled>>63)
	b.mark(i)
}

func (b *DecimalBuilder) reset(rows int) {
	b.fill.reset(rows)
	b.words = resize(b.words[:0], 2*rows)
}

func (b *DecimalBuilder) finish(rows int) (*vector, error) {
	b.words = resize(b.words, 2*rows)
	return &vector{length: rows, valid: b.fill.finish(rows), data: bytesOf(b.words)}, nil
}

func (b *DecimalBuilder) start(v *vector) {
	b.words, b.valid = wordsOf(v.data), v.bitmap()
}

// StringBuilder makes a column of text.
type StringBuilder struct{ BinaryBuilder }

// Set sets row i, which must come after every row set before. The text must be
// UTF-8.
func (b *StringBuilder) Set(i int, s string) {
	if i != len(b.offsets)-1 || i>>3 >= len(b.valid) {
		b.begin(i)
	}
	b.data = append(b.data, s...)
	b.long = b.long || len(b.data) > math.MaxInt32
	b.offsets = append(b.offsets, int32(len(b.data)))
	b.valid[i>>3] |= 1 << (i & 7)
}

// Append adds to the row that was set last.
func (b *StringBuilder) Append(more string) {
	if len(b.offsets) < 2 {
		panic(misuse("Append before any row is set"))
	}
	b.data = append(b.data, more...)
	b.long = b.long || len(b.data) > math.MaxInt32
	b.offsets[len(b.offsets)-1] = int32(len(b.data))
}

// SetBytes is Set for text that is at hand as bytes.
func (b *StringBuilder) SetBytes(i int, s []byte) { b.BinaryBuilder.Set(i, s) }

// BinaryBuilder makes a column of bytes.
type BinaryBuilder struct {
	fill
	offsets []int32 // offsets[i] is where row i begins; the last is where the next one will
	data    []byte
	long    bool
}

// Set sets row i, which must come after every row set before.
func (b *BinaryBuilder) Set(i int, v []byte) {
	b.begin(i)
	b.data = append(b.data, v...)
	b.end()
}

// begin makes the rows between the last one and i null.
func (b *BinaryBuilder) begin(i int) {
	if i < len(b.offsets)-1 {
		panic(misuse("row " + itoa(int64(i)) + " is set after row " + itoa(int64(len(b.offsets)-2)) + ": set the rows of strings and bytes in order"))
	}
	b.pad(i)
	b.mark(i)
}

func (b *BinaryBuilder) end() {
	b.long = b.long || len(b.data) > math.MaxInt32
	b.offsets = append(b.offsets, int32(len(b.data)))
}

func (b *BinaryBuilder) pad(rows int) {
	for len(b.offsets)-1 < rows {
		b.offsets = append(b.offsets, b.offsets[len(b.offsets)-1])
	}
}

func (b *BinaryBuilder) reset(rows int) {
	b.fill.reset(rows)
	if cap(b.offsets) == 0 {
		b.offsets = make([]int32, 0, rows+1)
	}
	b.offsets, b.data, b.long = append(b.offsets[:0], 0), b.data[:0], false
}

func (b *BinaryBuilder) finish(rows int) (*vector, error) {
	if b.long {
		return nil, errTooLong
	}
	b.pad(rows)
	return &vector{length: rows, valid: b.fill.finish(rows), offsets: b.offsets[:rows+1], data: b.data}, nil
}

// rowErrors is the rows that cannot be used.
type rowErrors struct {
	rows                  []uint32
	code, column, message BinaryBuilder
	seen                  map[uint32]bool
}

func (e *rowErrors) reset() {
	e.rows = e.rows[:0]
	for _, b := range []*BinaryBuilder{&e.code, &e.column, &e.message} {
		b.reset(0)
	}
	clear(e.seen)
}

func (e *rowErrors) add(row uint32, code, column, message string) {
	if e.seen[row] {
		return
	}
	if e.seen == nil {
		e.seen = map[uint32]bool{}
	}
	e.seen[row] = true
	i := len(e.rows)
	e.rows = append(e.rows, row)
	e.code.Set(i, []byte(code))
	e.column.Set(i, []byte(column))
	e.message.Set(i, []byte(message))
}

// finish returns the columns of the row errors, in the order of the ABI.
func (e *rowErrors) finish() ([rowErrorColumns]*vector, error) {
	n := len(e.rows)
	columns := [rowErrorColumns]*vector{rowErrorRow: {length: n, data: bytesOf(e.rows), column: Column{Format: "I"}}}
	for i, b := range map[int]*BinaryBuilder{rowErrorCode: &e.code, rowErrorColumn: &e.column, rowErrorMessage: &e.message} {
		v, err := b.finish(n)
		if err != nil {
			return columns, err
		}
		v.valid, v.column = nil, Column{Format: "u"}
		columns[i] = v
	}
	return columns, nil
}
