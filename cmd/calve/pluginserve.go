package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/calvelake/calve/runtime/daemon"
)

func (s *settings) newPluginServe() *cobra.Command {
	var listen, file string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the plugin registry over HTTP, to principals with roles",
		Long: `Serve the plugin registry of the project's warehouse over HTTP. Requests carry a
bearer token; the file of principals tells whose it is and what they may do:

  {"principals": [
    {"name": "ci",  "roles": ["reader", "uploader"], "token_sha256": "<hex>"},
    {"name": "ops", "roles": ["reader", "operator"], "token_sha256": "<hex>"}
  ]}

An uploader adds versions, an operator promotes and yanks, a reader looks and
downloads; no role includes another. The file holds the SHA-256 of each token,
not the token. Put a proxy with TLS before it: tokens cross the network.`,
		Example: `  openssl rand -hex 32 > token
  printf %s "$(cat token)" | sha256sum
  calve plugin serve --principals principals.json --project shop`,
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
			if file == "" {
				return usageError{fmt.Errorf("--principals is missing: the file that tells who may do what (calve plugin serve --help shows one)")}
			}
			principals, err := os.ReadFile(file)
			if err != nil {
				return usageError{fmt.Errorf("--principals: %w", err)}
			}
			return daemon.ServePlugins(cmd.Context(), p, principals, daemon.ServeOptions{
				Listen: listen,
				Logger: logger,
				Ready: func(address string) {
					fmt.Fprintf(cmd.ErrOrStderr(), "plugin registry of %s at http://%s (stop with Ctrl-C)\n", p.Name, address)
				},
			})
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8282", "host:port")
	cmd.Flags().StringVar(&file, "principals", "", "JSON file of principals, tokens' hashes and roles (required)")
	return s.withProject(cmd)
}
