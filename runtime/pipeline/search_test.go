package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"
)

// point is a place in a run where something can go wrong: the n-th call of its
// kind, and how it goes wrong.
type point struct {
	call
	nth    int
	mode   string
	writes int // that come before: all that a crash leaves of a run
}

func (p point) String() string { return fmt.Sprintf("%s at call %d of %q", p.mode, p.nth, p.call) }

func (p point) fault() *fault {
	return &fault{
		match: func(c call) bool { return c == p.call }, mode: p.mode, times: 1, nth: p.nth,
		err: &injected{p.mode, faultErrors["reset"]},
	}
}

// written are the seams whose calls change what others see: their reply can be
// lost.
var written = []string{"file", "state", "manifest", "manifest-list", "metadata", "record", "floor", "delete", "namespace", "create", "commit", "schema"}

// tale is what a search runs again and again: a world, and how it is run.
type tale struct {
	separate bool
	options  runOptions
	models   []modelSpec
	censuses []censusOf
	star     bool
	second   bool
	plugged  bool // see world
	windows  bool
	records  [][]string           // by partition of the topic events
	prepare  func(w *world) error // what happened before; may be nil
}

// shortTale has two models on a topic of two partitions, records of every fate,
// and three epochs; the log is pruned on the way.
func shortTale(separate bool) tale {
	return tale{
		separate: separate,
		options:  runOptions{once: true, interval: 10 * time.Second, maxBytes: 1, poll: 4, pruneEvery: 2},
		models:   []modelSpec{{name: "by_kind", topic: "events", plugin: true}, {name: "all", topic: "events"}},
		records: [][]string{
			{`{"id":1}`, `{"id":2,"kind":"twice"}`, `no json`, `{"id":3,"kind":"drop"}`, `{"id":4}`},
			{`{"id":5,"kind":"reject"}`, `{"id":6}`, `{"kind":"no id"}`, `{"id":7}`, `{"id":8,"kind":"twice"}`},
		},
	}
}

func (s tale) world(t testing.TB) *world {
	w := newQuickWorld(t)
	w.separate, w.models, w.censuses, w.star, w.second, w.plugged, w.windows = s.separate, s.models, s.censuses, s.star, s.second, s.plugged, s.windows
	w.broker.create("events", len(s.records))
	for i, lines := range s.records {
		p := w.broker.topics["events"].partitions[i]
		for _, line := range lines {
			p.append(nil, []byte(line))
		}
		for j := range p.records {
			p.records[j].Timestamp = int64(j) // alike in every world
		}
	}
	if s.prepare != nil {
		if err := s.prepare(w); err != nil {
			t.Error(err)
		}
	}
	return w
}

// play runs processes, each with the faults of its turn, until one ends as it
// should. A process that stops with an error must stop because of a fault.
func (w *world) play(o runOptions, turns ...[]*fault) error {
	const enough = 10
	for i := range enough {
		p := w.newProcess(o)
		w.processes["main"] = p
		if i < len(turns) {
			for _, f := range turns[i] {
				if err := p.arm(f); err != nil {
					return err
				}
			}
		}
		p.carryOn("", time.Hour)
		if !p.hasEnded() {
			return fmt.Errorf("process %s does not end: %q", p.nonce, p.said())
		}
		var fault *injected
		switch {
		case p.isDead(), p.asked && (p.failure == nil || !p.began && errors.Is(p.failure, context.Canceled)):
		case p.failure == nil:
			return nil
		case !errors.As(p.failure, &fault):
			return fmt.Errorf("process %s: %w", p.nonce, p.failure)
		}
	}
	return fmt.Errorf("%d processes did not finish", enough)
}

// trace runs the tale without a fault and returns the calls that it passes and
// what it leaves.
func (s tale) trace(t *testing.T) (calls []call, want map[string][]string) {
	w := s.world(t)
	defer w.close()
	p := w.newProcess(s.options)
	w.processes["main"] = p
	var mu sync.Mutex
	p.passed = func(c call) {
		mu.Lock()
		calls = append(calls, c)
		mu.Unlock()
	}
	p.carryOn("", time.Hour)
	if !p.hasEnded() || p.failure != nil {
		t.Fatalf("without a fault the run says %q", p.said())
	}
	if err := w.check(); err != nil {
		t.Fatal(err)
	}
	want, err := w.contents()
	if err != nil {
		t.Fatal(err)
	}
	return calls, want
}

// points are all that can go wrong at calls.
func points(calls []call) []point {
	var all []point
	count := map[call]int{}
	writes := 0
	for _, c := range calls {
		count[c]++
		all = append(all, point{c, count[c], "crash-before", writes})
		if slices.Contains(written, c.seam) {
			all = append(all, point{c, count[c], "lost-reply", writes})
			writes++
		}
		all = append(all, point{c, count[c], "crash-after", writes})
	}
	return all
}

// stops are requests to stop before each call.
func stops(calls []call) []point {
	var all []point
	count := map[call]int{}
	for _, c := range calls {
		count[c]++
		all = append(all, point{call: c, nth: count[c], mode: "stop"})
	}
	return all
}

// distinct leaves one of the crashes that no write lies between. A process
// takes everything but its writes along when it dies, so that whoever comes
// after finds the same world.
func distinct(all []point) []point {
	seen := map[int]bool{}
	return slices.DeleteFunc(slices.Clone(all), func(p point) bool {
		if p.mode == "lost-reply" {
			return false
		}
		known := seen[p.writes]
		seen[p.writes] = true
		return known
	})
}

// try plays the tale with faults and compares what it leaves.
func (s tale) try(t *testing.T, want map[string][]string, turns ...[]*fault) error {
	w := s.world(t)
	defer w.close()
	if err := w.play(s.options, turns...); err != nil {
		return err
	}
	if f := turns[0][0]; f.used == 0 {
		return errors.New("the run never comes to this point")
	}
	got, err := w.contents()
	if err != nil {
		return err
	}
	if d := difference(got, want); d != "" {
		return fmt.Errorf("other than without a fault: %s", d)
	}
	return nil
}

// each calls work for 0 to n−1, side by side.
func each(n int, work func(i int)) {
	var group sync.WaitGroup
	turns := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for i := range turns {
				work(i)
			}
		})
	}
	for i := range n {
		turns <- i
	}
	close(turns)
	group.Wait()
}

// TestCrashAtEveryPoint crashes a run before and after every call that it makes
// of the store, the catalog and the broker, loses the reply of every write, and
// starts it again: the tables must end as if nothing had happened.
func TestCrashAtEveryPoint(t *testing.T) {
	for _, separate := range []bool{false, true} {
		name := map[bool]string{false: "one transaction", true: "table by table"}[separate]
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := shortTale(separate)
				calls, want := s.trace(t)
				all := points(calls)
				tried := distinct(all)
				t.Logf("%d calls, %d points, %d of them leave different worlds", len(calls), len(all), len(tried))
				s.tryAll(t, want, tried)
			})
		})
	}
}

// TestSoakCrashAtEveryPoint does the same at points taken at random, those
// included that leave the world as another one does; with CALVE_SOAK at all.
func TestSoakCrashAtEveryPoint(t *testing.T) {
	seed := beginning(t)
	t.Logf("seed %d", seed)
	inBubble(t, func(t *testing.T) {
		for _, separate := range []bool{false, true} {
			s := shortTale(separate)
			calls, want := s.trace(t)
			all := points(calls)
			if soakTime(t) == 0 {
				random := rand.New(rand.NewPCG(seed, 1))
				random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
				all = all[:20]
			}
			s.tryAll(t, want, all)
		}
	})
}

// tryAll plays the tale once for each point.
func (s tale) tryAll(t *testing.T, want map[string][]string, all []point) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // worlds are small and many
	each(len(all), func(i int) {
		if err := s.try(t, want, []*fault{all[i].fault()}); err != nil {
			t.Errorf("separate %v: %s: %v", s.separate, all[i], err)
		}
	})
}

// soakTime is how long a soak is to take; 0 where none was asked for.
func soakTime(t *testing.T) time.Duration {
	text := os.Getenv("CALVE_SOAK")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("CALVE_SOAK: %v", err)
	}
	return d
}

// beginning is where random choices begin: the same for every run of the tests, so
// that a change fails for what it does, and by chance in a soak.
func beginning(t *testing.T) uint64 {
	if soakTime(t) == 0 {
		return 20260101
	}
	return rand.Uint64()
}

// TestCrashInARecovery crashes at a random point, and its successor at another.
func TestCrashInARecovery(t *testing.T) {
	const pairs = 20
	seed := beginning(t)
	t.Logf("seed %d", seed)
	inBubble(t, func(t *testing.T) {
		for _, separate := range []bool{false, true} {
			s := shortTale(separate)
			calls, want := s.trace(t)
			all := points(calls)
			random := rand.New(rand.NewPCG(seed, 0))
			type pair struct {
				first  point
				second int
			}
			var tried []pair
			for range pairs {
				tried = append(tried, pair{all[random.IntN(len(all))], 1 + random.IntN(len(calls))})
			}
			each(pairs, func(i int) {
				first, second := tried[i].first, tried[i].second
				err := s.try(t, want, []*fault{first.fault()}, []*fault{anyCall("crash-before", second)})
				if err != nil {
					t.Errorf("seed %d, separate %v: %s, then crash before call %d: %v", seed, separate, first, second, err)
				}
			})
		}
	})
}

// anyCall is a fault at the n-th call of a process.
func anyCall(mode string, nth int) *fault {
	return &fault{match: func(call) bool { return true }, mode: mode, times: 1, nth: nth, err: &injected{mode, faultErrors["reset"]}}
}

// TestCrashAtEveryPointOfAKeyedModel does what TestCrashAtEveryPoint does, with
// a model that keeps state and rewrites its rows.
func TestCrashAtEveryPointOfAKeyedModel(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		for _, separate := range []bool{false, true} {
			s := shortTale(separate)
			s.models, s.censuses = s.models[1:], []censusOf{"all"}
			s.records = [][]string{
				{`{"id":1,"kind":"a"}`, `{"id":2,"kind":"b"}`, `{"id":3}`, `{"id":4,"kind":"a"}`, `{"id":5,"kind":"a"}`},
				{`{"id":6,"kind":"b"}`, `no json`, `{"id":7,"kind":"c"}`, `{"id":8,"kind":"a"}`, `{"id":9,"kind":"b"}`},
			}
			calls, want := s.trace(t)
			all := points(calls)
			tried := distinct(all)
			t.Logf("separate %v: %d calls, %d points, %d of them leave different worlds", separate, len(calls), len(all), len(tried))
			s.tryAll(t, want, tried)
		}
	})
}

// TestCrashAtEveryPointOfABackfill does the same with a keyed model that is added
// when the table that it reads has rows, which it takes in over several epochs
// while others arrive.
func TestCrashAtEveryPointOfABackfill(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := shortTale(false)
		s.models = s.models[1:]
		s.records = [][]string{
			{`{"id":1,"kind":"a"}`, `{"id":2,"kind":"b"}`, `{"id":3}`, `{"id":4,"kind":"a"}`, `{"id":5,"kind":"a"}`},
			{`{"id":6,"kind":"b"}`, `no json`, `{"id":7,"kind":"c"}`, `{"id":8,"kind":"a"}`, `{"id":9,"kind":"b"}`},
		}
		s.prepare = func(w *world) error {
			if err := w.play(s.options); err != nil {
				return err
			}
			w.censuses = []censusOf{"all"}
			for i, p := range w.broker.topics["events"].partitions {
				p.append(nil, fmt.Appendf(nil, `{"id":%d,"kind":"a"}`, 20+i))
				for j := range p.records {
					p.records[j].Timestamp = int64(j)
				}
			}
			return nil
		}
		calls, want := s.trace(t)
		all := points(calls)
		tried := distinct(all)
		t.Logf("%d calls, %d points, %d of them leave different worlds", len(calls), len(all), len(tried))
		s.tryAll(t, want, tried)
	})
}
