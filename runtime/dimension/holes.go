package dimension

import (
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/rowcodec"
	"github.com/calvelake/calve/runtime/upstream"
)

// Changes of a database need not carry every column. What they lack is that of the
// change before, and so are conditions and derived columns that read it. That is
// found out when a member's changes are gone through, one at a time: it is rare.

// lacks tells whether a change does not carry a column.
func (c *change) lacks(column int) bool { return slices.Contains(c.holes, column) }

// after is the state behind a change.
func (f *fold) after(c *change) (state, error) {
	next, now := f.state, c
	if len(c.holes) > 0 {
		filled, err := f.fill(c)
		if err != nil {
			return state{}, err
		}
		now = filled
	}
	if now.kind == changeDelete || now.kind == changeLeave {
		next.gone = f.exists && f.spec.HardDeletes != HardDeletesIgnore
		if now.kind == changeLeave {
			next.raw = now.raw
		}
		return next, nil
	}
	next.raw, next.over, next.versioned, next.gone = now.raw, now.over, now.versioned, false
	switch {
	case !f.exists:
		next.fixed, next.exists, next.open = now.fixed, true, now.holes
	case len(f.open) > 0:
		return f.carry(next, now)
	}
	return next, nil
}

// carry takes the first values of attributes of type 0 that no change before has
// carried.
func (f *fold) carry(next state, c *change) (state, error) {
	fixed := arrow.NewSchema(f.attributes.Fields()[:f.typed[Type0][1]], nil)
	row, err := upstream.Filling{Schema: fixed, Row: next.fixed, Other: c.fixed}.Fill(f.mem, func(i int) bool { return slices.Contains(f.open, i) && !c.lacks(i) })
	if err != nil {
		return next, err
	}
	next.fixed = row
	next.open = slices.DeleteFunc(slices.Clone(f.open), func(i int) bool { return !c.lacks(i) })
	return next, nil
}

// fill completes a change with what those before it carried. Its holes are then
// the attributes of type 0 that it lacks.
func (f *fold) fill(c *change) (*change, error) {
	out := *c
	out.holes = nil
	for _, i := range c.holes {
		if at := f.attributeOf(i); at >= 0 && f.types[at] == Type0 {
			out.holes = append(out.holes, at)
		}
	}
	if f.hasRaw() {
		return &out, f.computeRaw(&out, c)
	}
	if !f.exists {
		return &out, nil
	}
	row, err := upstream.Filling{Schema: f.attributes, Row: c.row(), Other: f.state.row()}.Fill(f.mem, c.lacks)
	if err == nil {
		err = f.setAttributes(&out.values, row)
	}
	return &out, err
}

// attributeOf is the attribute that a hole is one of, -1 if it is none.
func (p *Program) attributeOf(hole int) int {
	if !p.hasRaw() {
		return hole
	}
	if hole >= p.inputs.NumFields() {
		return -1
	}
	if at := p.attributes.FieldIndices(p.inputs.Field(hole).Name); len(at) == 1 {
		return at[0]
	}
	return -1
}

// hasRaw tells whether columns of the input are kept beside the attributes.
func (p *Program) hasRaw() bool { return p.inputs.NumFields() > 0 }

// row is all attributes in their order.
func (v *values) row() []byte { return slices.Concat(v.fixed, v.over, v.versioned) }

// setAttributes splits a row of attributes by their types.
func (p *Program) setAttributes(v *values, row []byte) error {
	rows, err := rowcodec.Batch(p.attributes, [][]byte{row}, p.mem)
	if err != nil {
		return fmt.Errorf("%w: %w", keyvalue.ErrCorrupt, err)
	}
	defer rows.Release()
	p.splitRow(nil, v, rows.Columns(), 0)
	return nil
}

// splitRow writes a row of attributes by their types, behind data, which it
// returns.
func (p *Program) splitRow(data []byte, v *values, columns []arrow.Array, row int) []byte {
	for t, part := range []*[]byte{&v.fixed, &v.over, &v.versioned} {
		from := len(data)
		data = rowcodec.AppendRow(data, columns[p.typed[t][0]:p.typed[t][1]], row)
		*part = data[from:len(data):len(data)]
	}
	return data
}

// computeRaw completes the raw columns of a change, and makes its attributes of them.
// What cannot be computed is null: the change has other columns.
func (f *fold) computeRaw(out, c *change) error {
	raw, err := upstream.Filling{Schema: f.inputs, Row: c.raw, Other: f.state.raw}.Fill(f.mem, c.lacks)
	if err != nil {
		return err
	}
	out.raw = raw
	rows, err := rowcodec.Batch(f.inputs, [][]byte{raw}, f.mem)
	if err != nil {
		return fmt.Errorf("%w: %w", keyvalue.ErrCorrupt, err)
	}
	defer rows.Release()
	made, err := f.Program.compute(rows, func(int, *projection.Compiled, string) {})
	if err != nil {
		return err
	}
	defer made.release()
	if out.kind = changeRow; !made.meets(0) {
		out.kind = changeLeave
	}
	f.splitRow(nil, &out.values, made.columns, 0)
	return nil
}

// computed is rows with what is computed of them.
type computed struct {
	columns   []arrow.Array  // attributes
	condition *array.Boolean // nil for none
	owned     []arrow.Array
}

func (d *computed) release() {
	for _, a := range d.owned {
		a.Release()
	}
}

// meets tells whether a row meets the condition.
func (d *computed) meets(row int) bool {
	return d.condition == nil || d.condition.IsValid(row) && d.condition.Value(row)
}

// compute computes condition and attributes of rows that have the columns that
// they read. fault is told of what cannot be computed.
func (p *Program) compute(rows arrow.RecordBatch, fault projection.Fault) (*computed, error) {
	d := &computed{}
	if err := d.compute(p, rows, fault); err != nil {
		d.release()
		return nil, err
	}
	return d, nil
}

func (d *computed) compute(p *Program, rows arrow.RecordBatch, fault projection.Fault) error {
	seen := projection.RowsOf(rows)
	eval := func(c *projection.Compiled) (arrow.Array, error) {
		batch := seen.Batch()
		defer batch.Release()
		made, err := c.Compute(batch, p.mem, fault)
		if err == nil {
			d.owned = append(d.owned, made)
		}
		return made, err
	}
	if p.where != nil {
		made, err := eval(p.where)
		if err != nil {
			return err
		}
		d.condition = made.(*array.Boolean)
	}
	for i := range p.derive {
		c := &p.derive[i]
		made, err := eval(c)
		if err != nil {
			return err
		}
		seen.Add(c.Field(), made)
	}
	batch := seen.Batch()
	defer batch.Release()
	var err error
	d.columns, err = upstream.Columns(batch, p.attributes.Fields())
	return err
}
