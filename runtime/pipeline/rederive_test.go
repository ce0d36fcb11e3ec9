package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/decode"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/record"
)

// rederiver runs pipelines in a world without faults.
type rederiver struct {
	*world
	starts int
}

func (w *rederiver) produce(topic string, number int32, values ...string) {
	w.t.Helper()
	err := w.broker.change(record.TopicPartition{Topic: topic, Partition: number}, func(p *partition) {
		for _, v := range values {
			p.append(nil, []byte(v))
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// process returns what a pipeline of this world is made of.
func (w *rederiver) process() (pipeline.Config, pipeline.Parts) {
	w.t.Helper()
	w.starts++
	nonce := fmt.Sprintf("w%d", w.starts)
	logger := slog.New(slog.DiscardHandler)
	lake := lakehouse.New(lakehouse.Config{Pipeline: pipelineName, Nonce: nonce, Logger: logger}, w.store, w.catalog)
	config := pipeline.Config{Name: pipelineName, ConfigHash: "hash", Nonce: nonce, Host: "host", Interval: time.Hour, MaxBytes: 1 << 20, PollRecords: 3}
	return config, pipeline.Parts{
		Lake: lake,
		Open: func(_ context.Context, positions []record.Position) (pipeline.Source, error) {
			s := &source{broker: w.broker, at: map[record.TopicPartition]int64{}, polled: func([]record.Slice) {}, idle: func() {}, call: func() error { return nil }}
			for _, position := range positions {
				s.at[position.TopicPartition] = position.Offset
			}
			return s, nil
		},
		Rebuild:  w.rebuild,
		Discover: func(context.Context) ([]pipeline.Topic, error) { return w.broker.describe(w.topicNames()) },
		Now:      time.Now, Logger: logger, Allocator: memory.DefaultAllocator,
	}
}

// runOnce takes one epoch of what is there, as calve run --once does.
func (w *rederiver) runOnce() { w.runOnceWith(nil) }

// runOnceWith is runOnce with something changed before.
func (w *rederiver) runOnceWith(change func(*pipeline.Config, *pipeline.Parts)) pipeline.Stats {
	w.t.Helper()
	config, parts := w.process()
	start, err := parts.Lake.Start(context.Background(), w.definitions())
	if err != nil {
		w.t.Fatal(err)
	}
	parts.Start = start
	if parts.Models, err = w.buildModels(start.Tables); err != nil {
		w.t.Fatal(err)
	}
	topics, err := w.broker.describe(w.topicNames())
	if err != nil {
		w.t.Fatal(err)
	}
	var wanted []pipeline.Wanted
	for _, m := range w.models {
		wanted = append(wanted, pipeline.Wanted{Name: m.name, Topic: m.topic, Table: m.definition().ID.String()})
	}
	if parts.Readers, err = pipeline.Resume(start, wanted, topics, pipeline.RecordLoss); err != nil {
		w.t.Fatal(err)
	}
	config.Until = map[record.TopicPartition]int64{}
	for _, t := range topics {
		for _, p := range t.Partitions {
			config.Until[record.TopicPartition{Topic: t.Name, Partition: p.ID}] = p.End
		}
	}
	if change != nil {
		change(&config, &parts)
	}
	running := pipeline.New(config, parts)
	if err := running.Run(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	return running.Stats()
}

// rederive loses all data files of an epoch and derives it again.
func (w *rederiver) rederive(number int64, change func(*pipeline.Config)) error {
	w.t.Helper()
	ctx := context.Background()
	config, parts := w.process()
	e, err := parts.Lake.Decided(ctx, number)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range e.Changes {
		for _, f := range c.Add {
			if err := w.store.Delete(ctx, f.Location); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	parts.Start = &lakehouse.Start{Last: number - 1, Tables: map[string]*lakehouse.Table{}, Epochs: map[string]int64{}}
	for _, d := range w.definitions() {
		name, schema := d.ID.String(), lakehouse.CurrentSchema
		if c := e.Change(name); c != nil {
			schema = c.SchemaID
		}
		if parts.Start.Tables[name], err = parts.Lake.OpenAt(ctx, d.ID, schema); err != nil {
			w.t.Fatal(err)
		}
	}
	if parts.Models, err = w.buildModels(parts.Start.Tables); err != nil {
		w.t.Fatal(err)
	}
	if change != nil {
		change(&config)
	}
	changes, err := pipeline.Rederive(ctx, config, parts, e)
	if err != nil {
		return err
	}
	return parts.Lake.CommitRederived(ctx, e, changes)
}

func (w *rederiver) verified() *lakehouse.Verification {
	w.t.Helper()
	_, parts := w.process()
	var models []lakehouse.ModelTable
	for _, m := range w.models {
		models = append(models, lakehouse.ModelTable{Model: m.name, Table: m.definition().ID.String()})
	}
	v, err := parts.Lake.Verify(context.Background(), models)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// severalEpochs: the second has an accepted loss, and a model that catches up
// in a reader of its own; after it both read together.
func severalEpochs(t *testing.T) *rederiver {
	w := &rederiver{world: newWorld(t)}
	w.models = []modelSpec{{name: "orders", topic: "orders", plugin: true}}
	w.broker.create("orders", 2)
	w.produce("orders", 0, `{"id":1,"kind":"twice"}`, `broken`, `{"id":2,"kind":"drop"}`)
	w.produce("orders", 1, `{"id":3,"kind":"reject"}`, `{"id":4}`)
	w.runOnce()
	w.produce("orders", 0, `{"id":5}`, `{"id":6}`, `{"id":7}`, `{"id":8,"kind":"twice"}`)
	if err := w.broker.change(record.TopicPartition{Topic: "orders"}, func(p *partition) { p.expire(5) }); err != nil {
		t.Fatal(err)
	}
	w.models = append(w.models, modelSpec{name: "added", topic: "orders"})
	w.runOnce()
	w.produce("orders", 0, `{"id":9}`)
	w.produce("orders", 1, `{"id":10}`)
	w.runOnce()
	return w
}

func TestRederivedEpochsAreWhatTheyWere(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := severalEpochs(t)
		defer w.close()
		before := w.verified()
		if !before.Proven || before.Epochs < 3 {
			t.Fatalf("up to epoch %d: %v", before.Epochs, before.CounterExamples)
		}
		_, parts := w.process()
		second, err := parts.Lake.Decided(context.Background(), 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(second.Readers) != 2 || len(second.Readers[0].Ranges[0].Lost) != 1 {
			t.Fatalf("epoch 2 has readers %+v, want two, and a loss", second.Readers)
		}
		for number := int64(2); number <= before.Epochs; number++ {
			if err := w.rederive(number, nil); err != nil {
				t.Fatalf("epoch %d: %v", number, err)
			}
			after := w.verified()
			if !after.Proven {
				t.Fatalf("epoch %d: %v", number, after.CounterExamples)
			}
			if got, want := fmt.Sprintf("%+v", after.Models), fmt.Sprintf("%+v", before.Models); got != want {
				t.Errorf("epoch %d: models\n%s\nwant\n%s", number, got, want)
			}
		}
	})
}

// Epochs before and after a change of the schema are derived with the columns
// that they had.
func TestRederivedEpochsHaveTheColumnsOfTheirTime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := &rederiver{world: newWorld(t)}
		defer w.close()
		w.models = []modelSpec{{name: "orders", topic: "orders", onChange: decode.SchemaChangeAppend}}
		w.broker.create("orders", 1)
		w.produce("orders", 0, `{"id":1}`, `{"id":2}`)
		w.runOnce()
		w.produce("orders", 0, `{"id":3,"size":1}`)
		w.runOnce()
		w.produce("orders", 0, `{"id":4,"size":5000000000,"color":"red"}`)
		w.runOnce()
		before, err := w.showTable("orders")
		if err != nil {
			t.Fatal(err)
		}
		for number := int64(1); number <= 3; number++ {
			if err := w.rederive(number, nil); err != nil {
				t.Fatalf("epoch %d: %v", number, err)
			}
			if after, err := w.showTable("orders"); err != nil || !slices.Equal(after, before) {
				t.Errorf("epoch %d: error %v, rows\n%s\nwant\n%s", number, err, indent(after), indent(before))
			}
			if v := w.verified(); !v.Proven {
				t.Errorf("epoch %d: %v", number, v.CounterExamples)
			}
		}
	})
}

func TestEpochsThatKafkaNoLongerHasAreNotDerived(t *testing.T) {
	first := record.TopicPartition{Topic: "orders"}
	for name, c := range map[string]struct {
		alter  func(w *rederiver) error
		change func(*pipeline.Config)
		number int64
		says   string
	}{
		"expired": {number: 1, says: "orders/0 begins at offset 5, the epoch's records at 0 have expired"},
		"compacted away": {
			alter: func(w *rederiver) error {
				return w.broker.change(first, func(p *partition) { p.records = p.records[1:] })
			},
			number: 3, says: "offsets [5,7) of orders/0 hold 1 records, the epoch had 2",
		},
		"truncated": {
			alter:  func(w *rederiver) error { return w.broker.change(first, func(p *partition) { p.truncate(6) }) },
			number: 3, says: "orders/0: ends at offset 6",
		},
		"made again": {
			alter: func(w *rederiver) error {
				w.broker.create("orders", 2)
				return w.broker.change(first, func(p *partition) { p.start, p.end = 0, 100 })
			},
			number: 2, says: "was deleted and made again",
		},
		"another project": {change: func(c *pipeline.Config) { c.ConfigHash = "other" }, number: 2, says: "the project has changed"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := severalEpochs(t)
				defer w.close()
				if c.alter != nil {
					if err := c.alter(w); err != nil {
						t.Fatal(err)
					}
				}
				if err := w.rederive(c.number, c.change); !errors.Is(err, lakehouse.ErrNotReproduced) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v, want ErrNotReproduced saying %q", err, c.says)
				}
			})
		})
	}
}
