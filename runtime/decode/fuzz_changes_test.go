package decode

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow/array"
)

// addEvents makes seeds of the realistic events.
func addEvents(f *testing.F) {
	f.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", "debezium", "*.json"))
	if err != nil || len(names) == 0 {
		f.Fatalf("no events: %v", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(`{"id":7}`), text)
	}
}

// FuzzDebeziumAgainstEncodingJSON holds change events to what encoding/json
// reads in them: the same rows, or both refuse, filter or stop.
func FuzzDebeziumAgainstEncodingJSON(f *testing.F) {
	addEvents(f)
	for _, seed := range []string{
		`{"op":"d","before":{"id":1,"id":null}}`, `{"op":"u","before":{"email":"a"},"after":{"email":"b"}}`, `{"op":"u","before":{"email":"a"},"after":{}}`,
		`{"payload":{"op":"c","after":{"id":1}},"schema":1}`, `{"payload":null,"schema":null}`, `{"op":"c","op":"m","after":{}}`, `{"op":"c","after":{"email":{"a":[]}}}`,
		`{"op":"r","source":{"lsn":1,"lsn":null},"after":{}}`, `{"op":"r","source":null,"after":{"id":9223372036854775808}}`,
		`{"after":{},"source":{"ts_us":10000000000000000000,"ts_us":null},"op":"c"}`, `{"after":{},"source":{"ts_us":253402300800000000,"ts_us":null},"op":"c"}`,
		`{"after":{"id":1},"source":{"ts_ms":1,"ts_ms":null,"ts_us":253402300800000000},"op":"c"}`,
	} {
		f.Add([]byte(``), []byte(seed))
	}
	d, err := Compile(Spec{Format: "debezium-json", NaturalKey: []string{"email"}, Columns: []Column{col("id", "long"), col("email", "string")}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		s := values(string(value))
		s.Records[0].Key = key
		batch, rejects, err := d.Decode(context.Background(), s)
		want, known := oracleEvent(key, value)
		if !known {
			if err == nil {
				batch.Release()
			}
			return // text of documents, which encoding/json knows nothing of
		}
		got := "rejected"
		switch {
		case errors.As(err, new(*TruncateError)):
			got = "stopped"
		case err != nil:
			t.Fatal(err)
		case len(rejects) == 0:
			var rows []string
			for i := range int(batch.Rows.NumRows()) {
				rows = append(rows, batch.Changes.Column(0).(*array.String).Value(i)+" "+arrowText(batch.Rows.Column(0), i)+" "+arrowText(batch.Rows.Column(1), i))
			}
			got = strings.Join(rows, "; ")
		}
		if err == nil {
			batch.Release()
		}
		if got != want {
			t.Errorf("key %q, value %q: got %s, want %s", key, value, got, want)
		}
	})
}

// oracleEvent is what becomes of an event: rows as "op id email", joined;
// rejected; stopped; or "" if it is filtered. known is false for images of
// text and for placeholders of values that are left out.
func oracleEvent(key, value []byte) (want string, known bool) {
	for _, marker := range []string{"__debezium", "X19kZWJleml1bV", "5f5f64656265"} {
		if strings.Contains(string(value), marker) {
			return "", false // TestUnavailableValues
		}
	}
	if !utf8.Valid(value) {
		return "rejected", true
	}
	e, ok := oracleObject(value)
	if !ok {
		return "rejected", true
	}
	if len(e) == 2 && e["schema"] != nil && e["payload"] != nil && strings.ContainsRune("{n", rune(e["payload"][0])) {
		if e, ok = oracleObject(e["payload"]); !ok {
			return "", true
		}
	}
	var op string
	if json.Unmarshal(e["op"], &op) != nil || len(op) != 1 || !strings.Contains("cudrtm", op) || !oracleSource(e["source"]) {
		return "rejected", true
	}
	switch op {
	case "m":
		return "", true
	case "t":
		return "stopped", true
	}
	images := map[string]map[string]json.RawMessage{}
	for _, name := range []string{"before", "after"} {
		raw := e[name]
		switch {
		case raw == nil || string(raw) == "null":
		case raw[0] == '"':
			return "", false
		case raw[0] == '{':
			images[name], _ = oracleObject(raw)
		default:
			images[name] = map[string]json.RawMessage{"broken": nil}
		}
	}
	if oracleTimeBeyond(e["source"]) {
		return "rejected", true
	}
	return oracleChange(op, images["before"], images["after"], key), true
}

// oracleTimeBeyond tells whether the change was made outside the years 0001 to
// 9999. Nanoseconds in 64 bits cannot say so, and 0 is no time.
func oracleTimeBeyond(raw json.RawMessage) bool {
	source, _ := oracleObject(raw)
	long := func(name string) (n int64) {
		_ = json.Unmarshal(source[name], &n) // oracleSource has seen that it is one
		return n
	}
	beyond := func(at time.Time) bool { return at.UTC().Year() < 1 || at.UTC().Year() > 9999 }
	ms, us := long("ts_ms"), long("ts_us")
	switch {
	case long("ts_ns") != 0:
		return false
	case us != 0:
		return beyond(time.UnixMicro(us))
	case ms > math.MaxInt64/1000 || ms < math.MinInt64/1000:
		return false // no number of microseconds
	}
	return beyond(time.UnixMilli(ms))
}

// oracleSource tells whether source is as Debezium writes it. A member that comes
// several times has to be right each time, whichever counts.
func oracleSource(raw json.RawMessage) bool {
	if raw == nil || string(raw) == "null" {
		return true
	}
	if _, ok := oracleObject(raw); !ok {
		return false
	}
	into := map[string]func(json.RawMessage) (string, bool){}
	for _, name := range []string{"ts_ms", "ts_us", "ts_ns", "lsn", "pos", "row", "ord"} {
		into[name] = oracleInto[int64]
	}
	for _, name := range []string{"connector", "db", "schema", "table", "file", "collection"} {
		into[name] = oracleInto[string]
	}
	for name, member := range oracleMembers(raw) {
		if text := into[name]; text != nil {
			if _, ok := oracleNullable(member, text); !ok {
				return false
			}
		}
	}
	return true
}

// oracleMembers are the members of an object in their order, of one name too.
func oracleMembers(object json.RawMessage) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		dec := json.NewDecoder(bytes.NewReader(object))
		_, _ = dec.Token() // the brace
		for dec.More() {
			name, _ := dec.Token()
			var member json.RawMessage
			if dec.Decode(&member) != nil || !yield(name.(string), member) {
				return
			}
		}
	}
}

func oracleChange(op string, before, after map[string]json.RawMessage, key []byte) string {
	isNull := func(raw json.RawMessage) bool { return raw == nil || string(raw) == "null" }
	_, brokenBefore := before["broken"]
	_, brokenAfter := after["broken"]
	var rows []string
	if op == "u" {
		if brokenBefore && before["broken"] == nil {
			return "rejected"
		}
		if before != nil && after != nil && !isNull(before["email"]) && string(before["email"]) != string(after["email"]) {
			row, ok := oracleImage("d", before, key)
			if !ok {
				return "rejected"
			}
			rows, op = append(rows, row), "c"
		}
	}
	image := after
	if op == "d" {
		if image = before; brokenBefore && before["broken"] == nil {
			return "rejected"
		}
	} else if image == nil || brokenAfter && after["broken"] == nil {
		return "rejected"
	}
	row, ok := oracleImage(op, image, key)
	if !ok {
		return "rejected"
	}
	return strings.Join(append(rows, row), "; ")
}

func oracleImage(op string, image map[string]json.RawMessage, key []byte) (string, bool) {
	id, email := image["id"], image["email"]
	if op == "d" && utf8.Valid(key) {
		k, _ := oracleObject(key)
		if len(k) == 2 && k["schema"] != nil && k["payload"] != nil && strings.ContainsRune("{n", rune(k["payload"][0])) {
			k, _ = oracleObject(k["payload"])
		}
		if id == nil || string(id) == "null" {
			id = k["id"]
		}
		if email == nil || string(email) == "null" {
			email = k["email"]
		}
	}
	idText, ok1 := oracleNullable(id, oracleInto[int64])
	emailText, ok2 := oracleNullable(email, oracleString)
	return fmt.Sprintf("%s %s %s", op, idText, emailText), ok1 && ok2
}

// FuzzUnseenFields holds additions to their purpose: with the columns that a
// slice asks for, the same records become rows as without them, and the values
// of the columns that there were are the same.
func FuzzUnseenFields(f *testing.F) {
	f.Add([]byte(`{"id":1,"a":{"b":[1,2.5,null]}}`), []byte(`{"id":2,"a":{"b":"x","c":true},"o":{"p":1,"q":[{"r":1}]}}`))
	f.Add([]byte(`{"l":[{"x":1,"y":{"z":2}}]}`), []byte(`{"l":[null,{"y":{"w":"a"}}],"A":1,"b.c":1}`))
	f.Add([]byte(`{"a":[[[[[[[[[1]]]]]]]]]}`), []byte(`{"a":1e400,"b":12345678901234567890}`))
	f.Add([]byte(`{"0":1e700}`), []byte(`{"o":{"":[{"":0}]},"*":1,"kafka":{"key":2},"":3}`))
	base := []Column{col("id", "long"), from(col("p", "long"), "o.p"), col("l", "list<struct<x: long, y: struct<z: int>>>")}
	ignoring, err := Compile(Spec{Format: "json", Columns: base})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		s := values(string(a), string(b))
		want, wantRejects, err := ignoring.Decode(context.Background(), s)
		if err != nil {
			t.Fatal(err)
		}
		defer want.Release()
		spec := Spec{Format: "json", OnSchemaChange: SchemaChangeAppend, Columns: append([]Column(nil), base...)}
		for range 5 {
			d, err := Compile(spec)
			if err != nil {
				t.Fatalf("%q, %q: a change cannot be compiled: %v", a, b, err)
			}
			got, rejects, err := d.Decode(context.Background(), s)
			var change *ChangeError
			if errors.As(err, &change) {
				for _, w := range change.Widen {
					for i := range spec.Columns {
						if spec.Columns[i].Name == w.Name {
							spec.Columns[i] = w
						}
					}
				}
				spec.Columns = append(spec.Columns, change.Add...)
				continue
			}
			if err != nil {
				if strings.Contains(err.Error(), "needs a column named") {
					return // two fields of one name
				}
				t.Fatal(err)
			}
			defer got.Release()
			if fmt.Sprint(got.Records, len(rejects)) != fmt.Sprint(want.Records, len(wantRejects)) {
				t.Errorf("%q, %q: got rows of records %v and %d rejects, want %v and %d", a, b, got.Records, len(rejects), want.Records, len(wantRejects))
			}
			for i := range 2 {
				if !array.Equal(got.Rows.Column(i), want.Rows.Column(i)) {
					t.Errorf("%q, %q: column %d: got %v, want %v", a, b, i, got.Rows.Column(i), want.Rows.Column(i))
				}
			}
			return
		}
		t.Errorf("%q, %q: asks for changes without end", a, b)
	})
}
