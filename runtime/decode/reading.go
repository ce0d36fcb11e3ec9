package decode

import (
	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

// reading is what the columns read of a JSON value, types included: the
// opposite of what is left for the rest and for new columns.
type reading struct {
	whole   bool                // all of it
	kids    map[string]*reading // of an object: its members that are read
	element *reading            // of an array whose elements are read in part
	owned   bool                // it is a struct or list of a column, rather than on the path to one
}

// newReading compiles what the columns read of the value.
func (f *jsonFormat) newReading() *reading {
	root := &reading{}
	root.take(f.value, f.columns)
	return root
}

func (r *reading) take(n *node, columns []column) {
	if n == nil {
		return
	}
	for _, c := range n.columns {
		r.takeType(columns[c].dataType)
	}
	for _, k := range n.kids {
		r.kid(k.name).take(k, columns)
	}
}

func (r *reading) kid(name string) *reading {
	if r.kids == nil {
		r.kids = map[string]*reading{}
	}
	if r.kids[name] == nil {
		r.kids[name] = &reading{}
	}
	return r.kids[name]
}

func (r *reading) takeType(t arrow.DataType) {
	switch t := t.(type) {
	case *arrow.StructType:
		r.owned = true
		for _, f := range t.Fields() {
			r.kid(f.Name).takeType(f.Type)
		}
	case *arrow.ListType:
		r.owned = true
		if r.element == nil {
			r.element = &reading{}
		}
		r.element.takeType(t.Elem())
	default:
		r.whole = true
	}
}

// unread appends an object with the members of an object that no column reads,
// in their order and each once; the last of a name wins. any is false if there
// are none. Elements of arrays that a column reads do not count.
func (r *reading) unread(dst, object []byte, s *scratch) (text []byte, any bool) {
	type part struct {
		name, value []byte
		inner       *reading
	}
	var parts []part
	index := map[string]int{}
	for members := membersOf(object); ; {
		name, value, ok := members.next()
		if !ok {
			break
		}
		key := string(s.unescapeName(name))
		kid := r.kids[key]
		if kid != nil && (kid.whole || kid.element != nil || value[0] != '{') {
			value = nil // read, or null
		}
		p := part{name, value, kid}
		if at, again := index[key]; again {
			parts[at] = p
			continue
		}
		index[key] = len(parts)
		parts = append(parts, p)
	}
	start := len(dst)
	dst = append(dst, '{')
	for _, p := range parts {
		if p.value == nil {
			continue
		}
		before := len(dst)
		if any {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), p.name...), '"', ':')
		if p.inner == nil {
			dst, any = append(dst, p.value...), true
			continue
		}
		inner := false
		if dst, inner = p.inner.unread(dst, p.value, s); !inner {
			dst = dst[:before]
		}
		any = any || inner
	}
	if !any {
		return dst[:start], false
	}
	return append(dst, '}'), true
}

// writeRest writes the row of the column of what no other column reads.
func (j *jsonReader) writeRest(c *column, object []byte, to *vector.Vector, row int) *valueError {
	text, any := j.f.reads.unread(nil, trim(object), &j.scratch)
	if !any {
		return c.writeMissing(nil, to, row)
	}
	if err := c.value.leaf.Text(to, row, text); err != nil {
		return castError(text, err)
	}
	return nil
}
