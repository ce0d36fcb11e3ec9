package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/project"
)

// soonSilent lets a staging model's topic be silent at once when it delivers
// nothing.
func soonSilent(t *testing.T, p *project.Project, model string) *project.Project {
	t.Helper()
	name := filepath.Join(p.Dir, "models", "staging", model+".yaml")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, append(text, "idle_timeout: 1ms\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	return reload(t, p)
}

// wantWatermarks compares what status says of models.
func wantWatermarks(t *testing.T, p *project.Project, want map[string]string) {
	t.Helper()
	for _, m := range readStatus(t, p, daemon.StatusConfig{}).Models {
		if at, ok := want[m.Model]; ok && text(m.Watermark) != at {
			t.Errorf("the watermark of %s is %s, want %s", m.Model, text(m.Watermark), at)
		}
	}
}

func TestReadingsThatAreSilentHoldNoFactsBack(t *testing.T) {
	p := soonSilent(t, training(t, t.TempDir(), trainingsOfSessions+"allowed_lateness: 1h\n"), "readings") // see TestReadingsThatComeTooLateForFactsAreDeadLetters
	produce(t, p, "events", visit(1, "ada", 0, "/"))
	produce(t, p, "readings", pulse("ada", 0, 70))
	mustRun(t, p)
	wantWatermarks(t, p, map[string]string{"readings": "2026-05-01T12:00:00Z", "trainings": "2026-05-01T12:00:00Z"})

	produce(t, p, "events", visit(2, "ada", 500, "/a"))
	mustRun(t, p)
	wantWatermarks(t, p, map[string]string{"readings": "2026-05-01T12:00:00Z", "visits": "2026-05-01T20:20:00Z", "trainings": "2026-05-01T20:20:00Z"})

	// They come back: what is too late now is a dead letter, and the rest counts.
	produce(t, p, "readings", pulse("ada", 250, 10), pulse("ada", 500, 80))
	mustRun(t, p)
	if got, want := reasons(t, p), "1:late"; got != want {
		t.Errorf("reasons: got %s, want %s", got, want)
	}
	wantTrainings(t, p, "[ada 1 1 70 70 true]", "[ada 1 1 80 80 true]")

	// Made anew, they are at the same time again.
	if got, want := reconciled(t, p, "trainings"), (lakehouse.RequestResult{Replayed: 1}); got != want {
		t.Errorf("reconciled: got %+v, want %+v", got, want)
	}
	wantWatermarks(t, p, map[string]string{"trainings": "2026-05-01T20:20:00Z"})
	wantTrainings(t, p, "[ada 1 1 70 70 true]", "[ada 1 1 80 80 true]")
}

// Sessions that stay open because their topic is silent have rows to come, and the
// readings that belong to them are kept.
func TestReadingsWaitForSessionsThatAreOpen(t *testing.T) {
	p := soonSilent(t, training(t, t.TempDir(), trainingsOfSessions+"allowed_lateness: 1h\n"), "events")
	produce(t, p, "events", visit(1, "ada", 0, "/"))
	produce(t, p, "readings", pulse("ada", 0, 70))
	mustRun(t, p)
	produce(t, p, "readings", pulse("ada", 5, 90), pulse("bob", 700, 50))
	mustRun(t, p)
	wantWatermarks(t, p, map[string]string{"readings": "2026-05-01T23:40:00Z", "trainings": "2026-05-01T12:00:00Z"})
	produce(t, p, "events", visit(2, "ada", 5, "/a"), visit(3, "ada", 700, "/b"))
	mustRun(t, p)
	wantTrainings(t, p, "[ada 1 0 <nil> <nil> false]", "[ada 2 2 80 90 true]")
	if got := reasons(t, p); got != "" {
		t.Errorf("reasons: got %s, want none", got)
	}
}

func TestADimensionThatIsSilentHoldsNoFactsBack(t *testing.T) {
	p := soonSilent(t, starSetup{}.load(t, t.TempDir()), "stg_customers")
	produce(t, p, "customers", moves("c", 1, 1, day(1), "Ulm"))
	produce(t, p, "orders", buys(2, 1, 1, day(2)))
	mustRun(t, p)
	produce(t, p, "orders", buys(3, 2, 1, day(5)))
	mustRun(t, p)
	wantWatermarks(t, p, map[string]string{"stg_customers": "2026-05-01T12:00:00Z", "dim_customers": "2026-05-05T12:00:00Z", "fct_orders": "2026-05-05T12:00:00Z"})

	// A change that was made before comes behind, and moves the order's key.
	produce(t, p, "customers", moves("u", 4, 1, day(4), "Bonn"))
	mustRun(t, p)
	wantWatermarks(t, p, map[string]string{"stg_customers": "2026-05-04T12:00:00Z", "dim_customers": "2026-05-05T12:00:00Z", "fct_orders": "2026-05-05T12:00:00Z"})
	wantOrders(t, p, "1 Ulm", "2 Bonn")
}

// A change that its dimension takes is never too late for the facts that went on
// while it was silent: what they do not follow any more, it refuses.
func TestADimensionThatWasSilentMovesNoKeysThatFactsHaveForgotten(t *testing.T) {
	p := soonSilent(t, starSetup{dimension: "late_changes: 2d\n", fact: strings.Replace(ordersOfCustomers, "allowed_lateness: 30d\n", "", 1)}.load(t, t.TempDir()), "stg_customers")
	produce(t, p, "customers", moves("c", 1, 1, day(1), "Ulm"), moves("u", 4, 1, day(3), "Bonn"))
	produce(t, p, "orders", buys(5, 1, 1, day(4)))
	mustRun(t, p)
	produce(t, p, "orders", buys(6, 2, 1, day(20)))
	mustRun(t, p)
	wantWatermarks(t, p, map[string]string{"stg_customers": "2026-05-03T12:00:00Z", "dim_customers": "2026-05-20T12:00:00Z", "fct_orders": "2026-05-20T12:00:00Z"})
	produce(t, p, "customers", moves("u", 2, 1, day(2), "Bonn"), moves("u", 7, 1, day(19), "Trier")) // the first would begin the version of the third before
	mustRun(t, p)
	if got, want := reasons(t, p), "2:late_change"; got != want {
		t.Errorf("reasons: got %s, want %s", got, want)
	}
	wantOrders(t, p, "1 Bonn", "2 Trier")
}
