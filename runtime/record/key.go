package record

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// NullKeyPart stands for a null part of a surrogate key: the same text that
// dbt_utils.generate_surrogate_key puts there, so that a key can be computed in
// SQL.
const NullKeyPart = "_dbt_utils_surrogate_key_null_"

// KeyBytes is the length of a surrogate key: an md5 in hexadecimal digits.
const KeyBytes = 2 * md5.Size

// IsKeyType tells whether a column can be a part of a surrogate key: string,
// int, long, date, boolean or timestamptz. The texts of other types differ
// between engines.
func IsKeyType(t arrow.DataType) bool {
	switch t.ID() {
	case arrow.STRING, arrow.INT32, arrow.INT64, arrow.DATE32, arrow.BOOL:
		return true
	case arrow.TIMESTAMP:
		return arrow.TypeEqual(t, Timestamptz)
	}
	return false
}

// SurrogateKeys computes a key for each row of parts, which are columns of one
// length: the md5, in lower-case hexadecimal digits, of the parts' texts joined
// by "-". A null is NullKeyPart, a timestamptz its µs since 1970 UTC, a date as
// in 2024-02-29 (invariant 8). The caller releases the result.
//
// It is dbt_utils.generate_surrogate_key over the same texts, and as there the
// parts ("a-b", "c") and ("a", "b-c") have the same key.
func SurrogateKeys(parts []arrow.Array, mem memory.Allocator) (*array.String, error) {
	if len(parts) == 0 {
		return nil, fmt.Errorf("BUG: a surrogate key without parts")
	}
	rows := parts[0].Len()
	texts := make([]keyText, len(parts))
	for i, p := range parts {
		if p.Len() != rows {
			return nil, fmt.Errorf("BUG: part %d of a surrogate key has %d rows, the first %d", i, p.Len(), rows)
		}
		if texts[i] = keyTextOf(p); texts[i] == nil {
			return nil, fmt.Errorf("BUG: part %d of a surrogate key is %s, it can be string, int, long, date, boolean or timestamptz", i, p.DataType())
		}
	}
	if rows > math.MaxInt32/KeyBytes {
		return nil, fmt.Errorf("hash keys: %d rows at once are more than a column can hold (2 GiB)", rows)
	}
	offsets, keys := memory.NewResizableBuffer(mem), memory.NewResizableBuffer(mem)
	defer offsets.Release()
	defer keys.Release()
	offsets.Resize((rows + 1) * arrow.Int32SizeBytes)
	keys.Resize(rows * KeyBytes)
	hashKeys(parts, texts, arrow.Int32Traits.CastFromBytes(offsets.Bytes()), keys.Bytes())
	data := array.NewData(arrow.BinaryTypes.String, rows, []*memory.Buffer{nil, offsets, keys}, nil, 0, 0)
	defer data.Release()
	return array.NewStringData(data), nil
}

func hashKeys(parts []arrow.Array, texts []keyText, offsets []int32, keys []byte) {
	var text []byte
	for row := range len(offsets) - 1 {
		text = text[:0]
		for i, p := range parts {
			if i > 0 {
				text = append(text, '-')
			}
			if p.IsNull(row) {
				text = append(text, NullKeyPart...)
				continue
			}
			text = texts[i](text, row)
		}
		sum := md5.Sum(text)
		hex.Encode(keys[row*KeyBytes:], sum[:])
		offsets[row+1] = int32((row + 1) * KeyBytes)
	}
	offsets[0] = 0
}

// keyText appends the text of a row that is not null.
type keyText func(to []byte, row int) []byte

func keyTextOf(a arrow.Array) keyText {
	if !IsKeyType(a.DataType()) {
		return nil
	}
	switch a := a.(type) {
	case *array.String:
		return func(to []byte, row int) []byte { return append(to, a.Value(row)...) }
	case *array.Int32:
		return func(to []byte, row int) []byte { return strconv.AppendInt(to, int64(a.Value(row)), 10) }
	case *array.Int64:
		return func(to []byte, row int) []byte { return strconv.AppendInt(to, a.Value(row), 10) }
	case *array.Timestamp:
		return func(to []byte, row int) []byte { return strconv.AppendInt(to, int64(a.Value(row)), 10) }
	case *array.Boolean:
		return func(to []byte, row int) []byte { return strconv.AppendBool(to, a.Value(row)) }
	case *array.Date32:
		const secondsPerDay = 86_400
		return func(to []byte, row int) []byte {
			return time.Unix(int64(a.Value(row))*secondsPerDay, 0).UTC().AppendFormat(to, time.DateOnly)
		}
	}
	return nil
}
