package bridge

import (
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/eventtime"
	"github.com/calvelake/calve/runtime/record/rowcodec"
	"github.com/calvelake/calve/runtime/upstream"
)

// Columns of a bridge's table behind weight, before the times of the newest record.
const (
	columnValidFrom = dimension.ColumnValidFrom
	columnValidTo   = dimension.ColumnValidTo
	columnIsCurrent = dimension.ColumnIsCurrent
)

// checkInput checks what is asked of the input.
func (p *Program) checkInput() error {
	from := p.spec.From
	if err := from.Check("from"); err != nil {
		return err
	}
	if p.spec.Where != nil && !from.IsKeyed() && !from.HasChanges() {
		return fmt.Errorf("BUG: where: rows of %s are not changes, they are filtered before they come here", from.Name)
	}
	return nil
}

// checkTimes checks how late changes may be, and the column with their time.
func (p *Program) checkTimes() error {
	if late := p.spec.LateChanges; !eventtime.IsSpan(late) {
		return fmt.Errorf("late_changes: %s is not within 0 and 100 years, in whole microseconds", late)
	}
	if p.spec.EffectiveAt == "" {
		return nil
	}
	return p.spec.From.CheckTimestamptz("effective_at", p.spec.EffectiveAt)
}

// compileExpressions compiles the condition, derived columns and the weight.
func (p *Program) compileExpressions() error {
	var err error
	if p.where, err = projection.CompileWhere(p.spec.Where, p.spec.From.Schema); err != nil {
		return err
	}
	fields, err := p.available()
	if err != nil {
		return err
	}
	if p.derive, err = projection.Derive(p.spec.Derive, fields); err != nil {
		return err
	}
	for i := range p.derive {
		c := &p.derive[i]
		p.early = append(p.early, !slices.ContainsFunc(c.Columns(), p.isOfElement))
		fields = append(fields, c.Field())
	}
	w := p.spec.Weight
	if w == nil {
		return nil
	}
	c, err := projection.Compile("", projection.Column{Name: ColumnWeight, Expression: w}, arrow.NewSchema(fields, nil))
	if err != nil {
		return err
	}
	switch c.Type().ID() {
	case arrow.INT32, arrow.INT64, arrow.FLOAT32, arrow.FLOAT64, arrow.DECIMAL128:
	default:
		return fmt.Errorf("weight: %s is %s, expected a number", w, record.FormatType(c.Type()))
	}
	p.weight = &c
	return nil
}

// available are the columns of the input, and the element.
func (p *Program) available() ([]arrow.Field, error) {
	fields := slices.Clone(p.spec.From.Schema.Fields())
	u := p.spec.Unnest
	if u == nil {
		return fields, nil
	}
	f, err := p.spec.From.Field("unnest.column", u.Column)
	if err != nil {
		return nil, err
	}
	list, ok := f.Type.(*arrow.ListType)
	switch {
	case !ok:
		return nil, fmt.Errorf("unnest.column: column %s is %s, expected a list", f.Name, record.FormatType(f.Type))
	case p.spec.From.Schema.HasField(u.As):
		return nil, fmt.Errorf("unnest.as: %s has a column %s; take another name", p.spec.From.Name, u.As)
	}
	return append(fields, arrow.Field{Name: u.As, Type: list.Elem(), Nullable: true}), nil
}

// isOfElement tells whether a column depends on the element.
func (p *Program) isOfElement(name string) bool {
	if p.spec.Unnest != nil && name == p.spec.Unnest.As {
		return true
	}
	for i, c := range p.derive {
		if c.Name == name {
			return !p.early[i]
		}
	}
	return false
}

// columnType is the type of a column of the input, the element, or a derived one.
func (p *Program) columnType(name string) (arrow.DataType, bool) {
	for _, c := range p.derive {
		if c.Name == name {
			return c.Type(), true
		}
	}
	if u := p.spec.Unnest; u != nil && u.As == name {
		f, _ := p.spec.From.Field("unnest.column", u.Column)
		return f.Type.(*arrow.ListType).Elem(), true
	}
	f, err := p.spec.From.Field("foreign_keys", name)
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
		column := arrow.Field{Name: name, Type: have}
		if err := upstream.CheckKeyType(f.path(".on"), column); err != nil {
			return err
		}
		if err := dimension.CheckPart(f.path(".on"), column, f.To, f.Keys[i]); err != nil {
			return err
		}
	}
	return nil
}

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
			return fmt.Errorf("%s: it is %s, which no table holds", c.Path, c.Type())
		}
		fields = append(fields, c.Field())
	}
	fields = append(fields,
		arrow.Field{Name: columnValidFrom, Type: record.Timestamptz},
		arrow.Field{Name: columnValidTo, Type: record.Timestamptz},
		arrow.Field{Name: columnIsCurrent, Type: arrow.FixedWidthTypes.Boolean},
		arrow.Field{Name: record.ColumnTimestamp, Type: record.Timestamptz, Nullable: true},
		arrow.Field{Name: record.ColumnIngestedAt, Type: record.Timestamptz, Nullable: true},
	)
	var err error
	p.output, err = projection.NewSchema(fields)
	return err
}

// said are the columns of a mapping beside its keys and times.
func (p *Program) said() []projection.Compiled {
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
	var err error
	p.kept, err = p.spec.From.Kept(used)
	return err
}
