package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const duckdbReport = `{"engine": "duckdb", "tables": {
	"staging.web_requests": {"rows": 9990, "columns": ["path", "bytes"], "digest": "aa", "sum": 42,
		"column_digests": {"path": "a1", "bytes": "a2"},
		"samples": [{"path": "/", "bytes": null}]},
	"calve_weblog.dead_letters": {"rows": 10, "columns": ["value"], "digest": "bb", "samples": []}}}`

func TestReports(t *testing.T) {
	tests := []struct {
		name     string
		old, new string // what the second engine reports otherwise
		total    int64
		of       string
		want     string // part of the error; empty when they agree
	}{
		{name: "equal reports agree"},
		{name: "tables add up to the total", total: 10000, of: "staging.web_requests,calve_weblog.dead_letters"},
		{name: "total that is not met", total: 9999, of: "staging.web_requests,calve_weblog.dead_letters",
			want: "staging.web_requests and calve_weblog.dead_letters have 10000 rows together, want 9999"},
		{name: "total over a table that was not read", total: 1, of: "marts.orders",
			want: "duckdb did not read marts.orders"},
		{name: "other row count", old: `"rows": 9990`, new: `"rows": 9991`,
			want: "staging.web_requests: duckdb and spark differ in rows: 9990, 9991"},
		{name: "other sum", old: `"sum": 42`, new: `"sum": 43`, want: "differ in sum: 42, 43"},
		{name: "no sum", old: `"sum": 42,`, new: ``, want: "differ in sum: 42, none"},
		{name: "other columns", old: `"path", "bytes"`, new: `"bytes", "path"`,
			want: "differ in columns: [path bytes], [bytes path]"},
		{name: "other sample", old: `"bytes": null`, new: `"bytes": 0`, want: "differ in samples"},
		{name: "other rows of equal number", old: `"digest": "bb"`, new: `"digest": "cc"`,
			want: "calve_weblog.dead_letters: duckdb and spark differ in digest of all rows: bb, cc"},
		{name: "other values in one column", old: `"a2"`, new: `"a3"`,
			want: "staging.web_requests: duckdb and spark differ in values of bytes: a2, a3"},
		{name: "table that one engine did not read", old: `calve_weblog.dead_letters`, new: `calve_weblog.epochs`,
			want: "spark read the tables [calve_weblog.epochs staging.web_requests]"},
		{name: "report that is no JSON", old: `{"engine"`, new: `"engine"`, want: "parse report"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sparkReport := strings.Replace(duckdbReport, `"duckdb"`, `"spark"`, 1)
			paths := writeReports(t, duckdbReport, strings.Replace(sparkReport, test.old, test.new, 1))
			var out strings.Builder
			err := run(&out, paths, test.total, test.of)
			if test.want == "" {
				if err != nil {
					t.Fatalf("got error %v, want none", err)
				}
				want := "calve_weblog.dead_letters: 10 rows, digest bb: duckdb, spark agree\n" +
					"staging.web_requests: 9990 rows, sum 42, digest aa: duckdb, spark agree\n"
				if got := out.String(); got != want {
					t.Errorf("got output %q, want %q", got, want)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestNothingToCompareIsAnError(t *testing.T) {
	empty := `{"engine": "duckdb", "tables": {}}`
	for name, reports := range map[string][]string{
		"one report":     {duckdbReport},
		"no table":       {empty, empty},
		"no such report": nil,
	} {
		t.Run(name, func(t *testing.T) {
			paths := writeReports(t, reports...)
			if reports == nil {
				paths = []string{filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")}
			}
			if err := run(&strings.Builder{}, paths, 0, ""); err == nil {
				t.Error("got no error, want one")
			}
		})
	}
}

func writeReports(t *testing.T, reports ...string) []string {
	t.Helper()
	paths := make([]string, len(reports))
	for i, content := range reports {
		paths[i] = filepath.Join(t.TempDir(), "report.json")
		if err := os.WriteFile(paths[i], []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}
