package pipeline_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// differsByRun are the columns in which a run with crashes may differ from one
// without: when, and by which process.
var differsByRun = []string{"ingested_at", "epoch", "writer", "started_at", "decided_at"}

// contents renders all tables, a row a line, but for what differs by run.
func (w *world) contents() (map[string][]string, error) {
	all := map[string][]string{}
	for _, d := range w.definitions() {
		rows, err := w.rows(d.ID)
		if err != nil {
			return nil, err
		}
		lines := []string{}
		for _, r := range rows {
			lines = append(lines, r.render())
		}
		slices.Sort(lines)
		all[d.ID.String()] = lines
	}
	return all, nil
}

func (r row) render() string {
	var line strings.Builder
	for _, column := range slices.Sorted(maps.Keys(r.values)) {
		if !slices.Contains(differsByRun, column) {
			fmt.Fprintf(&line, "%s=%v ", column, r.values[column])
		}
	}
	return line.String()
}

// difference tells the first table that is not as it should be, "" if none.
func difference(got, want map[string][]string) string {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !slices.Equal(got[name], want[name]) {
			return fmt.Sprintf("%s\ngot:\n%s\nwant:\n%s", name, indent(got[name]), indent(want[name]))
		}
	}
	return ""
}
