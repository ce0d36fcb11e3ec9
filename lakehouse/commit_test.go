package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse/storage"
)

// world is a lake on memory and a catalog, with faults between the two.
type world struct {
	t       *testing.T
	store   *storage.Memory
	catalog *faultyCatalog
	db      string

	// Of keyed tables: how entries of files were first seen; compactions of others.
	added       map[string]string
	compactions int
	seq         atomic.Int64
	clustered   bool         // they keep current rows apart
	vectors     bool         // they take rows out by deletion vectors
	flat        bool         // they have no nested columns
	layout      ChangeConfig // of their files
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, store: storage.NewMemory("s3://lake"), db: filepath.Join(t.TempDir(), "catalog.db")}
	w.catalog = &faultyCatalog{Catalog: w.open()}
	return w
}

func (w *world) open() *catalog.Catalog {
	w.t.Helper()
	cat, err := catalog.Open(w.t.Context(), catalog.Config{Type: catalog.Embedded, Path: w.db, Store: w.store})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = cat.Close() })
	return cat
}

// lake is a process of the pipeline; each has a nonce of its own.
func (w *world) lake(nonce string) *Lake {
	l := New(Config{Pipeline: "shop", Nonce: nonce, Logger: slog.New(slog.DiscardHandler)}, w.store, w.catalog)
	l.layout = w.layout
	l.pause = func(ctx context.Context, attempt int) error {
		if attempt >= 10 {
			return context.DeadlineExceeded
		}
		return ctx.Err()
	}
	return l
}

// faultyCatalog fails commits as told, before they happen or after.
type faultyCatalog struct {
	Catalog
	separate bool              // as a catalog without transactions
	before   []error           // of the next commits, nil for none
	after    []error           // likewise: a lost reply
	onCommit func(commits int) // before the commit happens
	loads    int
}

func (c *faultyCatalog) Load(ctx context.Context, id catalog.Identifier) (*table.Table, error) {
	c.loads++
	return c.Catalog.Load(ctx, id)
}

func (c *faultyCatalog) Atomic() bool { return !c.separate && c.Catalog.Atomic() }

func (c *faultyCatalog) Commit(ctx context.Context, commits []table.TableCommit) error {
	if c.onCommit != nil {
		c.onCommit(len(commits))
	}
	if err := pop(&c.before); err != nil {
		return err
	}
	lost := pop(&c.after)
	if err := c.Catalog.Commit(ctx, commits); err != nil {
		return err
	}
	return lost
}

func pop(errs *[]error) error {
	if len(*errs) == 0 {
		return nil
	}
	err := (*errs)[0]
	*errs = (*errs)[1:]
	return err
}

var idSchema = arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "region", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)

func testDefinitions() []Definition {
	return []Definition{
		{ID: catalog.Identifier{Namespace: "staging", Name: "a"}, Schema: idSchema, PartitionBy: []PartitionField{{Column: "region", Transform: "identity"}}},
		{ID: catalog.Identifier{Namespace: "staging", Name: "b"}, Schema: idSchema},
	}
}

// epoch writes a row to each table named and records the epoch.
func (w *world) epoch(l *Lake, s *Start, tables ...string) *Epoch {
	w.t.Helper()
	e := &Epoch{Number: s.Last + 1, Pipeline: "shop", Writer: l.nonce, Host: "h", Readers: []Reader{}, Changes: []TableChange{}}
	for _, name := range tables {
		writer, err := s.Tables[name].NewWriter(l.Names(e.Number), WriterConfig{})
		if err != nil {
			w.t.Fatal(err)
		}
		files := write(w.t, writer, fromJSON(w.t, idSchema, fmt.Sprintf(`[{"id":%d,"region":""}]`, e.Number)))
		e.Changes = append(e.Changes, s.Tables[name].Change(s.Epochs[name], files))
		s.Epochs[name] = e.Number
	}
	for name, t := range s.Tables {
		e.Tables = append(e.Tables, TableState{Table: name, UUID: t.UUID, Epoch: s.Epochs[name]})
	}
	if err := l.Log().Append(w.t.Context(), e); err != nil {
		w.t.Fatal(err)
	}
	s.Last = e.Number
	return e
}

func (w *world) start(l *Lake) *Start {
	w.t.Helper()
	s, err := l.Start(w.t.Context(), testDefinitions())
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) commit(l *Lake, e *Epoch) {
	w.t.Helper()
	if err := l.Commit(w.t.Context(), e); err != nil {
		w.t.Fatal(err)
	}
}

// ids reads a table's ids back, in order of file.
func (w *world) ids(name string) []int64 {
	w.t.Helper()
	sample, err := ReadSample(w.t.Context(), w.load(name), 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	var ids []int64
	for _, row := range sample.Rows {
		var id int64
		if _, err := fmt.Sscan(string(row[0]), &id); err != nil {
			w.t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func (w *world) load(name string) *table.Table {
	w.t.Helper()
	id, err := catalog.ParseIdentifier(name)
	if err != nil {
		w.t.Fatal(err)
	}
	tbl, err := w.catalog.Load(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return tbl
}

func (w *world) expectIDs(name string, want ...int64) {
	w.t.Helper()
	got := map[int64]int{}
	for _, id := range w.ids(name) {
		got[id]++
	}
	expected := map[int64]int{}
	for _, id := range want {
		expected[id]++
	}
	if fmt.Sprint(got) != fmt.Sprint(expected) {
		w.t.Errorf("%s holds ids %v, want %v", name, got, expected)
	}
}

func TestEpochShowsInAllItsTables(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.start(l)
	var sizes []int
	w.catalog.onCommit = func(n int) { sizes = append(sizes, n) }
	w.commit(l, w.epoch(l, s, "staging.a", "staging.b"))
	w.commit(l, w.epoch(l, s, "staging.a"))
	w.expectIDs("staging.a", 1, 2)
	w.expectIDs("staging.b", 1)
	if fmt.Sprint(sizes) != "[2 1]" {
		t.Errorf("commits of %v tables, want one of 2 and one of 1", sizes)
	}
	meta := w.load("staging.a").Metadata()
	p, err := ReadProgress("staging.a", meta)
	if err != nil || p.Epoch != 2 || p.SnapshotID != meta.CurrentSnapshot().SnapshotID || p.SequenceNumber != meta.LastSequenceNumber() {
		t.Errorf("progress %+v (%v), want epoch 2 at the head", p, err)
	}
	if got := meta.CurrentSnapshot().Summary.Properties["total-records"]; got != "2" {
		t.Errorf("total-records %q, want 2", got)
	}
}

func TestCommitTwiceChangesNothing(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	e := w.epoch(l, w.start(l), "staging.a")
	w.commit(l, e)
	before := w.load("staging.a").MetadataLocation()
	w.commit(w.lake("w2"), e)
	if after := w.load("staging.a").MetadataLocation(); after != before {
		t.Errorf("the second commit moved the table to %s", after)
	}
}

func TestLostReplyIsFoundNotRepeated(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.start(l)
	w.catalog.after = []error{errors.New("connection reset")}
	w.commit(l, w.epoch(l, s, "staging.a", "staging.b"))
	w.expectIDs("staging.a", 1)
	w.expectIDs("staging.b", 1)
	if n := len(w.load("staging.a").Metadata().Snapshots()); n != 1 {
		t.Errorf("%d snapshots, want 1", n)
	}
}

func TestConflictPlansAgainOnTheNewHead(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.start(l)
	first := true
	w.catalog.onCommit = func(int) {
		if first {
			first = false
			w.foreignAppend("staging.a", 100)
		}
	}
	w.commit(l, w.epoch(l, s, "staging.a", "staging.b"))
	w.expectIDs("staging.a", 1, 100)
	w.expectIDs("staging.b", 1)
}

// foreignAppend adds a row as another engine would.
func (w *world) foreignAppend(name string, id int64) {
	w.t.Helper()
	tbl := w.load(name)
	tx := tbl.NewTransaction()
	rows := fromJSON(w.t, idSchema, fmt.Sprintf(`[{"id":%d,"region":"x"}]`, id))
	reader, err := tableReader(rows)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := tx.Append(w.t.Context(), reader, iceberg.Properties{}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := tx.Commit(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func TestTablesAreCommittedInOrderWithoutTransactions(t *testing.T) {
	w := newWorld(t)
	w.catalog.separate = true
	l := w.lake("w1")
	s := w.start(l)
	e := w.epoch(l, s, "staging.a", "staging.b")
	w.catalog.before = []error{nil, context.Canceled, context.Canceled, context.Canceled, context.Canceled, context.Canceled, context.Canceled, context.Canceled, context.Canceled, context.Canceled, context.Canceled, context.Canceled}
	if err := l.Commit(t.Context(), e); !errors.Is(err, ErrNotCommitted) {
		t.Fatalf("got %v, want ErrNotCommitted", err)
	}
	w.expectIDs("staging.a", 1)
	w.expectIDs("staging.b")
	w.catalog.before = nil
	// The successor finds a table that shows the epoch and one that does not.
	s = w.start(w.lake("w2"))
	if !s.Completed {
		t.Error("the start does not say that it completed an epoch")
	}
	w.expectIDs("staging.a", 1)
	w.expectIDs("staging.b", 1)
}

func TestDecidedEpochIsCompletedByTheNextStart(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	w.epoch(l, w.start(l), "staging.a", "staging.b") // and dies before the commit
	s := w.start(w.lake("w2"))
	if !s.Completed || s.Last != 1 || s.Epochs["staging.b"] != 1 {
		t.Errorf("start %+v, want epoch 1 completed", s)
	}
	w.expectIDs("staging.a", 1)
	if again := w.start(w.lake("w3")); again.Completed {
		t.Error("a start with nothing to do says that it completed an epoch")
	}
}

func TestManifestOfEmptyStringsHasBounds(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.start(l)
	w.commit(l, w.epoch(l, s, "staging.a"))
	tbl := w.load("staging.a")
	fs, err := tbl.FS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := tbl.CurrentSnapshot().Manifests(fs)
	if err != nil {
		t.Fatal(err)
	}
	bounds := manifests[0].Partitions()[0]
	if bounds.LowerBound == nil || *bounds.LowerBound == nil && bounds.ContainsNull {
		t.Fatalf("bounds %+v: a reader would prune the manifest", bounds)
	}
	// The proof is that a filter on the column finds the row.
	_, rows, err := tbl.Scan(table.WithRowFilter(iceberg.EqualTo(iceberg.Reference("region"), ""))).ToArrowRecords(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var found int64
	for batch, err := range rows {
		if err != nil {
			t.Fatal(err)
		}
		found += batch.NumRows()
	}
	if found != 1 {
		t.Errorf("region = '' finds %d rows, want 1", found)
	}
}

// Invariant 7 at the level of a table: properties, no name mapping, format 2.
func TestTablesAreReadableByAll(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.start(l)
	w.commit(l, w.epoch(l, s, "staging.a", "staging.b"))
	for _, name := range []string{"staging.a", "staging.b"} {
		meta := w.load(name).Metadata()
		if meta.Version() != 2 {
			t.Errorf("%s: format version %d, want 2", name, meta.Version())
		}
		if _, ok := meta.Properties()["schema.name-mapping.default"]; ok {
			t.Errorf("%s has a name mapping, which Unity Catalog refuses", name)
		}
		if meta.Properties()["write.parquet.page-version"] != "1" {
			t.Errorf("%s: page version %q, want 1", name, meta.Properties()["write.parquet.page-version"])
		}
		head := meta.CurrentSnapshot()
		if head.Summary.Operation != table.OpAppend || head.Summary.Properties["total-delete-files"] != "0" {
			t.Errorf("%s: summary %v", name, head.Summary)
		}
		if !strings.Contains(head.ManifestList, "/metadata/snap-") {
			t.Errorf("%s: manifest list %s is not found by BigQuery", name, head.ManifestList)
		}
	}
}
