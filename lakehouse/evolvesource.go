package lakehouse

import (
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/runtime/record"
)

// SourceColumn is a column for a field that a source has and the project does
// not declare.
type SourceColumn struct {
	Name string
	From string         // path of the field in the source
	Type arrow.DataType // as record.ParseType makes them
}

// SourceChange is what a source asks of a table.
type SourceChange struct {
	Add   []SourceColumn // optional columns
	Widen []SourceColumn // columns that are there, with the type that they need
}

// evolve tells how a table becomes one that takes the rows of a source that
// has changed. What it has already, another writer of the pipeline has added.
func (c SourceChange) evolve(meta table.Metadata) (Evolution, error) {
	v, err := newEvolver(meta)
	if err != nil {
		return Evolution{}, err
	}
	v.paths = map[string]string{}
	have := meta.CurrentSchema()
	var columns []SourceColumn
	for _, a := range c.Add {
		_, there := have.FindFieldByName(a.Name)
		from, ours := v.source[a.Name]
		switch {
		case there && ours && from == a.From: // added by another writer
		case there:
			v.refuse("column %s: the table has one of that name which is not from the source's field %s; declare the column in the model to have it filled, declare the field as a column of another name, or set on_schema_change to ignore", a.Name, a.From)
		default:
			columns = append(columns, a)
		}
	}
	for _, w := range c.Widen {
		if _, there := have.FindFieldByName(w.Name); !there {
			return Evolution{}, fmt.Errorf("%w: column %s is gone from the table; restore it, or take it out of the model", ErrForeign, w.Name)
		}
		columns = append(columns, w)
	}
	want, err := sourceSchema(columns)
	if err != nil {
		return Evolution{}, err
	}
	for _, column := range columns {
		v.paths[column.Name] = column.From
	}
	own := map[string]bool{}
	for _, f := range have.Fields() {
		own[f.Name] = record.IsPositionColumn(f.Name) || record.IsChangeColumn(f.Name)
	}
	return v.end(v.fields("", have.Fields(), want, own)), nil
}

func sourceSchema(columns []SourceColumn) ([]iceberg.NestedField, error) {
	if len(columns) == 0 {
		return nil, nil
	}
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: c.Name, Type: c.Type, Nullable: true}
	}
	schema, err := table.ArrowSchemaToIcebergWithFreshIDs(arrow.NewSchema(fields, nil), false)
	if err != nil {
		return nil, fmt.Errorf("convert columns of the source: %w", err)
	}
	return schema.Fields(), nil
}

// SourceColumns are the columns that Calve added for fields of the source, in
// table order. Whoever writes the table fills them, unless the project declares
// a column of the name.
func (t *Table) SourceColumns() []SourceColumn {
	var columns []SourceColumn
	for _, f := range t.schema.Fields() {
		from, ok := t.source[f.Name]
		if !ok {
			continue
		}
		if typ, ok := arrowType(f.Type); ok {
			columns = append(columns, SourceColumn{Name: f.Name, From: from, Type: typ})
		}
	}
	return columns
}

// ColumnType is the type that rows of a declared column are best made with: the
// table's where that is wider, with the nested fields that Calve added for
// fields of the source. Without such a column it is the declared one.
func (t *Table) ColumnType(name string, declared arrow.DataType) arrow.DataType {
	f, ok := t.schema.FindFieldByName(name)
	if !ok {
		return declared
	}
	return t.widest(name, declared, f.Type)
}

// SameColumns tells whether other has the columns of t, and the same of them
// for fields of the source.
func (t *Table) SameColumns(other *Table) bool {
	return slices.EqualFunc(t.schema.Fields(), other.schema.Fields(), func(a, b iceberg.NestedField) bool { return a.Equals(b) }) &&
		maps.Equal(t.source, other.source)
}

func (t *Table) widest(path string, declared arrow.DataType, have iceberg.Type) arrow.DataType {
	switch d := declared.(type) {
	case *arrow.StructType:
		if h, ok := have.(*iceberg.StructType); ok {
			return t.widestStruct(path, d, h)
		}
	case *arrow.ListType:
		if h, ok := have.(*iceberg.ListType); ok {
			element := d.ElemField()
			element.Type = t.widest(join(path, "element"), element.Type, h.Element)
			return arrow.ListOfField(element)
		}
	case *arrow.MapType:
		if h, ok := have.(*iceberg.MapType); ok {
			return arrow.MapOf(t.widest(join(path, "key"), d.KeyType(), h.KeyType), t.widest(join(path, "value"), d.ItemType(), h.ValueType))
		}
	default:
		if h, ok := arrowType(have); ok && widens(declared, h) {
			return h
		}
	}
	return declared
}

func (t *Table) widestStruct(path string, declared *arrow.StructType, have *iceberg.StructType) arrow.DataType {
	var fields []arrow.Field
	for _, f := range declared.Fields() {
		for _, h := range have.FieldList {
			if h.Name == f.Name {
				f.Type = t.widest(join(path, f.Name), f.Type, h.Type)
			}
		}
		fields = append(fields, f)
	}
	for _, h := range have.FieldList {
		_, declaredToo := declared.FieldByName(h.Name)
		if _, ours := t.source[join(path, h.Name)]; declaredToo || !ours {
			continue
		}
		if typ, ok := arrowType(h.Type); ok {
			fields = append(fields, arrow.Field{Name: h.Name, Type: typ, Nullable: true})
		}
	}
	return arrow.StructOf(fields...)
}

// widens is promotes for types of rows.
func widens(from, to arrow.DataType) bool {
	switch from.ID() {
	case arrow.INT32:
		return to.ID() == arrow.INT64
	case arrow.FLOAT32:
		return to.ID() == arrow.FLOAT64
	case arrow.DECIMAL128:
		t, ok := to.(*arrow.Decimal128Type)
		f := from.(*arrow.Decimal128Type)
		return ok && t.Scale == f.Scale && t.Precision > f.Precision
	}
	return false
}

// arrowType is the type of the project language for a table's type, without
// what it has no type for.
func arrowType(t iceberg.Type) (arrow.DataType, bool) {
	switch t := t.(type) {
	case *iceberg.StructType:
		var fields []arrow.Field
		for _, f := range t.FieldList {
			if typ, ok := arrowType(f.Type); ok {
				fields = append(fields, arrow.Field{Name: f.Name, Type: typ, Nullable: true})
			}
		}
		return arrow.StructOf(fields...), len(fields) > 0
	case *iceberg.ListType:
		element, ok := arrowType(t.Element)
		if !ok {
			return nil, false
		}
		return arrow.ListOfField(arrow.Field{Name: "element", Type: element, Nullable: true}), true
	case *iceberg.MapType:
		key, ok1 := arrowType(t.KeyType)
		value, ok2 := arrowType(t.ValueType)
		if !ok1 || !ok2 {
			return nil, false
		}
		return arrow.MapOf(key, value), true
	}
	typ, err := record.ParseType(DescribeType(t))
	return typ, err == nil
}
