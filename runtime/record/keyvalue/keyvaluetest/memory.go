// Package keyvaluetest has a keyvalue.Store in memory.
package keyvaluetest

import (
	"bytes"
	"maps"
	"slices"

	"github.com/calvelake/calve/runtime/record/keyvalue"
)

// Memory is a Store in a map. The zero value is not one: use New.
type Memory struct {
	values map[string]string
	sorted []string // keys; nil where they may have changed

	Gets   int // keys that were asked for
	Writes int // changes
}

// New returns a store without keys.
func New() *Memory { return &Memory{values: map[string]string{}} }

// Clone returns a store with the same keys.
func (m *Memory) Clone() *Memory { return &Memory{values: maps.Clone(m.values)} }

// Len counts the keys that begin with a prefix.
func (m *Memory) Len(prefix string) (n int) {
	for k := range m.values {
		if len(k) >= len(prefix) && k[:len(prefix)] == prefix {
			n++
		}
	}
	return n
}

// Get implements keyvalue.Store.
func (m *Memory) Get(keys [][]byte) ([][]byte, error) {
	m.Gets += len(keys)
	out := make([][]byte, len(keys))
	for i, k := range keys {
		if v, ok := m.values[string(k)]; ok {
			out[i] = []byte(v)
		}
	}
	return out, nil
}

// Write implements keyvalue.Store.
func (m *Memory) Write(changes []keyvalue.Change) error {
	m.Writes += len(changes)
	m.sorted = nil
	for _, c := range changes {
		if c.Value == nil {
			delete(m.values, string(c.Key))
		} else {
			m.values[string(c.Key)] = string(c.Value)
		}
	}
	return nil
}

// Scan implements keyvalue.Store.
func (m *Memory) Scan(from, to []byte, visit func(key, value []byte) (bool, error)) error {
	if m.sorted == nil {
		m.sorted = slices.Sorted(maps.Keys(m.values))
	}
	sorted := m.sorted // visit may write
	at, _ := slices.BinarySearch(sorted, string(from))
	for _, k := range sorted[at:] {
		if to != nil && bytes.Compare([]byte(k), to) >= 0 {
			break
		}
		if more, err := visit([]byte(k), []byte(m.values[k])); err != nil || !more {
			return err
		}
	}
	return nil
}
