package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
)

// report is what one engine read, as interop/engines/report.py writes it.
type report struct {
	Engine string           `json:"engine"`
	Tables map[string]table `json:"tables"`
}

// table is one table as an engine saw it by SELECT *. Digests are SHA-256 over values
// in no order.
type table struct {
	Rows          int64             `json:"rows"`
	Columns       []string          `json:"columns"`
	Digest        string            `json:"digest"` // over whole rows
	ColumnDigests map[string]string `json:"column_digests"`
	Sum           *int64            `json:"sum,omitempty"` // by the engine's own aggregate
	Samples       []map[string]any  `json:"samples"`       // first and last row by position
}

func readReports(paths []string) ([]report, error) {
	if len(paths) < 2 {
		return nil, errors.New("agree: name two reports or more")
	}
	reports := make([]report, len(paths))
	for i, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read report: %w", err)
		}
		if err := json.Unmarshal(content, &reports[i]); err != nil {
			return nil, fmt.Errorf("parse report %s: %w", path, err)
		}
	}
	return reports, nil
}

// compare returns one error that names every difference from the first report.
func compare(reports []report) error {
	first := reports[0]
	if len(first.Tables) == 0 {
		return fmt.Errorf("%s read no table", first.Engine)
	}
	var differences []error
	for _, other := range reports[1:] {
		if got, want := names(other), names(first); !slices.Equal(got, want) {
			differences = append(differences, fmt.Errorf("%s read the tables %v, %s %v",
				other.Engine, got, first.Engine, want))
			continue
		}
		for _, name := range names(first) {
			for _, what := range differing(first.Tables[name], other.Tables[name]) {
				differences = append(differences, fmt.Errorf("%s: %s and %s differ in %s",
					name, first.Engine, other.Engine, what))
			}
		}
	}
	return errors.Join(differences...)
}

// differing names the parts in which two views of a table differ, with both values.
func differing(a, b table) []string {
	var parts []string
	add := func(part string, a, b any) {
		if !reflect.DeepEqual(a, b) {
			parts = append(parts, fmt.Sprintf("%s: %v, %v", part, show(a), show(b)))
		}
	}
	add("rows", a.Rows, b.Rows)
	add("columns", a.Columns, b.Columns)
	add("sum", a.Sum, b.Sum)
	add("samples", a.Samples, b.Samples)
	for _, column := range a.Columns {
		add("values of "+column, a.ColumnDigests[column], b.ColumnDigests[column])
	}
	add("digest of all rows", a.Digest, b.Digest)
	return parts
}

func show(value any) any {
	if sum, ok := value.(*int64); ok {
		if sum == nil {
			return "none"
		}
		return *sum
	}
	return value
}

// checkTotal reports whether the named tables have total rows together.
func checkTotal(r report, tables []string, total int64) error {
	var rows int64
	for _, name := range tables {
		t, ok := r.Tables[name]
		if !ok {
			return fmt.Errorf("%s did not read %s", r.Engine, name)
		}
		rows += t.Rows
	}
	if rows != total {
		return fmt.Errorf("%s have %d rows together, want %d", strings.Join(tables, " and "), rows, total)
	}
	return nil
}

// write prints a line a table, for reports that agree.
func write(out io.Writer, reports []report) error {
	engines := make([]string, len(reports))
	for i, r := range reports {
		engines[i] = r.Engine
	}
	for _, name := range names(reports[0]) {
		t := reports[0].Tables[name]
		sum := ""
		if t.Sum != nil {
			sum = fmt.Sprintf(", sum %d", *t.Sum)
		}
		if _, err := fmt.Fprintf(out, "%s: %d rows%s, digest %.12s: %s agree\n",
			name, t.Rows, sum, t.Digest, strings.Join(engines, ", ")); err != nil {
			return fmt.Errorf("write result: %w", err)
		}
	}
	return nil
}

func names(r report) []string { return slices.Sorted(maps.Keys(r.Tables)) }
