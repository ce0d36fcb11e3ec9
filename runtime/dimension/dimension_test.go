package dimension

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/projection/projectiontest"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
	"github.com/calvelake/calve/runtime/record/recordtest"
	"github.com/calvelake/calve/runtime/upstream"
)

func open(t testing.TB, spec Spec, s keyvalue.Store) *Operator {
	t.Helper()
	o, err := New(spec, s)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// customer is a change of a database of ann's row.
func customer(offset int64, op string, at any, name, city, level any) recordtest.Row {
	return recordtest.Row{
		Values: []any{"ann", int64(7), at, name, city, level}, Changes: []any{op, at, fmt.Sprintf("%03d", offset), []string{}},
		Topic: "customers", Offset: offset,
	}
}

// versionsOf are the rows of ann, without keys and times of records, by start.
func versionsOf(tb recordtest.Table) []string {
	var out []string
	for _, text := range tb.Texts() {
		if _, rest, ok := strings.Cut(text, "id=ann sub=7 "); ok {
			rest, _, _ = strings.Cut(rest, " kafka_timestamp=")
			for _, no := range []string{" is_deleted=false", " is_inferred=false", " is_current=false"} {
				rest = strings.ReplaceAll(rest, no, "")
			}
			out = append(out, rest)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return strings.Compare(startOf(a), startOf(b)) })
	return out
}

func startOf(text string) string {
	_, start, _ := strings.Cut(text, "valid_from=")
	if start, _, _ = strings.Cut(start, " "); start == "begin" {
		return ""
	}
	return fmt.Sprintf("%20s", start)
}

func wantTexts(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestChangesMakeVersionsByTheTypesOfColumns(t *testing.T) {
	spec, tb := customersSpec(), recordtest.Table{}
	spec.Types = map[string]Type{"name": Type1, "level": Type0}
	o := open(t, spec, keyvaluetest.New())
	take(t, o, record.NoTime, customer(1, "c", int64(100), "Ann", "Austin", int64(1)))
	end(t, o, tb, record.NoTime)
	wantTexts(t, versionsOf(tb), "name=Ann city=Austin level=1 valid_from=begin valid_to=forever changed_at=100 is_current=true")
	take(t, o, record.NoTime, customer(2, "u", int64(200), "Ann", "Denver", int64(2)))
	end(t, o, tb, record.NoTime)
	wantTexts(t, versionsOf(tb),
		"name=Ann city=Austin level=1 valid_from=begin valid_to=200 changed_at=100",
		"name=Ann city=Denver level=1 valid_from=200 valid_to=forever changed_at=200 is_current=true")
	take(t, o, record.NoTime, customer(3, "u", int64(300), "Anna", "Denver", int64(3)))
	end(t, o, tb, record.NoTime)
	wantTexts(t, versionsOf(tb),
		"name=Anna city=Austin level=1 valid_from=begin valid_to=200 changed_at=100",
		"name=Anna city=Denver level=1 valid_from=200 valid_to=forever changed_at=200 is_current=true")
	take(t, o, record.NoTime, customer(4, "u", int64(150), "An", "Boston", int64(4)))
	if ops := end(t, o, tb, record.NoTime); len(ops) != 2 {
		t.Errorf("got %v, want an update of the first version, and a new one", ops)
	}
	wantTexts(t, versionsOf(tb),
		"name=Anna city=Austin level=1 valid_from=begin valid_to=150 changed_at=100",
		"name=Anna city=Boston level=1 valid_from=150 valid_to=200 changed_at=150",
		"name=Anna city=Denver level=1 valid_from=200 valid_to=forever changed_at=200 is_current=true")
	if got := o.Moved(); len(got) != 1 || got[0].From != 150 || got[0].To != 200 || string(got[0].Member) != string(memberOf("ann", 7)) {
		t.Errorf("got %+v moved, want 150 to 200", got)
	}
}

// TestSurrogateKeysAreThoseOfSQL has keys made by hand: md5 of
// ann-7--2208988800000000 and of ann-7-1709208000000005.
func TestSurrogateKeysAreThoseOfSQL(t *testing.T) {
	tb := recordtest.Table{}
	o := open(t, customersSpec(), keyvaluetest.New())
	at := time.Date(2024, 2, 29, 12, 0, 0, 5000, time.UTC).UnixMicro()
	take(t, o, record.NoTime, customer(1, "c", at-1, "Ann", "Austin", int64(1)), customer(2, "u", at, "Ann", "Denver", int64(1)))
	end(t, o, tb, record.NoTime)
	for key, what := range map[string]string{
		UnknownKey:                         "durable_key=default_null_key",
		"ec4005dec92ec8f95bfb42e163b48bbb": "valid_from=begin",
		"0f5913c4dfd03000b97825703a36523d": "valid_from=1709208000000005",
	} {
		if text := tb[key+"|"]; !strings.Contains(text, what) {
			t.Errorf("key %s: got row %q, want %s", key, text, what)
		}
	}
}

func TestDeletionsMakeAVersionEndOneOrDoNothing(t *testing.T) {
	for deletes, want := range map[HardDeletes][]string{
		HardDeletesNewRecord: {
			"name=Ann city=Austin level=1 valid_from=begin valid_to=200 changed_at=100",
			"name=Ann city=Austin level=1 valid_from=200 valid_to=300 changed_at=200 is_deleted=true",
			"name=Ann city=Austin level=1 valid_from=300 valid_to=forever changed_at=300 is_current=true"},
		HardDeletesInvalidate: {
			"name=Ann city=Austin level=1 valid_from=begin valid_to=200 changed_at=100",
			"name=Ann city=Austin level=1 valid_from=300 valid_to=forever changed_at=300 is_current=true"},
		HardDeletesIgnore: {"name=Ann city=Austin level=1 valid_from=begin valid_to=forever changed_at=100 is_current=true"},
	} {
		spec, tb := customersSpec(), recordtest.Table{}
		spec.HardDeletes = deletes
		o := open(t, spec, keyvaluetest.New())
		deleted := customer(2, "d", int64(200), nil, nil, nil)
		deleted.Values[2] = int64(100) // the row as it was
		take(t, o, record.NoTime, customer(1, "c", int64(100), "Ann", "Austin", int64(1)), deleted, customer(3, "c", int64(300), "Ann", "Austin", int64(1)))
		end(t, o, tb, record.NoTime)
		wantTexts(t, versionsOf(tb), want...)
		found := resolve(t, o, []ask{{"ann", 7, 250}, {"ann", 7, 300}})
		if gap := found[0].Key == UnknownKey && found[0].Durable == UnknownKey; gap != (deletes == HardDeletesInvalidate) || found[1].Key == UnknownKey {
			t.Errorf("%s: found %+v", deletes, found)
		}
	}
}

func TestRowsWithoutKeyOrTimeAreRefused(t *testing.T) {
	o := open(t, customersSpec(), keyvaluetest.New())
	nobody, whenever := customer(1, "c", int64(1), "x", "y", nil), customer(2, "u", nil, "x", "y", nil)
	nobody.Values[1] = nil
	rejects := take(t, o, record.NoTime, nobody, whenever, customer(3, "d", nil, nil, nil, nil))
	var got []string
	for _, r := range rejects {
		got = append(got, fmt.Sprintf("%d %t %d %s %s", r.Record, r.OfRow, r.Row, r.Code, r.Column))
	}
	wantTexts(t, got, "0 true 0 null_key sub", "1 true 0 null_event_time at")
}

func TestAChangeIsLateIfItComesBeforeOthersAndTooLong(t *testing.T) {
	tb := recordtest.Table{}
	o := open(t, customersSpec(), keyvaluetest.New())
	// The first change of a member splits nothing, however old it is.
	if rejects := take(t, o, 10_000, customer(1, "r", int64(100), "Ann", "Austin", nil), customer(2, "r", int64(50), "Ann", "Boston", nil)); len(rejects) > 0 {
		t.Fatalf("got %+v", rejects)
	}
	end(t, o, tb, 10_000)
	rejects := take(t, o, 10_000, customer(3, "u", int64(99), "Ann", "Denver", nil), customer(4, "u", int64(200), "Ann", "Erie", nil))
	if len(rejects) != 1 || rejects[0].Record != 0 || rejects[0].Code != record.CodeLateChange || !strings.Contains(rejects[0].Message, "--reset-model customers") {
		t.Errorf("got %+v, want the first one late", rejects)
	}
	end(t, o, tb, 10_000)
	wantTexts(t, versionsOf(tb),
		"name=Ann city=Boston level=(null) valid_from=begin valid_to=100 changed_at=50",
		"name=Ann city=Austin level=(null) valid_from=100 valid_to=200 changed_at=100",
		"name=Ann city=Erie level=(null) valid_from=200 valid_to=forever changed_at=200 is_current=true")
}

func TestTheLastOfOneTimeCountsThoughTheOthersAreForgotten(t *testing.T) {
	for _, decider := range []Decider{nil, fakeDecider{}} {
		spec, tb := customersSpec(), recordtest.Table{}
		spec.Decider = decider
		o := open(t, spec, keyvaluetest.New())
		take(t, o, 10_000, customer(1, "r", int64(100), "Ann", "Austin", nil), customer(2, "u", int64(200), "Bea", "Boston", nil))
		end(t, o, tb, 10_000)
		take(t, o, 10_000, customer(3, "u", int64(200), "Cleo", "Denver", nil))
		end(t, o, tb, 10_000)
		wantTexts(t, versionsOf(tb),
			"name=Ann city=Austin level=(null) valid_from=begin valid_to=200 changed_at=100",
			"name=Cleo city=Denver level=(null) valid_from=200 valid_to=forever changed_at=200 is_current=true")
		take(t, o, 10_000, customer(4, "u", int64(300), "Cleo", "Erie", int64(1)))
		end(t, o, tb, 10_000)
		if got := versionsOf(tb); len(got) < 2 || !strings.Contains(got[0], "valid_to=200") {
			t.Errorf("got %q", got)
		}
	}
}

func TestChangesOfAKeyedModelAreNeverLate(t *testing.T) {
	spec, tb := customersSpec(), recordtest.Table{}
	spec.From, spec.EffectiveAt = upstream.Model{Name: "fct_customers", Schema: keyedSchema(), Key: []string{"id", "sub"}}, "at"
	o := open(t, spec, keyvaluetest.New())
	row := func(at any, city string) recordtest.Change {
		return recordtest.Change{Op: record.OpUpdate, Values: []any{"ann", int64(7), at, "Ann", city, nil, int64(1000), int64(recordtest.Ingested)}}
	}
	follow(t, o, 10_000, row(int64(100), "Austin"))
	end(t, o, tb, 10_000)
	follow(t, o, 10_000, row(int64(200), "Boston"))
	end(t, o, tb, 10_000)
	follow(t, o, 10_000, row(int64(50), "Denver")) // effective when the last forgotten one was
	end(t, o, tb, 10_000)
	wantTexts(t, versionsOf(tb),
		"name=Ann city=Austin level=(null) valid_from=begin valid_to=200 changed_at=100",
		"name=Ann city=Denver level=(null) valid_from=200 valid_to=forever changed_at=200 is_current=true")
	nobody := row(int64(300), "Erie")
	nobody.Values[0] = nil // the unknown member of a dimension
	follow(t, o, 10_000, nobody, row(nil, "Flint"))
	end(t, o, tb, 10_000)
	if got := versionsOf(tb); len(got) != 3 || !strings.Contains(got[2], "city=Flint") || !strings.Contains(got[2], "valid_from=1000") {
		t.Errorf("got %q", got)
	}
}

func TestEarlyFactsInferMembersThatAreFilledIn(t *testing.T) {
	spec, tb := customersSpec(), recordtest.Table{}
	o := open(t, spec, keyvaluetest.New())
	end(t, o, tb, record.NoTime)
	early := resolve(t, o, []ask{{"ann", 7, 50}, {"ann", 7, 20}})
	if ops := endInferred(t, o, tb, record.NoTime); len(ops) != 1 {
		t.Errorf("got %v, want one row", ops)
	}
	wantTexts(t, versionsOf(tb), "name=(null) city=(null) level=(null) valid_from=begin valid_to=forever changed_at=(null) is_current=true is_inferred=true")
	resolve(t, o, []ask{{"ann", 7, 10}})
	if ops := endInferred(t, o, tb, record.NoTime); len(ops) != 0 {
		t.Errorf("got %v, want nothing: the row is there", ops)
	}
	take(t, o, record.NoTime, customer(1, "c", int64(100), "Ann", "Austin", nil))
	if ops := end(t, o, tb, record.NoTime); len(ops) != 1 || !strings.HasPrefix(ops[0], "u ") {
		t.Errorf("got %v, want an update", ops)
	}
	if got := o.Moved(); len(got) != 1 || got[0].From != math.MinInt64 || got[0].To != math.MaxInt64 {
		t.Errorf("got %+v moved, want all time", got)
	}
	now := resolve(t, o, []ask{{"ann", 7, 20}})
	if now[0].Key != early[0].Key || early[0].Key != early[1].Key || string(now[0].Row) == string(early[0].Row) {
		t.Errorf("found %+v, then %+v: want one key, and another row", early, now)
	}
}

func TestAMemberThatStartsWhenItChangedIsInferredBefore(t *testing.T) {
	spec, tb := customersSpec(), recordtest.Table{}
	spec.FirstValidFrom = FirstValidFromEffective
	o := open(t, spec, keyvaluetest.New())
	take(t, o, record.NoTime, customer(1, "c", int64(100), "Ann", "Austin", nil))
	end(t, o, tb, record.NoTime)
	resolve(t, o, []ask{{"ann", 7, 50}})
	endInferred(t, o, tb, record.NoTime)
	wantTexts(t, versionsOf(tb),
		"name=(null) city=(null) level=(null) valid_from=begin valid_to=100 changed_at=(null) is_inferred=true",
		"name=Ann city=Austin level=(null) valid_from=100 valid_to=forever changed_at=100 is_current=true")
	take(t, o, record.NoTime, customer(2, "c", int64(40), "Ann", "Boston", nil))
	end(t, o, tb, record.NoTime)
	wantTexts(t, versionsOf(tb), // nobody asked for a time before 40
		"name=Ann city=Boston level=(null) valid_from=40 valid_to=100 changed_at=40",
		"name=Ann city=Austin level=(null) valid_from=100 valid_to=forever changed_at=100 is_current=true")
}

func TestTheUnknownMemberIsThereOnceAndFollowsItsValues(t *testing.T) {
	spec, tb, s := customersSpec(), recordtest.Table{}, keyvaluetest.New()
	spec.Unknown = map[string]string{"city": "it's nowhere", "level": "-1"}
	o := open(t, spec, s)
	wantTexts(t, end(t, o, tb, record.NoTime), "c customer_key=default_null_key durable_key=default_null_key id=(null) sub=(null) name=(null) city=it's nowhere level=-1 "+
		"valid_from=begin valid_to=forever changed_at=(null) is_current=true is_deleted=false is_inferred=false kafka_timestamp=(null) ingested_at=(null)")
	if ops := end(t, open(t, spec, s), tb, record.NoTime); len(ops) > 0 {
		t.Errorf("got %v again", ops)
	}
	spec.Unknown["city"] = "nowhere"
	if ops := end(t, open(t, spec, s), tb, record.NoTime); len(ops) != 1 || !strings.HasPrefix(ops[0], "u ") {
		t.Errorf("got %v, want an update", ops)
	}
}

func TestChangesOfADatabaseTakeEffectWhenTheyWereMade(t *testing.T) {
	spec, tb := customersSpec(), recordtest.Table{}
	spec.EffectiveAt = ""
	o := open(t, spec, keyvaluetest.New())
	without := customer(2, "u", int64(7), "Ann", "Boston", nil)
	without.Changes[1] = nil
	take(t, o, record.NoTime, customer(1, "c", int64(100), "Ann", "Austin", nil), without)
	end(t, o, tb, record.NoTime)
	wantTexts(t, versionsOf(tb),
		"name=Ann city=Austin level=(null) valid_from=begin valid_to=1002 changed_at=100",
		"name=Ann city=Boston level=(null) valid_from=1002 valid_to=forever changed_at=1002 is_current=true") // when it was recorded
}

func TestTimeDoesNotGoBack(t *testing.T) {
	o := open(t, customersSpec(), keyvaluetest.New())
	end(t, o, recordtest.Table{}, 10)
	if _, _, err := o.End(t.Context(), 9); err == nil {
		t.Error("a watermark before the last one is taken")
	}
	o.Discard()
	end(t, o, recordtest.Table{}, 9)
}

// failingDecider has an error for each change of a name.
type failingDecider struct{ fakeDecider }

func (d failingDecider) Decide(ctx context.Context, p Proposal) (Decision, error) {
	out, err := d.fakeDecider.Decide(ctx, p)
	for i := range p.Ops {
		if rowMap(p.Changes, i)["name"] == "bad" {
			out.Errors = append(out.Errors, DecisionError{i, "bad_name", "no name is bad"})
		}
	}
	return out, err
}

func TestChangesThatCannotBeDecidedOfAreToldOnce(t *testing.T) {
	spec, tb := customersSpec(), recordtest.Table{}
	spec.Decider = failingDecider{}
	o := open(t, spec, keyvaluetest.New())
	take(t, o, record.NoTime, customer(1, "c", int64(100), "Ann", "Austin", int64(1)), customer(2, "u", int64(200), "bad", "Boston", int64(1)))
	log, failed, err := o.End(t.Context(), record.NoTime)
	if err != nil || len(failed) != 1 || failed[0] != (RowError{"id=ann, sub=7", "bad_name", "no name is bad"}) {
		t.Errorf("got %+v, %v", failed, err)
	}
	apply(t, tb, o, log)
	take(t, o, record.NoTime, customer(3, "u", int64(150), "Bea", "Denver", int64(1)))
	end(t, o, tb, record.NoTime) // the bad one is decided of again, and not told
	wantTexts(t, versionsOf(tb),
		"name=Ann city=Austin level=1 valid_from=begin valid_to=150 changed_at=100",
		"name=Bea city=Denver level=1 valid_from=150 valid_to=forever changed_at=150 is_current=true")
}

func TestWhatCannotBeComputedIsRefused(t *testing.T) {
	spec := customersSpec()
	spec.Derive = []projection.Column{projectiontest.Column(t, "share", "100 / level")}
	spec.Attributes = []string{"share"}
	o := open(t, spec, keyvaluetest.New())
	partial := customer(3, "u", int64(3), "x", "y", nil) // that of the change before may do
	partial.Changes[3] = []string{"level"}
	rejects := take(t, o, record.NoTime, customer(1, "c", int64(1), "x", "y", int64(0)), customer(2, "d", int64(2), "x", "y", int64(0)), partial)
	if len(rejects) != 1 || rejects[0].Record != 0 || rejects[0].Code != record.CodeExpression || rejects[0].Column != "share" {
		t.Errorf("got %+v", rejects)
	}
	spec.From = upstream.Model{Name: "fct_customers", Schema: keyedSchema(), Key: []string{"id", "sub"}}
	o = open(t, spec, keyvaluetest.New())
	log := record.Changelog{Ops: []record.Op{record.OpCreate}, Rows: recordtest.Rows(keyedSchema().Fields(), [][]any{{"ann", int64(7), int64(1), "x", "y", int64(0), int64(1), int64(1)}})}
	defer log.Release()
	if err := o.Follow(t.Context(), "fct_customers", log, record.NoTime); err == nil || !strings.Contains(err.Error(), "derive.share") {
		t.Errorf("got error %v", err)
	}
}

func TestAMemberMayHaveAKeyAlone(t *testing.T) {
	spec, tb := customersSpec(), recordtest.Table{}
	spec.Attributes, spec.DurableKey = nil, ""
	o := open(t, spec, keyvaluetest.New())
	take(t, o, record.NoTime, customer(1, "c", int64(100), "Ann", "Austin", nil), customer(2, "d", int64(200), nil, nil, nil))
	end(t, o, tb, record.NoTime)
	found := resolve(t, o, []ask{{"ann", 7, 100}})
	if text := tb["a5b00400bf3d448fdf07f038068ea767|"]; len(tb) != 2 || !strings.Contains(text, "is_deleted=true") || found[0].Key != "a5b00400bf3d448fdf07f038068ea767" || found[0].Durable != "" {
		t.Errorf("got %v, found %+v", tb, found)
	}
}
