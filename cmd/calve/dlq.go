package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/daemon"
)

func newDLQ(s *settings) *cobra.Command {
	dlq := group(&cobra.Command{
		Use:   "dlq",
		Short: "Look at dead letters, replay or discard them: list, show, replay, discard",
		Long: `A record that a model cannot take becomes a dead letter: a row of the table
calve_<project>.dead_letters with the record's original bytes, its position and
the reason. These commands read that table; Kafka is not needed.

replay and discard ask the pipeline's writer: the running calve run carries them
out with its next epochs, or the next one does, calve run --once included.`,
	})
	dlq.AddCommand(s.newDLQList(), s.newDLQShow(), s.newDLQReplay(), s.newDLQDiscard())
	return dlq
}

// letterFlags are the flags that say which letters are meant.
type letterFlags struct {
	models, reasons, letters []string
	since, until             string
}

func (f *letterFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.models, "model", nil, "letters of this model; may be repeated")
	cmd.Flags().StringSliceVar(&f.reasons, "reason", nil, "letters with this reason code (malformed, type, missing …); may be repeated")
	cmd.Flags().StringVar(&f.since, "since", "", "letters ingested at or after: 2026-01-31, 2026-01-31T12:00:00Z, or 24h ago as 24h")
}

// addIDs adds the flags that only requests have.
func (f *letterFlags) addIDs(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.letters, "letter", nil, "this letter, by its id; may be repeated")
	cmd.Flags().StringVar(&f.until, "until", "", "letters ingested before, written as for --since")
}

// maxLetterIDs bounds the ids in a request, which is one small object.
const maxLetterIDs = 1000

func (f *letterFlags) filter(now time.Time) (lakehouse.LetterFilter, error) {
	filter := lakehouse.LetterFilter{Models: f.models, Reasons: f.reasons, Letters: f.letters}
	for _, id := range f.letters {
		if !lakehouse.IsLetterID(id) {
			return filter, usageError{fmt.Errorf("--letter %s: expected an id of 32 hexadecimal digits, as calve dlq list --letters shows them", id)}
		}
	}
	if len(f.letters) > maxLetterIDs {
		return filter, usageError{fmt.Errorf("--letter is given %d times, at most %d are taken; choose by --model, --reason or --since", len(f.letters), maxLetterIDs)}
	}
	for _, bound := range []struct {
		flag, text string
		at         *int64
	}{{"since", f.since, &filter.Since}, {"until", f.until, &filter.Until}} {
		at, err := parseMoment(bound.text, now)
		if err != nil {
			return filter, usageError{fmt.Errorf("--%s %s: %w", bound.flag, bound.text, err)}
		}
		*bound.at = at
	}
	return filter, nil
}

// parseMoment reads a date, a time or a duration before now as µs since
// 1970-01-01 UTC; 0 for no text.
func parseMoment(text string, now time.Time) (int64, error) {
	if text == "" {
		return 0, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UnixMicro(), nil
		}
	}
	ago, err := time.ParseDuration(text)
	if err != nil || ago <= 0 {
		return 0, errors.New("expected a date (2026-01-31), a time (2026-01-31T12:00:00Z) or how long ago (24h, 90m)")
	}
	return now.Add(-ago).UnixMicro(), nil
}

// letterWork completes a command that reads a project's dead letters.
func (s *settings) letterWork(cmd *cobra.Command, work func(context.Context, *daemon.DeadLetters, io.Writer, []string) error) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p, logger, err := s.begin()
		if err != nil {
			return err
		}
		d, err := daemon.OpenDeadLetters(cmd.Context(), p, logger)
		if err != nil {
			return err
		}
		defer d.Close()
		return work(cmd.Context(), d, cmd.OutOrStdout(), args)
	}
	return s.withOutput(s.withProject(cmd))
}

func (s *settings) newDLQList() *cobra.Command {
	var flags letterFlags
	var query lakehouse.ListQuery
	var letters bool
	var limit int
	cmd := s.letterWork(&cobra.Command{
		Use:   "list",
		Short: "Count dead letters by model, reason and column, or list them",
		Example: `  calve dlq list --project shop
  calve dlq list --project shop --model stg_orders --letters
  calve dlq list --project shop --all --since 24h --output json`,
		Args: noArgs,
	}, func(ctx context.Context, d *daemon.DeadLetters, out io.Writer, _ []string) (err error) {
		if query.Filter, err = flags.filter(time.Now()); err != nil {
			return err
		}
		if limit < 1 {
			return usageError{fmt.Errorf("--limit %d: expected at least 1", limit)}
		}
		if letters {
			query.Limit = limit
		}
		list, err := d.List(ctx, query)
		if err != nil {
			return err
		}
		switch {
		case s.output == "json":
			return writeJSON(out, list)
		case letters:
			return printLetters(out, list)
		}
		return printLetterGroups(out, list)
	})
	flags.add(cmd)
	cmd.Flags().BoolVar(&query.All, "all", false, "also letters that were replayed, filtered or discarded")
	cmd.Flags().BoolVarP(&letters, "letters", "l", false, "list the letters themselves, oldest first")
	cmd.Flags().IntVar(&limit, "limit", 100, "letters to list at most")
	return cmd
}

func printLetterGroups(out io.Writer, list *lakehouse.LetterList) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MODEL\tREASON\tCOLUMN\tOPEN\tRESOLVED\tFIRST\tLAST")
	for _, g := range list.Groups {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\n", g.Model, g.Reason, dash(g.Column), g.Open, g.Replayed+g.Filtered+g.Discarded,
			g.First.Format(time.RFC3339), g.Last.Format(time.RFC3339))
	}
	return w.Flush()
}

func printLetters(out io.Writer, list *lakehouse.LetterList) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LETTER\tSTATE\tMODEL\tRECORD\tREASON\tCOLUMN\tMESSAGE")
	for _, l := range list.Letters {
		at := fmt.Sprintf("%s/%d@%d", l.Topic, l.Partition, l.Offset)
		if l.Row != nil {
			at += fmt.Sprintf(" row %d", *l.Row)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.ID, l.State, l.Model, at, l.Reason, dash(l.Column), shorten(l.Message, 80))
	}
	if list.More > 0 {
		fmt.Fprintf(w, "… and %d more; see --limit\n", list.More)
	}
	return w.Flush()
}

// requestOptions are those of replay and discard.
type requestOptions struct {
	letterFlags
	kind              lakehouse.RequestKind
	all, dryRun, wait bool
}

// requestReport is what replay and discard print with --output json.
type requestReport struct {
	Request string                   `json:"request,omitempty"` // "" if nothing was asked for
	Kind    lakehouse.RequestKind    `json:"kind"`
	Letters int64                    `json:"letters"`  // that match now
	NoModel int64                    `json:"no_model"` // further ones, of models that the project does not have
	Result  *lakehouse.RequestResult `json:"result,omitempty"`
}

func (s *settings) newDLQReplay() *cobra.Command {
	o := &requestOptions{kind: lakehouse.RequestReplay}
	cmd := s.requestCommand(o, &cobra.Command{
		Use:   "replay",
		Short: "Run open dead letters through the project's models again",
		Long: `Ask the pipeline's writer to run open dead letters through the models as they
are now. What they make of a letter is written with its original position, in the
same epoch as a row of calve_<project>.dead_letters that says so: replayed,
filtered (the model leaves it out now) or refused (it still cannot take it; the
letter stays open). A letter is replayed once, however the process ends.

Without a flag that chooses, all open letters are replayed. Fix the model or the
plugin first, and restart calve run so that it has the fix.`,
		Example: `  calve dlq replay --project shop --model stg_orders --reason type
  calve dlq replay --project shop --letter 9f86d081884c7d659a2feaa0c55ad015 --wait
  calve dlq replay --project shop --dry-run`,
	})
	return cmd
}

func (s *settings) newDLQDiscard() *cobra.Command {
	o := &requestOptions{kind: lakehouse.RequestDiscard}
	cmd := s.requestCommand(o, &cobra.Command{
		Use:   "discard",
		Short: "Give open dead letters up",
		Long: `Ask the pipeline's writer to close open dead letters for good. They stay in
calve_<project>.dead_letters, with a row that says that they were discarded, and
are not replayed any more.`,
		Example: `  calve dlq discard --project shop --model stg_orders --reason tombstone
  calve dlq discard --project shop --until 2026-01-01 --wait`,
	})
	cmd.Flags().BoolVar(&o.all, "all", false, "all open letters; needed if no other flag chooses")
	return cmd
}

func (s *settings) requestCommand(o *requestOptions, cmd *cobra.Command) *cobra.Command {
	cmd.Args = noArgs
	s.letterWork(cmd, func(ctx context.Context, d *daemon.DeadLetters, out io.Writer, _ []string) error {
		filter, err := o.filter(time.Now())
		if err != nil {
			return err
		}
		if o.kind == lakehouse.RequestDiscard && filter.Empty() && !o.all {
			return usageError{errors.New("discard closes letters for good: choose some with --model, --reason, --letter, --since or --until, or say --all")}
		}
		if o.all && !filter.Empty() {
			return usageError{errors.New("--all and a flag that chooses exclude each other")}
		}
		return s.ask(ctx, d, o, filter, out)
	})
	o.add(cmd)
	o.addIDs(cmd)
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "only count the letters that match")
	cmd.Flags().BoolVar(&o.wait, "wait", false, "wait until it is carried out, and print the result")
	return cmd
}

// ask counts what matches, asks for it and, if wanted, waits.
func (s *settings) ask(ctx context.Context, d *daemon.DeadLetters, o *requestOptions, filter lakehouse.LetterFilter, out io.Writer) error {
	match, err := d.Match(ctx, o.kind, filter)
	if err != nil {
		return err
	}
	report := requestReport{Kind: o.kind, Letters: match.Letters, NoModel: match.NoModel}
	text := s.output == "text"
	if text {
		fmt.Fprintf(out, "%d open dead letters match\n", match.Letters)
		if match.NoModel > 0 {
			fmt.Fprintf(out, "%d more are of models that the project does not have; they stay open\n", match.NoModel)
		}
	}
	if !o.dryRun && match.Letters > 0 {
		if report.Request, err = d.Ask(ctx, o.kind, filter); err != nil {
			return err
		}
		if text {
			fmt.Fprintf(out, "request %s: calve run carries it out, the one that runs or the next\n", report.Request)
		}
	}
	if report.Request != "" && o.wait {
		result, err := d.Wait(ctx, report.Request)
		if err != nil {
			return err
		}
		report.Result = &result
		if text {
			fmt.Fprintln(out, describeResult(o.kind, result))
		}
	}
	if !text {
		return writeJSON(out, report)
	}
	return nil
}

func describeResult(kind lakehouse.RequestKind, r lakehouse.RequestResult) string {
	if kind == lakehouse.RequestDiscard {
		return fmt.Sprintf("discarded %d", r.Discarded)
	}
	return fmt.Sprintf("replayed %d, refused %d, filtered %d", r.Replayed, r.Refused, r.Filtered)
}
