package abi

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

const full = `{"abi":1,"name":"orders","version":"1.0.0","kind":"transform","summary":"s","config_schema":{"type":"object"},
	"input":[{"name":"id","format":"l","nullable":false},{"name":"t","format":"+s","children":[{"name":"x","format":"u"}]}],
	"outputs":[{"stream":0,"columns":"derived"},{"stream":2,"columns":[{"name":"id","format":"l"}]}],
	"batch_rows_hint":100,"fixtures":[]}`

func TestDescribeSurvivesTheRoundTrip(t *testing.T) {
	d, err := ParseDescribe([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	if d.Input.Any || d.Input.Columns[0].IsNullable() || !d.Input.Columns[1].IsNullable() || !d.Outputs[0].Derived || d.Outputs[1].Stream != 2 {
		t.Errorf("got %+v", d)
	}
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseDescribe(text)
	if err != nil || !reflect.DeepEqual(again, d) {
		t.Errorf("got %+v, %v, want %+v", again, err, d)
	}
}

func TestInputMayBeAny(t *testing.T) {
	d, err := ParseDescribe([]byte(`{"abi":1,"name":"n","version":"1","kind":"transform","input":"any","outputs":[{"stream":0,"columns":"derived"}]}`))
	if err != nil || !d.Input.Any {
		t.Errorf("got %+v, %v", d, err)
	}
}

func TestDescribeIsReadStrictly(t *testing.T) {
	replace := func(old, by string) string { return strings.Replace(full, old, by, 1) }
	deep := `{"name":"x","format":"+l"}`
	for range MaxDepth + 1 {
		deep = `{"name":"x","format":"+l","children":[` + deep + `]}`
	}
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", replace(`"summary"`, `"abstract"`), "abstract"},
		{"unknown key in a column", replace(`"nullable"`, `"null"`), "null"},
		{"unknown key in an output", replace(`"stream":2,`, `"stream":2,"x":1,`), `"x"`},
		{"text behind it", full + "{}", "after the JSON"},
		{"another version", replace(`"abi":1`, `"abi":3`), "abi is 3, this host speaks 1"},
		{"no name", replace(`"orders"`, `""`), "name must have"},
		{"no version", replace(`"1.0.0"`, `""`), "version must have"},
		{"no kind", replace(`"transform"`, `""`), "kind is missing"},
		{"negative hint", replace(`100`, `-1`), "batch_rows_hint"},
		{"input of another shape", replace(`"input":[`, `"input":7,"fixtures":[`), "list of columns or"},
		{"outputs of another shape", replace(`"derived"`, `"all"`), "list of columns or"},
		{"no outputs", `{"abi":1,"name":"n","version":"1","kind":"transform","input":"any","outputs":[]}`, "outputs is empty"},
		{"no columns", replace(`"derived"`, `[]`), "stream 0 has no columns"},
		{"a stream twice", replace(`"stream":2`, `"stream":0`), "stream 0 twice"},
		{"a column twice", replace(`"name":"t"`, `"name":"id"`), `column "id" twice`},
		{"a column without format", replace(`"format":"u"`, `"format":""`), `"x" has no format`},
		{"a column without name", replace(`"name":"x"`, `"name":""`), "name must have"},
		{"too deep", replace(`{"name":"x","format":"u"}`, deep), "nested deeper"},
		{"state of a transform", replace(`"batch_rows_hint"`, `"state":[{"name":"n","format":"l"}],"batch_rows_hint"`), "a session needs some"},
		{"session without state", replace(`"transform"`, `"session"`), "with 0 state columns"},
		{"state with the host's name", replace(`"kind":"transform"`, `"kind":"session","state":[{"name":"_key","format":"l"}]`), "underscore"},
		{"state column twice", replace(`"kind":"transform"`, `"kind":"session","state":[{"name":"n","format":"l"},{"name":"n","format":"l"}]`), `column "n" twice`},
		{"too long", strings.Repeat(" ", MaxDescribeBytes) + full, "at most"},
		{"no text", "{\"abi\":\"\xff\"}", "not UTF-8"},
	} {
		if _, err := ParseDescribe([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func FuzzParseDescribe(f *testing.F) {
	f.Add([]byte(full))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := ParseDescribe(data)
		if err != nil {
			return
		}
		if _, err := json.Marshal(d); err != nil {
			t.Errorf("accepted what cannot be written: %v", err)
		}
	})
}
