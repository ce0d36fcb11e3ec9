package decode

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"github.com/calvelake/calve/runtime/decode/registry"
)

// counted is a language that counts how often it parses.
func counted(l language) (language, map[int]int) {
	parsed := map[int]int{}
	parse := l.parse
	l.parse = func(s registry.Schema) (parsedSchema, error) {
		parsed[s.ID]++
		return parse(s)
	}
	return l, parsed
}

func orderColumns() []program.Column {
	c, err := compileColumn(col("id", "long"), format{fields: true})
	if err != nil {
		panic(err) // the column is a constant
	}
	return []program.Column{c.program(0)}
}

// A producer that names messages at will makes the decoder neither parse the
// schema again nor keep ever more, and the messages that are there stay kept.
func TestMessagesThatASchemaLacksCostLittle(t *testing.T) {
	l, parsed := counted(protobufLanguage)
	known := protobufShop()
	w := newWritten(newLibrary(l, known), "value", orderColumns()...)
	look := func(path ...int) *entryOf {
		t.Helper()
		found, err := w.lookup(t.Context(), schemaID{1, fmt.Sprint(path)}, path)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	for i := range 10 * maxRefused {
		if e := look(0, i+1); e.program != nil || e.refused == "" {
			t.Fatalf("message [0 %d] was found", i+1)
		}
	}
	order := look(0, 0)
	if order.program == nil || look(0, 0) != order {
		t.Errorf("the program of a message is not kept: %+v", order)
	}
	if got, want := len(w.known), maxRefused+1; got != want {
		t.Errorf("%d messages are kept, want %d", got, want)
	}
	if got := parsed[1]; got != 1 || known.asked[1] != 1 {
		t.Errorf("the schema was parsed %d times and asked for %d times, want 1", got, known.asked[1])
	}
}

// Within a batch as well, which remembers what it looked up.
func TestABatchRemembersFewSchemasThatAreNone(t *testing.T) {
	w := newWritten(newLibrary(protobufLanguage, protobufShop()), "value", orderColumns()...)
	spec := compileSpec(t, registered("protobuf", protobufShop(), col("id", "long")))
	set, err := vector.NewSet(spec.schema, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	side := &sideReader{written: w, set: set, readers: map[schemaID]*openReader{}}
	for i := range 4 * maxRefused {
		_, _, reject, err := side.find(t.Context(), []byte(wire(2+i, []byte{0})))
		if err != nil || reject == nil || reject.Code != "schema" {
			t.Fatalf("schema %d: %+v, %v", 2+i, reject, err)
		}
	}
	if _, _, reject, err := side.find(t.Context(), []byte(protobufOrder())); reject != nil || err != nil {
		t.Errorf("the schema that is there: %+v, %v", reject, err)
	}
	if got := len(side.readers); got != maxRefused+1 {
		t.Errorf("the batch remembers %d schemas, want %d", got, maxRefused+1)
	}
}

// Value, key and the parts of a change event share a schema that they name.
func TestSidesOfARecordShareParsedSchemas(t *testing.T) {
	l, parsed := counted(avroLanguage)
	library := newLibrary(l, newSchemas(map[int]string{1: orderKey}))
	for _, side := range []string{"value", "key"} {
		w := newWritten(library, side, orderColumns()...)
		if e, err := w.lookup(t.Context(), schemaID{id: 1}, nil); err != nil || e.program == nil {
			t.Errorf("%s: %+v, %v", side, e, err)
		}
	}
	if got := parsed[1]; got != 1 {
		t.Errorf("the schema was parsed %d times, want 1", got)
	}
}

// Beyond the bound schemas are read all the same.
func TestSchemasBeyondTheBoundAreNotKept(t *testing.T) {
	known := newSchemas(map[int]string{1: orderKey})
	library := newLibrary(avroLanguage, known)
	for i := range maxParsed {
		library.parsed[-1-i] = &parsedEntry{}
	}
	w := newWritten(library, "value", orderColumns()...)
	for range 2 {
		if e, err := w.lookup(t.Context(), schemaID{id: 1}, nil); err != nil || e.program == nil {
			t.Errorf("got %+v, %v", e, err)
		}
	}
	if len(library.parsed) != maxParsed || len(w.known) != 0 {
		t.Errorf("%d schemas and %d programs are kept, want %d and 0", len(library.parsed), len(w.known), maxParsed)
	}
}

// Partitions are decoded side by side: they compile messages of one schema at
// once.
func TestSchemasAreCompiledSideBySide(t *testing.T) {
	known := protobufShop()
	w := newWritten(newLibrary(protobufLanguage, known), "value", orderColumns()...)
	var all sync.WaitGroup
	found := make([]*entryOf, 8)
	errs := make([]error, len(found))
	for i := range found {
		all.Go(func() {
			for k := range 50 {
				path := []int{0, 0}
				if (i+k)%2 == 0 {
					path = []int{0, k}
				}
				e, err := w.lookup(context.Background(), schemaID{1, fmt.Sprint(path)}, path)
				errs[i] = errors.Join(errs[i], err)
				if path[1] == 0 {
					found[i] = e
				}
			}
		})
	}
	all.Wait()
	for i, e := range found {
		if errs[i] != nil || e != found[0] || e.program == nil {
			t.Errorf("goroutine %d: got %+v, %v", i, e, errs[i])
		}
	}
}
