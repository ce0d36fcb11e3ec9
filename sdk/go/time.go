package calve

// ParseTimestamp reads RFC 3339 text, 2026-01-02T03:04:05.678+09:00, as
// microseconds since 1970-01-01 UTC; what is finer is cut off. In WebAssembly it
// is many times faster than time.Parse.
func ParseTimestamp(text string) (us int64, ok bool) {
	seconds, ok := dateTime(text)
	if !ok {
		return 0, false
	}
	if len(text) == 20 && text[19] == 'Z' {
		return seconds * 1_000_000, true
	}
	fraction, ahead, ok := fractionAndZone(text[19:])
	return (seconds-int64(ahead))*1_000_000 + int64(fraction), ok
}

// dateTime reads the 19 bytes up to the seconds, of at least 20. It calls
// nothing and has few branches: in WebAssembly each costs more than arithmetic.
func dateTime(text string) (seconds int64, ok bool) {
	if len(text) < 20 {
		return 0, false
	}
	t := text[:20]
	y1, y2, y3, y4 := int32(t[0])-'0', int32(t[1])-'0', int32(t[2])-'0', int32(t[3])-'0'
	m1, m2, d1, d2 := int32(t[5])-'0', int32(t[6])-'0', int32(t[8])-'0', int32(t[9])-'0'
	h1, h2, n1, n2 := int32(t[11])-'0', int32(t[12])-'0', int32(t[14])-'0', int32(t[15])-'0'
	s1, s2 := int32(t[17])-'0', int32(t[18])-'0'
	y, m, d := ((y1*10+y2)*10+y3)*10+y4, m1*10+m2, d1*10+d2
	h, n, s := h1*10+h2, n1*10+n2, s1*10+s2
	// The sign bit tells whether any is out of its range.
	wrong := y1 | y2 | y3 | y4 | m1 | m2 | d1 | d2 | h1 | h2 | n1 | n2 | s1 | s2
	wrong |= (9 - y1) | (9 - y2) | (9 - y3) | (9 - y4) | (9 - m2) | (9 - d2) | (9 - h2) | (9 - n2) | (9 - s2)
	wrong |= (m - 1) | (12 - m) | (d - 1) | (31 - d) | (23 - h) | (59 - n) | (59 - s)
	if wrong < 0 || t[4] != '-' || t[7] != '-' || t[10] != 'T' || t[13] != ':' || t[16] != ':' {
		return 0, false
	}
	if d > 28 && d > daysIn(y, m) {
		return 0, false
	}
	return int64(dayNumber(y, m, d))*86400 + int64(h*3600+n*60+s), true
}

// dayNumber counts days since 1970-01-01.
func dayNumber(y, m, d int32) int32 {
	// Years begin with March here, so that the leap day is the last one.
	early := int32(uint32(m-3) >> 31)        // 1 in January and February
	year, month := y+400-early, m-3+12*early // never negative
	return 365*year + year/4 - year/100 + year/400 + (153*month+2)/5 + d - 1 - 719_468 - 146_097
}

// fractionAndZone reads what follows the seconds: microseconds, and how many
// seconds the zone is ahead of UTC.
func fractionAndZone(text string) (fraction, ahead int32, ok bool) {
	i := 0
	if text[0] == '.' {
		i = 1
		for scale := int32(100_000); i < len(text) && text[i]-'0' <= 9; scale /= 10 {
			fraction += int32(text[i]-'0') * scale
			i++
		}
		if i == 1 {
			return 0, 0, false
		}
	}
	ahead, ok = offset(text[i:])
	return fraction, ahead, ok
}

// ParseDate reads YYYY-MM-DD as days since 1970-01-01.
func ParseDate(text string) (days int32, ok bool) {
	if len(text) != 10 || text[4] != '-' || text[7] != '-' {
		return 0, false
	}
	y, m, d := digits(text[:4]), digits(text[5:7]), digits(text[8:])
	if y < 0 || m < 1 || m > 12 || d < 1 || d > daysIn(y, m) {
		return 0, false
	}
	return dayNumber(y, m, d), true
}

func daysIn(year, month int32) int32 {
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

// digits is a number of a few digits, or -1.
func digits(text string) int32 {
	v := int32(0)
	for i := range len(text) {
		d := text[i] - '0'
		if d > 9 {
			return -1
		}
		v = v*10 + int32(d)
	}
	return v
}

// offset is the seconds that a zone is ahead of UTC.
func offset(text string) (seconds int32, ok bool) {
	if text == "Z" {
		return 0, true
	}
	if len(text) != 6 || text[0] != '+' && text[0] != '-' || text[3] != ':' {
		return 0, false
	}
	h, m := digits(text[1:3]), digits(text[4:])
	if uint32(h) > 23 || uint32(m) > 59 {
		return 0, false
	}
	seconds = h*3600 + m*60
	if text[0] == '-' {
		seconds = -seconds
	}
	return seconds, true
}
