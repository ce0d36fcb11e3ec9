package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

// reader is a set of models that read the same topics at the same positions.
// The first of a pipeline follows the ends of its topics. Another one belongs
// to a model that was added later and reads what the first has read before it;
// when it has caught up, at the end of an epoch, the two become one.
type reader struct {
	name   string
	models []*Model
	at     *positions
	lost   map[record.TopicPartition]lakehouse.Interval // accepted, not recorded yet
	open   func(context.Context, []record.Position) (Source, error)
	source Source // nil until the first poll
}

func newReaders(parts Parts) []*reader {
	var readers []*reader
	for _, a := range parts.Readers {
		r := &reader{name: a.Name, at: newPositions(a.Positions), lost: a.Lost, open: parts.Open}
		for i := range parts.Models {
			if slices.Contains(a.Models, parts.Models[i].Name) {
				r.models = append(r.models, &parts.Models[i])
			}
		}
		readers = append(readers, r)
	}
	return readers
}

// poll returns what arrived of the reader's topics.
func (r *reader) poll(ctx context.Context, maxRecords int) ([]record.Slice, error) {
	if r.source == nil {
		source, err := r.open(ctx, r.at.sorted())
		if err != nil {
			return nil, fmt.Errorf("open source of reader %s: %w", r.name, err)
		}
		r.source = source
	}
	return r.source.Poll(ctx, maxRecords)
}

func (r *reader) release() {
	if r.source != nil {
		r.source.Release()
	}
}

// close ends the source; the next poll opens it again where the reader is.
func (r *reader) close() {
	if r.source != nil {
		r.source.Close()
		r.source = nil
	}
}

// reading lists the models that read a topic.
func (r *reader) reading(topic string) []*Model {
	var models []*Model
	for _, m := range r.models {
		if m.Topic == topic {
			models = append(models, m)
		}
	}
	return models
}

// extend takes in partitions that the topics have got, at their beginning.
func (r *reader) extend(topics []Topic) (added []record.TopicPartition) {
	for _, t := range topics {
		if len(r.reading(t.Name)) == 0 {
			continue
		}
		for _, p := range t.Partitions {
			tp := record.TopicPartition{Topic: t.Name, Partition: p.ID}
			if _, ok := r.at.at[tp]; !ok {
				r.at.at[tp] = record.Position{Origin: t.Origin, TopicPartition: tp, Offset: p.Start, LeaderEpoch: -1}
				added = append(added, tp)
			}
		}
	}
	if len(added) > 0 {
		r.close()
	}
	return added
}

// meets tells whether a reader is where the first one is.
func (r *reader) meets(first *reader) bool {
	for tp, position := range r.at.at {
		if at, ok := first.at.at[tp]; !ok || at.Offset != position.Offset {
			return false
		}
	}
	return true
}

// joinReaders makes one of readers that have met. It is called between two
// epochs, and decides as Resume does on the record of the first of them.
func joinReaders(readers []*reader) []*reader {
	first := readers[0]
	kept := readers[:1]
	for _, r := range readers[1:] {
		if !r.meets(first) {
			kept = append(kept, r)
			continue
		}
		r.close()
		first.models = append(first.models, r.models...)
	}
	return kept
}
