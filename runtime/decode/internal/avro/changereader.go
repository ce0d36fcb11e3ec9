package avro

import (
	"errors"

	"github.com/calvelake/calve/runtime/decode/internal/debezium"
	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"github.com/calvelake/calve/runtime/record"
)

// Event is a change event apart from its rows. Its text points into the record.
type Event struct {
	Op     debezium.Op
	Source debezium.Source
	// HasBefore and HasAfter tell which images the event carries; Before and
	// After are their text if they are Documents.
	HasBefore, HasAfter bool
	Before, After       []byte
}

// ChangeReader reads events and writes the rows of one batch. It is for one
// goroutine.
type ChangeReader struct {
	program  *ChangeProgram
	event    Event
	body     []byte
	at       [2]int // where the images begin: before, after
	skipper  Reader
	envelope *Reader
	before   *Reader
	after    *Reader
	key      *keyReader
}

// Reader makes the reader of a batch.
func (p *ChangeProgram) Reader(set *vector.Set) (*ChangeReader, error) {
	r := &ChangeReader{program: p, envelope: p.envelope.Reader(set)}
	if p.after != nil {
		r.after = p.after.Reader(set)
	}
	if p.before != nil {
		r.before = p.before.Reader(set)
	}
	var err error
	if p.key != nil {
		r.key, err = p.key.reader()
	}
	return r, err
}

// Read reads an event and writes nothing. The event is valid until the next
// one is read. An error is a *program.Error.
func (r *ChangeReader) Read(body []byte) (*Event, error) {
	r.body = body
	r.event = Event{}
	r.skipper.empty, r.skipper.err = 0, nil
	pos := 0
	for i := range r.program.fields {
		f := &r.program.fields[i]
		if pos = r.field(f, body, pos); pos < 0 {
			if r.skipper.err == nil {
				r.skipper.stop(&op{x: &detail{where: f.name, node: f.node}})
			}
			return nil, r.skipper.err
		}
	}
	if pos != len(body) {
		return nil, trailing(len(body) - pos)
	}
	if r.event.Op == 0 {
		return nil, &program.Error{Code: record.CodeMalformed, Column: -1, Path: "op", Expected: "one of " + debezium.Ops}
	}
	return &r.event, nil
}

// field reads one field of an event.
func (r *ChangeReader) field(f *eventField, body []byte, pos int) int {
	if f.nullAt >= 0 {
		branch, next := index(2, body, pos)
		if next < 0 || branch == f.nullAt {
			return next
		}
		pos = next
	}
	switch f.role {
	case beforeImage:
		r.event.HasBefore, r.at[0] = true, pos
		return r.image(f.node, body, pos, &r.event.Before)
	case afterImage:
		r.event.HasAfter, r.at[1] = true, pos
		return r.image(f.node, body, pos, &r.event.After)
	case sourceBlock:
		return r.source(f, body, pos)
	case operation:
		text, next := textOf(f.node, body, pos)
		if next < 0 {
			return -1
		}
		var ok bool
		if r.event.Op, ok = debezium.ParseOp(text); !ok {
			r.skipper.err = &program.Error{Code: record.CodeMalformed, Column: -1, Path: "op", Found: excerpt(text), Expected: "one of " + debezium.Ops}
			return -1
		}
		return next
	}
	return r.skipper.skip(f.node, body, pos, 0)
}

func (r *ChangeReader) image(n *node, body []byte, pos int, to *[]byte) int {
	if n.kind == structure {
		return r.skipper.skip(n, body, pos, 0)
	}
	size, next := length(body, pos)
	if next < 0 {
		return -1
	}
	*to = body[next : next+size]
	return next + size
}

func (r *ChangeReader) source(f *eventField, body []byte, pos int) int {
	for i := range f.source {
		s := &f.source[i]
		if !s.read {
			if pos = r.skipper.skip(s.node, body, pos, 0); pos < 0 {
				return -1
			}
			continue
		}
		n := s.node
		if inner, nullAt, ok := n.nullable(); ok {
			branch, next := index(2, body, pos)
			if next < 0 {
				return -1
			}
			if pos = next; branch == nullAt {
				continue
			}
			n = inner
		}
		if s.field.IsLong() {
			var x int64
			if x, pos = varlong(body, pos); pos < 0 {
				return -1
			}
			r.event.Source.SetLong(s.field, x)
			continue
		}
		var text []byte
		if text, pos = textOf(n, body, pos); pos < 0 {
			return -1
		}
		r.event.Source.SetText(s.field, text)
	}
	return pos
}

// textOf reads a string or an enum.
func textOf(n *node, body []byte, pos int) (text []byte, next int) {
	if n.kind == enum {
		i, next := index(len(n.symbols), body, pos)
		if next < 0 {
			return nil, -1
		}
		return n.symbols[i], next
	}
	size, next := length(body, pos)
	if next < 0 {
		return nil, -1
	}
	return body[next : next+size], next + size
}

// Image writes the present row of all columns: those of the row from the
// event's before or after image, which the event must carry, and those of the
// event. Columns for which a before image has no value are null, whether or not
// they are required or have a default: a delete has its record's key to be
// completed from. An error is as of Reader.Read.
func (r *ChangeReader) Image(before bool) error {
	image, at := r.after, r.at[1]
	if before {
		image, at = r.before, r.at[0]
	}
	if image == nil {
		return errors.New("BUG: an image that is not a record was asked for columns")
	}
	if image.read(r.body, at) < 0 {
		return image.err
	}
	return r.Envelope()
}

// Envelope writes the present row of the columns of the event alone, for a row
// whose other columns come from elsewhere: a delete without a before image,
// whose columns are those of the record's key.
func (r *ChangeReader) Envelope() error {
	if len(r.program.envelope.columns) == 0 {
		return nil
	}
	return r.envelope.Read(r.body)
}

// Unavailable lists the columns of the last Image, by their index in the set,
// whose value the event does not carry since the change left it as it was. They
// are null in the row.
func (r *ChangeReader) Unavailable(before bool) []int32 {
	if before {
		return r.before.unavailable
	}
	return r.after.unavailable
}
