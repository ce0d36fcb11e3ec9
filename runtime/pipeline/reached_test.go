package pipeline

import (
	"math/rand/v2"
	"testing"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

// visits are sessions of clicks; sales joins them with rows of orders and has keys
// of members, a dimension of profiles; report joins visits with calls, which are
// sessions too; checked follows report.
func visits() Parts {
	return Parts{
		Start:  &lakehouse.Start{},
		Models: []Model{{Name: "clicks"}, {Name: "orders"}, {Name: "profiles"}, {Name: "rings"}},
		Keyed: []KeyedModel{
			{Name: "days"},
			{Name: "members", Inputs: []string{"profiles"}},
			{Name: "visits", Inputs: []string{"clicks"}},
			{Name: "calls", Inputs: []string{"rings"}},
			{Name: "sales", Inputs: []string{"visits", "orders"}, Keys: []string{"members", "days"}},
			{Name: "report", Inputs: []string{"visits", "calls", "days"}},
			{Name: "checked", Inputs: []string{"report"}},
		},
	}
}

// staged is a staging model's watermark.
type staged struct {
	at   int64
	idle bool
}

func (s staged) watermark() record.Watermark {
	return record.Watermark{At: s.at, Seen: s.at, Partitions: []record.WatermarkPartition{{Idle: s.idle}}}
}

func TestAKeyedModelIsSilentWhenAllThatItWaitsForIs(t *testing.T) {
	for _, c := range []struct {
		when                            string
		clicks, orders, profiles, rings staged
		open                            string // which sessions are
		sales, report                   int64
	}{
		{when: "all deliver", clicks: staged{40, false}, orders: staged{30, false}, profiles: staged{20, false}, rings: staged{10, false}, sales: 20, report: 10},
		{when: "a dimension is silent", clicks: staged{40, false}, orders: staged{30, false}, profiles: staged{20, true}, rings: staged{10, false}, sales: 30, report: 10},
		{when: "what is joined is silent too", clicks: staged{40, false}, orders: staged{30, true}, profiles: staged{20, true}, rings: staged{10, true}, sales: 40, report: 40},
		{when: "sessions are silent, and none is open", clicks: staged{10, true}, orders: staged{30, false}, profiles: staged{40, false}, rings: staged{20, false}, sales: 30, report: 20},
		{when: "some are", clicks: staged{10, true}, orders: staged{30, false}, profiles: staged{40, false}, rings: staged{20, false}, open: "visits", sales: 10, report: 20},
		{when: "all are silent", clicks: staged{10, true}, orders: staged{30, true}, profiles: staged{40, true}, rings: staged{20, true}, sales: 40, report: 20},
		{when: "a dimension alone has never delivered", clicks: staged{40, false}, orders: staged{30, false}, profiles: staged{record.NoTime, false}, rings: staged{10, false}, sales: record.NoTime, report: 10},
		{when: "it is silent by now", clicks: staged{40, false}, orders: staged{30, false}, profiles: staged{record.NoTime, true}, rings: staged{10, false}, sales: 30, report: 10},
	} {
		parts := visits()
		parts.Start.Watermarks = map[string]record.Watermark{
			"clicks": c.clicks.watermark(), "orders": c.orders.watermark(), "profiles": c.profiles.watermark(), "rings": c.rings.watermark(),
		}
		if open := int64(2); c.open != "" {
			parts.Start.Keyed = []lakehouse.KeyedModel{{Name: c.open, Open: &open}}
		}
		p := &Pipeline{keyed: newKeyed(parts), watermarks: newWatermarks(parts)}
		for model, want := range map[string]int64{"days": record.NoTime, "visits": c.clicks.at, "members": max(c.profiles.at, c.sales), "sales": c.sales, "report": c.report, "checked": c.report} {
			if got := p.watermark(p.keyedModel(model)); got != want {
				t.Errorf("%s: %s is at %d, want %d", c.when, model, got, want)
			}
		}
	}
}

// A model that is behind, or whose rows are made anew, is not silent: rows of it
// are to come. What reads it does not go back for that.
func TestAModelThatBeginsAnewHoldsOthersWhereTheyAre(t *testing.T) {
	parts := visits()
	parts.Start.Watermarks = map[string]record.Watermark{
		"clicks": staged{10, true}.watermark(), "rings": staged{50, false}.watermark(), "orders": staged{60, false}.watermark(), "profiles": staged{70, false}.watermark(),
	}
	report := lakehouse.KeyedModel{Name: "report", Watermark: &lakehouse.Reached{At: 45, Seen: 45}}
	parts.Start.Keyed = []lakehouse.KeyedModel{report}
	p := &Pipeline{keyed: newKeyed(parts), watermarks: newWatermarks(parts)}
	visits := p.keyedModel("visits")
	want := func(when, model string, at int64) {
		t.Helper()
		if got := p.watermark(p.keyedModel(model)); got != at {
			t.Errorf("%s: %s is at %d, want %d", when, model, got, at)
		}
	}
	want("visits are silent", "report", 50)
	want("visits are silent", "sales", 60)
	visits.rework = &rework{Rework: lakehouse.Rework{Shown: 10}}
	visits.behind = &behind{watermark: 3}
	want("visits take in their table", "visits", 3)
	want("visits take in their table", "report", 45)
	want("visits take in their table", "sales", 10)
	visits.behind = nil
	visits.rework.Shown = 12
	want("visits wait to be shown", "visits", 12)
	visits.rework = nil
	want("visits are shown", "report", 50)
	report2 := p.keyedModel("report")
	report2.behind, report2.reached = &behind{watermark: 7}, nowhere
	want("report takes in its table", "report", 7)
}

// What an operator saw is where it goes on, also where the models that it waits
// for are not as far any more.
func TestAWatermarkGoesOnWhereTheRecordHasIt(t *testing.T) {
	parts := visits()
	all := func(clicks, rings staged) map[string]record.Watermark {
		return map[string]record.Watermark{"clicks": clicks.watermark(), "rings": rings.watermark()}
	}
	parts.Start.Watermarks = all(staged{40, false}, staged{10, true})
	p := &Pipeline{keyed: newKeyed(parts), watermarks: newWatermarks(parts)}
	epoch := func(clicks, rings staged, seen, at int64) {
		t.Helper()
		for i := range p.keyed {
			p.end(&p.keyed[i])
		}
		next := all(clicks, rings)
		recorded := p.keyedModels(next)
		for _, k := range recorded {
			if w := k.Watermark; k.Name == "report" && (w == nil || w.Seen != seen || w.At != at) {
				t.Errorf("the record says %+v, want %d after %d", w, at, seen)
			}
			if k.Name == "days" && k.Watermark != nil {
				t.Errorf("a calendar is at %+v", k.Watermark)
			}
		}
		// Another process goes on.
		parts.Start.Watermarks, parts.Start.Keyed = next, recorded
		p = &Pipeline{keyed: newKeyed(parts), watermarks: newWatermarks(parts)}
		if got := p.watermark(p.keyedModel("report")); got != at {
			t.Errorf("it goes on at %d, want %d", got, at)
		}
	}
	epoch(staged{50, false}, staged{10, true}, 40, 50) // the first record has no watermark of keyed models
	if p.settledKeyed(parts.Start.Watermarks) {
		t.Error("settled although operators have not seen the watermark")
	}
	epoch(staged{50, false}, staged{15, false}, 50, 50)
	epoch(staged{50, false}, staged{15, false}, 50, 50)
	if !p.settledKeyed(parts.Start.Watermarks) {
		t.Error("not settled although operators have seen the watermark")
	}
	if p.settledKeyed(all(staged{60, false}, staged{15, true})) {
		t.Error("settled although the watermark would move: a topic is silent by now")
	}
	epoch(staged{80, false}, staged{70, false}, 50, 70)
	epoch(staged{80, true}, staged{70, true}, 70, 80)
}

// TestAFactNeverSeesMoreThanItsDimensions lets topics deliver and be silent by
// chance, and models take in tables or be made anew, each epoch with the process
// before or another: no operator is shown a time that goes back, and no fact one
// that its dimension has not seen (invariant 8).
func TestAFactNeverSeesMoreThanItsDimensions(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 6))
		parts := visits()
		parts.Start.Watermarks = map[string]record.Watermark{}
		p := &Pipeline{keyed: newKeyed(parts), watermarks: newWatermarks(parts)}
		at := map[string]int64{}
		last := map[string]int64{}
		for epoch := range 40 {
			if k := &p.keyed[random.IntN(len(p.keyed))]; random.IntN(4) == 0 && len(k.Keys) == 0 && k.Name != "members" {
				k.rework = &rework{Rework: lakehouse.Rework{Shown: p.shownAt(k)}}
			}
			for i := range p.keyed {
				k := &p.keyed[i]
				p.end(k)
				if before, ok := last[k.Name]; ok && k.reached.seen < before {
					t.Fatalf("seed %d, epoch %d: %s sees %d after %d", seed, epoch, k.Name, k.reached.seen, before)
				}
				last[k.Name] = k.reached.seen
				if random.IntN(2) == 0 {
					k.rework = nil // it is shown behind its end
				}
			}
			if fact, dimension := last["sales"], last["members"]; fact > dimension {
				t.Fatalf("seed %d, epoch %d: sales see %d, members %d", seed, epoch, fact, dimension)
			}
			next := map[string]record.Watermark{}
			for _, m := range parts.Models {
				idle := random.IntN(2) == 0
				if !idle {
					at[m.Name] += random.Int64N(50)
				}
				next[m.Name] = staged{at[m.Name], idle}.watermark()
			}
			parts.Start.Watermarks, parts.Start.Keyed = next, p.keyedModels(next)
			p.watermarks.recorded = next
			p.committedKeyed(parts.Start.Keyed)
			if random.IntN(2) == 0 {
				p = &Pipeline{keyed: newKeyed(parts), watermarks: newWatermarks(parts)}
			}
		}
	}
}
