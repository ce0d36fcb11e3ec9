// Package watermark decides how far event time has come: for each
// TopicPartition the newest event time seen less an allowance, for a model the
// minimum over those that are not silent, never backwards (as in Akidau et al.,
// "The Dataflow Model", VLDB 2015, and Flink's idle sources); and for a model that
// reads others the minimum over those.
//
// It decides at ends of epochs alone, by what the epoch has seen and the time
// at which it was decided, so that who reads the record decides alike.
package watermark

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/calvelake/calve/runtime/record"
)

// Policy is how a model's event time passes.
type Policy struct {
	MaxOutOfOrderness time.Duration // how far the watermark stays behind the newest event
	IdleTimeout       time.Duration // a TopicPartition silent for so long holds nothing back; 0 is never
	MaxFuture         time.Duration // an event time farther ahead of the clock moves nothing; 0 is no bound
}

// Assigned is a TopicPartition that a model reads.
type Assigned struct {
	record.TopicPartition
	Behind bool // it has records from before the process began that are still to be read
}

// Tracker follows one model's watermark. It is not safe for concurrent use.
type Tracker struct {
	policy Policy
	at     int64 // after the last recorded epoch
	seen   int64 // by its operators
	parts  map[record.TopicPartition]*part
}

type part struct {
	newest, heard int64
	idle          bool
	seen          bool // in the epoch in hand
	max           int64
}

// New continues where a recorded state ended; nil begins.
func New(policy Policy, state *record.Watermark) *Tracker {
	t := &Tracker{policy: policy}
	t.Restore(state)
	return t
}

// Restore forgets the epoch in hand and goes back to a recorded state.
func (t *Tracker) Restore(state *record.Watermark) {
	t.at, t.seen, t.parts = record.NoTime, record.NoTime, map[record.TopicPartition]*part{}
	if state == nil {
		return
	}
	t.at, t.seen = state.At, state.Seen
	for _, p := range state.Partitions {
		t.parts[record.TopicPartition{Topic: p.Topic, Partition: p.Partition}] = &part{newest: p.Newest, heard: p.HeardAt, idle: p.Idle, max: record.NoTime}
	}
}

// At is the watermark of the last recorded epoch: what operators see.
func (t *Tracker) At() int64 { return t.at }

// Settled tells whether operators have seen the watermark as it is: else an
// epoch is due in which they do, even if nothing is delivered.
func (t *Tracker) Settled() bool { return t.at == t.seen }

// Newest is the newest event time that the epoch in hand or one before has seen
// of a TopicPartition.
func (t *Tracker) Newest(tp record.TopicPartition) int64 {
	if p, ok := t.parts[tp]; ok {
		return max(p.newest, p.max)
	}
	return record.NoTime
}

// Observe takes in event times of one TopicPartition that were polled at that
// time. Those too far in the future are left out.
func (t *Tracker) Observe(tp record.TopicPartition, times []int64, polled int64) {
	p := t.part(tp, polled)
	p.seen = true
	bound := int64(math.MaxInt64)
	if t.policy.MaxFuture > 0 {
		bound = polled + t.policy.MaxFuture.Microseconds()
	}
	for _, at := range times {
		if at <= bound {
			p.max = max(p.max, at)
		}
	}
}

func (t *Tracker) part(tp record.TopicPartition, now int64) *part {
	p, ok := t.parts[tp]
	if !ok {
		p = &part{newest: record.NoTime, heard: now, max: record.NoTime}
		t.parts[tp] = p
	}
	return p
}

// Next is the state after the epoch in hand, if it is decided at that time over
// those TopicPartitions. It changes nothing; Restore takes it over.
//
// One that has not delivered yet holds the watermark back until it is idle.
// When all are idle none holds it back, so that it is where the last of them
// left it. One that is behind, with records that nobody has read yet, is not
// silent, however long ago it was heard: else what waited while nothing ran
// would be late.
func (t *Tracker) Next(assigned []Assigned, decided int64) record.Watermark {
	s := record.Watermark{At: t.at, Seen: t.at}
	lowest, highest := int64(math.MaxInt64), record.NoTime
	active := false
	behind := map[record.TopicPartition]bool{}
	for _, a := range assigned {
		behind[a.TopicPartition] = a.Behind
	}
	for _, tp := range sorted(t.parts, assigned) {
		p, known := t.parts[tp]
		if !known {
			p = &part{newest: record.NoTime, heard: decided, max: record.NoTime}
		}
		next := record.WatermarkPartition{Topic: tp.Topic, Partition: tp.Partition, Newest: max(p.newest, p.max), HeardAt: p.heard}
		if p.seen {
			next.HeardAt = max(decided, p.heard)
		}
		next.Idle = t.policy.IdleTimeout > 0 && decided-next.HeardAt >= t.policy.IdleTimeout.Microseconds() && !behind[tp]
		highest = max(highest, next.Newest)
		if !next.Idle {
			active, lowest = true, min(lowest, next.Newest)
		}
		s.Partitions = append(s.Partitions, next)
	}
	if !active {
		lowest = highest
	}
	if len(s.Partitions) > 0 && lowest != record.NoTime {
		s.At = max(s.At, lowest-t.policy.MaxOutOfOrderness.Microseconds())
	}
	return s
}

// sorted are the TopicPartitions known and assigned, in order.
func sorted(known map[record.TopicPartition]*part, assigned []Assigned) []record.TopicPartition {
	all := slices.Collect(maps.Keys(known))
	for _, a := range assigned {
		all = append(all, a.TopicPartition)
	}
	slices.SortFunc(all, record.TopicPartition.Compare)
	return slices.Compact(all)
}
