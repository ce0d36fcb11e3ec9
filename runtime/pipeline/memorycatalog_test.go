package pipeline_test

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/lakehouse/storage"
)

// openCatalog is a catalog as one process has opened it.
type openCatalog interface {
	lakehouse.Catalog
	Close() error
}

// tables is a catalog that keeps what tables are in memory. It checks
// requirements and applies updates as the embedded one does, and spends no time
// on SQLite, HTTP and metadata files: a search opens it a thousand times.
type tables struct {
	mu   sync.Mutex
	held map[string]table.Metadata // by "namespace.name"
	made int
}

func newTables() *tables { return &tables{held: map[string]table.Metadata{}} }

// memoryCatalog is tables as a process sees them, through its own store.
type memoryCatalog struct {
	tables *tables
	store  storage.Store
}

func (m memoryCatalog) Close() error { return nil }

func (m memoryCatalog) Atomic() bool { return true }

func (m memoryCatalog) EnsureNamespace(ctx context.Context, _ string) error { return ctx.Err() }

func (m memoryCatalog) Load(ctx context.Context, id catalog.Identifier) (*table.Table, error) {
	m.tables.mu.Lock()
	defer m.tables.mu.Unlock()
	meta, ok := m.tables.held[id.String()]
	if !ok {
		return nil, fmt.Errorf("load %s: %w", id, catalog.ErrNoSuchTable)
	}
	return m.table(id, meta), ctx.Err()
}

func (m memoryCatalog) table(id catalog.Identifier, meta table.Metadata) *table.Table {
	return table.New(table.Identifier{id.Namespace, id.Name}, meta, meta.Location()+"/metadata/v.metadata.json", catalog.FileIO(m.store), m)
}

func (m memoryCatalog) Create(ctx context.Context, id catalog.Identifier, spec catalog.CreateSpec) (*table.Table, error) {
	m.tables.mu.Lock()
	defer m.tables.mu.Unlock()
	if _, ok := m.tables.held[id.String()]; ok {
		return nil, fmt.Errorf("create %s: %w", id, catalog.ErrTableExists)
	}
	m.tables.made++
	location := fmt.Sprintf("%s/%s/%s-%08x", storeRoot, id.Namespace, id.Name, m.tables.made)
	meta, err := table.NewMetadata(spec.Schema, spec.Spec, table.UnsortedSortOrder, location, spec.Properties)
	if err != nil {
		return nil, err
	}
	m.tables.held[id.String()] = meta
	return m.table(id, meta), ctx.Err()
}

func (m memoryCatalog) Commit(ctx context.Context, commits []table.TableCommit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.tables.mu.Lock()
	defer m.tables.mu.Unlock()
	next := map[string]table.Metadata{}
	for _, c := range commits {
		name := strings.Join(c.Identifier, ".")
		meta, ok := m.tables.held[name]
		if !ok {
			return fmt.Errorf("commit %s: %w", name, catalog.ErrNoSuchTable)
		}
		for _, r := range c.Requirements {
			if err := r.Validate(meta); err != nil {
				return fmt.Errorf("commit %s: %w: %w", name, catalog.ErrConflict, err)
			}
		}
		changed, err := table.UpdateTableMetadata(meta, c.Updates, "")
		if err != nil {
			return fmt.Errorf("commit %s: %w", name, err)
		}
		next[name] = changed
	}
	for name, meta := range next {
		m.tables.held[name] = meta
	}
	return nil
}

// LoadTable and CommitTable let a table of it commit itself, as other engines
// do.
func (m memoryCatalog) LoadTable(ctx context.Context, path table.Identifier) (*table.Table, error) {
	return m.Load(ctx, catalog.Identifier{Namespace: path[0], Name: path[1]})
}

func (m memoryCatalog) CommitTable(ctx context.Context, path table.Identifier, requirements []table.Requirement, updates []table.Update) (table.Metadata, string, error) {
	err := m.Commit(ctx, []table.TableCommit{{Identifier: path, Requirements: requirements, Updates: updates}})
	if err != nil {
		return nil, "", err
	}
	tbl, err := m.LoadTable(ctx, path)
	if err != nil {
		return nil, "", err
	}
	return tbl.Metadata(), tbl.MetadataLocation(), nil
}
