package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/calvelake/calve/plugins/author"
)

// authorCommands are the tools of those who write plugins.
func (s *settings) authorCommands() []*cobra.Command {
	return []*cobra.Command{s.newPluginNew(), s.newPluginBuild(), s.newPluginTest(), s.newPluginBench()}
}

func (s *settings) newPluginNew() *cobra.Command {
	var o author.Options
	var language string
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Make a folder for a new plugin",
		Long: `Make a folder for a new plugin: source, test cases and the SDK of the language.
It builds and passes its tests as it is, without a network; for AssemblyScript,
npm install brings the compiler.`,
		Example: `  calve plugin new orders --dir shop/plugin
  calve plugin new orders --lang assemblyscript
  calve plugin new visits --kind session`,
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.Language, err = author.ParseLanguage(language); err != nil {
				return usageError{fmt.Errorf("--lang: %w", err)}
			}
			o.Name = args[0]
			dir, err := author.New(o)
			if err != nil {
				return usageError{err}
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%s is there. Next:\n\n", dir)
			if o.Language == author.AssemblyScript {
				fmt.Fprintf(out, "  npm install --prefix %s\n", dir)
			}
			_, err = fmt.Fprintf(out, "  calve plugin build %s\n  calve plugin test %s\n", dir, dir)
			return err
		},
	}
	cmd.Flags().StringVar(&language, "lang", string(author.Go), "go, rust, assemblyscript or c")
	cmd.Flags().StringVar(&o.Kind, "kind", "transform", "transform, session or scd")
	cmd.Flags().StringVar(&o.Parent, "dir", ".", "the folder to make it in")
	return cmd
}

func (s *settings) newPluginBuild() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "build [DIR]",
		Short: "Build a plugin's module",
		Long: `Build the module of a plugin's folder with the toolchain of its language: go,
cargo, clang with lld, or asc. It is put into the folder, under the folder's
name, or where --to says.`,
		Example: `  calve plugin build plugin/orders --to plugins/orders.wasm`,
		Args:    optionalArg("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := s.checkOutput(); err != nil {
				return err
			}
			built, err := author.Build(cmd.Context(), argOr(args, "."), to)
			if err != nil {
				return err
			}
			if s.output == "json" {
				return writeJSON(cmd.OutOrStdout(), built)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d bytes, sha256:%s\n", built.Module, built.Bytes, built.Digest)
			return err
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the module's file (default: DIR.wasm within DIR)")
	return s.withOutput(cmd)
}

func optionalArg(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usageError{fmt.Errorf("%s takes at most one %s, got %q", cmd.CommandPath(), name, args)}
		}
		return nil
	}
}

func argOr(args []string, instead string) string {
	if len(args) == 0 {
		return instead
	}
	return args[0]
}

// subject is the module that test and bench are about, and its cases.
type subject struct {
	module *author.Module
	cases  []author.Case
}

// openSubject opens a module, or that of a plugin's folder. The cases are those
// in the folder cases beside the module, unless the flag says where.
func (s *settings) openSubject(ctx context.Context, path, casesDir string) (subject, error) {
	if err := s.checkOutput(); err != nil {
		return subject{}, err
	}
	logger, err := s.logger()
	if err != nil {
		return subject{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return subject{}, usageError{fmt.Errorf("open plugin: %w", err)}
	}
	file := path
	if info.IsDir() {
		if file, err = author.ModulePath(path); err != nil {
			return subject{}, err
		}
		if _, err := os.Stat(file); err != nil {
			return subject{}, usageError{fmt.Errorf("%s is not there: run calve plugin build %s first", file, path)}
		}
	}
	if casesDir == "" {
		casesDir = filepath.Join(filepath.Dir(file), "cases")
	} else if _, err := os.Stat(casesDir); err != nil {
		return subject{}, usageError{fmt.Errorf("--cases: %w", err)}
	}
	cases, err := author.ReadCases(casesDir)
	if err != nil {
		return subject{}, usageError{err}
	}
	module, err := author.Open(ctx, file, logger)
	return subject{module, cases}, err
}

// pluginTest is what test prints with --output json.
type pluginTest struct {
	Plugin  string              `json:"plugin"`
	Version string              `json:"version"`
	Digest  string              `json:"digest"`
	Passed  bool                `json:"passed"`
	Cases   []author.CaseResult `json:"cases"`
	Fuzz    *author.FuzzResult  `json:"fuzz,omitempty"`
}

// testOptions are those of test.
type testOptions struct {
	cases  string
	update bool
	fuzz   int
	seed   uint64
}

func (s *settings) newPluginTest() *cobra.Command {
	var o testOptions
	cmd := &cobra.Command{
		Use:   "test [DIR|MODULE.wasm]",
		Short: "Run a plugin on its test cases, and on random rows",
		Long: `Run a plugin's module on the cases in the folder cases beside it. A case is a
JSON file: rows that go in, rows that should come out, row errors.

  {"name": "…", "config": {…}, "input": [{"id": 1}], "output": [{"order_id": 1}],
   "errors": [{"row": 0, "code": "…", "column": "…"}]}

"streams": {"1": […]} are the rows of further streams; "columns": [{"name": "id",
"data_type": "long"}] those of the input, where the plugin takes any; "refused":
"…" says that the config is refused. What is different is told by case, row and
column, and the exit code is 1. With --update the cases take what the plugin
answers.

Events of a plugin of kind session have a _key and an _event_time, and the case
a gap; the output is the sessions. A list of lists is events that come in several
batches:

  {"gap": "30m", "input": [{"_key": "ada", "_event_time": "2026-05-01T08:00:00Z", "page": "/"}],
   "output": [{"visitor": "ada", "views": 1}]}

Changes of a plugin of kind scd have a _key, an _op and an _effective_at; what is
wanted is decisions, or the versions that these make, or both:

  {"input": [{"_key": "1", "_op": "c", "_effective_at": "2026-05-01T08:00:00Z", "city": "Oslo"}],
   "decisions": [{"_action": "new_version", "city": "Oslo"}],
   "versions": [{"_key": "1", "_valid_from": "2026-05-01T08:00:00Z", "city": "Oslo"}]}

With --fuzz the plugin also runs on random batches: it must not trap, must
return what is valid, and answer the same to the same rows.`,
		Example: `  calve plugin test plugin/orders
  calve plugin test plugins/orders.wasm --cases plugin/orders/cases --fuzz 1000
  calve plugin test plugin/orders --update`,
		Args: optionalArg("DIR or MODULE.wasm"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("seed") {
				o.seed = uint64(rand.Uint32())
			}
			return s.testPlugin(cmd.Context(), cmd.OutOrStdout(), argOr(args, "."), o)
		},
	}
	cmd.Flags().StringVar(&o.cases, "cases", "", "the folder of the cases (default: cases beside the module)")
	cmd.Flags().BoolVar(&o.update, "update", false, "write what the plugin answers into the cases")
	cmd.Flags().IntVar(&o.fuzz, "fuzz", 0, "how many random batches to run")
	cmd.Flags().Uint64Var(&o.seed, "seed", 0, "of the random batches (default: another each time, and told)")
	return s.withOutput(cmd)
}

// errPluginTest: what is wrong has been printed.
var errPluginTest = errors.New("the plugin does not do what its tests want")

func (s *settings) testPlugin(ctx context.Context, out io.Writer, path string, o testOptions) (err error) {
	if o.fuzz < 0 {
		return usageError{fmt.Errorf("--fuzz %d: expected a number of batches", o.fuzz)}
	}
	subject, err := s.openSubject(ctx, path, o.cases)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, subject.module.Close(context.WithoutCancel(ctx))) }()
	if len(subject.cases) == 0 && o.fuzz == 0 {
		return usageError{errors.New("there are no cases: put *.json into the folder cases beside the module, or give --cases or --fuzz")}
	}
	d := subject.module.Describe()
	report := pluginTest{Plugin: d.Name, Version: d.Version, Digest: subject.module.Digest(), Passed: true}
	run := subject.module.Check
	if o.update {
		run = subject.module.Update
	}
	if report.Cases, err = run(ctx, subject.cases); err != nil {
		return err
	}
	for _, c := range report.Cases {
		report.Passed = report.Passed && len(c.Differences) == 0
	}
	if o.fuzz > 0 {
		fuzzed, err := subject.module.Fuzz(ctx, author.FuzzOptions{Batches: o.fuzz, Seed: o.seed, Cases: subject.cases})
		if err != nil {
			return err
		}
		report.Fuzz, report.Passed = &fuzzed, report.Passed && len(fuzzed.Failures) == 0
	}
	if s.output == "json" {
		err = writeJSON(out, report)
	} else {
		err = printPluginTest(out, report)
	}
	if err == nil && !report.Passed {
		err = errPluginTest
	}
	return err
}

func printPluginTest(out io.Writer, r pluginTest) (err error) {
	line := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintf(out, format+"\n", args...)
		}
	}
	for _, c := range r.Cases {
		result := "ok"
		switch {
		case len(c.Differences) > 0:
			result = "FAIL"
		case c.Updated:
			result = "updated"
		}
		line("%-7s  %s (%d rows)", result, c.Name, c.Rows)
		for _, d := range c.Differences {
			line("         %s: %s", c.File, d)
		}
	}
	if f := r.Fuzz; f != nil {
		result := "ok"
		if len(f.Failures) > 0 {
			result = "FAIL"
		}
		line("%-7s  random rows: %d batches, %d rows, %d row errors of the plugin's own, --seed %d", result, f.Batches, f.Rows, f.RowErrors, f.Seed)
		for _, failure := range f.Failures {
			line("         batch %d: %s", failure.Batch, failure.Difference)
			for _, row := range failure.Input[:min(len(failure.Input), 1)] {
				line("           input %s", shorten(string(row), 1000))
			}
		}
	}
	return err
}

// pluginBench is what bench prints with --output json.
type pluginBench struct {
	Plugin  string `json:"plugin"`
	Version string `json:"version"`
	Digest  string `json:"digest"`
	author.Measurement
}

func (s *settings) newPluginBench() *cobra.Command {
	var casesDir string
	o := author.MeasureOptions{}
	cmd := &cobra.Command{
		Use:   "bench [DIR|MODULE.wasm]",
		Short: "Measure a plugin's speed, work and memory",
		Long: `Measure how many rows a second a plugin takes, how much work a row is, and
whether its memory grows from batch to batch. The rows are those of its first
case over and over, or random ones. A session plugin is measured in accumulate,
merge and finish, an scd plugin in its decisions.`,
		Example: `  calve plugin bench plugin/orders
  calve plugin bench plugins/orders.wasm --rows 1024 --output json`,
		Args: optionalArg("DIR or MODULE.wasm"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Rows < 1 || o.Batches < 1 {
				return usageError{errors.New("--rows and --batches: expected 1 or more")}
			}
			return s.benchPlugin(cmd.Context(), cmd.OutOrStdout(), argOr(args, "."), casesDir, o)
		},
	}
	cmd.Flags().StringVar(&casesDir, "cases", "", "the folder of the cases (default: cases beside the module)")
	cmd.Flags().IntVar(&o.Rows, "rows", 8192, "rows of a batch")
	cmd.Flags().IntVar(&o.Batches, "batches", 200, "batches after which memory is looked at again")
	cmd.Flags().DurationVar(&o.Time, "time", 2*time.Second, "how long to run each step for the speed")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 1, "of random rows")
	return s.withOutput(cmd)
}

func (s *settings) benchPlugin(ctx context.Context, out io.Writer, path, casesDir string, o author.MeasureOptions) (err error) {
	subject, err := s.openSubject(ctx, path, casesDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, subject.module.Close(context.WithoutCancel(ctx))) }()
	o.Cases = subject.cases
	m, err := subject.module.Measure(ctx, o)
	if err != nil {
		return err
	}
	d := subject.module.Describe()
	if s.output == "json" {
		return writeJSON(out, pluginBench{d.Name, d.Version, subject.module.Digest(), m})
	}
	return printPluginBench(out, m)
}

func printPluginBench(out io.Writer, m author.Measurement) error {
	rows, memory := "random", "does not grow"
	if m.Case != "" {
		rows = fmt.Sprintf("of the case %q", m.Case)
	}
	if m.Grows {
		memory = fmt.Sprintf("GROWS, to %d KiB after %d batches", m.MemoryAfter>>10, m.Batches)
		if m.MemoryAfter == 0 {
			memory = fmt.Sprintf("GROWS, beyond the default limit within %d batches", m.Batches)
		}
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "rows\t%s\n", rows)
	for _, step := range m.Steps {
		fmt.Fprintf(w, "%s\t%.0f %s/s\t%d a call, which takes %.1f times as long as copying them\n", step.Name, step.RowsPerSecond, step.Of, step.Rows, step.VsCopy)
		fmt.Fprintf(w, "\t%.1f units of work each\ta call takes %.3f%% of the default budget\n", step.WorkPerRow, 100*step.BudgetShare)
	}
	fmt.Fprintf(w, "memory\t%d KiB\t%s\n", m.MemoryBytes>>10, memory)
	return w.Flush()
}
