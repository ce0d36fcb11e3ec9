package lakehouse

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/runtime/record"
)

// columns reads columns as "name type", with "name! type" for one that is not
// nullable.
func columns(t *testing.T, texts ...string) *arrow.Schema {
	t.Helper()
	var fields []arrow.Field
	for _, text := range texts {
		name, typeText, _ := strings.Cut(text, " ")
		typ, err := record.ParseType(typeText)
		if err != nil {
			t.Fatal(err)
		}
		required := strings.HasSuffix(name, "!")
		fields = append(fields, arrow.Field{Name: strings.TrimSuffix(name, "!"), Type: typ, Nullable: !required})
	}
	return arrow.NewSchema(fields, nil)
}

func metaOf(t *testing.T, d Definition) table.Metadata {
	t.Helper()
	spec, err := d.createSpec("shop")
	if err != nil {
		t.Fatal(err)
	}
	meta, err := table.NewMetadata(spec.Schema, spec.Spec, table.UnsortedSortOrder, "s3://lake/t", spec.Properties)
	if err != nil {
		t.Fatal(err)
	}
	return meta
}

func updated(t *testing.T, meta table.Metadata, updates ...table.Update) table.Metadata {
	t.Helper()
	next, err := table.UpdateTableMetadata(meta, updates, "")
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func definitionOf(t *testing.T, texts ...string) Definition {
	t.Helper()
	return Definition{ID: catalog.Identifier{Namespace: "staging", Name: "t"}, Schema: columns(t, texts...)}
}

// carryOut applies an evolution as a catalog does: requirements first.
func carryOut(t *testing.T, meta table.Metadata, e Evolution) table.Metadata {
	t.Helper()
	commit := e.commit(table.Identifier{"staging", "t"})
	for _, r := range commit.Requirements {
		if err := r.Validate(meta); err != nil {
			t.Fatal(err)
		}
	}
	return updated(t, meta, commit.Updates...)
}

func describeSchema(meta table.Metadata) []string {
	var out []string
	for _, f := range meta.CurrentSchema().Fields() {
		out = append(out, f.Name+" "+describeField(f))
	}
	return out
}

// fieldIDs are the ids of all fields of a schema, by path.
func fieldIDs(fields []iceberg.NestedField, path string, into map[string]int) map[string]int {
	for _, f := range fields {
		at := join(path, f.Name)
		into[at] = f.ID
		if nested, ok := f.Type.(iceberg.NestedType); ok {
			fieldIDs(nested.Fields(), at, into)
		}
	}
	return into
}

func TestDeclarationsThatTheTableCanFollow(t *testing.T) {
	for name, c := range map[string]struct {
		table, model []string
		changes      []string
		kept         []string
		want         []string // of the table then; nil is as the model declares
	}{
		"nothing": {[]string{"id! long", "a int"}, []string{"id! long", "a int"}, nil, nil, nil},
		"order does not matter": {[]string{"id! long", "a int"}, []string{"a int", "id! long"}, nil, nil,
			[]string{"id long not null", "a int"}},
		"a column, at the end of the model's own": {
			[]string{"id! long", "kafka_topic! string", "kafka_offset! long"}, []string{"id! long", "note string", "kafka_topic! string", "kafka_offset! long"},
			[]string{"column note: added, string"}, nil, nil},
		"change columns, before the position columns": {
			[]string{"id! long", "kafka_topic! string"}, []string{"id! long", "source_ts timestamptz", "kafka_topic! string"},
			[]string{"column source_ts: added, timestamptz"}, nil,
			[]string{"id long not null", "kafka_topic string not null", "source_ts timestamptz"}},
		"a column of a table whose last is the model's": {
			[]string{"kafka_topic! string", "id! long"}, []string{"kafka_topic! string", "id! long", "b list<struct<c: int>>"},
			[]string{"column b: added, list<struct<c: int>>"}, nil, nil},
		"wider types": {
			[]string{"a int", "b float", "c decimal(9,2)"}, []string{"a long", "b double", "c decimal(38,2)"},
			[]string{"column a: int becomes long", "column b: float becomes double", "column c: decimal(9,2) becomes decimal(38,2)"}, nil, nil},
		"wider types within": {
			[]string{"s struct<a: int>", "l list<int>", "m map<string, int>", "d list<map<string, struct<x: float>>>"},
			[]string{"s struct<a: long>", "l list<long>", "m map<string, long>", "d list<map<string, struct<x: double>>>"},
			[]string{"column s.a: int becomes long", "column l.element: int becomes long", "column m.value: int becomes long", "column d.element.value.x: float becomes double"}, nil, nil},
		"more fields within": {
			[]string{"s struct<a: int>", "l list<struct<a: int>>", "m map<string, struct<a: int>>"},
			[]string{"s struct<a: int, b: struct<c: string>>", "l list<struct<a: int, b: list<int>>>", "m map<string, struct<a: int, b: map<string, int>>>"},
			[]string{"column s.b: added, struct<c: string>", "column l.element.b: added, list<int>", "column m.value.b: added, map<string, int>"}, nil, nil},
		"null allowed": {[]string{"id! long"}, []string{"id long"}, []string{"column id: null is allowed from now on"}, nil, nil},
		"narrower types stay": {
			[]string{"a long", "s struct<a: double>"}, []string{"a int", "s struct<a: float>"}, nil,
			[]string{"column a: the table has long, the project declares int; the table's type stays", "column s.a: the table has double, the project declares float; the table's type stays"},
			[]string{"a long", "s struct<a: double>"}},
		"wider and narrower in one": {
			[]string{"s struct<a: long, b: int>"}, []string{"s struct<a: int, b: long>"}, []string{"column s.b: int becomes long"},
			[]string{"column s.a: the table has long, the project declares int; the table's type stays"}, []string{"s struct<a: long, b: long>"}},
		"columns and fields of others stay": {
			[]string{"id! long", "theirs string", "s struct<a: int, b: int>"}, []string{"id! long", "s struct<a: int>"}, nil,
			[]string{"column s.b int: the project does not declare it; it stays, null in new rows", "column theirs string: the project does not declare it; it stays, null in new rows"},
			[]string{"id long not null", "theirs string", "s struct<a: int, b: int>"}},
	} {
		t.Run(name, func(t *testing.T) {
			meta := metaOf(t, definitionOf(t, c.table...))
			model := definitionOf(t, c.model...)
			e, err := model.Evolve(meta)
			if err != nil || len(e.Problems) > 0 {
				t.Fatalf("got error %v, problems %q", err, e.Problems)
			}
			slices.Sort(e.Kept)
			if !slices.Equal(e.Changes, c.changes) || !slices.Equal(e.Kept, c.kept) {
				t.Errorf("got changes %q and kept %q, want %q and %q", e.Changes, e.Kept, c.changes, c.kept)
			}
			if e.pending() != (len(c.changes) > 0) {
				t.Fatalf("pending is %v with changes %q", e.pending(), e.Changes)
			}
			if !e.pending() {
				return
			}
			next := carryOut(t, meta, e)
			want := c.want
			if want == nil {
				want = describeSchema(metaOf(t, model))
			}
			if got := describeSchema(next); !slices.Equal(got, want) {
				t.Errorf("the table is %q, want %q", got, want)
			}
			checkIDs(t, meta, next)
			if again, err := model.Evolve(next); err != nil || again.pending() || len(again.Problems) > 0 {
				t.Errorf("the table that followed is to become %+v, error %v", again, err)
			}
		})
	}
}

// checkIDs requires that fields keep their ids, new ones have ids that no field
// ever had, and the table knows the highest.
func checkIDs(t *testing.T, before, after table.Metadata) {
	t.Helper()
	old := fieldIDs(before.CurrentSchema().Fields(), "", map[string]int{})
	now := fieldIDs(after.CurrentSchema().Fields(), "", map[string]int{})
	highest := 0
	for path, id := range now {
		highest = max(highest, id)
		if was, there := old[path]; there && was != id || !there && id <= before.LastColumnID() {
			t.Errorf("field %s has id %d, it had %d and the table had given away %d", path, id, was, before.LastColumnID())
		}
	}
	if got := slices.Compact(slices.Sorted(maps.Values(now))); len(got) != len(now) {
		t.Errorf("ids are not distinct: %v", now)
	}
	if after.LastColumnID() < highest {
		t.Errorf("last column id is %d, a field has %d", after.LastColumnID(), highest)
	}
	if after.CurrentSchema().ID == before.CurrentSchema().ID || len(after.Schemas()) != len(before.Schemas())+1 {
		t.Errorf("schema %d after %d, of %d", after.CurrentSchema().ID, before.CurrentSchema().ID, len(after.Schemas()))
	}
}

func TestDeclarationsThatTheTableCannotFollow(t *testing.T) {
	fixed := func(d Definition) Definition { d.Fixed = true; return d }
	exact := func(d Definition) Definition { d.Exact = true; return d }
	by := func(d Definition) Definition {
		d.PartitionBy = []PartitionField{{Column: "a", Transform: "identity"}}
		return d
	}
	for name, c := range map[string]struct {
		table, model Definition
		says         []string
	}{
		"a new column that is not nullable":      {definitionOf(t, "a int"), definitionOf(t, "a int", "b! int"), []string{"column b", "no value for it", "declare it nullable"}},
		"no null any more":                       {definitionOf(t, "a int"), definitionOf(t, "a! int"), []string{"column a", "nullable: false", "not_null"}},
		"another type":                           {definitionOf(t, "a int"), definitionOf(t, "a string"), []string{"column a: the table has int, the project declares string", "new name"}},
		"text to bytes, which iceberg-go allows": {definitionOf(t, "a string"), definitionOf(t, "a binary"), []string{"column a"}},
		"another scale":                          {definitionOf(t, "a decimal(9,2)"), definitionOf(t, "a decimal(12,3)"), []string{"decimal(9,2)", "decimal(12,3)"}},
		"another zone":                           {definitionOf(t, "a timestamp"), definitionOf(t, "a timestamptz"), []string{"column a"}},
		"another shape":                          {definitionOf(t, "a struct<b: int>"), definitionOf(t, "a list<int>"), []string{"column a: the table has struct<b: int>, the project declares list<int>"}},
		"another type within":                    {definitionOf(t, "a list<struct<b: int>>"), definitionOf(t, "a list<struct<b: date>>"), []string{"column a.element.b"}},
		"a wider key of a map":                   {definitionOf(t, "a map<int, int>"), definitionOf(t, "a map<long, int>"), []string{"column a.key", "keys of maps"}},
		"a wider partition column":               {by(definitionOf(t, "a int")), by(definitionOf(t, "a long")), []string{"column a: the table is partitioned by it as int"}},
		"names alike":                            {definitionOf(t, "a int", "Note string"), definitionOf(t, "a int", "note string"), []string{"column note", "Note", "upper and lower case"}},
		"names alike within":                     {definitionOf(t, "a struct<b: int>"), definitionOf(t, "a struct<B: int>"), []string{"column a.B"}},
		"an undeclared column without null":      {definitionOf(t, "a int", "b! int"), definitionOf(t, "a int"), []string{"column b int not null", "takes no null"}},
		"another partition spec":                 {definitionOf(t, "a int"), by(definitionOf(t, "a int")), []string{"partition spec: the table has unpartitioned, the project declares identity(a)"}},
		"a fixed table":                          {definitionOf(t, "a int"), fixed(definitionOf(t, "a long", "b int")), []string{"column a: int becomes long; column b: added, int", "on_schema_change is fail"}},
		"an exact table":                         {definitionOf(t, "a int", "b int"), exact(definitionOf(t, "a int")), []string{"column b int", "contract.enforced"}},
		"an exact table, within":                 {definitionOf(t, "a struct<b: int, c: int>"), exact(definitionOf(t, "a struct<b: int>")), []string{"column a.c int", "contract.enforced"}},
		"an exact table of a wider type":         {definitionOf(t, "a long"), exact(definitionOf(t, "a int")), []string{"declares int", "contract.enforced", "declare long"}},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := c.model.Evolve(metaOf(t, c.table))
			if err != nil {
				t.Fatal(err)
			}
			if e.pending() || len(e.Problems) != 1 {
				t.Fatalf("got %+v, want one problem and no change", e)
			}
			for _, part := range c.says {
				if !strings.Contains(e.Problems[0], part) {
					t.Errorf("got %q, want it to say %q", e.Problems[0], part)
				}
			}
		})
	}
}

func TestIdentifierFieldsStayThat(t *testing.T) {
	meta := metaOf(t, definitionOf(t, "id! long", "a int"))
	id, _ := meta.CurrentSchema().FindFieldByName("id")
	meta = updated(t, meta,
		table.NewAddSchemaUpdate(iceberg.NewSchemaWithIdentifiers(7, []int{id.ID}, meta.CurrentSchema().Fields()...)), table.NewSetCurrentSchemaUpdate(-1))
	e, err := definitionOf(t, "id! long", "a long").Evolve(meta)
	if err != nil {
		t.Fatal(err)
	}
	if got := carryOut(t, meta, e).CurrentSchema().IdentifierFieldIDs; !slices.Equal(got, []int{id.ID}) {
		t.Errorf("identifier fields %v, want %d", got, id.ID)
	}
	e, err = definitionOf(t, "id long", "a int").Evolve(meta)
	if err != nil || len(e.Problems) != 1 || !strings.Contains(e.Problems[0], "identifier field") {
		t.Errorf("got %+v, %v, want a refusal", e, err)
	}
}

func sourceColumn(t *testing.T, name, from, typ string) SourceColumn {
	t.Helper()
	return SourceColumn{Name: name, From: from, Type: columns(t, name+" "+typ).Field(0).Type}
}

func TestSourceAddsAndWidensColumns(t *testing.T) {
	meta := metaOf(t, definitionOf(t, "id! int", "s struct<a: int>", "kafka_topic! string"))
	e, err := SourceChange{
		Add:   []SourceColumn{sourceColumn(t, "order_id", "orderId", "long"), sourceColumn(t, "lines", "payload.lines", "list<struct<sku: string>>")},
		Widen: []SourceColumn{sourceColumn(t, "id", "id", "long"), sourceColumn(t, "s", "S", "struct<a: long, b: string>")},
	}.evolve(meta)
	if err != nil || len(e.Problems) > 0 {
		t.Fatalf("got error %v, problems %q", err, e.Problems)
	}
	next := carryOut(t, meta, e)
	checkIDs(t, meta, next)
	want := []string{"id long not null", "s struct<a: long, b: string>", "order_id long", "lines list<struct<sku: string>>", "kafka_topic string not null"}
	if got := describeSchema(next); !slices.Equal(got, want) {
		t.Errorf("the table is %q, want %q", got, want)
	}
	source, err := sourceFields(next.Properties())
	if want := map[string]string{"order_id": "orderId", "lines": "payload.lines", "s.b": "S.b"}; err != nil || !maps.Equal(source, want) {
		t.Errorf("source fields %v, error %v, want %v", source, err, want)
	}
	t.Run("again", func(t *testing.T) {
		e, err := SourceChange{
			Add:   []SourceColumn{sourceColumn(t, "order_id", "orderId", "string")}, // another writer's type stands
			Widen: []SourceColumn{sourceColumn(t, "id", "id", "long")},
		}.evolve(next)
		if err != nil || e.pending() || len(e.Problems) > 0 {
			t.Errorf("got %+v, %v, want nothing to do", e, err)
		}
	})
	t.Run("more inside", func(t *testing.T) {
		e, err := SourceChange{Widen: []SourceColumn{sourceColumn(t, "lines", "payload.lines", "list<struct<sku: string, qty: int>>")}}.evolve(next)
		if err != nil || len(e.Problems) > 0 {
			t.Fatal(err, e.Problems)
		}
		source, err := sourceFields(carryOut(t, next, e).Properties())
		if err != nil || source["lines.element.qty"] != "payload.lines.element.qty" || source["s.b"] != "S.b" {
			t.Errorf("source fields %v, error %v", source, err)
		}
	})
}

func TestSourceChangesThatAreRefused(t *testing.T) {
	meta := metaOf(t, definitionOf(t, "id! long", "note string", "Total int"))
	for name, c := range map[string]struct {
		change SourceChange
		says   string
	}{
		"a column of another origin":  {SourceChange{Add: []SourceColumn{sourceColumn(t, "note", "note", "string")}}, "declare the column in the model to have it filled"},
		"names alike":                 {SourceChange{Add: []SourceColumn{sourceColumn(t, "total", "total", "int")}}, "upper and lower case"},
		"a type that is no promotion": {SourceChange{Widen: []SourceColumn{sourceColumn(t, "id", "id", "string")}}, "the table has long, the source has string; declare the column"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := c.change.evolve(meta)
			if err != nil || e.pending() || len(e.Problems) != 1 || !strings.Contains(e.Problems[0], c.says) {
				t.Errorf("got %+v, %v, want a problem saying %q", e, err, c.says)
			}
		})
	}
}

func TestSourceColumnsAreAdoptedByTheNextProject(t *testing.T) {
	meta := metaOf(t, definitionOf(t, "id! int", "s struct<a: int>"))
	e, err := SourceChange{
		Add:   []SourceColumn{sourceColumn(t, "colour", "item.colour", "struct<r: int>")},
		Widen: []SourceColumn{sourceColumn(t, "id", "id", "long"), sourceColumn(t, "s", "s", "struct<a: int, b: date>")},
	}.evolve(meta)
	if err != nil {
		t.Fatal(err)
	}
	meta = carryOut(t, meta, e)
	model := definitionOf(t, "id! int", "s struct<a: int>")
	if e, err := model.Evolve(meta); err != nil || e.pending() || len(e.Problems) > 0 || len(e.Kept) != 1 {
		t.Errorf("got %+v, %v, want the narrower id alone to be noted", e, err)
	}
	model.Exact = true
	if e, err := model.Evolve(meta); err != nil || len(e.Problems) != 3 {
		t.Errorf("with a contract got %q, %v, want refusals of id, s.b and colour", e.Problems, err)
	}
	lake := testLake()
	tbl, err := lake.table(model.ID, table.New(table.Identifier{"staging", "t"}, meta, "", nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	got := tbl.SourceColumns()
	if len(got) != 1 || got[0].Name != "colour" || got[0].From != "item.colour" || record.FormatType(got[0].Type) != "struct<r: int>" {
		t.Errorf("got source columns %v", got)
	}
	for column, want := range map[string]string{"id": "long", "s": "struct<a: int, b: date>"} {
		field, _ := model.Schema.FieldsByName(column)
		if got := record.FormatType(tbl.ColumnType(column, field[0].Type)); got != want {
			t.Errorf("column %s is best made as %s, want %s", column, got, want)
		}
	}
}

func TestFieldsOfOthersAreNotDecoded(t *testing.T) {
	d := definitionOf(t, "s struct<a: int, theirs: string>", "extra string")
	tbl, err := testLake().table(d.ID, table.New(table.Identifier{"staging", "t"}, metaOf(t, d), "", nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	declared := columns(t, "s struct<a: int>").Field(0).Type
	if got := tbl.ColumnType("s", declared); !arrow.TypeEqual(got, declared) {
		t.Errorf("got %s, want %s", got, declared)
	}
	if got := tbl.SourceColumns(); len(got) != 0 {
		t.Errorf("got source columns %v", got)
	}
}

func TestBrokenSourceFieldsAreSaid(t *testing.T) {
	d := definitionOf(t, "a int")
	d.Properties = map[string]string{PropertySourceFields: "[]"}
	if _, err := d.Evolve(metaOf(t, d)); err == nil || !strings.Contains(err.Error(), PropertySourceFields) {
		t.Errorf("got %v, want an error naming the property", err)
	}
}
