package daemon

import (
	"context"
	"fmt"
	"slices"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/decode"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
)

// inputColumns are the columns that a model decodes: its own, with the types
// that its table has where those are wider, and those that its table has got
// for fields of the source. What a plugin takes is as it is declared.
func inputColumns(m *project.Model, t *lakehouse.Table) []decode.Column {
	columns := decodeColumns(m.Input())
	if m.Plugin != nil || t == nil {
		return columns
	}
	for i, c := range columns {
		columns[i].Type = t.ColumnType(c.Name, c.Type)
	}
	declared := definition(m).Schema
	for _, c := range t.SourceColumns() {
		if !declared.HasField(c.Name) {
			columns = append(columns, decode.Column{Name: c.Name, From: c.From, Type: c.Type, Nullable: true, Added: true})
		}
	}
	return columns
}

// evolves tells whether a model's table follows its source.
func evolves(m *project.Model) bool {
	return m.OnSchemaChange == project.SchemaChangeAppendNewColumns && m.Materialized == project.MaterializedTable && m.Plugin == nil
}

// onSchemaChange is what a model's decoder does about fields that no column
// reads. Where no table could follow, new fields are left out.
func onSchemaChange(m *project.Model) string {
	switch {
	case evolves(m):
		return decode.SchemaChangeAppend
	case m.OnSchemaChange == project.SchemaChangeFail:
		return decode.SchemaChangeFail
	}
	return decode.SchemaChangeIgnore
}

// checkEvolves refuses models whose tables could not follow their sources
// though they are asked to.
func checkEvolves(p *project.Project) error {
	for i := range p.Models {
		m := &p.Models[i]
		if m.OnSchemaChange == project.SchemaChangeAppendNewColumns && m.Plugin != nil {
			return fmt.Errorf("%s:%d: model %s: on_schema_change is append_new_columns, and the table of a model with a plugin has the columns that the plugin returns; set it to ignore or fail",
				m.File, m.Line, m.Name)
		}
	}
	return nil
}

// rebuild makes a model anew for its table with other columns.
func rebuild(ctx context.Context, p *project.Project, name string, with tools, t *lakehouse.Table) (pipeline.Model, error) {
	i := slices.IndexFunc(p.Models, func(m project.Model) bool { return m.Name == name })
	if i < 0 {
		return pipeline.Model{}, fmt.Errorf("BUG: there is no model %q", name)
	}
	return buildModel(ctx, p, &p.Models[i], with, t)
}
