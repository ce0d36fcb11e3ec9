package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/calvelake/calve/runtime/expression"
	"github.com/calvelake/calve/runtime/fact"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/upstream"
)

// compileFact compiles a fact; compiled has the keyed models before it.
func compileFact(p *project.Project, m *project.Model, compiled []keyedModel) (*fact.Program, error) {
	f := factSpec{project: p, model: m, compiled: compiled}
	program, err := f.compile()
	var wrong *projection.ExpressionError
	switch {
	case errors.As(err, &wrong):
		return nil, within(m, wrong.Path, wrong.Text, wrong.Err)
	case err != nil:
		return nil, fmt.Errorf("%s:%d: model %s: %w", m.File, m.Line, m.Name, err)
	}
	return program, nil
}

// factSpec makes a fact.Spec of a model.
type factSpec struct {
	project  *project.Project
	model    *project.Model
	compiled []keyedModel
	spec     fact.Spec
}

func (f *factSpec) compile() (*fact.Program, error) {
	m := f.model
	from, err := f.input(m.From)
	if err != nil {
		return nil, err
	}
	f.spec = fact.Spec{
		Model: m.Name, From: from, Grain: m.Fact.Grain, EventTime: m.EventTime, Lateness: m.AllowedLateness + amended(f.project, m.From.Model),
		Rekey: rekeyed(f.project, m), OnUpdate: fact.OnUpdate(m.Fact.OnUpdate), OnDelete: fact.OnDelete(m.Fact.OnDelete), SurrogateKey: m.SurrogateKey,
	}
	if m.Where != "" && !factWhereFirst(f.project, m) {
		e, err := expression.Parse(m.Where)
		if err != nil {
			return nil, &projection.ExpressionError{Path: "where", Text: m.Where, Err: err}
		}
		f.spec.Where = e
	}
	if f.spec.Milestones, err = factColumns("milestones.", m.Fact.Milestones); err != nil {
		return nil, err
	}
	if f.spec.Derive, err = factColumns("derive.", m.Derive); err != nil {
		return nil, err
	}
	for i := range m.Fact.LeftJoin {
		if err := f.addJoin(i); err != nil {
			return nil, err
		}
	}
	for i := range m.Fact.ForeignKeys {
		if err := f.addForeignKey(i); err != nil {
			return nil, err
		}
	}
	f.spec.Columns = f.columns()
	program, err := fact.Compile(f.spec)
	if err != nil {
		return nil, err
	}
	_, err = factWhere(f.project, m)
	return program, err
}

// input is a model that the fact reads.
func (f *factSpec) input(ref project.Ref) (upstream.Model, error) {
	i := slices.IndexFunc(f.project.Models, func(m project.Model) bool { return m.Name == ref.Model })
	if i < 0 {
		return upstream.Model{}, fmt.Errorf("BUG: model %s passed validation and does not exist", ref)
	}
	m := &f.project.Models[i]
	if m.Kind == project.KindStaging {
		return upstream.Model{Name: m.Name, Schema: m.DeriveSchema(len(m.Derived))}, nil
	}
	at := slices.IndexFunc(f.compiled, func(k keyedModel) bool { return k.Name == m.Name })
	if at < 0 {
		return upstream.Model{}, fmt.Errorf("it reads model %s, of which this version of calve makes no rows", m.Name)
	}
	return upstream.Model{Name: m.Name, Schema: f.compiled[at].schema(), Key: f.compiled[at].key()}, nil
}

// amended is how long after an event the rows of a model still change, or come
// after it: sessions close a gap after their last event, and are amended by late
// ones.
func amended(p *project.Project, name string) time.Duration {
	i := slices.IndexFunc(p.Models, func(m project.Model) bool { return m.Name == name })
	if i < 0 {
		return 0
	}
	switch m := &p.Models[i]; m.Kind {
	case project.KindSession:
		return 2*max(m.Session.Gap, m.Session.Timeout) + m.AllowedLateness
	case project.KindFact:
		return m.AllowedLateness + amended(p, m.From.Model)
	case project.KindDimension:
		return m.Dimension.LateChanges + amended(p, m.From.Model)
	}
	return 0
}

func factColumns(path string, all project.Expressions) ([]projection.Column, error) {
	var out []projection.Column
	for _, c := range all {
		e, err := expression.Parse(c.Text)
		if err != nil {
			return nil, &projection.ExpressionError{Path: path + c.Name, Text: c.Text, Err: err}
		}
		out = append(out, projection.Column{Name: c.Name, Expression: e})
	}
	return out, nil
}

func (f *factSpec) addJoin(i int) error {
	join := f.model.Fact.LeftJoin[i]
	to, err := f.input(join.To)
	if err != nil {
		return err
	}
	made := fact.Join{To: to}
	for _, left := range slices.Sorted(maps.Keys(join.On)) {
		made.On = append(made.On, fact.Pair{Left: left, Right: join.On[left]})
	}
	if w := join.Within; w != nil {
		made.Within = &fact.Within{Time: w.Time, From: w.From, To: w.To}
	}
	if made.Aggregates, err = factColumns(fmt.Sprintf("left_join[%d].aggregates.", i), join.Aggregates); err != nil {
		return err
	}
	made.Copy = copies(join.Copy)
	if made.Unmatched, err = unmapped(f.project, join); err != nil {
		return err
	}
	f.spec.Joins = append(f.spec.Joins, made)
	return nil
}

func copies(of map[string]string) []fact.Copy {
	var all []fact.Copy
	for _, name := range slices.Sorted(maps.Keys(of)) {
		all = append(all, fact.Copy{Name: name, From: of[name]})
	}
	return all
}

// columns are those that the fact's table has behind surrogate key, grain and event
// time: measures, and the chosen ones. Without chosen ones they are all that are
// made, and without measures those of the input, too.
func (f *factSpec) columns() []string {
	m := f.model
	columns := slices.Clone(m.Fact.Measures)
	add := func(name string) {
		system := record.IsPositionColumn(name) || record.IsChangeColumn(name)
		if !system && !slices.Contains(columns, name) {
			columns = append(columns, name)
		}
	}
	for _, c := range m.Columns {
		add(c.Name)
	}
	if len(m.Columns) > 0 {
		return columns
	}
	if len(m.Fact.Measures) == 0 {
		for _, c := range f.spec.From.Schema.Fields() {
			add(c.Name)
		}
	}
	for _, j := range f.spec.Joins {
		for _, c := range j.Aggregates {
			add(c.Name)
		}
		for _, c := range j.Copy {
			add(c.Name)
		}
	}
	for _, c := range slices.Concat(m.Fact.Milestones, m.Derive) {
		add(c.Name)
	}
	return columns
}

// factWhereFirst tells whether the condition of a fact, or of a map, can be asked of
// rows as they come: of events, which stay as they are, and are nothing else to it. A
// change of a database, or of a keyed model, may no longer meet it, and then its row
// goes.
func factWhereFirst(p *project.Project, m *project.Model) bool {
	from, err := inputOf(p, m)
	if err != nil || from.Kind != project.KindStaging || from.Changes {
		return false
	}
	return m.Fact == nil || !slices.ContainsFunc(m.Fact.LeftJoin, func(j project.LeftJoin) bool { return j.To == m.From })
}

// factWhere is the condition on rows as they come, nil for none.
func factWhere(p *project.Project, m *project.Model) (map[string][]pipeline.Step, error) {
	if !factWhereFirst(p, m) {
		return nil, nil
	}
	return keyedWhere(p, m)
}

// buildFact builds what the pipeline runs of a fact.
func buildFact(p *project.Project, s *keyedState, k *keyedModel) (pipeline.KeyedModel, error) {
	built := pipeline.KeyedModel{Name: k.Name, Inputs: []string{k.From.Model}}
	for _, j := range k.Fact.LeftJoin {
		if !slices.Contains(built.Inputs, j.To.Model) {
			built.Inputs = append(built.Inputs, j.To.Model)
		}
	}
	var err error
	if built.Before, err = factWhere(p, k.Model); err != nil {
		return built, err
	}
	version := k.fact.StateVersion()
	space, err := s.Space(k.Name, version)
	if err != nil {
		return built, err
	}
	operator, err := k.fact.Open(space, k.dimensions)
	if err != nil {
		return built, err
	}
	if built.Tests, err = keyedTests(k); err != nil {
		return built, err
	}
	built.Keys = slices.Sorted(maps.Keys(k.dimensions))
	built.Definition = fmt.Sprintf("fact %08x", version) + keysDefinition(k.dimensions)
	built.Describes = k.fact.Describe()
	built.Operator = &facts{operator}
	return built, nil
}

// facts is a fact operator as the pipeline's Operator.
type facts struct{ *fact.Operator }

// End implements pipeline.Operator. A fact whose row cannot be computed stops the
// pipeline: it is made of several rows, of which none is at fault alone.
func (f *facts) End(ctx context.Context, watermark int64) (record.Changelog, error) {
	changes, failed, err := f.Operator.End(ctx, watermark)
	if err != nil || len(failed) == 0 {
		return changes, err
	}
	changes.Release()
	first := failed[0]
	return record.Changelog{}, fmt.Errorf("%d facts have no row: the first, of %s, fails with %s: %s; mend the expression, and start again",
		len(failed), first.Key, first.Path, first.Message)
}
