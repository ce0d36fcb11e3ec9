package daemon

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/expression"
	"github.com/calvelake/calve/runtime/fact"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/upstream"
)

// compileMap compiles a map, whose rows are those of a fact without a time of its
// own: one for each natural key, of the newest record or change, and none for one
// that was deleted. compiled has the keyed models before it.
func compileMap(p *project.Project, m *project.Model, compiled []keyedModel) (*fact.Program, error) {
	if m.Plugin != nil {
		return nil, fmt.Errorf("%s:%d: model %s: plugin (%s) of a map is part of the language but this version of calve does not run it yet; run the plugin in the staging model that the map reads", m.File, m.Line, m.Name, m.Plugin.Ref)
	}
	f := factSpec{project: p, model: m, compiled: compiled}
	from, err := f.input(m.From)
	if err != nil {
		return nil, fmt.Errorf("%s:%d: model %s: %w", m.File, m.Line, m.Name, err)
	}
	f.spec = fact.Spec{
		Model: m.Name, From: from, Grain: m.Map.NaturalKey, EventTime: record.ColumnTimestamp,
		OnUpdate: fact.Upsert, OnDelete: fact.DeleteHard,
	}
	if m.Where != "" && !factWhereFirst(p, m) {
		if f.spec.Where, err = expression.Parse(m.Where); err != nil {
			return nil, within(m, "where", m.Where, err)
		}
	}
	if f.spec.Derive, err = factColumns("derive.", m.Derive); err != nil {
		return nil, mapError(m, err)
	}
	f.spec.Columns = mapColumns(p, m, from)
	program, err := fact.Compile(f.spec)
	if err != nil {
		return nil, mapError(m, err)
	}
	if err := checkUnmapped(m, program); err != nil {
		return nil, err
	}
	_, err = factWhere(p, m)
	return program, err
}

func mapError(m *project.Model, err error) error {
	var wrong *projection.ExpressionError
	if errors.As(err, &wrong) {
		return within(m, wrong.Path, wrong.Text, wrong.Err)
	}
	return fmt.Errorf("%s:%d: model %s: %w", m.File, m.Line, m.Name, err)
}

// mapColumns are what ids stand for: the chosen columns, or all that are read and
// derived.
func mapColumns(p *project.Project, m *project.Model, from upstream.Model) []string {
	var columns []string
	add := func(name string) {
		if !slices.Contains(m.Map.NaturalKey, name) && !record.IsPositionColumn(name) && !record.IsChangeColumn(name) {
			columns = append(columns, name)
		}
	}
	for _, c := range m.Columns {
		add(c.Name)
	}
	if len(m.Columns) > 0 {
		return columns
	}
	versions := isDimension(p, m.From)
	for _, c := range from.Schema.Fields() {
		if !versions || !slices.Contains(versionColumns, c.Name) {
			add(c.Name)
		}
	}
	for _, c := range m.Derive {
		add(c.Name)
	}
	return columns
}

// versionColumns are what a dimension's table says of versions, which a map of
// members is not of.
var versionColumns = []string{
	dimension.ColumnValidFrom, dimension.ColumnValidTo, dimension.ColumnChangedAt,
	dimension.ColumnIsCurrent, dimension.ColumnIsDeleted, dimension.ColumnIsInferred,
}

func isDimension(p *project.Project, ref project.Ref) bool {
	return slices.ContainsFunc(p.Models, func(m project.Model) bool { return m.Name == ref.Model && m.Kind == project.KindDimension })
}

// checkUnmapped checks the values of ids that are not mapped.
func checkUnmapped(m *project.Model, program *fact.Program) error {
	for name, text := range m.Map.UnknownMember {
		at := program.Schema().FieldIndices(name)
		if len(at) != 1 {
			continue // the checker refuses it
		}
		if err := expression.CheckValue(text, program.Schema().Field(at[0]).Type); err != nil {
			return fmt.Errorf("%s:%d: model %s: unknown_member: column %s: %w", m.File, m.Line, m.Name, name, err)
		}
	}
	return nil
}

// unmapped is what a join to a map copies of ids that are not mapped.
func unmapped(p *project.Project, join project.LeftJoin) ([]projection.Column, error) {
	i := slices.IndexFunc(p.Models, func(m project.Model) bool { return m.Name == join.To.Model && m.Map != nil })
	if i < 0 {
		return nil, nil
	}
	var out []projection.Column
	for _, name := range slices.Sorted(maps.Keys(join.Copy)) {
		text, given := p.Models[i].Map.UnknownMember[join.Copy[name]]
		if !given {
			continue
		}
		e, err := expression.Parse("'" + strings.ReplaceAll(text, "'", "''") + "'")
		if err != nil {
			return nil, fmt.Errorf("unknown_member of %s: column %s: %w", join.To.Model, join.Copy[name], err)
		}
		out = append(out, projection.Column{Name: name, Expression: e})
	}
	return out, nil
}

// buildMap builds what the pipeline runs of a map.
func buildMap(p *project.Project, s *keyedState, k *keyedModel) (pipeline.KeyedModel, error) {
	built := pipeline.KeyedModel{Name: k.Name, Inputs: []string{k.From.Model}}
	var err error
	if built.Before, err = factWhere(p, k.Model); err != nil {
		return built, err
	}
	version := k.fact.StateVersion()
	space, err := s.Space(k.Name, version)
	if err != nil {
		return built, err
	}
	operator, err := k.fact.Open(space, nil)
	if err != nil {
		return built, err
	}
	if built.Tests, err = keyedTests(k); err != nil {
		return built, err
	}
	built.Definition, built.Describes = fmt.Sprintf("map %08x", version), k.fact.Describe()
	built.Operator = &facts{operator}
	return built, nil
}
