package session

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
)

// otherTally is tally with other columns of state.
type otherTally struct{ tally }

func (p *otherTally) StateSchema() *arrow.Schema {
	return arrow.NewSchema(append(tallyState().Fields(), arrow.Field{Name: "most", Type: arrow.PrimitiveTypes.Int64}), nil)
}

func compiled(t *testing.T, spec Spec) *Program {
	t.Helper()
	p, err := Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAnOperatorGoesOnWithAnotherPlugin(t *testing.T) {
	spec := withTally(t, visitsSpec(t))
	o := open(t, spec, keyvaluetest.New())
	take(t, o, record.NoTime, at(0, "a"), at(4, "b"))
	end(t, o, record.NoTime)
	next := spec
	blind := &tally{blind: true}
	next.Plugin = blind
	if err := o.Swap(compiled(t, next)); err != nil {
		t.Fatal(err)
	}
	take(t, o, record.NoTime, at(8, "c"), at(9, "d"), at(10, "e"), at(11, "f"))
	changes, _ := end(t, o, math.MaxInt64)
	checkChanges(t, changes, "c 0-11 views=6 a>f")
	if got, want := changes[0].row["tallied"], `{"device":0,"user_id":"ann"}`; got != want {
		t.Errorf("the row has %s, want %s: what the second plugin makes", got, want)
	}
	if first := spec.Plugin.(*tally).calls; first != 1 || blind.calls != 1 {
		t.Errorf("the plugins were called %d and %d times, want once each", first, blind.calls)
	}
}

func TestASwapIsRefused(t *testing.T) {
	spec := withTally(t, visitsSpec(t))
	o := open(t, spec, keyvaluetest.New())
	other, longer, fewer, plain := spec, spec, spec, visitsSpec(t)
	other.Plugin = &otherTally{}
	longer.Gap *= 2
	fewer.Derive = nil
	for name, c := range map[string]struct {
		spec Spec
		kept bool // the state is
		want string
	}{
		"another state of the plugin": {other, false, "the plugin's (n int64, sum int64 or null, least utf8 or null, most int64), not the plugin's (n int64, sum int64 or null, least utf8 or null); start again with --reset-model visits"},
		"another gap":                 {longer, false, "--reset-model visits"},
		"no plugin":                   {plain, false, "no plugin"},
		"other columns":               {fewer, true, "and so far"},
	} {
		err := o.Swap(compiled(t, c.spec))
		if err == nil || errors.Is(err, ErrOtherState) == c.kept || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	take(t, o, record.NoTime, at(0, "a"))
	if err := o.Swap(compiled(t, spec)); err == nil || !strings.Contains(err.Error(), "within an epoch") {
		t.Errorf("within an epoch: got %v", err)
	}
	changes, _ := end(t, o, math.MaxInt64)
	checkChanges(t, changes, "c 0-0 views=1 a>a")
}

// An epoch that another plugin took and that is given up is taken again by the
// former one.
func TestAnOperatorGoesBackToTheFormerPlugin(t *testing.T) {
	spec, state := withTally(t, visitsSpec(t)), keyvaluetest.New()
	o := open(t, spec, state)
	former := o.Program
	take(t, o, record.NoTime, at(0, "a"))
	end(t, o, record.NoTime)
	next := spec
	next.Plugin = &tally{blind: true}
	if err := o.Swap(compiled(t, next)); err != nil {
		t.Fatal(err)
	}
	take(t, o, record.NoTime, at(5, "b"))
	o.Discard()
	if err := o.Swap(former); err != nil {
		t.Fatal(err)
	}
	take(t, o, record.NoTime, at(5, "b"))
	changes, _ := end(t, o, math.MaxInt64)
	checkChanges(t, changes, "c 0-5 views=2 a>b")
	if got, want := changes[0].row["tallied"], `{"device":0,"user_id":"ann"} n=2 sum=5 least=a`; got != want {
		t.Errorf("the row has %s, want %s", got, want)
	}
}
