package lakehouse

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/lakehouse/internal/keyindex"
	"github.com/calvelake/calve/runtime/record"
)

// keyedFileBytes is where a data file of a keyed table ends: small, since a file
// is written anew when one of its rows changes, and not so small that files
// become many.
const keyedFileBytes = 32 << 20

// rewrite applies changes to a head: it writes anew, as a whole, each data file
// that holds a changed row, batch by batch. An updated row takes its place, or
// goes to its new partition; a new row goes behind those of its partition. Rows
// of one partition are gathered until a file has its size, so that small files
// that are touched together become one.
type rewrite struct {
	table   *Table // with the head's schema
	head    *table.Table
	files   *liveFiles
	names   *Names
	config  WriterConfig
	changes *changeSet

	writer *Writer
	hasher *keyHasher
	hashes []keyindex.Hash
	placed []bool // by change: its row was found in a file
	stats  RewriteStats
}

// RewriteStats tell what a change of a keyed table cost.
type RewriteStats struct {
	Created, Updated, Deleted int64 // rows
	Absent                    int64 // deletes of keys that the table did not have
	ChangedBytes              int64 // of the change file
	ReplacedFiles             int64
	ReplacedRows              int64
	ReplacedBytes             int64
	WrittenFiles              int64 // data files
	WrittenRows               int64
	WrittenBytes              int64
}

// Changed is how many rows were changed.
func (s RewriteStats) Changed() int64 { return s.Created + s.Updated + s.Deleted }

// Amplification is how many rows were written for one that changed.
func (s RewriteStats) Amplification() float64 {
	return float64(s.WrittenRows) / float64(max(s.Changed(), 1))
}

// run rewrites the files at those locations, which must hold as many of the
// changed keys as found says, and writes what is new.
func (w *rewrite) run(ctx context.Context, locations []string, found int) ([]File, error) {
	var err error
	if w.writer, err = w.table.newWriter(w.names, w.config); err != nil {
		return nil, err
	}
	defer w.writer.Abort()
	w.config, w.hasher = w.writer.config, w.table.keyHasher()
	w.writer.written = w.remember
	w.placed = make([]bool, len(w.changes.ops))
	for _, location := range locations {
		if err := w.file(ctx, w.files.at[location]); err != nil {
			return nil, fmt.Errorf("rewrite %s: %w", location, err)
		}
	}
	if got := w.stats.Updated + w.stats.Deleted; got != int64(found) {
		return nil, fmt.Errorf("BUG: the files to rewrite of %s hold %d of the changed keys, the index says %d", w.table.ID, got, found)
	}
	if err := w.rest(ctx); err != nil {
		return nil, err
	}
	files, err := w.writer.Close()
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		w.stats.WrittenFiles++
		w.stats.WrittenRows += f.Rows
		w.stats.WrittenBytes += f.Bytes
	}
	return files, nil
}

// remember notes the keys of what was written.
func (w *rewrite) remember(location string, rows arrow.RecordBatch) (err error) {
	if w.hashes, err = w.hasher.hashes(rows, w.hashes); err == nil {
		w.table.lake.indexes.of(w.table.UUID).remember(location, w.hashes)
	}
	return err
}

// file writes the rows of a data file with the changes among them.
func (w *rewrite) file(ctx context.Context, f liveFile) error {
	w.stats.ReplacedFiles++
	w.stats.ReplacedRows += f.data.Count()
	w.stats.ReplacedBytes += f.data.FileSizeBytes()
	var hashes []keyindex.Hash
	var changes []int
	rows := int64(0)
	err := scanFiles(ctx, w.head, []table.FileScanTask{f.task()}, nil, func(r *columnReader) error {
		batch, err := w.table.order(ctx, r.batch, w.config.Allocator)
		if err != nil {
			return err
		}
		defer batch.Release()
		if hashes, err = w.hasher.hashes(batch, hashes); err != nil {
			return err
		}
		rows += batch.NumRows()
		var count int
		if changes, count = w.changes.changed(hashes, changes); count == 0 {
			return w.writer.Write(ctx, batch)
		}
		return w.batch(ctx, batch, changes, f.data.FilePath())
	})
	if err == nil && rows != f.data.Count() {
		err = fmt.Errorf("%w: it has %d rows, its manifest says %d", ErrForeign, rows, f.data.Count())
	}
	return err
}

// batch writes rows of a file, some of which are changed.
func (w *rewrite) batch(ctx context.Context, rows arrow.RecordBatch, changes []int, location string) error {
	order := make([]int, 0, len(changes)) // rows of the file, behind them those of updates
	var updates []int
	for row, change := range changes {
		if change < 0 {
			order = append(order, row)
			continue
		}
		if w.placed[change] {
			return duplicateKey(w.table.ID.String(), location, "a file before it or the same")
		}
		w.placed[change] = true
		if w.changes.ops[change] == record.OpDelete {
			w.stats.Deleted++
			continue
		}
		w.stats.Updated++
		order = append(order, len(changes)+len(updates))
		updates = append(updates, change)
	}
	spliced, err := splice(rows, w.changes.rows, updates, order, w.config.Allocator)
	if err != nil {
		return err
	}
	defer spliced.Release()
	return w.writer.Write(ctx, spliced)
}

// splice takes rows, by their place among those of a file and some of a change
// set behind them.
func splice(rows, changes arrow.RecordBatch, updates, order []int, mem memory.Allocator) (arrow.RecordBatch, error) {
	if len(updates) == 0 {
		return record.Take(rows, order, mem)
	}
	updated, err := record.Take(changes, updates, mem)
	if err != nil {
		return nil, err
	}
	defer updated.Release()
	// Under one schema: they differ in metadata at most.
	same := array.NewRecordBatch(rows.Schema(), updated.Columns(), updated.NumRows())
	defer same.Release()
	both, err := concatenate(rows.Schema(), []arrow.RecordBatch{rows, same}, mem)
	if err != nil {
		return nil, err
	}
	defer both.Release()
	return record.Take(both, order, mem)
}

// restRows is how many new rows are gathered at once.
const restRows = 16 << 10

// rest writes the rows whose keys the table does not have.
func (w *rewrite) rest(ctx context.Context) error {
	var fresh []int
	for change, op := range w.changes.ops {
		switch {
		case w.placed[change]:
		case op == record.OpDelete:
			w.stats.Absent++
		default:
			fresh = append(fresh, change)
		}
	}
	w.stats.Created = int64(len(fresh))
	for part := range slices.Chunk(fresh, restRows) {
		rows, err := record.Take(w.changes.rows, part, w.config.Allocator)
		if err != nil {
			return fmt.Errorf("gather new rows of %s: %w", w.table.ID, err)
		}
		err = w.writer.Write(ctx, rows)
		rows.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// inOrder sorts locations by age of the file.
func (f *liveFiles) inOrder(locations map[string]bool) []string {
	var sorted []string
	for location := range locations {
		sorted = append(sorted, location)
	}
	slices.SortFunc(sorted, func(a, b string) int {
		return cmp.Or(cmp.Compare(f.at[a].sequence, f.at[b].sequence), cmp.Compare(a, b))
	})
	return sorted
}
