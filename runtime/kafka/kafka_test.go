package kafka

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/calvelake/calve/runtime/record"
)

// patience bounds what a test waits for; no result depends on it.
const patience = 30 * time.Second

var quiet = slog.New(slog.DiscardHandler)

func newCluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.ClusterID("one")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func open(t *testing.T, brokers ...string) *Client {
	t.Helper()
	c, err := Open(t.Context(), Config{Brokers: brokers, Timeout: patience}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func produce(t *testing.T, c *Client, topic string, values ...string) {
	t.Helper()
	n, err := c.Produce(t.Context(), ProduceConfig{Topic: topic, CreateTopic: true, Partitions: 1}, sequence(values...))
	if err != nil || n != int64(len(values)) {
		t.Fatalf("produce: got %d records, error %v; want %d", n, err, len(values))
	}
}

func sequence(values ...string) iter.Seq2[ProduceRecord, error] {
	return func(yield func(ProduceRecord, error) bool) {
		for _, v := range values {
			if !yield(ProduceRecord{Value: []byte(v)}, nil) {
				return
			}
		}
	}
}

// starts returns the positions of all partitions' first records.
func starts(t *testing.T, c *Client, topics ...string) []record.Position {
	t.Helper()
	found, err := c.Topics(t.Context(), topics...)
	if err != nil {
		t.Fatal(err)
	}
	var positions []record.Position
	for _, topic := range found {
		for _, p := range topic.Partitions {
			positions = append(positions, record.Position{
				Origin:         topic.Origin,
				TopicPartition: record.TopicPartition{Topic: topic.Name, Partition: p.ID},
				Offset:         p.Start,
				LeaderEpoch:    -1,
			})
		}
	}
	return positions
}

// newSource starts a source that finds out in no time that nothing arrives.
func newSource(t *testing.T, c *Client, positions ...record.Position) *Source {
	t.Helper()
	s, err := c.Source(t.Context(), positions)
	if err != nil {
		t.Fatal(err)
	}
	s.idle = 100 * time.Millisecond
	t.Cleanup(s.Close)
	return s
}

// reading is what a source delivered of one partition.
type reading struct {
	values  []string
	offsets []int64
	to      int64
	epoch   int32
	empty   int // slices without records
}

// read polls until every partition has reached its end, and checks on the way
// what holds for every slice.
func read(t *testing.T, c *Client, s *Source, positions []record.Position) map[record.TopicPartition]*reading {
	t.Helper()
	var topics []string
	got := map[record.TopicPartition]*reading{}
	for _, p := range positions {
		topics = append(topics, p.Topic)
		got[p.TopicPartition] = &reading{to: p.Offset, epoch: p.LeaderEpoch}
	}
	ends, err := c.EndOffsets(t.Context(), topics...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		behind := false
		for tp, r := range got {
			behind = behind || r.to < ends[tp]
		}
		if !behind {
			return got
		}
		slices, err := s.Poll(ctx, 100)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[record.TopicPartition]bool{}
		for _, slice := range slices {
			r := got[slice.TopicPartition]
			if r == nil || seen[slice.TopicPartition] {
				t.Fatalf("poll: got a slice of %s that was not asked for, or two", slice.TopicPartition)
			}
			seen[slice.TopicPartition] = true
			r.add(t, slice)
		}
	}
}

func (r *reading) add(t *testing.T, slice record.Slice) {
	t.Helper()
	if slice.From != r.to || slice.To <= slice.From {
		t.Fatalf("slice of %s: got [%d, %d), want one that begins at %d", slice.TopicPartition, slice.From, slice.To, r.to)
	}
	last, size := slice.From-1, int64(0)
	for _, rec := range slice.Records {
		if rec.Offset <= last || rec.Offset >= slice.To {
			t.Fatalf("slice [%d, %d): got offset %d after %d", slice.From, slice.To, rec.Offset, last)
		}
		last = rec.Offset
		size += int64(len(rec.Key) + len(rec.Value))
		r.values = append(r.values, string(rec.Value))
		r.offsets = append(r.offsets, rec.Offset)
	}
	if slice.Bytes != size {
		t.Errorf("bytes of a slice: got %d, want %d", slice.Bytes, size)
	}
	if slice.IngestedAt == 0 {
		t.Error("slice has no time of ingestion")
	}
	if len(slice.Records) == 0 {
		r.empty++
	}
	r.to, r.epoch = slice.To, slice.LeaderEpoch
}

func tp(topic string, partition int32) record.TopicPartition {
	return record.TopicPartition{Topic: topic, Partition: partition}
}

func join[T any](values []T) string { return strings.Trim(fmt.Sprint(values), "[]") }

func wantError(t *testing.T, err, want error, parts ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want one that is %q", err, want)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("got error %q, want it to contain %q", err, p)
		}
	}
}

// rawClient is a plain client of the library, for what Calve never does.
func rawClient(t *testing.T, c *kfake.Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	k, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}
