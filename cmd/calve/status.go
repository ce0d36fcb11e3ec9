package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/calvelake/calve/runtime/daemon"
)

func newStatus(s *settings) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how far a project's pipeline is",
		Long: `Show how far a project's pipeline is: its last epoch and who wrote it; for each
model the watermark, the newest event, open sessions and lag; how fresh sources
are; open dead letters. It reads the epoch log, the catalog and the table of dead
letters, asks the broker for the ends of topics, and writes nothing. No calve run
needs to be at work.

Exit code 0 whatever it finds, also if the broker does not answer: the output
says so. 1 if the epoch log or the catalog cannot be read, 2 if the command line
or the project is wrong.`,
		Example: `  calve status --project shop
  calve status --project shop --output json | jq '.epoch.age_seconds'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, logger, err := s.begin()
			if err != nil {
				return err
			}
			status, err := daemon.ReadStatus(cmd.Context(), p, daemon.StatusConfig{Now: time.Now, Logger: logger})
			if err != nil {
				return err
			}
			if s.output == "json" {
				return writeJSON(cmd.OutOrStdout(), status)
			}
			return printStatus(cmd.OutOrStdout(), status)
		},
	}
	return s.withOutput(s.withProject(cmd))
}

func printStatus(out io.Writer, s *daemon.Status) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	printEpoch(w, s)
	printModels(w, s)
	printPartitions(w, s)
	if len(s.Sources) > 0 {
		fmt.Fprintln(w, "\nSOURCE\tTOPIC\tNEWEST RECORD\tAGE\tFRESHNESS")
		for _, source := range s.Sources {
			fmt.Fprintf(w, "%s.%s\t%s\t%s\t%s\t%s\n", source.Source, source.Table, source.Topic, moment(&source.Newest), seconds(&source.AgeSeconds), source.State)
		}
	}
	if len(s.DeadLetters) > 0 {
		fmt.Fprintln(w, "\nMODEL\tREASON\tOPEN DEAD LETTERS")
		for _, l := range s.DeadLetters {
			fmt.Fprintf(w, "%s\t%s\t%d\n", l.Model, l.Reason, l.Open)
		}
	}
	return w.Flush()
}

func printEpoch(w io.Writer, s *daemon.Status) {
	if s.Epoch == nil {
		fmt.Fprintf(w, "pipeline %s has no epoch yet\n", s.Pipeline)
		return
	}
	e := s.Epoch
	fmt.Fprintf(w, "pipeline %s: epoch %d, %s ago, by writer %s on %s\n", s.Pipeline, e.Number, seconds(e.AgeSeconds), cmp.Or(e.Writer, "?"), cmp.Or(e.Host, "?"))
	if len(e.Uncommitted) > 0 {
		fmt.Fprintf(w, "not in these tables yet: %s; its writer is at it, or the next calve run completes it\n", strings.Join(e.Uncommitted, ", "))
	}
}

func printModels(w io.Writer, s *daemon.Status) {
	fmt.Fprintln(w, "\nMODEL\tKIND\tROWS\tWATERMARK\tNEWEST EVENT\tFRESHNESS\tOPEN SESSIONS\tLAG")
	for _, m := range s.Models {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.Model, m.Kind, number(m.Rows), moment(m.Watermark), moment(m.NewestEvent), seconds(m.FreshnessSeconds), number(m.OpenSessions), number(m.Lag))
	}
	for _, m := range s.Models {
		if m.BackfilledTo != nil {
			fmt.Fprintf(w, "%s takes in what its inputs held when it began: up to their epoch %d by now\n", m.Model, *m.BackfilledTo)
		}
	}
}

func printPartitions(w io.Writer, s *daemon.Status) {
	fmt.Fprintln(w, "\nMODEL\tTOPIC\tPARTITION\tREADER\tPOSITION\tEND\tLAG\tNEWEST EVENT\tIDLE")
	for _, m := range s.Models {
		for _, p := range m.Partitions {
			idle := "no"
			if p.Idle {
				idle = "yes"
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", m.Model, p.Topic, p.Partition, dash(p.Reader), number(p.Position), number(p.End), number(p.Lag), moment(p.NewestEvent), idle)
		}
	}
	if s.Broker.Problem != "" {
		fmt.Fprintf(w, "lag is not known: %s\n", s.Broker.Problem)
	}
}

// number, moment and seconds print what may be unknown.
func number(n *int64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

func moment(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return at.Format(time.RFC3339)
}

func seconds(s *float64) string {
	if s == nil {
		return "-"
	}
	return time.Duration(*s * float64(time.Second)).Round(time.Second).String()
}
