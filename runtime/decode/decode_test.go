package decode

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
)

// col declares a nullable column of a data_type.
func col(name, dataType string) Column {
	t, err := record.ParseType(dataType)
	if err != nil {
		panic(err)
	}
	return Column{Name: name, Type: t, Nullable: true}
}

func required(c Column) Column          { c.Nullable = false; return c }
func from(c Column, path string) Column { c.From = path; return c }
func encoded(c Column, e string) Column { c.Encoding = e; return c }
func fallback(c Column, text string) Column {
	c.Default = &text
	return c
}

// compile makes a decoder whose memory is checked when the test ends.
func compile(t *testing.T, format string, columns ...Column) *Decoder {
	t.Helper()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	t.Cleanup(func() { mem.AssertSize(t, 0) })
	d, err := Compile(Spec{Format: format, Columns: columns, Allocator: mem})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func values(values ...string) *record.Slice {
	s := &record.Slice{TopicPartition: record.TopicPartition{Topic: "t"}, To: int64(len(values))}
	for i, v := range values {
		s.Records = append(s.Records, record.Record{Offset: int64(i), Value: []byte(v)})
	}
	return s
}

// decode returns the rows, one string a row with | between the columns, and the
// rejects as "record code column".
func decode(t *testing.T, d *Decoder, s *record.Slice) (rows, rejects []string) {
	t.Helper()
	batch, bad, err := d.Decode(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Release()
	if got, want := batch.Rows.Schema(), d.Schema(); !got.Equal(want) {
		t.Errorf("schema of the batch: got %s, want %s", got, want)
	}
	if got, want := batch.Rows.NumRows(), int64(len(batch.Records)); got != want {
		t.Fatalf("rows: got %d, want one for each of %d record indexes", got, want)
	}
	for row := range int(batch.Rows.NumRows()) {
		var cells []string
		for _, c := range batch.Rows.Columns() {
			if got, want := c.Len(), int(batch.Rows.NumRows()); got != want {
				t.Fatalf("length of a column: got %d, want %d", got, want)
			}
			cells = append(cells, c.ValueStr(row))
		}
		rows = append(rows, fmt.Sprintf("%d: %s", batch.Records[row], strings.Join(cells, "|")))
	}
	for _, r := range bad {
		rejects = append(rejects, strings.TrimSpace(fmt.Sprintf("%d %s %s", r.Record, r.Code, r.Column)))
		if r.Message == "" {
			t.Errorf("reject of record %d has no message", r.Record)
		}
	}
	return rows, rejects
}

// bareFormats are those whose values have nothing around them.
var bareFormats = []string{"json", "text", "bytes"}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s:\ngot\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestTextRowsAreTheValues(t *testing.T) {
	d := compile(t, "text", required(from(col("line", "string"), "kafka.value")))
	rows, rejects := decode(t, d, values("GET / HTTP/1.0", "", "æøå", "last"))
	equal(t, "rows", rows, []string{"0: GET / HTTP/1.0", "1: ", "2: æøå", "3: last"})
	equal(t, "rejects", rejects, nil)
}

func TestTextThatIsNotUTF8IsRejectedAlone(t *testing.T) {
	d := compile(t, "text", required(from(col("line", "string"), "kafka.value")), from(col("key", "string"), "kafka.key"))
	s := values("a", "\xff", "b", "c", "\xc3", "\xa9", "d")
	s.Records[2].Key = []byte("\xfe")
	s.Records[3].Key = []byte("k")
	rows, rejects := decode(t, d, s)
	equal(t, "rows", rows, []string{"0: a|(null)", "3: c|k", "6: d|(null)"})
	equal(t, "rejects", rejects, []string{"1 malformed line", "2 type key", "4 malformed line", "5 malformed line"})
}

// A character that begins in one value and ends in the next is valid in the
// column as a whole, and in neither row.
func TestTextSplitInsideACharacterIsRejected(t *testing.T) {
	d := compile(t, "text", required(from(col("line", "string"), "kafka.value")))
	rows, rejects := decode(t, d, values("x\xc3", "\xa9y", "ok"))
	equal(t, "rows", rows, []string{"2: ok"})
	equal(t, "rejects", rejects, []string{"0 malformed line", "1 malformed line"})
}

func TestBytesAreKeptAsTheyAre(t *testing.T) {
	d := compile(t, "bytes", required(col("raw", "binary")), from(col("trace", "binary"), "kafka.header.trace"))
	s := values("\x00\xff", "")
	s.Records[0].Headers = []record.Header{{Key: "trace", Value: []byte("1")}, {Key: "other"}, {Key: "trace", Value: []byte("2")}}
	rows, rejects := decode(t, d, s)
	equal(t, "rows", rows, []string{"0: AP8=|Mg==", "1: |(null)"})
	equal(t, "rejects", rejects, nil)
}

func TestTextColumnsWithoutAValue(t *testing.T) {
	tests := []struct {
		name    string
		column  Column
		rows    []string
		rejects []string
	}{
		{"nullable", from(col("c", "string"), "kafka.key"), []string{"0: (null)", "1: k"}, nil},
		{"default", fallback(from(col("c", "string"), "kafka.key"), "none"), []string{"0: none", "1: k"}, nil},
		{"empty default", required(fallback(from(col("c", "string"), "kafka.key"), "")), []string{"0: ", "1: k"}, nil},
		{"required", required(from(col("c", "string"), "kafka.key")), []string{"1: k"}, []string{"0 missing c"}},
	}
	for _, test := range tests {
		for _, format := range []string{"text", "bytes", "json"} {
			t.Run(format+" "+test.name, func(t *testing.T) {
				s := values("{}", "{}")
				s.Records[1].Key = []byte("k")
				rows, rejects := decode(t, compile(t, format, test.column), s)
				equal(t, "rows", rows, test.rows)
				equal(t, "rejects", rejects, test.rejects)
			})
		}
	}
}

func TestTombstones(t *testing.T) {
	value := from(col("c", "string"), "kafka.value")
	key := from(col("k", "string"), "kafka.key")
	tests := []struct {
		name, format string
		columns      []Column
		rows         []string
		rejects      []string
	}{
		{"text, required value", "text", []Column{required(value)}, nil, []string{"0 tombstone"}},
		{"text, nullable value", "text", []Column{value}, []string{"0: (null)"}, nil},
		{"text, default", "text", []Column{required(fallback(value, "gone"))}, []string{"0: gone"}, nil},
		{"bytes, required value", "bytes", []Column{required(value)}, nil, []string{"0 tombstone"}},
		{"bytes, key only", "bytes", []Column{key}, []string{"0: id"}, nil},
		{"json, nullable member", "json", []Column{col("c", "string")}, nil, []string{"0 tombstone"}},
		{"json, key and member", "json", []Column{key, col("c", "string")}, nil, []string{"0 tombstone"}},
		{"json, key only", "json", []Column{key}, []string{"0: id"}, nil},
		{"json, whole value", "json", []Column{value}, []string{"0: (null)"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := values("x")
			s.Records[0].Key, s.Records[0].Value = []byte("id"), nil
			rows, rejects := decode(t, compile(t, test.format, test.columns...), s)
			equal(t, "rows", rows, test.rows)
			equal(t, "rejects", rejects, test.rejects)
		})
	}
}

func TestRecordsOverTheLimitAreRejected(t *testing.T) {
	for _, format := range bareFormats {
		d, err := Compile(Spec{Format: format, MaxRecordBytes: 10, Columns: []Column{from(col("c", "string"), "kafka.value")}})
		if err != nil {
			t.Fatal(err)
		}
		s := values(`"12345678"`, `"123456789"`, `"1234567"`)
		s.Records[2].Key = []byte("ab")
		rows, rejects := decode(t, d, s)
		equal(t, format+" rows", rows, []string{`0: "12345678"`})
		equal(t, format+" rejects", rejects, []string{"1 too_large", "2 too_large"})
	}
}

func TestEmptySliceMakesAnEmptyBatch(t *testing.T) {
	for _, format := range bareFormats {
		rows, rejects := decode(t, compile(t, format, from(col("c", "string"), "kafka.value")), values())
		equal(t, format+" rows", rows, nil)
		equal(t, format+" rejects", rejects, nil)
	}
}

// The slice's memory is reused by the next poll while the batch lives.
func TestBatchHoldsCopies(t *testing.T) {
	for _, format := range bareFormats {
		s := values(`{"c":["first"]}`)
		s.Records[0].Key = []byte("key")
		d := compile(t, format, from(col("k", "string"), "kafka.key"), from(col("v", "string"), "kafka.value"))
		batch, _, err := d.Decode(context.Background(), s)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range [][]byte{s.Records[0].Key, s.Records[0].Value} {
			clear(b)
		}
		if got, want := batch.Rows.Column(0).ValueStr(0)+batch.Rows.Column(1).ValueStr(0), `key{"c":["first"]}`; got != want {
			t.Errorf("%s: got %q after the slice was released, want %q", format, got, want)
		}
		batch.Release()
	}
}

func TestSliceThatOverflowsAColumnIsAnError(t *testing.T) {
	d := compile(t, "bytes", col("raw", "binary"), fallback(from(col("k", "binary"), "kafka.key"), strings.Repeat("x", 1<<20)))
	s := &record.Slice{Records: make([]record.Record, math.MaxInt32>>20+1)}
	for i := range s.Records {
		s.Records[i].Value = []byte{}
	}
	if _, _, err := d.Decode(context.Background(), s); err == nil || !strings.Contains(err.Error(), "poll fewer records") {
		t.Errorf("got error %v, want one that says to poll fewer records", err)
	}
}

func TestDecoderIsSafeForConcurrentUse(t *testing.T) {
	d := compile(t, "json", required(col("id", "long")), col("tags", "list<string>"))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				batch, rejects, err := d.Decode(context.Background(), values(`{"id":1,"tags":["a\u0062"]}`, `{"id":"x"}`, `{"id":2,"other":0}`))
				if err != nil || batch.Rows.NumRows() != 2 || len(rejects) != 1 {
					t.Errorf("got %v rows, %d rejects, error %v; want 2 rows, 1 reject", batch.Rows, len(rejects), err)
				}
				batch.Release()
			}
		})
	}
	wg.Wait()
	if got, want := d.Stats().UnknownFields, int64(200); got != want {
		t.Errorf("unknown fields: got %d, want %d", got, want)
	}
}

func TestCompileRefuses(t *testing.T) {
	tests := []struct {
		name string
		spec Spec
		want []string // parts of the error
	}{
		{"unknown format", Spec{Format: "xml"}, []string{`"xml"`, "json, confluent-json, text, bytes"}},
		{"no columns", Spec{Format: "json"}, []string{"no columns"}},
		{"negative limit", Spec{Format: "json", MaxRecordBytes: -1, Columns: []Column{col("a", "int")}}, []string{"max_record_bytes -1"}},
		{"nameless column", Spec{Format: "json", Columns: []Column{col("", "int")}}, []string{"no name"}},
		{"same name", Spec{Format: "json", Columns: []Column{col("a", "int"), col("A", "int")}}, []string{`"A"`, "twice"}},
		{"position column", Spec{Format: "json", Columns: []Column{col("kafka_offset", "long")}}, []string{`"kafka_offset"`, "position column"}},
		{"unknown kafka source", Spec{Format: "json", Columns: []Column{from(col("a", "string"), "kafka.offset")}}, []string{`"kafka.offset"`, "kafka.key"}},
		{"path in text", Spec{Format: "text", Columns: []Column{from(col("a", "string"), "b")}}, []string{`"b"`, "kafka.value"}},
		{"header without name", Spec{Format: "text", Columns: []Column{from(col("a", "string"), "kafka.header.")}}, []string{"kafka.header.<name>"}},
		{"empty path part", Spec{Format: "json", Columns: []Column{from(col("a", "string"), "b..c")}}, []string{`"b..c"`, "empty part"}},
		{"number from bytes", Spec{Format: "bytes", Columns: []Column{col("a", "long")}}, []string{"long", "kafka.value", "string or binary"}},
		{"unknown encoding", Spec{Format: "json", Columns: []Column{encoded(col("a", "timestamptz"), "epoch_m")}}, []string{"epoch_m", "epoch_s, epoch_ms, epoch_us, epoch_ns"}},
		{"encoding of a string", Spec{Format: "json", Columns: []Column{encoded(col("a", "string"), "epoch_s")}}, []string{"epoch_s", "string"}},
		{"encoding of a key", Spec{Format: "json", Columns: []Column{encoded(from(col("a", "string"), "kafka.key"), "epoch_s")}}, []string{"kafka.key", "no encoding"}},
		{"map of lists as keys", Spec{Format: "json", Columns: []Column{col("a", "map<list<int>, int>")}}, []string{"map's key"}},
		{"no type", Spec{Format: "json", Columns: []Column{{Name: "a"}}}, []string{`"a"`, "no data_type"}},
		{"unsupported type", Spec{Format: "json", Columns: []Column{{Name: "a", Type: arrow.PrimitiveTypes.Uint8}}}, []string{"uint8"}},
		{"seconds in a timestamp", Spec{Format: "json", Columns: []Column{{Name: "a", Type: &arrow.TimestampType{Unit: arrow.Second}}}}, []string{"microseconds"}},
		{"default of another type", Spec{Format: "json", Columns: []Column{fallback(col("a", "long"), "many")}}, []string{`default "many"`, "long"}},
		{"default out of range", Spec{Format: "json", Columns: []Column{fallback(col("a", "int"), "3000000000")}}, []string{"3000000000", "whole number"}},
		{"null default", Spec{Format: "json", Columns: []Column{fallback(col("a", "list<int>"), "null")}}, []string{"cannot be null"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Compile(test.spec)
			if err == nil {
				t.Fatal("got no error")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("got error %q, want it to contain %q", err, part)
				}
			}
		})
	}
}

func TestRejectedRowsLeaveNothingBehind(t *testing.T) {
	d := compile(t, "json",
		col("tags", "list<string>"),
		col("attributes", "map<string, struct<n: int, more: list<long>>>"),
		required(col("id", "long")), // the last column, so that the others are parsed before a row is rejected
	)
	good := `{"tags":["a","b"],"attributes":{"k":{"n":1,"more":[1,2]}},"id":%d}`
	bad := `{"tags":["x","y","z"],"attributes":{"k":{"n":9,"more":[9]},"l":null},"id":"no"}`
	alone := values(fmt.Sprintf(good, 1), fmt.Sprintf(good, 2))
	mixed := values(bad, fmt.Sprintf(good, 1), bad, "{", fmt.Sprintf(good, 2), bad)
	want, _, err := d.Decode(context.Background(), alone)
	if err != nil {
		t.Fatal(err)
	}
	defer want.Release()
	got, rejects, err := d.Decode(context.Background(), mixed)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Release()
	if !array.RecordEqual(got.Rows, want.Rows) {
		t.Errorf("got %v\nwant %v", got.Rows, want.Rows)
	}
	if len(rejects) != 4 {
		t.Errorf("rejects: got %d, want 4", len(rejects))
	}
	if fmt.Sprint(got.Records) != "[1 4]" {
		t.Errorf("records of the rows: got %v, want [1 4]", got.Records)
	}
}

func TestMessagesSayWhatWasFoundAndExpected(t *testing.T) {
	long := strings.Repeat("é", 500)
	tests := []struct {
		column Column
		value  string
		want   string
	}{
		{col("n", "int"), `{"n":"7"}`, `column n: found "7", expected int, a whole number from -2147483648 to 2147483647`},
		{col("s", "struct<a: list<int>>"), `{"s":{"a":[1,true]}}`, `column s: found a[1]: true, expected int, a whole number from -2147483648 to 2147483647`},
		{col("b", "boolean"), `{"b":"` + long + `"}`, `column b: found "` + long[:76] + `…, expected true or false`},
		{required(col("x", "date")), `{}`, `column x: found no value, expected date, since the column is neither nullable nor has a default`},
		{required(col("x", "date")), `{"x":null}`, `column x: found null, expected date, since the column is neither nullable nor has a default`},
		{from(col("x", "date"), "a.b"), `{"a":3}`, `column x: found 3, expected an object on the way to the column's value`},
		{col("x", "date"), `{"x":1`, `found {"x":1, expected a JSON object: byte 6: unexpected end of JSON input`},
		{col("x", "date"), "{\"x\":\"\xff\"}", `found "{\"x\":\"\xff\"}", expected a JSON object: byte 7: invalid UTF-8`},
		{col("x", "decimal(4,2)"), `{"x":1.005}`, `column x: found 1.005, expected decimal(4,2), at most 2 decimal places`},
		{col("x", "decimal(4,2)"), `{"x":100}`, `column x: found 100, expected decimal(4,2), at most 2 digits before the decimal point`},
	}
	for _, test := range tests {
		batch, rejects, err := compile(t, "json", test.column).Decode(context.Background(), values(test.value))
		if err != nil {
			t.Fatal(err)
		}
		batch.Release()
		if len(rejects) != 1 {
			t.Errorf("%s: got %d rejects, want 1", test.value, len(rejects))
			continue
		}
		if got := rejects[0].Message; got != test.want {
			t.Errorf("%.60s:\ngot  %s\nwant %s", test.value, got, test.want)
		}
	}
}
