package fact

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/projection/projectiontest"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
	"github.com/calvelake/calve/runtime/record/recordtest"
)

// referringSpec is orders that join nothing, and refer to dimensions.
func referringSpec(t testing.TB) Spec {
	spec := ordersSpec(t)
	spec.Joins, spec.Milestones, spec.Derive = nil, nil, spec.Derive[:1]
	spec.ForeignKeys, spec.Columns = buyerKeys(), []string{"amount"}
	return spec
}

// keysOnly keeps the foreign keys of rows as text, without their members.
func keysOnly(rows []string) []string {
	names := strings.NewReplacer("0103616e6e", "ann", "0103626f62", "bob", "default_null_key", "-", "(null)", "-")
	var out []string
	for _, r := range cut(rows, "id", "buyer", "buyer_city", "starter", "starter_city", "rank") {
		out = append(out, names.Replace(r))
	}
	return out
}

func TestForeignKeysAreOfTheVersionsAtTheirTime(t *testing.T) {
	fakes := fakeDimensions()
	buyers := fakes["dim_buyers"]
	buyers.change(textMember("ann"), fakeVersion{from: 5, city: "Bern"})
	buyers.change(textMember("ann"), fakeVersion{from: 50, city: "Ulm"})
	buyers.change(textMember("ann"), fakeVersion{from: 90, gone: true})
	fakes["dim_ranks"].change(wholeMember(6), fakeVersion{from: 20})
	o, tb := openReferring(t, referringSpec(t), keyvaluetest.New(), asDimensions(fakes)), recordtest.Table{}
	take(t, o, "stg_orders", orderFields(), record.NoTime,
		order(1, "a", 10, "ann", int64(60), nil, int64(3), "new"), order(2, "b", 50, "ann", nil, nil, int64(3), "new"),
		order(3, "c", 90, "ann", int64(49), nil, int64(math.MaxInt32), "new"), order(4, "d", 60, nil, int64(10), nil, nil, "new"), order(5, "e", 60, "bob", int64(10), nil, int64(1), "new"))
	end(t, o, tb, record.NoTime)
	wantRows(t, "table", keysOnly(tb.Texts()),
		"id=a buyer=ann@first buyer_city=Bern starter=ann starter_city=Ulm rank=0106000000@first",
		"id=b buyer=ann@50 buyer_city=Ulm starter=- starter_city=- rank=0106000000@20",
		"id=c buyer=- buyer_city=- starter=ann starter_city=Bern rank=-",
		"id=d buyer=- buyer_city=- starter=- starter_city=- rank=-",
		"id=e buyer=bob@first buyer_city=- starter=bob starter_city=- rank=0102000000@first")
	if !buyers.inferred[string(textMember("bob"))] || buyers.inferred[string(textMember("ann"))] {
		t.Errorf("inferred %v, want bob", buyers.inferred)
	}
}

func TestALateChangeRekeysTheFactsThatItAffectsWithinLateness(t *testing.T) {
	fakes := fakeDimensions()
	buyers := fakes["dim_buyers"]
	o, tb := openReferring(t, referringSpec(t), keyvaluetest.New(), asDimensions(fakes)), recordtest.Table{}
	take(t, o, "stg_orders", orderFields(), record.NoTime, order(1, "a", 10, "ann", nil, nil, nil, "new"), order(2, "b", 60, "ann", nil, nil, nil, "new"), order(3, "c", 70, "bob", nil, nil, nil, "new"))
	end(t, o, tb, record.NoTime)
	for _, step := range []struct {
		what      string
		watermark int64
		change    fakeVersion
		want      []string
	}{
		{"the inferred member comes", 20, fakeVersion{from: 5, city: "Bern"}, []string{
			"u id=a buyer=ann@first buyer_city=Bern starter=- starter_city=- rank=-", "u id=b buyer=ann@first buyer_city=Bern starter=- starter_city=- rank=-"}},
		{"a version between them", 20, fakeVersion{from: 50, city: "Bern"}, []string{"u id=b buyer=ann@50 buyer_city=Bern starter=- starter_city=- rank=-"}},
		{"a change of nothing", 30, fakeVersion{from: 50, city: "Bern"}, nil},
		{"too late for one", 110, fakeVersion{from: 8, city: "Ulm"}, nil},
		{"not too late for the other", 159, fakeVersion{from: 55, city: "Kiel"}, []string{"u id=b buyer=ann@55 buyer_city=Kiel starter=- starter_city=- rank=-"}},
		{"too late for both", 160, fakeVersion{from: 56, city: "Bonn"}, nil},
	} {
		buyers.moved = nil
		buyers.change(textMember("ann"), step.change)
		wantRows(t, step.what, keysOnly(end(t, o, tb, step.watermark)), step.want...)
	}
	// What is made anew for another reason is made of all that is known.
	buyers.moved = nil
	take(t, o, "stg_orders", orderFields(), 160, order(4, "a", 11, "ann", nil, nil, nil, "new"))
	wantRows(t, "another row", keysOnly(end(t, o, tb, 160)), "u id=a buyer=ann@8 buyer_city=Ulm starter=- starter_city=- rank=-")
}

func TestKeysFollowTheirDimensionLongerThanRowsAreJoined(t *testing.T) {
	for _, how := range []OnUpdate{Upsert, Append} {
		fakes, s := fakeDimensions(), keyvaluetest.New()
		spec := referringSpec(t)
		spec.ForeignKeys, spec.Rekey, spec.OnUpdate = spec.ForeignKeys[:1], 500*us, how
		o, tb := openReferring(t, spec, s, asDimensions(fakes)), recordtest.Table{}
		take(t, o, "stg_orders", orderFields(), record.NoTime, order(1, "a", 60, "ann", nil, nil, nil, "new"))
		end(t, o, tb, record.NoTime)
		for _, step := range []struct {
			watermark int64
			change    fakeVersion
			want      []string
		}{
			{160, fakeVersion{from: 20, city: "Bern"}, []string{"u id=a buyer=ann@first buyer_city=Bern"}},
			{559, fakeVersion{from: 55, city: "Kiel"}, []string{"u id=a buyer=ann@55 buyer_city=Kiel"}},
			{560, fakeVersion{from: 56, city: "Bonn"}, nil},
		} {
			fakes["dim_buyers"].moved = nil
			fakes["dim_buyers"].change(textMember("ann"), step.change)
			wantRows(t, fmt.Sprintf("%s at %d", how, step.watermark), keysOnly(end(t, o, tb, step.watermark)), step.want...)
		}
		if n := s.Len(string(rune(spaceMembers))) + s.Len(string(rune(spaceUntil))); n > 0 {
			t.Errorf("%s: %d keys about members are kept for ever", how, n)
		}
	}
}

func TestOnlyFactsThatCopyAreReadForAttributes(t *testing.T) {
	for name, test := range map[string]struct {
		copies   []Copy
		resolved int
		want     []string
	}{
		"a key alone":     {},
		"a key with city": {[]Copy{{"buyer_city", "city"}}, 1, []string{"u id=a buyer=ann@first buyer_city=Bern"}},
	} {
		fakes := fakeDimensions()
		spec := referringSpec(t)
		spec.ForeignKeys = spec.ForeignKeys[:1]
		spec.ForeignKeys[0].Copy = test.copies
		o, tb := openReferring(t, spec, keyvaluetest.New(), asDimensions(fakes)), recordtest.Table{}
		take(t, o, "stg_orders", orderFields(), record.NoTime, order(1, "a", 60, "ann", nil, nil, nil, "new"))
		end(t, o, tb, record.NoTime)
		buyers := fakes["dim_buyers"]
		buyers.resolved = 0
		buyers.change(textMember("ann"), fakeVersion{from: 50, city: "Bern"})
		wantRows(t, name, keysOnly(end(t, o, tb, record.NoTime)), test.want...)
		if buyers.resolved != test.resolved {
			t.Errorf("%s: %d members were looked up, want %d", name, buyers.resolved, test.resolved)
		}
	}
}

func TestAFactFollowsAMemberAsOfAnOlderTimeUntilItIsLateItself(t *testing.T) {
	for _, v := range []struct {
		name   string
		append bool
	}{{"upsert", false}, {"append", true}} {
		t.Run(v.name, func(t *testing.T) {
			fakes, s := fakeDimensions(), keyvaluetest.New()
			spec := referringSpec(t)
			spec.ForeignKeys = spec.ForeignKeys[1:2]
			if v.append {
				spec.OnUpdate = Append
			}
			o, tb := openReferring(t, spec, s, asDimensions(fakes)), recordtest.Table{}
			take(t, o, "stg_orders", orderFields(), record.NoTime, order(1, "a", 1000, "ann", int64(10), nil, nil, "new"), order(2, "b", 20, "ann", int64(10), nil, nil, "new"))
			end(t, o, tb, record.NoTime)
			end(t, o, tb, 1010) // the older is over
			fakes["dim_buyers"].change(textMember("ann"), fakeVersion{from: 5, city: "Bern"})
			wantRows(t, "filled in", keysOnly(end(t, o, tb, 1020)), "u id=a starter=ann starter_city=Bern")

			fakes["dim_buyers"].moved = nil
			end(t, o, tb, 2000)
			if n := s.Len(string(rune(spaceMembers))) + s.Len(string(rune(spaceUntil))); n > 0 {
				t.Errorf("%d keys about members are kept for ever", n)
			}
			if n := s.Len(string(rune(spaceFacts))); (n == 0) != v.append || !v.append && n != 2 {
				t.Errorf("%d facts are kept", n)
			}
		})
	}
}

func TestUpdatesAndDeletionsMoveWhereMembersLookForFacts(t *testing.T) {
	s := keyvaluetest.New()
	spec := referringSpec(t)
	spec.From = staging("stg_orders", orderFields(), true)
	spec.ForeignKeys = spec.ForeignKeys[:1]
	fakes := fakeDimensions()
	o, tb := openReferring(t, spec, s, asDimensions(fakes)), recordtest.Table{}
	entries := func() int { return s.Len(string(rune(spaceMembers))) }
	row := func(offset int64, op string, at any, user any) recordtest.Row {
		r := order(offset, "a", 0, user, nil, nil, nil, "new")
		r.Values[1], r.Changes = at, []any{op, offset, nil, []string{}}
		return r
	}
	for i, step := range []struct {
		row  recordtest.Row
		want int
	}{{row(1, "c", int64(10), "ann"), 1}, {row(2, "u", int64(10), "bob"), 1}, {row(3, "u", int64(20), "bob"), 1}, {row(4, "u", int64(20), nil), 0}, {row(5, "u", int64(20), "ann"), 1}, {row(6, "d", nil, nil), 0}} {
		take(t, o, "stg_orders", orderFields(), record.NoTime, step.row)
		end(t, o, tb, record.NoTime)
		if n := entries(); n != step.want {
			t.Errorf("after row %d: members find %d facts, want %d", i+1, n, step.want)
		}
	}
	fakes["dim_buyers"].change(textMember("ann"), fakeVersion{from: 5, city: "Bern"})
	wantRows(t, "a deleted fact", end(t, o, tb, record.NoTime))
}

func TestFactsWithoutARowInferNoMember(t *testing.T) {
	spec := referringSpec(t)
	spec.Where = projectiontest.Parse(t, "amount > 2")
	fakes := fakeDimensions()
	o, tb := openReferring(t, spec, keyvaluetest.New(), asDimensions(fakes)), recordtest.Table{}
	take(t, o, "stg_orders", orderFields(), record.NoTime, order(1, "a", 10, "ann", int64(10), nil, int64(2), "new"))
	wantRows(t, "no row", end(t, o, tb, record.NoTime))
	for name, d := range fakes {
		if d.resolved > 0 {
			t.Errorf("%s was asked for %d members of no row", name, d.resolved)
		}
	}
}

// brokenDimension answers wrongly.
type brokenDimension struct {
	found []dimension.Found
	err   error
}

func (d brokenDimension) Resolve([]dimension.Lookup) ([]dimension.Found, error) {
	return d.found, d.err
}
func (d brokenDimension) Moved() []dimension.Moved { return nil }

func TestAnAnswerThatIsNoneStopsTheEpoch(t *testing.T) {
	broken := errors.New("disk is gone")
	for want, d := range map[string]brokenDimension{
		"disk is gone":           {err: broken},
		"finds 0 members of 1":   {},
		"a member without a key": {found: []dimension.Found{{}}},
		"keyed state is corrupt": {found: []dimension.Found{{Key: "k", Row: []byte{7}}}},
	} {
		spec := referringSpec(t)
		spec.ForeignKeys = spec.ForeignKeys[:1]
		o := openReferring(t, spec, keyvaluetest.New(), map[string]Dimension{"dim_buyers": d})
		take(t, o, "stg_orders", orderFields(), record.NoTime, order(1, "a", 10, "ann", nil, nil, nil, "new"))
		_, _, err := o.End(t.Context(), record.NoTime)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "foreign_keys[0]") || d.err != nil && !errors.Is(err, d.err) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := New(referringSpec(t), keyvaluetest.New(), nil); err == nil || !strings.Contains(err.Error(), "there is no dimension dim_buyers") {
		t.Errorf("without dimensions: got %v", err)
	}
}

func TestWhatMembersFindFactsByIsChecked(t *testing.T) {
	fakes, s := fakeDimensions(), keyvaluetest.New()
	o := openReferring(t, referringSpec(t), s, asDimensions(fakes))
	bad := referringKey(memberOf(0, textMember("ann")), 10, []byte("a"))
	if err := s.Write([]keyvalue.Change{{Key: bad, Value: []byte{1}}}); err != nil {
		t.Fatal(err)
	}
	fakes["dim_buyers"].change(textMember("ann"), fakeVersion{from: 5, city: "Bern"})
	if _, _, err := o.End(t.Context(), record.NoTime); !errors.Is(err, keyvalue.ErrCorrupt) {
		t.Errorf("got %v, want ErrCorrupt", err)
	}
}

// someDays is the days of 1970 but for the first.
type someDays struct{}

func (someDays) Resolve(day int32) int32 {
	if at := arrow.Date32(day).ToTime(); at.Year() == 1970 && day > 0 {
		return int32(at.Year()*10_000 + int(at.Month())*100 + at.Day())
	}
	return 0
}

func TestDaysAreThoseOfTheZone(t *testing.T) {
	zone := time.FixedZone("east", 2*60*60)
	day := func(days, hour int64) int64 { return (days*24 + hour) * int64(time.Hour/time.Microsecond) }
	for _, test := range []struct {
		name   string
		column func(mem memory.Allocator) arrow.Array
		want   []int32
	}{
		{"timestamptz", func(mem memory.Allocator) arrow.Array {
			return timesOf(mem, record.Timestamptz, day(0, 21), day(0, 22), day(1, 21), day(1, 22), day(-1, 23), day(364, 21), day(364, 22))
		}, []int32{0, 19700102, 19700102, 19700103, 0, 19701231, 0, 0}},
		{"timestamp", func(mem memory.Allocator) arrow.Array {
			return timesOf(mem, &arrow.TimestampType{Unit: arrow.Microsecond}, day(0, 23), day(1, 0), day(1, 23))
		}, []int32{0, 19700102, 19700102, 0}},
		{"date", func(mem memory.Allocator) arrow.Array {
			b := array.NewDate32Builder(mem)
			defer b.Release()
			b.AppendValues([]arrow.Date32{0, 1, 365}, nil)
			b.AppendNull()
			return b.NewArray()
		}, []int32{0, 19700102, 0, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			column := test.column(memory.DefaultAllocator)
			defer column.Release()
			f := &foreign{spec: ForeignKey{On: []string{"at"}, Calendar: &Calendar{someDays{}, zone}}}
			b := &rowBuilder{Operator: &Operator{Program: &Program{mem: memory.DefaultAllocator}}, list: make([]candidate, column.Len()), seen: projection.Rows{Fields: []arrow.Field{{Name: "at"}}, Columns: []arrow.Array{column}}}
			keys := b.days(f).(*array.Int32)
			defer b.release()
			if got := keys.Int32Values(); !slices.Equal(got, test.want) {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func timesOf(mem memory.Allocator, of *arrow.TimestampType, times ...int64) arrow.Array {
	b := array.NewTimestampBuilder(mem, of)
	defer b.Release()
	for _, at := range times {
		b.Append(arrow.Timestamp(at))
	}
	b.AppendNull()
	return b.NewArray()
}

func TestDaysThatATableHadAreThoseOfItsDeletes(t *testing.T) {
	spec := referringSpec(t)
	spec.From = staging("stg_orders", orderFields(), true)
	spec.ForeignKeys = []ForeignKey{{Name: "day", To: "dim_days", On: []string{"at"}, Calendar: &Calendar{someDays{}, time.UTC}}}
	s := keyvaluetest.New()
	o, tb := open(t, spec, s), recordtest.Table{}
	at := 3 * 24 * int64(time.Hour/time.Microsecond)
	created := order(1, "a", at, nil, nil, nil, nil, nil)
	created.Changes = []any{"c", int64(1), nil, []string{}}
	take(t, o, "stg_orders", orderFields(), record.NoTime, created)
	wantRows(t, "created", cut(end(t, o, tb, record.NoTime), "id", "day"), "c id=a day=19700104")

	spec.ForeignKeys[0].Calendar = &Calendar{noDays{}, time.UTC}
	deleted := order(2, "a", at, nil, nil, nil, nil, nil)
	deleted.Changes = []any{"d", int64(2), nil, []string{}}
	o = open(t, spec, s)
	take(t, o, "stg_orders", orderFields(), record.NoTime, deleted)
	wantRows(t, "deleted", cut(end(t, o, tb, record.NoTime), "id", "day"), "d id=a day=19700104")
}

// noDays is a calendar without days.
type noDays struct{}

func (noDays) Resolve(int32) int32 { return 0 }

func TestForeignKeysThatCannotBeAreRefused(t *testing.T) {
	days := &Calendar{someDays{}, time.UTC}
	for want, change := range map[string]func(*Spec){
		"foreign_keys[0].on: 2 columns, but the natural key of dim_buyers has 1": func(s *Spec) { s.ForeignKeys[0].On = []string{"user", "id"} },
		"foreign_keys[0].on: the fact has no column nobody":                      func(s *Spec) { s.ForeignKeys[0].On = []string{"nobody"} },
		"foreign_keys[0].on: the fact has no column buyer_city":                  func(s *Spec) { s.ForeignKeys[0].On = []string{"buyer_city"} },
		"foreign_keys[0].on: column amount is long":                              func(s *Spec) { s.ForeignKeys[0].On = []string{"amount"} },
		"foreign_keys[1].at: column user is string":                              func(s *Spec) { s.ForeignKeys[1].At = "user" },
		"foreign_keys[0].copy.buyer_city: dim_buyers has no attribute street":    func(s *Spec) { s.ForeignKeys[0].Copy[0].From = "street" },
		"dim_buyers has no attribute city that can be copied":                    func(s *Spec) { s.ForeignKeys[0].Attributes = nil },
		"column buyer twice":      func(s *Spec) { s.ForeignKeys[1].Name = "buyer" },
		"column amount twice":     func(s *Spec) { s.ForeignKeys[0].Copy[0].Name, s.ForeignKeys = "amount", s.ForeignKeys[:1] },
		"column order_key twice":  func(s *Spec) { s.ForeignKeys[2].Name = "order_key" },
		"column is_deleted twice": func(s *Spec) { s.OnDelete, s.ForeignKeys[2].Name = DeleteSoft, "is_deleted" },
		"foreign_keys[2].on: a key of dim_ranks takes one column": func(s *Spec) { s.ForeignKeys[2].Calendar, s.ForeignKeys[2].On = days, nil },
		"foreign_keys[2].on: column gross is long":                func(s *Spec) { s.ForeignKeys[2].Calendar = days },
		"the days of dim_buyers have no versions":                 func(s *Spec) { s.ForeignKeys[1].Calendar = days },
		"a calendar has days and a zone":                          func(s *Spec) { s.ForeignKeys[2].Calendar = &Calendar{} },
		"foreign_keys: 257, a fact has 256 at most":               func(s *Spec) { s.ForeignKeys = make([]ForeignKey, 257) },
	} {
		spec := referringSpec(t)
		change(&spec)
		if _, err := Compile(spec); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "fact orders: ") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestForeignKeysComeBehindGrainAndTime(t *testing.T) {
	spec := referringSpec(t)
	spec.ForeignKeys = append(spec.ForeignKeys, ForeignKey{Name: "day", To: "dim_days", On: []string{"began"}, Calendar: &Calendar{someDays{}, time.UTC}})
	spec.Columns = []string{"amount", "buyer", "gross"}
	p, err := Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range p.Schema().Fields()[:13] {
		name := f.Name + " " + record.FormatType(f.Type)
		if f.Nullable {
			name += "?"
		}
		names = append(names, name)
	}
	wantRows(t, "columns", names, "order_key string", "id string", "at timestamptz", "buyer string", "buyer_city string?", "starter string", "starter_city string?",
		"rank string", "town string", "town_is string?", "day int", "amount long?", "gross long?")
}

func TestStateOfOtherForeignKeysHasAnotherVersion(t *testing.T) {
	versions := map[int]string{}
	for name, change := range map[string]func(*Spec){
		"as it is": func(*Spec) {},
		"none":     func(s *Spec) { s.ForeignKeys = nil },
		"order":    func(s *Spec) { slices.Reverse(s.ForeignKeys[:3]) },
		"name":     func(s *Spec) { s.ForeignKeys[0].Name = "client" },
		"to":       func(s *Spec) { s.ForeignKeys[2].To = "dim_other" },
		"on":       func(s *Spec) { s.ForeignKeys[0].On = []string{"status"} },
		"at":       func(s *Spec) { s.ForeignKeys[0].At = "ended" },
		"durable":  func(s *Spec) { s.ForeignKeys[0].Durable = true },
		"copy":     func(s *Spec) { s.ForeignKeys[0].Copy[0].From = "name" },
		"key":      func(s *Spec) { s.ForeignKeys[2].Keys = []arrow.DataType{arrow.PrimitiveTypes.Int64} },
		"days": func(s *Spec) {
			s.ForeignKeys[2].On, s.ForeignKeys[2].Calendar = []string{"at"}, &Calendar{someDays{}, time.UTC}
		},
		"zone": func(s *Spec) {
			s.ForeignKeys[2].On, s.ForeignKeys[2].Calendar = []string{"at"}, &Calendar{someDays{}, time.FixedZone("east", 1)}
		},
	} {
		spec := referringSpec(t)
		change(&spec)
		p, err := Compile(spec)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if other, is := versions[p.StateVersion()]; is {
			t.Errorf("%s and %s have one version", name, other)
		}
		versions[p.StateVersion()] = name
	}
}
