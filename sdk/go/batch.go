package calve

import (
	"strings"
	"unsafe"
)

// Batch is the input of a transform. Its columns are those of the model, in
// order; asking for one that is not there, or as another type, fails the batch
// with a message that names it.
type Batch struct {
	length    int
	columns   []vector
	meta      []vector
	watermark int64
	present   bitmap // of what is in force beside a change
}

// Len is the number of rows.
func (b *Batch) Len() int { return b.length }

// Has tells whether row i is there: of the versions in force, those that there
// are; of other batches, all.
func (b *Batch) Has(i int) bool { return b.present.get(i) }

// Watermark is the model's event time watermark in microseconds since
// 1970-01-01 UTC, or false while there is none.
func (b *Batch) Watermark() (int64, bool) { return b.watermark, b.watermark != noWatermark }

// Column is a column of any type, to be passed through.
func (b *Batch) Column(name string) Values { return Values{b.find(name, "")} }

// Boolean is a boolean column.
func (b *Batch) Boolean(name string) Booleans {
	v := b.find(name, "b")
	return Booleans{bits: v.data, valid: v.valid, length: v.length}
}

// Int is an int column.
func (b *Batch) Int(name string) Numbers[int32] { return numbers[int32](b.find(name, "i")) }

// Long is a long column.
func (b *Batch) Long(name string) Numbers[int64] { return numbers[int64](b.find(name, "l")) }

// Float is a float column.
func (b *Batch) Float(name string) Numbers[float32] { return numbers[float32](b.find(name, "f")) }

// Double is a double column.
func (b *Batch) Double(name string) Numbers[float64] { return numbers[float64](b.find(name, "g")) }

// Date is a date column, in days since 1970-01-01.
func (b *Batch) Date(name string) Numbers[int32] { return numbers[int32](b.find(name, "tdD")) }

// Timestamp is a timestamp or timestamptz column, in microseconds since
// 1970-01-01 (UTC for timestamptz).
func (b *Batch) Timestamp(name string) Numbers[int64] { return numbers[int64](b.find(name, "tsu:")) }

// Decimal is a decimal column.
func (b *Batch) Decimal(name string) Decimals {
	v := b.find(name, "d:")
	return Decimals{values: values[[16]byte](v), valid: v.valid}
}

// String is a string column.
func (b *Batch) String(name string) Strings {
	v := b.find(name, "u")
	return Strings{offsets: v.offsets, data: v.data, valid: v.valid}
}

// Binary is a binary column.
func (b *Batch) Binary(name string) Binaries {
	v := b.find(name, "z")
	return Binaries{offsets: v.offsets, data: v.data, valid: v.valid}
}

// Position says which Kafka record a row came from. A batch that did not come
// from Kafka has none.
func (b *Batch) Position(row int) (p Position, ok bool) {
	if len(b.meta) != metaColumns {
		return Position{}, false
	}
	topic := &b.meta[metaTopic]
	return Position{
		Topic:     Strings{offsets: topic.offsets, data: topic.data}.At(row),
		Partition: values[int32](&b.meta[metaPartition])[row],
		Offset:    values[int64](&b.meta[metaOffset])[row],
		Timestamp: values[int64](&b.meta[metaTimestamp])[row],
	}, true
}

// Position is the place of a Kafka record. Timestamp is in microseconds since
// 1970-01-01 UTC.
type Position struct {
	Topic     string
	Partition int32
	Offset    int64
	Timestamp int64
}

// find panics when the column is not there or is of another type; the call
// into the plugin turns that into a failed batch.
func (b *Batch) find(name, format string) *vector {
	for i := range b.columns {
		v := &b.columns[i]
		if v.column.Name != name {
			continue
		}
		if !strings.HasPrefix(v.column.Format, format) {
			panic(misuse("input column " + quoteJSON(name) + " has format " + quoteJSON(v.column.Format) + ", not " + quoteJSON(format)))
		}
		return v
	}
	names := make([]string, len(b.columns))
	for i := range b.columns {
		names[i] = b.columns[i].column.Name
	}
	panic(misuse("no input column " + quoteJSON(name) + ", the input has " + strings.Join(names, ", ")))
}

// misuse is a mistake of the plugin's author, reported as the batch's failure.
type misuse string

func (m misuse) Error() string { return string(m) }

// Number is what a fixed-width column holds.
type Number interface {
	int32 | int64 | float32 | float64
}

// Numbers is a column of numbers, dates or timestamps.
type Numbers[T Number] struct {
	values []T
	valid  bitmap
}

func numbers[T Number](v *vector) Numbers[T] {
	return Numbers[T]{values: values[T](v), valid: v.valid}
}

// At is the value of row i; of a null it is unspecified.
func (c Numbers[T]) At(i int) T { return c.values[i] }

// IsNull tells whether row i is null.
func (c Numbers[T]) IsNull(i int) bool { return !c.valid.get(i) }

// Or is the value of row i, or instead when it is null.
func (c Numbers[T]) Or(i int, instead T) T {
	if !c.valid.get(i) {
		return instead
	}
	return c.values[i]
}

// Values is all rows, those of nulls unspecified. It is not to be changed.
func (c Numbers[T]) Values() []T { return c.values }

// Booleans is a column of true and false.
type Booleans struct {
	bits, valid bitmap
	length      int
}

// At is the value of row i; of a null it is unspecified.
func (c Booleans) At(i int) bool { return c.bits[i>>3]>>(i&7)&1 == 1 }

// IsNull tells whether row i is null.
func (c Booleans) IsNull(i int) bool { return !c.valid.get(i) }

// Decimals is a column of decimals.
type Decimals struct {
	values [][16]byte
	valid  bitmap
}

// At is the unscaled value of row i as a two's complement integer of 128 bits,
// little-endian; of a null it is unspecified.
func (c Decimals) At(i int) [16]byte { return c.values[i] }

// IsNull tells whether row i is null.
func (c Decimals) IsNull(i int) bool { return !c.valid.get(i) }

// Strings is a column of text.
type Strings struct {
	offsets []int32
	data    []byte
	valid   bitmap
}

// At is the text of row i, "" for a null. It is valid until the transform
// returns: clone it to keep it.
func (c Strings) At(i int) string {
	if !c.valid.get(i) {
		return ""
	}
	b := c.data[c.offsets[i]:c.offsets[i+1]]
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// IsNull tells whether row i is null.
func (c Strings) IsNull(i int) bool { return !c.valid.get(i) }

// Or is the text of row i, or instead when it is null.
func (c Strings) Or(i int, instead string) string {
	if !c.valid.get(i) {
		return instead
	}
	return c.At(i)
}

// Binaries is a column of bytes.
type Binaries struct {
	offsets []int32
	data    []byte
	valid   bitmap
}

// At is the bytes of row i, nil for a null. They are not to be changed, and are
// valid until the transform returns.
func (c Binaries) At(i int) []byte {
	if !c.valid.get(i) {
		return nil
	}
	return c.data[c.offsets[i]:c.offsets[i+1]:c.offsets[i+1]]
}

// IsNull tells whether row i is null.
func (c Binaries) IsNull(i int) bool { return !c.valid.get(i) }
