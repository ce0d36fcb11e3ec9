package decode

import (
	"bytes"
	"context"
	"fmt"

	"github.com/calvelake/calve/runtime/decode/internal/debezium"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"github.com/calvelake/calve/runtime/record"
)

// TruncateError stops a pipeline whose source's table was truncated.
type TruncateError = debezium.TruncateError

// changesReader makes rows of Debezium's change events in JSON.
type changesReader struct {
	*jsonReader
	marker   debezium.Marker
	natural  []int // columns
	source   debezium.Source
	event    envelope
	sequence []byte
	// documents tells that the images are text of MongoDB documents, in events
	// that are read with a schema; the caller has written the columns of the
	// event and the key.
	documents  bool
	documentID []byte // of the record's key, where documents is set; extended JSON
	isMissed   []bool // columns that the image leaves out as unchanged
}

// envelope is the members of a change event.
type envelope struct {
	object                    []byte
	before, after, op, source []byte // nil if absent
}

func compileChanges(f *jsonFormat, spec Spec) (func() rowReader, error) {
	natural, err := f.naturalColumns(spec)
	if err != nil {
		return nil, err
	}
	if f.value == nil {
		f.value = &node{}
	}
	marker := debezium.NewMarker(spec.UnavailableValue)
	f.readers.New = func() any { return newChangesReader(f, marker, natural) }
	return func() rowReader { return f.readers.Get().(*changesReader) }, nil
}

func newChangesReader(f *jsonFormat, marker debezium.Marker, natural []int) *changesReader {
	return &changesReader{jsonReader: newJSONReader(f), marker: marker, natural: natural, isMissed: make([]bool, len(f.columns))}
}

// naturalColumns are the columns of the natural key, which the row must have.
func (d *Decoder) naturalColumns(spec Spec) ([]int, error) {
	var natural []int
	for _, name := range spec.NaturalKey {
		for i := range d.columns {
			if d.columns[i].name != name {
				continue
			}
			if d.columns[i].source.kind != sourcePath {
				return nil, fmt.Errorf("natural_key: column %q is read from %s, which is not part of the row", name, d.columns[i].source)
			}
			natural = append(natural, i)
		}
	}
	return natural, nil
}

// end implements rowReader.
func (c *changesReader) end(rows *rows) (*ChangeError, error) {
	change, err := c.finish()
	c.source.Reset()
	c.event = envelope{}
	c.f.readers.Put(c)
	return change, err
}

// read implements rowReader.
func (c *changesReader) read(_ context.Context, index int32, r *record.Record, rows *rows) (*record.Reject, error) {
	c.scratch.reset()
	c.source.Reset()
	clear(c.isMissed)
	document := withoutHeader(r.Value)
	if op, done := c.readFastEvent(document, rows); done {
		return c.finishFast(index, r, op, rows), nil
	}
	c.reset()
	reject := c.locateEvent(document)
	if reject != nil || c.event.object == nil {
		if reject == nil {
			rows.filtered++ // the null of a converter with a schema: a tombstone
		}
		return reject, nil
	}
	op, reject := c.readOp()
	if reject != nil {
		return reject, nil
	}
	if reject := c.readSource(); reject != nil {
		return reject, nil
	}
	switch op {
	case debezium.Message:
		rows.filtered++
		return nil, nil
	case debezium.Truncate:
		return nil, rows.truncate(c.f.Decoder, index, &c.source)
	}
	return c.readChange(index, r, op, rows), nil
}

// finishFast writes what readFastEvent does not: the other columns and those of
// the change.
func (c *changesReader) finishFast(index int32, r *record.Record, op debezium.Op, rows *rows) *record.Reject {
	c.writeChange(op, rows)
	return c.writeOthers(index, r, nil, rows)
}

// readChange writes the row of a change, or the two of one that changes the
// natural key.
func (c *changesReader) readChange(index int32, r *record.Record, op debezium.Op, rows *rows) *record.Reject {
	first, unknown := rows.set.Row, rows.unknown
	if op == debezium.Update && len(c.natural) > 0 {
		changed, reject := c.changesKey()
		if reject != nil {
			return reject
		}
		if changed {
			if reject := c.writeRow(index, r, debezium.Delete, rows); reject != nil {
				return reject
			}
			op = debezium.Create
		}
	}
	if reject := c.writeRow(index, r, op, rows); reject != nil {
		rows.undo(first)
		rows.unknown = unknown
		return reject
	}
	return nil
}

// changesKey tells whether an update changes a column of the natural key. An
// image that lacks one of them (a replica identity without it) does not tell.
func (c *changesReader) changesKey() (bool, *record.Reject) {
	before, reject := c.image(c.event.before, "before")
	if reject != nil || before == nil {
		return false, reject
	}
	c.reset()
	c.walk(c.f.value, before, &c.scratch)
	old := make([][]byte, len(c.natural))
	for k, i := range c.natural {
		if old[k] = c.found[i]; old[k] == nil || isNull(old[k]) || c.isUnavailable(old[k]) {
			return false, nil
		}
	}
	after, reject := c.image(c.event.after, "after")
	if reject != nil || after == nil {
		return false, reject
	}
	c.reset()
	c.walk(c.f.value, after, &c.scratch)
	for k, i := range c.natural {
		if now := c.found[i]; now == nil || !bytes.Equal(now, old[k]) && !c.isUnavailable(now) {
			return true, nil
		}
	}
	return false, nil
}

// writeRow writes one row of a change.
func (c *changesReader) writeRow(index int32, r *record.Record, op debezium.Op, rows *rows) *record.Reject {
	raw := c.event.after
	if op == debezium.Delete {
		raw = c.event.before
	}
	image, reject := c.image(raw, op.Image())
	if reject != nil {
		return reject
	}
	if image == nil && op != debezium.Delete {
		return c.noImage(op)
	}
	c.reset()
	clear(c.isMissed)
	c.scratch.unknown = 0
	unknown := int64(0)
	if c.f.envelope != nil && !c.documents {
		c.walk(c.f.envelope, c.event.object, &c.scratch)
	}
	if c.f.key != nil && !c.documents {
		c.locateKey(r.Key)
	}
	if image != nil {
		unknown = c.walk(c.f.value, image, &c.scratch)
	}
	if op == debezium.Delete && !c.documents {
		c.completeFromKey(r.Key)
	}
	if op == debezium.Delete && c.documentID != nil {
		c.completeID(c.documentID)
	}
	for i := range c.f.columns {
		if err := c.writeColumn(i, r, op, image, rows); err != nil {
			rows.undo(rows.set.Row)
			return c.f.columns[i].reject(err)
		}
	}
	if c.unseen != nil && image != nil && unknown+c.scratch.unknown > 0 {
		c.unseen.add(image, r.Offset, &c.scratch)
	}
	c.writeChange(op, rows)
	rows.unknown += unknown + c.scratch.unknown
	rows.next(index)
	return nil
}

func (c *changesReader) noImage(op debezium.Op) *record.Reject {
	if op == debezium.Update && string(c.source.Text(debezium.Connector)) == "mongodb" {
		return noDocument()
	}
	return malformed(c.event.object, fmt.Sprintf("after in an event of op %s", op))
}

func noDocument() *record.Reject {
	return &record.Reject{Code: record.CodeMissing, Message: "found no after in the update of a document, expected the whole document: " + debezium.UpdateOnly}
}

// writeColumn writes the present row of a column of the image, or of the other
// sources.
func (c *changesReader) writeColumn(i int, r *record.Record, op debezium.Op, image []byte, rows *rows) *valueError {
	col, to, row := &c.f.columns[i], rows.set.Columns[i], rows.set.Row
	switch col.source.kind {
	case sourceRest:
		if image == nil {
			return col.writeMissing(nil, to, row)
		}
		return c.writeRest(col, image, to, row)
	case sourcePath:
	case sourceEnvelope, sourceKeyPath:
		if c.documents {
			return nil
		}
		return c.writeFound(i, rows)
	default:
		return c.write(i, r, nil, rows)
	}
	if raw := c.found[i]; raw != nil && c.isUnavailable(raw) {
		if !col.nullable {
			return &valueError{code: record.CodeMissing, found: raw, expected: record.FormatType(col.dataType) + "; " + debezium.Unavailable}
		}
		c.isMissed[i] = true
		to.SetNull(row)
		return nil
	}
	err := c.writeFound(i, rows)
	if err != nil && err.code == record.CodeMissing && op == debezium.Delete && err.path == "" {
		err.expected = col.expected() + "; " + debezium.FullImages
	}
	return err
}

// writeChange writes the present row of record.ChangeFields.
func (c *changesReader) writeChange(op debezium.Op, rows *rows) {
	to, row := rows.changes.Columns, rows.changes.Row
	to[0].SetBytes(row, []byte{byte(op)})
	if at, ok := c.source.Timestamp(); ok {
		to[1].I64[row] = at
	} else {
		to[1].SetNull(row)
	}
	sequence, ok := c.source.AppendSequence(c.sequence[:0])
	if c.sequence = sequence; ok {
		to[2].SetBytes(row, sequence)
	} else {
		to[2].SetNull(row)
	}
	writeNames(to[3], row, c.f.columns, c.isMissed)
}

func writeNames(to *vector.Vector, row int, columns []column, marked []bool) {
	for i, m := range marked {
		if m {
			to.Kids[0].SetBytes(to.Kids[0].Append(), []byte(columns[i].name))
		}
	}
	to.End(row)
}
