package avro

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

// TestTextIsReadWhereverItEnds reads text of each length with each number of
// bytes behind it in the record and in the column: it is copied in several
// ways, all of which stay within both.
func TestTextIsReadWhereverItEnds(t *testing.T) {
	for _, typ := range []string{`"string"`, `["null","string"]`, `["string","null"]`} {
		for behind := range 36 {
			fields := `{"name":"v","type":` + typ + `}`
			if behind > 0 {
				fields += fmt.Sprintf(`,{"name":"behind","type":{"type":"fixed","name":"F","size":%d}}`, behind)
			}
			p, err := parse(t, `{"type":"record","name":"R","fields":[`+fields+`]}`).Compile([]program.Column{{Path: []string{"v"}, Type: arrow.BinaryTypes.String, Nullable: true}})
			if err != nil {
				t.Fatal(err)
			}
			r := textReading{p: p, typ: typ, behind: behind}
			for length := range 80 {
				for _, text := range texts(length) {
					for _, room := range []int{0, length, 63, 64, 200} {
						r.read(t, text, room)
					}
				}
			}
		}
	}
}

// texts are of a length in bytes: ASCII, and with a character of two bytes and
// with a byte that is not UTF-8 at places all over.
func texts(length int) []string {
	ascii := strings.Repeat("abcdefghij", 8)[:length]
	out := []string{ascii}
	for i := length - 2; i >= 0; i -= 7 {
		out = append(out, ascii[:i]+"é"+ascii[i+2:], ascii[:i+1]+"\xff"+ascii[i+2:])
	}
	return out
}

// textReading reads records of a text and of bytes behind it.
type textReading struct {
	p      *Program
	typ    string
	behind int
}

// read reads a null, if there can be one, the text, a null and the text again
// to a column with room for bytes.
func (r textReading) read(t *testing.T, text string, room int) {
	t.Helper()
	set, err := vector.NewSet(arrow.NewSchema([]arrow.Field{{Name: "v", Type: arrow.BinaryTypes.String, Nullable: true}}, nil), 4, room)
	if err != nil {
		t.Fatal(err)
	}
	filler := strings.Repeat("\xfe", r.behind)
	record, null := append([]byte(str(text)), filler...), append([]byte(str("")), filler...)
	switch r.typ {
	case `["null","string"]`:
		record, null = append([]byte{2}, record...), append([]byte{0}, filler...)
	case `["string","null"]`:
		record, null = append([]byte{0}, record...), append([]byte{2}, filler...)
	}
	reader, valid := r.p.Reader(set), !strings.Contains(text, "\xff")
	for i, body := range [][]byte{null, record, null, record} {
		err := reader.Read(body)
		if i%2 == 1 && !valid {
			if err == nil {
				t.Fatalf("%s, %d bytes behind, room for %d: %q is read, want it refused", r.typ, r.behind, room, text)
			}
			set.Rollback()
			return
		}
		if err != nil {
			t.Fatalf("%s, %d bytes behind, room for %d: %q: %v", r.typ, r.behind, room, text, err)
		}
		set.Next()
	}
	v := set.Columns[0]
	for row, want := range []string{"", text, "", text} {
		got, isNull := string(v.Data[v.Offsets[row]:v.Offsets[row+1]]), row%2 == 0 && r.typ != `"string"`
		if got != want || v.IsNull(row) != isNull {
			t.Fatalf("%s, %d bytes behind, room for %d, row %d: got %q, null %t, want %q, null %t", r.typ, r.behind, room, row, got, v.IsNull(row), want, isNull)
		}
	}
}
