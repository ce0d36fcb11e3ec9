package lakehouse

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/runtime/record"
)

// fold is a data file whose live rows move to others.
type fold struct {
	location string
	dead     *positions
}

// foldFanOut is how many rows an epoch moves at most for each that it changes,
// out of files that are half gone, beyond the first of them.
const foldFanOut = 4

// foldable picks the files to fold: those without a live row, those of which half
// is gone, as far as the epoch's changes pay for it, and small ones that have
// become many. dead are the rows that are gone after the epoch, of files that it
// changes.
func (h *keyedHead) foldable(x *tableIndex, dead map[string]*positions, changes int, target int64) []fold {
	if changes == 0 {
		return nil
	}
	files := x.liveRows(dead)
	picked := map[string]*positions{}
	budget := int64(changes) * foldFanOut
	slices.SortFunc(files, func(a, b liveRows) int {
		return cmp.Or(cmp.Compare(b.deadShare(), a.deadShare()), cmp.Compare(a.location, b.location))
	})
	moved := int64(0)
	for _, f := range files {
		live := f.rows - f.dead.len()
		if live > 0 && (f.deadShare() < 0.5 || moved > 0 && moved+live > budget) {
			continue
		}
		picked[f.location] = f.dead
		moved += live
	}
	h.addAlike(files, picked, target)
	folds := make([]fold, 0, len(picked))
	for _, location := range slices.Sorted(maps.Keys(picked)) {
		folds = append(folds, fold{location, picked[location]})
	}
	return folds
}

// addAlike picks small files that have become many, by what lives of them.
func (h *keyedHead) addAlike(files []liveRows, picked map[string]*positions, target int64) {
	alike := map[string][]liveRows{}
	for _, f := range files {
		data := h.files.at[f.location]
		size := int64(float64(data.data.FileSizeBytes()) * (1 - f.deadShare()))
		if _, ok := picked[f.location]; ok || size >= target/2 {
			continue
		}
		kind := h.kind(data, size)
		alike[kind] = append(alike[kind], f)
	}
	for _, group := range alike {
		if len(group) < smallFanIn {
			continue
		}
		for _, f := range group {
			picked[f.location] = f.dead
		}
	}
}

// liveRows is a live file with the rows of it that are gone after an epoch.
type liveRows struct {
	location string
	rows     int64
	dead     *positions
}

func (l liveRows) deadShare() float64 { return float64(l.dead.len()) / float64(max(l.rows, 1)) }

// liveRows are the files of the index.
func (x *tableIndex) liveRows(dead map[string]*positions) []liveRows {
	x.mu.Lock()
	defer x.mu.Unlock()
	files := make([]liveRows, 0, len(x.byRow.order))
	for _, f := range x.byRow.order {
		l := liveRows{f.location, f.rows, f.dead}
		if after := dead[f.location]; after != nil {
			l.dead = after
		}
		files = append(files, l)
	}
	return files
}

// fold writes the live rows of files to new ones. A row that moves stays the same
// row: its id, and the sequence number of its last change, go with it (Iceberg
// spec, "Row Lineage").
func (m *mergeOnRead) fold(ctx context.Context, folds []fold) ([]File, error) {
	lineaged, err := m.table.withLineage()
	if err != nil {
		return nil, err
	}
	to, err := lineaged.newGroupWriter(m.names, m.config)
	if err != nil {
		return nil, err
	}
	defer to.abort()
	for _, f := range folds {
		if f.dead.len() == m.files.at[f.location].data.Count() {
			continue
		}
		if err := m.move(ctx, f, to); err != nil {
			return nil, fmt.Errorf("fold %s: %w", f.location, err)
		}
	}
	return to.close()
}

// move writes the live rows of a file.
func (m *mergeOnRead) move(ctx context.Context, f fold, to *groupWriter) error {
	live := m.files.at[f.location]
	sequence := live.sequence
	task := table.FileScanTask{File: live.data, Length: live.data.FileSizeBytes(), FirstRowID: live.data.FirstRowID(), DataSequenceNumber: &sequence}
	next := int64(0)
	err := readTasks(ctx, m.head.Scan(table.WithArrowBatchSize(scanRows), table.WithRowLineage()), []table.FileScanTask{task}, func(r *columnReader) error {
		var kept []int
		for row := range int(r.batch.NumRows()) {
			if !f.dead.has(next + int64(row)) {
				kept = append(kept, row)
			}
		}
		next += r.batch.NumRows()
		return m.moveRows(ctx, r.batch, kept, to)
	})
	if err == nil && next != live.data.Count() {
		err = fmt.Errorf("%w: it has %d rows, its manifest says %d", ErrForeign, next, live.data.Count())
	}
	return err
}

func (m *mergeOnRead) moveRows(ctx context.Context, batch arrow.RecordBatch, kept []int, to *groupWriter) error {
	if len(kept) == 0 {
		return nil
	}
	rows, err := record.Take(batch, kept, m.config.Allocator)
	if err != nil {
		return fmt.Errorf("take rows: %w", err)
	}
	defer rows.Release()
	ordered, err := to.table.order(ctx, rows, m.config.Allocator)
	if err != nil {
		return err
	}
	defer ordered.Release()
	return to.write(ctx, ordered)
}
