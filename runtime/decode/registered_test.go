package decode

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/record"
)

// schemas is a registry in memory that counts what it is asked.
type schemas struct {
	mu    sync.Mutex
	known map[int]registry.Schema
	fails error
	asked map[int]int
}

func newSchemas(texts map[int]string) *schemas {
	s := &schemas{known: map[int]registry.Schema{}, asked: map[int]int{}}
	for id, text := range texts {
		kind := registry.Avro
		if strings.HasPrefix(text, "syntax") {
			kind = registry.Protobuf
		}
		s.known[id] = registry.Schema{ID: id, Type: kind, Text: text}
	}
	return s
}

func (s *schemas) Schema(_ context.Context, id int) (registry.Schema, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[id]++
	if s.fails != nil {
		return registry.Schema{}, s.fails
	}
	found, ok := s.known[id]
	if !ok {
		return registry.Schema{}, fmt.Errorf("schema %d: %w", id, registry.ErrUnknown)
	}
	return found, nil
}

// wire puts a schema id before a body.
func wire(id int, body []byte) string {
	return string(append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), body...))
}

// avroBytes encodes longs, strings and, as they are, single bytes.
func avroBytes(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = binary.AppendVarint(b, int64(p))
		case string:
			b = append(binary.AppendVarint(b, int64(len(p))), p...)
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

const (
	orderV1 = `{"type":"record","name":"Order","fields":[{"name":"id","type":"long"},{"name":"note","type":["null","string"],"default":null}]}`
	orderV2 = `{"type":"record","name":"Order","fields":[{"name":"id","type":"long"},{"name":"note","type":["null","string"],"default":null},
		{"name":"totalAmount","type":"double"}]}`
	orderKey = `{"type":"record","name":"Key","fields":[{"name":"id","type":"long"}]}`
)

func registered(format string, known *schemas, columns ...Column) Spec {
	return Spec{Format: format, Schemas: known, Columns: columns}
}

func compileSpec(t *testing.T, spec Spec) *Decoder {
	t.Helper()
	d, err := Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAvroRecordsNameTheirSchemas(t *testing.T) {
	known := newSchemas(map[int]string{1: orderV1, 2: orderV2, 3: orderKey, 4: `{"type":"record","name":"Order","fields":[{"name":"id","type":{"type":"array","items":"long"}}]}`, 5: `syntax = "proto3";`})
	d := compileSpec(t, registered("avro", known, required(col("id", "long")), col("note", "string"), from(col("total", "double"), "totalAmount"),
		from(col("key_id", "long"), "kafka.key.id"), from(col("source", "string"), "kafka.header.source"), fallback(col("gone", "int"), "7")))
	s := values(
		wire(1, avroBytes(1, 1, "first")),
		wire(2, append(avroBytes(2, 0), 0, 0, 0, 0, 0, 0, 0xf8, 0x3f)),
		wire(9, avroBytes(3)),
		wire(4, avroBytes(0)),
		wire(5, avroBytes(0)),
		"no header", "\x00\x00\x00", "",
		wire(1, avroBytes(4, 0)),
		wire(1, avroBytes(4, 0, "trailing")),
		wire(1, avroBytes(5, 5)),
	)
	s.Records[0].Key = []byte(wire(3, avroBytes(11)))
	s.Records[0].Headers = []record.Header{{Key: "source", Value: []byte("web")}}
	s.Records[7].Value = nil
	s.Records[8].Key = []byte("no header")
	rows, rejects := decode(t, d, s)
	equal(t, "rows", rows, []string{"0: 1|first|(null)|11|web|7", "1: 2|(null)|1.5|(null)|(null)|7"})
	equal(t, "rejects", rejects, []string{"2 schema", "3 schema", "4 schema", "5 malformed", "6 malformed", "7 tombstone", "8 malformed", "9 malformed", "10 malformed"})
	for id, want := range map[int]int{1: 1, 2: 1, 3: 1} {
		if got := known.asked[id]; got != want {
			t.Errorf("schema %d was asked for %d times, want %d", id, got, want)
		}
	}
	if _, rejects := decode(t, d, values(wire(9, avroBytes(3)))); len(rejects) != 1 {
		t.Errorf("rejects: got %v, want one", rejects)
	}
	known.known[9] = registry.Schema{ID: 9, Type: registry.Avro, Text: orderV1}
	rows, _ = decode(t, d, values(wire(9, avroBytes(3, 0))))
	equal(t, "a schema that was registered since", rows, []string{"0: 3|(null)|(null)|(null)|(null)|7"})
}

func TestProtobufRecordsNameTheirMessages(t *testing.T) {
	known := newSchemas(map[int]string{1: `syntax = "proto3"; message Order { int64 id = 1; message Line { string sku = 1; } repeated Line lines = 2; } message Other { int64 id = 3; }`})
	d := compileSpec(t, registered("protobuf", known, col("id", "long"), col("lines", "list<struct<sku: string>>")))
	rows, rejects := decode(t, d, values(
		wire(1, []byte{0, 0x08, 5, 0x12, 3, 0x0a, 1, 'a', 0x7d, 1, 2, 3, 4}),
		wire(1, []byte{2, 2, 0x18, 6}), // path [1]
		wire(1, []byte{2, 18, 0x18, 6}),
		wire(1, []byte{0, 0x08}),
		wire(1, nil),
	))
	equal(t, "rows", rows, []string{`0: 5|[{"sku":"a"}]`, `1: 6|(null)`})
	equal(t, "rejects", rejects, []string{"2 schema", "3 malformed", "4 malformed"})
	if got := d.Stats().UnknownFields; got != 1 {
		t.Errorf("unknown fields: got %d, want 1", got)
	}
}

// TestSchemasOfOtherRecordsChangeNothing decodes records whose schemas come in
// any order, together and each on its own.
func TestSchemasOfOtherRecordsChangeNothing(t *testing.T) {
	known := newSchemas(map[int]string{1: orderV1, 2: orderV2, 4: orderKey, 256: orderV1,
		7: `syntax = "proto3"; message Order { int64 id = 1; message Line { int64 id = 2; } } message Other { int64 id = 3; }`,
		8: `syntax = "proto3"; message Order { int64 id = 4; }`})
	for format, records := range map[string][]string{
		"avro": {
			wire(1, avroBytes(1, 1, "a note of some length")), wire(1, avroBytes(2, 0)), wire(4, avroBytes(3)), wire(4, avroBytes(1<<40)), wire(4, nil),
			wire(2, append(avroBytes(4, 0), 0, 0, 0, 0, 0, 0, 0xf8, 0x3f)), wire(2, avroBytes(5, 0)), wire(9, avroBytes(6, 0, 0, 0)), wire(7, avroBytes(6, 0, 0, 0)),
			wire(256, avroBytes(7, 1, "note")), wire(256, avroBytes(8, 0)), "not in the format", "\x01\x00\x00\x00\x01 neither", "\x00\x00", "",
		},
		"protobuf": {
			wire(7, []byte{0, 0x08, 1}), wire(7, []byte{0, 0x08, 0x80, 1}), wire(7, []byte{2, 2, 0x18, 2}), wire(7, []byte{2, 2, 0x18, 0x80, 2}), wire(7, []byte{2, 0, 0x08, 3}),
			wire(7, []byte{4, 0, 0, 0x10, 4}), wire(7, []byte{4, 0, 0, 0x10, 0x80, 4}), wire(8, []byte{0, 0x20, 5}), wire(8, []byte{0, 0x20, 0x80, 5}),
			wire(7, []byte{2, 18, 0x18, 6}), wire(7, []byte{0x80, 0, 0x08, 7}), wire(9, []byte{0, 0x08, 8}), wire(7, []byte{0}), wire(7, nil), wire(1, []byte{0, 0, 0, 0}),
		},
	} {
		d := compileSpec(t, registered(format, known, col("id", "long"), col("note", "string")))
		alone := map[string]string{}
		for _, r := range records {
			rows, rejects := decode(t, d, values(r))
			alone[r] = strings.Join(append(rows, rejects...), "")[1:]
		}
		random := rand.New(rand.NewPCG(1, 1))
		var together []string
		for range 2000 {
			together = append(together, records[random.IntN(len(records))])
		}
		rows, rejects := decode(t, d, values(together...))
		got := map[string]string{}
		for _, line := range append(rows, rejects...) {
			index, rest, _ := strings.Cut(line, " ")
			if strings.HasSuffix(index, ":") {
				index, rest = index[:len(index)-1], ": "+rest
			} else {
				rest = " " + rest
			}
			got[index] = rest
		}
		for i, r := range together {
			if got[fmt.Sprint(i)] != alone[r] {
				t.Errorf("%s: record %d, %q: got %q, want %q as on its own", format, i, r, got[fmt.Sprint(i)], alone[r])
			}
		}
	}
}

func TestRegistryThatDoesNotAnswerStops(t *testing.T) {
	known := newSchemas(nil)
	known.fails = errors.New("connection refused")
	for _, format := range []string{"avro", "protobuf", "debezium-avro"} {
		d := compileSpec(t, registered(format, known, col("id", "long")))
		_, _, err := d.Decode(context.Background(), values(wire(7, []byte{0})))
		if !errors.Is(err, known.fails) || !strings.Contains(err.Error(), "schema 7") || !strings.Contains(err.Error(), "offset 0") {
			t.Errorf("%s: got %v, want the registry's error with the schema's id and the offset", format, err)
		}
		if _, err := Compile(Spec{Format: format, Columns: []Column{col("id", "long")}}); err == nil || !strings.Contains(err.Error(), "schema registry") {
			t.Errorf("%s without a registry: got error %v, want one that says so", format, err)
		}
	}
}

func TestNewFieldsOfASchema(t *testing.T) {
	known := newSchemas(map[int]string{1: orderV1, 2: orderV2})
	spec := registered("avro", known, required(col("id", "int")))
	spec.OnSchemaChange = SchemaChangeAppend
	s := values(wire(1, avroBytes(1, 0)))
	_, _, err := compileSpec(t, spec).Decode(context.Background(), s)
	var change *ChangeError
	if !errors.As(err, &change) || len(change.Add) != 1 || change.Add[0].Name != "note" || len(change.Widen) != 1 || change.Widen[0].Name != "id" || record.FormatType(change.Widen[0].Type) != "long" {
		t.Fatalf("got %v, want a change that adds note and makes id long", err)
	}
	// A value that the narrow column cannot hold asks for the wider one too.
	_, _, err = compileSpec(t, spec).Decode(context.Background(), values(wire(1, avroBytes(1<<40, 0))))
	if !errors.As(err, &change) || len(change.Widen) != 1 || change.Widen[0].Name != "id" {
		t.Fatalf("a value beyond int: got %v, want a change that makes id long", err)
	}
	spec.Columns = append([]Column{change.Widen[0]}, change.Add...)
	s = values(wire(1, avroBytes(1, 0)), wire(2, append(avroBytes(2, 0), make([]byte, 8)...)))
	_, _, err = compileSpec(t, spec).Decode(context.Background(), s)
	if !errors.As(err, &change) || change.Offset != 1 || len(change.Add) != 1 || change.Add[0].Name != "total_amount" || change.Add[0].From != "totalAmount" {
		t.Fatalf("got %v, want a change at offset 1 that adds total_amount", err)
	}
	spec.Columns = append(spec.Columns, change.Add...)
	rows, _ := decode(t, compileSpec(t, spec), s)
	equal(t, "rows", rows, []string{"0: 1|(null)|(null)", "1: 2|(null)|0"})

	spec.Columns = []Column{from(col("total_amount", "long"), "id"), col("note", "string")}
	if _, _, err = compileSpec(t, spec).Decode(context.Background(), s); err == nil || !strings.Contains(err.Error(), "totalAmount") {
		t.Errorf("a clash of names: got %v, want an error that names the field", err)
	}
}

const (
	sourceType = `{"name":"source","type":{"type":"record","name":"Source","fields":[{"name":"connector","type":"string"},{"name":"ts_ms","type":"long"},{"name":"lsn","type":["null","long"],"default":null},{"name":"ord","type":["null","int"],"default":null}]}}`
	rowEvent   = `{"type":"record","name":"Envelope","fields":[{"name":"before","type":["null",{"type":"record","name":"Value","fields":[
		{"name":"id","type":"long"},{"name":"email","type":["null","string"]}]}],"default":null},{"name":"after","type":["null","Value"],"default":null},` +
		sourceType + `,{"name":"op","type":"string"},{"name":"ts_ms","type":["null","long"]}]}`
	documentEvent = `{"type":"record","name":"Envelope","fields":[{"name":"before","type":["null","string"]},{"name":"after","type":["null","string"]},` +
		sourceType + `,{"name":"op","type":"string"},{"name":"ts_ms","type":["null","long"]}]}`
	documentKey = `{"type":"record","name":"Key","fields":[{"name":"id","type":"string"}]}`
)

// avroRow encodes an image; the row is nil for none.
func avroRow(id int, email string) []byte { return avroBytes(1, id, 1, email) }

func avroEvent(before, after []byte, connector, op string) []byte {
	if before == nil {
		before = avroBytes(0)
	}
	if after == nil {
		after = avroBytes(0)
	}
	return avroBytes(before, after, connector, 1736245630123, 1, 24023128, 0, op, 0)
}

func TestChangesInAvro(t *testing.T) {
	known := newSchemas(map[int]string{1: rowEvent, 2: orderKey})
	spec := registered("debezium-avro", known, required(col("id", "long")), col("email", "string"), from(col("op", "string"), "debezium.op"),
		from(col("key_id", "long"), "kafka.key.id"), from(col("trace", "string"), "kafka.header.trace"))
	spec.NaturalKey = []string{"email"}
	s := values(
		wire(1, avroEvent(nil, avroRow(1, "a"), "postgresql", "c")),
		wire(1, avroEvent(avroRow(1, "a"), avroRow(1, "b"), "postgresql", "u")),
		wire(1, avroEvent(avroRow(1, "b"), avroRow(1, "b"), "postgresql", "u")),
		wire(1, avroEvent(nil, avroRow(1, "__debezium_unavailable_value"), "postgresql", "u")),
		wire(1, avroEvent(avroRow(1, "b"), nil, "postgresql", "d")),
		wire(1, avroEvent(nil, nil, "postgresql", "d")),
		wire(1, avroEvent(nil, nil, "postgresql", "d")),
		wire(1, avroEvent(nil, nil, "postgresql", "m")),
		wire(1, avroEvent(nil, nil, "postgresql", "u")),
		wire(1, avroEvent(nil, nil, "postgresql", "x")),
		"",
	)
	s.Records[5].Key = []byte(wire(2, avroBytes(5)))
	s.Records[10].Value = nil
	rows, rejects := changeRows(t, spec, s)
	const at = " 2025-01-07T10:27:10.123Z 00000000000024023128 "
	equal(t, "rows", rows, []string{
		"0: c" + at + "[] | 1 | a | c | (null) | (null)",
		"1: d" + at + "[] | 1 | a | u | (null) | (null)",
		"1: c" + at + "[] | 1 | b | u | (null) | (null)",
		"2: u" + at + "[] | 1 | b | u | (null) | (null)",
		`3: u` + at + `["email"] | 1 | (null) | u | (null) | (null)`,
		"4: d" + at + "[] | 1 | b | d | (null) | (null)",
		"5: d" + at + "[] | 5 | (null) | d | 5 | (null)",
	})
	if len(rejects) != 3 || !strings.Contains(rejects[0], "6 missing id") || !strings.Contains(rejects[0], "REPLICA IDENTITY FULL") ||
		!strings.HasPrefix(rejects[1], "8 malformed") || !strings.HasPrefix(rejects[2], "9 malformed") {
		t.Errorf("rejects: got %q, want that of the delete without a key, of the update without a row, and of op x", rejects)
	}
	_, _, err := compileSpec(t, spec).Decode(context.Background(), values(wire(1, avroEvent(nil, nil, "postgresql", "t"))))
	var truncated *TruncateError
	if !errors.As(err, &truncated) {
		t.Errorf("got error %v, want a TruncateError", err)
	}
	spec.IgnoreTruncations = true
	batch, refused, err := compileSpec(t, spec).Decode(context.Background(), values(wire(1, avroEvent(nil, nil, "postgresql", "t"))))
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Release()
	if len(refused) != 0 || len(batch.Records) != 0 || len(batch.Truncations) != 1 || batch.Truncations[0].Record != 0 {
		t.Errorf("ignored: got %d rows, rejects %v and truncations %v, want the truncation of record 0 alone", len(batch.Records), refused, batch.Truncations)
	}
}

// The documents of MongoDB are text in Avro too.
func TestUnavailableNumbersInAvro(t *testing.T) {
	schema := strings.Replace(rowEvent, `{"name":"email","type":["null","string"]}`, `{"name":"scores","type":{"type":"array","items":"int"}}`, 1)
	spec := registered("debezium-avro", newSchemas(map[int]string{1: schema}), col("id", "long"), col("scores", "list<int>"))
	image := func(id int, scores []byte) []byte {
		parts := []any{1, id, len(scores)}
		for _, score := range scores {
			parts = append(parts, int(score))
		}
		return avroBytes(append(parts, 0)...)
	}
	rows, rejects := changeRows(t, spec, values(
		wire(1, avroEvent(nil, image(1, []byte("__debezium_unavailable_value")), "mysql", "u")),
		wire(1, avroEvent(nil, image(2, []byte("__debezium_unavailable_valuE")), "mysql", "u")),
	))
	equal(t, "rejects", rejects, nil)
	for i, want := range []string{`["scores"] | 1 | (null)`, "[] | 2 | [95,95,100"} {
		if len(rows) != 2 || !strings.Contains(rows[i], want) {
			t.Errorf("got rows %q, want row %d to have %s", rows, i, want)
		}
	}
}

func TestDocumentsInAvro(t *testing.T) {
	known := newSchemas(map[int]string{1: documentEvent, 2: documentKey})
	spec := registered("debezium-avro", known, required(col("_id", "string")), col("n", "long"), from(col("op", "string"), "debezium.op"), from(col("rest", "string"), "*"))
	document := func(text string) []byte { return avroBytes(1, text) }
	s := values(
		wire(1, avroEvent(nil, document(`{"_id":{"$oid":"x1"},"n":{"$numberLong":"5"},"more":true}`), "mongodb", "c")),
		wire(1, avroEvent(nil, nil, "mongodb", "d")),
		wire(1, avroEvent(nil, nil, "mongodb", "u")),
		wire(1, avroEvent(nil, document(`no json`), "mongodb", "u")),
	)
	s.Records[1].Key = []byte(wire(2, avroBytes(`{"$oid":"x1"}`)))
	rows, rejects := changeRows(t, spec, s)
	equal(t, "rows", rows, []string{
		`0: c 2025-01-07T10:27:10.123Z 00000000001736245630.0000000000 [] | x1 | 5 | c | {"more":true}`,
		`1: d 2025-01-07T10:27:10.123Z 00000000001736245630.0000000000 [] | x1 | (null) | d | (null)`,
	})
	if len(rejects) != 2 || !strings.Contains(rejects[0], "change_streams_update_full") || !strings.HasPrefix(rejects[1], "3 malformed") {
		t.Errorf("rejects: got %q, want one that names the setting of full documents and a malformed one", rejects)
	}
	spec.OnSchemaChange = SchemaChangeAppend
	_, _, err := compileSpec(t, spec).Decode(context.Background(), s)
	var change *ChangeError
	if !errors.As(err, &change) || len(change.Add) != 1 || change.Add[0].Name != "more" {
		t.Errorf("got %v, want a change that adds more", err)
	}
}
