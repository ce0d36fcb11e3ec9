package plugins

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/plugins/wasm/wasmtest"
	"github.com/calvelake/calve/sdk/abi"
)

// conformance is the conformance plugin of an SDK of a kind.
func conformance(t *testing.T, kind, language string) []byte {
	t.Helper()
	module, err := os.ReadFile(filepath.Join("wasm", "testdata", "conformance", kind, language+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return module
}

func TestPluginsOfOtherKindsPass(t *testing.T) {
	for kind, languages := range map[string][]string{abi.KindSession: {"c", "rust", "assemblyscript"}, abi.KindSCD: {"c", "go"}} {
		for _, language := range languages {
			got := verify(t, conformance(t, kind, language), Expect{Kind: kind})
			if !got.Report.OK() || got.Describe.Kind != kind {
				t.Errorf("%s in %s: got %+v", kind, language, got.Report)
			}
			for _, name := range []CheckID{CheckInstances, CheckEngines} {
				if c := check(t, got.Report, name); c.Result != Passed {
					t.Errorf("%s in %s: without fixtures, check %s: %s: %s; want generated rows to be run", kind, language, name, c.Result, c.Detail)
				}
			}
		}
	}
}

const sessionFixture = `[{"name": "two visits", "gap": "10m", "input": [
	{"_key": "a", "_event_time": "2026-01-01T00:00:00Z", "text": "x"}, {"_key": "a", "_event_time": "2026-01-01T00:09:00Z", "text": "y"},
	{"_key": "b", "_event_time": "2026-01-01T00:00:00Z", "text": "drop"}, {"_key": "a", "_event_time": "2026-01-01T00:01:00Z", "text": "refuse"}],
	"output": [{"rows": 2, "flag": false, "small": -1, "single": 0.5, "amount": "1.50", "at_utc": "2026-01-01T00:00:00Z", "texts": "xy", "kept": "as \"it\" was", "list": ["a"],
		"key": "a", "began": "2026-01-01T00:00:00Z", "ended": "2026-01-01T00:09:00Z", "events": 2, "closed": true}],
	"errors": [{"row": 3, "code": "refused", "column": "text"}]}]`

const scdFixture = `[{"name": "a move", "input": [
	{"_key": "1", "_op": "c", "_effective_at": "2026-01-01T00:00:00Z", "name": "ann", "city": "Oslo", "points": 1},
	{"_key": "1", "_effective_at": "2026-01-02T00:00:00Z", "name": "ann", "city": "Rome", "points": 2}],
	"versions": [
		{"_key": "1", "_valid_from": "2026-01-01T00:00:00Z", "_valid_to": "2026-01-02T00:00:00Z", "name": "ann", "city": "Oslo", "points": 1, "since": "2026-01-01T00:00:00Z"},
		{"_key": "1", "_valid_from": "2026-01-02T00:00:00Z", "name": "ann", "city": "Rome", "points": 3, "before": "ann", "since": "2026-01-02T00:00:00Z"}]}]`

func TestFixturesOfOtherKindsAreJudged(t *testing.T) {
	for _, c := range []struct {
		kind, fixture string
		change        [2]string
		fails         CheckID
		says          string
	}{
		{abi.KindSession, sessionFixture, [2]string{}, "", ""},
		{abi.KindSession, sessionFixture, [2]string{`"rows": 2`, `"rows": 3`}, CheckFixtures, `fixture "two visits": row 0, column "rows": got 2, want 3`},
		{abi.KindSession, sessionFixture, [2]string{`"gap": "10m", `, ``}, CheckFixtures, `"gap": "30m"`},
		{abi.KindSession, sessionFixture, [2]string{`"text": "y"`, `"text": "trap"`}, CheckFixtures, `accumulate`},
		{abi.KindSession, sessionFixture, [2]string{`"errors": [{"row": 3, "code": "refused", "column": "text"}]`, `"errors": []`}, CheckFixtures, `row 3, column "text": got the row error "refused"`},
		{abi.KindSCD, scdFixture, [2]string{}, "", ""},
		{abi.KindSCD, scdFixture, [2]string{`"points": 3`, `"points": 2`}, CheckFixtures, `versions, row 1, column "points": got 3, want 2`},
		{abi.KindSCD, scdFixture, [2]string{`"2026-01-02T00:00:00Z", "name": "ann", "city": "Rome", "points": 2`, `"2025-01-02T00:00:00Z", "name": "ann", "city": "Rome", "points": 2`}, CheckFixtures, `row 1, column "_effective_at"`},
	} {
		text := c.fixture
		if c.change[0] != "" {
			text = strings.Replace(text, c.change[0], c.change[1], 1)
		}
		r := verify(t, conformance(t, c.kind, "c"), Expect{Fixtures: fixtures(text)}).Report
		switch {
		case c.fails == "" && (!r.OK() || check(t, r, CheckFixtures).Result != Passed):
			t.Errorf("%s: got %+v", c.kind, r)
		case c.fails != "":
			if got := check(t, r, c.fails); got.Result != Failed || !strings.Contains(got.Detail, c.says) {
				t.Errorf("%s, %v: got %+v, want %q", c.kind, c.change, got, c.says)
			}
		}
	}
}

func TestTheKindIsThatOfTheModel(t *testing.T) {
	customer := func(names ...string) *arrow.Schema {
		var fields []arrow.Field
		for _, name := range names {
			fields = append(fields, arrow.Field{Name: name, Type: arrow.BinaryTypes.String, Nullable: true})
		}
		return arrow.NewSchema(fields, nil)
	}
	verified := verify(t, conformance(t, abi.KindSCD, "c"), Expect{})
	schema := func(columns []abi.Column) *arrow.Schema {
		s, err := wasm.Schema(columns)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	in, stored := schema(verified.Describe.Input.Columns), schema(verified.Describe.Outputs[0].Columns)
	for _, c := range []struct {
		name   string
		expect Expect
		fails  CheckID
		says   string
	}{
		{"fits", Expect{Kind: abi.KindSCD, Input: in, Output: stored, InForce: stored}, "", ""},
		{"another kind", Expect{Kind: abi.KindSession}, CheckKind, `of kind "scd", "session" is expected`},
		{"a staging model", Expect{Input: in}, CheckKind, `"transform" is expected`},
		{"other attributes", Expect{Kind: abi.KindSCD, Input: customer("name"), InForce: stored}, CheckContract, `needs column "city"`},
		{"other columns", Expect{Kind: abi.KindSCD, Input: in, Output: customer("name"), InForce: stored}, CheckContract, "which the model does not declare"},
	} {
		r := verify(t, conformance(t, abi.KindSCD, "c"), c.expect).Report
		if c.fails == "" && !r.OK() {
			t.Errorf("%s: got %+v", c.name, r)
		}
		if c.fails == "" {
			continue
		}
		if got := check(t, r, c.fails); got.Result != Failed || !strings.Contains(got.Detail, c.says) {
			t.Errorf("%s: got %+v, want %q", c.name, got, c.says)
		}
	}
}

func TestDescriptionsOfOtherKindsAreChecked(t *testing.T) {
	session := func(state string) []byte {
		return wasmtest.Plugin{Describe: described(`"kind":"transform"`, `"kind":"session","state":`+state)}.Module()
	}
	two := strings.Replace(described(`"kind":"transform"`, `"kind":"scd"`), `"outputs":[`, `"outputs":[{"stream":1,"columns":[{"name":"x","format":"l"}]},`, 1)
	for name, c := range map[string]struct {
		module []byte
		fails  CheckID
		says   string
	}{
		"an initial value of another type": {session(`[{"name":"n","format":"l","initial":"many"}]`), CheckDescribe, `"many" is not a value`},
		"no initial value":                 {session(`[{"name":"n","format":"l","nullable":false}]`), CheckDescribe, "it is null"},
		"two streams":                      {wasmtest.Plugin{Describe: two}.Module(), CheckDescribe, "has no other"},
		"without accumulate":               {wasmtest.Plugin{Leave: abi.ExportAccumulate, Describe: described(`"kind":"transform"`, `"kind":"session","state":[{"name":"n","format":"l"}]`)}.Module(), CheckExports, abi.ExportAccumulate},
	} {
		r := verify(t, c.module, Expect{}).Report
		if got := check(t, r, c.fails); got.Result != Failed || !strings.Contains(got.Detail, c.says) {
			t.Errorf("%s: got %+v, want %s to fail with %q", name, r, c.fails, c.says)
		}
	}
}
