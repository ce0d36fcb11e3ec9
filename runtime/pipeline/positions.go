package pipeline

import (
	"fmt"
	"slices"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

// positions is how far the loop has read, per TopicPartition.
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

func (p *positions) reached(until map[record.TopicPartition]int64) bool {
	for tp, end := range until {
		if p.at[tp].Offset < end {
			return false
		}
	}
	return true
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

// Topic is a topic as the broker shows it now.
type Topic struct {
	Name       string
	Origin     record.Origin
	Partitions []Partition
}

// Partition is the readable range of a TopicPartition: offsets [Start, End).
type Partition struct {
	ID         int32
	Start, End int64
}

// MainReader is the name of the reader that a project begins with.
const MainReader = "main"

// Resume decides where to read on: where the last epoch ended, and new
// partitions at their beginning. A source that is not the one that the epochs
// came from, or that no longer has what comes next, is refused (invariant 12):
// to go on regardless would lose or repeat records silently.
func Resume(readers []lakehouse.Reader, models []string, topics []Topic) ([]record.Position, error) {
	recorded := map[record.TopicPartition]lakehouse.Range{}
	for _, r := range readers {
		if err := checkModels(r, models); err != nil {
			return nil, err
		}
		for _, g := range r.Ranges {
			recorded[record.TopicPartition{Topic: g.Topic, Partition: g.Partition}] = g
		}
	}
	var out []record.Position
	for _, t := range topics {
		for _, p := range t.Partitions {
			tp := record.TopicPartition{Topic: t.Name, Partition: p.ID}
			g, known := recorded[tp]
			delete(recorded, tp)
			position := record.Position{Origin: t.Origin, TopicPartition: tp, Offset: p.Start, LeaderEpoch: -1}
			if known {
				if err := checkRange(g, t.Origin, p); err != nil {
					return nil, err
				}
				position.Offset, position.LeaderEpoch = g.To, g.LeaderEpoch
			}
			out = append(out, position)
		}
	}
	for tp, g := range recorded {
		if slices.ContainsFunc(topics, func(t Topic) bool { return t.Name == tp.Topic }) {
			return nil, &SourceError{TopicPartition: tp, Problem: fmt.Sprintf("was read up to offset %d and the topic no longer has this partition; it was made again with fewer partitions: give it a new name, or restore it", g.To)}
		}
	}
	return out, nil
}

// SourceError: a topic is not what the last epoch read, or has lost what comes
// next.
type SourceError struct {
	record.TopicPartition
	Problem string
}

func (e *SourceError) Error() string {
	return fmt.Sprintf("source %s: %s", e.TopicPartition, e.Problem)
}

// checkModels refuses a model that the reader does not carry: it would begin in
// the middle of its topic and lack everything before, silently.
func checkModels(r lakehouse.Reader, models []string) error {
	for _, m := range models {
		if !slices.Contains(r.Models, m) {
			return fmt.Errorf("model %q is new and reader %q has already read on without it: this version of calve cannot start a model later; run it as a project of its own, or begin this one anew under another name", m, r.Name)
		}
	}
	return nil
}

func checkRange(g lakehouse.Range, origin record.Origin, p Partition) error {
	refuse := func(format string, args ...any) error {
		return &SourceError{TopicPartition: record.TopicPartition{Topic: g.Topic, Partition: g.Partition}, Problem: fmt.Sprintf(format, args...)}
	}
	switch {
	case g.ClusterID != origin.ClusterID:
		return refuse("belongs to cluster %s, the tables were filled from cluster %s; point the project at that cluster, or begin a project of another name", origin.ClusterID, g.ClusterID)
	case g.TopicID != origin.TopicID:
		return refuse("was deleted and made again (topic id %s, the tables were filled from %s); restore it, or read it under a new project name", origin.TopicID, g.TopicID)
	case g.To > p.End:
		return refuse("ends at offset %d, the tables hold records up to %d; the topic has lost records: restore it, or wait until the broker has recovered", p.End, g.To)
	case g.To < p.Start:
		return refuse("begins at offset %d, the next to read is %d; offsets [%d,%d) expired before they were read: raise the topic's retention and restore them, or begin a project of another name", p.Start, g.To, g.To, p.Start)
	}
	return nil
}
