package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/runtime/contract"
	"github.com/calvelake/calve/runtime/expression"
	"github.com/calvelake/calve/runtime/fact"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/session"
	"github.com/calvelake/calve/runtime/state"
)

// keyedModel is a keyed model of a project, compiled as far as its table goes.
type keyedModel struct {
	*project.Model
	session *session.Program // of a session model
	plugin  *sessionPlugin   // of one, once it is opened; session is compiled for it
	fact    *fact.Program    // of a fact
}

// schema is the columns of the model's table.
func (k *keyedModel) schema() *arrow.Schema {
	if k.fact != nil {
		return k.fact.Schema()
	}
	return k.session.Schema()
}

// key is the columns that tell its rows apart.
func (k *keyedModel) key() []string {
	if k.fact != nil {
		return k.fact.Key()
	}
	return []string{k.SurrogateKey}
}

// compileKeyed compiles the keyed models of a project, in the order in which
// they run, with what stands for their plugins: their tables do not depend on
// them.
func compileKeyed(p *project.Project) ([]keyedModel, error) {
	var all []keyedModel
	var errs []error
	for i := range p.Models {
		k, err := keyedModel{Model: &p.Models[i]}, error(nil)
		m := k.Model
		switch m.Kind {
		case project.KindSession:
			if k.session, err = compileSession(p, m, declaredPlugin(m)); err == nil {
				_, err = keyedWhere(p, m)
			}
		case project.KindFact:
			k.fact, err = compileFact(p, m, all)
		default:
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
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
	uploaded int64           // bytes, by the last checkpoint
	begun    *state.Manifest // what the run began with
	forgets  []string        // models whose part of it is dropped
}

// openState makes the local copy of the state that of the last record. The copy
// is a cache in the project's folder.
func openState(ctx context.Context, p *project.Project, lake *Lakehouse, start *lakehouse.Start, logger *slog.Logger) (*keyedState, error) {
	prefix := lake.Store.Root() + "/_calve/" + p.Name + "/state"
	config := state.Config{Objects: lake.Store, Prefix: prefix, Manifest: manifestOf(start.State), Logger: logger}
	for number := 1; ; number++ {
		config.Dir = stateFolder(p, number)
		store, err := state.Open(ctx, config)
		if errors.Is(err, state.ErrInUse) && number < stateFolders {
			continue
		}
		if err != nil {
			return nil, err
		}
		return &keyedState{Store: store, objects: lake.Store, prefix: prefix, begun: config.Manifest}, nil
	}
}

// stateFolders is how many processes of a project may have their state on one
// machine: a writer that hangs must not keep a standby beside it from going on.
const stateFolders = 4

func stateFolder(p *project.Project, number int) string {
	name := "state"
	if number > 1 {
		name += "-" + strconv.Itoa(number)
	}
	return filepath.Join(p.Dir, ".calve", name)
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

// Rollback implements pipeline.State. Before the run's first record the state has
// again what models were to forget.
func (s *keyedState) Rollback(ctx context.Context, to *lakehouse.StateManifest) error {
	target := manifestOf(to)
	if err := s.Store.Rollback(ctx, target); err != nil {
		return err
	}
	if s.begun == nil || target == nil || *target != *s.begun {
		return nil
	}
	return s.forget()
}

// forget drops the parts of the state that no model goes on with.
func (s *keyedState) forget() error {
	for _, name := range s.forgets {
		if err := s.Reset(name); err != nil {
			return fmt.Errorf("reset model %s: %w", name, err)
		}
	}
	return nil
}

// drop forgets the parts of models that the last record does not name, or that
// are not in the project: those begin anew if they come back.
func (s *keyedState) drop(recorded []lakehouse.KeyedModel, compiled []keyedModel) error {
	held, err := s.Models()
	if err != nil {
		return err
	}
	for _, m := range held {
		goesOn := slices.ContainsFunc(recorded, func(k lakehouse.KeyedModel) bool { return k.Name == m.Name }) &&
			slices.ContainsFunc(compiled, func(k keyedModel) bool { return k.Name == m.Name })
		if !goesOn {
			s.forgets = append(s.forgets, m.Name)
		}
	}
	return s.forget()
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

// close closes what the models have when the pipeline has ended.
func (s *startedKeyed) close() error {
	if s.state == nil {
		return nil
	}
	return errors.Join(closeKeyed(s.models), s.state.Close())
}

// pipelineState is nil, not a nil of its type, without keyed models.
func (s *startedKeyed) pipelineState() pipeline.State {
	if s.state == nil {
		return nil
	}
	return s.state
}

// startKeyed opens the keyed state and builds the models that keep it.
func (all pluggedModels) startKeyed(ctx context.Context, p *project.Project, o opened, begin *lakehouse.Start, options RunOptions) (*startedKeyed, error) {
	compiled := all.keyed
	if len(compiled) == 0 {
		return &startedKeyed{}, nil
	}
	s, err := openState(ctx, p, o.lake, begin, options.Logger)
	if err != nil {
		return nil, err
	}
	models, err := s.begin(p, begin, compiled, options.ResetModels)
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
func (s *keyedState) begin(p *project.Project, start *lakehouse.Start, compiled []keyedModel, reset []string) ([]pipeline.KeyedModel, error) {
	start.Keyed = slices.DeleteFunc(slices.Clone(start.Keyed), func(k lakehouse.KeyedModel) bool { return slices.Contains(reset, k.Name) })
	if err := s.drop(start.Keyed, compiled); err != nil {
		return nil, err
	}
	models, err := keyedOperators(p, s, compiled, start.Tables)
	if err != nil {
		return nil, err
	}
	return models, pipeline.CheckKeyed(start, models)
}

// keyedOperators builds what the pipeline runs of the keyed models.
func keyedOperators(p *project.Project, s *keyedState, compiled []keyedModel, tables map[string]*lakehouse.Table) ([]pipeline.KeyedModel, error) {
	var all []pipeline.KeyedModel
	for i := range compiled {
		k := &compiled[i]
		built, err := buildKeyed(p, s, k)
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

func buildKeyed(p *project.Project, s *keyedState, k *keyedModel) (pipeline.KeyedModel, error) {
	if k.fact != nil {
		return buildFact(p, s, k)
	}
	built := pipeline.KeyedModel{Name: k.Name, Inputs: []string{k.From.Model}}
	var err error
	if built.Before, err = keyedWhere(p, k.Model); err != nil {
		return built, err
	}
	space, err := s.Space(k.Name, k.session.StateVersion())
	if err != nil {
		return built, err
	}
	operator, err := k.session.Open(sessionState{space})
	if err != nil {
		return built, err
	}
	if built.Tests, err = keyedTests(k); err != nil {
		return built, err
	}
	built.Definition = sessionDefinition(k.session)
	built.Operator = &sessions{operator}
	if k.plugin != nil {
		built.Plugin, built.PluginRef, built.MaxErrorRatio = k.plugin, k.Plugin.Ref, k.Plugin.MaxErrorRatio
	}
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
	return record.Changelog{}, pipeline.PluginFault(fmt.Errorf("%d sessions have no row: the first, of %s from %s to %s, fails with %s: column %s: %s; mend the expression or the plugin, and start again",
		len(failed), f.Key, timeText(f.Start), timeText(f.End), f.Code, f.Column, f.Message))
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
