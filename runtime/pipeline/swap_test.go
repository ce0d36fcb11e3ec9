package pipeline_test

import (
	"fmt"
	"slices"
	"testing"
)

// swapTale has a module promoted between two runs: the second begins with it on
// probation.
func swapTale(does string, forgets bool, pruneEvery int64) tale {
	s := shortTale(false)
	s.options.pruneEvery = pruneEvery
	s.records = [][]string{{`{"id":1}`, `{"id":2,"kind":"twice"}`}, {`{"id":3,"kind":"reject"}`}}
	s.prepare = func(w *world) error {
		w.channel.promote("v1", "marks")
		if err := w.play(s.options); err != nil {
			return err
		}
		for number, lines := range [][]string{
			{`{"id":4}`, `{"id":5,"kind":"twice"}`, `no json`, `{"id":6}`},
			{`{"id":7,"kind":"reject"}`, `{"id":8}`, `{"id":9,"kind":"drop"}`},
		} {
			p := w.broker.topics["events"].partitions[number]
			for _, line := range lines {
				p.append(nil, []byte(line))
			}
			for i := range p.records {
				p.records[i].Timestamp = int64(i)
			}
		}
		w.channel.promote("v2", does)
		w.channel.forgets = forgets
		return nil
	}
	return s
}

// TestCrashAtEveryPointOfAProbation crashes at every point of a run whose first
// epoch is a new module's, which is kept or refused: the tables must end as if
// nothing had happened, also where it is forgotten that the module was refused.
func TestCrashAtEveryPointOfAProbation(t *testing.T) {
	for _, c := range []struct {
		name, does string
		forgets    bool
		want       string // module of the rows
	}{
		{"kept", "marks", false, "v2"},
		{"refused", "stops:5", false, "v1"},
		{"refused and forgotten", "refuses:all", true, "v1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := swapTale(c.does, c.forgets, 2)
				calls, want := s.trace(t)
				all := points(calls)
				tried := distinct(all)
				t.Logf("%d calls, %d points, %d of them leave different worlds", len(calls), len(all), len(tried))
				if !slices.ContainsFunc(want["staging.by_kind"], func(row string) bool { return contains(row, "id=6 ", "kind="+c.want) }) {
					t.Errorf("id 6 is not a row of %s: %q", c.want, want["staging.by_kind"])
				}
				s.tryAll(t, want, tried)
			})
		})
	}
}

// TestRefusedShares holds the share of records that a new module refuses in its
// first epoch against what the model allows beyond the former's.
func TestRefusedShares(t *testing.T) {
	for _, c := range []struct {
		records, before, after int // refused, of as many records
		ratio                  float64
		kept                   bool
	}{
		{100, 0, 0, 0, true},
		{100, 0, 1, 0.01, true},
		{100, 0, 2, 0.01, false},
		{100, 10, 11, 0.01, true},
		{100, 10, 12, 0.01, false},
		{100, 10, 0, 0, true},
		{5, 0, 1, 0.01, true}, // few records count as a hundred
		{5, 0, 2, 0.01, false},
		{5, 0, 5, 0.05, true},
		{100, 0, 100, 1, true},
		{100, 0, 100, 0.99, false},
	} {
		t.Run(fmt.Sprintf("%d then %d of %d, %v allowed", c.before, c.after, c.records, c.ratio), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newQuickWorld(t)
				defer w.close()
				w.broker.create("events", 1)
				w.models = []modelSpec{{name: "by_kind", topic: "events", plugin: true, maxErrorRatio: c.ratio}}
				o := runOptions{once: true, interval: 10e9, maxBytes: 1 << 20, poll: 1000}
				epoch := func(digest string, refused int) {
					ids := "none"
					for i := range c.records {
						w.broker.topics["events"].partitions[0].append(nil, fmt.Appendf(nil, `{"id":%d}`, i))
						if i < refused {
							ids += fmt.Sprintf(",%d", i)
						}
					}
					w.channel.promote(digest, "refuses:"+ids)
					if err := w.play(o); err != nil {
						t.Fatal(err)
					}
				}
				epoch("v1", c.before)
				epoch("v2", c.after)
				tail, err := w.log()
				if err != nil {
					t.Fatal(err)
				}
				want := map[bool]string{true: "v2", false: "v1"}[c.kept]
				if got := tail.Epochs[1].Plugins[pluginRef]; got != want {
					t.Errorf("the epoch is of %s, want %s", got, want)
				}
				if _, err := w.verify(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestTheFloorKeepsModules prunes the log down to its floor: a start still knows
// by which module the last epoch was derived.
func TestTheFloorKeepsModules(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := swapTale("stops:5", false, 1)
		w := s.world(t)
		defer w.close()
		tail, err := w.log()
		if err != nil || len(tail.Epochs) != 0 || tail.Floor.Plugins[pluginRef] != "v1" {
			t.Fatalf("the log is %+v (%v), want a floor that names v1", tail, err)
		}
		if err := w.play(s.options); err != nil {
			t.Fatal(err)
		}
		if !w.channel.refused[2] {
			t.Error("v2 is not refused: it was not on probation")
		}
		if err := w.check(); err != nil {
			t.Error(err)
		}
	})
}
