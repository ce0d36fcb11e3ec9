package dimension

import (
	"fmt"
	"math"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func TestPartsAreOfTheTypesOfTheNaturalKey(t *testing.T) {
	whole, long, text := arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int64, arrow.BinaryTypes.String
	for _, c := range []struct {
		have, want arrow.DataType
		fits       bool
	}{{text, text, true}, {whole, long, true}, {long, whole, true}, {long, long, true}, {text, long, false}, {whole, text, false}} {
		err := CheckPart("foreign_keys[0].on", arrow.Field{Name: "id", Type: c.have}, "dim_users", c.want)
		if (err == nil) != c.fits {
			t.Errorf("%s for %s: got %v", c.have, c.want, err)
		}
	}
}

func TestWholeNumbersAreCastToEachOther(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	b := array.NewInt64Builder(mem)
	defer b.Release()
	b.AppendValues([]int64{7, math.MinInt32, math.MaxInt32 + 1, math.MinInt32 - 1, 0}, []bool{true, true, true, true, false})
	longs := b.NewArray()
	defer longs.Release()
	ints := CastPart(longs, mem)
	defer ints.Release()
	if got, want := fmt.Sprint(ints), "[7 -2147483648 (null) (null) (null)]"; got != want || ints.DataType() != arrow.PrimitiveTypes.Int32 {
		t.Errorf("got %s of %s, want %s", got, ints.DataType(), want)
	}
	again := CastPart(ints, mem)
	defer again.Release()
	if got, want := fmt.Sprint(again), "[7 -2147483648 (null) (null) (null)]"; got != want || again.DataType() != arrow.PrimitiveTypes.Int64 {
		t.Errorf("back: got %s of %s, want %s", got, again.DataType(), want)
	}
}
