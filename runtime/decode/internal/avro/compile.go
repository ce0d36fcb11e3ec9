package avro

import (
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/record"
)

// compiler emits the operations of a program. What runs seldom (nulls, branches
// of unions) and what runs in a loop (elements) is emitted behind the rest, so
// that a record without nulls runs straight through.
type compiler struct {
	p       *Program
	pending []pending
}

// pending is code to emit behind the rest; start is told where it begins.
type pending struct {
	start func(pc int32)
	code  func() error
}

func (c *compiler) emit(o op) int {
	c.p.ops = append(c.p.ops, o)
	return len(c.p.ops) - 1
}

func (c *compiler) pc() int32 { return int32(len(c.p.ops)) }

func (c *compiler) vector(parent, index int) int32 {
	c.p.vectors = append(c.p.vectors, origin{parent, index})
	return int32(len(c.p.vectors) - 1)
}

func (c *compiler) later(start func(pc int32), code func() error) {
	c.pending = append(c.pending, pending{start, code})
}

// finish emits what is pending.
func (c *compiler) finish() error {
	for len(c.pending) > 0 {
		next := c.pending[0]
		c.pending = c.pending[1:]
		next.start(c.pc())
		if err := next.code(); err != nil {
			return err
		}
	}
	return nil
}

// fuse makes one operation of the null and the text of nullable text.
func (c *compiler) fuse() {
	for i := range c.p.ops {
		o := &c.p.ops[i]
		if o.code != opOption || o.vec < 0 || int(o.next) != i+2 {
			continue
		}
		if text := &c.p.ops[i+1]; text.code == opText && text.vec == o.vec {
			o.code = opOptionText
			if !o.first {
				o.size = 1
			}
		}
	}
}

// try tells whether a value could go to a target, by compiling it aside.
func (c *compiler) try(n *node, where string, t *target) error {
	aside := compiler{p: &Program{vectors: slices.Clone(c.p.vectors), marker: c.p.marker}}
	if err := aside.value(n, where, []*target{t}); err != nil {
		return err
	}
	return aside.finish()
}

// value emits the reading of a value, which may go to several targets: then it
// is read anew for each.
func (c *compiler) value(n *node, where string, targets []*target) error {
	if len(targets) == 0 {
		c.skip(n, where)
		return nil
	}
	if n.kind == union {
		return c.union(n, where, targets)
	}
	var whole, parts []*target
	for _, t := range targets {
		if n.kind == structure && (len(t.rest) > 0 || t.extra || t.typ.ID() == arrow.STRUCT) {
			parts = append(parts, t)
		} else {
			whole = append(whole, t)
		}
	}
	passes := len(whole)
	if len(parts) > 0 {
		passes++
	}
	mark := c.mark(passes)
	for i, t := range whole {
		if i > 0 {
			c.emit(op{code: opRewind, size: mark, vec: -1})
		}
		if err := c.single(n, where, t); err != nil {
			return err
		}
	}
	if len(parts) == 0 {
		return nil
	}
	if len(whole) > 0 {
		c.emit(op{code: opRewind, size: mark, vec: -1})
	}
	return c.record(n, where, parts)
}

// mark emits the remembering of a position that several passes begin at.
func (c *compiler) mark(passes int) int32 {
	if passes < 2 {
		return -1
	}
	mark := int32(c.p.marks)
	c.p.marks++
	c.emit(op{code: opMark, size: mark, vec: -1})
	return mark
}

func (c *compiler) skip(n *node, where string) {
	o := op{code: opSkip, vec: -1, x: &detail{node: n, where: where}}
	switch n.kind {
	case null:
		return
	case long:
		o.code = opSkipLong
	case bytes, text:
		o.code = opSkipBytes
	}
	c.emit(o)
}

// single emits the reading of a value as a whole to one target.
func (c *compiler) single(n *node, where string, t *target) error {
	switch {
	case n.kind == null:
		c.absent(t)
		return nil
	case t.extra:
		return c.refuse(n, where, t, "a record whose fields are left to the column")
	case len(t.rest) > 0:
		return c.refuse(n, where, t, "a record with the field "+t.rest[0])
	}
	x := &detail{node: n, target: t, where: where}
	switch typ := t.typ.(type) {
	case *arrow.StructType:
		return c.refuse(n, where, t, "a record")
	case *arrow.ListType:
		return c.list(n, typ, x)
	case *arrow.MapType:
		return c.mapping(n, typ, x)
	case *arrow.StringType:
		if (n.kind == structure || n.kind == array || n.kind == mapping) && t.encoding == "" {
			c.emit(op{code: opJSON, vec: t.vec, x: x})
			return nil
		}
	}
	return c.scalar(n, x)
}

func (c *compiler) refuse(n *node, where string, t *target, expected string) error {
	what := "the record"
	if where != "" {
		what = "field " + where
	}
	inside := ""
	if t.path != "" {
		inside = " (" + t.path + ")"
	}
	return fmt.Errorf("%s is %s, expected %s for a column%s of data_type %s", what, n.describe(), expected, inside, record.FormatType(t.typ))
}

// record emits the reading of a record's fields in their order.
func (c *compiler) record(n *node, where string, targets []*target) error {
	found := map[*target][]bool{}
	kids := map[*target][]*target{}
	for _, t := range targets {
		if t.typ.ID() == arrow.STRUCT && len(t.rest) == 0 {
			kids[t] = c.structFields(t)
			found[t] = make([]bool, len(kids[t]))
		} else {
			found[t] = make([]bool, 1)
		}
	}
	for _, f := range n.fields {
		var to []*target
		var rest *target
		for _, t := range targets {
			switch {
			case t.extra:
				rest = t
			case kids[t] != nil:
				for k, kid := range kids[t] {
					if kid.rest[0] == f.name {
						found[t][k] = true
						to = append(to, kid.down())
					}
				}
			case len(t.rest) > 0 && t.rest[0] == f.name:
				found[t][0] = true
				to = append(to, t.down())
			}
		}
		inside := join(where, f.name)
		if len(to) == 0 && rest != nil {
			c.emit(op{code: opExtra, vec: -1, x: &detail{node: f.node, target: rest, where: inside}})
			continue
		}
		if err := c.value(f.node, inside, to); err != nil {
			return err
		}
	}
	for _, t := range targets {
		if t.extra {
			c.emit(op{code: opExtraEnd, vec: t.vec, x: &detail{target: t, where: where}})
			continue
		}
		for i, ok := range found[t] {
			switch {
			case ok:
			case kids[t] != nil:
				c.absent(kids[t][i])
			default:
				c.absent(t)
			}
		}
	}
	return nil
}

// structFields makes targets of a struct's fields.
func (c *compiler) structFields(t *target) []*target {
	fields := t.typ.(*arrow.StructType).Fields()
	kids := make([]*target, len(fields))
	for i, f := range fields {
		kids[i] = &target{column: t.column, vec: c.vector(int(t.vec), i), typ: f.Type, nullable: f.Nullable,
			path: join(t.path, f.Name), rest: []string{f.Name}}
	}
	return kids
}

// down is the target as seen from the field that its path begins with.
func (t *target) down() *target {
	inner := *t
	inner.rest = t.rest[1:]
	return &inner
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// union emits the reading of a union. A column of text that some branch does
// not fit takes the value as JSON text, whichever branch it is.
func (c *compiler) union(n *node, where string, targets []*target) error {
	var asText, byBranch []*target
	for _, t := range targets {
		err := c.fits(n, where, t)
		switch {
		case err == nil:
			byBranch = append(byBranch, t)
		case t.typ.ID() == arrow.STRING && len(t.rest) == 0 && t.encoding == "" && !t.extra && !t.keys:
			asText = append(asText, t)
		default:
			return err
		}
	}
	passes := len(asText)
	if len(byBranch) > 0 {
		passes++
	}
	mark := c.mark(passes)
	for i, t := range asText {
		if i > 0 {
			c.emit(op{code: opRewind, size: mark, vec: -1})
		}
		c.emit(op{code: opJSON, vec: t.vec, x: &detail{node: n, target: t, where: where}})
	}
	if len(byBranch) == 0 {
		return nil
	}
	if len(asText) > 0 {
		c.emit(op{code: opRewind, size: mark, vec: -1})
	}
	if inner, nullAt, ok := n.nullable(); ok {
		return c.option(inner, nullAt, where, byBranch)
	}
	return c.branches(n, where, byBranch)
}

func isOption(n *node) bool {
	_, _, ok := n.nullable()
	return ok
}

// fits tells whether each branch of a union has something for a target. A path
// into records needs one branch that is a record: in the others there is
// nothing.
func (c *compiler) fits(n *node, where string, t *target) error {
	if isOption(n) {
		return nil // its one type says so itself
	}
	var refused error
	taken := false
	for _, b := range n.branches {
		if b.kind == null {
			continue
		}
		err := c.try(b, where, t)
		switch {
		case err == nil && b.kind == bytes && t.typ.ID() == arrow.STRING && t.encoding == "" && len(t.rest) == 0:
			return c.refuse(b, where, t, "text in a union") // as JSON it is base64, whatever the bytes are
		case err == nil:
			taken = true
		case b.kind != structure && (len(t.rest) > 0 || t.extra):
			refused = err
		default:
			return err
		}
	}
	if taken {
		return nil
	}
	return refused
}

// option emits the reading of a union of null and one type.
func (c *compiler) option(inner *node, nullAt int, where string, targets []*target) error {
	o := op{code: opOption, first: nullAt == 0, vec: -1, x: &detail{where: where}}
	if len(targets) == 1 && targets[0].nullable && targets[0].fallback == nil && !targets[0].extra {
		o.vec = targets[0].vec
	}
	at := c.emit(o)
	if err := c.value(inner, where, targets); err != nil {
		return err
	}
	back := c.pc()
	c.p.ops[at].next = back
	if o.vec >= 0 {
		return nil
	}
	c.later(func(pc int32) { c.p.ops[at].alt = pc }, func() error {
		for _, t := range targets {
			c.absent(t)
		}
		c.emit(op{code: opJump, next: back, vec: -1})
		return nil
	})
	return nil
}

// branches emits the reading of any other union.
func (c *compiler) branches(n *node, where string, targets []*target) error {
	x := &detail{node: n, where: where, branches: make([]int32, len(n.branches))}
	c.emit(op{code: opUnion, vec: -1, x: x})
	back := c.pc()
	for i, b := range n.branches {
		c.later(func(pc int32) { x.branches[i] = pc }, func() error {
			var here []*target
			for _, t := range targets {
				if b.kind != structure && (len(t.rest) > 0 || t.extra) {
					c.absent(t)
				} else {
					here = append(here, t)
				}
			}
			if err := c.value(b, where, here); err != nil {
				return err
			}
			c.emit(op{code: opJump, next: back, vec: -1})
			return nil
		})
	}
	return nil
}

// absent emits what stands for no value.
func (c *compiler) absent(t *target) {
	c.emit(op{code: opAbsent, vec: t.vec, x: &detail{target: t}})
}
