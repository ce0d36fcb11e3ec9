package lakehouse

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
)

// groupWriter turns rows and row groups of a keyed table into data files. Rows
// of one partition, and of one kind if current rows lie apart, are gathered
// until a file has its size. A full memory budget or too many open files end
// files early and fail nothing. Not safe for concurrent use.
type groupWriter struct {
	table     *Table
	names     *Names
	config    ChangeConfig
	partition *partitioner
	encoder   *groupEncoder
	hasher    *keyHasher
	open      map[string]*groupFile
	done      []File
	clock     int64 // counts writes, for least recently written
}

func (t *Table) newGroupWriter(names *Names, config ChangeConfig) (*groupWriter, error) {
	p, err := t.partitioner()
	if err != nil {
		return nil, err
	}
	c := config.withDefaults()
	encoder, err := newGroupEncoder(t.arrow, c.Allocator, t.lake.indexes.of(t.UUID).plainColumns())
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", t.ID, err)
	}
	return &groupWriter{table: t, names: names, config: c, partition: p, encoder: encoder, hasher: t.keyHasher(), open: map[string]*groupFile{}}, nil
}

// write adds rows, which are in the table's order and types, to the files that
// are gathered of their partitions. The batch stays the caller's.
func (w *groupWriter) write(ctx context.Context, rows arrow.RecordBatch) error {
	if rows.NumRows() == 0 {
		return nil
	}
	runs, err := w.partition.runs(rows)
	if err != nil {
		return fmt.Errorf("%w %s: find their partitions: %w", ErrUnfit, w.table.ID, err)
	}
	for _, g := range groupRuns(runs) {
		if err := w.writeGroup(ctx, rows, g); err != nil {
			return err
		}
	}
	return nil
}

// lanes tells of each row where it goes; nil if all go to one place.
func (w *groupWriter) lanes(rows arrow.RecordBatch) ([]partitionKey, error) {
	if len(w.partition.fields) == 0 && w.partition.current < 0 {
		return nil, nil
	}
	runs, err := w.partition.runs(rows)
	if err != nil {
		return nil, fmt.Errorf("%w %s: find their partitions: %w", ErrUnfit, w.table.ID, err)
	}
	lanes := make([]partitionKey, 0, rows.NumRows())
	for _, r := range runs {
		for range r.to - r.from {
			lanes = append(lanes, r.key)
		}
	}
	return lanes, nil
}

func (w *groupWriter) writeGroup(ctx context.Context, rows arrow.RecordBatch, g group) error {
	part, err := gather(rows, g.runs, w.config.Allocator)
	if err != nil {
		return fmt.Errorf("gather rows of a partition: %w", err)
	}
	defer part.Release()
	for from := int64(0); from < part.NumRows(); from += w.config.GroupRows { // a file may end after each row group
		piece := part.NewSlice(from, min(from+w.config.GroupRows, part.NumRows()))
		err := w.writePiece(ctx, g.key, piece)
		piece.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *groupWriter) writePiece(ctx context.Context, key partitionKey, rows arrow.RecordBatch) error {
	f, err := w.gathered(ctx, key)
	if err != nil {
		return err
	}
	if err := f.write(rows); err != nil {
		return err
	}
	for w.buffered() > w.config.MemoryBytes {
		if err := w.largest().flush(); err != nil {
			return err
		}
	}
	return w.endFull(f)
}

// endFull ends a gathered file that has its size.
func (w *groupWriter) endFull(f *groupFile) error {
	if f.size() < w.config.TargetBytes {
		return nil
	}
	return w.end(f)
}

// gathered is the open file of a partition, or a new one.
func (w *groupWriter) gathered(ctx context.Context, key partitionKey) (*groupFile, error) {
	w.clock++
	if f, ok := w.open[key.key]; ok {
		f.used = w.clock
		return f, nil
	}
	for len(w.open) >= w.config.MaxOpenFiles {
		if err := w.end(w.oldest()); err != nil {
			return nil, err
		}
	}
	f, err := w.begin(ctx, key)
	if err != nil {
		return nil, err
	}
	f.used = w.clock
	w.open[key.key] = f
	return f, nil
}

// begin begins a file that nothing is gathered in.
func (w *groupWriter) begin(ctx context.Context, key partitionKey) (*groupFile, error) {
	location := w.table.location + "/data/" + w.partition.folder(key) + w.names.Next() + ".parquet"
	f, err := newGroupFile(ctx, w.table, location, key, w.encoder)
	if err != nil {
		return nil, err
	}
	f.groupRows = w.config.GroupRows
	f.hashes = func(rows arrow.RecordBatch, into *writtenGroup) error {
		hashes, err := w.hasher.hashes(rows, nil)
		into.rows += int64(len(hashes))
		into.hashes = append(into.hashes, hashes...)
		return err
	}
	return f, nil
}

// end publishes a file, and tells the index what is in it.
func (w *groupWriter) end(f *groupFile) error {
	if w.open[f.partition.key] == f {
		delete(w.open, f.partition.key)
	}
	file, err := f.close()
	if err != nil {
		return fmt.Errorf("end data file %s: %w", f.location, err)
	}
	w.table.lake.indexes.of(w.table.UUID).remember(f.location, f.groups)
	w.done = append(w.done, file)
	return nil
}

// close ends all files and returns them, in the order in which they ended.
func (w *groupWriter) close() ([]File, error) {
	for len(w.open) > 0 {
		if err := w.end(w.oldest()); err != nil {
			return nil, err
		}
	}
	w.table.lake.indexes.of(w.table.UUID).learn(w.encoder.plain)
	return w.done, nil
}

// abort drops what is still open. Files that ended already are orphans.
func (w *groupWriter) abort() {
	for key, f := range w.open {
		f.abort()
		delete(w.open, key)
	}
}

func (w *groupWriter) buffered() (total int64) {
	for _, f := range w.open {
		total += f.pendingBytes
	}
	return total
}

func (w *groupWriter) oldest() *groupFile {
	var oldest *groupFile
	for _, f := range w.open {
		if oldest == nil || f.used < oldest.used {
			oldest = f
		}
	}
	return oldest
}

func (w *groupWriter) largest() *groupFile {
	var largest *groupFile
	for _, f := range w.open {
		if largest == nil || f.pendingBytes > largest.pendingBytes || f.pendingBytes == largest.pendingBytes && f.used < largest.used {
			largest = f
		}
	}
	return largest
}
