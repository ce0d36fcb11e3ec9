package lakehouse

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
)

// engine is another writer of a keyed table with deletion vectors.
type engine struct {
	*world
	lake  *Lake
	name  string
	table *Table
}

func (w *world) engine(name string) *engine {
	w.t.Helper()
	e := &engine{world: w, lake: w.lake("spark"), name: name}
	id, err := catalog.ParseIdentifier(name)
	if err != nil {
		w.t.Fatal(err)
	}
	if e.table, err = e.lake.table(id, w.load(name)); err != nil {
		w.t.Fatal(err)
	}
	return e
}

// names are those of a further snapshot.
func (e *engine) names() *Names {
	e.compactions++
	return &Names{nonce: fmt.Sprintf("spark%d", e.compactions), seq: &e.seq}
}

// write writes rows of some files that a filter keeps.
func (e *engine) write(tasks []table.FileScanTask, keep func(key string) bool) []File {
	e.t.Helper()
	writer, err := e.table.newWriter(e.names(), WriterConfig{})
	if err != nil {
		e.t.Fatal(err)
	}
	err = scanFiles(e.t.Context(), e.load(e.name), tasks, nil, func(r *columnReader) error {
		keys := r.strings("member_key")
		for i := range keys.Len() {
			if !keep(keys.Value(i)) {
				continue
			}
			row := r.batch.NewSlice(int64(i), int64(i+1))
			err := writer.Write(e.t.Context(), row)
			row.Release()
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		e.t.Fatal(err)
	}
	files, err := writer.Close()
	if err != nil {
		e.t.Fatal(err)
	}
	return files
}

// did is what another engine does to a table in one snapshot.
type did struct {
	operation table.Operation
	add       []File
	replace   []string
	vectors   map[string]*positions
	leaves    bool // the vectors of files that it replaces
}

func (e *engine) commit(d did) {
	e.t.Helper()
	tbl, live := e.load(e.name), e.dataFiles(e.name)
	meta := tbl.Metadata()
	p := &producer{lake: e.lake, ctx: e.t.Context(), table: tbl, meta: meta, names: e.names(), id: newSnapshotID(meta)}
	c := e.table.Change(0, d.add)
	must := func(err error) {
		e.t.Helper()
		if err != nil {
			e.t.Fatal(err)
		}
	}
	var err error
	c.Replace = d.replace
	c.Vectors, err = e.table.writeVectors(e.t.Context(), tbl, live, p.names, d.vectors)
	must(err)
	sum := overwriteSum{before: live.totals(), partitions: map[string]bool{}}
	rewritten, manifests, err := p.remove(live, c.Replace)
	must(err)
	for _, location := range c.Replace {
		sum.remove(live.at[location].data)
	}
	manifests = append(manifests, rewritten...)
	if len(c.Add) > 0 {
		added, err := p.manifest(&c)
		must(err)
		must(sum.addFiles(meta, &c))
		manifests = append(manifests, added)
	}
	if d.leaves {
		for _, m := range live.deletes {
			manifests = append(manifests, m.ManifestFile)
		}
	} else {
		deletes, err := p.deleteManifests(&c, live, &sum)
		must(err)
		manifests = append(manifests, deletes...)
	}
	list, err := p.writeList(manifests)
	must(err)
	summary := sum.summary()
	summary.Operation = d.operation
	e.apply(e.name, table.NewAddSnapshotUpdate(p.snapshot(list, summary)), table.NewSetSnapshotRefUpdate(table.MainBranch, p.id, table.BranchRef, 0, 0, 0))
}

func all(string) bool { return true }

// closeChange is what closing a change of the members says that is planned on an
// epoch.
func (w *world) closeChange(l *Lake, s *Start, prev int64, c change) error {
	w.t.Helper()
	writer, err := s.Tables[membersTable].NewChangeWriter(l.Names(s.Last+1), ChangeConfig{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer writer.Abort()
	log := w.changelog([]change{c})
	defer log.Release()
	if err := writer.Write(w.t.Context(), log); err != nil {
		w.t.Fatal(err)
	}
	_, err = writer.Close(w.t.Context(), prev)
	return err
}

// A partition whose value is an empty text has manifests of which a bound must be
// repaired; they keep their sequence numbers, by which readers match vectors.
func TestDeletedRowsOfAnEmptyPartitionStayDeleted(t *testing.T) {
	w := newWorld(t)
	w.vectors = true
	l := w.lake("w1")
	s := w.startKeyed(l)
	want := members{}
	for _, changes := range [][]change{
		{created("a", emptyRegion, 1), created("b", emptyRegion, 1), created("c", emptyRegion, 1), created("y", "us", 1), created("z", "us", 1)},
		{gone("a")},
		{gone("y"), gone("z")},
	} {
		w.change(l, s, regionsTable, changes...)
		want.apply(changes)
		w.expect(regionsTable, want)
	}
}

// Iceberg's Java library removes the file of a vector that was replaced when the
// snapshot expires: no other vector may be in it.
func TestFileOfAReplacedVectorHasNoLiveOne(t *testing.T) {
	w, l, s, _ := vectorWorld(t, 2000)
	w.change(l, s, membersTable, amended("k00001", "us", 1), gone("k01000"), gone("k01999"))
	w.change(l, s, membersTable, gone("k00002")) // replaces one vector of three
	tbl := w.load(membersTable)
	fs, err := tbl.FS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := tbl.CurrentSnapshot().Manifests(fs)
	if err != nil {
		t.Fatal(err)
	}
	deleted, live := map[string]bool{}, map[string]bool{}
	for _, m := range manifests {
		for entry, err := range m.Entries(fs, false) {
			if err != nil {
				t.Fatal(err)
			}
			if entry.Status() == iceberg.EntryStatusDELETED {
				deleted[entry.DataFile().FilePath()] = true
			} else {
				live[entry.DataFile().FilePath()] = true
			}
		}
	}
	if len(deleted) == 0 {
		t.Error("no vector was replaced")
	}
	for path := range deleted {
		if live[path] {
			t.Errorf("%s is deleted, and has what lives", path)
		}
	}
}

// A compaction that leaves the vectors of its files behind is one; Calve takes them
// out.
func TestCompactionThatLeavesVectorsBehindIsOne(t *testing.T) {
	w, l, s, want := vectorWorld(t, 200)
	w.change(l, s, membersTable, amended("k00001", "us", 9), gone("k00002"))
	want.apply([]change{amended("k00001", "us", 9), gone("k00002")})
	e := w.engine(membersTable)
	tasks, err := plannedFiles(t.Context(), w.load(membersTable))
	if err != nil {
		t.Fatal(err)
	}
	var replace []string
	for _, task := range tasks {
		replace = append(replace, task.File.FilePath())
	}
	e.commit(did{operation: table.OpReplace, add: e.write(tasks, all), replace: replace, leaves: true})
	next := w.lake("w2")
	s = w.startKeyed(next)
	w.change(next, s, membersTable, gone("k00003"))
	want.apply([]change{gone("k00003")})
	w.expect(membersTable, want)
}

// A compaction that read a file before Calve took rows out of it, and leaves the
// vector behind, brings them back: whatever its summary says, Calve stops.
func TestCompactionThatBringsRowsBackStops(t *testing.T) {
	w, l, s, _ := vectorWorld(t, 200)
	tasks, err := plannedFiles(t.Context(), w.load(membersTable))
	if err != nil {
		t.Fatal(err)
	}
	e := w.engine(membersTable)
	files := e.write(tasks, all)
	w.change(l, s, membersTable, gone("k00002"))
	var replace []string
	for _, task := range tasks {
		replace = append(replace, task.File.FilePath())
	}
	e.commit(did{operation: table.OpReplace, add: files, replace: replace, leaves: true})
	if _, back := w.rows(membersTable)["k00002"]; !back {
		t.Fatal("the row is not back, so that nothing is shown")
	}
	next := w.lake("w2")
	s = w.startKeyed(next)
	if err := w.closeChange(next, s, s.Epochs[membersTable], created("x", "eu", 1)); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "200 rows, and had 199") {
		t.Errorf("got %v, want ErrForeign for a row that is back", err)
	}
}

// A data file without rows hides none of the next.
func TestDataFileWithoutRowsHidesNone(t *testing.T) {
	w := newWorld(t)
	w.vectors = true
	l := w.lake("w1")
	s := w.startKeyed(l)
	want := members{}
	changes := []change{created("a", "eu", 1), created("b", "eu", 1), created("c", "eu", 1)}
	w.change(l, s, membersTable, changes...)
	want.apply(changes)
	e := w.engine(membersTable)
	empty, err := newDataFile(t.Context(), e.table, e.table.location+"/data/0-spark-1.parquet", partitionKey{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	file, err := empty.close()
	if err != nil {
		t.Fatal(err)
	}
	e.commit(did{operation: table.OpReplace, add: []File{file}})
	next := w.lake("w2")
	s = w.startKeyed(next)
	w.change(next, s, membersTable, gone("a"))
	want.apply([]change{gone("a")})
	w.expect(membersTable, want)
}

// Files of another partition spec, by which a table was for a while, have vectors of
// that.
func TestVectorsOfFilesOfAnotherSpec(t *testing.T) {
	w := newWorld(t)
	w.vectors = true
	l := w.lake("w1")
	s := w.startKeyed(l)
	want := members{}
	do := func(changes ...change) {
		w.change(l, s, regionsTable, changes...)
		want.apply(changes)
		w.expect(regionsTable, want)
	}
	do(created("a", "eu", 1), created("b", "us", 2), created("c", "eu", 3), created("d", "eu", 3), created("e", "us", 3), created("f", "us", 3))
	field, _ := w.load(regionsTable).Schema().FindFieldByName("member_key")
	other := iceberg.NewPartitionSpecID(1, iceberg.PartitionField{SourceIDs: []int{field.ID}, FieldID: 1001, Name: "member_key_bucket", Transform: iceberg.BucketTransform{NumBuckets: 2}})
	w.apply(regionsTable, table.NewAddPartitionSpecUpdate(&other, false), table.NewSetDefaultSpecUpdate(-1))
	w.compactKeyed(regionsTable, every)
	w.apply(regionsTable, table.NewSetDefaultSpecUpdate(0))
	l = w.lake("w2")
	s = w.startKeyed(l)
	do(amended("a", "eu", 5), gone("b"))
	do(amended("c", "eu", 5), gone("e"))
}

// A file that a decided epoch folds got another vector since, by a compaction that
// moved one of its rows: the epoch is planned again.
func TestFoldOfAFileWithANewVectorIsPlannedAgain(t *testing.T) {
	w := newWorld(t)
	w.vectors = true
	l := w.lake("w1")
	s := w.startKeyed(l)
	want := members{}
	var changes, deletes []change
	for n := range 10 {
		changes = append(changes, created(fmt.Sprint("k", n), "eu", 1))
	}
	for n := range 6 {
		deletes = append(deletes, gone(fmt.Sprint("k", n)))
	}
	w.change(l, s, membersTable, changes...)
	decided := w.decideKeyed(l, s, membersTable, deletes)
	want.apply(slices.Concat(changes, deletes))
	if len(decided.Changes[0].Replace) != 1 {
		t.Fatalf("the epoch folds %v, want one file", decided.Changes[0].Replace)
	}
	e := w.engine(membersTable)
	tasks, err := plannedFiles(t.Context(), w.load(membersTable))
	if err != nil {
		t.Fatal(err)
	}
	moved, row := &positions{}, int64(0)
	files := e.write(tasks, func(key string) bool {
		if key == "k7" {
			moved.add(row)
		}
		row++
		return key == "k7"
	})
	e.commit(did{operation: table.OpReplace, add: files, vectors: map[string]*positions{decided.Changes[0].Replace[0]: moved}})
	w.commit(w.lake("w2"), decided)
	w.expect(membersTable, want)
}

// A vector that names rows which its file does not have is refused, not believed.
func TestVectorBeyondItsFileStops(t *testing.T) {
	w := newWorld(t)
	w.vectors = true
	l := w.lake("w1")
	s := w.startKeyed(l)
	w.change(l, s, membersTable, created("a", "eu", 1), created("b", "eu", 1), created("c", "eu", 1))
	e := w.engine(membersTable)
	for of := range w.dataFiles(membersTable).at {
		beyond := &positions{}
		beyond.add(0)
		beyond.add(100)
		e.commit(did{operation: table.OpDelete, vectors: map[string]*positions{of: beyond}})
	}
	head := w.load(membersTable).CurrentSnapshot().SnapshotID
	w.apply(membersTable, table.NewSetPropertiesUpdate(iceberg.Properties{PropertyAccepted: fmt.Sprint(head)}))
	next := w.lake("w2")
	s = w.startKeyed(next)
	if err := w.closeChange(next, s, s.Epochs[membersTable], gone("b")); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "takes out row 100") {
		t.Errorf("got %v, want ErrForeign for the vector", err)
	}
}

// A table of profile strict that another engine upgrades gets no vectors: what was
// decided before is committed, and then Calve says what is wrong.
func TestUpgradedTableStops(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.startKeyed(l)
	want := members{}
	changes := []change{created("a", "eu", 1), created("b", "us", 2), created("c", "eu", 3)}
	w.change(l, s, membersTable, changes...)
	decided := w.decideKeyed(l, s, membersTable, []change{amended("a", "eu", 7)})
	want.apply(append(changes, amended("a", "eu", 7)))
	w.apply(membersTable, table.NewUpgradeFormatVersionUpdate(3))
	w.commit(w.lake("w2"), decided)
	w.vectors = true // of which expect would not know otherwise
	w.expect(membersTable, want)
	if files := w.dataFiles(membersTable); len(files.vectors) > 0 {
		t.Errorf("%d vectors under profile strict", len(files.vectors))
	}

	if err := w.closeChange(l, s, decided.Number, gone("b")); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "upgraded to format version 3") {
		t.Errorf("a running process: got %v, want ErrForeign", err)
	}
	w.vectors = false
	if _, err := w.lake("w3").Start(t.Context(), w.keyedDefinitions()); !errors.Is(err, ErrDiffers) || !strings.Contains(err.Error(), "format version") {
		t.Errorf("the next start: got %v, want ErrDiffers", err)
	}
}

// Verify compares the rows of a keyed table with those that it had after Calve's last
// snapshot.
func TestVerifyFindsRowsThatAreBack(t *testing.T) {
	w := lakeWith(t, goodEpochs()...)
	w.vectors = true
	l := w.lake("w1")
	s, err := l.Start(t.Context(), append(slices.Clone(eventDefinitions), w.keyedDefinitions()[0]))
	if err != nil {
		t.Fatal(err)
	}
	var changes []change
	for n := range 20 {
		changes = append(changes, created(fmt.Sprint("k", n), "eu", 1))
	}
	w.change(l, s, membersTable, changes...)
	tasks, err := plannedFiles(t.Context(), w.load(membersTable))
	if err != nil {
		t.Fatal(err)
	}
	e := w.engine(membersTable)
	files := e.write(tasks, all)
	w.change(l, s, membersTable, gone("k2"))
	found := func() (all []string) {
		v, err := w.lake("verifier").Verify(t.Context(), append([]ModelTable{{Model: "members", Table: membersTable}}, eventModels...))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range v.CounterExamples {
			all = append(all, c.String())
		}
		return all
	}
	if got := found(); len(got) > 0 {
		t.Fatalf("before: found %q", got)
	}
	e.commit(did{operation: table.OpReplace, add: files, replace: []string{tasks[0].File.FilePath()}, leaves: true})
	if got, want := found(), []string{"rows, model members, table marts.members: expected 19 rows, as after Calve's last snapshot, found 20"}; !slices.Equal(got, want) {
		t.Errorf("found\n%q\nwant\n%q", got, want)
	}
}
