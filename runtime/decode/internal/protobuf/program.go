package protobuf

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

// Program decodes one message of a schema to the columns it was compiled for.
// It is safe for concurrent use.
type Program struct {
	message protoreflect.MessageDescriptor
	columns []program.Column
	types   *dynamicpb.Types
	root    *node
	vectors []origin
	// expanded are the string vectors that may get more text than a record has
	// bytes: enum names and JSON.
	expanded []int
	rest     *value // of a column Rest
	unread   []program.Field
	widen    []program.Widening
	maps     int // number of map columns at any depth
}

// origin says where a Reader finds a vector: in the set (parent is -1), or
// among the kids of a vector before it.
type origin struct{ parent, index int }

// Rest, as the only part of a column's path, stands for all fields of the
// message that no column reads, as JSON text of one object; null or the default
// if there are none. Each message is then read by way of protobuf-go.
const Rest = "*"

// Compile makes the program that decodes the message that indexes name (see
// message) to columns. An error says which column the schema cannot feed; a
// column of a field that the schema does not have is no error, it gets its
// default or null, or rejects every record.
func (s *Schema) Compile(indexes []int, columns []program.Column) (*Program, error) {
	message, err := s.message(indexes)
	if err != nil {
		return nil, err
	}
	c := compiler{p: &Program{message: message, types: s.types, columns: slices.Clone(columns)}, checks: map[protoreflect.FullName]*node{}}
	c.p.root = &node{message: message, counts: true}
	for i := range c.p.columns {
		if err := c.column(&c.p.columns[i]); err != nil {
			return nil, err
		}
	}
	c.finish(c.p.root)
	c.p.unread, c.p.widen = unreadFields(c.p.root, nil), widenings(c.p.root)
	return c.p, nil
}

// Reader makes the reader of a batch. It is for one goroutine.
func (p *Program) Reader(set *vector.Set) *Reader {
	r := &Reader{program: p, set: set, vectors: make([]*vector.Vector, len(p.vectors)), maps: make([]mapRow, p.maps)}
	for i, o := range p.vectors {
		if o.parent < 0 {
			r.vectors[i] = set.Columns[o.index]
		} else {
			r.vectors[i] = r.vectors[o.parent].Kids[o.index]
		}
	}
	return r
}

// Message is the full name of the message that the program decodes.
func (p *Program) Message() string { return string(p.message.FullName()) }

func (p *Program) addVector(parent, index int) int {
	p.vectors = append(p.vectors, origin{parent, index})
	return len(p.vectors) - 1
}

// columnError names a column that the schema cannot feed by its path, since a
// program does not know the columns' names.
func columnError(c *program.Column, message protoreflect.MessageDescriptor, err error) error {
	return fmt.Errorf("field %s of message %s: %w", joinPath(c.Path), message.FullName(), err)
}
