package daemon

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/contract"
	"github.com/calvelake/calve/runtime/integrity"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/record/keyvalue"
)

// tableTest is a data test over the rows of whole tables. It stands among the keyed
// models, behind all of them, and has a name that none can have.
type tableTest struct {
	pipeline.TableTest
	inputs []string
	spec   interface {
		Open(state keyvalue.Store) (integrity.Test, error)
		Definition() string
	}
}

// ofTables tells whether a data test needs more than a row.
func ofTables(t project.Test) bool {
	return t.Kind == project.TestUnique || t.Kind == project.TestRelationships
}

// compileTableTests compiles the data tests over tables of all models; compiled
// are the keyed models.
func compileTableTests(p *project.Project, compiled []keyedModel) ([]keyedModel, error) {
	var all []keyedModel
	var errs []error
	for i := range p.Models {
		m := &p.Models[i]
		names := map[string]int{}
		for _, t := range testsOf(m) {
			if !ofTables(t) {
				continue
			}
			made, err := compileTableTest(p, m, t, compiled)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s:%d: model %s: data test %s: %w", m.File, m.Line, m.Name, t.Kind, err))
			}
			if made == nil {
				continue
			}
			made.Name = testName(t, names)
			made.Model = m.Name
			all = append(all, keyedModel{
				Model:     &project.Model{Name: m.Name + "." + made.Name, File: m.File, Line: m.Line, Materialized: project.MaterializedEphemeral},
				tableTest: made,
			})
		}
	}
	return all, errors.Join(errs...)
}

// testsOf are a model's data tests, those of columns first.
func testsOf(m *project.Model) []project.Test {
	var all []project.Test
	for _, c := range m.Columns {
		all = append(all, c.Tests...)
	}
	return append(all, m.Tests...)
}

// testName names a test as dbt does: unique_email, relationships_customer_key. A
// second one of the same name gets a number.
func testName(t project.Test, given map[string]int) string {
	name := string(t.Kind) + "_" + strings.Join(t.Columns, "_")
	given[name]++
	if n := given[name]; n > 1 {
		name = fmt.Sprintf("%s_%d", name, n)
	}
	return name
}

// compileTableTest compiles a test; it is nil where there is nothing to test.
func compileTableTest(p *project.Project, m *project.Model, t project.Test, compiled []keyedModel) (*tableTest, error) {
	of, err := testedModel(p, m.Name, compiled)
	if err != nil {
		return nil, err
	}
	made := &tableTest{TableTest: pipeline.TableTest{Severity: contract.Severity(t.Severity)}, inputs: []string{m.Name}}
	if t.Kind == project.TestUnique {
		if holdsByKey(m, of, t.Columns) {
			return nil, nil //nolint:nilnil // no two rows have one key: there is nothing to test
		}
		spec := integrity.Unique{Of: of, Columns: t.Columns}
		if of.Key == nil {
			spec.EventTime, spec.Horizon = m.EventTime, t.Horizon
		}
		made.spec = spec
	} else {
		to, err := testedModel(p, t.To.Model, compiled)
		if err != nil {
			return nil, err
		}
		made.spec = integrity.Relationships{From: of, Column: t.Columns[0], To: to, Field: t.Field}
		if t.To.Model != m.Name {
			made.inputs = append(made.inputs, t.To.Model)
		}
	}
	_, err = made.spec.Open(nil) // nothing is read before an epoch
	return made, err
}

// testedModel is a model as a test reads it.
func testedModel(p *project.Project, name string, compiled []keyedModel) (integrity.Input, error) {
	if i := slices.IndexFunc(compiled, func(k keyedModel) bool { return k.Name == name }); i >= 0 {
		return integrity.Input{Model: name, Schema: compiled[i].schema(), Key: compiled[i].key(), Untested: compiled[i].untested()}, nil
	}
	i := slices.IndexFunc(p.Models, func(m project.Model) bool { return m.Name == name && m.Kind == project.KindStaging })
	if i < 0 {
		return integrity.Input{}, fmt.Errorf("model %s, of which this version of calve makes no rows", name)
	}
	return integrity.Input{Model: name, Schema: p.Models[i].DeriveSchema(len(p.Models[i].Derived))}, nil
}

// holdsByKey tells whether columns have the key of a model's rows among them: that
// of the table, or that of which it is a hash.
func holdsByKey(m *project.Model, of integrity.Input, columns []string) bool {
	within := func(key []string) bool {
		return len(key) > 0 && !slices.ContainsFunc(key, func(name string) bool { return !slices.Contains(columns, name) })
	}
	if of.Key == nil {
		return false
	}
	return within(of.Key) || m.Fact != nil && m.Fact.OnUpdate == project.OnUpdateUpsert && within(m.Fact.Grain)
}

// buildTableTest builds what the pipeline runs of a test.
func buildTableTest(s *keyedState, k *keyedModel) (pipeline.KeyedModel, error) {
	built := pipeline.KeyedModel{Name: k.Name, Inputs: k.tableTest.inputs, Test: &k.tableTest.TableTest, Definition: k.tableTest.spec.Definition()}
	space, err := s.Space(k.Name, 1)
	if err != nil {
		return built, err
	}
	operator, err := k.tableTest.spec.Open(space)
	built.Operator = operator
	return built, err
}

// withoutOtherTests leaves out the tests that the record has by another
// definition: they have no rows that anybody reads, and so begin anew.
func withoutOtherTests(recorded []lakehouse.KeyedModel, compiled []keyedModel) []lakehouse.KeyedModel {
	return slices.DeleteFunc(slices.Clone(recorded), func(r lakehouse.KeyedModel) bool {
		return slices.ContainsFunc(compiled, func(k keyedModel) bool {
			return k.Name == r.Name && k.tableTest != nil && k.tableTest.spec.Definition() != r.Definition
		})
	})
}
