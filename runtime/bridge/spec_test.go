package bridge

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/projection/projectiontest"
	"github.com/calvelake/calve/runtime/record"
)

func TestColumnsAndKeys(t *testing.T) {
	p, err := Compile(categoriesSpec(t, staging(false)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range p.Schema().Fields() {
		names = append(names, f.Name)
	}
	want := []string{"k", "stream_key", "category_key", "label", "weight", "valid_from", "valid_to", "is_current", "kafka_timestamp", "ingested_at"}
	if !slices.Equal(names, want) || !slices.Equal(p.Key(), []string{"k"}) {
		t.Errorf("columns %q with key %q, want %q", names, p.Key(), want)
	}
	if got, want := p.Dimensions(), []string{"streams_dim", "categories_dim"}; !slices.Equal(got, want) {
		t.Errorf("dimensions %q, want %q", got, want)
	}
	spec := categoriesSpec(t, staging(false))
	spec.SurrogateKey = ""
	if p, err = Compile(spec); err != nil {
		t.Fatal(err)
	}
	if got, want := p.Key(), []string{"stream_key", "category_key", "valid_from"}; !slices.Equal(got, want) {
		t.Errorf("key %q without a surrogate one, want %q", got, want)
	}
}

func TestSpecsThatMeanNothingAreRefused(t *testing.T) {
	for want, change := range map[string]func(*Spec){
		"foreign_keys: 1, a bridge has two at least": func(s *Spec) { s.ForeignKeys = s.ForeignKeys[:1] },
		"foreign_keys: all of them are found by the element category; one at least must be found by other columns, which say whose elements they are": func(s *Spec) {
			s.ForeignKeys[0].On = []string{"label"}
		},
		"unnest.as: no foreign key is found by the element category; name it in on of one, or remove unnest": func(s *Spec) { s.ForeignKeys[1].On = []string{"stream"} },
		"unnest.column: column n is long, expected a list":                                                   func(s *Spec) { s.Unnest.Column = "n" },
		"unnest.column: streams has no column tags":                                                          func(s *Spec) { s.Unnest.Column = "tags" },
		"unnest.as: streams has a column host; take another name":                                            func(s *Spec) { s.Unnest.As = "host" },
		"foreign_keys[0].on: there is no column zzz":                                                         func(s *Spec) { s.ForeignKeys[0].On = []string{"zzz"} },
		"foreign_keys[0].on: 2 columns, but the natural key of streams_dim has 1":                            func(s *Spec) { s.ForeignKeys[0].On = []string{"stream", "host"} },
		"foreign_keys[0].on: column host is long, the natural key of streams_dim has string there; give both the same data_type": func(s *Spec) {
			s.ForeignKeys[0].On = []string{"host"}
		},
		"foreign_keys[0].on: column categories is list<string>, which cannot be part of a key; expected string, int, long, date, boolean or timestamptz": func(s *Spec) {
			s.ForeignKeys[0].On = []string{"categories"}
		},
		"column stream_key twice": func(s *Spec) { s.ForeignKeys[1].Name = "stream_key" },
		"column weight twice":     func(s *Spec) { s.Derive[0].Name = "weight" },
		"derive: column n twice":  func(s *Spec) { s.Derive[0].Name = "n" },
		"late_changes: -1ns is not within 0 and 100 years, in whole microseconds":                                                  func(s *Spec) { s.LateChanges = -time.Nanosecond },
		"effective_at: column n is long, expected timestamptz; derive one in the model that is read, as in cast(x as timestamptz)": func(s *Spec) { s.EffectiveAt = "n" },
		"effective_at: streams has no column then":                                                                                 func(s *Spec) { s.EffectiveAt = "then" },
		"weight: stream is string, expected a number":                                                                              func(s *Spec) { s.Weight = projectiontest.Parse(t, "stream") },
		"BUG: where: rows of streams are not changes, they are filtered before they come here":                                     func(s *Spec) { s.Where = projectiontest.Parse(t, "n > 1") },
		"from: streams has no column kafka_topic":                                                                                  func(s *Spec) { s.From.Schema = keyed().Schema },
	} {
		spec := categoriesSpec(t, staging(false))
		change(&spec)
		_, err := Compile(spec)
		if err == nil || err.Error() != "bridge stream_categories: "+want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestWrongExpressionsHaveTheirPlace(t *testing.T) {
	for path, change := range map[string]func(*Spec){
		"where":        func(s *Spec) { s.Where = projectiontest.Parse(t, "n + 1") },
		"derive.label": func(s *Spec) { s.Derive[0].Expression = projectiontest.Parse(t, "zzz") },
		"weight":       func(s *Spec) { s.Weight = projectiontest.Parse(t, "1 + stream") },
	} {
		spec := categoriesSpec(t, staging(true))
		change(&spec)
		_, err := Compile(spec)
		var wrong *projection.ExpressionError
		if !errors.As(err, &wrong) || wrong.Path != path {
			t.Errorf("got %v, want what is wrong with %s", err, path)
		}
	}
}

func TestStateVersions(t *testing.T) {
	version := func(change func(*Spec)) int {
		spec := categoriesSpec(t, staging(true))
		change(&spec)
		p, err := Compile(spec)
		if err != nil {
			t.Fatal(err)
		}
		return p.StateVersion()
	}
	first := version(func(*Spec) {})
	for name, change := range map[string]func(*Spec){
		"late_changes":  func(s *Spec) { s.LateChanges = 2 * time.Hour },
		"surrogate_key": func(s *Spec) { s.SurrogateKey = "" },
	} {
		if version(change) != first {
			t.Errorf("%s changes the version of the state", name)
		}
	}
	for name, change := range map[string]func(*Spec){
		"where":        func(s *Spec) { s.Where = projectiontest.Parse(t, "n > 1") },
		"weight":       func(s *Spec) { s.Weight = projectiontest.Parse(t, "2.0 / n") },
		"derive":       func(s *Spec) { s.Derive = nil },
		"effective_at": func(s *Spec) { s.EffectiveAt = record.ColumnTimestamp },
		"unnest":       func(s *Spec) { s.Unnest = nil; s.Derive = nil; s.ForeignKeys[1].On = []string{"stream"} },
		"foreign key":  func(s *Spec) { s.ForeignKeys[0].To = "categories_dim" },
	} {
		if version(change) == first {
			t.Errorf("another %s has the same version of the state", name)
		}
	}
}

func TestWhatStateDependsOnIsToldInParts(t *testing.T) {
	spec := categoriesSpec(t, staging(true))
	spec.Where = projectiontest.Parse(t, "n > 1")
	p, err := Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`at "at"`, `key []`, "unnest categories as category", "from stream string categories list<string> n long",
		`stream_key of streams_dim on ["stream"] string`, `category_key of categories_dim on ["category"] string`,
		"derive.label = stream || '/' || category", "where = n > 1", "weight = 1.0 / n",
	}
	if got := p.Describe(); !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestADimensionThatIsMissingIsABug(t *testing.T) {
	p, err := Compile(categoriesSpec(t, staging(false)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Open(nil, map[string]Dimension{"streams_dim": members{}})
	if want := "BUG: bridge stream_categories: foreign_keys[1].to: there is no dimension categories_dim"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
