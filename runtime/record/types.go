package record

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
)

// TypeNames lists the scalar data_type names of the project language, in the
// order an error should offer them.
var TypeNames = []string{"boolean", "int", "long", "float", "double", "decimal(p,s)", "string", "binary", "date", "timestamp", "timestamptz"}

// ParseType reads a data_type of the project language: a scalar of TypeNames,
// or struct<name: type, …>, list<type>, map<type, type>. Nested fields are
// optional, since Databricks cannot read required ones.
//
// The types are those that every warehouse reads; uuid, time, fixed and the
// Iceberg v3 types are refused with what to use instead.
func ParseType(text string) (arrow.DataType, error) {
	p := typeParser{text: text}
	t, err := p.parse(0)
	if err != nil {
		return nil, err
	}
	p.space()
	if p.pos != len(p.text) {
		return nil, fmt.Errorf("data_type %q: unexpected %q after the type", text, p.text[p.pos:])
	}
	return t, nil
}

// FormatType is the inverse of ParseType.
func FormatType(t arrow.DataType) string {
	switch t := t.(type) {
	case *arrow.TimestampType:
		if t.TimeZone == "" {
			return "timestamp"
		}
		return "timestamptz"
	case *arrow.Decimal128Type:
		return fmt.Sprintf("decimal(%d,%d)", t.Precision, t.Scale)
	case *arrow.ListType:
		return "list<" + FormatType(t.Elem()) + ">"
	case *arrow.MapType:
		return "map<" + FormatType(t.KeyType()) + ", " + FormatType(t.ItemType()) + ">"
	case *arrow.StructType:
		parts := make([]string, t.NumFields())
		for i, f := range t.Fields() {
			parts[i] = f.Name + ": " + FormatType(f.Type)
		}
		return "struct<" + strings.Join(parts, ", ") + ">"
	}
	for name, scalar := range scalars {
		if arrow.TypeEqual(t, scalar) {
			return name
		}
	}
	return t.String()
}

var scalars = map[string]arrow.DataType{
	"boolean":     arrow.FixedWidthTypes.Boolean,
	"int":         arrow.PrimitiveTypes.Int32,
	"long":        arrow.PrimitiveTypes.Int64,
	"float":       arrow.PrimitiveTypes.Float32,
	"double":      arrow.PrimitiveTypes.Float64,
	"string":      arrow.BinaryTypes.String,
	"binary":      arrow.BinaryTypes.Binary,
	"date":        arrow.FixedWidthTypes.Date32,
	"timestamp":   &arrow.TimestampType{Unit: arrow.Microsecond},
	"timestamptz": Timestamptz,
}

// refused types, with what to declare instead.
var refused = map[string]string{
	"uuid":           "Databricks and Redshift cannot read uuid; use string",
	"time":           "Databricks and Redshift cannot read time; use string or long",
	"fixed":          "Databricks and Redshift cannot read fixed; use binary",
	"timestamp_ns":   "BigQuery, Databricks and Athena cannot read nanoseconds; use timestamp",
	"timestamptz_ns": "BigQuery, Databricks and Athena cannot read nanoseconds; use timestamptz",
	"variant":        "BigQuery and Athena cannot read variant; use string (JSON text)",
	"bool":           "use boolean",
	"integer":        "use int",
	"bigint":         "use long",
	"varchar":        "use string",
	"text":           "use string",
	"decimal":        "give precision and scale: decimal(10,2)",
}

const maxTypeDepth = 8

type typeParser struct {
	text string
	pos  int
}

func (p *typeParser) parse(depth int) (arrow.DataType, error) {
	if depth > maxTypeDepth {
		return nil, fmt.Errorf("data_type %q: nested deeper than %d", p.text, maxTypeDepth)
	}
	name := strings.ToLower(p.word())
	switch name {
	case "":
		return nil, fmt.Errorf("data_type %q: expected a type at character %d", p.text, p.pos+1)
	case "decimal":
		if p.peek() == '(' {
			return p.decimal()
		}
	case "list":
		return p.list(depth)
	case "map":
		return p.mapping(depth)
	case "struct":
		return p.structure(depth)
	}
	if t, ok := scalars[name]; ok {
		return t, nil
	}
	if hint, ok := refused[name]; ok {
		return nil, fmt.Errorf("data_type %q: %q is not supported: %s", p.text, name, hint)
	}
	return nil, fmt.Errorf("data_type %q: unknown type %q, expected one of %s, struct<…>, list<…>, map<…>", p.text, name, strings.Join(TypeNames, ", "))
}

func (p *typeParser) decimal() (arrow.DataType, error) {
	end := strings.IndexByte(p.text[p.pos:], ')')
	if end < 0 {
		return nil, fmt.Errorf("data_type %q: decimal needs a closing parenthesis", p.text)
	}
	inside := p.text[p.pos+1 : p.pos+end]
	p.pos += end + 1
	precision, scale, found := strings.Cut(inside, ",")
	if !found {
		return nil, fmt.Errorf("data_type %q: decimal needs precision and scale, as in decimal(10,2)", p.text)
	}
	pr, err1 := strconv.Atoi(strings.TrimSpace(precision))
	sc, err2 := strconv.Atoi(strings.TrimSpace(scale))
	if err1 != nil || err2 != nil || pr < 1 || pr > 38 || sc < 0 || sc > pr {
		return nil, fmt.Errorf("data_type %q: decimal precision must be 1 to 38 and scale 0 to the precision", p.text)
	}
	return &arrow.Decimal128Type{Precision: int32(pr), Scale: int32(sc)}, nil
}

func (p *typeParser) list(depth int) (arrow.DataType, error) {
	if err := p.expect('<'); err != nil {
		return nil, err
	}
	elem, err := p.parse(depth + 1)
	if err != nil {
		return nil, err
	}
	if err := p.expect('>'); err != nil {
		return nil, err
	}
	return arrow.ListOfField(arrow.Field{Name: "element", Type: elem, Nullable: true}), nil
}

func (p *typeParser) mapping(depth int) (arrow.DataType, error) {
	if err := p.expect('<'); err != nil {
		return nil, err
	}
	key, err := p.parse(depth + 1)
	if err != nil {
		return nil, err
	}
	if err := p.expect(','); err != nil {
		return nil, err
	}
	value, err := p.parse(depth + 1)
	if err != nil {
		return nil, err
	}
	if err := p.expect('>'); err != nil {
		return nil, err
	}
	return arrow.MapOf(key, value), nil
}

func (p *typeParser) structure(depth int) (arrow.DataType, error) {
	if err := p.expect('<'); err != nil {
		return nil, err
	}
	var fields []arrow.Field
	seen := map[string]bool{}
	for {
		name := p.word()
		if name == "" {
			return nil, fmt.Errorf("data_type %q: expected a field name at character %d", p.text, p.pos+1)
		}
		if seen[strings.ToLower(name)] {
			return nil, fmt.Errorf("data_type %q: field %q twice (names are compared ignoring case)", p.text, name)
		}
		seen[strings.ToLower(name)] = true
		if err := p.expect(':'); err != nil {
			return nil, err
		}
		t, err := p.parse(depth + 1)
		if err != nil {
			return nil, err
		}
		fields = append(fields, arrow.Field{Name: name, Type: t, Nullable: true})
		if p.peek() == ',' {
			p.pos++
			continue
		}
		if err := p.expect('>'); err != nil {
			return nil, err
		}
		return arrow.StructOf(fields...), nil
	}
}

func (p *typeParser) space() {
	for p.pos < len(p.text) && (p.text[p.pos] == ' ' || p.text[p.pos] == '\t' || p.text[p.pos] == '\n') {
		p.pos++
	}
}

func (p *typeParser) peek() byte {
	p.space()
	if p.pos < len(p.text) {
		return p.text[p.pos]
	}
	return 0
}

func (p *typeParser) word() string {
	p.space()
	start := p.pos
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			break
		}
		p.pos++
	}
	return p.text[start:p.pos]
}

func (p *typeParser) expect(c byte) error {
	if p.peek() != c {
		return fmt.Errorf("data_type %q: expected %q at character %d", p.text, string(c), p.pos+1)
	}
	p.pos++
	return nil
}
