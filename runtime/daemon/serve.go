package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/calvelake/calve/runtime/project"
)

// ServeOptions says how to serve a catalog.
type ServeOptions struct {
	Listen string // host:port; "" takes the project's
	Logger *slog.Logger
	Ready  func(address string) // called when connections are accepted
}

// shutdownGrace is how long requests in flight may take once a stop is asked
// for.
const shutdownGrace = 10 * time.Second

// ServeCatalog serves a project's embedded catalog until ctx ends.
func ServeCatalog(ctx context.Context, p *project.Project, options ServeOptions) error {
	if p.Connections.Catalog.Type != project.CatalogEmbedded {
		return fmt.Errorf("the catalog of project %s is of type %s: only an embedded one is served; attach engines to it directly", p.Name, p.Connections.Catalog.Type)
	}
	address := options.Listen
	if address == "" {
		address = p.Connections.Catalog.Listen
	}
	lake, err := OpenLakehouse(ctx, p, options.Logger)
	if err != nil {
		return err
	}
	defer closeAndLog(options.Logger, "catalog", lake.Close)
	err = serve(ctx, address, lake.Catalog.Handler(), options.Ready)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("serve catalog: %s is in use; stop what listens there, or choose another with --listen or connections.catalog.listen", address)
	}
	if err != nil {
		return fmt.Errorf("serve catalog: %w", err)
	}
	return nil
}

// serve serves HTTP until ctx ends.
func serve(ctx context.Context, address string, handler http.Handler, ready func(address string)) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	ready(listener.Addr().String())
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}
