package rowdrop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

var columns = arrow.NewSchema([]arrow.Field{
	{Name: "key", Type: arrow.BinaryTypes.String},
	{Name: "text", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "few", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "one", Type: arrow.BinaryTypes.String},
	{Name: "long", Type: arrow.PrimitiveTypes.Int64},
	{Name: "int", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
	{Name: "at", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, Nullable: true},
	{Name: "day", Type: arrow.FixedWidthTypes.Date32},
	{Name: "flag", Type: arrow.FixedWidthTypes.Boolean},
	{Name: "maybe", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
	{Name: "price", Type: &arrow.Decimal128Type{Precision: 12, Scale: 2}},
	{Name: "big", Type: &arrow.Decimal128Type{Precision: 38, Scale: 2}, Nullable: true},
	{Name: "none", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
}, nil)

// rows are random, with nulls where they may be.
func rows(rng *rand.Rand, n int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, columns)
	defer b.Release()
	nulls := rng.Float64()
	for range n {
		for i, f := range columns.Fields() {
			if f.Name == "none" || f.Nullable && rng.Float64() < nulls {
				b.Field(i).AppendNull()
				continue
			}
			v := rng.Int64N(2_000_000) - 1_000_000
			switch c := b.Field(i).(type) {
			case *array.StringBuilder:
				switch f.Name {
				case "one":
					c.Append("always")
				case "few":
					c.Append(fmt.Sprint("value ", v%7))
				case "key":
					c.Append(fmt.Sprintf("%016x%016x", rng.Uint64(), rng.Uint64()))
				default:
					c.Append(string(bytes.Repeat([]byte{'a' + byte(rng.IntN(26))}, rng.IntN(30))))
				}
			case *array.Int64Builder:
				c.Append(v)
			case *array.Int32Builder:
				c.Append(int32(v % 50))
			case *array.TimestampBuilder:
				c.Append(arrow.Timestamp(v))
			case *array.Date32Builder:
				c.Append(arrow.Date32(v))
			case *array.BooleanBuilder:
				c.Append(v%3 == 0)
			case *array.Decimal128Builder:
				c.Append(decimal128.FromI64(v))
			default:
				panic(fmt.Sprintf("no values of %T", c))
			}
		}
	}
	return b.NewRecordBatch()
}

func encode(t testing.TB, batch arrow.RecordBatch, options ...parquet.WriterProperty) []byte {
	t.Helper()
	options = append([]parquet.WriterProperty{
		parquet.WithDataPageVersion(parquet.DataPageV1), parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCompressionLevel(1),
		parquet.WithStoreDecimalAsInteger(true),
	}, options...)
	var body bytes.Buffer
	w, err := pqarrow.NewFileWriter(batch.Schema(), &body, parquet.NewWriterProperties(options...), pqarrow.DefaultWriterProps())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.WriteBuffered(batch), w.Close()); err != nil {
		t.Fatal(err)
	}
	return body.Bytes()
}

func open(t testing.TB, body []byte) *file.Reader {
	t.Helper()
	r, err := file.NewParquetReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func read(t *testing.T, body []byte) arrow.Table {
	t.Helper()
	r, err := pqarrow.NewFileReader(open(t, body), pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	table, err := r.ReadTable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// finish makes a readable file of what Drop returns.
func finish(t *testing.T, body []byte, footer *metadata.FileMetaData) []byte {
	t.Helper()
	out := bytes.NewBuffer(slices.Clone(body))
	n, err := footer.WriteTo(out, nil)
	if err != nil {
		t.Fatal(err)
	}
	out.Write([]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})
	out.WriteString(magic)
	return out.Bytes()
}

// What is left of a row group equals what is left of the rows, and its statistics
// equal those of a row group that is written of them.
func TestDropEqualsWritingWhatStays(t *testing.T) {
	d, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for seed := range uint64(120) {
		rng := rand.New(rand.NewPCG(seed, 2))
		n := 2 + rng.IntN(4000)
		batch := rows(rng, n)
		options := []parquet.WriterProperty{parquet.WithDictionaryDefault(rng.IntN(2) == 0), parquet.WithDataPageSize(int64(256 << rng.IntN(10))), parquet.WithBatchSize(int64(16 << rng.IntN(8)))}
		body := encode(t, batch, options...)
		share := []float64{0.001, 0.01, 0.3, 0.9}[rng.IntN(4)]
		var drop []int
		var keep []int64
		for row := range n {
			if rng.Float64() < share && len(drop) < n-1 {
				drop = append(drop, row)
			} else {
				keep = append(keep, int64(row))
			}
		}
		made, footer, err := d.Drop(body, open(t, body).MetaData(), 0, drop)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		want := take(t, batch, keep)
		got := read(t, finish(t, made, footer))
		if !array.TableEqual(got, array.NewTableFromRecords(got.Schema(), []arrow.RecordBatch{array.NewRecordBatch(got.Schema(), want.Columns(), want.NumRows())})) {
			t.Fatalf("seed %d: %d of %d rows dropped, what stays differs", seed, len(drop), n)
		}
		compareStatistics(t, seed, footer, open(t, encode(t, want, options...)).MetaData())
	}
}

func take(t *testing.T, batch arrow.RecordBatch, keep []int64) arrow.RecordBatch {
	t.Helper()
	b := array.NewInt64Builder(memory.DefaultAllocator)
	defer b.Release()
	b.AppendValues(keep, nil)
	taken := make([]arrow.Array, batch.NumCols())
	for i := range taken {
		column, err := compute.TakeArray(context.Background(), batch.Column(i), b.NewArray())
		if err != nil {
			t.Fatal(err)
		}
		taken[i] = column
		b.AppendValues(keep, nil)
	}
	return array.NewRecordBatch(batch.Schema(), taken, int64(len(keep)))
}

func compareStatistics(t *testing.T, seed uint64, got, want *metadata.FileMetaData) {
	t.Helper()
	if got.NumRows != want.NumRows || got.RowGroups[0].NumRows != want.NumRows {
		t.Fatalf("seed %d: %d rows, want %d", seed, got.RowGroups[0].NumRows, want.NumRows)
	}
	sum := int64(0)
	for i := range got.Schema.NumColumns() {
		g, w := got.RowGroups[0].Columns[i].MetaData, want.RowGroups[0].Columns[i].MetaData
		path := got.Schema.Column(i).Path()
		sum += g.TotalCompressedSize
		if g.NumValues != w.NumValues || g.Statistics.GetNullCount() != w.Statistics.GetNullCount() {
			t.Errorf("seed %d: %s has %d values and %d nulls, want %d and %d", seed, path, g.NumValues, g.Statistics.GetNullCount(), w.NumValues, w.Statistics.GetNullCount())
		}
		if !bytes.Equal(g.Statistics.MinValue, w.Statistics.MinValue) || !bytes.Equal(g.Statistics.MaxValue, w.Statistics.MaxValue) ||
			g.Statistics.IsSetMinValue() != w.Statistics.IsSetMinValue() {
			t.Errorf("seed %d: %s goes from %x to %x, want %x to %x", seed, path, g.Statistics.MinValue, g.Statistics.MaxValue, w.Statistics.MinValue, w.Statistics.MaxValue)
		}
	}
	if size := got.RowGroups[0].GetTotalCompressedSize(); size != sum {
		t.Errorf("seed %d: row group of %d bytes, its columns have %d", seed, size, sum)
	}
}

func TestWhatIsNotTakenApart(t *testing.T) {
	d, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	batch := rows(rand.New(rand.NewPCG(1, 1)), 100)
	list := array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: "l", Type: arrow.ListOf(arrow.PrimitiveTypes.Int64), Nullable: true}}, nil),
		[]arrow.Array{array.MakeArrayOfNull(memory.DefaultAllocator, arrow.ListOf(arrow.PrimitiveTypes.Int64), 100)}, 100)
	for name, body := range map[string][]byte{
		"another codec": encode(t, batch, parquet.WithCompression(compress.Codecs.Snappy)),
		"pages V2":      encode(t, batch, parquet.WithDataPageVersion(parquet.DataPageV2)),
		"a list":        encode(t, list),
	} {
		if _, _, err := d.Drop(body, open(t, body).MetaData(), 0, []int{3}); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: got %v, want ErrUnsupported", name, err)
		}
	}
	body := encode(t, batch)
	every := make([]int, 100)
	for i := range every {
		every[i] = i
	}
	if _, _, err := d.Drop(body, open(t, body).MetaData(), 0, every); !errors.Is(err, ErrUnsupported) {
		t.Errorf("every row dropped: got %v, want ErrUnsupported", err)
	}
}

func TestByteArrays(t *testing.T) {
	d, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	batch := rows(rand.New(rand.NewPCG(4, 1)), 3000)
	body := encode(t, batch, parquet.WithDictionaryFor("key", false), parquet.WithDataPageSize(4096), parquet.WithBatchSize(64))
	footer := open(t, body).MetaData()
	row := 0
	err = d.ByteArrays(body, footer, 0, 0, func(v []byte) {
		if want := batch.Column(0).(*array.String).Value(row); string(v) != want {
			t.Fatalf("row %d is %q, want %q", row, v, want)
		}
		row++
	})
	if err != nil || row != 3000 {
		t.Errorf("%d values (%v), want 3000", row, err)
	}
	for _, leaf := range []int{1, 2, 4} { // nulls, a dictionary, numbers
		if err := d.ByteArrays(body, footer, 0, leaf, func([]byte) { t.Error("a value") }); !errors.Is(err, ErrUnsupported) {
			t.Errorf("column %d: got %v, want ErrUnsupported", leaf, err)
		}
	}
}

// Frames without sequences are read by a decoder that knows nothing of them.
func TestLiteralsAreZstd(t *testing.T) {
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	rng := rand.New(rand.NewPCG(9, 9))
	for _, size := range []int{0, 1, 100, 1023, 1024, 5000, blockMax - 1, blockMax, blockMax + 1, 3*blockMax + 77} {
		for _, letters := range []int{1, 16, 256} {
			page := make([]byte, size)
			for i := range page {
				page[i] = byte(rng.IntN(letters))
			}
			frame, err := c.encodeLiterals(page)
			if err != nil {
				t.Fatal(err)
			}
			codec, err := compress.GetCodec(compress.Codecs.Zstd)
			if err != nil {
				t.Fatal(err)
			}
			if got := codec.Decode(nil, slices.Clone(frame)); !bytes.Equal(got, page) {
				t.Errorf("%d bytes of %d letters come back as %d others", size, letters, len(got))
			}
			if letters == 16 && size > 5000 && len(frame) > size*6/10 {
				t.Errorf("%d bytes of 16 letters take %d, want about half", size, len(frame))
			}
		}
	}
}

// Whatever is in a page, nothing but an error comes of it.
func FuzzDrop(f *testing.F) {
	batch := rows(rand.New(rand.NewPCG(5, 5)), 50)
	body := encode(f, batch)
	footer := open(f, body).MetaData()
	f.Add(100, []byte{0xff, 0x00, 0x7f})
	f.Fuzz(func(t *testing.T, at int, patch []byte) {
		d, err := New()
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		broken := slices.Clone(body)
		if at < 0 || at >= len(broken) {
			return
		}
		copy(broken[at:], patch)
		_, _, _ = d.Drop(broken, footer, 0, []int{1, 7, 49})
		_ = d.ByteArrays(broken, footer, 0, 0, func([]byte) {})
	})
}
