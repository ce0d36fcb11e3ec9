package lakehouse

import (
	"context"
	"sync"

	"github.com/apache/iceberg-go/table"
)

// heads remembers what our last commit made of each table, so that the next
// epoch is planned without loading and parsing the metadata again: a request
// saved per table and epoch. What it remembers may be out of date and is safe
// all the same: a commit requires the table's uuid, schema, partition spec and
// the head that it was planned on, so a table that was changed by anyone
// refuses it, and what is planned after a refusal is planned on what is loaded
// then (invariant 5).
type heads struct {
	mu     sync.Mutex
	tables map[string]*table.Table
}

// reloadEvery is how many epochs pass before a table is loaded all the same:
// what an operator sets in its properties, and the tags that he makes, refuse
// no commit and must be seen. Snapshots expire only then, since one that got a
// tag meanwhile must stay.
const reloadEvery = 32

// get returns a table as our last commit left it, or nil.
func (h *heads) get(name string, epoch int64) *table.Table {
	h.mu.Lock()
	defer h.mu.Unlock()
	if epoch%reloadEvery == 0 {
		delete(h.tables, name)
	}
	return h.tables[name]
}

// committed remembers what a commit that succeeded made of the table that it
// was planned on. A result that cannot be computed here is not remembered.
func (h *heads) committed(p *plan) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tables == nil {
		h.tables = map[string]*table.Table{}
	}
	delete(h.tables, p.name)
	meta, err := table.UpdateTableMetadata(p.base.Metadata(), p.commit.Updates, p.base.MetadataLocation())
	if err == nil {
		h.tables[p.name] = table.New(p.base.Identifier(), meta, "", p.base.FS, nil)
	}
}

// forget drops the tables of an epoch and tells whether there were any.
func (h *heads) forget(e *Epoch) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := len(h.tables)
	for _, c := range e.Changes {
		delete(h.tables, c.Table)
	}
	return len(h.tables) < known
}

// drop forgets one table, which something else than an epoch has changed.
func (h *heads) drop(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.tables, name)
}

// base is a table that a commit is planned on.
type base struct {
	*table.Table
	loaded bool // just now; else it is as our last commit left it
}

func (l *Lake) base(ctx context.Context, name string, epoch int64) (base, error) {
	if tbl := l.heads.get(name, epoch); tbl != nil {
		return base{Table: tbl}, nil
	}
	tbl, err := l.loadNamed(ctx, name)
	return base{Table: tbl, loaded: true}, err
}
