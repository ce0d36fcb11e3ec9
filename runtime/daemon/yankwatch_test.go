package daemon

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/plugins"
	"github.com/calvelake/calve/sdk/abi"
)

func TestARunWhosePluginIsYankedIsWarnedOnce(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		store := storage.NewMemory("mem://warehouse")
		registry := plugins.NewRegistry(store, plugins.Config{Now: time.Now, Verify: func(context.Context, []byte, plugins.Expect) (plugins.Verified, error) {
			return plugins.Verified{
				Describe: abi.Describe{ABI: 1, Name: "orders", Version: "1.0.0", Kind: "transform", Input: abi.Input{Any: true}, Outputs: []abi.Stream{{Derived: true}}},
				Report:   plugins.Report{Checks: []plugins.Check{{Name: plugins.CheckSize, Result: plugins.Passed}}},
			}, nil
		}})
		if _, err := registry.Upload(t.Context(), plugins.Upload{Module: []byte("module"), By: "ada"}); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		run := newRegistryPlugins(t.Context(), registry, dir, slog.New(slog.NewTextHandler(&log, nil)))
		module := func() {
			if got, err := run.module(t.Context(), "orders@1.0.0"); err != nil || string(got) != "module" {
				t.Errorf("got %q, %v", got, err)
			}
		}
		module()
		time.Sleep(3 * yanksEvery)
		synctest.Wait()
		if text := log.String(); strings.Contains(text, "yanked") {
			t.Errorf("got %s before there is a yank", text)
		}
		if _, err := registry.Yank(t.Context(), plugins.YankRequest{Plugin: "orders", Version: "1.0.0", Reason: "loses rows", By: "joe"}); err != nil {
			t.Fatal(err)
		}
		// A store that fails for a while only delays it.
		store.Inject(storage.Fault{Mode: storage.FaultBefore, Err: errors.New("down"), Times: 1})
		time.Sleep(5 * yanksEvery)
		synctest.Wait()
		run.close()
		if text := log.String(); strings.Count(text, "yanked") != 1 || !strings.Contains(text, "loses rows") || !strings.Contains(text, "by=joe") {
			t.Errorf("got %s, want one warning with who and why", text)
		}
		module() // it keeps what it has
	})
}
