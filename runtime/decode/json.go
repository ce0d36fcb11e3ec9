package decode

import (
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/record"
)

// node is one member name on the paths of a decoder's columns.
type node struct {
	name    string
	columns []int // that read this member itself
	kids    []*node
}

// add makes the column read the member at the path.
func (n *node) add(path []string, column int) {
	for _, name := range path {
		next := n.kid([]byte(name))
		if next == nil {
			next = &node{name: name}
			n.kids = append(n.kids, next)
		}
		n = next
	}
	n.columns = append(n.columns, column)
}

func (n *node) kid(name []byte) *node {
	for _, k := range n.kids {
		if k.name == string(name) {
			return k
		}
	}
	return nil
}

// document is one record's JSON while its row is made: all cells are parsed
// before the first is appended, so that a rejected row leaves nothing in any
// builder.
type document struct {
	d       *Decoder
	found   [][]byte // the value of each column, nil if absent
	wrong   [][]byte // a value on the column's path that is no object
	cells   []cell
	use     []*cell // the cell, or the default, that makes the column's value
	scratch scratch
	unknown int64
}

func jsonRows(d *Decoder, s *record.Slice, keep []int32) (result, error) {
	builder := array.NewRecordBuilder(d.mem, d.schema)
	defer builder.Release()
	builder.Reserve(len(keep))
	n := len(d.columns)
	doc := &document{d: d, found: make([][]byte, n), wrong: make([][]byte, n), cells: make([]cell, n), use: make([]*cell, n)}
	made := result{records: make([]int32, 0, len(keep))}
	for _, index := range keep {
		if reject := doc.parse(&s.Records[index]); reject != nil {
			reject.Record = index
			made.rejects = append(made.rejects, *reject)
			continue
		}
		for i := range d.columns {
			d.columns[i].value.append(builder.Field(i), doc.use[i])
		}
		made.records = append(made.records, index)
	}
	made.rows = builder.NewRecordBatch()
	d.unknown.Add(doc.unknown)
	return made, nil
}

// parse fills doc.use from a record, or says why it is rejected.
func (doc *document) parse(r *record.Record) *record.Reject {
	doc.scratch.reset()
	if r.Value != nil && doc.d.readsDocument() {
		if reject := doc.locate(r.Value); reject != nil {
			return reject
		}
	}
	for i := range doc.d.columns {
		c := &doc.d.columns[i]
		if err := doc.column(i, r); err != nil {
			return &record.Reject{Code: err.code, Column: c.name, Message: fmt.Sprintf("column %s: %s", c.name, err)}
		}
	}
	return nil
}

// readsDocument tells whether a column reads the value or a part of it.
func (d *Decoder) readsDocument() bool {
	return slices.ContainsFunc(d.columns, func(c column) bool { return c.source.kind == sourceValue || c.source.kind == sourcePath })
}

// locate finds the columns' values in the document.
func (doc *document) locate(value []byte) *record.Reject {
	if err := checkJSON(value); err != nil {
		return &record.Reject{Code: record.CodeMalformed, Message: fmt.Sprintf("found %s, expected a JSON object: %s", excerpt(value), err)}
	}
	if doc.d.tree == nil {
		return nil // only kafka.value is read: any JSON will do
	}
	value = trim(value)
	if value[0] != '{' {
		return &record.Reject{Code: record.CodeType, Message: fmt.Sprintf("found %s, expected a JSON object", excerpt(value))}
	}
	clear(doc.found)
	clear(doc.wrong)
	doc.walk(doc.d.tree, value)
	return nil
}

func (doc *document) walk(n *node, raw []byte) {
	object := membersOf(raw)
	for {
		name, value, ok := object.next()
		if !ok {
			return
		}
		kid := n.kid(doc.scratch.unescapeName(name))
		if kid == nil {
			doc.unknown++
			continue
		}
		doc.forget(kid)
		for _, c := range kid.columns {
			doc.found[c] = value
		}
		switch {
		case len(kid.kids) == 0, isNull(value):
		case value[0] == '{':
			doc.walk(kid, value)
		default:
			doc.blame(kid, value)
		}
	}
}

// forget drops what an earlier member of the same name gave: the last wins as
// a whole.
func (doc *document) forget(n *node) {
	for _, c := range n.columns {
		doc.found[c] = nil
	}
	for _, k := range n.kids {
		doc.forget(k)
		for _, c := range k.columns {
			doc.wrong[c] = nil
		}
	}
}

// blame notes for every column below n that value is in the way.
func (doc *document) blame(n *node, value []byte) {
	for _, k := range n.kids {
		for _, c := range k.columns {
			doc.wrong[c] = value
		}
		doc.blame(k, value)
	}
}

// column decides the cell of column i.
func (doc *document) column(i int, r *record.Record) *valueError {
	c := &doc.d.columns[i]
	doc.use[i] = &doc.cells[i]
	if c.source.bytesSource() {
		if raw := c.source.bytesOf(r); raw != nil {
			return c.parseBytes(raw, doc.use[i])
		}
	} else {
		if doc.wrong[i] != nil {
			return wrongType(doc.wrong[i], "an object on the way to the column's value")
		}
		if raw := doc.found[i]; raw != nil && !isNull(raw) {
			return c.value.parse(raw, doc.use[i], &doc.scratch)
		}
	}
	switch {
	case c.fallback != nil:
		doc.use[i] = c.fallback
	case c.nullable:
		doc.use[i].null = true
	default:
		return &valueError{code: record.CodeMissing, found: doc.found[i], expected: c.value.name + ", since the column is neither nullable nor has a default"}
	}
	return nil
}
