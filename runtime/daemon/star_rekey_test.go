package daemon_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/daemon"
)

const keysOfCustomers = "foreign_keys:\n  - {name: customer_key, to: ref.dim_customers, on: [customer_id], copy: {customer_city: city}}\n"

// TestKeysFollowTheirDimensionAsLongAsItsChangesMayBeLate moves the start of a
// version that an order of two weeks ago refers to.
func TestKeysFollowTheirDimensionAsLongAsItsChangesMayBeLate(t *testing.T) {
	p := starSetup{fact: keysOfCustomers}.load(t, t.TempDir())
	produce(t, p, "customers", moves("c", 1, 1, day(1), "Austin"), moves("u", 2, 1, day(10), "Denver"), moves("c", 3, 2, day(28), "Oslo"))
	produce(t, p, "orders", buys(1, 100, 1, day(12)), buys(2, 101, 2, day(29)))
	mustRun(t, p)
	mustRun(t, p)
	wantOrders(t, p, "100 Denver", "101 Oslo")
	produce(t, p, "customers", moves("u", 4, 1, day(8), "Denver"))
	mustRun(t, p)
	wantOrders(t, p, "100 Denver", "101 Oslo")
	wantMembers(t, p,
		"[1 Austin 1900-01-01 08 false false false]", "[1 Denver 08 9999-12-31 true false false]",
		"[2 Oslo 1900-01-01 9999-12-31 true false false]", "[<nil> <nil> 1900-01-01 9999-12-31 true false false]")
}

func TestALatenessShorterThanThatOfADimensionIsWarnedOf(t *testing.T) {
	for _, test := range []struct {
		fact, dimension string
		want            string // "" for no warning
	}{
		{"", "", ""},
		{"allowed_lateness: 30d\n", "", ""},
		{"allowed_lateness: 1h\n", "late_changes: 1h\n", ""},
		{"allowed_lateness: 36h\n", "", "models/fct_orders.yaml:1: model fct_orders: allowed_lateness is 36h0m0s, and late_changes of dim_customers is 720h0m0s"},
	} {
		p := starSetup{fact: test.fact + keysOfCustomers, dimension: test.dimension}.load(t, t.TempDir())
		plan, err := daemon.MakePlan(t.Context(), p, quiet)
		if err != nil {
			t.Fatal(err)
		}
		var warnings []string
		for _, m := range plan.Models {
			warnings = append(warnings, m.Warnings...)
		}
		var log bytes.Buffer
		produce(t, p, "customers")
		produce(t, p, "orders")
		if _, err := daemon.Run(t.Context(), p, daemon.RunOptions{Once: true, Logger: textLog(&log)}); err != nil {
			t.Fatal(err)
		}
		for where, text := range map[string]string{"plan": strings.Join(warnings, "\n"), "run": log.String()} {
			has := strings.Contains(text, "allowed_lateness is")
			if has != (test.want != "") || !strings.Contains(text, test.want) || has && !strings.Contains(text, "calve reconcile --model fct_orders") {
				t.Errorf("%q and %q: %s warns of\n%s\nwant %q", test.fact, test.dimension, where, text, test.want)
			}
		}
	}
}
