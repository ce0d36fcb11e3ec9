//go:build poison

package vector

import (
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

func TestMemoryOfReleasedBatchesIsOverwritten(t *testing.T) {
	set, err := NewPool(arrow.NewSchema([]arrow.Field{{Name: "s", Type: arrow.BinaryTypes.String}}, nil)).Set(1)
	if err != nil {
		t.Fatal(err)
	}
	set.Columns[0].SetBytes(0, []byte("abc"))
	set.Next()
	batch := set.Batch()
	text := batch.Column(0).(*array.String).Value(0)
	if text != "abc" {
		t.Fatalf("got %q, want abc", text)
	}
	batch.Release()
	if want := "\xdb\xdb\xdb"; text != want {
		t.Errorf("got %q of a batch that was released, want %q", text, want)
	}
}
