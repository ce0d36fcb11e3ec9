package avro

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/twmb/avro"

	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"github.com/calvelake/calve/runtime/decode/registry"
)

// disagreements are the records that the library reads and Calve refuses; there
// are none the other way round.
var disagreements = map[string]string{
	"boolean": "a byte other than 0 and 1 is no boolean of the specification; the library takes all but 1 for false",
	"size":    "a block's byte size that is not that of its items: a reader that skips the block and one that reads it would see different data",
	"key":     "a key twice in one map: which value holds is for the producer to say; the library keeps the last",
	"utf8":    "text that is not UTF-8: no table can hold it; the library gives it as it is",
	"decimal": "bytes that are no number, or one of more digits than the schema declares: the column cannot hold it",
	"time":    "a time that microseconds in 64 bits cannot hold",
	"depth":   "values nested deeper than maxDepth, which the library bounds by 1000",
	"empty":   "more than maxEmptyItems items without bytes in one record, which the library bounds for each array",
}

// pair is a schema as both sides have it.
type pair struct {
	text    string
	schema  *Schema
	theirs  *avro.Schema
	columns []program.Column
	arrow   *arrow.Schema
	program *Program
	// few reads every other field, and skips the rest.
	few *Program
}

func newPair(t testing.TB, text string) *pair {
	t.Helper()
	p := &pair{text: text}
	var err error
	if p.schema, err = Parse(registry.Schema{ID: 1, Type: registry.Avro, Text: text}); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if p.theirs, err = avro.Parse(text, rawValues()...); err != nil {
		t.Fatal(err)
	}
	none, err := p.schema.Compile(nil)
	if err != nil {
		t.Fatal(err)
	}
	var fields []arrow.Field
	var few []program.Column
	for i, f := range none.Unread() {
		c := program.Column{Path: f.Path, Index: i, Type: f.Type, Nullable: true}
		p.columns = append(p.columns, c)
		if i%2 == 0 {
			few = append(few, c)
		}
		fields = append(fields, arrow.Field{Name: strings.Join(f.Path, "."), Type: f.Type, Nullable: true})
	}
	p.arrow = arrow.NewSchema(fields, nil)
	if p.program, err = p.schema.Compile(p.columns); err != nil {
		t.Fatalf("the columns that Unread names do not compile: %v\n%s", err, text)
	}
	if p.few, err = p.schema.Compile(few); err != nil {
		t.Fatal(err)
	}
	return p
}

// compare reads one record by both.
func (p *pair) compare(t testing.TB, data []byte) (accepted bool) {
	t.Helper()
	got, err := p.read(t, p.program, data)
	if err == nil {
		if few, err := p.read(t, p.few, data); err != nil {
			t.Fatalf("%s\n%x: got error %v with half of the columns, none with all", p.text, data, err)
		} else {
			for i := 0; i < len(got); i += 2 {
				if few[i] != got[i] {
					t.Fatalf("%s\n%x: got %s with half of the columns, %s with all", p.text, data, few[i], got[i])
				}
			}
		}
	}
	want, theirErr := p.expect(data)
	switch {
	case theirErr == nil && err == nil:
		if !slices.Equal(got, want) {
			t.Fatalf("%s\n%x:\ngot  %s\nwant %s", p.text, data, got, want)
		}
		return true
	case theirErr != nil && err == nil:
		t.Fatalf("%s\n%x: got %s, the library refuses it: %v", p.text, data, got, theirErr)
	case theirErr == nil:
		j := &judge{}
		j.walk(p.schema.root, data, 0, 0)
		if len(j.reasons) == 0 {
			t.Fatalf("%s\n%x: got error %v, the library reads %s", p.text, data, err, want)
		}
		for reason := range j.reasons {
			if disagreements[reason] == "" {
				t.Fatalf("no justification is listed for %s", reason)
			}
		}
	}
	return false
}

// read gives the row's columns as text. A batch without room for text and a
// row behind nulls, with room, are read by different operations.
func (p *pair) read(t testing.TB, by *Program, data []byte) ([]string, error) {
	t.Helper()
	got, err := p.readBehind(t, by, data, 0, 0)
	again, againErr := p.readBehind(t, by, data, 1, 256)
	if !slices.Equal(got, again) || fmt.Sprint(err) != fmt.Sprint(againErr) {
		t.Fatalf("%s\n%x:\ngot  %s, %v\nin a row behind nulls %s, %v", p.text, data, got, err, again, againErr)
	}
	return got, err
}

// readBehind reads a record to a row behind others that are null, in columns
// with room for bytes of text.
func (p *pair) readBehind(t testing.TB, by *Program, data []byte, nulls, room int) ([]string, error) {
	t.Helper()
	set, err := vector.NewSet(p.arrow, nulls+1, room)
	if err != nil {
		t.Fatal(err)
	}
	for range nulls {
		for _, v := range set.Columns {
			v.SetNull(set.Row)
		}
		set.Next()
	}
	if err := by.Reader(set).Read(data); err != nil {
		set.Rollback()
		return nil, err
	}
	read := map[int]bool{}
	for _, c := range by.columns {
		read[c.Index] = true
	}
	for i, v := range set.Columns {
		if !read[i] {
			v.SetNull(set.Row)
		}
	}
	set.Next()
	batch := set.Batch()
	defer batch.Release()
	var out []string
	for i, c := range p.columns {
		out = append(out, showRow(batch.Column(i), nulls, p.schema.root.at2(c.Path)))
	}
	return out, nil
}

// at2 is the type of a field, null included.
func (n *node) at2(path []string) *node {
	for _, f := range n.fields {
		if f.name == path[0] {
			return f.node
		}
	}
	return nil
}

// expect gives the columns as the library reads them; an error if it refuses
// the record, or reads less than all of it.
func (p *pair) expect(data []byte) (out []string, err error) {
	var v any
	rest, err := p.theirs.Decode(data, &v, avro.TaggedUnions())
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes behind the value", len(rest))
	}
	defer func() {
		if why, ok := recover().(unfit); ok {
			out, err = []string{string(why)}, nil
		}
	}()
	for _, c := range p.columns {
		out = append(out, show(p.schema.root.at2(c.Path), v.(map[string]any)[c.Path[0]], c.Type))
	}
	return out, nil
}

// judge looks in a record that the library reads for what is in disagreements.
type judge struct {
	reasons map[string]bool
	empty   int
}

func (j *judge) note(reason string) {
	if j.reasons == nil {
		j.reasons = map[string]bool{}
	}
	j.reasons[reason] = true
}

func (j *judge) walk(n *node, data []byte, pos, depth int) int {
	if depth > maxDepth {
		j.note("depth")
	}
	switch n.kind {
	case boolean:
		if data[pos] > 1 {
			j.note("boolean")
		}
		return pos + 1
	case integer, long:
		x, next := varlong(data, pos)
		if n.meaning == millis || n.meaning == localMillis {
			if x*1000/1000 != x {
				j.note("time")
			}
		}
		return next
	case float:
		return pos + 4
	case double:
		return pos + 8
	case fixed:
		j.decimal(n, data[pos:pos+n.size])
		return pos + n.size
	case enum:
		_, next := varlong(data, pos)
		return next
	case text, bytes:
		size, next := varlong(data, pos)
		raw := data[next : next+int(size)]
		if !utf8.Valid(raw) {
			j.note("utf8")
		}
		j.decimal(n, raw)
		return next + int(size)
	case union:
		branch, next := varlong(data, pos)
		return j.walk(n.branches[branch], data, next, depth+1)
	case structure:
		for _, f := range n.fields {
			pos = j.walk(f.node, data, pos, depth+1)
		}
		return pos
	case array, mapping:
		return j.blocks(n, data, pos, depth)
	}
	return pos
}

func (j *judge) blocks(n *node, data []byte, pos, depth int) int {
	keys := map[string]bool{}
	for {
		count, next := varlong(data, pos)
		pos = next
		if count == 0 {
			return pos
		}
		end, sized := 0, count < 0
		if sized {
			size, next := varlong(data, pos)
			count, pos, end = -count, next, next+int(size)
		}
		for range count {
			if n.kind == mapping {
				size, next := varlong(data, pos)
				pos = next + int(size)
				key := string(data[next:pos])
				if keys[key] {
					j.note("key")
				}
				keys[key] = true
				if !utf8.ValidString(key) {
					j.note("utf8")
				}
			}
			before := pos
			if pos = j.walk(n.items, data, pos, depth+1); pos == before && n.kind == array {
				if j.empty++; j.empty > maxEmptyItems {
					j.note("empty")
				}
			}
		}
		if sized && pos != end {
			j.note("size")
		}
	}
}

func (j *judge) decimal(n *node, raw []byte) {
	if n.meaning != decimalNumber {
		return
	}
	limit := strings.Repeat("9", n.digits)
	if len(raw) == 0 || len(raw) > maxDecimal {
		j.note("decimal")
		return
	}
	if text := strings.TrimLeft(unscaled(raw, 0).FloatString(0), "-"); len(text) > len(limit) {
		j.note("decimal")
	}
}

// TestRandomRecordsAreReadAsByTheLibrary reads random records of random
// schemas, and the same with a byte changed or cut short.
func TestRandomRecordsAreReadAsByTheLibrary(t *testing.T) {
	accepted, refused := 0, 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 7))
		p := newPair(t, (&schemas{Rand: r}).text())
		for range 20 {
			data := encode(r, nil, p.schema.root, 0)
			if !p.compare(t, data) {
				_, err := p.read(t, p.program, data)
				t.Fatalf("%s\n%x: got error %v for what the test encoded", p.text, data, err)
			}
			accepted++
			for range 8 {
				if !p.compare(t, mutate(r, data)) {
					refused++
				}
			}
		}
	}
	if refused < accepted {
		t.Errorf("got %d mutated records refused of %d, expected more: the mutations do nothing", refused, 8*accepted)
	}
}

func mutate(r *rand.Rand, data []byte) []byte {
	out := slices.Clone(data)
	switch r.IntN(4) {
	case 0:
		return out[:r.IntN(len(out)+1)]
	case 1:
		return append(out, byte(r.Uint32()))
	}
	if len(out) > 0 {
		out[r.IntN(len(out))] = byte(r.Uint32() >> r.IntN(8))
	}
	return out
}
