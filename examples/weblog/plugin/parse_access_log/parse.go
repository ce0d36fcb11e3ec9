package main

import "strings"

// request is one line: client ident user [time] "request" status bytes
// "referrer" "agent" (Apache HTTP Server, mod_log_config, "combined").
type request struct {
	client, method, path, protocol, referrer, agent string
	at                                              int64 // µs since 1970-01-01 UTC
	status                                          int32
	bytes                                           int64 // -1 where the log has a dash
}

type problem struct{ code, column, message string }

func parse(line string) (r request, p problem) {
	head, rest, ok := strings.Cut(line, " [")
	if !ok {
		return r, problem{"malformed_line", "requested_at", "no time in brackets"}
	}
	r.client, _, _ = strings.Cut(head, " ")
	if r.client == "" {
		return r, problem{"malformed_line", "client", "the line does not begin with a client"}
	}
	at, rest, ok := strings.Cut(rest, "] ")
	if r.at, ok = parseTime(at, ok); !ok {
		return r, problem{"malformed_time", "requested_at", "expected dd/Mon/yyyy:hh:mm:ss ±hhmm in brackets"}
	}
	text, rest, ok := quoted(rest)
	if !ok {
		return r, problem{"malformed_line", "path", "no closing quote after the request"}
	}
	if r.method, r.path, r.protocol, ok = parseRequest(text); !ok {
		return r, problem{"malformed_request", "path", "expected a method and a path in the request"}
	}
	if rest, ok = r.numbers(rest); !ok {
		return r, problem{"malformed_line", "status", "expected a status of three digits and a size after the request"}
	}
	if r.referrer, rest, ok = quoted(rest); !ok {
		return r, problem{"unterminated_field", "referrer", "no closing quote after the referrer"}
	}
	if r.agent, _, ok = quoted(rest); !ok {
		return r, problem{"unterminated_field", "user_agent", "no closing quote after the user agent: the line was cut off"}
	}
	return r, p
}

// quoted takes a quoted field off the front; a backslash escapes a quote.
func quoted(s string) (field, rest string, ok bool) {
	s = strings.TrimPrefix(s, " ")
	if !strings.HasPrefix(s, `"`) {
		return "", s, false
	}
	// strings.IndexByte is compiled to a tight loop, which a loop in Go that
	// looks at each byte is not.
	end := strings.IndexByte(s[1:], '"')
	if end < 0 {
		return "", s, false
	}
	if strings.IndexByte(s[1:end+1], '\\') < 0 {
		return s[1 : end+1], s[end+2:], true
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return s[1:i], s[i+1:], true
		}
	}
	return "", s, false
}

func parseRequest(s string) (method, path, protocol string, ok bool) {
	method, rest, ok := strings.Cut(s, " ")
	if !ok || method == "" {
		return "", "", "", false
	}
	path = rest
	if i := strings.LastIndexByte(rest, ' '); i >= 0 && strings.HasPrefix(rest[i+1:], "HTTP/") {
		path, protocol = rest[:i], rest[i+1:]
	}
	return method, path, protocol, path != ""
}

// numbers reads " <status> <bytes>".
func (r *request) numbers(s string) (rest string, ok bool) {
	if len(s) < 6 || s[0] != ' ' || s[4] != ' ' {
		return s, false
	}
	status, ok := digits(s[1:4])
	if !ok {
		return s, false
	}
	size, rest, _ := strings.Cut(s[5:], " ")
	r.status = int32(status)
	if size == "-" {
		r.bytes = -1
		return rest, true
	}
	r.bytes, ok = digits(size)
	return rest, ok
}

func digits(s string) (n int64, ok bool) {
	if s == "" || len(s) > 18 {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

// parseTime reads 17/May/2015:10:05:03 +0000.
func parseTime(s string, found bool) (int64, bool) {
	if !found || len(s) != 26 || s[2] != '/' || s[6] != '/' || s[11] != ':' || s[14] != ':' || s[17] != ':' || s[20] != ' ' {
		return 0, false
	}
	month := strings.Index(months, s[3:6])
	var v [7]int64
	for i, part := range []string{s[0:2], s[7:11], s[12:14], s[15:17], s[18:20], s[22:24], s[24:26]} {
		var ok bool
		if v[i], ok = digits(part); !ok {
			return 0, false
		}
	}
	day, year, hour, minute, second, zoneHour, zoneMinute := v[0], v[1], v[2], v[3], v[4], v[5], v[6]
	if month < 0 || month%3 != 0 || day < 1 || day > daysIn(month/3+1, year) || hour > 23 || minute > 59 || second > 60 || zoneHour > 23 || zoneMinute > 59 {
		return 0, false
	}
	zone := zoneHour*3600 + zoneMinute*60
	switch s[21] {
	case '-':
		zone = -zone
	case '+':
	default:
		return 0, false
	}
	return ((daysSince1970(year, month/3+1, day)*24+hour)*3600 + minute*60 + second - zone) * 1_000_000, true
}

func daysIn(month int, year int64) int64 {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSince1970 counts in years that begin in March, so that the leap day is
// the last (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
func daysSince1970(year int64, month int, day int64) int64 {
	m := int64(month)
	if m <= 2 {
		year--
		m += 12
	}
	era := year / 400
	ofEra := year - era*400
	ofYear := (153*(m-3)+2)/5 + day - 1
	return era*146097 + ofEra*365 + ofEra/4 - ofEra/100 + ofYear - 719468
}
