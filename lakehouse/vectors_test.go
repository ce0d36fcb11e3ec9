package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/lakehouse/internal/keyindex"
	"github.com/calvelake/calve/lakehouse/storage"
)

// vectorWorld is one whose keyed tables have deletion vectors, with that many
// members in the first epoch.
func vectorWorld(t *testing.T, count int) (*world, *Lake, *Start, members) {
	t.Helper()
	w := newWorld(t)
	w.vectors, w.layout = true, ChangeConfig{TargetBytes: 6 << 10, GroupRows: 64}
	l := w.lake("w1")
	s := w.startKeyed(l)
	want := members{}
	var changes []change
	for n := range count {
		changes = append(changes, created(fmt.Sprintf("k%05d", n), "eu", int32(n%100)))
	}
	w.change(l, s, membersTable, changes...)
	want.apply(changes)
	return w, l, s, want
}

// dataFiles are the live data files of a table.
func (w *world) dataFiles(name string) *liveFiles {
	w.t.Helper()
	files, err := w.lake("looks").liveFiles(w.t.Context(), name, w.load(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return files
}

func TestChangedRowsAreTakenOutOfFilesThatStay(t *testing.T) {
	w, l, s, want := vectorWorld(t, 2000)
	before := w.dataFiles(membersTable)
	if len(before.at) < 4 || len(before.vectors) != 0 {
		t.Fatalf("%d files and %d vectors, want some files", len(before.at), len(before.vectors))
	}
	for epoch := range 3 {
		changes := []change{
			amended(fmt.Sprintf("k%05d", epoch), "us", 1), amended(fmt.Sprintf("k%05d", 1999-epoch), "us", 2), gone(fmt.Sprintf("k%05d", 1000+epoch)),
			created(fmt.Sprintf("n%d", epoch), "eu", 3), gone("absent"),
		}
		made, stats := w.keyedChange(l, s, membersTable, changes)
		if len(made.Replace) > 0 || len(made.Vectors) != 3 {
			t.Fatalf("epoch %d replaces %v with vectors %+v, want a vector for each of three files", epoch, made.Replace, made.Vectors)
		}
		if stats.Created != 1 || stats.Updated != 2 || stats.Deleted != 1 || stats.Absent != 1 || stats.WrittenRows != 3 || stats.ReplacedFiles != 0 {
			t.Errorf("stats %+v", stats)
		}
		w.change(l, s, membersTable, changes...)
		want.apply(changes)
		w.expect(membersTable, want)
	}
	after := w.dataFiles(membersTable)
	for location := range before.at {
		if _, ok := after.at[location]; !ok {
			t.Errorf("%s is gone", location)
		}
	}
	if got := after.totals(); got.vectors != 3 || got.positions != 9 {
		t.Errorf("%d vectors take out %d rows, want 3 and 9", got.vectors, got.positions)
	}
	if got := Summarize(s.Tables[membersTable].ID, w.load(membersTable).Metadata()); got.Format != 3 || got.Rows != int64(len(want)) {
		t.Errorf("the summary says format version %d and %d rows, want 3 and %d", got.Format, got.Rows, len(want))
	}
}

// lineage is a row's id, and the sequence number of its last change.
type lineage struct{ id, changed int64 }

func (w *world) lineage(name string) map[string]lineage {
	w.t.Helper()
	tbl := w.load(name)
	tasks, err := plannedFiles(w.t.Context(), tbl)
	if err != nil {
		w.t.Fatal(err)
	}
	rows := map[string]lineage{}
	ids := map[int64]string{}
	err = readTasks(w.t.Context(), tbl.Scan(table.WithRowLineage()), tasks, func(r *columnReader) error {
		keys, rowIDs, changed := r.strings("member_key"), r.int64s(iceberg.RowIDColumnName), r.int64s(iceberg.LastUpdatedSequenceNumberColumnName)
		if r.err != nil {
			return r.err
		}
		for i := range keys.Len() {
			key := strings.Clone(keys.Value(i))
			if rowIDs.IsNull(i) || changed.IsNull(i) {
				w.t.Errorf("row %s has no id", key)
			}
			if other, twice := ids[rowIDs.Value(i)]; twice {
				w.t.Errorf("rows %s and %s have the id %d", key, other, rowIDs.Value(i))
			}
			ids[rowIDs.Value(i)] = key
			rows[key] = lineage{rowIDs.Value(i), changed.Value(i)}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return rows
}

// A file of which half is gone is folded, and its rows stay the rows that they
// were.
func TestRowsThatMoveKeepTheirLineage(t *testing.T) {
	w, l, s, want := vectorWorld(t, 600)
	rng := rand.New(rand.NewPCG(3, 3))
	folded := 0
	for epoch := range 12 {
		before := w.lineage(membersTable)
		var changes []change
		touched := map[string]bool{}
		for range 150 {
			key := fmt.Sprintf("k%05d", rng.IntN(600))
			if touched[key] = true; rng.IntN(4) == 0 {
				changes = append(changes, gone(key))
			} else {
				changes = append(changes, amended(key, "eu", rng.Int32N(100)))
			}
		}
		e := w.decideKeyed(l, s, membersTable, changes)
		folded += len(e.Changes[0].Replace)
		w.commit(l, e)
		want.apply(changes)
		w.expect(membersTable, want)
		now := w.load(membersTable).Metadata().LastSequenceNumber()
		for key, after := range w.lineage(membersTable) {
			was, there := before[key]
			if !touched[key] && after != was {
				t.Fatalf("epoch %d: row %s of lineage %v has %v now", epoch, key, was, after)
			}
			if touched[key] && after.changed != now || there && touched[key] && after.id == was.id {
				t.Fatalf("epoch %d: row %s that was changed at %d has lineage %v", epoch, key, now, after)
			}
		}
	}
	if folded < 10 {
		t.Errorf("%d files were folded, want more", folded)
	}
	if all := w.dataFiles(membersTable).totals(); all.positions > all.rows*2/3 {
		t.Errorf("vectors take out %d of %d rows", all.positions, all.rows)
	}
}

func TestFilesWithoutLiveRowsGoUnread(t *testing.T) {
	w, l, s, want := vectorWorld(t, 500)
	var changes []change
	for key := range want {
		changes = append(changes, gone(key))
	}
	before := len(w.store.Calls())
	w.change(l, s, membersTable, changes...)
	want.apply(changes)
	for _, call := range w.store.Calls()[before:] {
		if (call.Op == storage.OpGet || call.Op == storage.OpOpen) && strings.HasSuffix(call.Location, ".parquet") {
			t.Errorf("%s %s", call.Op, call.Location)
		}
	}
	w.expect(membersTable, want)
	if files := w.dataFiles(membersTable); len(files.at)+len(files.vectors) > 0 {
		t.Errorf("%d files and %d vectors are left of an empty table", len(files.at), len(files.vectors))
	}
}

func TestSmallFilesWithVectorsBecomeFew(t *testing.T) {
	w, l, s, want := vectorWorld(t, 500)
	for epoch := range 60 {
		changes := []change{created(fmt.Sprintf("n%d", epoch), "eu", 2), amended("k00001", "us", int32(epoch))}
		w.change(l, s, membersTable, changes...)
		want.apply(changes)
	}
	w.expect(membersTable, want)
	if files := w.dataFiles(membersTable); len(files.at) > 40 {
		t.Errorf("%d data files after sixty epochs of a row each", len(files.at))
	}
}

// What this process wrote need not be read back, neither keys nor vectors.
func TestRowIndexReadsNothingOfItsOwn(t *testing.T) {
	w, l, s, _ := vectorWorld(t, 500)
	w.change(l, s, membersTable, amended("k00001", "us", 1), gone("k00002"))
	before := len(w.store.Calls())
	w.keyedChange(l, s, membersTable, []change{amended("k00001", "us", 2), gone("k00003")})
	for _, call := range w.store.Calls()[before:] {
		if (call.Op == storage.OpGet || call.Op == storage.OpOpen) && !strings.HasSuffix(call.Location, ".avro") && !strings.HasSuffix(call.Location, ".json") {
			t.Errorf("%s %s", call.Op, call.Location)
		}
	}
	if keys, bytes := s.Tables[membersTable].IndexSize(); keys != 500 || bytes == 0 {
		t.Errorf("index of %d keys in %d bytes, want 500", keys, bytes)
	}
}

// indexedKeys syncs an index to a table's head and compares it with the rows.
func (w *world) indexedKeys(x *tableIndex, l *Lake) {
	w.t.Helper()
	head, err := l.keyedHead(w.t.Context(), membersTable, w.load(membersTable))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := x.syncRows(w.t.Context(), head.table, head.loaded, head.files); err != nil {
		w.t.Fatal(err)
	}
	hasher := head.table.keyHasher()
	places := map[keyindex.Hash]rowPlace{}
	for location, f := range head.files.at {
		row := int64(0)
		err := scanFiles(w.t.Context(), head.loaded, []table.FileScanTask{f.task()}, hasher.columns, func(r *columnReader) error {
			hashes, err := hasher.hashes(r.batch, nil)
			for _, h := range hashes {
				if n := x.byRow.files[location]; !n.dead.has(row) {
					places[h] = rowPlace{n, row}
				}
				row++
			}
			return err
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	if got, want := len(places), len(w.rows(membersTable)); got != want {
		w.t.Fatalf("%d rows live by the vectors of the index, %d in the table", got, want)
	}
	for h, want := range places {
		if got := x.byRow.at(h); got != want {
			w.t.Fatalf("a key is at %+v, the index says %+v", want, got)
		}
	}
}

// A table that was rolled back has rows again that later entries took the place
// of.
func TestRowIndexFollowsATableThatWasRolledBack(t *testing.T) {
	w, l, s, _ := vectorWorld(t, 300)
	x := &tableIndex{}
	w.indexedKeys(x, l)
	w.change(l, s, membersTable, amended("k00001", "us", 1), gone("k00002"))
	first := w.load(membersTable)
	w.indexedKeys(x, l)
	w.change(l, s, membersTable, amended("k00001", "us", 2), gone("k00003"), created("k00002", "eu", 7))
	w.indexedKeys(x, l)
	w.apply(membersTable, table.NewSetSnapshotRefUpdate(table.MainBranch, first.CurrentSnapshot().SnapshotID, table.BranchRef, 0, 0, 0),
		table.NewSetPropertiesUpdate(iceberg.Properties{PropertyEpoch: first.Properties()[PropertyEpoch]}))
	w.indexedKeys(x, l)
}

func TestRowNumbersThatRunOutBeginAnew(t *testing.T) {
	w, l, s, _ := vectorWorld(t, 300)
	x := &tableIndex{}
	w.indexedKeys(x, l)
	x.byRow.next = math.MaxUint32 - 1
	w.change(l, s, membersTable, amended("k00001", "us", 1), gone("k00002"), created("new", "eu", 1))
	w.indexedKeys(x, l)
	if x.byRow.next > 1000 {
		t.Errorf("the next row has number %d", x.byRow.next)
	}
}

func TestRowIndexSweepsEntriesThatMeanNothing(t *testing.T) {
	w, l, s, want := vectorWorld(t, 12_000)
	x := &tableIndex{}
	w.indexedKeys(x, l)
	var changes []change
	for n := range 8000 {
		changes = append(changes, gone(fmt.Sprintf("k%05d", n)))
	}
	w.change(l, s, membersTable, changes...)
	want.apply(changes)
	w.indexedKeys(x, l)
	if got := x.byRow.keys.Len(); got != len(want) {
		t.Errorf("%d entries for %d keys", got, len(want))
	}
}

func TestKeyThatIsThereTwiceStopsARowIndex(t *testing.T) {
	w := newWorld(t)
	w.vectors = true
	w.decidedKeyed() // creates c, amends a
	w.appendMember("a")
	_, err := w.lake("w2").Start(t.Context(), w.keyedDefinitions())
	if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "holds a key twice") {
		t.Errorf("got %v, want ErrForeign for a key twice", err)
	}
}

func TestLostVectorsOfADecidedEpochAreMadeAnew(t *testing.T) {
	w, l, s, want := vectorWorld(t, 200)
	changes := []change{amended("k00001", "us", 9), gone("k00002")}
	e := w.decideKeyed(l, s, membersTable, changes)
	want.apply(changes)
	w.lose(e.Changes[0].Vectors[0].Location)
	w.startKeyed(w.lake("w2"))
	w.expect(membersTable, want)
}

// Those of an epoch that the table shows are named.
func TestLostVectorsOfACommittedEpochAreMissing(t *testing.T) {
	w, l, s, _ := vectorWorld(t, 200)
	e := w.decideKeyed(l, s, membersTable, []change{amended("k00001", "us", 9), gone("k00002")})
	w.commit(l, e)
	location := e.Changes[0].Vectors[0].Location
	w.lose(location)
	missing, err := l.Missing(t.Context(), e)
	if err != nil || len(missing) != 1 || !missing[0].Committed || missing[0].Location != location {
		t.Errorf("missing %+v (%v), want %s", missing, err, location)
	}
}

// deleteMember deletes a row as another engine would, by a deletion vector, and
// accepts it.
func (w *world) deleteMember(key string) {
	w.t.Helper()
	tx := w.load(membersTable).NewTransaction()
	if err := tx.Delete(w.t.Context(), iceberg.EqualTo(iceberg.Reference("member_key"), key), iceberg.Properties{}); err != nil {
		w.t.Fatal(err)
	}
	w.accept(tx)
}

// Another engine's deletion vector that was accepted holds: an epoch that was
// decided before is planned again on it, and merges its own rows into it.
func TestAcceptedVectorsOfOthersAreMerged(t *testing.T) {
	w, l, s, want := vectorWorld(t, 200)
	w.change(l, s, membersTable, gone("k00007"))
	e := w.decideKeyed(l, s, membersTable, []change{amended("k00001", "us", 9), gone("k00002")})
	w.deleteMember("k00003")
	want.apply([]change{gone("k00007"), amended("k00001", "us", 9), gone("k00002"), gone("k00003")})
	next := w.lake("w2")
	s = w.startKeyed(next)
	if s.Last != e.Number {
		t.Fatalf("the start is behind epoch %d, want %d", s.Last, e.Number)
	}
	w.expect(membersTable, want)
	w.change(next, s, membersTable, created("k00003", "eu", 4), amended("k00004", "us", 3))
	want.apply([]change{created("k00003", "eu", 4), amended("k00004", "us", 3)})
	w.expect(membersTable, want)
}

// A table is of one format version for good: readers know it as it is.
func TestProfileOfATableStays(t *testing.T) {
	for _, vectors := range []bool{false, true} {
		w := newWorld(t)
		w.vectors = vectors
		w.startKeyed(w.lake("w1"))
		if got := w.load(membersTable).Metadata().Version(); got != map[bool]int{false: 2, true: 3}[vectors] {
			t.Errorf("vectors %v: format version %d", vectors, got)
		}
		if got := w.load(w.keyedDefinitions()[2].ID.String()).Metadata().Version(); got != 2 {
			t.Errorf("vectors %v: a table that only grows has format version %d, want 2", vectors, got)
		}
		w.vectors = !vectors
		_, err := w.lake("w2").Start(t.Context(), w.keyedDefinitions())
		if !errors.Is(err, ErrDiffers) || !strings.Contains(err.Error(), "format version") || !strings.Contains(err.Error(), "give the model a new name") {
			t.Errorf("vectors %v: another profile: got %v, want ErrDiffers with the choices", vectors, err)
		}
	}
}

func TestPositionsEqualAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for range 50 {
		set, want := &positions{}, map[int64]bool{}
		limit := int64(1) << (1 + rng.IntN(18))
		for range rng.IntN(400) {
			row := rng.Int64N(limit)
			if got := set.add(row); got == want[row] {
				t.Fatalf("adding row %d said %v, it was in the set: %v", row, got, want[row])
			}
			want[row] = true
		}
		var rows []int64
		for row := range set.bitmap().Positions() {
			rows = append(rows, int64(row))
		}
		if !slices.Equal(rows, slices.Sorted(maps.Keys(want))) || set.len() != int64(len(want)) {
			t.Fatalf("a set of %d rows has %d, by the bitmap %d", len(want), set.len(), len(rows))
		}
		more := set.clone()
		if !set.within(more) || !more.within(set) {
			t.Fatal("a set is not within its clone")
		}
		row := rng.Int64N(2 * limit)
		if added := more.add(row); !set.within(more) || more.within(set) == added || set.has(row) == added {
			t.Fatalf("with row %d: within %v and %v, added %v", row, set.within(more), more.within(set), added)
		}
	}
	var none *positions
	if none.has(1) || none.len() != 0 || !none.within(nil) || (&positions{}).within(nil) != true {
		t.Error("no rows are some")
	}
}

// Rows of a table with vectors are read without those that are gone, also by who
// builds anew what was made of them.
func TestRowsAreReadWithoutThoseThatAreGone(t *testing.T) {
	w, l, s, want := vectorWorld(t, 300)
	changes := []change{amended("k00001", "us", 1), gone("k00002")}
	w.change(l, s, membersTable, changes...)
	want.apply(changes)
	rows := int64(0)
	_, err := s.Tables[membersTable].Rows(context.Background(), []string{"member_key"}, func(_ RowsFile, batch arrow.RecordBatch) error {
		rows += batch.NumRows()
		return nil
	})
	if err != nil || rows != int64(len(want)) {
		t.Errorf("%d rows (%v), want %d", rows, err, len(want))
	}
}
