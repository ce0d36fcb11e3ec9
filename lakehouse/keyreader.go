package lakehouse

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/lakehouse/internal/keyindex"
	"github.com/calvelake/calve/lakehouse/internal/rowdrop"
)

// keyReader reads the keys of data files, by row group where a file can be taken
// apart.
type keyReader struct {
	table   *Table
	head    *table.Table
	hasher  *keyHasher
	encoder *groupEncoder
	raw     *rowdrop.Dropper
	hashes  []keyindex.Hash
}

// read hashes the keys of a file. visit gets them in order, with the row group
// that they are in and how many rows that has; they are valid until it returns.
func (r *keyReader) read(ctx context.Context, f liveFile, visit func(group int, rows int64, hashes []keyindex.Hash) error) error {
	if r.encoder == nil {
		encoder, err := newGroupEncoder(r.table.arrow, memory.DefaultAllocator, nil)
		if err != nil {
			return fmt.Errorf("read keys of %s: %w", r.table.ID, err)
		}
		if r.raw, err = rowdrop.New(); err != nil {
			return fmt.Errorf("read keys of %s: %w", r.table.ID, err)
		}
		r.encoder = encoder
	}
	source, err := r.table.openGroups(ctx, f, r.encoder, memory.DefaultAllocator)
	if err != nil {
		return err
	}
	if source == nil {
		return scanFiles(ctx, r.head, []table.FileScanTask{f.task()}, r.hasher.columns, func(c *columnReader) (err error) {
			if r.hashes, err = r.hasher.hashes(c.batch, r.hashes); err != nil {
				return err
			}
			return visit(wholeFile, f.data.Count(), r.hashes)
		})
	}
	for g := range source.groups() {
		if r.hashes, err = source.hashes(ctx, g, r.hasher, r.raw, r.hashes); err != nil {
			return fmt.Errorf("read keys of %s: %w", f.data.FilePath(), err)
		}
		if err := visit(g, source.rows(g), r.hashes); err != nil {
			return err
		}
	}
	return nil
}

// close gives back what reading took.
func (r *keyReader) close() {
	if r.raw != nil {
		r.raw.Close()
	}
}
