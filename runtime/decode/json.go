package decode

import (
	"context"
	"fmt"
	"sync"

	"github.com/calvelake/calve/runtime/decode/internal/fastjson"
	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/record"
)

// jsonFormat is what a decoder of JSON documents knows, beside its columns.
type jsonFormat struct {
	*Decoder
	value    *node // what the columns read of the value, or of the row of a change event; nil if nothing
	key      *node // … of the key
	envelope *node // … of the change event
	rest     int   // the column of the fields that no column reads; -1 without one
	reads    *reading
	seeks    bool           // unseen fields are looked for (OnSchemaChange)
	fast     *fastjson.Plan // nil if there is none for the columns
	others   []int          // columns that the fast way does not write
	readers  sync.Pool
}

// compileJSON makes the function that opens the reader of a batch.
func compileJSON(d *Decoder, spec Spec) (func() rowReader, error) {
	f := newJSONFormat(d, spec)
	f.compileFast(spec)
	if d.format.changes {
		return compileChanges(f, spec)
	}
	f.readers.New = func() any { return newJSONReader(f) }
	return func() rowReader { return f.readers.Get().(*jsonReader) }, nil
}

func newJSONFormat(d *Decoder, spec Spec) *jsonFormat {
	f := &jsonFormat{Decoder: d, rest: -1, seeks: spec.seeks()}
	for i := range d.columns {
		src := d.columns[i].source
		switch src.kind {
		case sourcePath:
			f.value = f.value.with(src.path, i)
		case sourceKeyPath:
			f.key = f.key.with(src.path, i)
		case sourceEnvelope:
			f.envelope = f.envelope.with(src.path, i)
		case sourceRest:
			f.rest = i
		}
	}
	if f.value == nil && (f.seeks || f.rest >= 0) {
		f.value = &node{}
	}
	f.reads = f.newReading()
	return f
}

// with adds a path; n may be nil.
func (n *node) with(path []string, column int) *node {
	if n == nil {
		n = &node{}
	}
	n.add(path, column)
	return n
}

// jsonReader makes rows of JSON documents.
type jsonReader struct {
	f *jsonFormat
	findings
	scratch scratch
	unseen  *unseen          // nil unless the format seeks
	fast    *fastjson.Reader // of the batch; nil if none was asked for
}

func newJSONReader(f *jsonFormat) *jsonReader {
	j := &jsonReader{f: f, findings: newFindings(len(f.columns))}
	if f.seeks {
		j.unseen = newUnseen(f.reads)
	}
	return j
}

// read implements rowReader.
func (j *jsonReader) read(_ context.Context, index int32, r *record.Record, rows *rows) (*record.Reject, error) {
	document := r.Value
	if j.f.format.wire && document != nil {
		_, rest, err := registry.Parse(document)
		if err != nil {
			return &record.Reject{Code: record.CodeMalformed, Message: "the value is not in the wire format of a schema registry: " + err.Error()}, nil
		}
		document = rest
	}
	j.scratch.reset()
	if j.readFast(document, rows) {
		return j.writeOthers(index, r, document, rows), nil
	}
	j.reset()
	unknown := int64(0)
	if document != nil && j.f.readsDocument() {
		var reject *record.Reject
		if unknown, reject = j.locate(document); reject != nil {
			return reject, nil
		}
	}
	if j.f.key != nil {
		j.locateKey(r.Key)
	}
	for i := range j.f.columns {
		if err := j.write(i, r, document, rows); err != nil {
			rows.undo(rows.set.Row)
			return j.f.columns[i].reject(err), nil
		}
	}
	if j.unseen != nil && document != nil && unknown+j.scratch.unknown > 0 {
		j.unseen.add(trim(document), r.Offset, &j.scratch)
	}
	rows.unknown += unknown + j.scratch.unknown
	rows.next(index)
	return nil, nil
}

// writeOthers writes the columns that the fast way does not, and ends the row.
func (j *jsonReader) writeOthers(index int32, r *record.Record, document []byte, rows *rows) *record.Reject {
	if len(j.f.others) > 0 {
		j.reset()
	}
	if j.f.key != nil {
		j.locateKey(r.Key)
	}
	for _, i := range j.f.others {
		c := &j.f.columns[i]
		var err *valueError
		if c.source.kind == sourceRest { // the fast way reads no document that has any
			err = c.writeMissing(nil, rows.set.Columns[i], rows.set.Row)
		} else {
			err = j.write(i, r, document, rows)
		}
		if err != nil {
			rows.undo(rows.set.Row)
			return c.reject(err)
		}
	}
	rows.unknown += j.scratch.unknown
	rows.next(index)
	return nil
}

// end implements rowReader.
func (j *jsonReader) end(*rows) (*ChangeError, error) {
	change, err := j.finish()
	j.f.readers.Put(j)
	return change, err
}

// finish tells what the batch asks for and makes the reader ready for another.
func (j *jsonReader) finish() (*ChangeError, error) {
	j.closeFast()
	var change *ChangeError
	var err error
	if j.unseen != nil {
		change, err = j.unseen.change(j.f)
		j.unseen.reset()
	}
	j.reset()
	return change, err
}

// readsDocument tells whether a column reads the value or a part of it.
func (f *jsonFormat) readsDocument() bool {
	for i := range f.columns {
		switch f.columns[i].source.kind {
		case sourceValue, sourcePath, sourceRest:
			return true
		}
	}
	return false
}

// locate finds the columns' values in the document.
func (j *jsonReader) locate(document []byte) (unknown int64, reject *record.Reject) {
	if err := checkJSON(document); err != nil {
		return 0, &record.Reject{Code: record.CodeMalformed, Message: fmt.Sprintf("found %s, expected a JSON object: %s", excerpt(document), err)}
	}
	if j.f.value == nil {
		return 0, nil // only kafka.value is read: any JSON will do
	}
	document = trim(document)
	if document[0] != '{' {
		return 0, &record.Reject{Code: record.CodeType, Message: fmt.Sprintf("found %s, expected a JSON object", excerpt(document))}
	}
	return j.walk(j.f.value, document, &j.scratch), nil
}

// locateKey finds what columns read of the key. A key that is no JSON object
// has nothing for them.
func (j *jsonReader) locateKey(key []byte) {
	if object := keyObject(key, &j.scratch); object != nil {
		j.walk(j.f.key, object, &j.scratch)
	}
}

// keyObject returns the object that a key is, without what Kafka Connect and
// Confluent's serializers put around it; nil if it is none.
func keyObject(key []byte, s *scratch) []byte {
	key = withoutHeader(key)
	if len(key) == 0 || checkJSON(key) != nil {
		return nil
	}
	key = trim(key)
	if key[0] != '{' {
		return nil
	}
	if key = unwrapPayload(key, s); key[0] != '{' {
		return nil
	}
	return key
}

// unwrapPayload returns the payload of an object {"schema": …, "payload": {…}},
// as Kafka Connect's JSON converter writes with schemas.enable; any other object
// as it is.
func unwrapPayload(object []byte, s *scratch) []byte {
	var schema, payload []byte
	others := 0
	for members := membersOf(object); ; {
		name, member, ok := members.next()
		if !ok {
			break
		}
		switch string(s.unescapeName(name)) {
		case "schema":
			schema = member
		case "payload":
			payload = member
		default:
			others++
		}
	}
	if others == 0 && schema != nil && payload != nil && (payload[0] == '{' || isNull(payload)) {
		return payload
	}
	return object
}

// write writes the present row of column i.
func (j *jsonReader) write(i int, r *record.Record, document []byte, rows *rows) *valueError {
	c, to, row := &j.f.columns[i], rows.set.Columns[i], rows.set.Row
	switch c.source.kind {
	case sourceValue, sourceKey, sourceHeader:
		return c.writeBytes(c.source.bytesOf(r), to, row)
	case sourceRest:
		return j.writeRest(c, document, to, row)
	}
	return j.writeFound(i, rows)
}

// writeFound writes the present row of a column from what was found for it.
func (j *jsonReader) writeFound(i int, rows *rows) *valueError {
	c, to, row := &j.f.columns[i], rows.set.Columns[i], rows.set.Row
	if j.wrong[i] != nil {
		return wrongType(j.wrong[i], "an object on the way to the column's value")
	}
	if raw := j.found[i]; raw != nil && !isNull(raw) {
		return c.value.write(raw, to, row, &j.scratch)
	}
	return c.writeMissing(j.found[i], to, row)
}
