package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/calvelake/calve/plugins"
	"github.com/calvelake/calve/plugins/wasm/wasmtest"
	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/sdk/abi"
)

const customersPlugin = "../../plugins/wasm/testdata/guests/customers"

// decidedBy is a star whose customers have a name, and a plugin.
func decidedBy(plugin string) starSetup {
	return starSetup{more: map[string]string{
		"models/staging/stg_customers.yaml": "name: stg_customers\nkind: staging\nfrom: source.shop.customers\nmax_out_of_orderness: 0s\nevent_time: source_ts\n" +
			"columns:\n  - {name: customer_id, data_type: long}\n  - {name: name, data_type: string}\n  - {name: city, data_type: string}\n",
		"models/dim_customers.yaml": "name: dim_customers\nkind: dimension\nnamespace: marts\nfrom: ref.stg_customers\nnatural_key: [customer_id]\nsurrogate_key: customer_key\n" +
			"columns: [name, city]\nplugin: " + plugin + "\n",
	}}
}

func named(op string, sequence, at int, name, city string) string {
	return change(op, sequence, day(at), fmt.Sprintf(`{"customer_id":1,"name":%q,"city":%q}`, name, city))
}

// A plugin of kind scd decides what a change does: one of spelling overwrites, one
// of the city makes a version. It is asked again where a late change comes before
// others.
func TestPluginDecidesWhatChangesDo(t *testing.T) {
	dir := t.TempDir()
	install(t, customersPlugin, dir, "customers")
	p := decidedBy("{ref: customers}").load(t, dir)
	produce(t, p, "customers", named("c", 1, 1, "ann", "Austin"), named("u", 2, 20, "ann", "Denver"))
	produce(t, p, "orders", buys(1, 100, 1, day(12)), buys(2, 101, 1, day(25)), buys(3, 102, 7, day(25)))
	mustRun(t, p)
	wantOrders(t, p, "100 Austin", "101 Denver", "102 null")
	versions := func(want ...string) {
		t.Helper()
		got := strings.Split(strings.NewReplacer("T12:00:00Z", "", "T00:00:00Z", "", "2026-05-", "").Replace(rowsOf(t, p, "marts.dim_customers", "name", "city", "valid_from")), "\n")
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("got versions %q, want %q", got, want)
		}
	}
	versions("[<nil> <nil> 1900-01-01]", "[<nil> <nil> 1900-01-01]", "[ANN Austin 1900-01-01]", "[ANN Denver 20]")
	produce(t, p, "customers", named("u", 3, 22, "anne", "Denver"), named("u", 4, 10, "ann", "Boise"))
	mustRun(t, p)
	versions("[<nil> <nil> 1900-01-01]", "[<nil> <nil> 1900-01-01]", "[ANN Austin 1900-01-01]", "[ANN Boise 10]", "[ANNE Denver 20]")
	wantOrders(t, p, "100 Boise", "101 Denver", "102 null")

	// It is no record's fault alone that nothing can be decided.
	produce(t, p, "customers", named("u", 5, 23, "panic", "Denver"))
	if _, err := once(t.Context(), p); err == nil || !strings.Contains(err.Error(), "customer_id=1") || errors.Is(err, pipeline.ErrDefinition) {
		t.Errorf("a change that the plugin fails on: got error %v, want one that names the member", err)
	}
}

// What a channel names decides from the next change on. A module that fails in its
// first epoch is given up, with what facts inferred in it, and the former takes it.
func TestAPluginOfADimensionOnProbation(t *testing.T) {
	dir := t.TempDir()
	p := decidedBy("{ref: customers@stable, on_error: stop}").load(t, dir)
	registry, err := daemon.OpenPlugins(t.Context(), p, func(context.Context, []byte, plugins.Expect) (plugins.Verified, error) {
		return plugins.Verified{
			Describe: abi.Describe{ABI: 1, Name: "customers", Version: "0", Kind: "scd", Input: abi.Input{Any: true}, Outputs: []abi.Stream{{Derived: true}}},
			Report:   plugins.Report{Checks: []plugins.Check{{Name: plugins.CheckSize, Result: plugins.Passed}}},
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ship := func(version string, module []byte) string {
		t.Helper()
		if _, err := registry.Upload(t.Context(), plugins.Upload{Plugin: "customers", Version: version, Module: module, By: "ada"}); err != nil {
			t.Fatal(err)
		}
		if _, err := registry.Promote(t.Context(), plugins.Promote{Plugin: "customers", Channel: "stable", Version: version, By: "ada"}); err != nil {
			t.Fatal(err)
		}
		return plugins.Digest(module)
	}
	module, err := os.ReadFile(build(t, customersPlugin))
	if err != nil {
		t.Fatal(err)
	}
	want := func(digest string, orders ...string) {
		t.Helper()
		wantOrders(t, p, orders...)
		if got := lastEpoch(t, p).Plugins["customers@stable"]; got != digest {
			t.Errorf("the last epoch is of %s, want %s", got, digest)
		}
	}
	first := ship("1.0.0", module)
	produce(t, p, "customers", named("c", 1, 1, "ann", "Austin"))
	produce(t, p, "orders", buys(1, 100, 1, day(5)))
	mustRun(t, p)
	want(first, "100 Austin")

	ship("1.1.0", wasmtest.Plugin{Process: wasmtest.Trap, Describe: `{"abi":1,"name":"customers","version":"1.1.0","kind":"scd",
		"input":[{"name":"name","format":"u"},{"name":"city","format":"u"}],
		"outputs":[{"stream":0,"columns":[{"name":"name","format":"u"},{"name":"city","format":"u"}]}]}`}.Module())
	produce(t, p, "customers", named("u", 2, 10, "ann", "Denver"))
	produce(t, p, "orders", buys(2, 101, 1, day(15)), buys(3, 102, 7, day(15)))
	if s := mustRun(t, p).Swaps; len(s) != 1 || s[0].Outcome != pipeline.SwapRefused || s[0].From != first || !strings.Contains(s[0].Reason, "plugin trapped") {
		t.Errorf("the run tells of %+v, want that 1.1.0 is refused", s)
	}
	want(first, "100 Austin", "101 Denver", "102 null")

	second := ship("1.2.0", append(bytes.Clone(module), 0, 2, 1, 'x')) // with a section of its own
	produce(t, p, "customers", named("u", 3, 20, "ann", "Boise"))
	produce(t, p, "orders", buys(4, 103, 1, day(25)))
	if s := mustRun(t, p).Swaps; len(s) != 1 || s[0].Outcome != pipeline.SwapKept {
		t.Errorf("the run tells of %+v, want that 1.2.0 is kept", s)
	}
	want(second, "100 Austin", "101 Denver", "102 null", "103 Boise")
}
