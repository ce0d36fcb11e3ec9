package lakehouse

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func TestTextsThatOneColumnCannotHoldAreRefused(t *testing.T) {
	column := func(texts ...string) arrow.Array {
		b := array.NewStringBuilder(memory.DefaultAllocator)
		defer b.Release()
		b.AppendStringValues(texts, nil)
		return b.NewArray()
	}
	long := column("ada", "bob", "eve")
	parts := []arrow.Array{array.NewSlice(long, 1, 3), column("cid"), column(), array.MakeArrayOfNull(memory.DefaultAllocator, arrow.PrimitiveTypes.Int64, 5)}
	if err := checkTextBytes(parts, 9); err != nil {
		t.Errorf("9 bytes of 9: got error %v, want none", err)
	}
	if err := checkTextBytes(parts, 8); err == nil || !strings.Contains(err.Error(), "9 bytes in it, and it holds 8 at most; let epochs be smaller") {
		t.Errorf("9 bytes of 8: got error %v, want one that tells both and the way out", err)
	}
}
