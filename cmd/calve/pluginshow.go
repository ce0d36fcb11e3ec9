package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/calvelake/calve/plugins"
)

func (s *settings) newPluginList() *cobra.Command {
	return s.pluginWork(&cobra.Command{
		Use:   "list",
		Short: "List plugins and where their channels are",
		Example: `  calve plugin list --project shop
  calve plugin list --project shop --output json`,
		Args: noArgs,
	}, func(ctx context.Context, r pluginRegistry, out io.Writer, _ []string) error {
		all, err := r.List(ctx)
		switch {
		case err != nil:
			return err
		case s.output == "json":
			return writeJSON(out, all)
		}
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "PLUGIN\tKIND\tVERSIONS\tCHANNELS")
		for _, p := range all {
			channels := make([]string, len(p.Channels))
			for i, c := range p.Channels {
				channels[i] = c.Channel + "=" + c.Version
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", p.Name, p.Versions[len(p.Versions)-1].Kind, len(p.Versions), dash(strings.Join(channels, " ")))
		}
		return w.Flush()
	})
}

func (s *settings) newPluginShow() *cobra.Command {
	return s.pluginWork(&cobra.Command{
		Use:     "show NAME",
		Short:   "Show a plugin's versions and channels",
		Example: `  calve plugin show orders --project shop`,
		Args:    exactArgs("NAME"),
	}, func(ctx context.Context, r pluginRegistry, out io.Writer, args []string) error {
		p, err := r.Show(ctx, args[0])
		switch {
		case err != nil:
			return err
		case s.output == "json":
			return writeJSON(out, p)
		}
		return printPlugin(out, p)
	})
}

func printPlugin(out io.Writer, p plugins.Plugin) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VERSION\tKIND\tBYTES\tUPLOADED\tBY\tSHA256\tYANKED")
	for _, v := range p.Versions {
		yanked := ""
		if v.Yanked != nil {
			yanked = v.Yanked.Reason
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", v.Version, v.Kind, v.Size, v.UploadedAt.Format(time.RFC3339), v.UploadedBy, v.Digest, dash(shorten(yanked, 60)))
	}
	if len(p.Channels) > 0 {
		fmt.Fprintln(w, "\nCHANNEL\tVERSION\tSINCE\tBY")
	}
	for _, c := range p.Channels {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.Channel, c.Version, c.At.Format(time.RFC3339), c.By)
	}
	return w.Flush()
}

func (s *settings) newPluginLog() *cobra.Command {
	var query plugins.AuditQuery
	var since string
	cmd := s.pluginWork(&cobra.Command{
		Use:   "log",
		Short: "Show who uploaded, promoted and yanked what, newest first",
		Example: `  calve plugin log --project shop
  calve plugin log --plugin orders --since 24h --project shop --output json`,
		Args: noArgs,
	}, func(ctx context.Context, r pluginRegistry, out io.Writer, _ []string) error {
		at, err := parseMoment(since, time.Now())
		if err != nil {
			return usageError{fmt.Errorf("--since %s: %w", since, err)}
		}
		if query.Limit < 0 {
			return usageError{fmt.Errorf("--limit %d: expected 0 for all, or more", query.Limit)}
		}
		if at != 0 {
			query.Since = time.UnixMicro(at)
		}
		entries, err := r.Audit(ctx, query)
		switch {
		case err != nil:
			return err
		case s.output == "json":
			return writeJSON(out, entries)
		}
		return printEntries(out, entries)
	})
	cmd.Flags().StringVar(&query.Plugin, "plugin", "", "of this plugin")
	cmd.Flags().StringVar(&since, "since", "", "at or after: 2026-01-31, 2026-01-31T12:00:00Z, or 24h ago as 24h")
	cmd.Flags().IntVar(&query.Limit, "limit", 100, "the newest ones at most; 0 for all")
	return cmd
}

func printEntries(out io.Writer, entries []plugins.Entry) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "AT\tBY\tWHAT\tPLUGIN\tDETAIL")
	for _, e := range entries {
		detail := shorten(e.Reason, 60)
		if e.Action == plugins.ActionPromote {
			detail = fmt.Sprintf("%s, from %s", e.Channel, dash(e.Before))
		}
		if !e.Done {
			detail += " (did not happen)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s@%s\t%s\n", e.At.Format(time.RFC3339), e.By, e.Action, e.Plugin, e.Version, dash(strings.TrimSpace(detail)))
	}
	return w.Flush()
}
