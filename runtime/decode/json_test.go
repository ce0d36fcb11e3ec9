package decode

import (
	"fmt"
	"testing"
)

// Each row: a data_type, a JSON value, and what it becomes; "" is a reject.
func TestJSONTypes(t *testing.T) {
	tests := []struct{ dataType, value, want string }{
		{"boolean", "true", "true"},
		{"boolean", "false", "false"},
		{"boolean", "1", ""},
		{"boolean", `"true"`, ""},
		{"boolean", "null", "(null)"},

		{"int", "2147483647", "2147483647"},
		{"int", "-2147483648", "-2147483648"},
		{"int", "2147483648", ""},
		{"int", "-0", "0"},
		{"int", "1.0", ""},
		{"int", "1e2", ""},
		{"int", `"1"`, ""},
		{"int", "true", ""},

		{"long", "9223372036854775807", "9223372036854775807"},
		{"long", "-9223372036854775808", "-9223372036854775808"},
		{"long", "9007199254740993", "9007199254740993"}, // 2^53+1, which float64 does not hold
		{"long", "9223372036854775808", ""},
		{"long", "{}", ""},

		{"float", "0.1", "0.1"},
		{"float", "1e39", ""},
		{"float", `"1"`, ""},
		{"double", "0.1", "0.1"},
		{"double", "-1.5e-7", "-1.5e-07"},
		{"double", "1e309", ""},
		{"double", `"NaN"`, ""},
		{"double", "[1]", ""},

		{"decimal(10,2)", "12.34", "12.34"},
		{"decimal(10,2)", "-12.3", "-12.3"},
		{"decimal(10,2)", "0.1", "0.1"}, // not representable in binary
		{"decimal(10,2)", `"99999999.99"`, "99999999.99"},
		{"decimal(10,2)", "100000000", ""},
		{"decimal(10,2)", "1.005", ""},
		{"decimal(10,2)", "1.500", "1.5"},
		{"decimal(10,2)", "15e-1", "1.5"},
		{"decimal(10,2)", "1.2E+3", "1200"},
		{"decimal(10,2)", "0e999999999999", "0"},
		{"decimal(10,2)", "1e999999999999", ""},
		{"decimal(10,2)", "1e-999999999999", ""},
		{"decimal(10,2)", `" 1"`, ""},
		{"decimal(10,2)", `"01"`, ""},
		{"decimal(10,2)", `"+1"`, ""},
		{"decimal(10,2)", `""`, ""},
		{"decimal(10,2)", `"1."`, ""},
		{"decimal(10,2)", "true", ""},
		{"decimal(38,0)", "99999999999999999999999999999999999999", "99999999999999999999999999999999999999"},
		{"decimal(38,0)", "-99999999999999999999999999999999999999", "-99999999999999999999999999999999999999"},
		{"decimal(38,0)", "100000000000000000000000000000000000000", ""},
		{"decimal(38,18)", "12345678901234567890.123456789012345678", "12345678901234567890.123456789012345678"},
		{"decimal(19,0)", "1234567890123456789", "1234567890123456789"},

		{"string", `"a"`, "a"},
		{"string", `""`, ""},
		{"string", `"\"\\\/\b\f\n\r\té\ud83d\ude00"`, "\"\\/\b\f\n\r\té😀"},
		{"string", `"\ud800"`, "\ufffd"},
		{"string", `"\ud800\u0041"`, "\ufffdA"},
		{"string", `{"a": [1, "}"]}`, `{"a": [1, "}"]}`},
		{"string", `[1,2]`, `[1,2]`},
		{"string", "1", "reject"},
		{"string", "true", "reject"},

		{"binary", `"AP8="`, "AP8="},
		{"binary", `"AP8"`, ""},
		{"binary", `"A\u0050\u00388="`, ""},
		{"binary", `"\u0041P8="`, "AP8="},
		{"binary", "[0]", ""},

		{"date", `"2024-02-29"`, "2024-02-29"},
		{"date", `"0001-01-01"`, "0001-01-01"},
		{"date", `"1969-12-31"`, "1969-12-31"},
		{"date", `"2023-02-29"`, ""},
		{"date", `"2024-2-9"`, ""},
		{"date", `"2024-02-29T00:00:00Z"`, ""},
		{"date", "19782", ""},

		{"timestamptz", `"2024-02-29T12:34:56Z"`, "2024-02-29T12:34:56Z"},
		{"timestamptz", `"2024-02-29T12:34:56.789+01:30"`, "2024-02-29T11:04:56.789Z"},
		{"timestamptz", `"1969-12-31T23:59:59.999999999Z"`, "1969-12-31T23:59:59.999999Z"},
		{"timestamptz", `"2024-02-29T12:34:56"`, ""},
		{"timestamptz", `"2024-02-29 12:34:56Z"`, ""},
		{"timestamptz", `"2024-02-29T1:34:56Z"`, ""},
		{"timestamptz", `"2024-02-29T12:34:56,5Z"`, ""},
		{"timestamptz", `"2024-02-29T24:00:00Z"`, ""},
		{"timestamptz", `"2024-02-29T12:34:56.Z"`, ""},
		{"timestamptz", `"2024-02-29t12:34:56z"`, ""},
		{"timestamptz", `"2024-02-29T12:34:60Z"`, ""},
		{"timestamptz", `"2024-02-29T12:34:56+24:00"`, ""},
		{"timestamptz", `"2024-02-29T12:34:56+00:60"`, ""},
		{"timestamptz", `"2024-02-29T12:34:56+0100"`, ""},
		{"timestamptz", `"2024-02-29T12:34:56Zx"`, ""},
		{"timestamptz", `"2023-02-29T12:34:56Z"`, ""},
		{"timestamptz", "1709210096", ""},
		{"timestamp", `"2024-02-29T12:34:56.5"`, "2024-02-29T12:34:56.5"},
		{"timestamp", `"2024-02-29T12:34:56"`, "2024-02-29T12:34:56"},
		{"timestamp", `"2024-02-29T12:34:56Z"`, ""},
		{"timestamp", `"2024-02-29T12:34:56+01:00"`, ""},
		{"timestamp", `"2024-02-29T12:34:56."`, ""},
		{"timestamp", `"2024-02-29"`, ""},

		{"list<int>", "[1, null ,3]", "[1,null,3]"},
		{"list<int>", "[]", "[]"},
		{"list<int>", `[1,"2"]`, ""},
		{"list<int>", "1", ""},
		{"list<list<string>>", `[["a"],[],null]`, `[["a"],[],null]`},
		{"struct<a: int, b: string>", `{"b":"x","other":[{}],"a":1}`, `{"a":1,"b":"x"}`},
		{"struct<a: int, b: string>", `{"a":1,"a":null}`, `{"a":null,"b":null}`},
		{"struct<a: int, b: string>", `{"\u0061":1}`, `{"a":1,"b":null}`},
		{"struct<a: int, b: string>", `{"a":{}}`, ""},
		{"struct<a: int, b: string>", `[]`, ""},
		{"map<string, int>", `{"a":1,"b":null}`, `[{"key":"a","value":1},{"key":"b","value":null}]`},
		{"map<string, int>", `{"a":1,"b":2,"\u0061":3}`, `[{"key":"a","value":3},{"key":"b","value":2}]`},
		{"map<int, string>", `{"1":"x"}`, `[{"key":1,"value":"x"}]`},
		{"map<int, string>", `{"0":"x","-0":"y"}`, `[{"key":0,"value":"y"}]`},
		{"map<int, string>", `{"01":"x"}`, ""},
		{"map<int, string>", `{"":"x"}`, ""},
		{"map<date, int>", `{"2024-02-29":1}`, `[{"key":"2024-02-29","value":1}]`},
		{"map<date, int>", `{"today":1}`, ""},
		{"map<string, int>", `{"a":"x"}`, ""},
		{"map<string, struct<a: int>>", `{"k":{"a":1}}`, `[{"key":"k","value":{"a":1}}]`},
	}
	for _, test := range tests {
		t.Run(test.dataType+" "+test.value, func(t *testing.T) {
			rows, rejects := decode(t, compile(t, "json", col("v", test.dataType)), values(`{"v":`+test.value+`}`))
			want, refused := []string{"0: " + test.want}, []string(nil)
			if test.want == "reject" || test.want == "" && test.dataType != "string" {
				want, refused = nil, []string{"0 type v"}
			}
			equal(t, "rows", rows, want)
			equal(t, "rejects", rejects, refused)
		})
	}
}

func TestEpochEncodings(t *testing.T) {
	tests := []struct{ encoding, value, want string }{
		{"epoch_s", "0", "1970-01-01T00:00:00Z"},
		{"epoch_s", "1709210096", "2024-02-29T12:34:56Z"},
		{"epoch_s", "1709210096.5", "2024-02-29T12:34:56.5Z"},
		{"epoch_s", "-0.0000001", "1969-12-31T23:59:59.999999Z"},
		{"epoch_s", "1e300", ""},
		{"epoch_s", "9223372036855", ""},
		{"epoch_ms", "1709210096789", "2024-02-29T12:34:56.789Z"},
		{"epoch_ms", "-1", "1969-12-31T23:59:59.999Z"},
		{"epoch_us", "1709210096789012", "2024-02-29T12:34:56.789012Z"},
		{"epoch_us", "9223372036854775808", ""},
		{"epoch_ns", "1709210096789012345", "2024-02-29T12:34:56.789012Z"},
		{"epoch_ns", "-1", "1969-12-31T23:59:59.999999Z"},
		{"epoch_ms", `"1709210096789"`, ""},
		{"epoch_ms", "true", ""},
	}
	for _, test := range tests {
		t.Run(test.encoding+" "+test.value, func(t *testing.T) {
			d := compile(t, "json", encoded(col("at", "timestamptz"), test.encoding))
			rows, rejects := decode(t, d, values(`{"at":`+test.value+`}`))
			if test.want == "" {
				equal(t, "rejects", rejects, []string{"0 type at"})
				return
			}
			equal(t, "rows", rows, []string{"0: " + test.want})
		})
	}
}

func TestJSONPaths(t *testing.T) {
	d := compile(t, "json",
		from(col("city", "string"), "customer.address.city"),
		from(col("address", "string"), "customer.address"),
		col("id", "int"),
		from(col("again", "int"), "id"),
	)
	rows, rejects := decode(t, d, values(
		`{"id":1,"customer":{"address":{"city":"Oslo"}}}`,
		`{"customer":null}`,
		`{"customer":{"address":null},"extra":{"id":9}}`,
		` {"customer":{"address":{"city":"a"}},"customer":{"name":"x"}} `,
		`{"customer":7,"customer":{"address":{"city":"b"}}}`,
		`{"customer":{"address":{"city":"b"}},"customer":7}`,
		`{"customer":{"address":"street"}}`,
		"{\"\\u0069d\"\n:\t5 }",
	))
	equal(t, "rows", rows, []string{
		`0: Oslo|{"city":"Oslo"}|1|1`,
		"1: (null)|(null)|(null)|(null)",
		"2: (null)|(null)|(null)|(null)",
		"3: (null)|(null)|(null)|(null)",
		`4: b|{"city":"b"}|(null)|(null)`,
		"7: (null)|(null)|5|5",
	})
	equal(t, "rejects", rejects, []string{"5 type city", "6 type city"})
	if got, want := d.Stats().UnknownFields, int64(2); got != want {
		t.Errorf("unknown fields: got %d, want %d", got, want)
	}
}

func TestNameWithADotNeedsNoPath(t *testing.T) {
	rows, _ := decode(t, compile(t, "json", col("a.b", "int")), values(`{"a.b":1,"a":{"b":2}}`))
	equal(t, "rows", rows, []string{"0: 1"})
}

func TestDefaults(t *testing.T) {
	d := compile(t, "json",
		required(fallback(col("b", "boolean"), "true")),
		required(fallback(col("l", "long"), " 7 ")),
		required(fallback(col("s", "string"), "7")),
		required(fallback(col("d", "decimal(5,2)"), "1.5")),
		required(fallback(col("day", "date"), "1900-01-01")),
		required(fallback(encoded(col("at", "timestamptz"), "epoch_ms"), "1900-01-01T00:00:00Z")),
		required(fallback(col("tags", "list<string>"), `["x"]`)),
		required(fallback(col("raw", "binary"), "AP8=")),
	)
	const want = `true|7|7|1.5|1900-01-01|1900-01-01T00:00:00Z|["x"]|AP8=`
	rows, rejects := decode(t, d, values(`{}`, `{"b":null,"l":null,"s":null,"d":null,"day":null,"at":null,"tags":null,"raw":null}`,
		`{"b":false,"l":0,"s":"","d":0,"day":"2000-01-01","at":0,"tags":[],"raw":""}`))
	equal(t, "rows", rows, []string{"0: " + want, "1: " + want, "2: false|0||0|2000-01-01|1970-01-01T00:00:00Z|[]|"})
	equal(t, "rejects", rejects, nil)
}

func TestMissingRequiredMembersAreRejected(t *testing.T) {
	d := compile(t, "json", required(col("id", "long")), col("note", "string"))
	rows, rejects := decode(t, d, values(`{"id":1}`, `{}`, `{"id":null}`, `{"ID":2}`))
	equal(t, "rows", rows, []string{"0: 1|(null)"})
	equal(t, "rejects", rejects, []string{"1 missing id", "2 missing id", "3 missing id"})
}

func TestMalformedJSONIsRejected(t *testing.T) {
	broken := []string{
		"", " ", "{", `{"id":1`, `{"id":1}}`, `{"id":1} x`, `{"id":1}{"id":2}`, `{"id":}`, `{id:1}`, `{'id':1}`, `{"id":1,}`,
		`{"id":01}`, `{"id":+1}`, `{"id":1.}`, `{"id":.5}`, `{"id":NaN}`, `{"id":tru}`, "{\"id\":\"\n\"}", `{"id":"\x"}`,
		`{"id":"\ud8"}`, "{\"id\":\"\xff\"}", "\xef\xbb\xbf{\"id\":1}", "{\"id\":1}\x00", `{"other":[1,],"id":1}`,
	}
	d := compile(t, "json", col("id", "long"))
	var want []string
	for i := range broken {
		want = append(want, fmt.Sprintf("%d malformed", i))
	}
	rows, rejects := decode(t, d, values(broken...))
	equal(t, "rows", rows, nil)
	equal(t, "rejects", rejects, want)
}

func TestDocumentsThatAreNoObjectsAreRejected(t *testing.T) {
	rows, rejects := decode(t, compile(t, "json", col("id", "long")), values("1", "[]", `"x"`, "null"))
	equal(t, "rows", rows, nil)
	equal(t, "rejects", rejects, []string{"0 type", "1 type", "2 type", "3 type"})
}

func TestJSONKeysHeadersAndWholeValue(t *testing.T) {
	d := compile(t, "json", from(col("k", "string"), "kafka.key"), from(col("h", "binary"), "kafka.header.h"),
		from(col("doc", "string"), "kafka.value"), col("id", "int"))
	s := values(` {"id" : 1}`, `{"id":2}`)
	s.Records[0].Key = []byte("key")
	s.Records[1].Key = []byte("\xff")
	rows, rejects := decode(t, d, s)
	equal(t, "rows", rows, []string{`0: key|(null)| {"id" : 1}|1`})
	equal(t, "rejects", rejects, []string{"1 type k"})
}
