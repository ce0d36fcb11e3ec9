package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/pipeline"
)

// runReport is what calve run prints with --output json.
type runReport struct {
	Records     int64 `json:"records"`
	RowsOut     int64 `json:"rows_out"`
	DeadLetters int64 `json:"dead_letters"`
	Filtered    int64 `json:"filtered"`
	Epochs      int64 `json:"epochs"`
	Files       int64 `json:"files"`
	LastEpoch   int64 `json:"last_epoch"` // 0 if this run committed none

	Plugins []pluginSwap   `json:"plugins,omitempty"` // other modules that references came to mean
	Shadows []shadowReport `json:"shadows,omitempty"`
}

func newRun(s *settings) *cobra.Command {
	var (
		once    bool
		standby bool
		onLoss  string
		metrics string
		shadows []string
		reset   []string
	)
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run a project's pipeline",
		Long: `Run a project's pipeline until it is stopped. SIGTERM and Ctrl-C finish and
commit the epoch in hand. Where it stops, the next run goes on: no record is
lost and none is written twice, however it ended.`,
		Example: `  calve run --project shop
  calve run --project shop --once                  # up to what is there now, then exit
  calve run --project shop --once --output json
  calve run --project shop --standby               # takes over when the writer dies
  calve run --project shop --metrics 127.0.0.1:9464
  calve run --project shop --once --shadow orders=clean@1.1.0`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, logger, err := s.begin()
			if err != nil {
				return err
			}
			if onLoss != "fail" && onLoss != "record-loss" {
				return usageError{fmt.Errorf("--on-data-loss %s: expected fail or record-loss", onLoss)}
			}
			if once && standby {
				return usageError{errors.New("--once and --standby exclude each other: a standby waits for another process, --once for none")}
			}
			options := daemon.RunOptions{Once: once, Standby: standby, RecordLoss: onLoss == "record-loss", Logger: logger, ResetModels: reset}
			if _, _, err := net.SplitHostPort(metrics); err != nil && metrics != "" {
				return usageError{fmt.Errorf("--metrics %s: expected host:port, as 127.0.0.1:9464, or :9464 for all interfaces", metrics)}
			}
			options.Metrics = metrics
			daemon.LimitMemory(p, logger)
			if options.Shadows, err = parseShadows(shadows); err != nil {
				return usageError{err}
			}
			if isTerminal(os.Stderr) {
				options.Watch = daemon.Progress(os.Stderr, time.Second)
			}
			stats, err := daemon.Run(cmd.Context(), p, options)
			if err != nil {
				return err
			}
			return s.reportRun(cmd, stats)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "read up to the end offsets seen at start, commit, exit")
	cmd.Flags().BoolVar(&standby, "standby", false, "wait until the writer's epoch log has been silent for 3 minutes (3 commit intervals if they are longer), then take over")
	cmd.Flags().StringVar(&onLoss, "on-data-loss", "fail", "when records expired before they were read: fail, or record-loss to go on and record the lost range")
	cmd.Flags().StringArrayVar(&reset, "reset-model", nil, "a model that keeps state (sessions, facts …): forget the state, take its inputs' tables in again, and then change the rows of its own; once for each model. For late events use calve reconcile")
	cmd.Flags().StringVar(&metrics, "metrics", "", "host:port at which /metrics (Prometheus), /healthz and /readyz are served; none if empty. They ask for no log-in")
	cmd.Flags().StringArrayVar(&shadows, "shadow", nil, "MODEL=name@channel or MODEL=name@version of the plugin registry: runs beside the model's plugin, writes nothing, and tells what differs; once for each model")
	return s.withOutput(s.withProject(cmd))
}

func (s *settings) reportRun(cmd *cobra.Command, stats pipeline.Stats) error {
	if s.output == "json" {
		return writeJSON(cmd.OutOrStdout(), runReport{
			Records: stats.Records, RowsOut: stats.Rows, DeadLetters: stats.Letters, Filtered: stats.Filtered,
			Epochs: stats.Epochs, Files: stats.Files, LastEpoch: stats.Last,
			Plugins: pluginSwaps(stats.Swaps), Shadows: shadowReports(stats.Shadows),
		})
	}
	out := cmd.OutOrStdout()
	if _, err := fmt.Fprintf(out, "%d records: %d new rows, %d dead letters, %d filtered; %d epochs, %d files\n",
		stats.Records, stats.Rows, stats.Letters, stats.Filtered, stats.Epochs, stats.Files); err != nil {
		return err
	}
	return errors.Join(printSwaps(out, stats.Swaps), printShadows(out, stats.Shadows))
}
