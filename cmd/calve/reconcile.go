package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/daemon"
)

// reconcileReport is what calve reconcile prints with --output json.
type reconcileReport struct {
	Model   string                   `json:"model"`
	Request string                   `json:"request,omitempty"` // "" if nothing was asked for
	Would   *reconcileCounts         `json:"would,omitempty"`   // with --dry-run
	Result  *lakehouse.RequestResult `json:"result,omitempty"`  // with --wait
}

// reconcileCounts is what a trial found.
type reconcileCounts struct {
	Create  int64 `json:"create"` // rows
	Change  int64 `json:"change"`
	Delete  int64 `json:"delete"`
	Resolve int64 `json:"resolve"` // dead letters
}

type reconcileOptions struct {
	model             string
	dryRun, yes, wait bool
}

func newReconcile(s *settings) *cobra.Command {
	var o reconcileOptions
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Make the rows of a keyed model anew, late events and changes included",
		Long: `Ask the pipeline's writer to make the rows of one keyed model anew from the tables
of the models that it reads, as if no event had come late. The writer does so beside
its other work, over as many epochs as it takes, and goes on where it was if it is
stopped. Until it is done the model's table stays as it is; then one epoch changes
the rows that are wrong, and no others. A session keeps its key.

With a dimension the facts and bridges that have keys of it are made anew too, and
shown in the same epoch. The counts are of all of them.

Dead letters of the model whose rows are in the table then are closed as replayed.
Letters that it still cannot take stay open.

With --dry-run nothing is asked for: rows are made anew on this machine, in a
temporary folder, and what would change is counted. It takes about as long as the
reconciliation itself, and needs no Kafka.`,
		Example: `  calve reconcile --project shop --model int_sessions --dry-run
  calve reconcile --project shop --model int_sessions --yes --wait
  calve reconcile --project shop --model dim_customers --yes --output json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, logger, err := s.begin()
			if err != nil {
				return err
			}
			switch {
			case o.model == "":
				return usageError{errors.New("--model is missing: name the model whose rows are to be made anew")}
			case o.dryRun && (o.wait || o.yes):
				return usageError{errors.New("--dry-run asks for nothing: leave --yes and --wait out")}
			}
			if !o.dryRun && !o.yes {
				if err := confirm(cmd, fmt.Sprintf("Make all rows of model %s anew?", o.model)); err != nil {
					return err
				}
			}
			r, err := daemon.OpenReconciliation(cmd.Context(), p, o.model, logger)
			if err != nil {
				return err
			}
			defer r.Close()
			return s.reconcile(cmd, r, o)
		},
	}
	cmd.Flags().StringVar(&o.model, "model", "", "the model, of kind session or fact")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "only count the rows that would be created, changed and deleted, and the dead letters that would be closed")
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do not ask whether to go on")
	cmd.Flags().BoolVar(&o.wait, "wait", false, "wait until it is carried out, and print the result")
	return s.withOutput(s.withProject(cmd))
}

// confirm asks a person. Where there is none, --yes must have been given.
func confirm(cmd *cobra.Command, question string) error {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !isTerminal(in) {
		return usageError{errors.New("there is no terminal to ask at: say --yes, or look first with --dry-run")}
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s [y/N] ", question)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errors.New("nothing was asked for")
	}
	return nil
}

func (s *settings) reconcile(cmd *cobra.Command, r *daemon.Reconciliation, o reconcileOptions) error {
	ctx, out, text := cmd.Context(), cmd.OutOrStdout(), s.output == "text"
	report := reconcileReport{Model: o.model}
	if o.dryRun {
		would, err := r.DryRun(ctx)
		if err != nil {
			return err
		}
		report.Would = &reconcileCounts{would.Created, would.Updated, would.Deleted, would.Replayed + would.Filtered}
		if text {
			_, err = fmt.Fprintf(out, "model %s: %d rows to create, %d to change, %d to delete; %d dead letters to close\n",
				o.model, would.Created, would.Updated, would.Deleted, report.Would.Resolve)
			return err
		}
		return writeJSON(out, report)
	}
	var err error
	if report.Request, err = r.Ask(ctx); err != nil {
		return err
	}
	if text {
		fmt.Fprintf(out, "request %s: calve run carries it out, the one that runs or the next\n", report.Request)
	}
	if o.wait {
		result, err := r.Wait(ctx, report.Request)
		if err != nil {
			return err
		}
		if result.Problem != "" {
			return fmt.Errorf("request %s was not carried out: %s", report.Request, result.Problem)
		}
		if report.Result = &result; text {
			fmt.Fprintf(out, "model %s: %d rows created, %d changed, %d deleted; %d dead letters closed\n",
				o.model, result.Created, result.Updated, result.Deleted, result.Replayed+result.Filtered)
		}
	}
	if !text {
		return writeJSON(out, report)
	}
	return nil
}
