package pipeline_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/record"
)

// broker is a cluster in memory: topics whose records outlive every process.
type broker struct {
	mu      sync.Mutex
	topics  map[string]*topic
	made    int
	changed chan struct{} // closed and replaced when something is produced
}

type topic struct {
	id         string
	again      bool // it replaced another of its name
	partitions []*partition
}

// partition holds the offsets [start, end); those without a record are what
// control records and compaction leave behind.
type partition struct {
	start, end int64
	records    []record.Record
}

func newBroker() *broker {
	return &broker{topics: map[string]*topic{}, changed: make(chan struct{})}
}

// create makes a topic, or makes it again with a new id and no records.
func (b *broker) create(name string, partitions int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.made++
	t := &topic{id: fmt.Sprintf("topic-%d", b.made), again: b.topics[name] != nil}
	for range partitions {
		t.partitions = append(t.partitions, &partition{})
	}
	b.topics[name] = t
}

// grow adds partitions to a topic.
func (b *broker) grow(name string, partitions int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topics[name]
	if t == nil {
		return fmt.Errorf("there is no topic %q", name)
	}
	for len(t.partitions) < partitions {
		t.partitions = append(t.partitions, &partition{})
	}
	return nil
}

func (b *broker) partition(tp record.TopicPartition) (*partition, error) {
	t := b.topics[tp.Topic]
	if t == nil || int(tp.Partition) >= len(t.partitions) {
		return nil, fmt.Errorf("there is no %s", tp)
	}
	return t.partitions[tp.Partition], nil
}

// change alters a partition and wakes whoever waits for records.
func (b *broker) change(tp record.TopicPartition, alter func(*partition)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, err := b.partition(tp)
	if err != nil {
		return err
	}
	alter(p)
	close(b.changed)
	b.changed = make(chan struct{})
	return nil
}

func (p *partition) append(key, value []byte) {
	p.records = append(p.records, record.Record{Offset: p.end, Timestamp: time.Now().UnixMicro(), Key: key, Value: value})
	p.end++
}

// expire removes what is before an offset, as retention does.
func (p *partition) expire(to int64) {
	p.start = to
	p.records = slices.DeleteFunc(p.records, func(r record.Record) bool { return r.Offset < to })
}

// truncate removes what is at or after an offset, as an unclean leader
// election does.
func (p *partition) truncate(to int64) {
	p.end = to
	p.records = slices.DeleteFunc(p.records, func(r record.Record) bool { return r.Offset >= to })
}

// describe shows topics as a client of the cluster sees them.
func (b *broker) describe(names []string) ([]pipeline.Topic, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []pipeline.Topic
	for _, name := range names {
		t := b.topics[name]
		if t == nil {
			return nil, fmt.Errorf("topic %q does not exist", name)
		}
		shown := pipeline.Topic{Name: name, Origin: record.Origin{ClusterID: "cluster", TopicID: t.id}}
		for i, p := range t.partitions {
			shown.Partitions = append(shown.Partitions, pipeline.Partition{ID: int32(i), Start: p.start, End: p.end})
		}
		out = append(out, shown)
	}
	return out, nil
}

// fetch returns a partition's records from an offset on, max at most, and the
// offset after them.
func (b *broker) fetch(tp record.TopicPartition, from int64, limit int) ([]record.Record, int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, err := b.partition(tp)
	if err != nil {
		return nil, from
	}
	var out []record.Record
	for _, r := range p.records {
		if r.Offset < from {
			continue
		}
		if len(out) == limit {
			return out, out[limit-1].Offset + 1
		}
		out = append(out, r)
	}
	return out, max(from, p.end)
}

func (b *broker) waiting() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

// source is what one process reads from the broker, under the contract of
// pipeline.Source: memory is valid until Release, which makes sure of it.
type source struct {
	broker *broker
	at     map[record.TopicPartition]int64
	lent   [][]byte
	// polled is told what is delivered, idle that nothing is left, and call of
	// each poll, which fails with its error.
	polled func([]record.Slice)
	idle   func()
	call   func() error
	failed error
}

func (s *source) Poll(ctx context.Context, maxRecords int) ([]record.Slice, error) {
	s.Release()
	if s.failed == nil {
		s.failed = s.call()
	}
	if s.failed != nil {
		return nil, s.failed
	}
	for {
		waiting := s.broker.waiting()
		if taken := s.take(maxRecords); len(taken) > 0 {
			s.polled(taken)
			return taken, nil
		}
		s.idle()
		select {
		case <-waiting:
		case <-ctx.Done():
		}
		if ctx.Err() != nil { // also where both have happened, so that runs are alike
			return nil, ctx.Err()
		}
	}
}

func (s *source) take(limit int) []record.Slice {
	var taken []record.Slice
	for _, tp := range slices.SortedFunc(maps.Keys(s.at), record.TopicPartition.Compare) {
		if limit == 0 {
			break
		}
		from := s.at[tp]
		records, to := s.broker.fetch(tp, from, limit)
		if to == from {
			continue
		}
		slice := record.Slice{TopicPartition: tp, From: from, To: to, IngestedAt: time.Now().UnixMicro()}
		for _, r := range records {
			slice.Bytes += int64(len(r.Key) + len(r.Value))
			r.Key, r.Value = s.lend(r.Key), s.lend(r.Value)
			slice.Records = append(slice.Records, r)
		}
		limit -= len(records)
		s.at[tp] = to
		taken = append(taken, slice)
	}
	return taken
}

func (s *source) lend(b []byte) []byte {
	b = slices.Clone(b)
	s.lent = append(s.lent, b)
	return b
}

// Release overwrites what was lent, so that whoever kept it is found out.
func (s *source) Release() {
	for _, b := range s.lent {
		for i := range b {
			b[i] = '#'
		}
	}
	s.lent = nil
}

func compareRows(a, b row) int {
	return cmp.Or(a.Compare(b.TopicPartition), cmp.Compare(a.offset, b.offset), cmp.Compare(a.ordinal, b.ordinal))
}

// Close ends the source; its reader may open another one.
func (s *source) Close() {}
