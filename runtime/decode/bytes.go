package decode

import (
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"github.com/calvelake/calve/runtime/record"
)

// bytesRows makes the rows of formats text and bytes: each column is one copy
// of the records' bytes, with offsets, and UTF-8 is checked over a column as a
// whole. Only if that fails are single rows looked at.
func bytesRows(_ context.Context, d *Decoder, s *record.Slice, a admitted) (result, error) {
	keep := a.keep
	var rejects []record.Reject
	for {
		columns, bad, err := d.bytesColumns(s, keep)
		if err != nil {
			release(columns)
			return result{}, err
		}
		if len(bad) == 0 {
			rows := array.NewRecordBatch(d.schema, columns, int64(len(keep)))
			release(columns)
			return result{rows: rows, records: keep, kept: len(keep), rejects: rejects}, nil
		}
		release(columns)
		rejects = append(rejects, bad...)
		keep = without(keep, bad)
	}
}

// bytesColumns builds all columns of the records in keep, or, of the first
// column that has any, the rejects.
func (d *Decoder) bytesColumns(s *record.Slice, keep []int32) ([]arrow.Array, []record.Reject, error) {
	columns := make([]arrow.Array, 0, len(d.columns))
	for i := range d.columns {
		if !d.columns[i].whole() {
			column, bad, err := d.scalarColumn(i, s, keep)
			if err != nil || len(bad) > 0 {
				return columns, bad, err
			}
			columns = append(columns, column)
			continue
		}
		b := bytesColumn{column: &d.columns[i], mem: d.mem, text: d.format.name == "text"}
		if bad := b.fill(s, keep); len(bad) > 0 {
			b.release()
			return columns, bad, nil
		}
		columns = append(columns, b.array(d.schema.Field(i).Type, len(keep)))
	}
	return columns, nil, nil
}

// scalarColumn builds a column that reads bytes as the text of a scalar.
func (d *Decoder) scalarColumn(i int, s *record.Slice, keep []int32) (arrow.Array, []record.Reject, error) {
	set, err := vector.NewSet(arrow.NewSchema([]arrow.Field{d.schema.Field(i)}, nil), len(keep), 0)
	if err != nil {
		return nil, nil, err
	}
	c := &d.columns[i]
	var bad []record.Reject
	for _, index := range keep {
		if err := c.writeBytes(c.source.bytesOf(&s.Records[index]), set.Columns[0], set.Row); err != nil {
			set.Rollback()
			reject := c.reject(err)
			reject.Record = index
			bad = append(bad, *reject)
			continue
		}
		set.Next()
	}
	if len(bad) > 0 {
		return nil, bad, nil
	}
	rows := set.Batch()
	defer rows.Release()
	column := rows.Column(0)
	column.Retain()
	return column, nil, nil
}

// bytesColumn is one column being built.
type bytesColumn struct {
	*column
	mem      memory.Allocator
	text     bool // the format is text: a value that is not UTF-8 is malformed
	validity *memory.Buffer
	offsets  *memory.Buffer
	data     *memory.Buffer
	nulls    int
}

// fill copies the records' bytes, or returns the records that cannot be in the
// column.
func (b *bytesColumn) fill(s *record.Slice, keep []int32) []record.Reject {
	var bad []record.Reject
	size := 0
	for _, index := range keep {
		raw, missing := b.bytesOf(&s.Records[index])
		if missing {
			bad = append(bad, b.reject(index, &valueError{code: record.CodeMissing,
				expected: record.FormatType(b.dataType) + " from " + b.source.String() + ", since the column is neither nullable nor has a default"}))
		}
		size += len(raw)
	}
	if len(bad) > 0 {
		return bad
	}
	b.offsets = memory.NewResizableBuffer(b.mem)
	b.offsets.Resize((len(keep) + 1) * arrow.Int32SizeBytes)
	b.data = memory.NewResizableBuffer(b.mem)
	b.data.Resize(size)
	offsets, data := arrow.Int32Traits.CastFromBytes(b.offsets.Bytes()), b.data.Bytes()
	end := 0
	for row, index := range keep {
		offsets[row] = int32(end)
		raw, _ := b.bytesOf(&s.Records[index])
		if raw == nil {
			b.setNull(row, len(keep))
		}
		end += copy(data[end:], raw)
	}
	offsets[len(keep)] = int32(end)
	if !b.mustBeText() || allText(data, offsets) {
		return nil
	}
	return b.notText(keep, data, offsets)
}

// bytesOf returns the bytes that a record gives the column, its default
// included; nil is a null, and missing tells that there can be none.
func (b *bytesColumn) bytesOf(r *record.Record) (raw []byte, missing bool) {
	if raw = b.source.bytesOf(r); raw != nil {
		return raw, false
	}
	if b.fallback != nil {
		return b.bare, false
	}
	return nil, !b.nullable
}

func (b *bytesColumn) setNull(row, rows int) {
	if b.validity == nil {
		b.validity = memory.NewResizableBuffer(b.mem)
		b.validity.Resize(int(bitutil.BytesForBits(int64(rows))))
		bitutil.SetBitsTo(b.validity.Bytes(), 0, int64(rows), true)
	}
	bitutil.ClearBit(b.validity.Bytes(), row)
	b.nulls++
}

func (b *bytesColumn) mustBeText() bool {
	return b.isText || b.text && b.source.kind == sourceValue
}

// allText tells whether every row is UTF-8. The column as a whole may be while
// a row is not, if a character begins in one row and ends in the next.
func allText(data []byte, offsets []int32) bool {
	if !utf8.Valid(data) {
		return false
	}
	for _, at := range offsets[:len(offsets)-1] {
		if int(at) < len(data) && !utf8.RuneStart(data[at]) {
			return false
		}
	}
	return true
}

func (b *bytesColumn) notText(keep []int32, data []byte, offsets []int32) []record.Reject {
	var bad []record.Reject
	for row, index := range keep {
		raw := data[offsets[row]:offsets[row+1]]
		if utf8.Valid(raw) {
			continue
		}
		code := record.CodeType
		if b.text && b.source.kind == sourceValue {
			code = record.CodeMalformed
		}
		bad = append(bad, b.reject(index, &valueError{code: code, found: raw,
			expected: fmt.Sprintf("valid UTF-8 (byte %d is not)", invalidUTF8(raw)+1)}))
	}
	return bad
}

func (b *bytesColumn) reject(index int32, err *valueError) record.Reject {
	reject := b.column.reject(err)
	reject.Record = index
	return *reject
}

func (b *bytesColumn) array(t arrow.DataType, rows int) arrow.Array {
	data := array.NewData(t, rows, []*memory.Buffer{b.validity, b.offsets, b.data}, nil, b.nulls, 0)
	defer data.Release()
	b.release()
	return array.MakeFromData(data)
}

func (b *bytesColumn) release() {
	for _, buffer := range []*memory.Buffer{b.validity, b.offsets, b.data} {
		if buffer != nil {
			buffer.Release()
		}
	}
}

func release(columns []arrow.Array) {
	for _, c := range columns {
		c.Release()
	}
}

// without returns keep without the rejected records; both are in ascending
// order.
func without(keep []int32, bad []record.Reject) []int32 {
	rest := make([]int32, 0, len(keep)-len(bad))
	for _, index := range keep {
		if len(bad) > 0 && bad[0].Record == index {
			bad = bad[1:]
			continue
		}
		rest = append(rest, index)
	}
	return rest
}
