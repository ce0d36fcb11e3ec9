package fact

import (
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/eventtime"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/rowcodec"
	"github.com/calvelake/calve/runtime/upstream"
)

// made is rows of facts, with the columns of the table.
type made struct {
	rows    arrow.RecordBatch // nil for none
	leftOut []bool            // of rows: where is not true
	bad     []bool            // of rows: it could not be computed
	errors  []RowError        // the first of each of those
}

func (m *made) release() {
	if m.rows != nil {
		m.rows.Release()
	}
}

// rowBuilder makes rows of facts.
type rowBuilder struct {
	*Operator
	list  []candidate
	base  arrow.RecordBatch
	seen  projection.Rows // the columns that expressions see
	owned []interface{ Release() }
	made  *made
	anew  bool // foreign keys are found; otherwise they are those that are kept
}

func (o *Operator) newBuilder(list []candidate) (*rowBuilder, error) {
	rows := make([][]byte, len(list))
	for i, c := range list {
		rows[i] = c.shown.row
	}
	base, err := rowcodec.Batch(o.base, rows, o.mem)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", keyvalue.ErrCorrupt, err)
	}
	b := &rowBuilder{Operator: o, list: list, base: base, seen: projection.RowsOf(base), made: &made{leftOut: make([]bool, len(list)), bad: make([]bool, len(list))}}
	b.owned = append(b.owned, base)
	return b, nil
}

func (b *rowBuilder) release() {
	for _, a := range b.owned {
		a.Release()
	}
}

func (b *rowBuilder) add(fields []arrow.Field, columns []arrow.Array) {
	for i, f := range fields {
		b.seen.Add(f, columns[i])
	}
}

// fail says why a fact has no row; the first reason counts.
func (b *rowBuilder) fail(row int, path, column, message string) {
	if b.made.bad[row] {
		return
	}
	b.made.bad[row] = true
	b.made.errors = append(b.made.errors, RowError{Key: upstream.KeyText(b.spec.Grain, pick(b.base.Columns(), b.grain), row), Path: path, Column: column, Message: message})
}

// eval computes an expression over rows.
func (b *rowBuilder) eval(c *projection.Compiled, over *projection.Rows) (arrow.Array, error) {
	rows := over.Batch()
	defer rows.Release()
	values, err := c.Compute(rows, b.mem, func(row int, c *projection.Compiled, message string) { b.fail(row, c.Path, c.Name, message) })
	if err == nil {
		b.owned = append(b.owned, values)
	}
	return values, err
}

// make makes the rows, of what is kept of the facts.
func (b *rowBuilder) make() (*made, error) {
	for _, step := range []func() error{b.addJoins, b.addMilestones, b.addDerived, b.judge, b.addForeign} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	columns := make([]arrow.Array, 0, b.output.NumFields())
	if b.spec.SurrogateKey != "" {
		key, err := b.surrogate()
		if err != nil {
			return nil, err
		}
		columns = append(columns, key)
	}
	for _, name := range slices.Concat(b.fixed, b.referred, b.chosen) {
		columns = append(columns, b.seen.Find(name))
	}
	if b.spec.OnDelete == DeleteSoft {
		columns = append(columns, b.deleted())
	}
	columns = append(columns, b.newest()...)
	b.made.rows = array.NewRecordBatch(b.output, columns, int64(len(b.list)))
	return b.made, nil
}

// addJoins adds the columns of joins.
func (b *rowBuilder) addJoins() error {
	for _, j := range b.joins {
		rows := make([][]byte, len(b.list))
		for i, c := range b.list {
			rows[i] = c.kept.joins[j.index].values
		}
		values, err := b.decode(j.values, rows)
		if err != nil {
			return fmt.Errorf("%s: %w", j.path(""), err)
		}
		if len(j.spec.Copy) > 0 {
			b.add(j.fields, values.Columns())
			continue
		}
		over := projection.RowsOf(b.base)
		for i, f := range j.values.Fields() {
			over.Add(f, values.Column(i))
		}
		for i := range j.aggregates {
			made, err := b.eval(&j.aggregates[i], &over)
			if err != nil {
				return err
			}
			b.add(j.fields[i:i+1], []arrow.Array{made})
		}
	}
	return nil
}

func (b *rowBuilder) decode(schema *arrow.Schema, rows [][]byte) (arrow.RecordBatch, error) {
	batch, err := rowcodec.Batch(schema, rows, b.mem)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", keyvalue.ErrCorrupt, err)
	}
	b.owned = append(b.owned, batch)
	return batch, nil
}

func (b *rowBuilder) addMilestones() error {
	if len(b.milestones) == 0 {
		return nil
	}
	rows := make([][]byte, len(b.list))
	for i, c := range b.list {
		for _, m := range c.kept.milestones {
			if len(m.value) == 0 {
				rows[i] = append(rows[i], 0) // a null
			} else {
				rows[i] = append(rows[i], m.value...)
			}
		}
	}
	values, err := b.decode(b.filled, rows)
	if err != nil {
		return fmt.Errorf("milestones: %w", err)
	}
	b.add(b.filled.Fields(), values.Columns())
	return nil
}

// addDerived computes the derived columns, each over those before it.
func (b *rowBuilder) addDerived() error {
	for i := range b.derive {
		c := &b.derive[i]
		values, err := b.eval(c, &b.seen)
		if err != nil {
			return err
		}
		b.seen.Add(c.Field(), values)
	}
	return nil
}

// judge leaves out the rows that do not meet the condition.
func (b *rowBuilder) judge() error {
	if b.where == nil {
		return nil
	}
	over := projection.RowsOf(b.base)
	values, err := b.eval(b.where, &over)
	if err != nil {
		return err
	}
	meets := values.(*array.Boolean)
	for i := range b.list {
		b.made.leftOut[i] = meets.IsNull(i) || !meets.Value(i)
	}
	return nil
}

// surrogate is the surrogate keys: of the grain, and with append the position
// (invariant 8).
func (b *rowBuilder) surrogate() (arrow.Array, error) {
	parts := pick(b.base.Columns(), b.grain)
	if b.appended {
		parts = append(parts, pick(b.base.Columns(), b.Program.columns([]string{record.ColumnTopic, record.ColumnPartition, record.ColumnOffset, record.ColumnRow}))...)
	}
	keys, err := record.SurrogateKeys(parts, b.mem)
	if err != nil {
		return nil, err
	}
	b.owned = append(b.owned, keys)
	return keys, nil
}

func (b *rowBuilder) deleted() arrow.Array {
	values := array.NewBooleanBuilder(b.mem)
	defer values.Release()
	for _, c := range b.list {
		values.Append(c.kept.isDeleted(c.shown))
	}
	made := values.NewArray()
	b.owned = append(b.owned, made)
	return made
}

// newest is the times of the newest record that each row was made of.
func (b *rowBuilder) newest() []arrow.Array {
	recorded, ingested := make([]int64, len(b.list)), make([]int64, len(b.list))
	stamps := upstream.NewStamps(b.base.Column(b.recordedAt), b.base.Column(b.ingestedAt))
	for i, c := range b.list {
		newest := stamps.Of(i)
		for _, j := range c.kept.joins {
			if j.known {
				newest = newest.Max(j.newest)
			}
		}
		if !c.shown.gone && c.kept.isDeleted(c.shown) {
			newest = newest.Max(c.kept.deletion)
		}
		recorded[i], ingested[i] = newest.Recorded, newest.Ingested
	}
	columns := []arrow.Array{eventtime.Column(recorded, b.mem), eventtime.Column(ingested, b.mem)}
	b.owned = append(b.owned, columns[0], columns[1])
	return columns
}
