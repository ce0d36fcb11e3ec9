package bench

import (
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// candidate is one way to make a record batch of all messages.
type candidate struct {
	name string
	run  func(t testing.TB) arrow.RecordBatch
}

// rounds is how often each candidate runs; its best counts, since what a
// neighbour on the machine does only adds. In a round it runs four times, so
// that it pays for the garbage that it makes; one for which a run is slow makes
// enough in one, and takes part in every fourth round.
const (
	rounds = 40
	slow   = 30 * time.Millisecond
)

// measure runs the candidates in turns on one core and returns the CPU time of
// each one's best run, garbage collection included. All must make the rows that
// the first makes.
func measure(b *testing.B, candidates ...candidate) []time.Duration {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	agree(b, candidates...)
	best, repeats := make([]time.Duration, len(candidates)), make([]int, len(candidates))
	for round := range rounds {
		for i, c := range candidates {
			if repeats[i] == 1 && round%4 != 0 {
				continue
			}
			runtime.GC()
			start := cpuTime(b)
			n := max(repeats[i], 1)
			for range n {
				c.run(b).Release()
			}
			took := (cpuTime(b) - start) / time.Duration(n)
			if best[i] == 0 || took < best[i] {
				best[i] = took
			}
			if repeats[i] = 1; took < slow {
				repeats[i] = 4
			}
		}
	}
	for i, c := range candidates {
		b.ReportMetric(float64(best[i].Nanoseconds())/batch, strings.ReplaceAll(c.name, " ", "-")+"-ns")
	}
	return best
}

// packed moves messages into one buffer, as a poll leaves them: values are parts
// of the batch that was fetched.
func packed(messages [][]byte) [][]byte {
	var all []byte
	for _, m := range messages {
		all = append(all, m...)
	}
	for i, m := range messages {
		n := len(m)
		messages[i], all = all[:n:n], all[n:]
	}
	return messages
}

// agree fails unless all candidates make the rows that the first makes.
func agree(t testing.TB, candidates ...candidate) {
	t.Helper()
	want := candidates[0].run(t)
	defer want.Release()
	for _, c := range candidates[1:] {
		got := c.run(t)
		if !array.RecordEqual(got, want) {
			t.Fatalf("%s makes other rows than %s: %v\n%v", c.name, candidates[0].name, got.NewSlice(0, 2), want.NewSlice(0, 2))
		}
		got.Release()
	}
}

// cpuTime is what the process has used so far.
func cpuTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// ratio is the best time of others[i] by that of ours.
func ratio(ours time.Duration, others ...time.Duration) float64 {
	fastest := others[0]
	for _, o := range others {
		fastest = min(fastest, o)
	}
	return float64(fastest) / float64(ours)
}
