package decode

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/calvelake/calve/runtime/decode/internal/literal"
	"github.com/calvelake/calve/runtime/record"
)

// kid returns a cell's next child, reusing what an earlier row left.
func (c *cell) kid() *cell {
	if len(c.kids) < cap(c.kids) {
		c.kids = c.kids[:len(c.kids)+1]
	} else {
		c.kids = append(c.kids, cell{})
	}
	return &c.kids[len(c.kids)-1]
}

// parse reads the value of a field, which may be null or, if raw is nil,
// absent.
func (f *field) parse(raw []byte, c *cell, s *scratch) *valueError {
	if raw != nil && !isNull(raw) {
		return f.value.parse(raw, c, s)
	}
	if !f.nullable {
		return &valueError{code: record.CodeMissing, found: raw, expected: f.value.name + ", not null"}
	}
	c.null = true
	return nil
}

func (v *valueType) parseStruct(raw []byte, c *cell, s *scratch) *valueError {
	if raw[0] != '{' {
		return wrongType(raw, v.name+", an object")
	}
	// A later member of a name replaces an earlier one, so the values are
	// found first and parsed afterwards.
	found := make([][]byte, len(v.fields))
	object := membersOf(raw)
	for {
		name, value, ok := object.next()
		if !ok {
			break
		}
		name = s.unescapeName(name)
		for i := range v.fields {
			if v.fields[i].name == string(name) {
				found[i] = value
			}
		}
	}
	c.kids = c.kids[:0]
	for i := range v.fields {
		if err := v.fields[i].parse(found[i], c.kid(), s); err != nil {
			return err.inside(v.fields[i].name)
		}
	}
	return nil
}

func (v *valueType) parseList(raw []byte, c *cell, s *scratch) *valueError {
	if raw[0] != '[' {
		return wrongType(raw, v.name+", an array")
	}
	c.kids = c.kids[:0]
	array := elementsOf(raw)
	for {
		value, ok := array.next()
		if !ok {
			return nil
		}
		if err := v.fields[0].parse(value, c.kid(), s); err != nil {
			return err.inside(fmt.Sprintf("[%d]", len(c.kids)-1))
		}
	}
}

func (v *valueType) parseMap(raw []byte, c *cell, s *scratch) *valueError {
	if raw[0] != '{' {
		return wrongType(raw, v.name+", an object")
	}
	c.kids = c.kids[:0]
	index := map[string]int{} // of the key's cell, by the key's canonical text
	object := membersOf(raw)
	for {
		name, value, ok := object.next()
		if !ok {
			return nil
		}
		quoted := name
		name = s.unescapeName(name)
		key := cell{}
		if err := v.fields[0].value.parseKey(quoted, name, &key, s); err != nil {
			return err.inside("key")
		}
		canonical := string(name)
		if v.fields[0].value.kind != kindString {
			canonical = fmt.Sprint(key.i)
		}
		at, again := index[canonical]
		if !again {
			at = len(c.kids)
			index[canonical] = at
			c.kid()
			c.kid()
		}
		k := &c.kids[at]
		k.null, k.i, k.bytes = false, key.i, key.bytes
		if err := v.fields[1].parse(value, &c.kids[at+1], s); err != nil {
			return err.inside(excerpt(name))
		}
	}
}

// parseKey reads a member's name as a map's key. quoted is the name as it is
// written, name what it says.
func (v *valueType) parseKey(quoted, name []byte, c *cell, s *scratch) *valueError {
	switch v.kind {
	case kindString:
		c.bytes = name
		return nil
	case kindDate:
		return v.parse(slices.Concat([]byte{'"'}, quoted, []byte{'"'}), c, s)
	}
	if _, err := literal.ParseNumber(name, nil); err != nil {
		return wrongType(name, v.name+", a whole number")
	}
	return v.parse(name, c, s)
}

// unescapeName returns what a member's name says; it stays valid as long as
// the row's cells.
func (s *scratch) unescapeName(name []byte) []byte {
	if bytes.IndexByte(name, '\\') < 0 {
		return name
	}
	start := len(s.text)
	s.text = unescape(s.text, name)
	return s.text[start:len(s.text):len(s.text)]
}
