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
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/calvelake/calve/examples"
	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/kafka"
	"github.com/calvelake/calve/runtime/project"
)

// demoReport is what calve demo prints with --output json.
type demoReport struct {
	RowsIn  int64       `json:"rows_in"`
	RowsOut int64       `json:"rows_out"` // in the tables that records end in
	Rejects int64       `json:"rejects"`
	Tables  []demoTable `json:"tables"`
	Dir     string      `json:"dir,omitempty"` // with --keep
}

// demoTable is a table that a demo has filled.
type demoTable struct {
	Name      string `json:"name"`
	Rows      int64  `json:"rows"`
	Files     int64  `json:"files"`
	Snapshots int    `json:"snapshots"`
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
		Long: `Produce an example's data to an embedded broker, carry it through its models
into Iceberg tables on the local disk, and show what came out. Everything is
removed afterwards unless --keep is given; what is kept is a project that
calve run continues, and the ways to attach other engines to it are printed.`,
		Example: `  calve demo
  calve demo --example shop
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
	if d.output != "json" {
		fmt.Fprintf(d.out, "%s: %s\n", d.example.Name, d.example.Summary)
	}
	r, err := d.round(ctx, p, false)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(d.example.Topics, func(t examples.Topic) bool { return t.Late }) {
		if err := d.showEarly(ctx, p); err != nil {
			return err
		}
		late, err := d.round(ctx, p, true)
		if err != nil {
			return err
		}
		r.RowsIn += late.RowsIn
		r.Rejects += late.Rejects
	}
	return d.report(ctx, p, r)
}

// round produces the data that is late, or that is not, and runs it through.
func (d *demo) round(ctx context.Context, p *project.Project, late bool) (demoReport, error) {
	in, err := d.produce(ctx, p, late)
	if err != nil {
		return demoReport{}, err
	}
	stats, err := daemon.Run(ctx, p, daemon.RunOptions{Once: true, Logger: d.logger})
	return demoReport{RowsIn: in, Rejects: stats.Letters}, err
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
	if err := d.generate(); err != nil {
		return err
	}
	return d.plugins(ctx)
}

// generate makes the data that the example generates.
func (d *demo) generate() error {
	for _, t := range d.example.Topics {
		if t.Generate == nil {
			continue
		}
		name := filepath.Join(d.dir, filepath.FromSlash(t.File))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return fmt.Errorf("make folder of %s: %w", t.File, err)
		}
		file, err := os.Create(name)
		if err != nil {
			return fmt.Errorf("make %s: %w", t.File, err)
		}
		if err := errors.Join(t.Generate(file), file.Close()); err != nil {
			return fmt.Errorf("generate %s: %w", t.File, err)
		}
	}
	return nil
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

// produce writes the example's data, what is late of it or what is not, to the
// embedded broker.
func (d *demo) produce(ctx context.Context, p *project.Project, late bool) (int64, error) {
	broker, err := daemon.OpenBroker(ctx, p, d.logger)
	if err != nil {
		return 0, err
	}
	var total int64
	for _, t := range d.example.Topics {
		if t.Late != late {
			continue
		}
		n, err := produceFile(ctx, broker.Client, t, d.dir)
		total += n
		if err != nil {
			return total, errors.Join(err, broker.Close())
		}
	}
	return total, broker.Close()
}

func produceFile(ctx context.Context, client *kafka.Client, t examples.Topic, dir string) (int64, error) {
	file, err := os.Open(filepath.Join(dir, filepath.FromSlash(t.File)))
	if err != nil {
		return 0, fmt.Errorf("open %s: %w", t.File, err)
	}
	defer file.Close() //nolint:errcheck // only read from
	config := kafka.ProduceConfig{Topic: t.Name, CreateTopic: true, Partitions: t.Partitions, KeepTimestamps: t.Recorded}
	records := kafka.Lines(file, "")
	if t.Recorded {
		records = kafka.Recorded(file)
	}
	return client.Produce(ctx, config, records)
}
