package daemon

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/bridge"
	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/expression"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/record"
)

// bridgeLateChanges is how late a change of a bridge may be: as that of a dimension
// is by default.
const bridgeLateChanges = 30 * 24 * time.Hour

// compileBridge compiles a bridge; compiled has the keyed models before it.
func compileBridge(p *project.Project, m *project.Model, compiled []keyedModel) (*bridge.Program, error) {
	spec, err := bridgeSpec(p, m, compiled)
	var program *bridge.Program
	if err == nil {
		program, err = bridge.Compile(spec)
	}
	var wrong *projection.ExpressionError
	switch {
	case errors.As(err, &wrong):
		return nil, within(m, wrong.Path, wrong.Text, wrong.Err)
	case err != nil:
		return nil, fmt.Errorf("%s:%d: model %s: %w", m.File, m.Line, m.Name, err)
	}
	_, err = eventWhere(p, m)
	return program, err
}

func bridgeSpec(p *project.Project, m *project.Model, compiled []keyedModel) (bridge.Spec, error) {
	if m.Plugin != nil {
		return bridge.Spec{}, fmt.Errorf("plugin (%s) of a bridge is part of the language but this version of calve does not run it yet; run the plugin in the staging model that the bridge reads", m.Plugin.Ref)
	}
	f := factSpec{project: p, model: m, compiled: compiled}
	from, err := f.input(m.From)
	if err != nil {
		return bridge.Spec{}, err
	}
	spec := bridge.Spec{Model: m.Name, From: from, SurrogateKey: m.SurrogateKey, LateChanges: bridgeLateChanges}
	if spec.EffectiveAt, err = bridgeEffectiveAt(p, m, from.Schema); err != nil {
		return spec, err
	}
	if u := m.Bridge.Unnest; u != nil {
		spec.Unnest = &bridge.Unnest{Column: u.Column, As: u.As}
	}
	for i, fk := range m.Bridge.ForeignKeys {
		made, err := bridgeKey(fk, compiled)
		if err != nil {
			return spec, fmt.Errorf("foreign_keys[%d]%w", i, err)
		}
		spec.ForeignKeys = append(spec.ForeignKeys, made)
	}
	return spec, bridgeExpressions(p, m, &spec)
}

func bridgeExpressions(p *project.Project, m *project.Model, spec *bridge.Spec) error {
	parse := func(path, text string) (*expression.Expr, error) {
		e, err := expression.Parse(text)
		if err != nil {
			return nil, &projection.ExpressionError{Path: path, Text: text, Err: err}
		}
		return e, nil
	}
	var err error
	if m.Where != "" && !readsEvents(p, m) {
		if spec.Where, err = parse("where", m.Where); err != nil {
			return err
		}
	}
	for _, c := range m.Derive {
		e, err := parse("derive."+c.Name, c.Text)
		if err != nil {
			return err
		}
		spec.Derive = append(spec.Derive, projection.Column{Name: c.Name, Expression: e})
	}
	if m.Bridge.Weight != "" {
		spec.Weight, err = parse("weight", m.Bridge.Weight)
	}
	return err
}

// bridgeEffectiveAt is the column that says when a mapping took effect, "" for that
// of the source's change or of the record. Without one it is the event time of
// events.
func bridgeEffectiveAt(p *project.Project, m *project.Model, schema *arrow.Schema) (string, error) {
	from, err := inputOf(p, m)
	at := m.Bridge.EffectiveAt
	switch {
	case err != nil:
		return "", err
	case strings.HasPrefix(at, "source.") && !from.Changes:
		return "", fmt.Errorf("effective_at: %s is part of Debezium events, which %s does not read; name a column that holds the effective time", at, from.Name)
	case strings.HasPrefix(at, "source."):
		return "", nil // source_ts, which has the finest of them
	case at != "" || !readsEvents(p, m) || from.EventTime == "":
		return at, nil
	}
	if i := schema.FieldIndices(from.EventTime); len(i) == 1 && arrow.TypeEqual(schema.Field(i[0]).Type, record.Timestamptz) {
		return from.EventTime, nil
	}
	return "", nil
}

// bridgeKey is the durable key of a dimension's member. The error goes on where the
// key's path ends.
func bridgeKey(fk project.ForeignKey, compiled []keyedModel) (bridge.ForeignKey, error) {
	at := slices.IndexFunc(compiled, func(k keyedModel) bool { return k.Name == fk.To.Model })
	switch {
	case at < 0:
		return bridge.ForeignKey{}, fmt.Errorf(": it refers to model %s, of which this version of calve makes no rows", fk.To.Model)
	case compiled[at].dimension == nil:
		return bridge.ForeignKey{}, fmt.Errorf(".to: %s is a date dimension, whose days a bridge does not map; keep the date as a column of derive", fk.To.Model)
	case len(fk.Copy) > 0:
		return bridge.ForeignKey{}, fmt.Errorf(".copy (%s): a bridge has the keys of members, for all of their versions, and copies no attributes; join %s when it is read", slices.Sorted(maps.Keys(fk.Copy))[0], fk.To.Model)
	case fk.At != "":
		return bridge.ForeignKey{}, fmt.Errorf(".at: the keys of a bridge are durable, and the same at all times; remove at")
	case compiled[at].Dimension.DurableKey == "" && hasVersions(&compiled[at]):
		return bridge.ForeignKey{}, fmt.Errorf(".to: the members of %s have versions, each with its own key, and a bridge refers to members by a key that is the same for all of them; give %s a durable_key", fk.To.Model, fk.To.Model)
	}
	made := bridge.ForeignKey{Name: fk.Name, To: fk.To.Model, On: fk.On}
	for _, c := range compiled[at].dimension.NaturalKey().Fields() {
		made.Keys = append(made.Keys, c.Type)
	}
	return made, nil
}

// hasVersions tells whether the surrogate key of a dimension is that of a version.
func hasVersions(k *keyedModel) bool {
	for _, c := range k.dimension.Attributes().Fields() {
		if k.Dimension.SCD.TypeOf(c.Name) == int(dimension.Type2) {
			return true
		}
	}
	return k.Plugin != nil
}

// buildBridge builds what the pipeline runs of a bridge.
func buildBridge(p *project.Project, s *keyedState, k *keyedModel) (pipeline.KeyedModel, error) {
	built := pipeline.KeyedModel{Name: k.Name, Inputs: []string{k.From.Model}}
	var err error
	if built.Before, err = eventWhere(p, k.Model); err != nil {
		return built, err
	}
	version := k.bridge.StateVersion()
	space, err := s.Space(k.Name, version)
	if err != nil {
		return built, err
	}
	dimensions := map[string]bridge.Dimension{}
	for name, d := range k.dimensions {
		dimensions[name] = d
	}
	if built.Operator, err = k.bridge.Open(space, dimensions); err != nil {
		return built, err
	}
	if built.Tests, err = keyedTests(k); err != nil {
		return built, err
	}
	built.Keys = slices.Sorted(maps.Keys(k.dimensions))
	built.Definition, built.Describes = fmt.Sprintf("bridge %08x", version), k.bridge.Describe()
	return built, nil
}
