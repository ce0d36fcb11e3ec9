package main

import (
	"context"
	"fmt"
	"math/big"

	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/kafka"
	"github.com/calvelake/calve/runtime/record"
)

// orderSchema has the type of quantity and the fields that come last left open.
const orderSchema = `{"type":"record","name":"Order","namespace":"shop","fields":[
	{"name":"id","type":"long"},
	{"name":"quantity","type":"%s"},
	{"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}},
	{"name":"placedAt","type":{"type":"long","logicalType":"timestamp-micros"}},
	{"name":"shipOn","type":["null",{"type":"int","logicalType":"date"}],"default":null},
	{"name":"status","type":{"type":"enum","name":"Status","symbols":["NEW","PAID","SENT"]}},
	{"name":"weight","type":"float"},
	{"name":"tags","type":{"type":"array","items":"string"}},
	{"name":"counts","type":{"type":"map","values":"long"}},
	{"name":"buyer","type":{"type":"record","name":"Buyer","fields":[
		{"name":"name","type":"string"},{"name":"email","type":["null","string"],"default":null}]}},
	{"name":"digest","type":{"type":"fixed","name":"Digest","size":4}}%s]}`

// couponField is what the second version adds.
const couponField = `,{"name":"couponCode","type":["null","string"],"default":null}`

// Up to secondFrom records have the first version alone, and then they take turns.
const secondFrom = 1000

// orderWays are the ways in which an order is broken.
const orderWays = 7

// orderMaker makes records of two versions of one schema, in turns.
type orderMaker struct {
	versions [2]*encoder
	foreign  int // id of a schema that is no Avro
}

// orders is a topic in Avro.
func orders(ctx context.Context, register register) (*topic, error) {
	m := &orderMaker{}
	for i, text := range []string{fmt.Sprintf(orderSchema, "int", ""), fmt.Sprintf(orderSchema, "long", couponField)} {
		var err error
		if m.versions[i], err = newEncoder(ctx, register, "formats.orders-value", text); err != nil {
			return nil, err
		}
	}
	var err error
	if m.foreign, err = register(ctx, "formats.foreign-value", registry.Schema{Type: registry.JSON, Text: clickKeySchema}); err != nil {
		return nil, err
	}
	return &topic{
		name: "formats.orders", model: "orders",
		columns: []column{
			{"id", "long"}, {"quantity", "long"}, {"price", "decimal(10, 2)"}, {"placed_at", "timestamptz"},
			{"ship_on", "date"}, {"status", "string"}, {"weight", "double"}, {"tags", "list<string>"},
			{"counts", "map<string, long>"}, {"buyer", "struct<name: string, email: string>"},
			{"digest", "binary"}, {"order_key", "string"}, {"trace", "string"}, {"coupon_code", "string"},
		},
		sample: m.sample,
	}, nil
}

func (m *orderMaker) sample(i int) (sample, error) {
	value, want := m.order(i)
	version := 0
	if _, ok := value["couponCode"]; ok {
		version = 1
	}
	bytes, err := m.versions[version].encode(value)
	if err != nil {
		return sample{}, err
	}
	s := sample{rows: []row{want}, ProduceRecord: kafka.ProduceRecord{
		Key: fmt.Appendf(nil, "order-%d", i), Value: bytes,
		Headers: []record.Header{{Key: "trace", Value: []byte("first")}, {Key: "trace", Value: fmt.Appendf(nil, "trace-%d", i)}},
	}}
	return m.broken(s, broken(i, orderWays))
}

// order is the value and the row of an order; the second version's has a coupon.
func (m *orderMaker) order(i int) (map[string]any, row) {
	quantity, price, at := int64(i*3-100), int64(i*101-50_000), instant(i)
	value := map[string]any{
		"id": int64(i), "quantity": quantity, "price": big.NewRat(price, 100), "placedAt": at, "shipOn": nil,
		"status": []string{"NEW", "PAID", "SENT"}[i%3], "weight": float32(i) / 8, "tags": []string{"a", fmt.Sprint("t", i)}[:i%3],
		"counts": map[string]int64{"n": int64(i)}, "buyer": map[string]any{"name": fmt.Sprint("büyer ", i), "email": nil},
		"digest": []byte{1, 2, byte(i >> 8), byte(i)},
	}
	tags := []string{"a", fmt.Sprint("t", i)}[:i%3]
	buyer := row{"name": fmt.Sprint("büyer ", i), "email": nil}
	want := row{
		"id": i, "quantity": quantity, "price": cents(price), "placed_at": at.UnixMicro(), "status": value["status"],
		"weight": float64(i) / 8, "tags": tags, "counts": [][]any{{"n", i}}, "buyer": buyer,
		"digest": fmt.Sprintf("0102%04x", i), "order_key": fmt.Sprint("order-", i), "trace": fmt.Sprint("trace-", i),
	}
	if i%4 != 0 {
		value["shipOn"], want["ship_on"] = at, day(at)
		value["buyer"].(map[string]any)["email"], buyer["email"] = fmt.Sprint(i, "@example.org"), fmt.Sprint(i, "@example.org")
	}
	if i >= secondFrom && i%2 == 0 {
		want["quantity"] = quantity + 1<<40
		value["quantity"] = want["quantity"]
		value["couponCode"] = nil
		if i%6 == 0 {
			value["couponCode"], want["coupon_code"] = fmt.Sprint("C", i), fmt.Sprint("C", i)
		}
	}
	return value, want
}

func (m *orderMaker) broken(s sample, way int) (sample, error) {
	switch way {
	case -1:
		return s, nil
	case 0:
		return s.with([]byte("no schema id")).dead("malformed", ""), nil
	case 1:
		return s.with(wire(unregistered, s.Value[5:])).dead("schema", ""), nil
	case 2:
		return s.with(s.Value[:len(s.Value)-3]).dead("malformed", ""), nil
	case 3:
		return s.with(append(s.Value, "more"...)).dead("malformed", ""), nil
	case 4:
		return s.with(nil).dead("tombstone", ""), nil
	case 5:
		return s.with(wire(m.foreign, s.Value[5:])).dead("schema", ""), nil
	case 6:
		return s.with(oversized()).dead("too_large", ""), nil
	}
	return s, errNoSample
}
