package project

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/record"
)

// Bridge is the part of a model of kind bridge: rows that map members of
// dimensions to one another, by durable keys, with validity.
type Bridge struct {
	ForeignKeys []ForeignKey // two or more
	Unnest      *Unnest      // nil for none
	Weight      string       // expression of the column weight; "" for none
	EffectiveAt string       // as of a dimension
}

// Unnest makes a row of each element of a list column.
type Unnest struct {
	Column string
	As     string // the column of the element
}

var bridgeShape = object[Model]{
	name:  "bridge model",
	doc:   "Members of dimensions mapped many-to-many, by durable keys with validity.",
	start: func(m *Model) { m.Bridge = &Bridge{} },
	fields: modelFields([]field[Model]{
		fromModel(),
		surrogateKey(),
		key("foreign_keys", list[ForeignKey]{of: foreignKeyShape, least: 2, unique: func(k ForeignKey) string { return k.Name }}, func(m *Model) *[]ForeignKey { return &m.Bridge.ForeignKeys }, "The keys of the dimensions.").must(),
		key("unnest", optional(unnestShape), func(m *Model) **Unnest { return &m.Bridge.Unnest }, "Make a row of each element of a list column."),
		key("weight", expressionText, func(m *Model) *string { return &m.Bridge.Weight }, "An expression for the column weight."),
		key("effective_at", effectiveAt, func(m *Model) *string { return &m.Bridge.EffectiveAt }, "When a mapping took effect: a column, or source.ts_ms of a Debezium event (the default there)."),
		plugin(pluginShape("bridge plugin", pluginAddsTyped)),
	}, tableFields),
}

var unnestShape = object[Unnest]{
	name: "unnest",
	fields: []field[Unnest]{
		key("column", columnName, func(u *Unnest) *string { return &u.Column }, "The list column.").must(),
		key("as", newColumn, func(u *Unnest) *string { return &u.As }, "The column of the element.").must(),
	},
}

// bridgeColumns gives the columns of a bridge's table.
func (c *checker) bridgeColumns(m *Model, in *columnSet) *columnSet {
	b := m.Bridge
	out := newColumnSet()
	out.open = in.open
	available := in.clone()
	c.make(out, "surrogate_key", m.SurrogateKey, typeString)
	if b.Unnest != nil {
		c.make(available, "unnest.as", b.Unnest.As, c.elementType(m, in))
	}
	c.makeAdds(available, nil)
	c.makeAll(available, out, "derive", m.Derive)
	c.foreignKeyColumns(m, available, out)
	if b.Weight != "" {
		c.make(out, "weight", "weight", nil)
	}
	for _, name := range []string{"valid_from", "valid_to"} {
		c.make(out, "kind", name, typeTimestamptz)
	}
	c.make(out, "kind", "is_current", typeBoolean)
	if b.EffectiveAt != "" && record.IsName(b.EffectiveAt) {
		c.wantTime(in, "effective_at", b.EffectiveAt)
	}
	return out
}

func (c *checker) elementType(m *Model, in *columnSet) arrow.DataType {
	name := m.Bridge.Unnest.Column
	if !c.want(in, "unnest.column", name, "a column that "+m.Name+" reads") || in.types[name] == nil {
		return nil
	}
	of, ok := in.types[name].(*arrow.ListType)
	if !ok {
		c.fail("unnest.column", fmt.Sprintf("column %q is %s, expected a list", name, typeName(in.types[name])), "")
		return nil
	}
	return of.Elem()
}
