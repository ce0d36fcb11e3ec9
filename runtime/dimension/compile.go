package dimension

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/expression"
	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/eventtime"
	"github.com/calvelake/calve/runtime/record/rowcodec"
)

// Compile checks a Spec. The error is a *projection.ExpressionError where an
// expression is wrong.
func Compile(spec Spec) (*Program, error) {
	p := &Program{spec: spec, mem: spec.Allocator, late: spec.LateChanges.Microseconds()}
	if p.mem == nil {
		p.mem = memory.DefaultAllocator
	}
	for _, step := range []func() error{p.checkInput, p.checkOptions, p.checkKey, p.compileExpressions, p.chooseAttributes, p.keepRaw, p.castUnknown, p.layOut} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("dimension %s: %w", spec.Model, err)
		}
	}
	return p, nil
}

// checkInput checks what is asked of the input.
func (p *Program) checkInput() error {
	from := p.spec.From
	if err := from.Check("from"); err != nil || p.spec.EffectiveAt == "" {
		return err
	}
	return from.CheckTimestamptz("effective_at", p.spec.EffectiveAt)
}

// checkOptions refuses what has no meaning, alone or together.
func (p *Program) checkOptions() error {
	s := &p.spec
	switch {
	case !eventtime.IsSpan(s.LateChanges):
		return fmt.Errorf("late_changes: %s is not within 0 and 100 years, in whole microseconds", s.LateChanges)
	case s.HardDeletes != HardDeletesNewRecord && s.HardDeletes != HardDeletesInvalidate && s.HardDeletes != HardDeletesIgnore:
		return fmt.Errorf("hard_deletes is %q, expected new_record, invalidate or ignore", s.HardDeletes)
	case s.Type1Scope != Type1All && s.Type1Scope != Type1Current:
		return fmt.Errorf("scd.type_1_scope is %q, expected all or current", s.Type1Scope)
	case s.FirstValidFrom != FirstValidFromBeginning && s.FirstValidFrom != FirstValidFromEffective:
		return fmt.Errorf("first_valid_from is %q, expected beginning or effective", s.FirstValidFrom)
	case s.ValidToCurrent != ValidToMaximum && s.ValidToCurrent != ValidToEmpty:
		return fmt.Errorf("valid_to_current is %q, expected maximum or empty", s.ValidToCurrent)
	case s.SurrogateKey == "":
		return fmt.Errorf("surrogate_key: a dimension needs one, as in surrogate_key: %s_key", s.Model)
	case s.Where != nil && !s.From.IsKeyed() && !s.From.HasChanges():
		return fmt.Errorf("BUG: where: rows of %s are not changes, they are filtered before they come here", s.From.Name)
	}
	for name, t := range s.Types {
		if t > Type2 {
			return fmt.Errorf("scd: column %s is of type %d, expected 0, 1 or 2", name, t)
		}
	}
	if s.DefaultType > Type2 {
		return fmt.Errorf("scd.default is %d, expected 0, 1 or 2", s.DefaultType)
	}
	return nil
}

func (p *Program) checkKey() error {
	if len(p.spec.NaturalKey) == 0 {
		return fmt.Errorf("natural_key: a dimension needs one")
	}
	fields, err := p.spec.From.KeyFields("natural_key", p.spec.NaturalKey)
	if err != nil {
		return err
	}
	for i, f := range fields { // the unknown member has none
		fields[i] = arrow.Field{Name: f.Name, Type: f.Type, Nullable: true}
	}
	p.naturalKey = arrow.NewSchema(fields, nil)
	if key := p.spec.From.Key; p.spec.From.IsKeyed() && !slices.Equal(slices.Sorted(slices.Values(key)), slices.Sorted(slices.Values(p.spec.NaturalKey))) {
		return fmt.Errorf("natural_key: several rows of %s would be one member, or one row several: its key is %s; let that be the natural key", p.spec.From.Name, strings.Join(key, ", "))
	}
	return nil
}

// compileExpressions compiles what sees the input, and derived columns before.
func (p *Program) compileExpressions() error {
	in := p.spec.From.Schema
	var err error
	if p.where, err = projection.CompileWhere(p.spec.Where, in); err == nil {
		p.derive, err = projection.Derive(p.spec.Derive, in.Fields())
	}
	return err
}

// available is a column of the input, or a derived one.
func (p *Program) available(name string) (arrow.DataType, bool) {
	for _, c := range p.derive {
		if c.Name == name {
			return c.Type(), true
		}
	}
	f, err := p.spec.From.Field("columns", name)
	return f.Type, err == nil
}

// chooseAttributes orders the attributes by type.
func (p *Program) chooseAttributes() error {
	seen := map[string]bool{}
	var fields []arrow.Field
	for t := Type0; t <= Type2; t++ {
		from := len(fields)
		for _, name := range p.spec.Attributes {
			if p.typeOf(name) != t {
				continue
			}
			typ, ok := p.available(name)
			switch {
			case !ok:
				return fmt.Errorf("columns: there is no column %s", name)
			case seen[name] || slices.Contains(p.spec.NaturalKey, name):
				return fmt.Errorf("columns: column %s twice", name)
			case !rowcodec.Supports(typ):
				return fmt.Errorf("columns: column %s is %s, which no table holds", name, typ)
			}
			seen[name] = true
			fields, p.types = append(fields, arrow.Field{Name: name, Type: typ, Nullable: true}), append(p.types, t)
		}
		p.typed[t] = [2]int{from, len(fields)}
	}
	p.attributes = arrow.NewSchema(fields, nil)
	for _, name := range slices.Sorted(maps.Keys(p.spec.Types)) {
		if !seen[name] {
			return fmt.Errorf("scd: column %s is not among the attributes", name)
		}
	}
	p.hasVersions = p.spec.Decider != nil || slices.Contains(p.types, Type2)
	p.all = p.hasVersions && p.spec.Type1Scope == Type1All && slices.Contains(p.types, Type1)
	return nil
}

// typeOf is what a change of an attribute does. A Decider says that of rows as a
// whole.
func (p *Program) typeOf(name string) Type {
	if p.spec.Decider != nil {
		return Type2
	}
	if t, given := p.spec.Types[name]; given {
		return t
	}
	return p.spec.DefaultType
}

// keepRaw finds the columns of the input that are needed to compute attributes,
// and the condition, of a change that does not carry all of them.
func (p *Program) keepRaw() error {
	used := map[string]bool{}
	if p.spec.From.HasChanges() && (p.where != nil || len(p.derive) > 0) {
		for _, c := range p.derive {
			for _, name := range c.Columns() {
				used[name] = true
			}
		}
		if p.where != nil {
			for _, name := range p.where.Columns() {
				used[name] = true
			}
		}
		for _, name := range p.spec.Attributes {
			used[name] = true
		}
	}
	var err error
	p.inputs, err = p.spec.From.Kept(used)
	return err
}

// castUnknown reads the attributes of the unknown member.
func (p *Program) castUnknown() error {
	for _, name := range slices.Sorted(maps.Keys(p.spec.Unknown)) {
		if !p.attributes.HasField(name) {
			return fmt.Errorf("unknown_member: column %s is not among the attributes", name)
		}
	}
	one := array.NewRecordBatch(arrow.NewSchema(nil, nil), nil, 1)
	defer one.Release()
	for _, f := range p.attributes.Fields() {
		text, given := p.spec.Unknown[f.Name]
		if !given {
			p.unknown = append(p.unknown, 0)
			continue
		}
		value, err := castText(text, f.Type, one, p.mem)
		if err != nil {
			return fmt.Errorf("unknown_member: column %s: %w", f.Name, err)
		}
		p.unknown = rowcodec.AppendRow(p.unknown, []arrow.Array{value}, 0)
		value.Release()
	}
	return nil
}

// castText is a text as a value of a type, in one row.
func castText(text string, t arrow.DataType, one arrow.RecordBatch, mem memory.Allocator) (arrow.Array, error) {
	if err := expression.CheckValue(text, t); err != nil {
		return nil, err
	}
	literal, err := expression.Parse("'" + strings.ReplaceAll(text, "'", "''") + "'")
	if err != nil {
		return nil, err
	}
	if !arrow.TypeEqual(t, arrow.BinaryTypes.String) {
		literal = literal.As(t)
	}
	c, err := literal.Check(one.Schema())
	if err != nil {
		return nil, err
	}
	value, faults, err := c.Eval(one, mem)
	if err != nil {
		return nil, err
	}
	if len(faults) > 0 {
		value.Release()
		return nil, fmt.Errorf("%s", faults[0].Message)
	}
	return value, nil
}

// layOut finds the columns of the table.
func (p *Program) layOut() error {
	fields := []arrow.Field{{Name: p.spec.SurrogateKey, Type: arrow.BinaryTypes.String}}
	if p.spec.DurableKey != "" {
		fields = append(fields, arrow.Field{Name: p.spec.DurableKey, Type: arrow.BinaryTypes.String})
	}
	fields = append(fields, p.naturalKey.Fields()...)
	for _, name := range p.spec.Attributes {
		at := p.attributes.FieldIndices(name)[0]
		p.place = append(p.place, at)
		fields = append(fields, p.attributes.Field(at))
	}
	boolean := arrow.FixedWidthTypes.Boolean
	fields = append(fields,
		arrow.Field{Name: ColumnValidFrom, Type: record.Timestamptz},
		arrow.Field{Name: ColumnValidTo, Type: record.Timestamptz, Nullable: true},
		arrow.Field{Name: ColumnChangedAt, Type: record.Timestamptz, Nullable: true},
		arrow.Field{Name: ColumnIsCurrent, Type: boolean},
		arrow.Field{Name: ColumnIsDeleted, Type: boolean},
		arrow.Field{Name: ColumnIsInferred, Type: boolean},
		arrow.Field{Name: record.ColumnTimestamp, Type: record.Timestamptz, Nullable: true},
		arrow.Field{Name: record.ColumnIngestedAt, Type: record.Timestamptz, Nullable: true},
	)
	var err error
	if p.output, err = projection.NewSchema(fields); err != nil {
		return fmt.Errorf("columns: %w", err)
	}
	return nil
}
