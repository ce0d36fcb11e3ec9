package lakehouse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/codec"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/lakehouse/storage"
)

// dataFile is one Parquet file being written.
type dataFile struct {
	table     *Table
	location  string
	partition partitionKey
	sink      *sink
	parquet   *pqarrow.FileWriter
	used      int64 // the writer's clock when it was last written
}

func newDataFile(ctx context.Context, t *Table, location string, partition partitionKey, mem memory.Allocator) (*dataFile, error) {
	out, err := t.store.Create(ctx, location)
	if err != nil {
		return nil, fmt.Errorf("create data file %s: %w", location, err)
	}
	s := &sink{out: out, digest: sha256.New()}
	properties, arrowProperties, err := parquetProperties(t.arrow, mem)
	if err != nil {
		out.Abort()
		return nil, err
	}
	w, err := pqarrow.NewFileWriter(t.arrow, s, properties, arrowProperties)
	if err != nil {
		out.Abort()
		return nil, fmt.Errorf("begin data file %s: %w", location, err)
	}
	return &dataFile{table: t, location: location, partition: partition, sink: s, parquet: w}, nil
}

// parquetProperties are those of profile strict: page V1, PLAIN and dictionary
// encodings only, zstd level 1, decimals as integers where they fit
// (invariant 7). The dictionary is dropped per column when the first page
// shows that it does not pay; arrow-go must be asked for that on every column.
// None is tried for plain columns, given by their path.
func parquetProperties(schema *arrow.Schema, mem memory.Allocator, plain ...string) (*parquet.WriterProperties, pqarrow.ArrowWriterProperties, error) {
	options := []parquet.WriterProperty{
		parquet.WithAllocator(mem),
		parquet.WithDataPageVersion(parquet.DataPageV1),
		parquet.WithDataPageSize(128 << 10),
		parquet.WithBatchSize(16 << 10),
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(1),
		parquet.WithMaxRowGroupLength(1 << 20),
		parquet.WithStoreDecimalAsInteger(true),
		parquet.WithRootName("table"),
		parquet.WithCreatedBy("calve version 1.0.0 (build calve)"), // parquet-java parses it, and warns of another form
	}
	arrowProperties := pqarrow.NewArrowWriterProperties(pqarrow.WithAllocator(mem))
	leaves, err := pqarrow.ToParquet(schema, parquet.NewWriterProperties(options...), arrowProperties)
	if err != nil {
		return nil, arrowProperties, fmt.Errorf("convert schema to parquet: %w", err)
	}
	for i := range leaves.NumColumns() {
		path := leaves.Column(i).Path()
		options = append(options, parquet.WithDictionaryCostFallbackFor(path, true))
		if slices.Contains(plain, path) {
			options = append(options, parquet.WithDictionaryFor(path, false))
		}
	}
	return parquet.NewWriterProperties(options...), arrowProperties, nil
}

func (f *dataFile) write(rows arrow.RecordBatch) error {
	if f.parquet.RowGroupTotalBytesWritten() >= rowGroupBytes {
		if err := f.parquet.NewBufferedRowGroupChecked(); err != nil {
			return fmt.Errorf("begin row group of %s: %w", f.location, err)
		}
	}
	if err := f.parquet.WriteBuffered(rows); err != nil {
		return fmt.Errorf("encode rows into %s: %w", f.location, err)
	}
	return nil
}

// size is about how large the file would be if it ended now.
func (f *dataFile) size() int64 { return f.sink.written + f.parquet.RowGroupTotalCompressedBytes() }

// buffered is about how much memory the open row group holds.
func (f *dataFile) buffered() int64 { return f.parquet.RowGroupTotalBytesWritten() }

// close ends and publishes the file.
func (f *dataFile) close() (File, error) {
	defer f.sink.out.Abort()
	if err := f.parquet.Close(); err != nil {
		return File{}, fmt.Errorf("encode footer: %w", err)
	}
	footer, err := f.parquet.FileMetadata()
	if err != nil {
		return File{}, fmt.Errorf("read footer: %w", err)
	}
	if err := f.sink.out.Commit(); err != nil {
		return File{}, fmt.Errorf("publish: %w", err)
	}
	return describeFile(f.table, f.location, f.partition, footer, f.sink)
}

// describeFile makes the manifest entry of a data file that was published.
func describeFile(t *Table, location string, partition partitionKey, footer *metadata.FileMetaData, to *sink) (File, error) {
	data, err := table.DataFileFromMetadata(table.DataFileArgs{
		Schema: t.schema, Spec: t.spec, Format: iceberg.ParquetFile, Metadata: footer,
		FilePath: location, FileSize: to.written, Content: iceberg.EntryContentData,
		FormatVersion: t.version, Properties: t.properties, PartitionValues: partition.values,
	})
	if err != nil {
		return File{}, fmt.Errorf("describe: %w", err)
	}
	entry, err := codec.EncodeDataFile(data, t.spec, t.schema, t.version)
	if err != nil {
		return File{}, fmt.Errorf("encode manifest entry: %w", err)
	}
	return File{
		Location: location, Bytes: to.written, Rows: footer.NumRows,
		SHA256: hex.EncodeToString(to.digest.Sum(nil)), Entry: entry,
	}, nil
}

func (f *dataFile) abort() { f.sink.out.Abort() }

// sink counts and digests what goes to the store.
type sink struct {
	out     storage.Writer
	digest  hash.Hash
	written int64
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.out.Write(p)
	s.digest.Write(p[:n])
	s.written += int64(n)
	return n, err
}
