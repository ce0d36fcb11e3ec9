package avro

import (
	"fmt"

	"github.com/calvelake/calve/runtime/decode/internal/debezium"
	"github.com/calvelake/calve/runtime/decode/internal/program"
)

// Changes says what is read of change events of Debezium.
type Changes struct {
	// Image are the columns of the row: paths from before or after down.
	Image []program.Column
	// Envelope are columns of the event around it: paths from the event down.
	Envelope []program.Column
	// NaturalKey are the places in Image of the columns that tell rows apart.
	NaturalKey []int
	Marker     debezium.Marker
}

// ChangeProgram decodes change events of one schema. It is safe for concurrent
// use.
type ChangeProgram struct {
	fields   []eventField
	envelope *Program
	before   *Program // nil if there is no such field, or if it is text; no column of it is required
	after    *Program
	key      *keyProgram // nil without a natural key
}

// eventField is a field of the event and what it is to a reader.
type eventField struct {
	name   string
	role   role
	node   *node // without null
	nullAt int   // -1 if it cannot be null
	source []sourceField
}

type role uint8

const (
	other role = iota
	beforeImage
	afterImage
	sourceBlock
	operation
)

type sourceField struct {
	node  *node
	field debezium.Field
	read  bool
}

// CompileChange makes the program of a schema whose records are change events.
// An error says what the schema lacks, or which column it cannot feed.
func (s *Schema) CompileChange(changes Changes) (*ChangeProgram, error) {
	root := s.root.unwrap()
	if root.kind != structure || root != s.root {
		return nil, fmt.Errorf("the schema is %s, expected a record of %s", s.root.describe(), debezium.Flat)
	}
	p := &ChangeProgram{}
	has := map[role]*node{}
	for _, f := range root.fields {
		e := eventField{name: f.name, node: f.node, nullAt: -1}
		if inner, nullAt, ok := f.node.nullable(); ok {
			e.node, e.nullAt = inner, nullAt
		}
		e.role = e.roleOf()
		if e.role == sourceBlock {
			e.source = sourceFields(e.node)
		}
		has[e.role] = e.node
		p.fields = append(p.fields, e)
	}
	if has[operation] == nil || has[sourceBlock] == nil {
		return nil, fmt.Errorf("the schema is record %s without the fields op and source, expected %s", root.name, debezium.Flat)
	}
	var err error
	if p.envelope, err = compile(root, changes.Envelope, nil); err != nil {
		return nil, err
	}
	if p.after, err = compileImage(has[afterImage], changes.Image, &changes.Marker); err != nil {
		return nil, err
	}
	if p.before, err = compileImage(has[beforeImage], program.Optional(changes.Image), &changes.Marker); err != nil {
		return nil, err
	}
	if len(changes.NaturalKey) > 0 && p.after != nil && p.before != nil {
		p.key, err = compileKey(has[beforeImage], has[afterImage], changes)
	}
	return p, err
}

// roleOf tells what a field is; one of another type than Debezium's is left
// alone, as a field of a table would be that is called op.
func (e *eventField) roleOf() role {
	isImage := e.node.kind == structure || e.node.kind == text
	switch {
	case e.name == "before" && isImage:
		return beforeImage
	case e.name == "after" && isImage:
		return afterImage
	case e.name == "source" && e.node.kind == structure && e.nullAt < 0:
		return sourceBlock
	case e.name == "op" && (e.node.kind == text || e.node.kind == enum):
		return operation
	}
	return other
}

// sourceFields finds what Calve reads of the source block; a field of another
// type than Debezium gives it is skipped.
func sourceFields(n *node) []sourceField {
	var out []sourceField
	for _, f := range n.fields {
		s := sourceField{node: f.node}
		if field, ok := debezium.FieldOf([]byte(f.name)); ok {
			inner := f.node.unwrap()
			isLong := inner.kind == integer || inner.kind == long
			isText := inner.kind == text || inner.kind == enum
			s.field, s.read = field, field.IsLong() && isLong || !field.IsLong() && isText
		}
		out = append(out, s)
	}
	return out
}

func compileImage(n *node, columns []program.Column, m *marker) (*Program, error) {
	if n == nil || n.kind != structure {
		return nil, nil
	}
	return compile(n, columns, m)
}

// Unread lists the fields of the row image that no column reads.
func (p *ChangeProgram) Unread() []program.Field {
	if p.after == nil {
		return nil
	}
	return p.after.unread
}

// Widen lists the columns of the row image that are narrower than its fields.
func (p *ChangeProgram) Widen() []program.Widening {
	if p.after == nil {
		return nil
	}
	return p.after.widen
}

// Documents tells whether the images are text: JSON documents of MongoDB,
// which no column is read of here.
func (p *ChangeProgram) Documents() bool { return p.after == nil && p.hasText() }

func (p *ChangeProgram) hasText() bool {
	for _, f := range p.fields {
		if f.role == afterImage && f.node.kind == text {
			return true
		}
	}
	return false
}
