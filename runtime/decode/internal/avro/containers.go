package avro

import (
	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/decode/internal/cast"
)

// list emits the reading of an array to a list.
func (c *compiler) list(n *node, typ *arrow.ListType, x *detail) error {
	if n.kind != array {
		return c.refuse(n, x.where, x.target, "an array")
	}
	elem := &target{column: x.target.column, vec: c.vector(int(x.target.vec), 0), typ: typ.Elem(), nullable: typ.ElemField().Nullable, path: x.target.path + "[]"}
	return c.loop(op{code: opList, vec: x.target.vec, x: x}, func() error { return c.value(n.items, x.where+"[]", []*target{elem}) })
}

// mapping emits the reading of a map, or of an array of keys and values.
func (c *compiler) mapping(n *node, typ *arrow.MapType, x *detail) error {
	t := x.target
	key := &target{column: t.column, vec: c.vector(int(t.vec), 0), typ: typ.KeyType(), path: t.path + "{}", keys: true}
	item := &target{column: t.column, vec: c.vector(int(t.vec), 1), typ: typ.ItemType(), nullable: typ.ItemField().Nullable, path: t.path + "{}"}
	if n.kind == array && n.items.isEntry() {
		key.rest, item.rest = []string{"key"}, []string{"value"}
		return c.loop(op{code: opEntries, vec: t.vec, x: x}, func() error { return c.value(n.items, x.where+"[]", []*target{key, item}) })
	}
	if n.kind != mapping {
		return c.refuse(n, x.where, t, "a map")
	}
	if typ.KeyType().ID() != arrow.STRING {
		var err error
		if x.key, err = cast.New(typ.KeyType(), ""); err != nil {
			return err
		}
	}
	return c.loop(op{code: opMap, vec: t.vec, x: x}, func() error { return c.value(n.items, x.where+"{}", []*target{item}) })
}

// isEntry tells whether a record is one entry of a map whose keys are no
// strings, as Confluent's converter writes it.
func (n *node) isEntry() bool {
	return n.kind == structure && len(n.fields) == 2 && n.fields[0].name == "key" && n.fields[1].name == "value"
}

// loop emits an operation whose elements have operations of their own.
func (c *compiler) loop(o op, element func() error) error {
	at := c.emit(o)
	c.later(func(pc int32) { c.p.ops[at].alt = pc }, func() error {
		if err := element(); err != nil {
			return err
		}
		c.emit(op{code: opReturn, vec: -1})
		return nil
	})
	return nil
}
