package wasm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Config is how a Host is set up.
type Config struct {
	// CacheDir keeps compiled modules between runs; "" keeps none. It holds
	// machine code that is run unseen: it must be writable by its owner only,
	// and is made so.
	CacheDir string
	// Interpreter runs guests without compiling them, some fifty times slower:
	// what it answers is compared with what compiled guests answer.
	Interpreter bool
	// Logger receives what plugins log; nil drops it.
	Logger *slog.Logger
	// Metrics receives what is counted of calls and by plugins; nil drops it.
	Metrics Recorder
}

// Host compiles and runs plugins. A process has one: it is safe for concurrent
// use, and compiled modules are shared through it.
type Host struct {
	runtime  wazero.Runtime
	cache    wazero.CompilationCache
	logger   *slog.Logger
	recorder Recorder
}

// New starts a host. Close it when all of its transforms are closed.
func New(ctx context.Context, c Config) (*Host, error) {
	h := &Host{logger: c.Logger, recorder: c.Metrics}
	if h.recorder == nil {
		h.recorder = discard{}
	}
	if h.logger == nil {
		h.logger = slog.New(slog.DiscardHandler)
	}
	// Exceptions, threads and tail calls stay off: see the known bugs of
	// wazero's compiler. Closing on context is off too: internal/meter does
	// better for a tenth of the cost.
	rc := wazero.NewRuntimeConfig()
	if c.Interpreter {
		rc = wazero.NewRuntimeConfigInterpreter()
	}
	rc = rc.WithCoreFeatures(api.CoreFeaturesV2).WithDebugInfoEnabled(false)
	if c.CacheDir != "" {
		cache, err := openCache(c.CacheDir)
		if err != nil {
			return nil, err
		}
		h.cache = cache
		rc = rc.WithCompilationCache(cache)
	}
	h.runtime = wazero.NewRuntimeWithConfig(ctx, rc)
	if err := h.instantiateImports(ctx); err != nil {
		return nil, errors.Join(err, h.Close(ctx))
	}
	return h, nil
}

func openCache(dir string) (wazero.CompilationCache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make plugin cache: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("open plugin cache: %w", err)
	}
	if mode := info.Mode(); mode.Perm()&0o022 != 0 && checkPermissions {
		return nil, fmt.Errorf("open plugin cache %s: others may write to it (mode %s), and it holds machine code: %w; run chmod 700 %s or choose another folder", dir, mode, fs.ErrPermission, dir)
	}
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open plugin cache: %w", err)
	}
	return cache, nil
}

// Close frees the runtime. No call into a plugin may be running.
func (h *Host) Close(ctx context.Context) error {
	var errs []error
	if h.runtime != nil {
		errs = append(errs, h.runtime.Close(ctx))
	}
	if h.cache != nil {
		errs = append(errs, h.cache.Close(ctx))
	}
	return errors.Join(errs...)
}
