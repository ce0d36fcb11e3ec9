package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// admin serves /metrics, /healthz and /readyz of a running pipeline.
type admin struct {
	server   *http.Server
	listener net.Listener
	ready    atomic.Bool
}

// Readers are few and slow ones hold a connection for no longer than this.
const adminTimeout = 30 * time.Second

// serveAdmin listens at once, so that a probe finds a process that starts.
func serveAdmin(address string, m *Metrics, logger *slog.Logger) (*admin, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics at %s: %w; choose another address with --metrics", address, err)
	}
	a := &admin{listener: listener}
	a.server = &http.Server{
		Handler: a.handler(m), ReadHeaderTimeout: adminTimeout, WriteTimeout: adminTimeout,
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	go func() {
		if err := a.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("metrics are served no longer", "error", err)
		}
	}()
	logger.Info("metrics", "address", "http://"+listener.Addr().String()+"/metrics")
	return a, nil
}

func (a *admin) handler(m *Metrics) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m, promhttp.HandlerOpts{}))
	// A pipeline that waits for a broker or a catalog is healthy: to start it
	// again would not help.
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !a.ready.Load() {
			http.Error(w, "the pipeline does not run yet: it starts, or stands by", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

func (a *admin) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := a.server.Shutdown(ctx); err != nil {
		return a.server.Close()
	}
	return nil
}
