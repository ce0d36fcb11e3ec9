package main

import (
	"context"
	"fmt"
	"math/big"
	"time"

	"github.com/calvelake/calve/runtime/kafka"
)

const (
	customerKeySchema = `{"type":"record","name":"Key","namespace":"shop.public.customers","fields":[
		{"name":"id","type":"int"}],"connect.name":"shop.public.customers.Key"}`
	// As Debezium's connector for PostgreSQL and Confluent's Avro converter write it.
	customerSchema = `{"type":"record","name":"Envelope","namespace":"shop.public.customers","fields":[
		{"name":"before","type":["null",{"type":"record","name":"Value","fields":[
			{"name":"id","type":"int"},
			{"name":"email","type":["null","string"],"default":null},
			{"name":"balance","type":["null",{"type":"bytes","scale":2,"precision":10,"connect.version":1,
				"connect.parameters":{"scale":"2","connect.decimal.precision":"10"},
				"connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}],"default":null},
			{"name":"notes","type":["null","string"],"default":null},
			{"name":"born","type":["null",{"type":"int","connect.version":1,"connect.name":"io.debezium.time.Date"}],"default":null},
			{"name":"created_at","type":["null",{"type":"long","connect.version":1,"connect.name":"io.debezium.time.MicroTimestamp"}],"default":null},
			{"name":"updated_at","type":["null",{"type":"string","connect.version":1,"connect.name":"io.debezium.time.ZonedTimestamp"}],"default":null}
		],"connect.name":"shop.public.customers.Value"}],"default":null},
		{"name":"after","type":["null","Value"],"default":null},
		{"name":"source","type":{"type":"record","name":"Source","namespace":"io.debezium.connector.postgresql","fields":[
			{"name":"version","type":"string"},{"name":"connector","type":"string"},{"name":"name","type":"string"},
			{"name":"ts_ms","type":"long"},
			{"name":"snapshot","type":[{"type":"string","connect.version":1,"connect.name":"io.debezium.data.Enum",
				"connect.parameters":{"allowed":"true,last,false,incremental"},"connect.default":"false"},"null"],"default":"false"},
			{"name":"db","type":"string"},
			{"name":"ts_us","type":["null","long"],"default":null},
			{"name":"schema","type":"string"},{"name":"table","type":"string"},
			{"name":"lsn","type":["null","long"],"default":null}],
			"connect.name":"io.debezium.connector.postgresql.Source"}},
		{"name":"transaction","type":["null",{"type":"record","name":"block","namespace":"event","fields":[
			{"name":"id","type":"string"},{"name":"total_order","type":"long"},{"name":"data_collection_order","type":"long"}],
			"connect.name":"event.block"}],"default":null},
		{"name":"op","type":"string"},
		{"name":"ts_ms","type":["null","long"],"default":null}],"connect.version":2,"connect.name":"shop.public.customers.Envelope"}`
)

// customerWays are the ways in which a change of a customer is broken.
const customerWays = 6

// customerMaker makes the events of one customer after another.
type customerMaker struct{ key, value *encoder }

// customers is a topic of Debezium in Avro.
func customers(ctx context.Context, register register) (t *topic, err error) {
	m := &customerMaker{}
	if m.key, err = newEncoder(ctx, register, "formats.customers-key", customerKeySchema); err != nil {
		return nil, err
	}
	if m.value, err = newEncoder(ctx, register, "formats.customers-value", customerSchema); err != nil {
		return nil, err
	}
	return &topic{
		name: "formats.customers", model: "customers",
		columns: []column{
			{"id", "int"}, {"email", "string"}, {"balance", "decimal(10, 2)"}, {"notes", "string"}, {"born", "date"},
			{"created_at", "timestamptz"}, {"updated_at", "timestamptz"}, {"transaction", "string"}, {"change_op", "string"},
			{"source_ts", "timestamptz"}, {"source_sequence", "string"}, {"unavailable_columns", "list<string>"},
		},
		sample: m.sample,
	}, nil
}

// sample is one event of the life of a customer.
func (m *customerMaker) sample(i int) (sample, error) {
	id := i
	image, want := customer(i, id)
	event := changeOf(i)
	switch i % 8 {
	case 0:
		event["op"], event["after"] = "c", image
	case 1:
		event["op"], event["after"] = "r", image
	case 2:
		event["op"], event["before"], event["after"] = "u", image, image
	case 3: // an update of the key: a delete and a create
		old, gone := customer(i, id+100_000)
		event["op"], event["before"], event["after"] = "u", old, image
		return m.made(i, id, event, m.change(i, "d", gone), m.change(i, "c", want))
	case 4:
		event["op"], event["before"] = "d", image
	case 5: // the key alone is known
		event["op"], want = "d", row{"id": id}
	case 6: // a large value that the log does not have
		event["op"], event["after"] = "u", image
		image["notes"], want["notes"] = "__debezium_unavailable_value", nil
		want["unavailable_columns"] = []string{"notes"}
	case 7:
		if broken(i, customerWays) == -1 {
			s, err := m.made(i, id, event)
			return s.with(nil), err // a tombstone, which says nothing new
		}
		event["after"] = image
	}
	return m.made(i, id, event, m.change(i, event["op"].(string), want))
}

// made is the record of an event, as it should be or broken.
func (m *customerMaker) made(i, id int, event map[string]any, rows ...row) (sample, error) {
	s := sample{rows: rows}
	key, err := m.key.encode(map[string]any{"id": id})
	if err != nil {
		return s, err
	}
	way := broken(i, customerWays)
	if way == 0 {
		event["op"] = "x"
	}
	if way == 1 {
		event["op"], event["before"], event["after"] = "d", nil, nil
		key = nil
	}
	value, err := m.value.encode(event)
	s.ProduceRecord = kafka.ProduceRecord{Key: key, Value: value}
	if err != nil || way == -1 {
		return s, err
	}
	switch way {
	case 0:
		return s.dead("malformed", ""), nil
	case 1:
		return s.dead("missing", "id"), nil
	case 2:
		return s.with([]byte{0, 0}).dead("malformed", ""), nil
	case 3:
		return s.with(value[:len(value)/2]).dead("malformed", ""), nil
	case 4:
		return s.with(wire(unregistered, value[5:])).dead("schema", ""), nil
	case 5: // the key's schema is that of no change event
		return s.with(key).dead("schema", ""), nil
	}
	return s, errNoSample
}

// change is a row with its change columns.
func (m *customerMaker) change(i int, op string, r row) row {
	r["change_op"], r["source_ts"], r["source_sequence"] = op, instant(i).UnixMicro(), fmt.Sprintf("%020d", lsn(i))
	if i%2 == 0 {
		r["transaction"] = fmt.Sprint("tx", i)
	}
	return r
}

func lsn(i int) int64 { return 24_023_128 + int64(i)*1000 }

// changeOf is an event without images. The envelope's own time is the connector's
// clock, an hour late.
func changeOf(i int) map[string]any {
	at := instant(i)
	event := map[string]any{
		"op": "c", "before": nil, "after": nil, "ts_ms": at.Add(time.Hour).UnixMilli(), "transaction": nil,
		"source": map[string]any{
			"version": "3.0.8.Final", "connector": "postgresql", "name": "shop", "ts_ms": at.UnixMilli(), "snapshot": "false",
			"db": "shop", "ts_us": at.UnixMicro(), "schema": "public", "table": "customers", "lsn": lsn(i),
		},
	}
	if i%2 == 0 {
		event["transaction"] = map[string]any{"id": fmt.Sprint("tx", i), "total_order": int64(1), "data_collection_order": int64(1)}
	}
	return event
}

// customer is the image of a row in the database, and a row of the table.
func customer(i, id int) (map[string]any, row) {
	at, balance := instant(i), int64(i*977-300_000)
	image := map[string]any{
		"id": id, "email": fmt.Sprint(id, "@example.org"), "balance": big.NewRat(balance, 100), "notes": nil,
		"born": days(at.AddDate(-80, 0, 0)), "created_at": at.UnixMicro(), "updated_at": nil,
	}
	want := row{
		"id": id, "email": fmt.Sprint(id, "@example.org"), "balance": cents(balance),
		"born": day(at.AddDate(-80, 0, 0)), "created_at": at.UnixMicro(),
	}
	if i%3 == 0 {
		image["notes"], want["notes"] = "löng", "löng"
		image["updated_at"] = at.In(time.FixedZone("", 2*3600)).Format(time.RFC3339Nano)
		want["updated_at"] = at.UnixMicro()
	}
	return image, want
}
