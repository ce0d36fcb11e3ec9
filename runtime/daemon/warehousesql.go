package daemon

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/calendar"
	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/warehousesql"
)

// WarehouseProject is what SQL for warehouses is written of: a project's tables as
// it declares them. Nothing is opened.
func WarehouseProject(p *project.Project) (warehousesql.Project, error) {
	out := warehousesql.Project{Name: p.Name, Warehouse: p.Connections.Warehouse.Location, Catalog: warehouseCatalog(p), Vectors: p.Profile == project.ProfileV3DV}
	if err := checkBuilt(p); err != nil {
		return out, err
	}
	keyed, err := compileKeyed(p)
	if err != nil {
		return out, err
	}
	for i := range p.Models {
		m := &p.Models[i]
		if m.Materialized != project.MaterializedTable {
			continue
		}
		if m.Kind == project.KindStaging {
			out.Tables = append(out.Tables, warehousesql.Table{Model: m.Name, Namespace: m.Namespace, Name: m.Name, Columns: arrow.NewSchema(tableFields(m), nil)})
			continue
		}
		if at := slices.IndexFunc(keyed, func(k keyedModel) bool { return k.Name == m.Name }); at >= 0 {
			out.Tables = append(out.Tables, warehouseTable(&keyed[at]))
		}
	}
	return out, nil
}

func warehouseCatalog(p *project.Project) warehousesql.Catalog {
	c := p.Connections.Catalog
	if c.Type == project.CatalogEmbedded {
		return warehousesql.Catalog{URI: "http://" + c.Listen, Embedded: true}
	}
	return warehousesql.Catalog{URI: c.URI, Warehouse: c.Warehouse}
}

// warehouseTable is the table of a keyed model.
func warehouseTable(k *keyedModel) warehousesql.Table {
	t := warehousesql.Table{Model: k.Name, Namespace: k.Namespace, Name: k.Name, Columns: k.schema()}
	switch k.Kind {
	case project.KindDimension:
		describeDimension(k, &t)
	case project.KindDate:
		t.Dimension = &warehousesql.Dimension{Key: calendar.ColumnKey, Attributes: starDays}
	case project.KindFact:
		describeFact(k, &t)
	case project.KindBridge:
		if k.SurrogateKey != "" {
			t.Keys = []warehousesql.Key{{Column: k.SurrogateKey, Parts: append(foreignKeyNames(k.Bridge.ForeignKeys), dimension.ColumnValidFrom)}}
		}
	}
	return t
}

// starDays are the columns of a date that a star shows.
var starDays = []string{"date", "year", "quarter", "month", "month_name", "iso_year", "week", "day_name", "is_weekend"}

func describeDimension(k *keyedModel, t *warehousesql.Table) {
	d := k.Model.Dimension
	parts := d.NaturalKey
	if k.Plugin != nil || slices.ContainsFunc(k.dimension.Attributes().Fields(), func(f arrow.Field) bool { return d.SCD.TypeOf(f.Name) == 2 }) {
		parts = append(slices.Clone(parts), dimension.ColumnValidFrom)
	}
	t.Keys = []warehousesql.Key{{Column: k.SurrogateKey, Parts: parts, Unknown: dimension.UnknownKey}}
	if d.DurableKey != "" {
		t.Keys = append(t.Keys, warehousesql.Key{Column: d.DurableKey, Parts: d.NaturalKey, Unknown: dimension.UnknownKey})
	}
	t.Dimension = &warehousesql.Dimension{Key: k.SurrogateKey, Durable: d.DurableKey, Versions: true, Unknown: dimension.UnknownKey}
	for _, f := range t.Columns.Fields() {
		if f.Name != k.SurrogateKey && f.Name != d.DurableKey && !slices.Contains(versionColumns, f.Name) && !record.IsPositionColumn(f.Name) {
			t.Dimension.Attributes = append(t.Dimension.Attributes, f.Name)
		}
	}
}

func describeFact(k *keyedModel, t *warehousesql.Table) {
	f := k.Model.Fact
	if k.SurrogateKey != "" && f.OnUpdate == project.OnUpdateUpsert { // else it has the position of the row, too
		t.Keys = []warehousesql.Key{{Column: k.SurrogateKey, Parts: f.Grain}}
	}
	t.Fact = &warehousesql.Fact{}
	for _, key := range f.ForeignKeys {
		at := key.At
		if at == "" {
			at = k.EventTime
		}
		t.Fact.ForeignKeys = append(t.Fact.ForeignKeys, warehousesql.ForeignKey{Name: key.Name, To: key.To.Model, Durable: key.Durable, At: at})
	}
}

func foreignKeyNames(all []project.ForeignKey) []string {
	names := make([]string, len(all))
	for i, k := range all {
		names[i] = k.Name
	}
	return names
}
