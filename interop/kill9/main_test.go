//go:build unix

package main

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/calvelake/calve/lakehouse"
)

func TestPlanIsDecidedByItsSeed(t *testing.T) {
	draw := func(seed uint64) []round {
		p := newPlan(rand.New(rand.NewPCG(seed, 0)))
		rounds := make([]round, 100)
		for i := range rounds {
			rounds[i] = p.next()
		}
		return rounds
	}
	if !reflect.DeepEqual(draw(1), draw(1)) {
		t.Error("one seed gives two plans")
	}
	if reflect.DeepEqual(draw(1), draw(2)) {
		t.Error("two seeds give one plan")
	}
}

func TestEveryRoundKillsEachWriterThatItStarts(t *testing.T) {
	p := newPlan(rand.New(rand.NewPCG(1, 0)))
	kinds := map[int]int{} // by number of steps: each kind has its own
	for range 1000 {
		r := p.next()
		kinds[len(r)]++
		alive := map[int]bool{}
		for _, s := range r {
			if s.wait < 0 || s.wait >= 1 {
				t.Fatalf("round %v: a step waits %v lives, want [0,1)", r, s.wait)
			}
			if alive[s.writer] == (s.action == start) {
				t.Fatalf("round %v: step %v finds writer %d alive: %v", r, s, s.writer, alive[s.writer])
			}
			alive[s.writer] = s.action != kill
		}
		for writer := range alive {
			if alive[writer] {
				t.Fatalf("round %v leaves writer %d behind", r, writer)
			}
		}
	}
	if got := len(kinds); got != 3 {
		t.Errorf("got %d kinds of rounds, want 3: alone, rivals, frozen", got)
	}
}

func TestRecordsHaveTheFateThatTheirTextGivesThem(t *testing.T) {
	w := written{Models: map[string]fate{"events": {}, "notes": {}}}
	var malformed, noteless int64
	for range 1000 {
		var fields map[string]any
		r := w.next(time.UnixMilli(1))
		switch err := json.Unmarshal(r.Value, &fields); {
		case err != nil:
			malformed++
		case fields["note"] == nil:
			noteless++
		}
	}
	if malformed == 0 || noteless == 0 {
		t.Fatalf("got %d malformed records and %d without a note, want some of each", malformed, noteless)
	}
	if got := w.Models["events"]; got.Dead != malformed || got.Rows+got.Dead != 1000 {
		t.Errorf("events: got %+v, want %d dead of 1000", got, malformed)
	}
	if got := w.Models["notes"]; got.Dead != malformed+noteless || got.Rows+got.Dead != 1000 {
		t.Errorf("notes: got %+v, want %d dead of 1000", got, malformed+noteless)
	}
}

func TestCountThatDiffersIsAProblem(t *testing.T) {
	w := written{Records: 10, Models: map[string]fate{"events": {Rows: 8, Dead: 2, Sum: 36}}}
	good := count{Rows: 8, Positions: 8, Numbers: 8, Sum: 36, Dead: 2, DeadPositions: 2}
	visits := count{Sessions: 3}
	if err := checkCount(w, map[string]count{"events": good, sessions: visits}); err != nil {
		t.Errorf("got %v for a count that agrees", err)
	}
	for name, spoil := range map[string]func(*count){
		"a row twice":                func(c *count) { c.Rows++ },
		"a row missing":              func(c *count) { c.Rows, c.Positions, c.Numbers = 7, 7, 7 },
		"one for another":            func(c *count) { c.Sum++ },
		"a dead letter twice":        func(c *count) { c.Dead++ },
		"a dead letter for a row":    func(c *count) { c.Rows, c.Dead, c.DeadPositions = 7, 3, 3 },
		"a record of both fates":     func(c *count) { c.Both = 1 },
		"a position with two rows":   func(c *count) { c.Positions = 7 },
		"a number in two positions":  func(c *count) { c.Numbers = 7 },
		"a letter for another's row": func(c *count) { c.DeadPositions = 1 },
	} {
		c := good
		spoil(&c)
		if err := checkCount(w, map[string]count{"events": c, sessions: visits}); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	for name, wrong := range map[string]count{
		"no session":             {},
		"a session missing":      {Sessions: 3, Missing: 1},
		"a session that is none": {Sessions: 3, Wrong: 1},
		"a key twice":            {Sessions: 3, Doubled: 1},
	} {
		if err := checkCount(w, map[string]count{"events": good, sessions: wrong}); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	if err := checkCount(w, nil); err == nil {
		t.Error("got no error without a count")
	}
}

func TestProofThatDiffersIsAProblem(t *testing.T) {
	w := written{Records: 10, Models: map[string]fate{"events": {Rows: 8, Dead: 2}}}
	prove := func(spoil func(*lakehouse.Verification)) error {
		proof := &lakehouse.Verification{Proven: true, Models: []lakehouse.ModelProof{{Model: "events", Delivered: 10, Rows: 8, DeadLetters: 2}, {Model: sessions, Delivered: 8, WithRows: 8}}}
		spoil(proof)
		return checkProof(w, proof)
	}
	if err := prove(func(*lakehouse.Verification) {}); err != nil {
		t.Errorf("got %v for a proof that agrees", err)
	}
	for name, spoil := range map[string]func(*lakehouse.Verification){
		"not proven":             func(v *lakehouse.Verification) { v.Proven = false },
		"a record not read":      func(v *lakehouse.Verification) { v.Models[0].Delivered = 9 },
		"a row missing":          func(v *lakehouse.Verification) { v.Models[0].Rows = 7 },
		"a dead letter missing":  func(v *lakehouse.Verification) { v.Models[0].DeadLetters = 1 },
		"an event in no session": func(v *lakehouse.Verification) { v.Models[1].WithRows = 7 },
		"a model missing":        func(v *lakehouse.Verification) { v.Models = nil },
	} {
		if err := prove(spoil); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func TestKillsThatLeaveNoEpochsAreAProblem(t *testing.T) {
	for _, test := range []struct {
		kills  int
		epochs int64
		ok     bool
	}{{100, 25, true}, {100, 24, false}, {1, 0, true}} {
		err := checkProgress(&trial{kills: test.kills}, test.epochs)
		if got := err == nil; got != test.ok {
			t.Errorf("%d kills and %d epochs: got %v, want ok %v", test.kills, test.epochs, err, test.ok)
		}
	}
}
