package lakehouse

import (
	"errors"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
)

func tableReader(rows arrow.RecordBatch) (array.RecordReader, error) {
	return array.NewRecordReader(rows.Schema(), []arrow.RecordBatch{rows})
}

// apply commits raw updates as another engine would.
func (w *world) apply(name string, updates ...table.Update) {
	w.t.Helper()
	tbl := w.load(name)
	commit := table.TableCommit{Identifier: tbl.Identifier(), Requirements: []table.Requirement{table.AssertTableUUID(tbl.Metadata().TableUUID())}, Updates: updates}
	if err := w.catalog.Catalog.Commit(w.t.Context(), []table.TableCommit{commit}); err != nil {
		w.t.Fatal(err)
	}
}

// twoEpochs commits two epochs to both tables.
func (w *world) twoEpochs() {
	w.t.Helper()
	l := w.lake("w1")
	s := w.start(l)
	w.commit(l, w.epoch(l, s, "staging.a", "staging.b"))
	w.commit(l, w.epoch(l, s, "staging.a", "staging.b"))
}

func TestStartRefusesWhatDoesNotAgree(t *testing.T) {
	for name, c := range map[string]struct {
		breakIt func(w *world)
		want    error
		says    string
	}{
		"a table rolled back": {func(w *world) {
			first := w.load("staging.a").Metadata().Snapshots()[0].SnapshotID
			w.apply("staging.a", table.NewSetSnapshotRefUpdate(table.MainBranch, first, table.BranchRef, 0, 0, 0))
		}, ErrForeign, "rolled back"},
		"the epoch property gone": {func(w *world) {
			w.apply("staging.a", table.NewRemovePropertiesUpdate([]string{PropertyEpoch}))
		}, ErrForeign, PropertyEpoch},
		"a table dropped": {func(w *world) {
			if err := w.open().Drop(w.t.Context(), catalog.Identifier{Namespace: "staging", Name: "b"}); err != nil {
				w.t.Fatal(err)
			}
		}, catalog.ErrNoSuchTable, "staging.b"},
		"a table made again": {func(w *world) {
			id := catalog.Identifier{Namespace: "staging", Name: "b"}
			if err := w.open().Drop(w.t.Context(), id); err != nil {
				w.t.Fatal(err)
			}
			if _, err := w.lake("w2").create(w.t.Context(), testDefinitions()[1]); err != nil {
				w.t.Fatal(err)
			}
		}, ErrForeign, "made again"},
		"the log lost": {func(w *world) {
			for object, err := range w.store.List(w.t.Context(), "s3://lake/_calve/") {
				if err == nil {
					err = w.store.Delete(w.t.Context(), object.Location)
				}
				if err != nil {
					w.t.Fatal(err)
				}
			}
		}, ErrLostLog, "staging.a shows epoch 2"},
		"a record lost": {func(w *world) {
			if err := w.store.Delete(w.t.Context(), w.lake("w2").Log().location("epochs", 1)); err != nil {
				w.t.Fatal(err)
			}
		}, ErrHole, "record 1"},
		"the newest record lost": {func(w *world) {
			if err := w.store.Delete(w.t.Context(), w.lake("w2").Log().location("epochs", 2)); err != nil {
				w.t.Fatal(err)
			}
		}, ErrLostLog, "epoch 2"},
		"another owner": {func(w *world) {
			w.apply("staging.b", table.NewSetPropertiesUpdate(iceberg.Properties{PropertyPipeline: "other"}))
		}, ErrOtherPipeline, `"other"`},
		"a column added that takes no null": {func(w *world) {
			schema := w.load("staging.b").Schema()
			fields := append(schema.Fields(), iceberg.NestedField{ID: 9, Name: "extra", Type: iceberg.PrimitiveTypes.String, Required: true})
			w.apply("staging.b", table.NewAddSchemaUpdate(iceberg.NewSchema(1, fields...)), table.NewSetCurrentSchemaUpdate(-1))
		}, ErrDiffers, "column extra"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.twoEpochs()
			c.breakIt(w)
			_, err := w.lake("w2").Start(t.Context(), testDefinitions())
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %v saying %q", err, c.want, c.says)
			}
		})
	}
}

func TestRenamedPipelineIsRefused(t *testing.T) {
	w := newWorld(t)
	w.twoEpochs()
	l := w.lake("w2")
	l.pipeline = "renamed"
	if _, err := l.Start(t.Context(), testDefinitions()); !errors.Is(err, ErrOtherPipeline) || !strings.Contains(err.Error(), `"shop"`) {
		t.Errorf("got %v, want ErrOtherPipeline naming the old one", err)
	}
}

func TestTableOfSomebodyElseIsNotWritten(t *testing.T) {
	w := newWorld(t)
	cat := w.open()
	if err := cat.EnsureNamespace(t.Context(), "staging"); err != nil {
		t.Fatal(err)
	}
	schema, err := testDefinitions()[1].icebergSchema()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cat.Create(t.Context(), testDefinitions()[1].ID, catalog.CreateSpec{Schema: schema}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.lake("w1").Start(t.Context(), testDefinitions()); !errors.Is(err, ErrOtherPipeline) {
		t.Errorf("got %v, want ErrOtherPipeline", err)
	}
}

func TestForeignAppendsNeitherBlockNorHideProgress(t *testing.T) {
	w := newWorld(t)
	w.twoEpochs()
	w.foreignAppend("staging.a", 100)
	l := w.lake("w2")
	s := w.start(l)
	if s.Epochs["staging.a"] != 2 {
		t.Fatalf("staging.a at epoch %d, want 2", s.Epochs["staging.a"])
	}
	w.commit(l, w.epoch(l, s, "staging.a"))
	w.expectIDs("staging.a", 1, 2, 3, 100)
}

func TestProgressSurvivesExpiryOfItsSnapshot(t *testing.T) {
	w := newWorld(t)
	w.twoEpochs()
	w.foreignAppend("staging.a", 100)
	meta := w.load("staging.a").Metadata()
	var ours []int64
	for _, s := range meta.Snapshots() {
		if s.SnapshotID != meta.CurrentSnapshot().SnapshotID {
			ours = append(ours, s.SnapshotID)
		}
	}
	w.apply("staging.a", table.NewRemoveSnapshotsUpdate(ours, false))
	l := w.lake("w2")
	s := w.start(l)
	w.commit(l, w.epoch(l, s, "staging.a"))
	w.expectIDs("staging.a", 1, 2, 3, 100)
}

func TestModelThatComesBackIsRefused(t *testing.T) {
	w := newWorld(t)
	w.twoEpochs()
	l := w.lake("w2")
	s, err := l.Start(t.Context(), testDefinitions()[:1]) // without staging.b
	if err != nil {
		t.Fatal(err)
	}
	w.commit(l, w.epoch(l, s, "staging.a"))
	_, err = w.lake("w3").Start(t.Context(), testDefinitions())
	if !errors.Is(err, ErrTakenOut) || !strings.Contains(err.Error(), "staging.b has rows up to epoch 2 and no model of epoch 3 writes it") {
		t.Errorf("got %v, want ErrTakenOut", err)
	}
}
