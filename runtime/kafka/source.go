package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/calvelake/calve/runtime/record"
)

const (
	// fetchMaxBytes bounds what one broker sends at a time, and with the number
	// of brokers what a source buffers. Larger fetches cost memory and gain no
	// speed.
	fetchMaxBytes = 16 << 20
	// maxBatchBytes bounds what a batch of records may decompress to. Kafka
	// compresses text to a tenth, and a batch that is sent is at most 100 MiB.
	maxBatchBytes = 1 << 30
	// idleCheck is how long a poll waits for records before it asks whether
	// the topics are still there.
	idleCheck = 5 * time.Second
	// errorPause is how long a poll waits after a broker answered a fetch with
	// an error that it may take back.
	errorPause = 250 * time.Millisecond
)

// Source reads partitions from given positions on, in offset order, committed
// records only. It is for one goroutine. What is not polled is not fetched but
// for one buffered fetch per broker: not to poll is the back-pressure.
//
// A broker that cannot be reached is tried again with back-off for as long as
// the caller polls, and logged once. After any other error a source is dead:
// each Poll returns the same error.
type Source struct {
	client   *Client
	logger   *slog.Logger
	consumer *kgo.Client
	parts    map[record.TopicPartition]*assignment
	idle     time.Duration // idleCheck
	ailing   bool          // the last question about the topics failed
	pause    bool          // a broker answers with errors: do not ask at once
	failed   error

	// What the newest poll lent out.
	polled  []*kgo.Record
	records []record.Record
	headers []record.Header
}

// assignment is a partition that a source reads.
type assignment struct {
	origin record.Origin
	next   int64 // offset of the next slice's From
	epoch  int32
	failed error // the retriable error it is in, for logging changes only
}

// Source starts to read at positions, at least one and at most one for a
// partition. A position without cluster or topic id is read from whatever topic
// has the name now; the others must belong to the topic (ErrOrigin, invariant
// 12). A position that the topic does not hold is an *ErrOffsetOutOfRange.
func (c *Client) Source(ctx context.Context, positions []record.Position) (*Source, error) {
	if len(positions) == 0 {
		return nil, errors.New("start source: no positions; a source reads at least one partition")
	}
	s := &Source{client: c, logger: c.logger, parts: map[record.TopicPartition]*assignment{}, idle: idleCheck}
	offsets, err := s.assign(ctx, positions)
	if err != nil {
		return nil, err
	}
	s.consumer, err = kgo.NewClient(append(c.options(),
		kgo.ConsumePartitions(offsets),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // To moves over them, so that it can reach a topic's end
		kgo.FetchMaxBytes(fetchMaxBytes),
		kgo.MaxDecompressBatchBytes(maxBatchBytes),
		kgo.WithPools(newPool()),
	)...)
	if err != nil {
		return nil, fmt.Errorf("start source: %w", err)
	}
	return s, nil
}

// Add reads more partitions from positions on, under the rules of
// Client.Source: for partitions that appear while a topic is read.
func (s *Source) Add(ctx context.Context, positions []record.Position) error {
	if s.failed != nil {
		return s.failed
	}
	offsets, err := s.assign(ctx, positions)
	if err != nil {
		return err
	}
	s.consumer.AddConsumePartitions(offsets)
	return nil
}

// Close stops reading and ends what the newest poll lent out.
func (s *Source) Close() {
	s.Release()
	s.consumer.Close()
	if s.failed == nil {
		s.failed = ErrClosed
	}
}

// assign checks positions against the topics and notes them, all or none.
func (s *Source) assign(ctx context.Context, positions []record.Position) (map[string]map[int32]kgo.Offset, error) {
	var names []string
	for _, p := range positions {
		if !slices.Contains(names, p.Topic) {
			names = append(names, p.Topic)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	topics, err := s.client.Topics(ctx, names...)
	if err != nil {
		return nil, err
	}
	added := map[record.TopicPartition]*assignment{}
	offsets := map[string]map[int32]kgo.Offset{}
	for _, p := range positions {
		if s.parts[p.TopicPartition] != nil || added[p.TopicPartition] != nil {
			return nil, fmt.Errorf("start source: %s has two positions; expected one", p.TopicPartition)
		}
		topic := topics[slices.Index(names, p.Topic)]
		if err := checkPosition(p, topic); err != nil {
			return nil, err
		}
		added[p.TopicPartition] = &assignment{origin: topic.Origin, next: p.Offset, epoch: p.LeaderEpoch}
		if offsets[p.Topic] == nil {
			offsets[p.Topic] = map[int32]kgo.Offset{}
		}
		offsets[p.Topic][p.Partition] = kgo.NoResetOffset().At(p.Offset).WithEpoch(p.LeaderEpoch)
	}
	for tp, a := range added {
		s.parts[tp] = a
	}
	return offsets, nil
}

// checkPosition tells why a position cannot be read from the topic as it is.
func checkPosition(p record.Position, topic Topic) error {
	if err := checkOrigin(p.TopicPartition, p.Origin, topic.Origin); err != nil {
		return err
	}
	i, ok := slices.BinarySearchFunc(topic.Partitions, p.Partition, func(q Partition, id int32) int { return int(q.ID) - int(id) })
	if !ok {
		return fmt.Errorf("read %s: %w: topic %q has %d partitions", p.TopicPartition, ErrNoTopic, p.Topic, len(topic.Partitions))
	}
	// Only what lies below the last stable offset is ever delivered: a position
	// beyond it was reached in a log that the brokers have lost.
	if q := topic.Partitions[i]; p.Offset < q.Start || p.Offset > q.End {
		return &ErrOffsetOutOfRange{TopicPartition: p.TopicPartition, Offset: p.Offset, Start: q.Start, End: q.End}
	}
	return nil
}

// checkOrigin enforces invariant 12. An id that either side does not know is
// not compared.
func checkOrigin(tp record.TopicPartition, was, is record.Origin) error {
	if was.ClusterID != "" && is.ClusterID != "" && was.ClusterID != is.ClusterID {
		return fmt.Errorf("read %s: %w: it was in cluster %s and the brokers are cluster %s: connect to the cluster that was read before, or start a new pipeline", tp, ErrOrigin, was.ClusterID, is.ClusterID)
	}
	if was.TopicID != "" && is.TopicID != "" && was.TopicID != is.TopicID {
		return fmt.Errorf("read %s: %w: its topic id was %s and is %s, so that it was deleted and created again and counts its offsets from 0: restore the old topic, or start a new pipeline", tp, ErrOrigin, was.TopicID, is.TopicID)
	}
	return nil
}
