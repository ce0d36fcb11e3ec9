// Command produce fills the topics of the project beside it with records in the
// formats that name their schemas, some broken on purpose, and writes down what has
// to become of each.
//
//	produce -brokers HOST:PORT -registry URL -expected FILE [-records N]
//
// Schemas go to the registry first. Values are a function of a record's number alone.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"time"

	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/kafka"
)

const (
	// timeout covers the run as a whole.
	timeout    = 2 * time.Minute
	partitions = 3
)

// options are the command line.
type options struct {
	brokers, registry, expected string
	records                     int
}

func main() {
	o := options{}
	flag.StringVar(&o.brokers, "brokers", "", "host:port of the broker")
	flag.StringVar(&o.registry, "registry", "", "URL of the registry's Confluent-compatible API")
	flag.StringVar(&o.expected, "expected", "", "the file to write: what has to become of the records")
	flag.IntVar(&o.records, "records", 2000, "records of a topic")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "produce:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	schemas, err := registry.Open(registry.Config{URLs: []string{o.registry}}, logger)
	if err != nil {
		return err
	}
	defer schemas.Close()
	broker, err := kafka.Open(ctx, kafka.Config{Brokers: []string{o.brokers}}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer broker.Close()
	all := expectation{Models: map[string]*fates{}}
	for _, fill := range []func(context.Context, register) (*topic, error){orders, payments, clicks, customers, products} {
		t, err := fill(ctx, schemas.Register)
		if err != nil {
			return err
		}
		if err := produce(ctx, broker, t, o.records, &all); err != nil {
			return err
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("encode what is expected: %w", err)
	}
	return os.WriteFile(o.expected, text, 0o644)
}

// produce writes a topic and notes what becomes of it.
func produce(ctx context.Context, broker *kafka.Client, t *topic, count int, all *expectation) error {
	f := &fates{Topic: t.name, Columns: t.columns, Rows: []row{}}
	all.Models[t.model] = f
	var records iter.Seq2[kafka.ProduceRecord, error] = func(yield func(kafka.ProduceRecord, error) bool) {
		for i := range count {
			s, err := t.sample(i)
			if err == nil {
				f.add(s)
			}
			if !yield(s.ProduceRecord, err) {
				return
			}
		}
	}
	n, err := broker.Produce(ctx, kafka.ProduceConfig{Topic: t.name, CreateTopic: true, Partitions: partitions}, records)
	if err != nil {
		return err
	}
	if n != int64(count) {
		return fmt.Errorf("produce to %s: the broker acknowledged %d of %d records", t.name, n, count)
	}
	fmt.Printf("%s: %d records, %d of them whole, %d filtered, %d dead\n", t.name, f.Delivered, f.WithRows, f.Filtered, len(f.Letters))
	return nil
}
