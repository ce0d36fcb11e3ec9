package cast

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"github.com/calvelake/calve/runtime/record"
)

// fixture is a cast with a vector of one row to write.
type fixture struct {
	*Cast
	v *vector.Vector
}

func newFixture(t testing.TB, typ, encoding string) fixture {
	t.Helper()
	parsed, err := record.ParseType(typ)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(parsed, encoding)
	if err != nil {
		t.Fatal(err)
	}
	v, err := vector.New(parsed)
	if err != nil {
		t.Fatal(err)
	}
	v.Reserve(1, 0)
	return fixture{c, v}
}

// value is the row as text, for comparison.
func (f fixture) value() string {
	switch f.v.Kind {
	case vector.Boolean:
		return strconv.FormatBool(f.v.Bits[0]&1 == 1)
	case vector.Int, vector.Date:
		return fmt.Sprint(f.v.I32[0])
	case vector.Long, vector.Timestamp:
		return fmt.Sprint(f.v.I64[0])
	case vector.Float:
		return fmt.Sprint(f.v.F32[0])
	case vector.Double:
		return fmt.Sprint(f.v.F64[0])
	case vector.Decimal:
		return f.v.Decimals[0].ToString(f.scale)
	}
	return string(f.v.Data[:f.v.Offsets[1]])
}

// write hands in to the method that a row of a table names.
func (f fixture) write(method, in string) error {
	f.v.Rollback(0)
	switch method {
	case "bool":
		return f.Bool(f.v, 0, in == "true")
	case "long":
		x, err := strconv.ParseInt(in, 10, 64)
		if err != nil {
			panic(err)
		}
		return f.Long(f.v, 0, x)
	case "double":
		x, err := strconv.ParseFloat(in, 64)
		if err != nil {
			panic(err)
		}
		return f.Double(f.v, 0, x)
	case "number":
		return f.Number(f.v, 0, []byte(in))
	case "text":
		return f.Text(f.v, 0, []byte(in))
	case "plain":
		return f.Plain(f.v, 0, []byte(in))
	case "bytes":
		return f.Bytes(f.v, 0, []byte(in))
	}
	scale, err := strconv.Atoi(strings.TrimPrefix(method, "unscaled "))
	if err != nil {
		panic(err)
	}
	return f.Unscaled(f.v, 0, []byte(in), scale)
}

const (
	wholeInt  = "int, a whole number from -2147483648 to 2147483647"
	wholeLong = "long, a whole number from -9223372036854775808 to 9223372036854775807"
)

func TestValuesAreWrittenAsTheirTypeOrRefused(t *testing.T) {
	for _, tt := range []struct{ typ, encoding, method, in, want, expected string }{
		{"boolean", "", "bool", "true", "true", ""},
		{"boolean", "", "long", "1", "", "true or false"},
		{"boolean", "", "number", "1", "", "true or false"},
		{"boolean", "", "text", "true", "", "true or false"},
		{"boolean", "", "plain", "true", "true", ""},
		{"boolean", "", "plain", "false", "false", ""},
		{"boolean", "", "plain", "TRUE", "", "true or false"},

		{"int", "", "long", "2147483647", "2147483647", ""},
		{"int", "", "long", "2147483648", "", wholeInt},
		{"int", "", "number", "-2147483648", "-2147483648", ""},
		{"int", "", "number", "-2147483649", "", wholeInt},
		{"int", "", "number", "1.0", "", wholeInt},
		{"int", "", "number", "1e2", "", wholeInt},
		{"int", "", "number", "01", "", wholeInt},
		{"int", "", "number", "-", "", wholeInt},
		{"int", "", "number", "", "", wholeInt},
		{"int", "", "double", "1", "", wholeInt},
		{"int", "", "text", "1", "", wholeInt},
		{"int", "", "bytes", "1", "", wholeInt},
		{"int", "", "plain", "1", "1", ""},
		{"int", "", "plain", "+1", "", wholeInt},
		{"long", "", "number", "9223372036854775807", "9223372036854775807", ""},
		{"long", "", "number", "-9223372036854775808", "-9223372036854775808", ""},
		{"long", "", "number", "9223372036854775808", "", wholeLong},
		{"long", "", "number", "-9223372036854775809", "", wholeLong},
		{"long", "", "number", "18446744073709551617", "", wholeLong},
		{"long", "", "bool", "true", "", wholeLong},
		{"long", "", "plain", "-0", "0", ""},
		{"long", "debezium.nano_time", "long", "86399999999999", "86399999999999", ""},
		{"int", "connect.time", "number", "86399999", "86399999", ""},
		{"long", "debezium.micro_time", "text", "1", "", wholeLong},

		{"float", "", "double", "0.1", "0.1", ""},
		{"float", "", "double", "1e39", "", "float, a number in its range"},
		{"float", "", "double", "Inf", "+Inf", ""},
		{"float", "", "double", "NaN", "NaN", ""},
		{"float", "", "number", "1e39", "", "float, a number in its range"},
		{"float", "", "long", "3", "3", ""},
		{"double", "", "number", "1.5e300", "1.5e+300", ""},
		{"double", "", "number", "1e309", "", "double, a number in its range"},
		{"double", "", "number", "0x1p3", "", "double, a number"},
		{"double", "", "plain", "NaN", "", "double, a number"},
		{"double", "", "plain", "2.5", "2.5", ""},
		{"double", "", "long", "9007199254740993", "9.007199254740992e+15", ""},
		{"double", "", "text", "1", "", "double, a number"},

		{"decimal(4,2)", "", "number", "12.5", "12.50", ""},
		{"decimal(4,2)", "", "number", "99.99", "99.99", ""},
		{"decimal(4,2)", "", "number", "100", "", "decimal(4,2), at most 2 digits before the decimal point"},
		{"decimal(4,2)", "", "number", "1.001", "", "decimal(4,2), at most 2 decimal places"},
		{"decimal(4,2)", "", "text", "-1.1", "-1.10", ""},
		{"decimal(4,2)", "", "text", "x", "", "decimal(4,2), a number or a string that holds one"},
		{"decimal(4,2)", "", "plain", "1e1", "10.00", ""},
		{"decimal(4,2)", "", "long", "-99", "-99.00", ""},
		{"decimal(4,2)", "", "long", "100", "", "decimal(4,2), at most 2 digits before the decimal point"},
		{"decimal(4,2)", "", "double", "1", "", "decimal(4,2), a number or a string that holds one"},
		{"decimal(4,2)", "", "bytes", "\x27\x0f", "99.99", ""},
		{"decimal(4,2)", "", "bytes", "\x27\x10", "", "decimal(4,2), at most 2 digits before the decimal point"},
		{"decimal(4,2)", "", "bytes", "\xff", "-0.01", ""},
		{"decimal(4,2)", "", "bytes", "", "", "decimal(4,2), a number or a string that holds one"},
		{"decimal(4,2)", "", "unscaled 0", "\x05", "5.00", ""},
		{"decimal(4,2)", "", "unscaled 3", "\x0a", "0.01", ""},
		{"decimal(4,2)", "", "unscaled 3", "\x0b", "", "decimal(4,2), at most 2 decimal places"},
		{"decimal(4,2)", "", "unscaled -1", "\x09", "90.00", ""},
		{"decimal(4,2)", "", "unscaled -2147483648", "\x09", "", "decimal(4,2), at most 2 digits before the decimal point"},
		{"decimal(4,2)", "", "unscaled 2147483647", "\x09", "", "decimal(4,2), at most 2 decimal places"},
		{"decimal(4,2)", "", "unscaled -2147483648", "\x00", "0.00", ""},
		{"decimal(38,0)", "", "bytes", "\x80" + strings.Repeat("\x00", 15), "", "decimal(38,0), at most 38 digits before the decimal point"},
		{"decimal(38,0)", "", "unscaled 0", strings.Repeat("\x00", 40) + "\x07", "7", ""},
		{"decimal(38,0)", "", "unscaled 0", "\x01" + strings.Repeat("\x00", 200), "", "decimal(38,0), at most 38 digits before the decimal point"},
		{"decimal(4,2)", "connect.decimal", "text", "Jw8=", "99.99", ""},
		{"decimal(4,2)", "connect.decimal", "text", "JxA=", "", "decimal(4,2), at most 2 digits before the decimal point"},
		{"decimal(4,2)", "connect.decimal", "text", "?", "", "decimal(4,2), a string of base64 that holds a two's complement number (connect.decimal)"},
		{"decimal(4,2)", "connect.decimal", "text", "", "", "decimal(4,2), a string of base64 that holds a two's complement number (connect.decimal)"},
		{"decimal(4,2)", "connect.decimal", "number", "1", "", "decimal(4,2), a string of base64 that holds a two's complement number (connect.decimal)"},
		{"decimal(4,2)", "debezium.variable_scale_decimal", "unscaled 1", "\x0f", "1.50", ""},
		{"decimal(4,2)", "debezium.variable_scale_decimal", "text", "1.5", "", "decimal(4,2), an object of scale and value (debezium.variable_scale_decimal)"},

		{"string", "", "text", "é", "é", ""},
		{"string", "", "bytes", "é", "é", ""},
		{"string", "", "bytes", "\xff", "", "string, valid UTF-8"},
		{"string", "", "plain", "\xff", "", "string, valid UTF-8"},
		{"string", "", "plain", "5", "5", ""},
		{"string", "", "number", "5", "", "string, in quotes"},
		{"string", "", "bool", "true", "", "string, in quotes"},
		{"string", "debezium.zoned_time", "text", "12:34:56.789Z", "12:34:56.789Z", ""},
		{"string", "debezium.zoned_time", "text", "12:34", "", `string, a time of day with an offset, as in "12:34:56.789Z"`},
		{"binary", "", "text", "AQI=", "\x01\x02", ""},
		{"binary", "", "text", "AQI", "", "binary, a string of base64"},
		{"binary", "", "bytes", "\xff", "\xff", ""},
		{"binary", "", "plain", "\xff", "\xff", ""},
		{"binary", "base64", "plain", "AQI=", "\x01\x02", ""},
		{"binary", "hex", "text", "0aFF", "\x0a\xff", ""},
		{"binary", "hex", "text", "0aF", "", "binary, a string of hex digits"},
		{"binary", "hex", "text", "0aFx", "", "binary, a string of hex digits"},
		{"binary", "hex", "bytes", "0a", "", "binary, a string of hex digits"},

		{"date", "", "text", "1970-01-02", "1", ""},
		{"date", "", "text", "1970-1-2", "", `date, as in "2024-02-29"`},
		{"date", "", "number", "1", "", `date, as in "2024-02-29"`},
		{"date", "", "long", "-719162", "-719162", ""},
		{"date", "", "long", "2147483648", "", `date, as in "2024-02-29"`},
		{"date", "connect.date", "number", "19782", "19782", ""},
		{"date", "debezium.date", "long", "19782", "19782", ""},
		{"date", "debezium.date", "number", "1.5", "", "date, a whole number of days since 1970 in 32 bits"},
		{"date", "debezium.date", "text", "1970-01-02", "", "date, a whole number of days since 1970 in 32 bits"},
		{"date", "debezium.date", "plain", "7", "7", ""},
		{"date", "strptime:%d/%m/%Y", "text", "29/02/2024", "19782", ""},
		{"date", "strptime:%d/%m/%Y", "long", "1", "", "date, as the layout %d/%m/%Y"},
		{"date", "strptime:%d/%m/%Y", "text", "29/02/2023", "", "date, as the layout %d/%m/%Y"},

		{"timestamptz", "", "text", "1970-01-01T00:00:01+01:00", "-3599000000", ""},
		{"timestamptz", "", "text", "1970-01-01T00:00:01", "", timeExpected[timestamptz]},
		{"timestamptz", "", "long", "1", "", timeExpected[timestamptz]},
		{"timestamptz", "", "number", "1", "", timeExpected[timestamptz]},
		{"timestamptz", "", "plain", "1970-01-01T00:00:01Z", "1000000", ""},
		{"timestamp", "", "text", "1970-01-01T00:00:01.0000019", "1000001", ""},
		{"timestamp", "", "text", "1970-01-01T00:00:01Z", "", timeExpected[timestamp]},
		{"timestamp", "debezium.zoned_timestamp", "text", "1970-01-01T00:00:01Z", "1000000", ""},
		{"timestamp", "debezium.zoned_timestamp", "long", "1", "", `timestamp, as in "2024-02-29T12:34:56.789Z" (RFC 3339, with offset)`},
		{"timestamptz", "epoch_s", "number", "-1.5", "-1500000", ""},
		{"timestamptz", "epoch_s", "long", "9223372036855", "", "timestamptz, a number of seconds since 1970 that microseconds in 64 bits can hold"},
		{"timestamptz", "epoch_s", "number", "1e13", "", "timestamptz, a number of seconds since 1970 that microseconds in 64 bits can hold"},
		{"timestamptz", "epoch_s", "text", "1", "", "timestamptz, a number of seconds since 1970"},
		{"timestamptz", "epoch_s", "plain", "1", "1000000", ""},
		{"timestamptz", "epoch_s", "double", "1.1", "1100000", ""},
		{"timestamptz", "epoch_s", "double", "NaN", "", "timestamptz, a number of seconds since 1970"},
		{"timestamptz", "epoch_ms", "long", "-1", "-1000", ""},
		{"timestamptz", "epoch_us", "long", "-1", "-1", ""},
		{"timestamptz", "epoch_ns", "long", "-1", "-1", ""},
		{"timestamptz", "epoch_ns", "number", "-1000", "-1", ""},
		{"timestamptz", "epoch_ns", "number", "-1001", "-2", ""},
		{"timestamptz", "epoch_ns", "number", "9223372036854775808000", "", "timestamptz, a number of nanoseconds since 1970 that microseconds in 64 bits can hold"},
		{"timestamptz", "epoch_ns", "number", "9223372036854775807999", "9223372036854775807", ""},
		{"timestamp", "connect.timestamp", "long", "5", "5000", ""},
		{"timestamp", "debezium.timestamp", "long", "5", "5000", ""},
		{"timestamp", "debezium.micro_timestamp", "long", "5", "5", ""},
		{"timestamp", "debezium.nano_timestamp", "long", "5999", "5", ""},
		{"timestamp", "strptime:%Y-%m-%d %H:%M:%S", "text", "1970-01-02 00:00:01", "86401000000", ""},
	} {
		name := fmt.Sprintf("%s %s %s %q", tt.typ, tt.encoding, tt.method, tt.in)
		f := newFixture(t, tt.typ, tt.encoding)
		err := f.write(tt.method, tt.in)
		var typed *Error
		switch {
		case tt.expected == "" && err != nil:
			t.Errorf("%s: got error %v, want %s", name, err, tt.want)
		case tt.expected != "" && !errors.As(err, &typed):
			t.Errorf("%s: got error %v, want one that expects %s", name, err, tt.expected)
		case tt.expected != "" && typed.Expected != tt.expected:
			t.Errorf("%s: got expected %q, want %q", name, typed.Expected, tt.expected)
		case tt.expected == "" && f.value() != tt.want:
			t.Errorf("%s: got %q, want %q", name, f.value(), tt.want)
		}
	}
}

func TestLayoutsOfStrptime(t *testing.T) {
	for _, tt := range []struct{ layout, in, want string }{
		{"%Y-%m-%dT%H:%M:%S%z", "2024-02-29T12:34:56+0200", "2024-02-29T10:34:56Z"},
		{"%Y-%m-%dT%H:%M:%S%z", "2024-02-29T12:34:56-05:30", "2024-02-29T18:04:56Z"},
		{"%Y-%m-%dT%H:%M:%S%z", "2024-02-29T12:34:56Z", "2024-02-29T12:34:56Z"},
		{"%Y-%m-%dT%H:%M:%S%z", "2024-02-29T12:34:56+02", "2024-02-29T10:34:56Z"},
		{"%Y-%m-%dT%H:%M:%S%z", "2024-02-29T12:34:56", ""},
		{"%Y-%m-%dT%H:%M:%S%z", "2024-02-29T12:34:56+24", ""},
		{"%Y-%m-%dT%H:%M:%S%z", "2024-02-29T12:34:56+02:", ""},
		{"%F %T.%f", "2024-02-29 12:34:56.1234567", "2024-02-29T12:34:56.123456Z"},
		{"%F %T.%f", "2024-02-29 12:34:56.", ""},
		{"%d/%b/%Y:%H:%M:%S %z", "10/Oct/2000:13:55:36 -0700", "2000-10-10T20:55:36Z"},
		{"%A, %d %B %Y %R", "Thursday, 29 february 2024 23:59", "2024-02-29T23:59:00Z"},
		{"%a %b %e %H:%M:%S %Y", "Thu Feb  9 08:09:10 2024", "2024-02-09T08:09:10Z"},
		{"%D %r", "02/29/24 12:00:01 AM", "2024-02-29T00:00:01Z"},
		{"%D %r", "02/29/69 01:00:01 pm", ""},
		{"%D %I%p", "02/28/69 12PM", "1969-02-28T12:00:00Z"},
		{"%D %I%p", "02/28/68 11xm", ""},
		{"%Y%j", "2024366", "2024-12-31T00:00:00Z"},
		{"%Y%j", "2023366", ""},
		{"%s.%f", "-1.5", "1969-12-31T23:59:58.5Z"},
		{"%s.%f", "-0.5", "1969-12-31T23:59:59.5Z"},
		{"%s.%f", "1.5", "1970-01-01T00:00:01.5Z"},
		{"%s", "99999999999999999", ""},
		{"100%% %Y%n%m%t%d", "100% 2024  02\t3", "2024-02-03T00:00:00Z"},
		{"%Y%m%d", "20240230", ""},
		{"%Y%m%d", "20241301", ""},
		{"%Y%m%d", "2024030", ""},
		{"%Y%m%d", "20240301 ", ""},
		{"%Y%m%d", "x0240301", ""},
		{"%Y%m%d%H", "2024030124", ""},
		{"%Y%m%d%H%M", "202403012360", ""},
		{"%Y-%m-%d", "0000-03-01", "0000-03-01T00:00:00Z"},
		{"%Y-%m-%d", "9999-12-31", "9999-12-31T00:00:00Z"},
	} {
		f := newFixture(t, "timestamptz", "strptime:"+tt.layout)
		err := f.Text(f.v, 0, []byte(tt.in))
		if tt.want == "" {
			if err == nil {
				t.Errorf("%s of %q: got %s, want an error", tt.layout, tt.in, time.UnixMicro(f.v.I64[0]).UTC())
			}
			continue
		}
		want, parseErr := time.Parse(time.RFC3339Nano, tt.want)
		if parseErr != nil {
			t.Fatal(parseErr)
		}
		if err != nil || f.v.I64[0] != want.UnixMicro() {
			t.Errorf("%s of %q: got %s, %v, want %s", tt.layout, tt.in, time.UnixMicro(f.v.I64[0]).UTC(), err, tt.want)
		}
	}
}

func TestEncodingsAreCheckedAgainstTheType(t *testing.T) {
	for _, tt := range []struct{ typ, encoding, want string }{
		{"long", "epoch_ms", `encoding "epoch_ms" is not one of data_type long, which takes one of connect.time, debezium.time, debezium.micro_time, debezium.nano_time`},
		{"boolean", "hex", `encoding "hex" is not one of data_type boolean, which takes no encoding`},
		{"binary", "utf8", `which takes one of base64, hex`},
		{"date", "epoch_s", `which takes one of connect.date, debezium.date, strptime:<layout>`},
		{"string", "strptime:%Y", `which takes one of debezium.zoned_time`},
		{"date", "strptime:%m-%d", `the layout has no year`},
		{"date", "strptime:%Y-%m", `the layout has no day of the year`},
		{"date", "strptime:%Y-%j %Q", `directive %Q is not known`},
		{"date", "strptime:%Y-%j %", `ends in a single %`},
		{"timestamp", "strptime:%F %I:%M", `%I (hours to 12) and %p`},
		{"timestamp", "strptime:%F %T%z", `use timestamptz`},
		{"struct<a: int>", "", `is no scalar`},
	} {
		typ, err := record.ParseType(tt.typ)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = New(typ, tt.encoding); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s: got error %v, want one that contains %q", tt.typ, tt.encoding, err, tt.want)
		}
	}
	if _, err := New(nil, ""); err == nil {
		t.Error("got no error without a type")
	}
	if _, err := New(&arrow.TimestampType{Unit: arrow.Nanosecond}, ""); err == nil {
		t.Error("got no error for a timestamp in nanoseconds")
	}
}

// TestEveryEncodingNamesItsTypes makes a cast of each pair of type and encoding
// that Encodings lists, and writes a value from each source that Takes says.
func TestEveryEncodingNamesItsTypes(t *testing.T) {
	count := 0
	for _, typ := range []string{"boolean", "int", "long", "float", "double", "decimal(9,2)", "string", "binary", "date", "timestamp", "timestamptz"} {
		parsed, err := record.ParseType(typ)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range append(Encodings(parsed), "") {
			e = strings.Replace(e, "<layout>", "%Y-%m-%d", 1)
			f := newFixture(t, typ, e)
			count++
			for source, methods := range map[Source]map[string][]string{
				FromBool: {"bool": {"true"}}, FromLong: {"long": {"5"}}, FromDouble: {"double": {"5"}}, FromNumber: {"number": {"5"}},
				FromText:  {"text": {"5", "QUI=", "0a0b", "2024-02-29", "2024-02-29T12:34:56", "2024-02-29T12:34:56Z", "12:34:56Z"}},
				FromBytes: {"bytes": {"5"}}, FromUnscaled: {"unscaled 1": {"\x64"}},
			} {
				took := false
				for method, values := range methods {
					for _, in := range values {
						took = took || f.write(method, in) == nil
					}
				}
				if took != f.Takes(source) {
					t.Errorf("%s %q: source %d: got a value written %v, Takes says %v", typ, e, source, took, f.Takes(source))
				}
			}
		}
	}
	if want := 11 + 36; count != want {
		t.Errorf("got %d pairs of type and encoding, want %d", count, want)
	}
}

// TestDecimalsEqualBigRationals compares with math/big.
func TestDecimalsEqualBigRationals(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	written := 0
	for range 20_000 {
		precision := 1 + random.IntN(38)
		scale := random.IntN(precision + 1)
		f := newFixture(t, fmt.Sprintf("decimal(%d,%d)", precision, scale), "")
		raw := make([]byte, 1+random.IntN(18))
		for i := range raw {
			raw[i] = byte(random.Uint32())
		}
		if random.IntN(2) == 0 { // make numbers end in zeros
			raw = twos(new(big.Int).Mul(fromTwos(raw[:1]), power(random.IntN(40))))
		}
		from := random.IntN(60) - 20
		err := f.Unscaled(f.v, 0, raw, from)
		want := new(big.Rat).SetInt(fromTwos(raw))
		if shift := new(big.Rat).SetInt(power(max(from, -from))); from > 0 {
			want.Quo(want, shift)
		} else {
			want.Mul(want, shift)
		}
		want.Mul(want, new(big.Rat).SetInt(power(scale)))
		fits := want.IsInt() && new(big.Int).Abs(want.Num()).Cmp(power(precision)) < 0
		if fits != (err == nil) {
			t.Fatalf("%x × 10^-%d as decimal(%d,%d): got error %v, want it to fit: %v", raw, from, precision, scale, err, fits)
		}
		if err == nil && f.v.Decimals[0].BigInt().Cmp(want.Num()) != 0 {
			t.Fatalf("%x × 10^-%d as decimal(%d,%d): got %s, want %s", raw, from, precision, scale, f.v.Decimals[0].BigInt(), want)
		}
		if err == nil {
			written++
		}
	}
	if written < 1000 {
		t.Errorf("got %d decimals written, want some", written)
	}
}

func power(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

func fromTwos(raw []byte) *big.Int {
	n := new(big.Int).SetBytes(raw)
	if raw[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(raw))))
	}
	return n
}

func twos(n *big.Int) []byte {
	size := n.BitLen()/8 + 1
	if n.Sign() >= 0 {
		return n.FillBytes(make([]byte, size))
	}
	return new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(8*size))).FillBytes(make([]byte, size))
}

func TestDaysEqualThoseOfPackageTime(t *testing.T) {
	for day := int64(-719_528); day < 2_932_897; day += 13 {
		at := time.Unix(day*86_400, 0).UTC()
		if got := daysOf(at.Year(), int(at.Month()), at.Day()); got != day {
			t.Fatalf("%s: got day %d, want %d", at, got, day)
		}
	}
}

func TestWritingDoesNotAllocate(t *testing.T) {
	for _, tt := range []struct{ typ, encoding, method, in string }{
		{"decimal(20,4)", "", "number", "1234567.25"},
		{"decimal(20,4)", "connect.decimal", "text", base64.StdEncoding.EncodeToString([]byte{1, 2, 3, 4})},
		{"decimal(20,4)", "", "unscaled 2", "\x01\x02\x03"},
		{"timestamptz", "epoch_ms", "number", "1700000000123"},
		{"timestamptz", "epoch_s", "number", "1700000000.123"},
		{"timestamptz", "strptime:%Y-%m-%d %H:%M:%S%z", "text", "2024-02-29 12:34:56+02:00"},
		{"long", "", "number", "x"},
		{"binary", "hex", "text", "0a"},
	} {
		f := newFixture(t, tt.typ, tt.encoding)
		in := []byte(tt.in)
		if got := testing.AllocsPerRun(100, func() {
			f.v.Rollback(0)
			switch tt.method {
			case "number":
				_ = f.Number(f.v, 0, in)
			case "text":
				_ = f.Text(f.v, 0, in)
			default:
				_ = f.Unscaled(f.v, 0, in, 2)
			}
		}); got != 0 {
			t.Errorf("%s %s of %s: got %v allocations, want 0", tt.typ, tt.encoding, tt.method, got)
		}
	}
}

func TestFailedTextLeavesNothingInTheVector(t *testing.T) {
	f := newFixture(t, "binary", "")
	if err := f.Text(f.v, 0, bytes.Repeat([]byte("QUJD"), 10)[:39]); err == nil {
		t.Fatal("got no error for base64 cut short")
	}
	if len(f.v.Data) != 0 || f.v.Offsets[1] != 0 {
		t.Errorf("got %d bytes, end %d, want none", len(f.v.Data), f.v.Offsets[1])
	}
}
