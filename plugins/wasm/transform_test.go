package wasm

import (
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
)

func TestEveryTypeSurvivesTheRoundTrip(t *testing.T) {
	whole := everyRow(100)
	defer whole.Release()
	for _, mode := range []string{"pass", "copy"} {
		tr := openKit(t, mode, Init{Input: everyType()})
		for _, cut := range [][2]int64{{0, 100}, {0, 0}, {3, 4}, {5, 71}, {64, 100}, {13, 13}, {0, 1}} {
			in := whole.NewSlice(cut[0], cut[1])
			r := process(t, tr, in)
			if len(r.Errors) != 0 || len(r.Outputs) != 1 || r.Outputs[0].Origin != nil {
				t.Fatalf("%s %v: got %d errors, %d outputs, origin %v", mode, cut, len(r.Errors), len(r.Outputs), r.Outputs[0].Origin)
			}
			if got := r.Outputs[0].Rows; !array.RecordEqual(got, in) {
				t.Errorf("%s %v: got\n%v\nwant\n%v", mode, cut, got, in)
			}
			in.Release()
		}
	}
}

func TestFilterKeepsOriginAndValues(t *testing.T) {
	in := idTextRows(1, "a", "b", "c", "d", "e")
	defer in.Release()
	r := process(t, openKit(t, "even", Init{}), in)
	want := idTextRows(2, "b")
	defer want.Release()
	if got := ids(r.Outputs[0]); !slices.Equal(got, []int64{2, 4}) {
		t.Errorf("got ids %v", got)
	}
	if got := r.Outputs[0].Origin; !slices.Equal(got, []int32{1, 3}) {
		t.Errorf("got origin %v", got)
	}
	if got := r.Outputs[0].Rows.NewSlice(0, 1); !array.RecordEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
