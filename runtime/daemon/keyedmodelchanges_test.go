package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/project"
)

// A session model that is taken out of the project before it has made a row, and
// comes back, begins anew: its former state would count what the table holds
// once more.
func TestASessionModelThatComesBackBeginsAnew(t *testing.T) {
	dir := t.TempDir()
	onClose := strings.Replace(visitsByGap, "early", "on_close", 1)
	for _, again := range []string{onClose, strings.Replace(onClose, "30m", "25m", 1)} {
		p := visits(t, dir, onClose)
		produce(t, p, "events", visit(1, "ada", 0, "/"), visit(2, "ada", 10, "/a"))
		mustRun(t, p)
		if err := os.Remove(filepath.Join(dir, "models", "visits.yaml")); err != nil {
			t.Fatal(err)
		}
		p = visits(t, dir, "")
		produce(t, p, "events", visit(3, "bob", 1, "/b"))
		mustRun(t, p)
		p = visits(t, dir, again)
		produce(t, p, "events", visit(4, "ada", 20, "/c"), visit(5, "cid", 200, "/"))
		mustRun(t, p)
		wantVisits(t, p, "[ada 3 / /c 1200]", "[bob 1 /b /b 0]")
		dir = t.TempDir()
	}
}

// sized is a project with sessions over events whose table follows the source.
func sized(t *testing.T, dir, model, sessions string) *project.Project {
	t.Helper()
	s := setup{
		model:   "event_time: at\nmax_out_of_orderness: 0s\n" + model,
		columns: "  - {name: visitor, data_type: string}\n  - {name: at, data_type: timestamptz}\n  - {name: size, data_type: int}\n",
	}
	s.write(t, dir)
	text := "name: visits\nkind: session\nnamespace: marts\nfrom: ref.events\nkey: [visitor]\ngap: 30m\nemit: early\n" + sessions
	if err := os.WriteFile(filepath.Join(dir, "models", "visits.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := project.Load(dir, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A column that sessions read becomes wider with its table: in the same run, and
// for every start after it.
func TestSessionsOverATableThatFollowsItsSource(t *testing.T) {
	dir := t.TempDir()
	p := sized(t, dir, appending, "where: size > 0\naggregates: {bytes: sum(size), biggest: max(size)}\n")
	produce(t, p, "events", `{"id":1,"visitor":"ada","at":"2026-05-01T12:00:00Z","size":1}`)
	mustRun(t, p)
	produce(t, p, "events", `{"id":2,"visitor":"ada","at":"2026-05-01T12:01:00Z","size":2,"extra":"x"}`)
	mustRun(t, p)
	if got, want := rowsOf(t, p, "marts.visits", "visitor", "bytes", "biggest"), "[ada 3 2]"; got != want {
		t.Errorf("after a new column: got %s, want %s", got, want)
	}
	wantProven(t, p)
}

// A table may have a column wider than the model declares it. Sessions over it
// are compiled for what is declared, and say what to do.
func TestSessionsOverAColumnThatIsWiderThanDeclared(t *testing.T) {
	for _, sessions := range []string{"aggregates: {bytes: sum(size)}\n", "aggregates: {n: count()}\nwhere: size > 0\n"} {
		dir := t.TempDir()
		sized(t, dir, "", sessions)
		file := filepath.Join(dir, "models", "staging", "events.yaml")
		declared, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		wide := strings.Replace(string(declared), "data_type: int}", "data_type: long}", 1)
		if err := os.WriteFile(file, []byte(wide), 0o644); err != nil {
			t.Fatal(err)
		}
		p, err := project.Load(dir, func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		produce(t, p, "events", `{"id":1,"visitor":"ada","at":"2026-05-01T12:00:00Z","size":3000000000}`)
		mustRun(t, p)
		p = sized(t, dir, "", sessions)
		produce(t, p, "events", `{"id":2,"visitor":"ada","at":"2026-05-01T12:01:00Z","size":2}`)
		_, err = daemon.Run(t.Context(), p, daemon.RunOptions{Once: true, Logger: quiet, ResetModels: []string{"visits"}})
		if err == nil || strings.Contains(err.Error(), "BUG") || !strings.Contains(err.Error(), "size") || !strings.Contains(err.Error(), "long") {
			t.Errorf("got %v, want what to do", err)
		}
	}
}

// Derived columns may be added to sessions that go on.
func TestSessionsGetAnotherDerivedColumn(t *testing.T) {
	dir := t.TempDir()
	p := visits(t, dir, visitsByGap)
	produce(t, p, "events", visit(1, "ada", 0, "/"), visit(2, "bob", 10, "/a"))
	mustRun(t, p)
	more := strings.Replace(visitsByGap, "derive: {", "derive: {twice: 2 * pages, ", 1)
	p = visits(t, dir, more)
	produce(t, p, "events", visit(3, "ada", 12, "/b"))
	mustRun(t, p)
	if got, want := rowsOf(t, p, "marts.visits", "visitor", "pages", "twice"), "[ada 2 4]\n[bob 1 <nil>]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	wantProven(t, p)
	if _, err := daemon.MakePlan(t.Context(), p, quiet); err != nil {
		t.Error(err)
	}
}

// Rows that sessions cannot take of their input's table are dead letters too,
// each time that they are taken in, and a proof knows of that.
func TestDeadLettersOfRowsThatAreTakenIn(t *testing.T) {
	dir := t.TempDir()
	p := visits(t, dir, "")
	produce(t, p, "events", visit(1, "ada", 0, "/"), `{"id":2,"at":"2026-05-01T12:01:00Z"}`, `{"id":3,"visitor":"eve"}`)
	mustRun(t, p)
	p = visits(t, dir, visitsByGap)
	mustRun(t, p)
	wantVisits(t, p, "[ada 1 / / 0]")
	if got, want := reasons(t, p), "1:null_key 2:null_event_time"; got != want {
		t.Errorf("reasons: got %s, want %s", got, want)
	}
	if _, err := daemon.Run(t.Context(), p, daemon.RunOptions{Once: true, Logger: quiet, ResetModels: []string{"visits"}}); err != nil {
		t.Fatal(err)
	}
	wantVisits(t, p, "[ada 1 / / 0]")
}
