package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/runtime/decode"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/record"
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
		Schema:      arrow.NewSchema(append(arrowFields(m.Columns), record.PositionFields()...), nil),
		Description: m.Description,
	}
	for _, f := range m.PartitionBy {
		d.PartitionBy = append(d.PartitionBy, lakehouse.PartitionField{Column: f.Column, Transform: string(f.Transform), N: f.N})
	}
	return d
}

func arrowFields(columns []project.Column) []arrow.Field {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: c.Name, Type: c.Type, Nullable: c.Nullable}
	}
	return fields
}

// models builds what the pipeline runs of each model. The caller closes the
// plugins through the host.
func models(ctx context.Context, p *project.Project, host *wasm.Host, tables map[string]*lakehouse.Table) ([]pipeline.Model, error) {
	var all []pipeline.Model
	for i := range p.Models {
		m := &p.Models[i]
		built, err := buildModel(ctx, p, m, host)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: model %s: %w", m.File, m.Line, m.Name, err)
		}
		if m.Materialized == project.MaterializedTable {
			built.Table = tables[definition(m).ID.String()]
		}
		all = append(all, built)
	}
	return all, nil
}

func buildModel(ctx context.Context, p *project.Project, m *project.Model, host *wasm.Host) (pipeline.Model, error) {
	source, ok := p.SourceTable(m.From)
	if !ok {
		return pipeline.Model{}, fmt.Errorf("BUG: source %s passed validation and does not exist", m.From)
	}
	input := m.Input()
	decoder, err := decode.Compile(decode.Spec{
		Format:         string(source.Format),
		Columns:        decodeColumns(input),
		MaxRecordBytes: source.MaxRecordBytes,
	})
	if err != nil {
		return pipeline.Model{}, err
	}
	built := pipeline.Model{Name: m.Name, Topic: source.Topic, Decoder: decoder}
	if m.Plugin == nil {
		return built, nil
	}
	built.PluginRef = m.Plugin.Ref
	built.Plugin, err = openPlugin(ctx, p, m, host)
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
func openPlugin(ctx context.Context, p *project.Project, m *project.Model, host *wasm.Host) (*plugin, error) {
	module, err := os.ReadFile(p.Path(m.Plugin.Module))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("plugin %s: there is no file %s; build it there", m.Plugin.Ref, m.Plugin.Module)
	}
	if err != nil {
		return nil, fmt.Errorf("plugin %s: read module: %w", m.Plugin.Ref, err)
	}
	limits := wasm.Limits{}
	if l := m.Plugin.Limits; l != (project.PluginLimits{}) {
		limits.MemoryBytes, limits.Budget, limits.OutputBytes = l.Memory, l.CPUBudget, l.OutputBytes
	}
	compiled, err := host.Compile(ctx, module, limits)
	if err != nil {
		return nil, fmt.Errorf("plugin %s: compile %s: %w", m.Plugin.Ref, m.Plugin.Module, err)
	}
	onError := wasm.DeadLetter
	if m.Plugin.OnError == project.OnErrorStop {
		onError = wasm.Stop
	}
	transform, err := compiled.Open(ctx, wasm.Init{
		Pipeline: p.Name,
		Model:    m.Name,
		Config:   m.Plugin.Config,
		Input:    arrow.NewSchema(arrowFields(m.Input()), nil),
		Output:   arrow.NewSchema(arrowFields(m.Columns), nil),
		OnError:  onError,
	})
	if err != nil {
		return nil, fmt.Errorf("plugin %s: open: %w", m.Plugin.Ref, err)
	}
	return &plugin{transform: transform, digest: compiled.Digest(), rows: int(m.Plugin.Limits.BatchRows)}, nil
}
