package pipeline

import (
	"slices"
	"testing"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

func TestAModelThatTakesInTablesSeesTheLowestWatermarkOfThem(t *testing.T) {
	b := &behind{watermark: record.NoTime, taken: map[fateKey]int64{}, marks: map[string]int64{"frames": record.NoTime, "readings": record.NoTime}}
	for _, step := range []struct {
		model    string
		at, want int64
	}{{"readings", 100, record.NoTime}, {"frames", 50, 50}, {"frames", 200, 100}, {"readings", 90, 100}} {
		before := b.watermark
		b.pass([]past{{step.model, lakehouse.HistoryEpoch{Epoch: b.epoch + 1, Watermark: &step.at}}})
		if b.watermark != before {
			t.Errorf("%s at %d: the watermark moves in the epoch that takes the rows", step.model, step.at)
		}
		b.proceed()
		if b.watermark != step.want {
			t.Errorf("%s at %d: got watermark %d, want %d", step.model, step.at, b.watermark, step.want)
		}
	}
}

// Ranges of epochs are read at once: joined where one goes on with another, and
// told apart where an epoch between them is not among those.
func TestRangesOfEpochsAreJoined(t *testing.T) {
	at := func(partition int32, from, to int64) lakehouse.Range {
		return lakehouse.Range{Topic: "frames", Partition: partition, From: from, To: to}
	}
	part := func(model string, ranges ...lakehouse.Range) past {
		return past{model, lakehouse.HistoryEpoch{Ranges: ranges}}
	}
	chunk := []past{part("frames", at(0, 0, 5), at(1, 7, 8)), part("readings", at(0, 5, 9)), part("frames", at(0, 9, 12)), part("frames", at(0, 5, 7))}
	s := spansOf(chunk, make([]int64, len(chunk)), "frames")
	if got, want := s.ranges(), []lakehouse.Range{at(0, 0, 7), at(0, 9, 12), at(1, 7, 8)}; !slices.EqualFunc(got, want, func(a, b lakehouse.Range) bool {
		return a.Partition == b.Partition && a.From == b.From && a.To == b.To
	}) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	tp := record.TopicPartition{Topic: "frames"}
	for offset, want := range map[int64]int64{0: 0, 4: 0, 5: 5, 6: 5, 7: -1, 8: -1, 9: 9, 11: 9, 12: -1} {
		got := int64(-1)
		if g := s.of(tp, offset); g != nil {
			got = g.From
		}
		if got != want {
			t.Errorf("offset %d is in the range from %d, want %d", offset, got, want)
		}
	}
}

// The operator sees no watermark before all is taken in up to an epoch, then
// those that its epochs ended with, by rows, and then goes on as ever.
func TestWatermarksAreRaisedBySteps(t *testing.T) {
	b := &behind{watermark: record.NoTime, until: 3, taken: map[fateKey]int64{}, marks: map[string]int64{"frames": record.NoTime}}
	epoch := func(n, rows, at int64) past {
		return past{"frames", lakehouse.HistoryEpoch{Epoch: n, Rows: rows, Watermark: &at}}
	}
	former := []past{epoch(1, 10, 100), epoch(2, 10, 200), epoch(3, 10, 300)}
	b.stepThrough(former)
	b.pass(former)
	b.proceed()
	if b.watermark != record.NoTime || b.raised() {
		t.Fatalf("watermark %d, raised %v before the steps", b.watermark, b.raised())
	}
	var seen []int64
	for b.raise(20) {
		seen = append(seen, b.watermark)
	}
	b.pass([]past{epoch(4, 1, 400)})
	b.proceed()
	if seen = append(seen, b.watermark); !slices.Equal(seen, []int64{200, 300, 400}) {
		t.Errorf("the operator sees %d", seen)
	}
}

// Rows are given at the watermark that their epoch saw, that of the epoch before.
func TestRowsOfThePastAreGivenAtTheWatermarkOfTheirEpoch(t *testing.T) {
	epoch := func(n int64, model string, at int64) past {
		return past{model, lakehouse.HistoryEpoch{Epoch: n, Watermark: &at}}
	}
	chunk := []past{epoch(2, "frames", 200), epoch(2, "readings", 150), epoch(3, "frames", 300), epoch(4, "readings", 250)}
	for until, want := range map[int64][]int64{0: {50, 50, 150, 150}, 2: {50, 50, 150, 150}, 3: {50, 50, 50, 150}} {
		b := &behind{watermark: 50, until: until, marks: map[string]int64{"frames": 60, "readings": 50}}
		if got := b.seen(chunk); !slices.Equal(got, want) {
			t.Errorf("until %d: got %d, want %d", until, got, want)
		}
	}
}
