package record_test

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
)

// goldenPart is a part of a key, as interop/keys/surrogate_keys.py reads it.
type goldenPart struct {
	Type  string
	Value any
}

// TestSurrogateKeysAreThoseOfDbtUtils compares with keys that DuckDB computed of
// what dbt_utils.generate_surrogate_key renders (interop/keys).
func TestSurrogateKeysAreThoseOfDbtUtils(t *testing.T) {
	file, err := os.Open("testdata/surrogate_keys.json")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // only read from
	var golden struct {
		Cases []struct {
			Name, Key string
			Parts     []goldenPart
		}
	}
	decoder := json.NewDecoder(file)
	decoder.UseNumber() // a long has more digits than a float64
	if err := decoder.Decode(&golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Cases) < 30 {
		t.Fatalf("got %d cases, want the committed ones", len(golden.Cases))
	}
	for _, c := range golden.Cases {
		parts := make([]arrow.Array, len(c.Parts))
		for i, p := range c.Parts {
			parts[i] = p.column(t)
			defer parts[i].Release()
		}
		keys, err := record.SurrogateKeys(parts, memory.DefaultAllocator)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		if got := keys.Value(0); got != c.Key {
			t.Errorf("%s: got key %s, dbt_utils has %s", c.Name, got, c.Key)
		}
		keys.Release()
	}
}

// column is the part in one row.
func (p goldenPart) column(t *testing.T) arrow.Array {
	t.Helper()
	types := map[string]arrow.DataType{
		"string": arrow.BinaryTypes.String, "int": arrow.PrimitiveTypes.Int32, "long": arrow.PrimitiveTypes.Int64,
		"date": arrow.FixedWidthTypes.Date32, "boolean": arrow.FixedWidthTypes.Boolean, "timestamptz": record.Timestamptz,
	}
	b := array.NewBuilder(memory.DefaultAllocator, types[p.Type])
	defer b.Release()
	if p.Value == nil {
		b.AppendNull()
		return b.NewArray()
	}
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(p.Value.(string))
	case *array.BooleanBuilder:
		b.Append(p.Value.(bool))
	case *array.TimestampBuilder:
		at, err := time.Parse("2006-01-02 15:04:05-07", p.Value.(string))
		if err != nil {
			t.Fatal(err)
		}
		b.Append(arrow.Timestamp(at.UnixMicro()))
	case *array.Date32Builder:
		at, err := time.Parse(time.DateOnly, p.Value.(string))
		if err != nil {
			t.Fatal(err)
		}
		b.Append(arrow.Date32FromTime(at))
	default:
		number, err := p.Value.(json.Number).Int64()
		if err != nil {
			t.Fatal(err)
		}
		appendInteger(b, number)
	}
	return b.NewArray()
}

func appendInteger(b array.Builder, number int64) {
	switch b := b.(type) {
	case *array.Int32Builder:
		b.Append(int32(number))
	case *array.Int64Builder:
		b.Append(number)
	}
}
