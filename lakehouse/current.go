package lakehouse

import (
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
)

// PropertyCurrent names the boolean column by which the rows of a keyed table
// are current (Definition.Current). Current rows change often and the others
// seldom, so they lie in different data files: an epoch rewrites the current
// ones, however long the history is, and a filter on the column prunes files by
// their bounds.
const PropertyCurrent = "calve.current"

// currentOf reads PropertyCurrent; "" if rows are not told apart, or if the
// column is not there any more: the property says where rows lie, not what they
// are.
func currentOf(key []string, properties iceberg.Properties, schema *arrow.Schema) string {
	name := properties[PropertyCurrent]
	if name == "" || len(key) == 0 {
		return ""
	}
	fields, ok := schema.FieldsByName(name)
	if !ok || len(fields) != 1 || fields[0].Type.ID() != arrow.BOOL {
		return ""
	}
	return name
}

// checkCurrent refuses a column that cannot tell current rows.
func (d Definition) checkCurrent(schema *iceberg.Schema) error {
	if d.Current == "" {
		return nil
	}
	if len(d.Key) == 0 {
		return fmt.Errorf("current rows of %s by column %s: the table has no key, its rows do not change", d.ID, d.Current)
	}
	field, ok := schema.FindFieldByName(d.Current)
	if !ok {
		return fmt.Errorf("current rows of %s: no column %s", d.ID, d.Current)
	}
	if _, ok := field.Type.(iceberg.BooleanType); !ok {
		return fmt.Errorf("current rows of %s: column %s is a %s, expected a boolean", d.ID, d.Current, DescribeType(field.Type))
	}
	return nil
}

// partitioner tells the rows of the table apart.
func (t *Table) partitioner() (*partitioner, error) {
	p, err := newPartitioner(t.spec, t.schema)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", t.ID, err)
	}
	if t.current != "" {
		p.current = slices.IndexFunc(t.arrow.Fields(), func(f arrow.Field) bool { return f.Name == t.current })
	}
	return p, nil
}
