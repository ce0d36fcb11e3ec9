package decode

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/record"
)

const shopProto = `syntax = "proto3"; package shop;
import "google/protobuf/timestamp.proto";
import "shop/money.proto";
message Shop {
  message Order {
    int64 id = 1;
    google.protobuf.Timestamp placed_at = 2;
    Status status = 3;
    Money total = 4;
    map<string, int32> counts = 5;
    oneof payment { string card = 6; bool cash = 7; }
    uint64 big = 8;
  }
  enum Status { UNKNOWN = 0; PAID = 1; }
}`

// protobufShop is a registry with a schema that imports another.
func protobufShop() *schemas {
	known := newSchemas(map[int]string{1: shopProto})
	s := known.known[1]
	s.References = []registry.Reference{{Name: "shop/money.proto", Text: `syntax = "proto3"; package shop; message Money { int64 cents = 1; string currency = 2; }`}}
	known.known[1] = s
	return known
}

// protobufOrder encodes an Order with its header: message [0, 0] of schema 1.
func protobufOrder(fields ...[]byte) string {
	body := []byte{4, 0, 0} // in zigzag: two indexes, 0 and 0
	for _, f := range fields {
		body = append(body, f...)
	}
	return wire(1, body)
}

func protobufNumber(num protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), n)
}

func protobufBytes(num protowire.Number, parts ...[]byte) []byte {
	var inner []byte
	for _, p := range parts {
		inner = append(inner, p...)
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), inner)
}

func TestProtobufMessagesBecomeRows(t *testing.T) {
	text := func(s string) []byte { return []byte(s) }
	order := [][]byte{
		protobufNumber(1, 17),
		protobufBytes(2, protobufNumber(1, 1), protobufNumber(2, 500_000_000)),
		protobufNumber(3, 1),
		protobufBytes(4, protobufNumber(1, 995), protobufBytes(2, text("EUR"))),
		protobufBytes(5, protobufBytes(1, text("a")), protobufNumber(2, 3)),
		protobufBytes(6, text("4111")),
	}
	columns := []Column{required(col("id", "long")), col("placed_at", "timestamptz"), col("status", "string"), from(col("cents", "long"), "total.cents"),
		from(col("money", "string"), "total"), col("counts", "map<string, int>"), col("card", "string"), col("big", "long"), fallback(col("note", "string"), "none"),
		from(col("source", "string"), "kafka.header.source")}
	d := compileSpec(t, registered("protobuf", protobufShop(), columns...))
	s := values(
		protobufOrder(order...),
		protobufOrder(),
		protobufOrder(append(order, protobufNumber(1, 18), protobufBytes(4, protobufNumber(1, 1)), protobufNumber(7, 1))...),
		protobufOrder(protobufBytes(6, text("\xff"))),
		protobufOrder(protobufNumber(8, 1<<63)),
		protobufOrder(protobufNumber(1, 1), text("\x12\x7f")),
		wire(1, []byte{4, 0, 2}),
	)
	s.Records[0].Headers = []record.Header{{Key: "source", Value: text("web")}}
	rows, rejects := decode(t, d, s)
	equal(t, "rows", rows, []string{
		`0: 17|1970-01-01T00:00:01.5Z|PAID|995|{"cents":"995","currency":"EUR"}|[{"key":"a","value":3}]|4111|0|none|web`,
		`1: 0|(null)|UNKNOWN|(null)|(null)|[]|(null)|0|none|(null)`,
		`2: 18|1970-01-01T00:00:01.5Z|PAID|1|{"cents":"1","currency":"EUR"}|[{"key":"a","value":3}]|(null)|0|none|(null)`,
	})
	equal(t, "rejects", rejects, []string{"3 malformed", "4 type big", "5 malformed", "6 schema"})
}

func TestProtobufFieldsThatNoColumnReads(t *testing.T) {
	spec := registered("protobuf", protobufShop(), required(col("id", "int")), from(col("cents", "long"), "total.cents"))
	spec.OnSchemaChange = SchemaChangeAppend
	_, _, err := compileSpec(t, spec).Decode(context.Background(), values(protobufOrder(protobufNumber(1, 1))))
	var change *ChangeError
	if !errors.As(err, &change) {
		t.Fatalf("got %v, want a change", err)
	}
	var got []string
	for _, c := range append(change.Widen, change.Add...) {
		got = append(got, fmt.Sprintf("%s from %s %s", c.Name, c.From, record.FormatType(c.Type)))
	}
	equal(t, "change", got, []string{"id from id long", "placed_at from placed_at timestamptz", "status from status string", "total_currency from total.currency string",
		"counts from counts map<string, int>", "card from card string", "cash from cash boolean", "big from big decimal(20,0)"})
	spec.Columns = append([]Column{change.Widen[0], spec.Columns[1]}, change.Add...)
	rows, rejects := decode(t, compileSpec(t, spec), values(protobufOrder(protobufNumber(1, 1<<40), protobufNumber(8, 1<<63))))
	equal(t, "rows", rows, []string{"0: 1099511627776|(null)|(null)|UNKNOWN|(null)|[]|(null)|(null)|9223372036854775808"})
	equal(t, "rejects", rejects, nil)
}

// The fields that no column reads are JSON, as protobuf writes it, with the names
// of the schema. Those that the schema does not name have no form in it.
func TestProtobufRestIsJSON(t *testing.T) {
	spec := registered("protobuf", protobufShop(), required(col("id", "long")), from(col("cents", "long"), "total.cents"), from(col("rest", "string"), "*"))
	order := [][]byte{
		protobufNumber(1, 17),
		protobufBytes(2, protobufNumber(1, 1), protobufNumber(2, 500_000_000)),
		protobufNumber(3, 1),
		protobufBytes(4, protobufNumber(1, 995), protobufBytes(2, []byte("EUR"))),
		protobufBytes(5, protobufBytes(1, []byte("a")), protobufNumber(2, 3)),
		protobufBytes(6, []byte("4111")),
		protobufNumber(99, 5),
	}
	rows, rejects := decode(t, compileSpec(t, spec), values(
		protobufOrder(order...),
		protobufOrder(protobufNumber(1, 18)),
		protobufOrder(protobufNumber(8, 1<<63)),
		protobufOrder(protobufBytes(4, protobufNumber(1, 5))),
		protobufOrder(protobufBytes(2, protobufNumber(1, 1<<62))),
		protobufOrder(protobufBytes(6, []byte("\xff"))),
	))
	equal(t, "rows", rows, []string{
		`0: 17|995|{"placed_at":"1970-01-01T00:00:01.500Z","status":"PAID","total":{"currency":"EUR"},"counts":{"a":3},"card":"4111"}`,
		`1: 18|(null)|(null)`,
		`2: 0|(null)|{"big":"9223372036854775808"}`,
		`3: 0|5|(null)`,
	})
	equal(t, "rejects", rejects, []string{"4 type rest", "5 malformed"})
}
