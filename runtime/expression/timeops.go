package expression

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// unit is a unit of time: of a fixed length, or of months.
type unit struct {
	name         string
	microseconds int64
	months       int64
}

var units = []unit{
	{"microsecond", 1, 0}, {"millisecond", 1000, 0}, {"second", microsecondsPerSecond, 0}, {"minute", 60 * microsecondsPerSecond, 0},
	{"hour", 3600 * microsecondsPerSecond, 0}, {"day", microsecondsPerDay, 0}, {"week", 7 * microsecondsPerDay, 0},
	{"month", 0, 1}, {"quarter", 0, 3}, {"year", 0, 12},
}

// unitNamed finds a unit by its name, singular or plural.
func unitNamed(name string) (unit, bool) {
	name = strings.TrimSuffix(strings.ToLower(name), "s")
	i := slices.IndexFunc(units, func(u unit) bool { return u.name == name })
	if i < 0 {
		return unit{}, false
	}
	return units[i], true
}

func unitNames() string {
	names := make([]string, len(units))
	for i, u := range units {
		names[i] = u.name
	}
	return strings.Join(names, ", ")
}

// truncate is the beginning of the unit that a time is in. Weeks begin on
// Monday.
func (u unit) truncate(us int64) int64 {
	switch {
	case u.months > 0:
		return daysFrom(u.month(us)) * microsecondsPerDay
	case u.name == "week":
		const monday = -3 // 1969-12-29
		return (floorDiv(daysOf(us)-monday, 7)*7 + monday) * microsecondsPerDay
	}
	return floorDiv(us, u.microseconds) * u.microseconds
}

// month is the first day of the month, quarter or year that a time is in.
func (u unit) month(us int64) (year, month, day int64) {
	year, month, _ = civil(daysOf(us))
	return year, (month-1)/u.months*u.months + 1, 1
}

// between counts the boundaries of the unit from one time to another.
func (u unit) between(from, to int64) int64 {
	if u.months > 0 {
		y1, m1, _ := u.month(from)
		y2, m2, _ := u.month(to)
		return ((y2*12 + m2) - (y1*12 + m1)) / u.months
	}
	a, b := u.truncate(from), u.truncate(to)
	return (b - a) / u.microseconds
}

// shift is a time plus or minus an interval.
func shift(n *binaryNode, x, y *term) (*term, *fault) {
	moved, by := x, y.interval
	if by == nil && n.op == "+" {
		moved, by = y, x.interval
	}
	switch {
	case n.op != "+" && n.op != "-" || by == nil || moved.interval != nil:
		return nil, failf(n.at(), "%s does not take an interval here", n.op).hinted("an interval is added to a date or a timestamp, or taken from one")
	case moved.typ == nil:
		return nullTerm(n.at(), typeTimestamptz), nil
	case !isTime(moved.typ):
		return nil, failf(moved.at, "an interval is added to a date or a timestamp, found %s", typeName(moved.typ)).hinted("cast it, as in cast(x as timestamptz)")
	}
	length := *by
	if n.op == "-" {
		length = length.negated()
	}
	ofDate := is(moved.typ, arrow.DATE32)
	if ofDate && !length.isDays() {
		return nil, failf(n.at(), "a date and an interval with parts of a day make no date").hinted("cast the date to timestamp or timestamptz")
	}
	return apply(n.at(), moved.typ, shiftKernel(n.op, length, moved.typ), moved), nil
}

func shiftKernel(op string, length interval, t arrow.DataType) kernel1 {
	scale := int64(1)
	if is(t, arrow.DATE32) {
		scale = microsecondsPerDay
	}
	return func(r *run, v *vector) *vector {
		return withInts(try1(r.rows, v, v.ints, func(at int64) (int64, bool) {
			if at > lastMicrosecond/scale || at < firstMicrosecond/scale {
				return 0, false
			}
			us, ok := length.addTo(at * scale)
			return us / scale, ok
		}, func(row int) string {
			return fmt.Sprintf("%s %s the interval is outside the years 1 to 9999", v.show(row, t), op)
		}))
	}
}

// asMicroseconds widens a date to the µs of its midnight.
func asMicroseconds(t *term) *term {
	if is(t.typ, arrow.DATE32) {
		return convertTo(t, typeTimestamp)
	}
	return t
}

// datePart is a part of a date or time, by its name.
type datePart struct {
	of    func(us int64) int64
	clock bool // of the time of day: a date has none
	long  bool
}

var dateParts = map[string]datePart{
	"year":        {of: func(us int64) int64 { y, _, _ := civil(daysOf(us)); return y }},
	"quarter":     {of: func(us int64) int64 { _, m, _ := civil(daysOf(us)); return (m + 2) / 3 }},
	"month":       {of: func(us int64) int64 { _, m, _ := civil(daysOf(us)); return m }},
	"day":         {of: func(us int64) int64 { _, _, d := civil(daysOf(us)); return d }},
	"isodow":      {of: isoWeekday},
	"doy":         {of: func(us int64) int64 { y, _, _ := civil(daysOf(us)); return daysOf(us) - daysFrom(y, 1, 1) + 1 }},
	"week":        {of: isoWeek},
	"hour":        {of: func(us int64) int64 { return clockOf(us) / (3600 * microsecondsPerSecond) }, clock: true},
	"minute":      {of: func(us int64) int64 { return clockOf(us) / (60 * microsecondsPerSecond) % 60 }, clock: true},
	"second":      {of: func(us int64) int64 { return clockOf(us) / microsecondsPerSecond % 60 }, clock: true},
	"millisecond": {of: func(us int64) int64 { return clockOf(us) / 1000 % 1000 }, clock: true},
	"microsecond": {of: func(us int64) int64 { return clockOf(us) % microsecondsPerSecond }, clock: true},
	"epoch":       {of: func(us int64) int64 { return floorDiv(us, microsecondsPerSecond) }, long: true},
}

func clockOf(us int64) int64 { return us - daysOf(us)*microsecondsPerDay }

// isoWeekday is 1 for Monday to 7 for Sunday.
func isoWeekday(us int64) int64 {
	const monday = -3
	days := daysOf(us) - monday
	return days - floorDiv(days, 7)*7 + 1
}

// isoWeek is the week of ISO 8601: that of a year's first Thursday is 1.
func isoWeek(us int64) int64 {
	thursday := daysOf(us) - isoWeekday(us) + 4
	year, _, _ := civil(thursday)
	return (thursday-daysFrom(year, 1, 1))/7 + 1
}

// instantKernel makes timestamps of counts of a unit since 1970-01-01.
func instantKernel(name string, per int64) kernel1 {
	return func(r *run, v *vector) *vector {
		why := func(row int) string {
			return fmt.Sprintf("%s(%s) is outside the years 1 to 9999", name, v.showNumber(row))
		}
		if v.doubles != nil {
			return withInts(try1(r.rows, v, v.doubles, func(x float64) (int64, bool) {
				us := math.Floor(x * float64(per))
				return int64(us), us >= firstMicrosecond && us <= lastMicrosecond
			}, why))
		}
		return withInts(try1(r.rows, v, v.ints, func(n int64) (int64, bool) {
			return n * per, n >= firstMicrosecond/per && n <= lastMicrosecond/per
		}, why))
	}
}

func (v *vector) showNumber(row int) string {
	if v.doubles != nil {
		return v.show(row, typeDouble)
	}
	return v.show(row, typeLong)
}

// exactInstantKernel is instantKernel for decimals, whose digits beyond the
// microsecond are cut off.
func exactInstantKernel(name string, per int64, from *arrow.Decimal128Type) kernel1 {
	return func(r *run, v *vector) *vector {
		var w wide
		return withInts(try1(r.rows, v, v.decimals, func(n decimal128.Num) (int64, bool) {
			w.set(&w.x, n)
			w.x.Mul(&w.x, w.y.SetInt64(per))
			w.z.Div(&w.x, powerOfTen(from.Scale)) // Euclidean: towards the past
			if !w.z.IsInt64() {
				return 0, false
			}
			us := w.z.Int64()
			return us, us >= firstMicrosecond && us <= lastMicrosecond
		}, func(row int) string {
			return fmt.Sprintf("%s(%s) is outside the years 1 to 9999", name, v.show(row, from))
		}))
	}
}
