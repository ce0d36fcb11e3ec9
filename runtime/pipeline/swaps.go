package pipeline

import (
	"maps"
	"slices"

	"github.com/calvelake/calve/runtime/record"
)

// Swap is what became of another module for a plugin reference.
type Swap struct {
	Ref      string
	From, To string // digests
	Epoch    int64  // the first that To took, or was to take
	Outcome  SwapOutcome
	Reason   string // of a refusal
}

// SwapOutcome is how far a swap is.
type SwapOutcome string

// The outcomes.
const (
	SwapOnProbation SwapOutcome = "probation" // its first epoch is not decided
	SwapKept        SwapOutcome = "kept"
	SwapRefused     SwapOutcome = "refused" // From is used again
)

// maxSwaps bounds what Stats tells of swaps.
const maxSwaps = 100

// swapped notes a swap; what becomes of one on probation takes its place.
func (s *stats) swapped(swap Swap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	swaps := s.now.Swaps
	if i := slices.IndexFunc(swaps, func(have Swap) bool { return have.Ref == swap.Ref && have.Outcome == SwapOnProbation }); i >= 0 {
		swaps[i] = swap
		return
	}
	s.now.Swaps = append(swaps[max(0, len(swaps)+1-maxSwaps):], swap)
}

// statsMark is what was counted before an epoch that may be abandoned.
type statsMark struct {
	now Stats
	at  map[record.TopicPartition]record.Position
}

func (s *stats) mark() statsMark {
	s.mu.Lock()
	defer s.mu.Unlock()
	return statsMark{now: s.now, at: maps.Clone(s.at)}
}

// reset takes back what was counted since a mark. Swaps stay told.
func (s *stats) reset(m statsMark) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.now.Swaps = s.now.Swaps
	s.now, s.at = m.now, m.at
}
