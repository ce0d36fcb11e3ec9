package pipeline

import (
	"errors"
	"slices"
	"testing"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

// star is a fact of orders with keys of two dimensions, one of which a dimension of
// sessions is made of.
func star() Parts {
	return Parts{
		Start: &lakehouse.Start{Watermarks: map[string]record.Watermark{"orders": {At: 30}, "customers": {At: 20}, "events": {At: 10}}},
		Models: []Model{
			{Name: "orders"}, {Name: "customers"}, {Name: "events"},
		},
		Keyed: []KeyedModel{
			{Name: "dim_customers", Inputs: []string{"customers"}},
			{Name: "sessions", Inputs: []string{"events"}},
			{Name: "dim_visitors", Inputs: []string{"sessions"}},
			{Name: "facts", Inputs: []string{"orders"}, Keys: []string{"dim_customers"}},
			{Name: "more_facts", Inputs: []string{"orders"}, Keys: []string{"dim_customers", "dim_visitors"}},
		},
	}
}

func TestAFactSeesTheWatermarkOfItsDimensions(t *testing.T) {
	parts := star()
	p := &Pipeline{keyed: newKeyed(parts), watermarks: newWatermarks(parts)}
	check := func(when string, want ...int64) {
		t.Helper()
		for i := range p.keyed {
			if got := p.watermark(&p.keyed[i]); got != want[i] {
				t.Errorf("%s: model %s: got watermark %d, want %d", when, p.keyed[i].Name, got, want[i])
			}
		}
	}
	check("live", 20, 10, 10, 20, 10)
	p.keyed[0].behind = &behind{epoch: 3, watermark: 5}
	check("while a dimension takes in its table", 5, 10, 10, 5, 5)
}

func TestAFactWaitsForDimensionsThatAreBehind(t *testing.T) {
	parts := star()
	p := &Pipeline{keyed: newKeyed(parts), watermarks: newWatermarks(parts)}
	dimension, fact := &p.keyed[0], &p.keyed[3]
	for _, c := range []struct {
		when            string
		dimension, fact *behind
		want            bool
	}{
		{"both are live", nil, nil, false},
		{"the fact alone is new", nil, &behind{}, false},
		{"both begin", &behind{}, &behind{}, true},
		{"the dimension is on its way", &behind{epoch: 7}, &behind{}, true},
		{"the fact has begun", &behind{epoch: 7}, &behind{epoch: 2}, false},
		{"the fact had nothing to take in", &behind{epoch: 7}, nil, false},
	} {
		dimension.behind, fact.behind = c.dimension, c.fact
		if got := p.waits(fact); got != c.want {
			t.Errorf("%s: it waits: %v, want %v", c.when, got, c.want)
		}
	}
}

// Models that keys connect show what was made anew in one epoch.
func TestModelsThatKeysConnectShowTogether(t *testing.T) {
	const (
		live   = iota // neither
		anew          // all of it is made, and held back
		more          // it has more to take in
		begins        // the same, and its table had no rows
	)
	for _, c := range []struct {
		when  string
		state [5]int // d, f1, f2, e (a dimension of f2 and g), g
		want  [5]bool
	}{
		{"all are made", [5]int{anew, anew, anew, live, live}, [5]bool{true, true, true, false, false}},
		{"one fact is longer", [5]int{anew, anew, more, live, live}, [5]bool{}},
		{"the fact begins", [5]int{anew, anew, begins, live, live}, [5]bool{}},
		{"the dimension is longer", [5]int{more, anew, live, live, live}, [5]bool{}},
		{"a fact alone", [5]int{live, anew, more, live, live}, [5]bool{1: true}},
		{"by way of a fact and another dimension", [5]int{anew, anew, anew, anew, more}, [5]bool{}},
		{"by way of what is live", [5]int{live, anew, live, anew, more}, [5]bool{1: true}},
	} {
		all := make([]keyed, 5)
		for i, m := range []KeyedModel{{Name: "d"}, {Name: "f1", Keys: []string{"d"}}, {Name: "f2", Keys: []string{"d", "e"}}, {Name: "e"}, {Name: "g", Keys: []string{"e"}}} {
			all[i].KeyedModel = &m
			if c.state[i] == anew || c.state[i] == more {
				all[i].rework = &rework{}
			}
			if c.state[i] == more || c.state[i] == begins {
				all[i].behind = &behind{epoch: 3}
			}
		}
		if got := showing(all); !slices.Equal(got, c.want[:]) {
			t.Errorf("%s: %v are shown, want %v", c.when, got, c.want)
		}
	}
}

// A fact that begins beside a dimension that takes in its tables is behind, too:
// what came first would refer to rows that the dimension does not show yet.
func TestAFactBeginsBehindItsDimensions(t *testing.T) {
	for _, c := range []struct {
		recorded string
		want     bool
	}{{"", true}, {"facts", false}} {
		parts := star()
		epoch := int64(3)
		parts.Start.Keyed = []lakehouse.KeyedModel{{Name: "dim_customers", Behind: &epoch}}
		if c.recorded != "" {
			parts.Start.Keyed = append(parts.Start.Keyed, lakehouse.KeyedModel{Name: c.recorded})
		}
		for _, k := range newKeyed(parts) {
			if k.Name == "facts" && (k.behind != nil) != c.want {
				t.Errorf("with %q recorded: it is behind: %v, want %v", c.recorded, k.behind != nil, c.want)
			}
		}
	}
}

func TestAFactDoesNotOutliveWhatItsDimensionKnows(t *testing.T) {
	parts := star()
	recorded := func(names ...string) *lakehouse.Start {
		start := &lakehouse.Start{Last: 9}
		for _, name := range names {
			start.Keyed = append(start.Keyed, lakehouse.KeyedModel{Name: name})
		}
		return start
	}
	for _, c := range []struct {
		start   *lakehouse.Start
		refused bool
	}{
		{recorded(), false},
		{recorded("sessions", "dim_visitors"), false},
		{recorded("dim_customers", "sessions", "dim_visitors", "facts", "more_facts"), false},
		{recorded("dim_customers", "sessions", "dim_visitors"), false}, // facts that begin
		{recorded("dim_customers", "sessions", "facts", "more_facts"), true},
		{recorded("sessions", "dim_visitors", "facts"), true},
	} {
		if err := CheckKeyed(c.start, parts.Keyed); errors.Is(err, ErrDefinition) != c.refused {
			t.Errorf("after %v: got %v, refused should be %v", c.start.Keyed, err, c.refused)
		}
	}
}
