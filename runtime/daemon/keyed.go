package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/runtime/contract"
	"github.com/calvelake/calve/runtime/expression"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/session"
	"github.com/calvelake/calve/runtime/state"
)

// keyedModel is a keyed model of a project, compiled as far as its table goes.
type keyedModel struct {
	*project.Model
	session *session.Program
}

// schema is the columns of the model's table.
func (k *keyedModel) schema() *arrow.Schema { return k.session.Schema() }

// key is the columns that tell its rows apart.
func (k *keyedModel) key() []string { return []string{k.SurrogateKey} }

// compileKeyed compiles the keyed models of a project, in the order in which
// they run, with what stands for their plugins: their tables do not depend on
// them.
func compileKeyed(p *project.Project) ([]keyedModel, error) {
	var all []keyedModel
	var errs []error
	for i := range p.Models {
		m := &p.Models[i]
		if m.Kind != project.KindSession {
			continue
		}
		program, err := compileSession(p, m, declaredPlugin(m))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		k := keyedModel{Model: m, session: program}
		if _, err := keyedWhere(p, m); err != nil {
			errs = append(errs, err)
		}
		if _, err := keyedTests(&k); err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: model %s: %w", m.File, m.Line, m.Name, err))
		}
		all = append(all, k)
	}
	return all, errors.Join(errs...)
}

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
		spec.Aggregates = append(spec.Aggregates, session.Column{Name: c.Name, Expression: e})
	}
	for _, c := range m.Derive {
		e, err := expression.Parse(c.Text)
		if err != nil {
			return nil, within(m, "derive."+c.Name, c.Text, err)
		}
		spec.Derive = append(spec.Derive, session.Column{Name: c.Name, Expression: e})
	}
	spec.Columns = sessionColumns(m)
	program, err := session.Compile(spec)
	var wrong *session.ExpressionError
	if errors.As(err, &wrong) {
		return nil, within(m, wrong.Path, wrong.Text, wrong.Err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s:%d: model %s: %w", m.File, m.Line, m.Name, err)
	}
	return program, nil
}

// newestRecord are the times of the newest record that a row was made of; every
// keyed table ends with them.
var newestRecord = project.Expressions{
	{Name: record.ColumnTimestamp, Text: "max(" + record.ColumnTimestamp + ")"},
	{Name: record.ColumnIngestedAt, Text: "max(" + record.ColumnIngestedAt + ")"},
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

// within is what is wrong with an expression, at its place in the model's file.
func within(m *project.Model, path, text string, err error) error {
	var at *expression.Error
	if !errors.As(err, &at) {
		return fmt.Errorf("%s:%d: model %s: %s: %w", m.File, m.Line, m.Name, path, err)
	}
	return m.Within(path, text, at)
}

// inputOf is the model that a keyed model reads.
func inputOf(p *project.Project, m *project.Model) (*project.Model, error) {
	i := slices.IndexFunc(p.Models, func(other project.Model) bool { return other.Name == m.From.Model })
	if i < 0 {
		return nil, fmt.Errorf("BUG: model %s reads %s, which passed validation and does not exist", m.Name, m.From)
	}
	return &p.Models[i], nil
}

// keyedState is what keyed models of a running pipeline keep.
type keyedState struct {
	*state.Store
	objects  storage.Store
	prefix   string
	uploaded int64 // bytes, by the last checkpoint
}

// openState makes the local copy of the state that of the last record. The copy
// is a cache in the project's folder.
func openState(ctx context.Context, p *project.Project, lake *Lakehouse, start *lakehouse.Start, logger *slog.Logger) (*keyedState, error) {
	prefix := lake.Store.Root() + "/_calve/" + p.Name + "/state"
	config := state.Config{
		Dir: filepath.Join(p.Dir, ".calve", "state"), Objects: lake.Store,
		Prefix: prefix, Manifest: manifestOf(start.State), Logger: logger,
	}
	store, err := state.Open(ctx, config)
	if err != nil {
		return nil, err
	}
	return &keyedState{Store: store, objects: lake.Store, prefix: prefix}, nil
}

// Checkpoint implements pipeline.State.
func (s *keyedState) Checkpoint(ctx context.Context, names *lakehouse.Names) (*lakehouse.StateManifest, error) {
	m, stats, err := s.Store.Checkpoint(ctx, names)
	if err != nil {
		return nil, err
	}
	s.uploaded = stats.Bytes
	if m == nil {
		return nil, nil
	}
	return &lakehouse.StateManifest{Location: m.Location, SHA256: m.SHA256}, nil
}

// Uploaded is how many bytes the last checkpoint uploaded.
func (s *keyedState) Uploaded() int64 { return s.uploaded }

// Rollback implements pipeline.State.
func (s *keyedState) Rollback(ctx context.Context, to *lakehouse.StateManifest) error {
	return s.Store.Rollback(ctx, manifestOf(to))
}

func manifestOf(m *lakehouse.StateManifest) *state.Manifest {
	if m == nil {
		return nil
	}
	return &state.Manifest{Location: m.Location, SHA256: m.SHA256}
}

// startedKeyed is the keyed models of a running pipeline, and what they keep.
type startedKeyed struct {
	models []pipeline.KeyedModel
	state  *keyedState // nil without keyed models
}

func (s *startedKeyed) close() error {
	if s.state == nil {
		return nil
	}
	return s.state.Close()
}

// pipelineState is nil, not a nil of its type, without keyed models.
func (s *startedKeyed) pipelineState() pipeline.State {
	if s.state == nil {
		return nil
	}
	return s.state
}

// startKeyed opens the keyed state and builds the models that keep it.
func startKeyed(ctx context.Context, p *project.Project, o opened, begin *lakehouse.Start, options RunOptions) (*startedKeyed, error) {
	compiled, err := compileKeyed(p)
	if err != nil {
		return nil, err
	}
	if err := checkReset(options.ResetModels, compiled); err != nil {
		return nil, err
	}
	if len(compiled) == 0 {
		return &startedKeyed{}, nil
	}
	s, err := openState(ctx, p, o.lake, begin, options.Logger)
	if err != nil {
		return nil, err
	}
	models, err := s.begin(ctx, p, o, begin, compiled, options.ResetModels)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &startedKeyed{models, s}, nil
}

// checkReset refuses names of other models.
func checkReset(names []string, compiled []keyedModel) error {
	for _, name := range names {
		if !slices.ContainsFunc(compiled, func(k keyedModel) bool { return k.Name == name }) {
			return fmt.Errorf("--reset-model %s: there is no such model that keeps state", name)
		}
	}
	return nil
}

// begin builds the models that go on with the state, or begin anew.
func (s *keyedState) begin(ctx context.Context, p *project.Project, o opened, start *lakehouse.Start, compiled []keyedModel, reset []string) ([]pipeline.KeyedModel, error) {
	for _, name := range reset {
		if err := s.Reset(name); err != nil {
			return nil, fmt.Errorf("reset model %s: %w", name, err)
		}
		start.Keyed = slices.DeleteFunc(slices.Clone(start.Keyed), func(k lakehouse.KeyedModel) bool { return k.Name == name })
	}
	models, err := keyedOperators(ctx, p, o.with, s, compiled, start.Tables)
	if err != nil {
		return nil, err
	}
	return models, pipeline.CheckKeyed(start, models)
}

// keyedOperators builds what the pipeline runs of the keyed models.
func keyedOperators(ctx context.Context, p *project.Project, with tools, s *keyedState, compiled []keyedModel, tables map[string]*lakehouse.Table) ([]pipeline.KeyedModel, error) {
	var all []pipeline.KeyedModel
	for i := range compiled {
		k := &compiled[i]
		built, err := buildKeyed(ctx, p, with, s, k)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: model %s: %w", k.File, k.Line, k.Name, err)
		}
		if k.Materialized == project.MaterializedTable {
			built.Table = tables[keyedDefinition(k).ID.String()]
		}
		all = append(all, built)
	}
	return all, nil
}

func buildKeyed(ctx context.Context, p *project.Project, with tools, s *keyedState, k *keyedModel) (pipeline.KeyedModel, error) {
	built := pipeline.KeyedModel{Name: k.Name, Inputs: []string{k.From.Model}}
	var err error
	program := k.session
	if k.Plugin != nil {
		opened, err := openSessionPlugin(ctx, p, k, with)
		if err != nil {
			return built, err
		}
		if program, err = compileSession(p, k.Model, opened); err != nil {
			return built, err
		}
	}
	if built.Before, err = keyedWhere(p, k.Model); err != nil {
		return built, err
	}
	version := program.StateVersion()
	space, err := s.Space(k.Name, version)
	if err != nil {
		return built, err
	}
	operator, err := program.Open(sessionState{space})
	if err != nil {
		return built, err
	}
	if built.Tests, err = keyedTests(k); err != nil {
		return built, err
	}
	built.Definition = fmt.Sprintf("session %08x", version)
	built.Operator = &sessions{operator}
	return built, nil
}

// keyedWhere is the condition on rows of the model that a keyed model reads, nil
// for none.
func keyedWhere(p *project.Project, m *project.Model) (map[string][]pipeline.Step, error) {
	if m.Where == "" {
		return nil, nil
	}
	from, err := inputOf(p, m)
	if err != nil {
		return nil, err
	}
	condition, err := compileExpression(m.Where, from.DeriveSchema(len(from.Derived)), (*expression.Expr).CheckCondition)
	if err != nil {
		return nil, within(m, "where", m.Where, err)
	}
	return map[string][]pipeline.Step{m.From.Model: {pipeline.NewWhere(condition, memory.DefaultAllocator)}}, nil
}

// sessionState is a model's part of the keyed state as its operator sees it.
type sessionState struct{ *state.Space }

// Write implements session.State.
func (s sessionState) Write(changes []session.Change) error {
	all := make([]state.Change, len(changes))
	for i, c := range changes {
		all[i] = state.Change{Key: c.Key, Value: c.Value}
	}
	return s.Space.Write(all)
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
	return record.Changelog{}, fmt.Errorf("%d sessions have no row: the first, of %s from %s to %s, fails with %s: column %s: %s; mend the expression or the plugin, and start again",
		len(failed), f.Key, timeText(f.Start), timeText(f.End), f.Code, f.Column, f.Message)
}

// Open tells how many sessions are open.
func (s *sessions) Open() int64 { return s.Stats().Open }

// keyedTests are the data tests of a keyed model's rows, nil for none.
func keyedTests(k *keyedModel) (*contract.Contract, error) {
	tests := rowTests(k.Model)
	if len(tests) == 0 {
		return nil, nil
	}
	for _, t := range tests {
		if t.Severity == contract.Quarantine {
			return nil, fmt.Errorf("data test %s of severity quarantine: a row of kind %s is of many records, so that none of them can be set aside for it; give it severity warn or error, or test the staging model", t.Kind, k.Kind)
		}
	}
	return contract.Compile(contract.Spec{Schema: k.schema(), Tests: tests})
}
