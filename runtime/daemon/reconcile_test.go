package daemon_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
)

// reconciled asks to reconcile a model and runs the pipeline once, which must do
// what a trial before said.
func reconciled(t *testing.T, p *project.Project, model string) lakehouse.RequestResult {
	t.Helper()
	r, err := daemon.OpenReconciliation(t.Context(), p, model, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	would, err := r.DryRun(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id, err := r.Ask(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mustRun(t, p)
	result, err := r.Wait(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if result != would {
		t.Errorf("the reconciliation did %+v, the trial said %+v", result, would)
	}
	if left, err := filepath.Glob(filepath.Join(p.Dir, ".calve", "reconcile-*")); err != nil || len(left) > 0 {
		t.Errorf("the trial leaves %q (%v)", left, err)
	}
	return result
}

// TestReconciledSessionsHaveLateEvents: what came too late is in its sessions, of
// which each has the key that it was first shown with.
func TestReconciledSessionsHaveLateEvents(t *testing.T) {
	for _, emit := range []string{"early", "on_close"} {
		t.Run(emit, func(t *testing.T) {
			p := visits(t, t.TempDir(), strings.Replace(visitsByGap, "early", emit, 1))
			produce(t, p, "events", visit(1, "ada", 20, "/a"), visit(2, "bob", 30, "/b"), visit(3, "eve", 0, "/e"))
			mustRun(t, p)
			produce(t, p, "events", visit(4, "cid", 90, "/c"))
			mustRun(t, p)
			produce(t, p, "events", visit(5, "bob", 15, "/before")) // so that the start is not that of the key
			mustRun(t, p)
			produce(t, p, "events", visit(6, "cid", 300, "/now"))
			mustRun(t, p)
			produce(t, p, "events", visit(7, "ada", 45, "/late"), visit(8, "bob", 5, "/late"), visit(9, "dan", 50, "/late"))
			mustRun(t, p)
			if got, want := reasons(t, p), "6:late 7:late 8:late"; got != want {
				t.Fatalf("reasons: got %s, want %s", got, want)
			}
			keys := sessionKeys(t, p)
			got := reconciled(t, p, "visits")
			if want := (lakehouse.RequestResult{Replayed: 3, Created: 1, Updated: 2}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			want := []string{"[ada 2 /a /late 1500]", "[bob 3 /late /b 1500]", "[cid 1 /c /c 0]", "[cid 1 /now /now 0]", "[dan 1 /late /late 0]", "[eve 1 /e /e 0]"}
			if emit == "on_close" {
				want = append(want[:3], want[4:]...)
			}
			wantVisits(t, p, want...)
			for visitor, key := range keys {
				if now := sessionKeys(t, p)[visitor]; now != key {
					t.Errorf("the session of %s had key %s, it has %s", visitor, key, now)
				}
			}
			// Once more there is nothing to do, and sessions go on.
			if got := reconciled(t, p, "visits"); got != (lakehouse.RequestResult{}) {
				t.Errorf("the second time: got %+v, want nothing", got)
			}
			produce(t, p, "events", visit(10, "cid", 310, "/on"), visit(11, "fay", 345, "/f"))
			mustRun(t, p)
			if rows := rowsOf(t, p, "marts.visits", "visitor", "pages"); !strings.Contains(rows, "[cid 2]") {
				t.Errorf("the open session does not go on: %s", rows)
			}
			wantProven(t, p)
		})
	}
}

// sessionKeys is the key of the first session of each visitor.
func sessionKeys(t *testing.T, p *project.Project) map[string]string {
	t.Helper()
	keys := map[string]string{}
	for _, row := range strings.Split(rowsOf(t, p, "marts.visits", "visitor", "session_start", "session_key"), "\n") {
		cells := strings.Fields(strings.Trim(row, "[]"))
		if keys[cells[0]] == "" {
			keys[cells[0]] = cells[len(cells)-1]
		}
	}
	return keys
}

// TestAReconciledModelIsFollowed: a fact over sessions takes what changed.
func TestAReconciledModelIsFollowed(t *testing.T) {
	dir := t.TempDir()
	visits(t, dir, visitsByGap)
	text := "name: fct_visits\nkind: fact\nnamespace: marts\nfrom: ref.visits\ngrain: [session_key]\nevent_time: session_start\ncolumns: [visitor, pages]\n"
	if err := os.WriteFile(filepath.Join(dir, "models", "fct_visits.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p := visits(t, dir, visitsByGap)
	produce(t, p, "events", visit(1, "ada", 0, "/"), visit(2, "bob", 30, "/b"))
	mustRun(t, p)
	produce(t, p, "events", visit(3, "cid", 300, "/now"))
	mustRun(t, p)
	produce(t, p, "events", visit(4, "ada", 5, "/late"))
	mustRun(t, p)
	reconciled(t, p, "visits")
	if got, want := rowsOf(t, p, "marts.fct_visits", "visitor", "pages"), "[ada 2]\n[bob 1]\n[cid 1]"; got != want {
		t.Errorf("got facts\n%s\nwant\n%s", got, want)
	}
	if got := reconciled(t, p, "fct_visits"); got != (lakehouse.RequestResult{}) {
		t.Errorf("the fact: got %+v, want nothing to do", got)
	}
	wantProven(t, p)
}

func TestWhatCannotBeReconciledIsRefused(t *testing.T) {
	p := visits(t, t.TempDir(), visitsByGap)
	for model, want := range map[string]string{"events": "kind staging", "nothing": "no model", "visits": "never ran"} {
		_, err := daemon.OpenReconciliation(t.Context(), p, model, quiet)
		if !errors.Is(err, pipeline.ErrNotReconciled) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", model, err, want)
		}
	}
}

// TestPlanForeseesAModelThatIsDefinedOtherwise: plan and run say what is other
// about it, before anything is begun.
func TestPlanForeseesAModelThatIsDefinedOtherwise(t *testing.T) {
	dir := t.TempDir()
	p := visits(t, dir, visitsByGap)
	produce(t, p, "events", visit(1, "ada", 0, "/"))
	mustRun(t, p)
	p = visits(t, dir, strings.Replace(visitsByGap, "30m", "10m", 1))
	want := []string{"model visits has \"gap 10m0s\"", "its state after epoch", "is of \"gap 30m0s\"", "--reset-model visits", "calve reconcile"}
	plan, err := daemon.MakePlan(t.Context(), p, quiet)
	if err != nil {
		t.Fatal(err)
	}
	problems := ""
	for _, m := range plan.Models {
		problems += strings.Join(m.Problems, "\n")
	}
	_, err = once(t.Context(), p)
	wantError(t, err, pipeline.ErrDefinition, want...)
	for _, part := range want {
		if !strings.Contains(problems, part) {
			t.Errorf("plan says %q, want %q in it", problems, part)
		}
	}
}

// TestRecoveredSessionsAreMadeAnew: with the epoch log the state is lost; the
// sessions are made anew by the watermarks of their time, late events not, and
// their table does not change.
func TestRecoveredSessionsAreMadeAnew(t *testing.T) {
	dir := t.TempDir()
	p := visits(t, dir, visitsByGap)
	for _, e := range []string{visit(1, "ada", 0, "/"), visit(2, "ada", 10, "/a"), visit(3, "bob", 300, "/b"), visit(4, "ada", 15, "/late"), visit(5, "bob", 310, "/c")} {
		produce(t, p, "events", e)
		mustRun(t, p)
	}
	before := rowsOf(t, p, "marts.visits", "session_key", "visitor", "pages", "entry", "exit", "seconds")
	if err := os.RemoveAll(filepath.Join(dir, ".calve", "state")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(warehouseOf(p), "_calve")); err != nil {
		t.Fatal(err)
	}
	if _, err := daemon.Recover(t.Context(), p, quiet); err != nil {
		t.Fatal(err)
	}
	mustRun(t, p)
	if got := rowsOf(t, p, "marts.visits", "session_key", "visitor", "pages", "entry", "exit", "seconds"); got != before {
		t.Errorf("got sessions\n%s\nwant\n%s", got, before)
	}
	produce(t, p, "events", visit(6, "bob", 320, "/d"), visit(7, "ada", 20, "/late"))
	mustRun(t, p)
	wantVisits(t, p, "[ada 2 / /a 600]", "[bob 3 /b /d 1200]")
	if got := reasons(t, p); !strings.Contains(got, "6:late") {
		t.Errorf("reasons: %s, want what comes late after it among them", got)
	}
}

// TestReconciledFactsHaveLateReadings: a reading of a session that came when
// readings of its time were forgotten, and a session that was reconciled with it.
func TestReconciledFactsHaveLateReadings(t *testing.T) {
	p := training(t, t.TempDir(), trainingsOfSessions+"allowed_lateness: 1h\n")
	produce(t, p, "events", visit(1, "ada", 0, "/"), visit(2, "ada", 600, "/a"))
	produce(t, p, "readings", pulse("ada", 0, 70), pulse("ada", 600, 80))
	mustRun(t, p)
	produce(t, p, "events", visit(3, "ada", 20, "/late"))
	produce(t, p, "readings", pulse("ada", 0, 90), pulse("ada", 15, 50))
	mustRun(t, p)
	if got, want := reasons(t, p), "2:late 2:late 3:late"; got != want {
		t.Fatalf("reasons: got %s, want %s", got, want)
	}
	// The fact's sessions are short still: one of the readings is within.
	if got, want := reconciled(t, p, "trainings"), (lakehouse.RequestResult{Replayed: 2, Updated: 1}); got != want {
		t.Errorf("the fact: got %+v, want %+v", got, want)
	}
	wantTrainings(t, p, "[ada 1 1 80 80 true]", "[ada 1 2 80 90 true]")
	// The session is longer: its row is made of what is kept, and reconciled anew.
	if got, want := reconciled(t, p, "visits"), (lakehouse.RequestResult{Replayed: 1, Updated: 1}); got != want {
		t.Errorf("the sessions: got %+v, want %+v", got, want)
	}
	reconciled(t, p, "trainings")
	wantTrainings(t, p, "[ada 1 1 80 80 true]", "[ada 2 3 70 50 true]")
}
