package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/calvelake/calve/runtime/daemon"
)

func newCatalog(s *settings) *cobra.Command {
	catalog := group(&cobra.Command{
		Use:   "catalog",
		Short: "Serve the embedded catalog to other engines",
	})
	var listen string
	serve := &cobra.Command{
		Use:   "serve",
		Short: "Serve the embedded catalog by the Iceberg REST protocol",
		Long: `Serve the project's embedded catalog by the Iceberg REST protocol, so that
DuckDB, PyIceberg, Spark, Trino and others find its tables. It may run beside
calve run. It has no access control of its own yet: keep it on a loopback address
or behind a proxy that has.`,
		Example: `  calve catalog serve --project weblog
  calve catalog serve --project weblog --listen 127.0.0.1:9191`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := s.logger()
			if err != nil {
				return err
			}
			p, err := s.load()
			if err != nil {
				return err
			}
			return daemon.ServeCatalog(cmd.Context(), p, daemon.ServeOptions{
				Listen: listen,
				Logger: logger,
				Ready: func(address string) {
					fmt.Fprintf(cmd.ErrOrStderr(), "catalog of %s at http://%s (stop with Ctrl-C)\n", p.Name, address)
				},
			})
		},
	}
	serve.Flags().StringVar(&listen, "listen", "", "host:port (default: the project's, 127.0.0.1:8181)")
	catalog.AddCommand(s.withProject(serve))
	return catalog
}
