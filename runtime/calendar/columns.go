package calendar

import (
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// column is a column of the calendar: of a day, a value of int32, string, bool or
// a time that stands for a date.
type column struct {
	name string
	kind arrow.DataType
	of   func(t time.Time) any
}

// columns are those of every calendar, in table order. Weeks are those of ISO
// 8601: they begin on Mondays, and a year's first has its first Thursday, so that
// iso_year differs from year in the days around New Year.
var columns = []column{
	{ColumnKey, arrow.PrimitiveTypes.Int32, func(t time.Time) any { return keyOf(t) }},
	{"date", arrow.FixedWidthTypes.Date32, func(t time.Time) any { return t }},
	{"year", arrow.PrimitiveTypes.Int32, func(t time.Time) any { return int32(t.Year()) }},
	{"quarter", arrow.PrimitiveTypes.Int32, func(t time.Time) any { return int32(quarterOf(t)) }},
	{"year_quarter", arrow.BinaryTypes.String, func(t time.Time) any { return fmt.Sprintf("%04d-Q%d", t.Year(), quarterOf(t)) }},
	{"month", arrow.PrimitiveTypes.Int32, func(t time.Time) any { return int32(t.Month()) }},
	{"month_name", arrow.BinaryTypes.String, func(t time.Time) any { return t.Month().String() }},
	{"year_month", arrow.BinaryTypes.String, func(t time.Time) any { return t.Format("2006-01") }},
	{"iso_year", arrow.PrimitiveTypes.Int32, func(t time.Time) any { year, _ := t.ISOWeek(); return int32(year) }},
	{"week", arrow.PrimitiveTypes.Int32, func(t time.Time) any { _, week := t.ISOWeek(); return int32(week) }},
	{"day_of_month", arrow.PrimitiveTypes.Int32, func(t time.Time) any { return int32(t.Day()) }},
	{"day_of_year", arrow.PrimitiveTypes.Int32, func(t time.Time) any { return int32(t.YearDay()) }},
	{"day_of_week", arrow.PrimitiveTypes.Int32, func(t time.Time) any { return int32(weekdayOf(t)) }},
	{"day_name", arrow.BinaryTypes.String, func(t time.Time) any { return t.Weekday().String() }},
	{"is_weekend", arrow.FixedWidthTypes.Boolean, func(t time.Time) any { return weekdayOf(t) >= 6 }},
	{"first_day_of_week", arrow.FixedWidthTypes.Date32, func(t time.Time) any { return t.AddDate(0, 0, 1-weekdayOf(t)) }},
	{"last_day_of_week", arrow.FixedWidthTypes.Date32, func(t time.Time) any { return earlier(t.AddDate(0, 0, 7-weekdayOf(t)), lastDay) }},
	{"first_day_of_month", arrow.FixedWidthTypes.Date32, func(t time.Time) any { return firstOf(t, t.Month()) }},
	{"last_day_of_month", arrow.FixedWidthTypes.Date32, func(t time.Time) any { return firstOf(t, t.Month()+1).AddDate(0, 0, -1) }},
	{"first_day_of_quarter", arrow.FixedWidthTypes.Date32, func(t time.Time) any { return firstOf(t, quarterStart(t)) }},
	{"last_day_of_quarter", arrow.FixedWidthTypes.Date32, func(t time.Time) any { return firstOf(t, quarterStart(t)+3).AddDate(0, 0, -1) }},
	{"first_day_of_year", arrow.FixedWidthTypes.Date32, func(t time.Time) any { return firstOf(t, time.January) }},
	{"last_day_of_year", arrow.FixedWidthTypes.Date32, func(t time.Time) any { return firstOf(t, time.January+12).AddDate(0, 0, -1) }},
}

// lastDay is the last one that query engines have: the week of it ends there.
var lastDay = time.Date(9999, time.December, 31, 0, 0, 0, 0, time.UTC)

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func quarterOf(t time.Time) int { return (int(t.Month())-1)/3 + 1 }

func quarterStart(t time.Time) time.Month { return time.Month(3*quarterOf(t) - 2) }

// weekdayOf is 1 for Monday up to 7 for Sunday (ISO 8601).
func weekdayOf(t time.Time) int {
	if day := int(t.Weekday()); day > 0 {
		return day
	}
	return 7
}

// firstOf is the first day of a month of the year of t; months behind December are
// of the next.
func firstOf(t time.Time, month time.Month) time.Time {
	return time.Date(t.Year(), month, 1, 0, 0, 0, 0, time.UTC)
}

// builder collects rows.
type builder struct{ *array.RecordBuilder }

func newBuilder(mem memory.Allocator) builder {
	return builder{array.NewRecordBuilder(mem, Schema())}
}

func (b builder) release() { b.Release() }

func (b builder) batch() arrow.RecordBatch { return b.NewRecordBatch() }

// unknown adds the row of the unknown day.
func (b builder) unknown() {
	b.Field(0).(*array.Int32Builder).Append(UnknownKey)
	for _, f := range b.Fields()[1:] {
		f.AppendNull()
	}
}

// day adds the row of a day, days since 1970.
func (b builder) day(day int32) {
	t := dateOf(day)
	for i, c := range columns {
		switch f := b.Field(i).(type) {
		case *array.Int32Builder:
			f.Append(c.of(t).(int32))
		case *array.StringBuilder:
			f.Append(c.of(t).(string))
		case *array.BooleanBuilder:
			f.Append(c.of(t).(bool))
		case *array.Date32Builder:
			f.Append(arrow.Date32FromTime(c.of(t).(time.Time)))
		}
	}
}
