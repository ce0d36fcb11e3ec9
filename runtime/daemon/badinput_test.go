package daemon_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/lakehouse/storage/storagetest"
	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/kafka"
	"github.com/calvelake/calve/runtime/pipeline"
)

func baseName(module string) string { return strings.TrimSuffix(path.Base(module), ".wasm") }

func definitionID(t *testing.T, name string) catalog.Identifier {
	t.Helper()
	id, err := catalog.ParseIdentifier(name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// silent is an address where connections are accepted and nothing is said.
func silent(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

// closed is an address where nobody listens: the near end of a connection, which
// keeps the port from other processes.
func closed(t *testing.T) string {
	t.Helper()
	conn, err := net.Dial("tcp", silent(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.LocalAddr().String()
}

// A run against what cannot be reached fails with a clear error within the
// time-out, and the next run, against what can, takes every record.
func TestUnreachableConnections(t *testing.T) {
	const timeout = "500ms"
	for name, c := range map[string]struct {
		broken func(t *testing.T) (setup, string) // and the address that the error must name
		want   error
	}{
		"broker that refuses": {func(t *testing.T) (setup, string) {
			a := closed(t)
			return setup{kafka: fmt.Sprintf(`{brokers: %q, timeout: %s}`, a, timeout)}, a
		}, kafka.ErrUnreachable},
		"broker that is silent": {func(t *testing.T) (setup, string) {
			a := silent(t)
			return setup{kafka: fmt.Sprintf(`{brokers: %q, timeout: %s}`, a, timeout)}, a
		}, kafka.ErrUnreachable},
		"catalog that refuses": {func(t *testing.T) (setup, string) {
			a := closed(t)
			return setup{catalog: fmt.Sprintf(`{type: rest, uri: "http://%s", timeout: %s}`, a, timeout)}, a
		}, catalog.ErrUnreachable},
		"catalog that is silent": {func(t *testing.T) (setup, string) {
			a := silent(t)
			return setup{catalog: fmt.Sprintf(`{type: rest, uri: "http://%s", timeout: %s}`, a, timeout)}, a
		}, catalog.ErrUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			produce(t, setup{}.load(t, dir), "events", `{"id":1}`, `{"id":2}`)
			broken, address := c.broken(t)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := once(ctx, broken.load(t, dir))
			wantError(t, err, c.want, address)
			if ctx.Err() != nil {
				t.Error("the run ended only with its context, not within the time-out of the connection")
			}
			p := setup{}.load(t, dir)
			mustRun(t, p)
			wantAccounted(t, p, 2, counts{rows: 2})
		})
	}
}

// serveCatalog serves a project's catalog by HTTP, as an outside one would be,
// and lets the test break requests off.
func serveCatalog(t *testing.T, p string, breaks func(r *http.Request) bool) (uri string) {
	t.Helper()
	inner := setup{}.load(t, p)
	lake, err := daemon.OpenLakehouse(t.Context(), inner, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lake.Close() })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if breaks(r) {
			panic(http.ErrAbortHandler) // the connection breaks
		}
		lake.Catalog.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestCatalogOutageIsWaitedOut(t *testing.T) {
	dir := t.TempDir()
	var outage atomic.Int64 // commits still to break off
	outage.Store(3)
	uri := serveCatalog(t, dir, func(r *http.Request) bool {
		return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/transactions/commit") && outage.Add(-1) >= 0
	})
	p := setup{catalog: fmt.Sprintf("{type: rest, uri: %q, timeout: 10s}", uri), interval: "50ms"}.load(t, dir)
	produce(t, p, "events", `{"id":1}`, `{"id":2}`)
	f := follow(t, p)
	f.until(f.started(), "an epoch", func(s pipeline.Stats) bool { return s.Epochs == 1 })
	f.stop()
	if left := outage.Load(); left >= 0 {
		t.Errorf("the outage was not met: %d commits of it are left", left)
	}
	wantAccounted(t, p, 2, counts{rows: 2})
}

func TestBrokerOutageIsWaitedOut(t *testing.T) {
	dir := t.TempDir()
	config := kafka.BrokerConfig{Dir: t.TempDir(), Listen: "127.0.0.1:0", Logger: quiet}
	broker, err := kafka.StartBroker(config)
	if err != nil {
		t.Fatal(err)
	}
	config.Listen = broker.Addr()
	p := setup{kafka: fmt.Sprintf("{brokers: %q, timeout: 20s}", config.Listen), interval: "50ms"}.load(t, dir)
	produce(t, p, "events", `{"id":1}`)
	f := follow(t, p)
	r := f.started()
	f.until(r, "the first epoch", func(s pipeline.Stats) bool { return s.Epochs == 1 })
	if err := broker.Close(); err != nil {
		t.Fatal(err)
	}
	if broker, err = kafka.StartBroker(config); err != nil {
		t.Fatal(err)
	}
	produce(t, p, "events", `{"id":2}`)
	f.until(r, "the record after the outage", func(s pipeline.Stats) bool { return s.Rows == 2 })
	f.stop()
	wantAccounted(t, p, 2, counts{rows: 2})
	if err := broker.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAbsentTopicIsNamed(t *testing.T) {
	p := setup{}.load(t, t.TempDir())
	produce(t, p, "event", `{"id":0}`)
	_, err := once(t.Context(), p)
	wantError(t, err, kafka.ErrNoTopic, `"events"`, `there is "event"`, "calve produce")
	produce(t, p, "events", `{"id":1}`)
	mustRun(t, p)
	wantAccounted(t, p, 1, counts{rows: 1})
}

func TestUnreadableRecordsBecomeDeadLetters(t *testing.T) {
	p := setup{source: "    max_record_bytes: 1KB\n"}.load(t, t.TempDir())
	produce(t, p, "events",
		`{"id":1}`, `{"id":`, `[1]`, `{"id":"x"}`, `{"text":"no id"}`, `{"id":6,"text":"`+strings.Repeat("x", 1024)+`"}`, `{"id":7}`)
	mustRun(t, p)
	wantAccounted(t, p, 7, counts{rows: 2, letters: 5})
	if got, want := reasons(t, p), "1:malformed 2:type 3:type 4:missing 5:too_large"; got != want {
		t.Errorf("got reasons %s, want %s", got, want)
	}
}

const (
	kit       = "../../plugins/wasm/testdata/guests/kit"
	kitInput  = `input: [{name: id, data_type: long, nullable: false}, {name: text, data_type: string}]`
	kitLimits = `limits: {cpu_budget: 20000000, batch_rows: 4}`
)

func kitPlugin(config, onError string) string {
	return fmt.Sprintf("{ref: kit, %s, config: %s, on_error: %s, %s}", kitInput, config, onError, kitLimits)
}

// A module that is no plugin is refused before a record is taken.
func TestModulesThatAreNoPlugins(t *testing.T) {
	for name, c := range map[string]struct {
		module []byte // nil for no file
		want   error
		says   string
	}{
		"no module":      {[]byte("#!/bin/sh\n"), wasm.ErrNotModule, "plugins/kit.wasm"},
		"lacks exports":  {handmade("calve_process"), wasm.ErrMissingExport, "calve_process"},
		"cut off":        {handmade("")[:60], wasm.ErrInvalidModule, "plugins/kit.wasm"},
		"no file at all": {nil, nil, "there is no file plugins/kit.wasm"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			installBytes(t, c.module, dir, "kit")
			p := setup{plugin: kitPlugin("{mode: pass}", "dead_letter")}.load(t, dir)
			produce(t, p, "events", `{"id":1}`, `{"id":2}`)
			if c.module == nil { // gone since the project was read
				if err := os.Remove(filepath.Join(dir, "plugins", "kit.wasm")); err != nil {
					t.Fatal(err)
				}
			}
			_, err := once(t.Context(), p)
			wantError(t, err, c.want, c.says, "models/staging/events.yaml:1")
			install(t, kit, dir, "kit")
			mustRun(t, p)
			wantAccounted(t, p, 2, counts{rows: 2})
		})
	}
}

// A plugin that fails on a row costs that row, or with on_error: stop the run;
// the records around it come through either way.
func TestPluginsThatFailOnRows(t *testing.T) {
	for name, c := range map[string]struct {
		text   string // of record 1
		module []byte // nil for kit
		want   error  // with on_error: stop
		codes  string // of the dead letters
	}{
		"traps":           {"panic", nil, wasm.ErrTrap, "1:plugin_trap"},
		"exits":           {"exit", nil, wasm.ErrTrap, "1:plugin_trap"},
		"never returns":   {"spin", nil, wasm.ErrBudget, "1:plugin_limit"},
		"returns garbage": {"any", handmade(""), wasm.ErrOutput, "0:plugin_output 1:plugin_output 2:plugin_output"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if c.module == nil {
				install(t, kit, dir, "kit")
			} else {
				installBytes(t, c.module, dir, "kit")
			}
			records := []string{`{"id":0,"text":"fine"}`, fmt.Sprintf(`{"id":1,"text":%q}`, c.text), `{"id":2,"text":"fine"}`}

			stopping := setup{plugin: kitPlugin("{mode: poison}", "stop")}.load(t, dir)
			produce(t, stopping, "events", records...)
			_, err := once(t.Context(), stopping)
			wantError(t, err, c.want, "model events: plugin kit at events/0")

			p := setup{plugin: kitPlugin("{mode: poison}", "dead_letter")}.load(t, dir)
			mustRun(t, p)
			letters := int64(len(strings.Fields(c.codes)))
			wantAccounted(t, p, 3, counts{rows: 3 - letters, letters: letters})
			if got := reasons(t, p); got != c.codes {
				t.Errorf("got reasons %s, want %s", got, c.codes)
			}
		})
	}
}

// s3Warehouse is a bucket in a server of this process.
func s3Warehouse(server *storagetest.S3Server) string {
	return fmt.Sprintf(`{location: "s3://lake/shop", endpoint: %q, region: us-east-1, path_style: true, access_key_id: key, secret_access_key: secret}`, server.URL)
}

// A warehouse that refuses writes at some step ends the run; with the cause
// gone the next run accounts for every record.
func TestWarehousesThatRefuse(t *testing.T) {
	for name, c := range map[string]struct {
		fault storagetest.S3Fault
		at    string // part of the keys that are refused
		want  error
		says  string
	}{
		"forbids everything":          {storagetest.S3Forbid, "", storage.ErrPermission, "credentials"},
		"forbids data files":          {storagetest.S3Forbid, "/data/", storage.ErrPermission, "staging.events"},
		"forbids the epoch log":       {storagetest.S3Forbid, "/epochs/0", storage.ErrPermission, "epoch record"},
		"is full at the data files":   {storagetest.S3Full, "/data/", storage.ErrNoSpace, "staging.events"},
		"is full at the epoch record": {storagetest.S3Full, "/epochs/0", storage.ErrNoSpace, "epoch record"},
	} {
		t.Run(name, func(t *testing.T) {
			server := storagetest.NewS3Server(t, "lake")
			var broken atomic.Bool
			broken.Store(true)
			server.Fault = func(operation, key string) storagetest.S3Fault {
				if broken.Load() && strings.Contains(key, c.at) && operation == "PutObject" {
					return c.fault
				}
				return storagetest.S3OK
			}
			p := setup{warehouse: s3Warehouse(server)}.load(t, t.TempDir())
			produce(t, p, "events", `{"id":1}`, `{"id":2}`)
			_, err := once(t.Context(), p)
			wantError(t, err, c.want, "s3://lake/shop", c.says)
			broken.Store(false)
			mustRun(t, p)
			wantAccounted(t, p, 2, counts{rows: 2})
		})
	}
}

func TestCommitsOfFullWarehouseAreCompletedLater(t *testing.T) {
	server := storagetest.NewS3Server(t, "lake")
	var broken atomic.Bool
	broken.Store(true)
	server.Fault = func(operation, key string) storagetest.S3Fault {
		if broken.Load() && operation == "PutObject" && strings.Contains(key, "/metadata/snap-") {
			return storagetest.S3Full
		}
		return storagetest.S3OK
	}
	dir := t.TempDir()
	// The time-out is of each call too, and it is a full warehouse that is to end
	// the run, not a slow machine.
	p := setup{warehouse: s3Warehouse(server), catalog: "{timeout: 3s}"}.load(t, dir)
	produce(t, p, "events", `{"id":1}`)
	_, err := once(t.Context(), p)
	wantError(t, err, storage.ErrNoSpace, "recorded but not committed")
	broken.Store(false)
	p = setup{warehouse: s3Warehouse(server)}.load(t, dir)
	if stats := mustRun(t, p); stats.Records != 0 {
		t.Errorf("the next run read %d records again, want 0: the epoch was decided", stats.Records)
	}
	wantAccounted(t, p, 1, counts{rows: 1})
}

func TestWarehouseWithoutConditionalWritesIsRefused(t *testing.T) {
	server := storagetest.NewS3Server(t, "lake")
	server.IgnoreConditions = true
	dir := t.TempDir()
	p := setup{warehouse: s3Warehouse(server)}.load(t, dir)
	produce(t, p, "events", `{"id":1}`)
	_, err := once(t.Context(), p)
	wantError(t, err, nil, "s3://lake/shop", "conditional writes", "If-None-Match")
	for _, key := range server.Keys("lake") {
		t.Errorf("the refused run left %s", key)
	}
	good := storagetest.NewS3Server(t, "lake")
	p = setup{warehouse: s3Warehouse(good)}.load(t, dir)
	mustRun(t, p)
	wantAccounted(t, p, 1, counts{rows: 1})
}

func TestPortInUseIsNamed(t *testing.T) {
	address := silent(t)
	p := setup{kafka: fmt.Sprintf("{embedded: {listen: %q}}", address)}.load(t, t.TempDir())
	_, err := once(t.Context(), p)
	wantError(t, err, kafka.ErrPortInUse, address)
}
