package daemon_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/project"
)

func warehouseOf(p *project.Project) string {
	return p.Path(strings.TrimPrefix(p.Connections.Warehouse.Location, "file://"))
}

// verified proves a project's tables and returns what they show.
func verified(t *testing.T, p *project.Project) *lakehouse.Verification {
	t.Helper()
	v, err := daemon.Verify(t.Context(), p, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if !v.Proven {
		t.Errorf("not proven: %v", v.CounterExamples)
	}
	return v
}

// newestFiles are the data files of a project's model that an epoch wrote.
func newestFiles(t *testing.T, p *project.Project, epoch string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(warehouseOf(p), "staging", "events*", "data", epoch+"-*.parquet"))
	if err != nil || len(files) == 0 {
		t.Fatalf("found no data file of epoch %s (%v)", epoch, err)
	}
	return files
}

func TestLostEpochLogIsRecoveredFromTheTables(t *testing.T) {
	p := setup{}.load(t, t.TempDir())
	produce(t, p, "events", `{"id":1}`, `broken`, `{"id":2}`)
	mustRun(t, p)
	produce(t, p, "events", `{"id":3}`, `{"id":4}`)
	mustRun(t, p)
	_, err := daemon.Recover(t.Context(), p, quiet)
	wantError(t, err, lakehouse.ErrNothingToRecover, "ends at epoch 2")

	if err := os.RemoveAll(filepath.Join(warehouseOf(p), "_calve")); err != nil {
		t.Fatal(err)
	}
	produce(t, p, "events", `{"id":5}`)
	_, err = once(t.Context(), p)
	wantError(t, err, lakehouse.ErrLostLog, "calve recover")
	r, err := daemon.Recover(t.Context(), p, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if r.Floor.Number != 2 || len(r.Floor.Positions) != 1 || r.Floor.Positions[0].Name != "main" || r.Floor.Positions[0].Ranges[0].To != 5 {
		t.Errorf("recovered %+v, want epoch 2 and offset 5", r.Floor)
	}
	if stats := mustRun(t, p); stats.Records != 1 || stats.Last != 3 {
		t.Errorf("the run after it took %d records up to epoch %d, want 1 and 3", stats.Records, stats.Last)
	}
	wantAccounted(t, p, 6, counts{rows: 5, letters: 1})
	if v := verified(t, p); v.Epochs != 3 || v.Models[0].Rows != 5 || v.Models[0].Dead != 1 {
		t.Errorf("verified %+v", v)
	}
}

// decided runs epochs 1 and 2 and takes the second back out of the catalog, so
// that it is decided and not committed.
func decided(t *testing.T, p *project.Project) {
	t.Helper()
	produce(t, p, "events", `{"id":1}`)
	mustRun(t, p)
	db := p.Path(p.Connections.Catalog.Path)
	before, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}
	produce(t, p, "events", `{"id":2,"text":"a"}`, `broken`, `{"id":3}`)
	mustRun(t, p)
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.RemoveAll(db + suffix); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(db, before, 0o600); err != nil {
		t.Fatal(err)
	}
	if v := verified(t, p); v.Epochs != 1 {
		t.Fatalf("the tables show epoch %d, want 1", v.Epochs)
	}
}

func TestLostFileOfADecidedEpochIsDerivedAgain(t *testing.T) {
	p := setup{}.load(t, t.TempDir())
	decided(t, p)
	lost := newestFiles(t, p, "2")
	for _, file := range lost {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	produce(t, p, "events", `{"id":4}`)
	_, err := once(t.Context(), p)
	wantError(t, err, lakehouse.ErrMissingFile, filepath.Base(lost[0]), "epoch 2", "calve recover --rederive 2")
	r, err := daemon.Rederive(t.Context(), p, 2, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Missing) != len(lost) || r.Missing[0].Table != "staging.events" || r.Missing[0].Committed {
		t.Errorf("derived %+v again, want the files of staging.events", r.Missing)
	}
	if v := verified(t, p); v.Epochs != 2 || v.Models[0].Rows != 3 {
		t.Errorf("epoch %d, %d rows after it, want 2 and 3", v.Epochs, v.Models[0].Rows)
	}
	mustRun(t, p)
	wantAccounted(t, p, 5, counts{rows: 4, letters: 1})
	verified(t, p)
	if again, err := daemon.Rederive(t.Context(), p, 2, quiet); err != nil || len(again.Missing) != 0 {
		t.Errorf("the second time: %+v (%v), want nothing missing", again, err)
	}
}

func TestLostFileOfACommittedEpochIsDerivedAgain(t *testing.T) {
	dir := t.TempDir()
	install(t, kit, dir, "kit")
	p := setup{plugin: kitPlugin("{mode: poison}", "dead_letter")}.load(t, dir)
	produce(t, p, "events", `{"id":1,"text":"a"}`, `{"id":2,"text":"panic"}`)
	mustRun(t, p)
	produce(t, p, "events", `{"id":3}`)
	mustRun(t, p)
	lost := newestFiles(t, p, "1")
	if err := os.Remove(lost[0]); err != nil {
		t.Fatal(err)
	}
	v, err := daemon.Verify(t.Context(), p, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if v.Proven || v.CounterExamples[0].Check != lakehouse.CheckMissingFile || !strings.Contains(v.CounterExamples[0].String(), filepath.Base(lost[0])) {
		t.Errorf("verified %v, want the missing file", v.CounterExamples)
	}
	r, err := daemon.Rederive(t.Context(), p, 1, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Missing) != 1 || !r.Missing[0].Committed {
		t.Errorf("derived %+v again, want one committed file", r.Missing)
	}
	wantAccounted(t, p, 3, counts{rows: 2, letters: 1})
	produce(t, p, "events", `{"id":4}`)
	mustRun(t, p)
	if v := verified(t, p); v.Epochs != 3 || v.Models[0].Rows != 3 {
		t.Errorf("epoch %d, %d rows, want 3 and 3", v.Epochs, v.Models[0].Rows)
	}
}

func TestWhatCannotBeDerivedAgainIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, p *project.Project, dir string) *project.Project
		want   error
		says   string
	}{
		"another plugin": {func(t *testing.T, p *project.Project, dir string) *project.Project {
			file := filepath.Join(dir, "plugins", "kit.wasm")
			module, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			// A custom section changes the digest and nothing else.
			section := append(counted([]byte("note")), 'x')
			installBytes(t, slices.Concat(module, []byte{0}, counted(section)), dir, "kit")
			return p
		}, lakehouse.ErrNotReproduced, "was derived by plugins"},
		"another project": {func(t *testing.T, _ *project.Project, dir string) *project.Project {
			return setup{plugin: kitPlugin("{mode: pass}", "dead_letter")}.load(t, dir)
		}, lakehouse.ErrNotReproduced, "the project has changed"},
		"a topic made again": {func(t *testing.T, p *project.Project, dir string) *project.Project {
			if err := os.RemoveAll(p.Path(p.Connections.Kafka.Embedded.Dir)); err != nil {
				t.Fatal(err)
			}
			produce(t, p, "events", `{"id":7}`, `{"id":8}`, `{"id":9}`, `{"id":10}`)
			return p
		}, lakehouse.ErrNotReproduced, "source events/0"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			install(t, kit, dir, "kit")
			p := setup{plugin: kitPlugin("{mode: poison}", "dead_letter")}.load(t, dir)
			decided(t, p)
			if err := os.Remove(newestFiles(t, p, "2")[0]); err != nil {
				t.Fatal(err)
			}
			p = c.change(t, p, dir)
			_, err := daemon.Rederive(t.Context(), p, 2, quiet)
			wantError(t, err, c.want, c.says)
			if v := verified(t, p); v.Epochs != 1 {
				t.Errorf("the tables show epoch %d, want 1", v.Epochs)
			}
		})
	}
	p := setup{}.load(t, t.TempDir())
	produce(t, p, "events", `{"id":1}`)
	mustRun(t, p)
	_, err := daemon.Rederive(t.Context(), p, 7, quiet)
	wantError(t, err, lakehouse.ErrNotInLog, "ends at epoch 1")
}
