package calendar_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/calendar"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
)

func open(t *testing.T, state keyvalue.Store, first, last string) *calendar.Operator {
	t.Helper()
	p, err := calendar.Compile(calendar.Spec{Model: "dim_date", First: first, Last: last})
	if err != nil {
		t.Fatal(err)
	}
	return p.Open(state)
}

// table is rows as text by key, to which changes are applied.
type table map[string]string

func (rows table) end(t *testing.T, o *calendar.Operator) (ops string) {
	t.Helper()
	changes, err := o.End(context.Background(), record.NoTime)
	if err != nil {
		t.Fatal(err)
	}
	defer changes.Release()
	if err := changes.Check(); err != nil {
		t.Fatal(err)
	}
	count := map[record.Op]int{}
	for i, op := range changes.Ops {
		count[op]++
		key, row := rowText(changes.Rows, i)
		_, have := rows[key]
		if have != (op != record.OpCreate) {
			t.Errorf("operation %s of day %s, which was there: %v", op, key, have)
		}
		if op == record.OpDelete {
			delete(rows, key)
		} else {
			rows[key] = row
		}
	}
	return fmt.Sprintf("%d created, %d updated, %d deleted", count[record.OpCreate], count[record.OpUpdate], count[record.OpDelete])
}

func rowText(rows arrow.RecordBatch, row int) (key, text string) {
	var parts []string
	for _, c := range rows.Columns() {
		parts = append(parts, c.ValueStr(row))
	}
	return parts[0], strings.Join(parts, " ")
}

func TestDaysOfTheCalendar(t *testing.T) {
	rows := table{}
	if got, want := rows.end(t, open(t, keyvaluetest.New(), "2020-01-01", "2035-12-31")), "5845 created, 0 updated, 0 deleted"; got != want {
		t.Errorf("16 years, 4 of them leap years, and the unknown day: got %s, want %s", got, want)
	}
	for key, want := range map[string]string{
		"0":        "0" + strings.Repeat(" (null)", 22),
		"20240229": "20240229 2024-02-29 2024 1 2024-Q1 2 February 2024-02 2024 9 29 60 4 Thursday false 2024-02-26 2024-03-03 2024-02-01 2024-02-29 2024-01-01 2024-03-31 2024-01-01 2024-12-31",
		"20210103": "20210103 2021-01-03 2021 1 2021-Q1 1 January 2021-01 2020 53 3 3 7 Sunday true 2020-12-28 2021-01-03 2021-01-01 2021-01-31 2021-01-01 2021-03-31 2021-01-01 2021-12-31",
		"20241230": "20241230 2024-12-30 2024 4 2024-Q4 12 December 2024-12 2025 1 30 365 1 Monday false 2024-12-30 2025-01-05 2024-12-01 2024-12-31 2024-10-01 2024-12-31 2024-01-01 2024-12-31",
	} {
		if rows[key] != want {
			t.Errorf("day %s: got\n%s\nwant\n%s", key, rows[key], want)
		}
	}
}

func TestTheLastWeekEndsWithTheLastDayOfEngines(t *testing.T) {
	rows := table{}
	rows.end(t, open(t, keyvaluetest.New(), "9999-12-20", "9999-12-31"))
	for key, want := range map[string]string{
		"99991226": "99991226 9999-12-26 9999 4 9999-Q4 12 December 9999-12 9999 51 26 360 7 Sunday true 9999-12-20 9999-12-26 9999-12-01 9999-12-31 9999-10-01 9999-12-31 9999-01-01 9999-12-31",
		"99991231": "99991231 9999-12-31 9999 4 9999-Q4 12 December 9999-12 9999 52 31 365 5 Friday false 9999-12-27 9999-12-31 9999-12-01 9999-12-31 9999-10-01 9999-12-31 9999-01-01 9999-12-31",
	} {
		if rows[key] != want {
			t.Errorf("day %s: got\n%s\nwant\n%s", key, rows[key], want)
		}
	}
}

func TestADayThatWasMadeStays(t *testing.T) {
	state := keyvaluetest.New()
	rows := table{}
	rows.end(t, open(t, state, "2024-01-01", "2024-01-10"))
	for _, step := range []struct{ first, last, want string }{
		{"2024-01-01", "2024-01-10", "0 created, 0 updated, 0 deleted"},
		{"2023-12-30", "2024-01-08", "2 created, 0 updated, 0 deleted"},
		{"2024-01-05", "2024-01-20", "10 created, 0 updated, 0 deleted"},
		{"2024-01-05", "2024-01-06", "0 created, 0 updated, 0 deleted"},
		{"2023-12-01", "2023-12-02", "29 created, 0 updated, 0 deleted"}, // and those between
	} {
		o := open(t, state, step.first, step.last)
		if got := rows.end(t, o); got != step.want {
			t.Errorf("range from %s to %s: got %s, want %s", step.first, step.last, got, step.want)
		}
		if o.Pending() {
			t.Errorf("range from %s to %s: still pending after its rows were made", step.first, step.last)
		}
	}
	fresh := table{}
	fresh.end(t, open(t, keyvaluetest.New(), "2023-12-01", "2024-01-20"))
	if !maps.Equal(rows, fresh) {
		t.Errorf("got days %v, a new calendar has %v", slices.Sorted(maps.Keys(rows)), slices.Sorted(maps.Keys(fresh)))
	}
}

func TestARangeTooFarFromTheDaysThereAreIsRefused(t *testing.T) {
	state, rows := keyvaluetest.New(), table{}
	rows.end(t, open(t, state, "2024-01-01", "2024-01-10"))
	_, err := open(t, state, "3500-01-01", "3500-01-02").End(context.Background(), record.NoTime)
	if !errors.Is(err, calendar.ErrTooLong) || !strings.Contains(err.Error(), "from 2024-01-01 to 3500-01-02") {
		t.Errorf("got error %v, want ErrTooLong", err)
	}
	if got, want := rows.end(t, open(t, state, "2024-01-01", "2024-01-11")), "1 created, 0 updated, 0 deleted"; got != want {
		t.Errorf("with a range that is near: got %s, want %s", got, want)
	}
}

func TestDiscardedEpochIsMadeAgain(t *testing.T) {
	before := keyvaluetest.New()
	o := open(t, before, "2024-01-01", "2024-01-02")
	if !o.Pending() {
		t.Error("a calendar without rows is not pending")
	}
	if got, want := (table{}).end(t, o), "3 created, 0 updated, 0 deleted"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if err := before.Write([]keyvalue.Change{{Key: []byte("range")}}); err != nil { // the state is put back
		t.Fatal(err)
	}
	o.Discard()
	if !o.Pending() {
		t.Error("a calendar whose epoch was given up is not pending")
	}
	if got, want := (table{}).end(t, o), "3 created, 0 updated, 0 deleted"; got != want {
		t.Errorf("after the epoch was given up: got %s, want %s", got, want)
	}
}

func TestStateThatIsNotOneIsRefused(t *testing.T) {
	state := keyvaluetest.New()
	if err := state.Write([]keyvalue.Change{{Key: []byte("range"), Value: []byte{1}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, state, "2024-01-01", "2024-01-02").End(context.Background(), 0); !errors.Is(err, keyvalue.ErrCorrupt) {
		t.Errorf("got error %v, want ErrCorrupt", err)
	}
}

func TestKeysOfDays(t *testing.T) {
	p, err := calendar.Compile(calendar.Spec{Model: "dim_date", First: "1970-01-01", Last: "1970-01-31"})
	if err != nil {
		t.Fatal(err)
	}
	for day, want := range map[int32]int32{0: 19700101, 30: 19700131, 31: calendar.UnknownKey, -1: calendar.UnknownKey} {
		if got := p.Resolve(day); got != want {
			t.Errorf("key of day %d: got %d, want %d", day, got, want)
		}
	}
}

func TestRangesThatAreNoCalendarAreRefused(t *testing.T) {
	for _, test := range []struct{ first, last, want string }{
		{"2024-01-02", "2024-01-01", "its last day 2024-01-01 is before its first"},
		{"2024-1-2", "2024-01-03", "first day"},
		{"2024-01-02", "never", "last day"},
		{"1000-01-01", "2999-12-31", calendar.ErrTooLong.Error()},
		{"0000-12-31", "0001-12-31", "no days before 0001-01-01"},
	} {
		_, err := calendar.Compile(calendar.Spec{Model: "dim_date", First: test.first, Last: test.last})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("from %s to %s: got error %v, want one with %q", test.first, test.last, err, test.want)
		}
	}
}
