package calve

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
)

func TestDescriptionIsJSON(t *testing.T) {
	p := Plugin{
		Name: "a\"b\\c\n\x01é", Version: "1", Summary: "s", ConfigSchema: `{"type":"object"}`, BatchRowsHint: 9,
		Input:  []Column{Long("id").Required(), Map("m", String("k"), Double("v"))},
		Output: []Column{Decimal("d", 12, 2), List("l", String("element")), Struct("t", Date("x"))},
		More:   [][]Column{{Timestamptz("at")}},
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(p.describe()), &got); err != nil {
		t.Fatalf("%v in %s", err, p.describe())
	}
	column := func(name, format string, children ...any) map[string]any {
		c := map[string]any{"name": name, "format": format}
		if children != nil {
			c["children"] = children
		}
		return c
	}
	required := func(c map[string]any) map[string]any { c["nullable"] = false; return c }
	want := map[string]any{
		"abi": 1.0, "name": p.Name, "version": "1", "kind": "transform", "summary": "s", "batch_rows_hint": 9.0,
		"config_schema": map[string]any{"type": "object"},
		"input":         []any{required(column("id", "l")), column("m", "+m", required(column("entries", "+s", required(column("k", "u")), column("v", "g"))))},
		"outputs": []any{
			map[string]any{"stream": 0.0, "columns": []any{column("d", "d:12,2"), column("l", "+l", column("element", "u")), column("t", "+s", column("x", "tdD"))}},
			map[string]any{"stream": 1.0, "columns": []any{column("at", "tsu:UTC")}},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestDescriptionOfAnyInputAndDerivedOutput(t *testing.T) {
	p := Plugin{Name: "n", Version: "1", Derive: func(in []Column) ([]Column, error) { return in, nil }}
	want := `{"abi":1,"name":"n","version":"1","kind":"transform","input":"any","outputs":[{"stream":0,"columns":"derived"}]}`
	if got := p.describe(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSetUpConfiguresThenDerives(t *testing.T) {
	var seen string
	p := Plugin{
		Configure: func(config []byte) error { seen = string(config); return nil },
		Derive:    func(in []Column) ([]Column, error) { return append(in, String(seen)), nil },
		More:      [][]Column{{Long("n")}},
	}
	got, err := p.setUp([]byte("x"), []Column{Int("i")})
	if want := [][]Column{{Int("i"), String("x")}, {Long("n")}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	refused := errors.New("no")
	p.Configure = func([]byte) error { return refused }
	if _, err := p.setUp(nil, nil); !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
}

func TestObjectMembersAreSplit(t *testing.T) {
	got, err := objectMembers([]byte(` {"config": {"a": [1, "}"], "b\"": {}}, "input_schema":4294967295 ,"limits":{"x":1},"s":"a\\\"}","n":null}`))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"config": `{"a": [1, "}"], "b\"": {}}`, "input_schema": "4294967295", "limits": `{"x":1}`, "s": `"a\\\"}"`, "n": "null"} {
		if string(got[key]) != want {
			t.Errorf("%s: got %s, want %s", key, got[key], want)
		}
	}
	for _, broken := range []string{"", "[", "{", `{"a"}`, `{"a":}`, `{"a":1 "b":2}`, `{"a":1`, `{a:1}`} {
		if got, err := objectMembers([]byte(broken)); err == nil {
			t.Errorf("%q: accepted as %q", broken, got)
		}
	}
}

func FuzzObjectMembers(f *testing.F) {
	f.Add(`{"config":{"a":[1,"}"]},"input_schema":12}`)
	f.Fuzz(func(t *testing.T, text string) {
		want := map[string]json.RawMessage{}
		if json.Unmarshal([]byte(text), &want) != nil {
			_, _ = objectMembers([]byte(text)) // it must end and not panic
			return
		}
		got, err := objectMembers([]byte(text))
		if want != nil && text != "null" && err != nil {
			t.Fatalf("refused %s: %v", text, err)
		}
		for key, value := range got {
			if w, ok := want[key]; ok && !json.Valid(value) {
				t.Errorf("%s: got %s, want %s", key, value, w)
			}
		}
	})
}
