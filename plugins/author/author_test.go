package author

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/calvelake/calve/plugins/trial"
	"github.com/calvelake/calve/sdk/abi"
)

// committed opens a module that the SDKs' sources gave.
func committed(t *testing.T, kind, language string) *Module {
	t.Helper()
	return openModule(t, filepath.Join("..", "wasm", "testdata", kind, language+".wasm"))
}

func openModule(t *testing.T, file string) *Module {
	t.Helper()
	m, err := Open(t.Context(), file, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return m
}

func parsed(t *testing.T, text string) Case {
	t.Helper()
	c, err := trial.ParseCase([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func texts(all []trial.Difference) []string {
	var lines []string
	for _, d := range all {
		lines = append(lines, d.String())
	}
	return lines
}

// goProject makes a Go plugin, changes its source and builds it.
func goProject(t *testing.T, name, kind string, change func(source string) string) (dir string, built Built) {
	t.Helper()
	dir, err := New(Options{Name: name, Language: Go, Kind: kind, Parent: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "main.go")
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := change(string(source))
	if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOPROXY", "off")
	t.Setenv("GOFLAGS", "-mod=mod")
	if built, err = Build(t.Context(), dir, ""); err != nil {
		t.Fatal(err)
	}
	return dir, built
}

func TestANewGoPluginBuildsAndPassesItsTestsWithoutANetwork(t *testing.T) {
	for _, kind := range Kinds() {
		t.Run(kind, func(t *testing.T) {
			dir, built := goProject(t, "mine", kind, func(source string) string { return source })
			if want := filepath.Join(dir, "mine.wasm"); built.Module != want || built.Language != Go || built.Bytes == 0 {
				t.Errorf("got %+v, want the module %s", built, want)
			}
			for _, args := range [][]string{{"vet", "./..."}, {"test", "./..."}} {
				cmd := exec.CommandContext(t.Context(), "go", args...)
				cmd.Dir = dir
				if printed, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("go %v: %v\n%s", args, err, printed)
				}
			}
			m := openModule(t, built.Module)
			if d := m.Describe(); d.Name != "mine" || d.Kind != kind || m.Digest() != built.Digest {
				t.Errorf("got the plugin %q of kind %s and digest %s, want mine of %s and %s", d.Name, d.Kind, m.Digest(), kind, built.Digest)
			}
			checkProject(t, m, dir)
			if kind != abi.KindTransform {
				checkUpdate(t, m, dir)
			}
		})
	}
}

// checkProject runs a new plugin's cases, and random rows.
func checkProject(t *testing.T, m *Module, dir string) {
	t.Helper()
	cases := casesOf(t, dir)
	results, err := m.Check(t.Context(), cases)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 2 {
		t.Errorf("got %d cases, want 2", len(results))
	}
	for _, r := range results {
		if len(r.Differences) > 0 {
			t.Errorf("%s: %v", r.Name, texts(r.Differences))
		}
	}
	fuzzed, err := m.Fuzz(t.Context(), FuzzOptions{Batches: 60, Seed: 1, Cases: cases})
	if err != nil {
		t.Fatal(err)
	}
	if len(fuzzed.Failures) > 0 || fuzzed.Batches != 60 || fuzzed.RowErrors == 0 {
		t.Errorf("got %+v, want 60 batches, row errors and no failure", fuzzed)
	}
}

func casesOf(t *testing.T, dir string) []Case {
	t.Helper()
	cases, err := ReadCases(filepath.Join(dir, "cases"))
	if err != nil {
		t.Fatal(err)
	}
	return cases
}

func TestEveryLanguageHasAProjectOfEachKind(t *testing.T) {
	wanted := map[Language][]string{
		Go:             {"main.go", "go.mod", "sdk/go.mod", "sdk/plugin.go"},
		Rust:           {"Cargo.toml", "src/lib.rs", "sdk/Cargo.toml", "sdk/src/lib.rs"},
		AssemblyScript: {"assembly/index.ts", "asconfig.json", "package.json", "sdk/assembly/index.ts"},
		C:              {"orders.c", "sdk/calve.c", "sdk/calve.h"},
	}
	for _, l := range Languages() {
		for _, kind := range Kinds() {
			dir, err := New(Options{Name: "orders", Language: l, Kind: kind, Parent: filepath.Join(t.TempDir(), "plugin")})
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range append(wanted[l], "README.md", ".gitignore") {
				text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
				if err != nil {
					t.Errorf("%s: %v", l, err)
				}
				for _, place := range []string{"NAME", "INTRO", "PART", "CASES", "USE"} {
					if !strings.HasPrefix(name, "sdk/") && strings.Contains(string(text), place) {
						t.Errorf("%s: %s still has the place %s:\n%s", l, name, place, text)
					}
				}
			}
			if cases := casesOf(t, dir); len(cases) != 2 {
				t.Errorf("%s, %s: got %d cases, want 2", l, kind, len(cases))
			}
			if got, err := Detect(dir); err != nil || got != l {
				t.Errorf("detect %s: got %q, %v", l, got, err)
			}
		}
	}
}

func TestNewRefuses(t *testing.T) {
	parent := t.TempDir()
	if err := os.Mkdir(filepath.Join(parent, "there"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		options Options
		want    string
	}{
		{Options{Name: "Orders", Language: Go, Parent: parent}, "lower-case"},
		{Options{Name: "../orders", Language: Go, Parent: parent}, "lower-case"},
		{Options{Name: "orders", Language: Go, Kind: "sink", Parent: parent}, `kind "sink"`},
		{Options{Name: "there", Language: Go, Parent: parent}, "exists"},
	} {
		if _, err := New(c.options); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.options, err, c.want)
		}
	}
}

func TestBuildSaysWhatToInstall(t *testing.T) {
	for _, l := range Languages() {
		dir, err := New(Options{Name: "orders", Language: l, Parent: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", t.TempDir())
		_, err = Build(t.Context(), dir, "")
		var missing *MissingToolError
		if !errors.As(err, &missing) || !strings.Contains(err.Error(), "install") {
			t.Errorf("%s: got %v, want what to install", l, err)
		}
	}
	if _, err := Build(t.Context(), t.TempDir(), ""); err == nil || !strings.Contains(err.Error(), "calve plugin new") {
		t.Errorf("an empty folder: got %v, want a hint at calve plugin new", err)
	}
}

func TestCasesNameRowAndColumn(t *testing.T) {
	const rows = `"columns": [{"name": "id", "data_type": "long", "nullable": false}, {"name": "text", "data_type": "string"}],
		"input": [{"id": 2, "text": "a"}, {"id": 3}, {"id": 9223372036854775804, "text": "z"}]`
	m := committed(t, "conformance", "c")
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"as wanted", `{"config": {"mode": "even"}, ` + rows + `, "output": [{"id": 2, "text": "a"}, {"id": 9223372036854775804, "text": "z"}]}`, nil},
		{"another value", `{"config": {"mode": "even"}, ` + rows + `, "output": [{"id": 2, "text": "b"}, {"id": 9223372036854775805, "text": "z"}]}`,
			[]string{`row 0, column "text": got "a", want "b"`, `row 1, column "id": got 9223372036854775804, want 9223372036854775805`}},
		{"too many rows", `{"config": {"mode": "even"}, ` + rows + `, "output": [{"id": 2, "text": "a"}]}`,
			[]string{`row 1: got {"id": 9223372036854775804, "text": "z"}, want no more rows`}},
		{"too few rows", `{"config": {"mode": "even"}, ` + rows + `, "output": [{"id": 2, "text": "a"}, {"id": 9223372036854775804, "text": "z"}, {"id": 4}]}`,
			[]string{`row 2: got no more rows, want {"id": 4, "text": null}`}},
		{"row errors", `{"config": {"mode": "errors"}, ` + rows + `, "output": [{"id": 2, "text": "a"}, {"id": 9223372036854775804, "text": "z"}],
			"errors": [{"row": 0, "code": "mine"}, {"row": 1, "code": "by_three", "column": "text"}]}`,
			[]string{`row 1, column "id": got the row error "by_three" of column "id", want it of column "text"`, `row 0: got no row error, want "mine"`}},
		{"a trap is a row error", `{"config": {"mode": "fail"}, "columns": [{"name": "text", "format": "u"}], "input": [{"text": "x"}, {"text": "fail"}], "output": [{"text": "x"}],
			"errors": [{"row": 1, "code": "plugin_trap"}]}`, nil},
		{"another stream", `{"config": {"mode": "route"}, "columns": [{"name": "id", "data_type": "long"}], "input": [{"id": -1}, {"id": 1}], "output": [{"id": 1}],
			"streams": {"1": [{"id": -1, "why": "small"}]}}`, []string{`stream 1, row 0, column "why": got "negative", want "small"`}},
		{"a refused config", `{"config": {"mode": "x"}, ` + rows + `, "refused": "mode \"x\" is unknown"}`, nil},
		{"a config that is taken", `{"config": {"mode": "even"}, ` + rows + `, "refused": "mode"}`, []string{`the config is taken, want it refused with "mode"`}},
		{"a value of another type", `{"config": {"mode": "pass"}, ` + strings.Replace(rows, `"id": 3`, `"id": "three"`, 1) + `, "output": []}`,
			[]string{`input: row 1, column "id": "three" is not a value of type int64`}},
		{"a null that may not be", `{"config": {"mode": "pass"}, ` + strings.Replace(rows, `"id": 3`, `"text": ""`, 1) + `, "output": []}`,
			[]string{`input: row 1, column "id": it is null, and the column never may be`}},
		{"an unknown column", `{"config": {"mode": "pass"}, ` + rows + `, "output": [{"no": 1}]}`,
			[]string{`in the case: output: row 0: there is no column "no", there is id, text`}},
		{"wants nothing", `{"config": {"mode": "pass"}, ` + rows + `}`,
			[]string{"the case wants nothing: say what should come of its rows, or let --update write what the plugin answers"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			results, err := m.Check(t.Context(), []Case{parsed(t, c.text)})
			if err != nil {
				t.Fatal(err)
			}
			if got := texts(results[0].Differences); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestACaseIsReadStrictly(t *testing.T) {
	for text, want := range map[string]string{
		`{"inptu": []}`:                               "unknown field",
		`{"input": []} {}`:                            "text after the JSON value",
		`{"output": [], "streams": {"0": []}}`:        "give one",
		`{"input": [{"a": 1}], "errors": [{"r": 1}]}`: "unknown field",
	} {
		if _, err := trial.ParseCase([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

func TestUpdateWritesWhatThePluginAnswers(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "route.json")
	text := `{"config": {"mode": "route"}, "columns": [{"name": "id", "data_type": "long"}, {"name": "at", "data_type": "timestamptz"}, {"name": "price", "data_type": "decimal(20,2)"}],
		"input": [{"id": -1}, {"id": 9007199254740993, "at": "2026-01-02T03:04:05.000006Z", "price": "12.30"}], "output": [{"id": 5}]}`
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	m := committed(t, "conformance", "c")
	for _, wantUpdated := range []bool{true, false} {
		cases, err := ReadCases(dir)
		if err != nil {
			t.Fatal(err)
		}
		updated, err := m.Update(t.Context(), cases)
		if err != nil {
			t.Fatal(err)
		}
		if len(updated) != 1 || updated[0].Updated != wantUpdated || len(updated[0].Differences) > 0 {
			t.Errorf("got %+v, want updated %t", updated, wantUpdated)
		}
	}
	cases, err := ReadCases(dir)
	if err != nil {
		t.Fatal(err)
	}
	checked, err := m.Check(t.Context(), cases)
	if err != nil {
		t.Fatal(err)
	}
	if len(checked[0].Differences) > 0 {
		t.Errorf("got %v, want none after the update", texts(checked[0].Differences))
	}
	if c := cases[0]; len(*c.Output) != 1 || len(c.Streams[1]) != 1 || !strings.Contains(string((*c.Output)[0]), "9007199254740993") || string(c.Input.Rows[0]) != `{"id": -1}` {
		t.Errorf("got %+v, want one row in each stream, and the input as it was", c)
	}
}

const everyType = `"columns": [
	{"name": "a", "data_type": "boolean"}, {"name": "b", "data_type": "int"}, {"name": "c", "data_type": "long", "nullable": false},
	{"name": "d", "data_type": "float"}, {"name": "e", "data_type": "double"}, {"name": "f", "data_type": "decimal(38,9)"},
	{"name": "g", "data_type": "string"}, {"name": "h", "data_type": "binary"}, {"name": "i", "data_type": "date"},
	{"name": "j", "data_type": "timestamp"}, {"name": "k", "data_type": "timestamptz"},
	{"name": "l", "format": "+l", "children": [{"name": "element", "format": "u"}]},
	{"name": "m", "format": "+s", "children": [{"name": "x", "format": "l"}, {"name": "y", "format": "+l", "children": [{"name": "element", "format": "g"}]}]},
	{"name": "n", "format": "+m", "children": [{"name": "entries", "format": "+s", "nullable": false, "children": [{"name": "key", "format": "u", "nullable": false}, {"name": "value", "format": "d:9,2"}]}]}]`

func TestFuzzFindsNothingInPluginsThatHold(t *testing.T) {
	for _, l := range []string{"c", "rust"} {
		for _, mode := range []string{"pass", "copy"} {
			o := FuzzOptions{Batches: 80, Seed: 7, Cases: []Case{parsed(t, `{"name": "x", "config": {"mode": "`+mode+`"}, `+everyType+`, "input": []}`)}}
			got, err := committed(t, "conformance", l).Fuzz(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Failures) > 0 || got.Batches != 80 || got.Rows < 1000 {
				t.Errorf("%s, %s: got %+v, want 80 batches without a failure", l, mode, got)
			}
		}
	}
}

func TestFuzzFindsTraps(t *testing.T) {
	c := parsed(t, `{"name": "x", "config": {"mode": "trap"}, "columns": [{"name": "text", "data_type": "string"}], "input": [{"text": "trap"}]}`)
	o := FuzzOptions{Batches: 50, Seed: 3, Cases: []Case{c}}
	m := committed(t, "conformance", "rust")
	got, err := m.Fuzz(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Failures) == 0 || string(got.Failures[0].Input[0]) != `{"text": "trap"}` || !strings.HasPrefix(got.Failures[0].Message, "plugin_trap: ") {
		t.Fatalf("got %+v, want the row that traps", got)
	}
	again, err := m.Fuzz(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	one, two := mustJSON(t, got), mustJSON(t, again)
	if one != two {
		t.Errorf("the same seed gives %s, and then %s", one, two)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A plugin that counts its batches answers otherwise each time, and one that
// keeps rows grows.
func TestAPluginThatKeepsSomethingIsFound(t *testing.T) {
	dir, built := goProject(t, "forgetful", abi.KindTransform, func(s string) string {
		return strings.NewReplacer(
			"func worth", "var batches float64\nvar kept [][]byte\n\nfunc worth",
			"	amount := out.Double(\"amount\")\n", "	amount := out.Double(\"amount\")\n	batches++\n	kept = append(kept, make([]byte, 1<<20))\n",
			"return price * float64(qty)", "return batches",
		).Replace(s)
	})
	m := openModule(t, built.Module)
	cases := casesOf(t, dir)
	results, err := m.Check(t.Context(), cases)
	if err != nil {
		t.Fatal(err)
	}
	if got := texts(results[1].Differences); len(got) == 0 || !strings.Contains(got[0], "keep nothing between batches") || !strings.Contains(got[0], `column "amount"`) {
		t.Errorf("got %q, want that it keeps something, and the column", got)
	}
	fuzzed, err := m.Fuzz(t.Context(), FuzzOptions{Batches: 40, Seed: 1, Cases: cases})
	if err != nil {
		t.Fatal(err)
	}
	if len(fuzzed.Failures) == 0 || !strings.Contains(fuzzed.Failures[0].Message, "keep nothing between batches") {
		t.Errorf("got %+v, want that it keeps something", fuzzed)
	}
	got, err := m.Measure(t.Context(), MeasureOptions{Cases: cases, Rows: 16, Batches: 300})
	if err != nil {
		t.Fatal(err)
	}
	if !got.Grows {
		t.Errorf("got %+v, want that it grows", got)
	}
}

func TestMeasureTellsWhatAPluginCosts(t *testing.T) {
	c := parsed(t, `{"name": "x", "input": [{"id": 1, "qty": 2, "price": 3, "status": "paid", "email": "a@example.org", "event_time": "2026-01-02T03:04:05Z"}]}`)
	m := committed(t, "staging", "c")
	got, err := m.Measure(t.Context(), MeasureOptions{Cases: []Case{c}, Rows: 8192, Batches: 50, Time: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if got.Case != "x" || len(got.Steps) != 1 || got.Steps[0].Name != "process" || got.Steps[0].Rows != 8192 || got.Steps[0].RowsPerSecond <= 0 || got.Steps[0].VsCopy <= 0 {
		t.Errorf("got %+v, want the speed of 8192 rows of the case", got)
	}
	if work := got.Steps[0].WorkPerRow; work < 2 || work > 200 {
		t.Errorf("got %+v, want some work a row", got)
	}
	if got.Grows || got.MemoryBytes < 8192*40 || got.MemoryAfter != got.MemoryBytes {
		t.Errorf("got %+v, want memory that holds the input, and does not grow", got)
	}
	random, err := m.Measure(t.Context(), MeasureOptions{Rows: 64, Batches: 1, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if random.Case != "" || random.Steps[0].Rows != 64 {
		t.Errorf("got %+v, want 64 random rows", random)
	}
}
