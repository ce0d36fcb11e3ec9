package decode

import (
	"fmt"
	"strconv"

	"github.com/calvelake/calve/runtime/decode/internal/debezium"
	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/record"
)

func malformed(found []byte, expected string) *record.Reject {
	return &record.Reject{Code: record.CodeMalformed, Message: fmt.Sprintf("found %s, expected %s", excerpt(found), expected)}
}

// locateEvent finds the members of the change event; event.object is nil for a
// payload that is null.
func (c *changesReader) locateEvent(document []byte) *record.Reject {
	c.event = envelope{}
	if err := checkJSON(document); err != nil {
		return malformed(document, "a change event: "+err.Error())
	}
	document = trim(document)
	if document[0] != '{' {
		return malformed(document, "a change event, an object")
	}
	object := unwrapPayload(document, &c.scratch)
	if object[0] != '{' {
		return nil
	}
	e := envelope{object: object}
	for members := membersOf(object); ; {
		name, member, ok := members.next()
		if !ok {
			break
		}
		switch string(c.scratch.unescapeName(name)) {
		case "before":
			e.before = member
		case "after":
			e.after = member
		case "op":
			e.op = member
		case "source":
			e.source = member
		}
	}
	c.event = e
	return nil
}

// withoutHeader returns a document without the schema id that Confluent's JSON
// Schema converter puts before it. JSON begins with no such byte.
func withoutHeader(document []byte) []byte {
	if len(document) == 0 || document[0] != 0 {
		return document
	}
	if _, rest, err := registry.Parse(document); err == nil {
		return rest
	}
	return document
}

// readOp reads op. An object without one is of another kind, which the message
// names if its members tell.
func (c *changesReader) readOp() (debezium.Op, *record.Reject) {
	if c.event.op == nil || isNull(c.event.op) {
		expected := "a change event: it has no op; " + debezium.Kind(func(name string) bool {
			return memberNamed(c.event.object, name, &c.scratch) != nil
		})
		return 0, malformed(c.event.object, expected)
	}
	if c.event.op[0] == '"' {
		if op, ok := debezium.ParseOp(c.scratch.unquote(c.event.op)); ok {
			return op, nil
		}
	}
	return 0, malformed(c.event.op, "op to be "+debezium.Ops)
}

// readSource fills source. An event without one (of a producer other than
// Debezium) has neither time nor place.
func (c *changesReader) readSource() *record.Reject {
	raw := c.event.source
	if raw == nil || isNull(raw) {
		return nil
	}
	if raw[0] != '{' {
		return malformed(raw, "source to be an object")
	}
	for members := membersOf(raw); ; {
		name, member, ok := members.next()
		if !ok {
			return nil
		}
		field, known := debezium.FieldOf(c.scratch.unescapeName(name))
		if !known {
			continue
		}
		if isNull(member) {
			c.source.Clear(field) // of members of one name the last one counts
			continue
		}
		if !field.IsLong() {
			if member[0] != '"' {
				return malformed(member, fmt.Sprintf("source.%s to be a string", field))
			}
			c.source.SetText(field, c.scratch.unquote(member))
			continue
		}
		x, err := strconv.ParseInt(string(member), 10, 64)
		if err != nil {
			return malformed(member, fmt.Sprintf("source.%s to be a whole number of 64 bits", field))
		}
		c.source.SetLong(field, x)
	}
}

// image returns the object that an image is; nil for null or none. MongoDB's
// images are strings that hold a document.
func (c *changesReader) image(raw []byte, name string) ([]byte, *record.Reject) {
	c.scratch.extended = false
	switch {
	case raw == nil:
		return nil, nil
	case c.documents && string(raw) != "null":
		return c.document(raw, raw, name)
	case isNull(raw):
		return nil, nil
	case raw[0] == '{':
		return raw, nil
	case raw[0] != '"':
		return nil, malformed(raw, name+" to be an object")
	}
	return c.document(c.scratch.unquote(raw), raw, name)
}

// document returns the object of a MongoDB document's text; raw is for messages.
func (c *changesReader) document(text, raw []byte, name string) ([]byte, *record.Reject) {
	if err := checkJSON(text); err != nil {
		return nil, malformed(raw, name+" to be an object, or a string that holds a document: "+err.Error())
	}
	if text = trim(text); text[0] != '{' {
		return nil, malformed(raw, name+" to hold a document")
	}
	c.scratch.extended = true
	return text, nil
}

// isUnavailable tells whether a value is the placeholder of one that the event
// leaves out.
func (c *changesReader) isUnavailable(raw []byte) bool {
	switch raw[0] {
	case '"':
		return c.marker.IsText(c.scratch.unquote(raw))
	case '[':
		array := elementsOf(raw)
		element, any := array.next()
		if any && c.marker.IsNumber(0, element) {
			return c.isNumbers(raw)
		}
		if !any || element[0] != '"' || !c.marker.IsText(c.scratch.unquote(element)) {
			return false
		}
		_, more := array.next()
		return !more
	case '{':
		object := membersOf(raw)
		name, _, any := object.next()
		if !any || !c.marker.Is(c.scratch.unescapeName(name)) {
			return false
		}
		_, _, more := object.next()
		return !more
	}
	return false
}

// isNumbers tells whether an array holds the numbers that stand for the
// placeholder.
func (c *changesReader) isNumbers(raw []byte) bool {
	array := elementsOf(raw)
	for i := 0; ; i++ {
		element, more := array.next()
		if !more {
			return i == c.marker.Numbers()
		}
		if !c.marker.IsNumber(i, element) {
			return false
		}
	}
}

// completeFromKey takes what the image of a delete lacks from the record's key,
// which names the row in any case.
func (c *changesReader) completeFromKey(raw []byte) {
	key := keyObject(raw, &c.scratch)
	if key == nil {
		return
	}
	mongo := string(c.source.Text(debezium.Connector)) == "mongodb"
	for members := membersOf(key); ; {
		name, member, ok := members.next()
		if !ok {
			return
		}
		name = c.scratch.unescapeName(name)
		if mongo && string(name) == "id" && member[0] == '"' {
			c.completeID(c.scratch.unquote(member))
			continue
		}
		if kid := c.f.value.kid(name); kid != nil && !isNull(member) && c.lacks(kid) {
			c.note(kid, member, &c.scratch)
		}
	}
}

// completeID takes a MongoDB document's id from the record's key, where it is
// text of extended JSON.
func (c *changesReader) completeID(id []byte) {
	kid := c.f.value.kid([]byte("_id"))
	if kid == nil || checkJSON(id) != nil || !c.lacks(kid) {
		return
	}
	if id = trim(id); !isNull(id) {
		c.note(kid, id, &c.scratch)
		c.scratch.extended = true
	}
}

// lacks tells whether an image has nothing for the columns of a member.
func (c *changesReader) lacks(n *node) bool {
	for _, i := range n.columns {
		if c.found[i] != nil && !isNull(c.found[i]) || c.wrong[i] != nil {
			return false
		}
	}
	for _, k := range n.kids {
		if !c.lacks(k) {
			return false
		}
	}
	return true
}
