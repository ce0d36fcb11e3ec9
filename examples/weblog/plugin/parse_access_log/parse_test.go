package main

import (
	"fmt"
	"testing"
	"time"
)

func TestParseReadsACombinedLine(t *testing.T) {
	got, p := parse(`83.149.9.216 - - [17/May/2015:10:05:03 +0200] "GET /a b?q=\"x\" HTTP/1.1" 200 203023 "http://e.org/" "Mozilla/5.0 (\"quoted\")"`)
	want := request{client: "83.149.9.216", method: "GET", path: `/a b?q=\"x\"`, protocol: "HTTP/1.1", status: 200, bytes: 203023,
		referrer: "http://e.org/", agent: `Mozilla/5.0 (\"quoted\")`, at: time.Date(2015, 5, 17, 8, 5, 3, 0, time.UTC).UnixMicro()}
	if p.code != "" || got != want {
		t.Errorf("got %+v, %+v, want %+v", got, p, want)
	}
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	const good = `c - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 - "-" "-"`
	if r, p := parse(good); p.code != "" || r.bytes != -1 {
		t.Fatalf("%+v %+v", r, p)
	}
	for line, want := range map[string]string{
		``: "malformed_line requested_at",
		` - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1 "-" "-"`:  "malformed_line client",
		`c - - [17/Mai/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1 "-" "-"`: "malformed_time requested_at",
		`c - - [31/Apr/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1 "-" "-"`: "malformed_time requested_at",
		`c - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1 200 1`:          "malformed_line path",
		`c - - [17/May/2015:10:05:03 +0000] "-" 400 1 "-" "-"`:              "malformed_request path",
		`c - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" OK 1 "-" "-"`:  "malformed_line status",
		`c - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1 "-" "Mo`: "unterminated_field user_agent",
		`c - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1 "http:`:  "unterminated_field referrer",
	} {
		_, p := parse(line)
		if got := p.code + " " + p.column; got != want || p.message == "" {
			t.Errorf("%q: got %q (%s), want %q", line, got, p.message, want)
		}
	}
}

func TestParseTimeAgreesWithTheStandardLibrary(t *testing.T) {
	for at := time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2110; at = at.Add(61*time.Hour + 7*time.Minute + 13*time.Second) {
		text := at.In(time.FixedZone("", -9000)).Format("02/Jan/2006:15:04:05 -0700")
		if got, ok := parseTime(text, true); !ok || got != at.UnixMicro() {
			t.Fatal(fmt.Sprintf("%s: got %d %v, want %d", text, got, ok, at.UnixMicro()))
		}
	}
}
