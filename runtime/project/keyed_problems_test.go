package project

import "testing"

func TestKeyedModelProblems(t *testing.T) {
	session := func(rest string) string {
		return "name: x\nkind: session\nfrom: ref.stg_orders\nkey: [customer_id]\n" + rest
	}
	dimension := func(rest string) string {
		return "name: x\nkind: dimension\nfrom: ref.stg_orders\nnatural_key: [customer_id]\nsurrogate_key: k\n" + rest
	}
	fact := func(rest string) string {
		return "name: x\nkind: fact\nfrom: ref.stg_orders\ngrain: [order_id]\n" + rest
	}
	const read = "order_id, customer_id, amount, tags, ordered_at, kafka_topic, kafka_partition, kafka_offset, kafka_row, kafka_timestamp, ingested_at"
	for _, c := range []struct{ name, body, want string }{
		{"dangling model", "name: x\nkind: session\nfrom: ref.stg_order\nkey: [a]\ngap: 1m\n",
			`models/x.yaml:3:7: there is no model "stg_order", expected one of dim_customers, dim_date, stg_orders, x; did you mean "stg_orders"?`},
		{"a source where a model belongs", "name: x\nkind: session\nfrom: source.shop.orders\nkey: [a]\ngap: 1m\n",
			`models/x.yaml:3:7: "source.shop.orders" is a source, expected a model, ref.<model>; read the source by a model of kind staging, and that model here`},
		{"a kind that cannot be read", "name: x\nkind: session\nfrom: ref.dim_customers\nkey: [customer_id]\ngap: 1m\n",
			`models/x.yaml:3:7: a session cannot read dim_customers, which is of kind dimension, expected one of staging`},
		{"session without gap", session(""),
			`models/x.yaml:1:1: a session needs gap or session_timeout; gap finds sessions by inactivity, session_timeout closes those of an explicit id in key`},
		{"session with both", session("gap: 1m\nsession_timeout: 1m\n"),
			`models/x.yaml:6:18: gap and session_timeout exclude each other; gap finds sessions by inactivity, session_timeout closes those of an explicit id in key`},
		{"unknown session key", "name: x\nkind: session\nfrom: ref.stg_orders\nkey: [custmer_id]\ngap: 1m\n",
			`models/x.yaml:4:7: there is no column "custmer_id", expected a column that x reads or makes: ` + read + `; did you mean "customer_id"?`},
		{"key of a type that engines print differently", "name: x\nkind: session\nfrom: ref.stg_orders\nkey: [amount]\ngap: 1m\n",
			`models/x.yaml:4:7: column "amount" is double, which cannot be part of a key, expected string, int, long, date, boolean or timestamptz`},
		{"unknown event time", session("gap: 1m\nevent_time: orderd_at\n"),
			`models/x.yaml:6:13: there is no column "orderd_at", expected a time column: ` + read + `; did you mean "ordered_at"?`},
		{"aggregate of a name that is taken", session("gap: 1m\naggregates: {session_start: min(ordered_at)}\n"),
			`models/x.yaml:6:14: column "session_start" is there already; rename one of them`},
		{"an expression cut by a comma", session("gap: 1m\naggregates: {n: f(a, b)}\n"),
			`models/x.yaml:6:22: "b)" has no value; a comma ends a value inside { }: put a value with commas in quotes`},
		{"session selects what it does not make", session("gap: 1m\naggregates: {n: count()}\ncolumns: [m]\n"),
			`models/x.yaml:7:11: there is no column "m", expected a column that x reads or makes: n; did you mean "n"?`},
		{"dimension column that is not read", dimension("columns: [amnt]\n"),
			`models/x.yaml:6:11: there is no column "amnt", expected a column that x reads or makes: ` + read + `; did you mean "amount"?`},
		{"dimension column of the key", dimension("columns: [customer_id]\n"),
			`models/x.yaml:6:11: column "customer_id" is part of the natural key, which is always there; remove it`},
		{"scd of an unknown column", dimension("columns: [amount]\nscd: {type_1: [city]}\n"),
			`models/x.yaml:7:16: there is no column "city", expected an attribute of x: amount`},
		{"scd of the key", dimension("scd: {type_1: [customer_id]}\n"),
			`models/x.yaml:6:16: column "customer_id" is part of the natural key, which never changes; remove it`},
		{"scd twice", dimension("scd: {type_0: [amount], type_1: [amount]}\n"),
			`models/x.yaml:6:34: column "amount" is in type_0 and in type_1; a column has one type`},
		{"unknown member of an unknown column", dimension("unknown_member: {citty: x}\n"),
			`models/x.yaml:6:18: there is no column "citty", expected an attribute of x: order_id, amount, tags, ordered_at`},
		{"effective time of an event that is none", dimension("effective_at: source.ts_ms\n"),
			`models/x.yaml:6:15: source.ts_ms is part of Debezium events, which stg_orders does not read; name a column that holds the effective time`},
		{"partition by validity", dimension("partition_by: [day(valid_from)]\n"),
			`models/x.yaml:6:16: a table cannot be partitioned by valid_from, since its values reach from 1900 to 9999; partition by an attribute, or not at all`},
		{"unknown grain", "name: x\nkind: fact\nfrom: ref.stg_orders\ngrain: [id]\n",
			`models/x.yaml:4:9: there is no column "id", expected a column that x reads or makes: ` + read},
		{"unknown measure", fact("measures: [quantity]\n"),
			`models/x.yaml:5:12: there is no column "quantity", expected a column that x reads or makes: ` + read},
		{"foreign key to no dimension", fact("foreign_keys: [{name: k, to: ref.stg_orders, on: [order_id]}]\n"),
			`models/x.yaml:5:30: stg_orders is of kind staging, expected a dimension or date; use left_join for other models`},
		{"foreign key of too many columns", fact("foreign_keys: [{name: k, to: ref.dim_customers, on: [order_id, customer_id]}]\n"),
			`models/x.yaml:5:53: 2 columns, but the natural key of dim_customers has 1: customer_id`},
		{"foreign key of another type", fact("foreign_keys: [{name: k, to: ref.dim_customers, on: [ordered_at]}]\n"),
			`models/x.yaml:5:54: column "ordered_at" is timestamptz, but "customer_id" of dim_customers is long; give both the same data_type`},
		{"durable key that is not there", fact("foreign_keys: [{name: k, to: ref.dim_customers, on: [customer_id], durable: true}]\n"),
			`models/x.yaml:5:77: dimension dim_customers has no durable key; give it a durable_key, or remove durable`},
		{"copy of an unknown attribute", fact("foreign_keys: [{name: k, to: ref.dim_customers, on: [customer_id], copy: {c: amont}}]\n"),
			`models/x.yaml:5:78: there is no column "amont", expected a column of dim_customers: customer_key, customer_id, amount, valid_from, valid_to, changed_at, is_current, is_deleted, is_inferred, kafka_timestamp, ingested_at; did you mean "amount"?`},
		{"foreign key of a name that is taken", fact("foreign_keys: [{name: amount, to: ref.dim_customers, on: [customer_id]}]\n"),
			`models/x.yaml:5:23: column "amount" is there already; rename one of them`},
		{"date key of no date", fact("foreign_keys: [{name: k, to: ref.dim_date, on: [amount]}]\n"),
			`models/x.yaml:5:49: column "amount" is no date or time, which a key of dim_date needs`},
		{"durable date key", fact("foreign_keys: [{name: k, to: ref.dim_date, on: [ordered_at], durable: true}]\n"),
			`models/x.yaml:5:71: dim_date is a date dimension, which has no durable key; remove durable`},
		{"date key of two columns", fact("foreign_keys: [{name: k, to: ref.dim_date, on: [ordered_at, order_id]}]\n"),
			`models/x.yaml:5:48: a key of dim_date takes one column, a date or time, found 2`},
		{"a dimension that facts infer members into", fact("foreign_keys: [{name: k, to: ref.dim_customers, on: [customer_id]}]\n---\nname: y\nkind: dimension\nfrom: ref.dim_customers\nnatural_key: [customer_key]\nsurrogate_key: y_key\n"),
			`models/x.yaml:9:7: dim_customers cannot be read here: the foreign keys of x infer its members, which come after the rows that are read; find its members by foreign_keys, with copy for attributes, or read what the dimension reads`},
		{"a join of a dimension beside its key", fact("foreign_keys: [{name: k, to: ref.dim_customers, on: [customer_id]}]\nleft_join: [{to: ref.dim_customers, on: {customer_id: customer_id}, aggregates: {n: count()}}]\n"),
			`models/x.yaml:6:18: dim_customers cannot be read here: the foreign keys of x infer its members, which come after the rows that are read; find its members by foreign_keys, with copy for attributes, or read what the dimension reads`},
		{"join of a date", fact("left_join: [{to: ref.dim_date, on: {order_id: date_key}, aggregates: {n: count()}}]\n"),
			`models/x.yaml:5:18: dim_date is a date dimension, which has nothing to join; use foreign_keys`},
		{"join of versions as one row", fact("left_join: [{to: ref.dim_customers, on: {customer_id: customer_id}, copy: {c: amount}}]\n"),
			`models/x.yaml:5:41: columns customer_id do not identify a row of dim_customers; join by its whole key (a versioned dimension has foreign_keys for that), or use aggregates instead of copy`},
		{"copy beside aggregates", fact("left_join: [{to: ref.stg_orders, on: {order_id: order_id}, aggregates: {n: count()}, copy: {c: amount}}]\n"),
			`models/x.yaml:5:92: aggregates and copy exclude each other; aggregates take many rows, copy takes one`},
		{"join on nothing", fact("left_join: [{to: ref.stg_orders, on: {}, aggregates: {n: count()}}]\n"),
			`models/x.yaml:5:38: a join needs at least one pair of columns; as in on: {user_id: user_id}`},
		{"empty partitions", fact("partition_by: []\n"),
			`models/x.yaml:5:15: the list is empty, expected at least one: a column, or a transform such as day(column), bucket(16, column), truncate(10, column); leave out partition_by for a table without partitions`},
		{"neither a name nor a mapping", fact("columns: [[a]]\n"),
			`models/x.yaml:5:11: expected a column name, or a mapping (selected column), found a list`},
		{"join without columns", fact("left_join: [{to: ref.stg_orders, on: {customer_id: customer_id}}]\n"),
			`models/x.yaml:5:13: a join needs aggregates or copy; aggregates: columns over the rows that match; copy: columns of the one row that matches`},
		{"join of many rows as one", fact("left_join: [{to: ref.stg_orders, on: {customer_id: customer_id}, copy: {o: amount}}]\n"),
			`models/x.yaml:5:38: columns customer_id do not identify a row of stg_orders; join by its whole key (a versioned dimension has foreign_keys for that), or use aggregates instead of copy`},
		{"join by an unknown column", fact("left_join: [{to: ref.stg_orders, on: {customer_id: custmer}, aggregates: {n: count()}}]\n"),
			`models/x.yaml:5:52: there is no column "custmer", expected a column of stg_orders: ` + read},
		{"join within no time", fact("left_join: [{to: ref.stg_orders, on: {customer_id: customer_id}, within: {time: amount, from: ordered_at, to: ordered_at}, aggregates: {n: count()}}]\n"),
			`models/x.yaml:5:81: column "amount" is double, expected timestamptz or timestamp`},
		{"relationship to an unknown column", fact("data_tests: [{relationships: {column: customer_id, to: ref.dim_customers, field: id}}]\n"),
			`models/x.yaml:5:82: there is no column "id", expected a column of dim_customers: customer_key, customer_id, amount, valid_from, valid_to, changed_at, is_current, is_deleted, is_inferred, kafka_timestamp, ingested_at`},
		{"horizon of a keyed model", fact("data_tests: [{unique: {columns: [customer_id], horizon: 3d}}]\n"),
			`models/x.yaml:5:57: the rows of a fact are compared with all others that it has, so that a horizon says nothing; remove horizon`},
		{"bridge over no list", "name: x\nkind: bridge\nfrom: ref.stg_orders\nunnest: {column: amount, as: tag}\nforeign_keys: [{name: a, to: ref.dim_customers, on: [customer_id]}, {name: b, to: ref.dim_date, on: [ordered_at]}]\n",
			`models/x.yaml:4:18: column "amount" is double, expected a list`},
		{"map of an unknown column", "name: x\nkind: map\nfrom: ref.stg_orders\nnatural_key: [order_id]\ncolumns: [category]\n",
			`models/x.yaml:5:11: there is no column "category", expected a column that x reads or makes: ` + read},
		{"date range backwards", "name: x\nkind: date\nrange: [2021-01-01, 2020-12-31]\n",
			`models/x.yaml:3:8: the range ends before it begins; give the first day, then the last`},
		{"ephemeral with a layout", session("gap: 1m\nmaterialized: ephemeral\nsort_by: [customer_id]\n"),
			`models/x.yaml:6:15: an ephemeral model has no table to partition or sort; make it a table, or remove partition_by and sort_by`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := problemsOf(t, "models/x.yaml", c.body); got != c.want {
				t.Errorf("%s\ngot:  %s\nwant: %s", c.body, got, c.want)
			}
		})
	}
}

func TestKeyedModelsLoad(t *testing.T) {
	for _, body := range []string{
		"name: x\nkind: bridge\nfrom: ref.stg_orders\nsurrogate_key: k\nunnest: {column: tags, as: tag}\nweight: 1.0 / n\nforeign_keys: [{name: a, to: ref.dim_customers, on: [customer_id]}, {name: b, to: ref.dim_tags, on: [tag]}]\n---\n" +
			"name: tagmap\nkind: map\nfrom: ref.stg_tags\nnatural_key: [tag]\ncolumns: [category]\n---\n" +
			"name: stg_tags\nkind: staging\nfrom: source.shop.changes\ncolumns: [{name: tag, data_type: string}, {name: category, data_type: string}]\n---\n" +
			"name: dim_tags\nkind: dimension\nfrom: ref.stg_tags\nnatural_key: [tag]\nsurrogate_key: tag_key\neffective_at: source.ts_ms\n---\n" +
			"name: f\nkind: fact\nfrom: ref.stg_tags\ngrain: [tag]\nleft_join: [{to: ref.tagmap, on: {tag: tag}, copy: {tag_category: category}}]\ncolumns: [tag_category]\n",
		"name: x\nkind: dimension\nfrom: ref.dim_customers\nnatural_key: [customer_key]\nsurrogate_key: k\n",
		"name: x\nkind: fact\nfrom: ref.stg_orders\ngrain: [order_id]\ndata_tests: [{relationships: {column: customer_id, to: ref.zzz, field: customer_id}}]\n---\nname: zzz\nkind: dimension\nfrom: ref.x\nnatural_key: [customer_id]\nsurrogate_key: k\n",
	} {
		if got := problemsOf(t, "models/x.yaml", body); got != "" {
			t.Errorf("%s\ngot: %s", body, got)
		}
	}
}
