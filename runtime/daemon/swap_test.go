package daemon_test

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/calvelake/calve/plugins"
	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/plugins/wasm/wasmtest"
	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/sdk/abi"
)

// channelProject is a project whose model takes orders from identity@stable, and
// the registry, which takes every module.
func channelProject(t *testing.T, more string) (*project.Project, *plugins.Registry) {
	t.Helper()
	p := setup{plugin: "{ref: identity@stable, " + idsOnly + more + "}", columns: "\n", interval: "50ms"}.load(t, t.TempDir())
	registry, err := daemon.OpenPlugins(t.Context(), p, func(context.Context, []byte, plugins.Expect) (plugins.Verified, error) {
		return plugins.Verified{
			Describe: abi.Describe{ABI: 1, Name: "identity", Version: "0", Kind: "transform", Input: abi.Input{Any: true}, Outputs: []abi.Stream{{Derived: true}}},
			Report:   plugins.Report{Checks: []plugins.Check{{Name: plugins.CheckSize, Result: plugins.Passed}}},
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, registry
}

// ship uploads a version of the plugin and promotes it. It returns its digest.
func ship(t *testing.T, registry *plugins.Registry, version string, does wasmtest.Behaviour) string {
	t.Helper()
	module := wasmtest.Plugin{Describe: strings.Replace(wasmtest.Identity, "1.0.0", version, 1), Process: does}.Module()
	if version == "bad" {
		module = wasmtest.Plugin{Describe: strings.ReplaceAll(wasmtest.Identity, `"id"`, `"other"`)}.Module()
		version = "9.9.9"
	}
	if _, err := registry.Upload(t.Context(), plugins.Upload{Plugin: "identity", Version: version, Module: module, By: "ada"}); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Promote(t.Context(), plugins.Promote{Plugin: "identity", Channel: "stable", Version: version, By: "ada"}); err != nil {
		t.Fatal(err)
	}
	return plugins.Digest(module)
}

func lastDigest(t *testing.T, p *project.Project) string {
	t.Helper()
	return lastEpoch(t, p).Plugins["identity@stable"]
}

func TestAModuleThatFailsAtAStartIsTakenBack(t *testing.T) {
	for name, c := range map[string]struct {
		more string // of the plugin's declaration
		want string
	}{
		"it stops":           {", on_error: stop", "plugin trapped"},
		"it refuses records": {"", "the plugin refuses too many records"},
	} {
		t.Run(name, func(t *testing.T) {
			p, registry := channelProject(t, c.more)
			first := ship(t, registry, "1.0.0", wasmtest.Pass)
			produce(t, p, "events", `{"id":1}`)
			mustRun(t, p)
			second := ship(t, registry, "1.1.0", wasmtest.Trap)
			produce(t, p, "events", `{"id":2}`, `{"id":3}`)
			stats := mustRun(t, p)
			if len(stats.Swaps) != 1 || stats.Swaps[0].Outcome != pipeline.SwapRefused || stats.Swaps[0].To != second || !strings.Contains(stats.Swaps[0].Reason, c.want) {
				t.Errorf("the run tells of %+v, want that %s is refused: %s", stats.Swaps, second, c.want)
			}
			if got := lastDigest(t, p); got != first {
				t.Errorf("the epoch is of %s, want %s", got, first)
			}
			log, err := registry.Audit(t.Context(), plugins.AuditQuery{Limit: 1})
			if err != nil || log[0].Action != plugins.ActionFallback || log[0].Version != "1.1.0" || log[0].By != "pipeline shop" || !strings.Contains(log[0].Reason, c.want) {
				t.Errorf("the registry says %+v (%v), want the fallback", log, err)
			}
			// It is left alone until it is promoted anew.
			produce(t, p, "events", `{"id":4}`)
			if stats = mustRun(t, p); len(stats.Swaps) != 0 || lastDigest(t, p) != first {
				t.Errorf("the next run tells of %+v", stats.Swaps)
			}
			ship(t, registry, "1.1.0", wasmtest.Trap)
			produce(t, p, "events", `{"id":5}`, `{"id":6}`)
			if stats = mustRun(t, p); len(stats.Swaps) != 1 {
				t.Errorf("promoted anew it is not tried: %+v", stats.Swaps)
			}
			wantAccounted(t, p, 6, counts{rows: 6})
			verified(t, p)
		})
	}
}

func TestWithoutItsFormerModuleARunStops(t *testing.T) {
	p, registry := channelProject(t, ", on_error: stop")
	ship(t, registry, "1.0.0", wasmtest.Pass)
	produce(t, p, "events", `{"id":1}`)
	mustRun(t, p)
	ship(t, registry, "1.1.0", wasmtest.Trap)
	if _, err := registry.Yank(t.Context(), plugins.YankRequest{Plugin: "identity", Version: "1.0.0", Reason: "wrong", By: "joe"}); err != nil {
		t.Fatal(err)
	}
	produce(t, p, "events", `{"id":2}`)
	_, err := once(t.Context(), p)
	wantError(t, err, wasm.ErrTrap, "no going back", "version is yanked: identity@1.0.0")
	third := ship(t, registry, "1.2.0", wasmtest.Pass)
	if stats := mustRun(t, p); len(stats.Swaps) != 1 || stats.Swaps[0].Outcome != pipeline.SwapKept || lastDigest(t, p) != third {
		t.Errorf("the run tells of %+v, want that 1.2.0 is kept", stats.Swaps)
	}
	wantAccounted(t, p, 2, counts{rows: 2})
}

func TestAModuleThatDoesNotFitTheModelIsNotTakenAtAStart(t *testing.T) {
	p, registry := channelProject(t, "")
	first := ship(t, registry, "1.0.0", wasmtest.Pass)
	produce(t, p, "events", `{"id":1}`)
	mustRun(t, p)
	ship(t, registry, "bad", wasmtest.Pass)
	produce(t, p, "events", `{"id":2}`)
	if stats := mustRun(t, p); len(stats.Swaps) != 0 || lastDigest(t, p) != first {
		t.Errorf("the run tells of %+v, want the former module", stats.Swaps)
	}
	if _, err := registry.Yank(t.Context(), plugins.YankRequest{Plugin: "identity", Version: "1.0.0", Reason: "wrong", By: "joe"}); err != nil {
		t.Fatal(err)
	}
	_, err := once(t.Context(), p)
	wantError(t, err, wasm.ErrMismatch, "models/staging/events.yaml:1", "other")
}

func TestARunningPipelineTakesAPromotedModule(t *testing.T) {
	p, registry := channelProject(t, ", on_error: stop")
	first := ship(t, registry, "1.0.0", wasmtest.Pass)
	produce(t, p, "events", `{"id":1}`)
	f := followWith(t, p, daemon.RunOptions{Logger: quiet, ChannelsEvery: 5 * time.Millisecond})
	r := f.started()
	f.until(r, "the first epoch", func(s pipeline.Stats) bool { return s.Epochs == 1 })
	second := ship(t, registry, "1.1.0", wasmtest.Pass)
	swaps := func(n int, outcome pipeline.SwapOutcome) func(pipeline.Stats) bool {
		return func(s pipeline.Stats) bool { return len(s.Swaps) == n && s.Swaps[n-1].Outcome == outcome }
	}
	f.until(r, "1.1.0 on probation", swaps(1, pipeline.SwapOnProbation))
	send(t, r.Broker.Client, "events", `{"id":2}`)
	f.until(r, "1.1.0 kept", swaps(1, pipeline.SwapKept))
	ship(t, registry, "1.2.0", wasmtest.Trap)
	f.until(r, "1.2.0 on probation", swaps(2, pipeline.SwapOnProbation))
	send(t, r.Broker.Client, "events", `{"id":3}`)
	f.until(r, "1.2.0 refused", swaps(2, pipeline.SwapRefused))
	f.until(r, "the third epoch", func(s pipeline.Stats) bool { return s.Epochs == 3 })
	stats := f.stop()
	if s := stats.Swaps; s[0].From != first || s[0].To != second || s[1].From != second || s[1].Epoch != 3 {
		t.Errorf("the run tells of %+v", s)
	}
	if got := lastDigest(t, p); got != second {
		t.Errorf("the last epoch is of %s, want %s", got, second)
	}
	wantAccounted(t, p, 3, counts{rows: 3})
	verified(t, p)
}

func TestAShadowIsComparedAndHarmsNothing(t *testing.T) {
	p, registry := channelProject(t, ", on_error: stop")
	trap := ship(t, registry, "1.1.0", wasmtest.Trap)
	pass := ship(t, registry, "1.0.0", wasmtest.Pass)
	shadowed := func(ref string) pipeline.Shadowed {
		t.Helper()
		stats, err := daemon.Run(t.Context(), p, daemon.RunOptions{Once: true, Logger: quiet, Shadows: []daemon.ShadowOption{{Model: "events", Ref: ref}}})
		if err != nil || len(stats.Shadows) != 1 {
			t.Fatalf("got %+v, %v", stats.Shadows, err)
		}
		return stats.Shadows[0]
	}
	produce(t, p, "events", `{"id":1}`, `{"id":2}`)
	if s := shadowed("identity@stable"); s.Digest != pass || s.Equal != 2 || s.Different+s.OnlyCurrent+s.OnlyCandidate != 0 {
		t.Errorf("beside itself: got %+v, want 2 rows alike", s)
	}
	produce(t, p, "events", `{"id":3}`, `{"id":4}`)
	s := shadowed("identity@1.1.0")
	if s.Digest != trap || s.OnlyCurrent != 2 || s.CandidateErrors != 2 || s.Equal != 0 || len(s.Examples) != 2 ||
		s.Examples[0].Offset != 2 || s.Examples[0].Current != "id=3" || !strings.HasPrefix(s.Examples[0].Candidate, "row error plugin_trap: ") {
		t.Errorf("beside one that traps: got %+v, want 2 rows of the current one alone", s)
	}
	wantAccounted(t, p, 4, counts{rows: 4})
	for _, c := range []struct {
		options []daemon.ShadowOption
		want    string
	}{
		{[]daemon.ShadowOption{{Model: "orders", Ref: "identity@1.0.0"}}, "no such model"},
		{[]daemon.ShadowOption{{Model: "events", Ref: "identity@2.0.0"}}, "has no version 2.0.0"},
		{[]daemon.ShadowOption{{Model: "events", Ref: "identity@1.0.0"}, {Model: "events", Ref: "identity@1.1.0"}}, "it has one already"},
	} {
		if _, err := daemon.Run(t.Context(), p, daemon.RunOptions{Once: true, Logger: quiet, Shadows: c.options}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, want %q", c.options, err, c.want)
		}
	}
}

func TestAnEpochIsDerivedAgainByTheModuleThatItsRecordNames(t *testing.T) {
	p, registry := channelProject(t, "")
	ship(t, registry, "1.0.0", wasmtest.Pass)
	decided(t, p)
	ship(t, registry, "1.1.0", wasmtest.Trap)
	if _, err := registry.Yank(t.Context(), plugins.YankRequest{Plugin: "identity", Version: "1.0.0", Reason: "wrong", By: "joe"}); err != nil {
		t.Fatal(err)
	}
	for _, file := range newestFiles(t, p, "2") {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := daemon.Rederive(t.Context(), p, 2, quiet); err != nil {
		t.Fatal(err)
	}
	if v := verified(t, p); v.Epochs != 2 || v.Models[0].Rows != 3 {
		t.Errorf("epoch %d, %d rows after it, want 2 and 3", v.Epochs, v.Models[0].Rows)
	}
}

// recorder sums what is counted of calls of plugins.
type recorder struct {
	mu    sync.Mutex
	calls float64
}

func (r *recorder) Add(name string, delta float64, _ ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if name == "calve_plugin_calls_total" {
		r.calls += delta
	}
}

func TestWhatIsCountedOfPluginsReachesTheRecorder(t *testing.T) {
	p, registry := channelProject(t, "")
	ship(t, registry, "1.0.0", wasmtest.Pass)
	produce(t, p, "events", `{"id":1}`)
	counted := &recorder{}
	if _, err := daemon.Run(t.Context(), p, daemon.RunOptions{Once: true, Logger: quiet, PluginMetrics: counted}); err != nil {
		t.Fatal(err)
	}
	if counted.calls != 1 {
		t.Errorf("%v calls were counted, want 1", counted.calls)
	}
}
