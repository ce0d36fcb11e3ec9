package vector

import (
	"fmt"
	"testing"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
)

// TestColumnsBeginInLinesOfDifferentSets: what a row writes must not fall into
// the few lines of one set of a cache.
func TestColumnsBeginInLinesOfDifferentSets(t *testing.T) {
	const columns, line, page = 40, 64, 4096
	var fields []arrow.Field
	for i := range columns {
		fields = append(fields, arrow.Field{Name: fmt.Sprint(i), Type: arrow.PrimitiveTypes.Int64})
	}
	set, err := NewSet(arrow.NewSchema(fields, nil), 8192, 0)
	if err != nil {
		t.Fatal(err)
	}
	columnsOf := map[uintptr]int{}
	for _, v := range set.Columns {
		at := uintptr(unsafe.Pointer(&v.I64[0]))
		if at%line != 0 {
			t.Errorf("got a column at %d bytes behind a line, want Arrow's alignment", at%line)
		}
		columnsOf[at%page/line]++
	}
	for set, n := range columnsOf {
		if n > 2 {
			t.Errorf("got %d columns of %d that begin in set %d, want 2 at most", n, columns, set)
		}
	}
}
