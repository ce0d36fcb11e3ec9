package lakehouse

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/runtime/record"
)

// PropertySourceFields names the columns that Calve added for fields of the
// source: a JSON object of column → path of the field in the source. Fields of
// nested columns are there by their path in the table (address.zip, and for
// members of lists and maps items.element.sku, prices.value.net).
const PropertySourceFields = "calve.source-fields"

// Evolution is what becomes of a table that exists and is not quite as it
// should be. It is a decision; nothing has happened yet.
type Evolution struct {
	Changes  []string // to the table's schema, in words
	Kept     []string // differences that stay, in words
	Problems []string // what is refused and what can be done; then there is nothing else to do

	schema *iceberg.Schema   // to become the current one, with ids of the table
	source map[string]string // PropertySourceFields after it
	from   table.Metadata
}

// Evolve tells how a table that exists becomes one that takes d's rows, by what
// Iceberg allows without touching a file (Iceberg spec, "Schema Evolution"):
// optional columns and nested fields are added, types are promoted, required
// columns become optional. Columns of the table that d lacks stay.
func (d Definition) Evolve(meta table.Metadata) (Evolution, error) {
	want, err := d.icebergSchema()
	if err != nil {
		return Evolution{}, err
	}
	spec, err := d.spec(want)
	if err != nil {
		return Evolution{}, err
	}
	v, err := newEvolver(meta)
	if err != nil {
		return Evolution{}, err
	}
	v.exact, v.declared = d.Exact, true
	if err := d.checkKey(v); err != nil {
		return Evolution{}, err
	}
	d.checkVersion(v)
	fields := v.fields("", meta.CurrentSchema().Fields(), want.Fields(), ownColumns(want.Fields()))
	if h, w := describeSpec(meta.PartitionSpec(), meta.CurrentSchema()), describeSpec(*spec, want); h != w {
		v.refuse("partition spec: the table has %s, the project declares %s; change the model back, or give it a new name", h, w)
	}
	if d.Fixed && len(v.Changes) > 0 {
		v.refuse("%s: the model's on_schema_change is fail; take the change back, set on_schema_change to ignore or append_new_columns to let the table follow the model, or give the model a new name",
			strings.Join(v.Changes, "; "))
	}
	return v.end(fields), nil
}

// ownColumns are the change and position columns that a staging table ends
// with: the model's own columns stay before them.
func ownColumns(fields []iceberg.NestedField) map[string]bool {
	own := map[string]bool{}
	for _, f := range slices.Backward(fields) {
		if !record.IsPositionColumn(f.Name) && !record.IsChangeColumn(f.Name) {
			break
		}
		own[f.Name] = true
	}
	return own
}

// pending tells whether there is anything to commit.
func (e *Evolution) pending() bool { return e.schema != nil }

// refusal is the error of an evolution with problems.
func (e *Evolution) refusal(id catalog.Identifier) error {
	if len(e.Problems) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s: %s", ErrDiffers, id, strings.Join(e.Problems, "; "))
}

// commit is the request that carries the evolution out. It is refused if the
// schema, or the ids that it takes, are not what it was decided on.
func (e *Evolution) commit(id table.Identifier) table.TableCommit {
	updates := []table.Update{table.NewAddSchemaUpdate(e.schema), table.NewSetCurrentSchemaUpdate(-1)} // -1: the one just added
	if text, err := json.Marshal(e.source); err == nil && len(e.source) > 0 {
		updates = append(updates, table.NewSetPropertiesUpdate(iceberg.Properties{PropertySourceFields: string(text)}))
	}
	return table.TableCommit{
		Identifier: id,
		Requirements: []table.Requirement{
			table.AssertTableUUID(e.from.TableUUID()),
			table.AssertCurrentSchemaID(e.from.CurrentSchema().ID),
			table.AssertLastAssignedFieldID(e.from.LastColumnID()),
		},
		Updates: updates,
	}
}

// sourceFields reads PropertySourceFields; nil if there is none.
func sourceFields(properties iceberg.Properties) (map[string]string, error) {
	text, ok := properties[PropertySourceFields]
	if !ok {
		return nil, nil
	}
	var fields map[string]string
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		return nil, fmt.Errorf("%w: property %s is not a JSON object of column and path: %w; put it right, or remove it to have those columns written as null", ErrForeign, PropertySourceFields, err)
	}
	return fields, nil
}
