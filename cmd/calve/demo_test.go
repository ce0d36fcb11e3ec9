package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDemoAccountsForEveryLineAndIsContinued(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	var demo struct {
		RowsIn    int64 `json:"rows_in"`
		RowsOut   int64 `json:"rows_out"`
		Rejects   int64
		Files     int64
		Snapshots int64
		Dir       string
	}
	parse(t, mustCalve(t, "", "demo", "--keep", "--dir", dir, "--output", "json"), &demo)
	if demo.RowsIn != 10_000 || demo.RowsOut+demo.Rejects != demo.RowsIn || demo.Rejects == 0 || demo.Files == 0 || demo.Snapshots == 0 || demo.Dir != dir {
		t.Errorf("got %+v, want rows out and rejects to be 10000", demo)
	}
	// The kept project has its default port, which may be taken here.
	config := filepath.Join(dir, "calve.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, "\nconnections: {kafka: {embedded: {listen: \"127.0.0.1:0\"}}}\n"...)
	if err := os.WriteFile(config, text, 0o644); err != nil {
		t.Fatal(err)
	}
	wantJSON(t, mustCalve(t, "", "run", "--once", "--project", dir, "--output", "json"),
		`{"records":0,"rows_out":0,"dead_letters":0,"filtered":0,"epochs":0,"files":0,"last_epoch":0}`)
	o := calve(t, "", "demo", "--dir", dir)
	if o.code != exitUsage || !strings.Contains(o.errors, "not empty") {
		t.Errorf("a second demo in the folder: got exit code %d, errors %q; want %d", o.code, o.errors, exitUsage)
	}
}

func TestDemoShowsAndCleansUp(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	text := mustCalve(t, "", "demo", "--dir", dir)
	for _, part := range []string{"rows in    10000", "rows out", "rejects", "the first rows of staging.web_requests", "rows by day"} {
		if !strings.Contains(text, part) {
			t.Errorf("the demo does not print %q:\n%s", part, text)
		}
	}
	if strings.Contains(text, "catalog serve") {
		t.Error("the demo tells how to attach engines to what it removes")
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the demo left its folder (%v)", err)
	}
}
