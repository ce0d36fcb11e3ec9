package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/project"
)

func newRecover(s *settings) *cobra.Command {
	var epoch int64
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Rebuild a lost epoch log, or the lost files of an epoch",
		Long: `Without a flag: rebuild the epoch log below <warehouse>/_calve/<project> from the
tables, after it was lost or restored from an older copy. Positions come from
the audit table, so that calve run then goes on without losing or repeating a
record, also if snapshots have expired. A log that is whole is left alone; tables
that disagree about the last epoch are refused, with what can be done. Stop every
calve run of the project first: without its log it cannot be told that it is out
of date.

With --rederive N: an epoch is recorded and one of its data files is gone. The
same records are read from Kafka again, by the same plugins and configuration,
and the tables that lack a file get the epoch's rows in new files; no other row
is touched. It is refused if Kafka no longer has the records, if plugins or
project have changed, or if what comes out differs from the record. Columns are
what they were but for ingested_at, which becomes the time when the epoch was
decided.`,
		Example: `  calve recover --project shop
  calve recover --project shop --rederive 1207`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.checkOutput(); err != nil {
				return err
			}
			rederive := cmd.Flags().Changed("rederive")
			if rederive && epoch < 1 {
				return usageError{fmt.Errorf("--rederive %d: expected the number of an epoch, from 1", epoch)}
			}
			logger, err := s.logger()
			if err != nil {
				return err
			}
			p, err := s.load()
			if err != nil {
				return err
			}
			if rederive {
				return s.rederive(cmd, p, epoch, logger)
			}
			return s.recoverLog(cmd, p, logger)
		},
	}
	cmd.Flags().Int64Var(&epoch, "rederive", 0, "derive the missing data files of this epoch again from Kafka")
	return s.withOutput(s.withProject(cmd))
}

// recoverReport is what calve recover prints with --output json.
type recoverReport struct {
	Recovered bool                `json:"recovered"` // false: there was nothing to recover
	Reason    string              `json:"reason,omitempty"`
	Recovery  *lakehouse.Recovery `json:"recovery,omitempty"`
}

// recoverLog rebuilds the epoch log. Nothing to do is no failure: a script may
// call it before every run.
func (s *settings) recoverLog(cmd *cobra.Command, p *project.Project, logger *slog.Logger) error {
	recovery, err := daemon.Recover(cmd.Context(), p, logger)
	report := recoverReport{Recovered: err == nil, Recovery: recovery}
	if errors.Is(err, lakehouse.ErrNothingToRecover) {
		report.Reason, err = err.Error(), nil
	}
	if err != nil {
		return err
	}
	if s.output == "json" {
		return writeJSON(cmd.OutOrStdout(), report)
	}
	if !report.Recovered {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), report.Reason)
		return err
	}
	return printRecovery(cmd.OutOrStdout(), recovery)
}

func printRecovery(out io.Writer, r *lakehouse.Recovery) error {
	if _, err := fmt.Fprintf(out, "the epoch log goes on after epoch %d (%s)\n", r.Floor.Number, r.Location); err != nil {
		return err
	}
	for _, reader := range r.Floor.Positions {
		for _, g := range reader.Ranges {
			if _, err := fmt.Fprintf(out, "reader %s: %s/%d at offset %d\n", reader.Name, g.Topic, g.Partition, g.To); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *settings) rederive(cmd *cobra.Command, p *project.Project, epoch int64, logger *slog.Logger) error {
	r, err := daemon.Rederive(cmd.Context(), p, epoch, logger)
	if err != nil {
		return err
	}
	if s.output == "json" {
		return writeJSON(cmd.OutOrStdout(), r)
	}
	if len(r.Missing) == 0 {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "no data file of epoch %d is missing\n", epoch)
		return err
	}
	for _, m := range r.Missing {
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s was missing\n", m.Table, m.Location); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "epoch %d was derived again and is committed\n", epoch)
	return err
}
