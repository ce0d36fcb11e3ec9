package avro

import (
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/record"
)

func parse(t testing.TB, text string, refs ...registry.Reference) *Schema {
	t.Helper()
	s, err := Parse(registry.Schema{ID: 1, Type: registry.Avro, Text: text, References: refs})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// one reads one record to one column, and gives the value as JSON.
func one(t testing.TB, s *Schema, c program.Column, body []byte) (string, error) {
	t.Helper()
	p, err := s.Compile([]program.Column{c})
	if err != nil {
		return "", err
	}
	set, err := vector.NewSet(arrow.NewSchema([]arrow.Field{{Name: "c", Type: c.Type, Nullable: true}}, nil), 2, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Reader(set).Read(body); err != nil {
		return "", err
	}
	set.Next()
	batch := set.Batch()
	defer batch.Release()
	if batch.Column(0).IsNull(0) {
		return "null", nil
	}
	return batch.Column(0).ValueStr(0), nil
}

func typeOf(t testing.TB, text string) arrow.DataType {
	t.Helper()
	typ, err := record.ParseType(text)
	if err != nil {
		t.Fatal(err)
	}
	return typ
}

func zigzag(x int64) string { return string(binary.AppendVarint(nil, x)) }

func str(s string) string { return zigzag(int64(len(s))) + s }

const scaled = `{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}`

// TestFieldsAreReadAsTheColumnsType reads a field v of each type as a column.
func TestFieldsAreReadAsTheColumnsType(t *testing.T) {
	const entry = `{"type":"array","items":{"type":"record","name":"Entry","fields":[{"name":"key","type":"int"},{"name":"value","type":"string"}]}}`
	for _, tt := range []struct{ field, typ, encoding, body, want string }{
		{`"int"`, "long", "", zigzag(-7), "-7"},
		{`"int"`, "float", "", zigzag(7), "7"},
		{`"int"`, "double", "", zigzag(7), "7"},
		{`"int"`, "decimal(4,2)", "", zigzag(7), "7"},
		{`"long"`, "int", "", zigzag(7), "7"},
		{`"long"`, "int", "", zigzag(1 << 31), "reject int, a whole number"},
		{`"long"`, "double", "", zigzag(7), "7"},
		{`"int"`, "int", "", zigzag(1 << 31), "reject Avro's binary encoding"},
		{`"float"`, "double", "", "\x00\x00\xc0\x3f", "1.5"},
		{`"double"`, "float", "", "\x00\x00\x00\x00\x00\x00\xf8\x3f", "1.5"},
		{`"double"`, "float", "", "\xff\xff\xff\xff\xff\xff\xef\x7f", "reject float, a number in its range"},
		{`"double"`, "long", "", "", "refuse"},
		{`"int"`, "string", "", "", "refuse"},
		{`"string"`, "int", "", "", "refuse"},
		{`"boolean"`, "int", "", "", "refuse"},
		{`"string"`, "binary", "", str("\xff"), "/w=="},
		{`"string"`, "string", "", str("\xff"), "reject string, valid UTF-8"},
		{`"bytes"`, "string", "", str("é"), "é"},
		{`"bytes"`, "string", "", str("\xff"), "reject string, valid UTF-8"},
		{`"string"`, "binary", "hex", str("0aff"), "Cv8="},
		{`"string"`, "decimal(4,2)", "", str("1.5"), "1.5"},
		{`"string"`, "date", "", str("1970-01-02"), "1970-01-02"},
		{`"string"`, "timestamptz", "strptime:%Y-%m-%d %H", str("1970-01-02 03"), "1970-01-02T03:00:00Z"},
		{`"string"`, "timestamptz", "", str("yesterday"), "reject timestamptz, as in"},
		{`"long"`, "timestamptz", "", "", "refuse"},
		{`"long"`, "timestamptz", "epoch_s", zigzag(1), "1970-01-01T00:00:01Z"},
		{`{"type":"long","logicalType":"timestamp-millis"}`, "timestamptz", "", zigzag(-1), "1969-12-31T23:59:59.999Z"},
		{`{"type":"long","logicalType":"timestamp-millis"}`, "timestamptz", "", zigzag(1 << 62), "reject timestamptz, a number of milliseconds"},
		{`{"type":"long","logicalType":"timestamp-millis"}`, "timestamptz", "epoch_s", zigzag(1), "1970-01-01T00:00:01Z"},
		{`{"type":"long","logicalType":"timestamp-micros"}`, "timestamp", "", zigzag(1), "1970-01-01T00:00:00.000001"},
		{`{"type":"long","logicalType":"timestamp-nanos"}`, "timestamptz", "", zigzag(-1), "1969-12-31T23:59:59.999999Z"},
		{`{"type":"long","logicalType":"timestamp-micros"}`, "long", "", zigzag(1), "1"},
		{`{"type":"int","logicalType":"date"}`, "date", "", zigzag(1), "1970-01-02"},
		{`"int"`, "date", "", "", "refuse"},
		{`"int"`, "date", "connect.date", zigzag(1), "1970-01-02"},
		{`{"type":"int","logicalType":"time-millis"}`, "long", "connect.time", zigzag(5), "5"},
		{`{"type":"long","connect.name":"io.debezium.time.MicroTimestamp"}`, "timestamp", "", zigzag(1), "1970-01-01T00:00:00.000001"},
		{`{"type":"long","connect.name":"io.debezium.time.NanoTimestamp"}`, "timestamp", "", zigzag(1999), "1970-01-01T00:00:00.000001"},
		{`{"type":"int","connect.name":"io.debezium.time.Date"}`, "date", "", zigzag(1), "1970-01-02"},
		{`{"type":"string","connect.name":"io.debezium.time.ZonedTimestamp"}`, "timestamp", "", str("1970-01-01T01:00:00+01:00"), "1970-01-01T00:00:00"},
		{`{"type":"long","connect.name":"org.apache.kafka.connect.data.Timestamp","logicalType":"timestamp-millis"}`, "timestamptz", "", zigzag(1), "1970-01-01T00:00:00.001Z"},
		{scaled, "decimal(9,2)", "", str("\x01\x00"), "2.56"},
		{scaled, "decimal(9,4)", "", str("\xff"), "-0.01"},
		{scaled, "decimal(9,1)", "", str("\x0a"), "0.1"},
		{scaled, "decimal(9,1)", "", str("\x0b"), "reject decimal(9,1), at most 1 decimal places"},
		{scaled, "decimal(3,2)", "", str("\x03\xe8"), "reject decimal(3,2), at most 1 digits before"},
		{scaled, "decimal(3,2)", "", str(""), "reject decimal(3,2)"},
		{scaled, "binary", "", str("\x01"), "AQ=="},
		{`"bytes"`, "decimal(4,2)", "", "", "refuse"},
		{`"bytes"`, "decimal(4,2)", "connect.decimal", str("\x01"), "0.01"},
		{`{"type":"record","name":"io.debezium.data.VariableScaleDecimal","fields":[{"name":"scale","type":"int"},{"name":"value","type":"bytes"}]}`,
			"decimal(9,3)", "", zigzag(1) + str("\x0f"), "1.5"},
		{`{"type":"record","name":"io.debezium.data.VariableScaleDecimal","fields":[{"name":"scale","type":"int"},{"name":"value","type":"bytes"}]}`,
			"string", "", zigzag(2000000000) + str("\x0f"), "15e-2000000000"},
		{`{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}`, "string", "", "0123456789abcdef", "30313233-3435-3637-3839-616263646566"},
		{`{"type":"fixed","name":"D","size":12,"logicalType":"duration"}`, "string", "", "\x01\x00\x00\x00\x02\x00\x00\x00\xc5\x0b\x00\x00", "P1M2DT3.013S"},
		{`{"type":"fixed","name":"X","size":2}`, "binary", "", "ab", "YWI="},
		{`{"type":"fixed","name":"X","size":2}`, "string", "", "", "refuse"},
		{`{"type":"enum","name":"E","symbols":["A","B"]}`, "string", "", zigzag(1), "B"},
		{`{"type":"enum","name":"E","symbols":["A","B"]}`, "string", "", zigzag(2), "reject Avro's binary encoding"},
		{`{"type":"array","items":"int"}`, "list<long>", "", zigzag(2) + zigzag(1) + zigzag(2) + "\x00", "[1,2]"},
		{`{"type":"array","items":"int"}`, "string", "", zigzag(-2) + zigzag(2) + zigzag(1) + zigzag(2) + "\x00", "[1,2]"},
		{`{"type":"array","items":"int"}`, "list<long>", "", zigzag(-2) + zigzag(1) + zigzag(1) + zigzag(2) + "\x00", "reject Avro's binary encoding"},
		{`{"type":"map","values":"int"}`, "map<string, int>", "", zigzag(1) + str("a") + zigzag(5) + "\x00", `[{"key":"a","value":5}]`},
		{`{"type":"map","values":"int"}`, "map<int, int>", "", zigzag(1) + str("9") + zigzag(5) + "\x00", `[{"key":9,"value":5}]`},
		{`{"type":"map","values":"int"}`, "map<int, int>", "", zigzag(1) + str("a") + zigzag(5) + "\x00", "reject int, a whole number"},
		{`{"type":"map","values":"int"}`, "map<string, int>", "", zigzag(2) + str("a") + zigzag(5) + str("a") + zigzag(6) + "\x00", "reject a map, in which each key comes once"},
		{entry, "map<int, string>", "", zigzag(1) + zigzag(7) + str("x") + "\x00", `[{"key":7,"value":"x"}]`},
		{entry, "list<struct<value: string>>", "", zigzag(1) + zigzag(7) + str("x") + "\x00", `[{"value":"x"}]`},
		{`{"type":"record","name":"S","fields":[{"name":"x","type":"int"},{"name":"y","type":"string"}]}`, "struct<y: string, z: int>", "", zigzag(7) + str("x"), `{"y":"x","z":null}`},
		{`{"type":"record","name":"S","fields":[{"name":"x","type":"int"},{"name":"y","type":"string"}]}`, "string", "", zigzag(7) + str("x\"\n"), `{"x":7,"y":"x\"\n"}`},
		{`{"type":"record","name":"S","fields":[{"name":"x","type":"int"}]}`, "int", "", "", "refuse"},
		{`["null","int"]`, "int", "", zigzag(0), "null"},
		{`["int","null"]`, "int", "", zigzag(0) + zigzag(3), "3"},
		{`["int","null"]`, "int", "", zigzag(2), "reject Avro's binary encoding"},
		{`["int"]`, "int", "", zigzag(0) + zigzag(3), "3"},
		{`["null","int","long"]`, "long", "", zigzag(2) + zigzag(3), "3"},
		{`["null","int","long"]`, "long", "", zigzag(0), "null"},
		{`["int","string"]`, "int", "", "", "refuse"},
		{`["int","string"]`, "string", "", zigzag(0) + zigzag(3), "3"},
		{`["int","string"]`, "string", "", zigzag(1) + str("x"), `"x"`},
		{`["null","int","string"]`, "string", "", zigzag(0), "null"},
		{`["string",{"type":"array","items":"int"}]`, "string", "", zigzag(0) + str("x"), "x"},
		{`["string",{"type":"array","items":"int"}]`, "string", "", zigzag(1) + "\x00", "[]"},
		{`"null"`, "int", "", "", "null"},
	} {
		s := parse(t, `{"type":"record","name":"R","fields":[{"name":"v","type":`+tt.field+`}]}`)
		got, err := one(t, s, program.Column{Path: []string{"v"}, Type: typeOf(t, tt.typ), Encoding: tt.encoding, Nullable: true}, []byte(tt.body))
		name := tt.field + " as " + tt.typ + " " + tt.encoding
		var rejected *program.Error
		switch expected, isReject := strings.CutPrefix(tt.want, "reject "); {
		case tt.want == "refuse":
			if err == nil || errors.As(err, &rejected) || !strings.Contains(err.Error(), "field v is ") {
				t.Errorf("%s: got %s, %v, want the schema refused by the field's name", name, got, err)
			}
		case isReject:
			if !errors.As(err, &rejected) || !strings.Contains(err.Error(), expected) {
				t.Errorf("%s: got %s, %v, want a reject that contains %q", name, got, err, expected)
			}
		case err != nil || got != tt.want:
			t.Errorf("%s: got %s, %v, want %s", name, got, err, tt.want)
		}
	}
}

const orderSchema = `{"type":"record","name":"Order","fields":[
 {"name":"id","type":"long"},
 {"name":"customer","type":["null",{"type":"record","name":"Customer","fields":[
  {"name":"name","type":"string"},{"name":"address","type":["null",{"type":"record","name":"Address","fields":[{"name":"city","type":"string"},{"name":"zip","type":"string"}]}]}]}]},
 {"name":"note","type":"string"}]}`

func TestPathsGoThroughNullableRecords(t *testing.T) {
	s := parse(t, orderSchema)
	full := zigzag(1) + zigzag(1) + str("Ann") + zigzag(1) + str("Oslo") + str("0150") + str("hi")
	noAddress := zigzag(1) + zigzag(1) + str("Ann") + zigzag(0) + str("hi")
	nobody := zigzag(1) + zigzag(0) + str("hi")
	text := typeOf(t, "string")
	asDefault := func(v *vector.Vector, row int) { v.SetBytes(row, []byte("?")) }
	for _, tt := range []struct {
		path     string
		body     string
		required bool
		fallback func(*vector.Vector, int)
		want     string
	}{
		{path: "customer.address.city", body: full, want: "Oslo"},
		{path: "customer.address.city", body: noAddress, want: "null"},
		{path: "customer.address.city", body: nobody, want: "null"},
		{path: "customer.address.city", body: nobody, fallback: asDefault, want: "?"},
		{path: "customer.address.city", body: nobody, required: true, want: "found no value, expected string, since the column is neither nullable nor has a default"},
		{path: "customer.absent", body: full, want: "null"},
		{path: "absent", body: full, required: true, want: "found no value, expected string, since the column is neither nullable nor has a default"},
		{path: "absent", body: full, fallback: asDefault, want: "?"},
		{path: "note", body: full, required: true, want: "hi"},
		{path: "customer", body: full, want: `{"name":"Ann","address":{"city":"Oslo","zip":"0150"}}`},
		{path: "note.inner", body: full, want: "field note is string, expected a record with the field inner for a column of data_type string"},
		{path: "*", body: full, want: `{"id":1,"customer":{"name":"Ann","address":{"city":"Oslo","zip":"0150"}},"note":"hi"}`},
		{path: "note", body: full[:len(full)-1], want: "found field note (string): bytes that end early or are no value of it, expected Avro's binary encoding of the schema that the record names"},
		{path: "note", body: full + "x", want: "found 1 bytes behind the value, expected the end of the record: it was written with another schema than it names"},
	} {
		got, err := one(t, s, program.Column{Path: splitPath(tt.path), Type: text, Nullable: !tt.required, Fallback: tt.fallback}, []byte(tt.body))
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s of %q: got %s, want %s", tt.path, tt.body, got, tt.want)
		}
	}
}

func TestColumnsMayReadTheSameValue(t *testing.T) {
	s := parse(t, orderSchema)
	columns, schema := columnsOf(t, [][2]string{{"id", "long"}, {"customer", "string"}, {"customer.name", "string"}, {"customer.address", "struct<zip: string>"},
		{"customer.address.city", "string"}, {"id", "double"}, {"*", "string"}})
	p, err := s.Compile(columns)
	if err != nil {
		t.Fatal(err)
	}
	set, err := vector.NewSet(schema, 4, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := p.Reader(set)
	for _, body := range []string{
		zigzag(1) + zigzag(1) + str("Ann") + zigzag(1) + str("Oslo") + str("0150") + str("hi"),
		zigzag(2) + zigzag(0) + str("a note that is longer than what is copied by words, which is sixty-four bytes or so, é"),
	} {
		if err := r.Read([]byte(body)); err != nil {
			t.Fatal(err)
		}
		set.Next()
	}
	batch := set.Batch()
	defer batch.Release()
	want := []string{
		`1|{"name":"Ann","address":{"city":"Oslo","zip":"0150"}}|Ann|{"zip":"0150"}|Oslo|1|{"note":"hi"}`,
		`2|(null)|(null)|(null)|(null)|2|{"note":"a note that is longer than what is copied by words, which is sixty-four bytes or so, é"}`,
	}
	for row := range want {
		var got []string
		for _, c := range batch.Columns() {
			got = append(got, c.ValueStr(row))
		}
		if strings.Join(got, "|") != want[row] {
			t.Errorf("row %d: got %s\nwant %s", row, strings.Join(got, "|"), want[row])
		}
	}
}

func TestReferencesAreResolved(t *testing.T) {
	s := parse(t, `{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"m","type":"common.Money"},{"name":"n","type":"common.Money"}]}`,
		registry.Reference{Name: "common.Currency", Text: `{"type":"enum","name":"Currency","namespace":"common","symbols":["EUR","USD"]}`},
		registry.Reference{Name: "common.Money", Text: `{"type":"record","name":"Money","namespace":"common","fields":[{"name":"cents","type":"long"},{"name":"currency","type":"Currency"}]}`})
	got, err := one(t, s, program.Column{Path: []string{"n", "currency"}, Type: typeOf(t, "string")}, []byte(zigzag(1)+zigzag(0)+zigzag(2)+zigzag(1)))
	if err != nil || got != "USD" {
		t.Errorf("got %s, %v, want USD", got, err)
	}
	if _, err := Parse(registry.Schema{ID: 3, Text: `{"type":"record","name":"Order","fields":[{"name":"m","type":"common.Money"}]}`}); err == nil || !strings.Contains(err.Error(), "schema 3") {
		t.Errorf("got error %v, want one of schema 3", err)
	}
}

// TestHostileRecordsAreRefused gives lengths and counts that no record has.
func TestHostileRecordsAreRefused(t *testing.T) {
	const most, least = 1<<63 - 1, -1 << 63
	for _, tt := range []struct{ name, field, typ, body string }{
		{"length beyond the record", `"string"`, "string", zigzag(1 << 40)},
		{"negative length", `"bytes"`, "binary", zigzag(-1)},
		{"greatest length", `"bytes"`, "binary", zigzag(most)},
		{"number without end", `"long"`, "long", strings.Repeat("\x80", 20)},
		{"number of 65 bits", `"long"`, "long", strings.Repeat("\xff", 9) + "\x02"},
		{"number of 33 bits", `"int"`, "int", "\xff\xff\xff\xff\x1f"},
		{"greatest count", `{"type":"array","items":"int"}`, "list<int>", zigzag(most)},
		{"least count", `{"type":"array","items":"int"}`, "list<int>", zigzag(least) + zigzag(1)},
		{"count beyond the record", `{"type":"array","items":"double"}`, "list<double>", zigzag(2) + "12345678\x00"},
		{"nulls without number", `{"type":"array","items":"null"}`, "list<string>", zigzag(1<<40) + "\x00"},
		{"many blocks of nulls", `{"type":"array","items":"null"}`, "list<string>", strings.Repeat(zigzag(4000), 3) + "\x00"},
		{"empty records", `{"type":"array","items":{"type":"record","name":"Empty","fields":[]}}`, "string", zigzag(1<<30) + "\x00"},
		{"branch beyond the union", `["null","int"]`, "int", zigzag(2)},
		{"negative branch", `["null","int","string"]`, "string", zigzag(-1)},
		{"list in itself", `["null",{"type":"array","items":"R"}]`, "string", strings.Repeat(zigzag(1)+zigzag(1), 100_000)},
	} {
		s := parse(t, `{"type":"record","name":"R","fields":[{"name":"v","type":`+tt.field+`}]}`)
		for _, path := range []string{"v", "other"} {
			got, err := one(t, s, program.Column{Path: []string{path}, Type: typeOf(t, tt.typ), Nullable: true}, []byte(tt.body))
			if e, ok := errors.AsType[*program.Error](err); !ok || e.Code != record.CodeMalformed || e.Column != -1 {
				t.Errorf("%s, column %s: got %s, %v, want it malformed", tt.name, path, got, err)
			}
		}
	}
}

func TestReadingDoesNotAllocate(t *testing.T) {
	s := parse(t, clickSchema)
	columns, schema := columnsOf(t, clickColumns)
	p, err := s.Compile(columns)
	if err != nil {
		t.Fatal(err)
	}
	set, err := vector.NewSet(schema, 5000, 500_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range set.Columns[10].Kids {
		v.Data = make([]byte, 0, 100_000)
	}
	r, records := p.Reader(set), clicks(t, 1000)
	next := 0
	if err := r.Read(records[0]); err != nil {
		t.Fatal(err)
	}
	set.Columns[5].SetNull(0) // its bitmap is made once
	set.Rollback()
	if got := testing.AllocsPerRun(900, func() {
		if err := r.Read(records[next]); err != nil {
			t.Fatal(err)
		}
		set.Next()
		next++
	}); got != 0 {
		t.Errorf("got %v allocations a record, want 0", got)
	}
}

// TestClicksAreReadByManyReaders reads what the library encoded, from several
// goroutines by one program.
func TestClicksAreReadByManyReaders(t *testing.T) {
	p := newPair(t, clickSchema)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, body := range clicks(t, 200) {
				if !p.compare(t, body) {
					t.Errorf("%x is refused", body)
				}
			}
		})
	}
	wg.Wait()
}

func TestSchemaOfAnotherTypeThanARecord(t *testing.T) {
	s := parse(t, `"string"`)
	if _, err := s.Compile([]program.Column{{Path: []string{"v"}, Type: typeOf(t, "string")}}); err == nil || !strings.Contains(err.Error(), "the record is string, expected a record") {
		t.Errorf("got error %v, want the schema refused", err)
	}
}
