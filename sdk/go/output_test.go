package calve

import (
	"slices"
	"strings"
	"testing"
)

// batchOf is a batch of three rows: n long (1, null, 3), s string ("a", "b", null).
func batchOf() *Batch {
	n := []int64{1, 0, 3}
	return &Batch{length: 3, watermark: noWatermark, columns: []vector{
		{column: Long("n"), length: 3, valid: bitmap{0b101}, data: bytesOf(n), source: 64},
		{column: String("s"), length: 3, valid: bitmap{0b011}, offsets: []int32{0, 1, 2, 2}, data: []byte("ab"), source: 128},
		{column: Boolean("b"), length: 3, data: []byte{0b110}, source: 192},
	}}
}

// outputOf is an output for that batch.
func outputOf(columns ...Column) *Output {
	o := newOutputs([][]Column{columns, {Long("n")}})
	o.begin(3)
	return o.streams[0]
}

// failure is the text of the panic of f.
func failure(f func()) (text string) {
	defer func() {
		if e, ok := recover().(error); ok {
			text = e.Error()
		}
	}()
	f()
	return "no panic"
}

func TestReaders(t *testing.T) {
	b := batchOf()
	n, s, f := b.Long("n"), b.String("s"), b.Boolean("b")
	if n.At(0) != 1 || !n.IsNull(1) || n.Or(1, 9) != 9 || n.Or(2, 9) != 3 || !slices.Equal(n.Values(), []int64{1, 0, 3}) {
		t.Errorf("got %v", n)
	}
	if s.At(0) != "a" || s.At(1) != "b" || s.At(2) != "" || s.Or(2, "x") != "x" || !s.IsNull(2) {
		t.Errorf("got %v", s)
	}
	if f.At(0) || !f.At(1) || !f.At(2) || f.IsNull(0) {
		t.Errorf("got %v", f)
	}
	if _, ok := b.Watermark(); ok {
		t.Error("got a watermark")
	}
	if _, ok := b.Position(0); ok {
		t.Error("got a position")
	}
}

func TestMistakesNameTheColumn(t *testing.T) {
	b := batchOf()
	for _, c := range []struct {
		name string
		run  func()
		want string
	}{
		{"no such input", func() { b.Long("nn") }, `no input column "nn", the input has n, s, b`},
		{"input of another type", func() { b.Double("n") }, `input column "n" has format "l", not "g"`},
		{"no such output", func() { outputOf(Long("x")).Long("y") }, `output column "y" is not declared`},
		{"output of another type", func() { outputOf(Long("x")).String("x") }, `output column "x" is declared with format "l", not "u"`},
		{"pass another type", func() { outputOf(Long("x")).Pass("x", b.Column("s")) }, `"x" is declared with format "l", not "u"`},
		{"strings out of order", func() { s := outputOf(String("s")).String("s"); s.Set(1, "x"); s.Set(1, "y") }, "row 1 is set after row 1"},
		{"drop what is not there", func() { outputOf().Drop(3) }, "row 3 is outside the batch of 3 rows"},
		{"no such stream", func() { outputOf().Stream(2) }, "no output stream 2"},
		{"rows without OwnRows", func() { outputOf().AddRow(0) }, "OwnRows"},
		{"rows out of order", func() { o := outputOf(); o.OwnRows(); o.AddRow(2); o.AddRow(1) }, "AddRow(1) after row 2"},
	} {
		if got := failure(c.run); !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestRowsNotSetAreNull(t *testing.T) {
	o := outputOf(Int("i"), String("s"), Boolean("b"), Decimal("d", 10, 2))
	o.Int("i").Set(2, -7)
	s := o.String("s")
	s.Set(1, "häb")
	o.Boolean("b").Set(0, true)
	d := o.Decimal("d")
	d.SetInt(1, -1)
	d.Set(2, [16]byte{15: 1})
	got, err := o.finish()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bitmap{{0b100}, {0b010}, {0b001}, {0b110}} {
		if !slices.Equal(got[i].valid, want) || got[i].length != 3 {
			t.Errorf("column %d: got validity %08b, length %d, want %08b", i, got[i].valid, got[i].length, want)
		}
	}
	if v := values[int32](got[0]); v[2] != -7 {
		t.Errorf("got %v", v)
	}
	if !slices.Equal(got[1].offsets, []int32{0, 0, 4, 4}) || string(got[1].data) != "häb" {
		t.Errorf("got %v, %q", got[1].offsets, got[1].data)
	}
	if v := values[[16]byte](got[3]); v[1] != [16]byte(slices.Repeat([]byte{0xff}, 16)) || v[2] != [16]byte{15: 1} {
		t.Errorf("got %v", v)
	}
}

func TestBuildersForgetTheBatchBefore(t *testing.T) {
	all := newOutputs([][]Column{{Int("i"), String("s")}})
	o := all.streams[0]
	all.begin(3)
	copy(o.Int("i").Values(), []int32{1, 2, 3})
	o.String("s").Set(0, "x")
	o.Drop(1)
	o.RowError(2, "c", "", "m")
	if _, err := o.finish(); err != nil {
		t.Fatal(err)
	}
	all.begin(2)
	if _, err := o.finish(); err == nil || !strings.Contains(err.Error(), `"i" was not set`) {
		t.Errorf("got %v", err)
	}
	o.Int("i")
	o.String("s")
	got, err := o.finish()
	if err != nil || o.selection != nil || len(all.errors.rows) != 0 {
		t.Fatalf("got %v, selection %v, errors %v", err, o.selection, all.errors.rows)
	}
	if v := values[int32](got[0]); got[0].valid[0] != 0 || v[0] != 0 || v[1] != 0 || len(got[1].data) != 0 {
		t.Errorf("got %v of the batch before", v)
	}
}

func TestDropAndWhereSelect(t *testing.T) {
	o := outputOf(Long("n"))
	o.Pass("n", batchOf().Column("n"))
	o.Where(func(i int) bool { return i != 1 })
	o.Drop(2)
	if !slices.Equal(o.selection, bitmap{0b001}) {
		t.Errorf("got %08b", o.selection)
	}
	got, err := o.finish()
	if err != nil || got[0].source != 64 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestOwnRowsMayBeMoreThanTheInput(t *testing.T) {
	o := outputOf(Long("n"), String("s"))
	o.OwnRows()
	n, s := o.Long("n"), o.String("s")
	for k := range 20 {
		row := o.AddRow(k / 10)
		n.Set(row, int64(k))
		if k%2 == 0 {
			s.Set(row, "x")
		}
	}
	got, err := o.finish()
	if err != nil || got[0].length != 20 || got[1].length != 20 || len(got[1].offsets) != 21 || got[1].offsets[20] != 10 {
		t.Fatalf("got %+v, %v", got, err)
	}
	if v := values[int64](got[0]); v[19] != 19 || o.rows[19] != 1 {
		t.Errorf("got %v from %v", v, o.rows)
	}
	passing := outputOf(Long("n"))
	passing.OwnRows()
	passing.Pass("n", batchOf().Column("n"))
	if _, err := passing.finish(); err == nil {
		t.Error("a column was passed through to rows of its own")
	}
}

func TestFirstErrorOfARowCounts(t *testing.T) {
	o := outputOf(Long("n"))
	o.RowError(2, "one", "n", "first")
	o.RowError(2, "two", "", "second")
	o.Stream(1).RowError(0, "three", "", "")
	c, err := o.shared.errors.finish()
	if err != nil {
		t.Fatal(err)
	}
	if rows := values[uint32](c[rowErrorRow]); !slices.Equal(rows, []uint32{2, 0}) || string(c[rowErrorCode].data) != "onethree" || string(c[rowErrorMessage].data) != "first" {
		t.Errorf("got %v, %q", rows, c[rowErrorCode].data)
	}
}
