package lakehouse

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
)

// loseLog removes objects of the epoch log: all of it, or those of the given
// numbers.
func (w *world) loseLog(numbers ...int64) {
	w.t.Helper()
	log := w.lake("x").Log()
	if len(numbers) > 0 {
		for _, n := range numbers {
			if err := w.store.Delete(w.t.Context(), log.location("epochs", n)); err != nil {
				w.t.Fatal(err)
			}
		}
		return
	}
	for object, err := range w.store.List(w.t.Context(), "s3://lake/_calve/") {
		if err == nil {
			err = w.store.Delete(w.t.Context(), object.Location)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) recover() (*Recovery, error) {
	return w.lake("recoverer").Recover(w.t.Context(), eventDefinitions, "main")
}

// goOn starts, takes one more epoch and verifies.
func (w *world) goOn(from int64) *Start {
	w.t.Helper()
	l := w.lake("successor")
	s, err := l.Start(w.t.Context(), eventDefinitions)
	if err != nil {
		w.t.Fatal(err)
	}
	w.commit(l, w.record(l, s, []taken{{from: from, to: from + 1, rows: [][2]int64{{from, 0}}}}))
	if v := w.verify(); !v.Proven {
		w.t.Errorf("not proven after recovery: %v", v.CounterExamples)
	}
	return s
}

func TestRecoverRebuildsALostLog(t *testing.T) {
	w := lakeWith(t, goodEpochs()...)
	log := w.lake("x").Log()
	before, err := log.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.loseLog()
	if _, err := w.lake("w2").Start(t.Context(), eventDefinitions); !errors.Is(err, ErrLostLog) {
		t.Fatalf("start without a log: %v, want ErrLostLog", err)
	}
	r, err := w.recover()
	if err != nil {
		t.Fatal(err)
	}
	if r.Floor.Number != 3 || !strings.HasSuffix(r.Location, "/floor/00000000000000000003") {
		t.Errorf("floor %d at %s, want 3", r.Floor.Number, r.Location)
	}
	// The newest record knew every TopicPartition that moved in it; those that
	// moved before are in older ones.
	want := `[{"name":"main","models":["events"],"inputs":{"events":"orders"},"ranges":[` +
		`{"cluster_id":"cluster","topic_id":"topic","topic":"orders","partition":0,"from":5000,"to":5000,"leader_epoch":3,"delivered":0},` +
		`{"cluster_id":"cluster","topic_id":"topic","topic":"orders","partition":1,"from":5,"to":5,"leader_epoch":3,"delivered":0}]}]`
	if got, err := json.Marshal(r.Floor.Positions); err != nil || string(got) != want {
		t.Errorf("positions\n%s\nwant\n%s (%v)", got, want, err)
	}
	last := before.Epochs[2]
	if len(r.Floor.Tables) != len(last.Tables) {
		t.Errorf("%d tables, want %d", len(r.Floor.Tables), len(last.Tables))
	}
	for _, state := range last.Tables {
		found := false
		for _, got := range r.Floor.Tables {
			found = found || got == state
		}
		if !found {
			t.Errorf("%+v is not among %+v", state, r.Floor.Tables)
		}
	}
	if s := w.goOn(5000); s.Last != 4 {
		t.Errorf("went on to epoch %d, want 4", s.Last)
	}
}

func TestRecoverAfterSnapshotExpiry(t *testing.T) {
	w := lakeWith(t, goodEpochs()...)
	w.compact("staging.events")
	for _, d := range eventDefinitions {
		meta := w.load(d.ID.String()).Metadata()
		var old []int64
		for _, s := range meta.Snapshots() {
			if s.SnapshotID != meta.CurrentSnapshot().SnapshotID {
				old = append(old, s.SnapshotID)
			}
		}
		w.apply(d.ID.String(), table.NewRemoveSnapshotsUpdate(old, false))
	}
	w.loseLog()
	if _, err := w.recover(); err != nil {
		t.Fatal(err)
	}
	w.goOn(5000)
}

func TestRecoverRebuildsALogThatIsBehindOrBroken(t *testing.T) {
	for name, lose := range map[string]func(w *world){
		"the newest record lost": func(w *world) { w.loseLog(3) },
		"a record between lost":  func(w *world) { w.loseLog(2) },
		"a record damaged": func(w *world) {
			w.loseLog(3)
			if err := w.store.Put(w.t.Context(), w.lake("x").Log().location("epochs", 3), []byte("damaged")); err != nil {
				w.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := lakeWith(t, goodEpochs()...)
			lose(w)
			if _, err := w.recover(); err != nil {
				t.Fatal(err)
			}
			w.goOn(5000)
		})
	}
}

func TestRecoverKeepsADecidedEpochBeyondTheTables(t *testing.T) {
	w := lakeWith(t, goodEpochs()...)
	l := w.lake("w2")
	s, err := l.Start(t.Context(), eventDefinitions)
	if err != nil {
		t.Fatal(err)
	}
	w.record(l, s, []taken{{from: 5000, to: 5001, rows: [][2]int64{{5000, 0}}}}) // and dies before the commit
	w.loseLog(2)
	if _, err := w.recover(); err != nil {
		t.Fatal(err)
	}
	w.goOn(5001)
	if v := w.verify(); v.Epochs != 5 {
		t.Errorf("audit ends at epoch %d, want 5: the decided epoch 4 was dropped", v.Epochs)
	}
}

func TestRecoverRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		arrange func(w *world)
		want    error
		says    string
	}{
		"a log that is whole": {func(w *world) {}, ErrNothingToRecover, "ends at epoch 3, the tables at 3; calve run goes on"},
		"a log ahead of the tables": {func(w *world) {
			l := w.lake("w2")
			s, err := l.Start(w.t.Context(), eventDefinitions)
			if err != nil {
				w.t.Fatal(err)
			}
			w.record(l, s, []taken{{from: 5000, to: 5001, rows: [][2]int64{{5000, 0}}}})
		}, ErrNothingToRecover, "ends at epoch 4, the tables at 3"},
		"a decided record that is lost while a later one is there": {func(w *world) {
			l := w.lake("w2")
			s, err := l.Start(w.t.Context(), eventDefinitions)
			if err != nil {
				w.t.Fatal(err)
			}
			w.record(l, s, []taken{{from: 5000, to: 5001, rows: [][2]int64{{5000, 0}}}})
			w.record(l, s, []taken{{from: 5001, to: 5002, rows: [][2]int64{{5001, 0}}}})
			w.loseLog(4)
		}, ErrUndecidable, "record 4 of s3://lake/_calve/shop is missing"},
		"a record that does not follow from the tables": {func(w *world) {
			l := w.lake("w2")
			s, err := l.Start(w.t.Context(), eventDefinitions)
			if err != nil {
				w.t.Fatal(err)
			}
			w.record(l, s, []taken{{from: 4000, to: 5001, rows: [][2]int64{{5000, 0}}}})
			w.loseLog(2)
		}, ErrUndecidable, "takes orders/0 from offset 4000, the tables end at 5000"},
		"a damaged floor": {func(w *world) {
			w.loseLog()
			if err := w.store.Put(w.t.Context(), w.lake("x").Log().location("floor", 3), []byte("{")); err != nil {
				w.t.Fatal(err)
			}
		}, ErrUndecidable, "floor/00000000000000000003 exists"},
		"a commit that stopped half way": {func(w *world) {
			w.catalog.separate = true
			l := w.lake("w2")
			s, err := l.Start(w.t.Context(), eventDefinitions)
			if err != nil {
				w.t.Fatal(err)
			}
			e := w.record(l, s, []taken{{from: 5000, to: 5001, rows: [][2]int64{{5000, 0}}}})
			w.catalog.before = []error{nil}
			for range 20 {
				w.catalog.before = append(w.catalog.before, catalog.ErrUnreachable)
			}
			if err := l.Commit(w.t.Context(), e); !errors.Is(err, ErrNotCommitted) {
				w.t.Fatal(err)
			}
			w.loseLog()
		}, ErrTablesDisagree, "staging.events is at epoch 4, the audit table knows it at 3: roll it back to snapshot "},
		"a table restored from an older copy": {func(w *world) {
			w.loseLog()
			meta := w.load("staging.events").Metadata()
			p := newestOurs(meta)
			p.Epoch, p.SnapshotID = 1, meta.Snapshots()[0].SnapshotID
			w.apply("staging.events",
				table.NewSetSnapshotRefUpdate(table.MainBranch, p.SnapshotID, table.BranchRef, 0, 0, 0),
				table.NewSetPropertiesUpdate(map[string]string{PropertyEpoch: p.encode()}))
		}, ErrTablesDisagree, "staging.events is at epoch 1, the audit table says that epoch 3 touched it"},
		"a table gone": {func(w *world) {
			w.loseLog()
			if err := w.open().Drop(w.t.Context(), eventTable.ID); err != nil {
				w.t.Fatal(err)
			}
		}, ErrTablesDisagree, "staging.events is gone, epoch 3 wrote it"},
		"the audit table gone": {func(w *world) {
			w.loseLog()
			if err := w.open().Drop(w.t.Context(), AuditDefinition("shop").ID); err != nil {
				w.t.Fatal(err)
			}
		}, ErrTablesDisagree, "calve_shop.epochs is gone"},
		"a table rolled back": {func(w *world) {
			w.loseLog()
			w.apply("staging.events", table.NewSetSnapshotRefUpdate(table.MainBranch, w.load("staging.events").Metadata().Snapshots()[0].SnapshotID, table.BranchRef, 0, 0, 0))
		}, ErrForeign, "rolled back"},
	} {
		t.Run(name, func(t *testing.T) {
			w := lakeWith(t, goodEpochs()...)
			c.arrange(w)
			objects := w.logObjects()
			_, err := w.recover()
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %v saying %q", err, c.want, c.says)
			}
			if after := w.logObjects(); after != objects {
				t.Errorf("the log was changed:\n%s\nbefore:\n%s", after, objects)
			}
		})
	}
	if _, err := newWorld(t).recover(); !errors.Is(err, ErrNothingToRecover) {
		t.Errorf("an empty lake: %v, want ErrNothingToRecover", err)
	}
}

func (w *world) logObjects() string {
	w.t.Helper()
	var b strings.Builder
	for object, err := range w.store.List(w.t.Context(), "s3://lake/_calve/") {
		if err != nil {
			w.t.Fatal(err)
		}
		b.WriteString(object.Location + "\n")
	}
	return b.String()
}

// The way back that a refusal names works: roll back, set the property,
// recover, go on.
func TestWayBackFromAHalfCommit(t *testing.T) {
	w := lakeWith(t, goodEpochs()...)
	meta := w.load("staging.events").Metadata()
	want := wayBack(meta, 3)
	snapshot := meta.CurrentSnapshot()
	w.catalog.separate = true
	l := w.lake("w2")
	s, err := l.Start(t.Context(), eventDefinitions)
	if err != nil {
		t.Fatal(err)
	}
	e := w.record(l, s, []taken{{from: 5000, to: 5001, rows: [][2]int64{{5000, 0}}}})
	e.Changes = e.Changes[:1] // dies after the first table
	w.commit(l, e)
	w.loseLog()
	if _, err := w.recover(); !errors.Is(err, ErrTablesDisagree) || !strings.Contains(err.Error(), want) {
		t.Fatalf("got %v, want ErrTablesDisagree saying %q", err, want)
	}
	w.apply("staging.events",
		table.NewSetSnapshotRefUpdate(table.MainBranch, snapshot.SnapshotID, table.BranchRef, 0, 0, 0),
		table.NewSetPropertiesUpdate(map[string]string{PropertyEpoch: snapshot.Summary.Properties[PropertyEpoch]}))
	if _, err := w.recover(); err != nil {
		t.Fatal(err)
	}
	w.goOn(5000)
}

func TestRecoveredReaders(t *testing.T) {
	row := func(model, reader string) func(*AuditRow) {
		return func(r *AuditRow) { r.Model, r.Table, r.Reader = model, "", reader }
	}
	for name, c := range map[string]struct {
		epochs [][]taken
		want   string // reader: models @ ends
	}{
		"a model that stopped is left out": {[][]taken{
			{{from: 0, to: 2, filtered: 1}, {from: 0, to: 2, filtered: 1, edit: row("former", "main")}},
			{{from: 2, to: 3, filtered: 1}},
		}, "main: [events] @3"},
		"a model that reads later has its own reader": {[][]taken{
			{{from: 0, to: 9, filtered: 1}},
			{{from: 0, to: 4, filtered: 1, edit: row("added", "added")}, {from: 9, to: 10, filtered: 1}},
		}, "main: [events] @10, added: [added] @4"},
		"a model that has caught up is with the others": {[][]taken{
			{{from: 0, to: 9, filtered: 1}},
			{{from: 0, to: 9, filtered: 1, edit: row("added", "added")}},
			{{from: 9, to: 12, filtered: 1}, {from: 9, to: 12, filtered: 1, edit: row("added", "main")}},
		}, "main: [added events] @12"},
	} {
		t.Run(name, func(t *testing.T) {
			w := lakeWith(t, c.epochs...)
			w.loseLog()
			r, err := w.recover()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, reader := range r.Floor.Positions {
				got = append(got, fmt.Sprintf("%s: %v @%d", reader.Name, reader.Models, reader.Ranges[0].To))
			}
			if text := strings.Join(got, ", "); text != c.want {
				t.Errorf("readers %s, want %s", text, c.want)
			}
		})
	}
}
