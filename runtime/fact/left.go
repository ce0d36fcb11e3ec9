package fact

import (
	"bytes"
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/eventtime"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyspace"
	"github.com/calvelake/calve/runtime/record/rowcodec"
	"github.com/calvelake/calve/runtime/upstream"
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

// newLefts computes what is computed of rows as they come.
func (o *Operator) newLefts(rows arrow.RecordBatch, fault projection.Fault) (*lefts, error) {
	columns, err := upstream.Columns(rows, o.base.Fields())
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

func (l *lefts) eval(o *Operator, c *projection.Compiled, rows arrow.RecordBatch, fault projection.Fault) (arrow.Array, error) {
	values, err := c.Compute(rows, o.mem, fault)
	if err == nil {
		l.owned = append(l.owned, values)
	}
	return values, err
}

// check computes what depends on the rows alone, so that the record at fault is at
// hand: in the end it is computed of what is kept.
func (l *lefts) check(o *Operator, rows arrow.RecordBatch, fault projection.Fault) error {
	if o.where != nil {
		if _, err := l.eval(o, o.where, rows, fault); err != nil {
			return err
		}
	}
	seen := projection.RowsOf(rows)
	for _, i := range o.early {
		batch := seen.Batch()
		values, err := l.eval(o, &o.derive[i], batch, fault)
		batch.Release()
		if err != nil {
			return err
		}
		seen.Add(o.derive[i].Field(), values)
	}
	return nil
}

// leftRows is the rows of a staging model, on their way to facts.
type leftRows struct {
	*taking
	*lefts
	changes upstream.Changes
	stamps  upstream.Stamps
	orders  []byte
}

// lefts takes rows as those of facts.
func (t *taking) lefts() error {
	l := &leftRows{taking: t}
	var err error
	if l.changes, err = upstream.ChangesOf(t.spec.From, t.Rows); err != nil {
		return err
	}
	if l.stamps, err = upstream.StampsOf(t.Rows); err != nil {
		return err
	}
	fault := func(row int, c *projection.Compiled, message string) {
		if !l.changes.IsDelete(row) {
			t.Refuse(row, record.CodeExpression, c.Name, c.Path+": "+message)
		}
	}
	if l.lefts, err = t.newLefts(t.Rows, fault); err != nil {
		return err
	}
	defer l.lefts.release()
	if err := l.lefts.check(t.Operator, t.Rows, fault); err != nil {
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

// judge refuses rows without a key or a time. A deletion may have no time.
func (l *leftRows) judge() {
	for row := range l.rows {
		if i := anyNull(l.key, row); i >= 0 {
			name := l.spec.Grain[i]
			l.Refuse(row, record.CodeNullKey, name, fmt.Sprintf("grain column %s is null: the row belongs to no fact", name))
		}
		if name := l.spec.EventTime; l.columns[l.eventTime].IsNull(row) && !l.changes.IsDelete(row) {
			l.Refuse(row, record.CodeNullEventTime, name, fmt.Sprintf("event time %s is null: the fact has no time", name))
		}
	}
}

// keys are those of the rows that are taken; with append each has its own.
func (l *leftRows) keys() [][]byte {
	keys := encode(l.key, l.rows, func(row int) bool {
		return l.IsRefused(row) || l.changes.IsDelete(row) && l.spec.OnDelete == DeleteIgnore
	})
	if !l.appended {
		return keys
	}
	for row, key := range keys {
		if key != nil {
			keys[row] = l.AppendPosition(key[:len(key):len(key)], row)
		}
	}
	return keys
}

// order is where a row belongs among those of its grain.
func (l *leftRows) order(row int) []byte {
	from := len(l.orders)
	at := int64(l.columns[l.eventTime].(*array.Timestamp).Value(row))
	if l.spec.From.HasChanges() {
		l.orders = l.changes.AppendSequence(l.orders, row)
		var known bool
		if at, known = l.changes.MadeAt(row); !known {
			at = record.NoTime
		}
	}
	l.orders = l.AppendPosition(keyvalue.AppendTime(l.orders, at), row)
	return l.orders[from:len(l.orders):len(l.orders)]
}

// take gives a row to its fact.
func (l *leftRows) take(e *entry, row int) error {
	order := l.order(row)
	if l.changes.IsDelete(row) && !l.appended {
		if bytes.Compare(order, e.deleted) > 0 {
			e.deleted, e.deletion = order, l.stamps.Of(row)
		}
		return nil
	}
	if why := l.late(e, row); why != "" {
		l.Refuse(row, record.CodeLate, l.spec.EventTime, why)
		return nil
	}
	l.fill(&e.kept, row, order)
	return l.put(&e.kept, version{order: order, row: l.row(row), gone: l.changes.IsDelete(row), holes: l.holes(row)})
}

// holes are the columns that a change does not carry.
func (l *leftRows) holes(row int) []hole {
	var holes []hole
	for _, column := range l.changes.Holes(row, l.base) {
		holes = append(holes, hole{column: column})
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
		if eventtime.After(from, l.lateness) > l.watermark || to < from {
			continue
		}
		if have := &e.joins[i]; have.known && have.within.from <= from && bytes.Equal(have.group, groupOf(nil, i, rowcodec.AppendRow(nil, key, row))) {
			continue
		}
		by := time.Duration(l.watermark-eventtime.After(from, l.lateness)) * time.Microsecond
		return fmt.Sprintf("%s %s is late by %s: the watermark is at %s, and rows of %s are kept for %s to be joined; calve reconcile --model %s takes it in; raise allowed_lateness where many are late",
			j.spec.Within.From, eventtime.Text(from), by, eventtime.Text(l.watermark), j.spec.To.Name, l.spec.Lateness, l.spec.Model)
	}
	return ""
}

// followLefts takes the changes of a keyed model as those of facts. A row with a
// null in the grain, as that of an unknown member, is of no fact.
func (o *Operator) followLefts(changes record.Changelog) error {
	columns, err := upstream.Columns(changes.Rows, o.base.Fields())
	if err != nil {
		return err
	}
	grain := pick(columns, o.grain)
	isNone := func(row int) bool { return anyNull(grain, row) >= 0 }
	var failed error
	l, err := o.newLefts(changes.Rows, func(row int, c *projection.Compiled, message string) {
		if failed == nil && changes.Ops[row] != record.OpDelete && !isNone(row) {
			failed = fmt.Errorf("%s cannot be computed for a row: %s; mend the expression, and start again", c.Path, message)
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
			o.moved[string(keyspace.Key(spaceSources, ids[row]))] = nil
			continue
		}
		if old != nil && old != now { // the row is of another grain now, or of none
			old.remove(ids[row], false)
		}
		if old != now {
			o.moved[string(keyspace.Key(spaceSources, ids[row]))] = keys[row]
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
		names[i] = keyspace.Key(spaceSources, id)
	}
	return o.whereabouts(names)
}
