package decode

import (
	"testing"

	"github.com/calvelake/calve/runtime/record"
)

func TestRestHoldsWhatNoColumnReads(t *testing.T) {
	d := compile(t, "json", col("id", "long"), from(col("city", "string"), "customer.address.city"), col("geo", "struct<lat: double, at: struct<tz: string>>"),
		col("items", "list<struct<sku: string>>"), from(col("rest", "string"), "*"))
	rows, rejects := decode(t, d, values(
		`{"id":1}`,
		`{"a": [1, 2],"id":1,"b":null,"c\u0022":"\""}`,
		`{"customer":{"name":"x","address":{"city":"Oslo","zip":150}},"id":2}`,
		`{"geo":{"lat":1.5,"lon":2,"at":{"tz":"CET","dst":true}}}`,
		`{"items":[{"sku":"a","n":1}],"x":{}}`,
		`{"a":1,"b":2,"a":{"c":3}}`,
		`{"customer":null,"geo":null}`,
		`{"customer":{"address":null}}`,
	))
	equal(t, "rows", rows, []string{
		`0: 1|(null)|(null)|(null)|(null)`,
		`1: 1|(null)|(null)|(null)|{"a":[1, 2],"b":null,"c\u0022":"\""}`,
		`2: 2|Oslo|(null)|(null)|{"customer":{"name":"x","address":{"zip":150}}}`,
		`3: (null)|(null)|{"at":{"tz":"CET"},"lat":1.5}|(null)|{"geo":{"lon":2,"at":{"dst":true}}}`,
		`4: (null)|(null)|(null)|[{"sku":"a"}]|{"x":{}}`,
		`5: (null)|(null)|(null)|(null)|{"a":{"c":3},"b":2}`,
		`6: (null)|(null)|(null)|(null)|(null)`,
		`7: (null)|(null)|(null)|(null)|(null)`,
	})
	equal(t, "rejects", rejects, nil)
	if got, want := d.Stats().UnknownFields, int64(3+2+2+2+3); got != want {
		t.Errorf("unknown fields: got %d, want %d", got, want)
	}
}

func TestRestAlone(t *testing.T) {
	rows, rejects := decode(t, compile(t, "json", from(col("all", "string"), "*")), values(` {"a":1} `, `[]`, `{}`))
	equal(t, "rows", rows, []string{`0: {"a":1}`, `2: (null)`})
	equal(t, "rejects", rejects, []string{"1 type"})
}

func TestConfluentJSONNeedsItsHeader(t *testing.T) {
	d := compile(t, "confluent-json", required(col("id", "long")), from(col("key_id", "long"), "kafka.key.id"))
	s := values("\x00\x00\x00\x00\x07{\"id\":1}", `{"id":2}`, "\x00\x00\x00\x07", "\x00\x00\x00\x00\x07{\"id\":3", "\x00\x00\x00\x00\x07", "")
	s.Records[0].Key = []byte("\x00\x00\x00\x00\x03{\"id\":11}")
	s.Records[5].Value = nil
	rows, rejects := decode(t, d, s)
	equal(t, "rows", rows, []string{"0: 1|11"})
	equal(t, "rejects", rejects, []string{"1 malformed", "2 malformed", "3 malformed", "4 malformed", "5 tombstone"})
}

func TestFieldsOfTheKey(t *testing.T) {
	d := compile(t, "json", from(required(col("id", "long")), "kafka.key.id"), from(col("zone", "string"), "kafka.key.place.zone"), col("v", "int"))
	s := values(`{"v":1}`, `{"v":2}`, `{"v":3}`, `{"v":4}`, `{"v":5}`, `{"v":6}`)
	for i, key := range []string{`{"id":1,"place":{"zone":"a"}}`, `{"schema":{"type":"struct"},"payload":{"id":2}}`, `{"id":"x"}`, `7`, ``, `{"schema":1,"payload":null}`} {
		s.Records[i].Key = []byte(key)
	}
	rows, rejects := decode(t, d, s)
	equal(t, "rows", rows, []string{"0: 1|a|1", "1: 2|(null)|2"})
	equal(t, "rejects", rejects, []string{"2 type id", "3 missing id", "4 missing id", "5 missing id"})
}

// A field of the key is read where the value is a tombstone, too.
func TestFieldsOfTheKeyAlone(t *testing.T) {
	s := values("")
	s.Records[0].Value, s.Records[0].Key = nil, []byte(`{"id":1}`)
	rows, rejects := decode(t, compile(t, "json", from(col("id", "long"), "kafka.key.id")), s)
	equal(t, "rows", rows, []string{"0: 1"})
	equal(t, "rejects", rejects, nil)
}

func TestKeysAndHeadersAreReadAsTextOfAnyScalar(t *testing.T) {
	for _, format := range []string{"json", "text", "bytes"} {
		d := compile(t, format,
			from(col("id", "long"), "kafka.key"), from(col("ok", "boolean"), "kafka.header.ok"), from(col("price", "decimal(5,2)"), "kafka.header.price"),
			encoded(from(col("at", "timestamptz"), "kafka.header.at"), "epoch_ms"), from(col("day", "date"), "kafka.header.day"),
			fallback(from(col("n", "int"), "kafka.header.n"), "5"), from(col("value", "string"), "kafka.value"))
		s := values(`{}`, `{}`, `{}`, `{}`)
		for i, key := range []string{"17", "017", "", "9223372036854775808"} {
			s.Records[i].Key = []byte(key)
		}
		s.Records[0].Headers = []record.Header{{Key: "ok", Value: []byte("true")}, {Key: "price", Value: []byte("1.25")},
			{Key: "at", Value: []byte("1709210096789")}, {Key: "day", Value: []byte("2024-02-29")}, {Key: "n", Value: []byte("6")}}
		s.Records[2].Key = nil
		rows, rejects := decode(t, d, s)
		equal(t, format+" rows", rows, []string{
			"0: 17|true|1.25|2024-02-29T12:34:56.789Z|2024-02-29|6|{}",
			"2: (null)|(null)|(null)|(null)|(null)|5|{}",
		})
		equal(t, format+" rejects", rejects, []string{"1 type id", "3 type id"})
	}
}

func TestTextIsReadAsAnyScalar(t *testing.T) {
	d := compile(t, "text", required(col("n", "long")), encoded(col("day", "date"), "strptime:%d.%m.%Y"))
	d2 := compile(t, "text", encoded(col("day", "date"), "strptime:%d.%m.%Y"))
	rows, rejects := decode(t, d2, values("29.02.2024", "2024-02-29"))
	equal(t, "rows", rows, []string{"0: 2024-02-29"})
	equal(t, "rejects", rejects, []string{"1 type day"})
	rows, rejects = decode(t, d, values("12", "x"))
	equal(t, "rows", rows, nil)
	equal(t, "rejects", rejects, []string{"0 type day", "1 type n"})
}

func TestEncodingsOfJSON(t *testing.T) {
	tests := []struct{ dataType, encoding, value, want string }{
		{"binary", "hex", `"00ff"`, "AP8="},
		{"binary", "base64", `"AP8="`, "AP8="},
		{"decimal(10,2)", "connect.decimal", `"J7o="`, "101.7"},
		{"decimal(10,2)", "debezium.variable_scale_decimal", `{"scale":3,"value":"AYag"}`, "100"},
		{"decimal(10,2)", "debezium.variable_scale_decimal", `{"scale":3,"value":"AYah"}`, ""},
		{"decimal(10,2)", "debezium.variable_scale_decimal", `{"value":"AYah"}`, ""},
		{"decimal(10,2)", "debezium.variable_scale_decimal", `{"scale":"3","value":"AYah"}`, ""},
		{"decimal(10,2)", "debezium.variable_scale_decimal", `{"scale":3,"value":"?"}`, ""},
		{"decimal(10,2)", "debezium.variable_scale_decimal", `1`, ""},
		{"date", "connect.date", `19782`, "2024-02-29"},
		{"date", "debezium.date", `"2024-02-29"`, ""},
		{"long", "debezium.micro_time", `45296789012`, "45296789012"},
		{"int", "connect.time", `45296789`, "45296789"},
		{"timestamptz", "connect.timestamp", `1709210096789`, "2024-02-29T12:34:56.789Z"},
		{"timestamp", "debezium.nano_timestamp", `1709210096789012345`, "2024-02-29T12:34:56.789012"},
		{"timestamptz", "debezium.zoned_timestamp", `"2024-02-29T12:34:56.789012Z"`, "2024-02-29T12:34:56.789012Z"},
		{"string", "debezium.zoned_time", `"12:34:56Z"`, "12:34:56Z"},
		{"timestamptz", "strptime:%d/%b/%Y:%H:%M:%S %z", `"17/May/2015:10:05:03 +0200"`, "2015-05-17T08:05:03Z"},
	}
	for _, test := range tests {
		t.Run(test.encoding+" "+test.value, func(t *testing.T) {
			rows, rejects := decode(t, compile(t, "json", encoded(col("v", test.dataType), test.encoding)), values(`{"v":`+test.value+`}`))
			if test.want == "" {
				equal(t, "rejects", rejects, []string{"0 type v"})
				return
			}
			equal(t, "rows", rows, []string{"0: " + test.want})
		})
	}
}

func TestDefaultsOfNestedTypes(t *testing.T) {
	d := compile(t, "json", required(fallback(col("s", "struct<a: int, b: list<map<string, long>>>"), `{"a":1,"b":[{"k":2},null]}`)),
		required(fallback(from(col("n", "long"), "kafka.key"), "3")))
	rows, rejects := decode(t, d, values(`{}`, `{"s":null}`, `{"s":{}}`))
	const want = `{"a":1,"b":[[{"key":"k","value":2}],null]}|3`
	equal(t, "rows", rows, []string{"0: " + want, "1: " + want, `2: {"a":null,"b":null}|3`})
	equal(t, "rejects", rejects, nil)
}
