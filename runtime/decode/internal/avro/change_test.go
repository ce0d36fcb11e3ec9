package avro

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/twmb/avro"

	"github.com/calvelake/calve/runtime/decode/internal/debezium"
	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

// envelopeSchema is what Debezium 3 registers by Confluent's converter for a
// table of PostgreSQL.
const envelopeSchema = `{"type":"record","name":"Envelope","namespace":"shop.public.orders","fields":[
 {"name":"before","type":["null",{"type":"record","name":"Value","fields":[
  {"name":"id","type":"long"},
  {"name":"status","type":["null","string"],"default":null},
  {"name":"body","type":["null","string"],"default":null},
  {"name":"picture","type":["null","bytes"],"default":null},
  {"name":"tags","type":["null",{"type":"array","items":["null","string"]}],"default":null},
  {"name":"amount","type":["null",{"type":"bytes","scale":2,"precision":10,"connect.version":1,"connect.parameters":{"scale":"2","connect.decimal.precision":"10"},"connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}],"default":null},
  {"name":"created","type":{"type":"long","connect.version":1,"connect.name":"io.debezium.time.MicroTimestamp"}}],
  "connect.name":"shop.public.orders.Value"}],"default":null},
 {"name":"after","type":["null","Value"],"default":null},
 {"name":"source","type":{"type":"record","name":"Source","namespace":"io.debezium.connector.postgresql","fields":[
  {"name":"version","type":"string"},{"name":"connector","type":"string"},{"name":"name","type":"string"},{"name":"ts_ms","type":"long"},
  {"name":"snapshot","type":["null",{"type":"string","connect.version":1,"connect.name":"io.debezium.data.Enum"}],"default":null},
  {"name":"db","type":"string"},{"name":"sequence","type":["null","string"],"default":null},
  {"name":"ts_us","type":["null","long"],"default":null},{"name":"ts_ns","type":["null","long"],"default":null},
  {"name":"schema","type":"string"},{"name":"table","type":"string"},
  {"name":"txId","type":["null","long"],"default":null},{"name":"lsn","type":["null","long"],"default":null},{"name":"xmin","type":["null","long"],"default":null}]}},
 {"name":"transaction","type":["null",{"type":"record","name":"block","namespace":"event","fields":[{"name":"id","type":"string"},{"name":"total_order","type":"long"}]}],"default":null},
 {"name":"op","type":"string"},
 {"name":"ts_ms","type":["null","long"],"default":null}],"connect.name":"shop.public.orders.Envelope"}`

// row is an image, nil for none.
type row map[string]any

// event encodes an event by the library.
func event(t testing.TB, op string, before, after row) []byte {
	t.Helper()
	body, err := avro.MustParse(envelopeSchema, rawValues()...).Encode(map[string]any{
		"before": image(before), "after": image(after), "op": op, "ts_ms": int64(1709210097000), "transaction": nil,
		"source": map[string]any{"version": "3.0.0.Final", "connector": "postgresql", "name": "shop", "ts_ms": epoch.UnixMilli(), "snapshot": "false",
			"db": "shop", "sequence": `["1","2"]`, "ts_us": epoch.UnixMicro(), "ts_ns": epoch.UnixNano(), "schema": "public", "table": "orders", "txId": int64(7), "lsn": int64(24023128), "xmin": nil},
	})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func image(r row) any {
	if r == nil {
		return nil
	}
	full := map[string]any{"id": int64(1), "status": nil, "body": nil, "picture": nil, "tags": nil, "amount": nil, "created": int64(5)}
	for name, v := range r {
		full[name] = v
	}
	return full
}

var imageColumns = [][2]string{{"id", "long"}, {"status", "string"}, {"body", "string"}, {"picture", "binary"}, {"tags", "list<string>"},
	{"amount", "decimal(10,2)"}, {"created", "timestamp"}, {"op", "string"}, {"source.db", "string"}, {"before.status", "string"}}

const imageCount = 7

// changeFixture compiles imageColumns.
func changeFixture(t testing.TB, edit func(*Changes)) (*ChangeReader, *vector.Set) {
	t.Helper()
	columns, schema := columnsOf(t, imageColumns)
	changes := Changes{Image: columns[:imageCount], Envelope: columns[imageCount:], NaturalKey: []int{0}, Marker: debezium.NewMarker("")}
	if edit != nil {
		edit(&changes)
	}
	p, err := parse(t, envelopeSchema).CompileChange(changes)
	if err != nil {
		t.Fatal(err)
	}
	set, err := vector.NewSet(schema, 10, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Reader(set)
	if err != nil {
		t.Fatal(err)
	}
	return r, set
}

// rowText ends the present row and gives it as text.
func rowText(set *vector.Set) string {
	set.Next()
	batch := set.Batch()
	defer batch.Release()
	var parts []string
	for _, c := range batch.Columns() {
		parts = append(parts, c.ValueStr(set.Row-1))
	}
	return strings.Join(parts, "|")
}

func TestChangeEventsAreRowsOfAnImage(t *testing.T) {
	old := row{"status": "new", "amount": []byte{1, 0}}
	for _, tt := range []struct {
		op            string
		before, after row
		fromBefore    bool
		want          string
	}{
		{"c", nil, row{"status": "new", "tags": []any{"a", nil}}, false, `1|new|(null)|(null)|["a",null]|(null)|1970-01-01T00:00:00.000005|c|shop|(null)`},
		{"r", nil, row{}, false, `1|(null)|(null)|(null)|(null)|(null)|1970-01-01T00:00:00.000005|r|shop|(null)`},
		{"u", old, row{"status": "paid"}, false, `1|paid|(null)|(null)|(null)|(null)|1970-01-01T00:00:00.000005|u|shop|new`},
		{"d", old, nil, true, `1|new|(null)|(null)|(null)|2.56|1970-01-01T00:00:00.000005|d|shop|new`},
	} {
		r, set := changeFixture(t, nil)
		e, err := r.Read(event(t, tt.op, tt.before, tt.after))
		if err != nil {
			t.Fatal(err)
		}
		if e.Op.String() != tt.op || e.HasBefore != (tt.before != nil) || e.HasAfter != (tt.after != nil) {
			t.Errorf("%s: got op %s, before %v, after %v", tt.op, e.Op, e.HasBefore, e.HasAfter)
		}
		if at, ok := e.Source.Timestamp(); !ok || at != epoch.UnixMicro() {
			t.Errorf("%s: got source time %d, %v, want %d", tt.op, at, ok, epoch.UnixMicro())
		}
		if sequence, ok := e.Source.AppendSequence(nil); !ok || string(sequence) != "00000000000024023128" {
			t.Errorf("%s: got sequence %q", tt.op, sequence)
		}
		if e.Source.Name() != "shop.public.orders" {
			t.Errorf("%s: got table %s", tt.op, e.Source.Name())
		}
		if err := r.Image(tt.fromBefore); err != nil {
			t.Fatal(err)
		}
		if got := rowText(set); got != tt.want {
			t.Errorf("%s: got %s\nwant %s", tt.op, got, tt.want)
		}
	}
}

func TestPlaceholdersOfUntouchedValuesAreNull(t *testing.T) {
	gone := debezium.DefaultMarker
	r, set := changeFixture(t, nil)
	if _, err := r.Read(event(t, "u", nil, row{"status": "x", "body": gone, "picture": []byte(gone), "tags": []any{gone}})); err != nil {
		t.Fatal(err)
	}
	if err := r.Image(false); err != nil {
		t.Fatal(err)
	}
	if got := r.Unavailable(false); len(got) != 3 || got[0] != 2 || got[1] != 3 || got[2] != 4 {
		t.Errorf("got unavailable columns %v, want 2, 3 and 4", got)
	}
	if got, want := rowText(set), `1|x|(null)|(null)|(null)|(null)|1970-01-01T00:00:00.000005|u|shop|(null)`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}

	r, _ = changeFixture(t, func(c *Changes) { c.Image[2].Nullable = false })
	if _, err := r.Read(event(t, "u", nil, row{"body": gone})); err != nil {
		t.Fatal(err)
	}
	if err := r.Image(false); err == nil || !strings.Contains(err.Error(), debezium.Unavailable) {
		t.Errorf("got error %v, want one that says what to do about a required column", err)
	}

	r, _ = changeFixture(t, func(c *Changes) { c.Marker = debezium.NewMarker("n/a") })
	if _, err := r.Read(event(t, "u", nil, row{"body": "n/a", "status": gone})); err != nil {
		t.Fatal(err)
	}
	if err := r.Image(false); err != nil || len(r.Unavailable(false)) != 1 {
		t.Errorf("got unavailable columns %v, %v, want the one of the placeholder that is set", r.Unavailable(false), err)
	}
}

func TestNaturalKeysAreCompared(t *testing.T) {
	for _, tt := range []struct {
		before, after row
		key           []int
		want          bool
	}{
		{row{"id": int64(1)}, row{"id": int64(1)}, []int{0}, false},
		{row{"id": int64(1)}, row{"id": int64(2)}, []int{0}, true},
		{nil, row{"id": int64(2)}, []int{0}, false},
		{row{"id": int64(1), "status": "a"}, row{"id": int64(1), "status": "b"}, []int{0}, false},
		{row{"id": int64(1), "status": "a"}, row{"id": int64(1), "status": "b"}, []int{0, 1}, true},
		{row{"id": int64(1)}, row{"id": int64(1), "status": "b"}, []int{0, 1}, false},
		{row{"id": int64(1), "amount": []byte{1}}, row{"id": int64(1), "amount": []byte{0, 1}}, []int{5}, false},
		{row{"id": int64(1)}, row{"id": int64(2)}, nil, false},
	} {
		r, set := changeFixture(t, func(c *Changes) { c.NaturalKey = tt.key })
		for range 2 { // the second time finds nothing of the first
			if _, err := r.Read(event(t, "u", tt.before, tt.after)); err != nil {
				t.Fatal(err)
			}
			if got, err := r.KeyChanged(); err != nil || got != tt.want {
				t.Errorf("%v to %v by %v: got %v, %v, want %v", tt.before, tt.after, tt.key, got, err, tt.want)
			}
		}
		if set.Row != 0 {
			t.Errorf("got %d rows, want none written", set.Row)
		}
	}
}

// A delete is completed from its record's key: no column of its image is
// required, and none has its default.
func TestColumnsOfABeforeImageAreOptional(t *testing.T) {
	r, set := changeFixture(t, func(c *Changes) {
		c.Image[1].Nullable = false
		c.Image[1].Fallback = func(v *vector.Vector, row int) { v.SetBytes(row, []byte("default")) }
	})
	if _, err := r.Read(event(t, "d", row{}, nil)); err != nil {
		t.Fatal(err)
	}
	if err := r.Image(true); err != nil {
		t.Fatal(err)
	}
	if !set.Columns[1].IsNull(0) {
		t.Error("the column that the image lacks is not null")
	}
}

func TestEventsThatAreNone(t *testing.T) {
	r, _ := changeFixture(t, nil)
	good := event(t, "c", nil, row{})
	for name, body := range map[string][]byte{
		"unknown op":   event(t, "x", nil, row{}),
		"cut short":    good[:len(good)-1],
		"bytes behind": append(append([]byte{}, good...), 0),
		"empty":        nil,
	} {
		if _, err := r.Read(body); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	for i := range good { // no prefix is one, and none reads beyond it
		if _, err := r.Read(good[:i:i]); err == nil {
			t.Errorf("got no error for the first %d bytes of %d", i, len(good))
		}
	}
	for text, want := range map[string]string{
		`{"type":"record","name":"R","fields":[{"name":"id","type":"long"}]}`: "ExtractNewRecordState",
		`"string"`: "the schema is string",
		strings.Replace(envelopeSchema, `{"name":"id","type":"long"}`, `{"name":"id","type":"boolean"}`, 1): "field id is boolean",
	} {
		columns, _ := columnsOf(t, imageColumns[:1])
		if _, err := parse(t, text).CompileChange(Changes{Image: columns}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one that contains %q", err, want)
		}
	}
}

func TestDocumentsOfMongoDBAreText(t *testing.T) {
	s := parse(t, `{"type":"record","name":"Envelope","fields":[
	 {"name":"before","type":["null",{"type":"string","connect.name":"io.debezium.data.Json"}]},
	 {"name":"after","type":["null",{"type":"string","connect.name":"io.debezium.data.Json"}]},
	 {"name":"source","type":{"type":"record","name":"Source","fields":[{"name":"connector","type":"string"},{"name":"ts_ms","type":"long"},{"name":"ord","type":"int"}]}},
	 {"name":"op","type":["null","string"]}]}`)
	p, err := s.CompileChange(Changes{Image: []program.Column{{Path: []string{"a"}, Type: typeOf(t, "string")}}})
	if err != nil || !p.Documents() {
		t.Fatalf("got %v, documents %v", err, p.Documents())
	}
	set, err := vector.NewSet(arrow.NewSchema(nil, nil), 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Reader(set)
	if err != nil {
		t.Fatal(err)
	}
	e, err := r.Read([]byte(zigzag(0) + zigzag(1) + str(`{"_id":1}`) + str("mongodb") + zigzag(1700000000123) + zigzag(4) + zigzag(1) + str("c")))
	if err != nil || string(e.After) != `{"_id":1}` || e.Before != nil {
		t.Fatalf("got %+v, %v", e, err)
	}
	if got, ok := e.Source.AppendSequence(nil); !ok || string(got) != "00000000001700000000.0000000004" {
		t.Errorf("got sequence %q", got)
	}
}

func TestUnreadFieldsAreThoseOfTheImage(t *testing.T) {
	unread := func(p *ChangeProgram) string {
		var names []string
		for _, f := range p.Unread() {
			names = append(names, strings.Join(f.Path, "."))
		}
		return strings.Join(names, " ")
	}
	columns, _ := columnsOf(t, [][2]string{{"id", "int"}, {"created", "timestamp"}})
	p, err := parse(t, envelopeSchema).CompileChange(Changes{Image: columns})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := unread(p), "status body picture tags amount"; got != want {
		t.Errorf("got unread fields %s, want %s", got, want)
	}
	if w := p.Widen(); len(w) != 1 || w[0].Column != 0 || w[0].Type.String() != "int64" {
		t.Errorf("got %v, want column 0 to be widened to a long", w)
	}
}
