package project

import (
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/calvelake/calve/runtime/record"
)

// columnSet is what is known of a model's columns before it runs.
type columnSet struct {
	order []string
	types map[string]arrow.DataType // nil for types that follow from expressions and plugins
	path  map[string]string         // where in the model a column is made
	open  bool                      // there may be others: references cannot be refused
}

var (
	typeString      = arrow.BinaryTypes.String
	typeBoolean     = arrow.FixedWidthTypes.Boolean
	typeInt         = arrow.PrimitiveTypes.Int32
	typeTimestamptz = record.Timestamptz
)

func newColumnSet() *columnSet {
	return &columnSet{types: map[string]arrow.DataType{}, path: map[string]string{}}
}

func (s *columnSet) add(name string, t arrow.DataType, path string) {
	if s.has(name) {
		return
	}
	s.order = append(s.order, name)
	s.types[name] = t
	s.path[name] = path
}

func (s *columnSet) has(name string) bool {
	_, ok := s.types[name]
	return ok
}

func (s *columnSet) clone() *columnSet {
	return &columnSet{order: slices.Clone(s.order), types: maps.Clone(s.types), path: maps.Clone(s.path), open: s.open}
}

// addChanges adds the change columns of a staging model over change events.
func (s *columnSet) addChanges(m *Model) {
	if !m.Changes {
		return
	}
	for _, f := range record.ChangeFields() {
		s.add(f.Name, f.Type, "kind")
	}
}

// addSystem adds the columns of the newest record that a row came from.
func (s *columnSet) addSystem(kind Kind) {
	for _, f := range record.PositionFields() {
		if kind == KindDate {
			continue // of no record
		}
		if kind == KindStaging || f.Name == record.ColumnTimestamp || f.Name == record.ColumnIngestedAt {
			s.add(f.Name, f.Type, "kind")
		}
	}
}

func isSystem(name string) bool { return record.IsPositionColumn(name) || record.IsChangeColumn(name) }

func typeName(t arrow.DataType) string { return record.FormatType(t) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// columns gives the columns of a model, an open set if they cannot be known.
func (c *checker) columns(m *Model) *columnSet {
	if m == nil || m.broken {
		return &columnSet{types: map[string]arrow.DataType{}, path: map[string]string{}, open: true}
	}
	if set, ok := c.sets[m.Name]; ok {
		return set
	}
	// Models are taken in topological order: this one is part of a cycle.
	return &columnSet{types: map[string]arrow.DataType{}, path: map[string]string{}, open: true}
}

// want reports a column that a set does not have.
func (c *checker) want(set *columnSet, path, name, what string) bool {
	if set.has(name) || set.open {
		return true
	}
	c.fail(path, fmt.Sprintf("there is no column %q, expected %s: %s", name, what, listed(set.order)), didYouMean(name, set.order))
	return false
}

// wantTime wants a column that holds a time.
func (c *checker) wantTime(set *columnSet, path, name string) {
	if !c.want(set, path, name, "a time column") {
		return
	}
	if t := set.types[name]; t != nil && !isTime(t) {
		c.fail(path, fmt.Sprintf("column %q is %s, expected timestamptz or timestamp", name, typeName(t)), "")
	}
}

// take passes a column on from one set to another.
func (c *checker) take(out, in *columnSet, path, name string) {
	if c.want(in, path, name, "a column that "+c.model.Name+" reads or makes") {
		out.add(name, in.types[name], path)
	}
}

// takeOnce is take for a column that the table may have already, as a measure
// that is also listed.
func (c *checker) takeOnce(out, in *columnSet, path, name string) {
	if !out.has(name) {
		c.take(out, in, path, name)
	}
}

// make adds a column that the model makes and refuses a second of its name.
func (c *checker) make(set *columnSet, path, name string, t arrow.DataType) {
	if name == "" {
		return
	}
	if set.has(name) {
		c.fail(path, fmt.Sprintf("column %q is there already", name), "rename one of them")
		return
	}
	set.add(name, t, path)
}

// makeAll adds the columns of expressions; also holds names that are taken.
func (c *checker) makeAll(set, also *columnSet, path string, all Expressions) {
	for _, e := range all {
		c.makeNew(set, also, path+"."+e.Name+atKey, e.Name)
	}
}

// makeAdds adds the columns of the plugin.
func (c *checker) makeAdds(set, also *columnSet) {
	if c.model.Plugin == nil {
		return
	}
	for i, col := range c.model.Plugin.Added {
		path := "plugin." + indexed("adds", i) + ".name"
		c.makeNew(set, also, path, col.Name)
		set.types[col.Name] = col.Type
	}
}

func (c *checker) makeNew(set, also *columnSet, path, name string) {
	if also != nil && also.has(name) {
		c.fail(path, fmt.Sprintf("column %q is there already", name), "rename one of them")
		return
	}
	c.make(set, path, name, nil)
}

// choose adds the columns that are listed, or all that are made.
func (c *checker) choose(out, made *columnSet) {
	if len(c.model.Columns) == 0 {
		for _, name := range made.order {
			out.add(name, made.types[name], made.path[name])
		}
		return
	}
	for i, col := range c.model.Columns {
		c.takeOnce(out, made, indexed("columns", i), col.Name)
	}
}

// checkKeyTypes refuses keys whose text form differs by engine: a surrogate key
// is a hash of text (invariant 8).
func (c *checker) checkKeyTypes(path string, key []string, in *columnSet) {
	for i, name := range key {
		t := in.types[name]
		if t == nil || isText(t) || isInteger(t) || isDate(t) || t.ID() == arrow.BOOL || arrow.TypeEqual(t, typeTimestamptz) {
			continue
		}
		c.fail(indexed(path, i), fmt.Sprintf("column %q is %s, which cannot be part of a key, expected string, int, long, date, boolean or timestamptz", name, typeName(t)), "")
	}
}
