package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/expression"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/record"
)

// compileDimension compiles a dimension; compiled has the keyed models before it.
func (k *keyedModel) compileDimension(p *project.Project, compiled []keyedModel) error {
	m := k.Model
	spec, err := dimensionSpec(p, m, compiled)
	if m.Plugin != nil {
		k.decider = &decider{} // whose plugin is opened later
		spec.Decider = k.decider
	}
	if err == nil {
		k.dimension, err = dimension.Compile(spec)
	}
	var wrong *projection.ExpressionError
	switch {
	case errors.As(err, &wrong):
		return within(m, wrong.Path, wrong.Text, wrong.Err)
	case err != nil:
		return fmt.Errorf("%s:%d: model %s: %w", m.File, m.Line, m.Name, err)
	}
	_, err = eventWhere(p, m)
	return err
}

func dimensionSpec(p *project.Project, m *project.Model, compiled []keyedModel) (dimension.Spec, error) {
	f := factSpec{project: p, model: m, compiled: compiled}
	from, err := f.input(m.From)
	if err != nil {
		return dimension.Spec{}, err
	}
	d := m.Dimension
	spec := dimension.Spec{
		Model: m.Name, From: from, NaturalKey: d.NaturalKey, SurrogateKey: m.SurrogateKey, DurableKey: d.DurableKey,
		EffectiveAt: effectiveAt(p, m, from.Schema), Attributes: dimensionAttributes(p, m, from.Schema),
		Types: map[string]dimension.Type{}, DefaultType: dimension.Type(d.SCD.Default), Type1Scope: dimension.Type1Scope(d.SCD.Type1Scope),
		HardDeletes: dimension.HardDeletes(d.HardDeletes), LateChanges: d.LateChanges, Unknown: d.UnknownMember,
		FirstValidFrom: dimension.FirstValidFrom(d.FirstValidFrom), ValidToCurrent: dimension.ValidToCurrent(d.ValidToCurrent),
	}
	for _, name := range spec.Attributes {
		spec.Types[name] = dimension.Type(d.SCD.TypeOf(name))
	}
	if m.Where != "" && !readsEvents(p, m) {
		if spec.Where, err = expression.Parse(m.Where); err != nil {
			return spec, &projection.ExpressionError{Path: "where", Text: m.Where, Err: err}
		}
	}
	for _, c := range m.Derive {
		e, err := expression.Parse(c.Text)
		if err != nil {
			return spec, &projection.ExpressionError{Path: "derive." + c.Name, Text: c.Text, Err: err}
		}
		spec.Derive = append(spec.Derive, projection.Column{Name: c.Name, Expression: e})
	}
	return spec, nil
}

// effectiveAt is the column that says when a change took effect, "" for that of
// the source's change or of the record. Without one it is the event time, where
// that is one.
func effectiveAt(p *project.Project, m *project.Model, schema *arrow.Schema) string {
	if at := m.Dimension.EffectiveAt; at != "" {
		if strings.HasPrefix(at, "source.") {
			return "" // source_ts, which has the finest of them
		}
		return at
	}
	from, err := inputOf(p, m)
	if err != nil || !readsEvents(p, m) || from.EventTime == "" {
		return ""
	}
	at := schema.FieldIndices(from.EventTime)
	if len(at) != 1 || !arrow.TypeEqual(schema.Field(at[0]).Type, record.Timestamptz) {
		return ""
	}
	return from.EventTime
}

// dimensionAttributes are the chosen columns, or all that are read and derived but
// for the natural key.
func dimensionAttributes(p *project.Project, m *project.Model, from *arrow.Schema) []string {
	var names []string
	for _, c := range m.Columns {
		names = append(names, c.Name)
	}
	if len(m.Columns) > 0 {
		return names
	}
	versions := isDimension(p, m.From)
	for _, c := range from.Fields() {
		system := record.IsPositionColumn(c.Name) || record.IsChangeColumn(c.Name) || versions && slices.Contains(versionColumns, c.Name)
		if !system && !slices.Contains(m.Dimension.NaturalKey, c.Name) {
			names = append(names, c.Name)
		}
	}
	for _, c := range m.Derive {
		names = append(names, c.Name)
	}
	return names
}

// readsEvents tells whether a model reads events, which stay as they are. A change
// of a database, or of a keyed model, may no longer meet its condition, and then
// what was made of it goes; of events it is asked as they come.
func readsEvents(p *project.Project, m *project.Model) bool {
	from, err := inputOf(p, m)
	return err == nil && from.Kind == project.KindStaging && !from.Changes
}

// eventWhere is the condition on events as they come, nil for none.
func eventWhere(p *project.Project, m *project.Model) (map[string][]pipeline.Step, error) {
	if !readsEvents(p, m) {
		return nil, nil
	}
	return keyedWhere(p, m)
}

// buildDimension builds what the pipeline runs of a dimension.
func buildDimension(p *project.Project, s *keyedState, k *keyedModel) (pipeline.KeyedModel, error) {
	built := pipeline.KeyedModel{Name: k.Name, Inputs: []string{k.From.Model}}
	var err error
	if built.Before, err = eventWhere(p, k.Model); err != nil {
		return built, err
	}
	space, err := s.Space(k.Name, k.dimension.StateVersion())
	if err != nil {
		return built, err
	}
	operator, err := k.dimension.Open(space)
	if err != nil {
		return built, err
	}
	if built.Tests, err = keyedTests(k); err != nil {
		return built, err
	}
	built.Untested = k.untested()
	built.Definition, built.Describes = dimensionDefinition(k), k.dimension.Describe()
	built.Operator = &members{Operator: operator, decider: k.decider}
	if k.decider != nil {
		built.Plugin, built.PluginRef, built.MaxErrorRatio = k.decider.plugin, k.Plugin.Ref, k.Plugin.MaxErrorRatio
	}
	return built, nil
}

// untested tells the rows of a dimension of which data tests say nothing: the
// unknown member, and members that are inferred. nil is none.
func (k *keyedModel) untested() func(rows arrow.RecordBatch, row int) bool {
	if k.dimension == nil {
		return nil
	}
	holds := func(rows arrow.RecordBatch, row int, column, value string) bool {
		at := rows.Schema().FieldIndices(column)
		return len(at) == 1 && rows.Column(at[0]).ValueStr(row) == value
	}
	return func(rows arrow.RecordBatch, row int) bool {
		return holds(rows, row, k.SurrogateKey, dimension.UnknownKey) || holds(rows, row, dimension.ColumnIsInferred, "true")
	}
}

// dimensionDefinition tells what the state of a dimension depends on.
func dimensionDefinition(k *keyedModel) string {
	return fmt.Sprintf("dimension %08x", k.dimension.StateVersion())
}

// members is a dimension's operator as the pipeline's Operator.
type members struct {
	*dimension.Operator
	decider *decider // nil without a plugin
}

// End implements pipeline.Operator. A change that the plugin cannot decide of
// stops the pipeline: it is decided of when the epoch ends, and again when an
// earlier one comes, so that no record can be set aside for it.
func (m *members) End(ctx context.Context, watermark int64) (record.Changelog, error) {
	changes, failed, err := m.Operator.End(ctx, watermark)
	if err != nil || len(failed) == 0 {
		return changes, err
	}
	changes.Release()
	first := failed[0]
	return record.Changelog{}, pipeline.PluginFault(fmt.Errorf("%d changes are not decided of: the first, of %s, fails with %s: %s; mend the plugin, and start again",
		len(failed), first.Key, first.Code, first.Message))
}
