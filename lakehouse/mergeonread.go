package lakehouse

import (
	"context"
	"fmt"

	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/runtime/record"
)

// mergeOnRead applies changes to a head with deletion vectors: rows that are
// updated or deleted are taken out of their files by a vector, at most one a
// file, into which the one before is merged, and new rows go to files of their
// own. No data file is read for that: the index knows each key's row.
//
// Files of which half is gone, and small ones once they are many, are folded
// into others, which costs a row or two for each that was taken out.
type mergeOnRead struct {
	table   *Table // with the head's schema
	head    *table.Table
	files   *liveFiles
	names   *Names
	config  ChangeConfig
	changes *changeSet

	dead  map[string]*positions // of files with rows that the changes take out: all that are gone then
	fresh []int                 // changes whose rows are written
	stats RewriteStats
}

// applyVectors is apply for a table with deletion vectors.
func (h *keyedHead) applyVectors(ctx context.Context, a applied) (made, error) {
	x := h.table.lake.indexes.of(h.table.UUID)
	if err := x.syncRows(ctx, h.table, h.loaded, h.files); err != nil {
		return made{}, err
	}
	m := &mergeOnRead{table: h.table, head: h.loaded, files: h.files, names: a.names, config: a.config.withDefaults(), changes: a.changes, dead: map[string]*positions{}}
	m.take(x.locateRows(a.changes.hashes))
	return m.run(ctx, h.foldable(x, m.dead, len(a.changes.ops), m.config.TargetBytes))
}

// take decides what becomes of each change.
func (m *mergeOnRead) take(places []rowPlace) {
	for change, op := range m.changes.ops {
		at := places[change]
		switch {
		case at.file == nil && op == record.OpDelete:
			m.stats.Absent++
			continue
		case at.file == nil:
			m.stats.Created++
		case op == record.OpDelete:
			m.stats.Deleted++
		default:
			m.stats.Updated++
		}
		if at.file != nil {
			m.takeOut(at)
		}
		if op != record.OpDelete {
			m.fresh = append(m.fresh, change)
		}
	}
}

func (m *mergeOnRead) takeOut(at rowPlace) {
	dead := m.dead[at.file.location]
	if dead == nil {
		dead = at.file.dead.clone()
		m.dead[at.file.location] = dead
	}
	dead.add(at.row)
}

// run writes what the changes and the files to fold come to.
func (m *mergeOnRead) run(ctx context.Context, folds []fold) (made, error) {
	add, err := m.writeFresh(ctx)
	if err != nil {
		return made{}, err
	}
	folded, err := m.fold(ctx, folds)
	if err != nil {
		return made{}, err
	}
	out := made{add: append(add, folded...)}
	for _, f := range folds {
		m.stats.replaced(m.files.at[f.location].data)
		out.replace = append(out.replace, f.location)
		delete(m.dead, f.location)
	}
	if out.vectors, err = m.table.writeVectors(ctx, m.head, m.files, m.names, m.dead); err != nil {
		return made{}, err
	}
	m.stats.wrote(out.add)
	out.stats = m.stats
	return out, nil
}

// writeFresh writes the rows that are new or updated.
func (m *mergeOnRead) writeFresh(ctx context.Context) ([]File, error) {
	w, err := m.table.newGroupWriter(m.names, m.config)
	if err != nil {
		return nil, err
	}
	defer w.abort()
	if err := m.changes.write(ctx, w, m.fresh); err != nil {
		return nil, err
	}
	files, err := w.close()
	if err != nil {
		return nil, fmt.Errorf("write rows of %s: %w", m.table.ID, err)
	}
	return files, nil
}
