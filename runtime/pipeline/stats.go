package pipeline

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

// Stats is what a pipeline has done since it started. Records are counted once
// for each model that reads them.
type Stats struct {
	Records    int64 // delivered
	Bytes      int64
	Rows       int64
	Letters    int64 // dead letters
	Filtered   int64
	Epochs     int64
	Files      int64
	Last       int64     // number of the last epoch committed by this run
	LastCommit time.Time // zero before the first
	Positions  []record.Position
	Warnings   []TestCount // in order of model and test
	Swaps      []Swap      // of plugins, the last maxSwaps
	Shadows    []Shadowed  // in order of model
}

// TestCount counts the rows that fail a data test of severity warn, in epochs
// that were committed.
type TestCount struct {
	Model, Test string
	Rows        int64
}

type stats struct {
	mu  sync.Mutex
	now Stats
	at  map[record.TopicPartition]record.Position

	warnings map[warned]int64
	shadows  map[string]*Shadowed
}

// Stats returns the counts so far; safe to call while Run runs.
func (p *Pipeline) Stats() Stats {
	p.stats.mu.Lock()
	defer p.stats.mu.Unlock()
	s := p.stats.now
	for tp, position := range p.stats.at {
		position.TopicPartition = tp
		s.Positions = append(s.Positions, position)
	}
	for key, rows := range p.stats.warnings {
		s.Warnings = append(s.Warnings, TestCount{Model: key.model, Test: key.test, Rows: rows})
	}
	slices.SortFunc(s.Warnings, func(a, b TestCount) int { return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(a.Test, b.Test)) })
	s.Swaps = slices.Clone(s.Swaps)
	for _, model := range slices.Sorted(maps.Keys(p.stats.shadows)) {
		s.Shadows = append(s.Shadows, p.stats.shadows[model].clone())
	}
	return s
}

func (s *stats) warn(key warned, rows int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.warnings == nil {
		s.warnings = map[warned]int64{}
	}
	s.warnings[key] += rows
}

func (s *stats) took(slices []record.Slice, outcomes []outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == nil {
		s.at = map[record.TopicPartition]record.Position{}
	}
	for _, slice := range slices {
		s.now.Bytes += slice.Bytes
		s.at[slice.TopicPartition] = record.Position{Offset: slice.To}
	}
	for _, o := range outcomes {
		s.now.Records += o.fate.Delivered
		s.now.Rows += o.fate.Rows
		s.now.Letters += o.fate.Letters
		s.now.Filtered += o.fate.Filtered
	}
}

// replayed counts what replayed dead letters became: they were counted as
// delivered when they came.
func (s *stats) replayed(rows, letters int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Rows += rows
	s.now.Letters += letters
}

func (s *stats) committed(e *lakehouse.Epoch, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Epochs++
	s.now.Last = e.Number
	s.now.LastCommit = now
	for _, c := range e.Changes {
		s.now.Files += int64(len(c.Add))
	}
}

func delivered(e *lakehouse.Epoch) int64 {
	var n int64
	for _, r := range e.Readers {
		for _, g := range r.Ranges {
			n += g.Delivered
		}
	}
	return n
}
