package decode

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// FuzzJSONAgainstEncodingJSON holds the decoder to encoding/json: both give the
// same row, or both refuse the document.
func FuzzJSONAgainstEncodingJSON(f *testing.F) {
	for _, seed := range []string{
		`{"b":true,"i":1,"l":-9223372036854775808,"d":0.1,"m":"1.25","s":"\ud83d\ude00","x":"AP8=","o":{"p":"deep"}}`,
		`{"s":{"any":[1,"}",null]},"l":9223372036854775808}`,
		`{"s":"a","s":"b","o":{"p":"c"},"o":{"q":1}}`,
		`{"o":5,"o":null}`, `{"o":null,"o":5}`, `{"o":{"p":"x"},"o":[]}`,
		`{"t":["a",null,"\u0000"],"n":{"a":1,"b":"x","a":2}}`,
		`{"m":1e2,"d":1e400}`, `{"m":123456789012345678901234567890.12}`, `{"m":1e-99999999999}`,
		` { } `, `{}{}`, `{"i":01}`, `[]`, `null`, `"\ud800"`, `{"s":"\ud800\u0041\udc00"}`, "{\"s\":\"\xff\"}", `{"\u0069":3}`, `{"":{"":1}}`,
	} {
		f.Add([]byte(seed))
	}
	d, err := Compile(Spec{Format: "json", Columns: []Column{
		col("b", "boolean"), col("i", "int"), col("l", "long"), col("d", "double"), col("m", "decimal(20,4)"),
		col("s", "string"), col("x", "binary"), from(col("p", "string"), "o.p"), col("t", "list<string>"), col("n", "struct<a: int, b: string>"),
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		batch, rejects, err := d.Decode(context.Background(), values(string(value)))
		if err != nil {
			t.Fatal(err)
		}
		defer batch.Release()
		want, ok := oracleRow(value)
		if ok != (len(rejects) == 0) {
			t.Fatalf("%q: got rejects %v, encoding/json accepts it: %t", value, rejects, ok)
		}
		if !ok {
			return
		}
		for i, c := range batch.Rows.Columns() {
			if got := arrowText(c, 0); got != want[i] {
				t.Errorf("%q: column %s: got %s, want %s", value, batch.Rows.ColumnName(i), got, want[i])
			}
		}
	})
}

// arrowText writes a value as the oracle does.
func arrowText(a arrow.Array, i int) string {
	if a.IsNull(i) {
		return "null"
	}
	switch a := a.(type) {
	case *array.String:
		return strconv.Quote(a.Value(i))
	case *array.Binary:
		return strconv.Quote(string(a.Value(i)))
	case *array.Float64:
		return strconv.FormatFloat(a.Value(i), 'g', -1, 64)
	case *array.Decimal128:
		return a.Value(i).BigInt().String()
	case *array.List:
		start, end := a.ValueOffsets(i)
		var parts []string
		for j := start; j < end; j++ {
			parts = append(parts, arrowText(a.ListValues(), int(j)))
		}
		return fmt.Sprint(parts)
	case *array.Struct:
		return fmt.Sprint([]string{arrowText(a.Field(0), i), arrowText(a.Field(1), i)})
	}
	return a.ValueStr(i)
}

// oracleRow is the row that encoding/json and the standard library make.
func oracleRow(value []byte) (row []string, ok bool) {
	if !utf8.Valid(value) {
		return nil, false
	}
	top, ok := oracleObject(value)
	if !ok {
		return nil, false
	}
	var p json.RawMessage
	if o := top["o"]; o != nil && string(o) != "null" {
		inner, isObject := oracleObject(o)
		if !isObject {
			return nil, false
		}
		p = inner["p"]
	}
	for _, c := range []struct {
		raw  json.RawMessage
		text func(json.RawMessage) (string, bool)
	}{
		{top["b"], oracleInto[bool]}, {top["i"], oracleInto[int32]}, {top["l"], oracleInto[int64]}, {top["d"], oracleFloat},
		{top["m"], oracleDecimal}, {top["s"], oracleString}, {top["x"], oracleBinary}, {p, oracleString}, {top["t"], oracleList}, {top["n"], oracleStruct},
	} {
		text, ok := oracleNullable(c.raw, c.text)
		if !ok {
			return nil, false
		}
		row = append(row, text)
	}
	return row, true
}

// oracleObject decodes with encoding/json's map semantics: names are exact, the
// last of the same name wins.
func oracleObject(raw []byte) (map[string]json.RawMessage, bool) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	var m map[string]json.RawMessage
	if dec.Decode(&m) != nil || m == nil {
		return nil, false
	}
	_, err := dec.Token()
	return m, err == io.EOF
}

func oracleNullable(raw json.RawMessage, text func(json.RawMessage) (string, bool)) (string, bool) {
	if raw == nil || string(raw) == "null" {
		return "null", true
	}
	return text(raw)
}

func oracleInto[T any](raw json.RawMessage) (string, bool) {
	var v T
	err := json.Unmarshal(raw, &v)
	return fmt.Sprint(v), err == nil
}

func oracleFloat(raw json.RawMessage) (string, bool) {
	var v float64
	err := json.Unmarshal(raw, &v)
	return strconv.FormatFloat(v, 'g', -1, 64), err == nil
}

func oracleDecimal(raw json.RawMessage) (string, bool) {
	var n json.Number // accepts a number and a string that holds one
	if json.Unmarshal(raw, &n) != nil || n == "" {
		return "", false
	}
	if strings.Trim(strings.SplitN(strings.ToLower(string(n)), "e", 2)[0], "-0.") == "" {
		return "0", true
	}
	if _, exponent, ok := strings.Cut(strings.ToLower(string(n)), "e"); ok {
		if e, err := strconv.Atoi(exponent); err != nil || e > 10_000 || e < -10_000 {
			return "", false // the seeds and the fuzzer's inputs have no 10,000 digits to make up for it
		}
	}
	r, ok := new(big.Rat).SetString(string(n))
	if !ok {
		return "", false
	}
	r.Mul(r, big.NewRat(10_000, 1))
	digits := new(big.Int).Abs(r.Num()).String()
	return r.Num().String(), r.IsInt() && len(digits) <= 20
}

func oracleString(raw json.RawMessage) (string, bool) {
	if raw[0] == '{' || raw[0] == '[' {
		return strconv.Quote(string(raw)), true
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return strconv.Quote(s), err == nil
}

func oracleBinary(raw json.RawMessage) (string, bool) {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	b, err := base64.StdEncoding.DecodeString(s)
	return strconv.Quote(string(b)), err == nil
}

func oracleList(raw json.RawMessage) (string, bool) {
	var elements []json.RawMessage
	if json.Unmarshal(raw, &elements) != nil {
		return "", false
	}
	var parts []string
	for _, e := range elements {
		text, ok := oracleNullable(e, oracleString)
		if !ok {
			return "", false
		}
		parts = append(parts, text)
	}
	return fmt.Sprint(parts), true
}

func oracleStruct(raw json.RawMessage) (string, bool) {
	m, isObject := oracleObject(raw)
	if !isObject {
		return "", false
	}
	a, ok1 := oracleNullable(m["a"], oracleInto[int32])
	b, ok2 := oracleNullable(m["b"], oracleString)
	return fmt.Sprint([]string{a, b}), ok1 && ok2
}

// FuzzTextMatchesTheRecords holds the one-copy path to the obvious one.
func FuzzTextMatchesTheRecords(f *testing.F) {
	f.Add([]byte("a"), []byte(""), []byte("\xc3\xa9"))
	f.Add([]byte("\xc3"), []byte("\xa9"), []byte("\xff"))
	d, err := Compile(Spec{Format: "text", Columns: []Column{required(from(col("v", "string"), "kafka.value"))}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		s := values(string(a), string(b), string(c))
		batch, rejects, err := d.Decode(context.Background(), s)
		if err != nil {
			t.Fatal(err)
		}
		defer batch.Release()
		var want []string
		for _, r := range s.Records {
			if utf8.Valid(r.Value) {
				want = append(want, string(r.Value))
			}
		}
		var got []string
		for i := range int(batch.Rows.NumRows()) {
			got = append(got, batch.Rows.Column(0).(*array.String).Value(i))
		}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) || len(rejects) != 3-len(want) {
			t.Errorf("got %q and %d rejects, want %q and %d", got, len(rejects), want, 3-len(want))
		}
	})
}
