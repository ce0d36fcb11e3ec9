package fact

import (
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/eventtime"
	"github.com/calvelake/calve/runtime/record/rowcodec"
)

// checkInput checks what is asked of the input.
func (p *Program) checkInput() error {
	if err := p.spec.From.Check("from"); err != nil {
		return err
	}
	return p.spec.From.CheckTimestamptz("event_time", p.spec.EventTime)
}

// checkOptions refuses what has no meaning together.
func (p *Program) checkOptions() error {
	s := p.spec
	p.appended = s.OnUpdate == Append
	switch {
	case !eventtime.IsSpan(s.Lateness):
		return fmt.Errorf("an allowed lateness of %s is not within 0 and 100 years, in whole microseconds", s.Lateness)
	case !eventtime.IsSpan(s.Rekey):
		return fmt.Errorf("keys that follow their dimensions for %s: that is not within 0 and 100 years, in whole microseconds", s.Rekey)
	case s.OnUpdate != Upsert && s.OnUpdate != Append:
		return fmt.Errorf("on_update is %q, expected upsert or append", s.OnUpdate)
	case s.OnDelete != DeleteHard && s.OnDelete != DeleteSoft && s.OnDelete != DeleteIgnore:
		return fmt.Errorf("on_delete is %q, expected hard, soft or ignore", s.OnDelete)
	case p.appended && s.From.IsKeyed():
		return fmt.Errorf("on_update: the rows of %s change in place, there is nothing to append; let it be upsert", s.From.Name)
	case p.appended && s.SurrogateKey == "":
		return fmt.Errorf("on_update: several rows have one grain with append, a surrogate_key tells them apart; name one, as in surrogate_key: %s_key", s.Model)
	case p.appended && s.From.HasChanges() && s.OnDelete == DeleteHard:
		return fmt.Errorf("on_delete: with on_update append a deletion is a row of its own, or nothing; let it be soft or ignore")
	case p.appended && len(s.Milestones) > 0:
		return fmt.Errorf("milestones: they are filled by updates of a row; let on_update be upsert")
	}
	return nil
}

func (p *Program) checkKey() error {
	if len(p.spec.Grain) == 0 {
		return fmt.Errorf("grain: a fact needs one")
	}
	_, err := p.spec.From.KeyFields("grain", p.spec.Grain)
	return err
}

// compileInput compiles what sees the input alone.
func (p *Program) compileInput() error {
	in := p.spec.From.Schema
	var err error
	if p.where, err = projection.CompileWhere(p.spec.Where, in); err != nil {
		return err
	}
	var fields []arrow.Field
	for _, m := range p.spec.Milestones {
		c, err := projection.Compile("milestones.", m, in)
		if err != nil {
			return err
		}
		if !rowcodec.Supports(c.Type()) {
			return fmt.Errorf("milestones: column %s is %s, which no table holds", m.Name, c.Type())
		}
		p.milestones = append(p.milestones, c)
		fields = append(fields, c.Field())
	}
	p.filled = arrow.NewSchema(fields, nil)
	return nil
}

// compileDerive compiles what sees all that is made. Columns that a row has on
// top of its input may always be null, so that one can be added to a table that
// has rows.
func (p *Program) compileDerive() error {
	early := map[string]bool{}
	fields := slices.Clone(p.spec.From.Schema.Fields())
	for _, f := range fields {
		early[f.Name] = true
	}
	for _, j := range p.joins {
		fields = append(fields, j.fields...)
	}
	fields = append(fields, p.filled.Fields()...)
	for i, d := range p.spec.Derive {
		c, err := projection.Compile("derive.", d, arrow.NewSchema(fields, nil))
		if err != nil {
			return err
		}
		p.derive = append(p.derive, c)
		fields = append(fields, c.Field())
		if !slices.ContainsFunc(c.Columns(), func(name string) bool { return !early[name] }) {
			p.early, early[d.Name] = append(p.early, i), true
		}
	}
	p.output = arrow.NewSchema(fields, nil) // all that foreign keys may be found by
	return nil
}

// checkNames refuses two columns of one name.
func (p *Program) checkNames() error {
	seen := map[string]bool{p.spec.SurrogateKey: p.spec.SurrogateKey != ""}
	for i, f := range p.output.Fields() {
		if i < p.spec.From.Schema.NumFields() && f.Name == p.spec.SurrogateKey && !slices.Contains(p.spec.Grain, f.Name) {
			continue // the key of the model that is read, which is not in the table
		}
		if seen[f.Name] {
			return fmt.Errorf("column %s twice", f.Name)
		}
		seen[f.Name] = true
	}
	if p.spec.OnDelete == DeleteSoft && slices.Contains(p.referred, ColumnDeleted) {
		return fmt.Errorf("column %s twice", ColumnDeleted)
	}
	return nil
}

// choose finds the columns of the table.
func (p *Program) choose() error {
	all, from := p.output, p.spec.From
	var fields []arrow.Field
	add := func(name string, nullable bool) error {
		at := all.FieldIndices(name)
		if len(at) != 1 {
			return fmt.Errorf("columns: there is no column %s", name)
		}
		fields = append(fields, arrow.Field{Name: name, Type: all.Field(at[0]).Type, Nullable: nullable})
		return nil
	}
	if p.spec.SurrogateKey != "" {
		fields = append(fields, arrow.Field{Name: p.spec.SurrogateKey, Type: arrow.BinaryTypes.String})
	}
	p.fixed = slices.Clone(p.spec.Grain)
	for _, name := range p.fixed {
		nullable := from.IsKeyed() && p.spec.SurrogateKey != "" && from.Schema.Field(from.Schema.FieldIndices(name)[0]).Nullable
		if err := add(name, nullable); err != nil {
			return err
		}
	}
	system := []string{record.ColumnTimestamp, record.ColumnIngestedAt}
	if !slices.Contains(slices.Concat(p.fixed, system), p.spec.EventTime) {
		p.fixed = append(p.fixed, p.spec.EventTime)
		if err := add(p.spec.EventTime, from.IsKeyed() || p.appended && from.HasChanges()); err != nil {
			return err
		}
	}
	for _, f := range p.foreign {
		fields = append(fields, f.schema.Fields()...)
	}
	for _, name := range p.spec.Columns {
		if name == p.spec.SurrogateKey || slices.Contains(p.fixed, name) || slices.Contains(p.referred, name) || slices.Contains(system, name) {
			continue // always there
		}
		if slices.Contains(p.chosen, name) || name == ColumnDeleted && p.spec.OnDelete == DeleteSoft {
			return fmt.Errorf("columns: column %s twice", name)
		}
		p.chosen = append(p.chosen, name)
		if err := add(name, true); err != nil {
			return err
		}
	}
	if p.spec.OnDelete == DeleteSoft {
		fields = append(fields, arrow.Field{Name: ColumnDeleted, Type: arrow.FixedWidthTypes.Boolean, Nullable: true})
	}
	for _, name := range system {
		fields = append(fields, arrow.Field{Name: name, Type: record.Timestamptz, Nullable: true})
	}
	p.output = arrow.NewSchema(fields, nil)
	return nil
}

// keep finds the columns of the input that are read later, and are thus kept.
func (p *Program) keep() error {
	used := map[string]bool{p.spec.EventTime: true, record.ColumnTimestamp: true, record.ColumnIngestedAt: true}
	use := func(names ...string) {
		for _, name := range names {
			used[name] = true
		}
	}
	use(slices.Concat(p.spec.Grain, p.spec.From.Key, p.chosen)...)
	for _, f := range p.foreign {
		use(f.inputs()...)
	}
	compiled := slices.Concat(p.milestones, p.derive)
	if p.where != nil {
		compiled = append(compiled, *p.where)
	}
	for _, j := range p.joins {
		for _, pair := range j.spec.On {
			use(pair.Left)
		}
		if w := j.spec.Within; w != nil {
			use(w.From, w.To)
		}
		compiled = append(compiled, j.aggregates...)
	}
	if p.appended {
		use(record.ColumnTopic, record.ColumnPartition, record.ColumnOffset, record.ColumnRow)
	}
	for _, c := range compiled {
		use(c.Columns()...)
	}
	var err error
	if p.base, err = p.spec.From.Kept(used); err != nil {
		return err
	}
	p.eventTime, p.recordedAt, p.ingestedAt = p.column(p.spec.EventTime), p.column(record.ColumnTimestamp), p.column(record.ColumnIngestedAt)
	p.grain, p.id = p.columns(p.spec.Grain), p.columns(p.spec.From.Key)
	for _, j := range p.joins {
		for _, pair := range j.spec.On {
			j.left = append(j.left, p.column(pair.Left))
		}
		if w := j.spec.Within; w != nil {
			j.from, j.to = p.column(w.From), p.column(w.To)
		}
	}
	return nil
}

// column is the place of a column in base.
func (p *Program) column(name string) int { return p.base.FieldIndices(name)[0] }

func (p *Program) columns(names []string) []int {
	at := make([]int, len(names))
	for i, name := range names {
		at[i] = p.column(name)
	}
	return at
}

// path is the place of a join in the model.
func (j *join) path(rest string) string { return fmt.Sprintf("left_join[%d]%s", j.index, rest) }
