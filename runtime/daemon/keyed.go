package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/bridge"
	"github.com/calvelake/calve/runtime/calendar"
	"github.com/calvelake/calve/runtime/contract"
	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/expression"
	"github.com/calvelake/calve/runtime/fact"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/session"
)

// keyedModel is a keyed model of a project, compiled as far as its table goes.
type keyedModel struct {
	*project.Model
	session  *session.Program  // of a session model
	fact     *fact.Program     // of a fact
	calendar *calendar.Program // of a date dimension
	bridge   *bridge.Program   // of a bridge

	dimension *dimension.Program // of a dimension
	decider   *decider           // of one with a plugin
	// dimensions are those that a fact or bridge refers to, once they are built.
	dimensions map[string]fact.Dimension
	// plugin is that of a session model, which session is compiled for, or of a
	// dimension, once it is opened.
	plugin keyedPlugin
	// tableTest is of what is no model: a data test over the rows of models.
	tableTest *tableTest
}

// keyedPlugin is the plugin of a keyed model.
type keyedPlugin interface {
	pipeline.KeyedPlugin
	Close(ctx context.Context) error
}

// schema is the columns of the model's table.
func (k *keyedModel) schema() *arrow.Schema {
	if k.fact != nil {
		return k.fact.Schema()
	}
	if k.calendar != nil {
		return k.calendar.Schema()
	}
	if k.bridge != nil {
		return k.bridge.Schema()
	}
	if k.dimension != nil {
		return k.dimension.Schema()
	}
	return k.session.Schema()
}

// key is the columns that tell its rows apart.
func (k *keyedModel) key() []string {
	if k.fact != nil {
		return k.fact.Key()
	}
	if k.calendar != nil {
		return k.calendar.Key()
	}
	if k.bridge != nil {
		return k.bridge.Key()
	}
	if k.dimension != nil {
		return k.dimension.Key()
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
		case project.KindDimension:
			err = k.compileDimension(p, all)
		case project.KindFact:
			k.fact, err = compileFact(p, m, all)
		case project.KindMap:
			k.fact, err = compileMap(p, m, all)
		case project.KindBridge:
			k.bridge, err = compileBridge(p, m, all)
		case project.KindDate:
			k.calendar, err = compileDate(m)
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
	tests, err := compileTableTests(p, all)
	if err != nil {
		errs = append(errs, err)
	}
	return append(all, tests...), errors.Join(errs...)
}

// newestRecord are the times of the newest record that a row was made of; every
// keyed table ends with them.
var newestRecord = project.Expressions{
	{Name: record.ColumnTimestamp, Text: "max(" + record.ColumnTimestamp + ")"},
	{Name: record.ColumnIngestedAt, Text: "max(" + record.ColumnIngestedAt + ")"},
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
	for i := range compiled {
		for _, warning := range shortLateness(p, compiled[i].Model) {
			options.Logger.Warn("facts may keep keys that their dimension has no longer", "model", compiled[i].Name, "reason", warning)
		}
	}
	s, err := openState(ctx, p, o.lake, begin, options.Logger)
	if err != nil {
		return nil, err
	}
	models, err := s.begin(p, begin, compiled, withFactsOf(options.ResetModels, compiled, options.Logger))
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
	start.Keyed = withoutOtherTests(start.Keyed, compiled)
	if err := s.drop(start.Keyed, compiled); err != nil {
		return nil, err
	}
	if err := checkDefinitions(start.Last, start.Keyed, compiled); err != nil {
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
		k.dimensions = dimensionsOf(k.Model, all)
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
	if k.tableTest != nil {
		return buildTableTest(s, k)
	}
	if k.Kind == project.KindMap {
		return buildMap(p, s, k)
	}
	if k.fact != nil {
		return buildFact(p, s, k)
	}
	if k.calendar != nil {
		return buildDate(s, k)
	}
	if k.bridge != nil {
		return buildBridge(p, s, k)
	}
	if k.dimension != nil {
		return buildDimension(p, s, k)
	}
	return buildSession(p, s, k)
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
