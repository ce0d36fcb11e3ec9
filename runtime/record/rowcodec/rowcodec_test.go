package rowcodec

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func everything() *arrow.Schema {
	nullable := func(name string, t arrow.DataType) arrow.Field {
		return arrow.Field{Name: name, Type: t, Nullable: true}
	}
	return arrow.NewSchema([]arrow.Field{
		nullable("b", arrow.FixedWidthTypes.Boolean), nullable("i", arrow.PrimitiveTypes.Int32), {Name: "l", Type: arrow.PrimitiveTypes.Int64},
		nullable("f", arrow.PrimitiveTypes.Float32), nullable("d", arrow.PrimitiveTypes.Float64), nullable("p", &arrow.Decimal128Type{Precision: 38, Scale: 2}),
		nullable("s", arrow.BinaryTypes.String), nullable("x", arrow.BinaryTypes.Binary), nullable("day", arrow.FixedWidthTypes.Date32),
		nullable("at", &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}),
		nullable("li", arrow.ListOf(arrow.StructOf(nullable("a", arrow.PrimitiveTypes.Int32), nullable("t", arrow.ListOf(arrow.BinaryTypes.String))))),
		nullable("ma", arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64)),
	}, nil)
}

const rowsText = `[
	{"b":true,"i":-7,"l":40,"f":1.5,"d":-2.5,"p":"-12.34","s":"Ärger","x":"//4=","day":"2024-02-29","at":"2024-02-29T12:34:56Z","li":[{"a":1,"t":["x",null]},null,{"a":null,"t":null}],"ma":[{"key":"k","value":1},{"key":"","value":null}]},
	{"b":null,"i":null,"l":0,"f":null,"d":null,"p":null,"s":null,"x":null,"day":null,"at":null,"li":null,"ma":null},
	{"b":false,"i":0,"l":-1,"f":0,"d":0,"p":"0","s":"","x":"","day":"1969-12-31","at":"0001-01-01T00:00:00Z","li":[],"ma":[]}]`

func encoded(t testing.TB, rows arrow.RecordBatch) [][]byte {
	t.Helper()
	var out [][]byte
	for i := range int(rows.NumRows()) {
		out = append(out, AppendRow(nil, rows.Columns(), i))
	}
	return out
}

func someRows(t testing.TB) arrow.RecordBatch {
	t.Helper()
	rows, _, err := array.RecordFromJSON(memory.DefaultAllocator, everything(), strings.NewReader(rowsText))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rows.Release)
	return rows
}

func TestRowsOfEveryTypeComeBack(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	rows := someRows(t)
	for from := range rows.NumRows() { // slices of nested columns have offsets
		slice := rows.NewSlice(from, rows.NumRows())
		again, err := Batch(everything(), encoded(t, slice), mem)
		if err != nil {
			t.Fatal(err)
		}
		if !array.RecordEqual(again, slice) {
			t.Errorf("got  %v\nwant %v", again, slice)
		}
		again.Release()
		slice.Release()
	}
}

func TestRowsThatEndEarlyOrLateAreRefused(t *testing.T) {
	whole := encoded(t, someRows(t))[0]
	for n := range whole {
		if _, err := Batch(everything(), [][]byte{whole[:n]}, memory.DefaultAllocator); !errors.Is(err, ErrRow) {
			t.Fatalf("%d of %d bytes: got %v, want ErrRow", n, len(whole), err)
		}
	}
	if _, err := Batch(everything(), [][]byte{append(bytes.Clone(whole), 0)}, memory.DefaultAllocator); !errors.Is(err, ErrRow) {
		t.Errorf("a byte too many: got %v, want ErrRow", err)
	}
	required := arrow.NewSchema([]arrow.Field{{Name: "l", Type: arrow.PrimitiveTypes.Int64}}, nil)
	if _, err := Batch(required, [][]byte{{0}}, memory.DefaultAllocator); !errors.Is(err, ErrRow) {
		t.Errorf("a null where there is none: got %v, want ErrRow", err)
	}
}

func TestTypesOfTablesAreSupported(t *testing.T) {
	for _, f := range everything().Fields() {
		if !Supports(f.Type) {
			t.Errorf("%s is not supported", f.Type)
		}
	}
	for _, other := range []arrow.DataType{arrow.PrimitiveTypes.Uint8, arrow.ListOf(arrow.BinaryTypes.LargeString), arrow.StructOf(arrow.Field{Name: "n", Type: arrow.Null})} {
		if Supports(other) {
			t.Errorf("%s is supported", other)
		}
	}
}

func FuzzBatch(f *testing.F) {
	for _, row := range encoded(f, someRows(f)) {
		f.Add(row)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, err := Batch(everything(), [][]byte{data}, memory.DefaultAllocator)
		if err != nil {
			return
		}
		defer rows.Release()
		again, err := Batch(everything(), encoded(t, rows), memory.DefaultAllocator)
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		defer again.Release()
		if !bytes.Equal(encoded(t, rows)[0], encoded(t, again)[0]) {
			t.Fatalf("row %x is %x when it was read again", encoded(t, rows)[0], encoded(t, again)[0])
		}
	})
}
