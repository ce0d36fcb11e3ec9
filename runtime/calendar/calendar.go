// Package calendar makes the rows of a date dimension: one for each day of a
// range, and one that stands for an unknown day. They follow from the calendar
// alone, so that nothing is read. No day goes, for facts may have its key: a range
// that was changed adds the days up to it.
package calendar

import (
	"errors"
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/record/keyvalue"
)

// ColumnKey is the column of a day's key, yyyymmdd as an int.
const ColumnKey = "date_key"

// UnknownKey is the key of the row that stands for an unknown day; its other
// columns are null.
const UnknownKey int32 = 0

// mostDays keeps the rows, which are made at once, below about 100 MB: a range of
// a thousand years.
const mostDays = 366_000

// ErrTooLong: the range has more days than a calendar is made of.
var ErrTooLong = errors.New("the range is longer than 1,000 years")

// errNoYear: engines have no days before year 1.
var errNoYear = errors.New("query engines have no days before 0001-01-01")

// Spec is what a calendar is to be.
type Spec struct {
	Model       string // for messages
	First, Last string // days, YYYY-MM-DD, both included
}

// Program is a Spec that was checked. It is immutable.
type Program struct {
	model string
	days  span
}

// Compile checks a Spec.
func Compile(spec Spec) (*Program, error) {
	first, err := dayOf(spec.First)
	if err != nil {
		return nil, fmt.Errorf("calendar %s: first day: %w", spec.Model, err)
	}
	last, err := dayOf(spec.Last)
	if err != nil {
		return nil, fmt.Errorf("calendar %s: last day: %w", spec.Model, err)
	}
	if dateOf(first).Year() < 1 {
		return nil, fmt.Errorf("calendar %s: first day %s: %w", spec.Model, spec.First, errNoYear)
	}
	days := span{first, last + 1}
	if days.to <= days.from {
		return nil, fmt.Errorf("calendar %s: its last day %s is before its first, %s", spec.Model, spec.Last, spec.First)
	}
	if days.to-days.from > mostDays {
		return nil, fmt.Errorf("calendar %s from %s to %s: %w", spec.Model, spec.First, spec.Last, ErrTooLong)
	}
	return &Program{model: spec.Model, days: days}, nil
}

// Schema is the columns of the calendar's table.
func (p *Program) Schema() *arrow.Schema { return Schema() }

// Key is the columns that tell its rows apart.
func (p *Program) Key() []string { return []string{ColumnKey} }

// StateVersion tells encodings of state apart. It does not depend on the range.
func (p *Program) StateVersion() int { return stateVersion }

// Resolve is the key of a day, days since 1970; UnknownKey of one that is outside
// of the range.
func (p *Program) Resolve(day int32) int32 {
	if day < p.days.from || day >= p.days.to {
		return UnknownKey
	}
	return keyOf(dateOf(day))
}

// Open goes on from what the state has, which must be of this StateVersion.
func (p *Program) Open(state keyvalue.Store) *Operator { return &Operator{program: p, state: state} }

// span is days since 1970, from up to, but without, to.
type span struct{ from, to int32 }

func (s span) has(day int32) bool { return s.from <= day && day < s.to }

func (s span) isEmpty() bool { return s.to <= s.from }

// with is the days from the first to the last of two spans.
func (s span) with(o span) span {
	if s.isEmpty() {
		return o
	}
	return span{min(s.from, o.from), max(s.to, o.to)}
}

func dayOf(text string) (int32, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return 0, fmt.Errorf("parse %q as YYYY-MM-DD: %w", text, err)
	}
	return int32(arrow.Date32FromTime(t)), nil
}

func dateOf(day int32) time.Time { return arrow.Date32(day).ToTime() }

func keyOf(t time.Time) int32 {
	return int32(t.Year()*10_000 + int(t.Month())*100 + t.Day())
}
