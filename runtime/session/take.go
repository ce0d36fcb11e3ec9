package session

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/aggregate"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/eventtime"
)

// Take adds the rows of a batch to sessions, at a watermark, µs since 1970 UTC.
// taken counts the rows that were added; each of the others is one of rejects,
// in row order. It does not keep the batch.
func (o *Operator) Take(ctx context.Context, batch record.Batch, watermark int64) (taken int, rejects []record.Reject, err error) {
	if err := o.ready(watermark); err != nil {
		return 0, nil, err
	}
	t, err := o.newTaking(batch, watermark)
	if err != nil {
		return 0, nil, fmt.Errorf("sessions of %s: %w", o.spec.Model, err)
	}
	defer t.release()
	t.judge()
	if err := t.compute(); err != nil {
		return 0, nil, fmt.Errorf("sessions of %s: %w", o.spec.Model, err)
	}
	known := len(o.entries)
	t.number()
	if err := o.load(known); err != nil {
		return 0, nil, err
	}
	if err := t.assign(ctx); err != nil {
		return 0, nil, fmt.Errorf("sessions of %s: %w", o.spec.Model, err)
	}
	if o.keeps {
		if err := t.find(); err != nil {
			return 0, nil, fmt.Errorf("sessions of %s: %w", o.spec.Model, err)
		}
	}
	o.set.Grow(len(o.sessions))
	for _, m := range o.plan.merges {
		o.set.Merge(int(m.into), int(m.from))
	}
	o.set.Add(&aggregate.Rows{Slots: t.slots, Order: t.order()}, t.arguments)
	slices.SortFunc(t.refused, func(a, b refusal) int { return cmp.Compare(a.row, b.row) })
	for _, r := range t.refused {
		rejects = append(rejects, r.Reject)
	}
	return len(t.slots) - len(rejects), rejects, nil
}

// taking is one call of Take.
type taking struct {
	*Operator
	batch     record.Batch
	rows      arrow.RecordBatch
	watermark int64
	times     *array.Timestamp
	key       []arrow.Array
	ordinals  []int32
	slots     []int32       // of rows: less than 0 for those that are refused
	ids       []int32       // of rows: the key
	arguments []arrow.Array // of aggregates
	owned     []arrow.Array // those of them that were computed
	refused   []refusal
}

type refusal struct {
	row int
	record.Reject
}

func (o *Operator) newTaking(batch record.Batch, watermark int64) (*taking, error) {
	n := len(batch.Records)
	if int64(n) != batch.Rows.NumRows() {
		return nil, fmt.Errorf("BUG: batch has %d rows and %d record indexes", batch.Rows.NumRows(), n)
	}
	t := &taking{Operator: o, batch: batch, watermark: watermark, rows: batch.Rows, ordinals: batch.RowOrdinals()}
	if o.positions {
		var err error
		if t.rows, err = record.WithPositions(batch, o.mem); err != nil {
			return nil, err
		}
	} else {
		t.rows.Retain()
	}
	column, err := t.column(o.spec.EventTime)
	if err == nil {
		t.times = column.(*array.Timestamp)
	}
	for _, f := range o.keyFields {
		var c arrow.Array
		if c, err = t.column(f.Name); err != nil {
			break
		}
		t.key = append(t.key, c)
	}
	if err != nil {
		t.release()
		return nil, err
	}
	o.scratch.slots, o.scratch.ids = sized(o.scratch.slots, n), sized(o.scratch.ids, n)
	t.slots, t.ids = o.scratch.slots, o.scratch.ids
	clear(t.slots)
	return t, nil
}

// column is one of the columns that the program reads, by name.
func (t *taking) column(name string) (arrow.Array, error) {
	at := t.rows.Schema().FieldIndices(name)
	if len(at) != 1 {
		return nil, fmt.Errorf("BUG: the rows have %d columns %s", len(at), name)
	}
	want := t.spec.Input.Field(t.spec.Input.FieldIndices(name)[0]).Type
	if c := t.rows.Column(at[0]); arrow.TypeEqual(c.DataType(), want) {
		return c, nil
	}
	have := record.FormatType(t.rows.Column(at[0]).DataType())
	return nil, fmt.Errorf("column %s is %s in the table of the model that they read, and declared as %s there; declare it as %s", name, have, record.FormatType(want), have)
}

func (t *taking) release() {
	t.rows.Release()
	for _, a := range t.owned {
		a.Release()
	}
}

// refuse makes a reject of a row, unless it is one.
func (t *taking) refuse(row int, code, column, message string) {
	if t.slots[row] < 0 {
		return
	}
	t.slots[row] = -1
	t.refused = append(t.refused, refusal{row, record.Reject{
		Record: t.batch.Records[row], OfRow: true, Row: t.ordinals[row], Code: code, Column: column, Message: message,
	}})
}

// refuseByPlugin makes a reject of a row that the plugin refuses.
func (t *taking) refuseByPlugin(row int, code, column, message string) {
	before := len(t.refused)
	if t.refuse(row, code, column, message); len(t.refused) > before {
		t.refused[before].ByPlugin = true
	}
}

// judge refuses rows without a time or a key, and late ones.
func (t *taking) judge() {
	name := t.spec.EventTime
	for row, at := range t.times.TimestampValues() {
		switch {
		case t.times.IsNull(row):
			t.refuse(row, record.CodeNullEventTime, name, fmt.Sprintf("event time %s is null: the event belongs to no session", name))
		case t.lateAt(int64(at)) <= t.watermark:
			t.refuse(row, record.CodeLate, name, t.lateMessage(int64(at)))
		}
	}
	for i, c := range t.key {
		if c.NullN() == 0 {
			continue
		}
		for row := range t.slots {
			if c.IsNull(row) {
				name := t.keyFields[i].Name
				t.refuse(row, record.CodeNullKey, name, fmt.Sprintf("key column %s is null: the event belongs to no session", name))
			}
		}
	}
}

func (t *taking) lateMessage(at int64) string {
	by := time.Duration(t.watermark-t.lateAt(at)) * time.Microsecond
	return fmt.Sprintf("event time %s is late by %s: the watermark is at %s, and sessions of %s take events up to %s before it (gap %s and allowed_lateness %s); calve reconcile --model %s takes it in, for it computes sessions anew from the staging table; raise allowed_lateness where many are late",
		eventtime.Text(at), by, eventtime.Text(t.watermark), t.spec.Model, t.spec.Gap+t.spec.Lateness, t.spec.Gap, t.spec.Lateness, t.spec.Model)
}

// compute computes the arguments of aggregates, and refuses the rows for which
// that fails.
func (t *taking) compute() error {
	t.arguments = make([]arrow.Array, len(t.calls))
	for i, c := range t.calls {
		if c.Argument == nil {
			continue
		}
		if name, ok := c.Argument.Plain(); ok {
			column, err := t.column(name)
			if err != nil {
				return err
			}
			t.arguments[i] = column
			continue
		}
		column, faults, err := c.Argument.Eval(t.rows, t.mem)
		if err != nil {
			return fmt.Errorf("aggregate %s: %w", c.Column, err)
		}
		t.arguments[i], t.owned = column, append(t.owned, column)
		for _, f := range faults {
			t.refuse(f.Row, record.CodeExpression, "", fmt.Sprintf("aggregate %s: %s", c.Column, f.Message))
		}
	}
	for _, f := range t.Operator.set.Check(t.arguments) {
		t.refuse(f.Row, record.CodeTooLarge, "", fmt.Sprintf("aggregate %s: %s", t.calls[f.Call].Column, f.Message))
	}
	return nil
}

// number gives the keys of rows their numbers. Rows of one key often follow
// one another.
func (t *taking) number() {
	parts := make([]keyPart, len(t.key))
	for i, c := range t.key {
		parts[i] = keyPartOf(c)
	}
	key, last, lastID := t.scratch.key[:0], []byte(nil), int32(-1)
	for row, slot := range t.slots {
		if slot < 0 {
			continue
		}
		key = key[:0]
		for _, part := range parts {
			key = part(key, row)
		}
		if lastID >= 0 && bytes.Equal(key, last) {
			t.ids[row] = lastID
			continue
		}
		id, fresh := t.keys.id(key)
		if fresh {
			t.hold()
		}
		t.ids[row], last, lastID = id, t.keys.key(id), id
	}
	t.scratch.key = key
}

// assign puts the rows into sessions, without those that a plugin refuses: they
// are refused, and all is done again without them.
func (t *taking) assign(ctx context.Context) error {
	t.begin()
	for {
		times := t.times.TimestampValues()
		for row, slot := range t.slots {
			if slot >= 0 {
				t.slots[row] = t.place(t.ids[row], int64(times[row]))
			}
		}
		if len(t.plan.merges) > 0 {
			for row, slot := range t.slots {
				if slot >= 0 {
					t.slots[row] = t.root(slot)
				}
			}
		}
		if t.plugin == nil {
			return nil
		}
		before := len(t.refused)
		if err := t.accumulate(ctx); err != nil {
			return err
		}
		if len(t.refused) == before {
			return nil
		}
		t.undo()
	}
}

// order is the order of rows.
func (t *taking) order() aggregate.Order {
	n := len(t.slots)
	t.scratch.times, t.scratch.offs = sized(t.scratch.times, n), sized(t.scratch.offs, n)
	for row, at := range t.times.TimestampValues() {
		t.scratch.times[row] = int64(at)
		t.scratch.offs[row] = t.batch.Source.Records[t.batch.Records[row]].Offset
	}
	return aggregate.Order{Times: t.scratch.times, Topic: t.batch.Source.Topic, Partition: t.batch.Source.Partition, Offsets: t.scratch.offs, Ordinals: t.ordinals}
}
