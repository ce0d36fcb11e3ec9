// Command recording writes what topics hold to files, for an example to be run
// from: a kafka.RecordedEvent a line, in the order in which they came.
//
//	recording -brokers HOST:PORT -dir DIR TOPIC...
//
// A topic's file has the name of the topic's last part. Partitions and offsets are
// not written: the same keys in the same order come to the same ones again, in a
// topic of as many partitions. Headers are left out.
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/calvelake/calve/runtime/kafka"
	"github.com/calvelake/calve/runtime/record"
)

// timeout covers the run as a whole.
const timeout = time.Minute

func main() {
	brokers := flag.String("brokers", "", "host:port of the broker")
	dir := flag.String("dir", "", "the folder of the files")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := run(ctx, *brokers, *dir, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "recording:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, brokers, dir string, topics []string) error {
	client, err := kafka.Open(ctx, kafka.Config{Brokers: []string{brokers}}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer client.Close()
	for _, topic := range topics {
		events, err := read(ctx, client, topic)
		if err != nil {
			return err
		}
		name := topic[strings.LastIndexByte(topic, '.')+1:] + ".jsonl"
		if err := write(filepath.Join(dir, name), events); err != nil {
			return err
		}
		fmt.Printf("%s: %d events of %s\n", name, len(events), topic)
	}
	return nil
}

// event is one with the place where it was read.
type event struct {
	kafka.RecordedEvent
	partition int32
	offset    int64
}

// read reads a topic from its beginning to where it ends now.
func read(ctx context.Context, client *kafka.Client, topic string) ([]event, error) {
	found, err := client.Topics(ctx, topic)
	if err != nil {
		return nil, err
	}
	var positions []record.Position
	left := int64(0)
	for _, p := range found[0].Partitions {
		positions = append(positions, record.Position{
			Origin:         found[0].Origin,
			TopicPartition: record.TopicPartition{Topic: topic, Partition: p.ID},
			Offset:         p.Start,
			LeaderEpoch:    -1,
		})
		left += p.End - p.Start
	}
	source, err := client.Source(ctx, positions)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	var events []event
	for left > 0 {
		polled, err := source.Poll(ctx, 0)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", topic, err)
		}
		for _, s := range polled {
			left -= s.To - s.From
			for _, r := range s.Records {
				events = append(events, event{recorded(r), s.Partition, r.Offset})
			}
		}
	}
	slices.SortFunc(events, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.Timestamp, b.Timestamp), cmp.Compare(a.partition, b.partition), cmp.Compare(a.offset, b.offset))
	})
	return events, inOrder(events)
}

// recorded copies a record, whose memory is used again.
func recorded(r record.Record) kafka.RecordedEvent {
	return kafka.RecordedEvent{
		Timestamp: time.UnixMicro(r.Timestamp).UnixMilli(),
		Key:       bytesOf(r.Key),
		Value:     bytesOf(r.Value),
	}
}

func bytesOf(text []byte) json.RawMessage {
	if text == nil {
		return nil
	}
	return slices.Clone(json.RawMessage(text))
}

// inOrder makes sure that the order by time keeps that of each partition.
func inOrder(events []event) error {
	last := map[int32]int64{}
	for _, e := range events {
		if e.offset != last[e.partition] {
			return fmt.Errorf("partition %d: offset %d comes where %d belongs", e.partition, e.offset, last[e.partition])
		}
		last[e.partition]++
	}
	return nil
}

func write(name string, events []event) error {
	file, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	out := bufio.NewWriter(file)
	for _, e := range events {
		err = errors.Join(err, writeLine(out, e.RecordedEvent))
	}
	return errors.Join(err, out.Flush(), file.Close())
}

// writeLine writes bytes of keys and values as they are; an encoder would escape
// some.
func writeLine(w *bufio.Writer, e kafka.RecordedEvent) error {
	orNull := func(text json.RawMessage) json.RawMessage {
		if text == nil {
			return json.RawMessage("null")
		}
		return text
	}
	_, err := fmt.Fprintf(w, `{"timestamp":%d,"key":%s,"value":%s}`+"\n", e.Timestamp, orNull(e.Key), orNull(e.Value))
	return err
}
