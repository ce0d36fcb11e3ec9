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
// reference means is decided once, and again where a channel moves (channels): a
// model that is built anew in a run gets the module that runs.
type registryPlugins struct {
	registry *plugins.Registry
	cache    string // folder of modules by digest
	logger   *slog.Logger
	stop     context.CancelFunc
	watching sync.WaitGroup
	pipeline string
	recorded map[string]string // digests by reference, as the last epoch's record has them
	pinned   map[string]string // digests by reference that count whatever the registry says now

	mu       sync.Mutex
	resolved map[string]plugins.Version   // by reference
	heads    map[string]plugins.Promotion // by reference to a channel: where that was
	formers  map[string]string            // by reference: the recorded digest, where resolved is another one
}

// yanksEvery is how often a run looks whether a plugin of its was yanked.
const yanksEvery = time.Minute

// openRegistryPlugins opens the registry if a model refers to it, or the run uses
// it otherwise; else it returns nil.
func openRegistryPlugins(ctx context.Context, p *project.Project, logger *slog.Logger, uses bool) (*registryPlugins, error) {
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
	r := newRegistryPlugins(ctx, registry, filepath.Join(p.Dir, ".calve", "cache", "plugins"), logger)
	r.pipeline = p.Name
	return r, nil
}

func newRegistryPlugins(ctx context.Context, registry *plugins.Registry, cache string, logger *slog.Logger) *registryPlugins {
	r := &registryPlugins{
		registry: registry, cache: cache, logger: logger,
		resolved: map[string]plugins.Version{}, heads: map[string]plugins.Promotion{}, formers: map[string]string{},
	}
	ctx, r.stop = context.WithCancel(ctx)
	r.watching.Go(func() { r.watchYanks(ctx) })
	return r
}

func (r *registryPlugins) close() {
	r.stop()
	r.watching.Wait()
}

// pin lets references stand for the modules that an epoch was derived by,
// whatever channels name now, and though a version was yanked since.
func (r *registryPlugins) pin(digests map[string]string) {
	if r != nil {
		r.pinned = digests
	}
}

// module reads the module that a reference stands for in this run.
func (r *registryPlugins) module(ctx context.Context, text string) ([]byte, error) {
	if digest, ok := r.pinned[text]; ok {
		return r.cached(ctx, digest)
	}
	v, err := r.version(ctx, text)
	if err != nil {
		return nil, err
	}
	module, err := r.cached(ctx, v.Digest)
	if err != nil {
		return nil, &openError{ref: text, error: err}
	}
	return module, nil
}

// version is what a reference stands for in this run.
func (r *registryPlugins) version(ctx context.Context, text string) (plugins.Version, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v, ok := r.resolved[text]; ok {
		return v, nil
	}
	v, err := r.resolveLocked(ctx, text)
	if err != nil {
		return v, err
	}
	r.resolved[text] = v
	r.logger.Info("plugin resolved", "ref", text, "version", v.Version, "digest", v.Digest)
	return v, nil
}

// resolveLocked decides what a reference stands for when the run begins. A
// channel's version that this pipeline fell back from stays refused, and the one
// that the last epoch was derived by is used.
func (r *registryPlugins) resolveLocked(ctx context.Context, text string) (plugins.Version, error) {
	ref, err := plugins.ParseRef(text)
	if err != nil {
		return plugins.Version{}, err
	}
	if ref.Channel == "" {
		return r.registry.Resolve(ctx, ref)
	}
	head, err := r.registry.Head(ctx, ref.Name, ref.Channel)
	if err != nil {
		return plugins.Version{}, err
	}
	r.heads[text] = head
	v, err := r.registry.At(ctx, head)
	recorded := r.recorded[text]
	if err != nil || recorded == "" || recorded == v.Digest {
		return v, err
	}
	fellBack, err := r.registry.Fallback(ctx, head, r.pipeline)
	if err != nil {
		return v, err
	}
	if fellBack == nil {
		r.formers[text] = recorded
		return v, nil
	}
	former, err := r.former(ctx, text, recorded)
	if err != nil {
		return v, fmt.Errorf("this pipeline fell back from %s in epoch %d (%s), and the module that it used since cannot be used: %w; promote another version to the channel, or the same once more to try it again",
			v.ID(), fellBack.Epoch, fellBack.Reason, err)
	}
	r.logger.Warn("plugin stays at the former version, this pipeline fell back from the one that the channel names",
		"ref", text, "refused", v.Version, "version", former.Version, "reason", fellBack.Reason)
	return former, nil
}

// use is told that a reference stands for another version.
func (r *registryPlugins) use(text string, v plugins.Version) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resolved[text] = v
}

// keepFormer lets a reference stand for the module of the last epoch, because the
// one that its channel names does not run. It tells whether there is one.
func (r *registryPlugins) keepFormer(ctx context.Context, failed *openError) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	recorded, ok := r.formers[failed.ref]
	if !ok {
		return false
	}
	delete(r.formers, failed.ref)
	former, err := r.former(ctx, failed.ref, recorded)
	if err != nil {
		return false
	}
	r.logger.Warn("plugin cannot be taken, the run keeps the one of the last epoch",
		"ref", failed.ref, "version", r.resolved[failed.ref].Version, "kept", former.Version, "error", failed.error)
	r.resolved[failed.ref] = former
	return true
}

// former finds the version of a digest.
func (r *registryPlugins) former(ctx context.Context, text, digest string) (plugins.Version, error) {
	ref, err := plugins.ParseRef(text)
	if err != nil {
		return plugins.Version{}, err
	}
	return r.registry.Resolve(ctx, plugins.Ref{Name: ref.Name, Digest: digest})
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
			if warned[v.ID()] {
				continue
			}
			y, err := r.registry.Yanked(ctx, v.Plugin, v.Version)
			if err != nil || y == nil {
				continue // the next tick asks again
			}
			warned[v.ID()] = true
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
