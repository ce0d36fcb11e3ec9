package pipeline

import (
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
}

type stats struct {
	mu  sync.Mutex
	now Stats
	at  map[record.TopicPartition]record.Position
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
	return s
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
