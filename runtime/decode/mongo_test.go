package decode

import (
	"encoding/json"
	"testing"
)

// Each row: a data_type, a value of extended JSON, and what it becomes; "" is a
// reject.
func TestExtendedJSON(t *testing.T) {
	tests := []struct{ dataType, value, want string }{
		{"string", `{"$oid":"596e275826f08b2730779e1f"}`, "596e275826f08b2730779e1f"},
		{"string", `{"$uuid":"c8edabc3-f738-4ca3-b68d-ab92a91478a3"}`, "c8edabc3-f738-4ca3-b68d-ab92a91478a3"},
		{"string", `{"$numberDecimal":"12.50"}`, "12.50"},
		{"string", `{"$date":1583366517000}`, "2020-03-05T00:01:57.000Z"},
		{"string", `{"$oid":"x","more":1}`, `{"$oid":"x","more":1}`},
		{"string", `{"a":{"$oid":"x"}}`, `{"a":{"$oid":"x"}}`},
		{"string", `{"$regex":"a"}`, `{"$regex":"a"}`},
		{"string", `{}`, `{}`},
		{"int", `{"$numberInt":"-7"}`, "-7"},
		{"int", `{"$numberLong":"3000000000"}`, ""},
		{"long", `{"$numberLong":"3000000000"}`, "3000000000"},
		{"long", `{"$numberLong":3000000000}`, ""},
		{"long", `{"$oid":"x"}`, ""},
		{"long", `{"$date":{"$numberLong":"-1"}}`, "-1"},
		{"double", `{"$numberDouble":"1.5"}`, "1.5"},
		{"double", `{"$numberDouble":"NaN"}`, "NaN"},
		{"double", `{"$numberDouble":"-Infinity"}`, "-Inf"},
		{"double", `{"$numberDouble":"Inf"}`, ""},
		{"decimal(10,2)", `{"$numberDecimal":"12.50"}`, "12.5"},
		{"decimal(10,2)", `{"$numberDecimal":"1.25E+1"}`, "12.5"},
		{"decimal(10,2)", `{"$numberDecimal":"NaN"}`, ""},
		{"timestamptz", `{"$date":1583366517123}`, "2020-03-05T00:01:57.123Z"},
		{"timestamptz", `{"$date":{"$numberLong":"1583366517123"}}`, "2020-03-05T00:01:57.123Z"},
		{"timestamptz", `{"$date":"2020-03-05T00:01:57.123Z"}`, "2020-03-05T00:01:57.123Z"},
		{"timestamptz", `{"$date":true}`, ""},
		{"timestamptz", `{"$date":{"a":1}}`, ""},
		{"timestamp", `{"$date":1583366517123}`, "2020-03-05T00:01:57.123"},
		{"date", `{"$date":1583366517123}`, "2020-03-05"},
		{"date", `{"$date":"2020-03-05T00:01:57.123Z"}`, "2020-03-05"},
		{"date", `{"$date":999999999999999}`, ""},
		{"binary", `{"$binary":"AP8=","$type":"00"}`, "AP8="},
		{"binary", `{"$binary":{"base64":"AP8=","subType":"00"}}`, "AP8="},
		{"binary", `{"$binary":{"subType":"00"}}`, ""},
		{"list<long>", `[{"$numberLong":"1"},2]`, "[1,2]"},
		{"struct<a: timestamptz>", `{"a":{"$date":0}}`, `{"a":"1970-01-01T00:00:00Z"}`},
		{"boolean", `true`, "true"},
	}
	for _, test := range tests {
		t.Run(test.dataType+" "+test.value, func(t *testing.T) {
			text, err := json.Marshal(`{"v":` + test.value + `}`)
			if err != nil {
				t.Fatal(err)
			}
			document := `{"op":"c","source":{"connector":"mongodb"},"after":` + string(text) + `}`
			rows, rejects := changeRows(t, Spec{Format: "debezium-json", Columns: []Column{col("v", test.dataType)}}, values(document))
			if test.want == "" {
				if len(rows) != 0 || len(rejects) != 1 || rejects[0][:len("0 type v")] != "0 type v" {
					t.Errorf("got rows %q, rejects %q; want a reject of v", rows, rejects)
				}
				return
			}
			equal(t, "rows", rows, []string{"0: c (null) (null) [] | " + test.want})
		})
	}
}

// What is extended JSON in MongoDB's documents is an object like any other
// elsewhere.
func TestExtendedJSONIsOfDocumentsAlone(t *testing.T) {
	rows, _ := changeRows(t, Spec{Format: "debezium-json", Columns: []Column{col("v", "string")}}, values(`{"op":"c","after":{"v":{"$oid":"x"}}}`))
	equal(t, "rows", rows, []string{`0: c (null) (null) [] | {"$oid":"x"}`})
}
