package project

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/record"
)

// HardDeletes is what the deletion of a member does, in dbt's words.
type HardDeletes string

const (
	HardDeletesNewRecord  HardDeletes = "new_record" // a version that says is_deleted
	HardDeletesInvalidate HardDeletes = "invalidate" // the current version ends
	HardDeletesIgnore     HardDeletes = "ignore"
)

// Type1Scope is which versions a type 1 change overwrites.
type Type1Scope string

const (
	Type1All     Type1Scope = "all"
	Type1Current Type1Scope = "current"
)

// FirstValidFrom is where the first version of a member starts.
type FirstValidFrom string

const (
	FirstValidFromBeginning FirstValidFrom = "beginning" // 1900-01-01, so that earlier facts find it
	FirstValidFromEffective FirstValidFrom = "effective" // the effective time of its first change
)

// ValidToCurrent is valid_to of a current version.
type ValidToCurrent string

const (
	ValidToMaximum ValidToCurrent = "maximum" // 9999-12-31T00:00:00Z
	ValidToEmpty   ValidToCurrent = "empty"   // null
)

// Dimension is the part of a model of kind dimension.
type Dimension struct {
	NaturalKey     []string
	DurableKey     string // the column of the durable key; "" for none
	EffectiveAt    string // column, or source.<field> of a change event; "" for the change event's own time
	SCD            SCD
	HardDeletes    HardDeletes
	LateChanges    time.Duration // how late a change may be and still split versions
	UnknownMember  map[string]string
	FirstValidFrom FirstValidFrom
	ValidToCurrent ValidToCurrent
}

// SCD says what a change of each column does: 0 keeps the first value, 1
// overwrites, 2 makes a version (Kimball's types of slowly changing dimensions).
type SCD struct {
	Default    int64 // of columns that are in no list
	Type0      []string
	Type1      []string
	Type2      []string
	Type1Scope Type1Scope
}

// TypeOf gives the type of a column.
func (s SCD) TypeOf(column string) int {
	switch {
	case contains(s.Type0, column):
		return 0
	case contains(s.Type1, column):
		return 1
	case contains(s.Type2, column):
		return 2
	}
	return int(s.Default)
}

// makesVersions tells whether some column may be of type 2.
func (s SCD) makesVersions() bool { return s.Default == 2 || len(s.Type2) > 0 }

var dimensionShape = object[Model]{
	name:  "dimension model",
	doc:   "Members of a dimension with stable keys, versioned by SCD types 0, 1 and 2.",
	start: func(m *Model) { m.Dimension = &Dimension{} },
	fields: modelFields([]field[Model]{
		fromModel(),
		key("natural_key", names(1), func(m *Model) *[]string { return &m.Dimension.NaturalKey }, "The columns that identify a member.").must(),
		surrogateKey().must(),
		key("durable_key", newColumn, func(m *Model) *string { return &m.Dimension.DurableKey }, "The column of a key that is the same for all versions of a member."),
		key("effective_at", effectiveAt, func(m *Model) *string { return &m.Dimension.EffectiveAt }, "When a change took effect: a column, or source.ts_ms of a Debezium event (the default there)."),
		key("scd", scdShape, func(m *Model) *SCD { return &m.Dimension.SCD }, "What a change of each column does; a version for all by default."),
		key("hard_deletes", oneOf(HardDeletesNewRecord, HardDeletesInvalidate, HardDeletesIgnore), func(m *Model) *HardDeletes { return &m.Dimension.HardDeletes }, "What the deletion of a member does.").or(string(HardDeletesNewRecord)),
		key("late_changes", duration, func(m *Model) *time.Duration { return &m.Dimension.LateChanges }, "How late a change may be and still split versions; later ones become dead letters.").or("30d"),
		key("unknown_member", mapOf(columnName, shape[string](anyScalar)), func(m *Model) *map[string]string { return &m.Dimension.UnknownMember }, "Values of the member that stands for unknown; null for columns not given."),
		key("first_valid_from", oneOf(FirstValidFromBeginning, FirstValidFromEffective), func(m *Model) *FirstValidFrom { return &m.Dimension.FirstValidFrom }, "Where a member's first version starts: 1900-01-01, so that earlier facts find it, or its effective time.").or(string(FirstValidFromBeginning)),
		key("valid_to_current", oneOf(ValidToMaximum, ValidToEmpty), func(m *Model) *ValidToCurrent { return &m.Dimension.ValidToCurrent }, "valid_to of a current version: 9999-12-31T00:00:00Z, or null.").or(string(ValidToMaximum)),
		plugin(pluginShape("dimension plugin")),
		selectedColumns("The attributes; by default all columns that are read but for the key."),
	}, tableFields),
	check: func(r reader, m *Model) {
		if _, given := r.doc.marks[r.key("scd").path]; !given {
			m.Dimension.SCD = SCD{Default: 2, Type1Scope: Type1All}
		}
	},
}

var scdShape = object[SCD]{
	name: "scd",
	fields: []field[SCD]{
		key("default", integer(0, 2), func(s *SCD) *int64 { return &s.Default }, "The type of columns in none of the lists: 0 keeps the first value, 1 overwrites, 2 makes a version.").or("2"),
		key("type_0", names(1), func(s *SCD) *[]string { return &s.Type0 }, "Columns that keep their first value."),
		key("type_1", names(1), func(s *SCD) *[]string { return &s.Type1 }, "Columns that are overwritten."),
		key("type_2", names(1), func(s *SCD) *[]string { return &s.Type2 }, "Columns whose change makes a version."),
		key("type_1_scope", oneOf(Type1All, Type1Current), func(s *SCD) *Type1Scope { return &s.Type1Scope }, "Which versions a type 1 change overwrites.").or(string(Type1All)),
	},
	check: func(r reader, s *SCD) {
		in := map[string]string{}
		for _, l := range []struct {
			key   string
			names []string
		}{{"type_0", s.Type0}, {"type_1", s.Type1}, {"type_2", s.Type2}} {
			for i, name := range l.names {
				if other, twice := in[name]; twice {
					r.failAt(indexed(l.key, i), fmt.Sprintf("column %q is in %s and in %s", name, other, l.key), "a column has one type")
				}
				in[name] = l.key
			}
		}
	},
}

// sourceFields are the times of the source block of a Debezium event.
var sourceFields = []string{"source.ts_ms", "source.ts_us", "source.ts_ns"}

var effectiveAt = patterned("a column, or source.ts_ms", `^([a-z][a-z0-9_]*|source\.ts_(ms|us|ns))$`, func(s string) (string, error) {
	if record.IsName(s) || slices.Contains(sourceFields, s) {
		return s, nil
	}
	return "", hintedError{fmt.Sprintf("%q is neither a column nor one of %s", excerpt(s), listed(sourceFields)), didYouMean(s, sourceFields)}
}).literal()

// versionColumns are what every dimension says of a version: three times, then
// three booleans.
var versionColumns = []string{"valid_from", "valid_to", "changed_at", "is_current", "is_deleted", "is_inferred"}

// dimensionColumns gives the columns of a dimension's table.
func (c *checker) dimensionColumns(m *Model, in *columnSet) *columnSet {
	d := m.Dimension
	out := newColumnSet()
	out.open = in.open
	c.make(out, "surrogate_key", m.SurrogateKey, typeString)
	c.make(out, "durable_key", d.DurableKey, typeString)
	for i, name := range d.NaturalKey {
		c.take(out, in, indexed("natural_key", i), name)
	}
	c.checkKeyTypes("natural_key", d.NaturalKey, in)
	attributes := c.attributes(m, in, d.NaturalKey)
	for _, name := range attributes.order {
		c.make(out, attributes.path[name], name, attributes.types[name])
	}
	c.checkSCD(m, attributes)
	for _, name := range sortedKeys(d.UnknownMember) {
		c.want(attributes, "unknown_member."+name+atKey, name, "an attribute of "+m.Name)
	}
	for i, name := range versionColumns {
		t := arrow.DataType(typeTimestamptz)
		if i >= 3 {
			t = typeBoolean
		}
		c.make(out, "kind", name, t)
	}
	c.checkEffectiveAt(m, in)
	return out
}

// attributes are the chosen columns, or all that are read but for the key and
// the position columns.
func (c *checker) attributes(m *Model, in *columnSet, keys []string) *columnSet {
	available := in.clone()
	c.makeAll(available, nil, "derive", m.Derive)
	c.makeAdds(available, nil)
	out := newColumnSet()
	if len(m.Columns) == 0 {
		out.open = in.open
		from := c.models[m.From.Model]
		for _, name := range available.order {
			versions := from != nil && from.Kind == KindDimension && contains(versionColumns, name)
			if !contains(keys, name) && !isSystem(name) && !versions {
				out.add(name, available.types[name], available.path[name])
			}
		}
		return out
	}
	for i, col := range m.Columns {
		path := indexed("columns", i)
		if contains(keys, col.Name) {
			c.fail(path, fmt.Sprintf("column %q is part of the natural key, which is always there", col.Name), "remove it")
			continue
		}
		c.take(out, available, path, col.Name)
	}
	return out
}

func (c *checker) checkSCD(m *Model, attributes *columnSet) {
	for _, l := range []struct {
		key   string
		names []string
	}{{"type_0", m.Dimension.SCD.Type0}, {"type_1", m.Dimension.SCD.Type1}, {"type_2", m.Dimension.SCD.Type2}} {
		for i, name := range l.names {
			path := "scd." + indexed(l.key, i)
			if contains(m.Dimension.NaturalKey, name) {
				c.fail(path, fmt.Sprintf("column %q is part of the natural key, which never changes", name), "remove it")
				continue
			}
			c.want(attributes, path, name, "an attribute of "+m.Name)
		}
	}
}

func (c *checker) checkEffectiveAt(m *Model, in *columnSet) {
	at := m.Dimension.EffectiveAt
	if !strings.HasPrefix(at, "source.") {
		if at != "" {
			c.wantTime(in, "effective_at", at)
		}
		return
	}
	from, ok := c.models[m.From.Model]
	if !ok || from.broken {
		return
	}
	table, known := c.project.table(from.From)
	if from.Kind != KindStaging || known && !table.Format.IsDebezium() {
		c.fail("effective_at", fmt.Sprintf("%s is part of Debezium events, which %s does not read", at, from.Name), "name a column that holds the effective time")
	}
}
