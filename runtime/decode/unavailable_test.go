package decode

import (
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"testing"
)

const placeholder = "__debezium_unavailable_value"

// placeholderNumbers are the numbers that Debezium writes for an untouched array
// of numbers.
func placeholderNumbers(of func(b byte) string) string {
	var all []string
	for _, b := range []byte(placeholder) {
		all = append(all, of(b))
	}
	return strings.Join(all, ",")
}

func whole(b byte) string { return strconv.Itoa(int(b)) }

// TestPlaceholderForms: every form that Debezium gives the placeholder of an
// untouched value (UnchangedToastedPlaceholder in its PostgreSQL connector), in
// JSON and in Avro, is null and listed; a neighbour of each is a value. There is
// none for arrays of other types, as of booleans.
func TestPlaceholderForms(t *testing.T) {
	const uuid = "b68a35a7-17ad-35b3-af2a-ae46edb4545a"
	text, inBase64 := strconv.Quote(placeholder), strconv.Quote(base64.StdEncoding.EncodeToString([]byte(placeholder)))
	whole, pointed := placeholderNumbers(whole), placeholderNumbers(func(b byte) string { return whole(b) + ".0" })
	array := func(values ...any) []byte { return avroBytes(append(append([]any{len(values)}, values...), 0)...) }
	var numbers []any
	for _, b := range []byte(placeholder) {
		numbers = append(numbers, int(b))
	}
	arrayOf := func(items string) string { return `{"type":"array","items":` + items + `}` }
	for _, c := range []struct {
		name, dataType, encoding string
		json, otherJSON          string
		schema                   string // of Avro
		avro, otherAvro          []byte
	}{
		{"text", "string", "", text, `"__debezium"`, `"string"`, avroBytes(placeholder), avroBytes(placeholder[:10])},
		{"bytes", "binary", "", inBase64, `"AP8="`, `"bytes"`, avroBytes(placeholder), avroBytes("\x00\xff")},
		{"bytes as hexadecimal", "binary", "hex", strconv.Quote(hex.EncodeToString([]byte(placeholder))), `"00ff"`, `"string"`,
			avroBytes(hex.EncodeToString([]byte(placeholder))), avroBytes("00ff")},
		{"decimal", "decimal(10,2)", "connect.decimal", inBase64, `"AP8="`, `{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}`, avroBytes(placeholder), avroBytes("\x00\xff")},
		{"json", "string", "", text, `"{}"`, `"string"`, avroBytes(placeholder), avroBytes("{}")},
		{"hstore as json", "string", "", strconv.Quote("{" + text + ":" + text + "}"), strconv.Quote("{" + text + `:"x"}`), `"string"`, avroBytes("{" + text + ":" + text + "}"), avroBytes("{" + text + `:"x"}`)},
		{"hstore as a map", "map<string,string>", "", "{" + text + ":" + text + "}", `{"a":"b"}`, `{"type":"map","values":["null","string"]}`,
			avroBytes(1, placeholder, 1, placeholder, 0), avroBytes(1, "a", 1, "b", 0)},
		{"array of text", "list<string>", "", "[" + text + "]", "[" + text + `,"x"]`, arrayOf(`["null","string"]`), avroBytes(1, 1, placeholder, 0), avroBytes(2, 1, placeholder, 1, "x", 0)},
		{"array of bytes", "list<binary>", "", "[" + inBase64 + "]", `["AP8="]`, arrayOf(`"bytes"`), array(placeholder), array("\x00\xff")},
		{"array of uuid", "list<string>", "", `["` + uuid + `"]`, `["` + uuid + `","x"]`, arrayOf(`"string"`), array(uuid), array(uuid, "x")},
		{"array of int", "list<int>", "", "[" + whole + "]", "[" + strings.Replace(whole, "95", "96", 1) + "]", arrayOf(`"int"`), array(numbers...), array(numbers[1:]...)},
		{"array of date", "list<date>", "debezium.date", "[" + whole + "]", "", arrayOf(`{"type":"int","logicalType":"date"}`), array(numbers...), array(numbers[1:]...)},
		{"array of bigint", "list<long>", "", "[" + whole + "]", "[" + whole + ",95]", arrayOf(`"long"`), array(numbers...), array(append(numbers, 95)...)},
		{"array of double", "list<double>", "", "[" + pointed + "]", "[" + pointed + ",0.5]", "", nil, nil},
		{"array of float", "list<float>", "", "[" + pointed + "]", "[" + strings.Replace(pointed, "95.0", "95.5", 1) + "]", "", nil, nil},
		{"array of boolean", "list<boolean>", "", "", "[true,false]", arrayOf(`"boolean"`), nil, avroBytes(2, []byte{1, 0}, 0)},
	} {
		t.Run(c.name, func(t *testing.T) {
			column := col("v", c.dataType)
			column.Encoding = c.encoding
			if strings.HasPrefix(c.dataType, "list<") {
				column.Encoding = ""
			}
			inJSON := Spec{Format: "debezium-json", Columns: []Column{column}}
			wantPlaceholder(t, inJSON, jsonImage(c.json), true)
			wantPlaceholder(t, inJSON, jsonImage(c.otherJSON), false)
			if c.schema == "" {
				return
			}
			column.Encoding = strings.TrimPrefix(column.Encoding, "connect.decimal")
			schema := strings.Replace(rowEvent, `{"name":"email","type":["null","string"]}`, `{"name":"v","type":`+c.schema+`}`, 1)
			inAvro := registered("debezium-avro", newSchemas(map[int]string{1: schema}), column)
			wantPlaceholder(t, inAvro, avroImage(c.avro), true)
			wantPlaceholder(t, inAvro, avroImage(c.otherAvro), false)
		})
	}
}

func jsonImage(v string) string {
	if v == "" {
		return ""
	}
	return `{"op":"u","source":{"connector":"postgresql","ts_ms":1,"lsn":5},"after":{"v":` + v + `}}`
}

func avroImage(v []byte) string {
	if v == nil {
		return ""
	}
	return wire(1, avroEvent(nil, avroBytes(1, 1, v), "postgresql", "u"))
}

// wantPlaceholder decodes an event, "" for none.
func wantPlaceholder(t *testing.T, spec Spec, event string, want bool) {
	t.Helper()
	if event == "" {
		return
	}
	rows, rejects := changeRows(t, spec, values(event))
	if len(rows) != 1 || len(rejects) != 0 {
		t.Fatalf("%s: got rows %q and rejects %q, want one row", spec.Format, rows, rejects)
	}
	if got := strings.HasSuffix(rows[0], ` ["v"] | (null)`); got != want || !got && strings.HasSuffix(rows[0], "(null)") {
		t.Errorf("%s: got %s, want the placeholder recognized: %v", spec.Format, rows[0], want)
	}
}
