package server

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Memory is a Storage that lasts as long as the process.
type Memory struct {
	mu         sync.Mutex
	namespaces map[string]map[string]string // by key
	tables     map[string]map[string]Table  // by key of the namespace, then name
}

// NewMemory makes an empty storage.
func NewMemory() *Memory {
	return &Memory{namespaces: map[string]map[string]string{}, tables: map[string]map[string]Table{}}
}

// CreateNamespace adds a namespace.
func (m *Memory) CreateNamespace(_ context.Context, n Namespace, properties map[string]string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.namespaces[n.Key()]; ok {
		return fmt.Errorf("%s: %w", n, ErrNamespaceExists)
	}
	if parent := n.Parent(); len(parent) > 0 {
		if _, ok := m.namespaces[parent.Key()]; !ok {
			return fmt.Errorf("%s: %w", parent, ErrNoSuchNamespace)
		}
	}
	held := map[string]string{}
	maps.Copy(held, properties)
	m.namespaces[n.Key()] = held
	m.tables[n.Key()] = map[string]Table{}
	return nil
}

// Namespace returns a namespace's properties.
func (m *Memory) Namespace(_ context.Context, n Namespace) (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	properties, ok := m.namespaces[n.Key()]
	if !ok {
		return nil, fmt.Errorf("%s: %w", n, ErrNoSuchNamespace)
	}
	return maps.Clone(properties), nil
}

// Namespaces lists a namespace's children.
func (m *Memory) Namespaces(_ context.Context, parent Namespace, page Page) ([]Namespace, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.namespaces[parent.Key()]; !ok && len(parent) > 0 {
		return nil, fmt.Errorf("%s: %w", parent, ErrNoSuchNamespace)
	}
	var found []Namespace
	for _, key := range slices.Sorted(maps.Keys(m.namespaces)) {
		n := ParseKey(key)
		if slices.Equal(n.Parent(), parent) && n[len(n)-1] > page.After && !page.full(len(found)) {
			found = append(found, n)
		}
	}
	return found, nil
}

// UpdateNamespace changes a namespace's properties.
func (m *Memory) UpdateNamespace(_ context.Context, n Namespace, removals []string, updates map[string]string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	properties, ok := m.namespaces[n.Key()]
	if !ok {
		return fmt.Errorf("%s: %w", n, ErrNoSuchNamespace)
	}
	for _, key := range removals {
		delete(properties, key)
	}
	maps.Copy(properties, updates)
	return nil
}

// DropNamespace removes an empty namespace.
func (m *Memory) DropNamespace(_ context.Context, n Namespace) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.namespaces[n.Key()]; !ok {
		return fmt.Errorf("%s: %w", n, ErrNoSuchNamespace)
	}
	for key := range m.namespaces {
		if slices.Equal(ParseKey(key).Parent(), n) {
			return fmt.Errorf("%s: %w", n, ErrNamespaceNotEmpty)
		}
	}
	if len(m.tables[n.Key()]) > 0 {
		return fmt.Errorf("%s: %w", n, ErrNamespaceNotEmpty)
	}
	delete(m.namespaces, n.Key())
	delete(m.tables, n.Key())
	return nil
}

// Table returns a table.
func (m *Memory) Table(_ context.Context, id Identifier) (Table, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	table, ok := m.tables[id.Namespace.Key()][id.Name]
	if !ok {
		return Table{}, fmt.Errorf("%s: %w", id, ErrNoSuchTable)
	}
	return table, nil
}

// Tables lists a namespace's tables.
func (m *Memory) Tables(_ context.Context, n Namespace, page Page) ([]Identifier, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	tables, ok := m.tables[n.Key()]
	if !ok {
		return nil, fmt.Errorf("%s: %w", n, ErrNoSuchNamespace)
	}
	var found []Identifier
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		if name > page.After && !page.full(len(found)) {
			found = append(found, Identifier{Namespace: n, Name: name})
		}
	}
	return found, nil
}

// Swap makes all changes or none.
func (m *Memory) Swap(_ context.Context, changes []Change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := make(map[string]map[string]Table, len(m.tables))
	for key, tables := range m.tables {
		kept[key] = maps.Clone(tables)
	}
	for _, change := range changes {
		if err := m.applyLocked(change); err != nil {
			m.tables = kept
			return err
		}
	}
	return nil
}

// Close does nothing.
func (m *Memory) Close() error { return nil }

func (m *Memory) applyLocked(c Change) error {
	found, exists := m.tables[c.Table.Namespace.Key()][c.Table.Name]
	if c.From == "" && exists {
		return fmt.Errorf("%s: %w", c.Table, ErrTableExists)
	}
	if found.Metadata != c.From {
		return &ConflictError{Table: c.Table, Found: found.Metadata}
	}
	next := Table{Identifier: c.Table, UUID: c.UUID, Metadata: c.To}
	if exists {
		next.UUID = found.UUID
		delete(m.tables[c.Table.Namespace.Key()], c.Table.Name)
	}
	if c.To == "" {
		return nil
	}
	if c.NewName != nil {
		next.Identifier = *c.NewName
	}
	tables, ok := m.tables[next.Identifier.Namespace.Key()]
	if !ok {
		return fmt.Errorf("%s: %w", next.Identifier.Namespace, ErrNoSuchNamespace)
	}
	if _, taken := tables[next.Identifier.Name]; taken {
		return fmt.Errorf("%s: %w", next.Identifier, ErrTableExists)
	}
	tables[next.Identifier.Name] = next
	return nil
}

func (p Page) full(n int) bool { return p.Size > 0 && n >= p.Size }
