package lakehouse

import (
	"strings"

	"github.com/apache/iceberg-go"
)

// describeField renders a column's type without field ids, so that two tables'
// columns can be compared and shown.
func describeField(f iceberg.NestedField) string {
	text := DescribeType(f.Type)
	if f.Required {
		text += " not null"
	}
	return text
}

// DescribeType renders an Iceberg type in the project language's words.
func DescribeType(t iceberg.Type) string {
	switch t := t.(type) {
	case *iceberg.ListType:
		return "list<" + DescribeType(t.Element) + ">"
	case *iceberg.MapType:
		return "map<" + DescribeType(t.KeyType) + ", " + DescribeType(t.ValueType) + ">"
	case *iceberg.StructType:
		parts := make([]string, len(t.FieldList))
		for i, f := range t.FieldList {
			parts[i] = f.Name + ": " + DescribeType(f.Type)
		}
		return "struct<" + strings.Join(parts, ", ") + ">"
	}
	return strings.ReplaceAll(t.String(), ", ", ",")
}

func describeSpec(spec iceberg.PartitionSpec, schema *iceberg.Schema) string {
	var parts []string
	for _, f := range spec.Fields() {
		var columns []string
		for _, id := range f.SourceIDs {
			name, _ := schema.FindColumnName(id)
			columns = append(columns, name)
		}
		parts = append(parts, f.Transform.String()+"("+strings.Join(columns, ", ")+")")
	}
	if len(parts) == 0 {
		return "unpartitioned"
	}
	return strings.Join(parts, ", ")
}
