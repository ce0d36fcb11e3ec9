package project

import (
	"errors"
	"testing"
)

const (
	smallProject = "name: a\nconfig_version: 1\n"
	smallSources = "sources:\n  - name: shop\n    tables:\n      - {name: orders, topic: orders}\n      - {name: lines, topic: lines, format: text}\n      - {name: changes, topic: changes, format: debezium-json}\n"
	smallStaging = `name: stg_orders
kind: staging
from: source.shop.orders
columns:
  - {name: order_id, data_type: long}
  - {name: customer_id, data_type: long}
  - {name: amount, data_type: double}
  - {name: tags, data_type: "list<string>"}
  - {name: ordered_at, data_type: timestamptz}
`
	smallCustomers = `name: dim_customers
kind: dimension
from: ref.stg_orders
natural_key: [customer_id]
surrogate_key: customer_key
columns: [amount]
`
)

// problemsOf loads a small project with one more file and gives its problems.
func problemsOf(t *testing.T, file, body string) string {
	t.Helper()
	files := folderOf(
		"calve.yaml", smallProject,
		"plugins/parse.wasm", "",
		"models/staging/sources.yaml", smallSources,
		"models/staging/stg_orders.yaml", smallStaging,
		"models/marts/dim_customers.yaml", smallCustomers,
		"models/marts/dim_date.yaml", "name: dim_date\nkind: date\nrange: [2020-01-01, 2020-12-31]\n",
	)
	for name, f := range folderOf(file, body) {
		files[name] = f
	}
	_, err := load(files, "dir", environment("EMPTY", "", "SHORT", "s3cret-value"))
	if err == nil {
		return ""
	}
	var all Errors
	if !errors.As(err, &all) {
		t.Fatalf("got %T, want Errors", err)
	}
	return err.Error()
}

func TestSyntaxProblems(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		if got := problemsOf(t, "models/x.yaml", body); got != want {
			t.Errorf("%s\ngot:  %s\nwant: %s", body, got, want)
		}
	}
	f("name: [\n", "models/x.yaml:2:1: no valid YAML: did not find expected node content while parsing a flow node")
	f("a: \xff\n", "models/x.yaml: no valid YAML: invalid leading UTF-8 octet (value: 255)")
	f("name: &a x\n", "models/x.yaml:1:7: YAML anchors (&name) are not part of the project language; write the value out")
	f("name: &a x\nkind: *a\n", "models/x.yaml:1:7: YAML anchors (&name) are not part of the project language; write the value out\n"+
		"models/x.yaml:2:7: YAML aliases (*name) are not part of the project language; write the value out")
	f("<<: {name: x}\n", "models/x.yaml:1:1: YAML merge keys (<<) are not part of the project language; write the value out")
	f("name: !secret x\n", "models/x.yaml:1:7: YAML tags (!name) are not part of the project language; write the value out")
	f("- a\n", "models/x.yaml:1:1: expected a mapping (model), found a list")
	f("name: x\nname: y\nkind: date\nrange: [2020-01-01, 2020-12-31]\n", `models/x.yaml:2:1: key "name" is given twice, first on line 1`)
	f("? [a]\n: b\n", "models/x.yaml:1:1: key \"kind\" is missing in model; expected one of staging, session, dimension, fact, bridge, map, date")
}

func TestModelProblems(t *testing.T) {
	staging := func(rest string) string {
		return "name: x\nkind: staging\nfrom: source.shop.orders\n" + rest
	}
	column := func(rest string) string { return staging("columns:\n  - {name: a, data_type: long" + rest + "}\n") }
	changes := func(rest string) string {
		return "name: x\nkind: staging\nfrom: source.shop.changes\ncolumns:\n  - {name: id, data_type: long}\n  - {name: op, data_type: string, from: debezium.op}\n" + rest
	}
	for _, c := range []struct{ name, body, want string }{
		{"unknown key with a near name", staging("colums: []\ncolumns: [{name: a, data_type: long}]\n"),
			`models/x.yaml:4:1: unknown key "colums" in staging model, expected one of name, kind, description, namespace, from, materialized, columns, natural_key, on_truncate, plugin, event_time, max_out_of_orderness, idle_timeout, max_future, where, derive, partition_by, sort_by, on_schema_change, contract, data_tests; did you mean "columns"?`},
		{"unknown key of another kind", staging("grain: [a]\ncolumns: [{name: a, data_type: long}]\n"),
			`models/x.yaml:4:1: unknown key "grain" in staging model, expected one of name, kind, description, namespace, from, materialized, columns, natural_key, on_truncate, plugin, event_time, max_out_of_orderness, idle_timeout, max_future, where, derive, partition_by, sort_by, on_schema_change, contract, data_tests; "grain" belongs to kind fact`},
		{"unknown key inside", column(", typ: int"),
			`models/x.yaml:5:32: unknown key "typ" in column, expected one of name, from, data_type, description, nullable, default, encoding, data_tests`},
		{"unknown kind", "name: x\nkind: stagin\n",
			`models/x.yaml:2:7: "stagin" is not one of staging, session, dimension, fact, bridge, map, date; did you mean "staging"?`},
		{"missing kind", "name: x\n",
			`models/x.yaml:1:1: key "kind" is missing in model; expected one of staging, session, dimension, fact, bridge, map, date`},
		{"missing key", staging(""), `models/x.yaml:1:1: key "columns" is missing in staging model; The table's columns. The position columns (kafka_topic, kafka_offset, …) follow by themselves.`},
		{"wrong type", staging("columns: [{name: a, data_type: long}]\nwhere: [a]\n"),
			`models/x.yaml:5:8: expected an expression that is not empty, found a list`},
		{"a number where a string belongs", staging("columns: [{name: a, data_type: long}]\nwhere: 1\n"),
			`models/x.yaml:5:8: expected an expression that is not empty, found an integer; a string that looks like another type needs quotes`},
		{"a string where a boolean belongs", column(`, nullable: "true"`),
			`models/x.yaml:5:42: expected true or false, found a string; if it is meant as another type, leave out the quotes`},
		{"nothing", staging("columns: [{name: a, data_type: long}]\nwhere:\n"),
			`models/x.yaml:5:7: expected an expression that is not empty, found nothing`},
		{"bad name", column("}\n  - {name: OrderId, data_type: long"),
			`models/x.yaml:6:12: "OrderId" is no name, expected lower-case letters, digits and _, a letter first; use "order_id"`},
		{"reserved prefix", column("}\n  - {name: _file, data_type: long"),
			`models/x.yaml:6:12: "_file" begins with _, which is reserved for metadata columns (_file, _pos, _partition, _spec_id, _deleted and the like); use "file"`},
		{"position column", column("}\n  - {name: kafka_offset, data_type: long"),
			`models/x.yaml:6:12: "kafka_offset" is reserved: every staging table has this column already`},
		{"duplicate column", column("}\n  - {name: a, data_type: int"),
			`models/x.yaml:6:5: "a" is given twice, first on line 5`},
		{"name from the environment", "name: ${SHORT}\nkind: date\nrange: [2020-01-01, 2020-12-31]\n",
			`models/x.yaml:1:7: expected a name in lower case, which cannot come from an environment variable as in "${SHORT}"; it names tables or state, which must not depend on where the project runs`},
		{"bad type", column("}\n  - {name: b, data_type: bigint"),
			`models/x.yaml:6:26: data_type "bigint": "bigint" is not supported: use long`},
		{"bad duration", column("}\nmax_future: 5 minutes # "),
			`models/x.yaml:6:13: "5 minutes" is no duration, expected a duration such as 500ms, 30s, 5m, 24h or 30d`},
		{"bad encoding", column("}\n  - {name: b, data_type: timestamptz, encoding: epoch_milis"),
			`models/x.yaml:6:49: "epoch_milis" is not one of epoch_s, epoch_ms, epoch_us, epoch_ns, base64, hex, connect.decimal, connect.date, connect.time, connect.timestamp, debezium.date, debezium.time, debezium.micro_time, debezium.nano_time, debezium.timestamp, debezium.micro_timestamp, debezium.nano_timestamp, debezium.zoned_timestamp, debezium.zoned_time, debezium.variable_scale_decimal, strptime:<layout>; did you mean "epoch_ms"?`},
		{"encoding of another type", column(", encoding: epoch_ms"),
			`models/x.yaml:5:42: encoding "epoch_ms" does not hold a long; change one of them`},
		{"default of another type", column(", default: many"),
			`models/x.yaml:5:41: default "many" is no long; expected a 64-bit integer`},
		{"unknown part of a record", column(", from: kafka.vlaue"),
			`models/x.yaml:5:38: "kafka.vlaue" is no part of a Kafka record, expected kafka.key, kafka.key.<path>, kafka.value or kafka.header.<name>; did you mean "kafka.value"?`},
		{"rest that is no text", column(`, from: "*"`),
			`models/x.yaml:5:38: column "a" holds the fields that no column reads, as JSON text, and is long; make it a string`},
		{"field of a key without fields", "name: x\nkind: staging\nfrom: source.shop.lines\ncolumns: [{name: a, data_type: string, from: kafka.key.id}]\n",
			`models/x.yaml:4:46: column "a" is read from a value of format text, which has no fields; give from: kafka.value, kafka.key or kafka.header.<name>`},
		{"change column", column("}\n  - {name: change_op, data_type: string"),
			`models/x.yaml:6:12: "change_op" is reserved: every table over change events of a database has this column already`},
		{"natural key without changes", column("}\nnatural_key: [a] #"),
			`models/x.yaml:6:14: format json is no change event of a database, so nothing is done by a key; remove natural_key, or change the source's format to debezium-json or debezium-avro`},
		{"natural key of an unknown column", changes("natural_key: [idd]\n"),
			`models/x.yaml:7:15: there is no column "idd" that is decoded; did you mean "id"?`},
		{"natural key of the event", changes("natural_key: [op]\n"),
			`models/x.yaml:7:15: column "op" is read from debezium.op, which is not part of the row; name columns of the row`},
		{"partition by a change column of another type", changes("partition_by: [day(source_sequence)]\n"),
			`models/x.yaml:7:16: column "source_sequence" is string, which day cannot partition; expected a column of type date, timestamp or timestamptz`},
		{"dangling source", "name: x\nkind: staging\nfrom: source.shp.orders\ncolumns: [{name: a, data_type: long}]\n",
			`models/x.yaml:3:7: there is no source "shp", expected one of shop; did you mean "shop"?`},
		{"dangling source table", "name: x\nkind: staging\nfrom: source.shop.order\ncolumns: [{name: a, data_type: long}]\n",
			`models/x.yaml:3:7: source "shop" has no table "order", expected one of orders, lines, changes; did you mean "orders"?`},
		{"a model where a source belongs", "name: x\nkind: staging\nfrom: ref.stg_orders\ncolumns: [{name: a, data_type: long}]\n",
			`models/x.yaml:3:7: "ref.stg_orders" is a model, expected a source table, source.<source>.<table>`},
		{"a format without fields", "name: x\nkind: staging\nfrom: source.shop.lines\ncolumns: [{name: a, data_type: string}]\n",
			`models/x.yaml:4:11: column "a" is read from a value of format text, which has no fields; give from: kafka.value, kafka.key or kafka.header.<name>`},
		{"plugin without a module", column("}\nplugin: {ref: prase, adds: [a]} #"),
			`models/x.yaml:6:15: there is no module for plugin "prase" in plugins/; did you mean "parse"?`},
		{"plugin without input", column("}\nplugin: {ref: parse} #"),
			`models/x.yaml:6:9: a plugin over format json needs input or adds; input: the columns it takes; adds: the columns it adds to those decoded`},
		{"plugin adds what is not declared", column("}\nplugin: {ref: parse, adds: [b]} #"),
			`models/x.yaml:6:29: the plugin adds column "b", which is not among columns; did you mean "a"?`},
		{"plugin column with a path", column(", from: x}\nplugin: {ref: parse, adds: [a]} #"),
			`models/x.yaml:5:38: column "a" is added by the plugin and takes no from; remove it, or give it to a column that the plugin takes`},
		{"partition by an unknown column", column("}\npartition_by: [day(b)] #"),
			`models/x.yaml:6:16: there is no column "b", expected a column of x: a, kafka_topic, kafka_partition, kafka_offset, kafka_row, kafka_timestamp, ingested_at; did you mean "a"?`},
		{"partition by another type", column("}\npartition_by: [day(a)] #"),
			`models/x.yaml:6:16: column "a" is long, which day cannot partition; expected a column of type date, timestamp or timestamptz`},
		{"partition twice", column("}\npartition_by: [bucket(4, a), a] #"),
			`models/x.yaml:6:30: column "a" is in two partition fields, which Redshift cannot read; keep one of them`},
		{"unknown transform", column("}\npartition_by: [days(a)] #"),
			`models/x.yaml:6:16: unknown transform "days", expected one of identity, year, month, day, hour, bucket, truncate; did you mean "day"?`},
		{"event time that is none", column("}\nevent_time: a #"),
			`models/x.yaml:6:13: column "a" is long, expected timestamptz or timestamp`},
		{"test of an unknown column", column("}\ndata_tests: [{unique: {columns: [b]}}] #"),
			`models/x.yaml:6:33: there is no column "b", expected a column of x: a, kafka_topic, kafka_partition, kafka_offset, kafka_row, kafka_timestamp, ingested_at; did you mean "a"?`},
		{"horizon of nothing", column("}\ndata_tests: [{unique: {columns: [a], horizon: 0s}}] #"),
			`models/x.yaml:6:47: a horizon of nothing compares no rows; give a duration, or remove horizon: 7d`},
		{"reserved namespace", column("}\nnamespace: calve_x #"),
			`models/x.yaml:6:12: namespace "calve_x" is reserved: names that begin with calve_ hold dead letters and the audit table; choose another`},
		{"duplicate model", "name: stg_orders\nkind: date\nrange: [2020-01-01, 2020-12-31]\n",
			`models/x.yaml:1:7: model "stg_orders" is declared twice, first in models/staging/stg_orders.yaml:1; give each its own name`},
		{"duplicate source", smallSources,
			`models/x.yaml:2:11: source "shop" is declared twice, first in models/staging/sources.yaml:2; give each its own name, or move the tables together`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := problemsOf(t, "models/x.yaml", c.body); got != c.want {
				t.Errorf("%s\ngot:  %s\nwant: %s", c.body, got, c.want)
			}
		})
	}
}
