package avro

import (
	"regexp"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/record"
)

// evolve finds what a writer's schema has and columns do not.
func evolve(root *node, columns []program.Column) ([]program.Field, []program.Widening) {
	var paths [][]string
	for _, c := range columns {
		if len(c.Path) != 1 || c.Path[0] != Rest {
			paths = append(paths, c.Path)
		}
	}
	unread := unreadFields(root, nil, paths)
	var widen []program.Widening
	for _, c := range columns {
		n := root.at(c.Path)
		if n == nil || c.Encoding != "" || len(c.Path) == 1 && c.Path[0] == Rest {
			continue
		}
		if t := widened(c.Type, n, 0); t != nil {
			widen = append(widen, program.Widening{Column: c.Index, Type: t})
		}
	}
	return unread, widen
}

// unreadFields lists the fields below n of which no path reads anything, those
// that paths go through included.
func unreadFields(n *node, at []string, paths [][]string) []program.Field {
	n = n.unwrap()
	if n.kind != structure {
		return nil
	}
	var out []program.Field
	for _, f := range n.fields {
		var below [][]string
		whole := false
		for _, p := range paths {
			if len(p) > 0 && p[0] == f.name {
				below = append(below, p[1:])
				whole = whole || len(p) == 1
			}
		}
		path := append(slices.Clone(at), f.name)
		switch {
		case whole:
		case len(below) > 0:
			out = append(out, unreadFields(f.node, path, below)...)
		default:
			if t := natural(f.node, 0, nil); t != nil {
				out = append(out, program.Field{Path: path, Type: t})
			}
		}
	}
	return out
}

// unwrap is the type of a nullable one, and any other as it is.
func (n *node) unwrap() *node {
	if inner, _, ok := n.nullable(); ok {
		return inner
	}
	return n
}

// at is the type that a path leads to; nil where there is none, or several.
func (n *node) at(path []string) *node {
	n = n.unwrap()
	if len(path) == 0 {
		return n
	}
	for _, f := range n.fields {
		if f.name == path[0] {
			return f.node.at(path[1:])
		}
	}
	return nil
}

var scalarTypes = map[kind]arrow.DataType{
	boolean: arrow.FixedWidthTypes.Boolean, integer: arrow.PrimitiveTypes.Int32, long: arrow.PrimitiveTypes.Int64,
	float: arrow.PrimitiveTypes.Float32, double: arrow.PrimitiveTypes.Float64, text: arrow.BinaryTypes.String,
	enum: arrow.BinaryTypes.String, bytes: arrow.BinaryTypes.Binary, fixed: arrow.BinaryTypes.Binary,
}

var timestampType = &arrow.TimestampType{Unit: arrow.Microsecond}

var meaningTypes = map[meaning]arrow.DataType{
	dateDays: arrow.FixedWidthTypes.Date32,
	millis:   record.Timestamptz, micros: record.Timestamptz, nanos: record.Timestamptz, zonedTimestamp: record.Timestamptz,
	localMillis: timestampType, localMicros: timestampType, localNanos: timestampType,
	uuid: arrow.BinaryTypes.String, duration: arrow.BinaryTypes.String, variableScale: arrow.BinaryTypes.String,
}

// maxNesting is how deep record.ParseType takes types; what is nested deeper is
// kept as JSON text.
const maxNesting = 8

// natural is the data_type that holds all values of a schema's type; nil for
// null, which has none. around are the records that the type is inside of.
func natural(n *node, depth int, around []*node) arrow.DataType {
	n = n.unwrap()
	if t, ok := meaningTypes[n.meaning]; ok {
		return t
	}
	if n.meaning == decimalNumber && n.scale <= 38 {
		return &arrow.Decimal128Type{Precision: int32(min(max(n.digits, n.scale), 38)), Scale: int32(n.scale)}
	}
	if t, ok := scalarTypes[n.kind]; ok {
		return t
	}
	switch {
	case n.kind == null:
		return nil
	case n.kind == union:
		return naturalUnion(n, depth, around)
	case depth == maxNesting:
	case n.kind == structure:
		return naturalStruct(n, depth, around)
	default:
		items := natural(n.items, depth+1, around)
		if items == nil {
			items = arrow.BinaryTypes.String
		}
		if n.kind == mapping {
			return arrow.MapOf(arrow.BinaryTypes.String, items)
		}
		return arrow.ListOfField(arrow.Field{Name: "element", Type: items, Nullable: true})
	}
	return arrow.BinaryTypes.String
}

var fieldName = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

// naturalStruct is a struct of a record's fields, or JSON text where the record
// holds itself or its names are none of a struct's.
func naturalStruct(n *node, depth int, around []*node) arrow.DataType {
	var fields []arrow.Field
	if slices.Contains(around, n) {
		return arrow.BinaryTypes.String
	}
	around = append(slices.Clone(around), n)
	seen := map[string]bool{}
	for _, f := range n.fields {
		if lower := strings.ToLower(f.name); seen[lower] || !fieldName.MatchString(f.name) {
			return arrow.BinaryTypes.String
		} else {
			seen[lower] = true
		}
		if t := natural(f.node, depth+1, around); t != nil {
			fields = append(fields, arrow.Field{Name: f.name, Type: t, Nullable: true})
		}
	}
	if len(fields) == 0 {
		return arrow.BinaryTypes.String
	}
	return arrow.StructOf(fields...)
}

// naturalUnion is a number that holds each branch exactly, the type of a single
// branch, or JSON text.
func naturalUnion(n *node, depth int, around []*node) arrow.DataType {
	var branches []*node
	has := map[kind]bool{}
	for _, b := range n.branches {
		if b.kind != null {
			branches = append(branches, b)
			has[b.kind] = true
			if b.meaning != plain || b.kind < integer || b.kind > double {
				has[null] = true // stands for what is no plain number
			}
		}
	}
	switch {
	case len(branches) == 0:
		return nil
	case len(branches) == 1:
		return natural(branches[0], depth, around)
	case has[null], has[long] && (has[float] || has[double]):
		return arrow.BinaryTypes.String
	case has[long]:
		return arrow.PrimitiveTypes.Int64
	}
	return arrow.PrimitiveTypes.Float64
}

// widened is the type that a column needs to hold what the writer's type has
// beyond it; nil if it needs none, or if Iceberg has no promotion for it.
func widened(t arrow.DataType, n *node, depth int) arrow.DataType {
	n = n.unwrap()
	switch t := t.(type) {
	case *arrow.Int32Type:
		if n.kind == long {
			return arrow.PrimitiveTypes.Int64
		}
	case *arrow.Float32Type:
		if n.kind == double {
			return arrow.PrimitiveTypes.Float64
		}
	case *arrow.Decimal128Type:
		if digits := int32(min(n.digits, 38)); n.meaning == decimalNumber && int32(n.scale) == t.Scale && digits > t.Precision {
			return &arrow.Decimal128Type{Precision: digits, Scale: t.Scale}
		}
	case *arrow.ListType:
		if n.kind == array {
			if elem := widened(t.Elem(), n.items, depth+1); elem != nil {
				return arrow.ListOfField(arrow.Field{Name: t.ElemField().Name, Type: elem, Nullable: true})
			}
		}
	case *arrow.MapType:
		if n.kind == mapping {
			if item := widened(t.ItemType(), n.items, depth+1); item != nil {
				return arrow.MapOf(t.KeyType(), item)
			}
		}
	case *arrow.StructType:
		if n.kind == structure {
			return widenedStruct(t, n, depth)
		}
	}
	return nil
}

func widenedStruct(t *arrow.StructType, n *node, depth int) arrow.DataType {
	fields := slices.Clone(t.Fields())
	changed := false
	for _, f := range n.fields {
		at := slices.IndexFunc(fields, func(have arrow.Field) bool { return strings.EqualFold(have.Name, f.name) })
		switch {
		case at >= 0 && fields[at].Name != f.name: // another field, whose name no warehouse tells apart
		case at >= 0:
			if wider := widened(fields[at].Type, f.node, depth+1); wider != nil {
				fields[at].Type, changed = wider, true
			}
		case fieldName.MatchString(f.name) && depth < maxNesting:
			if added := natural(f.node, depth+1, []*node{n}); added != nil {
				fields, changed = append(fields, arrow.Field{Name: f.name, Type: added, Nullable: true}), true
			}
		}
	}
	if !changed {
		return nil
	}
	return arrow.StructOf(fields...)
}
