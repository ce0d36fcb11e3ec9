package session

import (
	"math"
	"testing"

	"github.com/calvelake/calve/runtime/projection/projectiontest"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
)

func at(us int64, page string) event {
	return event{user: "ann", at: us, page: page, bytes: us, topic: "t", offset: us}
}

func checkChanges(t *testing.T, got []change, want ...string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("change %d is missing: %s", i, want[i])
		case i >= len(want):
			t.Errorf("change %d is too many: %s", i, got[i])
		case short(got[i]) != want[i]:
			t.Errorf("change %d: got %s, want %s", i, short(got[i]), want[i])
		}
	}
}

// short is a change as: c 0-20 views=3.
func short(c change) string {
	return c.op.String() + " " + c.row[ColumnStart] + "-" + c.row[ColumnEnd] + " views=" + c.row["views"] + " " + c.row["entry"] + ">" + c.row["leave"]
}

func TestAPauseOfTheGapJoinsAndALongerOneEnds(t *testing.T) {
	o := open(t, visitsSpec(t), keyvaluetest.New())
	take(t, o, record.NoTime, at(0, "a"), at(10, "b"), at(21, "c"))
	changes, _ := end(t, o, math.MaxInt64)
	checkChanges(t, changes, "c 0-10 views=2 a>b", "c 21-21 views=1 c>c")
}

func TestARowComesWhenItsSessionCloses(t *testing.T) {
	o := open(t, visitsSpec(t), keyvaluetest.New())
	take(t, o, record.NoTime, at(0, "a"), at(5, "b"))
	changes, _ := end(t, o, 14)
	checkChanges(t, changes)
	changes, _ = end(t, o, 15)
	checkChanges(t, changes, "c 0-5 views=2 a>b")
	changes, _ = end(t, o, 1000)
	checkChanges(t, changes)
}

func TestEarlyRowsAreUpdated(t *testing.T) {
	spec := visitsSpec(t)
	spec.Emit = EmitEarly
	o := open(t, spec, keyvaluetest.New())
	take(t, o, record.NoTime, at(0, "a"))
	changes, _ := end(t, o, 0)
	checkChanges(t, changes, "c 0-0 views=1 a>a")
	first := changes[0].row["session_key"]
	take(t, o, 0, at(-5, "z"), at(5, "b"))
	changes, _ = end(t, o, 0)
	checkChanges(t, changes, "u -5-5 views=3 z>b")
	if got := changes[0].row["session_key"]; got != first {
		t.Errorf("the key was %s and is %s", first, got)
	}
	changes, _ = end(t, o, 100)
	checkChanges(t, changes) // nothing of the row tells that it is closed
}

func TestAClosedSessionIsAmended(t *testing.T) {
	spec := visitsSpec(t)
	spec.Lateness = 50 * us
	o := open(t, spec, keyvaluetest.New())
	take(t, o, record.NoTime, at(0, "a"))
	end(t, o, 20)
	take(t, o, 20, at(3, "b"))
	changes, _ := end(t, o, 20)
	checkChanges(t, changes, "u 0-3 views=2 a>b")
	take(t, o, 20, at(12, "c")) // open again: its row is of what it has all the same
	changes, _ = end(t, o, 20)
	checkChanges(t, changes, "u 0-12 views=3 a>c")
	changes, _ = end(t, o, 22)
	checkChanges(t, changes)
}

func TestABridgeOfTwoEmittedSessionsKeepsTheEarlier(t *testing.T) {
	spec := visitsSpec(t)
	spec.Lateness = 50 * us
	o := open(t, spec, keyvaluetest.New())
	take(t, o, record.NoTime, at(0, "a"), at(20, "b"), at(40, "c"))
	changes, _ := end(t, o, 50)
	checkChanges(t, changes, "c 0-0 views=1 a>a", "c 20-20 views=1 b>b", "c 40-40 views=1 c>c")
	first := changes[0].row["session_key"]
	take(t, o, 50, at(10, "x"))
	changes, _ = end(t, o, 50)
	checkChanges(t, changes, "u 0-20 views=3 a>b", "d 20-20 views=1 b>b")
	if got := changes[0].row["session_key"]; got != first {
		t.Errorf("the earlier session's key was %s, the row has %s", first, got)
	}
}

func TestABridgeToAnEmittedSessionKeepsItsKey(t *testing.T) {
	spec := visitsSpec(t)
	spec.Lateness = 50 * us
	o := open(t, spec, keyvaluetest.New())
	take(t, o, record.NoTime, at(20, "b"))
	changes, _ := end(t, o, 30)
	checkChanges(t, changes, "c 20-20 views=1 b>b")
	key := changes[0].row["session_key"]
	take(t, o, 30, at(5, "a"), at(12, "x"))
	changes, _ = end(t, o, 30)
	checkChanges(t, changes, "u 5-20 views=3 a>b")
	if got := changes[0].row["session_key"]; got != key {
		t.Errorf("the key was %s and is %s", key, got)
	}
}

func TestRejectsSayWhy(t *testing.T) {
	spec := visitsSpec(t)
	spec.Lateness = 5 * us
	spec.Aggregates = append(spec.Aggregates, projectiontest.Column(t, "ratio", "max(10 % bytes)"))
	o := open(t, spec, keyvaluetest.New())
	late, edge := at(5, "a"), at(6, "a")
	noTime, noUser, zero := at(7, "a"), at(8, "a"), at(9, "a")
	noTime.at, noUser.user, zero.bytes = nil, nil, int64(0)
	zero.ordinal = 2
	taken, rejects := take(t, o, 20, late, edge, noTime, noUser, zero)
	if taken != 1 {
		t.Errorf("%d rows were taken, want 1", taken)
	}
	want := []record.Reject{
		{Record: 0, OfRow: true, Code: record.CodeLate, Column: "at", Message: "event time 1970-01-01T00:00:00.000005Z is late by 0s: the watermark is at 1970-01-01T00:00:00.00002Z, and sessions of visits take events up to 15µs before it (gap 10µs and allowed_lateness 5µs); calve reconcile --model visits takes it in, for it computes sessions anew from the staging table; raise allowed_lateness where many are late"},
		{Record: 2, OfRow: true, Code: record.CodeNullEventTime, Column: "at", Message: "event time at is null: the event belongs to no session"},
		{Record: 3, OfRow: true, Code: record.CodeNullKey, Column: "user_id", Message: "key column user_id is null: the event belongs to no session"},
		{Record: 4, OfRow: true, Row: 2, Code: record.CodeExpression, Message: "aggregate max(10 % bytes): division by zero: 10 % 0"},
	}
	for i, r := range rejects {
		if i >= len(want) || r != want[i] {
			t.Errorf("reject %d: got %+v\nwant %+v", i, r, want[i])
		}
	}
	if len(rejects) != len(want) {
		t.Errorf("got %d rejects, want %d", len(rejects), len(want))
	}
}

func TestASessionThatCannotBeComputedHasNoRowUntilItCan(t *testing.T) {
	spec := visitsSpec(t)
	spec.Emit = EmitEarly
	spec.Derive = append(spec.Derive, projectiontest.Column(t, "rate", "100 % (views - 2)"))
	o := open(t, spec, keyvaluetest.New())
	take(t, o, record.NoTime, at(0, "a"))
	changes, failed := end(t, o, 0)
	checkChanges(t, changes, "c 0-0 views=1 a>a")
	key := changes[0].row["session_key"]
	if len(failed) > 0 {
		t.Fatalf("failed %+v", failed)
	}
	take(t, o, 0, at(1, "b"))
	changes, failed = end(t, o, 0)
	checkChanges(t, changes, "d 0-0 views=1 a>a")
	want := SessionError{Key: "user_id=ann, device=0", SurrogateKey: key, Start: 0, End: 1, Code: record.CodeExpression, Column: "rate", Message: "derive.rate: division by zero: 100 % 0"}
	if len(failed) != 1 || failed[0] != want {
		t.Errorf("got  %+v\nwant %+v", failed, want)
	}
	take(t, o, 0, at(2, "c"))
	changes, failed = end(t, o, 0)
	checkChanges(t, changes, "c 0-2 views=3 a>c")
	if got := changes[0].row["session_key"]; got != key || len(failed) > 0 {
		t.Errorf("the row comes back with key %s, want %s; failed %+v", got, key, failed)
	}
}

func TestPositionsCanBeReadAndBeTheTime(t *testing.T) {
	spec := visitsSpec(t)
	spec.EventTime = record.ColumnTimestamp
	spec.Aggregates = append(spec.Aggregates, projectiontest.Column(t, "newest", "max(kafka_timestamp)"), projectiontest.Column(t, "where", "first(kafka_topic)"), projectiontest.Column(t, "at_offset", "last(kafka_offset)"))
	spec.Gap = 5000 * us
	spec.Columns = []string{"newest", "where", "at_offset"}
	o := open(t, spec, keyvaluetest.New())
	take(t, o, record.NoTime, at(1, "a"), at(3, "b"))
	changes, _ := end(t, o, math.MaxInt64)
	want := "at_offset=3 device=0 newest=3000 session_end=3000 session_start=1000 user_id=ann where=t"
	if len(changes) != 1 || rowText(changes[0].row) != want {
		t.Errorf("got %v, want %s", changes, want)
	}
}

func TestAnAbandonedEpochLeavesNothing(t *testing.T) {
	state := keyvaluetest.New()
	o := open(t, visitsSpec(t), state)
	take(t, o, record.NoTime, at(0, "a"))
	end(t, o, 0)
	before, stats := state.Clone(), o.Stats()
	take(t, o, 0, at(5, "b"), at(100, "c"))
	first, _ := end(t, o, 50)
	*state = *before
	o.Discard()
	take(t, o, 0, at(5, "b"))
	if o.Stats() != stats {
		t.Errorf("stats after discarding are %+v, want %+v", o.Stats(), stats)
	}
	o.Discard()
	take(t, o, 0, at(5, "b"), at(100, "c"))
	again, _ := end(t, o, 50)
	checkChanges(t, again, "c 0-5 views=2 a>b")
	checkChanges(t, first, "c 0-5 views=2 a>b")
	if want := (Stats{Open: 1, Sessions: 1, Keys: 1}); o.Stats() != want {
		t.Errorf("stats are %+v, want %+v", o.Stats(), want)
	}
}

func TestAnEpochInWhichNothingHappensWritesNothing(t *testing.T) {
	state := keyvaluetest.New()
	o := open(t, visitsSpec(t), state)
	take(t, o, record.NoTime, at(0, "a"))
	end(t, o, 0)
	state.Writes = 0
	changes, _ := end(t, o, 5)
	checkChanges(t, changes)
	if state.Writes > 0 {
		t.Errorf("%d changes were written", state.Writes)
	}
}

func TestTimersAreNotMovedWithEachEvent(t *testing.T) {
	state := keyvaluetest.New()
	o := open(t, visitsSpec(t), state)
	for i := range int64(9) {
		take(t, o, record.NoTime, at(i, "a"))
		end(t, o, record.NoTime)
	}
	if want := 1 + 9 + 1; state.Writes != want { // a timer, nine times the session, the counts
		t.Errorf("%d changes were written, want %d", state.Writes, want)
	}
}

func TestTimeDoesNotGoBackwards(t *testing.T) {
	o := open(t, visitsSpec(t), keyvaluetest.New())
	end(t, o, 10)
	if _, _, err := o.End(t.Context(), 9); err == nil {
		t.Error("a watermark before the last is taken")
	}
}
