package fact

import (
	"slices"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/projection/projectiontest"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
	"github.com/calvelake/calve/runtime/record/recordtest"
)

// cut keeps some columns of rows as text.
func cut(rows []string, columns ...string) []string {
	var out []string
	for _, r := range rows {
		var parts []string
		for part := range strings.FieldsSeq(r) {
			name, _, is := strings.Cut(part, "=")
			if !is || slices.Contains(columns, name) {
				parts = append(parts, part)
			}
		}
		out = append(out, strings.Join(parts, " "))
	}
	return out
}

func wantRows(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestARowWithoutMatchesStandsAndIsCompletedWhenTheyCome(t *testing.T) {
	o, tb := open(t, ordersSpec(t), keyvaluetest.New()), recordtest.Table{}
	columns := []string{"id", "readings", "mean", "top", "first_rate", "last_rate", "user_city"}
	take(t, o, "stg_orders", orderFields(), record.NoTime, order(1, "a", 10, "ann", int64(10), int64(20), int64(5), "new"))
	wantRows(t, "alone", cut(end(t, o, tb, record.NoTime), columns...), "c id=a readings=0 mean=(null) top=(null) first_rate=(null) last_rate=(null) user_city=(null)")

	take(t, o, "stg_readings", readingFields(), 50, reading(1, "ann", int64(20), int64(70)), reading(2, "ann", int64(10), int64(90)), reading(3, "ann", int64(21), int64(1)), reading(4, "bob", int64(15), int64(1)), reading(5, nil, int64(15), int64(1)))
	wantRows(t, "readings", cut(end(t, o, tb, 50), columns...), "u id=a readings=2 mean=80 top=90 first_rate=90 last_rate=70 user_city=(null)")

	follow(t, o, "dim_users", usersSchema(), 60, user(record.OpCreate, "ann", "Bern", nil))
	wantRows(t, "user", cut(end(t, o, tb, 60), columns...), "u id=a readings=2 mean=80 top=90 first_rate=90 last_rate=70 user_city=Bern")

	wantRows(t, "nothing", end(t, o, tb, 60))

	take(t, o, "stg_orders", orderFields(), 60, order(2, "a", 11, "ann", int64(15), int64(21), int64(5), "new"))
	wantRows(t, "another range", cut(end(t, o, tb, 60), columns...), "u id=a readings=2 mean=35.5 top=70 first_rate=70 last_rate=1 user_city=Bern")

	take(t, o, "stg_orders", orderFields(), 60, order(3, "a", 12, "bob", int64(15), int64(21), int64(5), "new"))
	wantRows(t, "another user", cut(end(t, o, tb, 60), columns...), "u id=a readings=1 mean=1 top=1 first_rate=1 last_rate=1 user_city=(null)")

	follow(t, o, "dim_users", usersSchema(), 60, user(record.OpDelete, "ann", "Bern", nil))
	wantRows(t, "nobody's user", end(t, o, tb, 60))
}

func TestRowsWhoseJoinIsOverAreLate(t *testing.T) {
	s := keyvaluetest.New()
	o, tb := open(t, ordersSpec(t), s), recordtest.Table{}
	take(t, o, "stg_orders", orderFields(), record.NoTime, order(1, "a", 10, "ann", int64(10), int64(30), int64(5), "new"))
	take(t, o, "stg_readings", readingFields(), record.NoTime, reading(1, "ann", int64(10), int64(70)), reading(2, "ann", int64(9), int64(70)))
	end(t, o, tb, record.NoTime)

	rejects := take(t, o, "stg_readings", readingFields(), 111, reading(3, "ann", int64(11), int64(70)), reading(4, "ann", int64(12), int64(90)))
	if len(rejects) != 1 || rejects[0].Code != record.CodeLate || rejects[0].Record != 0 || !strings.Contains(rejects[0].Message, "late by 0s") || !strings.Contains(rejects[0].Message, "calve reconcile --model orders") {
		t.Errorf("late reading: got %+v", rejects)
	}
	rejects = take(t, o, "stg_orders", orderFields(), 111, order(2, "b", 10, "ann", int64(11), int64(300), int64(5), "new"), order(3, "c", 10, "ann", int64(12), int64(300), int64(5), "new"))
	if len(rejects) != 1 || rejects[0].Code != record.CodeLate || rejects[0].Record != 0 {
		t.Errorf("order whose range begins where readings may be forgotten: got %+v", rejects)
	}
	// The readings of an order that is known are kept as long as its range is open.
	rejects = take(t, o, "stg_orders", orderFields(), 111, order(4, "a", 12, "ann", int64(10), int64(40), int64(6), "new"))
	end(t, o, tb, 111)
	if len(rejects) > 0 {
		t.Errorf("another row of a known order: got %+v", rejects)
	}
	wantRows(t, "table", cut(tb.Texts(), "id", "readings", "amount"), "id=a amount=6 readings=2", "id=c amount=5 readings=1")

	end(t, o, tb, 1_000_000_000) // everything is over, whatever timers were rounded to
	if s.Len(string(rune(spaceRights)))+s.Len(string(rune(spaceTimers))) > 0 {
		t.Errorf("%d readings and %d timers are kept for ever", s.Len(string(rune(spaceRights))), s.Len(string(rune(spaceTimers))))
	}
	// What was aggregated is final, and the rest of the row is not.
	take(t, o, "stg_orders", orderFields(), 1_000_000_000, order(5, "a", 13, "ann", int64(10), int64(40), int64(7), "new"))
	end(t, o, tb, 1_000_000_000)
	wantRows(t, "table later", cut(tb.Texts(), "id", "readings", "amount"), "id=a amount=7 readings=2", "id=c amount=5 readings=1")
}

func TestMilestonesAreTheFirstOfTheirRows(t *testing.T) {
	o, tb := open(t, ordersSpec(t), keyvaluetest.New()), recordtest.Table{}
	take(t, o, "stg_orders", orderFields(), record.NoTime, order(5, "a", 30, nil, nil, nil, int64(3), "paid"), order(6, "a", 40, nil, nil, nil, int64(4), "sent"))
	wantRows(t, "first", cut(end(t, o, tb, record.NoTime), "status", "paid_at", "paid"), "c status=sent paid_at=30 paid=3")
	take(t, o, "stg_orders", orderFields(), record.NoTime, order(7, "a", 20, nil, nil, nil, int64(2), "paid"), order(8, "a", 35, nil, nil, nil, int64(9), "paid"))
	wantRows(t, "earlier", cut(end(t, o, tb, record.NoTime), "status", "paid_at", "paid"), "u status=sent paid_at=20 paid=2")
}

func TestRowsThatCannotBeTakenAreRefused(t *testing.T) {
	spec := ordersSpec(t)
	spec.Derive = append(spec.Derive, projectiontest.Column(t, "share", "100 / amount"))
	spec.Columns = append(spec.Columns, "share")
	o := open(t, spec, keyvaluetest.New())
	bad := []recordtest.Row{order(1, "a", 1, nil, nil, nil, int64(0), nil), order(2, "", 1, nil, nil, nil, int64(1), nil), order(3, "c", 1, nil, nil, nil, int64(1), nil), order(4, "d", 1, nil, nil, nil, int64(1), nil)}
	bad[1].Values[0], bad[2].Values[1] = nil, nil
	var codes []string
	for _, r := range take(t, o, "stg_orders", orderFields(), record.NoTime, bad...) {
		codes = append(codes, r.Code+" "+r.Column)
	}
	wantRows(t, "codes", codes, "expression share", "null_key id", "null_event_time at")
	if tb := (recordtest.Table{}); len(end(t, o, tb, record.NoTime)) != 1 {
		t.Errorf("one order is left, got %q", tb.Texts())
	}
}

func TestAnOperationThatIsGivenUpLeavesNothing(t *testing.T) {
	s := keyvaluetest.New()
	o, tb := open(t, ordersSpec(t), s), recordtest.Table{}
	take(t, o, "stg_orders", orderFields(), record.NoTime, order(1, "a", 10, "ann", int64(10), int64(30), int64(5), "new"))
	end(t, o, tb, record.NoTime)
	before := s.Clone()
	take(t, o, "stg_readings", readingFields(), 5, reading(1, "ann", int64(10), int64(70)))
	end(t, o, recordtest.Table{tableKey(tb): tb.Texts()[0]}, 5)
	*s = *before
	o.Discard()
	wantRows(t, "after", end(t, o, tb, record.NoTime))
}

func tableKey(tb recordtest.Table) string {
	for k := range tb {
		return k
	}
	return ""
}

func TestARowOfAKeyedModelWithoutAGrainIsOfNoFact(t *testing.T) {
	spec := variant{keyed: true}.spec(t)
	spec.Joins, spec.Derive, spec.Columns = nil, nil, []string{"amount", "paid"}
	spec.Milestones = []projection.Column{projectiontest.Column(t, "paid", "amount * 1000000000000000")}
	o, tb := open(t, spec, keyvaluetest.New()), recordtest.Table{}
	row := func(id string, grain any, amount int64) []any {
		return []any{id, grain, int64(5), nil, nil, nil, amount, nil, int64(1), int64(2)}
	}
	step := func(want string, changes ...recordtest.Change) {
		t.Helper()
		follow(t, o, "int_orders", keyedOrders(), record.NoTime, changes...)
		end(t, o, tb, record.NoTime)
		if got := cut(tb.Texts(), "id", "amount"); strings.Join(got, ", ") != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	step("id=a amount=1", recordtest.Change{Op: record.OpCreate, Values: row("x", nil, 1<<60)}, recordtest.Change{Op: record.OpCreate, Values: row("y", "a", 1)}) // paid of x cannot be computed
	step("", recordtest.Change{Op: record.OpUpdate, Values: row("y", nil, 2)})
	step("id=b amount=3", recordtest.Change{Op: record.OpUpdate, Values: row("x", "b", 3)}, recordtest.Change{Op: record.OpUpdate, Values: row("y", nil, 3)})
	step("id=b amount=3", recordtest.Change{Op: record.OpDelete, Values: row("y", nil, 3)})
	step("", recordtest.Change{Op: record.OpDelete, Values: row("x", "b", 3)})
}
