package pipeline_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record/keyvalue"
)

// part is a Part of censusState, by keys in hexadecimal.
type part map[string][]byte

func (s *censusState) Part(name string) (keyvalue.Store, error) { return partOf{s, name}, nil }

func (s *censusState) Reset(name string) error {
	clear(s.models[name])
	clear(s.stars[name])
	delete(s.parts, name)
	return nil
}

type partOf struct {
	state *censusState
	name  string
}

func (p partOf) Get(keys [][]byte) ([][]byte, error) {
	values := make([][]byte, len(keys))
	for i, k := range keys {
		values[i] = p.state.parts[p.name][hex.EncodeToString(k)]
	}
	return values, nil
}

func (p partOf) Write(changes []keyvalue.Change) error {
	for _, c := range changes {
		if p.state.parts[p.name] == nil {
			p.state.parts[p.name] = part{}
		}
		if c.Value == nil {
			delete(p.state.parts[p.name], hex.EncodeToString(c.Key))
		} else {
			p.state.parts[p.name][hex.EncodeToString(c.Key)] = bytes.Clone(c.Value)
		}
	}
	return nil
}

func (p partOf) Scan(from, to []byte, visit func(key, value []byte) (bool, error)) error {
	values := p.state.parts[p.name]
	for _, k := range slices.Sorted(maps.Keys(values)) {
		key, err := hex.DecodeString(k)
		if err != nil {
			return err
		}
		if bytes.Compare(key, from) < 0 || to != nil && bytes.Compare(key, to) >= 0 {
			continue
		}
		if more, err := visit(key, values[k]); err != nil || !more {
			return err
		}
	}
	return nil
}

// reconcileTale has a census that refused late rows, and a request to reconcile
// it, which takes several epochs beside new records.
func reconcileTale(separate bool) tale {
	s := shortTale(separate)
	s.models, s.censuses = s.models[1:], []censusOf{"all"}
	s.records = [][]string{
		{`{"id":1,"kind":"a"}`, `{"id":2,"kind":"b"}`, `{"id":3}`, `{"id":4,"kind":"late"}`, `{"id":5,"kind":"a"}`, `{"id":6,"kind":"late"}`},
		{`{"id":7,"kind":"b"}`, `no json`, `{"id":8,"kind":"c"}`, `{"id":9,"kind":"late too"}`, `{"id":10,"kind":"late"}`},
	}
	s.prepare = func(w *world) error {
		if err := w.play(s.options); err != nil {
			return err
		}
		for i, p := range w.broker.topics["events"].partitions {
			p.append(nil, fmt.Appendf(nil, `{"id":%d,"kind":"a"}`, 20+i))
			for j := range p.records {
				p.records[j].Timestamp = int64(j)
			}
		}
		return w.lake().Requests().Put(context.Background(), reconcileRequest("r1", "census_of_all"))
	}
	return s
}

func reconcileRequest(id, model string) lakehouse.LetterRequest {
	return lakehouse.LetterRequest{
		Version: lakehouse.RequestVersion, Kind: lakehouse.RequestReconcile, ID: id, Filter: lakehouse.LetterFilter{Models: []string{model}},
	}
}

// TestReconcileCrashesAtEveryPoint crashes a run that reconciles a model before
// and after every write, and loses the reply of each.
func TestReconcileCrashesAtEveryPoint(t *testing.T) {
	for _, separate := range []bool{false, true} {
		name := map[bool]string{false: "one transaction", true: "table by table"}[separate]
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := reconcileTale(separate)
				calls, want := s.trace(t) // which counts all rows, the late ones included
				s.mustBeProven(t)
				all := points(calls)
				tried := distinct(all)
				t.Logf("%d calls, %d points, %d of them leave different worlds", len(calls), len(all), len(tried))
				if seed := beginning(t); separate && soakTime(t) == 0 { // some of them
					t.Logf("seed %d", seed)
					rand.New(rand.NewPCG(seed, 3)).Shuffle(len(tried), func(i, j int) { tried[i], tried[j] = tried[j], tried[i] })
					tried = tried[:40]
				}
				s.tryAll(t, want, tried)
			})
		})
	}
}

// TestReconcileStops asks a run that reconciles a model to stop before calls that
// it makes, some of them or with CALVE_SOAK all. What was taken of a chunk by then
// is taken again, and counts once.
func TestReconcileStops(t *testing.T) {
	for _, rows := range []int64{3, 100} { // at once: of a file, of several
		t.Run(fmt.Sprintf("chunks of %d rows", rows), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := reconcileTale(false)
				s.options.backfillRows = rows
				calls, want := s.trace(t)
				begun := slices.IndexFunc(calls, func(c call) bool { return c.seam == "read-request" })
				tried := stops(calls)[begun:]
				t.Logf("%d calls, %d of them behind the request", len(calls), len(tried))
				if soakTime(t) == 0 {
					reads := slices.DeleteFunc(slices.Clone(tried), func(p point) bool { return p.call != call{"read", "staging.all"} })
					seed := beginning(t)
					t.Logf("seed %d", seed)
					rand.New(rand.NewPCG(seed, 3)).Shuffle(len(tried), func(i, j int) { tried[i], tried[j] = tried[j], tried[i] })
					tried = append(reads[:min(len(reads), 24)], tried[:8]...)
				}
				s.tryAll(t, want, tried)
			})
		})
	}
}

// TestNoEpochShowsHalfOfAReconciliation looks at the table after every commit:
// it has the rows from before until it has all that are right.
func TestNoEpochShowsHalfOfAReconciliation(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := reconcileTale(false)
		w := s.world(t)
		defer w.close()
		table := w.censuses[0].definition().ID
		shown := func() string {
			rows, err := w.rows(table)
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			for _, r := range rows {
				lines = append(lines, fmt.Sprintf("%s:%d", r.text("kind"), r.number("rows")))
			}
			slices.Sort(lines)
			return fmt.Sprint(lines)
		}
		before := shown()
		p := w.newProcess(s.options)
		w.processes["main"] = p
		seen := []string{before}
		for !p.hasEnded() {
			p.carryOn("record", time.Hour)
			if now := shown(); now != seen[len(seen)-1] {
				seen = append(seen, now)
			}
		}
		if p.failure != nil {
			t.Fatal(p.failure)
		}
		if want := []string{"[a:2 b:2 c:1 late:2]", "[a:4 b:2 c:1 late too:1 late:3]"}; !slices.Equal(seen, want) {
			t.Errorf("the table shows %q, want %q", seen, want)
		}
	})
}

// TestReconciledLettersAreResolved: late letters whose rows are in the table now
// are closed, others stay open, once.
func TestReconciledLettersAreResolved(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := reconcileTale(false)
		w := s.world(t)
		defer w.close()
		if err := w.play(s.options); err != nil {
			t.Fatal(err)
		}
		list, err := w.lake().ListLetters(t.Context(), lakehouse.ListQuery{Filter: lakehouse.LetterFilter{Models: []string{"census_of_all"}}, All: true})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string][2]int64{}
		for _, g := range list.Groups {
			got[g.Reason] = [2]int64{g.Open, g.Replayed}
		}
		if want := map[string][2]int64{"late": {0, 2}, "null_key": {1, 0}}; !maps.Equal(got, want) {
			t.Errorf("letters open and replayed: got %v, want %v", got, want)
		}
	})
}

// TestARequestToReconcileWhatCannotBeIsDone: it does not stop the pipeline.
func TestARequestToReconcileWhatCannotBeIsDone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := reconcileTale(false)
		s.prepare = func(w *world) error {
			return w.lake().Requests().Put(context.Background(), reconcileRequest("r1", "all"))
		}
		w := s.world(t)
		defer w.close()
		if err := w.play(s.options); err != nil {
			t.Fatal(err)
		}
		r, err := w.lake().Follow("r1").Look(t.Context())
		if err != nil || r == nil || !r.Done {
			t.Fatalf("the request is %+v (%v), want done", r, err)
		}
		if result, err := lakehouse.DecodeRequestResult(r.Cursor); err != nil || result.Problem == "" {
			t.Errorf("got %+v (%v), want the problem", result, err)
		}
	})
}
