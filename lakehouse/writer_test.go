package lakehouse

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/codec"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/runtime/record"
)

// testTable is a table as a catalog would return it, without one.
func testTable(t *testing.T, store storage.Store, d Definition) *Table {
	t.Helper()
	spec, err := d.createSpec("test")
	if err != nil {
		t.Fatal(err)
	}
	meta, err := table.NewMetadata(spec.Schema, spec.Spec, table.UnsortedSortOrder, store.Root()+"/"+d.ID.Name, spec.Properties)
	if err != nil {
		t.Fatal(err)
	}
	lake := New(Config{Pipeline: "test", Nonce: "w1", Logger: slog.New(slog.DiscardHandler)}, store, nil)
	tbl, err := lake.table(d.ID, table.New(table.Identifier{d.ID.Namespace, d.ID.Name}, meta, "", nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	return tbl
}

func testNames(store storage.Store) *Names {
	return New(Config{Nonce: "w1"}, store, nil).Names(1)
}

// everyType is a schema with each type of the project language.
func everyType(t *testing.T) *arrow.Schema {
	t.Helper()
	var fields []arrow.Field
	for i, text := range []string{"long", "boolean", "int", "float", "double", "decimal(9,2)", "decimal(38,10)", "string", "binary", "date",
		"timestamp", "timestamptz", "struct<a: int, b: list<string>>", "list<struct<x: double>>", "map<string, long>"} {
		typ, err := record.ParseType(text)
		if err != nil {
			t.Fatal(err)
		}
		fields = append(fields, arrow.Field{Name: fmt.Sprintf("c%d", i), Type: typ, Nullable: i > 0})
	}
	return arrow.NewSchema(fields, nil)
}

const everyTypeRows = `[
{"c0":1,"c1":true,"c2":-5,"c3":1.5,"c4":2.25,"c5":"1234567.89","c6":"0.0000000001","c7":"ä","c8":"AAEC","c9":"2015-05-17","c10":"2015-05-17 10:05:03.000001","c11":"1969-12-31 23:59:59.999999Z","c12":{"a":1,"b":["x",null]},"c13":[{"x":1.5},null],"c14":[{"key":"k","value":9}]},
{"c0":2},
{"c0":3,"c7":"","c12":{"a":null,"b":[]},"c13":[],"c14":[]}
]`

func fromJSON(t *testing.T, schema *arrow.Schema, text string) arrow.RecordBatch {
	t.Helper()
	rows, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// readFile reads a data file back.
func readFile(t *testing.T, store storage.Store, location string) (*file.Reader, arrow.Table) {
	t.Helper()
	body, err := store.Get(t.Context(), location)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := file.NewParquetReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := pqarrow.ReadTable(t.Context(), bytes.NewReader(body), parquet.NewReaderProperties(nil), pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	return reader, rows
}

func write(t *testing.T, w *Writer, batches ...arrow.RecordBatch) []File {
	t.Helper()
	for _, b := range batches {
		if err := w.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	files, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func newWriter(t *testing.T, tbl *Table, config WriterConfig) *Writer {
	t.Helper()
	w, err := tbl.NewWriter(testNames(tbl.store), config)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestWriterKeepsEveryType(t *testing.T) {
	store := storage.NewMemory("s3://lake")
	schema := everyType(t)
	tbl := testTable(t, store, Definition{ID: catalog.Identifier{Namespace: "n", Name: "t"}, Schema: schema})
	rows := fromJSON(t, schema, everyTypeRows)
	files := write(t, newWriter(t, tbl, WriterConfig{}), rows)
	if len(files) != 1 || files[0].Rows != 3 {
		t.Fatalf("got %d files, want one of 3 rows", len(files))
	}
	_, back := readFile(t, store, files[0].Location)
	for i := range int(back.NumCols()) {
		got, want := fmt.Sprint(back.Column(i).Data().Chunk(0)), fmt.Sprint(rows.Column(i))
		if got != want {
			t.Errorf("column %s reads back as %s, want %s", back.Column(i).Name(), got, want)
		}
	}
}

// Invariant 7 at the level of a file's bytes: a library upgrade that brings
// back V2 pages, odd encodings or a lost field id fails here.
func TestDataFilesAreReadableByAll(t *testing.T) {
	store := storage.NewMemory("s3://lake")
	schema := everyType(t)
	tbl := testTable(t, store, Definition{ID: catalog.Identifier{Namespace: "n", Name: "t"}, Schema: schema})
	files := write(t, newWriter(t, tbl, WriterConfig{}), fromJSON(t, schema, everyTypeRows))
	reader, _ := readFile(t, store, files[0].Location)
	allowed := map[parquet.Encoding]bool{parquet.Encodings.Plain: true, parquet.Encodings.RLE: true, parquet.Encodings.RLEDict: true, parquet.Encodings.BitPacked: true, parquet.Encodings.PlainDict: true}
	group := reader.MetaData().RowGroup(0)
	for i := range group.NumColumns() {
		column, err := group.ColumnChunk(i)
		if err != nil {
			t.Fatal(err)
		}
		leaf := reader.MetaData().Schema.Column(i)
		if column.Compression() != compress.Codecs.Zstd {
			t.Errorf("%s: codec %s, want zstd", leaf.Path(), column.Compression())
		}
		for _, encoding := range column.Encodings() {
			if !allowed[encoding] {
				t.Errorf("%s: encoding %s", leaf.Path(), encoding)
			}
		}
		if leaf.SchemaNode().FieldID() < 1 {
			t.Errorf("%s: field id %d, want ≥ 1", leaf.Path(), leaf.SchemaNode().FieldID())
		}
		if leaf.PhysicalType() == parquet.Types.Int96 {
			t.Errorf("%s: INT96", leaf.Path())
		}
		pages, err := reader.RowGroup(0).GetColumnPageReader(i)
		if err != nil {
			t.Fatal(err)
		}
		for pages.Next() {
			if _, v2 := pages.Page().(*file.DataPageV2); v2 {
				t.Errorf("%s: data page V2", leaf.Path())
			}
		}
		if err := pages.Err(); err != nil && err != io.EOF {
			t.Fatal(err)
		}
	}
	want := map[string]string{"c5": "INT32", "c6": "FIXED_LEN_BYTE_ARRAY"}
	for i := range reader.MetaData().Schema.NumColumns() {
		leaf := reader.MetaData().Schema.Column(i)
		if w, ok := want[leaf.Path()]; ok && leaf.PhysicalType().String() != w {
			t.Errorf("%s is stored as %s, want %s", leaf.Path(), leaf.PhysicalType(), w)
		}
		if strings.Contains(leaf.Path(), ".list.") && !strings.Contains(leaf.Path(), ".list.element") {
			t.Errorf("%s: the list's member is not called element", leaf.Path())
		}
	}
}

func decodeEntry(t *testing.T, tbl *Table, f File) iceberg.DataFile {
	t.Helper()
	data, err := codec.DecodeDataFile(f.Entry, tbl.spec, tbl.schema, tbl.version)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestPartitionsKeepNullEmptyAndTheWordNullApart(t *testing.T) {
	store := storage.NewMemory("s3://lake")
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "region", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	tbl := testTable(t, store, Definition{ID: catalog.Identifier{Namespace: "n", Name: "t"}, Schema: schema, PartitionBy: []PartitionField{{Column: "region", Transform: "identity"}}})
	rows := fromJSON(t, schema, `[{"id":1,"region":null},{"id":2,"region":"null"},{"id":3,"region":""},{"id":4,"region":null},{"id":5,"region":"eu"},{"id":6,"region":""}]`)
	got := map[string]string{}
	for _, f := range write(t, newWriter(t, tbl, WriterConfig{}), rows) {
		_, back := readFile(t, store, f.Location)
		got[fmt.Sprintf("%#v", decodeEntry(t, tbl, f).Partition()[firstPartitionFieldID])] = fmt.Sprint(back.Column(0).Data().Chunk(0))
	}
	want := map[string]string{`<nil>`: "[1 4]", `"null"`: "[2]", `""`: "[3 6]", `"eu"`: "[5]"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("partitions %v, want %v", got, want)
	}
}

// Each transform's values equal what the Iceberg library computes row by row.
func TestPartitionValuesEqualTheTransforms(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "at", Type: record.Timestamptz, Nullable: true}, {Name: "day", Type: arrow.FixedWidthTypes.Date32, Nullable: true},
		{Name: "name", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "n", Type: arrow.PrimitiveTypes.Int32, Nullable: true}, {Name: "price", Type: &arrow.Decimal128Type{Precision: 9, Scale: 2}, Nullable: true},
	}, nil)
	rng := rand.New(rand.NewPCG(1, 2))
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i := range 500 {
		if i%17 == 0 {
			for f := range schema.NumFields() {
				b.Field(f).AppendNull()
			}
			continue
		}
		b.Field(0).(*array.TimestampBuilder).Append(arrow.Timestamp(rng.Int64N(4e15) - 2e15))
		b.Field(1).(*array.Date32Builder).Append(arrow.Date32(rng.Int32N(40000) - 20000))
		b.Field(2).(*array.StringBuilder).Append(fmt.Sprintf("käse-%d", rng.IntN(50)))
		b.Field(3).(*array.Int64Builder).Append(rng.Int64() - 1<<62)
		b.Field(4).(*array.Int32Builder).Append(rng.Int32() - 1<<30)
		_ = b.Field(5).AppendValueFromString(fmt.Sprintf("%d.%02d", rng.IntN(1000)-500, rng.IntN(100)))
	}
	rows := b.NewRecordBatch()
	for _, f := range []PartitionField{
		{"at", "year", 0}, {"at", "month", 0}, {"at", "day", 0}, {"at", "hour", 0}, {"day", "month", 0}, {"day", "day", 0}, {"day", "identity", 0},
		{"name", "identity", 0}, {"name", "truncate", 3}, {"name", "bucket", 7}, {"id", "bucket", 16}, {"id", "truncate", 100}, {"n", "identity", 0},
		{"n", "bucket", 4}, {"price", "truncate", 50}, {"price", "bucket", 5}, {"at", "bucket", 8},
	} {
		tbl := testTable(t, storage.NewMemory("s3://lake"), Definition{ID: catalog.Identifier{Namespace: "n", Name: "t"}, Schema: schema, PartitionBy: []PartitionField{f}})
		p, err := newPartitioner(tbl.spec, tbl.schema)
		if err != nil {
			t.Fatal(err)
		}
		runs, err := p.runs(rows)
		if err != nil {
			t.Fatalf("%s(%s): %v", f.Transform, f.Column, err)
		}
		column := rows.Column(schema.FieldIndices(f.Column)[0])
		transform, _ := f.transform()
		for _, r := range runs {
			for i := r.from; i < r.to; i++ {
				want := any(nil)
				if !column.IsNull(int(i)) {
					literal, err := sourceLiteral(column, int(i))
					if err != nil {
						t.Fatal(err)
					}
					out := transform.Apply(iceberg.Optional[iceberg.Literal]{Valid: true, Val: literal})
					want = out.Val.Any()
				}
				got := r.key.values[firstPartitionFieldID]
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatalf("%s(%s) row %d: %v, want %v", f.Transform, f.Column, i, got, want)
				}
			}
		}
	}
}

func TestWriterBoundsOpenFilesAndLosesNothing(t *testing.T) {
	store := storage.NewMemory("s3://lake")
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "tags", Type: arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64), Nullable: true}}, nil)
	tbl := testTable(t, store, Definition{ID: catalog.Identifier{Namespace: "n", Name: "t"}, Schema: schema, PartitionBy: []PartitionField{{Column: "id", Transform: "bucket", N: 50}}})
	w := newWriter(t, tbl, WriterConfig{MaxOpenFiles: 3})
	var want int64
	for batch := range 4 {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for i := range 200 {
			id := int64(batch*200 + i)
			want += id
			b.Field(0).(*array.Int64Builder).Append(id)
			b.Field(1).AppendNull()
		}
		if err := w.Write(t.Context(), b.NewRecordBatch()); err != nil {
			t.Fatal(err)
		}
		if len(w.open) > 3 {
			t.Fatalf("%d files open, want at most 3", len(w.open))
		}
	}
	files, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	var rows, sum int64
	for _, f := range files {
		rows += f.Rows
		_, back := readFile(t, store, f.Location)
		for _, id := range back.Column(0).Data().Chunk(0).(*array.Int64).Int64Values() {
			sum += id
		}
	}
	if rows != 800 || sum != want {
		t.Errorf("%d rows with ids adding up to %d, want 800 and %d", rows, sum, want)
	}
}

func TestMemoryBudgetEndsFilesEarly(t *testing.T) {
	store := storage.NewMemory("s3://lake")
	schema := arrow.NewSchema([]arrow.Field{{Name: "s", Type: arrow.BinaryTypes.String}}, nil)
	tbl := testTable(t, store, Definition{ID: catalog.Identifier{Namespace: "n", Name: "t"}, Schema: schema})
	w := newWriter(t, tbl, WriterConfig{MemoryBytes: 1 << 20})
	for range 8 {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for range 4000 {
			b.Field(0).(*array.StringBuilder).Append(uuid.NewString() + uuid.NewString())
		}
		if err := w.Write(t.Context(), b.NewRecordBatch()); err != nil {
			t.Fatal(err)
		}
		if w.Buffered() > 1<<20 {
			t.Fatalf("%d bytes buffered, the budget is 1 MiB", w.Buffered())
		}
	}
	if files := write(t, w); len(files) < 2 {
		t.Errorf("%d files, want several", len(files))
	}
}

func TestWriterNamesWhatDoesNotFit(t *testing.T) {
	store := storage.NewMemory("s3://lake")
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "s", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	tbl := testTable(t, store, Definition{ID: catalog.Identifier{Namespace: "n", Name: "t"}, Schema: schema})
	for name, c := range map[string]struct {
		fields []arrow.Field
		rows   string
		want   string
	}{
		"missing column": {[]arrow.Field{{Name: "s", Type: arrow.BinaryTypes.String}}, `[{"s":"x"}]`, "column id: not in the rows, and the table takes no null"},
		"wrong type":     {[]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Float64}, {Name: "s", Type: arrow.BinaryTypes.String}}, `[{"id":1,"s":"x"}]`, "column id: the rows have float64, the table int64"},
		"extra column":   {[]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "s", Type: arrow.BinaryTypes.String}, {Name: "z", Type: arrow.BinaryTypes.String}}, `[{"id":1,"s":"x","z":"y"}]`, "1 columns of the rows are not in the table"},
		"null":           {[]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "s", Type: arrow.BinaryTypes.String}}, `[{"id":null,"s":"x"}]`, "1 nulls in a required column"},
	} {
		err := newWriter(t, tbl, WriterConfig{}).Write(t.Context(), fromJSON(t, arrow.NewSchema(c.fields, nil), c.rows))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "n.t") {
			t.Errorf("%s: got %v, want a message with %q", name, err, c.want)
		}
	}
}

func TestAbortedWriterLeavesNoObject(t *testing.T) {
	store := storage.NewMemory("s3://lake")
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}}, nil)
	tbl := testTable(t, store, Definition{ID: catalog.Identifier{Namespace: "n", Name: "t"}, Schema: schema})
	w := newWriter(t, tbl, WriterConfig{})
	if err := w.Write(t.Context(), fromJSON(t, schema, `[{"id":1}]`)); err != nil {
		t.Fatal(err)
	}
	w.Abort()
	for object, err := range store.List(t.Context(), "s3://lake/") {
		t.Errorf("object %s left (%v)", object.Location, err)
	}
}

// benchRows is one row of idSchema.
var benchRows = func() arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, idSchema)
	defer b.Release()
	b.Field(0).(*array.Int64Builder).Append(1)
	b.Field(1).(*array.StringBuilder).Append("eu")
	return b.NewRecordBatch()
}()
