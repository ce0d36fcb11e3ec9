package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"text/tabwriter"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/examples"
	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/project"
)

// report completes what a demo has counted and prints it.
func (d *demo) report(ctx context.Context, p *project.Project, r demoReport) error {
	lake, err := daemon.OpenLakehouse(ctx, p, d.logger)
	if err != nil {
		return err
	}
	defer func() { _ = lake.Close() }() // only read from
	if err := d.count(ctx, lake, &r); err != nil {
		return err
	}
	if d.keep {
		r.Dir = d.dir
	}
	if d.output == "json" {
		return writeJSON(d.out, r)
	}
	if err := d.print(ctx, lake, r); err != nil {
		return err
	}
	if !d.keep {
		return nil
	}
	id, err := catalog.ParseIdentifier(d.example.Staged[0])
	if err != nil {
		return err
	}
	return printAttach(d.out, p, id)
}

// count reads how large the example's tables are.
func (d *demo) count(ctx context.Context, lake *daemon.Lakehouse, r *demoReport) error {
	names := slices.Clone(d.example.Staged)
	for _, shown := range d.example.Shows {
		if !slices.Contains(names, shown.Table) {
			names = append(names, shown.Table)
		}
	}
	for i, name := range names {
		id, err := catalog.ParseIdentifier(name)
		if err != nil {
			return err
		}
		table, err := lake.ShowTable(ctx, id)
		if err != nil {
			return err
		}
		r.Tables = append(r.Tables, demoTable{Name: name, Rows: table.Rows, Files: table.Files, Snapshots: len(table.Snapshots)})
		if i < len(d.example.Staged) {
			r.RowsOut += table.Rows
		}
	}
	return nil
}

func (d *demo) print(ctx context.Context, lake *daemon.Lakehouse, r demoReport) error {
	fmt.Fprintf(d.out, "\nrows in   %6d\nrows out  %6d\nrejects   %6d  in %s\n\n", r.RowsIn, r.RowsOut, r.Rejects, lakehouse.DeadLettersDefinition(d.example.Name).ID)
	w := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "table\trows\tfiles\tsnapshots")
	for _, t := range r.Tables {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\n", t.Name, t.Rows, t.Files, t.Snapshots)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, shown := range d.example.Shows {
		if err := d.show(ctx, lake, shown, ""); err != nil {
			return err
		}
	}
	return nil
}

// showEarly prints how tables are before what is late has come.
func (d *demo) showEarly(ctx context.Context, p *project.Project) error {
	if d.output == "json" {
		return nil
	}
	lake, err := daemon.OpenLakehouse(ctx, p, d.logger)
	if err != nil {
		return err
	}
	defer func() { _ = lake.Close() }() // only read from
	for _, shown := range d.example.Shows {
		if shown.Early {
			if err := d.show(ctx, lake, shown, ", before what is late has come"); err != nil {
				return err
			}
		}
	}
	return nil
}

// show prints rows of a table, and how many it has by day.
func (d *demo) show(ctx context.Context, lake *daemon.Lakehouse, shown examples.Shown, when string) error {
	id, err := catalog.ParseIdentifier(shown.Table)
	if err != nil {
		return err
	}
	const some = 5
	what, limit := "some rows of", some
	if shown.Whole {
		what, limit = "the rows of", wholeTable
	}
	sample, err := lake.SampleTable(ctx, id, limit)
	if err != nil {
		return err
	}
	sample, err = choose(sample, shown.Columns)
	if err != nil {
		return fmt.Errorf("show %s: %w", id, err)
	}
	if shown.Whole {
		slices.SortFunc(sample.Rows, func(a, b []json.RawMessage) int {
			return slices.CompareFunc(a, b, func(x, y json.RawMessage) int { return bytes.Compare(x, y) })
		})
	}
	fmt.Fprintf(d.out, "\n%s %s%s:\n", what, id, when)
	if err := printSample(d.out, sample); err != nil || shown.CountBy == "" {
		return err
	}
	days, err := lake.CountByDay(ctx, id, shown.CountBy)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\nrows by day of %s:\n", shown.CountBy)
	for _, day := range days {
		fmt.Fprintf(d.out, "%s  %d\n", day.Day, day.Rows)
	}
	return nil
}

// wholeTable is more rows than a table has that an example shows as a whole.
const wholeTable = 100

// choose takes columns of rows, in that order; all for none.
func choose(sample lakehouse.Sample, columns []string) (lakehouse.Sample, error) {
	if len(columns) == 0 {
		return sample, nil
	}
	chosen := lakehouse.Sample{Columns: columns, Rows: make([][]json.RawMessage, len(sample.Rows))}
	for _, name := range columns {
		at := slices.Index(sample.Columns, name)
		if at < 0 {
			return lakehouse.Sample{}, fmt.Errorf("there is no column %s, only %v", name, sample.Columns)
		}
		for i, row := range sample.Rows {
			chosen.Rows[i] = append(chosen.Rows[i], row[at])
		}
	}
	return chosen, nil
}
