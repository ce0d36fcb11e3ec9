package pipeline

import (
	"slices"

	"github.com/calvelake/calve/runtime/record"
)

// positions is how far a reader has read, per TopicPartition.
type positions struct {
	at map[record.TopicPartition]record.Position
}

func newPositions(start []record.Position) *positions {
	p := &positions{at: make(map[record.TopicPartition]record.Position, len(start))}
	for _, position := range start {
		p.at[position.TopicPartition] = position
	}
	return p
}

// advance moves on by what was polled.
func (p *positions) advance(slices []record.Slice) {
	for _, s := range slices {
		position := p.at[s.TopicPartition]
		position.Offset = s.To
		if s.LeaderEpoch >= 0 {
			position.LeaderEpoch = s.LeaderEpoch
		}
		p.at[s.TopicPartition] = position
	}
}

// reached tells whether every TopicPartition read is at its end, if it has one.
func (p *positions) reached(until map[record.TopicPartition]int64) bool {
	for tp, position := range p.at {
		if end, ok := until[tp]; ok && position.Offset < end {
			return false
		}
	}
	return true
}

// ends is where the reader is, as the end for another one.
func (p *positions) ends() map[record.TopicPartition]int64 {
	ends := make(map[record.TopicPartition]int64, len(p.at))
	for tp, position := range p.at {
		ends[tp] = position.Offset
	}
	return ends
}

// sorted returns the positions by topic and partition.
func (p *positions) sorted() []record.Position {
	all := make([]record.Position, 0, len(p.at))
	for _, position := range p.at {
		all = append(all, position)
	}
	slices.SortFunc(all, func(a, b record.Position) int { return a.Compare(b.TopicPartition) })
	return all
}

// cut drops what is at or beyond the ends given; without one a slice stays as
// it is. The second result tells whether anything was dropped.
func cut(polled []record.Slice, ends map[record.TopicPartition]int64) ([]record.Slice, bool) {
	if ends == nil {
		return polled, false
	}
	var kept []record.Slice
	dropped := false
	for _, s := range polled {
		if end, ok := ends[s.TopicPartition]; ok && s.To > end {
			s, dropped = cutSlice(s, end), true
		}
		if s.From < s.To {
			kept = append(kept, s)
		}
	}
	return kept, dropped
}

func cutSlice(s record.Slice, end int64) record.Slice {
	s.To = max(end, s.From)
	i := slices.IndexFunc(s.Records, func(r record.Record) bool { return r.Offset >= end })
	if i < 0 {
		return s
	}
	for _, r := range s.Records[i:] {
		s.Bytes -= int64(len(r.Key) + len(r.Value))
	}
	s.Records = s.Records[:i]
	return s
}
