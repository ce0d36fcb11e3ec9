package daemon_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
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

// robots is a project whose sessions ask bots@stable whether they are a robot's,
// and the registry, which takes every module.
type robots struct {
	t        *testing.T
	project  *project.Project
	registry *plugins.Registry
}

func newRobots(t *testing.T, more string) *robots {
	t.Helper()
	dir := t.TempDir()
	setup{
		model:    "event_time: event_time\nmax_out_of_orderness: 0s\n",
		columns:  "  - {name: user_agent, data_type: string}\n  - {name: path, data_type: string}\n  - {name: event_time, data_type: timestamptz}\n",
		interval: "50ms",
	}.write(t, dir)
	text := `name: visits
kind: session
namespace: marts
from: ref.events
key: [user_agent]
gap: 30m
emit: early
aggregates: {hits: count()}
plugin: {ref: bots@stable, on_error: stop, adds: [{name: requests, data_type: long}, {name: marks, data_type: long}, {name: max_rate, data_type: long}, {name: is_bot, data_type: boolean}]}
` + more
	if err := os.WriteFile(filepath.Join(dir, "models", "visits.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := project.Load(dir, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	r := &robots{t: t, project: p}
	r.registry, err = daemon.OpenPlugins(t.Context(), p, func(context.Context, []byte, plugins.Expect) (plugins.Verified, error) {
		return plugins.Verified{
			Describe: abi.Describe{ABI: 1, Name: "bots", Version: "0", Kind: "session", Input: abi.Input{Any: true}, Outputs: []abi.Stream{{Derived: true}}},
			Report:   plugins.Report{Checks: []plugins.Check{{Name: plugins.CheckSize, Result: plugins.Passed}}},
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// ship uploads a version and promotes it. It returns its digest.
func (r *robots) ship(version string, module []byte) string {
	r.t.Helper()
	if _, err := r.registry.Upload(r.t.Context(), plugins.Upload{Plugin: "bots", Version: version, Module: module, By: "ada"}); err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.registry.Promote(r.t.Context(), plugins.Promote{Plugin: "bots", Channel: "stable", Version: version, By: "ada"}); err != nil {
		r.t.Fatal(err)
	}
	return plugins.Digest(module)
}

// bots is a module that tells robots, by "bot", "crawl" and a third word in what
// they call themselves, which is spider or another that begins with s.
func (r *robots) bots(third string) []byte {
	r.t.Helper()
	module, err := os.ReadFile("../../plugins/wasm/testdata/session/go/bots.wasm")
	if err != nil {
		r.t.Fatal(err)
	}
	if n := bytes.Count(module, []byte("spider")); n != 1 || len(third) != len("spider") {
		r.t.Fatalf("the module has the word spider %d times, and %q is to take its place", n, third)
	}
	return bytes.Replace(module, []byte("spider"), []byte(third), 1)
}

// broken is a module that traps, with more columns of state than bots has.
func broken(more ...string) []byte {
	var state []string
	for _, name := range append([]string{"requests", "mark_bits", "robots", "max_rate", "second", "in_second"}, more...) {
		state = append(state, fmt.Sprintf(`{"name":%q,"format":"l","nullable":false,"initial":0}`, name))
	}
	describe := `{"abi":1,"name":"bots","version":"0.0.1","kind":"session",
		"input":[{"name":"user_agent","format":"u"},{"name":"path","format":"u"},{"name":"event_time","format":"tsu:UTC"}],
		"outputs":[{"stream":0,"columns":[{"name":"requests","format":"l"},{"name":"marks","format":"l"},{"name":"max_rate","format":"l"},{"name":"is_bot","format":"b"}]}],
		"state":[` + strings.Join(state, ",") + `]}`
	return wasmtest.Plugin{Describe: describe}.Module()
}

func hit(id int, agent string, minute int) string {
	return fmt.Sprintf(`{"id":%d,"user_agent":%q,"path":"/","event_time":"2026-05-01T12:%02d:00Z"}`, id, agent, minute)
}

// want holds the sessions against the rows, the last record against the module,
// and has all of it proven.
func (r *robots) want(digest string, sessions ...string) {
	r.t.Helper()
	if got := rowsOf(r.t, r.project, "marts.visits", "user_agent", "hits", "is_bot"); got != strings.Join(sessions, "\n") {
		r.t.Errorf("got sessions\n%s\nwant\n%s", got, strings.Join(sessions, "\n"))
	}
	if got := lastEpoch(r.t, r.project).Plugins["bots@stable"]; got != digest {
		r.t.Errorf("the last epoch is of %s, want %s", got, digest)
	}
	wantProven(r.t, r.project)
}

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *lines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

func TestARunningPipelineTakesAPromotedSessionPlugin(t *testing.T) {
	r := newRobots(t, "")
	first := r.ship("1.0.0", r.bots("spider"))
	produce(t, r.project, "events", hit(1, "a spider", 0), hit(2, "a sphinx", 0), hit(3, "Firefox", 0))
	log := &lines{}
	f := followWith(t, r.project, daemon.RunOptions{Logger: slog.New(slog.NewTextHandler(log, nil)), ChannelsEvery: 5 * time.Millisecond})
	running := f.started()
	f.until(running, "the first epoch", func(s pipeline.Stats) bool { return s.Epochs > 0 && s.Rows == 3 })
	swaps := func(n int, outcome pipeline.SwapOutcome) func(pipeline.Stats) bool {
		return func(s pipeline.Stats) bool { return len(s.Swaps) == n && s.Swaps[n-1].Outcome == outcome }
	}
	second := r.ship("1.1.0", r.bots("sphinx"))
	f.until(running, "1.1.0 on probation", swaps(1, pipeline.SwapOnProbation))
	send(t, running.Broker.Client, "events", hit(4, "another spider", 1), hit(5, "another sphinx", 1), hit(6, "a spider", 1))
	f.until(running, "1.1.0 kept", swaps(1, pipeline.SwapKept))
	r.ship("1.2.0", broken())
	f.until(running, "1.2.0 on probation", swaps(2, pipeline.SwapOnProbation))
	send(t, running.Broker.Client, "events", hit(7, "a spider", 2), hit(8, "the last sphinx", 2))
	f.until(running, "1.2.0 refused", swaps(2, pipeline.SwapRefused))
	f.until(running, "the records again", func(s pipeline.Stats) bool { return s.Rows == 8 })
	r.ship("1.3.0", broken("other"))
	f.until(running, "1.3.0 looked at", func(pipeline.Stats) bool { return log.count("plugin is promoted and cannot be taken") > 0 })
	send(t, running.Broker.Client, "events", hit(9, "Firefox", 3))
	f.until(running, "the last record", func(s pipeline.Stats) bool { return s.Rows == 9 })
	stats := f.stop()
	if s := stats.Swaps; len(s) != 2 || s[0].From != first || s[0].To != second || s[1].From != second || !strings.Contains(s[1].Reason, "plugin trapped") {
		t.Errorf("the run tells of %+v", s)
	}
	if n := log.count("--reset-model visits"); n != 1 {
		t.Errorf("told %d times that 1.3.0 keeps other state, want once:\n%s", n, log.text.String())
	}
	// A session knows a robot by what its plugin found in its rows: that of the
	// first ones stays.
	r.want(second, "[Firefox 2 false]", "[a sphinx 1 false]", "[a spider 3 true]", "[another sphinx 1 true]", "[another spider 1 false]", "[the last sphinx 1 true]")
}

func TestASessionPluginOnProbationAtAStart(t *testing.T) {
	r := newRobots(t, "")
	first := r.ship("1.0.0", r.bots("spider"))
	produce(t, r.project, "events", hit(1, "a spider", 0))
	mustRun(t, r.project)
	r.ship("1.1.0", broken())
	produce(t, r.project, "events", hit(2, "a spider", 1), hit(3, "a sphinx", 1))
	if s := mustRun(t, r.project).Swaps; len(s) != 1 || s[0].Outcome != pipeline.SwapRefused || s[0].From != first || !strings.Contains(s[0].Reason, "plugin trapped") {
		t.Errorf("the run tells of %+v, want that 1.1.0 is refused", s)
	}
	r.want(first, "[a sphinx 1 false]", "[a spider 2 true]")
	other := broken("other")
	r.ship("1.2.0", other)
	produce(t, r.project, "events", hit(4, "a spider", 2))
	log := &lines{}
	stats, err := daemon.Run(t.Context(), r.project, daemon.RunOptions{Once: true, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil || len(stats.Swaps) != 0 || log.count("--reset-model visits") != 1 {
		t.Errorf("got %v and %+v with a plugin that keeps other state, want the former one, and a warning:\n%s", err, stats.Swaps, log.text.String())
	}
	r.want(first, "[a sphinx 1 false]", "[a spider 3 true]")
	// Asked for, it begins anew. Its state is not the former one's, so that there
	// is no going back.
	_, err = daemon.Run(t.Context(), r.project, daemon.RunOptions{Once: true, Logger: quiet, ResetModels: []string{"visits"}})
	wantError(t, err, wasm.ErrTrap, "no going back", "it keeps other state")
	second := r.ship("1.3.0", r.bots("sphinx"))
	produce(t, r.project, "events", hit(5, "the last sphinx", 3))
	if s := mustRun(t, r.project).Swaps; len(s) != 1 || s[0].Outcome != pipeline.SwapKept || s[0].To != second {
		t.Errorf("the run tells of %+v, want that 1.3.0 is kept", s)
	}
	r.want(second, "[a sphinx 1 false]", "[a spider 3 true]", "[the last sphinx 1 true]")
}

func TestASessionPluginWhoseRowsFailADataTestIsTakenBack(t *testing.T) {
	r := newRobots(t, "data_tests: [{accepted_values: {column: is_bot, values: [false]}}]\n")
	first := r.ship("1.0.0", r.bots("spider"))
	produce(t, r.project, "events", hit(1, "a sphinx", 0))
	mustRun(t, r.project)
	r.ship("1.1.0", r.bots("sphinx"))
	produce(t, r.project, "events", hit(2, "a sphinx", 1))
	if s := mustRun(t, r.project).Swaps; len(s) != 1 || s[0].Outcome != pipeline.SwapRefused || !strings.Contains(s[0].Reason, "is_bot") {
		t.Errorf("the run tells of %+v, want that 1.1.0 is refused by the test", s)
	}
	r.want(first, "[a sphinx 2 false]")
}
