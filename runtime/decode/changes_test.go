package decode

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/record"
)

// event reads a realistic message of Debezium.
func event(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "debezium", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// changeRows decodes change events and returns the rows, each as
// "record: op source_ts source_sequence [unavailable] columns", and the rejects
// as messages.
func changeRows(t *testing.T, spec Spec, s *record.Slice) (rows, rejects []string) {
	t.Helper()
	d, err := Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	batch, bad, err := d.Decode(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Release()
	if batch.Changes.NumRows() != batch.Rows.NumRows() || int64(len(batch.Records)) != batch.Rows.NumRows() {
		t.Fatalf("got %d rows, %d changes, %d record indexes", batch.Rows.NumRows(), batch.Changes.NumRows(), len(batch.Records))
	}
	for row := range int(batch.Rows.NumRows()) {
		text := fmt.Sprintf("%d:", batch.Records[row])
		for _, c := range batch.Changes.Columns() {
			text += " " + c.ValueStr(row)
		}
		for _, c := range batch.Rows.Columns() {
			text += " | " + c.ValueStr(row)
		}
		rows = append(rows, text)
	}
	for _, r := range bad {
		rejects = append(rejects, fmt.Sprintf("%d %s %s: %s", r.Record, r.Code, r.Column, r.Message))
	}
	return rows, rejects
}

func customers(columns ...Column) Spec {
	return Spec{Format: "debezium-json", Columns: append([]Column{
		required(col("id", "long")), col("email", "string"), encoded(col("balance", "decimal(10,2)"), "connect.decimal"), col("notes", "string"),
		encoded(col("created_at", "timestamptz"), "debezium.micro_timestamp"), encoded(col("updated_at", "timestamptz"), "debezium.zoned_timestamp"),
		col("tags", "list<string>"),
	}, columns...)}
}

const customerTail = `2025-01-07T10:26:40.123456Z | 2025-01-07T10:27:00.123456Z | ["new","eu"]`

func TestChangesOfPostgreSQL(t *testing.T) {
	spec := customers(from(col("op", "string"), "debezium.op"), from(col("db", "string"), "debezium.source.db"))
	rows, rejects := changeRows(t, spec, values(event(t, "postgres-create"), event(t, "postgres-create-schema"), event(t, "postgres-read"),
		event(t, "postgres-update-toast"), event(t, "postgres-update-full"), event(t, "postgres-delete-full"), event(t, "postgres-delete-default"), event(t, "postgres-message")))
	equal(t, "rows", rows, []string{
		`0: c 2025-01-07T10:27:10.123123Z 00000000000024023128 [] | 1004 | anne@example.org | 101.7 | Likes tea | ` + customerTail + ` | c | shop`,
		`1: c 2025-01-07T10:27:10.123123Z 00000000000024023128 [] | 1004 | anne@example.org | 101.7 | Likes tea | ` + customerTail + ` | c | shop`,
		`2: r 2025-01-07T10:26:40.000123Z 00000000000024023000 [] | 1001 | sally@example.org | 0.03 | (null) | ` + customerTail + ` | r | shop`,
		`3: u 2025-01-07T10:27:20.456123Z 00000000000024024200 ["notes"] | 1004 | anne@example.org | 101.71 | (null) | ` + customerTail + ` | u | shop`,
		`4: u 2025-01-07T10:27:30.789123Z 00000000000024025300 [] | 1004 | anne.k@example.org | 101.71 | Likes tea | ` + customerTail + ` | u | shop`,
		`5: d 2025-01-07T10:27:40.012123Z 00000000000024026400 [] | 1004 | anne.k@example.org | 101.71 | Likes tea | ` + customerTail + ` | d | shop`,
		`6: d 2025-01-07T10:27:40.012123Z 00000000000024026400 [] | 1004 | (null) | (null) | (null) | (null) | (null) | (null) | d | shop`,
	})
	equal(t, "rejects", rejects, nil)
}

func TestChangesOfMySQL(t *testing.T) {
	spec := Spec{Format: "debezium-json", Columns: []Column{
		required(col("id", "int")), required(col("name", "string")), col("weight", "double"), encoded(col("made_on", "date"), "debezium.date"),
		encoded(col("stock_at", "timestamp"), "debezium.timestamp"), encoded(col("price", "decimal(5,2)"), "connect.decimal"),
	}}
	rows, rejects := changeRows(t, spec, values(event(t, "mysql-create"), event(t, "mysql-update"), event(t, "mysql-delete"), event(t, "mariadb-create"), event(t, "oracle-create")))
	row := func(weight string) string {
		return "[] | 101 | scooter | " + weight + " | 2025-01-07 | 2025-01-07T00:00:00 | 2.22"
	}
	equal(t, "rows", rows, []string{
		"0: c 2025-01-07T10:28:20Z 0000000003.00000000000000000484.0000000000 " + row("3.14"),
		"1: u 2025-01-07T10:28:20Z 0000000003.00000000000000000903.0000000001 " + row("3.2"),
		"2: d 2025-01-07T10:28:20Z 0000000003.00000000000000001205.0000000000 " + row("3.2"),
		"3: c 2025-01-07T10:28:20Z 0000000012.00000000000000004096.0000000002 " + row("3.14"),
		"4: c 2025-01-07T10:28:20Z (null) " + row("3.14"),
	})
	equal(t, "rejects", rejects, nil)
}

func TestChangesOfMongoDB(t *testing.T) {
	spec := Spec{Format: "debezium-json", Columns: []Column{
		required(col("_id", "string")), col("first_name", "string"), col("visits", "long"), col("rating", "double"), col("balance", "decimal(10,2)"),
		col("joined", "timestamptz"), col("photo", "binary"), from(col("zip", "int"), "address.zip"), col("address", "struct<city: string, zip: long>"),
		col("langs", "list<string>"), from(col("document_id", "string"), "kafka.key.id"),
	}}
	s := values(event(t, "mongodb-create"), event(t, "mongodb-update"), event(t, "mongodb-update-only"), event(t, "mongodb-delete"))
	for i := range s.Records {
		s.Records[i].Key = []byte(`{"schema":{"type":"struct"},"payload":{"id":"{\"$oid\": \"596e275826f08b2730779e1f\"}"}}`)
	}
	rows, rejects := changeRows(t, spec, s)
	const id = `596e275826f08b2730779e1f`
	const key = `{"$oid": "596e275826f08b2730779e1f"}`
	tail := ` | 1004 | 4.5 | 12.5 | 2020-03-05T00:01:57Z | AP8= | 150 | {"city":"Oslo","zip":150} | ["no","en"] | ` + key
	equal(t, "rows", rows, []string{
		"0: c 2025-01-07T10:30:00Z 00000000001736245800.0000000031 [] | " + id + " | Anne" + tail,
		"1: u 2025-01-07T10:30:00Z 00000000001736245800.0000000002 [] | " + id + " | Anne Marie" + tail,
		"3: d 2025-01-07T10:30:00Z 00000000001736245800.0000000006 [] | " + id + " | (null) | (null) | (null) | (null) | (null) | (null) | (null) | (null) | (null) | " + key,
	})
	if len(rejects) != 1 || !strings.HasPrefix(rejects[0], "2 missing") || !strings.Contains(rejects[0], "change_streams_update_full") {
		t.Errorf("rejects: got %v, want one of record 2 that names the setting of full documents", rejects)
	}
}

func TestUpdateOfTheNaturalKeyIsTwoRows(t *testing.T) {
	spec := customers()
	spec.NaturalKey = []string{"email"}
	rows, rejects := changeRows(t, spec, values(event(t, "postgres-update-full"), event(t, "mysql-update"), event(t, "postgres-update-toast"), event(t, "postgres-create")))
	equal(t, "rows", rows, []string{
		`0: d 2025-01-07T10:27:30.789123Z 00000000000024025300 [] | 1004 | anne@example.org | 101.71 | Likes tea | ` + customerTail,
		`0: c 2025-01-07T10:27:30.789123Z 00000000000024025300 [] | 1004 | anne.k@example.org | 101.71 | Likes tea | ` + customerTail,
		`1: u 2025-01-07T10:28:20Z 0000000003.00000000000000000903.0000000001 [] | 101 | (null) | (null) | (null) | (null) | (null) | (null)`,
		`2: u 2025-01-07T10:27:20.456123Z 00000000000024024200 ["notes"] | 1004 | anne@example.org | 101.71 | (null) | ` + customerTail,
		`3: c 2025-01-07T10:27:10.123123Z 00000000000024023128 [] | 1004 | anne@example.org | 101.7 | Likes tea | ` + customerTail,
	})
	equal(t, "rejects", rejects, nil)

	same := strings.ReplaceAll(event(t, "postgres-update-full"), "anne.k@", "anne@")
	if rows, _ := changeRows(t, spec, values(same)); len(rows) != 1 || !strings.HasPrefix(rows[0], "0: u ") {
		t.Errorf("an update that leaves the natural key: got %q, want one row of op u", rows)
	}
}

// Of the two rows of a record none stands if one cannot be made.
func TestUpdateOfTheNaturalKeyIsRejectedWhole(t *testing.T) {
	spec := customers()
	spec.NaturalKey = []string{"email"}
	good := event(t, "postgres-update-full")
	first := strings.Replace(good, `"id":1004`, `"id":"x"`, 1)
	second := good[:strings.LastIndex(good, `"id":1004`)] + strings.Replace(good[strings.LastIndex(good, `"id":1004`):], `"id":1004`, `"id":"x"`, 1)
	rows, rejects := changeRows(t, spec, values(first, good, second))
	if len(rows) != 2 || !strings.HasPrefix(rows[0], "1: d ") || !strings.HasPrefix(rows[1], "1: c ") {
		t.Errorf("rows: got %q, want the two of record 1", rows)
	}
	if len(rejects) != 2 || !strings.HasPrefix(rejects[0], "0 type id") || !strings.HasPrefix(rejects[1], "2 type id") {
		t.Errorf("rejects: got %q, want those of records 0 and 2", rejects)
	}
}

func TestUnavailableValues(t *testing.T) {
	marker := `"__debezium_unavailable_value"`
	var bytes []string
	for _, b := range []byte("__debezium_unavailable_value") {
		bytes = append(bytes, strconv.Itoa(int(b)))
	}
	numbers := "[" + strings.Join(bytes, ",") + "]"
	inBase64 := `"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="`
	tests := []struct{ dataType, value, want string }{
		{"string", marker, `["v"] | (null)`},
		{"string", `"__debezium_unavailable_value "`, `[] | __debezium_unavailable_value `},
		{"string", `{"a":"__debezium_unavailable_value"}`, `[] | {"a":"__debezium_unavailable_value"}`},
		{"binary", inBase64, `["v"] | (null)`},
		{"decimal(10,2)", inBase64, `["v"] | (null)`},
		{"list<string>", `[` + marker + `]`, `["v"] | (null)`},
		{"list<string>", `[` + marker + `,"x"]`, `[] | ["__debezium_unavailable_value","x"]`},
		{"list<string>", `["b68a35a7-17ad-35b3-af2a-ae46edb4545a"]`, `["v"] | (null)`},
		{"string", `"{\"__debezium_unavailable_value\":\"__debezium_unavailable_value\"}"`, `["v"] | (null)`},
		{"map<string, string>", `{` + marker + `:` + marker + `}`, `["v"] | (null)`},
		{"list<int>", numbers, `["v"] | (null)`},
		{"list<double>", strings.ReplaceAll(numbers, ",", ".0, "), `["v"] | (null)`},
		{"string", numbers, `["v"] | (null)`},
		{"list<int>", strings.Replace(numbers, "95", "96", 1), "[] | " + strings.Replace(numbers, "95", "96", 1)},
		{"list<int>", `[95,95]`, `[] | [95,95]`},
		{"long", `7`, `[] | 7`},
	}
	for _, test := range tests {
		document := `{"op":"u","source":{"connector":"postgresql","ts_ms":1,"lsn":5},"after":{"v":` + test.value + `}}`
		rows, rejects := changeRows(t, Spec{Format: "debezium-json", Columns: []Column{col("v", test.dataType)}}, values(document))
		equal(t, test.dataType+" "+test.value, rows, []string{"0: u 1970-01-01T00:00:00.001Z 00000000000000000005 " + test.want})
		equal(t, "rejects", rejects, nil)
	}
	_, rejects := changeRows(t, Spec{Format: "debezium-json", Columns: []Column{required(fallback(col("v", "string"), "x"))}},
		values(`{"op":"u","after":{"v":`+marker+`}}`))
	if len(rejects) != 1 || !strings.Contains(rejects[0], "0 missing v") || !strings.Contains(rejects[0], "declare the column nullable") {
		t.Errorf("a column that is not nullable: got %q, want a reject that says what to do", rejects)
	}
	rows, _ := changeRows(t, Spec{Format: "debezium-json", UnavailableValue: "?", Columns: []Column{col("v", "string")}},
		values(`{"op":"u","after":{"v":"?"}}`, `{"op":"u","after":{"v":`+marker+`}}`))
	equal(t, "a placeholder of one's own", rows, []string{`0: u (null) (null) ["v"] | (null)`, `1: u (null) (null) [] | __debezium_unavailable_value`})
}

func TestDeletesWithoutImage(t *testing.T) {
	spec := Spec{Format: "debezium-json", Columns: []Column{
		required(col("id", "long")), col("note", "string"), required(fallback(col("state", "string"), "none")),
		from(col("street", "string"), "address.street"),
	}}
	s := values(
		`{"op":"d","before":null,"after":null,"source":{}}`,
		`{"op":"d","before":{"id":1,"note":"n","state":"s","address":{"street":"x"}},"after":null}`,
		`{"op":"d","before":{"id":null},"after":null}`,
		`{"op":"d"}`, `{"op":"d"}`, `{"op":"d"}`,
	)
	for i, key := range []string{`{"id":7}`, `{"id":8}`, `{"schema":{},"payload":{"id":9,"address":{"street":"k"}}}`, `{"id":"x"}`, `not json`, ``} {
		s.Records[i].Key = []byte(key)
	}
	rows, rejects := changeRows(t, spec, s)
	equal(t, "rows", rows, []string{
		"0: d (null) (null) [] | 7 | (null) | none | (null)",
		"1: d (null) (null) [] | 1 | n | s | x",
		"2: d (null) (null) [] | 9 | (null) | none | k",
	})
	if len(rejects) != 3 || !strings.Contains(rejects[0], "3 type id") || !strings.Contains(rejects[1], "REPLICA IDENTITY FULL") || !strings.Contains(rejects[2], "5 missing id") {
		t.Errorf("rejects: got %q, want a type, and two that are missing and say what to set", rejects)
	}
}

func TestTombstonesAndMessagesAreFiltered(t *testing.T) {
	s := values(event(t, "postgres-message"), event(t, "postgres-create"), "", `{"schema":null,"payload":null}`)
	s.Records[2].Value = nil
	rows, rejects := changeRows(t, customers(), s)
	if len(rows) != 1 || !strings.HasPrefix(rows[0], "1: c ") || rejects != nil {
		t.Errorf("got rows %q and rejects %q, want the row of record 1 alone", rows, rejects)
	}
}

func TestTruncateStops(t *testing.T) {
	d, err := Compile(customers())
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = d.Decode(context.Background(), values(event(t, "postgres-create"), event(t, "postgres-truncate")))
	var truncated *TruncateError
	if !errors.As(err, &truncated) || truncated.Table != "shop.public.customers" || !strings.Contains(err.Error(), "t/0") || !strings.Contains(err.Error(), "offset 1") || !strings.Contains(err.Error(), "on_truncate to ignore") {
		t.Errorf("got error %v, want one that names shop.public.customers, t/0, offset 1 and on_truncate", err)
	}
}

func TestIgnoredTruncationsAreFilteredAndTold(t *testing.T) {
	spec := customers()
	spec.IgnoreTruncations = true
	d, err := Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	batch, rejects, err := d.Decode(context.Background(), values(event(t, "postgres-truncate"), event(t, "postgres-create"), event(t, "postgres-truncate")))
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Release()
	if len(rejects) != 0 || !slices.Equal(batch.Records, []int32{1}) {
		t.Errorf("got rows of records %v and rejects %v, want the row of record 1 alone", batch.Records, rejects)
	}
	want := []record.Truncation{{Record: 0, Table: "shop.public.customers"}, {Record: 2, Table: "shop.public.customers"}}
	if !slices.Equal(batch.Truncations, want) {
		t.Errorf("got truncations %v, want %v", batch.Truncations, want)
	}
}

func TestOtherMessagesOfDebeziumAreRejectedByName(t *testing.T) {
	tests := []struct{ name, document, want string }{
		{"heartbeat", event(t, "heartbeat"), "it has no op; it looks like a heartbeat"},
		{"transaction", event(t, "transaction"), "boundary of a transaction"},
		{"schema change", event(t, "schema-change"), "schema change"},
		{"flattened", event(t, "flattened"), "ExtractNewRecordState"},
		{"no op", `{"before":null,"after":{"id":1},"source":{}}`, "it has no op"},
		{"unknown op", `{"op":"x","after":{"id":1}}`, "c, u, d, r, t or m"},
		{"op of another type", `{"op":1,"after":{"id":1}}`, "c, u, d, r, t or m"},
		{"no after", `{"op":"c","after":null,"source":{}}`, "after in an event of op c"},
		{"after of another type", `{"op":"c","after":[1]}`, "after to be an object"},
		{"after of text", `{"op":"c","after":"x"}`, "a string that holds a document"},
		{"after of a list", `{"op":"c","after":"[1]"}`, "after to hold a document"},
		{"source of another type", `{"op":"c","after":{"id":1},"source":1}`, "source to be an object"},
		{"lsn of another type", `{"op":"c","after":{"id":1},"source":{"lsn":"x"}}`, "source.lsn to be a whole number"},
		{"connector of another type", `{"op":"c","after":{"id":1},"source":{"connector":1}}`, "source.connector to be a string"},
		{"broken", `{"op":"c"`, "unexpected end of JSON input"},
		{"list", `[]`, "a change event, an object"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rows, rejects := changeRows(t, Spec{Format: "debezium-json", Columns: []Column{col("id", "long")}}, values(test.document))
			if len(rows) != 0 || len(rejects) != 1 || !strings.HasPrefix(rejects[0], "0 malformed") || !strings.Contains(rejects[0], test.want) {
				t.Errorf("got rows %q, rejects %q; want one malformed with %q", rows, rejects, test.want)
			}
		})
	}
}

// Confluent's JSON Schema converter puts a schema id before event and key.
func TestChangesBehindASchemaID(t *testing.T) {
	s := values("\x00\x00\x00\x00\x01"+event(t, "postgres-create"), "\x00\x00\x00\x00\x01"+`{"op":"d","before":null}`, "\x00{}")
	s.Records[1].Key = []byte("\x00\x00\x00\x00\x02" + `{"id":7}`)
	rows, rejects := changeRows(t, Spec{Format: "debezium-json", Columns: []Column{required(col("id", "long"))}}, s)
	equal(t, "rows", rows, []string{`0: c 2025-01-07T10:27:10.123123Z 00000000000024023128 [] | 1004`, `1: d (null) (null) [] | 7`})
	if len(rejects) != 1 || !strings.HasPrefix(rejects[0], "2 malformed") {
		t.Errorf("rejects: got %q, want that of the cut header", rejects)
	}
}

func TestRestOfAChangeIsThatOfTheRow(t *testing.T) {
	spec := Spec{Format: "debezium-json", Columns: []Column{col("id", "long"), from(col("rest", "string"), "*")}}
	rows, _ := changeRows(t, spec, values(`{"op":"c","ts_ms":1,"after":{"id":1,"a":"x","b":{"c":1}}}`, `{"op":"d","before":null}`))
	equal(t, "rows", rows, []string{`0: c (null) (null) [] | 1 | {"a":"x","b":{"c":1}}`, `1: d (null) (null) [] | (null) | (null)`})
}

func TestChangeSpecsAreChecked(t *testing.T) {
	tests := []struct {
		spec Spec
		want string
	}{
		{Spec{Columns: []Column{col("change_op", "string")}}, "change column"},
		{Spec{Columns: []Column{col("id", "long")}, NaturalKey: []string{"ID"}}, `natural_key: there is no column "ID"`},
		{Spec{Columns: []Column{from(col("op", "string"), "debezium.op")}, NaturalKey: []string{"op"}}, `read from debezium.op`},
		{Spec{Columns: []Column{from(col("a", "string"), "*"), from(col("b", "string"), "*")}}, `column "a"'s already`},
		{Spec{Columns: []Column{from(col("a", "long"), "*")}}, `use string`},
	}
	for _, test := range tests {
		test.spec.Format = "debezium-json"
		if _, err := Compile(test.spec); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got error %v, want %q", err, test.want)
		}
	}
}
