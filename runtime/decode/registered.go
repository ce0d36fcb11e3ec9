package decode

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"

	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/record"
)

// language compiles the schemas of one language.
type language struct {
	name string // for messages
	kind registry.Type
	// indexes splits off what tells the message of a schema from its others;
	// nil for languages with one.
	indexes func(body []byte) (path []int, rest []byte, err error)
	parse   func(registry.Schema) (parsedSchema, error)
}

// compiled is a message of a schema with columns; safe for concurrent use.
type compiled interface {
	Unread() []program.Field
	Widen() []program.Widening
	open(set *vector.Set) (bodyReader, error)
}

// bodyReader writes the present row of the columns of one program, all of them,
// and returns the number of fields that the schema does not have; or a
// *program.Error.
type bodyReader interface {
	read(body []byte) (unknown int64, err error)
}

// sideReader reads one side of the records of a batch.
type sideReader struct {
	*written
	set     *vector.Set
	readers map[schemaID]*openReader
	lastOne *openReader // of the record before, if mask is not 0
	head    uint64      // the bytes in front of its body, fewer than 8
	mask    uint64      // the bits of head that they are; 0 if there is none
}

type openReader struct {
	*entryOf
	reader bodyReader
}

// find splits a side of a record into its schema's reader and its body. What is
// in front of the body says all there is to know of the schema, and is mostly
// what the record before had.
func (s *sideReader) find(ctx context.Context, raw []byte) (*openReader, []byte, *record.Reject, error) {
	if s.mask != 0 && len(raw) >= 8 && binary.LittleEndian.Uint64(raw)&s.mask == s.head {
		return s.lastOne, raw[bits.Len64(s.mask)/8:], nil, nil
	}
	return s.findNew(ctx, raw)
}

func (s *sideReader) findNew(ctx context.Context, raw []byte) (*openReader, []byte, *record.Reject, error) {
	s.mask = 0
	number, body, err := registry.Parse(raw)
	if err != nil {
		return nil, nil, &record.Reject{Code: record.CodeMalformed, Message: fmt.Sprintf("the %s is not in the wire format of a schema registry: %s", s.side, err)}, nil
	}
	id, path := schemaID{id: number}, []int(nil)
	if s.language.indexes != nil {
		if path, body, err = s.language.indexes(body); err != nil {
			return nil, nil, &record.Reject{Code: record.CodeMalformed, Message: fmt.Sprintf("the %s is not in the wire format of a schema registry: %s", s.side, err)}, nil
		}
		if len(path) != 1 || path[0] != 0 {
			id.path = fmt.Sprint(path)
		}
	}
	one, err := s.open(ctx, id, path)
	if err != nil {
		return nil, nil, nil, err
	}
	if one.refused != "" {
		return nil, nil, &record.Reject{Code: record.CodeSchema, Message: fmt.Sprintf("the %s was written with schema %d: %s", s.side, number, one.refused)}, nil
	}
	if n := len(raw) - len(body); n < 8 && len(raw) >= 8 {
		s.lastOne, s.mask = one, 1<<(8*n)-1
		s.head = binary.LittleEndian.Uint64(raw) & s.mask
	}
	return one, body, nil, nil
}

func (s *sideReader) open(ctx context.Context, id schemaID, path []int) (*openReader, error) {
	if r := s.readers[id]; r != nil {
		return r, nil
	}
	found, err := s.lookup(ctx, id, path)
	if err != nil {
		return nil, err
	}
	r := &openReader{entryOf: found}
	if found.program != nil {
		if r.reader, err = found.program.open(s.set); err != nil {
			return nil, err
		}
	}
	if found.program != nil || len(s.readers) < maxRefused {
		s.readers[id] = r
	}
	return r, nil
}

// registeredFormat is what a decoder of a format with schemas knows, beside its
// columns.
type registeredFormat struct {
	*Decoder
	seeks bool // unread fields are looked for (OnSchemaChange)
	value *written
	key   *written // nil if no column reads a part of the key
}

// compileRegistered makes the function that opens the reader of a batch.
func compileRegistered(d *Decoder, spec Spec, l language) (func() rowReader, error) {
	if spec.Schemas == nil {
		return nil, fmt.Errorf("format %s needs a schema registry; set connections.kafka.schema_registry", spec.Format)
	}
	f := &registeredFormat{Decoder: d, seeks: spec.seeks()}
	known := newLibrary(l, spec.Schemas)
	f.value = d.written(known, "value", sourcePath, sourceRest)
	if f.key = d.written(known, "key", sourceKeyPath); len(f.key.columns) == 0 {
		f.key = nil
	}
	if d.format.changes {
		return compileRegisteredChanges(f, spec)
	}
	return func() rowReader { return &registeredReader{f: f} }, nil
}

// written collects the columns that are read from a side of a record.
func (d *Decoder) written(l *library, side string, kinds ...sourceKind) *written {
	w := newWritten(l, side)
	for i := range d.columns {
		for _, kind := range kinds {
			if d.columns[i].source.kind == kind {
				w.columns = append(w.columns, d.columns[i].program(i))
			}
		}
	}
	return w
}

// program is the column as programs take it.
func (c *column) program(index int) program.Column {
	p := program.Column{Path: c.source.path, Index: index, Type: c.dataType, Encoding: c.encoding, Nullable: c.nullable}
	if c.source.kind == sourceRest {
		p.Path = []string{fromRest}
	}
	if c.fallback != nil {
		p.Fallback = func(v *vector.Vector, row int) { v.Copy(row, c.fallback, 0) }
	}
	return p
}

// registeredReader makes rows of records that are written with schemas.
type registeredReader struct {
	f     *registeredFormat
	value *sideReader
	key   *sideReader
}

func (r *registeredReader) start(rows *rows) {
	r.value = &sideReader{written: r.f.value, set: rows.set, readers: map[schemaID]*openReader{}}
	if r.f.key != nil {
		r.key = &sideReader{written: r.f.key, set: rows.set, readers: map[schemaID]*openReader{}}
	}
}

// read implements rowReader.
func (r *registeredReader) read(ctx context.Context, index int32, rec *record.Record, rows *rows) (*record.Reject, error) {
	if r.value == nil {
		r.start(rows)
	}
	unknown := int64(0)
	if rec.Value != nil && (len(r.f.value.columns) > 0 || r.f.seeks) {
		one, body, reject, err := r.value.find(ctx, rec.Value)
		if reject != nil || err != nil {
			return reject, err
		}
		if unknown, err = one.reader.read(body); err != nil {
			rows.undo(rows.set.Row)
			reject, err := r.f.refusal(err)
			return reject, errors.Join(err, r.f.outgrown(one.program, reject, rec.Offset))
		}
		if r.f.seeks {
			if err := r.f.asks(one.program, rec.Offset); err != nil {
				return nil, err
			}
		}
	}
	if r.key != nil || len(r.f.ofBytes) > 0 {
		reject, err := r.writeOthers(ctx, rec, rows)
		if reject != nil || err != nil {
			rows.undo(rows.set.Row)
			return reject, err
		}
	}
	if rows.large && rows.overflows() {
		return nil, errTooMuchText
	}
	rows.unknown += unknown
	rows.next(index)
	return nil, nil
}

var errTooMuchText = errors.New("the text of a column's rows in one batch is more than a column can hold (2 GiB); poll fewer records at once")

// end implements rowReader.
func (r *registeredReader) end(*rows) (*ChangeError, error) { return nil, nil }

// refusal makes a reject of a program's error.
func (d *Decoder) refusal(err error) (*record.Reject, error) {
	var wrong *program.Error
	if !errors.As(err, &wrong) {
		return nil, err
	}
	if wrong.Column < 0 {
		return &record.Reject{Code: wrong.Code, Message: wrong.Error()}, nil
	}
	c := &d.columns[wrong.Column]
	return &record.Reject{Code: wrong.Code, Column: c.name, Message: fmt.Sprintf("column %s: %s", c.name, wrong)}, nil
}

// writeOthers writes the columns that are not of the value's fields.
func (r *registeredReader) writeOthers(ctx context.Context, rec *record.Record, rows *rows) (*record.Reject, error) {
	if r.key != nil {
		if reject, err := r.readKey(ctx, rec.Key, rows); reject != nil || err != nil {
			return reject, err
		}
	}
	for _, i := range r.f.ofBytes {
		c := &r.f.columns[i]
		if err := c.writeBytes(c.source.bytesOf(rec), rows.set.Columns[i], rows.set.Row); err != nil {
			return c.reject(err), nil
		}
	}
	return nil, nil
}

// readKey writes the columns that read a part of the key. A record without a
// key has nothing for them.
func (r *registeredReader) readKey(ctx context.Context, key []byte, rows *rows) (*record.Reject, error) {
	if key == nil {
		for _, p := range r.f.key.columns {
			c := &r.f.columns[p.Index]
			if err := c.writeMissing(nil, rows.set.Columns[p.Index], rows.set.Row); err != nil {
				return c.reject(err), nil
			}
		}
		return nil, nil
	}
	one, body, reject, err := r.key.find(ctx, key)
	if reject != nil || err != nil {
		return reject, err
	}
	if _, err := one.reader.read(body); err != nil {
		return r.f.refusal(err)
	}
	return nil, nil
}

// outgrown returns the ChangeError of a record that a column refuses and takes once
// it is as wide as the record's schema; nil for other records.
func (f *registeredFormat) outgrown(p compiled, reject *record.Reject, offset int64) error {
	if !f.seeks || reject == nil || reject.Code != record.CodeType {
		return nil
	}
	for _, wider := range p.Widen() {
		if f.columns[wider.Column].name == reject.Column {
			return f.asks(p, offset)
		}
	}
	return nil
}

// asks returns the ChangeError of a record whose schema has what no column
// reads, nil if there is nothing.
func (f *registeredFormat) asks(p compiled, offset int64) error {
	unread, widen := p.Unread(), p.Widen()
	if len(unread) == 0 && len(widen) == 0 {
		return nil
	}
	w := widening{offset: -1, fields: countFields(f.schema.Fields())}
	at := &shape{offset: offset}
	for _, field := range unread {
		if len(w.Add) < maxNewFields {
			w.addField(field.Path, field.Type, at)
		}
	}
	for _, wider := range widen {
		c := &f.columns[wider.Column]
		if w.takes(at, wider.Type) {
			w.Widen = append(w.Widen, Column{Name: c.name, From: strings.Join(c.source.path, "."), Type: wider.Type, Nullable: c.nullable, Added: c.added})
		}
	}
	if err := f.checkNames(w.Add); err != nil || w.offset < 0 {
		return err
	}
	return &ChangeError{Change: w.Change, Offset: offset}
}
