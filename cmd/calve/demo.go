package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/examples"
	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/kafka"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
)

// demoReport is what calve demo prints with --output json.
type demoReport struct {
	RowsIn    int64  `json:"rows_in"`
	RowsOut   int64  `json:"rows_out"`
	Rejects   int64  `json:"rejects"`
	Files     int64  `json:"files"`
	Snapshots int    `json:"snapshots"`
	Dir       string `json:"dir,omitempty"` // with --keep
}

type demo struct {
	*settings
	example examples.Example
	files   fs.FS
	dir     string
	keep    bool
	logger  *slog.Logger
	out     io.Writer
}

func newDemo(s *settings) *cobra.Command {
	d := &demo{settings: s}
	var name string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run an example end to end on an embedded broker, catalog and warehouse",
		Long: `Produce an example's real data to an embedded broker, carry it through its
plugin into Iceberg tables on the local disk, and show what came out. Everything
is removed afterwards unless --keep is given; what is kept is a project that
calve run continues, and the ways to attach other engines to it are printed.`,
		Example: `  calve demo
  calve demo --keep --dir ./weblog
  calve demo --output json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var ok bool
			if d.example, d.files, ok = examples.Find(name); !ok {
				return usageError{fmt.Errorf("--example %s: there is none of that name; choose one of %s", name, strings.Join(examples.Names(), ", "))}
			}
			if err := s.checkOutput(); err != nil {
				return err
			}
			var err error
			if s.logLevel == "" {
				s.logLevel = "warn"
			}
			if d.logger, err = s.logger(); err != nil {
				return err
			}
			d.out = cmd.OutOrStdout()
			return d.run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&name, "example", "weblog", "one of "+strings.Join(examples.Names(), ", "))
	cmd.Flags().StringVar(&d.dir, "dir", "", "folder to work in (default: a temporary one)")
	cmd.Flags().BoolVar(&d.keep, "keep", false, "keep the folder: a project that calve run continues")
	return s.withOutput(cmd)
}

func (d *demo) run(ctx context.Context) error {
	if err := d.prepare(ctx); err != nil {
		return err
	}
	if !d.keep {
		defer func() { _ = os.RemoveAll(d.dir) }() // what stays is the system's temporary folder to clean
	}
	p, err := project.Load(d.dir, os.LookupEnv)
	if err != nil {
		return err
	}
	// Any free port will do, for nobody else connects.
	p.Connections.Kafka.Embedded.Listen = "127.0.0.1:0"
	in, err := d.produce(ctx, p)
	if err != nil {
		return err
	}
	stats, err := daemon.Run(ctx, p, daemon.RunOptions{Once: true, Logger: d.logger})
	if err != nil {
		return err
	}
	return d.report(ctx, p, in, stats)
}

// prepare lays the example out in its folder.
func (d *demo) prepare(ctx context.Context) error {
	if d.dir == "" {
		dir, err := os.MkdirTemp("", "calve-demo-")
		if err != nil {
			return fmt.Errorf("make folder for the demo: %w", err)
		}
		d.dir = dir
	}
	dir, err := filepath.Abs(d.dir)
	if err != nil {
		return fmt.Errorf("find folder %s: %w", d.dir, err)
	}
	d.dir = dir
	entries, err := os.ReadDir(d.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read folder %s: %w", d.dir, err)
	}
	if len(entries) > 0 {
		return usageError{fmt.Errorf("--dir %s is not empty; the demo wants a folder of its own", d.dir)}
	}
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return fmt.Errorf("make folder %s: %w", d.dir, err)
	}
	if err := os.CopyFS(d.dir, d.files); err != nil {
		return fmt.Errorf("copy example to %s: %w", d.dir, err)
	}
	return d.plugins(ctx)
}

// plugins makes sure that the example's modules are there. A binary that was
// built by make build has them inside; else they are built from the source
// tree around the working folder.
func (d *demo) plugins(ctx context.Context) error {
	for module, source := range d.example.Plugins {
		target := filepath.Join(d.dir, filepath.FromSlash(module))
		if _, err := os.Stat(target); err == nil {
			continue
		}
		root, err := sourceTree()
		if err != nil {
			return err
		}
		if err := daemon.BuildGoPlugin(ctx, filepath.Join(root, "examples", d.example.Name, filepath.FromSlash(source)), target); err != nil {
			return err
		}
	}
	return nil
}

// sourceTree finds the folder of Calve's source around the working folder.
func sourceTree() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find working folder: %w", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module github.com/calvelake/calve\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("this binary was built without the example's plugin, and the working folder is not in Calve's source tree; build it with: make build")
		}
	}
}

// produce writes the example's data to the embedded broker.
func (d *demo) produce(ctx context.Context, p *project.Project) (int64, error) {
	broker, err := daemon.OpenBroker(ctx, p, d.logger)
	if err != nil {
		return 0, err
	}
	var total int64
	for _, t := range d.example.Topics {
		n, err := produceFile(ctx, broker.Client, t, d.files)
		total += n
		if err != nil {
			return total, errors.Join(err, broker.Close())
		}
	}
	return total, broker.Close()
}

func produceFile(ctx context.Context, client *kafka.Client, t examples.Topic, files fs.FS) (int64, error) {
	file, err := files.Open(t.File)
	if err != nil {
		return 0, fmt.Errorf("open %s: %w", t.File, err)
	}
	defer file.Close()
	return client.Produce(ctx, kafka.ProduceConfig{Topic: t.Name, CreateTopic: true, Partitions: t.Partitions}, kafka.Lines(file, ""))
}

func (d *demo) report(ctx context.Context, p *project.Project, in int64, stats pipeline.Stats) error {
	lake, err := daemon.OpenLakehouse(ctx, p, d.logger)
	if err != nil {
		return err
	}
	defer func() { _ = lake.Close() }() // only read from
	id, err := catalog.ParseIdentifier(d.example.Table)
	if err != nil {
		return err
	}
	table, err := lake.ShowTable(ctx, id)
	if err != nil {
		return err
	}
	r := demoReport{RowsIn: in, RowsOut: table.Rows, Rejects: stats.Letters, Files: table.Files, Snapshots: len(table.Snapshots)}
	if d.keep {
		r.Dir = d.dir
	}
	if d.output == "json" {
		return writeJSON(d.out, r)
	}
	if err := d.print(ctx, lake, id, r); err != nil {
		return err
	}
	if d.keep {
		return printAttach(d.out, p, id)
	}
	return nil
}

func (d *demo) print(ctx context.Context, lake *daemon.Lakehouse, id catalog.Identifier, r demoReport) error {
	fmt.Fprintf(d.out, "%s: %s\n\n", d.example.Name, d.example.Summary)
	fmt.Fprintf(d.out, "rows in   %6d\nrows out  %6d  in %s\nrejects   %6d  in %s\nfiles     %6d\nsnapshots %6d\n",
		r.RowsIn, r.RowsOut, id, r.Rejects, lakehouse.DeadLettersDefinition(d.example.Name).ID, r.Files, r.Snapshots)
	sample, err := lake.SampleTable(ctx, id, 5)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\nthe first rows of %s:\n", id)
	if err := printSample(d.out, sample); err != nil {
		return err
	}
	days, err := lake.CountByDay(ctx, id, d.example.CountBy)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\nrows by day of %s:\n", d.example.CountBy)
	for _, day := range days {
		fmt.Fprintf(d.out, "%s  %d\n", day.Day, day.Rows)
	}
	return nil
}
