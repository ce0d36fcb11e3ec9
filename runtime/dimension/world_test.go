package dimension

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/projection/projectiontest"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
	"github.com/calvelake/calve/runtime/record/recordtest"
	"github.com/calvelake/calve/runtime/upstream"
)

// variant is a kind of input that the random tests run.
type variant struct {
	name     string
	changes  bool // of a database
	keyed    bool // the input is a keyed model
	computed bool // there are derived columns and a condition
	decided  bool // a Decider decides
}

var variants = []variant{
	{name: "upserts"},
	{name: "changes", changes: true},
	{name: "changes computed", changes: true, computed: true},
	{name: "changes decided", changes: true, decided: true},
	{name: "keyed", keyed: true},
	{name: "keyed computed", keyed: true, computed: true},
}

// event is a change on its way to the operator.
type event struct {
	*happening
	row     recordtest.Row
	keyed   recordtest.Change
	refused bool
}

// ask is what a fact asks.
type ask struct {
	id  string
	sub int64
	at  int64
}

// world is what happens, and what is known of it.
type world struct {
	variant
	r      *rand.Rand
	naive  *naive
	events []*event
	told   map[string][]*happening
	calls  int
	asks   []ask
	found  []Found // of asks
	times  []int64 // distinct ones to choose from; nil for any
	late   bool    // changes may be late
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func maybe(r *rand.Rand, v any) any {
	if r.IntN(8) == 0 {
		return nil
	}
	return v
}

func memberName(id string, sub int64) string { return fmt.Sprintf("%s/%d", id, sub) }

func newWorld(t testing.TB, v variant, seed uint64, late bool) *world {
	r := rand.New(rand.NewPCG(seed, 11))
	w := &world{variant: v, r: r, told: map[string][]*happening{}, late: late}
	if late {
		for _, at := range r.Perm(200) {
			w.times = append(w.times, int64(at))
		}
	}
	spec := customersSpec()
	spec.From = staging("stg_customers", v.changes)
	if v.keyed {
		spec.From = upstream.Model{Name: "fct_customers", Schema: keyedSchema(), Key: []string{"sub", "id"}}
	}
	spec.EffectiveAt = pick(r, "at", "at", "")
	spec.DefaultType = pick(r, Type0, Type1, Type2, Type2)
	for _, name := range spec.Attributes {
		if r.IntN(2) == 0 {
			spec.Types[name] = pick(r, Type0, Type1, Type2)
		}
	}
	spec.Type1Scope = pick(r, Type1All, Type1Current)
	spec.HardDeletes = pick(r, HardDeletesNewRecord, HardDeletesInvalidate, HardDeletesIgnore)
	spec.FirstValidFrom = pick(r, FirstValidFromBeginning, FirstValidFromEffective)
	spec.ValidToCurrent = pick(r, ValidToMaximum, ValidToEmpty)
	spec.LateChanges = pick(r, 8*us, 100*us)
	w.naive = &naive{}
	if v.computed && r.IntN(3) > 0 {
		spec.Derive = []projection.Column{projectiontest.Column(t, "label", "name || '+' || city")}
		spec.Attributes = []string{"label", "level", "name"}
		delete(spec.Types, "city")
		w.naive.derive = func(row map[string]any) any {
			if row["name"] == nil || row["city"] == nil {
				return nil
			}
			return row["name"].(string) + "+" + row["city"].(string)
		}
	}
	if v.computed && (w.naive.derive == nil || r.IntN(2) == 0) {
		spec.Where = projectiontest.Parse(t, "level > 1")
		w.naive.where = func(row map[string]any) bool { return row["level"] != nil && row["level"].(int64) > 1 }
	}
	if v.decided {
		spec.Decider = fakeDecider{}
		w.naive.decides = decideOne
	}
	w.naive.spec = spec
	most := 16
	if late {
		most = 40
	}
	for i := range 1 + r.IntN(most) {
		w.events = append(w.events, w.newEvent(int64(i)))
	}
	return w
}

// someTime is one of few, so that changes share them.
func (w *world) someTime() int64 {
	if n := len(w.times); n > 0 {
		at := w.times[n-1]
		w.times = w.times[:n-1]
		return at
	}
	if w.r.IntN(30) == 0 {
		return pick(w.r, Beginning-5, Beginning-4, Beginning, Beginning+1, Forever-1, Forever+3)
	}
	return w.r.Int64N(40)
}

// lateness is how late changes may be.
func (w *world) lateness() int64 { return w.naive.spec.LateChanges.Microseconds() }

func (w *world) newEvent(i int64) *event {
	r := w.r
	h := &happening{id: pick(r, "ann", "ann", "bob"), sub: 7, op: pick(r, "c", "u", "u", "u", "d", "r"), topic: pick(r, "a", "b"), offset: i, recorded: recordtest.RecordedAt(i)}
	h.values = map[string]any{"name": maybe(r, pick(r, "x", "y")), "city": maybe(r, pick(r, "Bern", "Ulm")), "level": maybe(r, r.Int64N(4))}
	h.missing = map[string]bool{}
	missing := []string{}
	if w.changes && h.op == "u" && r.IntN(2) == 0 {
		for _, name := range []string{"name", "city", "level"} {
			if r.IntN(2) == 0 {
				h.missing[name], h.values[name] = true, nil
				missing = append(missing, name)
			}
		}
		missing = append(missing, "other")
	}
	var at any = w.someTime()
	changedAt := maybe(r, w.someTime())
	made := h.recorded
	if w.changes && changedAt != nil {
		made = changedAt.(int64)
	}
	if h.op == "d" {
		at = maybe(r, at)
	}
	if !w.changes && !w.keyed {
		h.op = "c"
		at = w.someTime()
	}
	switch {
	case w.naive.spec.EffectiveAt == "":
		h.at = made
	case h.op == "d" && at != nil:
		h.at = max(made, at.(int64))
	case h.op == "d":
		h.at = made
	default:
		h.at = at.(int64)
	}
	e := &event{happening: h}
	values := []any{h.id, h.sub, at, h.values["name"], h.values["city"], h.values["level"]}
	if w.keyed {
		e.keyed = recordtest.Change{Op: record.OpUpdate, Values: append(values, h.recorded, int64(recordtest.Ingested))}
		if h.op == "d" {
			e.keyed.Op = record.OpDelete
		}
		return e
	}
	e.row = recordtest.Row{Values: values, Topic: h.topic, Offset: i}
	if w.changes {
		sequence := maybe(r, fmt.Sprintf("%02d", r.IntN(20)))
		if sequence != nil {
			h.sequence = sequence.(string)
		}
		e.row.Changes = []any{h.op, changedAt, sequence, missing}
	}
	return e
}

// tell gives events to the operator.
func (w *world) tell(t *testing.T, o *Operator, watermark int64, events []*event) {
	t.Helper()
	if !w.keyed {
		newest := map[string]*happening{}
		for id, all := range w.told {
			for _, h := range all {
				if have := newest[id]; (h.op != "d" || w.naive.spec.HardDeletes != HardDeletesIgnore) && (have == nil || compareHappenings(h, have) > 0) {
					newest[id] = h
				}
			}
		}
		for _, e := range events {
			last := newest[memberName(e.id, e.sub)]
			late := watermark != record.NoTime && e.at+w.lateness() <= watermark && last != nil && compareHappenings(e.happening, last) < 0
			rejects := take(t, o, watermark, e.row)
			if late != (len(rejects) == 1 && rejects[0].Code == record.CodeLateChange) || late && !w.late {
				t.Fatalf("watermark %d: %+v is late: %t, and refused: %+v", watermark, e.happening, late, rejects)
			}
			e.refused = late
		}
		return
	}
	for len(events) > 0 { // one change a key in each changelog
		w.calls++
		var changes []recordtest.Change
		seen := map[string]bool{}
		for len(events) > 0 && !seen[events[0].id] {
			seen[events[0].id] = true
			events[0].call = w.calls
			changes, events = append(changes, events[0].keyed), events[1:]
		}
		follow(t, o, watermark, changes...)
	}
}

func (w *world) open(t *testing.T, s keyvalue.Store) *Operator {
	t.Helper()
	o, err := New(w.naive.spec, s)
	if err != nil {
		t.Fatal(err)
	}
	o.room = room{changes: w.r.IntN(4), bytes: 40 + w.r.IntN(400), keepChanges: w.r.IntN(3), keepBytes: w.r.IntN(300)}
	return o
}

func lookups(asks []ask) []Lookup {
	out := make([]Lookup, len(asks))
	for i, a := range asks {
		out[i] = Lookup{memberOf(a.id, a.sub), a.at}
	}
	return out
}

func resolve(t *testing.T, o *Operator, asks []ask) []Found {
	t.Helper()
	found, err := o.Resolve(lookups(asks))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func sameFound(a, b Found) bool {
	return a.Key == b.Key && a.Durable == b.Durable && string(a.Row) == string(b.Row)
}

// probes are lookups of all times that matter, of members that the state has.
func (w *world) probes(s *keyvaluetest.Memory) []ask {
	times := map[int64]bool{Beginning - 9: true, Beginning: true, Forever: true, Forever + 9: true}
	for _, e := range w.events {
		for d := int64(-1); d <= 1; d++ {
			times[e.at+d] = true
		}
	}
	var out []ask
	for _, id := range []string{"ann", "bob"} {
		values, err := s.Get([][]byte{headKey(string(memberOf(id, 7)))})
		if err != nil || values[0] == nil {
			continue
		}
		for at := range times {
			out = append(out, ask{id, 7, at})
		}
	}
	return out
}
