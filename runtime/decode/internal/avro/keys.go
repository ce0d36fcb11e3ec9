package avro

import (
	stdbytes "bytes"
	"cmp"
	"slices"

	"github.com/calvelake/calve/runtime/decode/internal/cast"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

var errTwice = &cast.Error{Expected: "a map, in which each key comes once"}

// fewKeys is the number of keys up to which comparing all pairs costs less than
// sorting.
const fewKeys = 8

// repeated returns a row from first on whose key an earlier one has, or -1.
func (r *Reader) repeated(keys *vector.Vector, first int) int {
	if keys.Len-first <= fewKeys {
		for i := first + 1; i < keys.Len; i++ {
			for j := first; j < i; j++ {
				if compareRows(keys, i, j) == 0 {
					return i
				}
			}
		}
		return -1
	}
	r.order = r.order[:0]
	for i := first; i < keys.Len; i++ {
		r.order = append(r.order, int32(i))
	}
	slices.SortFunc(r.order, func(a, b int32) int { return compareRows(keys, int(a), int(b)) })
	for i := 1; i < len(r.order); i++ {
		if compareRows(keys, int(r.order[i-1]), int(r.order[i])) == 0 {
			return int(max(r.order[i-1], r.order[i]))
		}
	}
	return -1
}

// compareRows orders two rows of a vector of scalars, which are not null.
func compareRows(v *vector.Vector, a, b int) int {
	switch v.Kind {
	case vector.String, vector.Binary:
		return stdbytes.Compare(v.Data[v.Offsets[a]:v.Offsets[a+1]], v.Data[v.Offsets[b]:v.Offsets[b+1]])
	case vector.Int, vector.Date:
		return cmp.Compare(v.I32[a], v.I32[b])
	case vector.Long, vector.Timestamp:
		return cmp.Compare(v.I64[a], v.I64[b])
	case vector.Decimal:
		return v.Decimals[a].Cmp(v.Decimals[b])
	case vector.Double:
		return cmp.Compare(v.F64[a], v.F64[b])
	case vector.Float:
		return cmp.Compare(v.F32[a], v.F32[b])
	case vector.Boolean:
		return int(v.Bits[a>>3]>>(a&7)&1) - int(v.Bits[b>>3]>>(b&7)&1)
	}
	panic("BUG: rows of a nested vector are not ordered")
}
