package vector

import (
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
)

func TestSetZeroReplacesWhatARolledBackRowLeft(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "a", Type: arrow.FixedWidthTypes.Boolean}, {Name: "b", Type: arrow.PrimitiveTypes.Int32},
		{Name: "c", Type: arrow.PrimitiveTypes.Float64}, {Name: "d", Type: arrow.BinaryTypes.String}}, nil)
	set, err := NewSet(schema, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	set.Columns[0].SetBool(0, true)
	set.Columns[1].I32[0] = 7
	set.Columns[2].F64[0] = 7
	set.Columns[3].SetBytes(0, []byte("x"))
	set.Rollback()
	for _, v := range set.Columns {
		v.SetZero(0)
	}
	set.Next()
	batch := set.Batch()
	for i, want := range []string{"false", "0", "0", ""} {
		if got := batch.Column(i).ValueStr(0); got != want || batch.Column(i).IsNull(0) {
			t.Errorf("column %d: got %q, want %q", i, got, want)
		}
	}
}
