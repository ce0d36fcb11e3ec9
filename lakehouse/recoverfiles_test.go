package lakehouse

import (
	"errors"
	"strings"
	"testing"

	"github.com/apache/iceberg-go/table"
)

// fourth is what the epoch after goodEpochs takes.
var fourth = []taken{{from: 5000, to: 5004, rows: [][2]int64{{5000, 0}, {5001, 0}, {5001, 1}}, dead: [][2]int64{{5003, -1}}, filtered: 1}}

// decideFourth decides epoch 4, commits it if asked, and loses its data files
// of the tables named.
func (w *world) decideFourth(commit bool, lose ...string) *Epoch {
	w.t.Helper()
	l := w.lake("w4")
	s, err := l.Start(w.t.Context(), eventDefinitions)
	if err != nil {
		w.t.Fatal(err)
	}
	e := w.record(l, s, fourth)
	if commit {
		w.commit(l, e)
	}
	for _, name := range lose {
		for _, f := range e.Change(name).Add {
			if err := w.store.Delete(w.t.Context(), f.Location); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	return e
}

// derive writes the files of epoch 4 once more, from what its topics hold.
func (w *world) derive(l *Lake, parts []taken) []TableChange {
	w.t.Helper()
	s := &Start{Tables: map[string]*Table{}, Epochs: map[string]int64{}}
	for _, d := range eventDefinitions {
		tbl, err := l.Ensure(w.t.Context(), d)
		if err != nil {
			w.t.Fatal(err)
		}
		s.Tables[d.ID.String()] = tbl
	}
	return w.changes(l, s, 4, parts)
}

var allTables = []string{"staging.events", "calve_shop.dead_letters", "calve_shop.epochs"}

func TestStartStopsAtADecidedFileThatIsMissing(t *testing.T) {
	for _, name := range allTables {
		w := lakeWith(t, goodEpochs()...)
		e := w.decideFourth(false, name)
		_, err := w.lake("w5").Start(t.Context(), eventDefinitions)
		if !errors.Is(err, ErrMissingFile) {
			t.Fatalf("%s: got %v, want ErrMissingFile", name, err)
		}
		for _, part := range []string{e.Change(name).Add[0].Location, name, "epoch 4", "calve recover --rederive 4"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q does not name %s", err, part)
			}
		}
		if got := w.load(name).Metadata(); newestOurs(got).Epoch != 3 {
			t.Errorf("%s shows epoch %d", name, newestOurs(got).Epoch)
		}
	}
}

func TestStartStopsAtADecidedFileThatIsTruncated(t *testing.T) {
	w := lakeWith(t, goodEpochs()...)
	f := w.decideFourth(false, "staging.events").Change("staging.events").Add[0]
	if err := w.store.Put(t.Context(), f.Location, []byte("PAR1")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.lake("w5").Start(t.Context(), eventDefinitions); !errors.Is(err, ErrMissingFile) || !strings.Contains(err.Error(), "has 4 bytes") {
		t.Errorf("got %v, want ErrMissingFile saying its size", err)
	}
}

func TestRederivedEpochIsCommittedOnce(t *testing.T) {
	for name, c := range map[string]struct {
		committed bool
		lose      []string
	}{
		"rows, not committed":       {false, []string{"staging.events"}},
		"letters, not committed":    {false, []string{"calve_shop.dead_letters"}},
		"everything, not committed": {false, allTables},
		"rows, committed":           {true, []string{"staging.events"}},
		"everything, committed":     {true, allTables},
		"nothing":                   {false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := lakeWith(t, goodEpochs()...)
			e := w.decideFourth(c.committed, c.lose...)
			l := w.lake("deriver")
			derived := w.derive(l, fourth)
			if err := l.CommitRederived(t.Context(), e, derived); err != nil {
				t.Fatal(err)
			}
			if err := l.CommitRederived(t.Context(), e, derived); err != nil {
				t.Errorf("the second time: %v", err)
			}
			v := w.verify()
			if !v.Proven || v.Epochs != 4 {
				t.Fatalf("after epoch %d: %v", v.Epochs, v.CounterExamples)
			}
			w.goOn(5004)
		})
	}
}

// The zombie that recorded the epoch commits it as it is, lost files and all,
// while they are being derived.
func TestRederivedFilesReplaceThoseOfAZombie(t *testing.T) {
	w := lakeWith(t, goodEpochs()...)
	e := w.decideFourth(false, "staging.events")
	l := w.lake("deriver")
	derived := w.derive(l, fourth)
	zombie := w.lake("w4")
	first := true
	w.catalog.onCommit = func(int) {
		if first {
			first = false
			w.commit(zombie, e)
		}
	}
	if err := l.CommitRederived(t.Context(), e, derived); err != nil {
		t.Fatal(err)
	}
	if v := w.verify(); !v.Proven {
		t.Errorf("%v", v.CounterExamples)
	}
	head := w.load("staging.events").CurrentSnapshot()
	if head.Summary.Operation != table.OpReplace || head.Summary.Properties["total-records"] != "14" {
		t.Errorf("head %v, want a replace of 14 rows", head.Summary)
	}
	w.goOn(5004)
}

func TestLostReplyOfAReplaceIsFound(t *testing.T) {
	w := lakeWith(t, goodEpochs()...)
	e := w.decideFourth(true, "staging.events")
	l := w.lake("deriver")
	derived := w.derive(l, fourth)
	snapshots := len(w.load("staging.events").Metadata().Snapshots())
	w.catalog.after = []error{errors.New("connection reset")}
	if err := l.CommitRederived(t.Context(), e, derived); err != nil {
		t.Fatal(err)
	}
	if got := len(w.load("staging.events").Metadata().Snapshots()); got != snapshots+1 {
		t.Errorf("%d snapshots, want %d", got, snapshots+1)
	}
	if v := w.verify(); !v.Proven {
		t.Errorf("%v", v.CounterExamples)
	}
}

func TestRederivedEpochThatDiffersIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		derived []taken
		says    string
	}{
		"a row less":  {[]taken{{from: 5000, to: 5004, rows: [][2]int64{{5000, 0}, {5001, 0}}, dead: [][2]int64{{5003, -1}}, filtered: 1}}, "2 rows for staging.events, the record of epoch 4 says 3"},
		"no rows":     {[]taken{{from: 5000, to: 5004, dead: [][2]int64{{5003, -1}}, filtered: 3}}, "0 rows for staging.events"},
		"more nulls":  {[]taken{{partition: -1, from: 5000, to: 5004, rows: [][2]int64{{5000, 0}, {5001, 0}, {5001, 1}}, dead: [][2]int64{{5003, -1}}, filtered: 1}}, "column kafka_topic of staging.events has 3 nulls, the record of epoch 4 says 0"},
		"no letter":   {[]taken{{from: 5000, to: 5004, rows: [][2]int64{{5000, 0}, {5001, 0}, {5001, 1}}, filtered: 2}}, "0 rows for calve_shop.dead_letters"},
		"two letters": {[]taken{{from: 5000, to: 5004, rows: [][2]int64{{5000, 0}, {5001, 0}, {5001, 1}}, dead: [][2]int64{{5003, -1}, {5002, -1}}}}, "2 rows for calve_shop.dead_letters"},
	} {
		t.Run(name, func(t *testing.T) {
			w := lakeWith(t, goodEpochs()...)
			e := w.decideFourth(false, "staging.events")
			l := w.lake("deriver")
			err := l.CommitRederived(t.Context(), e, w.derive(l, c.derived))
			if !errors.Is(err, ErrNotReproduced) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want ErrNotReproduced saying %q", err, c.says)
			}
			if got := newestOurs(w.load("staging.events").Metadata()).Epoch; got != 3 {
				t.Errorf("the table shows epoch %d, want 3", got)
			}
		})
	}
}

func TestFilesCompactedAwayAreNotMissing(t *testing.T) {
	w := lakeWith(t, goodEpochs()...)
	e := w.decideFourth(true)
	w.compact("staging.events")
	for _, f := range e.Change("staging.events").Add {
		if err := w.store.Delete(t.Context(), f.Location); err != nil {
			t.Fatal(err)
		}
	}
	missing, err := w.lake("w5").Missing(t.Context(), e)
	if err != nil || len(missing) != 0 {
		t.Errorf("missing %v (%v), want none", missing, err)
	}
}

func TestDecidedReadsARecordOfTheLog(t *testing.T) {
	w := lakeWith(t, goodEpochs()...)
	l := w.lake("w5")
	e, err := l.Decided(t.Context(), 2)
	if err != nil || e.Number != 2 {
		t.Errorf("got %v (%v), want epoch 2", e, err)
	}
	if _, err := l.Decided(t.Context(), 9); !errors.Is(err, ErrNotInLog) || !strings.Contains(err.Error(), "ends at epoch 3") {
		t.Errorf("got %v, want ErrNotInLog", err)
	}
	if err := l.Log().Prune(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Decided(t.Context(), 2); !errors.Is(err, ErrNotInLog) || !strings.Contains(err.Error(), "pruned") {
		t.Errorf("got %v, want ErrNotInLog saying that it is pruned", err)
	}
}
