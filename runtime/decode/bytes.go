package decode

import (
	"fmt"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
)

// parseBytes reads the bytes of a key, a value or a header into a cell.
func (c *column) parseBytes(raw []byte, to *cell) *valueError {
	if c.value.kind == kindString && !utf8.Valid(raw) {
		return &valueError{code: record.CodeType, found: raw, expected: "string, valid UTF-8"}
	}
	to.null, to.bytes = false, raw
	return nil
}

// bytesRows makes the rows of formats text and bytes: each column is one copy
// of the records' bytes, with offsets, and UTF-8 is checked over a column as a
// whole. Only if that fails are single rows looked at.
func bytesRows(d *Decoder, s *record.Slice, keep []int32) (result, error) {
	var rejects []record.Reject
	for {
		columns, bad, err := d.bytesColumns(s, keep)
		if err != nil {
			return result{}, err
		}
		if len(bad) == 0 {
			rows := array.NewRecordBatch(d.schema, columns, int64(len(keep)))
			release(columns)
			return result{rows: rows, records: keep, rejects: rejects}, nil
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
		b := bytesColumn{column: &d.columns[i], mem: d.mem, text: d.format == "text"}
		if bad := b.fill(s, keep); len(bad) > 0 {
			b.release()
			return columns, bad, nil
		}
		columns = append(columns, b.array(d.schema.Field(i).Type, len(keep)))
	}
	return columns, nil, nil
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
				expected: b.value.name + " from " + b.source.String() + ", since the column is neither nullable nor has a default"}))
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
		return b.fallback.bytes, false
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
	return b.value.kind == kindString || b.text && b.source.kind == sourceValue
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
	return record.Reject{Record: index, Code: err.code, Column: b.name, Message: fmt.Sprintf("column %s: %s", b.name, err)}
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
