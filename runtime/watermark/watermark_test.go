package watermark

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/calvelake/calve/runtime/record"
)

var (
	left  = record.TopicPartition{Topic: "events", Partition: 0}
	right = record.TopicPartition{Topic: "events", Partition: 1}
	alone = []Assigned{{TopicPartition: left}}
	both  = []Assigned{{TopicPartition: left}, {TopicPartition: right}}
)

const second = int64(1_000_000)

// end decides an epoch at a time and returns its watermark.
func end(t *Tracker, assigned []Assigned, decided int64) int64 {
	next := t.Next(assigned, decided)
	t.Restore(&next)
	return next.At
}

func TestTheSlowestPartitionHoldsTheWatermark(t *testing.T) {
	w := New(Policy{MaxOutOfOrderness: 2 * time.Second}, nil)
	w.Observe(left, []int64{10 * second, 30 * second, 20 * second}, 40*second)
	if got := end(w, both, 40*second); got != record.NoTime {
		t.Errorf("with a partition that has not delivered: got %d, want none", got)
	}
	w.Observe(right, []int64{15 * second}, 41*second)
	if got, want := end(w, both, 41*second), 13*second; got != want {
		t.Errorf("got %d, want %d", got, want)
	}
}

func TestTheWatermarkNeverGoesBack(t *testing.T) {
	w := New(Policy{}, nil)
	w.Observe(left, []int64{30 * second}, 40*second)
	end(w, alone, 40*second)
	w.Observe(right, []int64{5 * second}, 41*second) // a partition that is new
	if got, want := end(w, both, 41*second), 30*second; got != want {
		t.Errorf("got %d, want %d", got, want)
	}
}

func TestASilentPartitionHoldsNothingBack(t *testing.T) {
	w := New(Policy{IdleTimeout: time.Minute}, nil)
	w.Observe(left, []int64{30 * second}, 100*second)
	w.Observe(right, []int64{10 * second}, 100*second)
	end(w, both, 100*second)
	w.Observe(left, []int64{50 * second}, 159*second)
	if got, want := end(w, both, 159*second), 10*second; got != want {
		t.Errorf("before its time-out: got %d, want %d", got, want)
	}
	if got, want := end(w, both, 160*second), 50*second; got != want {
		t.Errorf("after it: got %d, want %d", got, want)
	}
	w.Observe(right, []int64{20 * second}, 170*second)
	if got, want := end(w, both, 170*second), 50*second; got != want {
		t.Errorf("when it delivers again: got %d, want %d", got, want)
	}
}

func TestWhenAllAreSilentTheNewestEventDecides(t *testing.T) {
	w := New(Policy{IdleTimeout: time.Minute, MaxOutOfOrderness: time.Second}, nil)
	w.Observe(left, []int64{30 * second}, 100*second)
	w.Observe(right, []int64{10 * second}, 100*second)
	end(w, both, 100*second)
	if got, want := end(w, both, 160*second), 29*second; got != want {
		t.Errorf("got %d, want %d", got, want)
	}
}

func TestTimesFarInTheFutureMoveNothing(t *testing.T) {
	w := New(Policy{MaxFuture: time.Hour}, nil)
	w.Observe(left, []int64{10 * second, 7200 * second, 3700 * second}, 100*second)
	if got, want := end(w, alone, 100*second), 3700*second; got != want {
		t.Errorf("got %d, want %d", got, want)
	}
}

// TestARestartDecidesAlike plays random epochs twice: once in one process, once
// with a process for each epoch, which knows the record alone.
func TestARestartDecidesAlike(t *testing.T) {
	policy := Policy{MaxOutOfOrderness: 3 * time.Second, IdleTimeout: 20 * time.Second, MaxFuture: time.Minute}
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		lasting := New(policy, nil)
		var recorded *record.Watermark
		last := record.NoTime
		for now := int64(0); now < 200*second; now += random.Int64N(15 * second) {
			fresh := New(policy, recorded)
			for _, tp := range []record.TopicPartition{left, right} {
				if random.IntN(3) == 0 {
					times := []int64{now + random.Int64N(200*second) - 100*second}
					lasting.Observe(tp, times, now)
					fresh.Observe(tp, times, now)
				}
			}
			want := lasting.Next(both, now)
			lasting.Restore(&want)
			got := fresh.Next(both, now)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d at %d: got %+v, want %+v", seed, now, got, want)
			}
			if got.At < last {
				t.Fatalf("seed %d at %d: the watermark went from %d to %d", seed, now, last, got.At)
			}
			last = got.At
			recorded = roundTrip(t, got)
		}
	}
}

func roundTrip(t *testing.T, s record.Watermark) *record.Watermark {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back record.Watermark
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	return &back
}

func TestAPartitionThatIsBehindIsNotSilent(t *testing.T) {
	w := New(Policy{IdleTimeout: time.Minute}, nil)
	w.Observe(left, []int64{10 * second}, 100*second)
	w.Observe(right, []int64{10 * second}, 100*second)
	end(w, both, 100*second)
	// An hour later a process begins, and reads one of them first.
	w.Observe(left, []int64{3000 * second}, 3700*second)
	behind := []Assigned{{TopicPartition: left}, {TopicPartition: right, Behind: true}}
	if got, want := end(w, behind, 3700*second), 10*second; got != want {
		t.Errorf("with records still to be read: got %d, want %d", got, want)
	}
	if got, want := end(w, both, 3701*second), 3000*second; got != want {
		t.Errorf("once they are: got %d, want %d", got, want)
	}
}

func TestAnEpochIsDueUntilOperatorsHaveSeenTheWatermark(t *testing.T) {
	w := New(Policy{}, nil)
	w.Observe(left, []int64{10 * second}, 100*second)
	end(w, alone, 100*second)
	if w.Settled() {
		t.Error("settled before any operator has seen the watermark")
	}
	end(w, alone, 101*second)
	if !w.Settled() {
		t.Error("not settled after an epoch in which they did")
	}
}
