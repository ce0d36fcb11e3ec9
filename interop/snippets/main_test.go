package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const printed = `rows in   10,000

Serve the catalog:

    calve catalog serve --project /tmp/demo

--- duckdb (python) ---
import duckdb

print(duckdb.sql("SELECT 1"))

--- pyiceberg ---
print(2)
--- spark (pyspark) ---
# with a comment
print(3)

--- end ---
calve demo keeps nothing else
`

func TestProgramsAndServeCommandAreWritten(t *testing.T) {
	dir := t.TempDir()
	if err := extract(strings.NewReader(printed), dir); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"serve":               "calve catalog serve --project /tmp/demo\n",
		"attach_duckdb.py":    "import duckdb\n\nprint(duckdb.sql(\"SELECT 1\"))\n",
		"attach_pyiceberg.py": "print(2)\n",
		"attach_spark.py":     "# with a comment\nprint(3)\n",
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(entries); got != len(want) {
		t.Errorf("got %d files, want %d", got, len(want))
	}
	for name, text := range want {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != text {
			t.Errorf("%s: got %q, want %q", name, got, text)
		}
	}
}

func TestIncompleteOutputIsRefused(t *testing.T) {
	tests := []struct{ name, old, new, want string }{
		{"no serve command", "calve catalog serve", "calve serve", "no line that begins with calve catalog serve"},
		{"no end", "--- end ---", "", "the program for spark has no end"},
		{"empty program", "print(2)\n", "", "the program for pyiceberg is empty"},
		{"two programs for one engine", "--- pyiceberg ---", "--- duckdb ---", "two programs for duckdb"},
		{"no program", printed, "calve catalog serve", "there is no program"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parse(strings.NewReader(strings.Replace(printed, test.old, test.new, 1)))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
}
