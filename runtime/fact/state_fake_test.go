package fact

import (
	"bytes"
	"maps"
	"slices"
)

// memoryState is State in a map.
type memoryState struct {
	values map[string]string
	sorted []string // keys, nil where they may have changed
	gets   int      // keys asked for
	writes int      // changes
}

func newMemoryState() *memoryState { return &memoryState{values: map[string]string{}} }

func (s *memoryState) clone() *memoryState { return &memoryState{values: maps.Clone(s.values)} }

func (s *memoryState) Get(keys [][]byte) ([][]byte, error) {
	s.gets += len(keys)
	out := make([][]byte, len(keys))
	for i, k := range keys {
		if v, ok := s.values[string(k)]; ok {
			out[i] = []byte(v)
		}
	}
	return out, nil
}

func (s *memoryState) Write(changes []Change) error {
	s.writes += len(changes)
	s.sorted = nil
	for _, c := range changes {
		if c.Value == nil {
			delete(s.values, string(c.Key))
		} else {
			s.values[string(c.Key)] = string(c.Value)
		}
	}
	return nil
}

func (s *memoryState) Scan(from, to []byte, visit func(key, value []byte) (bool, error)) error {
	if len(s.sorted) != len(s.values) {
		s.sorted = slices.Sorted(maps.Keys(s.values))
	}
	at, _ := slices.BinarySearch(s.sorted, string(from))
	for _, k := range s.sorted[at:] {
		if to != nil && bytes.Compare([]byte(k), to) >= 0 {
			break
		}
		if more, err := visit([]byte(k), []byte(s.values[k])); err != nil || !more {
			return err
		}
	}
	return nil
}

// count counts the keys of a part of State.
func (s *memoryState) count(part byte) (n int) {
	for k := range s.values {
		if k[0] == part {
			n++
		}
	}
	return n
}
