package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/calvelake/calve/runtime/record"
)

// checkTopics is what a source does when nothing arrives. It asks whether the
// topics are still those that are read: the library waits forever for one that
// was deleted. And it passes what compaction removed at the end of a partition:
// the library's own position does, but only records tell of it, and without
// them a reader that wants to reach the end never would.
//
// Its errors are fatal; that no broker answers is none.
func (s *Source) checkTopics(ctx context.Context) ([]record.Slice, error) {
	var passed []record.Slice
	err := s.eachPartition(ctx, func(topic Topic, p Partition, tp record.TopicPartition) {
		if slice, ok := s.passHole(ctx, tp, topic, p); ok {
			passed = append(passed, slice)
		}
	})
	return passed, err
}

// verifyTopics is the first half of checkTopics.
func (s *Source) verifyTopics(ctx context.Context) error {
	return s.eachPartition(ctx, func(Topic, Partition, record.TopicPartition) {})
}

// eachPartition describes the topics and, if all of them are still readable at
// their positions, calls fn for the partitions that are.
func (s *Source) eachPartition(ctx context.Context, fn func(Topic, Partition, record.TopicPartition)) error {
	names := map[string]bool{}
	for tp := range s.parts {
		names[tp.Topic] = true
	}
	topics, err := s.client.Topics(ctx, slices.Sorted(maps.Keys(names))...)
	if errors.Is(err, ErrNoTopic) || errors.Is(err, ErrAuth) {
		return err
	}
	if err != nil {
		s.unanswered(ctx, err)
		return nil
	}
	s.ailing = false
	for _, topic := range topics {
		for _, p := range topic.Partitions {
			tp := record.TopicPartition{Topic: topic.Name, Partition: p.ID}
			a := s.parts[tp]
			if a == nil {
				continue
			}
			if err := checkOrigin(tp, a.origin, topic.Origin); err != nil {
				return err
			}
			if a.next < p.Start {
				return &ErrOffsetOutOfRange{TopicPartition: tp, Offset: a.next, Start: p.Start, End: p.End}
			}
			fn(topic, p, tp)
		}
	}
	return nil
}

// unanswered logs that the topics could not be asked for, once until they can.
func (s *Source) unanswered(ctx context.Context, err error) {
	if ctx.Err() != nil || s.ailing {
		return
	}
	s.ailing = true
	s.logger.Warn("kafka topics cannot be described, trying again", "error", err)
}

// passHole reads the partition once from its position on and, if the brokers
// send batches without any record left in them, moves behind these. A broker
// that fails is asked again at the next idle check.
func (s *Source) passHole(ctx context.Context, tp record.TopicPartition, topic Topic, p Partition) (record.Slice, bool) {
	a := s.parts[tp]
	if a.next >= p.End {
		return record.Slice{}, false
	}
	bounded, cancel := context.WithTimeout(ctx, s.client.config.Timeout)
	defer cancel()
	fetched, next, err := s.fetchOnce(bounded, topic, p, a.next)
	if err != nil {
		s.ails(tp, err)
		return record.Slice{}, false
	}
	if len(fetched.Records) > 0 || next <= a.next {
		return record.Slice{}, false // the next poll brings the records
	}
	slice := record.Slice{TopicPartition: tp, From: a.next, To: next, LeaderEpoch: a.epoch, IngestedAt: time.Now().UnixMicro()}
	a.next = next
	return slice, true
}

// fetchOnce sends one fetch request outside of any session and returns what it
// brought and the offset after it.
func (s *Source) fetchOnce(ctx context.Context, topic Topic, p Partition, offset int64) (kgo.FetchPartition, int64, error) {
	partition := kmsg.NewFetchRequestTopicPartition()
	partition.Partition = p.ID
	partition.FetchOffset = offset
	partition.CurrentLeaderEpoch = -1
	partition.PartitionMaxBytes = 1 << 20
	asked := kmsg.NewFetchRequestTopic()
	asked.Topic = topic.Name
	asked.TopicID = topic.id
	asked.Partitions = append(asked.Partitions, partition)
	request := kmsg.NewPtrFetchRequest()
	request.MaxBytes = fetchMaxBytes
	request.IsolationLevel = 1
	request.SessionEpoch = -1 // no session
	request.Topics = append(request.Topics, asked)
	answer, err := within(ctx, func() (kmsg.Response, error) { return s.consumer.Broker(int(p.leader)).RetriableRequest(ctx, request) })
	if err != nil {
		return kgo.FetchPartition{}, 0, fmt.Errorf("fetch %s/%d: %w", topic.Name, p.ID, err)
	}
	response := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
		return kgo.FetchPartition{}, 0, fmt.Errorf("fetch %s/%d: %w", topic.Name, p.ID, err)
	}
	if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
		return kgo.FetchPartition{}, 0, fmt.Errorf("fetch %s/%d: the broker answered for %d topics, expected one", topic.Name, p.ID, len(response.Topics))
	}
	fetched, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		KeepControlRecords: true,
		Offset:             offset,
		IsolationLevel:     kgo.ReadCommitted(),
		Topic:              topic.Name,
		Partition:          p.ID,
	}, &response.Topics[0].Partitions[0], kgo.DefaultDecompressor(), nil)
	return fetched, next, fetched.Err
}
