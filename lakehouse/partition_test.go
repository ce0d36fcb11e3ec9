package lakehouse

import (
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// TestPartitionValuesOutliveTheirBatch: values are kept by the writer, and the
// memory of a batch is written again once it is released.
func TestPartitionValuesOutliveTheirBatch(t *testing.T) {
	text := []byte("abc")
	for _, typ := range []arrow.DataType{arrow.BinaryTypes.String, arrow.BinaryTypes.Binary} {
		copy(text, "abc")
		data := array.NewData(typ, 1, []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes([]int32{0, 3})), memory.NewBufferBytes(text)}, nil, 0, 0)
		literal, err := sourceLiteral(array.MakeFromData(data), 0)
		if err != nil {
			t.Fatal(err)
		}
		copy(text, "xyz")
		got := ""
		switch v := literal.Any().(type) {
		case string:
			got = v
		case []byte:
			got = string(v)
		}
		if got != "abc" {
			t.Errorf("%s: got %q after the batch was overwritten, want abc", typ, got)
		}
	}
}
