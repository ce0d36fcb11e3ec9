package pipeline_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/record"
)

// A star is a dimension of members and a fact of orders, over two staging models
// of the same records. One of kind "c:<member>" is a change of the member, one of
// kind "o:<member>" an order of it. Both are at a time that follows from the id,
// in no order, so that most changes are late.
var (
	starDimensionID = catalog.Identifier{Namespace: "marts", Name: "dim_members"}
	starFactID      = catalog.Identifier{Namespace: "marts", Name: "fct_orders"}
	starModels      = []modelSpec{{name: "changes", topic: "events"}, {name: "orders", topic: "events"}}
)

func starTime(id int64) int64 { return id * 7919 % 1009 }

// starAttribute is what a change says of its member; many say the same again.
func starAttribute(id int64) int64 { return id % 2 }

func starDefinitions() []lakehouse.Definition {
	return []lakehouse.Definition{
		{ID: starDimensionID, Key: []string{"member_key"}, Schema: arrow.NewSchema([]arrow.Field{
			{Name: "member_key", Type: arrow.BinaryTypes.String},
			{Name: "member", Type: arrow.BinaryTypes.String},
			{Name: "attribute", Type: arrow.PrimitiveTypes.Int64},
			{Name: "valid_from", Type: arrow.PrimitiveTypes.Int64},
			{Name: "valid_to", Type: arrow.PrimitiveTypes.Int64},
			{Name: "is_inferred", Type: arrow.FixedWidthTypes.Boolean},
		}, nil)},
		{ID: starFactID, Key: []string{"id"}, Schema: arrow.NewSchema([]arrow.Field{
			{Name: "id", Type: arrow.PrimitiveTypes.Int64},
			{Name: "at", Type: arrow.PrimitiveTypes.Int64},
			{Name: "member_key", Type: arrow.BinaryTypes.String},
		}, nil)},
	}
}

// starState is what one of the two keeps, by member or id, as JSON.
type starState map[string]json.RawMessage

func (s *censusState) star(model string) starState {
	if s.stars[model] == nil {
		s.stars[model] = starState{}
	}
	return s.stars[model]
}

func (s starState) get(key string, into any) bool {
	data, ok := s[key]
	if ok {
		if err := json.Unmarshal(data, into); err != nil {
			panic(err)
		}
	}
	return ok
}

func (s starState) put(key string, value any) {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	s[key] = data
}

// starSecond is another fact of the orders, which takes in both staging models, and
// so takes longer.
var starSecond = catalog.Identifier{Namespace: "marts", Name: "fct_orders_again"}

func secondDefinition() lakehouse.Definition {
	d := starDefinitions()[1]
	d.ID = starSecond
	return d
}

// addSecond puts the second fact beside a star.
func addSecond(star []pipeline.KeyedModel, tables map[string]*lakehouse.Table, s *censusState) []pipeline.KeyedModel {
	f := &starFact{state: s.star(starSecond.Name), dimension: star[0].Operator.(*starDimension)}
	f.Discard()
	return append(star, pipeline.KeyedModel{
		Name: starSecond.Name, Inputs: []string{"changes", "orders"}, Keys: []string{starDimensionID.Name}, Table: tables[starSecond.String()], Definition: "fact 2", Operator: f,
	})
}

func buildStar(tables map[string]*lakehouse.Table, s *censusState) []pipeline.KeyedModel {
	d := &starDimension{state: s.star(starDimensionID.Name)}
	f := &starFact{state: s.star(starFactID.Name), dimension: d}
	d.Discard()
	f.Discard()
	return []pipeline.KeyedModel{
		{Name: starDimensionID.Name, Inputs: []string{"changes"}, Table: tables[starDimensionID.String()], Definition: "dimension 1", Operator: d},
		{Name: starFactID.Name, Inputs: []string{"orders"}, Keys: []string{starDimensionID.Name}, Table: tables[starFactID.String()], Definition: "fact 1", Operator: f},
	}
}

// starMember is what is known of a member: its changes by time, or that a fact
// refers to it.
type starMember struct {
	Changes  []int64 // ids
	Inferred bool
}

type starVersion struct {
	key       string
	attribute int64
	from, to  int64
	inferred  bool
}

// versions are a member's, from the beginning of time.
func (m starMember) versions(member string) []starVersion {
	if len(m.Changes) == 0 && m.Inferred {
		return []starVersion{{member + "@0", 0, 0, math.MaxInt64, true}}
	}
	var all []starVersion
	for _, id := range slices.SortedFunc(slices.Values(m.Changes), func(a, b int64) int { return cmp.Or(cmp.Compare(starTime(a), starTime(b)), cmp.Compare(a, b)) }) {
		at := starTime(id)
		switch n := len(all); {
		case n == 0:
			at = 0
		case all[n-1].attribute == starAttribute(id):
			continue
		default:
			all[n-1].to = at
		}
		all = append(all, starVersion{fmt.Sprintf("%s@%d", member, at), starAttribute(id), at, math.MaxInt64, false})
	}
	return all
}

// starDimension implements pipeline.Operator and pipeline.Inferrer.
type starDimension struct {
	state    starState
	touched  map[string]starMember
	moved    map[string]bool // members whose keys are other ones now, at some time
	inferred map[string]bool
	plugin   *censusPlugin // nil without one
}

func (d *starDimension) Discard() {
	d.touched, d.moved, d.inferred = map[string]starMember{}, map[string]bool{}, map[string]bool{}
}

// starRows visits the rows of a batch whose kind has a prefix.
func starRows(rows record.Batch, prefix string, visit func(id int64, member string)) {
	ids, kinds := rows.Rows.Column(0).(*array.Int64), rows.Rows.Column(1).(*array.String)
	for i := range ids.Len() {
		if member, ok := strings.CutPrefix(kinds.Value(i), prefix); ok && kinds.IsValid(i) {
			visit(ids.Value(i), strings.Clone(member))
		}
	}
}

func (d *starDimension) Take(_ context.Context, _ string, rows record.Batch, _ int64) ([]record.Reject, error) {
	starRows(rows, "c:", func(id int64, member string) {
		m, held := d.touched[member]
		if !held {
			d.state.get(member, &m)
		}
		m.Changes = append(slices.Clip(m.Changes), id)
		d.touched[member] = m
	})
	return nil, nil
}

func (d *starDimension) Follow(context.Context, string, record.Changelog, int64) error {
	return fmt.Errorf("BUG: %s reads no keyed model", starDimensionID)
}

func (d *starDimension) End(context.Context, int64) (record.Changelog, error) {
	out := newStarChanges(0)
	clear(d.moved)
	for _, member := range slices.Sorted(maps.Keys(d.touched)) {
		var before starMember
		d.state.get(member, &before)
		was := map[string]starVersion{}
		for _, v := range before.versions(member) {
			was[v.key] = v
		}
		for _, v := range d.touched[member].versions(member) {
			old, shown := was[v.key]
			delete(was, v.key)
			switch {
			case !shown:
				out.version(record.OpCreate, member, v)
			case old != v:
				out.version(record.OpUpdate, member, v)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(was)) {
			out.version(record.OpDelete, member, was[key])
		}
		d.state.put(member, d.touched[member])
		d.moved[member] = true
	}
	clear(d.touched)
	return out.make(), nil
}

// resolve is the key of a member at a time.
func (d *starDimension) resolve(member string, at int64) string {
	var m starMember
	if !d.state.get(member, &m) {
		d.inferred[member] = true
		return member + "@0"
	}
	for _, v := range m.versions(member) {
		if v.from <= at && at < v.to {
			return v.key
		}
	}
	panic(fmt.Sprintf("BUG: %s has no version at %d", member, at))
}

// EndInferred implements pipeline.Inferrer.
func (d *starDimension) EndInferred(context.Context, int64) (record.Changelog, error) {
	out := newStarChanges(0)
	for _, member := range slices.Sorted(maps.Keys(d.inferred)) {
		m := starMember{Inferred: true}
		d.state.put(member, m)
		out.version(record.OpCreate, member, m.versions(member)[0])
		if err := d.plugin.finish(member); err != nil {
			return record.Changelog{}, err
		}
	}
	clear(d.inferred)
	return out.make(), nil
}

// Swap implements pipeline.Swapper.
func (d *starDimension) Swap(next pipeline.KeyedPlugin) error {
	d.plugin = next.(*censusPlugin)
	return nil
}

// starOrder is an order as its row has it.
type starOrder struct {
	Member, Key string
	At          int64
}

// starFact implements pipeline.Operator.
type starFact struct {
	state     starState
	touched   map[string]starOrder // by id
	dimension *starDimension
}

func (f *starFact) Discard() { f.touched = map[string]starOrder{} }

func (f *starFact) Take(_ context.Context, _ string, rows record.Batch, _ int64) ([]record.Reject, error) {
	starRows(rows, "o:", func(id int64, member string) {
		f.touched[fmt.Sprint(id)] = starOrder{Member: member, At: starTime(id)}
	})
	return nil, nil
}

func (f *starFact) Follow(context.Context, string, record.Changelog, int64) error {
	return fmt.Errorf("BUG: %s is given rows of a dimension that it only has keys of", starFactID)
}

func (f *starFact) End(context.Context, int64) (record.Changelog, error) {
	for id := range f.state {
		var o starOrder
		f.state.get(id, &o)
		if _, held := f.touched[id]; !held && f.dimension.moved[o.Member] {
			f.touched[id] = o
		}
	}
	out := newStarChanges(1)
	for _, id := range slices.Sorted(maps.Keys(f.touched)) {
		o, op := f.touched[id], record.OpCreate
		var before starOrder
		if f.state.get(id, &before) {
			op = record.OpUpdate
		}
		if o.Key = f.dimension.resolve(o.Member, o.At); o == before {
			continue
		}
		f.state.put(id, o)
		out.order(op, id, o)
	}
	clear(f.touched)
	return out.make(), nil
}

// starChanges makes a changelog.
type starChanges struct {
	ops []record.Op
	*array.RecordBuilder
}

func newStarChanges(table int) *starChanges {
	return &starChanges{nil, array.NewRecordBuilder(memory.DefaultAllocator, starDefinitions()[table].Schema)}
}

func (c *starChanges) version(op record.Op, member string, v starVersion) {
	c.ops = append(c.ops, op)
	c.Field(0).(*array.StringBuilder).Append(v.key)
	c.Field(1).(*array.StringBuilder).Append(member)
	for i, n := range []int64{v.attribute, v.from, v.to} {
		c.Field(2 + i).(*array.Int64Builder).Append(n)
	}
	c.Field(5).(*array.BooleanBuilder).Append(v.inferred)
}

func (c *starChanges) order(op record.Op, id string, o starOrder) {
	c.ops = append(c.ops, op)
	var n int64
	_, _ = fmt.Sscan(id, &n) // a number that was printed
	c.Field(0).(*array.Int64Builder).Append(n)
	c.Field(1).(*array.Int64Builder).Append(o.At)
	c.Field(2).(*array.StringBuilder).Append(o.Key)
}

func (c *starChanges) make() record.Changelog {
	defer c.Release()
	if len(c.ops) == 0 {
		return record.Changelog{}
	}
	return record.Changelog{Ops: c.ops, Rows: c.NewRecordBatch()}
}

// checkKeys tells whether the key of every fact is in the dimension.
func (w *world) checkKeys() error {
	facts, err := w.rows(starFactID)
	if err != nil {
		return err
	}
	if w.second {
		more, err := w.rows(starSecond)
		if err != nil {
			return err
		}
		facts = append(facts, more...)
	}
	members, err := w.rows(starDimensionID)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, r := range members {
		if known[r.text("member_key")] {
			return fmt.Errorf("key %s is there twice", r.text("member_key"))
		}
		known[r.text("member_key")] = true
	}
	for _, r := range facts {
		if !known[r.text("member_key")] {
			return fmt.Errorf("order %d has key %s, which no member has", r.number("id"), r.text("member_key"))
		}
	}
	return nil
}

// checkStar compares the star with what the staged rows say with hindsight.
func (w *world) checkStar() error {
	if err := w.checkKeys(); err != nil {
		return err
	}
	members, orders := map[string]starMember{}, map[int64]starOrder{}
	for _, model := range []string{"changes", "orders"} {
		rows, err := w.rows(staging(model))
		if err != nil {
			return err
		}
		for _, r := range rows {
			id, kind := r.number("id"), r.text("kind")
			if member, ok := strings.CutPrefix(kind, "c:"); ok && model == "changes" {
				m := members[member]
				m.Changes = append(m.Changes, id)
				members[member] = m
			}
			if member, ok := strings.CutPrefix(kind, "o:"); ok && model == "orders" {
				orders[id] = starOrder{Member: member, At: starTime(id)}
			}
		}
	}
	for id, o := range orders {
		if len(members[o.Member].Changes) == 0 {
			members[o.Member] = starMember{Inferred: true}
		}
		for _, v := range members[o.Member].versions(o.Member) {
			if v.from <= o.At && o.At < v.to {
				o.Key = v.key
			}
		}
		orders[id] = o
	}
	var want []string
	for member, m := range members {
		for _, v := range m.versions(member) {
			want = append(want, fmt.Sprintf("%s %d [%d,%d) inferred %v", v.key, v.attribute, v.from, v.to, v.inferred))
		}
	}
	for id, o := range orders {
		want = append(want, fmt.Sprintf("order %d at %d of %s", id, o.At, o.Key))
	}
	return w.compareStar(want)
}

func (w *world) compareStar(want []string) error {
	var got []string
	members, err := w.rows(starDimensionID)
	if err != nil {
		return err
	}
	for _, r := range members {
		got = append(got, fmt.Sprintf("%s %d [%d,%d) inferred %v", r.text("member_key"), r.number("attribute"), r.number("valid_from"), r.number("valid_to"), r.values["is_inferred"]))
	}
	facts, err := w.rows(starFactID)
	if err != nil {
		return err
	}
	for _, r := range facts {
		got = append(got, fmt.Sprintf("order %d at %d of %s", r.number("id"), r.number("at"), r.text("member_key")))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return fmt.Errorf("the star is\n%s\nwant\n%s", indent(got), indent(want))
	}
	return nil
}

// beginAnew forgets what keyed models keep that are to be reset, until a record
// says that they have begun.
func (w *world) beginAnew(start *lakehouse.Start, s *censusState) {
	start.Keyed = slices.DeleteFunc(start.Keyed, func(k lakehouse.KeyedModel) bool { return slices.Contains(w.reset, k.Name) })
	for _, name := range w.reset {
		clear(s.star(name))
		delete(s.parts, pipeline.HeldPart(name))
	}
}
