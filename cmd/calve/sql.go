package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/warehousesql"
)

func newSQL(s *settings) *cobra.Command {
	var target, model string
	cmd := &cobra.Command{
		Use:   "sql",
		Short: "Print the SQL by which a warehouse uses the tables",
		Long: `Print, for one engine, the statements that attach a project's tables, views over
them (the current members of dimensions; facts with the attributes of the members
that they refer to), and for each surrogate and durable key a query that counts the
rows whose key is not what the engine computes: 0. It has the expression by which
others can compute the key, whatever the time zone of their session.

The project is read and nothing else: no connection is made. What only you know
stands in angle brackets.`,
		Example: `  calve sql --target snowflake --project shop > attach.sql
  calve sql --target duckdb --model dim_customers
  calve sql --target bigquery --output json | jq -r '.[] | select(.purpose == "check") | .expression'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if target == "" {
				return usageError{fmt.Errorf("--target is missing: expected %s", targets())}
			}
			p, _, err := s.begin()
			if err != nil {
				return err
			}
			of, err := daemon.WarehouseProject(p)
			if err != nil {
				return err
			}
			statements, err := warehousesql.Render(of, warehousesql.Target(target), model)
			if err != nil {
				return usageError{err}
			}
			if s.output == "json" {
				return writeJSON(cmd.OutOrStdout(), statements)
			}
			return printStatements(cmd.OutOrStdout(), statements)
		},
	}
	cmd.Flags().StringVar(&target, "target", "", "the engine: "+targets())
	cmd.Flags().StringVar(&model, "model", "", "one model, with what attaches it; all by default")
	return s.withOutput(s.withProject(cmd))
}

func targets() string {
	all := warehousesql.Targets()
	names := make([]string, len(all))
	for i, t := range all {
		names[i] = string(t)
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// printStatements writes a script.
func printStatements(out io.Writer, statements []warehousesql.Statement) error {
	_, err := io.WriteString(out, warehousesql.Script(statements))
	return err
}
