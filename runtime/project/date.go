package project

import (
	"fmt"
	"time"

	"github.com/calvelake/calve/runtime/calendar"
)

// Date is the part of a model of kind date: the calendar from First to Last,
// both included, in the project's time zone.
type Date struct {
	First, Last string // YYYY-MM-DD
}

var dateShape = object[Model]{
	name:  "date model",
	doc:   "The calendar dimension: date_key as yyyymmdd, 0 for unknown.",
	start: func(m *Model) { m.Date = &Date{} },
	fields: modelFields([]field[Model]{
		key("range", list[string]{of: calendarDate, exact: 2}, func(m *Model) *[]string { return &m.dateRange }, "First and last day, as in [2020-01-01, 2035-12-31].").must(),
	}),
	check: func(r reader, m *Model) {
		m.Date.First, m.Date.Last = m.dateRange[0], m.dateRange[1]
		if m.Date.First > m.Date.Last {
			r.failAt("range", "the range ends before it begins", "give the first day, then the last")
		}
	},
}

var calendarDate = patterned("a date, YYYY-MM-DD", `^[0-9]{4}-[0-9]{2}-[0-9]{2}$`, func(text string) (string, error) {
	if _, err := time.Parse(time.DateOnly, text); err != nil {
		return "", fmt.Errorf("%q is no date, expected YYYY-MM-DD", excerpt(text))
	}
	return text, nil
})

// dateColumns gives the columns of the calendar, which are the same for all. Its
// rows come from no record, so that there are no columns of one.
func dateColumns() *columnSet {
	out := newColumnSet()
	for _, f := range calendar.Schema().Fields() {
		out.add(f.Name, f.Type, "kind")
	}
	return out
}
