package decode

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/record"
)

// timeFormats write one value, a whole number or a text, in each format.
var timeFormats = []struct {
	format string
	event  func(value string) string // of the JSON text of the value
	schema func(isText bool) string  // of the registry
	number func(n int64) string      // of formats with schemas
	text   func(s string) string
}{
	{format: "json", event: func(v string) string { return `{"v":` + v + `}` }},
	{format: "debezium-json", event: jsonImage},
	{
		format: "avro",
		schema: func(isText bool) string {
			return fmt.Sprintf(`{"type":"record","name":"R","fields":[{"name":"v","type":%q}]}`, map[bool]string{true: "string", false: "long"}[isText])
		},
		number: func(n int64) string { return wire(1, avroBytes(int(n))) },
		text:   func(s string) string { return wire(1, avroBytes(s)) },
	},
	{
		format: "debezium-avro",
		schema: func(isText bool) string {
			return strings.Replace(rowEvent, `{"name":"email","type":["null","string"]}`, fmt.Sprintf(`{"name":"v","type":%q}`, map[bool]string{true: "string", false: "long"}[isText]), 1)
		},
		number: func(n int64) string { return avroImage(avroBytes(int(n))) },
		text:   func(s string) string { return avroImage(avroBytes(s)) },
	},
	{
		format: "protobuf",
		schema: func(isText bool) string {
			return fmt.Sprintf(`syntax = "proto3"; message R { %s v = 1; }`, map[bool]string{true: "string", false: "int64"}[isText])
		},
		number: func(n int64) string { return wire(1, append([]byte{0}, protobufNumber(1, uint64(n))...)) },
		text:   func(s string) string { return wire(1, append([]byte{0}, protobufBytes(1, []byte(s))...)) },
	},
}

// refusedTime stands for a dead letter of code type.
const refusedTime = math.MinInt64

// TestTimesAtTheEdges: all formats read the same moment, in µs or days, out of
// the same value, or refuse it.
func TestTimesAtTheEdges(t *testing.T) {
	const (
		first = -62_135_596_800_000_000 // 0001-01-01
		last  = 253_402_300_799_999_999 // the end of 9999
	)
	for _, c := range []struct {
		dataType, encoding string
		value              string // in JSON
		want               int64
	}{
		{"timestamptz", "epoch_s", "0", 0},
		{"timestamptz", "epoch_s", "-1", -1_000_000},
		{"timestamptz", "epoch_s", "-62135596800", first},
		{"timestamptz", "epoch_s", "-62135596801", refusedTime},
		{"timestamptz", "epoch_s", "253402300799", last - 999_999},
		{"timestamptz", "epoch_s", "253402300800", refusedTime},
		{"timestamptz", "epoch_s", "9223372036854775807", refusedTime},
		{"timestamptz", "epoch_s", "-9223372036854775808", refusedTime},
		{"timestamp", "epoch_ms", "-62135596800000", first},
		{"timestamp", "epoch_ms", "-62135596800001", refusedTime},
		{"timestamp", "epoch_ms", "253402300799999", last - 999},
		{"timestamp", "epoch_ms", "253402300800000", refusedTime},
		{"timestamp", "epoch_ms", "9223372036854775807", refusedTime},
		{"timestamp", "debezium.timestamp", "-9223372036854775808", refusedTime},
		{"timestamptz", "epoch_us", "-62135596800000000", first},
		{"timestamptz", "epoch_us", "-62135596800000001", refusedTime},
		{"timestamptz", "epoch_us", "253402300799999999", last},
		{"timestamptz", "epoch_us", "253402300800000000", refusedTime},
		{"timestamptz", "debezium.micro_timestamp", "9223372036854775807", refusedTime},
		{"timestamptz", "epoch_us", "-9223372036854775808", refusedTime},
		{"timestamptz", "epoch_ns", "999", 0},
		{"timestamptz", "epoch_ns", "-1", -1},
		{"timestamptz", "epoch_ns", "-1001", -2},
		{"timestamptz", "debezium.nano_timestamp", "9223372036854775807", 9_223_372_036_854_775},
		{"timestamptz", "epoch_ns", "-9223372036854775808", -9_223_372_036_854_776},
		{"date", "debezium.date", "0", 0},
		{"date", "debezium.date", "-719162", -719_162},
		{"date", "debezium.date", "-719163", refusedTime},
		{"date", "connect.date", "2932896", 2_932_896},
		{"date", "connect.date", "2932897", refusedTime},
		{"date", "connect.date", "2147483648", refusedTime},
		{"date", "connect.date", "-9223372036854775808", refusedTime},
		{"timestamptz", "", `"0001-01-01T00:00:00Z"`, first},
		{"timestamptz", "", `"0001-01-01T00:00:00+00:01"`, refusedTime},
		{"timestamptz", "", `"0000-12-31T23:59:59Z"`, refusedTime},
		{"timestamptz", "", `"-0001-01-01T00:00:00Z"`, refusedTime},
		{"timestamptz", "", `"9999-12-31T23:59:59.999999Z"`, last},
		{"timestamptz", "", `"9999-12-31T23:59:59.9999999Z"`, last},
		{"timestamptz", "", `"9999-12-31T23:59:59-00:01"`, refusedTime},
		{"timestamptz", "", `"10000-01-01T00:00:00Z"`, refusedTime},
		{"timestamptz", "", `"2016-12-31T23:59:60Z"`, refusedTime},
		{"timestamptz", "", `"1970-01-01T24:00:00Z"`, refusedTime},
		{"timestamptz", "", `"1970-01-01T00:00:00-00:00"`, 0},
		{"timestamptz", "", `"1969-12-31T23:59:59.9999999Z"`, -1},
		{"timestamptz", "", `"2023-02-29T00:00:00Z"`, refusedTime},
		{"timestamptz", "", `"1970-01-01T00:00:00"`, refusedTime},
		{"timestamptz", "debezium.zoned_timestamp", `"0001-01-01T00:00:00Z"`, first},
		{"timestamptz", "debezium.zoned_timestamp", `"2016-12-31T23:59:60Z"`, refusedTime},
		{"timestamp", "", `"0001-01-01T00:00:00"`, first},
		{"timestamp", "", `"9999-12-31T23:59:59.999999"`, last},
		{"timestamp", "", `"1970-01-01T00:00:00Z"`, refusedTime},
		{"timestamp", "strptime:%Y-%m-%d %H:%M:%S", `"0001-01-01 00:00:00"`, first},
		{"timestamp", "strptime:%Y-%m-%d %H:%M:%S", `"0000-12-31 23:59:59"`, refusedTime},
		{"date", "", `"0001-01-01"`, -719_162},
		{"date", "", `"0000-12-31"`, refusedTime},
		{"date", "", `"9999-12-31"`, 2_932_896},
		{"date", "", `"10000-01-01"`, refusedTime},
		{"date", "", `"1970-01-01T00:00:00Z"`, refusedTime},
	} {
		column := encoded(col("v", c.dataType), c.encoding)
		for _, f := range timeFormats {
			spec, value := Spec{Format: f.format, Columns: []Column{column}}, ""
			text, isText := strings.CutPrefix(strings.TrimSuffix(c.value, `"`), `"`)
			n, _ := strconv.ParseInt(c.value, 10, 64)
			switch {
			case f.event != nil:
				value = f.event(c.value)
			case isText:
				spec.Schemas, value = newSchemas(map[int]string{1: f.schema(true)}), f.text(text)
			default:
				spec.Schemas, value = newSchemas(map[int]string{1: f.schema(false)}), f.number(n)
			}
			if got := timeOf(t, spec, value); got != c.want {
				t.Errorf("%s: %s %s %s: got %s, want %s", f.format, c.dataType, c.encoding, c.value, timeText(got), timeText(c.want))
			}
		}
	}
}

// TestNegativeZeroIsZero: JSON writes it, and so does Avro as a double.
func TestNegativeZeroIsZero(t *testing.T) {
	for _, encoding := range []string{"epoch_s", "epoch_ms", "epoch_us", "epoch_ns"} {
		for _, value := range []string{"-0", "-0.0", "-0e0"} {
			for _, f := range timeFormats[:2] {
				spec := Spec{Format: f.format, Columns: []Column{encoded(col("v", "timestamptz"), encoding)}}
				if got := timeOf(t, spec, f.event(value)); got != 0 {
					t.Errorf("%s: %s %s: got %s, want 0", f.format, encoding, value, timeText(got))
				}
			}
		}
	}
	double := `{"type":"record","name":"R","fields":[{"name":"v","type":"double"}]}`
	spec := registered("avro", newSchemas(map[int]string{1: double}), encoded(col("v", "timestamptz"), "epoch_s"))
	if got := timeOf(t, spec, wire(1, []byte{0, 0, 0, 0, 0, 0, 0, 0x80})); got != 0 {
		t.Errorf("avro: got %s, want 0", timeText(got))
	}
}

// timeOf decodes a record of one column.
func timeOf(t *testing.T, spec Spec, value string) int64 {
	t.Helper()
	batch, rejects, err := compileSpec(t, spec).Decode(context.Background(), values(value))
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Release()
	if len(rejects) == 1 && rejects[0].Code == record.CodeType && rejects[0].Column == "v" {
		return refusedTime
	}
	if len(rejects) != 0 || batch.Rows.NumRows() != 1 || batch.Rows.Column(0).IsNull(0) {
		t.Fatalf("%s: got %d rows and rejects %v, want a value or a reject of the column's type", spec.Format, batch.Rows.NumRows(), rejects)
	}
	if spec.Columns[0].Type.ID() == arrow.DATE32 {
		return int64(batch.Rows.Column(0).(*array.Date32).Value(0))
	}
	return int64(batch.Rows.Column(0).(*array.Timestamp).Value(0))
}

func timeText(n int64) string {
	if n == refusedTime {
		return "refused"
	}
	return strconv.FormatInt(n, 10)
}
