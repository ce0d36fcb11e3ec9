package lakehouse

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
)

const (
	// targetFileBytes is where a data file ends and the next begins.
	targetFileBytes = 256 << 20
	// rowGroupBytes: 128 MiB is what every reader takes.
	rowGroupBytes = 128 << 20
	// maxOpenFiles bounds the partitions written side by side: an open file
	// holds about 1 MiB a column.
	maxOpenFiles = 64
)

// WriterConfig bounds a Writer. Zero values take defaults.
type WriterConfig struct {
	MaxOpenFiles int   // reaching it closes the least recently written file
	MemoryBytes  int64 // buffered rows; reaching it closes the largest file
	TargetBytes  int64 // of a data file, compressed
	Allocator    memory.Allocator
}

func (c WriterConfig) withDefaults() WriterConfig {
	if c.MaxOpenFiles == 0 {
		c.MaxOpenFiles = maxOpenFiles
	}
	if c.MemoryBytes == 0 {
		c.MemoryBytes = 512 << 20
	}
	if c.TargetBytes == 0 {
		c.TargetBytes = targetFileBytes
	}
	if c.Allocator == nil {
		c.Allocator = memory.DefaultAllocator
	}
	return c
}

// Writer turns one epoch's rows of one table into data files, one or more a
// partition. A full memory budget or too many open partitions end files early
// and fail nothing. Not safe for concurrent use.
type Writer struct {
	table     *Table
	names     *Names
	config    WriterConfig
	partition *partitioner
	open      map[string]*dataFile
	done      []File
	clock     int64 // counts writes, for least recently written
}

// NewWriter begins an epoch's files of a table that only grows; a keyed one has
// NewChangeWriter.
func (t *Table) NewWriter(names *Names, config WriterConfig) (*Writer, error) {
	if t.key != nil {
		return nil, fmt.Errorf("BUG: rows appended to keyed table %s", t.ID)
	}
	return t.newWriter(names, config)
}

func (t *Table) newWriter(names *Names, config WriterConfig) (*Writer, error) {
	p, err := newPartitioner(t.spec, t.schema)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", t.ID, err)
	}
	return &Writer{table: t, names: names, config: config.withDefaults(), partition: p, open: map[string]*dataFile{}}, nil
}

// Buffered is about how many bytes the open files hold in memory.
func (w *Writer) Buffered() int64 {
	var total int64
	for _, f := range w.open {
		total += f.buffered()
	}
	return total
}

// Write adds rows. Their columns are found by name and must have the table's
// types, or types that promote to them; optional columns that they lack are
// null. The batch stays the caller's and is not kept. After an error only
// Abort may be called.
func (w *Writer) Write(ctx context.Context, rows arrow.RecordBatch) error {
	if rows.NumRows() == 0 {
		return nil
	}
	ordered, err := w.table.order(ctx, rows, w.config.Allocator)
	if err != nil {
		return err
	}
	defer ordered.Release()
	runs, err := w.partition.runs(ordered)
	if err != nil {
		return fmt.Errorf("%w %s: find their partitions: %w", ErrUnfit, w.table.ID, err)
	}
	for _, g := range groupRuns(runs) {
		if err := w.writeGroup(ctx, ordered, g); err != nil {
			return fmt.Errorf("write %s: %w", w.table.ID, err)
		}
	}
	return nil
}

// Close ends all files and returns them, in the order in which they ended.
func (w *Writer) Close() ([]File, error) {
	for len(w.open) > 0 {
		if err := w.end(w.oldest()); err != nil {
			return nil, err
		}
	}
	return w.done, nil
}

// Abort drops what is still open. Files that ended already are orphans.
func (w *Writer) Abort() {
	for key, f := range w.open {
		f.abort()
		delete(w.open, key)
	}
}

func (w *Writer) writeGroup(ctx context.Context, rows arrow.RecordBatch, g group) error {
	part, err := gather(rows, g.runs, w.config.Allocator)
	if err != nil {
		return fmt.Errorf("gather rows of a partition: %w", err)
	}
	defer part.Release()
	f, err := w.file(ctx, g.key)
	if err != nil {
		return err
	}
	if err := f.write(part); err != nil {
		return err
	}
	if f.size() >= w.config.TargetBytes {
		return w.end(f)
	}
	for w.Buffered() > w.config.MemoryBytes && len(w.open) > 0 {
		if err := w.end(w.largest()); err != nil {
			return err
		}
	}
	return nil
}

// file returns the open file of a partition, or begins one.
func (w *Writer) file(ctx context.Context, key partitionKey) (*dataFile, error) {
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
	location := w.table.location + "/data/" + w.partition.folder(key) + w.names.Next() + ".parquet"
	f, err := newDataFile(ctx, w.table, location, key, w.config.Allocator)
	if err != nil {
		return nil, err
	}
	f.used = w.clock
	w.open[key.key] = f
	return f, nil
}

func (w *Writer) end(f *dataFile) error {
	delete(w.open, f.partition.key)
	file, err := f.close()
	if err != nil {
		return fmt.Errorf("end data file %s: %w", f.location, err)
	}
	w.done = append(w.done, file)
	return nil
}

func (w *Writer) oldest() *dataFile {
	return pick(w.open, func(a, b *dataFile) bool { return a.used < b.used })
}

func (w *Writer) largest() *dataFile {
	return pick(w.open, func(a, b *dataFile) bool {
		if a.buffered() != b.buffered() {
			return a.buffered() > b.buffered()
		}
		return a.used < b.used
	})
}

func pick(files map[string]*dataFile, better func(a, b *dataFile) bool) *dataFile {
	var best *dataFile
	for _, f := range files {
		if best == nil || better(f, best) {
			best = f
		}
	}
	return best
}

// sameType compares types without field ids, and without the names that Arrow
// and Iceberg give to list and map members.
func sameType(a, b arrow.DataType) bool {
	if a.ID() != b.ID() {
		return false
	}
	switch a := a.(type) {
	case *arrow.ListType:
		return sameType(a.Elem(), b.(*arrow.ListType).Elem())
	case *arrow.MapType:
		m := b.(*arrow.MapType)
		return sameType(a.KeyType(), m.KeyType()) && sameType(a.ItemType(), m.ItemType())
	case *arrow.StructType:
		s := b.(*arrow.StructType)
		if a.NumFields() != s.NumFields() {
			return false
		}
		for i := range a.NumFields() {
			if a.Field(i).Name != s.Field(i).Name || !sameType(a.Field(i).Type, s.Field(i).Type) {
				return false
			}
		}
		return true
	}
	return arrow.TypeEqual(a, b)
}

// group is the runs of one partition in a batch.
type group struct {
	key  partitionKey
	runs []run
}

// groupRuns brings the runs of a partition together, partitions in order of
// their first row.
func groupRuns(runs []run) []group {
	var groups []group
	index := map[string]int{}
	for _, r := range runs {
		i, ok := index[r.key.key]
		if !ok {
			i = len(groups)
			index[r.key.key] = i
			groups = append(groups, group{key: r.key})
		}
		groups[i].runs = append(groups[i].runs, r)
	}
	return groups
}

// gather returns the rows of a group's runs, in order. One run is a slice
// without a copy; more are copied together.
func gather(rows arrow.RecordBatch, runs []run, mem memory.Allocator) (arrow.RecordBatch, error) {
	if len(runs) == 1 {
		return rows.NewSlice(runs[0].from, runs[0].to), nil
	}
	var keep []int
	for _, r := range runs {
		for i := r.from; i < r.to; i++ {
			keep = append(keep, int(i))
		}
	}
	return record.Take(rows, keep, mem)
}
