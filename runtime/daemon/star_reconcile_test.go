package daemon_test

import (
	"strings"
	"testing"

	"github.com/calvelake/calve/lakehouse"
)

// TestAReconciledDimensionTakesWhatCameTooLate: a change that came later than
// late_changes is a version in the end, the order of its time has its key, and its
// dead letter is resolved. The dry run says so before.
func TestAReconciledDimensionTakesWhatCameTooLate(t *testing.T) {
	p := starSetup{dimension: "late_changes: 2d\n", fact: strings.Replace(ordersOfCustomers, "30d", "2d", 1)}.load(t, t.TempDir())
	produce(t, p, "customers", moves("c", 1, 1, day(1), "Austin"), moves("c", 2, 2, day(1), "Boise"), moves("u", 5, 1, day(8), "Dallas"))
	produce(t, p, "orders", buys(1, 100, 1, day(5)), buys(2, 101, 1, day(2)))
	mustRun(t, p)
	produce(t, p, "customers", moves("u", 3, 2, day(20), "Reno"))
	produce(t, p, "orders", buys(3, 102, 2, day(20)))
	mustRun(t, p)
	produce(t, p, "customers", moves("u", 4, 1, day(4), "Denver")) // splits what is settled
	mustRun(t, p)
	if got := reasons(t, p); !strings.HasSuffix(got, ":late_change") {
		t.Fatalf("got dead letters %s, want a late change", got)
	}
	before := rowsOf(t, p, "marts.fct_orders", "order_id", "customer_key")

	result := reconciled(t, p, "dim_customers")
	if result.Created == 0 || result.Replayed != 1 {
		t.Errorf("the reconciliation did %+v, want a version and a letter", result)
	}
	if got := rowsOf(t, p, "marts.dim_customers", "customer_id", "city"); !strings.Contains(got, "[1 Denver]") {
		t.Errorf("the dimension has\n%s\nwant Denver", got)
	}
	after := rowsOf(t, p, "marts.fct_orders", "order_id", "customer_key")
	if want := "[100 " + versionKey(1, day(4)) + "]"; !strings.Contains(after, want) || strings.Contains(before, want) {
		t.Errorf("the orders were\n%s\nand are\n%s\nwant %s", before, after, want)
	}
	wantProven(t, p)
	if again := reconciled(t, p, "dim_customers"); again != (lakehouse.RequestResult{}) {
		t.Errorf("reconciled again: %+v, want nothing", again)
	}
}

// TestWhatIsRightStaysWhenItIsReconciled: bridges, maps and the dimensions that they
// refer to are made anew, with nothing to change.
func TestWhatIsRightStaysWhenItIsReconciled(t *testing.T) {
	p := market(t, t.TempDir(), "json", tagsOfStreams)
	produce(t, p, "events", visit(1, "ada", 0, "/"))
	produce(t, p, "tags", `{"tag":"go","label":"Go"}`, `{"tag":"sql","label":"SQL"}`)
	produce(t, p, "streams", live("a", 1, 0.5, "go", "sql"), live("b", 2, 1, "sql", "new"))
	mustRun(t, p)
	produce(t, p, "streams", live("a", 9, 0.5, "go"))
	mustRun(t, p)
	tables := []string{"marts.stream_tags", "marts.dim_tags", "marts.dim_streams"}
	var before []string
	for _, table := range tables {
		before = append(before, rowsOf(t, p, table, "valid_from", "valid_to", "is_current"))
	}
	for _, model := range []string{"stream_tags", "dim_tags", "dim_streams"} {
		if result := reconciled(t, p, model); result != (lakehouse.RequestResult{}) {
			t.Errorf("%s: the reconciliation did %+v, want nothing", model, result)
		}
	}
	for i, table := range tables {
		if after := rowsOf(t, p, table, "valid_from", "valid_to", "is_current"); after != before[i] {
			t.Errorf("%s was\n%s\nand is\n%s", table, before[i], after)
		}
	}

	p = mapped(t, t.TempDir(), "json", "", nil)
	produce(t, p, "events", visit(1, "ada", 0, "/"))
	produce(t, p, "sections", section("/", "home", 1), section("/a", "news", 1), section("/a", "sport", 2))
	mustRun(t, p)
	if result := reconciled(t, p, "sections"); result != (lakehouse.RequestResult{}) {
		t.Errorf("the reconciliation of a map did %+v, want nothing", result)
	}
	wantRows(t, p, "marts.sections", "page section", "[/ home]", "[/a sport]")
}
