package lakehouse

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

func TestManifestsStayFewAndKeepEveryFile(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.start(l)
	const epochs = 3*mergeFanIn + 5
	var want []int64
	for n := int64(1); n <= epochs; n++ {
		w.commit(l, w.epoch(l, s, "staging.a"))
		want = append(want, n)
	}
	tbl := w.load("staging.a")
	fs, err := tbl.FS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := tbl.CurrentSnapshot().Manifests(fs)
	if err != nil {
		t.Fatal(err)
	}
	if len(manifests) > 2*mergeFanIn {
		t.Errorf("%d manifests after %d epochs, want at most %d", len(manifests), epochs, 2*mergeFanIn)
	}
	w.expectIDs("staging.a", want...)
	// A merged entry keeps the snapshot and the sequence number of its file.
	sequences := map[int64]bool{}
	for _, m := range manifests {
		for entry, err := range m.Entries(fs, true) {
			if err != nil {
				t.Fatal(err)
			}
			if sequences[entry.SequenceNum()] || entry.SequenceNum() < 1 || entry.SequenceNum() > epochs {
				t.Fatalf("sequence number %d of %s", entry.SequenceNum(), entry.DataFile().FilePath())
			}
			sequences[entry.SequenceNum()] = true
		}
	}
	if len(sequences) != epochs {
		t.Errorf("%d entries, want %d", len(sequences), epochs)
	}
	if got := tbl.CurrentSnapshot().Summary.Properties["total-data-files"]; got != strconv.Itoa(epochs) {
		t.Errorf("total-data-files %s, want %d", got, epochs)
	}
}

func TestOldSnapshotsLeaveWithACommit(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.start(l)
	for range 4 {
		w.commit(l, w.epoch(l, s, "staging.a"))
	}
	tagged := w.load("staging.a").Metadata().Snapshots()[0].SnapshotID
	w.apply("staging.a", table.NewSetPropertiesUpdate(iceberg.Properties{propertyMaxSnapshots: "3"}),
		table.NewSetSnapshotRefUpdate("kept", tagged, table.TagRef, 0, 0, 0))
	l = w.lake("w2")
	s = w.start(l)
	w.commit(l, w.epoch(l, s, "staging.a"))
	meta := w.load("staging.a").Metadata()
	if n := len(meta.Snapshots()); n != 4 { // three of main, and the tagged one
		t.Errorf("%d snapshots, want 4", n)
	}
	if meta.SnapshotByID(tagged) == nil {
		t.Error("the tagged snapshot is gone")
	}
	w.expectIDs("staging.a", 1, 2, 3, 4, 5)
	if again := w.start(w.lake("w3")); again.Epochs["staging.a"] != 5 {
		t.Errorf("epoch %d after expiry, want 5", again.Epochs["staging.a"])
	}
}

func TestSnapshotsExpireByAge(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.start(l)
	for range 3 {
		w.commit(l, w.epoch(l, s, "staging.a"))
	}
	meta := w.load("staging.a").Metadata()
	if got := expired(meta, time.Now()); len(got) != 0 {
		t.Errorf("%v expire at once", got)
	}
	if got := expired(meta, time.Now().Add(25*time.Hour)); len(got) != 2 {
		t.Errorf("%d expire after a day, want all but the head", len(got))
	}
}

// foreign makes an empty-handed snapshot with an operation and counts, as
// another engine would after changing files.
func (w *world) foreign(name string, operation table.Operation, properties iceberg.Properties) int64 {
	w.t.Helper()
	meta := w.load(name).Metadata()
	head := meta.CurrentSnapshot()
	id := newSnapshotID(meta)
	parent := head.SnapshotID
	w.apply(name, table.NewAddSnapshotUpdate(&table.Snapshot{
		SnapshotID: id, ParentSnapshotID: &parent, SequenceNumber: meta.LastSequenceNumber() + 1,
		TimestampMs: meta.LastUpdatedMillis(), ManifestList: head.ManifestList,
		Summary: &table.Summary{Operation: operation, Properties: properties},
	}), table.NewSetSnapshotRefUpdate(table.MainBranch, id, table.BranchRef, 0, 0, 0))
	return id
}

func TestForeignCompactionIsAccepted(t *testing.T) {
	w := newWorld(t)
	w.twoEpochs()
	w.foreign("staging.a", table.OpReplace, iceberg.Properties{"added-records": "2", "deleted-records": "2"})
	l := w.lake("w2")
	s := w.start(l)
	w.commit(l, w.epoch(l, s, "staging.a"))
	w.expectIDs("staging.a", 1, 2, 3)
}

func TestForeignDeletesAreRefusedUntilAccepted(t *testing.T) {
	for _, c := range []struct {
		operation  table.Operation
		properties iceberg.Properties
	}{
		{table.OpDelete, iceberg.Properties{"deleted-records": "1"}},
		{table.OpOverwrite, iceberg.Properties{"added-records": "1", "deleted-records": "1"}},
		{table.OpReplace, iceberg.Properties{"added-records": "1", "deleted-records": "2"}},
	} {
		t.Run(fmt.Sprint(c.operation), func(t *testing.T) {
			w := newWorld(t)
			w.twoEpochs()
			id := w.foreign("staging.a", c.operation, c.properties)
			_, err := w.lake("w2").Start(t.Context(), testDefinitions())
			if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), fmt.Sprintf("%s to %d", PropertyAccepted, id)) {
				t.Fatalf("got %v, want ErrForeign with the way to accept it", err)
			}
			w.apply("staging.a", table.NewSetPropertiesUpdate(iceberg.Properties{PropertyAccepted: strconv.FormatInt(id, 10)}))
			l := w.lake("w3")
			s := w.start(l)
			w.commit(l, w.epoch(l, s, "staging.a"))
			// What comes after the accepted snapshot is looked at again.
			w.foreign("staging.a", table.OpDelete, nil)
			if _, err := w.lake("w4").Start(t.Context(), testDefinitions()); !errors.Is(err, ErrForeign) {
				t.Errorf("got %v, want ErrForeign", err)
			}
		})
	}
}

func TestTagMadeWhileTheWriterRunsIsKept(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.start(l)
	w.commit(l, w.epoch(l, s, "staging.a"))
	first := w.load("staging.a").Metadata().Snapshots()[0].SnapshotID
	w.apply("staging.a", table.NewSetPropertiesUpdate(iceberg.Properties{propertyMaxSnapshots: "2"}),
		table.NewSetSnapshotRefUpdate("kept", first, table.TagRef, 0, 0, 0))
	for range 2 * reloadEvery {
		w.commit(l, w.epoch(l, s, "staging.a"))
	}
	meta := w.load("staging.a").Metadata()
	if meta.SnapshotByID(first) == nil {
		t.Error("the tagged snapshot is gone")
	}
	if n := len(meta.Snapshots()); n > reloadEvery+3 {
		t.Errorf("%d snapshots, want no more than those since the table was last loaded", n)
	}
}

func TestTableIsLoadedOnceForManyEpochs(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.start(l)
	w.catalog.loads = 0
	for range reloadEvery - 2 {
		w.commit(l, w.epoch(l, s, "staging.a"))
	}
	if w.catalog.loads != 1 {
		t.Errorf("%d loads for %d epochs, want 1", w.catalog.loads, reloadEvery-2)
	}
}
