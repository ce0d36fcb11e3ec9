package session

import (
	"math"
	"slices"
	"testing"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
)

func TestRowsThatBridgeSessionsThatCannotBeMergedAreRefused(t *testing.T) {
	spec := withTally(t, visitsSpec(t))
	spec.Lateness = 100 * us
	plugin := spec.Plugin.(*tally)
	o := open(t, spec, keyvaluetest.New())
	take(t, o, record.NoTime, at(0, "a"), at(20, "b"))
	end(t, o, record.NoTime)
	plugin.refuseMerge = true
	// 5 extends the first session without the bridge, but is refused with it: of
	// the rows of a session that fails none is told from the others.
	taken, rejects := take(t, o, record.NoTime, at(5, "x"), at(10, "y"), at(100, "z"))
	if taken != 1 || len(rejects) != 2 {
		t.Fatalf("%d rows were taken, rejects %+v", taken, rejects)
	}
	for _, r := range rejects {
		if !r.ByPlugin || r.Code != "apart" || r.Message != "sessions that the event joins cannot be merged: no merge" {
			t.Errorf("reject %+v", r)
		}
	}
	changes, _ := end(t, o, math.MaxInt64)
	checkChanges(t, changes, "c 0-0 views=1 a>a", "c 20-20 views=1 b>b", "c 100-100 views=1 z>z")
}

func TestSeveralSessionsMergeInOneCall(t *testing.T) {
	spec := withTally(t, visitsSpec(t))
	spec.Lateness = 100 * us
	o := open(t, spec, keyvaluetest.New())
	take(t, o, record.NoTime, at(0, "a"), at(20, "b"), at(40, "c"), at(60, "d"), at(80, "e"))
	end(t, o, record.NoTime)
	taken, rejects := take(t, o, record.NoTime, at(-10, "z"), at(9, "w"), at(10, "w"), at(28, "w"), at(30, "w"), at(47, "w"), at(48, "w"), at(50, "w"), at(70, "w"), at(71, "w"), at(88, "w"))
	if taken != 11 || len(rejects) > 0 {
		t.Fatalf("%d rows were taken, rejects %+v", taken, rejects)
	}
	changes, _ := end(t, o, math.MaxInt64)
	checkChanges(t, changes, "c -10-88 views=16 z>w")
	if got, want := changes[0].row["tallied"], `{"device":0,"user_id":"ann"} n=16 sum=641 least=a`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRowsThatAPluginRefusesLeaveNoTrace(t *testing.T) {
	spec := withTally(t, visitsSpec(t))
	o := open(t, spec, keyvaluetest.New())
	unlucky := at(9, "bridge")
	unlucky.bytes = int64(refusedBytes)
	taken, rejects := take(t, o, record.NoTime, at(0, "a"), unlucky, at(18, "b"))
	want := record.Reject{Record: 1, OfRow: true, Code: "unlucky", Column: "bytes", Message: "13", ByPlugin: true}
	if taken != 2 || len(rejects) != 1 || rejects[0] != want {
		t.Fatalf("%d rows were taken, rejects %+v, want %+v", taken, rejects, want)
	}
	changes, _ := end(t, o, math.MaxInt64)
	checkChanges(t, changes, "c 0-0 views=1 a>a", "c 18-18 views=1 b>b")
}

func TestAPluginIsToldOfTheCloseOnce(t *testing.T) {
	spec := withTally(t, visitsSpec(t))
	spec.Emit = EmitEarly
	o := open(t, spec, keyvaluetest.New())
	take(t, o, record.NoTime, at(0, "a"))
	var over []string
	for _, watermark := range []int64{0, 5, 10, 15, 100} {
		changes, _ := end(t, o, watermark)
		for _, c := range changes {
			over = append(over, c.op.String()+" "+c.row["over"])
		}
	}
	if want := []string{"c false", "u true"}; !slices.Equal(over, want) {
		t.Errorf("got %q, want %q", over, want)
	}
}

func TestAPluginIsCalledOnceForTheSessionsOfABatch(t *testing.T) {
	spec := withTally(t, visitsSpec(t))
	o := open(t, spec, keyvaluetest.New())
	var events []event
	for i := range int64(50) {
		events = append(events, at(i*20, "a"))
	}
	take(t, o, record.NoTime, events...)
	if calls := spec.Plugin.(*tally).calls; calls != 1 {
		t.Errorf("the plugin was called %d times", calls)
	}
}
