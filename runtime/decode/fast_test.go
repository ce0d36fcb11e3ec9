package decode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"github.com/calvelake/calve/runtime/record"
)

// twins are a decoder and the same without the fast way.
type twins struct{ fast, exact *Decoder }

func newTwins(t testing.TB, spec Spec) twins {
	var pair [2]*Decoder
	for i := range pair {
		d, err := Compile(spec)
		if err != nil {
			t.Fatal(err)
		}
		pair[i] = d
	}
	formatOf(pair[1]).fast = nil
	if formatOf(pair[0]).fast == nil {
		t.Fatal("there is no fast way for these columns")
	}
	return twins{pair[0], pair[1]}
}

// formatOf returns what all readers of a decoder share.
func formatOf(d *Decoder) *jsonFormat {
	switch r := d.open().(type) {
	case *jsonReader:
		return r.f
	case *changesReader:
		return r.f
	}
	return nil
}

// compare decodes a slice both ways and fails unless all is the same.
func (w twins) compare(t *testing.T, s *record.Slice) {
	t.Helper()
	ctx := context.Background()
	got, gotRejects, gotErr := w.fast.Decode(ctx, s)
	want, wantRejects, wantErr := w.exact.Decode(ctx, s)
	defer got.Release()
	defer want.Release()
	text := make([]string, len(s.Records))
	for i, r := range s.Records {
		text[i] = string(r.Value)
	}
	if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
		t.Fatalf("%q: got error %v, want %v", text, gotErr, wantErr)
	}
	if change := new(ChangeError); gotErr != nil && !errors.As(gotErr, &change) {
		return // the batch's other records do not matter
	}
	if !slices.EqualFunc(gotRejects, wantRejects, func(a, b record.Reject) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
		t.Fatalf("%q: got rejects %v, want %v", text, gotRejects, wantRejects)
	}
	if gotErr != nil {
		return
	}
	if !slices.Equal(got.Records, want.Records) || !array.RecordEqual(got.Rows, want.Rows) {
		t.Fatalf("%q: got rows of records %v, want %v\n%s", text, got.Records, want.Records, difference(got.Rows, want.Rows))
	}
	if (got.Changes == nil) != (want.Changes == nil) || got.Changes != nil && !array.RecordEqual(got.Changes, want.Changes) {
		t.Fatalf("%q: changes: %s", text, difference(got.Changes, want.Changes))
	}
	if got, want := w.fast.Stats(), w.exact.Stats(); got != want {
		t.Fatalf("%q: got stats %v, want %v", text, got, want)
	}
}

// difference names the columns in which batches differ.
func difference(got, want arrow.RecordBatch) string {
	text := ""
	for i, c := range want.Columns() {
		if !array.Equal(got.Column(i), c) {
			text += fmt.Sprintf("column %s: got %v, want %v\n", want.ColumnName(i), got.Column(i), c)
		}
	}
	return text
}

// fastColumns has every type and every kind of path that the fast way reads.
func fastColumns() []Column {
	return []Column{
		col("s", "string"), required(col("l", "long")), col("i", "int"), col("d", "double"), col("f", "float"), col("b", "boolean"),
		col("m", "decimal(20,4)"), col("small", "decimal(5,2)"), col("wide", "decimal(38,10)"), col("x", "binary"), encoded(col("hex", "binary"), "hex"),
		col("day", "date"), col("at", "timestamptz"), col("local", "timestamp"),
		encoded(col("es", "timestamptz"), "epoch_s"), encoded(col("ems", "timestamp"), "epoch_ms"), encoded(col("eus", "timestamptz"), "epoch_us"),
		encoded(col("ens", "timestamptz"), "epoch_ns"), encoded(col("custom", "timestamp"), "strptime:%Y/%m/%d %H:%M"), encoded(col("days", "date"), "connect.date"),
		fallback(required(col("with_default", "string")), "none"), fallback(col("five", "long"), "5"),
		from(col("deep", "string"), "o.p.q"), from(col("flat", "long"), "o.n"), from(col("o_text", "string"), "o"), from(col("s_again", "string"), "s"),
		col("t", "struct<a: int, b: string, c: struct<d: double, e: list<long>>>"), from(col("t_a", "int"), "t.a"),
		col("strings", "list<string>"), col("structs", "list<struct<a: int, b: string, c: list<boolean>>>"), col("lists", "list<list<decimal(9,2)>>"),
		col("map", "map<string, struct<a: int>>"), col("maps", "list<map<int, date>>"), encoded(col("scaled", "decimal(10,2)"), "debezium.variable_scale_decimal"),
		col("größe", "string"), col(`quo"te`, "string"), col("a_name_of_more_than_fifty_six_bytes_with_its_quotes_and_colon", "string"),
	}
}

// fastDocuments are documents that the fast way reads, and some that it leaves
// to the exact way.
var fastDocuments = []string{
	`{"s":"text","l":1}`,
	`{"s":"a string of more than sixteen bytes, of more than thirty-two as well","l":-9223372036854775808,"i":-2147483648,"d":-0.0,"f":3.4e38,"b":true,"m":"1234567890123456.7891","small":-999.99,"wide":1e-10}`,
	`{"l":9223372036854775807,"i":2147483647,"d":0.1,"f":0.1,"b":false,"m":12.5,"small":"0.5","x":"AP8=","hex":"00ff","day":"2024-02-29","at":"2024-02-29T12:34:56.789Z","local":"2024-02-29T12:34:56"}`,
	`{"l":0,"day":"1900-02-28","at":"0000-03-01T00:00:00.123456789123+23:59","local":"9999-12-31T23:59:59.9999999"}`,
	`{"l":7,"day":"2023-02-29"}`, `{"l":7,"at":"2024-02-29T24:00:00Z"}`, `{"l":7,"at":"2024-02-29T12:34:56"}`, `{"l":7,"local":"2024-02-29T12:34:56Z"}`, `{"l":7,"at":"1969-12-31T23:59:59.9999995-00:01"}`,
	`{"l":1,"es":1700000000,"ems":1700000000123,"eus":-1,"ens":-1,"custom":"2024/02/29 12:34","days":19000}`,
	`{"l":1,"es":1700000000.5,"ems":1e3,"eus":"1","ens":9223372036854775807}`, `{"l":1,"ems":9223372036854775}`, `{"l":1,"ems":9223372036854775807}`,
	` { "l" : 1 , "s" : "spaced" , "t" : { "a" : 1 , "b" : null } , "strings" : [ "a" , null ] } `, "\n{\n\t\"l\": 1,\r\n\t\"b\": true\n}\n",
	`{"s":"\u0041\u00e9\ud83d\ude00\ud800\udc00\ud800 \n\t\"\\\/\b\f\r","l":1}`, `{"s":"größer als ASCII, über sechzehn Bytes: 日本語","l":1,"größe":"ja"}`, `{"\u0073":"escaped name","l":1}`,
	`{"l":1,"s":{"any":[1,"}",null,{"x":"\u00e9"}]},"o":{"p":{"q":"deep","z":1},"n":5,"y":[]},"unknown":{"a":[1.5e10,-0,"\u12aB",true,false,null]}}`,
	`{"l":1,"o":null}`, `{"l":1,"o":5}`, `{"l":1,"o":{"p":null}}`, `{"l":1,"t":{"c":{"d":1.5,"e":[1,2,3]},"zzz":1,"a":5}}`, `{"l":1,"t":null,"structs":null}`,
	`{"l":1,"strings":[],"structs":[{"a":1,"b":"x","c":[true,false]},null,{},{"c":null,"q":1}],"lists":[[],[1.25,"2.5"],null]}`,
	`{"l":1,"map":{"x":{"a":1,"b":2},"y":null,"x":{"a":3}},"maps":[{"1":"2024-02-29","-0":null},null,{}],"scaled":{"scale":2,"value":"AN4="}}`,
	`{"l":1,"map":null,"maps":{}}`, `{"l":1,"map":{"a":5}}`, `{"l":1,"map":{"a":{}},"scaled":1.25}`, `{"l":1,"maps":[{"x":null}]}`, `{"l":1,"scaled":{"scale":3,"value":"AN4="}}`,
	`{"l":1,"l":2}`, `{"l":1,"zz":1,"zz":2}`, `{"l":null}`, `{"s":1,"l":1}`, `{"l":"1"}`, `{"l":1.0}`, `{"l":01}`, `{"l":-}`, `{"l":1,}`, `{"l":1}}`, `{"l":1`, `{`, ``, `[]`, `{"l" 1}`, `{"l":tru}`,
	`{"l":1,"s":"unterminated`, "{\"l\":1,\"s\":\"\xff\"}", "{\"l\":1,\"zz\":\"\xc3\"}", "{\"l\":1,\"s\":\"a\nb\"}", `{"l":1,"zz":"\x"}`, `{"l":1,"zz":"\u12g4"}`, `{"l":1,"zz":1.}`, `{"l":1,"zz":.5}`, `{"l":1,"zz":1e}`,
	`{"quo\"te":"x","l":1}`, `{"l":1,"a_name_of_more_than_fifty_six_bytes_with_its_quotes_and_colon":"long"}`, `{"l":18446744073709551616}`, `{"l":9223372036854775808}`, `{"l":-9223372036854775809}`,
	`{"l":12345678,"i":123456789,"d":12345678.12345678,"f":16777217}`, `{"l":1234567812345678,"d":0.8444218515250481,"f":1e-46}`, `{"l":12345678123456781,"d":1e400}`, `{"l":1,"d":123456789012345678901234567890}`,
	`{"l":1,"small":1000}`, `{"l":1,"small":0.001}`, `{"l":1,"small":"1.10000"}`, `{"l":1,"wide":"1234567890123456789012345678.0123456789"}`, `{"l":1,"b":"true"}`, `{"l":1,"x":"!"}`, "{\"l\":1}\x00", `{"l":1,"i":2147483648}`,
}

// FuzzFastJSONAgainstExact holds the fast way to the exact one: the same rows,
// rejects and counts, whatever was read before.
func FuzzFastJSONAgainstExact(f *testing.F) {
	for _, document := range fastDocuments {
		f.Add([]byte(document))
	}
	all := newTwins(f, Spec{Format: "json", Columns: fastColumns()})
	known := newTwins(f, Spec{Format: "json", Columns: append(fastColumns(), from(col("rest", "string"), "*"))})
	before := values(fastDocuments[1], fastDocuments[2]).Records
	f.Fuzz(func(t *testing.T, document []byte) {
		s := &record.Slice{Records: slices.Concat(before, values(string(document), string(document)).Records, before)}
		all.compare(t, s)
		known.compare(t, s)
	})
}

// FuzzFastChangesAgainstExact is the same for change events.
func FuzzFastChangesAgainstExact(f *testing.F) {
	for _, event := range changeEvents(f) {
		f.Add(event)
	}
	w := changeTwins(f)
	before := values(changeSeed).Records
	f.Fuzz(func(t *testing.T, event []byte) {
		for _, pair := range w {
			pair.compare(t, &record.Slice{Records: slices.Concat(before, values(string(event)).Records, before)})
		}
	})
}

const changeSeed = `{"before":null,"after":{"id":1,"name":"Ada","amount":"12.50","tags":["a"],"data":"AP8=","doc":{"x":1},"at":1700000000000000},` +
	`"source":{"version":"3.0.0.Final","connector":"postgresql","name":"shop","ts_ms":1700000000123,"snapshot":"false","db":"shop","sequence":"[\"1\",\"2\"]","ts_us":1700000000123456,"ts_ns":1700000000123456789,"schema":"public","table":"orders","txId":7,"lsn":24023128,"xmin":null},` +
	`"transaction":null,"op":"c","ts_ms":1700000000456}`

// changeTwins read the rows of changeSeed, with and without a natural key and a
// rest, and those of testdata.
func changeTwins(t testing.TB) []twins {
	columns := []Column{
		col("id", "long"), col("name", "string"), col("amount", "decimal(10,2)"), col("tags", "list<string>"), col("data", "binary"), col("doc", "string"),
		encoded(col("at", "timestamptz"), "debezium.micro_timestamp"), from(col("x", "long"), "doc2.x"),
	}
	customer := customers()
	customer.NaturalKey = []string{"id"}
	return []twins{
		newTwins(t, Spec{Format: "debezium-json", Columns: columns}),
		newTwins(t, Spec{Format: "debezium-json", Columns: columns, NaturalKey: []string{"id", "name"}}),
		newTwins(t, Spec{Format: "debezium-json", Columns: append(columns, from(col("rest", "string"), "*"))}),
		newTwins(t, customer),
	}
}

// changeEvents are events of all kinds: those of testdata, and variants of one.
func changeEvents(t testing.TB) [][]byte {
	events := [][]byte{[]byte(changeSeed)}
	files, err := filepath.Glob("testdata/debezium/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, text)
	}
	before := `"before":{"id":1,"name":"Ada","amount":"1.00","tags":null,"data":null,"doc":null,"at":5,"doc2":{"x":1}}`
	for _, change := range [][2]string{
		{`"op":"c"`, `"op":"u"`}, {`"op":"c"`, `"op":"d"`}, {`"op":"c"`, `"op":"r"`}, {`"op":"c"`, `"op":"t"`}, {`"op":"c"`, `"op":"m"`}, {`"op":"c"`, `"op":null`}, {`"op":"c"`, `"op":"cc"`}, {`,"op":"c"`, ``},
		{`"Ada"`, `"__debezium_unavailable_value"`}, {`"Ada"`, `"\u005f_debezium_unavailable_value"`}, {`"AP8="`, `"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="`}, {`"12.50"`, `"__debezium_unavailable_value"`},
		{`["a"]`, `["__debezium_unavailable_value"]`}, {`["a"]`, `["__debezium_unavailable_value","b"]`}, {`{"x":1}`, `["__debezium_unavailable_value"]`}, {`{"x":1}`, `{"__debezium_unavailable_value":1}`}, {`{"x":1}`, `["\u005f_debezium_unavailable_value"]`},
		{`"before":null`, before}, {`"postgresql"`, `"mysql"`}, {`"postgresql"`, `5`}, {`"lsn":24023128`, `"lsn":"x"`}, {`"lsn":24023128`, `"lsn":null`}, {`"source":{`, `"source":null,"other":{`}, {`"source":{`, `"source":5,"other":{`},
		{`"after":{`, `"after":null,"other":{`}, {`"after":{`, `"after":"{}","other":{`}, {`"before":null`, `"before":5`}, {`"transaction":null`, `"schema":null`}, {`"transaction":null`, `"payload":{}`}, {`"transaction":null`, `"op":"u"`},
	} {
		event := bytes.Replace([]byte(changeSeed), []byte(change[0]), []byte(change[1]), 1)
		withBefore := bytes.Replace(event, []byte(`"before":null`), []byte(before), 1)
		events = append(events, event, withBefore, fmt.Appendf(nil, `{"schema":{"type":"struct","fields":[{"type":"int64","optional":false,"field":"id"}]},"payload":%s}`, event), fmt.Appendf(nil, ` {"payload":%s, "schema":{} }`, withBefore))
	}
	deleted := bytes.Replace([]byte(changeSeed), []byte(`"after":{`), []byte(`"after":null,"other":{`), 1)
	deleted = bytes.Replace(deleted, []byte(`"op":"c"`), []byte(`"op":"d"`), 1)
	full := `"before":{"id":1,"name":"Ada","amount":"1.00","tags":[],"data":"","doc":"","at":5,"doc2":{"x":1}}`
	return append(events, deleted, bytes.Replace(deleted, []byte(`"before":null`), []byte(full), 1), bytes.Replace(deleted, []byte(`"before":null`), []byte(before), 1),
		[]byte(`{"schema":{},"payload":null}`), []byte(`{"schema":{}}`), []byte(`{"schema":{},"payload":{},"x":1}`), []byte(`null`), []byte(`{"before":null,"after":{},"op":"c"}`))
}

func TestFastWayMakesTheRowsOfTheExactOne(t *testing.T) {
	for name, spec := range map[string]Spec{
		"all members":  {Format: "json", Columns: fastColumns()},
		"with a rest":  {Format: "json", Columns: append(fastColumns(), from(col("rest", "string"), "*"))},
		"unseen fails": {Format: "json", Columns: fastColumns(), OnSchemaChange: SchemaChangeFail},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTwins(t, spec)
			for _, document := range fastDocuments {
				w.compare(t, values(document, document))
			}
			w.compare(t, values(fastDocuments...))
		})
	}
}

func TestFastWayMakesTheChangesOfTheExactOne(t *testing.T) {
	for _, w := range changeTwins(t) {
		for _, event := range changeEvents(t) {
			w.compare(t, values(changeSeed, string(event), string(event), changeSeed))
		}
	}
}

// TestMutatedDocumentsDecodeBothWaysAlike flips, drops and doubles bytes of
// documents.
func TestMutatedDocumentsDecodeBothWaysAlike(t *testing.T) {
	plain := newTwins(t, Spec{Format: "json", Columns: fastColumns()})
	changes := changeTwins(t)
	events := changeEvents(t)
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 7))
		var documents, mutated []string
		for range 40 {
			documents = append(documents, string(mutate(random, []byte(fastDocuments[random.IntN(len(fastDocuments))]))))
			mutated = append(mutated, string(mutate(random, events[random.IntN(len(events))])))
		}
		plain.compare(t, values(documents...))
		for _, w := range changes {
			for _, event := range mutated { // one by one, since a truncation stops a batch
				w.compare(t, values(event))
			}
		}
	}
}

func mutate(random *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	for range random.IntN(4) {
		if len(b) == 0 {
			return b
		}
		at := random.IntN(len(b))
		switch random.IntN(4) {
		case 0:
			b[at] ^= 1 << random.IntN(8)
		case 1:
			b = slices.Delete(b, at, min(len(b), at+1+random.IntN(3)))
		case 2:
			b = slices.Insert(b, at, b[at:min(len(b), at+1+random.IntN(20))]...)
		case 3:
			b[at] = `"{}[]:,\0eE.-+tfn u`[random.IntN(19)]
		}
	}
	return b
}

// TestOrderOfDocumentsDoesNotMatter: what a reader learns of one document is a
// guess for the next, and no more.
func TestOrderOfDocumentsDoesNotMatter(t *testing.T) {
	w := newTwins(t, Spec{Format: "json", Columns: fastColumns()})
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 3))
		documents := make([]string, 60)
		for i := range documents {
			if documents[i] = fastDocuments[random.IntN(len(fastDocuments))]; random.IntN(3) == 0 {
				documents[i] = shuffled(random)
			}
		}
		w.compare(t, values(documents...))
	}
}

// shuffled is a document of some members in any order, known and unknown.
func shuffled(random *rand.Rand) string {
	members := []string{
		`"l":5`, `"s":"x"`, `"i":6`, `"b":true`, `"d":1.5`, `"t":{"b":"y","a":1}`, `"t":{"a":2,"c":null}`, `"o":{"n":1,"p":{"q":"z"}}`, `"u1":1`, `"u2":[{}]`, `"u3":null`,
		fmt.Sprintf(`"dynamic_%d":%d`, random.IntN(1000), random.IntN(10)), `"structs":[{"b":"1","a":1},{"a":2}]`,
	}
	random.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	text := "{"
	for i, m := range members[:1+random.IntN(len(members))] {
		if i > 0 {
			text += ","
		}
		text += m
	}
	return text + "}"
}

// TestRealEventsTakeTheFastWay: speed is lost silently, so the common events
// are named.
func TestRealEventsTakeTheFastWay(t *testing.T) {
	spec := customers()
	spec.NaturalKey = []string{"id"}
	for name, want := range map[string]bool{
		"postgres-create": true, "postgres-create-schema": true, "postgres-read": true, "postgres-update-full": true, "postgres-delete-full": true,
		"mysql-create":          true,
		"postgres-update-toast": false, "postgres-delete-default": false, "postgres-truncate": false, "postgres-message": false, "heartbeat": false,
	} {
		d, err := Compile(spec)
		if err != nil {
			t.Fatal(err)
		}
		set, err := vector.NewSet(d.schema, 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		c := d.open().(*changesReader)
		if _, got := c.readFastEvent([]byte(event(t, name)), &rows{set: set}); got != want {
			t.Errorf("%s takes the fast way: %t, want %t", name, got, want)
		}
	}
}
