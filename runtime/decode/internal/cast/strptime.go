package cast

import (
	"fmt"
	"math"
	"strings"
)

// layout is a compiled layout of POSIX strptime (IEEE Std 1003.1), with %f for
// a fraction of a second and %z for an offset as Python, glibc and Spark's
// users know them. Names of months and days are English.
type layout struct {
	text   string
	steps  []step
	offset bool // %z or %s: the text tells a moment
}

// step is one directive, or a literal byte if directive is 0. A directive ' '
// is any white space, none included.
type step struct {
	directive byte
	literal   byte
}

// composites are directives that stand for several.
var composites = map[byte]string{'D': "%m/%d/%y", 'F': "%Y-%m-%d", 'T': "%H:%M:%S", 'R': "%H:%M", 'r': "%I:%M:%S %p"}

const directives = "YmdeHIMSfyjbBhaApszntDFTRr%"

func parseLayout(text string) (*layout, error) {
	l := &layout{text: text}
	seen := map[byte]bool{}
	if err := l.add(text, seen); err != nil {
		return nil, err
	}
	l.offset = seen['z'] || seen['s']
	switch {
	case seen['s']:
	case !seen['Y'] && !seen['y']:
		return nil, fmt.Errorf("the layout has no year; expected %%Y, %%y or %%s")
	case !seen['j'] && !(seen['m'] && seen['d']):
		return nil, fmt.Errorf("the layout has no day of the year; expected a month (%%m, %%b) and a day (%%d, %%e), or %%j")
	}
	if seen['I'] != seen['p'] {
		return nil, fmt.Errorf("%%I (hours to 12) and %%p (AM or PM) go together")
	}
	return l, nil
}

// add appends the steps of text; seen collects what they set.
func (l *layout) add(text string, seen map[byte]bool) error {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == ' ' || c == '\t' || c == '\n' {
			l.steps = append(l.steps, step{directive: ' '})
			continue
		}
		if c != '%' {
			l.steps = append(l.steps, step{literal: c})
			continue
		}
		if i++; i == len(text) {
			return fmt.Errorf("the layout ends in a single %%; write %%%% for the character")
		}
		c = text[i]
		if strings.IndexByte(directives, c) < 0 {
			return fmt.Errorf("directive %%%c is not known; expected one of %%%s", c, strings.Join(strings.Split(directives, ""), " %"))
		}
		if parts, ok := composites[c]; ok {
			if err := l.add(parts, seen); err != nil {
				return err
			}
			continue
		}
		switch c {
		case 'n', 't':
			c = ' '
		case 'e':
			c = 'd'
		case 'h', 'B':
			c = 'b'
		case 'A':
			c = 'a'
		}
		l.steps = append(l.steps, step{directive: c})
		if c == 'b' {
			c = 'm'
		}
		seen[c] = true
	}
	return nil
}

// moment is what a text says so far.
type moment struct {
	year, month, day, yearDay int
	hour, minute, second      int
	micros                    int64
	afternoon, twelve         bool
	offset                    int64 // seconds east of UTC
	epoch                     int64 // of %s
	hasEpoch, before          bool  // before: %s begins with -
}

// parse reads s, whole or not at all: days since 1970-01-01 of its date, and
// microseconds since 1970-01-01T00:00:00, UTC if the layout has an offset.
func (l *layout) parse(s []byte) (days, micros int64, ok bool) {
	m := moment{month: 1, day: 1}
	for _, st := range l.steps {
		if s, ok = m.step(st, s); !ok {
			return 0, 0, false
		}
	}
	if len(s) > 0 {
		return 0, 0, false
	}
	return m.resolve()
}

func (m *moment) step(st step, s []byte) ([]byte, bool) {
	switch st.directive {
	case 0:
		if len(s) == 0 || s[0] != st.literal {
			return nil, false
		}
		return s[1:], true
	case '%':
		return m.step(step{literal: '%'}, s)
	case ' ':
		return trimSpace(s), true
	case 'b':
		return name(months, s, &m.month)
	case 'a':
		var day int
		return name(weekdays, s, &day)
	case 'p':
		return m.half(s)
	case 'f':
		return m.fraction(s)
	case 'z':
		return m.zone(s)
	case 's':
		return m.seconds(s)
	}
	return m.field(st.directive, s)
}

// field reads a number of fixed meaning.
func (m *moment) field(directive byte, s []byte) ([]byte, bool) {
	switch directive {
	case 'Y':
		return digits(s, 4, 0, 9999, &m.year)
	case 'y':
		rest, ok := digits(s, 2, 0, 99, &m.year)
		m.year += 1900 // POSIX: 69 to 99 are of the 1900s
		if m.year < 1969 {
			m.year += 100
		}
		return rest, ok
	case 'm':
		return digits(s, 2, 1, 12, &m.month)
	case 'd':
		return digits(trimSpace(s), 2, 1, 31, &m.day)
	case 'j':
		return digits(s, 3, 1, 366, &m.yearDay)
	case 'H':
		return digits(s, 2, 0, 23, &m.hour)
	case 'I':
		m.twelve = true
		return digits(s, 2, 1, 12, &m.hour)
	case 'M':
		return digits(s, 2, 0, 59, &m.minute)
	}
	return digits(s, 2, 0, 59, &m.second) // S
}

// resolve makes the time of the fields.
func (m *moment) resolve() (days, micros int64, ok bool) {
	if m.hasEpoch {
		if m.before {
			m.micros = -m.micros
		}
		micros = m.epoch*1_000_000 + m.micros
		return floorDiv(micros, 86_400_000_000), micros, true
	}
	switch {
	case m.yearDay > 0:
		if m.yearDay == 366 && !leap(m.year) {
			return 0, 0, false
		}
		days = daysOf(m.year, 1, 1) + int64(m.yearDay-1)
	case m.day > monthLength(m.year, m.month):
		return 0, 0, false
	default:
		days = daysOf(m.year, m.month, m.day)
	}
	hour := m.hour
	if m.twelve {
		hour %= 12
		if m.afternoon {
			hour += 12
		}
	}
	seconds := days*86_400 + int64(hour*3600+m.minute*60+m.second) - m.offset
	return days, seconds*1_000_000 + m.micros, true
}

// digits reads up to width digits of a number from low to high.
func digits(s []byte, width, low, high int, to *int) ([]byte, bool) {
	n, i := 0, 0
	for i < len(s) && i < width && s[i] >= '0' && s[i] <= '9' {
		n = n*10 + int(s[i]-'0')
		i++
	}
	*to = n
	return s[i:], i > 0 && n >= low && n <= high
}

// fraction reads the digits of a fraction of a second; what is finer than a
// microsecond is dropped.
func (m *moment) fraction(s []byte) ([]byte, bool) {
	unit, i := int64(100_000), 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		m.micros += int64(s[i]-'0') * unit
		unit /= 10
		i++
	}
	return s[i:], i > 0
}

// zone reads Z, +hhmm, +hh:mm or +hh.
func (m *moment) zone(s []byte) ([]byte, bool) {
	if len(s) > 0 && (s[0] == 'Z' || s[0] == 'z') {
		return s[1:], true
	}
	if len(s) < 3 || s[0] != '+' && s[0] != '-' || !twoDigits(s[1:]) {
		return nil, false
	}
	sign := int64(1)
	if s[0] == '-' {
		sign = -1
	}
	var hours, minutes int
	s, ok := digits(s[1:], 2, 0, 23, &hours)
	if !ok {
		return nil, false
	}
	if len(s) > 0 && s[0] == ':' {
		if s = s[1:]; !twoDigits(s) {
			return nil, false
		}
	}
	if twoDigits(s) {
		if s, ok = digits(s, 2, 0, 59, &minutes); !ok {
			return nil, false
		}
	}
	m.offset = sign * int64(hours*3600+minutes*60)
	return s, true
}

func twoDigits(s []byte) bool {
	return len(s) >= 2 && s[0] >= '0' && s[0] <= '9' && s[1] >= '0' && s[1] <= '9'
}

// half reads AM or PM.
func (m *moment) half(s []byte) ([]byte, bool) {
	if len(s) < 2 || s[1]|0x20 != 'm' {
		return nil, false
	}
	m.afternoon = s[0]|0x20 == 'p'
	return s[2:], m.afternoon || s[0]|0x20 == 'a'
}

// seconds reads seconds since 1970.
func (m *moment) seconds(s []byte) ([]byte, bool) {
	i := 0
	if len(s) > 0 && s[0] == '-' {
		m.before, i = true, 1
	}
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	x, ok := parseInteger(s[:i])
	m.epoch, m.hasEpoch = x, true
	return s[i:], ok && x <= math.MaxInt64/1_000_000-1 && x >= math.MinInt64/1_000_000+1
}

var (
	months = []string{"january", "february", "march", "april", "may", "june",
		"july", "august", "september", "october", "november", "december"}
	weekdays = []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}
)

// name reads one of names, whole or its first three letters, ignoring case,
// and sets its number from 1.
func name(names []string, s []byte, to *int) ([]byte, bool) {
	for i, full := range names {
		for _, n := range []string{full, full[:3]} {
			if len(s) >= len(n) && strings.EqualFold(string(s[:len(n)]), n) {
				*to = i + 1
				return s[len(n):], true
			}
		}
	}
	return nil, false
}

func trimSpace(s []byte) []byte {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t' || s[0] == '\n' || s[0] == '\r') {
		s = s[1:]
	}
	return s
}

func leap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

func monthLength(year, month int) int {
	if month == 2 && leap(year) {
		return 29
	}
	return [...]int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[month-1]
}

// daysOf counts days since 1970-01-01 in the proleptic Gregorian calendar, for
// years from 0 (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
func daysOf(year, month, day int) int64 {
	if month <= 2 {
		year--
	}
	era := floorDiv(int64(year), 400)
	ofEra := int64(year) - era*400
	ofYear := int64((153*((month+9)%12)+2)/5 + day - 1)
	return era*146_097 + ofEra*365 + ofEra/4 - ofEra/100 + ofYear - 719_468
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
