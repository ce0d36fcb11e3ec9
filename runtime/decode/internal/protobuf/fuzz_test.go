package protobuf

import (
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/types/dynamicpb"
)

// legacy is what proto2 alone has.
const legacy = `
syntax = "proto2";
package legacy;
message Record {
  required int64 id = 1;
  optional string name = 2 [default = "none"];
  optional group Place = 3 { optional string city = 1; repeated sint32 offsets = 2; required bool known = 3; }
  repeated group Visit = 4 { optional fixed32 at = 1; }
  repeated int32 codes = 5 [packed = true];
  repeated Kind kinds = 6;
  map<string, Record> others = 7;
  optional Record parent = 8;
  oneof choice { string text = 9; Place2 other = 10; }
  optional double weight = 20 [default = 1.5];
  extensions 100 to 200;
  enum Kind { FIRST = 1; SECOND = 2; }
  message Place2 { optional bytes raw = 1; }
}
`

// edition mixes presence, packing and encodings of messages.
const edition = `
edition = "2023";
package modern;
option features.field_presence = IMPLICIT;
message Record {
  int32 id = 1;
  string name = 2 [features.field_presence = EXPLICIT];
  string loose = 3 [features.utf8_validation = NONE];
  Inner inner = 4 [features.message_encoding = DELIMITED];
  repeated Inner list = 5 [features.message_encoding = DELIMITED];
  repeated float ratios = 6 [features.repeated_field_encoding = EXPANDED];
  map<uint64, Inner> wide = 7;
  map<int32, string> names = 8;
  Inner must = 9 [features.field_presence = LEGACY_REQUIRED];
  message Inner { bool flag = 1; fixed64 hash = 2 [features.field_presence = EXPLICIT]; Inner more = 3; }
}
`

// FuzzProtobuf: ours and dynamicpb make the same row of any bytes, or both
// refuse them. The first byte chooses the schema.
func FuzzProtobuf(f *testing.F) {
	fixtures := []*fixture{natural(f, order), natural(f, legacy), natural(f, edition)}
	random := rand.New(rand.NewPCG(7, 7))
	for i, fixture := range fixtures {
		for range 6 {
			m, other := dynamicpb.NewMessage(fixture.program.message), dynamicpb.NewMessage(fixture.program.message)
			fill(random, m, 2)
			fill(random, other, 3)
			body := marshal(f, m)
			f.Add(append([]byte{byte(i)}, body...))
			f.Add(append([]byte{byte(i)}, mutate(random, body, marshal(f, other))...))
		}
	}
	for _, text := range orders {
		f.Add(append([]byte{0}, fixtures[0].encode(f, text)...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 {
			return
		}
		fixtures[int(data[0])%len(fixtures)].agree(t, data[1:])
	})
}

// orders are messages as a shop would send them.
var orders = []string{
	`{"id": "4711", "customer": "Zoë Müller", "priority": 1, "status": "OPEN", "placed_at": "2024-02-29T12:34:56.789Z", "took": "1.25s", "note": "ring twice",
	  "points": "120", "due": {"year": 2024, "month": 3, "day": 1}, "total": {"value": "AeJA", "precision": 6, "scale": 2}, "tax": {"value": "19.5"},
	  "address": {"street": "Hauptstr. 1", "city": "Ulm", "phones": ["+49 731 1", "+49 731 2"]}, "paid": true, "weight": 2.5, "hash": "1234567890123"}`,
	`{"id": "4712", "lines": [{"sku": "A-1", "quantity": 2, "price": 9.99}, {"sku": "B-2", "quantity": 1, "price": 120}], "codes": [7, 8, 9], "tags": ["gift", "express"],
	  "counts": {"parcels": "2", "labels": "4"}, "by_number": {"1": {"sku": "A-1"}, "2": {"sku": "B-2"}}, "transfer": {"iban": "DE02120300000000202051", "amount": "12999"}}`,
	`{"id": "-1", "status": "CLOSED", "extra": {"source": "app", "steps": [1, 2, {"deep": null}]}, "any": {"@type": "type.googleapis.com/shop.Other", "name": "x"},
	  "card": "4111", "big": "18446744073709551615", "small": 4294967295, "delta": "-99", "ratio": 0.25, "blob": "AAEC", "moment": "now", "tree": {"value": 1, "kids": [{"value": 2}]}}`,
}
