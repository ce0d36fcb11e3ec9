package bridge

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/projection/projectiontest"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
	"github.com/calvelake/calve/runtime/record/recordtest"
)

// kinds are the inputs and forms of bridges.
type kind struct{ unnest, changes, keyed, where bool }

var kinds = map[string]kind{
	"lists":                       {unnest: true},
	"pairs":                       {},
	"lists of a database":         {unnest: true, changes: true},
	"lists under a condition":     {unnest: true, changes: true, where: true},
	"pairs of a database":         {changes: true},
	"lists of a keyed model":      {unnest: true, keyed: true},
	"pairs of a keyed model":      {keyed: true},
	"pairs that meet a condition": {keyed: true, where: true},
}

func (k kind) spec(t testing.TB) Spec {
	from := staging(k.changes)
	if k.keyed {
		from = keyed()
	}
	spec := hostsSpec(t, from)
	if k.unnest {
		spec = categoriesSpec(t, from)
	}
	if k.where {
		spec.Where = projectiontest.Parse(t, "n > 1")
	}
	return spec
}

// world is a bridge, and what it is by definition.
type world struct {
	t      *testing.T
	g      *rand.Rand
	kind   kind
	spec   Spec
	state  *keyvaluetest.Memory
	op     *Operator
	table  recordtest.Table
	model  model
	dims   map[string]Dimension
	memory *memory.CheckedAllocator
	at     int64
	epochs int
}

func newWorld(t *testing.T, k kind, seed uint64) *world {
	w := &world{t: t, g: rand.New(rand.NewPCG(seed, 5)), kind: k, spec: k.spec(t), state: keyvaluetest.New(), table: recordtest.Table{}, dims: dimensions(), at: record.NoTime}
	w.model = model{unnest: k.unnest, keyed: k.keyed, where: k.where}
	w.memory = memory.NewCheckedAllocator(recordtest.Scribbler{Allocator: memory.DefaultAllocator})
	w.spec.Allocator = w.memory
	w.open()
	return w
}

func (w *world) open() {
	var err error
	if w.op, err = New(w.spec, w.state, w.dims); err != nil {
		w.t.Fatal(err)
	}
	w.op.atOnce = 1 + w.g.IntN(8)
}

// randomStreams are rows of few livestreams at close times.
func randomStreams(g *rand.Rand, k kind) []stream {
	all := make([]stream, 1+g.IntN(30))
	for i := range all {
		s := stream{id: string(rune('x' + g.IntN(2))), at: g.Int64N(20), n: 1 + g.Int64N(2), host: g.Int64N(3), topic: []string{"t", "u"}[g.IntN(2)], offset: int64(i)}
		if g.IntN(6) > 0 {
			s.categories = some()
			for range g.IntN(4) {
				if c := g.IntN(5); c < 4 {
					s.categories = append(s.categories, string(rune('a'+c)))
				} else {
					s.categories = append(s.categories, nil)
				}
			}
		}
		if k.changes {
			s.op, s.ts, s.sequence = string("cudr"[g.IntN(4)]), g.Int64N(20), fmt.Sprint(g.IntN(10))
			if g.IntN(3) == 0 {
				s.categories, s.missing = nil, append(s.missing, "categories")
			}
			if g.IntN(4) == 0 {
				s.n, s.missing = nil, append(s.missing, "n")
			}
			if s.op == "d" {
				s.categories, s.n, s.missing = nil, nil, nil
				if g.IntN(2) == 0 {
					s.at = nil
				}
			}
		}
		all[i] = s
	}
	return all
}

// epoch gives rows to the bridge, some at a time.
func (w *world) epoch(rows []stream) {
	before := w.state.Clone()
	refused := w.give(rows)
	if w.g.IntN(5) == 0 { // the epoch is given up, and done again
		if w.g.IntN(2) == 0 {
			discard(w.t, w.op, w.at)
		}
		*w.state = *before
		w.op.Discard()
		if again := w.give(rows); !maps.Equal(again, refused) {
			w.t.Fatalf("refused %v, and %v when it is done again", refused, again)
		}
	}
	for _, s := range rows {
		if !refused[s.offset] {
			w.model.add(s, s.op == "d", effective(s), w.epochs)
		}
	}
	w.end()
	if w.g.IntN(4) == 0 { // another process goes on
		w.open()
	}
}

// discard ends an epoch that does not count.
func discard(t testing.TB, o *Operator, watermark int64) {
	t.Helper()
	log, err := o.End(t.Context(), watermark)
	if err != nil {
		t.Fatal(err)
	}
	log.Release()
}

// give lets the bridge take rows, and tells which it refuses: those that come
// before others of the epochs before, and are late.
func (w *world) give(rows []stream) map[int64]bool {
	refused := map[int64]bool{}
	for rest := rows; len(rest) > 0; {
		n := 1 + w.g.IntN(len(rest))
		for _, reject := range take(w.t, w.op, w.at, rest[:n]...) {
			offset, err := strconv.ParseInt(strings.Fields(reject)[0], 10, 64)
			if err != nil || !strings.Contains(reject, record.CodeLateChange) {
				w.t.Fatalf("refused: %s", reject)
			}
			refused[offset] = true
		}
		rest = rest[n:]
	}
	for _, s := range rows {
		if late := w.isLate(s); refused[s.offset] != late {
			w.t.Fatalf("offset %d, effective at %d: refused is %v at watermark %d", s.offset, effective(s), refused[s.offset], w.at)
		}
	}
	return refused
}

// isLate tells whether a row is late by definition: old, and not behind all that was
// known when the epoch began.
func (w *world) isLate(s stream) bool {
	if w.at == record.NoTime || effective(s) > w.at-w.spec.LateChanges.Microseconds() {
		return false
	}
	for i, known := range w.model.taken {
		if w.model.owner(known) == w.model.owner(s) && cmp.Or(cmp.Compare(w.model.times[i], effective(s)), cmp.Compare(w.model.order[i], orderOf(s))) > 0 {
			return true
		}
	}
	return false
}

func (w *world) end() {
	w.epochs++
	end(w.t, w.op, w.table, w.at)
	if got, want := w.table.Texts(), w.model.rows(); !slices.Equal(got, want) {
		w.t.Fatalf("epoch %d: got\n%s\nwant\n%s", w.epochs, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	w.checkMembers()
}

// checkMembers looks for every key of the table among the members that dimensions
// were asked for.
func (w *world) checkMembers() {
	known := map[string]bool{dimension.UnknownKey: true}
	for _, d := range w.dims {
		for member := range d.(members) {
			known[hashed(textOf(member))] = true
		}
	}
	for row := range w.table {
		for _, part := range strings.Fields(w.table[row]) {
			if name, key, _ := strings.Cut(part, "="); strings.HasSuffix(name, "_key") && !known[key] {
				w.t.Fatalf("%s %s: no dimension was asked for it", name, key)
			}
		}
	}
}

// textOf is the text of a member of one part: a text behind its length, or a long.
func textOf(member string) any {
	if len(member) == 9 {
		return int64(member[1])
	}
	return member[2:]
}

func TestTheTableIsThatOfTheDefinition(t *testing.T) {
	for name, k := range kinds {
		if k.keyed {
			continue
		}
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(60) {
				w := newWorld(t, k, seed)
				rows := randomStreams(w.g, k)
				for len(rows) > 0 {
					n := 1 + w.g.IntN(len(rows))
					w.epoch(rows[:n])
					rows = rows[n:]
				}
				w.memory.AssertSize(t, 0)
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

// TestWhatIsLateIsRefusedAndTheRestIsThatOfTheDefinition lets time go on, so that
// changes are settled, and few are too late.
func TestWhatIsLateIsRefusedAndTheRestIsThatOfTheDefinition(t *testing.T) {
	for name, k := range kinds {
		if k.keyed {
			continue
		}
		t.Run(name, func(t *testing.T) {
			late := 0
			for seed := range uint64(60) {
				w := newWorld(t, k, seed)
				w.spec.LateChanges = time.Duration(w.g.IntN(6)) * us
				w.open()
				rows := randomStreams(w.g, k)
				given := len(rows)
				for len(rows) > 0 {
					n := 1 + w.g.IntN(min(len(rows), 4))
					w.epoch(rows[:n])
					rows = rows[n:]
					w.at = max(w.at, w.g.Int64N(22))
				}
				late += given - len(w.model.taken)
			}
			if late == 0 {
				t.Error("nothing was late")
			}
		})
	}
}

// TestAnySplitOfOldChangesGivesTheSameTable takes in what is older than the horizon,
// as of a table that is read again: in its order nothing of it is late, wherever epochs
// end, also between changes of one time.
func TestAnySplitOfOldChangesGivesTheSameTable(t *testing.T) {
	for name, k := range kinds {
		if k.keyed {
			continue
		}
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(30) {
				rows := randomStreams(rand.New(rand.NewPCG(seed, 7)), k)
				for i := range rows {
					rows[i].at = effective(rows[i]) / 4 // several are of one time
				}
				slices.SortFunc(rows, func(a, b stream) int {
					return cmp.Or(cmp.Compare(effective(a), effective(b)), cmp.Compare(orderOf(a), orderOf(b)))
				})
				var want []string
				for try := range 4 {
					w := newWorld(t, k, seed*10+uint64(try))
					w.at = w.spec.LateChanges.Microseconds() + 100
					for rest := rows; len(rest) > 0; {
						n := len(rest)
						if try > 0 {
							n = 1 + w.g.IntN(min(n, 3))
						}
						w.epoch(rest[:n])
						rest = rest[n:]
					}
					if late := len(rows) - len(w.model.taken); late > 0 {
						t.Fatalf("seed %d: %d changes were late", seed, late)
					}
					if got := w.table.Texts(); try > 0 && !slices.Equal(got, want) {
						t.Fatalf("seed %d: got\n%s\nwant\n%s", seed, strings.Join(got, "\n"), strings.Join(want, "\n"))
					}
					want = w.table.Texts()
				}
			}
		})
	}
}

func TestAnyOrderAndAnySplitGiveTheSameTable(t *testing.T) {
	for name, k := range kinds {
		if k.keyed {
			continue
		}
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(20) {
				rows := randomStreams(rand.New(rand.NewPCG(seed, 6)), k)
				var want []string
				for try := range 4 {
					w := newWorld(t, k, seed*10+uint64(try))
					w.g.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
					for rest := rows; len(rest) > 0; {
						n := 1 + w.g.IntN(len(rest))
						w.epoch(rest[:n])
						rest = rest[n:]
					}
					if got := w.table.Texts(); try > 0 && !slices.Equal(got, want) {
						t.Fatalf("seed %d: got\n%s\nwant\n%s", seed, strings.Join(got, "\n"), strings.Join(want, "\n"))
					}
					want = w.table.Texts()
				}
			}
		})
	}
}

// keyedEpoch changes some rows of the keyed model, whose rows are known by host.
func (w *world) keyedEpoch(rows map[int64]stream) {
	var changes []followed
	type owned struct {
		stream
		gone bool
		at   int64
	}
	var known []owned
	for host := range int64(4) {
		s := randomStreams(w.g, w.kind)[0]
		s.host, s.offset = host, int64(w.epochs)
		former, was := rows[host]
		op := record.OpCreate
		switch {
		case w.g.IntN(2) == 0:
			continue
		case was && w.g.IntN(3) == 0:
			op, s = record.OpDelete, former
			delete(rows, host)
		default:
			if rows[host] = s; was {
				op = record.OpUpdate
			}
		}
		changes = append(changes, followed{op, s})
		at := s.at.(int64)
		if op == record.OpDelete {
			known = append(known, owned{s, true, max(at, recordedAt(s.offset))})
			continue
		}
		if was && w.model.owner(former) != w.model.owner(s) {
			gone := former
			gone.offset = s.offset
			known = append(known, owned{gone, true, at})
		}
		known = append(known, owned{s, false, at})
	}
	if len(changes) == 0 {
		w.end()
		return
	}
	before := w.state.Clone()
	follow(w.t, w.op, changes...)
	if w.g.IntN(5) == 0 {
		discard(w.t, w.op, w.at)
		*w.state = *before
		w.op.Discard()
		follow(w.t, w.op, changes...)
	}
	for _, o := range known {
		w.model.add(o.stream, o.gone, o.at, w.epochs)
	}
	w.end()
	if w.g.IntN(4) == 0 {
		w.open()
	}
}

func TestAKeyedModelIsFollowedAsOfTheDefinition(t *testing.T) {
	for name, k := range kinds {
		if !k.keyed {
			continue
		}
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(60) {
				w := newWorld(t, k, seed)
				rows := map[int64]stream{}
				for range 1 + w.g.IntN(12) {
					w.keyedEpoch(rows)
				}
				w.memory.AssertSize(t, 0)
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}
