package bridge

import (
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/rowcodec"
)

// Columns of a bridge's table behind weight, before the times of the newest record.
const (
	columnValidFrom = dimension.ColumnValidFrom
	columnValidTo   = dimension.ColumnValidTo
	columnIsCurrent = dimension.ColumnIsCurrent
)

// checkInput finds out what kind of model the input is.
func (p *Program) checkInput() error {
	from := p.spec.From
	p.keyed = from.Key != nil
	p.changes = !p.keyed && from.Schema.HasField(record.ColumnChangeOp)
	need := []string{record.ColumnTimestamp, record.ColumnIngestedAt}
	if !p.keyed {
		need = []string{record.ColumnTopic, record.ColumnPartition, record.ColumnOffset, record.ColumnRow, record.ColumnTimestamp, record.ColumnIngestedAt}
	}
	for _, name := range slices.Concat(need, from.Key) {
		if _, err := p.field("from", name); err != nil {
			return err
		}
	}
	if p.spec.Where != nil && !p.keyed && !p.changes {
		return fmt.Errorf("BUG: where: rows of %s are not changes, they are filtered before they come here", from.Model)
	}
	return nil
}

func (p *Program) field(what, name string) (arrow.Field, error) {
	at := p.spec.From.Schema.FieldIndices(name)
	if len(at) != 1 {
		return arrow.Field{}, fmt.Errorf("%s: %s has no column %s", what, p.spec.From.Model, name)
	}
	return p.spec.From.Schema.Field(at[0]), nil
}

// checkTimes checks how late changes may be, and the column with their time.
func (p *Program) checkTimes() error {
	const most = 100 * 366 * 24 * time.Hour // sums with times do not overflow
	if late := p.spec.LateChanges; late < 0 || late > most || late%time.Microsecond != 0 {
		return fmt.Errorf("late_changes: %s is not within 0 and 100 years, in whole microseconds", late)
	}
	if p.spec.EffectiveAt == "" {
		return nil
	}
	f, err := p.field("effective_at", p.spec.EffectiveAt)
	if err == nil && !arrow.TypeEqual(f.Type, record.Timestamptz) {
		err = fmt.Errorf("effective_at: column %s is %s, expected timestamptz; derive one in the model that is read, as in cast(x as timestamptz)", f.Name, record.FormatType(f.Type))
	}
	return err
}

// compileExpressions compiles the condition, derived columns and the weight.
func (p *Program) compileExpressions() error {
	if w := p.spec.Where; w != nil {
		c, err := w.CheckCondition(p.spec.From.Schema)
		if err != nil {
			return &ExpressionError{"where", w.String(), err}
		}
		p.where = &compiledColumn{"", "where", c}
	}
	fields, err := p.available()
	if err != nil {
		return err
	}
	for _, d := range p.spec.Derive {
		path := "derive." + d.Name
		c, err := d.Expression.Check(arrow.NewSchema(fields, nil))
		if err != nil {
			return &ExpressionError{path, d.Expression.String(), err}
		}
		if slices.ContainsFunc(fields, func(f arrow.Field) bool { return f.Name == d.Name }) {
			return fmt.Errorf("derive: column %s twice", d.Name)
		}
		p.early = append(p.early, !slices.ContainsFunc(c.Columns(), p.isOfElement))
		p.derive = append(p.derive, compiledColumn{d.Name, path, c})
		fields = append(fields, arrow.Field{Name: d.Name, Type: c.Type(), Nullable: true})
	}
	w := p.spec.Weight
	if w == nil {
		return nil
	}
	c, err := w.Check(arrow.NewSchema(fields, nil))
	if err != nil {
		return &ExpressionError{ColumnWeight, w.String(), err}
	}
	switch c.Type().ID() {
	case arrow.INT32, arrow.INT64, arrow.FLOAT32, arrow.FLOAT64, arrow.DECIMAL128:
	default:
		return fmt.Errorf("weight: %s is %s, expected a number", w, record.FormatType(c.Type()))
	}
	p.weight = &compiledColumn{ColumnWeight, ColumnWeight, c}
	return nil
}

// available are the columns of the input, and the element.
func (p *Program) available() ([]arrow.Field, error) {
	fields := slices.Clone(p.spec.From.Schema.Fields())
	u := p.spec.Unnest
	if u == nil {
		return fields, nil
	}
	f, err := p.field("unnest.column", u.Column)
	if err != nil {
		return nil, err
	}
	list, ok := f.Type.(*arrow.ListType)
	switch {
	case !ok:
		return nil, fmt.Errorf("unnest.column: column %s is %s, expected a list", f.Name, record.FormatType(f.Type))
	case p.spec.From.Schema.HasField(u.As):
		return nil, fmt.Errorf("unnest.as: %s has a column %s; take another name", p.spec.From.Model, u.As)
	}
	return append(fields, arrow.Field{Name: u.As, Type: list.Elem(), Nullable: true}), nil
}

// isOfElement tells whether a column depends on the element.
func (p *Program) isOfElement(name string) bool {
	if p.spec.Unnest != nil && name == p.spec.Unnest.As {
		return true
	}
	for i, c := range p.derive {
		if c.name == name {
			return !p.early[i]
		}
	}
	return false
}

// columnType is the type of a column of the input, the element, or a derived one.
func (p *Program) columnType(name string) (arrow.DataType, bool) {
	for _, c := range p.derive {
		if c.name == name {
			return c.Type(), true
		}
	}
	if u := p.spec.Unnest; u != nil && u.As == name {
		f, _ := p.field("unnest.column", u.Column)
		return f.Type.(*arrow.ListType).Elem(), true
	}
	f, err := p.field("foreign_keys", name)
	return f.Type, err == nil
}

// compileKeys tells the keys of owners from those of elements.
func (p *Program) compileKeys() error {
	if len(p.spec.ForeignKeys) < 2 {
		return fmt.Errorf("foreign_keys: %d, a bridge has two at least", len(p.spec.ForeignKeys))
	}
	owners := 0
	for i, spec := range p.spec.ForeignKeys {
		f := foreign{ForeignKey: spec, index: i, ofElement: slices.ContainsFunc(spec.On, p.isOfElement)}
		if err := p.checkOn(&f); err != nil {
			return err
		}
		if !f.ofElement {
			owners++
		}
		p.keys = append(p.keys, f)
	}
	switch {
	case p.spec.Unnest == nil:
		return nil
	case owners == 0:
		return fmt.Errorf("foreign_keys: all of them are found by the element %s; one at least must be found by other columns, which say whose elements they are", p.spec.Unnest.As)
	case owners == len(p.keys):
		return fmt.Errorf("unnest.as: no foreign key is found by the element %s; name it in on of one, or remove unnest", p.spec.Unnest.As)
	}
	return nil
}

func (p *Program) checkOn(f *foreign) error {
	if len(f.On) != len(f.Keys) || len(f.On) == 0 {
		return fmt.Errorf("%s: %d columns, but the natural key of %s has %d", f.path(".on"), len(f.On), f.To, len(f.Keys))
	}
	for i, name := range f.On {
		have, ok := p.columnType(name)
		if !ok {
			return fmt.Errorf("%s: there is no column %s", f.path(".on"), name)
		}
		if !record.IsKeyType(have) {
			return fmt.Errorf("%s: column %s is %s, which cannot be part of a key; expected string, int, long, date, boolean or timestamptz", f.path(".on"), name, record.FormatType(have))
		}
		if !arrow.TypeEqual(have, f.Keys[i]) && !(isWhole(have) && isWhole(f.Keys[i])) {
			return fmt.Errorf("%s: column %s is %s, the natural key of %s has %s there; give both the same data_type", f.path(".on"), name, record.FormatType(have), f.To, record.FormatType(f.Keys[i]))
		}
	}
	return nil
}

func isWhole(t arrow.DataType) bool { return t.ID() == arrow.INT32 || t.ID() == arrow.INT64 }

// layOut finds the columns of the table.
func (p *Program) layOut() error {
	var fields []arrow.Field
	text := arrow.BinaryTypes.String
	if p.spec.SurrogateKey != "" {
		fields = append(fields, arrow.Field{Name: p.spec.SurrogateKey, Type: text})
	}
	for _, k := range p.keys {
		fields = append(fields, arrow.Field{Name: k.Name, Type: text})
	}
	for _, c := range p.said() {
		if !rowcodec.Supports(c.Type()) {
			return fmt.Errorf("%s: it is %s, which no table holds", c.path, c.Type())
		}
		fields = append(fields, arrow.Field{Name: c.name, Type: c.Type(), Nullable: true})
	}
	fields = append(fields,
		arrow.Field{Name: columnValidFrom, Type: record.Timestamptz},
		arrow.Field{Name: columnValidTo, Type: record.Timestamptz},
		arrow.Field{Name: columnIsCurrent, Type: arrow.FixedWidthTypes.Boolean},
		arrow.Field{Name: record.ColumnTimestamp, Type: record.Timestamptz, Nullable: true},
		arrow.Field{Name: record.ColumnIngestedAt, Type: record.Timestamptz, Nullable: true},
	)
	seen := map[string]bool{}
	for _, f := range fields {
		if seen[f.Name] {
			return fmt.Errorf("column %s twice", f.Name)
		}
		seen[f.Name] = true
	}
	p.output = arrow.NewSchema(fields, nil)
	return nil
}

// said are the columns of a mapping beside its keys and times.
func (p *Program) said() []compiledColumn {
	all := slices.Clone(p.derive)
	if p.weight != nil {
		all = append(all, *p.weight)
	}
	return all
}

// keep finds the columns of the input that are read later, and are thus kept.
func (p *Program) keep() error {
	used := map[string]bool{}
	for _, c := range p.expressions() {
		for _, name := range c.Columns() {
			used[name] = true
		}
	}
	for _, k := range p.keys {
		for _, name := range k.On {
			used[name] = true
		}
	}
	if p.spec.Unnest != nil {
		used[p.spec.Unnest.Column] = true
	}
	var fields []arrow.Field
	for _, f := range p.spec.From.Schema.Fields() {
		if !used[f.Name] {
			continue
		}
		if !rowcodec.Supports(f.Type) {
			return fmt.Errorf("from: column %s is %s, which no table holds", f.Name, f.Type)
		}
		fields = append(fields, arrow.Field{Name: f.Name, Type: f.Type, Nullable: true}) // a deletion may carry less
	}
	p.kept = arrow.NewSchema(fields, nil)
	return nil
}
