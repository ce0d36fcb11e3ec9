package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/calvelake/calve/runtime/expression"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/session"
)

// compileSession compiles a session model with a plugin, nil for none.
func compileSession(p *project.Project, m *project.Model, plugin session.Plugin) (*session.Program, error) {
	from, err := inputOf(p, m)
	if err != nil {
		return nil, err
	}
	spec := session.Spec{
		Model: m.Name, Input: from.DeriveSchema(len(from.Derived)), Key: m.Session.Key, EventTime: m.EventTime,
		Gap: max(m.Session.Gap, m.Session.Timeout), Lateness: m.AllowedLateness, Emit: session.Emit(m.Session.Emit),
		SurrogateKey: m.SurrogateKey, Plugin: plugin,
	}
	if m.Plugin != nil {
		spec.Adds = arrowFields(m.Plugin.Added)
	}
	if taking, ok := plugin.(interface{ Input() []string }); ok {
		spec.PluginInput = taking.Input()
	}
	for _, c := range slices.Concat(m.Session.Aggregates, newestRecord) {
		e, err := expression.Parse(c.Text)
		if err != nil {
			return nil, within(m, "aggregates."+c.Name, c.Text, err)
		}
		spec.Aggregates = append(spec.Aggregates, projection.Column{Name: c.Name, Expression: e})
	}
	for _, c := range m.Derive {
		e, err := expression.Parse(c.Text)
		if err != nil {
			return nil, within(m, "derive."+c.Name, c.Text, err)
		}
		spec.Derive = append(spec.Derive, projection.Column{Name: c.Name, Expression: e})
	}
	spec.Columns = sessionColumns(m)
	program, err := session.Compile(spec)
	var wrong *projection.ExpressionError
	if errors.As(err, &wrong) {
		return nil, within(m, wrong.Path, wrong.Text, wrong.Err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s:%d: model %s: %w", m.File, m.Line, m.Name, err)
	}
	return program, nil
}

// sessionColumns are those that a session's table has behind its key and times:
// the chosen ones or all, then the times of the newest record.
func sessionColumns(m *project.Model) []string {
	var columns []string
	for _, c := range m.Columns {
		columns = append(columns, c.Name)
	}
	if len(m.Columns) == 0 {
		for _, c := range m.Session.Aggregates {
			columns = append(columns, c.Name)
		}
		if m.Plugin != nil {
			columns = append(columns, m.Plugin.Adds...)
		}
		for _, c := range m.Derive {
			columns = append(columns, c.Name)
		}
	}
	for _, c := range newestRecord {
		columns = append(columns, c.Name)
	}
	return columns
}

// buildSession builds what the pipeline runs of a session model.
func buildSession(p *project.Project, s *keyedState, k *keyedModel) (pipeline.KeyedModel, error) {
	built := pipeline.KeyedModel{Name: k.Name, Inputs: []string{k.From.Model}}
	var err error
	if built.Before, err = keyedWhere(p, k.Model); err != nil {
		return built, err
	}
	space, err := s.Space(k.Name, k.session.StateVersion())
	if err != nil {
		return built, err
	}
	operator, err := k.session.Open(space)
	if err != nil {
		return built, err
	}
	if built.Tests, err = keyedTests(k); err != nil {
		return built, err
	}
	built.Definition = sessionDefinition(k.session)
	built.Describes = k.session.Describe()
	built.Operator = &sessions{operator}
	if k.plugin != nil {
		built.Plugin, built.PluginRef, built.MaxErrorRatio = k.plugin, k.Plugin.Ref, k.Plugin.MaxErrorRatio
	}
	return built, nil
}

// sessions is a session operator as the pipeline's Operator.
type sessions struct{ *session.Operator }

// Take implements pipeline.Operator.
func (s *sessions) Take(ctx context.Context, _ string, rows record.Batch, watermark int64) ([]record.Reject, error) {
	_, rejects, err := s.Operator.Take(ctx, rows, watermark)
	return rejects, err
}

// Follow implements pipeline.Operator: sessions read staging models alone.
func (s *sessions) Follow(context.Context, string, record.Changelog, int64) error {
	return errors.New("BUG: sessions are given changes of a keyed model")
}

// End implements pipeline.Operator. A session whose row cannot be computed
// stops the pipeline: its events are in no row, and no single record is at
// fault.
func (s *sessions) End(ctx context.Context, watermark int64) (record.Changelog, error) {
	changes, failed, err := s.Operator.End(ctx, watermark)
	if err != nil || len(failed) == 0 {
		return changes, err
	}
	changes.Release()
	f := failed[0]
	return record.Changelog{}, pipeline.PluginFault(fmt.Errorf("%d sessions have no row: the first, of %s from %s to %s, fails with %s: column %s: %s; mend the expression or the plugin, and start again",
		len(failed), f.Key, timeText(f.Start), timeText(f.End), f.Code, f.Column, f.Message))
}

// Open tells how many sessions are open.
func (s *sessions) Open() int64 { return s.Stats().Open }
