package vector

import (
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
)

var types = []string{
	"boolean", "int", "long", "float", "double", "decimal(20,3)", "string", "binary", "date", "timestamp", "timestamptz",
	"struct<a: int, b: string, c: list<long>>", "list<string>", "list<struct<a: list<int>, b: boolean>>", "map<string, list<int>>",
}

// TestRowsEqualThoseOfBuilders writes random rows, one in three of them rolled
// back, and compares with arrow-go's builders, which see only the others.
func TestRowsEqualThoseOfBuilders(t *testing.T) {
	fields := make([]arrow.Field, len(types))
	for i, text := range types {
		typ, err := record.ParseType(text)
		if err != nil {
			t.Fatal(err)
		}
		fields[i] = arrow.Field{Name: text, Type: typ, Nullable: true}
	}
	schema := arrow.NewSchema(fields, nil)
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		set, err := NewSet(schema, random.IntN(4), random.IntN(10))
		if err != nil {
			t.Fatal(err)
		}
		builder := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		rows := random.IntN(100)
		for set.Row < rows {
			if random.IntN(3) == 0 {
				for i, v := range set.Columns[:random.IntN(len(types)+1)] {
					discarded := array.NewBuilder(memory.DefaultAllocator, fields[i].Type)
					write(random, v, set.Row, discarded)
				}
				set.Rollback()
				continue
			}
			for i, v := range set.Columns {
				write(random, v, set.Row, builder.Field(i))
			}
			set.Next()
		}
		want := builder.NewRecordBatch()
		if got := set.Batch(); !array.RecordEqual(got, want) {
			t.Fatalf("seed %d: got %v\nwant %v", seed, got, want)
		}
	}
}

// write writes one random value to a row of v and to b.
func write(random *rand.Rand, v *Vector, row int, b array.Builder) {
	if random.IntN(4) == 0 {
		if random.IntN(2) == 0 || !v.NullText(row) {
			v.SetNull(row)
		}
		b.AppendNull()
		return
	}
	n := random.Int64N(1000)
	switch b := b.(type) {
	case *array.BooleanBuilder:
		v.SetBool(row, n%2 == 0)
		b.Append(n%2 == 0)
	case *array.Int32Builder:
		v.I32[row] = int32(n)
		b.Append(int32(n))
	case *array.Date32Builder:
		v.I32[row] = int32(n)
		b.Append(arrow.Date32(n))
	case *array.Int64Builder:
		v.I64[row] = n
		b.Append(n)
	case *array.TimestampBuilder:
		v.I64[row] = n
		b.Append(arrow.Timestamp(n))
	case *array.Float32Builder:
		v.F32[row] = float32(n)
		b.Append(float32(n))
	case *array.Float64Builder:
		v.F64[row] = float64(n)
		b.Append(float64(n))
	case *array.Decimal128Builder:
		v.Decimals[row] = decimal128.FromI64(n)
		b.Append(decimal128.FromI64(n))
	case *array.StringBuilder:
		text := make([]byte, n%5)
		v.SetBytes(row, text)
		b.Append(string(text))
	case *array.BinaryBuilder:
		v.SetBytes(row, []byte{byte(n)})
		b.Append([]byte{byte(n)})
	case *array.StructBuilder:
		b.Append(true)
		for i, kid := range v.Kids {
			write(random, kid, row, b.FieldBuilder(i))
		}
	case *array.MapBuilder:
		b.Append(true)
		for range n % 3 {
			key := v.Kids[0].Append()
			v.Kids[0].SetBytes(key, []byte{byte(n)})
			b.KeyBuilder().(*array.StringBuilder).Append(string([]byte{byte(n)}))
			write(random, v.Kids[1], v.Kids[1].Append(), b.ItemBuilder())
		}
		v.End(row)
	case *array.ListBuilder:
		b.Append(true)
		for range n % 4 {
			write(random, v.Kids[0], v.Kids[0].Append(), b.ValueBuilder())
		}
		v.End(row)
	}
}

func TestTypesThatNoColumnHasAreRefused(t *testing.T) {
	if _, err := New(arrow.ListOf(arrow.PrimitiveTypes.Uint8)); err == nil {
		t.Error("got no error for list<uint8>")
	}
}
