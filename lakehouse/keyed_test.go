package lakehouse

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/codec"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/runtime/record"
)

var memberSchema = arrow.NewSchema([]arrow.Field{
	{Name: "member_key", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "region", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "n", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
	{Name: "tags", Type: arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64), Nullable: true},
	{Name: "is_current", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
}, nil)

const membersTable, regionsTable = "marts.members", "marts.regions"

// keyedDefinitions are a keyed table, one with partitions, and one that only
// grows.
func keyedDefinitions() []Definition {
	id := func(name string) catalog.Identifier { return catalog.Identifier{Namespace: "marts", Name: name} }
	return []Definition{
		{ID: id("members"), Schema: memberSchema, Key: []string{"member_key"}},
		{ID: id("regions"), Schema: memberSchema, Key: []string{"member_key"}, PartitionBy: []PartitionField{{Column: "region", Transform: "identity"}}},
		testDefinitions()[1],
	}
}

// keyedDefinitions are those, with current rows apart in a clustered world.
func (w *world) keyedDefinitions() []Definition {
	definitions := keyedDefinitions()
	if w.clustered {
		definitions[0].Current, definitions[1].Current = "is_current", "is_current"
	}
	definitions[0].Vectors, definitions[1].Vectors = w.vectors, w.vectors
	if w.flat {
		definitions[0].Schema, definitions[1].Schema = withoutTags(memberSchema), withoutTags(memberSchema)
	}
	return definitions
}

func withoutTags(schema *arrow.Schema) *arrow.Schema {
	return arrow.NewSchema(slices.DeleteFunc(schema.Fields(), func(f arrow.Field) bool { return f.Name == "tags" }), nil)
}

// changelog is one for a table of the world.
func (w *world) changelog(changes []change) record.Changelog {
	log := changelog(changes)
	if !w.flat {
		return log
	}
	var columns []arrow.Array
	for i, f := range memberSchema.Fields() {
		if f.Name != "tags" {
			columns = append(columns, log.Rows.Column(i))
		}
	}
	log.Rows = array.NewRecordBatch(withoutTags(memberSchema), columns, log.Rows.NumRows())
	return log
}

// emptyRegion stands for a region that is an empty text.
const emptyRegion = "(empty)"

func (b *rowBuilder) region(region string) {
	if region == emptyRegion {
		b.string("")
		return
	}
	b.optional(region)
}

// member is a row of a keyed table; region "" is null.
type member struct {
	region string
	n      int32
}

// current tells whether a row is current, and whether that is known.
func (m member) current() (current, known bool) { return m.n%2 == 0, m.n%7 != 3 }

// smallLayout makes files of a few row groups of a few rows.
var smallLayout = ChangeConfig{TargetBytes: 6 << 10, GroupRows: 4}

// members is what a table should hold.
type members map[string]member

// change is what an epoch does to a key.
type change struct {
	op  record.Op
	key string
	member
}

func changelog(changes []change) record.Changelog {
	b := array.NewRecordBuilder(memory.DefaultAllocator, memberSchema)
	defer b.Release()
	var log record.Changelog
	for _, c := range changes {
		log.Ops = append(log.Ops, c.op)
		row := &rowBuilder{builder: b}
		row.string(c.key)
		row.region(c.region)
		row.int32(c.n)
		tags := row.next().(*array.MapBuilder)
		tags.Append(true)
		for i := range c.n % 3 {
			tags.KeyBuilder().(*array.StringBuilder).Append(fmt.Sprint(i))
			tags.ItemBuilder().(*array.Int64Builder).Append(int64(c.n))
		}
		current, known := c.current()
		row.next().(*array.BooleanBuilder).AppendValues([]bool{current}, []bool{known})
	}
	log.Rows = b.NewRecordBatch()
	return log
}

// apply does to a map what the changes do to a table.
func (m members) apply(changes []change) {
	for _, c := range changes {
		if c.op == record.OpDelete {
			delete(m, c.key)
			continue
		}
		m[c.key] = c.member
	}
}

func (w *world) startKeyed(l *Lake) *Start {
	w.t.Helper()
	s, err := l.Start(w.t.Context(), w.keyedDefinitions())
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// keyedChange writes the files of an epoch's changes of a table.
func (w *world) keyedChange(l *Lake, s *Start, name string, changes []change) (TableChange, RewriteStats) {
	w.t.Helper()
	writer, err := s.Tables[name].NewChangeWriter(l.Names(s.Last+1), ChangeConfig{})
	if err != nil {
		w.t.Fatal(err)
	}
	log := w.changelog(changes)
	defer log.Release()
	if err := writer.Write(w.t.Context(), log); err != nil {
		w.t.Fatal(err)
	}
	made, err := writer.Close(w.t.Context(), s.Epochs[name])
	if err != nil {
		w.t.Fatal(err)
	}
	return made, writer.Stats()
}

// decideKeyed records an epoch that changes a table.
func (w *world) decideKeyed(l *Lake, s *Start, name string, changes []change) *Epoch {
	w.t.Helper()
	made, _ := w.keyedChange(l, s, name, changes)
	return w.decide(l, s, &Epoch{
		Number: s.Last + 1, Pipeline: "shop", Writer: l.nonce, Host: "h", Readers: []Reader{}, Changes: []TableChange{made},
	})
}

// change carries an epoch through.
func (w *world) change(l *Lake, s *Start, name string, changes ...change) {
	w.t.Helper()
	w.commit(l, w.decideKeyed(l, s, name, changes))
}

// rows reads a keyed table by the library's scan. Each key must be there once.
func (w *world) rows(name string) members {
	w.t.Helper()
	_, batches, err := w.load(name).Scan().ToArrowRecords(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	got := members{}
	for batch, err := range batches {
		if err != nil {
			w.t.Fatal(err)
		}
		r := &columnReader{batch: batch}
		keys, regions, ns := r.strings("member_key"), r.strings("region"), r.int32s("n")
		currents := columnOf[*array.Boolean](r, "is_current")
		var tags *array.Map
		if !w.flat {
			tags = columnOf[*array.Map](r, "tags")
		}
		if r.err != nil {
			w.t.Fatal(r.err)
		}
		for i := range keys.Len() {
			key := strings.Clone(keys.Value(i))
			if _, twice := got[key]; twice {
				w.t.Fatalf("%s holds key %q twice", name, key)
			}
			m := member{n: ns.Value(i)}
			if regions.IsValid(i) {
				m.region = cmp.Or(strings.Clone(regions.Value(i)), emptyRegion)
			}
			got[key] = m
			if current, known := m.current(); currents.IsValid(i) != known || known && currents.Value(i) != current {
				w.t.Fatalf("%s: key %q is current %v (%v), want %v (%v)", name, key, currents.Value(i), currents.IsValid(i), current, known)
			}
			if tags == nil {
				continue
			}
			if from, to := tags.ValueOffsets(i); to-from != int64(m.n%3) {
				w.t.Fatalf("%s: key %q has %d tags, want %d", name, key, to-from, m.n%3)
			}
		}
		batch.Release()
	}
	return got
}

// expect compares a keyed table with what it should hold, and its metadata with
// what readers rely on.
func (w *world) expect(name string, want members) {
	w.t.Helper()
	got := w.rows(name)
	if !maps.Equal(got, want) {
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if got[key] != want[key] {
				w.t.Errorf("%s: key %q is %+v, want %+v", name, key, got[key], want[key])
			}
		}
		for _, key := range slices.Sorted(maps.Keys(got)) {
			if _, ok := want[key]; !ok {
				w.t.Errorf("%s: key %q is there, want it gone", name, key)
			}
		}
		w.t.FailNow()
	}
	w.expectSound(name)
}

// expectSound checks a keyed table's head against the specification: no delete
// files but deletion vectors where those are asked for, totals that equal a recount, entries that say who added and deleted
// files and when.
func (w *world) expectSound(name string) {
	w.t.Helper()
	tbl := w.load(name)
	head := tbl.CurrentSnapshot()
	if head == nil {
		return
	}
	fs, err := tbl.FS(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	manifests, err := head.Manifests(fs)
	if err != nil {
		w.t.Fatal(err)
	}
	var live, deleted totals
	paths := map[string]bool{}
	vectors := map[string]iceberg.DataFile{}
	for _, m := range manifests {
		deletes := m.ManifestContent() != iceberg.ManifestContentData
		if deletes && !w.vectors {
			w.t.Fatalf("%s has a delete manifest", name)
		}
		if !m.HasAddedFiles() && !m.HasExistingFiles() && m.SnapshotID() != head.SnapshotID {
			w.t.Errorf("%s keeps a manifest of snapshot %d that only deletes", name, m.SnapshotID())
		}
		lowest := tbl.Metadata().LastSequenceNumber()
		for entry, err := range m.Entries(fs, false) {
			if err != nil {
				w.t.Fatal(err)
			}
			path, count := entry.DataFile().FilePath(), (*totals).add
			if deletes {
				path, count = vectorID(entry.DataFile()), (*totals).addVector
			}
			switch {
			case entry.Status() == iceberg.EntryStatusDELETED:
				if m.SnapshotID() != head.SnapshotID {
					continue
				}
				count(&deleted, entry.DataFile())
				if entry.SnapshotID() != head.SnapshotID {
					w.t.Errorf("%s: %s was deleted by snapshot %d, its entry says %d", name, path, head.SnapshotID, entry.SnapshotID())
				}
			case paths[path]:
				w.t.Fatalf("%s names %s twice", name, path)
			default:
				paths[path] = true
				count(&live, entry.DataFile())
				lowest = min(lowest, entry.SequenceNum())
				if of := entry.DataFile().ReferencedDataFile(); deletes {
					if vectors[*of] != nil {
						w.t.Errorf("%s: %s has two deletion vectors", name, *of)
					}
					vectors[*of] = entry.DataFile()
				}
			}
			w.expectEntry(name, path, entry)
			if entry.Status() != iceberg.EntryStatusDELETED && !deletes {
				w.expectOneKind(name, entry.DataFile())
			}
		}
		if (m.HasAddedFiles() || m.HasExistingFiles()) && m.MinSequenceNum() != lowest {
			w.t.Errorf("%s: manifest says least sequence number %d, its entries %d", name, m.MinSequenceNum(), lowest)
		}
	}
	for of := range vectors {
		if !paths[of] {
			w.t.Errorf("%s: a deletion vector is of %s, which is not in the table", name, of)
		}
	}
	w.expectSummary(name, head, live, deleted)
}

// expectEntry checks that a file's sequence number and, while it lives, its
// snapshot stay those of the snapshot that added it.
func (w *world) expectEntry(name, path string, entry iceberg.ManifestEntry) {
	w.t.Helper()
	at := fmt.Sprint(entry.SequenceNum(), entry.FileSequenceNum() != nil && *entry.FileSequenceNum() == entry.SequenceNum())
	if entry.Status() != iceberg.EntryStatusDELETED {
		at += fmt.Sprint(" ", entry.SnapshotID())
	}
	if w.added == nil {
		w.added = map[string]string{}
	}
	if before, ok := w.added[path]; ok && !strings.HasPrefix(before, at) {
		w.t.Errorf("%s: entry of %s says %s, it said %s", name, path, at, before)
	} else if !ok {
		w.added[path] = at
	}
}

// expectOneKind checks that a file that we wrote of a clustered table holds rows
// that are current or rows that are not, and that its bounds say so.
func (w *world) expectOneKind(name string, f iceberg.DataFile) {
	w.t.Helper()
	tbl := w.load(name)
	if tbl.Properties()[PropertyCurrent] == "" || strings.Contains(f.FilePath(), "-spark") {
		return
	}
	field, _ := tbl.Schema().FindFieldByName("is_current")
	lower, upper, nulls := f.LowerBoundValues()[field.ID], f.UpperBoundValues()[field.ID], f.NullValueCounts()[field.ID]
	if !slices.Equal(lower, upper) || len(lower) == 0 && nulls != f.Count() || len(lower) == 1 && lower[0] == 1 && nulls != 0 {
		w.t.Errorf("%s: %s of %d rows has is_current from %v to %v, and %d nulls; want rows of one kind", name, f.FilePath(), f.Count(), lower, upper, nulls)
	}
}

func (w *world) expectSummary(name string, head *table.Snapshot, live, deleted totals) {
	w.t.Helper()
	properties := head.Summary.Properties
	for key, want := range map[string]int64{
		"total-data-files": live.files, "total-records": live.rows, "total-files-size": live.bytes,
		"deleted-data-files": deleted.files, "deleted-records": deleted.rows, "removed-files-size": deleted.bytes,
		"total-delete-files": live.vectors, "total-position-deletes": live.positions, "total-equality-deletes": 0,
		"removed-delete-files": deleted.vectors, "removed-dvs": deleted.vectors, "removed-position-deletes": deleted.positions,
	} {
		if w.vectors && head.Summary.Operation == table.OpReplace && (strings.HasSuffix(key, "-size") || key == "removed-dvs") {
			continue // iceberg-go counts all of a Puffin file for each vector in it, and no vectors
		}
		got, _ := strconv.ParseInt(properties[key], 10, 64)
		if got != want {
			w.t.Errorf("%s: summary of snapshot %d (%s) says %s %q, recounted %d", name, head.SnapshotID, head.Summary.Operation, key, properties[key], want)
		}
	}
}

// compactKeyed rewrites some of a table's data files as another engine would:
// each partition's rows into one file, by a snapshot of operation replace.
func (w *world) compactKeyed(name string, pick func(path string) bool) {
	w.t.Helper()
	tbl := w.load(name)
	tasks, err := plannedFiles(w.t.Context(), tbl)
	if err != nil {
		w.t.Fatal(err)
	}
	tasks = slices.DeleteFunc(tasks, func(t table.FileScanTask) bool { return !pick(t.File.FilePath()) })
	if len(tasks) == 0 {
		return
	}
	id, err := catalog.ParseIdentifier(name)
	if err != nil {
		w.t.Fatal(err)
	}
	opened, err := w.lake("spark").table(id, tbl)
	if err != nil {
		w.t.Fatal(err)
	}
	w.compactions++
	writer, err := opened.newWriter(&Names{nonce: fmt.Sprintf("spark%d", w.compactions), seq: &w.seq}, WriterConfig{})
	if err != nil {
		w.t.Fatal(err)
	}
	err = scanFiles(w.t.Context(), tbl, tasks, nil, func(r *columnReader) error { return writer.Write(w.t.Context(), r.batch) })
	if err != nil {
		w.t.Fatal(err)
	}
	files, err := writer.Close()
	if err != nil {
		w.t.Fatal(err)
	}
	tx := tbl.NewTransaction()
	rewrite := tx.NewRewrite(iceberg.Properties{})
	for _, task := range tasks {
		rewrite.DeleteFile(task.File)
		for _, v := range task.DeletionVectorFiles {
			rewrite.DeleteFile(v)
		}
	}
	for _, f := range files {
		data, err := codec.DecodeDataFile(f.Entry, opened.spec, opened.schema, opened.version)
		if err != nil {
			w.t.Fatal(err)
		}
		rewrite.AddDataFile(data)
	}
	if err := rewrite.Commit(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	commit, err := tx.TableCommit()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.catalog.Catalog.Commit(w.t.Context(), []table.TableCommit{commit}); err != nil {
		w.t.Fatal(err)
	}
	if head := w.load(name).CurrentSnapshot(); head.Summary.Operation != table.OpReplace {
		w.t.Fatalf("the compaction is a snapshot of operation %s", head.Summary.Operation)
	}
}

func every(string) bool { return true }

func created(key, region string, n int32) change {
	return change{record.OpCreate, key, member{region, n}}
}

func amended(key, region string, n int32) change {
	return change{record.OpUpdate, key, member{region, n}}
}

func gone(key string) change { return change{op: record.OpDelete, key: key} }

func TestRowsOfAKeyedTableChange(t *testing.T) {
	for i, name := range []string{membersTable, regionsTable, membersTable, regionsTable} {
		w := newWorld(t)
		w.vectors = i > 1
		l := w.lake("w1")
		s := w.startKeyed(l)
		want := members{}
		for _, changes := range [][]change{
			{created("a", "eu", 1), created("b", "us", 2), created("c", "", 3)},
			{amended("a", "eu", 10), created("d", "eu", 4)},
			{amended("b", "eu", 20), gone("c")}, // one moves to another partition
			{gone("a"), gone("b"), gone("d")},   // nothing is left
			{created("a", "us", 5)},
			{amended("new", "us", 6), created("a", "us", 7), gone("absent")}, // creates and updates write the row either way
			{gone("absent")}, // changes nothing
			{created("x", "eu", 1), amended("x", "us", 2), created("y", "eu", 1), gone("y"), gone("a"), created("a", "eu", 9)}, // the last of a key counts
		} {
			w.change(l, s, name, changes...)
			want.apply(changes)
			w.expect(name, want)
		}
		if again := w.startKeyed(w.lake("w2")); again.Epochs[name] != 8 {
			t.Errorf("%s is at epoch %d, want 8", name, again.Epochs[name])
		}
	}
}

func TestOperationsOfKeyedSnapshots(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.startKeyed(l)
	for _, c := range []struct {
		changes []change
		want    table.Operation
	}{
		{[]change{created("a", "eu", 1), created("b", "eu", 1)}, table.OpAppend},
		{[]change{amended("a", "eu", 2)}, table.OpOverwrite},
		{[]change{gone("a"), gone("b")}, table.OpDelete},
		{[]change{gone("a")}, table.OpAppend},
	} {
		w.change(l, s, membersTable, c.changes...)
		if got := w.load(membersTable).CurrentSnapshot().Summary.Operation; got != c.want {
			t.Errorf("%v made a snapshot of operation %s, want %s", c.changes, got, c.want)
		}
	}
}

func TestUntouchedFilesStayAsTheyAre(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.startKeyed(l)
	w.change(l, s, regionsTable, created("a", "eu", 1), created("b", "us", 2), created("c", "us", 3))
	made, stats := w.keyedChange(l, s, regionsTable, []change{amended("b", "us", 20), created("d", "us", 4)})
	if len(made.Replace) != 1 || !strings.Contains(made.Replace[0], "region=us") || len(made.Add) != 1 {
		t.Errorf("replaces %v by %d files, want the file of us by one", made.Replace, len(made.Add))
	}
	want := RewriteStats{
		Created: 1, Updated: 1, ChangedBytes: stats.ChangedBytes, ReplacedFiles: 1, ReplacedRows: 2, ReplacedBytes: stats.ReplacedBytes,
		WrittenFiles: 1, WrittenRows: 3, WrittenBytes: made.Add[0].Bytes,
	}
	if stats != want || stats.ChangedBytes == 0 || stats.ReplacedBytes == 0 {
		t.Errorf("stats %+v, want %+v", stats, want)
	}
	if got := stats.Amplification(); got != 1.5 {
		t.Errorf("amplification %v, want 1.5", got)
	}
	if got, want := stats.ByteAmplification(), float64(made.Add[0].Bytes)/float64(stats.ChangedBytes); got != want {
		t.Errorf("amplification in bytes %v, want %v", got, want)
	}
	prefix := "s3://lake/" // wherever the catalog put the table
	if made.ChangeFile == nil || !strings.HasPrefix(made.ChangeFile.Location, prefix) || !strings.Contains(made.ChangeFile.Location, "/changes/2-w1-") {
		t.Errorf("change file %+v", made.ChangeFile)
	}
}

func TestEpochWithoutChanges(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.startKeyed(l)
	w.change(l, s, membersTable)
	w.expect(membersTable, members{})
	w.change(l, s, membersTable, created("a", "eu", 1))
	w.change(l, s, membersTable)
	w.expect(membersTable, members{"a": {"eu", 1}})
}

func TestKeyedTableDeclaresItsKey(t *testing.T) {
	w := newWorld(t)
	w.startKeyed(w.lake("w1"))
	meta := w.load(membersTable).Metadata()
	field, _ := meta.CurrentSchema().FindFieldByName("member_key")
	if !slices.Equal(meta.CurrentSchema().IdentifierFieldIDs, []int{field.ID}) || !field.Required {
		t.Errorf("identifier fields %v, key %+v", meta.CurrentSchema().IdentifierFieldIDs, field)
	}
	if got := meta.Properties()[PropertyKey]; got != `["member_key"]` {
		t.Errorf("property %s is %q", PropertyKey, got)
	}
	if got := meta.Properties()[propertyTargetFile]; got != strconv.Itoa(keyedFileBytes) {
		t.Errorf("property %s is %q", propertyTargetFile, got)
	}
}

func TestKeysThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		key  []string
		want string
	}{
		{[]string{"nobody"}, "no column nobody"},
		{[]string{"n", "n"}, "column n twice"},
		{[]string{"tags"}, "column tags is a map<string, long>; a key takes boolean"},
	} {
		d := keyedDefinitions()[0]
		d.Key = c.key
		if _, err := d.createSpec("shop"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("key %v: got %v, want a message with %q", c.key, err, c.want)
		}
	}
}

func TestAnotherKeyIsRefused(t *testing.T) {
	w := newWorld(t)
	w.startKeyed(w.lake("w1"))
	for want, key := range map[string][]string{
		"the table has member_key, the project declares member_key, n": {"member_key", "n"},
		"the table has member_key, the project declares none":          nil,
	} {
		definitions := keyedDefinitions()
		definitions[0].Key = key
		_, err := w.lake("w2").Start(t.Context(), definitions)
		if !errors.Is(err, ErrDiffers) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want ErrDiffers saying %q", err, want)
		}
	}
}

func TestChangesThatDoNotFit(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.startKeyed(l)
	writer := func() *ChangeWriter {
		c, err := s.Tables[membersTable].NewChangeWriter(l.Names(1), ChangeConfig{})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	rows := fromJSON(t, memberSchema, `[{"member_key":null,"n":1}]`)
	if err := writer().Write(t.Context(), record.Changelog{Ops: []record.Op{record.OpCreate}, Rows: rows}); !errors.Is(err, ErrUnfit) || !strings.Contains(err.Error(), "member_key") {
		t.Errorf("null key: got %v, want ErrUnfit naming the column", err)
	}
	if err := writer().Write(t.Context(), record.Changelog{Ops: []record.Op{record.OpCreate, record.OpCreate}, Rows: rows}); err == nil || !strings.Contains(err.Error(), "BUG") {
		t.Errorf("two operations on one row: got %v, want a bug", err)
	}
	if _, err := s.Tables["staging.b"].NewChangeWriter(l.Names(1), ChangeConfig{}); err == nil {
		t.Error("a table without a key takes changes")
	}
	if _, err := s.Tables[membersTable].NewWriter(l.Names(1), WriterConfig{}); err == nil {
		t.Error("rows can be appended to a keyed table")
	}
}

// Memory that a ChangeWriter takes is given back, whatever becomes of it.
func TestChangeWriterGivesMemoryBack(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.startKeyed(l)
	w.change(l, s, membersTable, created("a", "eu", 1), created("b", "eu", 2), created("c", "eu", 3))
	for _, abort := range []bool{true, false} {
		mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
		writer, err := s.Tables[membersTable].NewChangeWriter(l.Names(2), ChangeConfig{Allocator: mem})
		if err != nil {
			t.Fatal(err)
		}
		for _, changes := range [][]change{{amended("a", "eu", 4), gone("b")}, {created("d", "us", 5), amended("a", "us", 7)}} {
			log := changelog(changes)
			if err := writer.Write(t.Context(), log); err != nil {
				t.Fatal(err)
			}
			log.Release()
		}
		if writer.Buffered() == 0 {
			t.Error("changes take no memory")
		}
		if abort {
			writer.Abort()
		} else if _, err := writer.Close(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		mem.AssertSize(t, 0)
	}
}

func TestForeignCompactionMovesKeys(t *testing.T) {
	for _, name := range []string{membersTable, regionsTable} {
		w := newWorld(t)
		l := w.lake("w1")
		s := w.startKeyed(l)
		want := members{}
		do := func(changes ...change) {
			w.change(l, s, name, changes...)
			want.apply(changes)
		}
		do(created("a", "eu", 1), created("b", "us", 2))
		do(created("c", "eu", 3), created("d", "us", 4))
		w.compactKeyed(name, every)
		do(amended("a", "eu", 10), gone("d"), created("e", "eu", 5))
		w.expect(name, want)
	}
}

// Another engine compacts between plan and commit, or between record and commit
// where the writer dies and a successor completes the epoch, with an index or
// without.
func TestEpochIsPlannedAgainWhenFilesMove(t *testing.T) {
	changes := []change{amended("a", "us", 10), gone("d"), created("e", "eu", 5), amended("b", "us", 20)}
	for name, carry := range map[string]func(w *world, l *Lake, s *Start){
		"before the record": func(w *world, l *Lake, s *Start) {
			made, _ := w.keyedChange(l, s, regionsTable, changes)
			w.compactKeyed(regionsTable, every)
			w.commit(l, w.decide(l, s, &Epoch{Number: s.Last + 1, Pipeline: "shop", Writer: l.nonce, Readers: []Reader{}, Changes: []TableChange{made}}))
		},
		"in the commit": func(w *world, l *Lake, s *Start) {
			e := w.decideKeyed(l, s, regionsTable, changes)
			compactions := 0
			w.catalog.onCommit = func(int) {
				if compactions++; compactions <= 2 {
					w.compactKeyed(regionsTable, every)
				}
			}
			w.commit(l, e)
		},
		"before a successor": func(w *world, l *Lake, s *Start) {
			w.decideKeyed(l, s, regionsTable, changes)
			w.compactKeyed(regionsTable, every)
			if s := w.startKeyed(w.lake("w2")); !s.Completed {
				w.t.Error("the start does not say that it completed an epoch")
			}
		},
		"of one file before a successor": func(w *world, l *Lake, s *Start) {
			w.decideKeyed(l, s, regionsTable, changes)
			first := true
			w.compactKeyed(regionsTable, func(string) bool { defer func() { first = false }(); return first })
			w.startKeyed(w.lake("w2"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			l := w.lake("w1")
			s := w.startKeyed(l)
			want := members{}
			for _, epoch := range [][]change{{created("a", "eu", 1), created("b", "us", 2)}, {created("c", "eu", 3), created("d", "us", 4), created("f", "", 4)}} {
				w.change(l, s, regionsTable, epoch...)
				want.apply(epoch)
			}
			carry(w, l, s)
			want.apply(changes)
			w.expect(regionsTable, want)
			last := w.lake("w3")
			s = w.startKeyed(last)
			w.change(last, s, regionsTable, amended("f", "eu", 11))
			want.apply([]change{amended("f", "eu", 11)})
			w.expect(regionsTable, want)
		})
	}
}

func TestForeignAppendToAKeyedTableStops(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.startKeyed(l)
	w.change(l, s, membersTable, created("a", "eu", 1))
	id := w.foreign(membersTable, table.OpAppend, iceberg.Properties{"added-records": "1"})
	_, err := w.lake("w2").Start(t.Context(), keyedDefinitions())
	if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), fmt.Sprintf("%s to %d", PropertyAccepted, id)) {
		t.Fatalf("got %v, want ErrForeign with the way to accept it", err)
	}
	writer, err := s.Tables[membersTable].NewChangeWriter(l.Names(2), ChangeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Write(t.Context(), changelog([]change{gone("a")})); err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Close(t.Context(), 1); !errors.Is(err, ErrForeign) {
		t.Errorf("got %v, want ErrForeign", err)
	}
}
