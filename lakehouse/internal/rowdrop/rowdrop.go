// Package rowdrop takes rows out of a Parquet row group without decoding what
// stays: the values of a page are moved together as the bytes that they are, and
// only compressed again. Dictionaries, and pages of which no row goes, are copied.
//
// It takes the pages that package lakehouse writes (parquet-format, "Data
// Pages", version 1; PLAIN, dictionary and RLE) of columns that are not nested,
// and leaves the rest to whoever can decode it (ErrUnsupported).
package rowdrop

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/metadata"
)

// ErrUnsupported: a row group has columns or pages that are not taken apart here.
var ErrUnsupported = errors.New("row group is not taken apart")

// magic begins a Parquet file.
const magic = "PAR1"

// Dropper takes rows out of row groups of one table. Not safe for concurrent use.
type Dropper struct {
	codec *codec
	body  []byte
	// scratch
	plain, section []byte
	levels, ids    []uint32
	gone           []int
}

// New returns a Dropper.
func New() (*Dropper, error) {
	c, err := newCodec()
	if err != nil {
		return nil, fmt.Errorf("open zstd: %w", err)
	}
	return &Dropper{codec: c}, nil
}

// Close gives back what the Dropper holds.
func (d *Dropper) Close() { d.codec.close() }

// Drop returns a row group of a file without some rows, given in ascending order,
// as a file with that row group alone: its bytes up to the footer, valid until
// the next call, and the footer. Bounds in its statistics are those of the rows
// that stay.
func (d *Dropper) Drop(file []byte, footer *metadata.FileMetaData, group int, rows []int) ([]byte, *metadata.FileMetaData, error) {
	out, err := footer.Subset([]int{group})
	if err != nil {
		return nil, nil, fmt.Errorf("drop rows: %w", err)
	}
	if out.NumRows <= int64(len(rows)) {
		return nil, nil, fmt.Errorf("%w: no row stays", ErrUnsupported)
	}
	detach(out)
	d.body = append(d.body[:0], magic...)
	total, compressed := int64(0), int64(0)
	for leaf, c := range out.RowGroups[0].Columns {
		p, err := d.chunk(file, out, leaf)
		if err == nil {
			p.rows = rows
			err = p.run()
		}
		if err == nil {
			err = p.describe(out)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("drop rows: column %s: %w", footer.Schema.Column(leaf).Path(), err)
		}
		total += c.MetaData.TotalUncompressedSize
		compressed += c.MetaData.TotalCompressedSize
	}
	made := out.RowGroups[0]
	made.NumRows -= int64(len(rows))
	made.TotalByteSize, made.SortingColumns, made.FileOffset = total, nil, nil
	if made.TotalCompressedSize != nil {
		made.TotalCompressedSize = &compressed
	}
	out.NumRows = made.NumRows
	return d.body, out, nil
}

// detach copies what describe changes of a footer with one row group.
func detach(footer *metadata.FileMetaData) {
	group := *footer.RowGroups[0]
	group.Columns = slices.Clone(group.Columns)
	for i := range group.Columns {
		column := *group.Columns[i]
		if column.MetaData != nil {
			data := *column.MetaData
			if data.Statistics != nil {
				statistics := *data.Statistics
				data.Statistics = &statistics
			}
			column.MetaData = &data
		}
		group.Columns[i] = &column
	}
	footer.RowGroups[0] = &group
}

// chunk finds a column chunk of a footer's one row group.
func (d *Dropper) chunk(file []byte, footer *metadata.FileMetaData, leaf int) (*chunk, error) {
	column, err := footer.RowGroup(0).ColumnChunk(leaf)
	if err != nil {
		return nil, err
	}
	descriptor := footer.Schema.Column(leaf)
	if column.Compression() != compress.Codecs.Zstd || descriptor.MaxRepetitionLevel() > 0 || descriptor.MaxDefinitionLevel() > 1 {
		return nil, ErrUnsupported
	}
	from := column.DataPageOffset()
	if column.HasDictionaryPage() && column.DictionaryPageOffset() > 0 {
		from = min(from, column.DictionaryPageOffset())
	}
	to := from + column.TotalCompressedSize()
	if from < int64(len(magic)) || to < from || to > int64(len(file)) {
		return nil, fmt.Errorf("%w: it lies outside its file", errCorrupt)
	}
	c := &chunk{
		Dropper: d, leaf: leaf, descriptor: descriptor, optional: descriptor.MaxDefinitionLevel() == 1,
		pages: file[from:to], dictionaryAt: -1, dataAt: -1,
	}
	if s := footer.RowGroups[0].Columns[leaf].MetaData.Statistics; s != nil {
		c.min, c.max = s.MinValue, s.MaxValue
	}
	return c, nil
}

// describe makes the column's entry of the footer say what was written.
func (c *chunk) describe(footer *metadata.FileMetaData) error {
	column := footer.RowGroups[0].Columns[c.leaf]
	column.FileOffset = 0
	column.ColumnIndexOffset, column.ColumnIndexLength, column.OffsetIndexOffset, column.OffsetIndexLength = nil, nil, nil, nil
	data := column.MetaData
	data.NumValues -= int64(len(c.rows))
	data.TotalUncompressedSize, data.TotalCompressedSize = c.uncompressed, int64(len(c.body))-c.begin
	data.DataPageOffset, data.DictionaryPageOffset, data.IndexPageOffset = c.dataAt, nil, nil
	if c.dictionaryAt >= 0 {
		data.DictionaryPageOffset = &c.dictionaryAt
	}
	data.BloomFilterOffset, data.BloomFilterLength, data.SizeStatistics = nil, nil, nil
	if c.emptied {
		data.EncodingStats = nil
	}
	s := data.Statistics
	if s == nil {
		return nil
	}
	s.DistinctCount = nil
	if s.NullCount != nil {
		nulls := *s.NullCount - c.nulls
		s.NullCount = &nulls
	}
	if !c.extreme || c.values > 0 && bytes.Equal(c.min, c.max) { // all that stay are equal
		return nil
	}
	low, high, err := c.bounds()
	if err != nil {
		return err
	}
	s.MinValue, s.MaxValue = low, high
	if s.Min != nil || s.Max != nil {
		s.Min, s.Max = low, high
	}
	return nil
}
