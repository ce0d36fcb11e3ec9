package plugins

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/plugins/wasm/wasmtest"
)

// shared is the verifier of all tests, as a process has one.
var shared = sync.OnceValues(func() (*Verifier, error) { return NewVerifier(context.Background()) })

func verify(t *testing.T, module []byte, e Expect) Verified {
	t.Helper()
	v, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	verified, err := v.Verify(t.Context(), module, e)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(verified.Report.Checks), len(checkNames); got != want {
		t.Fatalf("the report has %d checks, want %d", got, want)
	}
	return verified
}

func check(t *testing.T, r Report, name CheckID) Check {
	t.Helper()
	for _, c := range r.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("the report has no check %s", name)
	return Check{}
}

// described is Identity with another text after a part of it.
func described(old, new string) string { return strings.Replace(wasmtest.Identity, old, new, 1) }

func fixtures(text string) []Fixture {
	all, err := ParseFixtures([]byte(text))
	if err != nil {
		panic(err)
	}
	return all
}

func withFixtures(text string) string {
	return described(`"kind":"transform",`, `"kind":"transform","fixtures":`+text+`,`)
}

var idSchema = arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}}, nil)

func TestAGoodPluginPassesEveryCheck(t *testing.T) {
	module := wasmtest.Plugin{Describe: withFixtures(`[{"name":"two","input":[{"id":1},{"id":2}],"output":[{"id":1},{"id":2}]}]`)}.Module()
	got := verify(t, module, Expect{Kind: "transform", Input: idSchema, Output: idSchema})
	for _, c := range got.Report.Checks {
		if c.Result != Passed {
			t.Errorf("check %s: %s: %s", c.Name, c.Result, c.Detail)
		}
	}
	if !got.Report.OK() || got.Describe.Name != "identity" {
		t.Errorf("got %+v", got)
	}
}

func TestPluginsOfTheSDKsPass(t *testing.T) {
	for _, language := range []string{"c", "rust", "go"} {
		t.Run(language, func(t *testing.T) {
			module, err := os.ReadFile(filepath.Join("wasm", "testdata", "staging", language+".wasm"))
			if err != nil {
				t.Fatal(err)
			}
			got := verify(t, module, Expect{})
			if !got.Report.OK() {
				t.Errorf("got %+v", got.Report)
			}
			for _, name := range []CheckID{CheckInstances, CheckEngines} {
				if c := check(t, got.Report, name); c.Result != Passed {
					t.Errorf("without fixtures, check %s: %s: %s; want generated rows to be run", name, c.Result, c.Detail)
				}
			}
		})
	}
}

func TestEachFaultFailsItsCheck(t *testing.T) {
	text := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String}}, nil)
	for name, c := range map[string]struct {
		module []byte
		expect Expect
		fails  CheckID
		says   string
		passed []CheckID
	}{
		"nothing":         {nil, Expect{}, CheckStructure, "not a WebAssembly module", []CheckID{CheckSize}},
		"noise":           {[]byte("\x00asm\x01\x00\x00\x00\x01\xff"), Expect{}, CheckStructure, "", nil},
		"too large":       {make([]byte, MaxModuleBytes+1), Expect{}, CheckSize, "at most", nil},
		"an import":       {wasmtest.Plugin{Imports: [][2]string{{"env", "system"}}}.Module(), Expect{}, CheckImports, `"system" of module "env" is not offered`, nil},
		"several imports": {wasmtest.Plugin{Imports: [][2]string{{"env", "system"}, {"host", "open"}}}.Module(), Expect{}, CheckImports, `function "system" of module "env", function "open" of module "host" are not offered`, nil},
		"no export":       {wasmtest.Plugin{Leave: "calve_alloc"}.Module(), Expect{}, CheckExports, `"calve_alloc"`, []CheckID{CheckStructure, CheckImports}},
		"no process":      {wasmtest.Plugin{Leave: "calve_process"}.Module(), Expect{}, CheckExports, `"calve_process"`, nil},
		"description":     {wasmtest.Plugin{Describe: "{}"}.Module(), Expect{}, CheckDescribe, "abi", []CheckID{CheckExports}},
		"unknown kind":    {wasmtest.Plugin{Describe: described(`"transform"`, `"oracle"`)}.Module(), Expect{}, CheckKind, `"oracle"`, []CheckID{CheckDescribe}},
		"another kind":    {wasmtest.Plugin{}.Module(), Expect{Kind: "session"}, CheckKind, `"session" is expected`, nil},
		"input":           {wasmtest.Plugin{}.Module(), Expect{Input: text, Output: idSchema}, CheckContract, `needs column "id" of type long`, []CheckID{CheckKind}},
		"output":          {wasmtest.Plugin{}.Module(), Expect{Input: idSchema, Output: text}, CheckContract, `declares column "id" as string`, nil},
		"fixture's text":  {wasmtest.Plugin{Describe: withFixtures(`[{"name":"a","input":[],"wanted":1}]`)}.Module(), Expect{}, CheckFixtures, "wanted", nil},
		"fixture's row":   {wasmtest.Plugin{Describe: withFixtures(`[{"name":"a","input":[{"nr":1}]}]`)}.Module(), Expect{}, CheckFixtures, `no column "nr"`, nil},
		"fixture's null":  {wasmtest.Plugin{Describe: withFixtures(`[{"name":"a","input":[{}]}]`)}.Module(), Expect{}, CheckFixtures, `column "id": it is null`, nil},
		"other rows":      {wasmtest.Plugin{Describe: withFixtures(`[{"name":"a","input":[{"id":1},{"id":2}],"output":[{"id":1},{"id":3}]}]`)}.Module(), Expect{}, CheckFixtures, `row 1, column "id": got 2, want 3`, []CheckID{CheckDescribe}},
		"fewer rows":      {wasmtest.Plugin{Describe: withFixtures(`[{"name":"a","input":[{"id":1}],"output":[]}]`)}.Module(), Expect{}, CheckFixtures, "want no more rows", nil},
		"no error":        {wasmtest.Plugin{Describe: withFixtures(`[{"name":"a","input":[{"id":1}],"errors":[{"row":0,"code":"bad"}]}]`)}.Module(), Expect{}, CheckFixtures, "got no row error", nil},
		"a trap":          {wasmtest.Plugin{Describe: withFixtures(`[{"name":"a","input":[{"id":1}]}]`), Process: wasmtest.Trap}.Module(), Expect{}, CheckFixtures, "unreachable", nil},
		"given fixtures":  {wasmtest.Plugin{}.Module(), Expect{Fixtures: fixtures(`[{"name":"mine","input":[{"id":1}],"output":[]}]`)}, CheckFixtures, `"mine"`, nil},
		"memory":          {wasmtest.Plugin{Process: wasmtest.DropWhenUsed}.Module(), Expect{}, CheckInstances, "used before", []CheckID{CheckDescribe}},
	} {
		t.Run(name, func(t *testing.T) {
			r := verify(t, c.module, c.expect).Report
			if got := check(t, r, c.fails); r.OK() || got.Result != Failed || !strings.Contains(got.Detail, c.says) {
				t.Errorf("got %+v, want %s to fail with %q", r, c.fails, c.says)
			}
			for _, name := range c.passed {
				if got := check(t, r, name); got.Result != Passed {
					t.Errorf("check %s before it: %s: %s", name, got.Result, got.Detail)
				}
			}
		})
	}
}

func TestAPluginThatSpinsComesToAnEnd(t *testing.T) {
	module := wasmtest.Plugin{Describe: withFixtures(`[{"name":"a","input":[{"id":1}]}]`), Process: wasmtest.Spin}.Module()
	r := verify(t, module, Expect{}).Report
	if got := check(t, r, CheckFixtures); got.Result != Failed || !strings.Contains(got.Detail, "used up its budget") {
		t.Errorf("got %+v, want the limit of work", r)
	}
}

func TestVerificationEndsWithItsTime(t *testing.T) {
	v, err := NewVerifier(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close(t.Context())
	v.timeout = time.Nanosecond
	got, err := v.Verify(t.Context(), wasmtest.Plugin{}.Module(), Expect{})
	if err != nil {
		t.Fatal(err)
	}
	if c := check(t, got.Report, CheckLimits); c.Result != Failed || got.Report.OK() {
		t.Errorf("got %+v, want the limit of time", got.Report)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Verify(ctx, wasmtest.Plugin{}.Module(), Expect{}); err == nil {
		t.Error("a verification whose caller has gone must not give a report")
	}
}

func TestAPanicOfACheckIsAFailure(t *testing.T) {
	j := &judgement{verifier: nil, module: wasmtest.Plugin{}.Module()}
	j.run(t.Context()) // there is no host to compile on
	if c := check(t, j.report(), CheckStructure); c.Result != Failed || !strings.Contains(c.Detail, "panicked") {
		t.Errorf("got %+v", c)
	}
}

func TestGeneratedRowsCoverEveryType(t *testing.T) {
	const columns = `[{"name":"b","format":"b"},{"name":"i","format":"i"},{"name":"f","format":"f"},{"name":"z","format":"z"},
		{"name":"u","format":"u"},{"name":"d","format":"tdD"},{"name":"t","format":"tsu:"},{"name":"tz","format":"tsu:UTC"},{"name":"dec","format":"d:10,2"},
		{"name":"l","format":"+l","children":[{"name":"element","format":"l"}]},
		{"name":"s","format":"+s","children":[{"name":"x","format":"u"},{"name":"y","format":"g"}]},
		{"name":"id","format":"l","nullable":false}]`
	module := wasmtest.Plugin{Describe: strings.Replace(wasmtest.Identity, `[{"name":"id","format":"l","nullable":false}]`, columns, 1)}.Module()
	v := verify(t, module, Expect{})
	all, err := (&judgement{describe: v.Describe}).attempts(nil)
	if err != nil {
		t.Fatal(err)
	}
	nulls, rows := make([]int, 12), 0
	for _, a := range all {
		defer a.rows.Release()
		rows += a.rows.Len()
		for i, c := range a.rows.Batch.Columns() {
			nulls[i] += c.NullN()
		}
	}
	for i, n := range nulls {
		if (n == 0) != (i == 11) || n == rows || rows != generatedBatches*generatedRows {
			t.Errorf("column %d: %d rows, %d nulls", i, rows, n)
		}
	}
	if c := check(t, v.Report, CheckInstances); c.Result == Skipped {
		t.Errorf("the rows were not run: %s", c.Detail)
	}
}
