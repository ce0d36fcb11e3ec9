package calve

import (
	"testing"
	"time"
)

func TestTimestampsAreThoseOfTimeParse(t *testing.T) {
	for _, text := range []string{
		"2026-01-02T03:04:05Z", "2026-01-02T03:04:05.6Z", "2026-01-02T03:04:05.678901999Z", "1969-12-31T23:59:59.25Z",
		"2026-01-02T03:04:05+09:00", "2026-01-02T03:04:05.5-08:30", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z",
		"2000-02-29T12:00:00-00:00", "1900-02-29T12:00:00Z", "2026-04-31T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
		"2026-01-00T00:00:00Z", "2026-01-02T24:00:00Z", "2026-01-02T23:60:00Z", "2026-01-02T23:59:60Z", "2026-01-02 03:04:05Z",
		"2026-01-02T03:04:05", "2026-01-02T03:04:05.Z", "2026-01-02T03:04:05.5", "2026-01-02T03:04:05+0900", "2026-01-02T03:04:05+09:00 ",
		"2026-01-02T03:04:05+9:000", "2026-01-02T03:04:05Zulu", "2026-01-0xT03:04:05Z", "2026-01-02Tx3:04:05Z", "yesterday", "",
	} {
		got, ok := ParseTimestamp(text)
		want, err := time.Parse(time.RFC3339, text)
		if ok != (err == nil) || ok && got != want.UnixMicro() {
			t.Errorf("%q: got %d, %v, want %d, %v", text, got, ok, want.UnixMicro(), err)
		}
	}
}

func TestEveryDayHasItsNumber(t *testing.T) {
	for day := time.Date(1599, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() < 2002; day = day.AddDate(0, 0, 1) {
		got, ok := ParseDate(day.Format(time.DateOnly))
		if want := day.Unix() / 86400; !ok || int64(got) != want {
			t.Fatalf("%s: got %d, %v, want %d", day.Format(time.DateOnly), got, ok, want)
		}
	}
}
