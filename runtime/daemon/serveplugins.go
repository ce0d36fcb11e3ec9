package daemon

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/calvelake/calve/catalog/principal"
	"github.com/calvelake/calve/plugins"
	"github.com/calvelake/calve/runtime/project"
)

// ServePlugins serves the plugin registry of a project's warehouse until ctx
// ends. principals is the text of a file that principal.Parse reads.
func ServePlugins(ctx context.Context, p *project.Project, principals []byte, options ServeOptions) (err error) {
	set, err := principal.Parse(principals)
	if err != nil {
		return fmt.Errorf("serve plugin registry: %w", err)
	}
	verifier, err := plugins.NewVerifier(ctx)
	if err != nil {
		return fmt.Errorf("serve plugin registry: %w", err)
	}
	defer func() { err = errors.Join(err, verifier.Close(context.WithoutCancel(ctx))) }()
	registry, err := OpenPlugins(ctx, p, verifier.Verify)
	if err != nil {
		return err
	}
	err = serve(ctx, options.Listen, plugins.NewServer(registry, set, options.Logger), options.Ready)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("serve plugin registry: %s is in use; stop what listens there, or choose another with --listen", options.Listen)
	}
	if err != nil {
		return fmt.Errorf("serve plugin registry: %w", err)
	}
	return nil
}
