package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/calvelake/calve/plugins"
	"github.com/calvelake/calve/plugins/wasm/wasmtest"
)

func TestARunTellsOfSwapsAndShadows(t *testing.T) {
	dir := writeProject(t, pluginModel)
	push := func(p wasmtest.Plugin, version string) pushReport {
		return readOutput[pushReport](t, mustCalve(t, "", "plugin", "push", writePlugin(t, p, version), "--project", dir, "-o", "json"))
	}
	produce := func(ids ...int) {
		var lines strings.Builder
		for _, id := range ids {
			fmt.Fprintf(&lines, "{\"id\": %d}\n", id)
		}
		mustCalve(t, lines.String(), "produce", "orders", "--project", dir)
	}
	one, two := push(wasmtest.Plugin{}, "1.0.0"), push(wasmtest.Plugin{Process: wasmtest.Trap}, "1.1.0")
	mustCalve(t, "", "plugin", "promote", "identity@1.0.0", "stable", "--project", dir)
	produce(1, 2)
	out := mustCalve(t, "", "run", "--once", "--project", dir, "--shadow", "orders=identity@1.1.0")
	for _, want := range []string{
		"2 records: 2 new rows, 0 dead letters",
		"shadow of model orders, identity@1.1.0 (module " + two.Digest[:12] + "): 0 rows alike, 0 different, 2 of the model's plugin alone, 0 of the shadow alone; row errors 0 and 2\n",
		"  orders/0 offset 1, row 0, row: id=2 | row error plugin_trap: ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("got\n%s\nwant %q in it", out, want)
		}
	}
	mustCalve(t, "", "plugin", "promote", "identity@1.1.0", "stable", "--project", dir)
	produce(3, 4)
	report := readOutput[runReport](t, mustCalve(t, "", "run", "--once", "--project", dir, "--shadow", "orders=identity@stable", "-o", "json"))
	if len(report.Plugins) != 1 || report.RowsOut != 2 {
		t.Fatalf("got %+v, want 2 rows and a swap", report)
	}
	if s := report.Plugins[0]; s.Outcome != "refused" || s.From != one.Digest || s.To != two.Digest || s.Epoch != 2 || !strings.Contains(s.Reason, "refuses too many records") {
		t.Errorf("got %+v, want that 1.1.0 is refused", s)
	}
	if len(report.Shadows) != 1 || report.Shadows[0].OnlyCurrent != 2 || len(report.Shadows[0].Examples) != 2 || report.Shadows[0].Examples[1].Offset != 3 {
		t.Errorf("got %+v, want 2 rows of the model's plugin alone", report.Shadows)
	}
	entries := readOutput[[]plugins.Entry](t, mustCalve(t, "", "plugin", "log", "--limit", "1", "--project", dir, "-o", "json"))
	if entries[0].Action != plugins.ActionFallback || entries[0].Version != "1.1.0" || !entries[0].Done {
		t.Errorf("log: got %+v, want the fallback", entries[0])
	}
	if out := mustCalve(t, "", "plugin", "log", "--limit", "1", "--project", dir); !strings.Contains(out, "fallback") || !strings.Contains(out, "pipeline ") {
		t.Errorf("log: got %s", out)
	}
	if out := mustCalve(t, "", "plugin", "promote", "identity@1.1.0", "stable", "--project", dir); out != "identity@stable is at 1.1.0\n" {
		t.Errorf("promote anew: got %q", out)
	}
	produce(5, 6)
	if out := mustCalve(t, "", "run", "--once", "--project", dir); !strings.Contains(out, "plugin identity@stable: module "+two.Digest[:12]+" refused in epoch 3, "+one.Digest[:12]+" again: ") {
		t.Errorf("got %s, want that it was tried again", out)
	}
}

func TestWrongShadowsExitWith2(t *testing.T) {
	dir := writeProject(t, pluginModel)
	for _, shadows := range [][]string{{"orders"}, {"orders=identity"}, {"=identity@stable"}, {"orders=identity@stable", "orders=identity@1.0.0"}} {
		args := []string{"run", "--project", dir}
		for _, s := range shadows {
			args = append(args, "--shadow", s)
		}
		if o := calve(t, "", args...); o.code != exitUsage || !strings.Contains(o.errors, "--shadow") {
			t.Errorf("%v: got %+v, want exit code 2", shadows, o)
		}
	}
}
