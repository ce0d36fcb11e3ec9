package session

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/expression"
	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/projection/projectiontest"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
)

func fieldsOf(s *arrow.Schema) []string {
	out := make([]string, s.NumFields())
	for i, f := range s.Fields() {
		out[i] = f.Name + " " + record.FormatType(f.Type)
		if !f.Nullable {
			out[i] += "!"
		}
	}
	return out
}

func TestTheTableHasTheColumnsOfTheSpec(t *testing.T) {
	f := func(spec Spec, want ...string) {
		t.Helper()
		p, err := Compile(spec)
		if err != nil {
			t.Fatal(err)
		}
		if got := fieldsOf(p.Schema()); !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	fixed := []string{"session_key string!", "user_id string!", "device long!", "session_start timestamptz!", "session_end timestamptz!"}
	spec := withTally(t, visitsSpec(t))
	f(spec, append(slices.Clone(fixed), "views long", "total long", "entry string", "leave string", "pages long", "big boolean", "mean double", "tallied string", "over boolean", "length long")...)
	spec.Columns = []string{"length", "views", "session_end", "over"}
	f(spec, append(slices.Clone(fixed), "length long", "views long", "over boolean")...)
	spec.Columns = []string{}
	f(spec, fixed...)
}

func TestChosenColumnsAreComputedFromThoseThatAreNot(t *testing.T) {
	spec := visitsSpec(t)
	spec.Columns = []string{"per_view"}
	spec.Derive = append(spec.Derive, projectiontest.Column(t, "per_view", "length / views"))
	o := open(t, spec, keyvaluetest.New())
	take(t, o, record.NoTime, at(0, "a"), at(5, "b"))
	changes, _ := end(t, o, 100)
	if len(changes) != 1 || rowText(changes[0].row) != "device=0 per_view=2.5 session_end=5 session_start=0 user_id=ann" {
		t.Errorf("got %v", changes)
	}
}

func TestSpecsThatMakeNoSenseAreRefused(t *testing.T) {
	f := func(change func(*Spec), want string) {
		t.Helper()
		spec := withTally(t, visitsSpec(t))
		change(&spec)
		_, err := New(spec, keyvaluetest.New())
		if err == nil || err.Error() != "sessions of visits: "+want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	f(func(s *Spec) { s.Gap = 0 }, "a gap of 0s is not within 1µs and 100 years, in whole microseconds")
	f(func(s *Spec) { s.Gap = time.Nanosecond }, "a gap of 1ns is not within 1µs and 100 years, in whole microseconds")
	f(func(s *Spec) { s.Lateness = -time.Second }, "an allowed lateness of -1s is not within 0 and 100 years, in whole microseconds")
	f(func(s *Spec) { s.Emit = "often" }, `emit is "often", expected on_close or early`)
	f(func(s *Spec) { s.Key = nil }, "key: a session needs a key")
	f(func(s *Spec) { s.Key = []string{"user"} }, "key: the input has no column user")
	f(func(s *Spec) { s.EventTime = "bytes" }, "event_time: column bytes is long, expected timestamptz; derive one in the staging model, as in cast(x as timestamptz)")
	f(func(s *Spec) { s.SurrogateKey = "views" }, "column views twice")
	f(func(s *Spec) { s.Columns = []string{"view"} }, "columns: there is no column view")
	f(func(s *Spec) { s.Columns = []string{"views", "views"} }, "columns: column views twice")
	f(func(s *Spec) { s.PluginInput = []string{"url"} }, "plugin: the input has no column url")
	f(func(s *Spec) { s.Adds[0].Type = arrow.PrimitiveTypes.Uint8 }, "plugin: column tallied is uint8, which no table holds")
	f(func(s *Spec) { s.Aggregates[0] = projectiontest.Column(t, "views", "count() + bytes") },
		"aggregates.views: at character 11: column bytes has a value for each row, outside of an aggregate there is one for all; aggregate it, as in first(bytes) or max(bytes)")
	f(func(s *Spec) { s.Aggregates[0] = projectiontest.Column(t, "views", "sum(page)") },
		"aggregates.views: at character 1: sum needs a number, found string; cast it, as in sum(cast(x as long))")
	f(func(s *Spec) { s.Derive[0] = projectiontest.Column(t, "length", "views + entry") },
		"derive.length: at character 9: + needs numbers, found string; texts are joined by ||, and made numbers by cast(x as long)")
}

func TestExpressionErrorsSayWhichExpression(t *testing.T) {
	spec := visitsSpec(t)
	spec.Derive = []projection.Column{projectiontest.Column(t, "x", "nothing")}
	_, err := Compile(spec)
	var at *projection.ExpressionError
	var inner *expression.Error
	if !errors.As(err, &at) || !errors.As(err, &inner) || at.Path != "derive.x" || at.Text != "nothing" || inner.Position != 1 {
		t.Errorf("got %#v", err)
	}
}

func TestSessionsOverRowsThatChangeAreRefused(t *testing.T) {
	spec := visitsSpec(t)
	spec.Input = arrow.NewSchema(stagingSchema().Fields()[:5], nil)
	_, err := Compile(spec)
	if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "let from name the staging model") {
		t.Errorf("got %v, want ErrInput", err)
	}
}

func TestTheStateVersionChangesWithWhatStateMeans(t *testing.T) {
	version := func(change func(*Spec)) int {
		t.Helper()
		spec := visitsSpec(t)
		change(&spec)
		p, err := Compile(spec)
		if err != nil {
			t.Fatal(err)
		}
		return p.StateVersion()
	}
	same := version(func(*Spec) {})
	for name, change := range map[string]func(*Spec){
		"another derived column": func(s *Spec) { s.Derive = nil },
		"emit":                   func(s *Spec) { s.Emit = EmitEarly },
		"chosen columns":         func(s *Spec) { s.Columns = []string{"views"} },
		"another use of a call":  func(s *Spec) { s.Aggregates[0] = projectiontest.Column(t, "views", "count() + 1") },
	} {
		if version(change) != same {
			t.Errorf("%s: the version changes", name)
		}
	}
	for name, change := range map[string]func(*Spec){
		"key":       func(s *Spec) { s.Key = s.Key[:1] },
		"gap":       func(s *Spec) { s.Gap++; s.Gap += 999 },
		"lateness":  func(s *Spec) { s.Lateness = time.Second },
		"aggregate": func(s *Spec) { s.Aggregates = s.Aggregates[1:] },
		"argument":  func(s *Spec) { s.Aggregates[1] = projectiontest.Column(t, "total", "sum(bytes + 1)") },
		"plugin":    func(s *Spec) { *s = withTally(t, *s) },
	} {
		if version(change) == same {
			t.Errorf("%s: the version stays", name)
		}
	}
}
