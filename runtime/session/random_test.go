package session

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
	"github.com/calvelake/calve/runtime/record/recordtest"
)

// world is one random run: how events come, and what the sessions are.
type world struct {
	t        *testing.T
	g        *rand.Rand
	spec     Spec
	plugin   bool
	gap      int64
	lateness int64
	state    *keyvaluetest.Memory
	op       *Operator
	table    table
	taken    []event
	at       int64 // watermark
	intact   bool  // no event comes late
	memory   *memory.CheckedAllocator
	ever     map[string]map[string]string // the last row of every key that was emitted
}

func newWorld(t *testing.T, seed uint64) *world {
	g := rand.New(rand.NewPCG(seed, 11))
	w := &world{t: t, g: g, spec: visitsSpec(t), state: keyvaluetest.New(), table: table{}, at: record.NoTime, ever: map[string]map[string]string{}}
	w.gap, w.lateness = 1+g.Int64N(12), g.Int64N(40)
	w.spec.Gap, w.spec.Lateness = w.duration(w.gap), w.duration(w.lateness)
	if g.IntN(2) == 0 {
		w.spec.Emit = EmitEarly
	}
	if w.plugin = g.IntN(2) == 0; w.plugin {
		w.spec = withTally(t, w.spec)
		w.spec.Plugin.(*tally).blind = g.IntN(2) == 0
	}
	w.intact = g.IntN(2) == 0
	w.memory = memory.NewCheckedAllocator(recordtest.Scribbler{Allocator: memory.DefaultAllocator})
	w.spec.Allocator = w.memory
	w.open()
	return w
}

// open begins with the state, and few keys whose timers come at once.
func (w *world) open() {
	w.op = open(w.t, w.spec, w.state)
	w.op.dueAtOnce = 1 + w.g.IntN(4)
}

func (w *world) duration(n int64) time.Duration { return time.Duration(n) * us }

// randomEvents are events of few keys at close times.
func randomEvents(g *rand.Rand) []event {
	events := make([]event, 1+g.IntN(60))
	for i := range events {
		e := event{user: []string{"ann", "bob", ""}[g.IntN(3)], device: g.Int64N(2), at: g.Int64N(150) - 20, topic: []string{"t", "u"}[g.IntN(2)], offset: int64(i), page: string(rune('a' + g.IntN(5))), bytes: g.Int64N(100)}
		if g.IntN(8) == 0 {
			e.page = nil
		}
		if g.IntN(8) == 0 {
			e.bytes = nil
		}
		events[i] = e
	}
	return events
}

// run takes events in the given order, cut into calls and epochs at random.
func (w *world) run(events []event) {
	for i := 0; i < len(events); {
		n := min(1+w.g.IntN(8), len(events)-i)
		w.epoch(events[i:i+n], events[i+n:])
		i += n
	}
	w.at = math.MaxInt64
	w.end()
	w.memory.AssertSize(w.t, 0)
}

// epoch takes some events; rest are those that come later.
func (w *world) epoch(some, rest []event) {
	before := w.state.Clone()
	taken := len(w.taken)
	w.takeAll(some)
	if w.g.IntN(6) == 0 { // the epoch is given up, and done again in other pieces
		if w.g.IntN(2) == 0 {
			end(w.t, w.op, w.at)
		}
		*w.state, w.taken = *before, w.taken[:taken]
		w.op.Discard()
		w.takeAll(some)
	}
	w.advance(rest)
	w.end()
	if w.g.IntN(4) == 0 { // another process goes on
		w.open()
	}
}

func (w *world) takeAll(some []event) {
	for len(some) > 0 {
		n := 1 + w.g.IntN(len(some))
		w.takeSome(some[:n])
		some = some[n:]
	}
}

// takeSome checks which events are taken.
func (w *world) takeSome(some []event) {
	want := map[string]int{}
	n := 0
	for _, e := range some {
		switch {
		case w.at != record.NoTime && e.time()+w.gap+w.lateness <= w.at:
			want[record.CodeLate]++
		case w.plugin && e.bytes == int64(refusedBytes):
			want["unlucky"]++
		default:
			n++
			w.taken = append(w.taken, e)
		}
	}
	taken, rejects := take(w.t, w.op, w.at, some...)
	got := map[string]int{}
	for _, r := range rejects {
		got[r.Code]++
	}
	if taken != n || !maps.Equal(got, want) {
		w.t.Fatalf("at %d of %v: got %d taken and %v, want %d and %v", w.at, some, taken, got, n, want)
	}
}

// advance moves the watermark; in an intact world not so far that one of the
// events to come is late.
func (w *world) advance(rest []event) {
	next := max(w.at, -40) + w.g.Int64N(30)
	if w.intact {
		for _, e := range rest {
			next = min(next, e.time()+w.gap+w.lateness-1)
		}
	}
	w.at = max(w.at, next)
}

// visit is a session of the model: the events of a key, in order.
type visit []event

// visits splits the events that were taken by gaps.
func (w *world) visits() (out []visit) {
	byKey := map[string][]event{}
	for _, e := range w.taken {
		byKey[e.key()] = append(byKey[e.key()], e)
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		events := byKey[key]
		slices.SortFunc(events, func(a, b event) int {
			return cmp.Or(cmp.Compare(a.time(), b.time()), cmp.Compare(a.topic, b.topic), cmp.Compare(a.offset, b.offset))
		})
		from := 0
		for i := range events {
			if i+1 == len(events) || events[i+1].time()-events[i].time() > w.gap {
				out = append(out, events[from:i+1])
				from = i + 1
			}
		}
	}
	return out
}

func (v visit) start() int64 { return v[0].time() }
func (v visit) end() int64   { return v[len(v)-1].time() }

// row is the row of a visit, nil if it has none.
func (w *world) row(v visit, closed bool) map[string]string {
	const null = "(null)"
	out := map[string]string{
		"user_id": fmt.Sprint(v[0].user), "device": fmt.Sprint(v[0].device), ColumnStart: fmt.Sprint(v.start()), ColumnEnd: fmt.Sprint(v.end()),
		"views": strconv.Itoa(len(v)), "length": fmt.Sprint(v.end() - v.start()), "total": null, "entry": null, "leave": null, "mean": null, "big": "false",
	}
	total, with, pages, sum := int64(0), 0, map[string]bool{}, tallied{}
	for _, e := range v {
		one := tallied{n: 1}
		if b, ok := e.bytes.(int64); ok {
			total, with, one.sum = total+b, with+1, b
			if out["total"] = fmt.Sprint(total); b > 50 {
				out["big"] = "true"
			}
			out["mean"] = strconv.FormatFloat(float64(total)/float64(with), 'g', -1, 64)
		}
		if p, ok := e.page.(string); ok {
			if pages[p], one.least, out["leave"] = true, p, p; out["entry"] == null {
				out["entry"] = p
			}
		}
		sum = sum.with(one)
	}
	out["pages"] = strconv.Itoa(len(pages))
	if w.plugin {
		if n := sum.n % refuses; n == 3 || n == 4 {
			return nil
		}
		key := fmt.Sprintf(`{"device":%d,"user_id":%q}`, v[0].device, v[0].user)
		plugin := w.spec.Plugin.(*tally)
		out["tallied"], out["over"] = plugin.show(key, sum), strconv.FormatBool(closed && !plugin.blind)
	}
	return out
}

func (w *world) end() {
	before := w.visitOf()
	changes, failed := end(w.t, w.op, w.at)
	was := maps.Clone(w.table)
	w.table.apply(w.t, changes)
	w.checkKeys(was, changes, before)
	w.checkFailed(failed)
	w.checkTable()
	w.checkStats()
}

// visitOf finds the visit of a key's row.
func (w *world) visitOf() func(row map[string]string) string {
	all := w.visits()
	return func(row map[string]string) string {
		start, _ := strconv.ParseInt(row[ColumnStart], 10, 64)
		for i, v := range all {
			if fmt.Sprint(v[0].user) == row["user_id"] && fmt.Sprint(v[0].device) == row["device"] && v.start() <= start && start <= v.end() {
				return strconv.Itoa(i)
			}
		}
		return "none"
	}
}

// checkKeys: a key stays with the events it was given to, and goes only where
// two rows became one, or a plugin takes the row away.
func (w *world) checkKeys(was table, changes []change, visitOf func(map[string]string) string) {
	for key, row := range w.table {
		if old, ok := w.ever[key]; ok && visitOf(old) != visitOf(row) {
			w.t.Fatalf("key %s was of %s and is of %s", key, rowText(old), rowText(row))
		}
		w.ever[key] = row
	}
	rows := map[string][]string{}
	for key, row := range was {
		rows[visitOf(row)] = append(rows[visitOf(row)], key)
	}
	for _, c := range changes {
		if c.op != record.OpDelete || w.plugin {
			continue
		}
		if n := len(rows[visitOf(c.row)]); n < 2 {
			w.t.Fatalf("%s: the session had %d rows", c, n)
		}
	}
	for of, keys := range rows {
		left := slices.DeleteFunc(keys, func(key string) bool { _, ok := w.table[key]; return !ok })
		if len(left) > 1 || len(left) == 0 && !w.plugin {
			w.t.Fatalf("session %s has the rows of %d keys", of, len(left))
		}
	}
}

func (w *world) checkFailed(failed []SessionError) {
	for _, f := range failed {
		if !w.plugin || f.Code != "odd" || f.Message != "four" {
			w.t.Fatalf("session failed: %+v", f)
		}
	}
}

// checkTable compares the table with the model's sessions.
func (w *world) checkTable() {
	var must, may []string
	events := 0
	for _, v := range w.visits() {
		events += len(v)
		closed := v.end() <= math.MaxInt64-w.gap && v.end()+w.gap <= w.at
		row := w.row(v, closed)
		switch {
		case row == nil:
		case closed || w.spec.Emit == EmitEarly:
			must = append(must, rowText(row))
		default: // if it was emitted when it was closed
			may = append(may, rowText(row))
		}
	}
	if events != len(w.taken) {
		w.t.Fatalf("BUG in the model: %d events of %d", events, len(w.taken))
	}
	got := w.table.texts()
	for _, row := range must {
		if !slices.Contains(got, row) {
			w.t.Fatalf("at %d a row is missing: %s\nthe table has %q\ntaken %v", w.at, row, got, w.taken)
		}
	}
	for _, row := range got {
		if !slices.Contains(must, row) && !slices.Contains(may, row) {
			w.t.Fatalf("at %d a row is wrong: %s\nof %q\ntaken %v", w.at, row, must, w.taken)
		}
	}
	if w.at == math.MaxInt64 && len(got) != len(must) {
		w.t.Fatalf("the table has %d rows in the end, want %d", len(got), len(must))
	}
}

// checkStats: sessions are held as long as an event may touch them, no longer.
func (w *world) checkStats() {
	want, keys := Stats{}, map[string]bool{}
	for _, v := range w.visits() {
		if w.op.forgottenAt(v.end()) > w.at {
			want.Sessions++
			keys[v[0].key()] = true
			if w.op.closesAt(v.end()) > w.at {
				want.Open++
			}
		}
	}
	want.Keys = int64(len(keys))
	if got := w.op.Stats(); got != want {
		w.t.Fatalf("at %d stats are %+v, want %+v", w.at, got, want)
	}
	if got := int64(w.state.Len(string(spaceSessions))); got != want.Keys {
		w.t.Fatalf("at %d state has %d keys, want %d", w.at, got, want.Keys)
	}
	if got := int64(w.state.Len(string(spaceTimers))); got != want.Keys {
		w.t.Fatalf("at %d state has %d timers, want %d", w.at, got, want.Keys)
	}
}

func TestTheTableIsThatOfTheDefinition(t *testing.T) {
	for seed := range uint64(300) {
		w := newWorld(t, seed)
		events := randomEvents(w.g)
		if w.run(events); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// TestAnyOrderWithinTheLatenessGivesTheSameTable runs the same events several
// times in different orders, pieces and epochs, none so late that it is
// refused.
func TestAnyOrderWithinTheLatenessGivesTheSameTable(t *testing.T) {
	for seed := range uint64(50) {
		g := rand.New(rand.NewPCG(seed, 12))
		events := randomEvents(g)
		var want []string
		for try := range 4 {
			w := newWorld(t, seed)
			w.intact = true
			w.g = rand.New(rand.NewPCG(seed, uint64(100+try)))
			w.g.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
			w.run(events)
			got := w.table.texts()
			if try > 0 && !slices.Equal(got, want) {
				t.Fatalf("seed %d: got  %q\nwant %q", seed, got, want)
			}
			want = got
		}
	}
}

// TestHowInputIsCutIntoCallsChangesNothing compares the changelogs of the same
// epochs, whose rows come in other pieces and another order.
func TestHowInputIsCutIntoCallsChangesNothing(t *testing.T) {
	for seed := range uint64(80) {
		one, other := newWorld(t, seed), newWorld(t, seed)
		events := randomEvents(one.g)
		for len(events) > 0 {
			n := min(1+one.g.IntN(20), len(events))
			some := events[:n]
			one.takeAll(some)
			other.g.Shuffle(n, func(i, j int) { some[i], some[j] = some[j], some[i] })
			other.takeAll(some)
			events = events[n:]
			one.advance(events)
			other.at = one.at
			a, _ := end(t, one.op, one.at)
			b, _ := end(t, other.op, other.at)
			if fmt.Sprint(a) != fmt.Sprint(b) {
				t.Fatalf("seed %d: got  %v\nwant %v", seed, b, a)
			}
			if !maps.Equal(contents(t, one.state), contents(t, other.state)) {
				t.Fatalf("seed %d: state differs", seed)
			}
		}
	}
}
