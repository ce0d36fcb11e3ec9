package project

import (
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s": 0, "250ms": 250 * time.Millisecond, "1.5s": 1500 * time.Millisecond, "90m": 90 * time.Minute,
		"1h30m": 90 * time.Minute, "30d": 720 * time.Hour, "1d12h": 36 * time.Hour, "0.5d": 12 * time.Hour, "106751d": 106751 * 24 * time.Hour,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "5", "-1s", "+1s", "1 s", "1w", "s", "1.s", ".5s", "1us", "1ns", "106752d", "99999999999999999999h", "1s "} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"0B": 0, "1B": 1, "512MB": 512_000_000, "10MiB": 10 << 20, "1.5KiB": 1536, "64 GB": 64e9, "2TiB": 2 << 40, "1KB": 1000,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "512", "MB", "-1MB", "1mb", "1M", "1  MB", "10000000TiB", "1PB", "1MB "} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

func TestSnakeCaseProposals(t *testing.T) {
	for text, want := range map[string]string{
		"OrderId": "order_id", "orderID": "order_id", "order-id": "order_id", "_file": "file", "customer id": "customer_id",
		"order_id": "", "1st": "", "é": "", "": "",
	} {
		if got := snakeCase(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestNearestNames(t *testing.T) {
	names := []string{"columns", "column", "kind", "from", "data_type"}
	for text, want := range map[string]string{
		"colums": `did you mean "columns"?`, "colunm": `did you mean "column"?`, "FROM": `did you mean "from"?`,
		"datatype": `did you mean "data_type"?`, "materialized": "", "kidn": `did you mean "kind"?`, "x": "",
	} {
		if got := didYouMean(text, names); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
