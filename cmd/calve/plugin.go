package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/calvelake/calve/plugins"
	"github.com/calvelake/calve/runtime/daemon"
)

func newPlugin(s *settings) *cobra.Command {
	plugin := group(&cobra.Command{
		Use:   "plugin",
		Short: "Write plugins: new, build, test, bench; keep them: push, list, show, promote, yank, log, serve",
		Long: `The plugin registry keeps modules in the project's warehouse, below
_calve/plugins: versions, which never change; channels, each at one version; and
a log of who did what. A model refers to it as name@channel, name@version or
name@sha256:<digest>.

The commands work on the project's warehouse, or with --registry on one that
calve plugin serve serves; the token is then that of the environment variable
CALVE_PLUGIN_TOKEN.`,
	})
	plugin.AddCommand(s.newPluginServe(), s.newPluginPush(), s.newPluginList(), s.newPluginShow(), s.newPluginPromote(), s.newPluginYank(), s.newPluginLog())
	plugin.AddCommand(s.authorCommands()...)
	return plugin
}

// pluginRegistry is the registry of a warehouse, at hand or over HTTP.
type pluginRegistry interface {
	Upload(ctx context.Context, u plugins.Upload) (plugins.Uploaded, error)
	List(ctx context.Context) ([]plugins.Plugin, error)
	Show(ctx context.Context, name string) (plugins.Plugin, error)
	Promote(ctx context.Context, p plugins.Promote) (plugins.Promoted, error)
	Yank(ctx context.Context, q plugins.YankRequest) (plugins.Yanked, error)
	Audit(ctx context.Context, q plugins.AuditQuery) ([]plugins.Entry, error)
}

// pluginWork completes a command on the plugin registry. A name that is
// malformed is the user's mistake.
func (s *settings) pluginWork(cmd *cobra.Command, work func(ctx context.Context, r pluginRegistry, out io.Writer, args []string) error) *cobra.Command {
	var url string
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		registry, err := s.openPlugins(cmd.Context(), url, nil)
		if err != nil {
			return asUsage(err)
		}
		return asUsage(work(cmd.Context(), registry, cmd.OutOrStdout(), args))
	}
	withRegistry(cmd, &url)
	return s.withOutput(s.withProject(cmd))
}

// pluginToken is the environment variable of the token: a flag would be seen by
// everyone on the machine.
const pluginToken = "CALVE_PLUGIN_TOKEN"

func withRegistry(cmd *cobra.Command, url *string) {
	cmd.Flags().StringVar(url, "registry", "", "URL of a registry that is served, instead of the project's warehouse; its token in "+pluginToken)
}

// openPlugins opens the registry of a URL, or that of the project.
func (s *settings) openPlugins(ctx context.Context, url string, verify plugins.VerifyFunc) (pluginRegistry, error) {
	if url == "" {
		p, _, err := s.begin()
		if err != nil {
			return nil, err
		}
		return daemon.OpenPlugins(ctx, p, verify)
	}
	if err := s.checkOutput(); err != nil {
		return nil, err
	}
	token := os.Getenv(pluginToken)
	if token == "" {
		return nil, usageError{fmt.Errorf("--registry: the environment variable %s is not set; put the token into it", pluginToken)}
	}
	return plugins.NewClient(plugins.ClientConfig{URL: url, Token: token, Verify: verify})
}

func asUsage(err error) error {
	if errors.Is(err, plugins.ErrName) {
		return usageError{err}
	}
	return err
}

// pushOptions are those of push.
type pushOptions struct {
	name, version, model, fixtures string
	url                            string
	dryRun                         bool
}

// pushReport is what push prints with --output json.
type pushReport struct {
	Plugin  string         `json:"plugin"`
	Version string         `json:"version"`
	Digest  string         `json:"digest"`
	Created bool           `json:"created"` // false: it was there, or nothing was to be stored
	Report  plugins.Report `json:"report"`
}

func (s *settings) newPluginPush() *cobra.Command {
	var o pushOptions
	cmd := &cobra.Command{
		Use:   "push MODULE.wasm",
		Short: "Verify a module and store it as a version",
		Long: `Verify a module, and store it under a name and a version, which then never
changes. Pushing the same module again does nothing; another module under the
same version is refused.

Verification checks the module's size, structure, imports, exports and
description, and runs its fixtures: on instances that are fresh and that were
used, compiled and interpreted, which must all answer alike. A plugin without
fixtures is run on generated rows. With --model its columns are compared with
those of the model too.`,
		Example: `  calve plugin push plugins/orders.wasm --project shop
  calve plugin push orders.wasm --version 1.4.0 --model stg_orders --project shop
  calve plugin push orders.wasm --fixtures plugin/orders/cases --dry-run --output json
  CALVE_PLUGIN_TOKEN=… calve plugin push orders.wasm --registry https://plugins.example.com`,
		Args: exactArgs("MODULE.wasm"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return asUsage(s.push(cmd, args[0], o))
		},
	}
	cmd.Flags().StringVar(&o.name, "name", "", "the plugin's name (default: what the module says of itself)")
	cmd.Flags().StringVar(&o.version, "version", "", "the version (default: what the module says of itself)")
	cmd.Flags().StringVar(&o.model, "model", "", "a model of the project whose columns and config the plugin must fit")
	cmd.Flags().StringVar(&o.fixtures, "fixtures", "", "a folder of cases, or a JSON file with a list of them, run beside those of the module")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "verify, and store nothing")
	withRegistry(cmd, &o.url)
	return s.withOutput(s.withProject(cmd))
}

func (s *settings) push(cmd *cobra.Command, file string, o pushOptions) (err error) {
	ctx := cmd.Context()
	module, err := readPlugin(file)
	if err != nil {
		return err
	}
	expect, err := s.expect(o)
	if err != nil {
		return usageError{err}
	}
	verifier, err := plugins.NewVerifier(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, verifier.Close(context.WithoutCancel(ctx))) }()
	if o.dryRun {
		return s.verifyOnly(cmd, verifier, module, expect)
	}
	registry, err := s.openPlugins(ctx, o.url, verifier.Verify)
	if err != nil {
		return err
	}
	u, err := registry.Upload(ctx, plugins.Upload{Plugin: o.name, Version: o.version, Module: module, By: daemon.WhoAsks(), Expect: expect})
	var refusal *plugins.Refusal
	if errors.As(err, &refusal) {
		report := pushReport{Plugin: o.name, Version: o.version, Digest: plugins.Digest(module), Report: refusal.Report}
		return errors.Join(s.printPush(cmd.OutOrStdout(), report), err)
	}
	if err != nil {
		return err
	}
	return s.printPush(cmd.OutOrStdout(), pushReport{Plugin: u.Plugin, Version: u.Version.Version, Digest: u.Digest, Created: u.Created, Report: u.Report})
}

// verifyOnly judges a module and stores nothing.
func (s *settings) verifyOnly(cmd *cobra.Command, v *plugins.Verifier, module []byte, expect plugins.Expect) error {
	verified, err := v.Verify(cmd.Context(), module, expect)
	if err != nil {
		return err
	}
	d := verified.Describe
	err = s.printPush(cmd.OutOrStdout(), pushReport{Plugin: d.Name, Version: d.Version, Digest: plugins.Digest(module), Report: verified.Report})
	if err == nil && !verified.Report.OK() {
		err = &plugins.Refusal{Report: verified.Report}
	}
	return err
}

// readPlugin reads a module no further than it may be long.
func readPlugin(file string) ([]byte, error) {
	f, err := os.Open(filepath.Clean(file))
	if err != nil {
		return nil, usageError{fmt.Errorf("read module: %w", err)}
	}
	defer f.Close()
	module, err := io.ReadAll(io.LimitReader(f, plugins.MaxModuleBytes+1))
	if err != nil {
		return nil, usageError{fmt.Errorf("read module: %w", err)}
	}
	return module, nil
}

// expect is what the flags ask of the module.
func (s *settings) expect(o pushOptions) (plugins.Expect, error) {
	var expect plugins.Expect
	if err := s.checkOutput(); err != nil {
		return expect, err
	}
	if o.model != "" {
		p, err := s.load()
		if err != nil {
			return expect, err
		}
		if expect, err = daemon.ExpectModel(p, o.model); err != nil {
			return expect, fmt.Errorf("--model: %w", err)
		}
	}
	if o.fixtures == "" {
		return expect, nil
	}
	var err error
	if expect.Fixtures, err = plugins.ReadFixtures(o.fixtures); err != nil {
		return expect, fmt.Errorf("--fixtures %s: %w", o.fixtures, err)
	}
	return expect, nil
}

func (s *settings) printPush(out io.Writer, r pushReport) error {
	if s.output == "json" {
		return writeJSON(out, r)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, c := range r.Report.Checks {
		fmt.Fprintf(w, "%s\t%s\t%s\n", c.Name, c.Result, shorten(c.Detail, 200))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	switch {
	case r.Created:
		fmt.Fprintf(out, "%s@%s is stored, sha256:%s\n", r.Plugin, r.Version, r.Digest)
	case r.Report.OK():
		fmt.Fprintf(out, "%s@%s, sha256:%s: nothing to store\n", r.Plugin, r.Version, r.Digest)
	}
	return nil
}

func (s *settings) newPluginPromote() *cobra.Command {
	cmd := s.pluginWork(&cobra.Command{
		Use:   "promote NAME@VERSION CHANNEL",
		Short: "Take a channel to a version",
		Long: `Take a channel to a version; the channel is made if it is new. Of two who promote
at the same time one succeeds, and the other is told who won. To go back, promote
the former version. Pipelines that refer to the channel take the version at
their next start.`,
		Example: `  calve plugin promote orders@1.4.0 stable --project shop`,
		Args:    exactArgs("NAME@VERSION", "CHANNEL"),
	}, func(ctx context.Context, r pluginRegistry, out io.Writer, args []string) error {
		ref, err := versionRef(args[0])
		if err != nil {
			return err
		}
		p, err := r.Promote(ctx, plugins.Promote{Plugin: ref.Name, Channel: args[1], Version: ref.Version, By: daemon.WhoAsks()})
		switch {
		case err != nil:
			return err
		case s.output == "json":
			return writeJSON(out, p)
		case p.Changed:
			fmt.Fprintf(out, "%s@%s is at %s\n", p.Plugin, p.Channel, p.Version)
		default:
			fmt.Fprintf(out, "%s@%s was at %s already, since %s by %s\n", p.Plugin, p.Channel, p.Version, p.At.Format(time.RFC3339), p.By)
		}
		return nil
	})
	return cmd
}

// versionRef reads name@version.
func versionRef(text string) (plugins.Ref, error) {
	ref, err := plugins.ParseRef(text)
	if err == nil && ref.Version == "" {
		err = usageError{fmt.Errorf("%s names no version: expected name@version, as orders@1.4.0", text)}
	}
	return ref, err
}

func (s *settings) newPluginYank() *cobra.Command {
	var reason string
	cmd := s.pluginWork(&cobra.Command{
		Use:   "yank NAME@VERSION",
		Short: "Take a version out of use, for good",
		Long: `Take a version out of use: no reference resolves to it any more. A pipeline that
runs it goes on, warned; it will not start with it again. A channel that is at it
refuses to resolve until another version is promoted to it.`,
		Example: `  calve plugin yank orders@1.3.0 --reason "drops rows without a customer" --project shop`,
		Args:    exactArgs("NAME@VERSION"),
	}, func(ctx context.Context, r pluginRegistry, out io.Writer, args []string) error {
		ref, err := versionRef(args[0])
		if err != nil {
			return err
		}
		y, err := r.Yank(ctx, plugins.YankRequest{Plugin: ref.Name, Version: ref.Version, Reason: reason, By: daemon.WhoAsks()})
		switch {
		case err != nil:
			return err
		case s.output == "json":
			return writeJSON(out, y)
		case y.Changed:
			fmt.Fprintf(out, "%s is yanked\n", ref)
		default:
			fmt.Fprintf(out, "%s was yanked already, at %s by %s: %s\n", ref, y.At.Format(time.RFC3339), y.By, y.Reason)
		}
		for _, channel := range y.Channels {
			fmt.Fprintf(out, "%s@%s is at it: promote another version, or pipelines that refer to it will not start\n", y.Plugin, channel)
		}
		return nil
	})
	cmd.Flags().StringVar(&reason, "reason", "", "why, for those who run it (required)")
	return cmd
}
