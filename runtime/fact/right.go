package fact

import (
	"fmt"
	"math"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/eventtime"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyspace"
	"github.com/calvelake/calve/runtime/record/rowcodec"
	"github.com/calvelake/calve/runtime/upstream"
)

// rights is rows to be joined.
type rights struct {
	key    []arrow.Array
	times  *array.Timestamp // nil without a range
	values []arrow.Array    // of join.right
	owned  []arrow.Array
}

func (r *rights) release() {
	for _, a := range r.owned {
		a.Release()
	}
}

// newRights reads and computes what a join keeps of rows. fault is told of rows
// for which that fails.
func (o *Operator) newRights(j *join, rows arrow.RecordBatch, fault func(row int, code, column, message string)) (*rights, error) {
	r := &rights{}
	if err := r.read(j, rows); err != nil {
		return nil, err
	}
	arguments := make([]arrow.Array, len(j.calls))
	for i, c := range j.calls {
		if c.Argument == nil {
			continue
		}
		values, faults, err := c.Argument.Eval(rows, o.mem)
		if err != nil {
			r.release()
			return nil, fmt.Errorf("%s: %w", j.path(".aggregates"), err)
		}
		r.owned, r.values, arguments[i] = append(r.owned, values), append(r.values, values), values
		for _, f := range faults {
			fault(f.Row, record.CodeExpression, "", fmt.Sprintf("%s: %s: %s", j.path(".aggregates"), c.Column, f.Message))
		}
	}
	for _, f := range o.sets[j.index].Check(arguments) {
		fault(f.Row, record.CodeTooLarge, "", fmt.Sprintf("%s: %s: %s", j.path(".aggregates"), j.calls[f.Call].Column, f.Message))
	}
	for _, c := range j.spec.Copy {
		values, err := upstream.Column(rows, arrow.Field{Name: c.From, Type: j.values.Field(j.values.FieldIndices(c.Name)[0]).Type})
		if err != nil {
			r.release()
			return nil, err
		}
		r.values = append(r.values, values)
	}
	for _, name := range []string{record.ColumnTimestamp, record.ColumnIngestedAt} {
		values, err := upstream.Times(rows, name)
		if err != nil {
			r.release()
			return nil, err
		}
		r.values = append(r.values, values)
	}
	return r, nil
}

// read finds key and time.
func (r *rights) read(j *join, rows arrow.RecordBatch) error {
	for _, pair := range j.spec.On {
		at := j.spec.To.Schema.FieldIndices(pair.Right)[0]
		c, err := upstream.Column(rows, j.spec.To.Schema.Field(at))
		if err != nil {
			return err
		}
		r.key = append(r.key, c)
	}
	if j.spec.Within == nil {
		return nil
	}
	var err error
	r.times, err = upstream.Times(rows, j.spec.Within.Time)
	return err
}

// place is where a row is kept; ok is false for a row that matches nothing.
func (r *rights) place(j *join, row int) (group []byte, at int64, ok bool) {
	if anyNull(r.key, row) >= 0 || r.times != nil && r.times.IsNull(row) {
		return nil, 0, false
	}
	if r.times != nil {
		at = int64(r.times.Value(row))
	}
	return groupOf(nil, j.index, rowcodec.AppendRow(nil, r.key, row)), at, true
}

// rights takes rows of a staging model as rows to be joined.
func (t *taking) rights(j *join) error {
	r, err := t.newRights(j, t.Rows, t.Refuse)
	if err != nil {
		return err
	}
	defer r.release()
	for row := range int(t.Rows.NumRows()) {
		group, at, ok := r.place(j, row)
		if !ok {
			continue
		}
		if eventtime.After(at, t.lateness) <= t.watermark {
			by := time.Duration(t.watermark-eventtime.After(at, t.lateness)) * time.Microsecond
			t.Refuse(row, record.CodeLate, j.spec.Within.Time, fmt.Sprintf("%s %s is late by %s: the watermark is at %s, and fact %s takes rows of %s up to %s before it; calve reconcile --model %s takes it in; raise allowed_lateness where many are late",
				j.spec.Within.Time, eventtime.Text(at), by, eventtime.Text(t.watermark), t.spec.Model, j.spec.To.Name, t.spec.Lateness, t.spec.Model))
		}
		if t.IsRefused(row) {
			continue
		}
		t.keepRight(group, at, t.AppendPosition(nil, row), rowcodec.AppendRow(nil, r.values, row))
		t.schedule(spaceTimers, group, at)
	}
	return nil
}

// keepRight keeps a row, and remembers that its group changed then.
func (o *Operator) keepRight(group []byte, at int64, id, value []byte) {
	o.writes = append(o.writes, keyvalue.Change{Key: keyspace.Key(spaceRights, group, keyvalue.AppendTime(nil, at), id), Value: value})
	o.touch(group, at)
}

// touch remembers that the rows of a group changed at a time.
func (o *Operator) touch(group []byte, at int64) {
	if s, ok := o.groups[string(group)]; ok {
		s.from, s.to = min(s.from, at), max(s.to, at)
		return
	}
	o.groups[string(group)] = &span{at, at}
}

// schedule lets a group or member be looked at when something of a time may be forgotten:
// somewhat later, so that many rows have one timer.
func (o *Operator) schedule(space byte, group []byte, at int64) {
	step := max(1, min(o.lateness/16, int64(time.Hour/time.Microsecond)))
	rounded := at - at%step
	if rounded < at && rounded <= math.MaxInt64-step {
		rounded += step
	}
	if rounded < at {
		rounded = at
	}
	o.timers[string(keyspace.Timer(space, rounded, group))] = true
}

// followRights takes the changes of a keyed model as rows to be joined.
func (o *Operator) followRights(j *join, changes record.Changelog) error {
	var failed error
	r, err := o.newRights(j, changes.Rows, func(row int, _, _, message string) {
		if failed == nil && changes.Ops[row] != record.OpDelete {
			failed = fmt.Errorf("%s; mend the expression, and start again", message)
		}
	})
	if err != nil {
		return err
	}
	defer r.release()
	if failed != nil {
		return failed
	}
	columns, err := j.spec.To.KeyColumns(changes.Rows)
	if err != nil {
		return err
	}
	ids := encode(columns, changes.Len(), none)
	names := make([][]byte, len(ids))
	for i, id := range ids {
		names[i] = keyspace.Key(spaceIDs, []byte{byte(j.index)}, id)
	}
	places, err := o.whereabouts(names)
	if err != nil {
		return err
	}
	for row, op := range changes.Ops {
		if err := o.takeAway(places[row], ids[row]); err != nil {
			return err
		}
		group, at, ok := r.place(j, row)
		if op == record.OpDelete || !ok {
			if places[row] != nil {
				o.moved[string(names[row])] = nil
			}
			continue
		}
		o.keepRight(group, at, ids[row], rowcodec.AppendRow(nil, r.values, row))
		o.moved[string(names[row])] = append(keyvalue.AppendTime(nil, at), group...)
	}
	return nil
}

// takeAway deletes a row of a keyed model from where it is, nil for nowhere.
func (o *Operator) takeAway(place, id []byte) error {
	if place == nil {
		return nil
	}
	if len(place) < 8 {
		return fmt.Errorf("%w: a place of %d bytes", keyvalue.ErrCorrupt, len(place))
	}
	o.writes = append(o.writes, keyvalue.Change{Key: keyspace.Key(spaceRights, place[8:], place[:8], id)})
	o.touch(place[8:], keyvalue.Time(place))
	return nil
}
