package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/calvelake/calve/runtime/record"
)

// Poll waits until something arrives and returns it: at most one slice for a
// partition, with maxRecords records in all (0: whatever is buffered). From of
// a slice is To of the partition's slice before. Control records are not among
// the records but move To, so that a slice may have no records at all; and so
// may one that passes what compaction removed at a topic's end.
//
// Keys, values and headers are valid until Release or the next Poll.
//
// If ctx ends first, Poll returns its error and no slice; the source is well.
func (s *Source) Poll(ctx context.Context, maxRecords int) ([]record.Slice, error) {
	s.Release()
	for {
		if s.failed != nil {
			return nil, s.failed
		}
		waiting, cancel := context.WithTimeout(ctx, s.idle)
		fetches := s.consumer.PollRecords(waiting, maxRecords)
		idle := waiting.Err() != nil
		cancel()
		taken, err := s.take(ctx, fetches)
		if err == nil && len(taken) == 0 && ctx.Err() == nil && idle {
			taken, err = s.checkTopics(ctx)
		}
		if err != nil {
			s.Release()
			s.failed = err
			return nil, err
		}
		if len(taken) > 0 {
			return taken, nil
		}
		if s.pause {
			s.pause = false
			select {
			case <-time.After(errorPause):
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// Release ends the use of what the newest poll returned: its memory goes back
// to be fetched into.
func (s *Source) Release() {
	for i, r := range s.polled {
		r.Recycle()
		s.polled[i] = nil
	}
	s.polled = s.polled[:0]
	clear(s.records)
	s.records = s.records[:0]
	clear(s.headers)
	s.headers = s.headers[:0]
}

// take makes slices of what was fetched.
func (s *Source) take(ctx context.Context, fetches kgo.Fetches) ([]record.Slice, error) {
	// The records of all slices are in one array, which must not move.
	if n := fetches.NumRecords(); cap(s.records) < n {
		s.records = make([]record.Record, 0, n)
	}
	var taken []record.Slice
	var failed error
	index := map[record.TopicPartition]int{}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		tp := record.TopicPartition{Topic: p.Topic, Partition: p.Partition}
		s.polled = append(s.polled, p.Records...)
		if a := s.parts[tp]; failed == nil && a != nil && len(p.Records) > 0 {
			s.recovered(tp, a)
			at, again := index[tp]
			if !again {
				at = len(taken)
				index[tp] = at
				taken = append(taken, record.Slice{TopicPartition: tp, From: a.next, To: a.next, LeaderEpoch: a.epoch})
			}
			failed = s.fill(&taken[at], a, p.Records)
		}
		if failed == nil && p.Err != nil {
			failed = s.partitionError(ctx, tp, p.Err)
		}
	})
	now := time.Now().UnixMicro()
	for i := range taken {
		taken[i].IngestedAt = now
	}
	return taken, failed
}

// fill appends fetched records to the partition's slice.
func (s *Source) fill(to *record.Slice, a *assignment, fetched []*kgo.Record) error {
	start := len(s.records)
	for _, r := range fetched {
		if r.Offset < a.next {
			return &ErrDataLoss{TopicPartition: to.TopicPartition, Offset: a.next, End: r.Offset}
		}
		a.next, a.epoch = r.Offset+1, r.LeaderEpoch
		if r.Attrs.IsControl() {
			continue
		}
		s.records = append(s.records, record.Record{
			Offset:      r.Offset,
			LeaderEpoch: r.LeaderEpoch,
			Timestamp:   r.Timestamp.UnixMicro(),
			Key:         r.Key,
			Value:       r.Value,
			Headers:     s.headersOf(r),
		})
		to.Bytes += int64(len(r.Key) + len(r.Value))
	}
	if to.Records == nil {
		to.Records = s.records[start:len(s.records):len(s.records)]
	} else { // the partition moved to another broker between two fetches
		to.Records = append(to.Records, s.records[start:]...)
	}
	to.To, to.LeaderEpoch = a.next, a.epoch
	return nil
}

func (s *Source) headersOf(r *kgo.Record) []record.Header {
	start := len(s.headers)
	for _, h := range r.Headers {
		s.headers = append(s.headers, record.Header{Key: h.Key, Value: h.Value})
	}
	return s.headers[start:len(s.headers):len(s.headers)]
}

// partitionError decides about a partition's error: nil if the library tries
// again.
func (s *Source) partitionError(ctx context.Context, tp record.TopicPartition, err error) error {
	var loss *kgo.ErrDataLoss
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil // the poll's own waiting ended
	case errors.Is(err, kgo.ErrClientClosed):
		return ErrClosed
	case errors.As(err, &loss):
		return &ErrDataLoss{TopicPartition: tp, Offset: loss.ConsumedTo, End: loss.ResetTo}
	case errors.Is(err, kerr.OffsetOutOfRange):
		return s.outOfRange(ctx, tp)
	}
	switch judge(err) {
	case fatal:
		return s.client.explain(ctx, fmt.Sprintf("read %s", tp), err)
	case recheck:
		if gone := s.verifyTopics(ctx); gone != nil {
			return gone
		}
	}
	s.ails(tp, err)
	s.pause = true
	return nil
}

// outOfRange says what the partition holds instead.
func (s *Source) outOfRange(ctx context.Context, tp record.TopicPartition) error {
	e := &ErrOffsetOutOfRange{TopicPartition: tp, Offset: -1, Start: -1, End: -1}
	if a := s.parts[tp]; a != nil {
		e.Offset = a.next
	}
	topics, err := s.client.Topics(ctx, tp.Topic)
	if errors.Is(err, ErrNoTopic) {
		return err
	}
	if err != nil || len(topics) == 0 {
		return e
	}
	for _, p := range topics[0].Partitions {
		if p.ID == tp.Partition {
			e.Start, e.End = p.Start, p.End
		}
	}
	return e
}

// ails logs that a partition cannot be read for now, once until it recovers.
func (s *Source) ails(tp record.TopicPartition, err error) {
	a := s.parts[tp]
	if a == nil || errors.Is(a.failed, err) {
		return
	}
	a.failed = err
	s.logger.Warn("kafka partition unreadable, trying again", "topic_partition", tp.String(), "error", err)
}

func (s *Source) recovered(tp record.TopicPartition, a *assignment) {
	if a.failed != nil {
		a.failed = nil
		s.logger.Info("kafka partition readable again", "topic_partition", tp.String())
	}
}
