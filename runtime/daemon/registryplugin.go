package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/calvelake/calve/plugins"
	"github.com/calvelake/calve/runtime/project"
)

// OpenPlugins opens the plugin registry of a project's warehouse. verify judges
// what is uploaded.
func OpenPlugins(ctx context.Context, p *project.Project, verify plugins.VerifyFunc) (*plugins.Registry, error) {
	store, err := openStore(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("open warehouse %s: %w", p.Connections.Warehouse.Location, err)
	}
	return plugins.NewRegistry(store, plugins.Config{Verify: verify, Now: time.Now}), nil
}

// ExpectModel is what a plugin must be to run in a model.
func ExpectModel(p *project.Project, name string) (plugins.Expect, error) {
	m, ok := p.Model(name)
	if !ok {
		return plugins.Expect{}, fmt.Errorf("project %s has no model %s", p.Name, name)
	}
	if m.Plugin == nil {
		return plugins.Expect{}, fmt.Errorf("%s:%d: model %s has no plugin", m.File, m.Line, m.Name)
	}
	input, output := pluginSchemas(m)
	return plugins.Expect{Config: m.Plugin.Config, Input: input, Output: output}, nil
}

// readModule reads a model's module from the project's folder or the registry.
func readModule(ctx context.Context, p *project.Project, m *project.Model, registry *registryPlugins) ([]byte, error) {
	if m.Plugin.Channel != "" {
		return registry.module(ctx, m.Plugin.Ref)
	}
	module, err := os.ReadFile(p.Path(m.Plugin.Module))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no file %s; build it there", m.Plugin.Module)
	}
	if err != nil {
		return nil, fmt.Errorf("read module: %w", err)
	}
	return module, nil
}

// registryPlugins is the plugins that a run takes from the registry. What a
// reference means is decided once: a model that is built anew in a run gets the
// module that it had.
type registryPlugins struct {
	registry *plugins.Registry
	cache    string // folder of modules by digest
	logger   *slog.Logger
	stop     context.CancelFunc
	watching sync.WaitGroup

	mu       sync.Mutex
	resolved map[string]plugins.Version // by reference
}

// yanksEvery is how often a run looks whether a plugin of its was yanked.
const yanksEvery = time.Minute

// openRegistryPlugins opens the registry if a model refers to it; else it
// returns nil.
func openRegistryPlugins(ctx context.Context, p *project.Project, logger *slog.Logger) (*registryPlugins, error) {
	uses := false
	for i := range p.Models {
		uses = uses || p.Models[i].Plugin != nil && p.Models[i].Plugin.Channel != ""
	}
	if !uses {
		return nil, nil
	}
	registry, err := OpenPlugins(ctx, p, nil)
	if err != nil {
		return nil, err
	}
	return newRegistryPlugins(ctx, registry, filepath.Join(p.Dir, ".calve", "cache", "plugins"), logger), nil
}

func newRegistryPlugins(ctx context.Context, registry *plugins.Registry, cache string, logger *slog.Logger) *registryPlugins {
	r := &registryPlugins{registry: registry, cache: cache, logger: logger, resolved: map[string]plugins.Version{}}
	ctx, r.stop = context.WithCancel(ctx)
	r.watching.Go(func() { r.watchYanks(ctx) })
	return r
}

func (r *registryPlugins) close() {
	r.stop()
	r.watching.Wait()
}

// module reads the module that a reference meant when it was first asked for.
func (r *registryPlugins) module(ctx context.Context, text string) ([]byte, error) {
	ref, err := plugins.ParseRef(text)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.resolved[text]
	if !ok {
		if v, err = r.registry.Resolve(ctx, ref); err != nil {
			return nil, err
		}
		r.resolved[text] = v
		r.logger.Info("plugin resolved", "ref", text, "version", v.Version, "digest", v.Digest)
	}
	return r.cached(ctx, v.Digest)
}

// cached reads a module from the cache, or else from the registry. The cache is
// a folder that others may have written to: its files are believed by their
// digest alone.
func (r *registryPlugins) cached(ctx context.Context, digest string) ([]byte, error) {
	file := filepath.Join(r.cache, "sha256", digest+".wasm")
	if module, err := os.ReadFile(file); err == nil && plugins.Digest(module) == digest {
		return module, nil
	}
	module, err := r.registry.Module(ctx, digest)
	if err != nil {
		return nil, err
	}
	if err := writeWhole(file, module); err != nil {
		r.logger.Warn("plugin not cached", "file", file, "error", err)
	}
	return module, nil
}

// writeWhole makes a file appear whole.
func writeWhole(name string, body []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), "new-")
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // it is in nobody's way
	}
	return err
}

// watchYanks warns of plugins that are yanked while they run. The run keeps
// them: to take a plugin away under it would lose more than it saves.
func (r *registryPlugins) watchYanks(ctx context.Context) {
	ticks := time.NewTicker(yanksEvery)
	defer ticks.Stop()
	warned := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		for ref, v := range r.running() {
			if warned[ref] {
				continue
			}
			y, err := r.registry.Yanked(ctx, v.Plugin, v.Version)
			if err != nil || y == nil {
				continue // the next tick asks again
			}
			warned[ref] = true
			r.logger.Warn("plugin was yanked, this run keeps it and the next one will not start with it",
				"ref", ref, "version", v.Version, "by", y.By, "reason", y.Reason)
		}
	}
}

func (r *registryPlugins) running() map[string]plugins.Version {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]plugins.Version, len(r.resolved))
	for ref, v := range r.resolved {
		all[ref] = v
	}
	return all
}
