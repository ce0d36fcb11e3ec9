package project

import (
	"fmt"
	"strings"
	"testing"
)

func TestExpressionProblems(t *testing.T) {
	const columns = `columns:
  - {name: id, data_type: long, nullable: false}
  - {name: status, data_type: string}
  - {name: amount, data_type: "decimal(10,2)"}
  - {name: tags, data_type: "list<string>"}
`
	staging := func(rest string) string {
		return "name: x\nkind: staging\nfrom: source.shop.orders\n" + columns + rest
	}
	for _, c := range []struct{ name, body, want string }{
		{"syntax, plain", staging("where: id > > 1\n"), `models/x.yaml:9:13: expected a column, a value, a function or an opening parenthesis, found ">"`},
		{"syntax, quoted", staging("where: \"status = 'a' or\"\n"), `models/x.yaml:9:24: expected a column, a value, a function or an opening parenthesis, found the end`},
		{"syntax behind other letters", staging("derive: {größe: \"1 +\"}\n"), `models/x.yaml:9:10: "größe" is no name, expected lower-case letters, digits and _, a letter first; use "gr_e"`},
		{"syntax in a block", staging("where: >\n  id >\n  > 1\n"), `models/x.yaml:9:8: at character 6 of the expression: expected a column, a value, a function or an opening parenthesis, found ">"`},
		{"unknown column", staging("where: ammount > 1\n"),
			`models/x.yaml:9:8: there is no column "ammount", expected one of id, status, amount, tags, kafka_topic, kafka_partition, kafka_offset, kafka_row, kafka_timestamp, ingested_at; did you mean "amount"?`},
		{"text and number", staging("where: amount > 1 and status > 5\n"),
			`models/x.yaml:9:32: the sides of >: string and int have no common type; cast the text to a number, as in cast(x as long), or the number to text`},
		{"no condition", staging("where: id + 1\n"), `models/x.yaml:9:11: the expression is long, expected a condition that is true or false`},
		{"from a variable", staging("where: ${SHORT}\n"), `models/x.yaml:9:8: "${SHORT}" does not expand to an expression that fits: it is wrong at character 1`},
		{"derive", staging("derive: {net: amount / 1.19, vat: amount - nett}\n"),
			`models/x.yaml:9:44: there is no column "nett", expected one of id, status, amount, tags, net, kafka_topic, kafka_partition, kafka_offset, kafka_row, kafka_timestamp, ingested_at; did you mean "net"?`},
		{"derive before what it uses", staging("derive: {vat: amount - net, net: amount / 1.19}\n"),
			`models/x.yaml:9:24: there is no column "net", expected one of id, status, amount, tags, kafka_topic, kafka_partition, kafka_offset, kafka_row, kafka_timestamp, ingested_at`},
		{"derive a declared column", staging("derive: {amount: id}\n"), `models/x.yaml:9:10: column "amount" is there already; rename one of them`},
		{"derive a position column", staging("derive: {kafka_row: id}\n"), `models/x.yaml:9:10: "kafka_row" is reserved: every staging table has this column already`},
		{"an aggregate", staging("derive: {n: count(id)}\n"), `models/x.yaml:9:13: there is no function "count"; count is an aggregate over rows; an expression sees one row`},
		{"test expression", staging("derive: {net: amount / 2}\ndata_tests:\n  - expression_is_true: {expression: \"net >= 0 and ids > 0\", severity: warn}\n"),
			`models/x.yaml:11:52: there is no column "ids", expected one of id, status, amount, tags, net, kafka_topic, kafka_partition, kafka_offset, kafka_row, kafka_timestamp, ingested_at; did you mean "id"?`},
		{"accepted values", staging("data_tests:\n  - accepted_values: {column: id, values: [1, two]}\n"), `models/x.yaml:10:47: "two" is no value of column "id", which is long`},
		{"accepted values of a column", strings.Replace(staging(""), "data_type: string}", "data_type: int, data_tests: [{accepted_values: {values: [1, 1.5]}}]}", 1),
			`models/x.yaml:6:80: "1.5" is no value of column "status", which is int`},
		{"accepted values of a derived column", staging("derive: {net: cast(amount as int)}\ndata_tests: [{accepted_values: {column: net, values: [a]}}]\n"),
			`models/x.yaml:10:55: "a" is no value of column "net", which is int`},
		{"accepted range", staging("data_tests: [{accepted_range: {column: amount, min_value: 0.001}}]\n"), `models/x.yaml:9:59: "0.001" is no value of column "amount", which is decimal(10,2)`},
		{"accepted range of nothing", staging("data_tests: [{accepted_range: {column: amount, min_value: 10, max_value: 9.99}}]\n"),
			`models/x.yaml:9:74: no value is accepted: the least, 10, is greater than the greatest, 9.99; swap min_value and max_value, or correct one of them`},
		{"accepted range without its bounds", staging("data_tests: [{accepted_range: {column: id, min_value: 3, max_value: 3, inclusive: false}}]\n"),
			`models/x.yaml:9:69: no value is accepted: 3 and 3 are equal, and are not accepted themselves; swap min_value and max_value, or correct one of them`},
		{"comparison with null", staging("where: status <> null\n"), `models/x.yaml:9:15: a comparison with null by <> is never true; write status is not null`},
		{"accepted values of a list", staging("data_tests: [{accepted_values: {column: tags, values: [a]}}]\n"), `models/x.yaml:9:56: "a" is no value of column "tags", which is list<string>`},
		{"contract that may be widened", staging("contract: {enforced: true}\non_schema_change: append_new_columns\n"),
			`models/x.yaml:10:19: an enforced contract holds the table to the declared columns, and on_schema_change: append_new_columns adds others; set on_schema_change to fail or ignore, or contract.enforced to false`},
		{"another kind", "name: x\nkind: fact\nfrom: ref.stg_orders\ngrain: [order_id]\nwhere: amount >\nderive: {y: \"lower(\"}\n",
			"models/x.yaml:5:16: expected a column, a value, a function or an opening parenthesis, found the end\n" +
				"models/x.yaml:6:20: expected a column, a value, a function or an opening parenthesis, found the end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := problemsOf(t, "models/x.yaml", c.body); got != c.want {
				t.Errorf("%s\ngot:  %s\nwant: %s", c.body, got, c.want)
			}
		})
	}
}

func TestDerivedColumnsHaveTypes(t *testing.T) {
	p := mustLoad(t, folderOf("calve.yaml", smallProject, "models/s.yaml", smallSources, "models/x.yaml", `name: x
kind: staging
from: source.shop.changes
where: change_op <> 'd' and kafka_partition >= 0
columns:
  - {name: id, data_type: long, nullable: false}
  - {name: amount, data_type: "decimal(10,2)"}
derive:
  net: amount / 1.19
  is_large: coalesce(net, 0) > 100
  source: concat(change_op, cast(id as string))
partition_by: [source]
`), nil)
	var got []string
	for _, c := range mustModel(t, p, "x").Derived {
		got = append(got, fmt.Sprintf("%s %s", c.Name, c.TypeText))
	}
	if text, want := strings.Join(got, "; "), "net decimal(16,6); is_large boolean; source string"; text != want {
		t.Errorf("got %s, want %s", text, want)
	}
}
