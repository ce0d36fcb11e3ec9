package lakehouse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/calvelake/calve/lakehouse/storage"
)

// maxSourceBytes bounds a data file that is held in memory to be taken apart:
// more than a keyed table's files have.
const maxSourceBytes = 8 * keyedFileBytes

// groupSource is a data file that can be taken apart into row groups: those of
// which no row changes are copied, byte for byte, and only the others decoded.
type groupSource struct {
	table  *Table
	data   liveFile
	body   []byte
	footer *metadata.FileMetaData
	reader *pqarrow.FileReader
}

// openGroups reads a data file. It returns nil for one that is not as encoder
// would write it now: of an older schema, of another engine, or too large.
func (t *Table) openGroups(ctx context.Context, f liveFile, encoder *groupEncoder, mem memory.Allocator) (*groupSource, error) {
	if f.data.FileSizeBytes() > maxSourceBytes || f.data.SpecID() != int32(t.spec.ID()) {
		return nil, nil
	}
	body, err := t.store.Get(ctx, f.data.FilePath())
	if errors.Is(err, storage.ErrNotExist) {
		return nil, nil // the scan, which reads it then, says what is wrong
	}
	if err != nil {
		return nil, fmt.Errorf("read data file %s: %w", f.data.FilePath(), err)
	}
	parquet, err := file.NewParquetReader(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("open data file %s: %w", f.data.FilePath(), err)
	}
	s := &groupSource{table: t, data: f, body: body, footer: parquet.MetaData()}
	if !encoder.writes(s.footer) {
		return nil, nil
	}
	if len(s.footer.RowGroups) > 0 {
		if err := encoder.learn(s.footer, 0); err != nil {
			return nil, err
		}
	}
	s.reader, err = pqarrow.NewFileReader(parquet, pqarrow.ArrowReadProperties{BatchSize: 2 * keyedGroupRows}, mem)
	if err != nil {
		return nil, fmt.Errorf("open data file %s: %w", f.data.FilePath(), err)
	}
	return s, nil
}

func (s *groupSource) groups() int { return len(s.footer.RowGroups) }

func (s *groupSource) rows(group int) int64 { return s.footer.RowGroups[group].NumRows }

// bytes of a row group, before compression.
func (s *groupSource) bytes(group int) int64 { return s.footer.RowGroups[group].TotalByteSize }

// read decodes a row group's columns, all if none are named, in the order of the
// table. What visit gets is valid until it returns.
func (s *groupSource) read(ctx context.Context, group int, columns []string, visit func(arrow.RecordBatch) error) error {
	batches, err := s.reader.GetRecordReader(ctx, s.leaves(columns), []int{group})
	if err != nil {
		return fmt.Errorf("decode row group %d: %w", group, err)
	}
	defer batches.Release()
	rows := int64(0)
	for batches.Next() {
		batch := batches.RecordBatch()
		rows += batch.NumRows()
		if err := visit(batch); err != nil {
			return err
		}
	}
	if err := batches.Err(); err != nil {
		return fmt.Errorf("decode row group %d: %w", group, err)
	}
	if rows != s.rows(group) {
		return fmt.Errorf("%w: row group %d has %d rows, the footer says %d", ErrForeign, group, rows, s.rows(group))
	}
	return nil
}

// leaves are the places of columns in the file; nil for all.
func (s *groupSource) leaves(columns []string) []int {
	var leaves []int
	for _, name := range columns {
		leaves = append(leaves, s.footer.Schema.ColumnIndexByName(name))
	}
	return leaves
}

// current tells by statistics whether the rows of a group are all current or all
// not; false for known if they are of both kinds, or nothing is known.
func (s *groupSource) current(group int) (current, known bool) {
	leaf := s.footer.Schema.ColumnIndexByName(s.table.current)
	if leaf < 0 {
		return false, s.table.current == ""
	}
	chunk, err := s.footer.RowGroup(group).ColumnChunk(leaf)
	if err != nil {
		return false, false
	}
	statistics, err := chunk.Statistics()
	if err != nil || statistics == nil {
		return false, false
	}
	bounds, ok := statistics.(*metadata.BooleanStatistics)
	nulls := statistics.NullCount()
	switch {
	case !ok || !statistics.HasNullCount():
		return false, false
	case nulls == s.rows(group):
		return false, true
	case !bounds.HasMinMax() || bounds.Min() != bounds.Max():
		return false, false
	}
	return bounds.Max(), !bounds.Max() || nulls == 0
}

// uniform tells whether all rows of the file are current, or none.
func (s *groupSource) uniform() (current, ok bool) {
	for g := range s.groups() {
		c, known := s.current(g)
		if !known || g > 0 && c != current {
			return false, false
		}
		current = c
	}
	return current, true
}

// byteRange is where the bytes of a column chunk are in a file: the dictionary, if
// there is one, lies before the data pages.
type byteRange struct{ from, to int64 }

// spansOf are the byte ranges of a row group's column chunks.
func spansOf(footer *metadata.FileMetaData, group int, size int64) ([]byteRange, error) {
	columns := footer.RowGroups[group].Columns
	spans := make([]byteRange, len(columns))
	for i, c := range columns {
		if c.MetaData == nil {
			return nil, fmt.Errorf("column %d of row group %d has no metadata", i, group)
		}
		from := c.MetaData.DataPageOffset
		if d := c.MetaData.DictionaryPageOffset; d != nil && *d > 0 {
			from = min(from, *d)
		}
		spans[i] = byteRange{from, from + c.MetaData.TotalCompressedSize}
		if from < int64(len(parquetMagic)) || spans[i].to < from || spans[i].to > size {
			return nil, fmt.Errorf("column %d of row group %d lies outside its file: bytes %d to %d of %d", i, group, from, spans[i].to, size)
		}
	}
	return spans, nil
}

// withoutGaps joins spans that follow each other.
func withoutGaps(spans []byteRange) []byteRange {
	var joined []byteRange
	for _, s := range spans {
		if n := len(joined); n > 0 && joined[n-1].to == s.from {
			joined[n-1].to = s.to
			continue
		}
		joined = append(joined, s)
	}
	return slices.Clip(joined)
}
