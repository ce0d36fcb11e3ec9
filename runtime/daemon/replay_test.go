package daemon_test

import (
	"testing"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
)

// replayOutcome is what became of a request.
type replayOutcome struct {
	request string
	result  lakehouse.RequestResult
	records int64 // that the run read of topics
	open    int64 // letters, after it
}

// replayAll asks for a replay of all letters and runs the project once.
func replayAll(tb testing.TB, p *project.Project) (r replayOutcome) {
	tb.Helper()
	letters, err := daemon.OpenDeadLetters(tb.Context(), p, quiet)
	if err != nil {
		tb.Fatal(err)
	}
	defer letters.Close()
	if r.request, err = letters.Ask(tb.Context(), lakehouse.RequestReplay, lakehouse.LetterFilter{}); err != nil {
		tb.Fatal(err)
	}
	stats, err := once(tb.Context(), p)
	if err != nil {
		tb.Fatal(err)
	}
	r.records = stats.Records
	if r.result, err = letters.Wait(tb.Context(), r.request); err != nil {
		tb.Fatal(err)
	}
	match, err := letters.Match(tb.Context(), lakehouse.RequestReplay, lakehouse.LetterFilter{})
	if err != nil {
		tb.Fatal(err)
	}
	r.open = match.Letters
	return r
}

// wantReplayed checks a replay's result, and that the lake is sound after it.
func wantReplayed(t *testing.T, p *project.Project, want lakehouse.RequestResult) replayOutcome {
	t.Helper()
	got := replayAll(t, p)
	if got.result != want || got.open != want.Refused {
		t.Errorf("the replay's result is %+v with %d open, want %+v", got.result, got.open, want)
	}
	if v, err := daemon.Verify(t.Context(), p, quiet); err != nil || !v.Proven {
		t.Errorf("not proven: %+v (%v)", v, err)
	}
	return got
}

// refusals are the reasons for which a request left letters open, by offset.
func refusals(t *testing.T, p *project.Project, request string) map[int64]string {
	t.Helper()
	lake, err := daemon.OpenLakehouse(t.Context(), p, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer lake.Close() //nolint:errcheck // only read from
	codes := map[int64]string{}
	for _, r := range readTable(t, lake, lakehouse.DeadLettersDefinition(p.Name).ID) {
		if r.text("request_id") == request && r.text("resolution") == string(lakehouse.Refused) {
			codes[r.number(t, "kafka_offset")] = r.text("reason_code")
		}
	}
	return codes
}

// A letter that fails a data test of severity error is refused, and the others
// of its request go on; a record of the topic still stops the pipeline.
func TestReplayRefusesRowsThatWouldStop(t *testing.T) {
	const failing = "data_tests: [{accepted_range: {column: id, min_value: 0}}]\n"
	dir := t.TempDir()
	p := setup{columns: "  - {name: n, data_type: int}\n"}.load(t, dir)
	produce(t, p, "events", `{"id":1,"n":1}`, `{"id":-2,"n":3000000000}`, `{"id":3,"n":3000000000}`, `{"id":-4,"n":3000000000}`)
	mustRun(t, p)
	wantAccounted(t, p, 4, counts{rows: 1, letters: 3})

	wide := "  - {name: n, data_type: long}\n"
	p = setup{columns: wide, model: failing}.load(t, dir)
	r := wantReplayed(t, p, lakehouse.RequestResult{Replayed: 1, Refused: 2})
	if got := refusals(t, p, r.request); len(got) != 2 || got[1] != "test" || got[3] != "test" {
		t.Errorf("refused by offset: %v, want test at 1 and 3", got)
	}
	produce(t, p, "events", `{"id":-5,"n":1}`)
	_, err := once(t.Context(), p)
	wantError(t, err, pipeline.ErrTestFailed, "events/0 offset 4")

	p = setup{columns: wide}.load(t, dir)
	mustRun(t, p)
	wantReplayed(t, p, lakehouse.RequestResult{Replayed: 2})
	if got, want := events(t, p, "id"), "[-2]\n[-4]\n[-5]\n[1]\n[3]"; got != want {
		t.Errorf("got rows\n%s\nwant\n%s", got, want)
	}
}

// A test of severity warn counts a replayed row once: in the run that writes it,
// and in no other.
func TestReplayCountsWarningsOnce(t *testing.T) {
	const warning = "data_tests: [{accepted_range: {column: id, min_value: 0, severity: warn}}]\n"
	dir := t.TempDir()
	p := setup{source: "    max_record_bytes: 10B\n", model: warning}.load(t, dir)
	produce(t, p, "events", `{"id":-1}`, `{"id":-20,"text":"x"}`, `{"id":30,"text":"x"}`, `{"id":-40,"text":"x"}`)
	warned := func(p *project.Project) (rows int64) {
		t.Helper()
		for _, w := range mustRun(t, p).Warnings {
			rows += w.Rows
		}
		return rows
	}
	if got := warned(p); got != 1 {
		t.Errorf("the first run warns of %d rows, want the one that is no letter", got)
	}
	p = setup{model: warning}.load(t, dir)
	letters, err := daemon.OpenDeadLetters(t.Context(), p, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer letters.Close()
	for _, want := range []int64{2, 0} {
		if _, err := letters.Ask(t.Context(), lakehouse.RequestReplay, lakehouse.LetterFilter{}); err != nil {
			t.Fatal(err)
		}
		if got := warned(p); got != want {
			t.Errorf("a run with a replay warns of %d rows, want %d", got, want)
		}
	}
	if got, want := events(t, p, "id"), "[-1]\n[-20]\n[-40]\n[30]"; got != want {
		t.Errorf("got rows\n%s\nwant\n%s", got, want)
	}
}

// A letter over which a plugin of on_error: stop fails is refused too.
func TestReplayRefusesRowsThatAPluginFailsOn(t *testing.T) {
	dir := t.TempDir()
	install(t, kit, dir, "kit")
	stopping := setup{plugin: kitPlugin("{mode: poison}", "stop")}
	tight := stopping
	tight.source = "    max_record_bytes: 4B\n"
	p := tight.load(t, dir)
	produce(t, p, "events", `{"id":0,"text":"fine"}`, `{"id":1,"text":"panic"}`, `{"id":2,"text":"fine"}`)
	mustRun(t, p)
	wantAccounted(t, p, 3, counts{letters: 3})

	p = stopping.load(t, dir)
	r := wantReplayed(t, p, lakehouse.RequestResult{Replayed: 2, Refused: 1})
	if got := refusals(t, p, r.request); len(got) != 1 || got[1] != "plugin_trap" {
		t.Errorf("refused by offset: %v, want plugin_trap at 1", got)
	}
	produce(t, p, "events", `{"id":3,"text":"panic"}`)
	_, err := once(t.Context(), p)
	wantError(t, err, wasm.ErrTrap, "model events: plugin kit at events/0")

	p = setup{plugin: kitPlugin("{mode: pass}", "stop")}.load(t, dir)
	mustRun(t, p)
	wantReplayed(t, p, lakehouse.RequestResult{Replayed: 1})
	if got, want := events(t, p, "id", "text"), "[0 fine]\n[1 panic]\n[2 fine]\n[3 panic]"; got != want {
		t.Errorf("got rows\n%s\nwant\n%s", got, want)
	}
}
