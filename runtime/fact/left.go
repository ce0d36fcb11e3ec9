package fact

import (
	"bytes"
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/rowcodec"
)

// lefts is the rows of the input, as facts are made of them.
type lefts struct {
	rows       int
	columns    []arrow.Array // of Program.base
	key        []arrow.Array
	milestones []arrow.Array
	owned      []arrow.Array
	data       []byte // of rows that are kept
}

func (l *lefts) release() {
	for _, a := range l.owned {
		a.Release()
	}
}

// row writes a row down.
func (l *lefts) row(row int) []byte {
	from := len(l.data)
	l.data = rowcodec.AppendRow(l.data, l.columns, row)
	return l.data[from:len(l.data):len(l.data)]
}

// fill gives a row's milestones to its fact.
func (l *lefts) fill(k *kept, row int, order []byte) {
	for i, m := range l.milestones {
		if m.IsValid(row) {
			k.fill(i, order, rowcodec.AppendRow(nil, l.milestones[i:i+1], row))
		}
	}
}

// newLefts computes what is computed of rows as they come. fault is told of rows
// for which that fails.
func (o *Operator) newLefts(rows arrow.RecordBatch, fault func(row int, c *compiledColumn, message string)) (*lefts, error) {
	columns, err := columnsOf(rows, o.base.Fields())
	if err != nil {
		return nil, err
	}
	l := &lefts{rows: int(rows.NumRows()), columns: columns, key: pick(columns, o.grain)}
	for i := range o.milestones {
		values, err := l.eval(o, &o.milestones[i], rows, fault)
		if err != nil {
			l.release()
			return nil, err
		}
		l.milestones = append(l.milestones, values)
	}
	return l, nil
}

func (l *lefts) eval(o *Operator, c *compiledColumn, rows arrow.RecordBatch, fault func(row int, c *compiledColumn, message string)) (arrow.Array, error) {
	values, faults, err := c.Eval(rows, o.mem)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.path, err)
	}
	l.owned = append(l.owned, values)
	for _, f := range faults {
		fault(f.Row, c, f.Message)
	}
	return values, nil
}

// check computes what depends on the rows alone, so that the record at fault is at
// hand: in the end it is computed of what is kept.
func (l *lefts) check(o *Operator, rows arrow.RecordBatch, fault func(row int, c *compiledColumn, message string)) error {
	if o.where != nil {
		if _, err := l.eval(o, o.where, rows, fault); err != nil {
			return err
		}
	}
	fields, columns := rows.Schema().Fields(), rows.Columns()
	for _, i := range o.early {
		seen := newBatch(arrow.NewSchema(fields, nil), columns, l.rows)
		values, err := l.eval(o, &o.derive[i], seen, fault)
		seen.Release()
		if err != nil {
			return err
		}
		fields = append(fields[:len(fields):len(fields)], arrow.Field{Name: o.derive[i].name, Type: values.DataType(), Nullable: true})
		columns = append(columns[:len(columns):len(columns)], values)
	}
	return nil
}

// leftRows is the rows of a staging model, on their way to facts.
type leftRows struct {
	*taking
	*lefts
	ops       *array.String // nil without change columns
	sequences *array.String
	changedAt *array.Timestamp
	missing   *array.List
	orders    []byte
}

// lefts takes rows as those of facts.
func (t *taking) lefts() error {
	fault := func(row int, c *compiledColumn, message string) {
		t.refuse(row, record.CodeExpression, c.name, c.path+": "+message)
	}
	var deleted func(row int) bool
	l := &leftRows{taking: t}
	if err := l.changes(); err != nil {
		return err
	}
	deleted = l.isDelete
	some := func(row int, c *compiledColumn, message string) {
		if !deleted(row) {
			fault(row, c, message)
		}
	}
	var err error
	if l.lefts, err = t.newLefts(t.rows, some); err != nil {
		return err
	}
	defer l.lefts.release()
	if err := l.lefts.check(t.Operator, t.rows, some); err != nil {
		return err
	}
	l.judge()
	entries, err := t.hold(l.keys())
	if err != nil {
		return err
	}
	for row, e := range entries {
		if e == nil {
			continue
		}
		if err := l.take(e, row); err != nil {
			return err
		}
	}
	return nil
}

// changes finds the change columns.
func (l *leftRows) changes() error {
	if !l.Program.changes {
		return nil
	}
	columns, err := columnsOf(l.taking.rows, record.ChangeFields())
	if err != nil {
		return err
	}
	l.ops, l.changedAt = columns[0].(*array.String), columns[1].(*array.Timestamp)
	l.sequences, l.missing = columns[2].(*array.String), columns[3].(*array.List)
	return nil
}

func (l *leftRows) isDelete(row int) bool { return l.ops != nil && l.ops.Value(row) == "d" }

// judge refuses rows without a key or a time. A deletion may have no time.
func (l *leftRows) judge() {
	for row := range l.lefts.rows {
		if i := anyNull(l.key, row); i >= 0 {
			name := l.spec.Grain[i]
			l.refuse(row, record.CodeNullKey, name, fmt.Sprintf("grain column %s is null: the row belongs to no fact", name))
		}
		if name := l.spec.EventTime; l.columns[l.eventTime].IsNull(row) && !l.isDelete(row) {
			l.refuse(row, record.CodeNullEventTime, name, fmt.Sprintf("event time %s is null: the fact has no time", name))
		}
	}
}

// keys are those of the rows that are taken; with append each has its own.
func (l *leftRows) keys() [][]byte {
	keys := encode(l.key, l.lefts.rows, func(row int) bool {
		_, refused := l.refused[row]
		return refused || l.isDelete(row) && l.spec.OnDelete == DeleteIgnore
	})
	if !l.appended {
		return keys
	}
	for row, key := range keys {
		if key != nil {
			keys[row] = l.position(key[:len(key):len(key)], row)
		}
	}
	return keys
}

// order is where a row belongs among those of its grain.
func (l *leftRows) order(row int) []byte {
	from := len(l.orders)
	if l.ops == nil {
		l.orders = keyvalue.AppendTime(l.orders, int64(l.columns[l.eventTime].(*array.Timestamp).Value(row)))
	} else {
		if l.sequences.IsValid(row) {
			l.orders = append(l.orders, l.sequences.Value(row)...)
		}
		l.orders = append(l.orders, 0)
		at := int64(record.NoTime)
		if l.changedAt.IsValid(row) {
			at = int64(l.changedAt.Value(row))
		}
		l.orders = keyvalue.AppendTime(l.orders, at)
	}
	l.orders = l.position(l.orders, row)
	return l.orders[from:len(l.orders):len(l.orders)]
}

// take gives a row to its fact.
func (l *leftRows) take(e *entry, row int) error {
	order := l.order(row)
	if l.isDelete(row) && !l.appended {
		if bytes.Compare(order, e.deleted) > 0 {
			e.deleted, e.deletion = order, l.stamp(row)
		}
		return nil
	}
	if why := l.late(e, row); why != "" {
		l.refuse(row, record.CodeLate, l.spec.EventTime, why)
		return nil
	}
	l.fill(&e.kept, row, order)
	return l.put(&e.kept, version{order: order, row: l.row(row), gone: l.isDelete(row), holes: l.holes(row)})
}

func (l *leftRows) stamp(row int) stamp {
	return stamp{int64(l.columns[l.recordedAt].(*array.Timestamp).Value(row)), int64(l.columns[l.ingestedAt].(*array.Timestamp).Value(row))}
}

// holes are the columns that a change does not carry.
func (l *leftRows) holes(row int) []hole {
	if l.missing == nil || l.missing.IsNull(row) {
		return nil
	}
	names := l.missing.ListValues().(*array.String)
	var holes []hole
	for i, end := l.missing.ValueOffsets(row); i < end; i++ {
		if at := l.base.FieldIndices(names.Value(int(i))); len(at) == 1 {
			holes = append(holes, hole{column: at[0]})
		}
	}
	return holes
}

// late says why a row can no longer be joined, "" if it can.
func (l *leftRows) late(e *entry, row int) string {
	for i, j := range l.joins {
		key := pick(l.columns, j.left)
		if !j.staging || anyNull(key, row) >= 0 || l.columns[j.from].IsNull(row) || l.columns[j.to].IsNull(row) {
			continue
		}
		from, to := int64(l.columns[j.from].(*array.Timestamp).Value(row)), int64(l.columns[j.to].(*array.Timestamp).Value(row))
		if after(from, l.lateness) > l.watermark || to < from {
			continue
		}
		if have := &e.joins[i]; have.known && have.within.from <= from && bytes.Equal(have.group, groupOf(nil, i, rowcodec.AppendRow(nil, key, row))) {
			continue
		}
		by := time.Duration(l.watermark-after(from, l.lateness)) * time.Microsecond
		return fmt.Sprintf("%s %s is late by %s: the watermark is at %s, and rows of %s are kept for %s to be joined; calve reconcile --model %s takes it in; raise allowed_lateness where many are late",
			j.spec.Within.From, timeText(from), by, timeText(l.watermark), j.spec.To.Model, l.spec.Lateness, l.spec.Model)
	}
	return ""
}

func timeText(us int64) string { return time.UnixMicro(us).UTC().Format(time.RFC3339Nano) }

// after is a time later by a span, and the last one where there is none.
func after(t, span int64) int64 {
	if sum := t + span; sum >= t {
		return sum
	}
	return always.to
}

// followLefts takes the changes of a keyed model as those of facts. A row with a
// null in the grain, as that of an unknown member, is of no fact.
func (o *Operator) followLefts(changes record.Changelog) error {
	columns, err := columnsOf(changes.Rows, o.base.Fields())
	if err != nil {
		return err
	}
	grain := pick(columns, o.grain)
	isNone := func(row int) bool { return anyNull(grain, row) >= 0 }
	var failed error
	l, err := o.newLefts(changes.Rows, func(row int, c *compiledColumn, message string) {
		if failed == nil && changes.Ops[row] != record.OpDelete && !isNone(row) {
			failed = fmt.Errorf("%s cannot be computed for a row: %s; mend the expression, and start again", c.path, message)
		}
	})
	if err != nil {
		return err
	}
	defer l.release()
	if failed != nil {
		return failed
	}
	ids := encode(pick(l.columns, o.id), l.rows, none)
	keys := encode(l.key, l.rows, isNone)
	former, err := o.former(ids)
	if err != nil {
		return err
	}
	entries, err := o.hold(keys)
	if err != nil {
		return err
	}
	olds, err := o.hold(former)
	if err != nil {
		return err
	}
	for row, op := range changes.Ops {
		old, now := olds[row], entries[row]
		if op == record.OpDelete {
			if o.spec.OnDelete == DeleteIgnore {
				continue
			}
			if old != nil {
				old.remove(ids[row], o.spec.OnDelete == DeleteSoft)
			}
			o.moved[string(spaced(spaceSources, ids[row]))] = nil
			continue
		}
		if old != nil && old != now { // the row is of another grain now, or of none
			old.remove(ids[row], false)
		}
		if old != now {
			o.moved[string(spaced(spaceSources, ids[row]))] = keys[row]
		}
		if now != nil {
			l.follow(o, now, row, ids[row])
		}
	}
	return nil
}

// follow gives a row of a keyed model to its fact.
func (l *lefts) follow(o *Operator, now *entry, row int, id []byte) {
	at := always.from
	if times := l.columns[o.eventTime].(*array.Timestamp); times.IsValid(row) {
		at = int64(times.Value(row))
	}
	l.fill(&now.kept, row, nil)
	now.replace(version{id: id, order: keyvalue.AppendTime(nil, at), row: l.row(row)})
}

func none(int) bool { return false }

// former is the grains that rows of a keyed model had.
func (o *Operator) former(ids [][]byte) ([][]byte, error) {
	names := make([][]byte, len(ids))
	for i, id := range ids {
		names[i] = spaced(spaceSources, id)
	}
	return o.whereabouts(names)
}
