package pipeline_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

const idleTimeout = time.Minute

// newWindows is a world of windows over two topics.
func newWindows(t testing.TB) *world {
	w := newQuickWorld(t)
	w.models, w.windows = windowsModels(modelSpec{idleTimeout: idleTimeout}), true
	w.broker.create("clicks", 1)
	w.broker.create("views", 1)
	return w
}

// deliver adds records with these event times; ids go by them.
func (w *world) deliver(topic string, times ...int64) {
	err := w.broker.change(record.TopicPartition{Topic: topic}, func(p *partition) {
		for _, at := range times {
			p.append(nil, fmt.Appendf(nil, `{"id":%d}`, at))
			p.records[len(p.records)-1].Timestamp = at
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// lasting is how a writer runs on until it is stopped.
var lasting = runOptions{interval: 10 * time.Second, maxBytes: 1 << 20, poll: 100}

// runFor lets a writer run for some time, and tells how far the windows are then.
func (w *world) runFor(d time.Duration) lakehouse.Reached {
	w.t.Helper()
	if _, err := w.run("main", lasting, nil, "", d); err != nil {
		w.t.Fatal(err)
	}
	if p := w.processes["main"]; p.hasEnded() {
		w.t.Fatalf("the writer ends: %v", p.failure)
	}
	return w.showsWindows()
}

func (w *world) showsWindows() lakehouse.Reached {
	w.t.Helper()
	if err := w.check(); err != nil {
		w.t.Error(err)
	}
	at, err := w.windowsWatermark()
	if err != nil {
		w.t.Fatal(err)
	}
	return at
}

// TestASilentTopicHoldsAKeyedModelBackUntilItsTimeout: a topic that is silent
// holds the windows of another no longer back than idle_timeout. They do not go
// back when it delivers again, in this process or another.
func TestASilentTopicHoldsAKeyedModelBackUntilItsTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWindows(t)
		defer w.close()
		want := func(when string, got lakehouse.Reached, at int64) {
			t.Helper()
			if got.At != at || got.Seen != at {
				t.Errorf("%s: the windows are at %d, of which they have seen %d; want %d", when, got.At, got.Seen, at)
			}
		}
		w.deliver("clicks", 12, 25)
		want("one topic has never delivered", w.runFor(30*time.Second), record.NoTime)
		w.deliver("views", 15)
		want("both have", w.runFor(25*time.Second), 15)
		w.deliver("clicks", 48)
		want("before the timeout", w.runFor(25*time.Second), 15)
		w.deliver("clicks", 59)
		want("behind it", w.runFor(45*time.Second), 59)
		w.deliver("clicks", 71)
		want("while it lasts", w.runFor(25*time.Second), 71)
		w.deliver("views", 30, 74)
		w.deliver("clicks", 75)
		want("both deliver", w.runFor(25*time.Second), 74)
		w.processes["main"].crash()
		time.Sleep(2 * idleTimeout)
		w.deliver("views", 20, 76)
		w.deliver("clicks", 103)
		want("after a restart", w.runFor(25*time.Second), 76)
		want("both are silent", w.runFor(2*idleTimeout), 103)
		late, err := w.lateRows()
		if err != nil {
			t.Fatal(err)
		}
		views := record.TopicPartition{Topic: "views"}
		if len(late) != 2 || !late[place{views, 1}] || !late[place{views, 3}] {
			t.Errorf("the late rows are %v, want those of views at 30 and 20", late)
		}
		w.verifyWindows()
	})
}

// verifyWindows proves that each row has one fate.
func (w *world) verifyWindows() {
	w.t.Helper()
	models := []lakehouse.ModelTable{
		{Model: "clicks", Table: staging("clicks").String()}, {Model: "views", Table: staging("views").String()},
		{Model: windowsID.Name, Table: windowsID.String(), Keyed: true},
	}
	v, err := w.lake().Verify(context.Background(), models)
	if err != nil {
		w.t.Fatal(err)
	}
	if !v.Proven {
		w.t.Errorf("not proven: %v", v.CounterExamples)
	}
}

// TestATopicThatWasNeverReadHoldsWindowsBack: one that has never delivered does
// until its timeout, one with records that are to be read beyond it.
func TestATopicThatWasNeverReadHoldsWindowsBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWindows(t)
		defer w.close()
		w.deliver("clicks", 12, 25)
		if got := w.runFor(50 * time.Second); got.At != record.NoTime {
			t.Errorf("before the timeout the windows are at %d", got.At)
		}
		w.deliver("clicks", 47)
		if got := w.runFor(30 * time.Second); got.At != 47 {
			t.Errorf("behind it the windows are at %d, want 47", got.At)
		}
		w.processes["main"].crash()
		time.Sleep(2 * idleTimeout)
		w.deliver("clicks", slices.Repeat([]int64{88}, 12)...)
		w.deliver("views", 55, 66, 77)
		once := lasting
		once.once, once.maxBytes, once.poll = true, 1, 1 // clicks are polled first
		if err := w.play(once); err != nil {
			t.Fatal(err)
		}
		if got := w.showsWindows(); got.At != 77 {
			t.Errorf("the windows are at %d, want 77", got.At)
		}
		if late, err := w.lateRows(); err != nil || len(late) > 0 {
			t.Errorf("late rows %v, error %v: what waited was made late by what was polled first", late, err)
		}
	})
}

// silentTale has a topic that is silent for longer than its timeout while another
// goes on, and then whatever comes.
func silentTale(separate bool, comes func(w *world)) tale {
	s := shortTale(separate)
	s.models, s.windows, s.records = windowsModels(modelSpec{idleTimeout: idleTimeout}), true, nil
	s.options.poll = 2
	s.prepare = func(w *world) error {
		w.broker.create("clicks", 1)
		w.broker.create("views", 1)
		w.deliver("clicks", 12, 25)
		w.deliver("views", 15)
		if err := w.play(s.options); err != nil {
			return err
		}
		time.Sleep(2 * idleTimeout)
		comes(w)
		return nil
	}
	return s
}

// TestCrashesBesideASilentTopic crashes, at some points or with CALVE_SOAK at all, runs in which one topic is silent, or is
// not any more: whoever goes on decides alike, and no window goes back.
func TestCrashesBesideASilentTopic(t *testing.T) {
	goesOn := func(w *world) { w.deliver("clicks", 41, 58, 63, 99, 103) }
	wentOn := func(w *world) {
		goesOn(w)
		if err := w.play(shortTale(false).options); err != nil {
			w.t.Error(err)
		}
	}
	for _, c := range []struct {
		name          string
		comes         func(w *world)
		windows, late int
		anew          bool
	}{
		{"it is silent", goesOn, 6, 0, false},
		{"it delivers again", func(w *world) {
			wentOn(w)
			w.deliver("views", 16, 104, 30, 117)
			w.deliver("clicks", 107, 115)
		}, 7, 2, false},
		{"the windows begin anew", func(w *world) {
			wentOn(w)
			w.reset = []string{windowsID.Name}
			w.deliver("clicks", 107, 115)
		}, 7, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				for _, separate := range []bool{false, true} {
					s := silentTale(separate, c.comes)
					calls, want := s.trace(t)
					if got := len(want[windowsID.String()]); got != c.windows {
						t.Fatalf("%d windows have ended, want %d:\n%s", got, c.windows, indent(want[windowsID.String()]))
					}
					if got := len(want["calve_shop.dead_letters"]); got != c.late {
						t.Fatalf("%d dead letters, want %d", got, c.late)
					}
					if c.anew {
						delete(want, "calve_shop.epochs") // it begins in more epochs where it is reset by each process
					}
					tried := distinct(points(calls))
					t.Logf("separate %v: %d calls, %d points leave different worlds", separate, len(calls), len(tried))
					s.tryAll(t, want, drawn(t, tried, map[bool]int{false: 14, true: 8}[separate]))
				}
			})
		})
	}
}

// TestWindowsOfTopicsThatComeAndGo plays topics that deliver and are silent by
// chance, in epochs and polls of any size, with crashes and stops.
func TestWindowsOfTopicsThatComeAndGo(t *testing.T) {
	first := beginning(t)
	late, back := 0, 0
	for i := range uint64(8) {
		seed := first + i
		inBubble(t, func(t *testing.T) {
			s := &comesAndGoes{Rand: rand.New(rand.NewPCG(seed, 5)), world: newWindows(t)}
			defer s.close()
			if err := s.play(); err != nil {
				t.Errorf("seed %d: %v\n%s", seed, err, indent(s.story))
			}
			l, err := s.lateRows()
			if err != nil {
				t.Fatal(err)
			}
			late, back = late+len(l), back+s.back
		})
	}
	if late == 0 || back == 0 {
		t.Errorf("%d rows are late, %d times a silent topic comes back behind the watermark; want some of both", late, back)
	}
}

// comesAndGoes is one sequence of random events.
type comesAndGoes struct {
	*rand.Rand
	*world
	now   int64 // of events
	back  int   // how often the minimum over active topics is lower than before
	story []string
}

func (s *comesAndGoes) play() error {
	o := runOptions{interval: 10 * time.Second, maxBytes: int64(1 + s.IntN(60)), poll: 1 + s.IntN(6), pruneEvery: 1 << 20}
	for range 60 {
		s.now += s.Int64N(6)
		switch s.IntN(8) {
		case 0, 1, 2:
			topic := []string{"clicks", "clicks", "clicks", "views"}[s.IntN(4)]
			times := make([]int64, 1+s.IntN(4))
			for i := range times {
				times[i] = max(0, s.now-s.Int64N(30))
			}
			s.tell("%s at %d", topic, times)
			s.deliver(topic, times...)
		case 3:
			d := time.Duration(s.IntN(50)) * time.Second
			s.tell("%s pass", d)
			time.Sleep(d)
		case 4, 5, 6:
			d := time.Duration(5+s.IntN(40)) * time.Second
			s.tell("runs for %s", d)
			if err := s.runOn(o, d); err != nil {
				return err
			}
		case 7:
			if p := s.processes["main"]; p != nil && !p.hasEnded() {
				s.tell("crashes")
				p.crash()
			}
		}
	}
	if err := s.runOn(o, 5*idleTimeout); err != nil {
		return err
	}
	if _, err := s.stop("main"); err != nil {
		return err
	}
	return s.judge()
}

func (s *comesAndGoes) tell(format string, args ...any) {
	s.story = append(s.story, fmt.Sprintf(format, args...))
}

func (s *comesAndGoes) runOn(o runOptions, d time.Duration) error {
	if _, err := s.run("main", o, nil, "", d); err != nil {
		return err
	}
	if p := s.processes["main"]; p.hasEnded() {
		return fmt.Errorf("the writer ends: %w", p.failure)
	}
	return nil
}

// judge compares the tables with what the records say, and these with the
// definition of a watermark.
func (s *comesAndGoes) judge() error {
	if err := s.check(); err != nil {
		return err
	}
	s.verifyWindows()
	tail, err := s.log()
	if err != nil {
		return err
	}
	before, lowest := record.NoTime, record.NoTime
	for _, e := range tail.Epochs {
		now := *e.Keyed[0].Watermark
		active := lowestActive(e.Watermarks)
		if active < lowest {
			s.back++
		}
		lowest = active
		if now.Seen != before || now.At != max(before, active) {
			return fmt.Errorf("record %d, behind one at %d, has %+v over %+v", e.Number, before, now, e.Watermarks)
		}
		before = now.At
	}
	if last := tail.Epochs[len(tail.Epochs)-1]; before != max(last.Watermarks["clicks"].At, last.Watermarks["views"].At) {
		return fmt.Errorf("all are silent, and the windows are at %d: %+v", before, last.Watermarks)
	}
	return nil
}

// lowestActive is the lowest watermark of models with a partition that is active,
// or the highest where there is none.
func lowestActive(all map[string]record.Watermark) int64 {
	lowest, highest := int64(math.MaxInt64), record.NoTime
	for _, w := range all {
		highest = max(highest, w.At)
		if slices.ContainsFunc(w.Partitions, func(p record.WatermarkPartition) bool { return !p.Idle }) {
			lowest = min(lowest, w.At)
		}
	}
	if lowest == math.MaxInt64 {
		return highest
	}
	return lowest
}
