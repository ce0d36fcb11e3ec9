package decode

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"

	"github.com/calvelake/calve/runtime/decode/internal/literal"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"github.com/calvelake/calve/runtime/record"
)

// write writes the value of a field, which may be null or, if raw is nil,
// absent.
func (f *field) write(raw []byte, to *vector.Vector, row int, s *scratch) *valueError {
	if raw != nil && !isNull(raw) {
		return f.value.write(raw, to, row, s)
	}
	if !f.nullable {
		return &valueError{code: record.CodeMissing, found: raw, expected: f.value.name + ", not null"}
	}
	to.SetNull(row)
	return nil
}

func (v *value) writeStruct(raw []byte, to *vector.Vector, row int, s *scratch) *valueError {
	if raw[0] != '{' {
		return wrongType(raw, v.name+", an object")
	}
	// A later member of a name replaces an earlier one, so the values are
	// found first and written afterwards.
	var few [16][]byte
	found := few[:min(len(v.fields), len(few))]
	if len(v.fields) > len(few) {
		found = make([][]byte, len(v.fields))
	}
	object := membersOf(raw)
	for {
		name, member, ok := object.next()
		if !ok {
			break
		}
		if i := v.fieldNamed(s.unescapeName(name)); i >= 0 {
			found[i] = member
		} else {
			s.unknown++
		}
	}
	for i := range v.fields {
		if err := v.fields[i].write(found[i], to.Kids[i], row, s); err != nil {
			return err.inside(v.fields[i].name)
		}
	}
	return nil
}

// fieldNamed returns the index of a struct's field, -1 if it has none of the
// name.
func (v *value) fieldNamed(name []byte) int {
	for i := range v.fields {
		if v.fields[i].name == string(name) {
			return i
		}
	}
	return -1
}

func (v *value) writeList(raw []byte, to *vector.Vector, row int, s *scratch) *valueError {
	if raw[0] != '[' {
		return wrongType(raw, v.name+", an array")
	}
	array, kid := elementsOf(raw), to.Kids[0]
	for i := 0; ; i++ {
		element, ok := array.next()
		if !ok {
			break
		}
		if err := v.fields[0].write(element, kid, kid.Append(), s); err != nil {
			return err.inside(fmt.Sprintf("[%d]", i))
		}
	}
	to.End(row)
	return nil
}

// entry is a member of an object that is a map.
type entry struct{ name, member []byte }

func (v *value) writeMap(raw []byte, to *vector.Vector, row int, s *scratch) *valueError {
	if raw[0] != '{' {
		return wrongType(raw, v.name+", an object")
	}
	entries, err := v.entriesOf(raw, s)
	if err != nil {
		return err
	}
	for _, e := range entries {
		keys, items := to.Kids[0], to.Kids[1]
		if err := v.fields[0].value.writeKey(e.name, keys, keys.Append()); err != nil {
			return err.inside("key")
		}
		if err := v.fields[1].write(e.member, items, items.Append(), s); err != nil {
			return err.inside(excerpt(e.name))
		}
	}
	to.End(row)
	return nil
}

// entriesOf lists an object's members in the order in which their keys come
// first, each with the last value of its key.
func (v *value) entriesOf(raw []byte, s *scratch) ([]entry, *valueError) {
	var entries []entry
	var index map[string]int // of a key in entries, once a search through them is slow
	object := membersOf(raw)
	for {
		name, member, ok := object.next()
		if !ok {
			return entries, nil
		}
		name = s.unescapeName(name)
		canonical := name
		if v.fields[0].value.kind != vector.String {
			canonical = canonicalKey(name)
		}
		at := -1
		if index == nil {
			at = slices.IndexFunc(entries, func(e entry) bool { return bytes.Equal(e.name, canonical) })
		} else if i, again := index[string(canonical)]; again {
			at = i
		}
		if at >= 0 {
			entries[at].member = member
			continue
		}
		entries = append(entries, entry{canonical, member})
		switch {
		case index != nil:
			index[string(canonical)] = len(entries) - 1
		case len(entries) == 16:
			index = make(map[string]int, 64)
			for i, e := range entries {
				index[string(e.name)] = i
			}
		}
	}
}

// canonicalKey returns the one way to write a key that is a number: 0 of -0.
func canonicalKey(name []byte) []byte {
	if string(name) == "-0" {
		return name[1:]
	}
	return name
}

// writeKey writes a member's name as a map's key.
func (v *value) writeKey(name []byte, to *vector.Vector, row int) *valueError {
	var err error
	switch v.kind {
	case vector.Int, vector.Long:
		if _, notNumber := literal.ParseNumber(name, nil); notNumber != nil {
			return wrongType(name, v.name+", a whole number")
		}
		err = v.leaf.Number(to, row, name)
	case vector.Date:
		if err = v.leaf.Text(to, row, name); err != nil {
			return castError([]byte(strconv.Quote(string(name))), err)
		}
	default:
		err = v.leaf.Text(to, row, name)
	}
	if err != nil {
		return castError(name, err)
	}
	return nil
}

// unquote returns a JSON string's text: a part of raw if nothing is escaped,
// else a part of s.text.
func (s *scratch) unquote(raw []byte) []byte { return s.unescapeName(raw[1 : len(raw)-1]) }

// unescapeName returns what a member's name says; it stays valid as long as
// the record is read.
func (s *scratch) unescapeName(name []byte) []byte {
	if bytes.IndexByte(name, '\\') < 0 {
		return name
	}
	start := len(s.text)
	s.text = unescape(s.text, name)
	return s.text[start:len(s.text):len(s.text)]
}

func (s *scratch) decodeBase64(text []byte) ([]byte, bool) {
	start := len(s.text)
	decoded, err := base64.StdEncoding.AppendDecode(s.text, text)
	if err != nil {
		return nil, false
	}
	s.text = decoded
	return decoded[start:len(decoded):len(decoded)], true
}
