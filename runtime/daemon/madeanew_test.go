package daemon_test

import (
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/project"
)

var trainingColumns = []string{"visitor", "pages", "readings", "mean_rate", "last_rate"}

// TestAModelThatIsMadeAnewJudgesRowsAsTheyCame: a reading that was in time by the
// events that its fact waits for too, although readings had gone on, is in time when
// the fact begins anew.
func TestAModelThatIsMadeAnewJudgesRowsAsTheyCame(t *testing.T) {
	p := training(t, t.TempDir(), trainingsOfSessions+"allowed_lateness: 1h\n")
	produce(t, p, "events", visit(1, "ada", 0, "/"), visit(2, "ada", 10, "/"))
	produce(t, p, "readings", pulse("ada", 0, 70), pulse("bob", 500, 1))
	mustRun(t, p)
	produce(t, p, "readings", pulse("ada", 5, 10))
	mustRun(t, p)
	produce(t, p, "events", visit(3, "ada", 500, "/a"))
	produce(t, p, "readings", pulse("ada", 500, 80))
	mustRun(t, p)
	before, letters := rowsOf(t, p, "marts.trainings", trainingColumns...), reasons(t, p)
	if _, err := daemon.Run(t.Context(), p, daemon.RunOptions{Once: true, Logger: quiet, ResetModels: []string{"trainings"}}); err != nil {
		t.Fatal(err)
	}
	if after := rowsOf(t, p, "marts.trainings", trainingColumns...); after != before || reasons(t, p) != letters {
		t.Errorf("the facts were\n%s\nwith letters %s, and are\n%s\nwith letters %s", before, letters, after, reasons(t, p))
	}
	wantProven(t, p)
}

// TestRowsBesideAReconciliationAreTakenAsEver: what comes in the run in which a model
// is made anew becomes what it would have without that.
func TestRowsBesideAReconciliationAreTakenAsEver(t *testing.T) {
	facts := func(model string) string {
		p := training(t, t.TempDir(), trainingsOfSessions+"allowed_lateness: 1h\n")
		produce(t, p, "events", visit(1, "ada", 0, "/"), visit(2, "ada", 10, "/"))
		produce(t, p, "readings", pulse("ada", 0, 70), pulse("bob", 0, 1))
		mustRun(t, p)
		askToReconcile(t, p, model)
		produce(t, p, "events", visit(3, "ada", 500, "/a"))
		produce(t, p, "readings", pulse("ada", 5, 10), pulse("ada", 500, 80))
		mustRun(t, p)
		wantProven(t, p)
		return rowsOf(t, p, "marts.trainings", trainingColumns...) + " letters: " + reasons(t, p)
	}
	star := func(model string) string {
		p := starSetup{dimension: "late_changes: 2d\n", fact: strings.Replace(ordersOfCustomers, "allowed_lateness: 30d\n", "", 1)}.load(t, t.TempDir())
		produce(t, p, "customers", moves("c", 1, 1, day(1), "Austin"), moves("c", 2, 2, day(1), "Boise"), moves("u", 5, 1, day(8), "Dallas"))
		produce(t, p, "orders", buys(1, 100, 1, day(7)), buys(2, 101, 1, day(8)))
		mustRun(t, p)
		askToReconcile(t, p, model)
		produce(t, p, "customers", moves("u", 4, 1, day(7), "Denver"), moves("u", 9, 2, day(25), "Reno"))
		produce(t, p, "orders", buys(3, 102, 2, day(25)))
		mustRun(t, p)
		wantProven(t, p)
		return rowsOf(t, p, "marts.dim_customers", "customer_id", "city", "valid_from") + "\n" +
			rowsOf(t, p, "marts.fct_orders", "order_id", "customer_key") + " letters: " + reasons(t, p)
	}
	for _, c := range []struct {
		play   func(model string) string
		models []string
	}{{facts, []string{"trainings", "visits"}}, {star, []string{"dim_customers", "fct_orders"}}} {
		want := c.play("")
		for _, model := range c.models {
			if got := c.play(model); got != want {
				t.Errorf("with %s reconciled\n%s\nwithout\n%s", model, got, want)
			}
		}
	}
}

// askToReconcile puts a request, which the next run carries out; none for "".
func askToReconcile(t *testing.T, p *project.Project, model string) {
	t.Helper()
	if model == "" {
		return
	}
	r, err := daemon.OpenReconciliation(t.Context(), p, model, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Ask(t.Context()); err != nil {
		t.Fatal(err)
	}
}
