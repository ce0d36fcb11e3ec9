package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/calvelake/calve/plugins/author"
)

// writeCase writes a case for the conformance plugin beside a link to its
// module, and returns the module.
func writeCase(t *testing.T, text string) string {
	t.Helper()
	module, err := os.ReadFile(filepath.Join("..", "..", "plugins", "wasm", "testdata", "conformance", "c.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "orders.wasm")
	if err := os.Mkdir(filepath.Join(dir, "cases"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{file: module, filepath.Join(dir, "cases", "one.json"): []byte(text)} {
		if err := os.WriteFile(name, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

const passCase = `{"config": {"mode": "pass"}, "columns": [{"name": "id", "data_type": "long"}], "input": [{"id": 1}], "output": [{"id": 1}]}`

func TestAPluginIsMadeBuiltAndTested(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "orders")
	if out := mustCalve(t, "", "plugin", "new", "orders", "--dir", parent); !strings.Contains(out, "calve plugin build "+dir) {
		t.Errorf("new: got %s", out)
	}
	if o := calve(t, "", "plugin", "test", dir); o.code != exitUsage || !strings.Contains(o.errors, "calve plugin build") {
		t.Errorf("test before build: got %d, %s", o.code, o.errors)
	}
	to := filepath.Join(parent, "plugins", "orders.wasm")
	built := readOutput[author.Built](t, mustCalve(t, "", "plugin", "build", dir, "--to", to, "-o", "json"))
	if built.Module != to || built.Language != author.Go || len(built.Digest) != 64 {
		t.Errorf("build: got %+v", built)
	}
	tested := readOutput[pluginTest](t, mustCalve(t, "", "plugin", "test", to, "--cases", filepath.Join(dir, "cases"), "--fuzz", "10", "--seed", "5", "-o", "json"))
	if !tested.Passed || len(tested.Cases) != 2 || tested.Plugin != "orders" || tested.Digest != built.Digest || tested.Fuzz.Batches != 10 || tested.Fuzz.Seed != 5 {
		t.Errorf("test: got %+v", tested)
	}
}

func TestAPluginThatFailsItsCasesEndsWithOne(t *testing.T) {
	file := writeCase(t, strings.Replace(passCase, `"output": [{"id": 1}]`, `"output": [{"id": 2}]`, 1))
	o := calve(t, "", "plugin", "test", file)
	if o.code != exitFailure || !strings.Contains(o.out, `one.json: row 0, column "id": got 1, want 2`) {
		t.Errorf("got %d\n%s\n%s", o.code, o.out, o.errors)
	}
	if out := mustCalve(t, "", "plugin", "test", file, "--update"); !strings.Contains(out, "updated  one") {
		t.Errorf("update: got %s", out)
	}
	if out := mustCalve(t, "", "plugin", "test", file, "--fuzz", "5"); !strings.Contains(out, "ok       one (1 rows)") {
		t.Errorf("after the update: got %s", out)
	}
}

func TestAPluginIsMeasured(t *testing.T) {
	file := writeCase(t, passCase)
	got := readOutput[pluginBench](t, mustCalve(t, "", "plugin", "bench", file, "--rows", "64", "--batches", "20", "--time", "1ms", "-o", "json"))
	if got.Plugin != "conformance" || got.Case != "one" || len(got.Steps) != 1 || got.Steps[0].Rows != 64 || got.Steps[0].RowsPerSecond <= 0 || got.Steps[0].WorkPerRow <= 0 || got.MemoryBytes == 0 || got.Grows {
		t.Errorf("got %+v", got)
	}
	if out := mustCalve(t, "", "plugin", "bench", file, "--rows", "64", "--batches", "5", "--time", "1ms"); !strings.Contains(out, "rows/s") || !strings.Contains(out, "does not grow") {
		t.Errorf("got %s", out)
	}
}

func TestMistakesOfPluginAuthorsAreUsageErrors(t *testing.T) {
	broken := writeCase(t, `{"inptu": []}`)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"new", "orders", "--lang", "cobol"}, "go, rust, assemblyscript or c"},
		{[]string{"new", "Orders"}, "lower-case"},
		{[]string{"new", "orders", "--kind", "sink"}, "transform, session or scd"},
		{[]string{"new"}, "NAME"},
		{[]string{"test", filepath.Join(t.TempDir(), "none.wasm")}, "no such file"},
		{[]string{"test", broken}, "one.json"},
		{[]string{"test", broken, "--fuzz", "-1"}, "--fuzz"},
		{[]string{"bench", broken, "--rows", "0"}, "--rows"},
	} {
		if o := calve(t, "", append([]string{"plugin"}, c.args...)...); o.code != exitUsage || !strings.Contains(o.errors, c.want) {
			t.Errorf("%v: got %d, %s, want %q", c.args, o.code, o.errors, c.want)
		}
	}
}
