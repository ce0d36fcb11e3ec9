package lakehouse

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet/metadata"
)

const (
	// keyedGroupRows is where a row group of a keyed table ends: it is what is decoded
	// and encoded when one of its rows changes, beside some 150 bytes a column in
	// the footer.
	keyedGroupRows = 16 << 10
	// keyedGroupBytes is where it ends too if rows are wide; before compression.
	keyedGroupBytes = 8 << 20
)

// parquetMagic begins and ends a Parquet file.
const parquetMagic = "PAR1"

// groupFile is a data file of a keyed table being put together: of row groups of
// other files, as they are, and of new ones. Its footer is made of theirs with
// the offsets that they have here. Bloom filters and page indexes, which lie
// apart from the column chunks, are left out; the profile writes none.
type groupFile struct {
	table     *Table
	location  string
	partition partitionKey
	sink      *sink
	encoder   *groupEncoder
	footer    *metadata.FileMetaData
	groups    []writtenGroup // what the index is told of the file
	used      int64          // the writer's clock when it was last written

	groupRows    int64
	pending      []arrow.RecordBatch // rows of the next row group
	pendingRows  int64
	pendingBytes int64
	hashes       func(rows arrow.RecordBatch, into *writtenGroup) error
}

func newGroupFile(ctx context.Context, t *Table, location string, partition partitionKey, encoder *groupEncoder) (*groupFile, error) {
	out, err := t.store.Create(ctx, location)
	if err != nil {
		return nil, fmt.Errorf("create data file %s: %w", location, err)
	}
	footer, err := encoder.empty.Subset(nil)
	if err != nil {
		out.Abort()
		return nil, fmt.Errorf("begin data file %s: %w", location, err)
	}
	f := &groupFile{table: t, location: location, partition: partition, sink: &sink{out: out, digest: sha256.New()}, encoder: encoder, footer: footer}
	if _, err := f.sink.Write([]byte(parquetMagic)); err != nil {
		out.Abort()
		return nil, fmt.Errorf("begin data file %s: %w", location, err)
	}
	return f, nil
}

// write adds rows to the next row group. The batch stays the caller's.
func (f *groupFile) write(rows arrow.RecordBatch) error {
	for from := int64(0); from < rows.NumRows(); {
		to := min(rows.NumRows(), from+f.groupRows-f.pendingRows)
		part := rows.NewSlice(from, to)
		f.pending = append(f.pending, part)
		f.pendingRows += to - from
		f.pendingBytes += bytesOf(rows) * (to - from) / rows.NumRows()
		from = to
		if f.pendingRows < f.groupRows && f.pendingBytes < keyedGroupBytes {
			continue
		}
		if err := f.flush(); err != nil {
			return err
		}
	}
	return nil
}

// flush ends the next row group.
func (f *groupFile) flush() error {
	if f.pendingRows == 0 {
		return nil
	}
	defer f.dropPending()
	var group writtenGroup
	for _, rows := range f.pending {
		if err := f.hashes(rows, &group); err != nil {
			return err
		}
	}
	return f.encode(f.pending, group)
}

func (f *groupFile) dropPending() {
	for _, rows := range f.pending {
		rows.Release()
	}
	f.pending, f.pendingRows, f.pendingBytes = f.pending[:0], 0, 0
}

// encode adds a row group of some rows.
func (f *groupFile) encode(rows []arrow.RecordBatch, group writtenGroup) error {
	footer, err := f.encoder.file(rows)
	if err != nil {
		return fmt.Errorf("encode rows into %s: %w", f.location, err)
	}
	if len(footer.RowGroups) != 1 {
		return fmt.Errorf("BUG: rows of one row group became %d", len(footer.RowGroups))
	}
	return f.splice(f.encoder.body.Bytes(), footer, 0, group)
}

// copy adds a row group of another file, as it is.
func (f *groupFile) copy(from *groupSource, group int) error {
	return f.splice(from.body, from.footer, group, writtenGroup{
		rows: from.rows(group), from: from.data.data.FilePath(), group: group,
	})
}

// splice copies the bytes of a row group and takes over its entry of the footer
// (parquet-format, "RowGroup" and "ColumnMetaData"), in which nothing but
// offsets says where in a file it is.
func (f *groupFile) splice(body []byte, footer *metadata.FileMetaData, group int, written writtenGroup) error {
	spans, err := spansOf(footer, group, int64(len(body)))
	if err != nil {
		return fmt.Errorf("copy row group into %s: %w", f.location, err)
	}
	made := *footer.RowGroups[group]
	columns := made.Columns
	made.Columns = nil
	at := f.sink.written
	for i, from := range spans {
		chunk := *columns[i]
		data := *chunk.MetaData
		moved := func(offset int64) int64 { return offset - from.from + at }
		data.DataPageOffset = moved(data.DataPageOffset)
		if d := data.DictionaryPageOffset; d != nil && *d > 0 {
			there := moved(*d)
			data.DictionaryPageOffset = &there
		}
		data.IndexPageOffset, data.BloomFilterOffset, data.BloomFilterLength = nil, nil, nil
		chunk.ColumnIndexOffset, chunk.ColumnIndexLength, chunk.OffsetIndexOffset, chunk.OffsetIndexLength = nil, nil, nil, nil
		if chunk.FileOffset != 0 {
			chunk.FileOffset = moved(chunk.FileOffset)
		}
		chunk.MetaData = &data
		made.Columns = append(made.Columns, &chunk)
		at += from.to - from.from
	}
	first, ordinal := f.sink.written, int16(len(f.footer.RowGroups))
	if made.FileOffset != nil {
		made.FileOffset = &first
	}
	if made.Ordinal != nil {
		made.Ordinal = &ordinal
	}
	for _, part := range withoutGaps(spans) {
		if _, err := f.sink.Write(body[part.from:part.to]); err != nil {
			return fmt.Errorf("write row group into %s: %w", f.location, err)
		}
	}
	f.footer.RowGroups = append(f.footer.RowGroups, &made)
	f.footer.NumRows += made.NumRows
	f.groups = append(f.groups, written)
	return nil
}

// size is about how large the file would be if it ended now.
func (f *groupFile) size() int64 { return f.sink.written + f.pendingBytes/3 }

// close ends and publishes the file.
func (f *groupFile) close() (File, error) {
	defer f.abort()
	if err := f.flush(); err != nil {
		return File{}, err
	}
	before := f.sink.written
	if _, err := f.footer.WriteTo(f.sink, nil); err != nil {
		return File{}, fmt.Errorf("encode footer: %w", err)
	}
	end := binary.LittleEndian.AppendUint32(nil, uint32(f.sink.written-before))
	if _, err := f.sink.Write(append(end, parquetMagic...)); err != nil {
		return File{}, fmt.Errorf("encode footer: %w", err)
	}
	if err := f.sink.out.Commit(); err != nil {
		return File{}, fmt.Errorf("publish: %w", err)
	}
	return describeFile(f.table, f.location, f.partition, f.footer, f.sink)
}

func (f *groupFile) abort() {
	f.dropPending()
	f.sink.out.Abort()
}
