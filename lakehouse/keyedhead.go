package lakehouse

import (
	"context"
	"fmt"

	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
)

// keyedHead is the head of a keyed table that changes are applied to.
type keyedHead struct {
	table  *Table // opened with the head's schema
	loaded *table.Table
	files  *liveFiles
}

// headAfter loads the table's head, which must show epoch prev: what is planned
// on another would lack rows, or have them twice, although the files that it
// replaces were there.
func (t *Table) headAfter(ctx context.Context, prev int64, names *Names) (*keyedHead, error) {
	tbl, err := t.lake.loadNamed(ctx, t.ID.String())
	if err != nil {
		return nil, err
	}
	c := t.Change(prev, nil)
	if err := checkUUID(tbl.Metadata(), &c); err != nil {
		return nil, err
	}
	progress, err := ReadProgress(c.Table, tbl.Metadata())
	switch {
	case err != nil:
		return nil, err
	case progress.Epoch >= names.epoch:
		return nil, t.lake.Log().overtaken(ctx, progress.Epoch)
	case progress.Epoch != prev:
		return nil, fmt.Errorf("%w: it is at epoch %d, epoch %d needs it at %d", ErrForeign, progress.Epoch, names.epoch, prev)
	}
	if err := checkShape(tbl.Metadata(), &c); err != nil {
		return nil, err
	}
	if have := tbl.Metadata().Version(); have != t.version {
		return nil, fmt.Errorf("%w: %s was upgraded to format version %d, and Calve made it of version %d; restore it, or give the model a new name", ErrForeign, c.Table, have, t.version)
	}
	return t.lake.keyedHead(ctx, c.Table, tbl)
}

func (l *Lake) keyedHead(ctx context.Context, name string, tbl *table.Table) (*keyedHead, error) {
	id, err := catalog.ParseIdentifier(name)
	if err != nil {
		return nil, err
	}
	t, err := l.table(id, tbl)
	if err != nil {
		return nil, err
	}
	if t.key == nil {
		return nil, fmt.Errorf("%w: the property %s of %s is gone; set it back to the JSON array of the columns of the model's key", ErrForeign, PropertyKey, name)
	}
	files, err := l.liveFiles(ctx, name, tbl)
	if err != nil {
		return nil, err
	}
	if have, want := files.rows(), ownRows(tbl.Metadata()); want >= 0 && have != want {
		return nil, fmt.Errorf("%w: %s has %d rows, and had %d after our last snapshot, although other writers' snapshots since then say that they changed none: rows that were deleted may be back; roll the table back to our snapshot",
			ErrForeign, name, have, want)
	}
	return &keyedHead{table: t, loaded: tbl, files: files}, nil
}

// applied is what is applied to a head, and how.
type applied struct {
	changes *changeSet
	names   *Names
	config  ChangeConfig
	index   bool // build the index if there is none
}

// made is what came of it.
type made struct {
	add     []File
	replace []string
	vectors []Vector
	stats   RewriteStats
}

// apply writes the files that the head would have with the changes.
func (h *keyedHead) apply(ctx context.Context, a applied) (made, error) {
	if err := a.changes.conform(ctx, h.table); err != nil {
		return made{}, err
	}
	if h.table.vectors() {
		return h.applyVectors(ctx, a)
	}
	groups, found, err := h.locate(ctx, a)
	if err != nil {
		return made{}, err
	}
	if len(a.changes.ops) > 0 {
		h.addSmall(groups, a.config.TargetBytes)
	}
	w := &rewrite{table: h.table, head: h.loaded, files: h.files, names: a.names, config: a.config, changes: a.changes}
	locations := h.files.inOrder(groups)
	add, err := w.run(ctx, locations, groups, found)
	if err != nil {
		return made{}, err
	}
	return made{add: add, replace: locations, stats: w.stats}, nil
}

// locate finds the row groups that hold changed keys: by the index, or, where
// there is none and the process may not need one, by looking at the keys of
// those files that can.
func (h *keyedHead) locate(ctx context.Context, a applied) (groups touched, found int, err error) {
	x := h.table.lake.indexes.of(h.table.UUID)
	if !a.index && !x.built() {
		return h.search(ctx, a.changes)
	}
	if err := x.sync(ctx, h.table, h.loaded, h.files); err != nil {
		return nil, 0, err
	}
	groups, found = x.locate(a.changes.hashes)
	return groups, found, nil
}
