package rowdrop

import (
	"encoding/binary"
	"fmt"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/metadata"
)

// ByteArrays visits the values of a column of text or bytes without nulls, in the
// order of the rows; they are valid until visit returns. It does so only if the
// column is encoded PLAIN, and visits none otherwise (ErrUnsupported).
func (d *Dropper) ByteArrays(file []byte, footer *metadata.FileMetaData, group, leaf int, visit func(value []byte)) error {
	descriptor := footer.Schema.Column(leaf)
	column, err := footer.RowGroup(group).ColumnChunk(leaf)
	if err != nil {
		return fmt.Errorf("read column %s: %w", descriptor.Path(), err)
	}
	from, to := column.DataPageOffset(), column.DataPageOffset()+column.TotalCompressedSize()
	if column.HasDictionaryPage() || column.Compression() != compress.Codecs.Zstd || descriptor.PhysicalType() != parquet.Types.ByteArray || descriptor.MaxDefinitionLevel() > 0 {
		return fmt.Errorf("%w: column %s", ErrUnsupported, descriptor.Path())
	}
	if from < int64(len(magic)) || to < from || to > int64(len(file)) {
		return fmt.Errorf("%w: column %s lies outside its file", errCorrupt, descriptor.Path())
	}
	for pages := file[from:to]; len(pages) > 0; {
		h, n, err := parseHeader(pages)
		if err != nil {
			return err
		}
		end := n + int(h.compressed)
		if h.kind != pageData || h.encoding != encodingPlain || end > len(pages) {
			return fmt.Errorf("%w: page of kind %d in column %s", errCorrupt, h.kind, descriptor.Path())
		}
		if d.plain, err = d.codec.decode(d.plain[:0], pages[n:end], h.uncompressed); err != nil {
			return err
		}
		pages = pages[end:]
		at := 0
		for range h.values {
			if at+4 > len(d.plain) {
				return fmt.Errorf("%w: column %s ends early", errCorrupt, descriptor.Path())
			}
			size := 4 + int(binary.LittleEndian.Uint32(d.plain[at:]))
			if size < 4 || at+size > len(d.plain) {
				return fmt.Errorf("%w: value of %d bytes in column %s", errCorrupt, size-4, descriptor.Path())
			}
			visit(d.plain[at+4 : at+size])
			at += size
		}
	}
	return nil
}
