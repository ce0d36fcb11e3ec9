package fact

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
	"github.com/calvelake/calve/runtime/record/recordtest"
	"github.com/calvelake/calve/runtime/upstream"
)

// starVariant is a dimension that orders refer to.
type starVariant struct {
	name    string
	first   dimension.FirstValidFrom
	deletes dimension.HardDeletes
	append  bool
}

var starVariants = []starVariant{
	{"from the beginning", dimension.FirstValidFromBeginning, dimension.HardDeletesNewRecord, false},
	{"from the beginning appended", dimension.FirstValidFromBeginning, dimension.HardDeletesInvalidate, true},
	{"effective", dimension.FirstValidFromEffective, dimension.HardDeletesInvalidate, false},
	{"effective appended", dimension.FirstValidFromEffective, dimension.HardDeletesIgnore, true},
}

// memberFields are those of the dimension's input.
func memberFields() []arrow.Field {
	return []arrow.Field{recordtest.Nullable("id", arrow.BinaryTypes.String), recordtest.Nullable("at", record.Timestamptz), recordtest.Nullable("city", arrow.BinaryTypes.String)}
}

func (v starVariant) dimension() dimension.Spec {
	from := staging("stg_buyers", memberFields(), true)
	return dimension.Spec{
		Model: "dim_buyers", From: upstream.Model{Name: from.Name, Schema: from.Schema}, NaturalKey: []string{"id"},
		SurrogateKey: "version", DurableKey: "always", EffectiveAt: "at", Attributes: []string{"city"}, DefaultType: dimension.Type2,
		Type1Scope: dimension.Type1All, HardDeletes: v.deletes, LateChanges: worldLateness * us, FirstValidFrom: v.first, ValidToCurrent: dimension.ValidToMaximum,
	}
}

// star is a dimension and the facts that refer to it, with their tables.
type star struct {
	variant   starVariant
	members   *dimension.Program
	facts     *Program
	states    [2]*keyvaluetest.Memory
	dimension *dimension.Operator
	orders    *Operator
	versions  recordtest.Table
	table     recordtest.Table
}

func newStar(t *testing.T, v starVariant) *star {
	t.Helper()
	s := &star{variant: v, states: [2]*keyvaluetest.Memory{keyvaluetest.New(), keyvaluetest.New()}, versions: recordtest.Table{}, table: recordtest.Table{}}
	var err error
	if s.members, err = dimension.Compile(v.dimension()); err != nil {
		t.Fatal(err)
	}
	spec := referringSpec(t)
	spec.ForeignKeys = spec.ForeignKeys[:2]
	for i := range spec.ForeignKeys {
		spec.ForeignKeys[i].Attributes = s.members.Attributes()
	}
	if v.append {
		spec.OnUpdate = Append
	}
	spec.Lateness, spec.Rekey = 0, worldLateness*us
	if s.facts, err = Compile(spec); err != nil {
		t.Fatal(err)
	}
	s.open(t)
	return s
}

// open goes on from the states.
func (s *star) open(t *testing.T) {
	t.Helper()
	var err error
	if s.dimension, err = s.members.Open(s.states[0]); err != nil {
		t.Fatal(err)
	}
	if s.orders, err = s.facts.Open(s.states[1], map[string]Dimension{"dim_buyers": s.dimension}); err != nil {
		t.Fatal(err)
	}
}

// starEpoch is what an epoch is given.
type starEpoch struct {
	watermark      int64
	buyers, orders []recordtest.Row
	again          bool // it is given up, and done again
	reopen         bool
}

// run runs an epoch.
func (s *star) run(t *testing.T, e starEpoch) {
	t.Helper()
	if e.again {
		before := [2]*keyvaluetest.Memory{s.states[0].Clone(), s.states[1].Clone()}
		for _, log := range s.end(t, e) {
			log.Release()
		}
		*s.states[0], *s.states[1] = *before[0], *before[1]
		s.dimension.Discard()
		s.orders.Discard()
	}
	logs := s.end(t, e)
	apply(t, s.versions, s.dimension.Key(), logs[0])
	apply(t, s.table, s.orders.Key(), logs[1])
	apply(t, s.versions, s.dimension.Key(), logs[2])
	for _, log := range logs {
		log.Release()
	}
	s.wantResolved(t)
	if e.reopen {
		s.open(t)
	}
}

// end is what an epoch changes: in the dimension, the facts, and the inferred
// members.
func (s *star) end(t *testing.T, e starEpoch) [3]record.Changelog {
	t.Helper()
	for rows := e.buyers; len(rows) > 0; rows = rows[1:] {
		b := recordtest.Batch(memberFields(), rows[:1], recordtest.RecordedAt)
		rejects, err := s.dimension.Take(t.Context(), "stg_buyers", b, e.watermark)
		b.Release()
		if err != nil || len(rejects) > 0 {
			t.Fatalf("watermark %d: buyer %v: %v, %+v", e.watermark, rows[0], err, rejects)
		}
	}
	if rejects := take(t, s.orders, "stg_orders", orderFields(), e.watermark, e.orders...); len(rejects) > 0 {
		t.Fatalf("orders are refused: %+v", rejects)
	}
	var logs [3]record.Changelog
	var bad []dimension.RowError
	var failed []RowError
	var err error
	if logs[0], bad, err = s.dimension.End(t.Context(), e.watermark); err != nil || len(bad) > 0 {
		t.Fatalf("end the dimension: %v, %+v", err, bad)
	}
	if logs[1], failed, err = s.orders.End(t.Context(), e.watermark); err != nil || len(failed) > 0 {
		t.Fatalf("end the facts: %v, %+v", err, failed)
	}
	if logs[2], err = s.dimension.EndInferred(t.Context(), e.watermark); err != nil {
		t.Fatal(err)
	}
	return logs
}

// wantResolved looks up the keys of all facts.
func (s *star) wantResolved(t *testing.T) {
	t.Helper()
	always := map[string]bool{}
	for _, row := range s.versions {
		always[part(row, "always")] = true
	}
	for _, row := range s.table {
		if key := part(row, "buyer"); s.versions[key+"|"] == "" {
			t.Fatalf("no version has the key of %s", row)
		}
		if key := part(row, "starter"); !always[key] {
			t.Fatalf("no member has the durable key of %s", row)
		}
	}
}

// part is a column of a row as text.
func part(row, name string) string {
	for p := range strings.FieldsSeq(row) {
		if have, value, _ := strings.Cut(p, "="); have == name {
			return value
		}
	}
	return ""
}

// starWorld is changes of buyers and orders.
func starWorld(r *rand.Rand) (buyers []recordtest.Row, limits []int64, orders []recordtest.Row) {
	first := map[string]int{}
	for i := range r.IntN(16) {
		id, at := []string{"ann", "bob"}[r.IntN(2)], r.Int64N(300)
		buyers = append(buyers, recordtest.Row{Values: []any{id, at, maybe(r, []string{"Bern", "Ulm"}[r.IntN(2)])}, Changes: []any{"u", at, nil, []string{}}, Topic: "buyers", Offset: int64(i)})
		limits = append(limits, at)
		if before, is := first[id]; !is || at < limits[before] {
			first[id] = i
		}
	}
	for i := range buyers {
		if first[buyers[i].Values[0].(string)] != i && r.IntN(4) == 0 {
			buyers[i].Changes[0] = "d"
		}
	}
	for _, i := range slices.Sorted(maps.Values(first)) {
		buyers[i].Changes[0], limits[i] = "c", 0 // it reaches back to all facts
	}
	for i := range r.IntN(14) {
		orders = append(orders, order(int64(i), string(rune('a'+r.IntN(6))), r.Int64N(300), maybe(r, []string{"ann", "bob", "cec"}[r.IntN(3)]), maybe(r, r.Int64N(300)), nil, r.Int64N(5), "new"))
	}
	return buyers, limits, orders
}

// starEpochs is any order and any epochs in which no change comes later than
// lateness.
func starEpochs(r *rand.Rand, buyers []recordtest.Row, limits []int64, orders []recordtest.Row) []starEpoch {
	type item struct {
		limit int64
		buyer bool
		row   recordtest.Row
	}
	var items []item
	for i, b := range buyers {
		items = append(items, item{limits[i], true, b})
	}
	for _, o := range orders {
		items = append(items, item{1 << 40, false, o})
	}
	r.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	if r.IntN(2) == 0 {
		slices.SortStableFunc(items, func(a, b item) int { return int(a.limit/60 - b.limit/60) })
	}
	var out []starEpoch
	watermark := record.NoTime
	for len(items) > 0 || r.IntN(3) > 0 {
		highest := int64(700)
		for _, i := range items {
			highest = min(highest, i.limit+worldLateness-1)
		}
		if r.IntN(3) > 0 {
			watermark = max(watermark, highest-r.Int64N(40))
		}
		e := starEpoch{watermark: watermark, again: r.IntN(6) == 0, reopen: r.IntN(3) == 0}
		n := r.IntN(len(items) + 1)
		for _, i := range items[:n] {
			if i.buyer {
				e.buyers = append(e.buyers, i.row)
			} else {
				e.orders = append(e.orders, i.row)
			}
		}
		items = items[n:]
		out = append(out, e)
	}
	return out
}

// TestFactsReferToMembersAsWithHindsight compares facts and versions that came in
// any order with those of orders that come when all members are known.
func TestFactsReferToMembersAsWithHindsight(t *testing.T) {
	for _, v := range starVariants {
		t.Run(v.name, func(t *testing.T) {
			for seed := range uint64(150) {
				r := rand.New(rand.NewPCG(seed, 11))
				buyers, limits, orders := starWorld(r)
				hindsight := newStar(t, v)
				hindsight.run(t, starEpoch{watermark: record.NoTime, buyers: buyers})
				hindsight.run(t, starEpoch{watermark: record.NoTime, orders: orders})
				s := newStar(t, v)
				for _, e := range starEpochs(r, buyers, limits, orders) {
					s.run(t, e)
				}
				if got, want := s.table.Texts(), hindsight.table.Texts(); !slices.Equal(got, want) {
					t.Fatalf("seed %d: facts are\n%s\nwant\n%s", seed, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
		})
	}
}
