package project

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
)

// OnUpdate is what a change of a fact does.
type OnUpdate string

const (
	OnUpdateUpsert OnUpdate = "upsert"
	OnUpdateAppend OnUpdate = "append"
)

// OnDelete is what the deletion of a fact does.
type OnDelete string

const (
	OnDeleteHard   OnDelete = "hard"   // its row goes
	OnDeleteSoft   OnDelete = "soft"   // its row says is_deleted
	OnDeleteIgnore OnDelete = "ignore" // nothing
)

// Fact is the part of a model of kind fact.
type Fact struct {
	Grain       []string
	OnUpdate    OnUpdate
	OnDelete    OnDelete
	ForeignKeys []ForeignKey
	LeftJoin    []LeftJoin
	Measures    []string
	Milestones  Expressions // of an accumulating snapshot, filled as they come
}

// ForeignKey is a key of a dimension, found by natural key and event time.
type ForeignKey struct {
	Name    string
	To      Ref
	On      []string          // the columns that hold the dimension's natural key, in its order
	At      string            `json:",omitempty"` // the time as of which it is found; "" for the event time
	Durable bool              // the durable key instead of the version's
	Copy    map[string]string `json:",omitempty"` // new column → attribute of the dimension
}

// LeftJoin adds columns of another model to rows, which stay if it has none.
type LeftJoin struct {
	To         Ref
	On         map[string]string // column → column of To
	Within     *Within           `json:",omitempty"` // nil for no time range
	Aggregates Expressions       `json:",omitempty"` // over the rows that match
	Copy       map[string]string `json:",omitempty"` // new column → column of the one row that matches
}

// Within keeps the rows of a join whose time is in [From, To].
type Within struct {
	Time     string // column of the joined model
	From, To string // columns of this one
}

var factShape = object[Model]{
	name:  "fact model",
	doc:   "Events or transactions with measures and keys of dimensions.",
	start: func(m *Model) { m.Fact = &Fact{} },
	fields: modelFields([]field[Model]{
		fromModel(),
		key("grain", names(1), func(m *Model) *[]string { return &m.Fact.Grain }, "The columns that identify a row.").must(),
		surrogateKey(),
		eventTime("The time as of which keys are found; that of the model it reads by default."),
		lateness("24h"),
		key("on_update", oneOf(OnUpdateUpsert, OnUpdateAppend), func(m *Model) *OnUpdate { return &m.Fact.OnUpdate }, "What a change does: replace the row, or append another.").or(string(OnUpdateUpsert)),
		key("on_delete", oneOf(OnDeleteHard, OnDeleteSoft, OnDeleteIgnore), func(m *Model) *OnDelete { return &m.Fact.OnDelete }, "What a deletion does: remove the row, mark it (is_deleted), or nothing.").or(string(OnDeleteHard)),
		key("foreign_keys", list[ForeignKey]{of: foreignKeyShape, least: 1, unique: func(k ForeignKey) string { return k.Name }}, func(m *Model) *[]ForeignKey { return &m.Fact.ForeignKeys }, "Keys of dimensions."),
		key("left_join", list[LeftJoin]{of: leftJoinShape, least: 1}, func(m *Model) *[]LeftJoin { return &m.Fact.LeftJoin }, "Columns of other models, by key or within a time range."),
		key("measures", names(1), func(m *Model) *[]string { return &m.Fact.Measures }, "The columns that are measured."),
		key("milestones", expressionsShape, func(m *Model) *Expressions { return &m.Fact.Milestones }, "Columns of an accumulating snapshot, filled as they come."),
		selectedColumns("Further columns of the table, in this order. Without measures and columns: all."),
	}, tableFields),
}

var foreignKeyShape = object[ForeignKey]{
	name: "foreign key",
	fields: []field[ForeignKey]{
		key("name", newColumn, func(k *ForeignKey) *string { return &k.Name }, "The column of the key.").must(),
		key("to", modelRef, func(k *ForeignKey) *Ref { return &k.To }, "The dimension, as ref.<model>.").must(),
		key("on", names(1), func(k *ForeignKey) *[]string { return &k.On }, "The columns that hold the dimension's natural key, in its order.").must(),
		key("at", columnName, func(k *ForeignKey) *string { return &k.At }, "The time as of which the member is found; the event time by default."),
		key("durable", boolean, func(k *ForeignKey) *bool { return &k.Durable }, "The durable key, which is the same for all versions.").or("false"),
		key("copy", mapOf(newColumn, shape[string](columnName)), func(k *ForeignKey) *map[string]string { return &k.Copy }, "New columns with attributes of the dimension, as in customer_city: city."),
	},
}

var leftJoinShape = object[LeftJoin]{
	name: "left join",
	fields: []field[LeftJoin]{
		key("to", modelRef, func(j *LeftJoin) *Ref { return &j.To }, "The model to join, as ref.<model>.").must(),
		key("on", mapOf(columnName, shape[string](columnName)), func(j *LeftJoin) *map[string]string { return &j.On }, "This model's columns and those of the other that are equal.").must(),
		key("within", optional(withinShape), func(j *LeftJoin) **Within { return &j.Within }, "Only rows within a time range."),
		key("aggregates", expressionsShape, func(j *LeftJoin) *Expressions { return &j.Aggregates }, "Columns aggregated over the rows that match."),
		key("copy", mapOf(newColumn, shape[string](columnName)), func(j *LeftJoin) *map[string]string { return &j.Copy }, "New columns with those of the one row that matches."),
	},
	check: func(r reader, j *LeftJoin) {
		if len(j.On) == 0 {
			r.failAt("on", "a join needs at least one pair of columns", "as in on: {user_id: user_id}")
		}
		switch {
		case len(j.Aggregates) > 0 && len(j.Copy) > 0:
			r.failAt("copy", "aggregates and copy exclude each other", "aggregates take many rows, copy takes one")
		case len(j.Aggregates) == 0 && len(j.Copy) == 0:
			r.failHere("a join needs aggregates or copy", "aggregates: columns over the rows that match; copy: columns of the one row that matches")
		case len(j.Copy) > 0 && j.Within != nil:
			r.failAt("within", "within needs aggregates", "a time range may match many rows")
		}
	},
}

var withinShape = object[Within]{
	name: "within",
	fields: []field[Within]{
		key("time", columnName, func(w *Within) *string { return &w.Time }, "The time of the joined rows.").must(),
		key("from", columnName, func(w *Within) *string { return &w.From }, "This model's column where the range begins.").must(),
		key("to", columnName, func(w *Within) *string { return &w.To }, "This model's column where the range ends.").must(),
	},
}

// factColumns gives the columns of a fact's table.
func (c *checker) factColumns(m *Model, in *columnSet) *columnSet {
	f := m.Fact
	out := newColumnSet()
	out.open = in.open
	available := in.clone()
	c.make(out, "surrogate_key", m.SurrogateKey, typeString)
	for i, name := range f.Grain {
		c.take(out, in, indexed("grain", i), name)
	}
	c.checkKeyTypes("grain", f.Grain, in)
	out.add(m.EventTime, in.types[m.EventTime], "event_time")
	made := newColumnSet()
	for i := range f.LeftJoin {
		c.joinColumns(m, i, in, made)
	}
	c.makeAll(made, nil, "milestones", f.Milestones)
	c.makeAll(made, nil, "derive", m.Derive)
	for _, name := range made.order {
		c.make(available, made.path[name], name, made.types[name])
	}
	c.foreignKeyColumns(m, available, out)
	for i, name := range f.Measures {
		c.takeOnce(out, available, indexed("measures", i), name)
	}
	c.chooseFact(m, out, available, made)
	if f.OnDelete == OnDeleteSoft {
		c.make(out, "on_delete", "is_deleted", typeBoolean)
	}
	return out
}

func (c *checker) chooseFact(m *Model, out, available, made *columnSet) {
	if len(m.Columns) > 0 {
		for i, col := range m.Columns {
			c.takeOnce(out, available, indexed("columns", i), col.Name)
		}
		return
	}
	rest := made
	if len(m.Fact.Measures) == 0 {
		rest = available
	}
	for _, name := range rest.order {
		if !out.has(name) && !isSystem(name) {
			out.add(name, rest.types[name], rest.path[name])
		}
	}
}

// foreignKeyColumns adds the keys of dimensions and their copied attributes.
func (c *checker) foreignKeyColumns(m *Model, available, out *columnSet) {
	for _, fk := range m.foreignKeys() {
		to, ok := c.models[fk.To.Model]
		keyType := arrow.DataType(typeString)
		if ok && to.Kind == KindDate {
			keyType = typeInt
		}
		c.make(available, fk.path+".name", fk.Name, keyType)
		out.add(fk.Name, keyType, fk.path+".name")
		if fk.At != "" {
			c.wantTime(available, fk.path+".at", fk.At)
		}
		for i, name := range fk.On {
			c.want(available, fk.path+"."+indexed("on", i), name, "a column that "+m.Name+" reads")
		}
		if ok {
			c.checkForeignKey(fk, to, available)
		}
		for _, name := range sortedKeys(fk.Copy) {
			path := fk.path + ".copy." + name
			set := c.columns(to)
			c.want(set, path, fk.Copy[name], "a column of "+fk.To.Model)
			c.make(available, path+atKey, name, set.types[fk.Copy[name]])
			out.add(name, set.types[fk.Copy[name]], path)
		}
	}
}

func (c *checker) checkForeignKey(fk foreignKeyAt, to *Model, available *columnSet) {
	if to.broken {
		return
	}
	switch to.Kind {
	case KindDate:
		if len(fk.On) != 1 {
			c.fail(fk.path+".on", fmt.Sprintf("a key of %s takes one column, a date or time, found %d", to.Name, len(fk.On)), "")
		} else if t := available.types[fk.On[0]]; t != nil && !isTime(t) && !isDate(t) {
			c.fail(fk.path+".on[0]", fmt.Sprintf("column %q is no date or time, which a key of %s needs", fk.On[0], to.Name), "")
		}
		if fk.Durable {
			c.fail(fk.path+".durable", fmt.Sprintf("%s is a date dimension, which has no durable key", to.Name), "remove durable")
		}
	case KindDimension:
		if fk.Durable && to.Dimension.DurableKey == "" {
			c.fail(fk.path+".durable", fmt.Sprintf("dimension %s has no durable key", to.Name), "give it a durable_key, or remove durable")
		}
		c.checkKeyMatch(fk, to, available)
	default:
		c.fail(fk.path+".to", fmt.Sprintf("%s is of kind %s, expected a dimension or date", to.Name, to.Kind), "use left_join for other models")
	}
}

// checkKeyMatch checks that columns fit a dimension's natural key one by one:
// keys are hashes of text, and an int and a string never hash alike by design.
func (c *checker) checkKeyMatch(fk foreignKeyAt, to *Model, available *columnSet) {
	path, on := fk.path+".on", fk.On
	natural := to.Dimension.NaturalKey
	if len(on) != len(natural) {
		c.fail(path, fmt.Sprintf("%d columns, but the natural key of %s has %d: %s", len(on), to.Name, len(natural), listed(natural)), "")
		return
	}
	set := c.columns(to)
	for i := range on {
		mine, theirs := available.types[on[i]], set.types[natural[i]]
		if mine == nil || theirs == nil || arrow.TypeEqual(mine, theirs) || isInteger(mine) && isInteger(theirs) {
			continue
		}
		c.fail(indexed(path, i), fmt.Sprintf("column %q is %s, but %q of %s is %s", on[i], typeName(mine), natural[i], to.Name, typeName(theirs)), "give both the same data_type")
	}
}

// joinColumns adds what a left join brings.
func (c *checker) joinColumns(m *Model, i int, in, made *columnSet) {
	join, path := m.Fact.LeftJoin[i], indexed("left_join", i)
	to, ok := c.models[join.To.Model]
	set := c.columns(to)
	var theirs []string
	for _, name := range sortedKeys(join.On) {
		c.want(in, path+".on."+name+atKey, name, "a column that "+m.Name+" reads")
		c.want(set, path+".on."+name, join.On[name], "a column of "+join.To.Model)
		theirs = append(theirs, join.On[name])
	}
	if w := join.Within; w != nil {
		c.wantTime(set, path+".within.time", w.Time)
		c.wantTime(in, path+".within.from", w.From)
		c.wantTime(in, path+".within.to", w.To)
	}
	if ok && !to.broken && len(join.Copy) > 0 && !to.identifiedBy(theirs) {
		c.fail(path+".on", fmt.Sprintf("columns %s do not identify a row of %s", listed(sorted(theirs)), to.Name), "join by its whole key (a versioned dimension has foreign_keys for that), or use aggregates instead of copy")
	}
	c.makeAll(made, nil, path+".aggregates", join.Aggregates)
	for _, name := range sortedKeys(join.Copy) {
		c.want(set, path+".copy."+name, join.Copy[name], "a column of "+join.To.Model)
		c.make(made, path+".copy."+name+atKey, name, set.types[join.Copy[name]])
	}
}

// identifiedBy tells whether columns tell the model's rows apart.
func (m *Model) identifiedBy(columns []string) bool {
	if m.SurrogateKey != "" && contains(columns, m.SurrogateKey) {
		return true
	}
	if m.Kind == KindDimension && m.Dimension.SCD.makesVersions() {
		return false
	}
	key := m.keyColumns()
	for _, name := range key {
		if !contains(columns, name) {
			return false
		}
	}
	return len(key) > 0
}
