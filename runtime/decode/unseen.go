package decode

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/record"
)

const (
	// maxNewFields bounds the fields that one slice can add, nested ones
	// included: what is more is for the slices after it.
	maxNewFields = 100
	// maxFields bounds the fields that a model can come to have by additions: a
	// source that puts data into the names of members would add columns for
	// ever.
	maxFields = 1000
	// maxAddedDepth is how deep the type of an added column nests; what is deeper
	// is JSON text. record.ParseType allows 8.
	maxAddedDepth = 7
)

// unseen is what the records of one slice have that no column reads.
type unseen struct {
	reads *reading
	root  *shape
	room  int // for new fields
}

func newUnseen(reads *reading) *unseen {
	u := &unseen{reads: reads}
	u.reset()
	return u
}

func (u *unseen) reset() { u.root, u.room = &shape{}, maxNewFields }

// shape is what the values of one place in the documents were.
type shape struct {
	kinds   kinds
	offset  int64 // of the first record with a value here that is not null
	names   []string
	members map[string]*shape
	element *shape
}

// kinds is a set of kinds of JSON values.
type kinds uint16

const (
	someBool kinds = 1 << iota
	someWhole
	someFraction
	someString
	someObject
	someArray
	someMoment // $date of extended JSON
	someBinary // $binary
	someOther  // what only text can hold
)

func (s *shape) see(k kinds, offset int64) {
	if s.kinds == 0 {
		s.offset = offset
	}
	s.kinds |= k
}

// member returns the shape of an object's member; nil if there is no room for
// another field.
func (u *unseen) member(s *shape, name []byte, isNew bool) *shape {
	if m := s.members[string(name)]; m != nil {
		return m
	}
	if isNew {
		if u.room == 0 {
			return nil
		}
		u.room--
	}
	if s.members == nil {
		s.members = map[string]*shape{}
	}
	m := &shape{}
	s.members[string(name)] = m
	s.names = append(s.names, string(name))
	return m
}

// add takes in what a document that became a row has unread.
func (u *unseen) add(object []byte, offset int64, s *scratch) {
	u.read(u.reads, u.root, object, offset, s)
}

// read looks for what is unread in an object that columns read in part.
func (u *unseen) read(r *reading, at *shape, object []byte, offset int64, s *scratch) {
	for members := membersOf(object); ; {
		name, value, ok := members.next()
		if !ok {
			return
		}
		name = s.unescapeName(name)
		kid := r.kids[string(name)]
		if kid == nil {
			if isNull(value) {
				continue
			}
			if m := u.member(at, name, true); m != nil {
				u.infer(m, value, offset, 1, s)
			}
			continue
		}
		u.readPart(kid, at, name, value, offset, s)
	}
}

// readPart looks into a member that columns read, in whole or in part.
func (u *unseen) readPart(kid *reading, at *shape, name, value []byte, offset int64, s *scratch) {
	switch {
	case kid.whole:
	case value[0] == '{' && len(kid.kids) > 0:
		u.read(kid, u.member(at, name, false), value, offset, s)
	case value[0] == '[' && kid.element != nil:
		u.readElements(kid.element, u.member(at, name, false), value, offset, s)
	}
}

func (u *unseen) readElements(element *reading, at *shape, array []byte, offset int64, s *scratch) {
	if at.element == nil {
		at.element = &shape{}
	}
	for elements := elementsOf(array); ; {
		value, ok := elements.next()
		if !ok {
			return
		}
		switch {
		case element.whole:
		case value[0] == '{' && len(element.kids) > 0:
			u.read(element, at.element, value, offset, s)
		case value[0] == '[' && element.element != nil:
			u.readElements(element.element, at.element, value, offset, s)
		}
	}
}

// infer takes in a value of a field that nobody reads.
func (u *unseen) infer(at *shape, value []byte, offset int64, depth int, s *scratch) {
	switch value[0] {
	case 'n':
	case 't', 'f':
		at.see(someBool, offset)
	case '"':
		at.see(someString, offset)
	case '{':
		if s.extended {
			if k := extendedKind(value, s); k != 0 {
				at.see(k, offset)
				return
			}
		}
		u.inferObject(at, value, offset, depth, s)
	case '[':
		if depth >= maxAddedDepth {
			at.see(someOther, offset)
			return
		}
		at.see(someArray, offset)
		if at.element == nil {
			at.element = &shape{}
		}
		for elements := elementsOf(value); ; {
			element, ok := elements.next()
			if !ok {
				return
			}
			u.infer(at.element, element, offset, depth+1, s)
		}
	default:
		at.see(numberKind(value), offset)
	}
}

func (u *unseen) inferObject(at *shape, object []byte, offset int64, depth int, s *scratch) {
	if depth >= maxAddedDepth {
		at.see(someOther, offset)
		return
	}
	at.see(someObject, offset)
	for members := membersOf(object); ; {
		name, value, ok := members.next()
		if !ok {
			return
		}
		if isNull(value) {
			continue
		}
		if m := u.member(at, s.unescapeName(name), true); m != nil {
			u.infer(m, value, offset, depth+1, s)
		}
	}
}

func numberKind(text []byte) kinds {
	if strings.ContainsAny(string(text), ".eE") {
		if _, err := strconv.ParseFloat(string(text), 64); err != nil {
			return someOther
		}
		return someFraction
	}
	if _, err := strconv.ParseInt(string(text), 10, 64); err != nil {
		return someOther // beyond 64 bits: no number that keeps it
	}
	return someWhole
}

func extendedKind(object []byte, s *scratch) kinds {
	kind, _, ok := unwrap(object, s)
	if !ok {
		return 0
	}
	switch kind {
	case "$date":
		return someMoment
	case "$binary":
		return someBinary
	case "$numberInt", "$numberLong":
		return someWhole
	case "$numberDouble":
		return someFraction
	}
	return someString
}

// nestedName is what a name of a struct's field can be: it is the member's own,
// since a nested field has no path.
var nestedName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// dataType is the type that holds all values that were seen; nil if there were
// none, or empty ones alone. It is loose if strings in it hold values of other
// types as JSON text.
func (s *shape) dataType() (t arrow.DataType, loose bool) {
	switch s.kinds {
	case 0:
		return nil, false
	case someBool:
		return arrow.FixedWidthTypes.Boolean, false
	case someWhole:
		return arrow.PrimitiveTypes.Int64, false
	case someFraction, someWhole | someFraction:
		return arrow.PrimitiveTypes.Float64, false
	case someString:
		return arrow.BinaryTypes.String, false
	case someMoment:
		return record.Timestamptz, false
	case someBinary:
		return arrow.BinaryTypes.Binary, false
	case someArray:
		element, loose := s.element.dataType()
		if element == nil {
			return nil, false
		}
		return arrow.ListOfField(arrow.Field{Name: "element", Type: element, Nullable: true}), loose
	case someObject:
		return s.structType()
	}
	return arrow.BinaryTypes.String, true
}

func (s *shape) structType() (arrow.DataType, bool) {
	var fields []arrow.Field
	anyLoose, seen := false, map[string]bool{}
	for _, name := range s.names {
		t, loose := s.members[name].dataType()
		if t == nil {
			continue
		}
		if !nestedName.MatchString(name) || seen[strings.ToLower(name)] {
			return arrow.BinaryTypes.String, true // JSON text keeps any name
		}
		seen[strings.ToLower(name)] = true
		anyLoose = anyLoose || loose
		fields = append(fields, arrow.Field{Name: name, Type: t, Nullable: true})
	}
	if len(fields) == 0 {
		return nil, false
	}
	return arrow.StructOf(fields...), anyLoose
}
