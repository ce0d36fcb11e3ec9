package lakehouse

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/runtime/record"
)

// eventTable is the table of model "events": an id and the positions.
var eventTable = Definition{
	ID:     catalog.Identifier{Namespace: "staging", Name: "events"},
	Schema: arrow.NewSchema(append([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nullable(record.PositionFields())...), nil),
}

// nullable lets tests write the rows that a foreign writer might.
func nullable(fields []arrow.Field) []arrow.Field {
	out := append([]arrow.Field{}, fields...)
	for i := range out {
		out[i].Nullable = true
	}
	return out
}

var eventDefinitions = []Definition{eventTable, DeadLettersDefinition("shop"), AuditDefinition("shop")}

var eventModels = []ModelTable{{Model: "events", Table: "staging.events"}}

// taken is what a test's epoch takes of orders/<partition>: offsets [from, to),
// with these rows (offset, ordinal) and dead letters (offset, and ordinal or -1
// for the whole record).
type taken struct {
	partition int32
	from, to  int64
	rows      [][2]int64
	dead      [][2]int64
	filtered  int64
	lost      []Interval
	topicID   string // "topic" if empty
	// edit changes the audit row, letter what would be a dead letter.
	edit   func(*AuditRow)
	letter func(*DeadLetter)
}

// lakeWith commits an epoch for each element of epochs.
func lakeWith(t *testing.T, epochs ...[]taken) *world {
	t.Helper()
	w := newWorld(t)
	l := w.lake("w1")
	s, err := l.Start(t.Context(), eventDefinitions)
	if err != nil {
		t.Fatal(err)
	}
	for _, parts := range epochs {
		w.commit(l, w.record(l, s, parts))
	}
	return w
}

// record decides an epoch.
func (w *world) record(l *Lake, s *Start, parts []taken) *Epoch {
	w.t.Helper()
	e := &Epoch{Number: s.Last + 1, Pipeline: "shop", Writer: l.nonce, Host: "h"}
	reader := Reader{Name: "main", Models: []string{"events"}}
	for _, p := range parts {
		reader.Ranges = append(reader.Ranges, p.auditRow(e.Number).Range)
	}
	e.Readers = []Reader{reader}
	e.Changes = w.changes(l, s, e.Number, parts)
	return w.decide(l, s, e)
}

// decide records an epoch whose changes are there.
func (w *world) decide(l *Lake, s *Start, e *Epoch) *Epoch {
	w.t.Helper()
	for _, c := range e.Changes {
		s.Epochs[c.Table] = e.Number
	}
	for name, tbl := range s.Tables {
		e.Tables = append(e.Tables, TableState{Table: name, UUID: tbl.UUID, Epoch: s.Epochs[name]})
	}
	if err := l.Log().Append(w.t.Context(), e); err != nil {
		w.t.Fatal(err)
	}
	s.Last = e.Number
	return e
}

// changes writes the files of an epoch.
func (w *world) changes(l *Lake, s *Start, number int64, parts []taken) []TableChange {
	w.t.Helper()
	var c contents
	for _, p := range parts {
		c.audit = append(c.audit, p.auditRow(number))
		for _, r := range p.rows {
			c.rows = append(c.rows, [3]int64{int64(p.partition), r[0], r[1]})
		}
		c.letters = append(c.letters, p.deadLetters(number)...)
	}
	return w.files(l, s, number, c)
}

// contents are the rows that an epoch adds: of the model's table (partition,
// offset, ordinal), the dead letters, what became of older ones, the audit.
type contents struct {
	rows        [][3]int64
	letters     []DeadLetter
	resolutions []Resolution
	audit       []AuditRow
}

// files writes an epoch's rows.
func (w *world) files(l *Lake, s *Start, number int64, c contents) []TableChange {
	w.t.Helper()
	changes := []TableChange{}
	letters := joined(w.t, DeadLetterBatch(c.letters, memory.DefaultAllocator), ResolutionBatch(c.resolutions, memory.DefaultAllocator))
	for _, part := range []struct {
		d     Definition
		batch arrow.RecordBatch
	}{
		{eventTable, eventRows(c.rows)},
		{eventDefinitions[1], letters},
		{eventDefinitions[2], AuditBatch(c.audit, memory.DefaultAllocator)},
	} {
		if part.batch.NumRows() > 0 {
			tbl := s.Tables[part.d.ID.String()]
			writer, err := tbl.NewWriter(l.Names(number), WriterConfig{})
			if err != nil {
				w.t.Fatal(err)
			}
			changes = append(changes, tbl.Change(s.Epochs[part.d.ID.String()], write(w.t, writer, part.batch)))
		}
		part.batch.Release()
	}
	return changes
}

// joined is the rows of two batches.
func joined(t *testing.T, a, b arrow.RecordBatch) arrow.RecordBatch {
	t.Helper()
	columns := make([]arrow.Array, a.NumCols())
	for i := range columns {
		var err error
		if columns[i], err = array.Concatenate([]arrow.Array{a.Column(i), b.Column(i)}, memory.DefaultAllocator); err != nil {
			t.Fatal(err)
		}
	}
	return array.NewRecordBatch(a.Schema(), columns, a.NumRows()+b.NumRows())
}

func (p taken) auditRow(epoch int64) AuditRow {
	withRows, dead := map[int64]bool{}, map[int64]bool{}
	for _, r := range p.rows {
		withRows[r[0]] = true
	}
	for _, r := range p.dead {
		if !withRows[r[0]] {
			dead[r[0]] = true
		}
	}
	delivered := int64(len(withRows)+len(dead)) + p.filtered
	topicID := p.topicID
	if topicID == "" {
		topicID = "topic"
	}
	row := AuditRow{
		Epoch: epoch, Writer: "w1", Reader: "main", Model: "events", Table: "staging.events",
		Range: Range{
			ClusterID: "cluster", TopicID: topicID, Topic: "orders", Partition: p.partition, From: p.from, To: p.to,
			LeaderEpoch: int32(epoch), Delivered: delivered, Lost: p.lost,
		},
		Fate: record.Fate{
			Delivered: delivered, WithRows: int64(len(withRows)), Dead: int64(len(dead)), Filtered: p.filtered,
			Rows: int64(len(p.rows)), Letters: int64(len(p.dead)),
		},
	}
	if p.edit != nil {
		p.edit(&row)
	}
	return row
}

func (p taken) deadLetters(epoch int64) []DeadLetter {
	var letters []DeadLetter
	for _, r := range p.dead {
		d := DeadLetter{
			Epoch: epoch, Model: "events", Reader: "main", Origin: record.Origin{ClusterID: "cluster", TopicID: "topic"},
			Source: &record.Slice{TopicPartition: record.TopicPartition{Topic: "orders", Partition: p.partition}, Records: []record.Record{{Offset: r[0]}}},
			Reject: record.Reject{OfRow: r[1] >= 0, Row: max(int32(r[1]), 0), Code: record.CodeMalformed},
		}
		if p.letter != nil {
			p.letter(&d)
		}
		letters = append(letters, d)
	}
	return letters
}

// eventRows renders rows of (partition, offset, ordinal); a partition below 0
// stands for a row without a position.
func eventRows(rows [][3]int64) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, eventTable.Schema)
	defer b.Release()
	for _, r := range rows {
		r0 := &rowBuilder{builder: b}
		r0.int64(r[1])
		if r[0] < 0 {
			for range record.PositionFields() {
				r0.next().AppendNull()
			}
			continue
		}
		at := int64(0)
		r0.string("orders")
		r0.int32(int32(r[0]))
		r0.int64(r[1])
		r0.int32(int32(r[2]))
		r0.timestamp(&at)
		r0.timestamp(&at)
	}
	return b.NewRecordBatch()
}

// appendRows adds rows to the model's table as another engine would.
func (w *world) appendRows(rows ...[3]int64) {
	w.t.Helper()
	reader, err := tableReader(eventRows(rows))
	if err != nil {
		w.t.Fatal(err)
	}
	tx := w.load("staging.events").NewTransaction()
	if err := tx.Append(w.t.Context(), reader, iceberg.Properties{}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := tx.Commit(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) verify() *Verification {
	w.t.Helper()
	v, err := w.lake("verifier").Verify(w.t.Context(), eventModels)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// goodEpochs: two partitions, holes in the offsets, records with several rows,
// rows beside a dead letter, a filtered record, a filtered row, an accepted loss.
func goodEpochs() [][]taken {
	return [][]taken{
		{
			{from: 5, to: 10, rows: [][2]int64{{5, 0}, {5, 1}, {6, 0}, {8, 0}}, dead: [][2]int64{{7, -1}, {8, 1}}},
			{partition: 1, from: 0, to: 4, filtered: 2, lost: []Interval{{From: 0, To: 2}}},
		},
		{{from: 10, to: 12, rows: [][2]int64{{10, 0}, {11, 0}}}},
		{
			{from: 12, to: 5000, rows: [][2]int64{{12, 0}, {4095, 0}, {4096, 0}, {4096, 2}, {4999, 0}}},
			{partition: 1, from: 4, to: 5, dead: [][2]int64{{4, -1}}},
		},
	}
}

func TestVerifyProvesAGoodLake(t *testing.T) {
	v := lakeWith(t, goodEpochs()...).verify()
	if !v.Proven || len(v.CounterExamples) != 0 || v.Epochs != 3 {
		t.Fatalf("not proven (epochs %d): %v", v.Epochs, v.CounterExamples)
	}
	got, err := json.Marshal(v.Models)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"model":"events","table":"staging.events","delivered":13,"with_rows":9,"dead":2,"filtered":2,"rows":11,"dead_letters":3,"sources":[` +
		`{"cluster_id":"cluster","topic_id":"topic","topic":"orders","partition":0,"from":5,"to":5000,"epochs":3},` +
		`{"cluster_id":"cluster","topic_id":"topic","topic":"orders","partition":1,"from":0,"to":5,"epochs":2,"lost":[{"from":0,"to":2}]}]}]`
	if string(got) != want {
		t.Errorf("models\n%s\nwant\n%s", got, want)
	}
	for _, p := range v.Tables {
		if p.Epoch != 3 || p.Expected != 3 || p.Rows == 0 {
			t.Errorf("table %+v, want epoch 3 and rows", p)
		}
	}
}

func TestVerifyOfALakeThatNeverRan(t *testing.T) {
	v := newWorld(t).verify()
	if !v.Proven || v.Epochs != 0 || len(v.Models) != 1 {
		t.Errorf("got %+v, want one model without epochs", v)
	}
}

func TestVerifyCompactedLakeIsProven(t *testing.T) {
	w := lakeWith(t, goodEpochs()...)
	w.compact("staging.events")
	if n := w.load("staging.events").CurrentSnapshot().Summary.Properties["total-data-files"]; n != "1" {
		t.Fatalf("%s files after compaction, want 1", n)
	}
	if v := w.verify(); !v.Proven {
		t.Errorf("not proven: %v", v.CounterExamples)
	}
}

// compact rewrites all files of a table into one, as another engine would.
func (w *world) compact(name string) {
	w.t.Helper()
	tbl := w.load(name)
	scan := tbl.Scan()
	tasks, err := scan.PlanFiles(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	whole, err := scan.ToArrowTable(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	l := w.lake("compactor")
	opened, err := l.table(eventTable.ID, tbl)
	if err != nil {
		w.t.Fatal(err)
	}
	writer, err := opened.NewWriter(l.Names(99), WriterConfig{})
	if err != nil {
		w.t.Fatal(err)
	}
	reader := array.NewTableReader(whole, -1)
	for reader.Next() {
		if err := writer.Write(w.t.Context(), reader.RecordBatch()); err != nil {
			w.t.Fatal(err)
		}
	}
	files, err := writer.Close()
	if err != nil {
		w.t.Fatal(err)
	}
	tx := tbl.NewTransaction()
	rewrite := tx.NewRewrite(iceberg.Properties{})
	for _, task := range tasks {
		rewrite.DeleteFile(task.File)
	}
	for _, f := range files {
		rewrite.AddDataFile(decodeEntry(w.t, opened, f))
	}
	if err := rewrite.Commit(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	if _, err := tx.Commit(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func TestVerifyFindsEachKindOfDamage(t *testing.T) {
	for name, c := range map[string]struct {
		epochs [][]taken
		damage func(w *world)
		check  Check
		says   string
	}{
		"a row twice": {damage: func(w *world) { w.appendRows([3]int64{0, 6, 0}) },
			check: CheckDuplicateRow, says: "topic orders partition 0 offset 6 row 0: expected the row once"},
		"a row lost": {epochs: [][]taken{{{from: 0, to: 2, rows: [][2]int64{{0, 0}}, edit: func(r *AuditRow) {
			r.Range.Delivered, r.Fate.Delivered, r.Fate.WithRows, r.Fate.Rows = 2, 2, 2, 2
		}}}}, check: CheckWithRows, says: "epoch 1: expected 2 records with rows in offsets [0,2), as the audit row says, found 1"},
		"one of a record's rows lost": {epochs: [][]taken{{{from: 0, to: 2, rows: [][2]int64{{0, 0}, {0, 1}}, edit: func(r *AuditRow) { r.Fate.Rows = 3 }}}},
			check: CheckRows, says: "expected 3 rows in offsets [0,2), as the audit row says, found 2"},
		"losses and surplus that cancel out": {epochs: [][]taken{
			{{from: 0, to: 2, rows: [][2]int64{{0, 0}, {1, 0}}, edit: func(r *AuditRow) {
				r.Range.Delivered, r.Fate.Delivered, r.Fate.WithRows, r.Fate.Rows = 1, 1, 1, 1
			}}},
			{{from: 2, to: 4, rows: [][2]int64{{2, 0}}, edit: func(r *AuditRow) {
				r.Range.Delivered, r.Fate.Delivered, r.Fate.WithRows, r.Fate.Rows = 2, 2, 2, 2
			}}},
		}, check: CheckWithRows, says: "offset 0 row 0, epoch 1: expected 1 records with rows in offsets [0,2), as the audit row says, found 2 (and 1 more"},
		"offsets of no epoch": {epochs: [][]taken{{{from: 0, to: 2, rows: [][2]int64{{0, 0}}}}, {{from: 3, to: 4, rows: [][2]int64{{3, 0}}}}},
			check: CheckAuditGap, says: "offset 2 row 0, epoch 2: expected epoch 2 to go on at 2, where epoch 1 ended, found it begins at 3; no epoch took [2,3)"},
		"offsets of two epochs": {epochs: [][]taken{{{from: 0, to: 3, rows: [][2]int64{{0, 0}}}}, {{from: 2, to: 4, rows: [][2]int64{{3, 0}}}}},
			check: CheckAuditOverlap, says: "offset 2 row 0, epoch 2: expected each offset taken by one epoch, found epoch 2 took [2,3), epochs 1 to 1 took [0,3)"},
		"epochs out of order": {epochs: [][]taken{{{from: 5, to: 6, rows: [][2]int64{{5, 0}}}}, {{from: 0, to: 5, rows: [][2]int64{{3, 0}}}}},
			check: CheckEpochOrder, says: "[5,6) in epochs 1 to 1, [0,5) in epochs 2 to 2"},
		"a dead letter lost": {epochs: [][]taken{{{from: 0, to: 1, edit: func(r *AuditRow) {
			r.Range.Delivered, r.Fate.Delivered, r.Fate.Dead, r.Fate.Letters = 1, 1, 1, 1
		}}}}, check: CheckDead, says: "table calve_shop.dead_letters, topic orders partition 0 offset 0 row 0, epoch 1: expected 1 records with dead letters and no row"},
		"a dead letter twice": {epochs: [][]taken{{{from: 0, to: 1, dead: [][2]int64{{0, -1}, {0, -1}}, edit: func(r *AuditRow) { r.Fate.Letters = 1 }}}},
			check: CheckDuplicateDead, says: "offset 0 row 0, epoch 1: expected the dead letter once"},
		"a dead letter of no epoch": {epochs: [][]taken{{{from: 0, to: 1, dead: [][2]int64{{7, -1}}}}},
			check: CheckLetter, says: "offset 7 row 0, epoch 1: expected offsets [0,1)"},
		"a dead letter of another topic": {epochs: [][]taken{{{from: 0, to: 1, dead: [][2]int64{{0, -1}}, letter: func(d *DeadLetter) { d.Origin.TopicID = "older" }}}},
			check: CheckSource, says: "found cluster cluster and topic id older"},
		"wrong counts in the audit row": {epochs: [][]taken{{{from: 0, to: 2, rows: [][2]int64{{0, 0}}, edit: func(r *AuditRow) { r.Range.Delivered = 2 }}}},
			check: CheckAuditRow, says: "epoch 1: expected 2 records delivered to be with rows, dead or filtered, found 1 + 0 + 0"},
		"more records than offsets": {epochs: [][]taken{{{from: 0, to: 2, filtered: 3}}},
			check: CheckAuditRow, says: "expected at most 2 records"},
		"a loss outside its range": {epochs: [][]taken{{{from: 5, to: 7, filtered: 1, lost: []Interval{{From: 4, To: 6}}}}},
			check: CheckAuditRow, says: "expected accepted losses within [5,7), found [4,6)"},
		"a row of a lost offset": {damage: func(w *world) { w.appendRows([3]int64{1, 1, 0}) },
			check: CheckLostRow, says: "partition 1 offset 1 row 0"},
		"a foreign row with an offset beyond": {damage: func(w *world) { w.appendRows([3]int64{0, 5000, 0}, [3]int64{0, 5002, 0}) },
			check: CheckUnaccounted, says: "offset 5000 row 0: expected offsets [5,5000), which the model's epochs took, found a row outside of them (and 1 more"},
		"a foreign row of another partition": {damage: func(w *world) { w.appendRows([3]int64{9, 0, 0}) },
			check: CheckUnaccounted, says: "partition 9 offset 0 row 0: expected offsets none"},
		"a foreign row without a position": {damage: func(w *world) { w.appendRows([3]int64{-1, 0, 0}) },
			check: CheckUnaccounted, says: "a row without a position"},
		"a recreated topic": {epochs: [][]taken{{{from: 0, to: 1, rows: [][2]int64{{0, 0}}}}, {{from: 1, to: 2, rows: [][2]int64{{1, 0}}, topicID: "again"}}},
			check: CheckSource, says: "epoch 2: expected cluster cluster and topic id topic, as in epoch 1, found cluster cluster and topic id again"},
		"a table rolled back": {damage: func(w *world) {
			snapshots := w.load("staging.events").Metadata().Snapshots()
			w.apply("staging.events", table.NewSetSnapshotRefUpdate(table.MainBranch, snapshots[1].SnapshotID, table.BranchRef, 0, 0, 0))
		}, check: CheckWithRows, says: "epoch 3: expected 4 records with rows"},
		"a table behind": {epochs: [][]taken{{{from: 0, to: 1, rows: [][2]int64{{0, 0}}}}, {{from: 1, to: 2, edit: func(r *AuditRow) {
			r.Range.Delivered, r.Fate.Delivered, r.Fate.WithRows, r.Fate.Rows = 1, 1, 1, 1
		}}}}, check: CheckWithRows, says: "epoch 2"},
		"a table dropped": {damage: func(w *world) {
			if err := w.open().Drop(w.t.Context(), eventTable.ID); err != nil {
				w.t.Fatal(err)
			}
		}, check: CheckMissingTable, says: "expected the table that epoch 3 wrote"},
		"a data file gone": {damage: func(w *world) {
			tasks, err := w.load("staging.events").Scan().PlanFiles(w.t.Context())
			if err != nil {
				w.t.Fatal(err)
			}
			if err := w.store.Delete(w.t.Context(), tasks[0].File.FilePath()); err != nil {
				w.t.Fatal(err)
			}
		}, check: CheckMissingFile, says: ".parquet, found no such object"},
	} {
		t.Run(name, func(t *testing.T) {
			epochs := c.epochs
			if epochs == nil {
				epochs = goodEpochs()
			}
			w := lakeWith(t, epochs...)
			if c.damage != nil {
				c.damage(w)
			}
			v := w.verify()
			if v.Proven || len(v.CounterExamples) == 0 {
				t.Fatal("proven")
			}
			if first := v.CounterExamples[0]; first.Check != c.check || !strings.Contains(first.String(), c.says) {
				t.Errorf("first counter-example (of %d)\n%s\nwant %q saying %q", len(v.CounterExamples), first, c.check, c.says)
			}
		})
	}
}

// progressOf returns the counter-example of a table's epoch.
func progressOf(v *Verification, name string) string {
	for _, c := range v.CounterExamples {
		if c.Check == CheckProgress && c.Table == name {
			return c.String()
		}
	}
	return ""
}

func TestVerifyTellsWhichTablesAreBehindOrAhead(t *testing.T) {
	w := lakeWith(t, goodEpochs()...)
	w.catalog.separate = true
	l := w.lake("w2")
	s, err := l.Start(t.Context(), eventDefinitions)
	if err != nil {
		t.Fatal(err)
	}
	e := w.record(l, s, []taken{{from: 5000, to: 5001, rows: [][2]int64{{5000, 0}}}})
	w.catalog.before = []error{nil}
	for range 20 {
		w.catalog.before = append(w.catalog.before, catalog.ErrUnreachable)
	}
	if err := l.Commit(t.Context(), e); err == nil {
		t.Fatal("committed")
	}
	v := w.verify()
	if got, want := progressOf(v, "staging.events"), "expected the table at epoch 3, the last that the audit table says touched it, found epoch 4"; !strings.Contains(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if v.CounterExamples[0].Check != CheckUnaccounted {
		t.Errorf("first counter-example %s, want a row of no epoch", v.CounterExamples[0])
	}
	// A snapshot of the audit table that promises what the other lacks.
	w = lakeWith(t, [][]taken{{{from: 0, to: 1, rows: [][2]int64{{0, 0}}}}, {{from: 1, to: 2, edit: func(r *AuditRow) {
		r.Range.Delivered, r.Fate.Delivered, r.Fate.WithRows, r.Fate.Rows = 1, 1, 1, 1
	}}}}...)
	if got, want := progressOf(w.verify(), "staging.events"), "expected the table at epoch 2, the last that the audit table says touched it, found epoch 1"; !strings.Contains(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestVerifyBesideAWriterSeesOneEpoch(t *testing.T) {
	w := lakeWith(t, goodEpochs()...)
	l := w.lake("w2")
	s, err := l.Start(t.Context(), eventDefinitions)
	if err != nil {
		t.Fatal(err)
	}
	watched := &committingCatalog{faultyCatalog: w.catalog, at: 2, commit: func() {
		w.commit(l, w.record(l, s, []taken{{from: 5000, to: 5001, rows: [][2]int64{{5000, 0}}}}))
	}}
	verifier := w.lake("verifier")
	verifier.catalog = watched
	v, err := verifier.Verify(t.Context(), eventModels)
	if err != nil {
		t.Fatal(err)
	}
	if !v.Proven || v.Epochs != 4 {
		t.Errorf("epochs %d: %v", v.Epochs, v.CounterExamples)
	}
}

// committingCatalog lets an epoch be committed between two loads.
type committingCatalog struct {
	*faultyCatalog
	at     int // before which load
	loads  int
	commit func()
}

func (c *committingCatalog) Load(ctx context.Context, id catalog.Identifier) (*table.Table, error) {
	if c.loads++; c.loads == c.at {
		c.commit()
	}
	return c.faultyCatalog.Load(ctx, id)
}

func TestFormerModelsAreVerifiedToo(t *testing.T) {
	w := lakeWith(t, goodEpochs()...)
	v, err := w.lake("verifier").Verify(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !v.Proven || len(v.Models) != 1 || v.Models[0].TableGone {
		t.Errorf("got %+v, want the model proven", v)
	}
	if err := w.open().Drop(t.Context(), eventTable.ID); err != nil {
		t.Fatal(err)
	}
	if v, err = w.lake("verifier").Verify(t.Context(), nil); err != nil || !v.Proven || !v.Models[0].TableGone {
		t.Errorf("got %+v (%v), want the model proven by its audit rows, its table gone", v, err)
	}
}

func TestRowSetCountsRanges(t *testing.T) {
	s := newRowSet()
	for offset := int64(0); offset < 20000; offset += 3 {
		for ordinal := range int32(offset % 4) {
			if !s.add(offset, ordinal) {
				t.Fatalf("(%d,%d) was there before", offset, ordinal)
			}
		}
	}
	other := newRowSet()
	for offset := int64(0); offset < 20000; offset += 9 {
		other.add(offset, 5)
	}
	for _, r := range [][2]int64{{0, 20000}, {0, 1}, {1, 1}, {63, 65}, {4095, 4097}, {100, 9001}, {4096, 8192}, {-5, 1 << 60}} {
		var want, wantWithout rowCount
		for offset := max(r[0], 0); offset < min(r[1], 20000); offset++ {
			n := offset % 4
			if offset%3 != 0 || n == 0 {
				continue
			}
			want.offsets++
			want.rows += n
			if offset%9 != 0 {
				wantWithout.offsets++
				wantWithout.rows += n
			}
		}
		if got := s.within(r[0], r[1], nil); got != want {
			t.Errorf("%v: %+v, want %+v", r, got, want)
		}
		if got := s.within(r[0], r[1], other); got != wantWithout {
			t.Errorf("%v without multiples of 9: %+v, want %+v", r, got, wantWithout)
		}
	}
	if s.add(9, 0) {
		t.Error("(9,0) is new")
	}
	if !s.has(15, 2) || s.has(15, 3) || s.has(16, 0) || s.has(1<<40, 0) || s.count(15) != 3 || s.count(16) != 0 {
		t.Error("the set has other rows than those that were added")
	}
}

func BenchmarkRowSet(b *testing.B) {
	s := newRowSet()
	for i := range b.N {
		s.add(int64(i), 0)
	}
	b.ReportMetric(float64(len(s.pages)*(pageWords*8+8))/float64(b.N), "B/row")
	if s.within(0, int64(b.N), nil).rows != int64(b.N) {
		b.Fatal("lost rows")
	}
}
