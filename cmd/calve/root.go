package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/calvelake/calve/runtime/project"
)

// settings are the flags that several commands share.
type settings struct {
	project  string
	output   string
	logLevel string
}

func newRoot() *cobra.Command {
	s := &settings{}
	root := &cobra.Command{
		Use:   "calve",
		Short: "Carry Kafka topics into Iceberg tables, exactly once",
		Long: `Calve carries Kafka topics through WASM transforms into Iceberg tables that
Snowflake, BigQuery, Databricks, Spark, Trino, DuckDB and others read.

A project is a folder with calve.yaml, models/ and plugins/. Without connections
of its own it runs on an embedded broker, catalog and local warehouse.

Exit codes: 0 success; 1 failed while running; 2 wrong command line or project;
3 another writer has taken over; 4 an epoch is recorded but not committed yet,
run again.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&s.logLevel, "log-level", "", "debug, info, warn or error (default: warn on a terminal, info elsewhere)")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	group(root)
	root.AddCommand(newRun(s), newProduce(s), newDemo(s), newPlan(s), newSQL(s), newTable(s), newCatalog(s), newStatus(s), newVerify(s), newDLQ(s), newReconcile(s), newPlugin(s), newRecover(s), newSchema(), newVersion())
	return root
}

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of project files, for editors",
		Example: `  calve schema > calve.schema.json
  # in VS Code with the YAML extension, as the first line of a file:
  # yaml-language-server: $schema=../calve.schema.json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(project.SchemaJSON())
			return err
		},
	}
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  calve version",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			version := "unknown"
			if info, ok := debug.ReadBuildInfo(); ok {
				version = info.Main.Version
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "calve", version)
			return err
		},
	}
}

// group is a command that others are below: alone it shows its help, and a
// word that it does not know is the user's mistake.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.SuggestionsMinimumDistance = 2
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		hint := ""
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			hint = "; did you mean " + strings.Join(near, " or ") + "?"
		}
		return usageError{fmt.Errorf("%s has no command %q%s (%s --help lists them)", cmd.CommandPath(), args[0], hint, cmd.CommandPath())}
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

func (s *settings) withProject(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&s.project, "project", ".", "the project's folder")
	return cmd
}

func (s *settings) withOutput(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVarP(&s.output, "output", "o", "text", "text or json")
	return cmd
}

func (s *settings) checkOutput() error {
	if s.output != "text" && s.output != "json" {
		return usageError{fmt.Errorf("--output %s: expected text or json", s.output)}
	}
	return nil
}

// begin is how a command on a project begins: its flags are checked, its logger
// made, the project loaded.
func (s *settings) begin() (*project.Project, *slog.Logger, error) {
	if err := s.checkOutput(); err != nil {
		return nil, nil, err
	}
	logger, err := s.logger()
	if err != nil {
		return nil, nil, err
	}
	p, err := s.load()
	return p, logger, err
}

func (s *settings) load() (*project.Project, error) { return project.Load(s.project, os.LookupEnv) }

// logger logs to stderr.
func (s *settings) logger() (*slog.Logger, error) {
	level := slog.LevelInfo
	if isTerminal(os.Stderr) {
		level = slog.LevelWarn
	}
	if s.logLevel != "" {
		if err := level.UnmarshalText([]byte(s.logLevel)); err != nil {
			return nil, usageError{fmt.Errorf("--log-level %s: expected debug, info, warn or error", s.logLevel)}
		}
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})), nil
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

func writeJSON(out io.Writer, v any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s takes no arguments, got %q", cmd.CommandPath(), args)}
	}
	return nil
}

func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return usageError{fmt.Errorf("%s takes %v, got %q", cmd.CommandPath(), names, args)}
		}
		return nil
	}
}
