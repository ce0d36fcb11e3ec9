package lakehouse

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse/storage"
)

func testLake() *Lake {
	return New(Config{Pipeline: "shop", Nonce: "w1", Logger: slog.New(slog.DiscardHandler)}, storage.NewMemory("s3://lake"), nil)
}

// schema changes a table's schema as another engine would.
func (w *world) schema(name string, alter func(fields []iceberg.NestedField) []iceberg.NestedField) {
	w.t.Helper()
	current := w.load(name).Metadata().CurrentSchema()
	fields := alter(slices.Clone(current.Fields()))
	w.apply(name, table.NewAddSchemaUpdate(iceberg.NewSchema(current.ID+1, fields...)), table.NewSetCurrentSchemaUpdate(-1))
}

func addField(name string, typ iceberg.Type, required bool) func([]iceberg.NestedField) []iceberg.NestedField {
	return func(fields []iceberg.NestedField) []iceberg.NestedField {
		return append(fields, iceberg.NestedField{ID: 100 + len(fields), Name: name, Type: typ, Required: required})
	}
}

var errReset = errors.New("connection reset")

func TestColumnsAreAddedWhenAPipelineStarts(t *testing.T) {
	w := newWorld(t)
	w.twoEpochs()
	definitions := testDefinitions()
	definitions[1].Schema = columns(t, "id! long", "region string", "note string")
	l := w.lake("w2")
	s, err := l.Start(t.Context(), definitions)
	if err != nil {
		t.Fatal(err)
	}
	e := w.epoch(l, s, "staging.a", "staging.b")
	w.commit(l, e)
	w.expectIDs("staging.b", 1, 2, 3)
	if got := describeSchema(w.load("staging.b").Metadata()); !slices.Equal(got, []string{"id long not null", "region string", "note string"}) {
		t.Errorf("the table is %q", got)
	}
	if was, is := e.Change("staging.a").SchemaID, w.load("staging.b").Metadata().CurrentSchema().ID; e.Change("staging.b").SchemaID != is || was == is {
		t.Errorf("the epoch's files are of schemas %d and %d, the tables' are %d and %d", was, e.Change("staging.b").SchemaID, was, is)
	}
}

// A schema change whose reply is lost, or that never arrives, is looked for.
func TestLostReplyOfASchemaChange(t *testing.T) {
	for name, fault := range map[string]func(*faultyCatalog){
		"lost":         func(c *faultyCatalog) { c.after = []error{errReset} },
		"never landed": func(c *faultyCatalog) { c.before = []error{errReset, catalog.ErrConflict} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			l := w.lake("w1")
			s := w.start(l)
			w.commit(l, w.epoch(l, s, "staging.b"))
			fault(w.catalog)
			tbl, err := l.Evolve(t.Context(), s.Tables["staging.b"], SourceChange{Add: []SourceColumn{sourceColumn(t, "note", "n", "string")}})
			if err != nil {
				t.Fatal(err)
			}
			if got := len(w.load("staging.b").Metadata().Schemas()); got != 2 {
				t.Errorf("the table has %d schemas, want 2", got)
			}
			if got := tbl.SourceColumns(); len(got) != 1 || got[0].From != "n" {
				t.Errorf("got source columns %v", got)
			}
			if tbl.SameColumns(s.Tables["staging.b"]) {
				t.Error("the table that has another column is said to have the same")
			}
			s.Tables["staging.b"] = tbl
			w.commit(l, w.epoch(l, s, "staging.b"))
			w.expectIDs("staging.b", 1, 2)
		})
	}
}

// Two writers that see the same new field add it once, whoever is first.
func TestTwoWritersAddAColumnOnce(t *testing.T) {
	w := newWorld(t)
	first, second := w.lake("w1"), w.lake("w2")
	s := w.start(first)
	change := SourceChange{Add: []SourceColumn{sourceColumn(t, "note", "n", "string")}}
	w.catalog.onCommit = func(int) {
		w.catalog.onCommit = nil
		if _, err := second.Evolve(t.Context(), s.Tables["staging.b"], change); err != nil {
			t.Error(err)
		}
	}
	if _, err := first.Evolve(t.Context(), s.Tables["staging.b"], change); err != nil {
		t.Fatal(err)
	}
	if got := describeSchema(w.load("staging.b").Metadata()); !slices.Equal(got, []string{"id long not null", "region string", "note string"}) {
		t.Errorf("the table is %q", got)
	}
}

// What another engine, or a writer that was overtaken, adds does not stop a
// pipeline; what takes something away does.
func TestEpochsGoOnAfterCompatibleSchemaChanges(t *testing.T) {
	for name, c := range map[string]struct {
		alter func([]iceberg.NestedField) []iceberg.NestedField
		says  string // "" for no refusal
	}{
		"added":          {addField("note", iceberg.PrimitiveTypes.String, false), ""},
		"moved":          {func(f []iceberg.NestedField) []iceberg.NestedField { slices.Reverse(f); return f }, ""},
		"described":      {func(f []iceberg.NestedField) []iceberg.NestedField { f[0].Doc = "the number"; return f }, ""},
		"null allowed":   {func(f []iceberg.NestedField) []iceberg.NestedField { f[0].Required = false; return f }, ""},
		"dropped":        {func(f []iceberg.NestedField) []iceberg.NestedField { return f[:1] }, "column region was dropped"},
		"renamed":        {func(f []iceberg.NestedField) []iceberg.NestedField { f[1].Name = "area"; return f }, "column region was renamed to area"},
		"null forbidden": {func(f []iceberg.NestedField) []iceberg.NestedField { f[1].Required = true; return f }, "column region takes no null any more"},
		"another type": {func(f []iceberg.NestedField) []iceberg.NestedField {
			f[1].Type = iceberg.PrimitiveTypes.Binary
			return f
		}, "column region became binary, it was string"},
		"added without null":     {addField("note", iceberg.PrimitiveTypes.String, true), "column note was added and takes no null"},
		"dropped and made again": {func(f []iceberg.NestedField) []iceberg.NestedField { f[1].ID = 50; return f }, "column region was dropped"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			l := w.lake("w1")
			s := w.start(l)
			w.commit(l, w.epoch(l, s, "staging.b"))
			e := w.epoch(l, s, "staging.b")
			w.schema("staging.b", c.alter)
			err := l.Commit(t.Context(), e)
			if c.says != "" {
				if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), c.says) {
					t.Fatalf("got %v, want ErrForeign saying %q", err, c.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			w.commit(l, w.epoch(l, s, "staging.b")) // files of the schema that this writer knows
			meta := w.load("staging.b").Metadata()
			if got := *meta.CurrentSnapshot().SchemaID; got != meta.CurrentSchema().ID || got == s.Tables["staging.b"].schema.ID {
				t.Errorf("the snapshot is of schema %d, the table's is %d", got, meta.CurrentSchema().ID)
			}
		})
	}
}

// A commit that was planned before a schema change is planned again.
func TestSchemaChangeBetweenPlanAndCommit(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.start(l)
	w.commit(l, w.epoch(l, s, "staging.b"))
	e := w.epoch(l, s, "staging.b")
	w.catalog.onCommit = func(int) {
		w.catalog.onCommit = nil
		w.schema("staging.b", addField("note", iceberg.PrimitiveTypes.String, false))
	}
	w.commit(l, e)
	w.expectIDs("staging.b", 1, 2)
	if got := len(w.load("staging.b").Metadata().Snapshots()); got != 2 {
		t.Errorf("the table has %d snapshots, want 2", got)
	}
}

// An epoch that was decided before the schema changed is completed after it.
func TestDecidedEpochIsCompletedUnderANewerSchema(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.start(l)
	w.commit(l, w.epoch(l, s, "staging.b"))
	w.epoch(l, s, "staging.b") // decided, and the writer dies
	w.schema("staging.b", addField("note", iceberg.PrimitiveTypes.String, false))
	if s := w.start(w.lake("w2")); !s.Completed || s.Epochs["staging.b"] != 2 {
		t.Errorf("got %+v, want epoch 2 completed", s)
	}
	w.expectIDs("staging.b", 1, 2)
}

var wideRows = `[{"id":9007199254740993,"f":0.1,"d":"123456789012.34","s":{"a":4294967296,"b":"new"},"l":[{"x":4294967297,"y":[1]}],"m":[{"key":"k","value":4294967298}],"note":"new"}]`

// Files of the old schema are read by the new one: promoted, and null where
// there was no column.
func TestOldFilesAreReadWithTheNewSchema(t *testing.T) {
	w := newWorld(t)
	narrow := definitionOf(t, "id! int", "f float", "d decimal(9,2)", "s struct<a: int>", "l list<struct<x: int>>", "m map<string, int>")
	wide := definitionOf(t, "id! long", "f double", "d decimal(20,2)", "s struct<a: long, b: string>", "l list<struct<x: long, y: list<int>>>", "m map<string, long>", "note string")
	l := w.lake("w1")
	oldRows := `[{"id":1,"f":0.5,"d":"1.25","s":{"a":2},"l":[{"x":3},null],"m":[{"key":"k","value":4}]},{"id":2,"s":null}]`
	rows := fromJSON(t, narrow.Schema, oldRows)
	s, err := l.Start(t.Context(), []Definition{narrow})
	if err != nil {
		t.Fatal(err)
	}
	w.commit(l, w.epochOf(l, s, "staging.t", rows))
	if s, err = l.Start(t.Context(), []Definition{wide}); err != nil {
		t.Fatal(err)
	}
	w.commit(l, w.epochOf(l, s, "staging.t", fromJSON(t, wide.Schema, wideRows)))
	w.commit(l, w.epochOf(l, s, "staging.t", rows)) // a step that still makes narrow rows
	sample, err := ReadSample(t.Context(), w.load("staging.t"), 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range sample.Rows {
		line := ""
		for i, cell := range row {
			line += fmt.Sprintf("%s=%s ", sample.Columns[i], cell)
		}
		got = append(got, strings.TrimSpace(line))
	}
	slices.Sort(got)
	first := `id=1 f=0.5 d="1.25" s={"a":2,"b":null} l=[{"x":3,"y":null},null] m=[{"key":"k","value":4}] note=null`
	second := `id=2 f=null d=null s=null l=null m=null note=null`
	third := `id=9007199254740993 f=0.1 d="123456789012.34" s={"a":4294967296,"b":"new"} l=[{"x":4294967297,"y":[1]}] m=[{"key":"k","value":4294967298}] note="new"`
	if want := []string{first, first, second, second, third}; !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// epochOf writes rows to a table and records the epoch.
func (w *world) epochOf(l *Lake, s *Start, name string, rows arrow.RecordBatch) *Epoch {
	w.t.Helper()
	e := &Epoch{Number: s.Last + 1, Pipeline: "shop", Writer: l.nonce, Host: "h", Readers: []Reader{}}
	writer, err := s.Tables[name].NewWriter(l.Names(e.Number), WriterConfig{})
	if err != nil {
		w.t.Fatal(err)
	}
	e.Changes = []TableChange{s.Tables[name].Change(s.Epochs[name], write(w.t, writer, rows))}
	s.Epochs[name] = e.Number
	e.Tables = []TableState{{Table: name, UUID: s.Tables[name].UUID, Epoch: e.Number}}
	if err := l.Log().Append(w.t.Context(), e); err != nil {
		w.t.Fatal(err)
	}
	s.Last = e.Number
	return e
}

func TestTableOpensWithAnOlderSchema(t *testing.T) {
	w := newWorld(t)
	l := w.lake("w1")
	s := w.start(l)
	old := s.Tables["staging.b"]
	if _, err := l.Evolve(t.Context(), old, SourceChange{Add: []SourceColumn{sourceColumn(t, "note", "n", "string")}}); err != nil {
		t.Fatal(err)
	}
	at, err := l.OpenAt(t.Context(), old.ID, old.schema.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !at.arrow.Equal(old.arrow) || len(at.SourceColumns()) != 0 || at.Change(0, nil).SchemaID != old.schema.ID {
		t.Errorf("got %v with source columns %v", at.arrow, at.SourceColumns())
	}
	if now, err := l.OpenAt(t.Context(), old.ID, CurrentSchema); err != nil || len(now.SourceColumns()) != 1 {
		t.Errorf("got %v, %v", now, err)
	}
	if _, err := l.OpenAt(t.Context(), old.ID, 99); !errors.Is(err, ErrForeign) {
		t.Errorf("got %v, want ErrForeign", err)
	}
}
