package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestDemoAccountsForEveryLineAndIsContinued(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	demo := wantDemo(t, dir, "weblog")
	if demo.RowsIn != 10_000 || demo.RowsOut+demo.Rejects != demo.RowsIn || demo.Rejects == 0 || demo.Dir != dir {
		t.Errorf("got %+v, want rows out and rejects to be 10000", demo)
	}
	// Computed from data/access.log in Python, by sorting each client's and
	// agent's requests; interop/sessions does it in SQL, for all columns.
	const sessions, pages, bytes = 3223, 3770, 2_747_282_505
	if got := demo.rows("staging.web_requests"); got != demo.RowsOut {
		t.Errorf("staging.web_requests has %d rows, want %d", got, demo.RowsOut)
	}
	if got := demo.rows("intermediate.int_sessions"); got != sessions {
		t.Errorf("got %d sessions, want %d", got, sessions)
	}
	visits := sampled(t, dir, "intermediate.int_sessions", sessions)
	requests, bots := 0.0, 0
	sum := map[string]float64{}
	for _, v := range visits {
		requests += v["requests"].(float64)
		sum["pages"] += v["pages"].(float64)
		sum["bytes"] += v["bytes"].(float64)
		if v["is_bot"].(bool) {
			bots++
		}
	}
	if len(visits) != sessions || int64(requests) != demo.RowsOut || sum["pages"] != pages || sum["bytes"] != bytes {
		t.Errorf("%d sessions have %v requests, %v; want %d with %d, %d pages and %d bytes", len(visits), requests, sum, sessions, demo.RowsOut, pages, bytes)
	}
	if want := 1428; bots != want { // by the SQL of interop/sessions
		t.Errorf("got %d bots, want %d", bots, want)
	}
	listenAnywhere(t, dir)
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
	for _, part := range []string{"rows in    10000", "rows out", "rejects", "some rows of staging.web_requests", "rows by day", "some rows of intermediate.int_sessions", "intermediate.int_sessions  3223"} {
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

// demoRun is what a demo that is kept has printed.
type demoRun struct {
	RowsIn  int64 `json:"rows_in"`
	RowsOut int64 `json:"rows_out"`
	Rejects int64
	Tables  []struct {
		Name        string
		Rows, Files int64
		Snapshots   int64
	}
	Dir string
}

func wantDemo(t *testing.T, dir, example string) demoRun {
	t.Helper()
	var d demoRun
	parse(t, mustCalve(t, "", "demo", "--example", example, "--keep", "--dir", dir, "--output", "json"), &d)
	for _, table := range d.Tables {
		if table.Files == 0 || table.Snapshots == 0 {
			t.Errorf("got %+v, want files and snapshots", table)
		}
	}
	return d
}

// rows of a table; -1 if the demo has not told of it.
func (d demoRun) rows(table string) int64 {
	for _, one := range d.Tables {
		if one.Name == table {
			return one.Rows
		}
	}
	return -1
}

// sampled reads up to limit rows of a kept project's table by column.
func sampled(t *testing.T, dir, table string, limit int) []map[string]any {
	t.Helper()
	var sample struct {
		Columns []string
		Rows    [][]any
	}
	parse(t, mustCalve(t, "", "table", "sample", table, "--limit", strconv.Itoa(limit), "--project", dir, "--output", "json"), &sample)
	var rows []map[string]any
	for _, values := range sample.Rows {
		row := map[string]any{}
		for i, name := range sample.Columns {
			row[name] = values[i]
		}
		rows = append(rows, row)
	}
	return rows
}

// listenAnywhere frees a kept project from its default port, which may be taken
// here.
func listenAnywhere(t *testing.T, dir string) {
	t.Helper()
	config := filepath.Join(dir, "calve.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, "\nconnections: {kafka: {embedded: {listen: \"127.0.0.1:0\"}}}\n"...)
	if err := os.WriteFile(config, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestDemoAmendsSessionsAndJoinsByWhatComesLate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	demo := wantDemo(t, dir, "athlete")
	// 17 readings are 0: the strap slipped.
	if demo.RowsIn != 25_879 || demo.RowsOut != demo.RowsIn-17 || demo.Rejects != 17 {
		t.Errorf("got %+v, want 25879 rows in and 17 rejects", demo)
	}
	if got := demo.rows("staging.stg_pose_events"); got != 24_550 {
		t.Errorf("got %d frames, want 24550", got)
	}
	wantSessions(t, sampled(t, dir, "intermediate.int_training_sessions", 100), trainingSessions,
		"duration_seconds", "frames", "exercises", "repetitions", "deepest_knee_angle", "unsure_frames")
	wantSessions(t, sampled(t, dir, "marts.fct_training_sessions", 100), trainingHearts, "frames", "readings", "avg_heart_rate", "max_heart_rate")
}

func wantSessions(t *testing.T, rows []map[string]any, want map[string]string, columns ...string) {
	t.Helper()
	got := map[string]string{}
	for _, row := range rows {
		var values []string
		for _, name := range columns {
			values = append(values, fmt.Sprint(row[name]))
		}
		got[fmt.Sprintf("%v/%v", row["athlete_id"], row["session_id"])] = strings.Join(values, " ")
	}
	if len(rows) != len(want) || !maps.Equal(got, want) {
		t.Errorf("got %d rows %v, want %v", len(rows), got, want)
	}
}

// trainingSessions was computed by DuckDB from the two files of frames in data/,
// grouped by athlete_id and session_id: seconds, frames, exercises, repetitions,
// the deepest angle of a knee in a frame that the camera was sure of, and the
// frames that it was not sure of.
var trainingSessions = map[string]string{
	"ath-1/1": "239 2400 3 83 69.2 12",
	"ath-1/2": "149 1500 2 48 69.5 8",
	"ath-2/1": "184 1850 3 54 65.7 9",
	"ath-2/2": "209 2100 3 60 68.1 10",
	"ath-3/1": "199 2000 3 62 65.2 10",
	"ath-3/2": "329 3300 3 97 65.2 16",
	"ath-4/1": "309 3100 3 107 68.7 15",
	"ath-4/2": "179 1800 2 60 65 9",
	"ath-5/1": "94 950 2 29 69.5 5",
	"ath-5/2": "119 1200 2 35 65.7 6",
	"ath-6/1": "274 2750 3 86 65.2 14",
	"ath-6/2": "159 1600 2 50 65.2 8",
}

// trainingHearts was computed by DuckDB from the four files of data/: the
// sessions, left-joined with the readings between 25 and 240 that lie between
// their first and last frame.
var trainingHearts = map[string]string{
	"ath-1/1": "2400 47 158.2 169",
	"ath-1/2": "1500 30 139.8 153",
	"ath-2/1": "1850 0 <nil> <nil>",
	"ath-2/2": "2100 0 <nil> <nil>",
	"ath-3/1": "2000 40 158.7 171",
	"ath-3/2": "3300 65 167.3 176",
	"ath-4/1": "3100 62 155.6 164",
	"ath-4/2": "1800 36 156.8 170",
	"ath-5/1": "950 0 <nil> <nil>",
	"ath-5/2": "1200 0 <nil> <nil>",
	"ath-6/1": "2750 55 145.5 154",
	"ath-6/2": "1600 32 156.8 173",
}
