//go:build unix

package main

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/calvelake/calve/runtime/kafka"
)

const (
	partitions = 4
	// keys spread the records over the partitions.
	keys = 64
	// Of every malformedEvery records one is no JSON, and of every notelessEvery one
	// has no note.
	malformedEvery = 50
	notelessEvery  = 7
	// tick is how often the producer writes its share of a second.
	tick = 20 * time.Millisecond
)

// written is what the producer wrote and what has to become of it.
type written struct {
	Records int64
	Models  map[string]fate
}

// fate is what becomes of the records in one model.
type fate struct {
	Rows, Dead int64
	Sum        int64 // of the rows' sequence numbers
}

// producer writes records numbered from 1 until it is told to stop.
type producer struct {
	topic   string
	rate    int
	begun   chan struct{} // closed when the topic is there
	halt    chan struct{}
	ended   chan struct{} // closed when written and err are final
	written written
	err     error
}

func newProducer(topic string, rate int) *producer {
	return &producer{
		topic: topic, rate: rate, begun: make(chan struct{}), halt: make(chan struct{}), ended: make(chan struct{}),
		written: written{Models: map[string]fate{"events": {}, "notes": {}}},
	}
}

// run writes until stop, with every record acknowledged, or an error.
func (p *producer) run(ctx context.Context, client *kafka.Client) {
	defer close(p.ended)
	config := kafka.ProduceConfig{Topic: p.topic, CreateTopic: true, Partitions: partitions}
	n, err := client.Produce(ctx, config, p.records(ctx))
	switch {
	case err != nil:
		p.err = fmt.Errorf("produce: %w", err)
	case n != p.written.Records:
		p.err = fmt.Errorf("produce: the broker acknowledged %d of %d records", n, p.written.Records)
	}
}

// stop ends the writing and waits for the last acknowledgement.
func (p *producer) stop() error {
	close(p.halt)
	<-p.ended
	return p.err
}

func (p *producer) records(ctx context.Context) iter.Seq2[kafka.ProduceRecord, error] {
	return func(yield func(kafka.ProduceRecord, error) bool) {
		close(p.begun)
		pace := time.NewTicker(tick)
		defer pace.Stop()
		for {
			for range max(1, p.rate*int(tick)/int(time.Second)) {
				if !yield(p.written.next(time.Now()), nil) {
					return
				}
			}
			select {
			case <-p.halt:
				return
			case <-ctx.Done():
				return
			case <-pace.C:
			}
		}
	}
}

// next makes the next record and notes its fate: a row in both models, a dead letter
// in both, or, without a note, a row of events and a dead letter of notes.
func (w *written) next(now time.Time) kafka.ProduceRecord {
	w.Records++
	seq := w.Records
	value := fmt.Sprintf(`{"seq":%d,"at":%d,"note":"note of %d"}`, seq, now.UnixMilli(), seq)
	malformed, noteless := seq%malformedEvery == 0, seq%notelessEvery == 0
	switch {
	case malformed:
		value = fmt.Sprintf(`{"seq":%d,"at":`, seq)
	case noteless:
		value = fmt.Sprintf(`{"seq":%d,"at":%d}`, seq, now.UnixMilli())
	}
	w.add("events", seq, malformed)
	w.add("notes", seq, malformed || noteless)
	return kafka.ProduceRecord{Key: fmt.Appendf(nil, "key-%d", seq%keys), Value: []byte(value)}
}

func (w *written) add(model string, seq int64, dead bool) {
	f := w.Models[model]
	if dead {
		f.Dead++
	} else {
		f.Rows++
		f.Sum += seq
	}
	w.Models[model] = f
}
