package daemon_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/project"
)

// training is a project with sessions over events, and facts of the sessions with
// the readings within them and the members they are of.
func training(t *testing.T, dir, facts string) *project.Project {
	t.Helper()
	for _, name := range []string{"models/staging/readings.yaml", "models/trainings.yaml"} { // of a project before
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	visits(t, dir, visitsByGap)
	files := map[string]string{
		"models/sources.yaml":          "sources:\n  - name: shop\n    format: json\n    tables:\n      - {name: events, topic: events}\n      - {name: readings, topic: readings}\n",
		"models/staging/readings.yaml": "name: readings\nkind: staging\nfrom: source.shop.readings\ncolumns:\n  - {name: who, data_type: string}\n  - {name: read_at, data_type: timestamptz}\n  - {name: rate, data_type: long}\nevent_time: read_at\nmax_out_of_orderness: 0s\n",
	}
	if facts != "" {
		files["models/trainings.yaml"] = "name: trainings\nkind: fact\nnamespace: marts\n" + facts
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p, err := project.Load(dir, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const trainingsOfSessions = `from: ref.visits
grain: [session_key]
surrogate_key: training_key
left_join:
  - to: ref.readings
    on: {visitor: who}
    within: {time: read_at, from: session_start, to: session_end}
    aggregates: {readings: count(), mean_rate: avg(rate), last_rate: last(rate)}
derive: {measured: readings > 0}
columns: [visitor, pages, readings, mean_rate, last_rate, measured]
`

// pulse is a reading; minutes count from noon.
func pulse(who string, minutes, rate int) string {
	return fmt.Sprintf(`{"who":%q,"read_at":"2026-05-01T%02d:%02d:00Z","rate":%d}`, who, 12+minutes/60, minutes%60, rate)
}

func wantTrainings(t *testing.T, p *project.Project, want ...string) {
	t.Helper()
	if got := rowsOf(t, p, "marts.trainings", "visitor", "pages", "readings", "mean_rate", "last_rate", "measured"); got != strings.Join(want, "\n") {
		t.Errorf("got trainings\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	wantProven(t, p)
}

func TestFactsOfSessionsAreCompletedWhenReadingsCome(t *testing.T) {
	dir := t.TempDir()
	p := training(t, dir, trainingsOfSessions)
	produce(t, p, "events", visit(1, "ada", 0, "/"), visit(2, "ada", 20, "/a"), visit(3, "bob", 5, "/b"))
	produce(t, p, "readings", pulse("eve", 0, 50))
	mustRun(t, p)
	wantTrainings(t, p, "[ada 2 0 <nil> <nil> false]", "[bob 1 0 <nil> <nil> false]")

	// Time goes on, and then the readings come: late, one of them before them all,
	// one outside.
	produce(t, p, "events", visit(4, "cid", 100, "/"))
	produce(t, p, "readings", pulse("ada", 20, 90), pulse("ada", 0, 70), pulse("ada", 21, 200), pulse("cid", 100, 60))
	mustRun(t, p)
	wantTrainings(t, p, "[ada 2 2 80 90 true]", "[bob 1 0 <nil> <nil> false]", "[cid 1 1 60 60 true]")

	// A late event makes a session longer, and takes in a reading that was there.
	produce(t, p, "events", visit(5, "ada", 30, "/c"))
	mustRun(t, p)
	wantTrainings(t, p, "[ada 3 3 120 200 true]", "[bob 1 0 <nil> <nil> false]", "[cid 1 1 60 60 true]")

	// The local copy of the state is a cache.
	if err := os.RemoveAll(filepath.Join(dir, ".calve", "state")); err != nil {
		t.Fatal(err)
	}
	produce(t, p, "readings", pulse("bob", 5, 50))
	mustRun(t, p)
	wantTrainings(t, p, "[ada 3 3 120 200 true]", "[bob 1 1 50 50 true]", "[cid 1 1 60 60 true]")
}

func TestReadingsThatComeTooLateForFactsAreDeadLetters(t *testing.T) {
	dir := t.TempDir()
	p := training(t, dir, trainingsOfSessions+"allowed_lateness: 1h\n") // beside that of sessions: 2h, and their gap twice
	produce(t, p, "events", visit(1, "ada", 0, "/"), visit(2, "ada", 500, "/a"))
	produce(t, p, "readings", pulse("ada", 0, 70), pulse("ada", 500, 80))
	mustRun(t, p)
	produce(t, p, "readings", pulse("ada", 250, 10), pulse("ada", 261, 20))
	mustRun(t, p)
	if got, want := reasons(t, p), "2:late"; got != want {
		t.Errorf("reasons: got %s, want %s", got, want)
	}
	wantTrainings(t, p, "[ada 1 1 70 70 true]", "[ada 1 1 80 80 true]")
}

func TestFactsThatAreAddedTakeInWhatTheTablesHold(t *testing.T) {
	for _, first := range []string{"staging", "sessions"} {
		t.Run("after "+first, func(t *testing.T) {
			dir := t.TempDir()
			p := training(t, dir, "")
			if first == "staging" {
				if err := os.Remove(filepath.Join(dir, "models", "visits.yaml")); err != nil {
					t.Fatal(err)
				}
				var err error
				if p, err = project.Load(dir, func(string) (string, bool) { return "", false }); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 4 { // readings are ahead by hours
				if i == 0 {
					produce(t, p, "events", visit(0, "ada", 0, "/"), visit(10, "bob", 1, "/b"))
				}
				produce(t, p, "readings", pulse("ada", 230*i, 60+10*i), pulse("bob", 230*i, 50))
				mustRun(t, p)
			}
			for i := 1; i < 4; i++ {
				produce(t, p, "events", visit(i, "ada", 230*i, "/"), visit(10+i, "bob", 230*i+1, "/b"))
				mustRun(t, p)
			}
			p = training(t, dir, trainingsOfSessions+"allowed_lateness: 1h\n")
			mustRun(t, p)
			mustRun(t, p)
			bob := "[bob 1 0 <nil> <nil> false]"
			wantTrainings(t, p, "[ada 1 1 60 60 true]", "[ada 1 1 70 70 true]", "[ada 1 1 80 80 true]", "[ada 1 1 90 90 true]", bob, bob, bob, bob)
		})
	}
}

func TestFactsOfEvents(t *testing.T) {
	p := training(t, t.TempDir(), `from: ref.events
grain: [visitor, page]
surrogate_key: view_key
where: page != '/hidden'
left_join:
  - {to: ref.visits, on: {visitor: visitor}, aggregates: {sessions: count(), pages_of_visitor: sum(pages)}}
milestones: {first_seen: at, searched_at: "case when page = '/search' then at end"}
measures: [id]
`)
	produce(t, p, "events", visit(1, "ada", 10, "/"), visit(2, "ada", 20, "/hidden"), visit(3, "ada", 5, "/"), visit(4, "bob", 5, "/search"))
	produce(t, p, "readings", pulse("eve", 0, 50))
	mustRun(t, p)
	columns := []string{"visitor", "page", "id", "at", "sessions", "pages_of_visitor", "first_seen", "searched_at"}
	noon := "2026-05-01T12:%s:00Z"
	at := func(minute string) string { return fmt.Sprintf(noon, minute) }
	want := strings.Join([]string{
		fmt.Sprintf("[ada / 1 %s 1 3 %s <nil>]", at("10"), at("05")),
		fmt.Sprintf("[bob /search 4 %s 1 1 %s %s]", at("05"), at("05"), at("05")),
	}, "\n")
	if got := rowsOf(t, p, "marts.trainings", columns...); got != want {
		t.Errorf("got facts\n%s\nwant\n%s", got, want)
	}
	wantProven(t, p)
}

func TestPlanFindsWhatIsWrongWithFacts(t *testing.T) {
	for broken, want := range map[string]string{
		"grain: [session_key]\nderive: {x: nothing + 1}\n":                                                      "nothing",
		"grain: [session_key]\nwhere: pages + 1\n":                                                              "trainings.yaml:6:",
		"grain: [session_key]\nmilestones: {x: count(pages)}\n":                                                 "count",
		"grain: [session_key]\non_update: append\n":                                                             "nothing to append",
		"grain: [session_key]\nleft_join: [{to: ref.readings, on: {visitor: who}, aggregates: {n: count()}}]\n": "within which time",
		"grain: [session_key]\nleft_join: [{to: ref.readings, on: {pages: who}, within: {time: read_at, from: session_start, to: session_end}, aggregates: {n: count()}}]\n":    "both must be of one type",
		"grain: [session_key]\nleft_join: [{to: ref.readings, on: {visitor: who}, within: {time: read_at, from: session_start, to: session_end}, aggregates: {n: avg(who)}}]\n": "needs a number",
	} {
		p := training(t, t.TempDir(), "from: ref.visits\n"+broken)
		if _, err := daemon.MakePlan(t.Context(), p, quiet); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "trainings.yaml:") {
			t.Errorf("%s: got %v, want %q with its place", strings.TrimSpace(broken), err, want)
		}
	}
}
