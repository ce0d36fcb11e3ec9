package cdata

import (
	"bytes"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/sdk/abi"
)

func TestPassedColumnsAreThoseOfTheInput(t *testing.T) {
	in := sample()
	b := Batch{Rows: in}
	memory := make([]byte, base+BatchBytes(b))
	batch, input := WriteBatch(memory[base:], base, b)
	output := Output{Array: u32(memory, int(batch)+abi.BatchArray)}
	want := Want{Schema: in.Schema(), Input: 4, MaxRows: 100}
	read := func(output Output, want Want) arrow.RecordBatch {
		t.Helper()
		got, err := (&Reader{Memory: memory, Budget: 1 << 20, Input: input}).Table(output, want)
		if err != nil {
			t.Fatal(err)
		}
		return got.Rows
	}
	for i, c := range read(output, want).Columns() {
		if c != in.Column(i) {
			t.Errorf("column %d was copied", i)
		}
	}
	dropped := want
	dropped.Dropped = []bool{false, true, false, false}
	if got := read(output, dropped); got.Column(0) == in.Column(0) || got.NumRows() != 3 {
		t.Errorf("with a row dropped: got %v", got)
	}
	first := u32(memory, int(u32(memory, int(output.Array)+abi.ArrayChildren)))
	copy(memory[first+abi.ArrayNullCount:], []byte{255, 255, 255, 255, 255, 255, 255, 255}) // -1: as good, but not as written
	if got := read(output, want); got.Column(0) == in.Column(0) || !array.Equal(got.Column(0), in.Column(0)) || got.Column(1) != in.Column(1) {
		t.Errorf("with a column that the guest changed: got %v", got)
	}
}

func TestTextIsCheckedWhereverItIsNotASCII(t *testing.T) {
	for n := range 200 {
		text := bytes.Repeat([]byte("a"), 200)
		text[n] = 0x80
		if isASCII(text) || !isASCII(text[:n]) || !isASCII(text[n+1:]) {
			t.Errorf("byte %d: not seen, or seen where it is not", n)
		}
	}
}
