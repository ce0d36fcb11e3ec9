package lakehouse

import (
	"fmt"
	"maps"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse/storage"
)

// Table is a table that this pipeline writes, as it was when it was opened.
type Table struct {
	ID       catalog.Identifier
	UUID     uuid.UUID
	Progress Progress // when opened

	location   string
	version    int // of the Iceberg format
	schema     *iceberg.Schema
	spec       iceberg.PartitionSpec
	properties iceberg.Properties
	source     map[string]string // PropertySourceFields
	arrow      *arrow.Schema     // of the data files, with field ids
	key        []string          // PropertyKey; nil unless keyed
	current    string            // PropertyCurrent; "" if rows are not told apart by it
	store      storage.Store
	lake       *Lake
}

func (l *Lake) table(id catalog.Identifier, tbl *table.Table) (*Table, error) {
	return l.tableWith(id, tbl, tbl.Metadata().CurrentSchema())
}

// tableWith is table with one of its schemas, the present one or an older.
func (l *Lake) tableWith(id catalog.Identifier, tbl *table.Table, own *iceberg.Schema) (*Table, error) {
	meta := tbl.Metadata()
	progress, err := ReadProgress(id.String(), meta)
	if err != nil {
		return nil, err
	}
	schema, err := table.SchemaToArrowSchema(own, nil, true, false)
	if err != nil {
		return nil, fmt.Errorf("convert schema of %s: %w", id, err)
	}
	source, err := sourceFields(meta.Properties())
	if err != nil {
		return nil, fmt.Errorf("open table %s: %w", id, err)
	}
	key, err := keyOf(id.String(), meta)
	if err != nil {
		return nil, err
	}
	return &Table{
		ID:         id,
		UUID:       meta.TableUUID(),
		Progress:   progress,
		location:   meta.Location(),
		version:    meta.Version(),
		schema:     own,
		spec:       meta.PartitionSpec(),
		properties: meta.Properties(),
		source:     source,
		arrow:      schema,
		key:        key,
		current:    currentOf(key, meta.Properties(), schema),
		store:      l.store,
		lake:       l,
	}, nil
}

// Change begins what an epoch does to the table: prev is the table's epoch
// before, files what a Writer closed with.
func (t *Table) Change(prev int64, files []File, counts ...Counts) TableChange {
	return TableChange{
		Table:    t.ID.String(),
		UUID:     t.UUID,
		Prev:     prev,
		SchemaID: t.schema.ID,
		SpecID:   t.spec.ID(),
		Format:   t.format(),
		Add:      files,
		Counts:   counts,
	}
}

// format is the version of the Iceberg format as records have it.
func (t *Table) format() int {
	if t.version == plainVersion {
		return 0
	}
	return t.version
}

// vectors tells whether rows are taken out by deletion vectors, and not by writing
// their files anew.
func (t *Table) vectors() bool { return t.version >= vectorsVersion }

// withLineage is the table with the columns of row lineage, which a data file has
// whose rows were in others before; without statistics, which nobody asks for.
func (t *Table) withLineage() (*Table, error) {
	lineaged := *t
	lineaged.schema = iceberg.SchemaWithRowLineage(t.schema)
	var err error
	if lineaged.arrow, err = table.SchemaToArrowSchema(lineaged.schema, nil, true, false); err != nil {
		return nil, fmt.Errorf("convert schema of %s: %w", t.ID, err)
	}
	lineaged.properties = maps.Clone(t.properties)
	for _, column := range []string{iceberg.RowIDColumnName, iceberg.LastUpdatedSequenceNumberColumnName} {
		lineaged.properties[table.MetricsModeColumnConfPrefix+"."+column] = "none"
	}
	return &lineaged, nil
}

// Key names the columns of a keyed table's key; nil for a table that only grows.
func (t *Table) Key() []string { return t.key }

// Schema is the Arrow schema of the rows that a Writer takes, in the table's
// column order.
func (t *Table) Schema() *arrow.Schema { return t.arrow }
