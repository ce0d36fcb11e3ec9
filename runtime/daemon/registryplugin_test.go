package daemon_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/plugins"
	"github.com/calvelake/calve/plugins/wasm/wasmtest"
	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/project"
)

const idsOnly = `input: [{name: id, data_type: long, nullable: false}]`

// idsDescribed is a plugin that fits a model of the column id alone.
func idsDescribed(version string) []byte {
	return wasmtest.Plugin{Describe: strings.Replace(wasmtest.Identity, "1.0.0", version, 1)}.Module()
}

// idsProject is a project whose model has the column id, by way of a plugin.
func idsProject(t *testing.T, dir, ref string) *project.Project {
	t.Helper()
	s := setup{plugin: "{ref: \"" + ref + "\", " + idsOnly + "}", columns: "\n"}
	return s.load(t, dir)
}

// openRegistry opens the registry of a project, which takes every module.
func openRegistry(t *testing.T, p *project.Project) *plugins.Registry {
	t.Helper()
	verifier, err := plugins.NewVerifier(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := verifier.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	registry, err := daemon.OpenPlugins(t.Context(), p, verifier.Verify)
	if err != nil {
		t.Fatal(err)
	}
	return registry
}

// release uploads a version that fits the project's model, and promotes it.
func release(t *testing.T, p *project.Project, registry *plugins.Registry, version string) plugins.Uploaded {
	t.Helper()
	expect, err := daemon.ExpectModel(p, "events")
	if err != nil {
		t.Fatal(err)
	}
	u, err := registry.Upload(t.Context(), plugins.Upload{Module: idsDescribed(version), By: "ada", Expect: expect})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Promote(t.Context(), plugins.Promote{Plugin: u.Plugin, Channel: "stable", Version: version, By: "ada"}); err != nil {
		t.Fatal(err)
	}
	return u
}

// lastEpoch is the newest record of the project's log.
func lastEpoch(t *testing.T, p *project.Project) *lakehouse.Epoch {
	t.Helper()
	lake, err := daemon.OpenLakehouse(t.Context(), p, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer lake.Close() //nolint:errcheck // only read from
	tail, err := lakehouse.NewLog(lake.Store, p.Name, "test", quiet).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tail.Epochs[len(tail.Epochs)-1]
}

func TestARunTakesThePluginThatItsChannelIsAt(t *testing.T) {
	dir := t.TempDir()
	p := idsProject(t, dir, "identity@stable")
	registry := openRegistry(t, p)
	produce(t, p, "events", `{"id":1}`)
	if _, err := once(t.Context(), p); !errors.Is(err, plugins.ErrNotFound) || !strings.Contains(err.Error(), "models/staging/events.yaml:1") {
		t.Errorf("an empty registry: got %v, want where and what is missing", err)
	}
	for i, version := range []string{"1.0.0", "1.1.0"} {
		u := release(t, p, registry, version)
		mustRun(t, p)
		if got := lastEpoch(t, p).Plugins["identity@stable"]; got != u.Digest {
			t.Errorf("version %s: the epoch names module %s, want %s", version, got, u.Digest)
		}
		wantAccounted(t, p, int64(i+1), counts{rows: int64(i + 1)})
		cached, err := os.ReadFile(filepath.Join(dir, ".calve", "cache", "plugins", "sha256", u.Digest+".wasm"))
		if err != nil || plugins.Digest(cached) != u.Digest {
			t.Errorf("version %s is not cached: %v", version, err)
		}
		produce(t, p, "events", `{"id":2}`)
	}
	// A spoiled cache is not believed.
	digest := plugins.Digest(idsDescribed("1.1.0"))
	if err := os.WriteFile(filepath.Join(dir, ".calve", "cache", "plugins", "sha256", digest+".wasm"), []byte("spoiled"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustRun(t, p)
	wantAccounted(t, p, 3, counts{rows: 3})
	if _, err := registry.Yank(t.Context(), plugins.YankRequest{Plugin: "identity", Version: "1.1.0", Reason: "wrong", By: "joe"}); err != nil {
		t.Fatal(err)
	}
	if _, err := once(t.Context(), p); !errors.Is(err, plugins.ErrYanked) || !strings.Contains(err.Error(), "promote another version") {
		t.Errorf("a yanked version: got %v", err)
	}
	for _, ref := range []string{"identity@1.0.0", "identity@sha256:" + plugins.Digest(idsDescribed("1.0.0"))} {
		p = idsProject(t, dir, ref)
		produce(t, p, "events", `{"id":3}`)
		mustRun(t, p)
		if got := lastEpoch(t, p).Plugins[ref]; got != plugins.Digest(idsDescribed("1.0.0")) {
			t.Errorf("%s: the epoch names module %s", ref, got)
		}
	}
}

func TestExpectModelNamesWhatIsMissing(t *testing.T) {
	p := setup{}.load(t, t.TempDir())
	for model, want := range map[string]string{"orders": "no model orders", "events": "has no plugin"} {
		if _, err := daemon.ExpectModel(p, model); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
