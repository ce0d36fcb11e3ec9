package daemon

import (
	"cmp"
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/runtime/decode"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
)

// definitions are the tables of a project: those of its models, and the
// pipeline's own.
func definitions(p *project.Project) []lakehouse.Definition {
	var all []lakehouse.Definition
	for i := range p.Models {
		if m := &p.Models[i]; m.Materialized == project.MaterializedTable {
			all = append(all, definition(m))
		}
	}
	return append(all, lakehouse.DeadLettersDefinition(p.Name), lakehouse.AuditDefinition(p.Name))
}

func definition(m *project.Model) lakehouse.Definition {
	d := lakehouse.Definition{
		ID:          catalog.Identifier{Namespace: m.Namespace, Name: m.Name},
		Schema:      arrow.NewSchema(tableFields(m), nil),
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
		Schemas:        with.schemas,
		NaturalKey:     m.NaturalKey,
	})
	if err != nil {
		return pipeline.Model{}, err
	}
	built := pipeline.Model{Name: m.Name, Topic: source.Topic, Decoder: decoder, Table: t, Evolves: evolves(m)}
	if err := addSteps(m, &built, input); err != nil {
		return pipeline.Model{}, err
	}
	if m.Plugin == nil {
		return built, nil
	}
	built.PluginRef = m.Plugin.Ref
	built.Plugin, err = openPlugin(ctx, p, m, with)
	return built, err
}

func decodeColumns(columns []project.Column) []decode.Column {
	out := make([]decode.Column, len(columns))
	for i, c := range columns {
		out[i] = decode.Column{Name: c.Name, From: c.From, Type: c.Type, Nullable: c.Nullable, Default: c.Default, Encoding: c.Encoding}
	}
	return out
}

// openPlugin compiles a model's plugin and checks that it takes and returns
// what the model declares.
func openPlugin(ctx context.Context, p *project.Project, m *project.Model, with tools) (*plugin, error) {
	module, err := readModule(ctx, p, m, with.registry)
	if err != nil {
		return nil, fmt.Errorf("plugin %s: %w", m.Plugin.Ref, err)
	}
	limits := wasm.Limits{}
	if l := m.Plugin.Limits; l != (project.PluginLimits{}) {
		limits.MemoryBytes, limits.Budget, limits.OutputBytes = l.Memory, l.CPUBudget, l.OutputBytes
	}
	compiled, err := with.host.Compile(ctx, module, limits)
	if err != nil {
		return nil, fmt.Errorf("plugin %s: compile %s: %w", m.Plugin.Ref, cmp.Or(m.Plugin.Module, "its module in the registry"), err)
	}
	input, output := pluginSchemas(m)
	init := wasm.Init{
		Pipeline: p.Name,
		Model:    m.Name,
		Config:   m.Plugin.Config,
		Input:    input,
		Output:   output,
	}
	made := &plugin{digest: compiled.Digest(), rows: int(m.Plugin.Limits.BatchRows)}
	if m.Plugin.OnError == project.OnErrorStop {
		sparing := init
		made.sparing = &sparingPlugin{stopping: made, open: func(ctx context.Context) (*wasm.Transform, error) { return compiled.Open(ctx, sparing) }}
		init.OnError = wasm.Stop
	}
	if made.transform, err = compiled.Open(ctx, init); err != nil {
		return nil, fmt.Errorf("plugin %s: open: %w", m.Plugin.Ref, err)
	}
	return made, nil
}

// pluginSchemas are what a model hands to its plugin, and what it takes back.
func pluginSchemas(m *project.Model) (input, output *arrow.Schema) {
	return arrow.NewSchema(arrowFields(m.Input()), nil), arrow.NewSchema(arrowFields(m.Columns), nil)
}
