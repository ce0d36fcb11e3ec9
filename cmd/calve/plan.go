package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/calvelake/calve/runtime/daemon"
)

func newPlan(s *settings) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what a project is and what running it would create",
		Long: `Check a project and compare it with its catalog. Nothing is created or changed.
A table that exists and differs from its model is shown with the differences:
calve run would refuse it.`,
		Example: `  calve plan --project shop
  calve plan --project shop --output json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, logger, err := s.begin()
			if err != nil {
				return err
			}
			plan, err := daemon.MakePlan(cmd.Context(), p, logger)
			if err != nil {
				return err
			}
			if s.output == "json" {
				return writeJSON(cmd.OutOrStdout(), plan)
			}
			return printPlan(cmd.OutOrStdout(), plan)
		},
	}
	return s.withOutput(s.withProject(cmd))
}

func printPlan(out io.Writer, plan daemon.Plan) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "project\t%s\nwarehouse\t%s\ncatalog\t%s\nkafka\t%v\n\n", plan.Project, plan.Warehouse, plan.Catalog, plan.Kafka)
	fmt.Fprintln(w, "MODEL\tKIND\tFROM\tPLUGIN\tTABLE")
	for _, m := range plan.Models {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", m.Name, m.Kind, dash(m.From), dash(m.Plugin), dash(m.Table))
	}
	for _, m := range plan.Models {
		for _, problem := range m.Problems {
			fmt.Fprintf(w, "\nrefused\t%s\n", problem)
		}
		for _, warning := range m.Warnings {
			fmt.Fprintf(w, "\nwarning\t%s\n", warning)
		}
	}
	fmt.Fprintln(w, "\nACTION\tTABLE\t")
	for _, t := range plan.Tables {
		fmt.Fprintf(w, "%s\t%s\t%s\n", t.Action, t.Name, t.Partition)
		for _, c := range t.Columns {
			fmt.Fprintf(w, "\t  %s\t\n", c)
		}
		for _, lines := range [][]string{t.Changes, t.Kept, t.Problems} {
			for _, line := range lines {
				fmt.Fprintf(w, "\t  %s\t\n", line)
			}
		}
	}
	return w.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
