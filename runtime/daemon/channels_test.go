package daemon

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/plugins"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/sdk/abi"
)

// openedPlugin is a plugin that a test's channels opened.
type openedPlugin struct {
	digest string
	mu     sync.Mutex
	closed bool
}

func (o *openedPlugin) Digest() string { return o.digest }

func (o *openedPlugin) Transform(context.Context, record.Batch) (record.Batch, []record.Reject, error) {
	return record.Batch{}, nil, errors.New("BUG: nothing runs here")
}

func (o *openedPlugin) Close(context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	return nil
}

func (o *openedPlugin) isClosed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed
}

// followed is a registry with the plugin orders at 1.0.0, which runs, and
// channels that follow orders@stable.
type followed struct {
	t        *testing.T
	store    *storage.Memory
	registry *plugins.Registry
	channels *channels

	mu   sync.Mutex // of what the goroutine that looks writes or reads
	text bytes.Buffer
	used []string         // versions
	open map[string]error // by version: why it does not open
	made map[string]*openedPlugin
}

func followStable(t *testing.T) *followed {
	f := &followed{t: t, store: storage.NewMemory("mem://warehouse"), open: map[string]error{}, made: map[string]*openedPlugin{}}
	f.registry = plugins.NewRegistry(f.store, plugins.Config{Now: time.Now, Verify: func(context.Context, []byte, plugins.Expect) (plugins.Verified, error) {
		return plugins.Verified{
			Describe: abi.Describe{ABI: 1, Name: "orders", Version: "0", Kind: "transform", Input: abi.Input{Any: true}, Outputs: []abi.Stream{{Derived: true}}},
			Report:   plugins.Report{Checks: []plugins.Check{{Name: plugins.CheckSize, Result: plugins.Passed}}},
		}, nil
	}})
	f.promote("1.0.0")
	first := &openedPlugin{digest: plugins.Digest([]byte("1.0.0"))}
	f.made["1.0.0"] = first
	f.channels = follow(t.Context(), channelsConfig{
		registry: f.registry, pipeline: "shop", every: time.Second, logger: slog.New(slog.NewTextHandler(f, nil)),
		open: func(_ context.Context, ref string, v plugins.Version) (map[string]pipeline.Plugin, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if err := f.open[v.Version]; err != nil {
				return nil, err
			}
			f.made[v.Version] = &openedPlugin{digest: v.Digest}
			return map[string]pipeline.Plugin{"events": f.made[v.Version]}, nil
		},
		uses: func(_ string, v plugins.Version) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.used = append(f.used, v.Version)
		},
	}, []*channel{{
		text: "orders@stable", ref: plugins.Ref{Name: "orders", Channel: "stable"}, seen: 1,
		digest: first.digest, plugins: map[string]pipeline.Plugin{"events": first},
	}})
	return f
}

// Write takes the log.
func (f *followed) Write(line []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.text.Write(line)
}

func (f *followed) log() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.text.String()
}

// plugin is what was opened of a version; nil if nothing was.
func (f *followed) plugin(version string) *openedPlugin {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.made[version]
}

// opens says whether a version opens.
func (f *followed) opens(version string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open[version] = err
}

// promote takes the channel to a version, which is uploaded if it is new.
func (f *followed) promote(version string) {
	f.t.Helper()
	if _, err := f.registry.Upload(f.t.Context(), plugins.Upload{Plugin: "orders", Version: version, Module: []byte(version), By: "ada"}); err != nil {
		f.t.Fatal(err)
	}
	if _, err := f.registry.Promote(f.t.Context(), plugins.Promote{Plugin: "orders", Channel: "stable", Version: version, By: "ada"}); err != nil {
		f.t.Fatal(err)
	}
}

// taken lets time pass and takes what is ready, by version.
func (f *followed) taken(seconds int) []string {
	time.Sleep(time.Duration(seconds) * time.Second)
	synctest.Wait()
	var versions []string
	for _, c := range f.channels.Take() {
		for _, version := range []string{"1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0"} {
			if plugins.Digest([]byte(version)) == c.Digest {
				versions = append(versions, version)
			}
		}
	}
	return versions
}

func (f *followed) wantTaken(seconds int, want string) {
	f.t.Helper()
	if got := strings.Join(f.taken(seconds), " "); got != want {
		f.t.Errorf("took %q, want %q\n%s", got, want, f.log())
	}
}

func (f *followed) candidate(version string) pipeline.Candidate {
	return pipeline.Candidate{Ref: "orders@stable", Digest: plugins.Digest([]byte(version)), Plugins: map[string]pipeline.Plugin{"events": f.plugin(version)}}
}

func (f *followed) warnings(about string) int {
	n := 0
	for _, line := range strings.Split(f.log(), "\n") {
		if strings.Contains(line, "level=WARN") && strings.Contains(line, about) {
			n++
		}
	}
	return n
}

func TestAChannelThatMovesGivesACandidateOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := followStable(t)
		f.wantTaken(3, "")
		f.promote("1.1.0")
		f.wantTaken(2, "1.1.0")
		f.promote("1.2.0")
		f.wantTaken(5, "") // as long as the first is on probation
		f.channels.Kept(f.candidate("1.1.0"))
		f.wantTaken(2, "1.2.0")
		if !f.plugin("1.0.0").isClosed() || f.plugin("1.1.0").isClosed() {
			t.Error("1.0.0 is to be closed, and 1.1.0 is not")
		}
		f.channels.Refused(pipeline.Refusal{Candidate: f.candidate("1.2.0"), Former: plugins.Digest([]byte("1.1.0")), Epoch: 7, Reason: "a test fails"})
		f.wantTaken(5, "")
		if !f.plugin("1.2.0").isClosed() || f.plugin("1.1.0").isClosed() {
			t.Error("1.2.0 is to be closed, and 1.1.0 is not")
		}
		f.channels.close()
		if got := strings.Join(f.used, " "); got != "1.1.0" {
			t.Errorf("the run uses %s, want 1.1.0", got)
		}
		log, err := f.registry.Audit(t.Context(), plugins.AuditQuery{Limit: 1})
		if err != nil || len(log) != 1 || log[0].Action != plugins.ActionFallback || log[0].Version != "1.2.0" || log[0].By != "pipeline shop" || log[0].Reason != "a test fails" || !log[0].Done {
			t.Errorf("the audit log says %+v (%v), want the fallback", log, err)
		}
	})
}

func TestAChannelThatFlapsLeavesTheLastPromotion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := followStable(t)
		f.promote("1.1.0")
		time.Sleep(2 * time.Second)
		synctest.Wait() // it is ready, and not taken
		f.promote("1.0.0")
		f.wantTaken(2, "")
		if !f.plugin("1.1.0").isClosed() || f.plugin("1.0.0").isClosed() {
			t.Error("1.1.0 is to be closed, and 1.0.0 runs")
		}
		f.promote("1.1.0")
		f.promote("1.2.0")
		f.wantTaken(2, "1.2.0")
		f.channels.close()
	})
}

func TestWhatDoesNotOpenIsToldOnceAndReadAgainIfItMayHelp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := followStable(t)
		f.opens("1.1.0", errors.New("column amount is missing"))
		f.promote("1.1.0")
		f.wantTaken(5, "")
		f.opens("1.1.0", nil)
		f.wantTaken(5, "") // the module and the model are what they are
		if n := f.warnings("column amount is missing"); n != 1 {
			t.Errorf("told %d times, want once:\n%s", n, f.log())
		}
		f.opens("1.2.0", fetchError{errors.New("connection reset")})
		f.promote("1.2.0")
		f.wantTaken(5, "")
		f.opens("1.2.0", nil)
		f.wantTaken(2, "1.2.0")
		if n := f.warnings("connection reset"); n != 1 {
			t.Errorf("told %d times, want once:\n%s", n, f.log())
		}
		f.channels.Kept(f.candidate("1.2.0"))
		f.promote("1.3.0")
		if _, err := f.registry.Yank(t.Context(), plugins.YankRequest{Plugin: "orders", Version: "1.3.0", Reason: "loses rows", By: "joe"}); err != nil {
			t.Fatal(err)
		}
		f.wantTaken(5, "")
		if n := f.warnings("loses rows"); n != 1 {
			t.Errorf("told %d times, want once:\n%s", n, f.log())
		}
		f.store.Inject(storage.Fault{Mode: storage.FaultBefore, Err: errors.New("down"), Times: 4})
		f.promoteAfterFault("1.4.0")
		f.wantTaken(10, "1.4.0")
		f.channels.close()
	})
}

// promoteAfterFault waits until looks have failed.
func (f *followed) promoteAfterFault(version string) {
	time.Sleep(6 * time.Second)
	synctest.Wait()
	if n := f.warnings("channel not looked at"); n != 1 {
		f.t.Errorf("told %d times that the channel is not seen, want once:\n%s", n, f.log())
	}
	f.promote(version)
}

func TestAFallbackIsToldWhenTheStoreIsBackAndAtTheEnd(t *testing.T) {
	for _, ends := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := followStable(t)
			f.promote("1.1.0")
			f.wantTaken(2, "1.1.0")
			f.store.Inject(storage.Fault{Mode: storage.FaultBefore, Err: storage.ErrPermission, Times: 1})
			f.channels.Refused(pipeline.Refusal{Candidate: f.candidate("1.1.0"), Former: plugins.Digest([]byte("1.0.0")), Epoch: 2, Reason: "it stops"})
			synctest.Wait() // it was told, and failed
			if !ends {
				time.Sleep(2 * time.Second)
				synctest.Wait()
			}
			f.channels.close()
			head, err := f.registry.Head(t.Context(), "orders", "stable")
			if err != nil {
				t.Fatal(err)
			}
			if fallback, err := f.registry.Fallback(t.Context(), head, "shop"); err != nil || fallback == nil || fallback.Epoch != 2 || fallback.Reason != "it stops" {
				t.Errorf("the registry has %+v (%v), want the fallback", fallback, err)
			}
			if other, err := f.registry.Fallback(t.Context(), head, "other"); err != nil || other != nil {
				t.Errorf("another pipeline fell back too: %+v (%v)", other, err)
			}
		})
	}
}
