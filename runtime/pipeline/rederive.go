package pipeline

import (
	"context"
	"fmt"
	"maps"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

// Rederive walks the records of a decided epoch once more, from its positions
// to its ends, and writes its files anew, under names of this process; nothing
// is recorded or committed. The changes are for Lake.CommitRederived, which
// compares them with the record.
//
// What the record says of the configuration, the plugins and the number of
// records must hold, else it fails with lakehouse.ErrNotReproduced. Everything
// is derived as it was but for one column: ingested_at is when the epoch was
// decided, since nothing tells any more when each record arrived.
//
// parts.Start needs Tables, and Epochs as before the epoch; parts.Discover must
// show the topics; parts.Readers and Confirm are not used.
func Rederive(ctx context.Context, config Config, parts Parts, decided *lakehouse.Epoch) ([]lakehouse.TableChange, error) {
	if config.ConfigHash != decided.ConfigHash {
		return nil, fmt.Errorf("%w: the project has changed since epoch %d was decided; check out what it was then", lakehouse.ErrNotReproduced, decided.Number)
	}
	if len(decided.Requests) > 0 {
		return nil, fmt.Errorf("%w: epoch %d carried out request %s too, and Kafka does not have what it changed; restore the files from a copy of the warehouse",
			lakehouse.ErrNotReproduced, decided.Number, decided.Requests[0].ID)
	}
	if len(decided.Keyed) > 0 {
		return nil, fmt.Errorf("%w: model %s keeps state, and what the state was before epoch %d is gone; restore the files from a copy of the warehouse",
			lakehouse.ErrNotReproduced, decided.Keyed[0].Name, decided.Number)
	}
	config.Nonce = decided.Writer // the audit rows name who decided
	parts.Readers = assignmentsOf(decided)
	parts.Open = datedSources(parts.Open, decided.DecidedAt)
	p := New(config, parts)
	p.last = decided.Number - 1
	if !maps.Equal(p.plugins(), decided.Plugins) && len(p.plugins())+len(decided.Plugins) > 0 {
		return nil, fmt.Errorf("%w: epoch %d was derived by plugins %v, the project has %v; put those modules back", lakehouse.ErrNotReproduced, decided.Number, decided.Plugins, p.plugins())
	}
	topics, err := parts.Discover(ctx)
	if err != nil {
		return nil, err
	}
	if err := stillThere(decided, topics); err != nil {
		return nil, fmt.Errorf("derive epoch %d again: %w", decided.Number, err)
	}
	defer func() {
		for _, r := range p.readers {
			r.close()
		}
	}()
	e := p.begin()
	e.started = decided.StartedAt
	changes, err := p.rederive(ctx, e, decided)
	if err != nil {
		e.abort()
		return nil, fmt.Errorf("derive epoch %d again: %w", decided.Number, err)
	}
	return changes, nil
}

func (p *Pipeline) rederive(ctx context.Context, e *epoch, decided *lakehouse.Epoch) ([]lakehouse.TableChange, error) {
	for i, r := range p.readers {
		ranges := moved(decided.Readers[i])
		ends := map[record.TopicPartition]int64{}
		for tp, g := range ranges {
			ends[tp] = g.To
		}
		for !r.at.reached(ends) {
			if _, err := p.step(ctx, e, r, ends); err != nil {
				return nil, err
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		for tp, g := range ranges {
			if got := e.slices[r].delivered[tp]; got != g.Delivered {
				return nil, fmt.Errorf("%w: offsets [%d,%d) of %s hold %d records, the epoch had %d: some have expired or were compacted away", lakehouse.ErrNotReproduced, g.From, g.To, tp, got, g.Delivered)
			}
			position := r.at.at[tp]
			position.LeaderEpoch = g.LeaderEpoch
			r.at.at[tp] = position
		}
	}
	audit := e.audit(decided.DecidedAt, decided.Watermarks)
	if err := e.check(audit); err != nil {
		return nil, err
	}
	return p.changes(ctx, e, audit)
}

// stillThere refuses topics that are not those of the epoch (invariant 12) or
// no longer have its offsets: without it the walk would wait for records that
// cannot come.
func stillThere(decided *lakehouse.Epoch, topics []Topic) error {
	shown := map[record.TopicPartition]Partition{}
	origins := map[string]record.Origin{}
	for _, t := range topics {
		origins[t.Name] = t.Origin
		for _, p := range t.Partitions {
			shown[record.TopicPartition{Topic: t.Name, Partition: p.ID}] = p
		}
	}
	for _, a := range assignmentsOf(decided) {
		for _, position := range a.Positions {
			p, ok := shown[position.TopicPartition]
			if !ok {
				return fmt.Errorf("%w: %s does not exist any more", lakehouse.ErrNotReproduced, position.TopicPartition)
			}
			if p.Start > position.Offset {
				return fmt.Errorf("%w: %s begins at offset %d, the epoch's records at %d have expired", lakehouse.ErrNotReproduced, position.TopicPartition, p.Start, position.Offset)
			}
		}
	}
	for _, r := range decided.Readers {
		for tp, g := range moved(r) {
			if err := checkRange(g, origins[tp.Topic], shown[tp]); err != nil {
				return fmt.Errorf("%w: %w", lakehouse.ErrNotReproduced, err)
			}
		}
	}
	return nil
}

// moved are the ranges of a reader that hold any offsets.
func moved(r lakehouse.Reader) map[record.TopicPartition]lakehouse.Range {
	ranges := map[record.TopicPartition]lakehouse.Range{}
	for _, g := range r.Ranges {
		if g.From < g.To {
			ranges[record.TopicPartition{Topic: g.Topic, Partition: g.Partition}] = g
		}
	}
	return ranges
}

// assignmentsOf places each reader where the epoch began, behind what it gave
// up as lost. The leader epoch there is not known: -1 does not ask for one.
func assignmentsOf(decided *lakehouse.Epoch) []Assignment {
	assignments := make([]Assignment, len(decided.Readers))
	for i, r := range decided.Readers {
		a := Assignment{Name: r.Name, Models: r.Models, Lost: map[record.TopicPartition]lakehouse.Interval{}}
		for tp, g := range moved(r) {
			position := record.Position{
				Origin: record.Origin{ClusterID: g.ClusterID, TopicID: g.TopicID}, TopicPartition: tp, Offset: g.From, LeaderEpoch: -1,
			}
			if len(g.Lost) > 0 {
				a.Lost[tp] = g.Lost[0]
				position.Offset = g.Lost[0].To
			}
			a.Positions = append(a.Positions, position)
		}
		assignments[i] = a
	}
	return assignments
}

// datedSources opens sources whose records arrive at a given time (µs).
func datedSources(open func(context.Context, []record.Position) (Source, error), at int64) func(context.Context, []record.Position) (Source, error) {
	return func(ctx context.Context, positions []record.Position) (Source, error) {
		source, err := open(ctx, positions)
		if err != nil {
			return nil, err
		}
		return &datedSource{Source: source, at: at}, nil
	}
}

type datedSource struct {
	Source
	at int64
}

func (s *datedSource) Poll(ctx context.Context, maxRecords int) ([]record.Slice, error) {
	polled, err := s.Source.Poll(ctx, maxRecords)
	for i := range polled {
		polled[i].IngestedAt = s.at
	}
	return polled, err
}
