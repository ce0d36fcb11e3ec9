package decode

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/decode/registry"
)

// schemaID is a schema, or a message of one, that records name.
type schemaID struct {
	id   int
	path string // of the message
}

// parsedSchema is a schema of a language; safe for concurrent use.
type parsedSchema interface {
	// compile makes the program of a message for columns. The error says why no
	// record of it can be read.
	compile(path []int, columns []program.Column) (compiled, error)
}

// Bounds on what records make a decoder keep by what they name. A registry has
// only so many schemas, and a schema only so many messages; of what is in
// neither, records name as much as they like.
const (
	maxParsed  = 10_000 // schemas
	maxRefused = 256    // messages of a schema that cannot be read, and schemas and messages of a batch
)

// library keeps the schemas that the records of a decoder name, each parsed
// once for all that is read of it.
type library struct {
	language language
	schemas  Schemas

	mu     sync.RWMutex
	parsed map[int]*parsedEntry
}

// parsedEntry is a schema that was parsed, or why no record of it can be read.
type parsedEntry struct {
	schema  parsedSchema
	refused string
}

func newLibrary(l language, schemas Schemas) *library {
	return &library{language: l, schemas: schemas, parsed: map[int]*parsedEntry{}}
}

// schema finds a schema. An error is the registry's; kept tells whether the
// answer is for good.
func (l *library) schema(ctx context.Context, id int) (found *parsedEntry, kept bool, err error) {
	l.mu.RLock()
	found = l.parsed[id]
	l.mu.RUnlock()
	if found != nil {
		return found, true, nil
	}
	text, err := l.schemas.Schema(ctx, id)
	if errors.Is(err, registry.ErrUnknown) {
		// It may be registered by the time the record is replayed.
		return &parsedEntry{refused: err.Error()}, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("schema %d: %w", id, err)
	}
	made := l.parse(text)
	l.mu.Lock()
	defer l.mu.Unlock()
	if found := l.parsed[id]; found != nil {
		return found, true, nil
	}
	if len(l.parsed) >= maxParsed {
		return made, false, nil
	}
	l.parsed[id] = made
	return made, true, nil
}

func (l *library) parse(text registry.Schema) *parsedEntry {
	if text.Type != l.language.kind {
		return &parsedEntry{refused: fmt.Sprintf("it is a schema of %s, expected one of %s", text.Type, l.language.name)}
	}
	schema, err := l.language.parse(text)
	if err != nil {
		return &parsedEntry{refused: err.Error()}
	}
	return &parsedEntry{schema: schema}
}

// written is one side of a record, value or key, that is written with a schema:
// the programs that read its columns, each compiled once.
type written struct {
	*library
	side    string // "value" or "key", for messages
	columns []program.Column
	// compile makes a program; that of the schema for the columns if nil.
	compile func(parsedSchema) (compiled, error)

	mu      sync.RWMutex
	known   map[schemaID]*entryOf
	refused map[int]int // entries of known without a program, by schema
}

// entryOf is a message of a schema that was looked up: its program, or why no
// record of it can be read.
type entryOf struct {
	program compiled
	refused string
}

func newWritten(l *library, side string, columns ...program.Column) *written {
	return &written{library: l, side: side, columns: columns, known: map[schemaID]*entryOf{}, refused: map[int]int{}}
}

// lookup finds the program of a message. An error is the registry's.
func (w *written) lookup(ctx context.Context, id schemaID, path []int) (*entryOf, error) {
	w.mu.RLock()
	found := w.known[id]
	w.mu.RUnlock()
	if found != nil {
		return found, nil
	}
	schema, kept, err := w.schema(ctx, id.id)
	if err != nil {
		return nil, err
	}
	if schema.refused != "" {
		return &entryOf{refused: schema.refused}, nil
	}
	made := w.made(schema.schema, path)
	if !kept {
		return made, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if found := w.known[id]; found != nil {
		return found, nil
	}
	if made.program == nil {
		// What a schema lacks is found out again at little cost.
		if w.refused[id.id] >= maxRefused {
			return made, nil
		}
		w.refused[id.id]++
	}
	w.known[id] = made
	return made, nil
}

func (w *written) made(schema parsedSchema, path []int) *entryOf {
	var p compiled
	var err error
	if w.compile != nil {
		p, err = w.compile(schema)
	} else {
		p, err = schema.compile(path, w.columns)
	}
	if err != nil {
		return &entryOf{refused: err.Error()}
	}
	return &entryOf{program: p}
}
