package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse/internal/keyindex"
	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/runtime/record"
)

// Many epochs that touch one partition each: manifests stay few and right.
func TestManifestsOfAKeyedTableStayFew(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.startKeyed(l)
	want := members{}
	const epochs = 3*mergeFanIn + 5
	for n := range epochs {
		changes := []change{created(fmt.Sprint("k", n), fmt.Sprint("r", n%50), int32(n)), amended(fmt.Sprint("k", n/2), fmt.Sprint("r", n/2%50), int32(n))}
		w.change(l, s, regionsTable, changes...)
		want.apply(changes)
		if n%10 == 0 {
			w.expectSound(regionsTable)
		}
	}
	w.expect(regionsTable, want)
	tbl := w.load(regionsTable)
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
}

func TestLargeFilesAreRewrittenInParts(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.startKeyed(l)
	want := members{}
	var changes []change
	for n := range 50_000 {
		changes = append(changes, created(fmt.Sprintf("k%05d", n), "eu", int32(n)))
	}
	w.change(l, s, membersTable, changes...)
	want.apply(changes)
	changes = nil
	for n := 0; n < 50_000; n += 777 {
		changes = append(changes, amended(fmt.Sprintf("k%05d", n), "us", int32(-n)), gone(fmt.Sprintf("k%05d", n+1)))
	}
	w.change(l, s, membersTable, changes...)
	want.apply(changes)
	w.expect(membersTable, want)
	writer, err := s.Tables[membersTable].NewChangeWriter(l.Names(3), ChangeConfig{TargetBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	changes = []change{amended("k00100", "us", 7)}
	if err := writer.Write(t.Context(), changelog(changes)); err != nil {
		t.Fatal(err)
	}
	made, err := writer.Close(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(made.Add) < 2 {
		t.Errorf("%d files, want several of 64 KiB", len(made.Add))
	}
	w.commit(l, w.decide(l, s, &Epoch{Number: 3, Pipeline: "shop", Writer: "w1", Readers: []Reader{}, Changes: []TableChange{made}}))
	want.apply(changes)
	w.expect(membersTable, want)
}

func TestIndexForgetsFilesThatAreGone(t *testing.T) {
	x := &tableIndex{}
	hash := func(n int) keyindex.Hash { return keyindex.Hash{uint64(n) * 0x9e3779b97f4a7c15, uint64(n)} }
	const rows = 3000
	for file := range 6 {
		var hashes []keyindex.Hash
		for n := range rows {
			hashes = append(hashes, hash(file*rows+n))
		}
		if err := x.put("marts.members", x.number(fmt.Sprint("f", file), 0, rows), hashes); err != nil {
			t.Fatal(err)
		}
	}
	for file := range 5 {
		x.drop(fmt.Sprint("f", file), nil)
	}
	for n := range 6 * rows {
		want := ""
		if n >= 5*rows {
			want = "f5"
		}
		if got := x.at(hash(n)).location; got != want {
			t.Fatalf("key %d is in %q, want %q", n, got, want)
		}
	}
	x.sweep()
	if got := x.keys.Len(); got != rows {
		t.Errorf("%d keys after the files went, want %d", got, rows)
	}
	if number := x.number("again", 0, 1); int(number) > 5 {
		t.Errorf("file number %d, want one that is free", number)
	}
	if err := x.put("marts.members", x.numbers["again"][0], []keyindex.Hash{hash(5 * rows)}); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "f5 and again") {
		t.Errorf("a key in two files: got %v, want ErrForeign naming them", err)
	}
}

// Keys of more rows than are remembered are read back.
func TestKeysThatAreNotRememberedAreRead(t *testing.T) {
	x := &tableIndex{}
	x.remember("a", []writtenGroup{{rows: 10, hashes: make([]keyindex.Hash, 10)}})
	x.remember("b", []writtenGroup{{rows: 10, hashes: make([]keyindex.Hash, maxRemembered-10)}, {from: "c", gone: make([]keyindex.Hash, 1)}})
	if got, ok := x.written["b"]; !ok || got != nil {
		t.Errorf("%d row groups of a file that was given up", len(got))
	}
	if x.writtenKeys != 10 || len(x.written["a"]) != 1 {
		t.Errorf("%d keys counted, want those of the other file", x.writtenKeys)
	}
}

// The keys of files that this process wrote need not be read back.
func TestIndexReadsNoFileOfItsOwn(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.startKeyed(l)
	w.change(l, s, regionsTable, created("a", "eu", 1), created("b", "us", 2))
	w.change(l, s, regionsTable, created("c", "eu", 3), amended("b", "us", 4))
	before := len(w.store.Calls())
	w.keyedChange(l, s, regionsTable, []change{created("d", "ap", 4)})
	for _, call := range w.store.Calls()[before:] {
		if (call.Op == storage.OpGet || call.Op == storage.OpOpen) && strings.HasSuffix(call.Location, ".parquet") {
			t.Errorf("%s %s", call.Op, call.Location)
		}
	}
	if keys, bytes := s.Tables[regionsTable].IndexSize(); keys != 3 || bytes == 0 {
		t.Errorf("index of %d keys in %d bytes, want 3", keys, bytes)
	}
}

func TestKeysOfEveryType(t *testing.T) {
	var fields []arrow.Field
	var key []string
	for i, text := range []string{"boolean", "int", "long", "decimal(9,2)", "string", "binary", "date", "timestamp", "timestamptz"} {
		typ, err := record.ParseType(text)
		if err != nil {
			t.Fatal(err)
		}
		key = append(key, fmt.Sprintf("c%d", i))
		fields = append(fields, arrow.Field{Name: key[i], Type: typ})
	}
	fields = append(fields, arrow.Field{Name: "v", Type: arrow.PrimitiveTypes.Int64, Nullable: true})
	d := Definition{ID: catalog.Identifier{Namespace: "marts", Name: "every"}, Schema: arrow.NewSchema(fields, nil), Key: key}
	w := newWorld(t)
	rows := []string{
		`{"c0":true,"c1":-5,"c2":7,"c3":"1234567.89","c4":"ä","c5":"AAEC","c6":"2015-05-17","c7":"2015-05-17 10:05:03.000001","c8":"1969-12-31 23:59:59.999999Z","v":%d}`,
		`{"c0":false,"c1":-5,"c2":7,"c3":"1234567.89","c4":"ä","c5":"AAEC","c6":"2015-05-17","c7":"2015-05-17 10:05:03.000001","c8":"1969-12-31 23:59:59.999999Z","v":%d}`,
		`{"c0":true,"c1":-5,"c2":7,"c3":"-0.01","c4":"","c5":"","c6":"1965-05-17","c7":"1915-05-17 10:05:03.000001","c8":"2069-12-31 23:59:59.999999Z","v":%d}`,
	}
	for epoch := range 3 { // created, updated by an index built anew, updated by the one that is there
		l := w.lake(fmt.Sprint("w", epoch))
		s, err := l.Start(t.Context(), []Definition{d})
		if err != nil {
			t.Fatal(err)
		}
		writer, err := s.Tables[d.ID.String()].NewChangeWriter(l.Names(s.Last+1), ChangeConfig{})
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("["+strings.Join(rows, ",")+"]", epoch, epoch, epoch)
		log := record.Changelog{Ops: slices.Repeat([]record.Op{record.OpUpdate}, 3), Rows: fromJSON(t, d.Schema, text)}
		if err := writer.Write(t.Context(), log); err != nil {
			t.Fatal(err)
		}
		made, err := writer.Close(t.Context(), s.Epochs[d.ID.String()])
		if err != nil {
			t.Fatal(err)
		}
		e := w.decide(l, s, &Epoch{Number: s.Last + 1, Pipeline: "shop", Writer: l.nonce, Readers: []Reader{}, Changes: []TableChange{made}})
		if epoch == 1 { // planned again without an index, by bounds
			w.compactKeyed(d.ID.String(), every)
			l = w.lake("successor")
			if _, err := l.Start(t.Context(), []Definition{d}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		w.commit(l, e)
	}
	if got := w.load(d.ID.String()).CurrentSnapshot().Summary.Properties["total-records"]; got != "3" {
		t.Errorf("%s rows, want 3", got)
	}
}

// Two parts of a key do not run into each other.
func TestKeysOfPartsAreToldApart(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "a", Type: arrow.BinaryTypes.String}, {Name: "b", Type: arrow.BinaryTypes.String}}, nil)
	k := &keyHasher{columns: []string{"a", "b"}, hasher: keyindex.NewHasher()}
	hashes, err := k.hashes(fromJSON(t, schema, `[{"a":"x","b":"yz"},{"a":"xy","b":"z"},{"a":"xyz","b":""},{"a":"x","b":"yz"}]`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if hashes[0] == hashes[1] || hashes[1] == hashes[2] || hashes[0] == hashes[2] || hashes[0] != hashes[3] {
		t.Errorf("hashes %x", hashes)
	}
	null := arrow.NewSchema([]arrow.Field{{Name: "a", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "b", Type: arrow.BinaryTypes.String}}, nil)
	if _, err := k.hashes(fromJSON(t, null, `[{"a":null,"b":"x"}]`), nil); !errors.Is(err, ErrNullKey) {
		t.Errorf("got %v, want ErrNullKey", err)
	}
}

// Files whose bounds exclude all changed keys are not read.
func TestBoundsOfKeys(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}, {Name: "s", Type: arrow.BinaryTypes.String}}, nil)
	rows := fromJSON(t, schema, `[{"n":-5,"s":"b"},{"n":100,"s":"dd"}]`)
	column := func(i int) boundColumn {
		c, ok := newBoundColumn(i, rows.Column(i))
		if !ok {
			t.Fatal("not compared")
		}
		return c
	}
	long := func(n int64) []byte { b, _ := iceberg.NewLiteral(n).MarshalBinary(); return b }
	short := func(n int32) []byte { b, _ := iceberg.NewLiteral(n).MarshalBinary(); return b }
	for _, c := range []struct {
		column       int
		lower, upper []byte
		want         bool
	}{
		{0, long(-10), long(-6), false}, {0, long(-10), long(-5), true}, {0, long(-4), long(99), false}, {0, long(100), long(100), true},
		{0, long(101), long(200), false}, {0, nil, long(-6), false}, {0, long(101), nil, false}, {0, nil, nil, true}, {0, short(-6), short(0), true}, {0, short(0), short(9), false},
		{1, []byte("a"), []byte("az"), false}, {1, []byte("a"), []byte("b"), true}, {1, []byte("ba"), []byte("dc"), false}, {1, []byte("d"), nil, true}, {1, []byte("e"), nil, false},
	} {
		f := column(c.column)
		if got := f.within(c.lower, c.upper); got != c.want {
			t.Errorf("column %d within %x and %x: %v, want %v", c.column, c.lower, c.upper, got, c.want)
		}
	}
}

// Another engine adds a column and widens one, and later compacts: rewritten
// rows keep what the table has.
func TestKeyedTableFollowsItsSchema(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.startKeyed(l)
	w.change(l, s, membersTable, created("a", "eu", 1), created("b", "us", 2))
	e := w.decideKeyed(l, s, membersTable, []change{amended("a", "eu", 10), created("c", "eu", 3)})
	w.schema(membersTable, func(fields []iceberg.NestedField) []iceberg.NestedField {
		for i := range fields {
			if fields[i].Name == "n" {
				fields[i].Type = iceberg.PrimitiveTypes.Int64
			}
		}
		return addField("note", iceberg.PrimitiveTypes.String, false)(fields)
	})
	w.compactKeyed(membersTable, every)
	w.commit(l, e)
	made, _ := w.keyedChange(l, s, membersTable, []change{amended("b", "us", 20)}) // by a table that was opened before
	w.commit(l, w.decide(l, s, &Epoch{Number: 3, Pipeline: "shop", Writer: "w1", Readers: []Reader{}, Changes: []TableChange{made}}))
	got := map[string]int64{}
	_, err := s.Tables[membersTable].Rows(t.Context(), []string{"member_key", "n"}, func(_ RowsFile, rows arrow.RecordBatch) error {
		for i := range int(rows.NumRows()) {
			got[strings.Clone(rows.Column(0).(*array.String).Value(i))] += rows.Column(1).(*array.Int64).Value(i)
		}
		return nil
	})
	if want := map[string]int64{"a": 10, "b": 20, "c": 3}; err != nil || !maps.Equal(got, want) {
		t.Errorf("rows %v (%v), want %v", got, err, want)
	}
	w.expectSound(membersTable)
}

func TestRowsTellTheirEpoch(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.startKeyed(l)
	for range 2 {
		w.commit(l, w.epoch(l, s, "staging.b"))
	}
	w.foreignAppend("staging.b", 100)
	var got []string
	progress, err := s.Tables["staging.b"].Rows(t.Context(), []string{"id"}, func(f RowsFile, rows arrow.RecordBatch) error {
		got = append(got, fmt.Sprint(f.Epoch, f.Sequence, f.Rows, rows.Column(0)))
		return nil
	})
	if err != nil || progress.Epoch != 2 {
		t.Errorf("progress %+v (%v), want epoch 2", progress, err)
	}
	if want := []string{"1 1 1 [1]", "2 2 1 [2]", "0 3 1 [100]"}; !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
	enough := errors.New("enough")
	if _, err := s.Tables["staging.b"].Rows(t.Context(), nil, func(RowsFile, arrow.RecordBatch) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("got %v, want the error of visit", err)
	}
	for name, want := range map[string]int64{
		"s3://l/t/data/7-0123456789abcdef-3.parquet": 7, "s3://l/t/data/d=1/7-w1-3.parquet": 7, "s3://l/t/data/00007-w1-3.parquet": 0,
		"s3://l/t/data/00000-0-0e1c-4d-00001.parquet": 0, "s3://l/t/data/part.parquet": 0, "s3://l/t/data/7-w1-x.parquet": 0,
	} {
		if got := EpochOf(name); got != want {
			t.Errorf("epoch of %s is %d, want %d", name, got, want)
		}
	}
}

// decidedKeyed decides an epoch of a keyed table and does not commit it.
func decidedKeyed(t *testing.T) (*world, *Epoch, members) {
	w := newWorld(t)
	e, want := w.decidedKeyed()
	return w, e, want
}

func (w *world) decidedKeyed() (*Epoch, members) {
	w.t.Helper()
	l := w.lake("w1")
	s := w.startKeyed(l)
	want := members{}
	for _, changes := range [][]change{{created("a", "eu", 1), created("b", "us", 2)}, {amended("a", "us", 10), created("c", "eu", 3)}} {
		want.apply(changes)
		e := w.decideKeyed(l, s, membersTable, changes)
		if s.Last == 2 {
			return e, want
		}
		w.commit(l, e)
	}
	panic("BUG: not reached")
}

func TestLostFilesOfADecidedKeyedEpoch(t *testing.T) {
	for name, c := range map[string]struct {
		data, changes, compacted bool
		want                     error
	}{
		"a data file":                         {data: true},
		"the change file":                     {changes: true},
		"both":                                {data: true, changes: true, want: ErrMissingFile},
		"the change file of files that moved": {changes: true, compacted: true, want: ErrMissingFile},
		"a data file that is not needed":      {data: true, compacted: true},
	} {
		t.Run(name, func(t *testing.T) {
			w, e, want := decidedKeyed(t)
			if c.data {
				w.lose(e.Changes[0].Add[0].Location)
			}
			if c.changes {
				w.lose(e.Changes[0].ChangeFile.Location)
			}
			if c.compacted {
				w.compactKeyed(membersTable, every)
			}
			l := w.lake("w2")
			if missing, err := l.Missing(t.Context(), e); err != nil || len(missing) != 0 {
				t.Errorf("missing %v (%v): the commit makes files of keyed tables anew", missing, err)
			}
			_, err := l.Start(t.Context(), keyedDefinitions())
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if c.want == nil {
				w.expect(membersTable, want)
			}
		})
	}
}

func (w *world) lose(location string) {
	w.t.Helper()
	if err := w.store.Delete(w.t.Context(), location); err != nil {
		w.t.Fatal(err)
	}
}

func TestChangeFileThatIsNotTheRecordedOne(t *testing.T) {
	w, e, _ := decidedKeyed(t)
	location := e.Changes[0].ChangeFile.Location
	body, err := w.store.Get(t.Context(), location)
	if err != nil {
		t.Fatal(err)
	}
	w.lose(location)
	body[len(body)/2] ^= 1
	if err := w.store.Put(t.Context(), location, body); err != nil {
		t.Fatal(err)
	}
	w.compactKeyed(membersTable, every)
	if _, err := w.lake("w2").Start(t.Context(), keyedDefinitions()); !errors.Is(err, ErrMissingFile) || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("got %v, want ErrMissingFile of another digest", err)
	}
}

// A file that a committed epoch shows and that is gone cannot be made anew.
func TestLostFileOfACommittedKeyedEpoch(t *testing.T) {
	w, e, _ := decidedKeyed(t)
	l := w.lake("w2")
	w.commit(l, e)
	w.lose(e.Changes[0].Add[0].Location)
	missing, err := l.Missing(t.Context(), e)
	if err != nil || len(missing) != 1 || !missing[0].Committed {
		t.Errorf("missing %+v (%v), want the file", missing, err)
	}
	if err := l.CommitRederived(t.Context(), e, nil); !errors.Is(err, ErrNotReproduced) || !strings.Contains(err.Error(), "begin anew") {
		t.Errorf("got %v, want ErrNotReproduced", err)
	}
}

// A keyed table keeps its rows, and its model is not known to the log, so that it
// begins anew.
func TestRecoverWithKeyedRows(t *testing.T) {
	w := lakeWith(t, goodEpochs()...)
	l := w.lake("w1")
	definitions := append(slices.Clone(eventDefinitions), keyedDefinitions()[0])
	s, err := l.Start(t.Context(), definitions)
	if err != nil {
		t.Fatal(err)
	}
	audit := taken{from: 5000, to: 5001, rows: [][2]int64{{5000, 0}}}
	made, _ := w.keyedChange(l, s, membersTable, []change{created("a", "eu", 1)})
	e := &Epoch{Number: s.Last + 1, Pipeline: "shop", Writer: l.nonce, Host: "h", Readers: []Reader{{Name: "main", Models: []string{"events"}, Ranges: []Range{audit.auditRow(4).Range}}}}
	c := contents{audit: []AuditRow{audit.auditRow(4), keyedAudit(audit, 4)}, rows: [][3]int64{{0, 5000, 0}}}
	e.Changes = append([]TableChange{made}, w.files(l, s, 4, c)...)
	w.commit(l, w.decide(l, s, e))

	v, err := w.lake("verifier").Verify(t.Context(), append([]ModelTable{{Model: "members", Table: membersTable}}, eventModels...))
	if err != nil || !v.Proven {
		t.Fatalf("not proven (%v): %v", err, v.CounterExamples)
	}
	w.loseLog()
	recovered, err := w.lake("w2").Recover(t.Context(), definitions, "main")
	if err != nil {
		t.Fatal(err)
	}
	if readers := recovered.Floor.Positions; len(readers) != 1 || !slices.Equal(readers[0].Models, []string{"events"}) || recovered.Floor.Number != 4 {
		t.Errorf("recovered %+v, want the reader of events behind epoch 4", recovered.Floor)
	}
	s, err = w.lake("w3").Start(t.Context(), definitions)
	if err != nil || s.Epochs[membersTable] != 4 || len(s.Keyed) != 0 || s.State != nil {
		t.Errorf("start at %+v (%v), want the keyed table as it is, and no state", s, err)
	}
}

// keyedAudit is the audit row of a keyed model that made three rows of each
// record of a range.
func keyedAudit(of taken, epoch int64) AuditRow {
	row := of.auditRow(epoch)
	row.Model, row.Table = "members", membersTable
	row.Fate = record.Fate{Delivered: 3, WithRows: 3}
	row.Range.Delivered = 3
	return row
}

func TestVerifyFindsKeysTwiceAndNulls(t *testing.T) {
	w := lakeWith(t, goodEpochs()...)
	l := w.lake("w1")
	s, err := l.Start(t.Context(), append(slices.Clone(eventDefinitions), keyedDefinitions()[0]))
	if err != nil {
		t.Fatal(err)
	}
	writer, err := s.Tables[membersTable].newWriter(l.Names(9), WriterConfig{})
	if err != nil {
		t.Fatal(err)
	}
	log := changelog([]change{created("a", "eu", 1), created("b", "eu", 1), created("a", "us", 2)})
	files := write(t, writer, log.Rows)
	e := &Epoch{Number: 4, Pipeline: "shop", Writer: "w1", Readers: []Reader{}, Changes: []TableChange{s.Tables[membersTable].Change(0, files)}}
	w.commit(l, w.decide(l, s, e))
	v, err := w.lake("verifier").Verify(t.Context(), append([]ModelTable{{Model: "members", Table: membersTable}}, eventModels...))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, c := range v.CounterExamples {
		found = append(found, c.String())
	}
	want := []string{
		`duplicate key, model members, table marts.members: expected one row of each key, found two of member_key a`,
	}
	if !slices.Equal(found, want) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
	}
	nulls := fromJSON(t, memberSchema, `[{"member_key":null,"n":1},{"member_key":"x","n":1}]`)
	verifier := &verifier{lake: l, found: map[findingKey]*CounterExample{}}
	if !verifier.nullKeys(newModelProof("members", membersTable), &verifiedTable{name: membersTable}, []string{"member_key"}, nulls) {
		t.Error("a null in a key is not found")
	}
	if got := verifier.counterExamples(); len(got) != 1 || got[0].Check != CheckNullKey || got[0].Count != 1 {
		t.Errorf("found %v, want one null key", got)
	}
}

// Rows that another engine deleted by delete files would come back.
func TestDeleteFilesOfOthersStop(t *testing.T) {
	w, _, _ := decidedKeyed(t)
	id := w.foreign(membersTable, table.OpDelete, iceberg.Properties{"added-position-deletes": "1"})
	_, err := w.lake("w2").Start(t.Context(), keyedDefinitions())
	if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), fmt.Sprintf("%s to %d", PropertyAccepted, id)) {
		t.Errorf("got %v, want ErrForeign with the way to accept it", err)
	}
}

// What an operator has accepted may have moved or added keys: the epoch that was
// decided before is planned again, and so has each key once. Where a key is there
// twice it is not known which row it has.
func TestAcceptedRowsOfOthersArePlannedFor(t *testing.T) {
	for key, want := range map[string]error{"c": nil, "a": ErrForeign} {
		w, _, rows := decidedKeyed(t) // creates c, amends a
		w.appendMember(key)
		_, err := w.lake("w2").Start(t.Context(), keyedDefinitions())
		if !errors.Is(err, want) || want != nil && !strings.Contains(err.Error(), "holds a key twice") {
			t.Fatalf("another's row of %s: got %v, want %v", key, err, want)
		}
		if want == nil {
			w.expect(membersTable, rows)
		}
	}
}

// The same while a commit is on its way that has been planned again already.
func TestRowsAcceptedDuringACommitArePlannedFor(t *testing.T) {
	w, e, rows := decidedKeyed(t)
	w.compactKeyed(membersTable, every)
	w.catalog.onCommit = func(int) {
		w.catalog.onCommit = nil
		w.appendMember("c")
	}
	w.commit(w.lake("w2"), e)
	w.expect(membersTable, rows)
}

// The same where the snapshots that would tell have expired.
func TestEpochIsPlannedAgainWhenHistoryHasExpired(t *testing.T) {
	w, e, rows := decidedKeyed(t)
	ours := e.Changes[0].Replace
	w.appendMember("c")
	w.compactKeyed(membersTable, func(path string) bool { return !slices.Contains(ours, path) })
	meta := w.load(membersTable).Metadata()
	var old []int64
	for _, s := range meta.Snapshots() {
		if s.SnapshotID != meta.CurrentSnapshot().SnapshotID {
			old = append(old, s.SnapshotID)
		}
	}
	w.apply(membersTable, table.NewRemoveSnapshotsUpdate(old, false))
	w.startKeyed(w.lake("w2"))
	w.expect(membersTable, rows)
}

// appendMember adds a row as another engine would, and accepts it.
func (w *world) appendMember(key string) {
	w.t.Helper()
	reader, err := tableReader(foreignMember(w.t, key))
	if err != nil {
		w.t.Fatal(err)
	}
	tx := w.load(membersTable).NewTransaction()
	if err := tx.Append(w.t.Context(), reader, iceberg.Properties{}); err != nil {
		w.t.Fatal(err)
	}
	w.accept(tx)
}

// accept commits what another engine did to the members, and accepts it.
func (w *world) accept(tx *table.Transaction) {
	w.t.Helper()
	commit, err := tx.TableCommit()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.catalog.Catalog.Commit(w.t.Context(), []table.TableCommit{commit}); err != nil {
		w.t.Fatal(err)
	}
	head := w.load(membersTable).CurrentSnapshot().SnapshotID
	w.apply(membersTable, table.NewSetPropertiesUpdate(iceberg.Properties{PropertyAccepted: fmt.Sprint(head)}))
}

func foreignMember(t *testing.T, key string) arrow.RecordBatch {
	t.Helper()
	fields := slices.Clone(memberSchema.Fields())
	fields[0].Nullable = false
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	defer b.Release()
	row := &rowBuilder{builder: b}
	row.string(key)
	row.optional("ap")
	row.int32(0)
	row.next().(*array.MapBuilder).Append(true)
	row.next().(*array.BooleanBuilder).Append(true)
	return b.NewRecordBatch()
}

// staleCatalog shows a table as it was.
type staleCatalog struct {
	Catalog
	shown *table.Table
}

func (c *staleCatalog) Load(ctx context.Context, id catalog.Identifier) (*table.Table, error) {
	if c.shown != nil && id.String() == membersTable {
		return c.shown, nil
	}
	return c.Catalog.Load(ctx, id)
}

// An epoch is not planned on a head that lacks the one before, nor on one that
// has it already.
func TestChangesArePlannedOnTheEpochBefore(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	stale := &staleCatalog{Catalog: l.catalog}
	l.catalog = stale
	s := w.startKeyed(l)
	first := w.load(membersTable)
	w.change(l, s, membersTable, created("a", "eu", 1))
	closing := func(l *Lake, epoch, prev int64) error {
		writer, err := s.Tables[membersTable].NewChangeWriter(l.Names(epoch), ChangeConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if err := writer.Write(t.Context(), changelog([]change{amended("a", "eu", 2)})); err != nil {
			t.Fatal(err)
		}
		_, err = writer.Close(t.Context(), prev)
		return err
	}
	stale.shown = first
	if err := closing(l, 2, 1); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "at epoch 0, epoch 2 needs it at 1") {
		t.Errorf("stale head: got %v, want ErrForeign", err)
	}
	stale.shown = nil
	successor := w.lake("w2")
	w.change(successor, w.startKeyed(successor), membersTable, created("b", "eu", 1))
	if err := closing(l, 2, 1); !errors.Is(err, ErrFenced) || !strings.Contains(err.Error(), "w2") {
		t.Errorf("head of a successor: got %v, want ErrFenced naming it", err)
	}
}
