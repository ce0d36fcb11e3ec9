package dimension

import (
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
)

// CheckPart refuses a column by which no part of the natural key of a dimension can
// be found: both are of one type, or whole numbers. what is its place in the model
// that refers to the dimension.
func CheckPart(what string, column arrow.Field, dimension string, part arrow.DataType) error {
	if arrow.TypeEqual(column.Type, part) || isWhole(column.Type) && isWhole(part) {
		return nil
	}
	return fmt.Errorf("%s: column %s is %s, the natural key of %s has %s there; give both the same data_type", what, column.Name, record.FormatType(column.Type), dimension, record.FormatType(part))
}

func isWhole(t arrow.DataType) bool { return t.ID() == arrow.INT32 || t.ID() == arrow.INT64 }

// CastPart makes longs of ints, and the reverse: a part of a Lookup's member is of
// the type that the dimension has. A number that it does not hold is that of no
// member, and null. The caller releases the result.
func CastPart(column arrow.Array, mem memory.Allocator) arrow.Array {
	if ints, ok := column.(*array.Int32); ok {
		made := array.NewInt64Builder(mem)
		defer made.Release()
		for i := range ints.Len() {
			if ints.IsNull(i) {
				made.AppendNull()
			} else {
				made.Append(int64(ints.Value(i)))
			}
		}
		return made.NewArray()
	}
	longs := column.(*array.Int64)
	made := array.NewInt32Builder(mem)
	defer made.Release()
	for i := range longs.Len() {
		if v := longs.Value(i); longs.IsNull(i) || v < math.MinInt32 || v > math.MaxInt32 {
			made.AppendNull()
		} else {
			made.Append(int32(v))
		}
	}
	return made.NewArray()
}
