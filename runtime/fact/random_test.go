package fact

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/projection/projectiontest"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
	"github.com/calvelake/calve/runtime/record/recordtest"
	"github.com/calvelake/calve/runtime/upstream"
)

// variant is a kind of fact that the random tests run.
type variant struct {
	name    string
	changes bool // of a database
	keyed   bool // the input is a keyed model
	append  bool
	soft    bool
	ignore  bool
	where   bool
	foreign bool // it refers to dimensions
	alone   bool // it joins nothing
}

var variants = []variant{
	{name: "events"},
	{name: "events appended", append: true},
	{name: "changes", changes: true},
	{name: "changes where", changes: true, where: true},
	{name: "changes soft", changes: true, soft: true},
	{name: "changes ignored", changes: true, ignore: true},
	{name: "changes appended", changes: true, append: true, soft: true},
	{name: "keyed", keyed: true},
	{name: "keyed soft where", keyed: true, soft: true, where: true},
	{name: "keyed ignored", keyed: true, ignore: true},
	{name: "events refer", foreign: true},
	{name: "events refer alone appended", append: true, foreign: true, alone: true},
	{name: "events refer appended", append: true, foreign: true},
	{name: "changes refer soft", changes: true, soft: true, foreign: true},
	{name: "changes refer where", changes: true, where: true, foreign: true},
	{name: "changes refer appended", changes: true, append: true, soft: true, foreign: true},
	{name: "keyed refer", keyed: true, foreign: true},
}

func (v variant) spec(t testing.TB) Spec {
	spec := ordersSpec(t)
	spec.From = staging("stg_orders", orderFields(), v.changes)
	if v.keyed {
		spec.From = upstream.Model{Name: "int_orders", Schema: keyedOrders(), Key: []string{"row_id"}}
		spec.Milestones = nil // of the states between epochs, which depend on epochs
		spec.Columns = slices.DeleteFunc(spec.Columns, func(name string) bool { return strings.HasPrefix(name, "paid") })
	}
	if v.append {
		spec.OnUpdate = Append
		spec.Milestones = nil
		spec.Columns = slices.DeleteFunc(spec.Columns, func(name string) bool { return strings.HasPrefix(name, "paid") })
	}
	if v.soft {
		spec.OnDelete = DeleteSoft
	}
	if v.ignore {
		spec.OnDelete = DeleteIgnore
	}
	if v.foreign {
		spec.ForeignKeys = buyerKeys()
	}
	if v.alone {
		spec.Joins, spec.Derive, spec.Columns = nil, spec.Derive[:1], aloneColumns
	}
	if v.where {
		spec.Where = projectiontest.Parse(t, "amount > 2")
	}
	return spec
}

// aloneColumns are those of facts that join nothing.
var aloneColumns = []string{"user", "began", "ended", "amount", "status", "gross"}

func keyedOrders() *arrow.Schema {
	return recordtest.KeyedSchema(append([]arrow.Field{{Name: "row_id", Type: arrow.BinaryTypes.String}}, orderFields()...)...)
}

// left is a row of the facts' input.
type left struct {
	recordtest.Row
	op      string // of changes
	missing bool   // amount is not carried
}

// world is what happens, and what is known of it.
type world struct {
	v      variant
	r      *rand.Rand
	lefts  []left
	rights []recordtest.Row
	// What was delivered, in order of delivery.
	users    map[string][]any
	keyed    map[string][]any    // rows of the keyed input
	gone     map[[2]string][]any // those that were deleted, by key and grain
	several  bool                // rows of the keyed input have one grain
	late     []*left             // two changes of a key are of two epochs
	dims     map[string]*fakeDimension
	versions []dimensionChange
}

func maybe(r *rand.Rand, v any) any {
	if r.IntN(8) == 0 {
		return nil
	}
	return v
}

func (w *world) leftValues() []any {
	r := w.r
	began := r.Int64N(300)
	return []any{string(rune('a' + r.IntN(4))), r.Int64N(300), maybe(r, []string{"ann", "bob"}[r.IntN(2)]), maybe(r, began), maybe(r, began+r.Int64N(80)-5), maybe(r, r.Int64N(6)), []string{"new", "paid", "sent"}[r.IntN(3)]}
}

func newWorld(v variant, seed uint64) *world {
	w := &world{v: v, r: rand.New(rand.NewPCG(seed, 7)), users: map[string][]any{}, keyed: map[string][]any{}, gone: map[[2]string][]any{}, several: seed%2 == 0}
	for i := range w.r.IntN(14) {
		l := left{Row: recordtest.Row{Values: w.leftValues(), Topic: "orders", Offset: int64(i)}, op: "c"}
		if v.changes {
			l.op = []string{"c", "u", "u", "d", "r"}[w.r.IntN(5)]
			missing := []string{}
			if l.missing = l.op == "u" && w.r.IntN(2) == 0; l.missing {
				missing = []string{"amount", "other"}
				l.Values[5] = nil
			}
			if l.op == "d" && !v.append {
				l.Values[1], l.Values[5] = nil, nil
			}
			l.Changes = []any{l.op, maybe(w.r, w.r.Int64N(50)), maybe(w.r, fmt.Sprintf("%03d", w.r.IntN(30))), missing}
		}
		w.lefts = append(w.lefts, l)
	}
	for i := range w.r.IntN(30) {
		w.rights = append(w.rights, reading(int64(i), maybe(w.r, []string{"ann", "bob"}[w.r.IntN(2)]), maybe(w.r, w.r.Int64N(400)), maybe(w.r, w.r.Int64N(5))))
	}
	if v.alone {
		w.rights = nil
	}
	if w.dims = fakeDimensions(); v.foreign {
		w.versions = w.dimensionChanges()
	}
	return w
}

// limit is the time by which a row must come, lateness left aside.
func limit(at any) int64 {
	if at == nil {
		return 1 << 40
	}
	return at.(int64)
}

const worldLateness = 100

// epochs delivers everything in some order and in some epochs, at watermarks at
// which nothing is late.
func (w *world) run(t *testing.T) recordtest.Table {
	spec, s, tb := w.v.spec(t), keyvaluetest.New(), recordtest.Table{}
	o := openReferring(t, spec, s, asDimensions(w.dims))
	type item struct {
		limit   int64
		left    *left
		right   *recordtest.Row
		version *dimensionChange
	}
	var items []item
	for i := range w.lefts {
		items = append(items, item{limit: limit(w.lefts[i].Values[3]), left: &w.lefts[i]})
	}
	for i := range w.rights {
		items = append(items, item{limit: limit(w.rights[i].Values[1]), right: &w.rights[i]})
	}
	for i := range w.versions {
		items = append(items, item{limit: w.versions[i].limit, version: &w.versions[i]})
	}
	w.r.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	if w.r.IntN(2) == 0 { // nearly in order, so that things are forgotten on the way
		slices.SortStableFunc(items, func(a, b item) int { return cmp.Compare(a.limit/60, b.limit/60) })
	}
	watermark := int64(record.NoTime)
	for len(items) > 0 || w.r.IntN(3) > 0 {
		highest := int64(700)
		if w.v.keyed && w.several { // any of them may be shown again
			for _, values := range slices.AppendSeq(slices.Collect(maps.Values(w.keyed)), maps.Values(w.gone)) {
				highest = min(highest, limit(values[4])+worldLateness-1)
			}
		}
		for _, i := range items {
			highest = min(highest, i.limit+worldLateness-1)
		}
		if w.r.IntN(3) > 0 && highest > watermark {
			watermark = max(watermark, highest-w.r.Int64N(40))
		}
		n := w.r.IntN(len(items) + 1)
		epoch := items[:n]
		items = items[n:]
		before, dimsBefore := s.Clone(), cloneDimensions(w.dims)
		feed := func() {
			for _, d := range w.dims {
				d.moved = nil
			}
			for _, i := range epoch {
				if i.version != nil {
					w.dims[i.version.of].change(i.version.member, i.version.fakeVersion)
					continue
				}
				model, fields, row := "stg_readings", readingFields(), i.right
				if i.left != nil {
					model, fields, row = "stg_orders", orderFields(), &i.left.Row
				}
				if i.left != nil && w.v.keyed {
					continue
				}
				if rejects := take(t, o, model, fields, watermark, *row); len(rejects) > 0 {
					t.Fatalf("watermark %d: refused %+v", watermark, rejects)
				}
			}
		}
		if w.r.IntN(6) == 0 { // the epoch is given up, and done again
			feed()
			if w.r.IntN(2) == 0 {
				if log, _, err := o.End(t.Context(), watermark); err != nil {
					t.Fatal(err)
				} else {
					log.Release()
				}
			}
			*s = *before
			for name, d := range dimsBefore { // the operator has the dimensions
				*w.dims[name] = *d
			}
			o.Discard()
		}
		feed()
		if w.v.keyed {
			var rows []*left
			for _, i := range epoch {
				if i.left != nil {
					rows = append(rows, i.left)
				}
			}
			follow(t, o, "int_orders", keyedOrders(), watermark, w.keyedChanges(rows)...)
			for _, l := range w.late {
				items = append(items, item{limit: limit(l.Values[3]), left: l})
			}
			w.late = nil
		}
		for i := 0; i < 1+w.r.IntN(2) && !w.v.alone; i++ { // a model that begins is told of a table's rows, and then of changes
			follow(t, o, "dim_users", usersSchema(), watermark, w.userChanges()...)
		}
		end(t, o, tb, watermark)
		if w.r.IntN(3) == 0 {
			o = openReferring(t, spec, s, asDimensions(w.dims))
		}
	}
	w.wantForgotten(t, o, s, tb)
	return tb
}

// wantForgotten ends all time, and looks for what is kept.
func (w *world) wantForgotten(t *testing.T, o *Operator, s *keyvaluetest.Memory, tb recordtest.Table) {
	t.Helper()
	before := len(tb)
	for _, d := range w.dims {
		d.moved = nil
	}
	end(t, o, tb, 1<<41)
	if s.Len(string(rune(spaceTimers))) > 0 || len(tb) != before {
		t.Fatalf("%d timers are kept, %d rows were %d", s.Len(string(rune(spaceTimers))), len(tb), before)
	}
	if n := s.Len(string(rune(spaceMembers))) + s.Len(string(rune(spaceUntil))); n > 0 {
		t.Fatalf("%d keys about members are kept for ever", n)
	}
	for _, space := range []byte{spaceRights, spaceLefts} {
		if n := s.Len(string([]byte{space, 0})); n > 0 {
			t.Fatalf("%d keys of %q are kept for ever", n, space)
		}
	}
}

// keyedChanges makes changes of a keyed model of rows, one for a key. In one half
// of the worlds a grain has several rows.
func (w *world) keyedChanges(rows []*left) []recordtest.Change {
	var out []recordtest.Change
	seen := map[string]bool{}
	for _, l := range rows {
		grain := l.Values[0].(string)
		id := "only " + grain
		if w.several {
			id = string(rune('p' + w.r.IntN(5)))
		}
		if seen[id] {
			w.late = append(w.late, l)
			continue
		}
		seen[id] = true
		values := append(append([]any{id}, l.Values...), 1000+l.Offset, int64(5000))
		if w.several && w.r.IntN(6) == 0 {
			values[1] = nil // a row of no fact
		}
		before, have := w.keyed[id]
		if have && w.r.IntN(3) == 0 {
			out = append(out, recordtest.Change{Op: record.OpDelete, Values: before})
			delete(w.keyed, id)
			if grain, is := before[1].(string); is {
				w.gone[[2]string{id, grain}] = before
			}
			continue
		}
		op := record.OpCreate
		if have {
			op = record.OpUpdate
		}
		out = append(out, recordtest.Change{Op: op, Values: values})
		w.keyed[id] = values
		if values[1] != nil {
			delete(w.gone, [2]string{id, grain})
		}
		if w.v.ignore {
			maps.DeleteFunc(w.gone, func(key [2]string, _ []any) bool { return key[0] == id })
		}
	}
	return out
}

func (w *world) userChanges() []recordtest.Change {
	var out []recordtest.Change
	for _, id := range []string{"ann", "bob", "cec"} {
		if w.r.IntN(3) > 0 {
			continue
		}
		before, have := w.users[id]
		values := []any{id, maybe(w.r, []string{"Bern", "Ulm"}[w.r.IntN(2)]), maybe(w.r, []string{"new", "paid"}[w.r.IntN(2)]), 900 + w.r.Int64N(200), 4000 + w.r.Int64N(2000)}
		switch {
		case have && w.r.IntN(3) == 0:
			out = append(out, recordtest.Change{Op: record.OpDelete, Values: before})
			delete(w.users, id)
		case have:
			out = append(out, recordtest.Change{Op: record.OpUpdate, Values: values})
			w.users[id] = values
		default:
			out = append(out, recordtest.Change{Op: record.OpCreate, Values: values})
			w.users[id] = values
		}
	}
	return out
}

func TestAnyOrderAndAnyEpochsGiveTheRowsOfBruteForce(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			for seed := range uint64(150) {
				w := newWorld(v, seed)
				got := w.run(t).Texts()
				for _, row := range got {
					if keys := w.dangling(row); v.foreign && len(keys) > 0 {
						t.Fatalf("seed %d: no dimension has %q", seed, keys)
					}
				}
				want := w.want()
				if v.alone { // the newest record is none of a join
					columns := slices.Concat([]string{"id", "at", "buyer", "buyer_city", "starter", "starter_city", "rank", "town", "town_is"}, aloneColumns)
					got, want = cut(got, columns...), cut(want, columns...)
				}
				if !slices.Equal(got, want) {
					t.Fatalf("seed %d: got\n%s\nwant\n%s", seed, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
		})
	}
}
