package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
)

// productSchema is what Kafka Connect's JSON converter puts before an event.
const productSchema = `{"type":"struct","optional":false,"name":"inventory.inventory.products.Envelope","version":2,"fields":[
	{"type":"string","optional":false,"field":"op"},{"type":"int64","optional":true,"field":"ts_ms"}]}`

// productWays are the ways in which a change of a product is broken.
const productWays = 6

// products is a topic of Debezium's connector for MySQL in JSON, every second record
// with its schema. It asks nothing of the registry.
func products(context.Context, register) (*topic, error) {
	return &topic{
		name: "formats.products", model: "products",
		columns: []column{
			{"id", "long"}, {"name", "string"}, {"price", "decimal(7, 2)"}, {"weight", "double"}, {"made_on", "date"},
			{"stock_at", "timestamp"}, {"db", "string"}, {"change_op", "string"}, {"source_ts", "timestamptz"},
			{"source_sequence", "string"}, {"unavailable_columns", "list<string>"},
		},
		sample: productSample,
	}, nil
}

func productSample(i int) (sample, error) {
	image, want := product(i)
	event := map[string]any{"before": nil, "after": image, "op": []string{"c", "u", "r", "d"}[i%4], "ts_ms": instant(i).Add(time.Hour).UnixMilli(),
		"source": map[string]any{
			"connector": "mysql", "name": "inventory", "db": "inventory", "table": "products", "ts_ms": instant(i).UnixMilli(),
			"file": "mysql-bin.000003", "pos": 484 + i*100, "row": i % 3, "server_id": 1, "gtid": nil,
		}}
	if event["op"] == "d" {
		event["before"], event["after"] = image, nil
	}
	want["db"], want["change_op"] = "inventory", event["op"]
	want["source_ts"] = instant(i).Truncate(time.Millisecond).UnixMicro()
	want["source_sequence"] = fmt.Sprintf("0000000003.%020d.%010d", 484+i*100, i%3)
	s := sample{rows: []row{want}}
	s = spoiltProduct(s, event, image, broken(i, productWays))
	var err error
	if s.Value == nil {
		s.Value, err = productText(event, i%2 == 0)
	}
	s.Key = fmt.Appendf(nil, `{"id":%d}`, i)
	return s, err
}

// productText writes an event, with its schema or without.
func productText(event map[string]any, schema bool) ([]byte, error) {
	if !schema {
		return json.Marshal(event)
	}
	return json.Marshal(map[string]any{"schema": json.RawMessage(productSchema), "payload": event})
}

// spoiltProduct breaks the event or its image, or gives the sample another value.
func spoiltProduct(s sample, event, image map[string]any, way int) sample {
	switch way {
	case 0:
		return s.with([]byte(`{"before":null,"after":{"id":1`)).dead("malformed", "")
	case 1: // a heartbeat
		return s.with([]byte(`{"ts_ms":1736245800789}`)).dead("malformed", "")
	case 2:
		event["op"] = "x"
		return s.dead("malformed", "")
	case 3:
		event["op"], event["after"] = "u", nil
		return s.dead("malformed", "")
	case 4:
		image["price"] = "not base64!"
		return s.dead("type", "price")
	case 5:
		image["made_on"] = "2026-01-01"
		return s.dead("type", "made_on")
	}
	return s
}

// product is the image of a row in the database, and a row of the table.
func product(i int) (map[string]any, row) {
	price, at := int64(i*37-20_000), instant(i).Truncate(time.Millisecond)
	image := map[string]any{
		"id": int64(i) + 1<<33, "name": nil, "price": base64.StdEncoding.EncodeToString(twos(price)), "weight": float64(i) / 7,
		"made_on": days(at), "stock_at": at.UnixMilli(),
	}
	want := row{
		"id": int64(i) + 1<<33, "price": cents(price), "weight": float64(i) / 7, "made_on": day(at), "stock_at": at.UnixMicro(),
	}
	if i%3 != 0 {
		image["name"], want["name"] = fmt.Sprint("product ", i), fmt.Sprint("product ", i)
	}
	return image, want
}
