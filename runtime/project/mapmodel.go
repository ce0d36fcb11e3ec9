package project

// Map is the part of a model of kind map: what an id stands for, for facts and
// dimensions to join.
type Map struct {
	NaturalKey    []string
	UnknownMember map[string]string // of ids that are not mapped
}

var mapShape = object[Model]{
	name:  "map model",
	doc:   "An id and what it stands for, for facts and dimensions to join.",
	start: func(m *Model) { m.Map = &Map{} },
	fields: modelFields([]field[Model]{
		fromModel(),
		materializedField,
		key("natural_key", names(1), func(m *Model) *[]string { return &m.Map.NaturalKey }, "The columns that are mapped.").must(),
		key("unknown_member", mapOf(columnName, shape[string](anyScalar)), func(m *Model) *map[string]string { return &m.Map.UnknownMember }, "Values for ids that are not mapped."),
		plugin(pluginShape("map plugin", pluginAddsTyped.must())),
		selectedColumns("What the id stands for; by default all columns that are read but for the key."),
	}, tableFields),
}

// mapColumns gives the columns of a map's table.
func (c *checker) mapColumns(m *Model, in *columnSet) *columnSet {
	out := newColumnSet()
	out.open = in.open
	for i, name := range m.Map.NaturalKey {
		c.take(out, in, indexed("natural_key", i), name)
	}
	c.checkKeyTypes("natural_key", m.Map.NaturalKey, in)
	attributes := c.attributes(m, in, m.Map.NaturalKey)
	for _, name := range attributes.order {
		c.make(out, attributes.path[name], name, attributes.types[name])
	}
	for _, name := range sortedKeys(m.Map.UnknownMember) {
		c.want(attributes, "unknown_member."+name+atKey, name, "a column of "+m.Name)
	}
	return out
}
