package lakehouse

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/lakehouse/internal/keyindex"
	"github.com/calvelake/calve/lakehouse/internal/rowdrop"
	"github.com/calvelake/calve/runtime/record"
)

// keyedFileBytes is where a data file of a keyed table ends: small, since a file
// is written anew when one of its rows changes, and not so small that files
// become many.
const keyedFileBytes = 32 << 20

// rewrite applies changes to a head: it writes anew each data file that holds a
// changed row, of which it copies the row groups without one byte for byte and
// encodes the others. An updated row takes its place, or goes to its new
// partition; new rows go to files of their own, with what is left of small files
// that are touched, so that those become few.
//
// Where current rows lie apart, an updated one does not take its place: it goes
// to the new ones. Members that change often thus come to lie together, and the
// files that they left behind are touched the more seldom.
type rewrite struct {
	table   *Table // with the head's schema
	head    *table.Table
	files   *liveFiles
	names   *Names
	config  ChangeConfig
	changes *changeSet

	writer *groupWriter
	hasher *keyHasher
	lanes  []partitionKey // by change: where its row goes; nil if all go to one place
	placed []bool         // by change: its key was found in a file
	loose  []int          // changes whose rows leave their files
	stats  RewriteStats

	hashes []keyindex.Hash
	found  []int

	dropper *rowdrop.Dropper
	failed  int64 // row groups that it could not take rows out of
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
	CopiedGroups, CopiedRows  int64 // row groups that no row of changed
	ThinnedGroups             int64 // row groups that rows were taken out of without decoding the others
}

// replaced counts a data file that others stand for.
func (s *RewriteStats) replaced(data iceberg.DataFile) {
	s.ReplacedFiles++
	s.ReplacedRows += data.Count()
	s.ReplacedBytes += data.FileSizeBytes()
}

// wrote counts data files that were written.
func (s *RewriteStats) wrote(files []File) {
	for _, f := range files {
		s.WrittenFiles++
		s.WrittenRows += f.Rows
		s.WrittenBytes += f.Bytes
	}
}

// Changed is how many rows were changed.
func (s RewriteStats) Changed() int64 { return s.Created + s.Updated + s.Deleted }

// Amplification is how many rows were written for one that changed.
func (s RewriteStats) Amplification() float64 {
	return float64(s.WrittenRows) / float64(max(s.Changed(), 1))
}

// ByteAmplification is how many bytes of data files were written for one that
// changed, by the change file, which is encoded as they are.
func (s RewriteStats) ByteAmplification() float64 {
	return float64(s.WrittenBytes) / float64(max(s.ChangedBytes, 1))
}

// run rewrites the files at those locations, whose touched row groups must hold
// as many of the changed keys as found says, and writes what is new.
func (w *rewrite) run(ctx context.Context, locations []string, groups touched, found int) ([]File, error) {
	var err error
	if w.writer, err = w.table.newGroupWriter(w.names, w.config); err != nil {
		return nil, err
	}
	defer w.writer.abort()
	if w.dropper, err = rowdrop.New(); err != nil {
		return nil, err
	}
	defer w.dropper.Close()
	w.config, w.hasher = w.writer.config, w.table.keyHasher()
	w.placed = make([]bool, len(w.changes.ops))
	if w.lanes, err = w.writer.lanes(w.changes.rows); err != nil {
		return nil, err
	}
	for _, location := range locations {
		if err := w.file(ctx, w.files.at[location], groups[location]); err != nil {
			return nil, fmt.Errorf("rewrite %s: %w", location, err)
		}
	}
	if got := w.stats.Updated + w.stats.Deleted; got != int64(found) {
		return nil, fmt.Errorf("BUG: the files to rewrite of %s hold %d of the changed keys, the index says %d", w.table.ID, got, found)
	}
	if err := w.rest(ctx); err != nil {
		return nil, err
	}
	files, err := w.writer.close()
	if err != nil {
		return nil, err
	}
	w.stats.wrote(files)
	return files, nil
}

// file writes the rows of a data file with the changes among them.
func (w *rewrite) file(ctx context.Context, f liveFile, touched map[int]bool) error {
	w.stats.replaced(f.data)
	source, err := w.table.openGroups(ctx, f, w.writer.encoder, w.config.Allocator)
	if err != nil {
		return err
	}
	if source == nil {
		return w.scan(ctx, f)
	}
	r := &regroup{rewrite: w, source: source, touched: touched}
	return r.run(ctx)
}

// scan rewrites a file that cannot be taken apart, batch by batch.
func (w *rewrite) scan(ctx context.Context, f liveFile) error {
	rows := int64(0)
	err := scanFiles(ctx, w.head, []table.FileScanTask{f.task()}, nil, func(r *columnReader) error {
		batch, err := w.table.order(ctx, r.batch, w.config.Allocator)
		if err != nil {
			return err
		}
		defer batch.Release()
		rows += batch.NumRows()
		kept, _, err := w.apply(batch, f.data.FilePath(), nil)
		if err != nil {
			return err
		}
		defer kept.Release()
		return w.writer.write(ctx, kept)
	})
	if err == nil && rows != f.data.Count() {
		err = fmt.Errorf("%w: it has %d rows, its manifest says %d", ErrForeign, rows, f.data.Count())
	}
	return err
}

// apply makes the changes to rows of a file: what stays of them, and the keys
// that do not. lane is where the file's rows go, nil if that is not known. The
// caller releases the rows.
func (w *rewrite) apply(rows arrow.RecordBatch, location string, lane *partitionKey) (kept arrow.RecordBatch, gone []keyindex.Hash, err error) {
	if w.hashes, err = w.hasher.hashes(rows, w.hashes); err != nil {
		return nil, nil, err
	}
	var count int
	if w.found, count = w.changes.changed(w.hashes, w.found); count == 0 {
		rows.Retain()
		return rows, nil, nil
	}
	order := make([]int, 0, len(w.found)) // rows of the file, behind them those of updates
	var updates []int
	for row, change := range w.found {
		if change < 0 {
			order = append(order, row)
			continue
		}
		stays, err := w.place(change, lane, location)
		switch {
		case err != nil:
			return nil, nil, err
		case stays:
			order = append(order, len(w.found)+len(updates))
			updates = append(updates, change)
		default:
			gone = append(gone, w.hashes[row])
		}
	}
	kept, err = splice(rows, w.changes.rows, updates, order, w.config.Allocator)
	return kept, gone, err
}

// place notes that the row of a change was found, and tells whether one with its
// key stays there.
func (w *rewrite) place(change int, lane *partitionKey, location string) (stays bool, err error) {
	if w.placed[change] {
		return false, duplicateKey(w.table.ID.String(), location, "a file before it or the same")
	}
	w.placed[change] = true
	if w.changes.ops[change] == record.OpDelete {
		w.stats.Deleted++
		return false, nil
	}
	w.stats.Updated++
	if stays = w.stays(change, lane); !stays {
		w.loose = append(w.loose, change)
	}
	return stays, nil
}

// stays tells whether an updated row takes its place in a file.
func (w *rewrite) stays(change int, lane *partitionKey) bool {
	if w.lanes == nil {
		return true
	}
	to := w.lanes[change]
	return !to.current && (lane == nil || to.key == lane.key)
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

// rest writes the rows whose keys the table does not have, and those that left
// their files.
func (w *rewrite) rest(ctx context.Context) error {
	rest := w.loose
	for change, op := range w.changes.ops {
		switch {
		case w.placed[change]:
		case op == record.OpDelete:
			w.stats.Absent++
		default:
			w.stats.Created++
			rest = append(rest, change)
		}
	}
	return w.changes.write(ctx, w.writer, rest)
}

// inOrder sorts locations by age of the file.
func (f *liveFiles) inOrder(groups touched) []string {
	var sorted []string
	for location := range groups {
		sorted = append(sorted, location)
	}
	slices.SortFunc(sorted, func(a, b string) int {
		return cmp.Or(cmp.Compare(f.at[a].sequence, f.at[b].sequence), cmp.Compare(a, b))
	})
	return sorted
}
