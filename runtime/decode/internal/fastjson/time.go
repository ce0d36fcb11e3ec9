package fastjson

// minute is the last minute that was read: those of a stream's events are
// mostly the same.
type minute struct {
	head, tail uint64 // the bytes of 2024-02-29T12:34
	micros     int64
}

// epochMinute is the first minute of 1970, for a reader that has read none: zero
// words would be equal to those of a string of zero bytes.
func epochMinute() minute {
	t := newText([]byte("1970-01-01T00:00"))
	return minute{head: t.word(0), tail: t.word(8)}
}

// timestamp reads RFC 3339, with an offset if the slot has one, as microseconds
// since 1970, rounded down; -1 if it is none, or has more than 15 decimal
// places.
func (r *Reader) timestamp(s *slot, i int) (int64, int) {
	t := r.text
	if t.byte(i) != '"' {
		return 0, -1
	}
	i++
	if head, tail := t.word(i), t.word(i+8); head != r.minute.head || tail != r.minute.tail {
		micros, ok := r.parseMinute(i)
		if !ok {
			return 0, -1
		}
		r.minute = minute{head, tail, micros}
	}
	seconds, ok := r.two(i+17, 60)
	if !ok || t.byte(i+16) != ':' {
		return 0, -1
	}
	micros := r.minute.micros + seconds*1_000_000
	i += 19
	if t.byte(i) == '.' {
		x, n := r.run(i + 1)
		switch {
		case n == 0 || n == 16:
			return 0, -1
		case n <= 6:
			micros += int64(x * powers[6-n])
		default:
			micros += int64(x / powers[n-6])
		}
		i += n + 1
	}
	if s.offset {
		east, end := r.eastward(i)
		if end < 0 {
			return 0, -1
		}
		micros, i = micros-east*60_000_000, end
	}
	if t.byte(i) != '"' {
		return 0, -1
	}
	return micros, i + 1
}

// eastward reads Z or an offset, as minutes.
func (r *Reader) eastward(i int) (int64, int) {
	c := r.text.byte(i)
	if c == 'Z' {
		return 0, i + 1
	}
	hours, ok1 := r.two(i+1, 24)
	minutes, ok2 := r.two(i+4, 60)
	if !ok1 || !ok2 || r.text.byte(i+3) != ':' {
		return 0, -1
	}
	switch c {
	case '+':
		return hours*60 + minutes, i + 6
	case '-':
		return -hours*60 - minutes, i + 6
	}
	return 0, -1
}

// parseMinute reads 2024-02-29T12:34.
func (r *Reader) parseMinute(i int) (int64, bool) {
	days, ok := r.day(i)
	hours, ok1 := r.two(i+11, 24)
	minutes, ok2 := r.two(i+14, 60)
	if !ok || !ok1 || !ok2 || r.text.byte(i+10) != 'T' || r.text.byte(i+13) != ':' {
		return 0, false
	}
	return ((days*24+hours)*60 + minutes) * 60_000_000, true
}

// date reads a date as days since 1970.
func (r *Reader) date(i int) (int32, int) {
	if r.text.byte(i) != '"' {
		return 0, -1
	}
	days, ok := r.day(i + 1)
	if !ok || r.text.byte(i+11) != '"' {
		return 0, -1
	}
	return int32(days), i + 12
}

// day reads 2024-02-29 as days since 1970, by the civil calendar.
func (r *Reader) day(i int) (int64, bool) {
	t := r.text
	century, ok1 := r.two(i, 100)
	year, ok2 := r.two(i+2, 100)
	month, ok3 := r.two(i+5, 13)
	day, ok4 := r.two(i+8, 32)
	if !ok1 || !ok2 || !ok3 || !ok4 || t.byte(i+4) != '-' || t.byte(i+7) != '-' || month == 0 || day == 0 {
		return 0, false
	}
	year += century * 100
	if day > int64(monthDays[month]) && !(month == 2 && day == 29 && year%4 == 0 && (year%100 != 0 || year%400 == 0)) {
		return 0, false
	}
	if month <= 2 { // years begin in March, so that leap days are their last
		year, month = year-1, month+12
	}
	era := year + 400 // not negative, in the same place of the 400-year cycle
	return era*365 + era/4 - era/100 + era/400 + (153*(month-3)+2)/5 + day - 1 - daysTo1970, true
}

// daysTo1970 is the number of days from March 1 of the year -400 to 1970.
const daysTo1970 = 719_468 + 146_097

var monthDays = [13]uint8{0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// two reads two digits below a limit.
func (r *Reader) two(i int, limit int64) (int64, bool) {
	a, b := r.text.byte(i)-'0', r.text.byte(i+1)-'0'
	x := int64(a)*10 + int64(b)
	return x, a <= 9 && b <= 9 && x < limit
}
