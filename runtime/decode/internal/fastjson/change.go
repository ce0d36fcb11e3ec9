package fastjson

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/calvelake/calve/runtime/decode/internal/debezium"
)

// Changes says how a plan reads change events of Debezium.
type Changes struct {
	Marker debezium.Marker
	// Natural are the paths of the natural key; an update that changes one of
	// them is left to the exact reader.
	Natural [][]string
}

// change is what a reader of change events has beside the tree of the image.
type change struct {
	envelope *object
	source   *object // members of source
	key      *object // the natural key in the image before
	marker   debezium.Marker
	marks    []mark
	prefix   []byte // of the last document: its schema, as far as the payload's value

	// The present event.
	to        *debezium.Source
	operation debezium.Op // 0 if there is none
	before    int         // where the image before begins, -1 for none
	after     bool        // the image after is the row
	deleting  bool        // the image before is being read
}

// mark is where the values of a column of the natural key are, before and
// after: nowhere if there is none or null.
type mark struct{ before, beforeEnd, after, afterEnd int }

// NewChangePlan compiles the fields of a row of change events, to be read by
// ReadChange.
func NewChangePlan(fields []Field, options Options, changes Changes) (*Plan, error) {
	if looksLikeData(changes.Marker.Placeholder()) {
		return nil, errors.New("the unavailable value's placeholder looks like a number or a time")
	}
	p := &Plan{fields: fields, options: options, changes: &changes}
	r, err := p.newReader()
	if err != nil {
		return nil, err
	}
	p.readers.Put(r)
	return p, nil
}

// looksLikeData tells whether text, or its base64 or hex, could be a quoted
// number, date or time, which are read without a look at the placeholder.
func looksLikeData(text string) bool {
	digits := func(s string) bool { return strings.Trim(s, "0123456789") == "" }
	return text == "" || text[0] == '-' || digits(text[:1]) || digits(base64.StdEncoding.EncodeToString([]byte(text))) || digits(hex.EncodeToString([]byte(text)))
}

// addChanges makes the trees of a change event.
func (r *Reader) addChanges(c *Changes) error {
	r.change = &change{envelope: newObject(false), source: newObject(false), key: newObject(false), marker: c.Marker, marks: make([]mark, len(c.Natural))}
	for name, op := range map[string]op{"before": opBefore, "after": opAfter, "op": opOperation, "source": opSource, "schema": opGiveUp, "payload": opGiveUp} {
		if err := r.change.envelope.add(name, &slot{op: op}); err != nil {
			return err
		}
	}
	for _, f := range debezium.Fields() {
		s := &slot{op: opSourceOther, column: int(f)}
		switch {
		case f.IsLong():
			s.op = opSourceLong
		case f == debezium.Connector || f == debezium.File:
			s.op = opSourceText
		}
		if err := r.change.source.add(f.String(), s); err != nil {
			return err
		}
	}
	for k, path := range c.Natural {
		if err := r.change.key.addAt(path, &slot{op: opMarkBefore, column: k}, false); err != nil {
			return err
		}
		if !r.root.markAt(path, k) {
			return errors.New("a natural key has a path that no field has")
		}
	}
	return nil
}

// markAt makes what reads the member at a path note where it is.
func (o *object) markAt(path []string, k int) bool {
	s := o.known(path[0])
	for s != nil && len(path) > 1 {
		way := s
		if s.op == opSeveral {
			for _, part := range s.parts {
				if part.op == opObject {
					way = part
				}
			}
		}
		if way.op != opObject {
			return false
		}
		path = path[1:]
		s = way.object.known(path[0])
	}
	if s == nil {
		return false
	}
	inner := *s
	*s = slot{op: opMarkAfter, column: k, parts: []*slot{&inner}, counts: 1}
	s.setName(inner.name)
	return true
}

// ReadChange writes the row of a change event to the set's present row, fills
// source, which refers to the reader's memory until the next document, and
// returns the operation; or returns false and leaves nothing in the row. It
// gives up on all but creations, updates, reads and deletions of one row whose
// values are all there.
func (r *Reader) ReadChange(document []byte, source *debezium.Source) (debezium.Op, bool) {
	r.load(document)
	row, c := r.set.Row, r.change
	r.unknown = 0
	c.to, c.operation, c.before, c.after, c.deleting = source, 0, -1, false, false
	clear(c.marks)
	if r.readEvent(row) && r.completeEvent(row) {
		r.Unknown += r.unknown
		return c.operation, true
	}
	r.rollback(row)
	return 0, false
}

// readEvent reads the document, which is the event or has it in its payload,
// behind its schema.
func (r *Reader) readEvent(row int) bool {
	i, wrapped := r.payload()
	if i < 0 || r.text.byte(i) != '{' {
		return false
	}
	if i = r.members(r.change.envelope, i+1, row, 0); i < 0 {
		return false
	}
	if wrapped {
		if i = r.space(i); r.text.byte(i) != '}' {
			return false
		}
		i++
	}
	return r.space(i) == r.length
}

// maxPrefix bounds the schema that is remembered.
const maxPrefix = 1 << 17

// payload returns where the event begins. A schema is the same in document
// after document, so it is checked once and then compared.
func (r *Reader) payload() (i int, wrapped bool) {
	t, c := r.text, r.change
	if n := len(c.prefix); n > 0 && n < r.length && bytes.Equal(t.slice(0, n), c.prefix) {
		return r.space(n), true
	}
	i = r.space(0)
	if t.byte(i) != '{' {
		return -1, false
	}
	start := i
	if i = r.name(r.space(i+1), "schema"); i < 0 {
		return start, false
	}
	if i = r.skip(r.space(i), 1); i < 0 {
		return -1, false
	}
	if i = r.space(i); t.byte(i) != ',' {
		return -1, false
	}
	if i = r.name(r.space(i+1), "payload"); i < 0 {
		return -1, false
	}
	if i <= maxPrefix {
		c.prefix = append(c.prefix[:0], t.slice(0, i)...)
	}
	return r.space(i), true
}

// name returns the index behind the colon of a name that begins at i, -1 if it
// is another.
func (r *Reader) name(i int, name string) int {
	if r.text.byte(i) != '"' {
		return -1
	}
	end := r.plain(i + 1)
	if end < 0 || string(r.text.slice(i+1, end)) != name {
		return -1
	}
	if i = r.space(end + 1); r.text.byte(i) != ':' {
		return -1
	}
	return i + 1
}

// completeEvent decides whether the row is there, now that all members are
// known.
func (r *Reader) completeEvent(row int) bool {
	c := r.change
	switch c.operation {
	case debezium.Create, debezium.Read:
		return c.after
	case debezium.Update:
		return c.after && (c.before < 0 || r.sameKey())
	case debezium.Delete:
		if c.after || c.before < 0 || string(c.to.Text(debezium.Connector)) == "mongodb" {
			return false
		}
		// What the image lacks is in the record's key, which the exact reader
		// looks at.
		c.deleting = true
		return r.members(r.root, c.before+1, row, 1) >= 0
	}
	return false
}

// sameKey tells whether both images have the same natural key, as they write
// it.
func (r *Reader) sameKey() bool {
	for _, m := range r.change.marks {
		if m.before == m.beforeEnd || string(r.text.slice(m.before, m.beforeEnd)) != string(r.text.slice(m.after, m.afterEnd)) {
			return false
		}
	}
	return true
}

// event reads the value of a member that is none of a row; i is its first byte.
func (r *Reader) event(s *slot, i, row, depth int) int {
	t, c := r.text, r.change
	null := t.word(i)&(1<<32-1) == wordNull
	switch s.op {
	case opMarkAfter:
		end := r.value(s.parts[0], i, row, depth)
		if !null {
			c.marks[s.column].after, c.marks[s.column].afterEnd = i, max(i, end)
		}
		return end
	case opMarkBefore:
		end := r.skip(i, depth)
		if !null {
			c.marks[s.column].before, c.marks[s.column].beforeEnd = i, max(i, end)
		}
		return end
	case opBefore:
		if t.byte(i) == '{' {
			c.before = i
			return r.members(c.key, i+1, row, depth+1)
		}
	case opAfter:
		if t.byte(i) == '{' {
			c.after = true
			return r.members(r.root, i+1, row, depth+1)
		}
	case opSource:
		if t.byte(i) == '{' {
			return r.members(c.source, i+1, row, depth+1)
		}
	case opSourceOther:
		if t.byte(i) == '"' {
			return r.skipString(i + 1)
		}
	case opSourceText:
		if t.byte(i) == '"' {
			end := r.plain(i + 1)
			if end < 0 {
				return -1
			}
			c.to.SetText(debezium.Field(s.column), t.slice(i+1, end))
			return end + 1
		}
	case opOperation:
		if t.byte(i) == '"' && t.byte(i+1) >= ' ' && t.byte(i+2) == '"' {
			op, ok := debezium.ParseOp(t.slice(i+1, i+2))
			if c.operation = op; ok {
				return i + 3
			}
		}
		return -1
	}
	if null && (s.op == opSourceLong || s.op == opSourceText) {
		c.to.Clear(debezium.Field(s.column))
	}
	if null && s.op != opGiveUp {
		return i + 4
	}
	return -1
}

// unavailable tells whether text is the placeholder of a value that the event
// leaves out.
func (r *Reader) unavailable(text []byte) bool {
	return r.change != nil && r.change.marker.IsText(text)
}

// mayHoldMarker tells whether the text of an object or array may say that the
// event leaves it out.
func (r *Reader) mayHoldMarker(raw []byte) bool {
	if r.change == nil {
		return false
	}
	m := &r.change.marker
	return bytes.IndexByte(raw, '\\') >= 0 || bytes.Contains(raw, []byte(m.Placeholder())) ||
		raw[0] == '[' && m.Numbers() > 0 && bytes.Count(raw, []byte{','}) == m.Numbers()-1
}
