package decode

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/decode/internal/avro"
	"github.com/calvelake/calve/runtime/decode/internal/debezium"
	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"github.com/calvelake/calve/runtime/record"
)

// changesFormat is what a decoder of change events with schemas knows, beside
// its columns.
type changesFormat struct {
	*registeredFormat
	rowKey    *written // columns of the row, of the record's key: for deletes
	members   [][]int  // columns of the row, those of one member together
	idKey     *written // the id of a MongoDB document, of the record's key
	documents *jsonFormat
	marker    debezium.Marker
	natural   []int
}

// idSchema is of the one column that idKey writes.
var idSchema = arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)

func compileRegisteredChanges(f *registeredFormat, spec Spec) (func() rowReader, error) {
	natural, err := f.naturalColumns(spec)
	if err != nil {
		return nil, err
	}
	c := &changesFormat{registeredFormat: f, marker: debezium.NewMarker(spec.UnavailableValue), natural: natural}
	known := f.value.library
	c.rowKey = f.written(known, "key", sourcePath)
	c.members = membersOfRow(c.rowKey.columns)
	c.rowKey.columns = program.Optional(c.rowKey.columns)
	c.idKey = newWritten(known, "key", program.Column{Path: []string{"id"}, Type: arrow.BinaryTypes.String, Nullable: true})
	c.documents = newJSONFormat(f.Decoder, spec)
	if c.documents.value == nil {
		c.documents.value = &node{}
	}
	changes := avro.Changes{Image: f.value.columns, Envelope: f.written(known, "value", sourceEnvelope).columns, Marker: c.marker}
	for _, i := range natural {
		for at := range changes.Image {
			if changes.Image[at].Index == i {
				changes.NaturalKey = append(changes.NaturalKey, at)
			}
		}
	}
	f.value.compile = func(s parsedSchema) (compiled, error) {
		p, err := s.(avroSchema).CompileChange(changes)
		return changeProgram{p}, err
	}
	return func() rowReader { return &registeredChanges{f: c} }, nil
}

type changeProgram struct{ *avro.ChangeProgram }

func (p changeProgram) open(set *vector.Set) (bodyReader, error) {
	r, err := p.ChangeProgram.Reader(set)
	return changeBody{r}, err
}

// changeBody is a bodyReader in name alone: events are read by way of its
// ChangeReader, since one may make two rows or none.
type changeBody struct{ *avro.ChangeReader }

func (changeBody) read([]byte) (int64, error) {
	return 0, errors.New("BUG: a change event was read as one row")
}

// registeredChanges makes rows of change events that are written with schemas.
type registeredChanges struct {
	f         *changesFormat
	value     *sideReader
	key       *sideReader // nil if no column reads a part of the key
	rowKey    *sideReader
	idKey     *sideReader
	documents *changesReader // also holds what is written to the change columns
}

func (c *registeredChanges) start(rows *rows) error {
	side := func(w *written, set *vector.Set) *sideReader {
		return &sideReader{written: w, set: set, readers: map[schemaID]*openReader{}}
	}
	ids, err := vector.NewSet(idSchema, 1, 64)
	if err != nil {
		return err
	}
	keys, err := vector.NewSet(c.f.schema, 1, 64)
	if err != nil {
		return err
	}
	c.value, c.rowKey, c.idKey = side(c.f.value, rows.set), side(c.f.rowKey, keys), side(c.f.idKey, ids)
	if c.f.key != nil {
		c.key = side(c.f.key, rows.set)
	}
	c.documents = newChangesReader(c.f.documents, c.f.marker, c.f.natural)
	c.documents.documents = true
	return nil
}

// changed is the change event that is being read.
type changed struct {
	index   int32
	rec     *record.Record
	reader  *avro.ChangeReader
	program *avro.ChangeProgram
	event   *avro.Event
}

// read implements rowReader.
func (c *registeredChanges) read(ctx context.Context, index int32, rec *record.Record, rows *rows) (*record.Reject, error) {
	if c.value == nil {
		if err := c.start(rows); err != nil {
			return nil, err
		}
	}
	one, body, reject, err := c.value.find(ctx, rec.Value)
	if reject != nil || err != nil {
		return reject, err
	}
	e := changed{index: index, rec: rec, reader: one.reader.(changeBody).ChangeReader, program: one.program.(changeProgram).ChangeProgram}
	if e.event, err = e.reader.Read(body); err != nil {
		return c.f.refusal(err)
	}
	c.documents.source = e.event.Source
	switch e.event.Op {
	case debezium.Message:
		rows.filtered++
		return nil, nil
	case debezium.Truncate:
		return nil, rows.truncate(c.f.Decoder, index, &e.event.Source)
	}
	first, unknown := rows.set.Row, rows.unknown
	reject, err = c.readChange(ctx, &e, rows)
	if reject != nil || err != nil {
		rows.undo(first)
		rows.unknown = unknown
		return reject, errors.Join(err, c.f.outgrown(one.program, reject, rec.Offset))
	}
	if c.f.seeks {
		if err := c.f.asks(one.program, rec.Offset); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// end implements rowReader.
func (c *registeredChanges) end(*rows) (*ChangeError, error) {
	if c.documents == nil {
		return nil, nil
	}
	return c.documents.finish()
}

// readChange writes the row of a change, or the two of one that changes the
// natural key.
func (c *registeredChanges) readChange(ctx context.Context, e *changed, rows *rows) (*record.Reject, error) {
	op := e.event.Op
	if op == debezium.Update && len(c.f.natural) > 0 {
		changed, reject, err := c.changesKey(e)
		if reject != nil || err != nil {
			return reject, err
		}
		if changed {
			if reject, err := c.writeRow(ctx, e, debezium.Delete, rows); reject != nil || err != nil {
				return reject, err
			}
			op = debezium.Create
		}
	}
	return c.writeRow(ctx, e, op, rows)
}

func (c *registeredChanges) changesKey(e *changed) (bool, *record.Reject, error) {
	if e.program.Documents() {
		c.documents.scratch.reset()
		c.documents.event = envelope{before: e.event.Before, after: e.event.After}
		changed, reject := c.documents.changesKey()
		return changed, reject, nil
	}
	changed, err := e.reader.KeyChanged()
	if err != nil {
		reject, err := c.f.refusal(err)
		return false, reject, err
	}
	return changed, nil, nil
}

// writeRow writes one row of a change.
func (c *registeredChanges) writeRow(ctx context.Context, e *changed, op debezium.Op, rows *rows) (*record.Reject, error) {
	clear(c.documents.isMissed)
	if c.key != nil {
		r := registeredReader{f: c.f.registeredFormat, key: c.key}
		if reject, err := r.readKey(ctx, e.rec.Key, rows); reject != nil || err != nil {
			return reject, err
		}
	}
	isDelete := op == debezium.Delete
	switch {
	case e.program.Documents():
		return c.writeDocument(ctx, e, op, rows)
	case isDelete:
		if reject, err := c.writeDeleted(ctx, e, rows); reject != nil || err != nil {
			return reject, err
		}
	case !e.event.HasAfter:
		return c.noAfter(op), nil
	default:
		if err := c.writeImage(e, false); err != nil {
			return c.f.refusal(err)
		}
	}
	for _, i := range c.f.ofBytes {
		col := &c.f.columns[i]
		if err := col.writeBytes(col.source.bytesOf(e.rec), rows.set.Columns[i], rows.set.Row); err != nil {
			return col.reject(err), nil
		}
	}
	if rows.large && rows.overflows() {
		return nil, errTooMuchText
	}
	c.documents.writeChange(op, rows)
	rows.next(e.index)
	return nil, nil
}

func (c *registeredChanges) noAfter(op debezium.Op) *record.Reject {
	if op == debezium.Update && string(c.documents.source.Text(debezium.Connector)) == "mongodb" {
		return noDocument()
	}
	return &record.Reject{Code: record.CodeMalformed, Message: fmt.Sprintf("found no after, expected one in an event of op %s", op)}
}

// writeImage writes the columns of an image and of the event, and notes those
// that the image leaves out as unchanged.
func (c *registeredChanges) writeImage(e *changed, before bool) error {
	if err := e.reader.Image(before); err != nil {
		return err
	}
	for _, i := range e.reader.Unavailable(before) {
		c.documents.isMissed[i] = true
	}
	return nil
}

// keyOf finds the reader of a record's key; nil for a key that none reads.
func (c *registeredChanges) keyOf(ctx context.Context, side *sideReader, key []byte) (*openReader, []byte, error) {
	if key == nil {
		return nil, nil, nil
	}
	reader, body, _, err := side.find(ctx, key)
	return reader, body, err
}

// writeDocument writes the row of an event whose images are text of MongoDB
// documents.
func (c *registeredChanges) writeDocument(ctx context.Context, e *changed, op debezium.Op, rows *rows) (*record.Reject, error) {
	if err := e.reader.Envelope(); err != nil {
		return c.f.refusal(err)
	}
	d := c.documents
	d.scratch.reset()
	d.event = envelope{before: e.event.Before, after: e.event.After}
	d.documentID = nil
	if op == debezium.Delete {
		id, err := c.idOf(ctx, e.rec.Key)
		if err != nil {
			return nil, err
		}
		d.documentID = id
	} else if !e.event.HasAfter {
		return c.noAfter(op), nil
	}
	return d.writeRow(e.index, e.rec, op, rows), nil
}

// idOf reads the id of a MongoDB document in a record's key, nil if there is
// none.
func (c *registeredChanges) idOf(ctx context.Context, key []byte) ([]byte, error) {
	reader, body, err := c.keyOf(ctx, c.idKey, key)
	if err != nil || reader == nil {
		return nil, err
	}
	set := c.idKey.set
	defer set.Truncate(0)
	if _, err := reader.reader.read(body); err != nil {
		return nil, nil // a key of another shape has no id
	}
	v := set.Columns[0]
	if v.IsNull(0) {
		return nil, nil
	}
	return append([]byte(nil), v.Data[:v.Offsets[1]]...), nil
}
