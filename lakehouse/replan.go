package lakehouse

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go/table"
)

// replans are the changes of keyed tables that one Commit has planned again: an
// attempt that is refused leaves them to the next.
type replans struct {
	// looked: whether data files are there is to be looked at, since they are of
	// another process.
	looked bool
	latest map[string]*replanned
}

type replanned struct {
	change TableChange
	on     int64 // snapshot
}

// planKeyed plans the commit of a keyed table's change. Where the head still has
// all files and deletion vectors that the record replaces, nothing but compaction of
// others has happened since, and it is planned as recorded. Else the change file is applied
// to the head as it is now. The files of plans that came to nothing are orphans,
// which nobody deletes here (invariant 5).
//
// Planning again changes nothing that was decided (invariant 4): the change file
// says for each key what becomes of its row, whatever file that is in.
func (l *Lake) planKeyed(ctx context.Context, on base, e *Epoch, c *TableChange, r *replans) (plan, error) {
	head, err := l.keyedHead(ctx, c.Table, on.Table)
	if err != nil {
		return plan{}, err
	}
	if latest := r.latest[c.Table]; latest != nil && head.files.allows(&latest.change) && head.folds(&latest.change, latest.on) && onlyCompacted(on.Metadata(), latest.on) {
		return l.planOverwrite(ctx, on, e, &latest.change, head.files)
	}
	stands, err := l.stands(ctx, head, c, r)
	if err != nil {
		return plan{}, err
	}
	if stands {
		return l.planOverwrite(ctx, on, e, c, head.files)
	}
	again, err := l.replan(ctx, head, e, c)
	if err != nil {
		return plan{}, fmt.Errorf("plan epoch %d of %s again: %w", e.Number, c.Table, err)
	}
	if r.latest == nil {
		r.latest = map[string]*replanned{}
	}
	at := int64(0)
	if s := on.CurrentSnapshot(); s != nil {
		at = s.SnapshotID
	}
	r.latest[c.Table] = &replanned{change: *again, on: at}
	return l.planOverwrite(ctx, on, e, again, head.files)
}

// stands tells whether a change can be committed as it was recorded.
func (l *Lake) stands(ctx context.Context, head *keyedHead, c *TableChange, r *replans) (bool, error) {
	if !head.files.allows(c) || !head.folds(c, head.table.Progress.SnapshotID) || !onlyCompacted(head.loaded.Metadata(), 0) {
		return false, nil
	}
	if !r.looked || c.ChangeFile == nil {
		return true, nil
	}
	for _, f := range c.uploaded() {
		problem, err := l.absent(ctx, f)
		if err != nil {
			return false, err
		}
		if problem != "" {
			l.logger.Warn("data file of a decided epoch is missing, making it anew of the epoch's changes", "table", c.Table, "file", f.Location, "problem", problem)
			return false, nil
		}
	}
	return true, nil
}

// folds tells whether files with deletion vectors can be replaced as they were when a
// change was made, on a snapshot: a vector may have grown since.
func (h *keyedHead) folds(c *TableChange, on int64) bool {
	if !h.table.vectors() || len(c.Replace) == 0 {
		return true
	}
	s := h.loaded.CurrentSnapshot()
	return s != nil && s.SnapshotID == on
}

// onlyCompacted tells whether nothing but compaction happened to a keyed table
// since a snapshot, or since our last one. What an operator has accepted is not
// that, and where history has expired it is not known.
func onlyCompacted(meta table.Metadata, since int64) bool {
	for s := meta.CurrentSnapshot(); s != nil; s = parent(meta, s) {
		if s.SnapshotID == since {
			return true
		}
		if s.Summary == nil {
			return false
		}
		var p Progress
		if json.Unmarshal([]byte(s.Summary.Properties[PropertyEpoch]), &p) == nil {
			return true
		}
		if !compacted(meta, s.Summary) {
			return false
		}
		if s.ParentSnapshotID == nil {
			break
		}
	}
	_, begun := meta.Properties()[PropertyEpoch]
	return !begun
}

// replan applies a recorded change to the head.
func (l *Lake) replan(ctx context.Context, head *keyedHead, e *Epoch, c *TableChange) (*TableChange, error) {
	if c.ChangeFile == nil {
		return nil, fmt.Errorf("%w: the files that it replaces are not there any more, and it has no change file", ErrForeign)
	}
	changes, err := head.table.readChanges(ctx, c.ChangeFile, memory.DefaultAllocator)
	if err != nil {
		return nil, err
	}
	defer changes.release()
	made, err := head.apply(ctx, applied{changes: changes, names: l.Names(e.Number), config: l.layout.withDefaults()})
	if err != nil {
		return nil, err
	}
	l.logger.Info("another writer moved the rows of a table, applied the epoch's changes to it again", "table", c.Table, "epoch", e.Number,
		"files", len(made.add), "replaced", len(made.replace))
	again := *c
	again.SchemaID, again.Add, again.Replace, again.Vectors = head.table.schema.ID, made.add, made.replace, made.vectors
	again.Format = head.table.format()
	return &again, nil
}
