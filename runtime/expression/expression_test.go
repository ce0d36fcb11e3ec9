package expression

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
)

// schemaOf reads "name type, name type!" where ! is a column without nulls.
func schemaOf(t testing.TB, text string) *arrow.Schema {
	t.Helper()
	var fields []arrow.Field
	for _, one := range strings.Split(text, "; ") {
		name, typeText, _ := strings.Cut(one, " ")
		typeText, required := strings.CutSuffix(typeText, "!")
		typ, err := record.ParseType(typeText)
		if err != nil {
			t.Fatal(err)
		}
		fields = append(fields, arrow.Field{Name: name, Type: typ, Nullable: !required})
	}
	return arrow.NewSchema(fields, nil)
}

// batchOf reads rows as JSON.
func batchOf(t testing.TB, schema *arrow.Schema, rows string) arrow.RecordBatch {
	t.Helper()
	batch, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(rows))
	if err != nil {
		t.Fatalf("rows %s: %v", rows, err)
	}
	t.Cleanup(batch.Release)
	return batch
}

var everything = "b boolean; i int; l long; f float; d double; p decimal(10,2); q decimal(38,10); s string; x binary; day date; ts timestamp; at timestamptz; " +
	"st struct<a: int, in: struct<c: string>>; li list<int>; ma map<string, long>; nn long!"

const oneRow = `[{"b":true,"i":7,"l":-40,"f":1.5,"d":2.5,"p":"12.34","q":"0.0000000001","s":"Ärger im Büro","x":"//4=","day":"2024-02-29",
	"ts":"2024-02-29T12:34:56.789012","at":"2024-02-29T12:34:56Z","st":{"a":5,"in":{"c":"deep"}},"li":[1,2],"ma":[{"key":"k","value":1}],"nn":1}]`

// evalText evaluates an expression over one row, and writes what it gives.
func evalText(t *testing.T, text string) string {
	t.Helper()
	schema := schemaOf(t, everything)
	e, err := Parse(text)
	if err != nil {
		return "parse: " + err.Error()
	}
	c, err := e.Check(schema)
	if err != nil {
		return "check: " + err.Error()
	}
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	out, errs, err := c.Eval(batchOf(t, schema, oneRow), mem)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Release()
	if !arrow.TypeEqual(out.DataType(), c.Type()) {
		t.Errorf("%s: the array is %s, Type is %s", text, out.DataType(), c.Type())
	}
	if len(errs) > 0 {
		if out.IsValid(0) {
			t.Errorf("%s: a row that cannot be computed has a value", text)
		}
		return "row: " + errs[0].Message
	}
	if out.IsNull(0) && !c.Nullable() {
		t.Errorf("%s: null, and said never to be", text)
	}
	return record.FormatType(c.Type()) + " " + valueOfRow(out, 0)
}

// valueOfRow is ValueStr, but with all digits of a decimal.
func valueOfRow(a arrow.Array, row int) string {
	if d, ok := a.(*array.Decimal128); ok && a.IsValid(row) {
		return string(appendDecimal(nil, d.Value(row), a.DataType().(*arrow.Decimal128Type).Scale))
	}
	return a.ValueStr(row)
}

func TestExpressionsGive(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := evalText(t, text); got != want {
			t.Errorf("%s\ngot:  %s\nwant: %s", text, got, want)
		}
	}
	// literals and columns
	f("1", "int 1")
	f("-2147483648", "int -2147483648")
	f("2147483648", "long 2147483648")
	f("9223372036854775808", "decimal(19,0) 9223372036854775808")
	f("1.50", "decimal(3,2) 1.50")
	f(".5", "decimal(1,1) 0.5")
	f("-0.05", "decimal(2,2) -0.05")
	f("1e3", "double 1000")
	f("'it''s'", "string it's")
	f("TRUE", "boolean true")
	f("date '2024-02-29'", "date 2024-02-29")
	f("timestamp '2024-02-29 01:02:03'", "timestamp 2024-02-29T01:02:03")
	f("timestamp '2024-02-29T01:02:03.5+01:30'", "timestamptz 2024-02-28T23:32:03.5Z")
	f("i", "int 7")
	f(`"i"`, "int 7")
	f("I", "int 7")
	f("st.a", "int 5")
	f(`st."in".c`, "string deep")
	f("li", "list<int> [1,2]")
	f("st.A + 1", "long 6")

	// arithmetic
	f("i + 1", "long 8")
	f("i / 2", "double 3.5")
	f("-7 % 3", "long -1")
	f("7 % -3", "long 1")
	f("l * 2 - 1", "long -81")
	f("-l", "long 40")
	f("- -l", "long -40")
	f("+l", "long -40")
	f("9223372036854775807 + nn", "row: 9223372036854775807 + 1 is out of the range of long")
	f("-9223372036854775807 - nn - nn", "row: -9223372036854775808 - 1 is out of the range of long")
	f("4611686018427387904 * (nn + 1)", "row: 4611686018427387904 * 2 is out of the range of long")
	f("-4611686018427387904 * (nn + 1)", "long -9223372036854775808")
	f("l / 0", "row: division by zero: -40 / 0")
	f("l % 0", "row: division by zero: -40 % 0")
	f("1 / 0", "row: division by zero: 1 / 0")
	f("d / 0.0", "row: division by zero: 2.5 / 0")
	f("1e308 * 10", "row: 1e+308 * 10 is out of the range of double")
	f("f + f", "double 3")
	f("p + 1", "decimal(11,2) 13.34")
	f("p + l", "decimal(22,2) -27.66")
	f("p * p", "decimal(21,4) 152.2756")
	f("p / 3", "decimal(14,6) 4.113333")
	f("p / p", "decimal(23,13) 1.0000000000000")
	f("p % 5", "decimal(3,2) 2.34")
	f("-p % 5", "decimal(3,2) -2.34")
	f("p / 0", "row: division by zero: 12.34 / 0")
	f("p * 2e0", "double 24.68")
	f("q * q", "decimal(38,6) 0.000000")
	f("q + q", "decimal(38,9) 0.000000000")
	f("q * 99999999999999999999999999999999999999", "decimal(38,6) 10000000000000000000000000000.000000")
	f("-p", "decimal(10,2) -12.34")
	f("i + null", "long (null)")
	f("p + null", "decimal(11,2) (null)")
	f("2 / 3.0", "decimal(8,6) 0.666667")

	// comparison
	f("i = 7", "boolean true")
	f("i <> 7", "boolean false")
	f("i = 7.0", "boolean true")
	f("i < 7.5e0", "boolean true")
	f("p >= 12.340000000000000000000000000000000001", "boolean false")
	f("p > 12", "boolean true")
	f("s = 'x'", "boolean false")
	f("'a' < 'b'", "boolean true")
	f("false < true", "boolean true")
	f("day = '2024-02-29'", "boolean true")
	f("at >= '2024-02-29T13:34:56+01:00'", "boolean true")
	f("at > day", "boolean true")
	f("ts > day", "boolean true")
	f("x = x", "boolean true")
	f("null < 1", "boolean (null)")
	f("i = cast(null as int)", "boolean (null)")
	f("q = 1e-10", "boolean true")
	f("9223372036854775808 > l", "boolean true")
	f("i between 1 and 7", "boolean true")
	f("i not between 1 and 7", "boolean false")
	f("i in (1, 2, 7)", "boolean true")
	f("i in (1, null)", "boolean (null)")
	f("i not in (1, 2)", "boolean true")
	f("i in (1, l + 47)", "boolean true")
	f("p in (12.34, 5)", "boolean true")
	f("s in ('a', 'b')", "boolean false")
	f("day in ('2024-02-29')", "boolean true")
	f("d in (2.5)", "boolean true")
	f("null in (1)", "boolean (null)")
	f("i is null", "boolean false")
	f("null is null", "boolean true")
	f("st is not null", "boolean true")
	f("i is distinct from null", "boolean true")
	f("null is distinct from null", "boolean false")
	f("i is not distinct from 7", "boolean true")
	f("b is true", "boolean true")
	f("b is not false", "boolean true")
	f("coalesce(10, 2.5)", "decimal(3,1) 10.0")
	f("coalesce(2.5, 10)", "decimal(3,1) 2.5")
	f("(i > null) is true", "boolean false")
	f("(i > null) is unknown", "boolean true")
	f("not b or i > 3 and b", "boolean true")
	f("false and 1/0 = 1", "boolean false")
	f("true or 1/0 = 1", "boolean true")
	f("1/0 = 1 and false", "row: division by zero: 1 / 0")

	// conditional
	f("case when i > 5 then 'big' when i > 1/0 then 'x' else 'small' end", "string big")
	f("case i when 1 then 10 when 7 then 2.5 end", "decimal(3,1) 2.5")
	f("case when l <> 0 then 1 / l end", "double -0.025")
	f("case when l = 0 then 1 / 0 else 5 end", "double 5")
	f("case when 1/0 > 0 then 1 end", "row: division by zero: 1 / 0")
	f("coalesce(null, i, 1/0)", "double 7")
	f("coalesce(null, null, 'x')", "string x")
	f("nullif(i, 7)", "int (null)")
	f("nullif(i, null)", "int 7")
	f("greatest(1, null, i, 2.5)", "decimal(11,1) 7.0")
	f("least('b', 'a')", "string a")
	f("greatest(null, null, i)", "int 7")

	// numbers
	f("abs(l)", "long 40")
	f("abs(-p)", "decimal(10,2) 12.34")
	f("abs(-2.5e0)", "double 2.5")
	f("round(2.5e0)", "double 3")
	f("round(2.675e0, 2)", "double 2.68")
	f("round(-9.995e0, 2)", "double -10")
	f("round(p, 1)", "decimal(10,1) 12.3")
	f("round(-2.5)", "decimal(2,0) -3")
	f("round(i)", "long 7")
	f("floor(-p)", "decimal(9,0) -13")
	f("ceil(-p)", "decimal(9,0) -12")
	f("ceil(2.1e0)", "double 3")
	f("floor(d)", "double 2")

	// text
	f("lower(s)", "string ärger im büro")
	f("upper(s)", "string ÄRGER IM BÜRO")
	f("length(s)", "long 13")
	f("length(x)", "long 2")
	f("trim('  a b\t')", "string a b")
	f("substr(s, 1, 2)", "string Är")
	f("substr(s, -4)", "string Büro")
	f("substr('abc', -10, 2)", "string ab")
	f("substr('abc', 0, 1)", "string a")
	f("substring('abc', 2)", "string bc")
	f("substr('abc', 2, -1)", "string ")
	f("replace('a-b-c', '-', '')", "string abc")
	f("replace('abc', '', 'x')", "string abc")
	f("s || '!' || 'x'", "string Ärger im Büro!x")
	f("concat('a', null)", "string (null)")
	f("starts_with(s, 'Ä')", "boolean true")
	f("ends_with(s, 'ro')", "boolean true")
	f("contains(s, 'im')", "boolean true")
	f("split_part('a,b,c', ',', 2)", "string b")
	f("split_part('a,b,c', ',', -1)", "string c")
	f("split_part('a,b,c', ',', 9)", "string ")
	f("split_part('abc', '', 1)", "string abc")
	f("split_part('a', ',', 0 * nn)", "row: split_part counts parts from 1, or from -1 backwards, found 0")
	f("regexp_like(s, '^Ä.*o$')", "boolean true")
	f("s like '%B_ro'", "boolean true")
	f("s not like 'x%'", "boolean true")
	f("'50%' like '50!%' escape '!'", "boolean true")
	f("'505' like '50!%' escape '!'", "boolean false")
	f("'aXbXc' like 'a%X%c'", "boolean true")
	f("'' like '%'", "boolean true")
	f("md5('a')", "string 0cc175b9c0f1b6a831c399e269772661")
	f("sha256('')", "string e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")

	// time
	f("date_trunc('month', at)", "timestamptz 2024-02-01T00:00:00Z")
	f("date_trunc('week', day)", "date 2024-02-26")
	f("date_trunc('hour', ts)", "timestamp 2024-02-29T12:00:00")
	f("date_trunc('quarter', day)", "date 2024-01-01")
	f("extract(year from at)", "int 2024")
	f("date_part('week', date '2021-01-03')", "int 53")
	f("date_part('isodow', day)", "int 4")
	f("date_part('doy', day)", "int 60")
	f("date_part('second', ts)", "int 56")
	f("date_part('epoch', at)", "long 1709210096")
	f("date_diff('month', date '2024-01-31', day)", "long 1")
	f("date_diff('day', '2024-03-01', day)", "long -1")
	f("date_diff('hour', ts, day)", "long -12")
	f("seconds_between(day, ts)", "long 45296")
	f("at + interval '1 hour 30 minutes'", "timestamptz 2024-02-29T14:04:56Z")
	f("day + interval '1 year'", "date 2025-02-28")
	f("interval '1 day' + day", "date 2024-03-01")
	f("day - interval '1 month'", "date 2024-01-29")
	f("date '2024-03-31' - interval '1 month'", "date 2024-02-29")
	f("date '9999-12-31' + interval '1 day'", "row: 9999-12-31 + the interval is outside the years 1 to 9999")
	f("to_timestamp(1709210096)", "timestamptz 2024-02-29T12:34:56Z")
	f("to_timestamp(1709210096.5)", "timestamptz 2024-02-29T12:34:56.5Z")
	f("to_timestamp_ms(1709210096123)", "timestamptz 2024-02-29T12:34:56.123Z")
	f("to_timestamp(1e300)", "row: to_timestamp(1e+300) is outside the years 1 to 9999")

	// cast
	f("cast('12' as int)", "int 12")
	f("cast(' 12 ' as bigint)", "long 12")
	f("cast('1x' as int)", `row: string "1x" is no int`)
	f("try_cast('1x' as int)", "int (null)")
	f("cast(2.5 as int)", "int 3")
	f("cast(-2.5e0 as long)", "long -3")
	f("cast(3000000000 as int)", "row: long 3000000000 is no int")
	f("cast(p as int)", "int 12")
	f("cast(p as decimal(4,1))", "decimal(4,1) 12.3")
	f("cast(p as decimal(2,1))", "row: decimal(10,2) 12.34 is no decimal(2,1)")
	f("cast('1.005' as decimal(10,2))", "decimal(10,2) 1.01")
	f("cast('1.5e2' as decimal(5,1))", "decimal(5,1) 150.0")
	f("cast(0.1e0 as decimal(5,3))", "decimal(5,3) 0.100")
	f("cast(p as double)", "double 12.34")
	f("cast(p as string)", "string 12.34")
	f("cast(d as string)", "string 2.5")
	f("cast(1e300 as float)", "row: double 1e+300 is no float")
	f("cast(b as int)", "int 1")
	f("cast(0 as boolean)", "boolean false")
	f("cast('TRUE' as boolean)", "boolean true")
	f("cast(at as string)", "string 2024-02-29T12:34:56Z")
	f("cast(ts as string)", "string 2024-02-29T12:34:56.789012")
	f("cast(at as date)", "date 2024-02-29")
	f("cast(day as timestamp)", "timestamp 2024-02-29T00:00:00")
	f("cast(ts as timestamptz)", "timestamptz 2024-02-29T12:34:56.789012Z")
	f("cast('2024-02-30' as date)", `row: string "2024-02-30" is no date`)
	f("cast('2024-01-01 10:00' as timestamptz)", "timestamptz 2024-01-01T10:00:00Z")
	f("cast(s as binary)", "binary w4RyZ2VyIGltIELDvHJv")
	f("cast(x as string)", `row: binary "\xff\xfe" is not valid UTF-8`)
	f("try_cast(1/0 as int)", "row: division by zero: 1 / 0")
	f("cast(null as date)", "date (null)")
}

func TestNullability(t *testing.T) {
	schema := schemaOf(t, "a long!; b long!; n long; t string!")
	for text, want := range map[string]bool{
		"a": false, "n": true, "a + b": false, "a + n": true, "a / b": false, "nullif(a, b)": true, "n is null": false,
		"coalesce(n, a)": false, "coalesce(n, n)": true, "case when a > 1 then b end": true, "case when n > 1 then b else a end": false,
		"greatest(n, a)": false, "cast(t as long)": false, "try_cast(t as long)": true, "a in (1, null)": true, "a in (1, 2)": false,
		"a is distinct from n": false, "null > a": true, "1": false, "a between 1 and n": true,
	} {
		e, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		c, err := e.Check(schema)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := c.Nullable(); got != want {
			t.Errorf("%s: nullable is %v, want %v", text, got, want)
		}
	}
}

func TestThreeValuedLogic(t *testing.T) {
	values := []string{"true", "false", "null"}
	tables := map[string][9]string{ // by left, then right
		"and": {"true", "false", "(null)", "false", "false", "false", "(null)", "false", "(null)"},
		"or":  {"true", "true", "true", "true", "false", "(null)", "true", "(null)", "(null)"},
		"=":   {"true", "false", "(null)", "false", "true", "(null)", "(null)", "(null)", "(null)"},
	}
	schema := schemaOf(t, "x boolean; y boolean")
	for op, want := range tables {
		e, err := Parse("x " + op + " y")
		if err != nil {
			t.Fatal(err)
		}
		c, err := e.Check(schema)
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range values {
			for j, y := range values {
				batch := batchOf(t, schema, fmt.Sprintf(`[{"x":%s,"y":%s}]`, x, y))
				out, errs, err := c.Eval(batch, memory.DefaultAllocator)
				if err != nil || len(errs) > 0 {
					t.Fatal(err, errs)
				}
				if got := out.ValueStr(0); got != want[3*i+j] {
					t.Errorf("%s %s %s: got %s, want %s", x, op, y, got, want[3*i+j])
				}
			}
		}
	}
	for text, want := range map[string]string{"not null": "(null)", "not true": "false", "not false": "true", "null is true": "false", "null is not true": "true"} {
		if got := evalText(t, text); got != "boolean "+want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// Columns can hold times that no expression makes: what is computed of them is
// right or an error, not wrapped around.
func TestTimesBeyondTheCalendar(t *testing.T) {
	schema := schemaOf(t, "day date; at timestamptz")
	rows := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer rows.Release()
	rows.Field(0).(*array.Date32Builder).Append(213503983)                    // its midnight is 64 bits and some hours
	rows.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(-1 << 63)) // its year begins before 64 bits do
	batch := rows.NewRecordBatch()
	defer batch.Release()
	for text, want := range map[string]string{
		"cast(day as timestamp)":                                "date 586524-01-20 is no timestamp",
		"day < timestamp '2024-01-01T00:00:00'":                 "date 586524-01-20 is no timestamp",
		"try_cast(day as timestamp) is null":                    "true",
		"date_trunc('week', day)":                               "date_trunc('week', 586524-01-20) is outside the years 1 to 9999",
		"date_trunc('year', at)":                                "date_trunc('year', -290308-12-21T19:59:05.224192Z) is outside the years 1 to 9999",
		"seconds_between(at, timestamp '2024-01-01T00:00:00Z')": "9225076104054",
	} {
		e, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		c, err := e.Check(schema)
		if err != nil {
			t.Fatal(err)
		}
		out, errs, err := c.Eval(batch, memory.DefaultAllocator)
		if err != nil {
			t.Fatal(err)
		}
		got := valueOfRow(out, 0)
		if len(errs) > 0 {
			got = errs[0].Message
		}
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
		out.Release()
	}
}
