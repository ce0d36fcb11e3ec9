package daemon_test

import (
	"context"
	"testing"

	"github.com/calvelake/calve/runtime/daemon"
)

// onlooker reads a star again and again while a pipeline writes it.
type onlooker struct {
	t     *testing.T
	lake  *daemon.Lakehouse
	looks int
}

// look reads the fact, the dimension, and the fact again: if it is still the same,
// the two were there together. It returns an order whose key no member has.
func (o *onlooker) look() (orphan string) {
	head := func(name string) int64 {
		s, err := o.lake.ShowTable(o.t.Context(), definitionID(o.t, name))
		if err != nil || len(s.Snapshots) == 0 {
			return 0
		}
		return s.Snapshots[len(s.Snapshots)-1].Epoch
	}
	before := head("marts.fct_orders")
	if before == 0 {
		return ""
	}
	facts := readTable(o.t, o.lake, definitionID(o.t, "marts.fct_orders"))
	members := readTable(o.t, o.lake, definitionID(o.t, "marts.dim_customers"))
	if head("marts.fct_orders") != before || head("marts.dim_customers") == 0 {
		return ""
	}
	o.looks++
	known := map[string]bool{}
	for _, r := range members {
		known[r.text("customer_key")] = true
	}
	for _, r := range facts {
		if !known[r.text("customer_key")] {
			return string(r["order_id"])
		}
	}
	return ""
}

// A reader who polls while epochs are committed never sees an order whose customer
// is missing, whether members are new, inferred, or split by late changes.
func TestAReaderWhoPollsSeesEveryOrdersCustomer(t *testing.T) {
	dir := t.TempDir()
	p := starSetup{interval: "20ms"}.load(t, dir)
	produce(t, p, "customers", moves("c", 1, 1, day(1), "Austin"))
	produce(t, p, "orders", buys(1, 1, 1, day(5)))
	mustRun(t, p)
	lake, err := daemon.OpenLakehouse(t.Context(), p, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer lake.Close() //nolint:errcheck // only read from
	o := &onlooker{t: t, lake: lake}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	_, err = daemon.Run(ctx, p, daemon.RunOptions{Logger: quiet, Watch: func(watching context.Context, r *daemon.Running) {
		defer stop()
		for i := 2; i < 14; i++ {
			send(t, r.Broker.Client, "orders", buys(i, i, i/2, day(5+i)))
			send(t, r.Broker.Client, "customers", moves("u", i, i/3, day(20-i), []string{"Boise", "Denver"}[i%2]))
			for seen := o.looks; o.looks < seen+2 && watching.Err() == nil; {
				if orphan := o.look(); orphan != "" {
					t.Errorf("order %s has a key that no customer has", orphan)
					return
				}
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if o.looks < 20 {
		t.Errorf("the reader looked %d times, want 20 at least", o.looks)
	}
}
