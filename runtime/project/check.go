package project

import (
	"fmt"
	"slices"
	"time"
)

// checker judges what a model says of others: references, columns, types.
type checker struct {
	project    *Project
	errs       *problems
	models     map[string]*Model
	sets       map[string]*columnSet // columns of models that were checked
	modules    []string              // plugins without .wasm
	incomplete bool                  // something could not be read: what seems missing may be there

	model *Model // that is being judged: where problems are reported
}

// of is the checker of one model.
func (c *checker) of(m *Model) *checker {
	one := *c
	one.model = m
	return &one
}

func (c *checker) fail(path, message, hint string) {
	c.errs.add(c.model.doc.problem(path, message, hint))
}

// defaultInterval is the commit interval of a project that gives none: appends
// are cheap, rewriting files is not.
func defaultInterval(models []Model) time.Duration {
	if slices.ContainsFunc(models, func(m Model) bool { return m.Kind != KindStaging }) {
		return time.Minute
	}
	return 10 * time.Second
}

func (c *checker) checkModel(m *Model) {
	c.checkReferences(m)
	c.checkPlugin(m)
	if m.broken {
		return
	}
	c.checkContract(m)
	if m.Kind != KindStaging {
		c.checkSyntax(m)
	}
	in := c.columns(c.models[m.From.Model])
	c.setEventTime(m, in)
	var out *columnSet
	switch m.Kind {
	case KindStaging:
		out = c.stagingColumns(m)
	case KindSession:
		out = c.sessionColumns(m, in)
	case KindDimension:
		out = c.dimensionColumns(m, in)
	case KindFact:
		out = c.factColumns(m, in)
	case KindBridge:
		out = c.bridgeColumns(m, in)
	case KindMap:
		out = c.mapColumns(m, in)
	case KindDate:
		out = dateColumns()
	}
	out.addSystem(m.Kind)
	c.checkLayout(m, out)
	c.sets[m.Name] = out
}

func (c *checker) stagingColumns(m *Model) *columnSet {
	c.checkStaging(m)
	out := newColumnSet()
	for i, col := range m.Columns {
		out.add(col.Name, col.Type, indexed("columns", i)+".name")
	}
	c.addDerived(m, out)
	out.addChanges(m)
	if m.EventTime != "" {
		times := out.clone()
		times.addSystem(m.Kind)
		c.wantTime(times, "event_time", m.EventTime)
	}
	return out
}

// setEventTime gives session and fact models the event time of the model they
// read, if its table has it, else the time of the newest record.
func (c *checker) setEventTime(m *Model, in *columnSet) {
	if m.Kind != KindSession && m.Kind != KindFact {
		return
	}
	if m.EventTime != "" {
		c.wantTime(in, "event_time", m.EventTime)
		return
	}
	m.EventTime = "kafka_timestamp"
	if from := c.models[m.From.Model]; from != nil && from.EventTime != "" && in.has(from.EventTime) {
		m.EventTime = from.EventTime
	}
}

// readable are the kinds that each kind can read.
var readable = map[Kind][]Kind{
	KindSession:   {KindStaging},
	KindDimension: {KindStaging, KindSession, KindDimension, KindFact, KindMap},
	KindFact:      {KindStaging, KindSession, KindDimension, KindFact, KindMap},
	KindBridge:    {KindStaging, KindSession, KindDimension, KindFact, KindMap},
	KindMap:       {KindStaging, KindSession, KindDimension, KindMap},
}

func (c *checker) checkReferences(m *Model) {
	if m.From.Source != "" {
		c.checkSourceRef(m)
	}
	for _, ref := range m.references() {
		c.checkModelRef(m, ref.path, ref.model)
	}
	from, ok := c.models[m.From.Model]
	if ok && !slices.Contains(readable[m.Kind], from.Kind) {
		c.fail("from", fmt.Sprintf("a %s cannot read %s, which is of kind %s, expected one of %s", m.Kind, from.Name, from.Kind, kindList(readable[m.Kind])), "")
	}
	c.checkInferred(m)
	if m.Fact == nil {
		return
	}
	for i, j := range m.Fact.LeftJoin {
		if to, ok := c.models[j.To.Model]; ok && to.Kind == KindDate {
			c.fail(indexed("left_join", i)+".to", fmt.Sprintf("%s is a date dimension, which has nothing to join", to.Name), "use foreign_keys")
		}
	}
}

func kindList(of []Kind) string {
	out := make([]string, len(of))
	for i, k := range of {
		out[i] = string(k)
	}
	return listed(out)
}

func (c *checker) checkModelRef(m *Model, path, name string) {
	if _, ok := c.models[name]; ok || c.incomplete {
		return
	}
	known := sortedKeys(c.models)
	c.fail(path, fmt.Sprintf("there is no model %q, expected one of %s", name, listed(known)), didYouMean(name, known))
}

func (c *checker) checkSourceRef(m *Model) {
	if _, ok := c.project.table(m.From); ok || c.incomplete {
		return
	}
	var known, tables []string
	for _, s := range c.project.Sources {
		known = append(known, s.Name)
		if s.Name != m.From.Source {
			continue
		}
		for _, t := range s.Tables {
			tables = append(tables, t.Name)
		}
	}
	if tables != nil {
		c.fail("from", fmt.Sprintf("source %q has no table %q, expected one of %s", m.From.Source, m.From.Table, listed(tables)), didYouMean(m.From.Table, tables))
		return
	}
	c.fail("from", fmt.Sprintf("there is no source %q, expected one of %s", m.From.Source, or(listed(known), "none, since no file below models/ has sources")), didYouMean(m.From.Source, known))
}

// checkPlugin finds the module of a plugin.
func (c *checker) checkPlugin(m *Model) {
	p := m.Plugin
	if p == nil || p.Name == "" || p.Channel != "" {
		return
	}
	if slices.Contains(c.modules, p.Name) {
		p.Module = pluginsFolder + "/" + p.Name + ".wasm"
		return
	}
	hint := didYouMean(p.Name, c.modules)
	if hint == "" || m.doc.at("plugin.ref").text != "" {
		hint = "build the module there, or name a channel of the registry, as in name@stable"
	}
	c.fail("plugin.ref", fmt.Sprintf("there is no module for plugin %s in %s/", m.doc.quote("plugin.ref", p.Ref), pluginsFolder), hint)
}

// checkLayout checks how a table is partitioned and sorted.
func (c *checker) checkLayout(m *Model, set *columnSet) {
	used := map[string]bool{}
	for i, f := range m.PartitionBy {
		path := indexed("partition_by", i)
		if !c.want(set, path, f.Column, "a column of "+m.Name) {
			continue
		}
		if used[f.Column] {
			c.fail(path, fmt.Sprintf("column %q is in two partition fields, which Redshift cannot read", f.Column), "keep one of them")
		}
		used[f.Column] = true
		if f.Column == "valid_from" || f.Column == "valid_to" {
			c.fail(path, fmt.Sprintf("a table cannot be partitioned by %s, since its values reach from 1900 to 9999", f.Column), "partition by an attribute, or not at all")
			continue
		}
		if t := set.types[f.Column]; t != nil {
			if err := f.checkType(t); err != nil {
				c.fail(path, fmt.Sprintf("column %q is %s, which %s cannot partition", f.Column, typeName(t), f.Transform), err.Error())
			}
		}
	}
	for i, f := range m.SortBy {
		c.want(set, indexed("sort_by", i), f.Column, "a column of "+m.Name)
	}
	if m.Materialized == MaterializedEphemeral && len(m.PartitionBy)+len(m.SortBy) > 0 {
		c.fail("materialized", "an ephemeral model has no table to partition or sort", "make it a table, or remove partition_by and sort_by")
	}
}

// checkTests checks the tests of a model, once the columns of all models are
// known: a test makes no order among models.
func (c *checker) checkTests(m *Model) {
	if m.broken {
		return
	}
	set := c.columns(m)
	for i, t := range m.Tests {
		path := indexed("data_tests", i) + "." + string(t.Kind)
		column := path + ".column"
		if t.Kind == TestUnique || t.Kind == TestNotNull {
			column = path + ".columns"
		}
		for _, name := range t.Columns {
			c.want(set, column, name, "a column of "+m.Name)
		}
		c.checkRelationship(m, path, t)
		c.checkHorizon(m, path, t)
		c.checkTestExpression(m, i, t)
		c.checkTestValues(set, path, t)
	}
	for i, col := range m.Columns {
		for j, t := range col.Tests {
			path := indexed("columns", i) + "." + indexed("data_tests", j) + "." + string(t.Kind)
			c.checkRelationship(m, path, t)
			c.checkHorizon(m, path, t)
			c.checkTestValues(set, path, t)
		}
	}
}

// checkHorizon refuses a horizon where there is none: rows of a keyed model are
// compared with all that it has.
func (c *checker) checkHorizon(m *Model, path string, t Test) {
	if t.Kind != TestUnique {
		return
	}
	_, given := m.doc.marks[path+".horizon"]
	if given && m.Kind != KindStaging {
		c.fail(path+".horizon", fmt.Sprintf("the rows of a %s are compared with all others that it has, so that a horizon says nothing", m.Kind), "remove horizon")
	}
	if given && t.Horizon == 0 {
		c.fail(path+".horizon", "a horizon of nothing compares no rows", "give a duration, or remove horizon: "+horizonText)
	}
}

// checkRelationship checks the other end of a test.
func (c *checker) checkRelationship(m *Model, path string, t Test) {
	if t.Kind != TestRelationships {
		return
	}
	c.checkModelRef(m, path+".to", t.To.Model)
	c.want(c.columns(c.models[t.To.Model]), path+".field", t.Field, "a column of "+t.To.Model)
}
