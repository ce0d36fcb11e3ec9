package avro

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/record"
)

func TestUnreadFieldsAndWideningsAreTypes(t *testing.T) {
	s := parse(t, `{"type":"record","name":"R","fields":[
	 {"name":"id","type":"long"},{"name":"ratio","type":["null","double"]},{"name":"nothing","type":"null"},
	 {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":20,"scale":2}},
	 {"name":"huge","type":{"type":"bytes","logicalType":"decimal","precision":64,"scale":2}},
	 {"name":"at","type":["null",{"type":"long","logicalType":"timestamp-millis"}]},{"name":"local","type":{"type":"long","logicalType":"local-timestamp-micros"}},
	 {"name":"day","type":{"type":"int","logicalType":"date"}},{"name":"kind","type":{"type":"enum","name":"K","symbols":["A"]}},
	 {"name":"mixed","type":["null","int","string"]},{"name":"number","type":["int","long"]},{"name":"either","type":["int","double"]},{"name":"lossy","type":["long","double"]},
	 {"name":"address","type":["null",{"type":"record","name":"A","fields":[{"name":"city","type":"string"},{"name":"zip","type":["null","string"]},{"name":"geo","type":{"type":"array","items":"float"}}]}]},
	 {"name":"tree","type":{"type":"record","name":"T","fields":[{"name":"v","type":"int"},{"name":"kids","type":{"type":"array","items":"T"}}]}},
	 {"name":"twins","type":{"type":"record","name":"W","fields":[{"name":"a","type":"int"},{"name":"A","type":"int"}]}},
	 {"name":"tags","type":{"type":"map","values":["null","bytes"]}}]}`)
	columns, _ := columnsOf(t, [][2]string{{"id", "int"}, {"ratio", "float"}, {"price", "decimal(9,2)"}, {"address.city", "string"}})
	p, err := s.Compile(columns)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range p.Unread() {
		got = append(got, strings.Join(f.Path, ".")+" "+record.FormatType(f.Type))
	}
	want := []string{"huge decimal(38,2)", "at timestamptz", "local timestamp", "day date", "kind string", "mixed string", "number long", "either double", "lossy string",
		"address.zip string", "address.geo list<float>", "tree struct<v: int, kids: list<string>>", "twins string", "tags map<string, binary>"}
	if strings.Join(got, "; ") != strings.Join(want, "; ") {
		t.Errorf("got unread\n%s\nwant\n%s", strings.Join(got, "; "), strings.Join(want, "; "))
	}
	got = nil
	for _, w := range p.Widen() {
		got = append(got, columns[w.Column].Path[0]+" "+record.FormatType(w.Type))
	}
	if strings.Join(got, "; ") != "id long; ratio double; price decimal(20,2)" {
		t.Errorf("got widenings %s", strings.Join(got, "; "))
	}
}

func TestNestedTypesWiden(t *testing.T) {
	s := parse(t, `{"type":"record","name":"R","fields":[{"name":"v","type":{"type":"array","items":{"type":"record","name":"S","fields":[
	 {"name":"a","type":"long"},{"name":"b","type":"string"},{"name":"A","type":"string"},{"name":"m","type":{"type":"map","values":"double"}}]}}}]}`)
	for have, want := range map[string]string{
		"list<struct<a: int, m: map<string, float>>>":              "list<struct<a: long, m: map<string, double>, b: string>>",
		"list<struct<a: long, b: string, m: map<string, double>>>": "",
		"string": "",
	} {
		columns, _ := columnsOf(t, [][2]string{{"v", have}})
		p, err := s.Compile(columns)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, w := range p.Widen() {
			got += record.FormatType(w.Type)
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", have, got, want)
		}
	}
}

// TestEveryUnreadFieldIsAColumn: its type is one of the project language, and
// the column reads it, after which nothing is unread and nothing to widen.
func TestEveryUnreadFieldIsAColumn(t *testing.T) {
	for seed := range uint64(300) {
		p := newPair(t, (&schemas{Rand: rand.New(rand.NewPCG(seed, 11))}).text())
		for _, c := range p.columns {
			if text := record.FormatType(c.Type); typeOf(t, text).String() != c.Type.String() {
				t.Errorf("%s: got type %s, which is read as another", p.text, text)
			}
		}
		if n := len(p.program.Unread()) + len(p.program.Widen()); n > 0 {
			t.Errorf("%s: got %v unread and %v to widen, want none", p.text, p.program.Unread(), p.program.Widen())
		}
	}
}
