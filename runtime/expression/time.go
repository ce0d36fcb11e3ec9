package expression

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	microsecondsPerSecond = 1_000_000
	microsecondsPerDay    = 86_400 * microsecondsPerSecond

	// The years that every warehouse's dates and timestamps reach.
	firstDay, lastDay = -719_162, 2_932_896 // 0001-01-01 and 9999-12-31, from 1970-01-01
	firstMicrosecond  = firstDay * microsecondsPerDay
	lastMicrosecond   = (lastDay+1)*microsecondsPerDay - 1
)

func daysOf(us int64) int64 { return floorDiv(us, microsecondsPerDay) }

// midnight is a date's first microsecond; a column may hold days of which 64
// bits have none.
func midnight(days int64) (us int64, ok bool) {
	return days * microsecondsPerDay, days >= firstDay && days <= lastDay
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// civil is a date of days since 1970-01-01 (Howard Hinnant,
// chrono-compatible low-level date algorithms).
func civil(days int64) (year, month, day int64) {
	z := days + 719_468
	era := floorDiv(z, 146_097)
	doe := z - era*146_097
	yoe := (doe - doe/1460 + doe/36_524 - doe/146_096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day = doy - (153*mp+2)/5 + 1
	month = mp + 3
	if mp >= 10 {
		month = mp - 9
	}
	year = yoe + era*400
	if month <= 2 {
		year++
	}
	return year, month, day
}

// daysFrom is the inverse of civil.
func daysFrom(year, month, day int64) int64 {
	if month <= 2 {
		year--
	}
	era := floorDiv(year, 400)
	yoe := year - era*400
	mp := (month + 9) % 12
	doy := (153*mp+2)/5 + day - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return era*146_097 + doe - 719_468
}

func daysInMonth(year, month int64) int64 {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

var (
	errDate      = errors.New("expected a date as in 2024-02-29")
	errTimestamp = errors.New("expected a timestamp as in 2024-02-29T12:00:00, with Z or +01:00 behind it if it has a time zone")
)

// parseDate reads YYYY-MM-DD as days since 1970-01-01.
func parseDate(s string) (int64, error) {
	days, rest, ok := cutDate(s)
	if !ok || rest != "" {
		return 0, errDate
	}
	return days, nil
}

func cutDate(s string) (days int64, rest string, ok bool) {
	if len(s) < 10 || s[4] != '-' || s[7] != '-' {
		return 0, "", false
	}
	year, ok1 := number(s[:4])
	month, ok2 := number(s[5:7])
	day, ok3 := number(s[8:10])
	if !ok1 || !ok2 || !ok3 || year < 1 || month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month) {
		return 0, "", false
	}
	return daysFrom(year, month, day), s[10:], true
}

func number(s string) (n int64, ok bool) {
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, s != ""
}

// parseTimestamp reads a date, T or a space, a time to the microsecond and
// perhaps a zone; digits beyond are cut off. A date alone is its midnight. It
// returns µs since 1970-01-01, UTC if there is no zone.
func parseTimestamp(s string) (us int64, zoned bool, err error) {
	days, rest, ok := cutDate(s)
	if !ok {
		return 0, false, errTimestamp
	}
	us = days * microsecondsPerDay
	if rest == "" {
		return us, false, nil
	}
	if rest[0] != 'T' && rest[0] != 't' && rest[0] != ' ' {
		return 0, false, errTimestamp
	}
	clock, rest, ok := cutClock(rest[1:])
	if !ok {
		return 0, false, errTimestamp
	}
	us += clock
	if rest == "" {
		return us, false, nil
	}
	offset, ok := parseZone(rest)
	us -= offset
	if !ok || us < firstMicrosecond || us > lastMicrosecond {
		return 0, false, errTimestamp
	}
	return us, true, nil
}

// cutClock reads hh:mm, hh:mm:ss or hh:mm:ss.f… as µs.
func cutClock(s string) (us int64, rest string, ok bool) {
	if len(s) < 5 || s[2] != ':' {
		return 0, "", false
	}
	hour, ok1 := number(s[:2])
	minute, ok2 := number(s[3:5])
	if !ok1 || !ok2 || hour > 23 || minute > 59 {
		return 0, "", false
	}
	us = (hour*60 + minute) * 60 * microsecondsPerSecond
	s = s[5:]
	if s == "" || s[0] != ':' {
		return us, s, true
	}
	if len(s) < 3 {
		return 0, "", false
	}
	second, ok := number(s[1:3])
	if !ok || second > 59 {
		return 0, "", false
	}
	us += second * microsecondsPerSecond
	s = s[3:]
	if s == "" || s[0] != '.' {
		return us, s, true
	}
	end := digits(s, 1)
	if end == 1 {
		return 0, "", false
	}
	unit := int64(microsecondsPerSecond)
	for i := 1; i < end; i++ {
		unit /= 10
		us += unit * int64(s[i]-'0')
	}
	return us, s[end:], true
}

// parseZone reads Z, +hh, +hhmm or +hh:mm as µs.
func parseZone(s string) (us int64, ok bool) {
	s = strings.TrimPrefix(s, " ")
	if s == "Z" || s == "z" {
		return 0, true
	}
	if len(s) < 3 || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	hour, ok1 := number(s[1:3])
	minute, ok2 := int64(0), true
	if rest := strings.TrimPrefix(s[3:], ":"); len(s) > 3 {
		minute, ok2 = number(rest)
		ok2 = ok2 && len(rest) == 2
	}
	if !ok1 || !ok2 || hour > 23 || minute > 59 {
		return 0, false
	}
	us = (hour*60 + minute) * 60 * microsecondsPerSecond
	if s[0] == '-' {
		us = -us
	}
	return us, true
}

func appendPadded(b []byte, n int64, width int) []byte {
	for limit := int64(10); width > 1; width, limit = width-1, limit*10 {
		if n < limit {
			b = append(b, '0')
		}
	}
	return strconv.AppendInt(b, n, 10)
}

func appendDate(b []byte, days int64) []byte {
	year, month, day := civil(days)
	if year < 1 || year > 9999 { // a column may hold what no expression makes
		return time.Unix(days*86_400, 0).UTC().AppendFormat(b, "2006-01-02")
	}
	b = append(appendPadded(b, year, 4), '-')
	b = append(appendPadded(b, month, 2), '-')
	return appendPadded(b, day, 2)
}

func appendTimestamp(b []byte, us int64, zoned bool) []byte {
	days := daysOf(us)
	rest := us - days*microsecondsPerDay
	b = append(appendDate(b, days), 'T')
	seconds := rest / microsecondsPerSecond
	b = append(appendPadded(b, seconds/3600, 2), ':')
	b = append(appendPadded(b, seconds/60%60, 2), ':')
	b = appendPadded(b, seconds%60, 2)
	if fraction := rest % microsecondsPerSecond; fraction > 0 {
		b = appendPadded(append(b, '.'), fraction, 6)
		for b[len(b)-1] == '0' {
			b = b[:len(b)-1]
		}
	}
	if zoned {
		b = append(b, 'Z')
	}
	return b
}

// interval is a length of time. Months have no fixed length, so that the two
// parts stay apart.
type interval struct{ months, microseconds int64 }

const maxInterval = 10_000 * 366 * microsecondsPerDay

// parseInterval reads '5 minutes' or '1 day 12 hours'.
func parseInterval(s string) (interval, error) {
	words := strings.Fields(strings.ToLower(s))
	if len(words) == 0 || len(words)%2 != 0 {
		return interval{}, fmt.Errorf("expected a number and a unit as in '5 minutes', found '%s'", excerpt(s))
	}
	var out interval
	for i := 0; i < len(words); i += 2 {
		n, ok := parseLong(words[i])
		u, known := unitNamed(words[i+1])
		if !ok || n < -10_000_000_000_000 || n > 10_000_000_000_000 {
			return interval{}, fmt.Errorf("expected a whole number in an interval, found '%s'", excerpt(words[i]))
		}
		if !known {
			return interval{}, fmt.Errorf("unknown unit '%s' in an interval, expected one of %s", excerpt(words[i+1]), unitNames())
		}
		span, months := n, u.months > 0
		if months {
			span *= u.months
			out.months += span
		} else if n > maxInterval/u.microseconds || n < -maxInterval/u.microseconds {
			return interval{}, fmt.Errorf("the interval '%s' is longer than 10000 years", excerpt(s))
		} else {
			out.microseconds += n * u.microseconds
		}
		if max(out.months, -out.months) > 120_000 || max(out.microseconds, -out.microseconds) > maxInterval {
			return interval{}, fmt.Errorf("the interval '%s' is longer than 10000 years", excerpt(s))
		}
	}
	return out, nil
}

// addTo moves a time. Of months the day stays, or becomes the month's last.
func (i interval) addTo(us int64) (int64, bool) {
	if i.months != 0 {
		days := daysOf(us)
		clock := us - days*microsecondsPerDay
		year, month, day := civil(days)
		total := year*12 + month - 1 + i.months
		year, month = floorDiv(total, 12), total-floorDiv(total, 12)*12+1
		us = daysFrom(year, month, min(day, daysInMonth(year, month)))*microsecondsPerDay + clock
	}
	us += i.microseconds
	return us, us >= firstMicrosecond && us <= lastMicrosecond
}

func (i interval) negated() interval { return interval{-i.months, -i.microseconds} }

// isDays tells whether it has no part shorter than a day.
func (i interval) isDays() bool { return i.microseconds%microsecondsPerDay == 0 }
