package pipeline_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/calvelake/calve/catalog"
)

// starTale is a star whose orders come before the changes of their members, and
// whose changes come late: keys are inferred, filled in, and moved.
func starTale(separate bool) tale {
	s := shortTale(separate)
	s.models, s.star = starModels, true
	s.records = [][]string{
		{`{"id":1,"kind":"o:a"}`, `{"id":2,"kind":"c:a"}`, `{"id":3,"kind":"o:b"}`, `{"id":4,"kind":"c:b"}`, `{"id":5,"kind":"c:a"}`, `{"id":7,"kind":"c:a"}`},
		{`{"id":6,"kind":"o:a"}`, `no json`, `{"id":9,"kind":"c:a"}`, `{"id":8,"kind":"o:c"}`, `{"id":10,"kind":"o:b"}`, `{"id":12,"kind":"o:a"}`},
	}
	return s
}

// searchStar crashes the tale at points that leave other worlds: all, or so many
// that are drawn by chance, and compares what becomes of the star.
func (s tale) searchStar(t *testing.T, most int) map[string][]string {
	star := map[string][]string{}
	calls, want := s.trace(t)
	all := points(calls)
	tried := distinct(all)
	t.Logf("separate %v: %d calls, %d points, %d of them leave different worlds", s.separate, len(calls), len(all), len(tried))
	tried = drawn(t, tried, most)
	for _, id := range []catalog.Identifier{starDimensionID, starFactID, starSecond} {
		if rows, ok := want[id.String()]; ok {
			star[id.String()] = rows
		}
	}
	want = star
	s.tryAll(t, want, tried)
	return want
}

// drawn leaves so many points, by chance; all of them in a soak, or for 0.
func drawn(t *testing.T, all []point, most int) []point {
	if most == 0 || most >= len(all) || soakTime(t) > 0 {
		return all
	}
	seed := beginning(t)
	t.Logf("seed %d, %d of them", seed, most)
	rand.New(rand.NewPCG(seed, 3)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:most]
}

// TestCrashesInAStar does what TestCrashAtEveryPoint does at some points, or with
// CALVE_SOAK at all, with a fact that refers to a dimension. After every commit
// each of its keys is there.
func TestCrashesInAStar(t *testing.T) {
	for _, separate := range []bool{false, true} {
		most := 40
		if separate {
			most = 20
		}
		inBubble(t, func(t *testing.T) {
			want := starTale(separate).searchStar(t, most)
			inferred := slices.DeleteFunc(slices.Clone(want[starDimensionID.String()]), func(row string) bool { return !strings.Contains(row, "is_inferred=true") })
			if len(inferred) != 1 || !strings.Contains(inferred[0], "member_key=c@0 ") {
				t.Errorf("the inferred members are %q, want c alone", inferred)
			}
		})
	}
}

// TestAnySplitOfAStarIsTheSame cuts the tale's records into epochs and polls of
// all sizes.
func TestAnySplitOfAStarIsTheSame(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := starTale(false)
		_, want := s.trace(t)
		for poll := 1; poll <= 13; poll++ {
			for _, maxBytes := range []int64{1, 60, 1 << 20} {
				s.options.poll, s.options.maxBytes = poll, maxBytes
				_, got := s.trace(t)
				for _, table := range []string{starDimensionID.String(), starFactID.String()} {
					if !slices.Equal(got[table], want[table]) {
						t.Errorf("polls of %d, epochs of %d bytes: %s\ngot:\n%s\nwant:\n%s", poll, maxBytes, table, indent(got[table]), indent(want[table]))
					}
				}
			}
		}
	})
}

// moreOfAStar are records that come to a star later.
func moreOfAStar(w *world) {
	for number, lines := range [][]string{
		{`{"id":21,"kind":"c:c"}`, `{"id":22,"kind":"o:d"}`, `{"id":23,"kind":"c:b"}`},
		{`{"id":24,"kind":"o:a"}`, `{"id":25,"kind":"c:d"}`, `{"id":26,"kind":"o:e"}`},
	} {
		p := w.broker.topics["events"].partitions[number]
		for _, line := range lines {
			p.append(nil, []byte(line))
		}
		for i := range p.records {
			p.records[i].Timestamp = int64(i)
		}
	}
}

// playFirst has the tale played before the run that is searched, for which the world
// is then set, and more records come.
func (s *tale) playFirst(set func(*world)) {
	s.prepare = func(w *world) error {
		if err := w.play(s.options); err != nil {
			return err
		}
		set(w)
		moreOfAStar(w)
		return nil
	}
}

// TestCrashesInAStarsBackfill adds a star to tables that have rows. The
// fact waits until the dimension has taken in its own.
func TestCrashesInAStarsBackfill(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := starTale(false)
		s.star = false
		s.playFirst(func(w *world) { w.star = true })
		s.searchStar(t, 20)
	})
}

// TestCrashesInAStarThatBeginsAnew resets both models of a star: no fact
// outlives the rows of its members.
func TestCrashesInAStarThatBeginsAnew(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := starTale(false)
		s.playFirst(func(w *world) { w.reset = []string{starDimensionID.Name, starFactID.Name} })
		s.searchStar(t, 20)
	})
}

// TestCrashesInAStarThatIsReconciled asks for the dimension to be made anew, and with
// it the fact that refers to it, while more records come. No commit shows a key
// without its member, and the star is in the end what it is without the request.
func TestCrashesInAStarThatIsReconciled(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := starTale(false)
		s.second = true
		s.playFirst(func(*world) {})
		_, plain := s.trace(t)
		prepare := s.prepare
		s.prepare = func(w *world) error {
			if err := prepare(w); err != nil {
				return err
			}
			return w.lake().Requests().Put(context.Background(), reconcileRequest("r1", starDimensionID.Name))
		}
		want := s.searchStar(t, 16)
		for table, rows := range want {
			if !slices.Equal(rows, plain[table]) {
				t.Errorf("%s\nreconciled:\n%s\nwithout that:\n%s", table, indent(rows), indent(plain[table]))
			}
		}
	})
}

// TestCrashesInAStarOfTwoFactsThatBeginsAnew resets all three, of which one fact
// has more to take in. After no commit does the other have keys of members that the
// dimension does not show.
func TestCrashesInAStarOfTwoFactsThatBeginsAnew(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := starTale(false)
		s.second = true
		s.playFirst(func(w *world) { w.reset = []string{starDimensionID.Name, starFactID.Name, starSecond.Name} })
		want := s.searchStar(t, 20)
		if got := want[starSecond.String()]; len(got) == 0 || !slices.Equal(got, want[starFactID.String()]) {
			t.Errorf("the facts are of the same orders, but\n%s\nand\n%s", indent(want[starFactID.String()]), indent(got))
		}
	})
}

// TestAnEpochThatIsAbandonedAfterInferenceLeavesNothing has a plugin of the
// dimension fail when it is to show the member that a fact inferred. The former
// module takes the epoch, from what was there before.
func TestAnEpochThatIsAbandonedAfterInferenceLeavesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		run := func(does string) (map[string][]string, []string) {
			s := starTale(false)
			s.plugged = true
			w := s.world(t)
			defer w.close()
			w.channel.promote("v1", "shows")
			if err := w.play(s.options); err != nil {
				t.Fatal(err)
			}
			moreOfAStar(w)
			w.channel.promote("v2", does)
			s.options.poll = 100 // all in the epoch
			p := w.newProcess(s.options)
			w.processes["main"] = p
			p.carryOn("", 3600e9)
			if !p.hasEnded() || p.failure != nil {
				t.Fatalf("the run says %q", p.said())
			}
			if err := w.check(); err != nil {
				t.Errorf("%s: %v", does, err)
			}
			got, err := w.contents()
			if err != nil {
				t.Fatal(err)
			}
			return got, p.said()
		}
		want, _ := run("shows")
		got, said := run("fails:e")
		if !slices.ContainsFunc(said, func(line string) bool { return strings.Contains(line, "refuses v2") }) {
			t.Errorf("no epoch is abandoned: %q", said)
		}
		for _, table := range []string{starDimensionID.String(), starFactID.String()} {
			if !slices.Equal(got[table], want[table]) {
				t.Errorf("%s\ngot:\n%s\nwant:\n%s", table, indent(got[table]), indent(want[table]))
			}
		}
	})
}

// TestCommitsTableByTableComeInTheOrderOfKeys: dimensions, then facts, then the
// audit table.
func TestCommitsTableByTableComeInTheOrderOfKeys(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		calls, _ := starTale(true).trace(t)
		place := map[string]int{starDimensionID.String(): 1, starFactID.String(): 2, "calve_shop.dead_letters": 3, "calve_shop.epochs": 4}
		last, facts := 0, 0
		for _, c := range calls {
			at := place[c.detail]
			if c.seam != "commit" || at == 0 {
				continue
			}
			if at < last && last != 4 {
				t.Errorf("%s is committed behind a table of place %d", c.detail, last)
			}
			if at == 2 {
				facts++
			}
			last = at
		}
		if facts < 2 {
			t.Errorf("facts were committed %d times, want several", facts)
		}
	})
}

// TestAReaderNeverSeesAFactWithoutItsMember looks at both tables at every call
// that a run makes. Tables that are committed one by one in another order are
// caught at it.
func TestAReaderNeverSeesAFactWithoutItsMember(t *testing.T) {
	for _, c := range []struct {
		name      string
		backwards bool
	}{{"one transaction", false}, {"facts before dimensions", true}} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := starTale(false)
				w := s.world(t)
				defer w.close()
				w.backwards = c.backwards
				p := w.newProcess(s.options)
				w.processes["main"] = p
				looks, wrong := 0, []string{}
				p.passed = func(at call) {
					if _, err := w.load(starFactID); err != nil {
						return // before there are tables
					}
					looks++
					if err := w.checkKeys(); err != nil {
						wrong = append(wrong, fmt.Sprintf("before %s: %v", at, err))
					}
				}
				p.carryOn("", 3600e9)
				if !p.hasEnded() || p.failure != nil {
					t.Fatalf("the run says %q", p.said())
				}
				if caught := len(wrong) > 0; caught != c.backwards || looks < 50 {
					t.Errorf("in %d looks: %q", looks, wrong)
				}
			})
		})
	}
}
