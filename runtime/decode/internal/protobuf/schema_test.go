package protobuf

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/record"
)

const nestedMessages = `
syntax = "proto3";
package p;
enum E { A = 0; }
message First { map<string, int32> counts = 1; message Inner { message Deep { int32 x = 1; } } message Other { int32 y = 1; } }
message Second { int32 z = 1; }`

func TestMessagesAreFoundByTheirIndexes(t *testing.T) {
	// As a registry spells a schema that was registered as a descriptor.
	spelled := strings.Replace(nestedMessages, "map<string, int32> counts = 1;",
		"repeated .p.First.CountsEntry counts = 1; message CountsEntry { option map_entry = true; string key = 1; int32 value = 2; }", 1)
	file := protodesc.ToFileDescriptorProto(parse(t, nestedMessages).file)
	raw, err := proto.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	serialized := base64.StdEncoding.EncodeToString(raw)
	tests := []struct {
		text    string
		indexes []int
		want    string // "" for an error
	}{
		{nestedMessages, []int{0}, "p.First"},
		{nestedMessages, []int{1}, "p.Second"},
		{nestedMessages, []int{0, 0}, "p.First.Inner"},
		{nestedMessages, []int{0, 1}, "p.First.Other"},
		{nestedMessages, []int{0, 0, 0}, "p.First.Inner.Deep"},
		{nestedMessages, []int{2}, ""},
		{nestedMessages, []int{0, 2}, ""},
		{nestedMessages, []int{-1}, ""},
		{nestedMessages, nil, ""},
		{spelled, []int{0, 1}, "p.First.Inner"},
		{spelled, []int{0, 2}, "p.First.Other"},
		{spelled, []int{0, 0}, ""},
		{serialized, []int{0, 1}, "p.First.Inner"},
		{serialized, []int{1}, "p.Second"},
	}
	for _, test := range tests {
		p, err := parse(t, test.text).Compile(test.indexes, nil)
		switch {
		case test.want == "" && err == nil:
			t.Errorf("%v: got %s, want an error", test.indexes, p.Message())
		case test.want != "" && (err != nil || p.Message() != test.want):
			t.Errorf("%v: got %v, error %v, want %s", test.indexes, p, err, test.want)
		}
	}
	if row, err := compileText(t, spelled, "counts map<string, int>").read(t, bytesField(nil, 1, bytesField(numberField(nil, 2, 3), 1, []byte("a")))); err != nil || !reflect.DeepEqual(row["counts"], map[string]any{"a": "3"}) {
		t.Errorf("a map spelled as messages: got %v, error %v", row, err)
	}
}

func TestImportsAreReferencesOrBuiltIn(t *testing.T) {
	s := parse(t, `syntax = "proto3"; import "shared/money.proto"; import "confluent/meta.proto"; import "confluent/type/decimal.proto";
		message M { shared.Money price = 1 [(confluent.field_meta) = {doc: "what it costs", params: [{key: "a", value: "b"}]}]; confluent.type.Decimal total = 2; }`,
		registry.Reference{Name: "shared/currency.proto", Text: `syntax = "proto3"; package shared; enum Currency { NONE = 0; EUR = 1; }`},
		registry.Reference{Name: "shared/money.proto", Text: `syntax = "proto3"; package shared; import "shared/currency.proto"; message Money { int64 cents = 1; Currency currency = 2; }`})
	f := compileWith(t, s, columnOf(t, "price struct<cents: long, currency: string>", 0))
	row, err := f.read(t, f.encode(t, `{"price": {"cents": "5", "currency": "EUR"}}`))
	if want := map[string]any{"cents": "5", "currency": "EUR"}; err != nil || !reflect.DeepEqual(row["price"], want) {
		t.Errorf("got %v, error %v, want %v", row, err, want)
	}
	for _, path := range strings.Fields("calendar_period color date datetime dayofweek decimal expr fraction interval latlng money month phone_number postal_address quaternion timeofday") {
		parse(t, `syntax = "proto3"; import "google/type/`+path+`.proto"; message M { int32 a = 1; }`)
	}
}

func TestSchemasThatAreRefused(t *testing.T) {
	tests := []struct {
		schema registry.Schema
		want   string
	}{
		{registry.Schema{ID: 7, Type: registry.Avro, Text: `"int"`}, "schema 7 is of type AVRO, expected PROTOBUF"},
		{registry.Schema{ID: 7, Type: registry.Protobuf, Text: `syntax = "proto3"; message M { int32 a = 1; int32 b = 1; }`}, "schema 7: schema:1"},
		{registry.Schema{ID: 7, Type: registry.Protobuf, Text: `syntax = "proto3"; import "x.proto";`}, `"x.proto" is neither a reference of the schema nor built in`},
		{registry.Schema{ID: 7, Type: registry.Protobuf, Text: `not a schema`}, "schema 7: schema:1:1"},
		{registry.Schema{ID: 7, Type: registry.Protobuf, Text: `message map_entry { repeated int32 a = 99999999999; }`}, "schema 7: "},
	}
	for _, test := range tests {
		if _, err := Parse(test.schema); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %q", err, test.want)
		}
	}
}

func TestColumnsThatTheSchemaCannotFeedAreRefused(t *testing.T) {
	tests := []struct{ column, want string }{
		{"customer long", "field customer of message shop.Order: string cannot be read as data_type long"},
		{"id string", "int64 cannot be read as data_type string"},
		{"id date", "int64 cannot be read as data_type date"},
		{"lines.sku string", "lines is repeated message shop.Order.Line, a path can only go on through a single message"},
		{"counts.a long", "counts is map<string, int64>, a path can only go on through a single message"},
		{"id.x long", "id is int64, a path"},
		{"codes int", "repeated int32 cannot be read as data_type int"},
		{"id list<long>", "int64 cannot be read as data_type list<long>"},
		{"counts map<boolean, long>", "map<string, int64> cannot be read as data_type map<boolean, long>"},
		{"address struct<city: int>", "its field city: string cannot be read as data_type int"},
		{"placed_at long", "message google.protobuf.Timestamp cannot be read as data_type long"},
		{"placed_at timestamptz encoding epoch_ms", "takes no encoding"},
		{"id timestamptz encoding hex", "takes one of"},
		{"points string", "int64 cannot be read as data_type string"},
		{"* long", "data_type string"},
	}
	s := parse(t, order)
	for _, test := range tests {
		_, err := s.Compile([]int{0}, []program.Column{columnOf(t, test.column, 0)})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.column, err, test.want)
		}
	}
}

func TestBuiltInFilesHaveTheFieldsOfTheirOriginals(t *testing.T) {
	// Numbers and kinds, by the definitions of googleapis and of Confluent.
	tests := map[string]string{
		"google.type.Date":        "1 year int32, 2 month int32, 3 day int32",
		"google.type.Money":       "1 currency_code string, 2 units int64, 3 nanos int32",
		"google.type.LatLng":      "1 latitude double, 2 longitude double",
		"google.type.Decimal":     "1 value string",
		"google.type.TimeOfDay":   "1 hours int32, 2 minutes int32, 3 seconds int32, 4 nanos int32",
		"confluent.type.Decimal":  "1 value bytes, 2 precision uint32, 3 scale int32",
		"google.type.PhoneNumber": "1 e164_number string, 2 short_code message, 3 extension string",
	}
	s := parse(t, `syntax = "proto3"; import "google/type/date.proto"; import "google/type/money.proto"; import "google/type/latlng.proto"; import "google/type/decimal.proto";
		import "google/type/timeofday.proto"; import "google/type/phone_number.proto"; import "confluent/type/decimal.proto"; message M { int32 a = 1; }`)
	for name, want := range tests {
		m, err := s.types.FindMessageByName(protoreflect.FullName(name))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i := range m.Descriptor().Fields().Len() {
			f := m.Descriptor().Fields().Get(i)
			got = append(got, fmt.Sprintf("%d %s %s", f.Number(), f.Name(), f.Kind()))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: got %s, want %s", name, strings.Join(got, ", "), want)
		}
	}
}

func TestUnreadFieldsHaveTypes(t *testing.T) {
	f := compileText(t, order, "id long", "address.city string", "lines list<struct<sku: string, quantity: int, price: double>>")
	var got []string
	for _, u := range f.program.Unread() {
		got = append(got, strings.Join(u.Path, ".")+" "+record.FormatType(u.Type))
		if _, err := record.ParseType(record.FormatType(u.Type)); err != nil {
			t.Error(err)
		}
	}
	want := []string{"customer string", "priority int", "status string", "placed_at timestamptz", "took string", "note string", "points long", "due date", "total string",
		"tax string", "extra string", "any string", "address.street string", "address.phones list<string>", "address.first struct<sku: string, quantity: int, price: double>",
		"codes list<int>", "tags list<string>", "counts map<string, long>", "by_number map<int, struct<sku: string, quantity: int, price: double>>", "card string",
		"transfer struct<iban: string, amount: long>", "cash boolean", "big decimal(20,0)", "small long", "delta long", "weight double", "ratio float", "blob binary", "paid boolean",
		"moment string", "tree struct<value: int, kids: list<string>>", "hash decimal(20,0)"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if widen := f.program.Widen(); len(widen) != 0 {
		t.Errorf("got %v, want nothing to widen", widen)
	}
}

func TestColumnsThatAreTooNarrow(t *testing.T) {
	tests := []struct{ column, want string }{
		{"id int", "long"},
		{"id long", ""},
		{"small int", "long"},
		{"priority int", ""},
		{"weight float", "double"},
		{"ratio double", ""},
		{"points int", "long"},
		{"big decimal(10,0)", "decimal(20,0)"},
		{"big decimal(10,2)", "decimal(22,2)"},
		{"big long", ""},
		{"counts map<string, int>", "map<string, long>"},
		{"codes list<int>", ""},
		{"lines list<struct<sku: string, price: float>>", "list<struct<sku: string, price: double, quantity: int>>"},
		{"address struct<first: struct<sku: string, quantity: int, price: double>, street: string, city: string>",
			"struct<first: struct<sku: string, quantity: int, price: double>, street: string, city: string, phones: list<string>>"},
		{"address string", ""},
		{"transfer.amount int", "long"},
	}
	for _, test := range tests {
		f := compileText(t, order, test.column)
		got := ""
		for _, w := range f.program.Widen() {
			got = record.FormatType(w.Type)
			if again := compileText(t, order, joinPath(f.columns[0].Path)+" "+got); len(again.program.Widen()) != 0 {
				t.Errorf("%s: widened twice", test.column)
			}
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", test.column, got, test.want)
		}
	}
}

// TestTypesThatHoldEachOtherEnd: the natural type of messages that fan out.
func TestTypesThatHoldEachOtherEnd(t *testing.T) {
	var text strings.Builder
	text.WriteString(`syntax = "proto3"; message M { A0 a = 1; } `)
	for i := range 8 {
		text.WriteString("message A" + string(rune('0'+i)) + " {")
		for j := range 9 {
			text.WriteString("A" + string(rune('0'+i+1)) + " f" + string(rune('0'+j)) + " = " + string(rune('1'+j)) + ";")
		}
		text.WriteString("}")
	}
	text.WriteString("message A8 { int32 x = 1; }")
	f := natural(t, text.String())
	if n := len(record.FormatType(f.columns[0].Type)); n > 100*maxFields {
		t.Errorf("got a type of %d characters", n)
	}
}
