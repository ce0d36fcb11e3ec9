package record

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func keysOf(t *testing.T, schema *arrow.Schema, rows string) []string {
	t.Helper()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	batch, _, err := array.RecordFromJSON(mem, schema, strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Release()
	keys, err := SurrogateKeys(batch.Columns(), mem)
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Release()
	out := make([]string, keys.Len())
	for i := range out {
		out[i] = strings.Clone(keys.Value(i))
	}
	return out
}

// The wanted keys are what md5sum gives for the text in the comment.
func TestSurrogateKeysAreThoseOfTheDefinition(t *testing.T) {
	texts := arrow.NewSchema([]arrow.Field{{Name: "a", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "b", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	mixed := arrow.NewSchema([]arrow.Field{
		{Name: "i", Type: arrow.PrimitiveTypes.Int32, Nullable: true}, {Name: "l", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "at", Type: Timestamptz, Nullable: true}, {Name: "d", Type: arrow.FixedWidthTypes.Date32, Nullable: true}, {Name: "b", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
	}, nil)
	one := arrow.NewSchema(texts.Fields()[:1], nil)
	f := func(schema *arrow.Schema, row, want string) {
		t.Helper()
		if got := keysOf(t, schema, "["+row+"]")[0]; got != want {
			t.Errorf("%s: got %s, want %s", row, got, want)
		}
	}
	f(texts, `{"a": "a", "b": "b"}`, "8ca2ed590cf2ea2404f2e67641bcdf50") // a-b
	f(one, `{"a": "a-b"}`, "8ca2ed590cf2ea2404f2e67641bcdf50")
	f(one, `{"a": null}`, "f14cc5cdce0420f4a5a6b6d9d7b85f39") // _dbt_utils_surrogate_key_null_
	f(one, `{"a": ""}`, "d41d8cd98f00b204e9800998ecf8427e")
	f(texts, `{"a": "ü", "b": "9223372036854775807"}`, "1f4b8de663ea10a628eee24ed10d250f") // ü-9223372036854775807
	// 42--7-1709208000000000-2024-02-29-true
	f(mixed, `{"i": 42, "l": -7, "at": "2024-02-29T12:00:00Z", "d": "2024-02-29", "b": true}`, "5380be7a4c26540113077463bd901d1a")
}

func TestSurrogateKeysAreHashedRowByRow(t *testing.T) {
	g := rand.New(rand.NewPCG(1, 2))
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "l", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "b", Type: arrow.FixedWidthTypes.Boolean},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	var want []string
	for range 500 {
		parts := []string{NullKeyPart, NullKeyPart, strconv.FormatBool(g.IntN(2) == 0)}
		if g.IntN(3) > 0 {
			parts[0] = strings.Repeat("xy-", g.IntN(40))
			b.Field(0).(*array.StringBuilder).Append(parts[0])
		} else {
			b.Field(0).AppendNull()
		}
		if g.IntN(3) > 0 {
			v := g.Int64() - g.Int64()
			parts[1] = strconv.FormatInt(v, 10)
			b.Field(1).(*array.Int64Builder).Append(v)
		} else {
			b.Field(1).AppendNull()
		}
		b.Field(2).(*array.BooleanBuilder).Append(parts[2] == "true")
		sum := md5.Sum([]byte(strings.Join(parts, "-")))
		want = append(want, hex.EncodeToString(sum[:]))
	}
	whole := b.NewRecordBatch()
	defer whole.Release()
	rows := whole.NewSlice(13, 490) // not from the first row
	defer rows.Release()
	keys, err := SurrogateKeys(rows.Columns(), memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Release()
	for i := range keys.Len() {
		if got := keys.Value(i); got != want[i+13] {
			t.Errorf("row %d: got %s, want %s", i, got, want[i+13])
		}
	}
}

func TestSurrogateKeysRefuseOtherTypesAndLengths(t *testing.T) {
	doubles := array.MakeArrayOfNull(memory.DefaultAllocator, arrow.PrimitiveTypes.Float64, 1)
	defer doubles.Release()
	local := array.MakeArrayOfNull(memory.DefaultAllocator, &arrow.TimestampType{Unit: arrow.Microsecond}, 1)
	defer local.Release()
	longs := array.MakeArrayOfNull(memory.DefaultAllocator, arrow.PrimitiveTypes.Int64, 2)
	defer longs.Release()
	one := array.MakeArrayOfNull(memory.DefaultAllocator, arrow.PrimitiveTypes.Int64, 1)
	defer one.Release()
	for _, parts := range [][]arrow.Array{nil, {doubles}, {local}, {longs, one}} {
		if keys, err := SurrogateKeys(parts, memory.DefaultAllocator); err == nil {
			t.Errorf("parts %v: got keys %v, want an error", parts, keys)
		}
	}
	for _, typ := range []arrow.DataType{doubles.DataType(), local.DataType(), arrow.BinaryTypes.Binary} {
		if IsKeyType(typ) {
			t.Errorf("%s is taken for a part of a key", typ)
		}
	}
}

func TestAChangelogIsCheckedAgainstItsRows(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "s", Type: arrow.BinaryTypes.String}}, nil)
	rows, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(`[{"s": "a"}, {"s": "b"}]`))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Release()
	for name, c := range map[string]struct {
		changes Changelog
		fits    bool
	}{
		"two changes":        {Changelog{Ops: []Op{OpCreate, OpDelete}, Rows: rows}, true},
		"nothing":            {Changelog{}, true},
		"a row too many":     {Changelog{Ops: []Op{OpUpdate}, Rows: rows}, false},
		"no rows":            {Changelog{Ops: []Op{OpUpdate}}, false},
		"an unknown change":  {Changelog{Ops: []Op{OpCreate, 'x'}, Rows: rows}, false},
		"the zero operation": {Changelog{Ops: make([]Op, 2), Rows: rows}, false},
	} {
		if err := c.changes.Check(); (err == nil) != c.fits {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if got, want := fmt.Sprint(OpCreate, OpUpdate, OpDelete), "c u d"; got != want {
		t.Errorf("got operations %s, want %s", got, want)
	}
}

func BenchmarkSurrogateKeys(b *testing.B) {
	const rows = 10_000
	texts, times := array.NewStringBuilder(memory.DefaultAllocator), array.NewTimestampBuilder(memory.DefaultAllocator, Timestamptz)
	for i := range rows {
		texts.Append("user-" + strconv.Itoa(i))
		times.Append(arrow.Timestamp(i) * 1_000_000)
	}
	parts := []arrow.Array{texts.NewArray(), times.NewArray()}
	for b.Loop() {
		keys, err := SurrogateKeys(parts, memory.DefaultAllocator)
		if err != nil {
			b.Fatal(err)
		}
		keys.Release()
	}
	b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
}
