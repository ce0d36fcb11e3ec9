package integrity_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/integrity"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
)

var uniqueEvents = integrity.Unique{Of: events, Columns: []string{"ref", "name"}, EventTime: "at", Horizon: time.Minute}

func TestEventsThatComeTwiceWithinTheHorizon(t *testing.T) {
	state := keyvaluetest.New()
	k := newKit(t, uniqueEvents, state)
	k.take(event{1, "a", 0}, event{1, "b", 0}, event{1, "a", 10})
	k.want(1, fmt.Sprintf(`ref = 1, name = "a" is at %s and at %s`, place(0), place(2)))
	k.take(event{1, "", 0}, event{1, "", 0}, event{0, "a", 0}, event{0, "a", 0}) // nulls
	k.want(0, "")

	k = newKit(t, uniqueEvents, state)
	k.offset, k.watermark = 100, seconds(69)
	k.take(event{1, "a", 65})
	k.want(1, fmt.Sprintf(`ref = 1, name = "a" is at %s and at %s`, place(2), place(100)))
	k.watermark = seconds(125) // that of 65 is passed
	k.take(event{1, "a", 124}, event{1, "b", 120})
	k.want(0, "")
	k.take(event{1, "b", 130})
	k.want(1, fmt.Sprintf(`ref = 1, name = "b" is at %s and at %s`, place(102), place(103)))
}

func TestEventsBehindTheHorizonAreForgotten(t *testing.T) {
	state := keyvaluetest.New()
	k := newKit(t, uniqueEvents, state)
	for i := range 100 {
		k.watermark = seconds(int64(i))
		k.take(event{int32(i + 1), "a", int64(i)})
		k.want(0, "")
	}
	if got, want := state.Len("v"), 60; got != want {
		t.Errorf("remembered: got %d values, want those of the last minute, %d", got, want)
	}
	if got := state.Len("t"); got != state.Len("v") {
		t.Errorf("got %d timers for %d values", got, state.Len("v"))
	}
}

func TestRowsOfAKeyedModelWithOneValue(t *testing.T) {
	state := keyvaluetest.New()
	names := integrity.Unique{Of: keyed("members"), Columns: []string{"name"}}
	k := newKit(t, names, state)
	k.follow("members", change{'c', 1, 0, "ada"}, change{'c', 2, 0, "bob"}, change{'c', 3, 0, ""}, change{'c', 4, 0, ""})
	k.want(0, "")
	k = newKit(t, names, state)
	k.follow("members", change{'u', 2, 0, "ada"})
	k.want(1, `name = "ada" is that of two rows, id = 1 and id = 2`)
	k.follow("members", change{'u', 1, 7, "eve"}) // the other one goes
	k.want(0, "")
	k.follow("members", change{'d', 2, 0, "ada"}, change{'c', 5, 0, "ada"})
	k.want(0, "")
	k.follow("members", change{'u', 1, 7, "cid"}, change{'u', 5, 7, "cid"})
	if got := k.end(true); got.Rows != 2 {
		t.Errorf("two rows changed to one value: got %d rows against the test, want 2", got.Rows)
	}
}

func TestValuesThatTheOtherModelDoesNotHave(t *testing.T) {
	state := keyvaluetest.New()
	refs := integrity.Relationships{From: keyed("sales"), Column: "ref", To: keyed("members"), Field: "id"}
	k := newKit(t, refs, state)
	k.follow("sales", change{'c', 1, 7, ""}, change{'c', 2, 8, ""}, change{'c', 3, 0, ""})
	k.follow("members", change{'c', 7, 0, ""})
	k.want(1, "ref = 8 is in no row of members as id")
	k = newKit(t, refs, state)
	k.follow("members", change{'c', 8, 0, ""})
	k.want(0, "")
	k.follow("sales", change{'u', 2, 7, ""})
	k.follow("members", change{'d', 8, 0, ""})
	k.want(0, "")
	k.follow("members", change{'d', 7, 0, ""}) // two rows refer to it
	k.want(2, "ref = 7 is in no row of members as id")
	k.follow("sales", change{'d', 1, 7, ""}, change{'u', 2, 0, ""})
	k.want(0, "")
	if got := state.Len("m") + state.Len("n"); got != 0 {
		t.Errorf("nothing refers to anything: got %d values in the state, want 0", got)
	}
}

func TestEventsReferToRowsOfAnotherType(t *testing.T) {
	k := newKit(t, integrity.Relationships{From: events, Column: "ref", To: keyed("members"), Field: "id"}, keyvaluetest.New())
	k.take(event{7, "", 0}, event{8, "", 0}, event{8, "", 0})
	k.follow("members", change{'c', 7, 0, ""})
	k.want(2, "ref = 8 is in no row of members as id")
}

// Row 1 stands for members that are not known.
func TestRowsThatAreNotTested(t *testing.T) {
	members := keyed("members")
	members.Untested = func(rows arrow.RecordBatch, row int) bool { return rows.Column(0).ValueStr(row) == "1" }
	k := newKit(t, integrity.Unique{Of: members, Columns: []string{"name"}}, keyvaluetest.New())
	k.follow("members", change{'c', 1, 0, "ada"}, change{'c', 2, 0, "ada"})
	k.want(0, "")
	k.follow("members", change{'c', 3, 0, "ada"})
	k.want(1, `name = "ada" is that of two rows, id = 2 and id = 3`)

	k = newKit(t, integrity.Relationships{From: members, Column: "ref", To: keyed("teams"), Field: "id"}, keyvaluetest.New())
	k.follow("members", change{'c', 1, 8, ""}, change{'c', 2, 9, ""})
	k.want(1, "ref = 9 is in no row of teams as id")

	k = newKit(t, integrity.Relationships{From: keyed("sales"), Column: "ref", To: members, Field: "id"}, keyvaluetest.New())
	k.follow("sales", change{'c', 5, 1, ""}) // which may refer to it
	k.follow("members", change{'c', 1, 0, ""})
	k.want(0, "")
}

func TestModelThatRefersToItself(t *testing.T) {
	k := newKit(t, integrity.Relationships{From: keyed("staff"), Column: "ref", To: keyed("staff"), Field: "id"}, keyvaluetest.New())
	k.follow("staff", change{'c', 1, 0, ""}, change{'c', 2, 1, ""}, change{'c', 3, 9, ""})
	k.want(1, "ref = 9 is in no row of staff as id")
}

func TestNothingIsMissingBeforeAllIsRead(t *testing.T) {
	state := keyvaluetest.New()
	refs := integrity.Relationships{From: keyed("sales"), Column: "ref", To: keyed("members"), Field: "id"}
	k := newKit(t, refs, state)
	k.follow("sales", change{'c', 1, 7, ""}, change{'c', 2, 8, ""}, change{'c', 3, 8, ""})
	if got := k.end(false); got != (integrity.Findings{}) {
		t.Errorf("half of the rows: got %+v, want nothing", got)
	}
	k = newKit(t, refs, state)
	k.follow("members", change{'c', 7, 0, ""})
	k.want(2, "ref = 8 is in no row of members as id") // though no row of sales changed
	k.follow("members", change{'c', 9, 0, ""})
	k.want(0, "") // it was told of

	// The rows of a model are made anew: again nothing is known until they are.
	k.follow("members", change{'d', 7, 0, ""})
	if got := k.end(false); got != (integrity.Findings{}) {
		t.Errorf("while rows are made anew: got %+v, want nothing", got)
	}
	k.follow("members", change{'c', 8, 0, ""})
	k.want(1, "ref = 7 is in no row of members as id")
}

func TestDiscardedEpochsDoNotCount(t *testing.T) {
	k := newKit(t, uniqueEvents, keyvaluetest.New())
	k.take(event{1, "a", 0}, event{1, "a", 0})
	k.Discard()
	k.want(0, "")
	for _, s := range []spec{
		integrity.Unique{Of: keyed("members"), Columns: []string{"name"}},
		integrity.Relationships{From: keyed("members"), Column: "ref", To: keyed("members"), Field: "id"},
	} {
		k := newKit(t, s, keyvaluetest.New())
		k.follow("members", change{'c', 1, 9, "a"}, change{'c', 2, 9, "a"})
		k.Discard()
		k.want(0, "")
	}
}

func TestTestsThatCannotBeAreRefused(t *testing.T) {
	decimal := arrow.NewSchema([]arrow.Field{{Name: "id", Type: &arrow.Decimal128Type{Precision: 9, Scale: 2}}}, nil)
	for _, c := range []struct {
		spec
		want string
	}{
		{integrity.Unique{Of: keyed("members"), Columns: []string{"nick"}}, "no column nick"},
		{integrity.Unique{Of: events, Columns: []string{"name"}, EventTime: "when"}, "no column when"},
		{integrity.Relationships{From: keyed("a"), Column: "name", To: keyed("b"), Field: "id"}, "both must be of one type"},
		{integrity.Relationships{From: keyed("a"), Column: "id", To: integrity.Input{Model: "b", Schema: decimal, Key: []string{"id"}}, Field: "id"}, "decimal(9,2)"},
	} {
		if _, err := c.Open(keyvaluetest.New()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got error %v, want one with %q", err, c.want)
		}
	}
}

func TestDefinitionsTellTestsApart(t *testing.T) {
	u := uniqueEvents
	other := u
	other.Horizon = time.Hour
	if u.Definition() == other.Definition() {
		t.Error("tests of two horizons have one definition")
	}
	if got := (integrity.Unique{Of: events, Columns: []string{"name"}}).Definition(); got == u.Definition() {
		t.Errorf("tests of other columns have one definition: %s", got)
	}
}

func TestMoreValuesThanAreHeldInMemory(t *testing.T) {
	unique := uniqueEvents
	unique.Held = 3
	state := keyvaluetest.New()
	k := newKit(t, unique, state)
	k.take(event{1, "a", 0}, event{2, "a", 0})
	k.take(event{3, "a", 0}, event{4, "a", 0})
	if got := state.Len("v"); got != 4 {
		t.Errorf("the state has %d values before the epoch ends, want 4", got)
	}
	k.take(event{1, "a", 5}, event{4, "a", 5}, event{5, "a", 0})
	k.want(2, fmt.Sprintf(`ref = 1, name = "a" is at %s and at %s`, place(0), place(4)))
	if got, timers := state.Len("v"), state.Len("t"); got != 5 || timers != 5 {
		t.Errorf("got %d values and %d timers, want 5 of each", got, timers)
	}
}
