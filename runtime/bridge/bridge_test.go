package bridge

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/projection/projectiontest"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
	"github.com/calvelake/calve/runtime/record/recordtest"
	"github.com/calvelake/calve/runtime/upstream"
)

// plain is a spec without weight and derived columns, whose rows are easy to read.
func plain(t testing.TB, from upstream.Model) Spec {
	spec := categoriesSpec(t, from)
	spec.Derive, spec.Weight = nil, nil
	return spec
}

// short gives the keys of x, y, a, b and c their names.
var short = strings.NewReplacer(
	hashed("x"), "x", hashed("y"), "y", hashed("a"), "a", hashed("b"), "b", hashed("c"), "c", dimension.UnknownKey, "unknown",
	"stream_key=", "", "category_key=", "", "valid_from=", "", "valid_to=", "", " ingested_at=5000", "",
)

func check(t *testing.T, got []string, want ...string) {
	t.Helper()
	readable := make([]string, len(got))
	for i, row := range got {
		readable[i] = short.Replace(row)
	}
	if !slices.Equal(readable, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(readable, "\n"), strings.Join(want, "\n"))
	}
}

func TestAMemberThatComesAndGoes(t *testing.T) {
	o, tb := start(t, plain(t, staging(false)), keyvaluetest.New()), recordtest.Table{}
	take(t, o, record.NoTime, stream{id: "x", categories: some("a", "b"), at: int64(10)})
	check(t, end(t, o, tb, record.NoTime),
		"c x a 10 forever is_current=true kafka_timestamp=5",
		"c x b 10 forever is_current=true kafka_timestamp=5")
	take(t, o, record.NoTime, stream{id: "x", categories: some("b", "c"), at: int64(20), offset: 3})
	check(t, end(t, o, tb, record.NoTime),
		"u x a 10 20 is_current=false kafka_timestamp=6",
		"c x c 20 forever is_current=true kafka_timestamp=6")
	take(t, o, record.NoTime, stream{id: "x", categories: some(), at: int64(30), offset: 6}, stream{id: "y", categories: nil, at: int64(30), offset: 7})
	check(t, end(t, o, tb, record.NoTime),
		"u x b 10 30 is_current=false kafka_timestamp=7",
		"u x c 20 30 is_current=false kafka_timestamp=7")
}

func TestALateChangeSplitsIntervals(t *testing.T) {
	o, tb := start(t, plain(t, staging(false)), keyvaluetest.New()), recordtest.Table{}
	take(t, o, record.NoTime, stream{id: "x", categories: some("a"), at: int64(10)}, stream{id: "x", categories: some("a", "b"), at: int64(30), offset: 1})
	end(t, o, tb, record.NoTime)
	take(t, o, record.NoTime, stream{id: "x", categories: some("b"), at: int64(20), offset: 3})
	check(t, end(t, o, tb, record.NoTime),
		"u x a 10 20 is_current=false kafka_timestamp=6",
		"c x b 20 forever is_current=true kafka_timestamp=6",
		"c x a 30 forever is_current=true kafka_timestamp=5",
		"d x b 30 forever is_current=true kafka_timestamp=5")
}

func TestAWeightThatChangesMakesARow(t *testing.T) {
	spec := plain(t, staging(false))
	spec.Weight = projectiontest.Parse(t, "1.0 / n")
	o, tb := start(t, spec, keyvaluetest.New()), recordtest.Table{}
	take(t, o, record.NoTime, stream{id: "x", categories: some("a"), n: int64(1), at: int64(10)}, stream{id: "x", categories: some("a"), n: int64(2), at: int64(20)})
	check(t, end(t, o, tb, record.NoTime),
		"c x a weight=1 10 20 is_current=false kafka_timestamp=5",
		"c x a weight=0.5 20 forever is_current=true kafka_timestamp=5")
}

func TestNullAndRepeatedElements(t *testing.T) {
	o, tb := start(t, plain(t, staging(false)), keyvaluetest.New()), recordtest.Table{}
	take(t, o, record.NoTime, stream{id: "x", categories: some("a", nil, "a", nil), at: int64(10)})
	end(t, o, tb, record.NoTime)
	check(t, tb.Texts(),
		"x a 10 forever is_current=true kafka_timestamp=5",
		"x unknown 10 forever is_current=true kafka_timestamp=5")
}

// The wanted keys are what md5sum gives for x, a and "<the first>-<the second>-10".
func TestKeysAreThoseOfTheDefinition(t *testing.T) {
	o, tb := start(t, plain(t, staging(false)), keyvaluetest.New()), recordtest.Table{}
	take(t, o, record.NoTime, stream{id: "x", categories: some("a"), at: int64(10)})
	end(t, o, tb, record.NoTime)
	const x, a, key = "9dd4e461268c8034f5c8564e155c67a6", "0cc175b9c0f1b6a831c399e269772661", "2ce5aa7a63419f242b74a5bc1d1cd892"
	if row := tb[key]; !strings.HasPrefix(row, "stream_key="+x+" category_key="+a+" valid_from=10 ") {
		t.Errorf("key %s has %q; the table is %v", key, row, tb)
	}
}

func TestADeletionEndsWhatItsOwnerMaps(t *testing.T) {
	o, tb := start(t, plain(t, staging(true)), keyvaluetest.New()), recordtest.Table{}
	take(t, o, record.NoTime,
		stream{id: "x", categories: some("a"), at: int64(10), op: "c", ts: int64(10)},
		stream{id: "x", op: "d", ts: int64(20), offset: 3},
		stream{id: "x", at: int64(40), op: "u", missing: []string{"categories"}, ts: int64(40), offset: 4})
	end(t, o, tb, record.NoTime)
	check(t, tb.Texts(), "x a 10 20 is_current=false kafka_timestamp=6", "x a 40 forever is_current=true kafka_timestamp=6")
}

func TestRowsThatAreRefused(t *testing.T) {
	spec := categoriesSpec(t, staging(false))
	spec.LateChanges = 5 * us
	o, tb := start(t, spec, keyvaluetest.New()), recordtest.Table{}
	take(t, o, record.NoTime, stream{id: "x", categories: some("a"), n: int64(1), at: int64(10)}, stream{id: "x", categories: some("b"), n: int64(1), at: int64(20), offset: 1})
	end(t, o, tb, 18)
	got := take(t, o, 18,
		stream{categories: some("a"), n: int64(1), at: int64(10), offset: 2},
		stream{id: "y", categories: some("a"), n: int64(1), offset: 3},
		stream{id: "y", categories: some("a"), n: int64(0), at: int64(10), offset: 4},
		stream{id: "x", categories: some("a"), n: int64(1), at: int64(13), offset: 5},
		stream{id: "x", categories: some("a"), n: int64(1), at: int64(14), offset: 6},
		stream{id: "y", categories: some("a"), n: int64(1), at: int64(1), offset: 7})
	want := []string{
		"2 null_key stream: stream: a part of each key is null: the row maps no member",
		"3 null_event_time at: effective time at is null: the change has no place among those of its owner",
		"4 expression weight: weight: division by zero: 1.0 / 0",
		"5 late_change at: the change took effect at 1970-01-01T00:00:00.000013Z, before the newest one of its owner at 1970-01-01T00:00:00.00002Z, and is late: the watermark is at 1970-01-01T00:00:00.000018Z, and changes may be late by 5µs; let the model begin anew with --reset-model stream_categories",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAPairNeedsOneMemberThatIsKnown(t *testing.T) {
	spec := hostsSpec(t, staging(false))
	spec.Weight = nil
	o, tb := start(t, spec, keyvaluetest.New()), recordtest.Table{}
	got := take(t, o, record.NoTime, stream{id: "x", at: int64(1)}, stream{host: int64(7), at: int64(1), offset: 1}, stream{at: int64(1), offset: 2})
	if len(got) != 1 || !strings.HasPrefix(got[0], "2 null_key stream: stream, host: a part of each key is null") {
		t.Errorf("refused %q, want the row of offset 2 alone", got)
	}
	end(t, o, tb, record.NoTime)
	check(t, tb.Texts(),
		"x host_key=unknown 1 forever is_current=true kafka_timestamp=5",
		"unknown host_key="+hashed(7)+" 1 forever is_current=true kafka_timestamp=5")
}

func TestNumbersAreOfTheDimensionsType(t *testing.T) {
	spec := hostsSpec(t, staging(false))
	spec.Weight = nil
	spec.ForeignKeys[1].Keys = []arrow.DataType{arrow.PrimitiveTypes.Int32}
	o, tb := start(t, spec, keyvaluetest.New()), recordtest.Table{}
	hosts := members{}
	o.dimensions[1] = hosts
	take(t, o, record.NoTime, stream{id: "x", host: int64(7), at: int64(1)}, stream{id: "y", host: int64(1 << 40), at: int64(1)})
	end(t, o, tb, record.NoTime)
	check(t, tb.Texts(),
		"y host_key=unknown 1 forever is_current=true kafka_timestamp=5",
		"x host_key="+hashed(7)+" 1 forever is_current=true kafka_timestamp=5")
	if at, ok := hosts["\x01\x07\x00\x00\x00"]; !ok || at != 1 || len(hosts) != 1 {
		t.Errorf("the dimension was asked for %v, want the int 7 at 1", hosts)
	}
}

func TestAnOldChangeOfTheTimeOfTheNewestCountsInALaterEpoch(t *testing.T) {
	o, tb := start(t, plain(t, staging(false)), keyvaluetest.New()), recordtest.Table{}
	now := 1000 + o.spec.LateChanges.Microseconds()
	take(t, o, now, stream{id: "x", categories: some("a"), at: int64(10)})
	end(t, o, tb, now)
	if late := take(t, o, now, stream{id: "x", categories: some("b"), at: int64(10), offset: 3}); len(late) > 0 {
		t.Errorf("refused: %v", late)
	}
	end(t, o, tb, now)
	check(t, tb.Texts(), "x b 10 forever is_current=true kafka_timestamp=6")
}

func TestALateChangeOfAKeyedModelCountsFromWhatIsSettled(t *testing.T) {
	spec := plain(t, keyed())
	spec.LateChanges = 0
	o, tb := start(t, spec, keyvaluetest.New()), recordtest.Table{}
	follow(t, o, followed{record.OpCreate, stream{id: "x", categories: some("a"), at: int64(10), host: int64(1)}})
	end(t, o, tb, 15)
	follow(t, o, followed{record.OpUpdate, stream{id: "x", categories: some("b"), at: int64(3), host: int64(1)}})
	check(t, end(t, o, tb, 15),
		"u x a 10 11 is_current=false kafka_timestamp=5",
		"c x b 11 forever is_current=true kafka_timestamp=5")
}

func TestAnAbandonedEpochLeavesNothing(t *testing.T) {
	state := keyvaluetest.New()
	o, tb := start(t, plain(t, staging(false)), state), recordtest.Table{}
	take(t, o, record.NoTime, stream{id: "x", categories: some("a"), at: int64(10)})
	end(t, o, tb, 10)
	before := state.Clone()
	take(t, o, 10, stream{id: "x", categories: some("b"), at: int64(20)})
	discard(t, o, 50)
	*state = *before
	o.Discard()
	take(t, o, 10, stream{id: "x", categories: some("c"), at: int64(20)})
	check(t, end(t, o, tb, 20), "u x a 10 20 is_current=false kafka_timestamp=5", "c x c 20 forever is_current=true kafka_timestamp=5")
}

func TestWhatChangesNothingIsNoChange(t *testing.T) {
	state := keyvaluetest.New()
	o, tb := start(t, plain(t, staging(false)), state), recordtest.Table{}
	same := stream{id: "x", categories: some("a"), at: int64(10)}
	take(t, o, record.NoTime, same)
	end(t, o, tb, record.NoTime)
	state.Writes = 0
	if got := end(t, o, tb, record.NoTime); got != nil || state.Writes > 0 {
		t.Errorf("an empty epoch: %q, %d writes", got, state.Writes)
	}
	take(t, o, record.NoTime, same)
	if got := end(t, o, tb, record.NoTime); got != nil {
		t.Errorf("a row that came twice: %q", got)
	}
	same.at, same.offset = int64(20), 1
	take(t, o, record.NoTime, same)
	if got := end(t, o, tb, record.NoTime); got != nil {
		t.Errorf("a change that maps the same: %q", got)
	}
}

func TestRowsOfOtherModelsAndTimeThatGoesBackAreRefused(t *testing.T) {
	o := start(t, plain(t, staging(false)), keyvaluetest.New())
	batch := recordtest.Batch(streamFields(), []recordtest.Row{stream{id: "x", at: int64(1)}.row()}, recordedAt)
	defer batch.Release()
	if _, err := o.Take(t.Context(), "others", batch, record.NoTime); !errors.Is(err, errModel) {
		t.Errorf("rows of another model: got %v", err)
	}
	log := record.Changelog{Ops: []record.Op{record.OpCreate}, Rows: recordtest.Rows(streamFields(), [][]any{stream{}.values()})}
	defer log.Release()
	if err := o.Follow(t.Context(), "streams", log, record.NoTime); !errors.Is(err, errModel) {
		t.Errorf("changes of a staging model: got %v", err)
	}
	end(t, o, recordtest.Table{}, 10)
	if _, err := o.End(t.Context(), 9); err == nil {
		t.Error("a watermark before the last is taken")
	}
}

// failing is a dimension that cannot be asked.
type failing struct{ found int }

var errAway = errors.New("away")

func (f failing) Resolve([]dimension.Lookup) ([]dimension.Found, error) {
	if f.found > 0 {
		return make([]dimension.Found, f.found), nil
	}
	return nil, errAway
}

func TestADimensionThatFailsStopsTheEpoch(t *testing.T) {
	for found, want := range []string{"bridge stream_categories: foreign_keys[1]: find members of categories_dim: away", "", "bridge stream_categories: foreign_keys[1]: find members of categories_dim: BUG: 1 members were asked for, and 2 found"} {
		o := start(t, plain(t, staging(false)), keyvaluetest.New())
		o.dimensions[1] = failing{found}
		take(t, o, record.NoTime, stream{id: "x", categories: some("a"), at: int64(10)})
		log, err := o.End(t.Context(), 10)
		log.Release()
		if got := ""; err != nil && err.Error() != want || err == nil && got != want {
			t.Errorf("%d found: got %v, want %s", found, err, want)
		}
	}
}
