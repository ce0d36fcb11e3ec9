package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/daemon"
)

func newTable(s *settings) *cobra.Command {
	table := group(&cobra.Command{
		Use:   "table",
		Short: "Look at tables: list, show, sample",
	})
	var limit int
	sample := s.tableCommand(&cobra.Command{
		Use:     "sample NAMESPACE.TABLE",
		Short:   "Print some rows of a table",
		Example: "  calve table sample staging.web_requests --project weblog --limit 5",
		Args:    exactArgs("NAMESPACE.TABLE"),
	}, func(ctx context.Context, lake *daemon.Lakehouse, out io.Writer, args []string) error {
		id, err := catalog.ParseIdentifier(args[0])
		if err != nil {
			return usageError{err}
		}
		rows, err := lake.SampleTable(ctx, id, limit)
		if err != nil {
			return err
		}
		if s.output == "json" {
			return writeJSON(out, rows)
		}
		return printSample(out, rows)
	})
	sample.Flags().IntVar(&limit, "limit", 10, "rows to print at most")
	table.AddCommand(s.newTableList(), s.newTableShow(), sample)
	return table
}

func (s *settings) newTableList() *cobra.Command {
	return s.tableCommand(&cobra.Command{
		Use:     "list",
		Short:   "List the tables of the catalog",
		Example: "  calve table list --project weblog",
		Args:    noArgs,
	}, func(ctx context.Context, lake *daemon.Lakehouse, out io.Writer, _ []string) error {
		tables, err := lake.ListTables(ctx)
		if err != nil {
			return err
		}
		if s.output == "json" {
			return writeJSON(out, tables)
		}
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "TABLE\tROWS\tFILES\tBYTES\tSNAPSHOTS\tEPOCH")
		for _, t := range tables {
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\n", t.Name, t.Rows, t.Files, t.Bytes, len(t.Snapshots), t.Epoch)
		}
		return w.Flush()
	})
}

func (s *settings) newTableShow() *cobra.Command {
	return s.tableCommand(&cobra.Command{
		Use:     "show NAMESPACE.TABLE",
		Short:   "Show a table's columns, snapshots and size",
		Example: "  calve table show staging.web_requests --project weblog --output json",
		Args:    exactArgs("NAMESPACE.TABLE"),
	}, func(ctx context.Context, lake *daemon.Lakehouse, out io.Writer, args []string) error {
		id, err := catalog.ParseIdentifier(args[0])
		if err != nil {
			return usageError{err}
		}
		t, err := lake.ShowTable(ctx, id)
		if err != nil {
			return err
		}
		if s.output == "json" {
			return writeJSON(out, t)
		}
		return printTable(out, t)
	})
}

// tableCommand completes a command that reads a project's lake.
func (s *settings) tableCommand(cmd *cobra.Command, work func(context.Context, *daemon.Lakehouse, io.Writer, []string) error) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p, logger, err := s.begin()
		if err != nil {
			return err
		}
		lake, err := daemon.OpenLakehouse(cmd.Context(), p, logger)
		if err != nil {
			return err
		}
		defer func() { _ = lake.Close() }() // only read from
		return work(cmd.Context(), lake, cmd.OutOrStdout(), args)
	}
	return s.withOutput(s.withProject(cmd))
}

func printTable(out io.Writer, t lakehouse.Summary) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "table\t%s\nlocation\t%s\nuuid\t%s\nformat\tv%d\npartition\t%s\nrows\t%d\nfiles\t%d (%d bytes)\nepoch\t%d\n\n",
		t.Name, t.Location, t.UUID, t.Format, t.Partition, t.Rows, t.Files, t.Bytes, t.Epoch)
	fmt.Fprintln(w, "COLUMN\tTYPE\tREQUIRED")
	for _, c := range t.Columns {
		fmt.Fprintf(w, "%s\t%s\t%v\n", c.Name, c.Type, c.Required)
	}
	fmt.Fprintln(w, "\nSNAPSHOT\tAT\tOPERATION\tROWS\tFILES\tEPOCH")
	for _, s := range t.Snapshots {
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%d\t%d\n", s.ID, s.At.Format(time.RFC3339), s.Operation, s.Rows, s.Files, s.Epoch)
	}
	return w.Flush()
}

func printSample(out io.Writer, sample lakehouse.Sample) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, c := range sample.Columns {
		if i > 0 {
			fmt.Fprint(w, "\t")
		}
		fmt.Fprint(w, c)
	}
	fmt.Fprintln(w)
	for _, row := range sample.Rows {
		for i, v := range row {
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			fmt.Fprint(w, cell(v))
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// cell shortens a value for a table on a terminal.
func cell(v json.RawMessage) string {
	text := string(v)
	var s string
	if json.Unmarshal(v, &s) == nil {
		text = s
	}
	if r := []rune(text); len(r) > 40 {
		text = string(r[:37]) + "…"
	}
	return text
}
