package lakehouse

import (
	"cmp"
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
)

// ChangeConfig bounds a ChangeWriter. Zero values take defaults.
type ChangeConfig struct {
	MaxOpenFiles int   // partitions written side by side
	MemoryBytes  int64 // buffered rows of data files being written, beside the changes
	TargetBytes  int64 // of a data file, compressed; 32 MiB, and 16 to 64 are sound
	GroupRows    int64 // of a row group, which is what is encoded anew for one changed row; 16,384
	Allocator    memory.Allocator
}

func (c ChangeConfig) withDefaults() ChangeConfig {
	w := WriterConfig{MaxOpenFiles: c.MaxOpenFiles, MemoryBytes: c.MemoryBytes, TargetBytes: cmp.Or(c.TargetBytes, keyedFileBytes), Allocator: c.Allocator}.withDefaults()
	return ChangeConfig{
		MaxOpenFiles: w.MaxOpenFiles, MemoryBytes: w.MemoryBytes, TargetBytes: w.TargetBytes, Allocator: w.Allocator,
		GroupRows: cmp.Or(c.GroupRows, keyedGroupRows),
	}
}

// or takes sizes of files from another where c has none.
func (c ChangeConfig) or(other ChangeConfig) ChangeConfig {
	c.TargetBytes, c.GroupRows = cmp.Or(c.TargetBytes, other.TargetBytes), cmp.Or(c.GroupRows, other.GroupRows)
	return c
}

// fullGroup tells whether rows are enough for a row group of their own.
func (c ChangeConfig) fullGroup(rows, bytes int64) bool {
	return rows >= c.GroupRows/2 || bytes >= keyedGroupBytes/2
}

// ChangeWriter turns what one epoch changes in the rows of a keyed table into
// data files: those that hold a changed row are replaced by new ones
// (copy-on-write), so that no snapshot ever has a delete file (invariant 7).
// Their row groups without one are copied, and the others encoded anew. Of a
// table of format version 3 changed rows are taken out by deletion vectors
// instead, and no file is read.
//
// A create or an update of a key writes its row, whether the table has the key
// or not; a delete of a key that it does not have does nothing. So a change has
// the same result whatever was there, and applying it once more changes nothing.
// Of several changes of a key in the epoch the last counts.
//
// A table has one ChangeWriter an epoch. Changes are held in memory until Close,
// of one text column at most 2 GiB; data files go through memory batch by batch.
// Not safe for concurrent use.
type ChangeWriter struct {
	table   *Table
	names   *Names
	config  ChangeConfig
	changes *changeSet
	stats   RewriteStats
}

// NewChangeWriter begins an epoch's changes of a keyed table.
func (t *Table) NewChangeWriter(names *Names, config ChangeConfig) (*ChangeWriter, error) {
	if t.key == nil {
		return nil, fmt.Errorf("BUG: %s has no key, its rows do not change", t.ID)
	}
	c := config.or(t.lake.layout).withDefaults()
	return &ChangeWriter{table: t, names: names, config: c, changes: newChangeSet(t, c.Allocator)}, nil
}

// Write adds changes. Columns of the rows are found by name, as by Writer.Write;
// the changelog stays the caller's, but its columns' memory is referred to until
// Close or Abort. A null in a key is an error (ErrUnfit or ErrNullKey). After an
// error only Abort may be called.
func (w *ChangeWriter) Write(ctx context.Context, changes record.Changelog) error {
	if err := changes.Check(); err != nil {
		return fmt.Errorf("change %s: %w", w.table.ID, err)
	}
	if changes.Len() == 0 {
		return nil
	}
	return w.changes.add(ctx, changes.Ops, changes.Rows)
}

// Buffered is about how many bytes the changes hold in memory.
func (w *ChangeWriter) Buffered() int64 { return w.changes.bytes }

// Close uploads the change file and the data files and returns the epoch's
// change of the table, which is at epoch prev. What is uploaded is orphaned
// unless the change is recorded.
//
// It plans on the head as it is in the catalog now. If the head is another when
// the epoch is committed, Lake.Commit plans again by the change file.
func (w *ChangeWriter) Close(ctx context.Context, prev int64, counts ...Counts) (TableChange, error) {
	defer w.changes.release()
	change, err := w.close(ctx, prev)
	if err != nil {
		return TableChange{}, fmt.Errorf("change %s: %w", w.table.ID, err)
	}
	change.Counts = counts
	return change, nil
}

func (w *ChangeWriter) close(ctx context.Context, prev int64) (TableChange, error) {
	if err := w.changes.join(); err != nil {
		return TableChange{}, err
	}
	head, err := w.table.headAfter(ctx, prev, w.names)
	if err != nil {
		return TableChange{}, err
	}
	changeFile, size, err := w.changes.writeChangeFile(ctx, w.names)
	if err != nil {
		return TableChange{}, err
	}
	made, err := head.apply(ctx, applied{changes: w.changes, names: w.names, config: w.config, index: true})
	if err != nil {
		return TableChange{}, err
	}
	w.stats = made.stats
	w.stats.ChangedBytes = size
	return TableChange{
		Table: w.table.ID.String(), UUID: w.table.UUID, Prev: prev, SchemaID: head.table.schema.ID, SpecID: head.table.spec.ID(), Format: head.table.format(),
		Add: made.add, Replace: made.replace, Vectors: made.vectors, ChangeFile: changeFile,
	}, nil
}

// Abort drops the changes. After Close it does nothing.
func (w *ChangeWriter) Abort() { w.changes.release() }

// Stats tell what the change cost, after Close.
func (w *ChangeWriter) Stats() RewriteStats { return w.stats }
