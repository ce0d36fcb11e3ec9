package daemon

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/decode"
	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/watermark"
)

// definitions are the tables of a project: those of its models, and the
// pipeline's own.
func definitions(p *project.Project) ([]lakehouse.Definition, error) {
	var all []lakehouse.Definition
	for i := range p.Models {
		if m := &p.Models[i]; m.Kind == project.KindStaging && m.Materialized == project.MaterializedTable {
			all = append(all, definition(m))
		}
	}
	keyed, err := compileKeyed(p)
	if err != nil {
		return nil, err
	}
	for i := range keyed {
		if k := &keyed[i]; k.Materialized == project.MaterializedTable {
			d := keyedDefinition(k)
			d.Vectors = p.Profile == project.ProfileV3DV
			all = append(all, d)
		}
	}
	return append(all, lakehouse.DeadLettersDefinition(p.Name), lakehouse.AuditDefinition(p.Name)), nil
}

// tableID is where a model's table is.
func tableID(m *project.Model) catalog.Identifier {
	return catalog.Identifier{Namespace: m.Namespace, Name: m.Name}
}

// definition is the table of a staging model.
func definition(m *project.Model) lakehouse.Definition {
	return defined(m, arrow.NewSchema(tableFields(m), nil))
}

// keyedDefinition is the table of a keyed model.
func keyedDefinition(k *keyedModel) lakehouse.Definition {
	d := defined(k.Model, k.schema())
	d.Key = k.key()
	if k.dimension != nil || k.bridge != nil {
		d.Current = dimension.ColumnIsCurrent
	}
	return d
}

func defined(m *project.Model, schema *arrow.Schema) lakehouse.Definition {
	d := lakehouse.Definition{
		ID:          tableID(m),
		Schema:      schema,
		Description: m.Description,
		Fixed:       m.OnSchemaChange == project.SchemaChangeFail,
		Exact:       m.Contract.Enforced,
	}
	for _, f := range m.PartitionBy {
		d.PartitionBy = append(d.PartitionBy, lakehouse.PartitionField{Column: f.Column, Transform: string(f.Transform), N: f.N})
	}
	return d
}

// tableFields are a table's columns: those of the model, those derived, those of
// a change where it reads changes, and those of the position.
func tableFields(m *project.Model) []arrow.Field { return m.DeriveSchema(len(m.Derived)).Fields() }

func arrowFields(columns []project.Column) []arrow.Field {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: c.Name, Type: c.Type, Nullable: c.Nullable}
	}
	return fields
}

// models builds what the pipeline runs of each model. The caller closes the
// tools.
func models(ctx context.Context, p *project.Project, with tools, tables map[string]*lakehouse.Table) ([]pipeline.Model, error) {
	var all []pipeline.Model
	for i := range p.Models {
		m := &p.Models[i]
		if m.Kind != project.KindStaging {
			continue
		}
		var t *lakehouse.Table
		if m.Materialized == project.MaterializedTable {
			t = tables[definition(m).ID.String()]
		}
		built, err := buildModel(ctx, p, m, with, t)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: model %s: %w", m.File, m.Line, m.Name, err)
		}
		all = append(all, built)
	}
	return all, nil
}

func buildModel(ctx context.Context, p *project.Project, m *project.Model, with tools, t *lakehouse.Table) (pipeline.Model, error) {
	built, err := compileModel(p, m, with.schemas, t)
	if err != nil || m.Plugin == nil {
		return built, err
	}
	built.PluginRef, built.MaxErrorRatio = m.Plugin.Ref, m.Plugin.MaxErrorRatio
	built.Plugin, err = openPlugin(ctx, p, m, with)
	return built, err
}

// compileModel builds what a pipeline runs of a model but for its plugin.
func compileModel(p *project.Project, m *project.Model, schemas decode.Schemas, t *lakehouse.Table) (pipeline.Model, error) {
	source, ok := p.SourceTable(m.From)
	if !ok {
		return pipeline.Model{}, fmt.Errorf("BUG: source %s passed validation and does not exist", m.From)
	}
	input := inputColumns(m, t)
	decoder, err := decode.Compile(decode.Spec{
		Format:         string(source.Format),
		Columns:        input,
		MaxRecordBytes: source.MaxRecordBytes,
		OnSchemaChange: onSchemaChange(m),
		Schemas:        schemas,
		NaturalKey:     m.NaturalKey,

		IgnoreTruncations: m.OnTruncate == project.TruncateIgnore,
	})
	if err != nil {
		return pipeline.Model{}, err
	}
	built := pipeline.Model{Name: m.Name, Topic: source.Topic, Decoder: decoder, Table: t, Evolves: evolves(m), EventTime: eventTime(m)}
	if err := addSteps(m, &built, input); err != nil {
		return pipeline.Model{}, err
	}
	return built, nil
}

// eventTime is how time passes for a staging model.
func eventTime(m *project.Model) pipeline.EventTime {
	return pipeline.EventTime{
		Column: m.EventTime,
		Policy: watermark.Policy{MaxOutOfOrderness: m.MaxOutOfOrderness, IdleTimeout: m.IdleTimeout, MaxFuture: m.MaxFuture},
	}
}

func decodeColumns(columns []project.Column) []decode.Column {
	out := make([]decode.Column, len(columns))
	for i, c := range columns {
		out[i] = decode.Column{Name: c.Name, From: c.From, Type: c.Type, Nullable: c.Nullable, Default: c.Default, Encoding: c.Encoding}
	}
	return out
}
