package lakehouse

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// evolver makes a schema that holds both what a table has and what is wanted.
type evolver struct {
	Evolution
	declared bool              // what is wanted is all that the project declares; else it is what a source adds
	exact    bool              // of a declaration: the table may have nothing else
	last     int               // field id assigned
	keys     map[int]bool      // ids of identifier fields
	parts    map[int]bool      // ids of columns that a partition field reads
	paths    map[string]string // where a source has the columns that it adds or widens
}

func newEvolver(meta table.Metadata) (*evolver, error) {
	source, err := sourceFields(meta.Properties())
	if err != nil {
		return nil, err
	}
	v := &evolver{
		Evolution: Evolution{from: meta, source: maps.Clone(source)}, last: meta.LastColumnID(),
		keys: map[int]bool{}, parts: map[int]bool{},
	}
	if v.source == nil {
		v.source = map[string]string{}
	}
	for _, id := range meta.CurrentSchema().IdentifierFieldIDs {
		v.keys[id] = true
	}
	for _, spec := range meta.PartitionSpecs() {
		for _, f := range spec.Fields() {
			for _, id := range f.SourceIDs {
				v.parts[id] = true
			}
		}
	}
	return v, nil
}

// end makes the schema of fields, if that is another one.
func (v *evolver) end(fields []iceberg.NestedField) Evolution {
	current := v.from.CurrentSchema()
	if len(v.Problems) == 0 && len(v.Changes) > 0 {
		next := slices.MaxFunc(v.from.Schemas(), func(a, b *iceberg.Schema) int { return a.ID - b.ID }).ID + 1
		v.schema = iceberg.NewSchemaWithIdentifiers(next, slices.Clone(current.IdentifierFieldIDs), fields...)
	}
	return v.Evolution
}

func (v *evolver) change(format string, args ...any) {
	v.Changes = append(v.Changes, fmt.Sprintf(format, args...))
}

func (v *evolver) keep(format string, args ...any) {
	v.Kept = append(v.Kept, fmt.Sprintf(format, args...))
}

func (v *evolver) refuse(format string, args ...any) {
	v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
}

// wants names who wants what the table has not.
func (v *evolver) wants() string {
	if v.declared {
		return "the project declares"
	}
	return "the source has"
}

// instead says what can be done where a table cannot follow.
func (v *evolver) instead() string {
	if v.declared {
		return "change the model back, or give it a new name"
	}
	return "declare the column in the model with a type that takes both, under a new model name, or set on_schema_change to ignore"
}

// fields merges the columns of a table, or the fields of a struct, with those
// that are wanted. New ones come last, but before those that are own.
func (v *evolver) fields(path string, have, want []iceberg.NestedField, own map[string]bool) []iceberg.NestedField {
	out := slices.Clone(have)
	for i, h := range have {
		j := slices.IndexFunc(want, func(w iceberg.NestedField) bool { return w.Name == h.Name })
		if j >= 0 {
			out[i] = v.field(join(path, h.Name), h, want[j])
		} else if v.declared {
			v.undeclared(join(path, h.Name), h)
		}
	}
	for _, w := range want {
		if slices.ContainsFunc(have, func(h iceberg.NestedField) bool { return h.Name == w.Name }) {
			continue
		}
		at := len(out)
		if first := slices.IndexFunc(out, func(f iceberg.NestedField) bool { return own[f.Name] }); first >= 0 && !own[w.Name] {
			at = first
		}
		if f, ok := v.added(join(path, w.Name), out, w); ok {
			out = slices.Insert(out, at, f)
		}
	}
	return out
}

// field merges a column or field that both have.
func (v *evolver) field(path string, h, w iceberg.NestedField) iceberg.NestedField {
	out := h
	out.Type = v.merge(path, h.Type, w.Type, h.ID)
	out.Required = v.required(path, h.ID, h.Required, w.Required)
	return out
}

// required merges whether a value must be there.
func (v *evolver) required(path string, id int, have, want bool) bool {
	switch {
	case have && !want && v.keys[id]:
		v.refuse("column %s: it is an identifier field of the table and cannot be null, the project declares it nullable; declare nullable: false", path)
	case have && !want && v.declared:
		v.change("column %s: null is allowed from now on", path)
		return false
	case !have && want:
		v.refuse("column %s: the table allows null, the project declares nullable: false, and rows that are there may have none; declare it nullable and test it with not_null, or give the model a new name", path)
	}
	return have
}

// undeclared judges what a table has and the project does not declare.
func (v *evolver) undeclared(path string, h iceberg.NestedField) {
	_, adopted := v.source[path]
	switch {
	case v.exact && adopted:
		v.refuse("column %s %s: it was added for a field of the source, and contract.enforced allows declared columns alone; declare it, or drop it from the table", path, describeField(h))
	case v.exact:
		v.refuse("column %s %s: the project does not declare it, and contract.enforced allows declared columns alone; declare it, or drop it from the table", path, describeField(h))
	case h.Required:
		v.refuse("column %s %s: the project does not declare it, and it takes no null; declare it, make it optional in the table, or give the model a new name", path, describeField(h))
	case !adopted:
		v.keep("column %s %s: the project does not declare it; it stays, null in new rows", path, describeField(h))
	}
}

// added makes a column or field that a table lacks, with ids of its own.
func (v *evolver) added(path string, there []iceberg.NestedField, w iceberg.NestedField) (iceberg.NestedField, bool) {
	for _, f := range there {
		if strings.EqualFold(f.Name, w.Name) {
			v.refuse("column %s: the table has %s, which differs in upper and lower case alone, and warehouses take them for one; rename one of the two", path, f.Name)
			return w, false
		}
	}
	if w.Required {
		v.refuse("column %s: the table lacks it, the project declares %s, and rows that are there have no value for it; declare it nullable, or give the model a new name", path, describeField(w))
		return w, false
	}
	v.change("column %s: added, %s", path, DescribeType(w.Type))
	if !v.declared {
		v.source[path] = v.sourcePath(path)
	}
	out := w
	out.ID = v.next()
	out.Type = v.withIDs(w.Type)
	return out, true
}

// sourcePath is where the source has what becomes a column, or a field inside.
func (v *evolver) sourcePath(path string) string {
	column, inside, nested := strings.Cut(path, ".")
	if !nested {
		return v.paths[column]
	}
	return join(v.paths[column], inside)
}

func (v *evolver) next() int {
	v.last++
	return v.last
}

// withIDs gives the fields inside a type new ids.
func (v *evolver) withIDs(t iceberg.Type) iceberg.Type {
	switch t := t.(type) {
	case *iceberg.StructType:
		fields := slices.Clone(t.FieldList)
		for i := range fields {
			fields[i].ID = v.next()
		}
		for i := range fields {
			fields[i].Type = v.withIDs(fields[i].Type)
		}
		return &iceberg.StructType{FieldList: fields}
	case *iceberg.ListType:
		id := v.next()
		return &iceberg.ListType{ElementID: id, Element: v.withIDs(t.Element), ElementRequired: t.ElementRequired}
	case *iceberg.MapType:
		key, value := v.next(), v.next()
		return &iceberg.MapType{KeyID: key, KeyType: v.withIDs(t.KeyType), ValueID: value, ValueType: v.withIDs(t.ValueType), ValueRequired: t.ValueRequired}
	}
	return t
}

// merge makes the type that holds the values of both; id is the field's whose
// type it is. Where there is none, that is a problem and the table's stays.
func (v *evolver) merge(path string, have, want iceberg.Type, id int) iceberg.Type {
	switch h := have.(type) {
	case *iceberg.StructType:
		if w, ok := want.(*iceberg.StructType); ok {
			return &iceberg.StructType{FieldList: v.fields(path, h.FieldList, w.FieldList, nil)}
		}
	case *iceberg.ListType:
		if w, ok := want.(*iceberg.ListType); ok {
			element := join(path, "element")
			return &iceberg.ListType{
				ElementID: h.ElementID, Element: v.merge(element, h.Element, w.Element, h.ElementID),
				ElementRequired: v.required(element, h.ElementID, h.ElementRequired, w.ElementRequired),
			}
		}
	case *iceberg.MapType:
		if w, ok := want.(*iceberg.MapType); ok {
			value := join(path, "value")
			return &iceberg.MapType{
				KeyID: h.KeyID, KeyType: v.key(join(path, "key"), h.KeyType, w.KeyType),
				ValueID: h.ValueID, ValueType: v.merge(value, h.ValueType, w.ValueType, h.ValueID),
				ValueRequired: v.required(value, h.ValueID, h.ValueRequired, w.ValueRequired),
			}
		}
	}
	switch {
	case have.Equals(want):
	case promotes(want, have):
		v.narrower(path, have, want)
	case !promotes(have, want):
		v.refuse("column %s: the table has %s, %s %s; %s", path, DescribeType(have), v.wants(), DescribeType(want), v.instead())
	case v.parts[id]:
		// Iceberg would allow it, but the manifests that are there have bounds
		// of the narrower type, and not all readers promote those.
		v.refuse("column %s: the table is partitioned by it as %s, %s %s; %s", path, DescribeType(have), v.wants(), DescribeType(want), v.instead())
	default:
		v.change("column %s: %s becomes %s", path, DescribeType(have), DescribeType(want))
		return want
	}
	return have
}

// key compares the keys of maps, which Iceberg does not let change.
func (v *evolver) key(path string, have, want iceberg.Type) iceberg.Type {
	switch {
	case describesSame(have, want):
	case promotes(want, have):
		v.narrower(path, have, want)
	default:
		v.refuse("column %s: the table has %s, %s %s, and Iceberg lets keys of maps not change; %s", path, DescribeType(have), v.wants(), DescribeType(want), v.instead())
	}
	return have
}

// narrower judges a type of which the table's holds all values.
func (v *evolver) narrower(path string, have, want iceberg.Type) {
	switch {
	case v.exact:
		v.refuse("column %s: the table has %s, the project declares %s, and contract.enforced allows no other type; declare %s", path, DescribeType(have), DescribeType(want), DescribeType(have))
	case v.declared:
		v.keep("column %s: the table has %s, the project declares %s; the table's type stays", path, DescribeType(have), DescribeType(want))
	}
}

// promotes tells whether Iceberg lets a column's type become another (Iceberg
// spec, "Schema Evolution", format version 2). iceberg-go's own list is longer:
// it has string to binary, which the specification does not.
func promotes(from, to iceberg.Type) bool {
	switch f := from.(type) {
	case iceberg.Int32Type:
		_, ok := to.(iceberg.Int64Type)
		return ok
	case iceberg.Float32Type:
		_, ok := to.(iceberg.Float64Type)
		return ok
	case iceberg.DecimalType:
		t, ok := to.(iceberg.DecimalType)
		return ok && t.Scale() == f.Scale() && t.Precision() > f.Precision()
	}
	return false
}

// describesSame compares types without field ids.
func describesSame(a, b iceberg.Type) bool { return DescribeType(a) == DescribeType(b) }

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
