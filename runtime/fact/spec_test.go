package fact

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/projection/projectiontest"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
	"github.com/calvelake/calve/runtime/record/recordtest"
	"github.com/calvelake/calve/runtime/upstream"
)

func TestCompileRefusesWhatHasNoMeaning(t *testing.T) {
	for want, change := range map[string]func(*Spec){
		"has no column nobody":              func(s *Spec) { s.Grain = []string{"nobody"} },
		"grain: a fact needs one":           func(s *Spec) { s.Grain = nil },
		"column id twice":                   func(s *Spec) { s.Grain = []string{"id", "id"} },
		"event_time: column user is string": func(s *Spec) { s.EventTime = "user" },
		"an allowed lateness of -1s":        func(s *Spec) { s.Lateness = -1_000_000_000 },
		"follow their dimensions for -1s":   func(s *Spec) { s.Rekey = -1_000_000_000 },
		`on_update is ""`:                   func(s *Spec) { s.OnUpdate = "" },
		`on_delete is "never"`:              func(s *Spec) { s.OnDelete = "never" },
		"a surrogate_key tells them apart":  func(s *Spec) { s.OnUpdate, s.SurrogateKey, s.Milestones = Append, "", nil },
		"let on_update be upsert":           func(s *Spec) { s.OnUpdate = Append },
		"let it be soft or ignore":          func(s *Spec) { s.OnUpdate, s.From = Append, staging("stg_orders", orderFields(), true) },
		"there is nothing to append": func(s *Spec) {
			s.OnUpdate, s.From = Append, upstream.Model{Name: "int_orders", Schema: keyedOrders(), Key: []string{"row_id"}}
		},
		"within which time they match":          func(s *Spec) { s.Joins[0].Within = nil },
		"make a fact or dimension of them":      func(s *Spec) { s.Joins[0].To = staging("stg_readings", readingFields(), true) },
		"within.from: column user is string":    func(s *Spec) { s.Joins[0].Within.From = "user" },
		"both must be of one type":              func(s *Spec) { s.Joins[0].On = []Pair{{"amount", "who"}} },
		"left_join[1]: a join needs aggregates": func(s *Spec) { s.Joins[1].Copy = nil },
		"left_join[1].copy.user_city":           func(s *Spec) { s.Joins[1].Copy[0].From = "street" },
		"column amount twice":                   func(s *Spec) { s.Derive[1].Name = "amount" },
		"columns: column user twice":            func(s *Spec) { s.Columns = []string{"user", "user"} },
		"columns: there is no column nobody":    func(s *Spec) { s.Columns = []string{"nobody"} },
		"from: stg_orders has no column":        func(s *Spec) { s.From.Schema = arrow.NewSchema(orderFields(), nil) },
	} {
		spec := ordersSpec(t)
		change(&spec)
		if _, err := Compile(spec); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "fact orders: ") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestWrongExpressionsAreToldWithTheirPath(t *testing.T) {
	for path, change := range map[string]func(*Spec){
		"where":                        func(s *Spec) { s.Where = projectiontest.Parse(t, "amount + 1") },
		"milestones.paid":              func(s *Spec) { s.Milestones[1] = projectiontest.Column(t, "paid", "readings") },
		"derive.gross":                 func(s *Spec) { s.Derive[0] = projectiontest.Column(t, "gross", "amount || 1.5") },
		"left_join[0].aggregates.mean": func(s *Spec) { s.Joins[0].Aggregates[1] = projectiontest.Column(t, "mean", "avg(who)") },
	} {
		spec := ordersSpec(t)
		change(&spec)
		_, err := Compile(spec)
		var wrong *projection.ExpressionError
		if !errors.As(err, &wrong) || wrong.Path != path || wrong.Text == "" || wrong.Err == nil {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

func TestStateOfAnotherDefinitionHasAnotherVersion(t *testing.T) {
	versions := map[int]string{}
	for name, change := range map[string]func(*Spec){
		"as it is":   func(*Spec) {},
		"grain":      func(s *Spec) { s.Grain = []string{"id", "status"} },
		"lateness":   func(s *Spec) { s.Lateness += us },
		"delete":     func(s *Spec) { s.OnDelete = DeleteSoft },
		"milestone":  func(s *Spec) { s.Milestones[0] = projectiontest.Column(t, "paid_at", "at") },
		"join":       func(s *Spec) { s.Joins[0].Within.To = "at" },
		"aggregate":  func(s *Spec) { s.Joins[0].Aggregates = s.Joins[0].Aggregates[1:] },
		"event time": func(s *Spec) { s.EventTime = "began" },
	} {
		spec := ordersSpec(t)
		change(&spec)
		spec.Derive, spec.Columns = nil, []string{"amount"}
		p, err := Compile(spec)
		if err != nil {
			t.Fatal(err)
		}
		if other, is := versions[p.StateVersion()]; is {
			t.Errorf("%s and %s have one version", name, other)
		}
		versions[p.StateVersion()] = name
	}
}

func TestSchemaHasKeyGrainTimeColumnsAndNewestRecord(t *testing.T) {
	spec := ordersSpec(t)
	spec.OnDelete, spec.Columns = DeleteSoft, []string{"readings", "at", "order_key", "amount"}
	p, err := Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range p.Schema().Fields() {
		name := f.Name
		if f.Nullable {
			name += "?"
		}
		names = append(names, name)
	}
	got := strings.Join(names, " ")
	if want := "order_key id at readings? amount? is_deleted? " + record.ColumnTimestamp + "? " + record.ColumnIngestedAt + "?"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	spec.SurrogateKey = ""
	if p, err = Compile(spec); err == nil {
		t.Errorf("got columns %s, want order_key refused", p.Schema())
	}
}

// FuzzLoad reads what is no state: the error is keyvalue.ErrCorrupt, and what is read is
// written again as it was.
func FuzzLoad(f *testing.F) {
	s := keyvaluetest.New()
	spec := ordersSpec(f)
	spec.ForeignKeys = buyerKeys()
	o, tb := openReferring(f, spec, s, buyerDimensions()), recordtest.Table{}
	take(f, o, "stg_orders", orderFields(), record.NoTime, order(1, "a", 10, "ann", int64(10), int64(20), int64(5), "paid"), order(2, "b", 10, nil, nil, nil, nil, nil))
	take(f, o, "stg_readings", readingFields(), record.NoTime, reading(1, "ann", int64(20), int64(70)))
	end(f, o, tb, record.NoTime)
	err := s.Scan([]byte{spaceFacts}, keyvalue.Behind([]byte{spaceFacts}), func(_, value []byte) (bool, error) {
		f.Add(bytes.Clone(value))
		return true, nil
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		k := o.newKept()
		if err := o.load(&k, data); err != nil {
			if !errors.Is(err, keyvalue.ErrCorrupt) {
				t.Fatalf("got %v, want keyvalue.ErrCorrupt", err)
			}
			return
		}
		written := k.append(nil)
		again := o.newKept()
		if err := o.load(&again, written); err != nil || string(again.append(nil)) != string(written) {
			t.Fatalf("what was read is written otherwise: %v", err)
		}
	})
}
