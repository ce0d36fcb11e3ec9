package dimension

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/projection/projectiontest"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/upstream"
)

func TestCompileRefusesWhatHasNoMeaning(t *testing.T) {
	for want, change := range map[string]func(*Spec){
		"natural_key: a dimension needs one":                    func(s *Spec) { s.NaturalKey = nil },
		"natural_key: stg_customers has no column nobody":       func(s *Spec) { s.NaturalKey = []string{"nobody"} },
		"natural_key: column id twice":                          func(s *Spec) { s.NaturalKey = []string{"id", "id"} },
		"surrogate_key: a dimension needs one":                  func(s *Spec) { s.SurrogateKey = "" },
		"effective_at: column name is string":                   func(s *Spec) { s.EffectiveAt = "name" },
		"effective_at: stg_customers has no column then":        func(s *Spec) { s.EffectiveAt = "then" },
		`hard_deletes is ""`:                                    func(s *Spec) { s.HardDeletes = "" },
		`scd.type_1_scope is "some"`:                            func(s *Spec) { s.Type1Scope = "some" },
		`first_valid_from is "never"`:                           func(s *Spec) { s.FirstValidFrom = "never" },
		`valid_to_current is "null"`:                            func(s *Spec) { s.ValidToCurrent = "null" },
		"late_changes: -1s":                                     func(s *Spec) { s.LateChanges = -time.Second },
		"scd.default is 3":                                      func(s *Spec) { s.DefaultType = 3 },
		"scd: column name is of type 4":                         func(s *Spec) { s.Types["name"] = 4 },
		"scd: column at is not among the attributes":            func(s *Spec) { s.Types["at"] = Type1 },
		"columns: there is no column nobody":                    func(s *Spec) { s.Attributes = []string{"nobody"} },
		"columns: column name twice":                            func(s *Spec) { s.Attributes = []string{"name", "name"} },
		"columns: column id twice":                              func(s *Spec) { s.Attributes = []string{"id"} },
		"columns: column level twice":                           func(s *Spec) { s.DurableKey = "level" },
		"derive: column name twice":                             func(s *Spec) { s.Derive = []projection.Column{projectiontest.Column(t, "name", "city")} },
		`unknown_member: column level: "none" is no long`:       func(s *Spec) { s.Unknown = map[string]string{"level": "none"} },
		"unknown_member: column at is not among the attributes": func(s *Spec) { s.Unknown = map[string]string{"at": "x"} },
		"several rows of fct_customers would be one member": func(s *Spec) {
			s.From = upstream.Model{Name: "fct_customers", Schema: keyedSchema(), Key: []string{"id"}}
		},
		"are filtered before they come here":                      func(s *Spec) { s.From, s.Where = staging("stg_customers", false), projectiontest.Parse(t, "level > 1") },
		"from: stg_customers has no column " + record.ColumnTopic: func(s *Spec) { s.From.Schema = arrow.NewSchema(customerFields(), nil) },
	} {
		spec := customersSpec()
		change(&spec)
		if _, err := Compile(spec); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "dimension customers: ") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestWrongExpressionsAreToldWithTheirPath(t *testing.T) {
	for path, change := range map[string]func(*Spec){
		"where":        func(s *Spec) { s.Where = projectiontest.Parse(t, "level + 1") },
		"derive.label": func(s *Spec) { s.Derive = []projection.Column{projectiontest.Column(t, "label", "nobody || name")} },
	} {
		spec := customersSpec()
		change(&spec)
		_, err := Compile(spec)
		var wrong *projection.ExpressionError
		if !errors.As(err, &wrong) || wrong.Path != path || wrong.Text == "" || wrong.Err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

func TestStateOfAnotherDefinitionHasAnotherVersion(t *testing.T) {
	versions := map[int]string{}
	for name, change := range map[string]func(*Spec){
		"as it is":     func(*Spec) {},
		"key":          func(s *Spec) { s.NaturalKey = []string{"id"} },
		"type":         func(s *Spec) { s.Types["level"] = Type1 },
		"scope":        func(s *Spec) { s.Types["level"], s.Type1Scope = Type1, Type1Current },
		"deletes":      func(s *Spec) { s.HardDeletes = HardDeletesIgnore },
		"first":        func(s *Spec) { s.FirstValidFrom = FirstValidFromEffective },
		"current":      func(s *Spec) { s.ValidToCurrent = ValidToEmpty },
		"attributes":   func(s *Spec) { s.Attributes = []string{"name"} },
		"effective at": func(s *Spec) { s.EffectiveAt = "" },
		"derived":      func(s *Spec) { s.Derive = []projection.Column{projectiontest.Column(t, "label", "name")} },
		"condition":    func(s *Spec) { s.Where = projectiontest.Parse(t, "level > 1") },
		"decided":      func(s *Spec) { s.Decider = fakeDecider{} },
	} {
		spec := customersSpec()
		change(&spec)
		p, err := Compile(spec)
		if err != nil {
			t.Fatal(err)
		}
		if other, is := versions[p.StateVersion()]; is {
			t.Errorf("%s and %s have one version", name, other)
		}
		versions[p.StateVersion()] = name
	}
	spec := customersSpec()
	spec.LateChanges, spec.SurrogateKey, spec.Unknown = time.Hour, "other_key", map[string]string{"name": "x"}
	p, err := Compile(spec)
	if err != nil || versions[p.StateVersion()] != "as it is" {
		t.Errorf("lateness, names of keys and the unknown member change the version: %v", err)
	}
}

func TestColumnsOfTheTableAndOfLookups(t *testing.T) {
	spec := customersSpec()
	spec.Types["name"], spec.Types["city"] = Type1, Type0
	p, err := Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	names := func(s *arrow.Schema) string {
		var all []string
		for _, f := range s.Fields() {
			if f.Nullable {
				f.Name += "?"
			}
			all = append(all, f.Name)
		}
		return strings.Join(all, " ")
	}
	wantTexts(t, []string{names(p.Schema()), names(p.NaturalKey()), names(p.Attributes()), strings.Join(p.Key(), " ")},
		"customer_key durable_key id? sub? name? city? level? valid_from valid_to? changed_at? is_current is_deleted is_inferred kafka_timestamp? ingested_at?",
		"id? sub?", "city? name? level?", "customer_key")
}

// FuzzLoad reads what is no state: the error is keyvalue.ErrCorrupt, and what is
// read is written again as it was.
func FuzzLoad(f *testing.F) {
	h := newHead()
	f.Add(h.append(nil))
	h.now = state{values: values{[]byte("raw"), []byte("f"), nil, []byte("two")}, exists: true, gone: true, open: []int{1, 300}}
	h.newest, h.asked, h.spilled, h.closed, h.first = []byte("12345678 order"), -5, true, 3, Beginning
	h.last = &version{from: 1, to: Forever, at: 1, changedAt: 1, deleted: true, stamp: upstream.Stamp{Recorded: 1, Ingested: 2}, start: mark{state: h.now, to: Forever, stamp: upstream.Stamp{Recorded: 1, Ingested: 2}, overwritten: upstream.NoStamp}, end: values{nil, []byte("f"), []byte("o"), nil}}
	h.base = &folded{[]byte("12345678"), mark{state: state{}, to: 5, stamp: upstream.NoStamp, overwritten: upstream.Stamp{Recorded: 7, Ingested: 8}}}
	h.changes = []change{{order: []byte("12345678 order"), kind: changePartial, op: 'u', values: values{raw: []byte("raw")}, holes: []int{0, 2}, stamp: upstream.Stamp{Recorded: 3, Ingested: 4}}, {order: []byte("22345678"), kind: changeDelete, op: 'd'}}
	f.Add(h.append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := loadHead(data)
		if err != nil {
			if !errors.Is(err, keyvalue.ErrCorrupt) {
				t.Fatalf("%v is no ErrCorrupt", err)
			}
			return
		}
		again, err := loadHead(h.append(nil))
		if err != nil || string(again.append(nil)) != string(h.append(nil)) {
			t.Fatalf("%+v is another one, %v, when it is read again", h, err)
		}
	})
}
