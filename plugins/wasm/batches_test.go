package wasm

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

var timestamptz = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}

// everyType has a column of every type that a model can declare.
func everyType() *arrow.Schema {
	null := func(name string, t arrow.DataType) arrow.Field {
		return arrow.Field{Name: name, Type: t, Nullable: true}
	}
	return arrow.NewSchema([]arrow.Field{
		null("flag", arrow.FixedWidthTypes.Boolean),
		null("small", arrow.PrimitiveTypes.Int32),
		null("big", arrow.PrimitiveTypes.Int64),
		null("single", arrow.PrimitiveTypes.Float32),
		null("double", arrow.PrimitiveTypes.Float64),
		null("amount", &arrow.Decimal128Type{Precision: 38, Scale: 4}),
		null("text", arrow.BinaryTypes.String),
		null("raw", arrow.BinaryTypes.Binary),
		null("day", arrow.PrimitiveTypes.Date32),
		null("at", &arrow.TimestampType{Unit: arrow.Microsecond}),
		null("at_utc", timestamptz),
		null("list", arrow.ListOfField(null("element", arrow.BinaryTypes.String))),
		null("nested", arrow.StructOf(null("a", arrow.PrimitiveTypes.Int64), null("b", arrow.ListOfField(null("element", arrow.PrimitiveTypes.Int32))))),
		null("pairs", arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Float64)),
	}, nil)
}

// everyRow makes rows for everyType; each column has nulls at rows of its own.
func everyRow(n int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, everyType())
	defer b.Release()
	for i := range n {
		for c, f := range b.Fields() {
			if (i+c)%7 == 3 {
				f.AppendNull()
				continue
			}
			appendValue(f, i)
		}
	}
	return b.NewRecordBatch()
}

func appendValue(b array.Builder, i int) {
	switch b := b.(type) {
	case *array.BooleanBuilder:
		b.Append(i%3 == 0)
	case *array.Int32Builder:
		b.Append(int32(i) - 5)
	case *array.Int64Builder:
		b.Append(int64(i) << 33)
	case *array.Float32Builder:
		b.Append(float32(i) / 3)
	case *array.Float64Builder:
		b.Append(float64(i) / 7)
	case *array.Decimal128Builder:
		b.Append(decimal128.New(int64(i)-9, uint64(i)*1_000_003))
	case *array.StringBuilder:
		b.Append(fmt.Sprintf("tëxt %d", i))
	case *array.BinaryBuilder:
		b.Append([]byte{0xff, byte(i), 0})
	case *array.Date32Builder:
		b.Append(arrow.Date32(i - 100))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(int64(i) * 1e12))
	case *array.MapBuilder:
		b.Append(true)
		for k := range i % 3 {
			appendValue(b.KeyBuilder(), k)
			appendValue(b.ItemBuilder(), i+k)
		}
	case *array.ListBuilder:
		b.Append(true)
		for k := range i % 4 {
			appendValue(b.ValueBuilder(), i+k)
		}
	case *array.StructBuilder:
		b.Append(true)
		for k := range b.NumField() {
			appendValue(b.FieldBuilder(k), i+k)
		}
	default:
		panic(fmt.Sprintf("no value for %T", b))
	}
}

// idText is the two columns that most modes of the kit need.
func idText() *arrow.Schema {
	return arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64},
		{Name: "text", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil)
}

// idTextRows numbers rows from first on.
func idTextRows(first int64, texts ...string) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, idText())
	defer b.Release()
	for i, s := range texts {
		b.Field(0).(*array.Int64Builder).Append(first + int64(i))
		b.Field(1).(*array.StringBuilder).Append(s)
	}
	return b.NewRecordBatch()
}

// ids is the id column of an output.
func ids(o Output) []int64 {
	return o.Rows.Column(o.Rows.Schema().FieldIndices("id")[0]).(*array.Int64).Int64Values()
}

func openKit(t testing.TB, mode string, init Init) *Transform {
	t.Helper()
	if init.Input == nil {
		init.Input = idText()
	}
	if init.Output == nil {
		init.Output = init.Input
	}
	if init.Config == nil {
		init.Config = json.RawMessage(fmt.Sprintf(`{"mode":%q}`, mode))
	}
	tr, err := goPlugin(t, "kit").Open(t.Context(), init)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return tr
}

func process(t testing.TB, tr *Transform, in arrow.RecordBatch) Result {
	t.Helper()
	r, err := tr.Process(t.Context(), in, Meta{}, NoWatermark)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Release)
	return r
}
