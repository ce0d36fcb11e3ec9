package protobuf

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"github.com/calvelake/calve/runtime/record"
)

const order = `
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/wrappers.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/any.proto";
import "google/type/date.proto";
import "google/type/decimal.proto";
import "confluent/type/decimal.proto";

message Order {
  int64 id = 1;
  string customer = 2;
  optional int32 priority = 3;
  Status status = 4;
  google.protobuf.Timestamp placed_at = 5;
  google.protobuf.Duration took = 6;
  google.protobuf.StringValue note = 7;
  google.protobuf.Int64Value points = 8;
  google.type.Date due = 9;
  confluent.type.Decimal total = 10;
  google.type.Decimal tax = 11;
  google.protobuf.Struct extra = 12;
  google.protobuf.Any any = 13;
  Address address = 14;
  repeated Line lines = 15;
  repeated int32 codes = 16;
  repeated string tags = 17;
  map<string, int64> counts = 18;
  map<int32, Line> by_number = 19;
  oneof payment {
    string card = 20;
    Transfer transfer = 21;
    bool cash = 22;
  }
  uint64 big = 23;
  uint32 small = 24;
  sint64 delta = 25;
  double weight = 26;
  float ratio = 27;
  bytes blob = 28;
  bool paid = 29;
  string moment = 30;
  Tree tree = 31;
  fixed64 hash = 300;

  message Line { string sku = 1; int32 quantity = 2; double price = 3; }
  message Address { string street = 1; string city = 2; repeated string phones = 3; Line first = 4; }
  message Transfer { string iban = 1; int64 amount = 2; }
  message Tree { int32 value = 1; repeated Tree kids = 2; }
  enum Status { UNKNOWN = 0; OPEN = 1; CLOSED = 2; }
}
message Other { string name = 1; }
`

// encode makes the wire form of a message given as JSON.
func (f *fixture) encode(t testing.TB, text string) []byte {
	t.Helper()
	m := dynamicpb.NewMessage(f.program.message)
	if err := (protojson.UnmarshalOptions{Resolver: f.schema.types}).Unmarshal([]byte(text), m); err != nil {
		t.Fatal(err)
	}
	body, err := proto.MarshalOptions{Deterministic: true, AllowPartial: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestValuesOfColumns(t *testing.T) {
	tests := []struct {
		column, body string
		want         any
	}{
		{"id long", `{"id": "-5"}`, "-5"},
		{"id long", `{}`, "0"},
		{"id decimal(20,2)", `{"id": "7"}`, "700"},
		{"id timestamptz encoding epoch_ms", `{"id": "1500"}`, "1500000"},
		{"customer string", `{"customer": "Zoë"}`, "Zoë"},
		{"customer string", `{}`, ""},
		{"moment timestamptz", `{"moment": "1970-01-01T00:00:01Z"}`, "1000000"},
		{"moment timestamptz", `{}`, nil},
		{"moment date encoding strptime:%d.%m.%Y", `{"moment": "02.01.1970"}`, "1"},
		{"priority int", `{"priority": 0}`, "0"},
		{"priority int", `{}`, nil},
		{"priority long", `{"priority": -3}`, "-3"},
		{"status string", `{"status": "OPEN"}`, "OPEN"},
		{"status string", `{"status": 17}`, "17"},
		{"status string", `{"status": -17}`, "-17"},
		{"status string", `{}`, "UNKNOWN"},
		{"status int", `{"status": 2}`, "2"},
		{"placed_at timestamptz", `{"placed_at": "1969-12-31T23:59:59.999999999Z"}`, "-1"},
		{"placed_at timestamp", `{"placed_at": "1970-01-01T00:00:00.5Z"}`, "500000"},
		{"placed_at string", `{"placed_at": "2024-02-29T12:34:56.789Z"}`, "2024-02-29T12:34:56.789Z"},
		{"placed_at timestamptz", `{}`, nil},
		{"placed_at.seconds long", `{"placed_at": "1970-01-01T00:00:07Z"}`, "7"},
		{"placed_at struct<seconds: long, nanos: int>", `{"placed_at": "1970-01-01T00:00:07Z"}`, map[string]any{"seconds": "7", "nanos": "0"}},
		{"took long", `{"took": "-1.5s"}`, "-1500000000"},
		{"took string", `{"took": "-1.5s"}`, "-1.500s"},
		{"took string", `{"took": "0s"}`, "0s"},
		{"note string", `{"note": ""}`, ""},
		{"note string", `{}`, nil},
		{"points long", `{"points": "9"}`, "9"},
		{"points decimal(10,1)", `{"points": "9"}`, "90"},
		{"due date", `{"due": {"year": 1970, "month": 3, "day": 1}}`, "59"},
		{"due struct<year: int>", `{"due": {"year": 1970}}`, map[string]any{"year": "1970"}},
		{"due string", `{"due": {"year": 1970}}`, `{"year":1970}`},
		{"total decimal(10,2)", `{"total": {"value": "AeJA", "precision": 6, "scale": 2}}`, "123456"},
		{"total decimal(10,3)", `{"total": {"value": "AeJA", "precision": 6, "scale": 2}}`, "1234560"},
		{"tax decimal(10,2)", `{"tax": {"value": "2.5"}}`, "250"},
		{"extra string", `{"extra": {"a": [1, null, "x"]}}`, `{"a":[1,null,"x"]}`},
		{"any string", `{"any": {"@type": "x/shop.Other", "name": "n"}}`, `{"@type":"x/shop.Other","name":"n"}`},
		{"address.city string", `{"address": {"city": "Ulm"}}`, "Ulm"},
		{"address.city string", `{"address": {}}`, ""},
		{"address.city string", `{}`, nil},
		{"address.first.sku string", `{"address": {"first": {"sku": "s"}}}`, "s"},
		{"address.phones list<string>", `{"address": {"phones": ["1", "2"]}}`, []any{"1", "2"}},
		{"address.phones list<string>", `{}`, nil},
		{"address struct<city: string, first: struct<sku: string>, none: int>", `{"address": {"city": "Ulm"}}`, map[string]any{"city": "Ulm", "first": nil, "none": nil}},
		{"address string", `{"address": {"city": "Ulm", "first": {"price": 1.5}}}`, `{"city":"Ulm","first":{"price":1.5}}`},
		{"lines list<struct<sku: string, quantity: int>>", `{"lines": [{"sku": "a", "quantity": 2}, {}]}`,
			[]any{map[string]any{"sku": "a", "quantity": "2"}, map[string]any{"sku": "", "quantity": "0"}}},
		{"lines list<string>", `{"lines": [{"sku": "a"}, {}]}`, []any{`{"sku":"a"}`, `{}`}},
		{"lines string", `{"lines": [{"sku": "a:}"}, {}]}`, `[{"sku":"a:}"},{}]`},
		{"lines string", `{}`, `[]`},
		{"codes list<int>", `{"codes": [1, -2, 300]}`, []any{"1", "-2", "300"}},
		{"codes list<long>", `{"codes": [1, -2]}`, []any{"1", "-2"}},
		{"codes list<int>", `{}`, []any{}},
		{"codes string", `{"codes": [1, -2]}`, `[1,-2]`},
		{"tags list<string>", `{"tags": ["", "ü"]}`, []any{"", "ü"}},
		{"counts map<string, long>", `{"counts": {"a": "1", "": "0"}}`, map[string]any{"a": "1", "": "0"}},
		{"counts map<string, long>", `{}`, map[string]any{}},
		{"counts string", `{"counts": {"a": "1"}}`, `{"a":"1"}`},
		{"counts string", `{}`, `{}`},
		{"by_number map<int, struct<sku: string>>", `{"by_number": {"7": {"sku": "x"}, "0": {}}}`,
			map[string]any{"7": map[string]any{"sku": "x"}, "0": map[string]any{"sku": ""}}},
		{"by_number map<long, string>", `{"by_number": {"7": {"sku": "x"}}}`, map[string]any{"7": `{"sku":"x"}`}},
		{"card string", `{"card": ""}`, ""},
		{"card string", `{"cash": true}`, nil},
		{"transfer.iban string", `{"transfer": {"iban": "DE"}}`, "DE"},
		{"cash boolean", `{"cash": false}`, "false"},
		{"big decimal(20,0)", `{"big": "18446744073709551615"}`, "18446744073709551615"},
		{"big long", `{"big": "9223372036854775807"}`, "9223372036854775807"},
		{"big string", `{"big": "18446744073709551615"}`, "18446744073709551615"},
		{"small long", `{"small": 4294967295}`, "4294967295"},
		{"small int", `{"small": 2147483647}`, "2147483647"},
		{"delta long", `{"delta": "-9223372036854775808"}`, "-9223372036854775808"},
		{"weight double", `{"weight": 1}`, "3ff0000000000000"},
		{"weight float", `{"weight": 1}`, "3f800000"},
		{"ratio double", `{"ratio": 0.5}`, "3fe0000000000000"},
		{"ratio float", `{"ratio": "NaN"}`, "7fc00000"},
		{"id double", `{"id": "1"}`, "3ff0000000000000"},
		{"blob binary", `{"blob": "AP8="}`, "\x00\xff"},
		{"blob string", `{"blob": "YWI="}`, "ab"},
		{"blob decimal(5,0)", `{"blob": "/w=="}`, "-1"},
		{"paid boolean", `{"paid": true}`, "true"},
		{"hash decimal(20,0)", `{"hash": "18446744073709551615"}`, "18446744073709551615"},
		{"tree string", `{"tree": {"kids": [{"value": 1}]}}`, `{"kids":[{"value":1}]}`},
		{"placedAt timestamptz", `{"placed_at": "1970-01-01T00:00:01Z"}`, "1000000"},
		{"nowhere string", `{}`, nil},
		{"address.nowhere.more string", `{"address": {}}`, nil},
		{"* string", `{"id": "4", "note": "n"}`, `{"id":"4","note":"n"}`},
		{"* string", `{}`, nil},
	}
	for _, test := range tests {
		t.Run(test.column+" "+test.body, func(t *testing.T) {
			f := compileText(t, order, test.column)
			row, err := f.read(t, f.encode(t, test.body))
			if err != nil {
				t.Fatal(err)
			}
			if got := row[joinPath(f.columns[0].Path)]; !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %#v, want %#v", got, test.want)
			}
			f.bothWays(t, f.encode(t, test.body))
		})
	}
}

// bothWays checks that the reader that goes along the bytes, if it does not
// leave a record to protobuf-go, makes the row that protobuf-go gives.
func (f *fixture) bothWays(t testing.TB, body []byte) (fast bool) {
	t.Helper()
	along, by := f.set(t), f.set(t)
	r := f.program.Reader(along)
	if f.program.rest != nil || !r.message(f.program.root, body, 0) {
		return false
	}
	e := f.program.Reader(by)
	if err := unmarshalOrPanic(body, dynamicpb.NewMessage(f.program.message)); errors.Is(err, errPanic) {
		return true
	}
	if err := e.readExact(body, 0); err != nil {
		t.Fatalf("a row along the bytes, but by protobuf-go %v: % x", err, body)
	}
	if got, want := r.unknown, countUnread(f.program.root, body); got != want {
		t.Errorf("counts %d unread fields along the bytes, %d otherwise: % x", got, want, body)
	}
	along.Next()
	by.Next()
	if got, want := rowOf(along.Batch(), 0), rowOf(by.Batch(), 0); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v, by protobuf-go %v: % x", got, want, body)
	}
	return true
}

func TestRejects(t *testing.T) {
	tests := []struct{ column, body, code, want string }{
		{"big long", `{"big": "9223372036854775808"}`, record.CodeType, "found 9223372036854775808, expected long, a whole number from -9223372036854775808 to 9223372036854775807"},
		{"small int", `{"small": 2147483648}`, record.CodeType, "found 2147483648, expected int, a whole number from -2147483648 to 2147483647"},
		{"id int", `{"id": "4294967296"}`, record.CodeType, "found 4294967296, expected int"},
		{"total decimal(4,2)", `{"total": {"value": "AeJA", "scale": 2}}`, record.CodeType, "found {value: 01e240, precision: 0, scale: 2}, expected decimal(4,2), at most 2 digits before the decimal point"},
		{"due date", `{"due": {"year": 1970}}`, record.CodeType, "found {year: 1970, month: 0, day: 0}, expected date, a google.type.Date with a year, a month and a day that exist"},
		{"due date", `{"due": {"year": 2023, "month": 2, "day": 29}}`, record.CodeType, "found {year: 2023, month: 2, day: 29}"},
		{"moment timestamptz", `{"moment": "soon"}`, record.CodeType, `found "soon", expected timestamptz, as in`},
		{"took long", `{"took": "315576000000s"}`, record.CodeType, "in a long of less than 292"},
		{"lines list<struct<quantity: decimal(1,0)>>", `{"lines": [{}, {"quantity": 10}]}`, record.CodeType, "found [1].quantity: 10, expected decimal(1,0)"},
		{"address struct<first: struct<quantity: decimal(1,0)>>", `{"address": {"first": {"quantity": 10}}}`, record.CodeType, "found first.quantity: 10, expected decimal(1,0)"},
		{"address struct<phones: list<date>>", `{"address": {"phones": ["1970-01-01", "x"]}}`, record.CodeType, `found phones[1]: "x", expected date`},
		{"counts map<string, int>", `{"counts": {"a": "4294967296"}}`, record.CodeType, `found ["a"]: 4294967296, expected int`},
		{"note timestamptz", `{"note": ""}`, record.CodeType, `found "", expected timestamptz`},
		{"blob string", `{"blob": "/w=="}`, record.CodeType, `found "\xff", expected string, valid UTF-8`},
	}
	for _, test := range tests {
		t.Run(test.column+" "+test.body, func(t *testing.T) {
			f := compileText(t, order, test.column)
			_, err := f.read(t, f.encode(t, test.body))
			var got *program.Error
			if !errors.As(err, &got) || got.Code != test.code || !strings.Contains(got.Error(), test.want) || got.Column != 0 {
				t.Errorf("got %+v, want code %s and %q", err, test.code, test.want)
			}
		})
	}
}

func TestColumnsWithoutValue(t *testing.T) {
	s := parse(t, order)
	for _, path := range []string{"priority", "address.city", "nowhere", "note"} {
		c := columnOf(t, path+" string", 0)
		if path == "priority" {
			c = columnOf(t, path+" int", 0)
		}
		c.Nullable = false
		f := compileWith(t, s, c)
		_, err := f.read(t, nil)
		var got *program.Error
		if !errors.As(err, &got) || got.Code != record.CodeMissing || got.Column != 0 {
			t.Errorf("%s: got %v, want it missing", path, err)
		}
		c.Fallback = func(v *vector.Vector, row int) {
			if v.Kind == vector.Int {
				v.I32[row] = 7
				return
			}
			v.SetBytes(row, []byte("7"))
		}
		f = compileWith(t, s, c)
		row, err := f.read(t, nil)
		if err != nil || row[path] != "7" {
			t.Errorf("%s: got %v, error %v, want the default", path, row, err)
		}
	}
}

func TestElementsThatTakeMoreMemoryThanARecordMayAreRefused(t *testing.T) {
	const width = 500
	var message, column strings.Builder
	for i := range width {
		fmt.Fprintf(&message, "int32 f%d = %d;", i, i+1)
		fmt.Fprintf(&column, ", f%d: int", i)
	}
	f := compileText(t, `syntax = "proto3"; message M { repeated Wide wide = 1; message Wide {`+message.String()+`} }`, "wide list<struct<"+column.String()[2:]+">>")
	var empty []byte
	for range maxCells/width + 1 {
		empty = append(empty, 1<<3|2, 0)
	}
	_, err := f.read(t, empty)
	var got *program.Error
	if !errors.As(err, &got) || got.Code != record.CodeTooLarge {
		t.Errorf("got %v, want too large", err)
	}
}

func TestUnreadFieldsAreCounted(t *testing.T) {
	f := compileText(t, order, "id long", "address.city string", "lines list<struct<sku: string>>", "by_number map<int, struct<sku: string>>")
	body := f.encode(t, `{"id": "1", "customer": "c", "codes": [1, 2], "address": {"city": "x", "street": "y", "phones": ["1", "2"]},
		"lines": [{"sku": "s", "quantity": 1}], "by_number": {"1": {"price": 2}}, "tree": {"value": 1, "kids": [{"value": 1}]}}`)
	body = append(body, bytesField(nil, 999, nil)...)
	const want = 1 + 1 + 3 + 1 + 1 + 1 + 1 // customer, codes, street and phones, quantity, price, tree, 999
	for name, again := range map[string][]byte{"along the bytes": body, "by protobuf-go": append(numberField(nil, 1, 4), body...)} {
		set := f.set(t)
		r := f.program.Reader(set)
		if err := r.Read(again); err != nil || r.Unknown != want {
			t.Errorf("%s: got %d, error %v, want %d", name, r.Unknown, err, want)
		}
	}
}

func TestRowsOfABatchDoNotMix(t *testing.T) {
	f := compileText(t, order, "id int", "customer string", "lines list<struct<sku: string>>", "counts map<string, long>", "address struct<city: string>")
	set := f.set(t)
	r := f.program.Reader(set)
	var want []map[string]any
	for i := range 300 {
		body := f.encode(t, fmt.Sprintf(`{"id": "%d", "customer": "c%d", "lines": [{"sku": "%d"}, {}], "counts": {"k%d": "1"}, "address": {"city": "x"}}`, i, i, i, i))
		switch i % 3 {
		case 1:
			body = body[:len(body)-1]
		case 2:
			body = append(body, numberField(nil, 1, 1<<40)...)
		}
		if err := r.Read(body); (err == nil) != (i%3 == 0) {
			t.Fatalf("record %d: %v", i, err)
		} else if err != nil {
			set.Rollback()
			continue
		}
		set.Next()
		row, err := f.read(t, body)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, row)
	}
	batch := set.Batch()
	for i, w := range want {
		if got := rowOf(batch, i); !reflect.DeepEqual(got, w) {
			t.Fatalf("row %d: got %v, want %v", i, got, w)
		}
	}
}

// TestMessagesWithManyFields: more singular fields than a word has bits.
func TestMessagesWithManyFields(t *testing.T) {
	var text strings.Builder
	text.WriteString("syntax = \"proto3\"; message Wide {")
	var names []string
	for i := 1; i <= 300; i++ {
		fmt.Fprintf(&text, "optional int32 f%d = %d;", i, i)
		names = append(names, fmt.Sprintf("f%d int", i))
	}
	text.WriteString("oneof o { int32 a = 400; string b = 401; } }")
	f := compileText(t, text.String(), append(names, "a int", "b string")...)
	body := f.encode(t, `{"f1": 1, "f64": 64, "f65": 65, "f300": 300, "b": "x"}`)
	if !f.bothWays(t, body) {
		t.Error("not read along the bytes")
	}
	row, err := f.read(t, append(body, f.encode(t, `{"f65": 5, "a": 3}`)...))
	if err != nil || row["f1"] != "1" || row["f65"] != "5" || row["f66"] != nil || row["f300"] != "300" || row["a"] != "3" || row["b"] != nil {
		t.Errorf("got %v, error %v", row, err)
	}
}
