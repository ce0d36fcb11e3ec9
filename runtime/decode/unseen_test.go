package decode

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/record"
)

// changeOf returns what a slice asks for: "name from type" of each new column,
// "name type" of each wider one, and the offset; or the error.
func changeOf(t *testing.T, spec Spec, documents ...string) (added, widened []string, offset int64) {
	t.Helper()
	if spec.Format == "" {
		spec.Format = "json"
	}
	spec.OnSchemaChange = SchemaChangeAppend
	d, err := Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	batch, _, err := d.Decode(context.Background(), values(documents...))
	var change *ChangeError
	if err == nil {
		batch.Release()
		return nil, nil, -1
	}
	if !errors.As(err, &change) {
		t.Fatal(err)
	}
	for _, c := range change.Add {
		if !c.Nullable || !c.Added {
			t.Errorf("column %s: got nullable %t, added %t; want both", c.Name, c.Nullable, c.Added)
		}
		added = append(added, fmt.Sprintf("%s %s %s", c.Name, c.From, record.FormatType(c.Type)))
	}
	for _, c := range change.Widen {
		widened = append(widened, fmt.Sprintf("%s %s", c.Name, record.FormatType(c.Type)))
	}
	return added, widened, change.Offset
}

func TestTypesOfUnseenFieldsAreThoseOfAllTheirValues(t *testing.T) {
	tests := []struct {
		values string // of one field, in as many documents, separated by ;
		want   string // "" if it makes no column
	}{
		{`true;false`, "boolean"},
		{`1;-5`, "long"},
		{`1;2.5`, "double"},
		{`1e3`, "double"},
		{`9223372036854775808`, "string"},
		{`"a";"2024-02-29"`, "string"},
		{`1;"a"`, "string"},
		{`true;1`, "string"},
		{`null`, ""},
		{`null;1`, "long"},
		{`[]`, ""},
		{`{}`, ""},
		{`[null]`, ""},
		{`{"a":null,"b":[]}`, ""},
		{`[1,2.5]`, "list<double>"},
		{`[];["a"]`, "list<string>"},
		{`[1,"a"]`, "list<string>"},
		{`[[1],[[2]]]`, "list<list<string>>"},
		{`{"a":1,"b":null};{"b":{"c":[true]}}`, "struct<a: long, b: struct<c: list<boolean>>>"},
		{`{"a":1};[1]`, "string"},
		{`{"a":1};"x"`, "string"},
		{`{"a.b":1}`, "string"},
		{`{"a":1,"A":2}`, "string"},
		{`[{"a":1},{"b":2}]`, "list<struct<a: long, b: long>>"},
		{strings.Repeat("[", 9) + "1" + strings.Repeat("]", 9), strings.Repeat("list<", 6) + "string" + strings.Repeat(">", 6)},
	}
	for _, test := range tests {
		t.Run(test.values, func(t *testing.T) {
			var documents []string
			for _, v := range strings.Split(test.values, ";") {
				documents = append(documents, `{"id":1,"f":`+v+`}`)
			}
			added, widened, _ := changeOf(t, Spec{Columns: []Column{col("id", "long")}}, documents...)
			var want []string
			if test.want != "" {
				want = []string{"f f " + test.want}
			}
			equal(t, "added", added, want)
			equal(t, "widened", widened, nil)
		})
	}
}

// The decoder that is compiled with the change makes rows of the slice, none of
// them rejected.
func TestChangedDecoderTakesTheSlice(t *testing.T) {
	spec := Spec{Format: "json", OnSchemaChange: SchemaChangeAppend, Columns: []Column{
		col("id", "long"), from(col("city", "string"), "customer.city"), col("geo", "struct<lat: double, near: list<struct<a: int>>>"),
	}}
	s := values(
		`{"id":1}`,
		`{"id":"no","rejected":1}`,
		`{"id":2,"mixed":1,"customer":{"city":"x","Name":"n"},"nothing":null}`,
		`{"id":3,"mixed":"a","orderId":5,"geo":{"lat":1,"lon":2.5,"near":[{"a":1,"b":"x"}]}}`,
		`{"id":4,"mixed":[true,{"a":1}],"a.b":1,"日本":2}`,
	)
	d, err := Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = d.Decode(context.Background(), s)
	var change *ChangeError
	if !errors.As(err, &change) || change.Offset != 2 {
		t.Fatalf("got %v, want a change at offset 2", err)
	}
	for _, w := range change.Widen {
		for i := range spec.Columns {
			if spec.Columns[i].Name == w.Name {
				spec.Columns[i] = w
			}
		}
	}
	spec.Columns = append(spec.Columns, change.Add...)
	changed, err := Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	rows, rejects := decode(t, changed, s)
	equal(t, "schema", strings.Split(schemaText(changed), "\n"), []string{
		"id long", "city string", "geo struct<lat: double, near: list<struct<a: int, b: string>>, lon: double>", "mixed string", "customer_name string", "order_id long",
	})
	equal(t, "rows", rows, []string{
		`0: 1|(null)|(null)|(null)|(null)|(null)`,
		`2: 2|x|(null)|1|n|(null)`,
		`3: 3|(null)|{"lat":1,"lon":2.5,"near":[{"a":1,"b":"x"}]}|a|(null)|5`,
		`4: 4|(null)|(null)|[true,{"a":1}]|(null)|(null)`,
	})
	equal(t, "rejects", rejects, []string{"1 type id"})
}

func schemaText(d *Decoder) string {
	var lines []string
	for _, f := range d.Schema().Fields() {
		lines = append(lines, f.Name+" "+record.FormatType(f.Type))
	}
	return strings.Join(lines, "\n")
}

func TestNothingIsAddedForFieldsThatAreIgnoredOrRead(t *testing.T) {
	for _, change := range []string{"", SchemaChangeIgnore} {
		d, err := Compile(Spec{Format: "json", OnSchemaChange: change, Columns: []Column{col("id", "long")}})
		if err != nil {
			t.Fatal(err)
		}
		if rows, _ := decode(t, d, values(`{"id":1,"f":2}`)); len(rows) != 1 || d.Stats().UnknownFields != 1 {
			t.Errorf("%q: got rows %q and %d unknown fields, want one of each", change, rows, d.Stats().UnknownFields)
		}
	}
	added, widened, _ := changeOf(t, Spec{Columns: []Column{col("text", "string"), col("m", "map<string, long>"), from(col("deep", "int"), "a.b.c")}},
		`{"text":{"x":1},"m":{"k":1},"a":{"b":{"c":1}}}`, `{"a":null}`, `{"a":{"b":null}}`)
	equal(t, "added", added, nil)
	equal(t, "widened", widened, nil)
}

func TestUnseenFieldsOfADocumentWithoutColumns(t *testing.T) {
	added, _, _ := changeOf(t, Spec{Columns: []Column{from(col("raw", "string"), "kafka.value")}}, `{"a":1}`)
	equal(t, "added", added, []string{"a a long"})
}

func TestUnseenFieldsOfChanges(t *testing.T) {
	added, _, offset := changeOf(t, Spec{Format: "debezium-json", Columns: []Column{col("id", "long")}},
		`{"op":"c","ts_ms":1,"after":{"id":1},"new_in_the_envelope":1}`, `{"op":"u","after":{"id":1,"a":2}}`, `{"op":"d","before":{"id":1,"b":"x"}}`)
	equal(t, "added", added, []string{"a a long", "b b string"})
	if offset != 1 {
		t.Errorf("offset: got %d, want 1", offset)
	}
	added, _, _ = changeOf(t, Spec{Format: "debezium-json", Columns: []Column{col("_id", "string")}}, event(t, "mongodb-create"))
	equal(t, "added", added, []string{
		"first_name first_name string", "visits visits long", "rating rating double", "balance balance string", "joined joined timestamptz", "photo photo binary",
		"address address struct<city: string, zip: long>", "langs langs list<string>",
	})
}

func TestNamesThatClashStop(t *testing.T) {
	tests := []struct {
		columns  []Column
		document string
		want     []string
	}{
		{[]Column{from(col("order_id", "long"), "id")}, `{"id":1,"orderId":2}`, []string{"field orderId", "column order_id of the model", "field id", "from: orderId"}},
		{[]Column{col("id", "long")}, `{"id":1,"orderId":2,"order-id":3}`, []string{"order-id", "orderId", "order_id"}},
	}
	for _, test := range tests {
		d, err := Compile(Spec{Format: "json", OnSchemaChange: SchemaChangeAppend, Columns: test.columns})
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = d.Decode(context.Background(), values(test.document))
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v, want it to name %q", err, want)
			}
		}
	}
}

func TestAdditionsAreBounded(t *testing.T) {
	var many strings.Builder
	for i := range 250 {
		fmt.Fprintf(&many, `,"f%d":1`, i)
	}
	document := `{"id":1` + many.String() + `}`
	added, _, _ := changeOf(t, Spec{Columns: []Column{col("id", "long")}}, document)
	if len(added) != maxNewFields {
		t.Errorf("of 250 new fields in a slice got %d columns, want %d", len(added), maxNewFields)
	}
	columns := []Column{col("id", "long")}
	for i := range maxFields - 5 {
		columns = append(columns, col(fmt.Sprintf("c%d", i), "int"))
	}
	added, _, _ = changeOf(t, Spec{Columns: columns}, document)
	if len(added) != 4 {
		t.Errorf("for a model of %d fields got %d columns, want 4 up to %d", len(columns), len(added), maxFields)
	}
}
