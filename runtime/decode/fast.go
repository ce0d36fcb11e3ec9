package decode

import (
	"github.com/calvelake/calve/runtime/decode/internal/debezium"
	"github.com/calvelake/calve/runtime/decode/internal/fastjson"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

// compileFast compiles the columns that read the document to a single pass over
// it. Columns that it cannot do leave every document to the exact way, which
// decides all rejects in any case.
func (f *jsonFormat) compileFast(spec Spec) {
	var fields []fastjson.Field
	var natural [][]string
	for i := range f.columns {
		c := &f.columns[i]
		if c.source.kind != sourcePath {
			f.others = append(f.others, i)
			continue
		}
		field := fastjson.Field{Path: c.source.path, Column: i, Type: c.dataType, Encoding: c.encoding, Nullable: c.nullable}
		if c.fallback != nil {
			field.Default = func(v *vector.Vector, row int) { v.Copy(row, c.fallback, 0) }
		}
		field.Read = func(raw []byte, v *vector.Vector, row int) (int64, bool) {
			var s scratch
			err := c.value.write(raw, v, row, &s)
			return s.unknown, err == nil
		}
		fields = append(fields, field)
	}
	if len(fields) == 0 {
		return
	}
	options := fastjson.Options{KnownOnly: f.seeks || f.rest >= 0}
	var err error
	if !f.format.changes {
		f.fast, err = fastjson.NewPlan(fields, options)
	} else {
		for _, name := range spec.NaturalKey {
			for _, field := range fields {
				if f.columns[field.Column].name == name {
					natural = append(natural, field.Path)
				}
			}
		}
		f.fast, err = fastjson.NewChangePlan(fields, options, fastjson.Changes{Marker: debezium.NewMarker(spec.UnavailableValue), Natural: natural})
	}
	if err != nil {
		f.fast = nil
	}
}

// readFast writes what columns read in a document to the present row in a
// single pass, or reports that it left the row as it was.
func (j *jsonReader) readFast(document []byte, rows *rows) bool {
	if document == nil || !j.openFast(rows) {
		return false
	}
	before := j.fast.Unknown
	done := j.fast.Read(document)
	j.scratch.unknown += j.fast.Unknown - before
	return done
}

// readFastEvent is readFast for a change event of one row. It fills source too,
// and leaves alone events that give two rows or none, that leave out values, or
// whose columns are in the record's key.
func (c *changesReader) readFastEvent(document []byte, rows *rows) (debezium.Op, bool) {
	if document == nil || c.f.envelope != nil || !c.openFast(rows) {
		return 0, false
	}
	before := c.fast.Unknown
	op, done := c.fast.ReadChange(document, &c.source)
	c.scratch.unknown += c.fast.Unknown - before
	if !done {
		c.source.Reset()
	}
	return op, done
}

// openFast tells whether there is a fast way, and makes it ready for the batch.
func (j *jsonReader) openFast(rows *rows) bool {
	if j.fast == nil && j.f.fast != nil {
		j.fast = j.f.fast.Reader(rows.set)
	}
	return j.fast != nil
}

func (j *jsonReader) closeFast() {
	if j.fast != nil {
		j.fast.Close()
		j.fast = nil
	}
}
