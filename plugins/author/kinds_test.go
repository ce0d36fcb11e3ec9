package author

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/calvelake/calve/sdk/abi"
)

// faulty gives a new plugin's source faults, which its config turns on.
func faulty(faults ...string) func(source string) string {
	return func(source string) string {
		return strings.NewReplacer(append([]string{
			`Version: "1.0.0",`, "Version: \"1.0.0\",\n\tConfigure: func(c []byte) error { fault = string(c); return nil },",
			"func main() {}", "var fault string\n\nvar kept int64\n\nfunc main() {}",
		}, faults...)...).Replace(source)
	}
}

// withFault is a plugin's case under a config.
func withFault(c Case, fault string) Case {
	c.Config = json.RawMessage(fmt.Sprintf("%q", fault))
	return c
}

// checkFaults runs a case under each fault, and looks for what is told.
func checkFaults(t *testing.T, m *Module, c Case, want map[string]string) {
	t.Helper()
	for fault, text := range want {
		results, err := m.Check(t.Context(), []Case{withFault(c, fault)})
		if err != nil {
			t.Fatal(err)
		}
		got := texts(results[0].Differences)
		if text == "" && len(got) > 0 || text != "" && !slices.ContainsFunc(got, func(line string) bool { return strings.Contains(line, text) }) {
			t.Errorf("%s: fault %q: got %q, want %q", c.Name, fault, got, text)
		}
	}
}

// fuzzFaults runs random rows under each fault.
func fuzzFaults(t *testing.T, m *Module, c Case, want map[string]string) {
	t.Helper()
	for fault, text := range want {
		got, err := m.Fuzz(t.Context(), FuzzOptions{Batches: 40, Seed: 2, Cases: []Case{withFault(c, fault)}})
		if err != nil {
			t.Fatal(err)
		}
		found := slices.ContainsFunc(got.Failures, func(f FuzzFailure) bool { return strings.Contains(f.Message, text) })
		if text == "" && len(got.Failures) > 0 || text != "" && !found {
			t.Errorf("fuzz of fault %q: got %+v, want %q", fault, got, text)
		}
	}
}

func TestFaultsOfSessionPluginsAreFound(t *testing.T) {
	dir, built := goProject(t, "visits", abi.KindSession, faulty(
		`	for i, visit := range groups {`, "	if fault == `\"forgets\"` {\n\t\tclear(views)\n\t}\n\tif fault == `\"keeps\"` {\n\t\tkept++\n\t\tviews[0] += kept\n\t}\n\tfor i, visit := range groups {",
		`sum[i] += more.At(i)`, "if fault != `\"merges\"` {\n\t\t\t\tsum[i] += more.At(i)\n\t\t\t}",
		`		mark.Set(i, bots.At(i) > 0)`, "		mark.Set(i, bots.At(i) > 0)\n\t\tif fault == `\"traps\"` && bots.At(i) > 0 {\n\t\t\tpanic(\"a bot\")\n\t\t}\n\t\tif fault == `\"refuses\"` && bots.At(i) > 0 {\n\t\t\tout.RowError(i, \"bot\", \"bot_views\", \"no bots\")\n\t\t}",
	))
	m := openModule(t, built.Module)
	cases := casesOf(t, dir)
	visit, late := cases[0], cases[1]
	checkFaults(t, m, visit, map[string]string{
		"none":    "",
		"merges":  "", // nothing is merged
		"forgets": "when they came in several batches",
		"keeps":   `keep nothing between batches, and do not depend on the order of a map: row 0, column "views"`,
		"traps":   `sessions, row 2: got the row error "plugin_trap"`,
		"refuses": `sessions, row 2, column "bot_views": got the row error "bot": no bots; want none`,
	})
	checkFaults(t, m, late, map[string]string{"none": "", "merges": `row 0, column "views": got 2, want 3`, "forgets": `row 0, column "views": got 1, want 3`})
	left := withFault(visit, "refuses")
	third, rows := uint32(2), (*visit.Output)[:2]
	left.Errors, left.Output = append(left.Errors[:0:0], RowError{Session: &third, Code: "bot"}), &rows
	checkFaults(t, m, left, map[string]string{"refuses": ""})

	fuzzFaults(t, m, visit, map[string]string{"none": "", "forgets": "several batches", "keeps": "keep nothing between batches", "traps": "plugin_trap: "})
	measured, err := m.Measure(t.Context(), MeasureOptions{Cases: cases, Rows: 512, Batches: 20, Time: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	checkSteps(t, measured, "accumulate 512 events", "merge 384 pairs of sessions", "finish 384 sessions")
}

// checkSteps compares the steps that were measured.
func checkSteps(t *testing.T, m Measurement, want ...string) {
	t.Helper()
	if len(m.Steps) != len(want) || m.MemoryBytes == 0 || m.Grows {
		t.Fatalf("got %+v, want %d steps, and memory that does not grow", m, len(want))
	}
	for i, s := range m.Steps {
		if got := fmt.Sprintf("%s %d %s", s.Name, s.Rows, s.Of); got != want[i] {
			t.Errorf("got %s, want %s", got, want[i])
		}
		if s.RowsPerSecond <= 0 || s.WorkPerRow <= 0 || s.BudgetShare <= 0 || s.VsCopy <= 0 {
			t.Errorf("%s: got %+v, want what it costs", want[i], s)
		}
	}
}

func TestFaultsOfSCDPluginsAreFound(t *testing.T) {
	dir, built := goProject(t, "customers", abi.KindSCD, faulty(
		`		switch {`, "\t\tif fault == `\"keeps\"` {\n\t\t\tkept++\n\t\t}\n\t\tif fault == `\"traps\"` && op.At(i) == \"d\" {\n\t\t\tpanic(\"a deletion\")\n\t\t}\n\t\tswitch {\n\t\tcase kept > 5:\n\t\t\tout.Action(i, calve.Ignore)\n\t\tcase fault == `\"versions\"`:\n\t\t\tout.Action(i, calve.NewVersion)",
	))
	m := openModule(t, built.Module)
	cases := casesOf(t, dir)
	move, deleted := cases[0], cases[1]
	checkFaults(t, m, move, map[string]string{
		"none":     "",
		"versions": `decisions, row 1, column "_action": got "new_version", want "overwrite"`,
		"keeps":    `keep nothing between batches`,
	})
	checkFaults(t, m, deleted, map[string]string{
		"none":     "",
		"versions": `row 1, column "name": got no row error, want "no_name"`,
		"traps":    `row 2: got the row error "plugin_trap"`,
	})
	deleted.Errors = nil
	checkFaults(t, m, deleted, map[string]string{"versions": `versions, row 1`})

	fuzzFaults(t, m, move, map[string]string{"none": "", "keeps": "keep nothing between batches", "traps": "plugin_trap: "})
	measured, err := m.Measure(t.Context(), MeasureOptions{Cases: cases, Rows: 512, Batches: 20, Time: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	checkSteps(t, measured, "decide 512 changes")
}

// checkUpdate lets a case be written that lost what it wants.
func checkUpdate(t *testing.T, m *Module, dir string) {
	t.Helper()
	before := casesOf(t, dir)[0]
	c := before
	c.Output, c.Decisions, c.Versions = nil, nil, nil
	for _, updated := range []bool{true, false} {
		results, err := m.Update(t.Context(), []Case{c})
		if err != nil {
			t.Fatal(err)
		}
		if results[0].Updated != updated || len(results[0].Differences) > 0 {
			t.Errorf("got %+v, want updated %t", results[0], updated)
		}
		c = casesOf(t, dir)[0]
	}
	want, got := before.Output, c.Output
	if before.Decisions != nil {
		want, got = before.Decisions, c.Decisions
	}
	if got == nil || len(*got) != len(*want) {
		t.Errorf("got %+v, want %d rows", c, len(*want))
	}
}
