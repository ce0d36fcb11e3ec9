package session

import (
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/eventtime"
	"github.com/calvelake/calve/runtime/record/rowcodec"
	"github.com/calvelake/calve/runtime/upstream"
)

// checkInput refuses rows that have no positions: those of keyed models. An
// event that was counted cannot be taken back, and first and last go by
// positions.
func (p *Program) checkInput() error {
	for _, f := range record.PositionFields() {
		if !p.spec.Input.HasField(f.Name) {
			return fmt.Errorf("%w, whose rows are events that stay; the input has no column %s, as the rows of a keyed model, which change: let from name the staging model, or make a fact that reads the keyed one", ErrInput, f.Name)
		}
	}
	return nil
}

// checkTimes bounds durations, so that sums with event times do not overflow.
func (p *Program) checkTimes() error {
	switch {
	case p.spec.Gap == 0 || !eventtime.IsSpan(p.spec.Gap):
		return fmt.Errorf("a gap of %s is not within 1µs and 100 years, in whole microseconds", p.spec.Gap)
	case !eventtime.IsSpan(p.spec.Lateness):
		return fmt.Errorf("an allowed lateness of %s is not within 0 and 100 years, in whole microseconds", p.spec.Lateness)
	case p.spec.Emit != EmitOnClose && p.spec.Emit != EmitEarly:
		return fmt.Errorf("emit is %q, expected on_close or early", p.spec.Emit)
	}
	f, err := p.inputField("event_time", p.spec.EventTime)
	if err != nil {
		return err
	}
	if !arrow.TypeEqual(f.Type, record.Timestamptz) {
		return fmt.Errorf("event_time: column %s is %s, expected timestamptz; derive one in the staging model, as in cast(x as timestamptz)", f.Name, record.FormatType(f.Type))
	}
	return nil
}

func (p *Program) inputField(what, name string) (arrow.Field, error) {
	at := p.spec.Input.FieldIndices(name)
	if len(at) != 1 {
		return arrow.Field{}, fmt.Errorf("%s: the input has no column %s", what, name)
	}
	return p.spec.Input.Field(at[0]), nil
}

func (p *Program) compileKey() error {
	if len(p.spec.Key) == 0 {
		return fmt.Errorf("key: a session needs a key")
	}
	for _, name := range p.spec.Key {
		f, err := p.inputField("key", name)
		if err != nil {
			return err
		}
		if err := upstream.CheckKeyType("key", f); err != nil {
			return err
		}
		p.keyFields = append(p.keyFields, arrow.Field{Name: name, Type: f.Type}) // never null: such rows are refused
	}
	return nil
}

// fixed are the columns that every session has.
func (p *Program) fixed() []arrow.Field {
	fields := []arrow.Field{{Name: p.spec.SurrogateKey, Type: arrow.BinaryTypes.String}}
	fields = append(fields, p.keyFields...)
	return append(fields, arrow.Field{Name: ColumnStart, Type: record.Timestamptz}, arrow.Field{Name: ColumnEnd, Type: record.Timestamptz})
}

// compileAggregates compiles aggregates, over the columns that all events of a
// session have in common.
func (p *Program) compileAggregates() error {
	group := arrow.NewSchema(p.fixed()[1:], nil)
	made, err := projection.CompileAggregates("aggregates.", p.spec.Aggregates, p.spec.Input, group)
	if err != nil {
		return err
	}
	p.aggregates, p.calls, p.set = made.Columns, made.Calls, made.Set
	fields := slices.Clone(group.Fields())
	for _, c := range p.calls {
		fields = append(fields, arrow.Field{Name: c.Column, Type: c.Type, Nullable: true})
	}
	p.group = arrow.NewSchema(fields, nil)
	return nil
}

func (p *Program) compilePlugin() error {
	if p.spec.Plugin == nil {
		if len(p.spec.Adds) > 0 {
			return fmt.Errorf("BUG: columns that a plugin adds, and no plugin")
		}
		return nil
	}
	for _, name := range p.spec.PluginInput {
		if _, err := p.inputField("plugin", name); err != nil {
			return err
		}
	}
	p.plugin = p.spec.Plugin.StateSchema()
	for _, f := range slices.Concat(p.plugin.Fields(), p.spec.Adds) {
		if !rowcodec.Supports(f.Type) {
			return fmt.Errorf("plugin: column %s is %s, which no table holds", f.Name, f.Type)
		}
	}
	p.finish = arrow.NewSchema(append(slices.Clone(p.plugin.Fields()),
		arrow.Field{Name: pluginKey, Type: PluginKeyType(p.keyFields), Nullable: true},
		arrow.Field{Name: pluginStart, Type: record.Timestamptz}, arrow.Field{Name: pluginEnd, Type: record.Timestamptz},
		arrow.Field{Name: pluginCount, Type: arrow.PrimitiveTypes.Int64}, arrow.Field{Name: pluginClosed, Type: arrow.FixedWidthTypes.Boolean}), nil)
	return nil
}

// compileDerive completes the columns that are made. Aggregated and derived
// ones may always be null, so that one can be added to a table that has rows.
func (p *Program) compileDerive() error {
	fields := p.fixed()
	for i := range p.aggregates {
		fields = append(fields, p.aggregates[i].Field())
	}
	for _, f := range p.spec.Adds {
		fields = append(fields, arrow.Field{Name: f.Name, Type: f.Type, Nullable: true})
	}
	for _, c := range p.spec.Derive {
		compiled, err := projection.Compile("derive.", c, arrow.NewSchema(fields, nil))
		if err != nil {
			return err
		}
		p.derive, fields = append(p.derive, compiled), append(fields, compiled.Field())
	}
	var err error
	p.all, err = projection.NewSchema(fields)
	return err
}

// choose finds the columns of the table.
func (p *Program) choose() error {
	fixed := len(p.keyFields) + 3
	for i := range fixed {
		p.chosen = append(p.chosen, i)
	}
	if p.spec.Columns == nil {
		for i := fixed; i < p.all.NumFields(); i++ {
			p.chosen = append(p.chosen, i)
		}
	}
	for _, name := range p.spec.Columns {
		at := p.all.FieldIndices(name)
		if len(at) != 1 {
			return fmt.Errorf("columns: there is no column %s", name)
		}
		if slices.Contains(p.chosen, at[0]) {
			if at[0] < fixed {
				continue // always there
			}
			return fmt.Errorf("columns: column %s twice", name)
		}
		p.chosen = append(p.chosen, at[0])
	}
	fields := make([]arrow.Field, len(p.chosen))
	for i, at := range p.chosen {
		fields[i] = p.all.Field(at)
	}
	p.output = arrow.NewSchema(fields, nil)
	return nil
}

// readsPositions tells whether columns are read that only WithPositions makes.
func (p *Program) readsPositions() bool {
	names := slices.Concat(p.spec.Key, []string{p.spec.EventTime}, p.spec.PluginInput)
	for _, c := range p.calls {
		if c.Argument != nil {
			names = append(names, c.Argument.Columns()...)
		}
	}
	return slices.ContainsFunc(names, func(name string) bool { return record.IsPositionColumn(name) || record.IsChangeColumn(name) })
}

// closesAt is the watermark at which a session that ends at a time is closed.
func (p *Program) closesAt(end int64) int64 { return eventtime.After(end, p.gap) }

// lateAt is the watermark at which an event is late.
func (p *Program) lateAt(t int64) int64 { return eventtime.After(t, p.gap, p.lateness) }

// forgottenAt is the watermark at which no event that is not late can touch a
// session any more.
func (p *Program) forgottenAt(end int64) int64 { return eventtime.After(end, p.gap, p.gap, p.lateness) }
