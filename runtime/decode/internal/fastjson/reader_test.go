package fastjson

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/decode/internal/debezium"
	"github.com/calvelake/calve/runtime/decode/internal/literal"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"github.com/calvelake/calve/runtime/record"
)

// fields are those of tests, with the schema of their columns: "name: type" or
// "path.to.member: type"; ! in front makes one required.
func fields(t testing.TB, columns ...string) ([]Field, *arrow.Schema) {
	t.Helper()
	var all []Field
	var schema []arrow.Field
	for i, c := range columns {
		path, kind, _ := strings.Cut(c, ": ")
		typ, err := record.ParseType(kind)
		if err != nil {
			t.Fatal(err)
		}
		name, required := strings.CutPrefix(path, "!")
		all = append(all, Field{Path: strings.Split(name, "."), Column: i, Type: typ, Nullable: !required})
		schema = append(schema, arrow.Field{Name: c, Type: typ, Nullable: !required})
	}
	return all, arrow.NewSchema(schema, nil)
}

// read gives documents to a reader and returns "false" for each that it left
// alone, else the row.
func read(t *testing.T, plan *Plan, schema *arrow.Schema, documents ...string) []string {
	t.Helper()
	set, err := vector.NewSet(schema, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := plan.Reader(set)
	var done []bool
	for _, d := range documents {
		ok := r.Read([]byte(d))
		if done = append(done, ok); ok {
			set.Next()
		}
	}
	r.Close()
	batch := set.Batch()
	defer batch.Release()
	out := make([]string, len(documents))
	row := 0
	for i, ok := range done {
		if out[i] = "false"; ok {
			var values []string
			for _, c := range batch.Columns() {
				values = append(values, c.ValueStr(row))
			}
			out[i] = strings.Join(values, " ")
			row++
		}
	}
	return out
}

var typical = []string{
	"!id: long", "name: string", "n: int", "x: double", "ok: boolean", "at: timestamptz", "day: date", "price: decimal(9,2)", "raw: binary",
	"inner.a: long", "tags: list<string>", "s: struct<p: int, q: string>",
}

const typicalDocument = `{"id":1,"name":"Ada","n":-2,"x":1.25,"ok":true,"at":"2024-02-29T12:34:56.5Z","day":"2024-02-29","price":"12.50","raw":"AP8=","inner":{"a":5,"z":0},"tags":["u","v"],"s":{"p":1,"q":"r"},"more":[1,{"a":null}]}`

const typicalRow = `1 Ada -2 1.25 true 2024-02-29T12:34:56.5Z 2024-02-29 12.5 AP8= 5 ["u","v"] {"p":1,"q":"r"}`

func TestReaderReadsTheCommonForms(t *testing.T) {
	f, schema := fields(t, typical...)
	plan, err := NewPlan(f, Options{})
	if err != nil {
		t.Fatal(err)
	}
	nulls := strings.Repeat(" (null)", 11)
	for document, want := range map[string]string{
		typicalDocument: typicalRow,
		strings.ReplaceAll(strings.NewReplacer(":", " : ", ",", " ,\n").Replace(typicalDocument), "12 : 34 : 56", "12:34:56"): typicalRow,
		`{"id":7}`:                          "7" + nulls,
		`{"name":null,"id":7,"inner":null}`: "7" + nulls,
		`{"unknown":{"deep":[[[{"a":"\u00e9\ud83d\ude00 é"}]]]},"id":9223372036854775807}`: "9223372036854775807" + nulls,
		`{"id":12345678,"name":"a\tb\u0041\"é"}`:                                           "12345678 a\tbA\"é" + strings.Repeat(" (null)", 10),
		`{"id":1,"name":{"a":[1,2]}}`:                                                      `1 {"a":[1,2]}` + strings.Repeat(" (null)", 10),
	} {
		if got := read(t, plan, schema, document)[0]; got != want {
			t.Errorf("%s: got %s, want %s", document, got, want)
		}
	}
}

func TestReaderGivesUp(t *testing.T) {
	f, schema := fields(t, typical...)
	deep := strings.Repeat("[", 200) + strings.Repeat("]", 200)
	for name, document := range map[string]string{
		"empty": "", "white space": " ", "no object": "[]", "a null": "null", "unclosed": `{"id":1`, "comma": `{"id":1,}`, "two": `{"id":1}{}`, "zero byte": "{\"id\":1}\x00",
		"missing required": `{"name":"x"}`, "null required": `{"id":null}`, "twice": `{"id":1,"id":1}`, "twice in a struct": `{"id":1,"s":{"p":1,"p":1}}`,
		"escaped name": `{"\u0069d":1}`, "text for a number": `{"id":"1"}`, "number for text": `{"id":1,"name":1}`, "fraction": `{"id":1.0}`, "exponent": `{"id":1e2}`,
		"out of range": `{"id":9223372036854775808}`, "out of int": `{"id":1,"n":2147483648}`, "leading zero": `{"id":01}`, "minus": `{"id":-}`, "plus": `{"id":+1}`,
		"boolean": `{"id":1,"ok":1}`, "no boolean": `{"id":1,"ok":trux}`, "time without offset": `{"id":1,"at":"2024-02-29T12:34:56"}`, "no day": `{"id":1,"day":"2023-02-29"}`,
		"decimal places": `{"id":1,"price":0.001}`, "decimal digits": `{"id":1,"price":12345678}`, "base64": `{"id":1,"raw":"!"}`, "way is no object": `{"id":1,"inner":5}`,
		"no list": `{"id":1,"tags":{}}`, "no struct": `{"id":1,"s":[]}`, "in a list": `{"id":1,"tags":[1]}`, "open list": `{"id":1,"tags":["a"`,
		"zero bytes for a time": `{"id":1,"at":"` + strings.Repeat("\x00", 16) + `:30Z"}`,
		"control character":     "{\"id\":1,\"name\":\"a\nb\"}", "no UTF-8": "{\"id\":1,\"name\":\"\xc3\"}", "half an escape": `{"id":1,"name":"\u00"}`, "unknown escape": `{"id":1,"name":"\x"}`,
		"skipped control character": "{\"id\":1,\"z\":\"a\nb\"}", "skipped UTF-8": "{\"id\":1,\"z\":\"\xc3\"}", "skipped escape": `{"id":1,"z":"\x"}`, "skipped number": `{"id":1,"z":1.}`,
		"skipped literal": `{"id":1,"z":nulL}`, "skipped array": `{"id":1,"z":[1,]}`, "skipped object": `{"id":1,"z":{"a"}}`, "skipped name": "{\"id\":1,\"z\":{\"\xff\":1}}", "name": "{\"id\":1,\"\xff\":1}",
		"deep": `{"id":1,"z":` + deep + `}`, "deep text": `{"id":1,"name":` + deep + `}`,
	} {
		plan, err := NewPlan(f, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, plan, schema, document)[0]; got != "false" {
			t.Errorf("%s: got %s", name, got)
		}
		got := read(t, plan, schema, typicalDocument, document, typicalDocument)
		if got[1] != "false" || got[0] != typicalRow || got[2] != typicalRow {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestReaderGivesUpOnUnknownMembersIfAsked(t *testing.T) {
	f, schema := fields(t, "a: long", "b.c: long", "s: struct<p: int>")
	plan, err := NewPlan(f, Options{KnownOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	for document, want := range map[string]string{
		`{"a":1,"b":{"c":2},"s":{"p":3}}`: `1 2 {"p":3}`, `{"z":1}`: "false", `{"b":{"z":1}}`: "false", `{"s":{"z":1}}`: "false",
	} {
		if got := read(t, plan, schema, document)[0]; got != want {
			t.Errorf("%s: got %s, want %s", document, got, want)
		}
	}
}

func TestUnknownMembersAreCounted(t *testing.T) {
	f, schema := fields(t, "a: long", "b.c: long", "s: struct<p: int>", "text: string")
	plan, err := NewPlan(f, Options{})
	if err != nil {
		t.Fatal(err)
	}
	set, err := vector.NewSet(schema, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := plan.Reader(set)
	defer r.Close()
	for _, d := range []string{
		`{"z":1,"a":1}`, `{"b":{"z":{"y":1}}}`, `{"s":{"z":1,"y":2},"text":{"z":1}}`, // 1 + 1 + 2
		`{"z":1,"a":"no"}`, // is not read
	} {
		r.Read([]byte(d))
	}
	if r.Unknown != 4 {
		t.Errorf("got %d unknown members, want 4", r.Unknown)
	}
}

// TestPrefixesAreNotRead cuts documents short, so that every token ends in the
// padding.
func TestPrefixesAreNotRead(t *testing.T) {
	f, schema := fields(t, typical...)
	plan, err := NewPlan(f, Options{})
	if err != nil {
		t.Fatal(err)
	}
	escaped := `{"id":1,"z":"\ud83d\ude00","name":"\ud83d\ude00é","s":null,"x":-12345678.12345678e+10}`
	for _, document := range []string{typicalDocument, escaped} {
		for n := range document {
			if got := read(t, plan, schema, document[:n])[0]; got != "false" {
				t.Errorf("%s: got %s", document[:n], got)
			}
		}
		if got := read(t, plan, schema, document)[0]; got == "false" {
			t.Errorf("%s is not read", document)
		}
	}
}

// TestManyNames: an object may have more members than are learned, and names
// of any length.
func TestManyNames(t *testing.T) {
	var columns []string
	var known, unknown []string
	for i := range 300 {
		name := fmt.Sprintf("c%d_%s", i, strings.Repeat("x", i%90))
		columns = append(columns, name+": long")
		known = append(known, fmt.Sprintf("%q:%d", name, i))
		unknown = append(unknown, fmt.Sprintf("%q:%d", "u"+name, i), fmt.Sprintf("%q:%d", "v"+name, i))
	}
	f, schema := fields(t, columns...)
	plan, err := NewPlan(f, Options{})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 1))
	first := ""
	for range 20 {
		members := append(append([]string{}, known...), unknown...)
		random.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		document := "{" + strings.Join(members, ",") + "}"
		got := read(t, plan, schema, document, document)
		if first == "" {
			first = got[0]
		}
		if got[0] != first || got[1] != first || strings.Contains(first, "null") || first == "false" {
			t.Fatalf("got %s and %s, want %s", got[0], got[1], first)
		}
	}
}

func TestTimesAreThoseOfLiteral(t *testing.T) {
	r := &Reader{}
	random := rand.New(rand.NewPCG(5, 5))
	for range 200_000 {
		text := fmt.Sprintf("%04d-%02d-%02dT%02d:%02d:%02d", random.IntN(10_000), random.IntN(14), random.IntN(33), random.IntN(25), random.IntN(61), random.IntN(61))
		if random.IntN(2) == 0 {
			text += "." + strings.Repeat(strconv.Itoa(random.IntN(1_000_000)), 1+random.IntN(2))
		}
		switch random.IntN(4) {
		case 0:
			text += "Z"
		case 1:
			text += fmt.Sprintf("%c%02d:%02d", "+-"[random.IntN(2)], random.IntN(25), random.IntN(61))
		case 2:
			text = text[:random.IntN(len(text))]
		}
		r.load([]byte(`"` + text + `"`))
		for _, offset := range []bool{false, true} {
			want, valid := literal.ParseTimestamp([]byte(text), offset)
			got, end := r.timestamp(&slot{offset: offset}, 0)
			if end >= 0 != valid || valid && got != want {
				t.Fatalf("%s, offset %t: got %d, %t, want %d, %t", text, offset, got, end >= 0, want, valid)
			}
		}
		day := text[:min(len(text), 10)]
		r.load([]byte(`"` + day + `"`))
		want, valid := literal.ParseDate([]byte(day))
		if got, end := r.date(0); end >= 0 != valid || valid && int64(got) != want {
			t.Fatalf("%s: got %d, %t, want %d, %t", day, got, end >= 0, want, valid)
		}
	}
}

func TestNumbersAreThoseOfStrconv(t *testing.T) {
	r := &Reader{}
	random := rand.New(rand.NewPCG(6, 6))
	for range 200_000 {
		text := strconv.FormatUint(random.Uint64()>>random.IntN(64), 10)
		if random.IntN(3) == 0 {
			text = "-" + text
		}
		r.load([]byte(text + ","))
		want, err := strconv.ParseInt(text, 10, 64)
		if got, end := r.integer(0); (end == len(text)) != (err == nil) || err == nil && got != want {
			t.Fatalf("%s: got %d, end %d", text, got, end)
		}
		if random.IntN(2) == 0 {
			text += "." + strconv.FormatUint(random.Uint64()>>random.IntN(64), 10)
		}
		r.load([]byte(text + ","))
		if got, end := r.double(0); end >= 0 {
			if want, err := strconv.ParseFloat(text, 64); err != nil || got != want || end != len(text) {
				t.Fatalf("%s: got %v, end %d, want %v", text, got, end, want)
			}
		}
	}
}

func TestPlanIsSafeForConcurrentUse(t *testing.T) {
	f, schema := fields(t, typical...)
	plan, err := NewPlan(f, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 20 {
				if got := read(t, plan, schema, typicalDocument, `{"z":1}`, typicalDocument); got[0] != typicalRow || got[1] != "false" || got[2] != typicalRow {
					t.Errorf("got %q", got)
				}
			}
		})
	}
	group.Wait()
}

func TestPlansAreRefused(t *testing.T) {
	for _, column := range []string{"m: map<string, int>", "l: list<map<string, int>>"} {
		f, _ := fields(t, column)
		if _, err := NewPlan(f, Options{}); err == nil {
			t.Errorf("%s: got no error", column)
		}
	}
	f, _ := fields(t, "a: string")
	for _, marker := range []string{"0", "-x", "2024-02-29", "AAAA"} {
		if _, err := NewChangePlan(f, Options{}, Changes{Marker: debezium.NewMarker(marker)}); err == nil {
			t.Errorf("placeholder %q: got no error", marker)
		}
	}
	if _, err := NewPlan([]Field{{Type: arrow.BinaryTypes.String}}, Options{}); err == nil {
		t.Error("no path: got no error")
	}
}
