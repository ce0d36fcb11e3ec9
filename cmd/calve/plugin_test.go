package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/calvelake/calve/catalog/principal"
	"github.com/calvelake/calve/plugins"
	"github.com/calvelake/calve/plugins/wasm/wasmtest"
)

const pluginModel = `name: orders
kind: staging
from: source.shop.orders
plugin: {ref: "identity@stable", input: [{name: id, data_type: long, nullable: false}]}
columns:
  - {name: id, data_type: long, nullable: false}
`

// writePlugin writes a module that says it has that version.
func writePlugin(t *testing.T, p wasmtest.Plugin, version string) string {
	t.Helper()
	p.Describe = strings.Replace(wasmtest.Identity, "1.0.0", version, 1)
	file := filepath.Join(t.TempDir(), "plugin.wasm")
	if err := os.WriteFile(file, p.Module(), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func readOutput[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func TestAPluginFromPushToYank(t *testing.T) {
	dir := writeProject(t, pluginModel)
	one, two := writePlugin(t, wasmtest.Plugin{}, "1.0.0"), writePlugin(t, wasmtest.Plugin{}, "1.1.0")
	if out := mustCalve(t, "", "plugin", "push", one, "--dry-run", "--project", dir); !strings.Contains(out, "nothing to store") {
		t.Errorf("dry run: got %s", out)
	}
	if out := mustCalve(t, "", "plugin", "list", "--project", dir, "-o", "json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("after a dry run: got %s", out)
	}
	if out := mustCalve(t, "", "plugin", "push", one, "--model", "orders", "--project", dir); !strings.Contains(out, "identity@1.0.0 is stored, sha256:") || !strings.Contains(out, "contract") {
		t.Errorf("push: got %s", out)
	}
	pushed := readOutput[pushReport](t, mustCalve(t, "", "plugin", "push", one, "--project", dir, "-o", "json"))
	if pushed.Created || pushed.Version != "1.0.0" || !pushed.Report.OK() {
		t.Errorf("push again: got %+v", pushed)
	}
	if o := calve(t, "", "plugin", "push", two, "--version", "1.0.0", "--name", "identity", "--project", dir); o.code != exitFailure || !strings.Contains(o.errors, "a version never changes") {
		t.Errorf("another module: got %+v", o)
	}
	mustCalve(t, "", "plugin", "push", two, "--project", dir)
	if out := mustCalve(t, "", "plugin", "promote", "identity@1.0.0", "stable", "--project", dir); out != "identity@stable is at 1.0.0\n" {
		t.Errorf("promote: got %q", out)
	}
	moved := readOutput[plugins.Promoted](t, mustCalve(t, "", "plugin", "promote", "identity@1.1.0", "stable", "--project", dir, "-o", "json"))
	if !moved.Changed || moved.Number != 2 || moved.By == "" {
		t.Errorf("promote: got %+v", moved)
	}
	if out := mustCalve(t, "", "plugin", "list", "--project", dir); !strings.Contains(out, "stable=1.1.0") {
		t.Errorf("list: got %s", out)
	}
	mustCalve(t, "{\"id\": 1}\n", "produce", "orders", "--project", dir)
	if out := mustCalve(t, "", "run", "--once", "--project", dir); !strings.Contains(out, "1 records: 1 new rows") {
		t.Errorf("run: got %s", out)
	}
	if out := mustCalve(t, "", "plugin", "yank", "identity@1.1.0", "--reason", "loses rows", "--project", dir); !strings.Contains(out, "identity@stable is at it") {
		t.Errorf("yank: got %s", out)
	}
	if o := calve(t, "", "run", "--once", "--project", dir); o.code != exitFailure || !strings.Contains(o.errors, "loses rows") {
		t.Errorf("run with a yanked plugin: got %+v", o)
	}
	if out := mustCalve(t, "", "plugin", "show", "identity", "--project", dir); !strings.Contains(out, "loses rows") || !strings.Contains(out, "CHANNEL") {
		t.Errorf("show: got %s", out)
	}
	entries := readOutput[[]plugins.Entry](t, mustCalve(t, "", "plugin", "log", "--project", dir, "-o", "json"))
	if len(entries) != 5 || entries[0].Action != plugins.ActionYank || !entries[0].Done {
		t.Errorf("log: got %+v", entries)
	}
	if out := mustCalve(t, "", "plugin", "log", "--limit", "2", "--project", dir); strings.Count(out, "\n") != 3 {
		t.Errorf("log of two: got %s", out)
	}
}

func TestARefusedPushShowsTheReport(t *testing.T) {
	dir := writeProject(t, pluginModel)
	file := writePlugin(t, wasmtest.Plugin{Imports: [][2]string{{"env", "system"}}}, "1.0.0")
	o := calve(t, "", "plugin", "push", file, "--project", dir)
	if o.code != exitFailure || !strings.Contains(o.errors, `"system" of module "env"`) || !strings.Contains(o.out, "imports") {
		t.Errorf("got %+v", o)
	}
	report := readOutput[pushReport](t, calve(t, "", "plugin", "push", file, "--dry-run", "-o", "json", "--project", dir).out)
	if report.Report.OK() || report.Created {
		t.Errorf("got %+v", report)
	}
	fixtures := filepath.Join(t.TempDir(), "fixtures.json")
	if err := os.WriteFile(fixtures, []byte(`[{"name": "mine", "input": [{"id": 1}], "output": [{"id": 2}]}]`), 0o644); err != nil {
		t.Fatal(err)
	}
	good := writePlugin(t, wasmtest.Plugin{}, "1.0.0")
	if o := calve(t, "", "plugin", "push", good, "--fixtures", fixtures, "--project", dir); o.code != exitFailure || !strings.Contains(o.errors, `fixture "mine": row 0, column "id": got 1, want 2`) {
		t.Errorf("got %+v", o)
	}
}

func TestWrongPluginCommandLinesExitWith2(t *testing.T) {
	dir := writeProject(t, ordersModel)
	file := writePlugin(t, wasmtest.Plugin{}, "1.0.0")
	for _, args := range [][]string{
		{"push"},
		{"push", filepath.Join(dir, "absent.wasm")},
		{"push", file, "--name", "Not A Name"},
		{"push", file, "--version", "v1"},
		{"push", file, "--model", "absent"},
		{"push", file, "--model", "orders"}, // has no plugin
		{"push", file, "--fixtures", file},
		{"promote", "identity@1.0.0"},
		{"promote", "identity@stable", "edge"},
		{"promote", "identity@1.0.0", "2"},
		{"yank", "identity"},
		{"show", "../x"},
		{"log", "--since", "yesterday"},
		{"log", "--limit", "-1"},
	} {
		o := calve(t, "", append(append([]string{"plugin"}, args...), "--project", dir)...)
		if o.code != exitUsage || o.out != "" {
			t.Errorf("%v: got %+v, want exit code %d", args, o, exitUsage)
		}
	}
	for _, args := range [][]string{{"show", "identity"}, {"promote", "identity@1.0.0", "stable"}, {"yank", "identity@1.0.0", "--reason", "x"}} {
		o := calve(t, "", append(append([]string{"plugin"}, args...), "--project", dir)...)
		if o.code != exitFailure || !strings.Contains(o.errors, "not in the plugin registry") {
			t.Errorf("%v: got %+v, want exit code %d", args, o, exitFailure)
		}
	}
}

// serveRegistry runs calve plugin serve until the test ends, and returns its URL.
func serveRegistry(t *testing.T, dir string) string {
	t.Helper()
	principals := filepath.Join(t.TempDir(), "principals.json")
	text := fmt.Sprintf(`{"principals": [{"name": "ci", "roles": ["reader", "uploader"], "token_sha256": %q}]}`, principal.Hash("secret"))
	if err := os.WriteFile(principals, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "plugin", "serve", "--listen", "127.0.0.1:0", "--principals", principals, "--project", dir)
	cmd.Env = append(os.Environ(), runAsCalve+"=1")
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("serve ended with %v, want it to end well when it is asked to", err)
		}
	})
	lines := bufio.NewScanner(errs)
	for lines.Scan() {
		if _, rest, ok := strings.Cut(lines.Text(), " at http://"); ok {
			address, _, _ := strings.Cut(rest, " ")
			go func() { _, _ = io.Copy(io.Discard, errs) }() // ends with the process
			return "http://" + address
		}
	}
	t.Fatal("serve ended before it was ready")
	return ""
}

func TestAPluginIsPushedToAServedRegistry(t *testing.T) {
	dir := writeProject(t, pluginModel)
	url := serveRegistry(t, dir)
	file := writePlugin(t, wasmtest.Plugin{}, "1.0.0")
	if o := calve(t, "", "plugin", "push", file, "--registry", url); o.code != exitUsage || !strings.Contains(o.errors, pluginToken) {
		t.Errorf("without a token: got %+v", o)
	}
	t.Setenv(pluginToken, "wrong")
	if o := calve(t, "", "plugin", "push", file, "--registry", url); o.code != exitFailure || !strings.Contains(o.errors, "bearer token") {
		t.Errorf("with a wrong token: got %+v", o)
	}
	t.Setenv(pluginToken, "secret")
	if out := mustCalve(t, "", "plugin", "push", file, "--registry", url); !strings.Contains(out, "identity@1.0.0 is stored") {
		t.Errorf("push: got %s", out)
	}
	if o := calve(t, "", "plugin", "promote", "identity@1.0.0", "stable", "--registry", url); o.code != exitFailure || !strings.Contains(o.errors, "this needs operator") {
		t.Errorf("promote as uploader: got %+v", o)
	}
	// It is the project's own registry.
	shown := readOutput[plugins.Plugin](t, mustCalve(t, "", "plugin", "show", "identity", "--project", dir, "-o", "json"))
	if len(shown.Versions) != 1 || shown.Versions[0].UploadedBy != "ci" {
		t.Errorf("got %+v, want the version of ci", shown)
	}
	if o := calve(t, "", "plugin", "serve", "--project", dir); o.code != exitUsage || !strings.Contains(o.errors, "--principals") {
		t.Errorf("serve without principals: got %+v", o)
	}
}
