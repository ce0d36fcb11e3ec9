package dimension

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/eventtime"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/rowcodec"
	"github.com/calvelake/calve/runtime/upstream"
)

// taking is one call of Take.
type taking struct {
	*Operator
	*upstream.Batch
	horizon   int64 // changes of that time and before may have been forgotten
	watermark int64
	changes   upstream.Changes
	*rowReader
}

func (t *taking) run(batch record.Batch) ([]record.Reject, error) {
	var err error
	if t.Batch, err = upstream.NewBatch(batch, t.mem); err != nil {
		return nil, err
	}
	defer t.Release()
	if t.changes, err = upstream.ChangesOf(t.spec.From, t.Rows); err != nil {
		return nil, err
	}
	faults := map[int]bool{}
	t.rowReader, err = t.newRowReader(t.Rows, t.changes, func(row int, c *projection.Compiled, message string) {
		if !t.changes.IsDelete(row) {
			t.Refuse(row, record.CodeExpression, c.Name, c.Path+": "+message)
			faults[row] = true
		}
	})
	if err != nil {
		return nil, err
	}
	defer t.rowReader.release()
	// What a change does not carry may be what an expression fails for.
	for row := range faults {
		if t.hasRaw() && len(t.holes(row)) > 0 {
			t.Admit(row)
		}
	}
	t.judge()
	if err := t.judgeLate(); err != nil {
		return nil, err
	}
	for row := range t.rows {
		if !t.IsRefused(row) && !(t.changes.IsDelete(row) && t.spec.HardDeletes == HardDeletesIgnore) {
			t.keep(row)
		}
	}
	return t.Rejects(), nil
}

// judge refuses rows without a key or a time.
func (t *taking) judge() {
	for row := range t.rows {
		for i, c := range t.key {
			if c.IsNull(row) {
				name := t.naturalKey.Field(i).Name
				t.Refuse(row, record.CodeNullKey, name, fmt.Sprintf("natural key column %s is null: the row is of no member", name))
			}
		}
		if _, ok := t.effective.OfEvent(row); !ok {
			name := t.spec.EffectiveAt
			t.Refuse(row, record.CodeNullEventTime, name, fmt.Sprintf("effective time %s is null: the change has no place among those of its member", name))
		}
	}
}

// judgeLate refuses changes that come before others of their member, which were
// known when the epoch began, and later than late_changes allows: what lies
// between may have been forgotten. What comes behind all others splits nothing,
// and is never late.
func (t *taking) judgeLate() error {
	var rows []int
	var members []*member
	for row := range t.rows {
		if t.IsRefused(row) {
			continue
		}
		if at, _ := t.effective.OfEvent(row); at <= t.horizon {
			rows, members = append(rows, row), append(members, t.member(t.memberKey(row)))
		}
	}
	if err := t.readHeads(members); err != nil {
		return err
	}
	for i, row := range rows {
		h := members[i].head
		if len(h.newest) == 0 || bytes.Compare(t.order(nil, row), h.newest) > 0 {
			continue
		}
		at, _ := t.effective.OfEvent(row)
		t.Refuse(row, record.CodeLateChange, t.spec.EffectiveAt, fmt.Sprintf(
			"the change took effect at %s, before the newest one of its member at %s, and is late: the watermark is at %s, and late_changes is %s; raise late_changes, or let the model begin anew with --reset-model %s",
			eventtime.Text(at), eventtime.Text(keyvalue.Time(h.newest)), eventtime.Text(t.watermark), time.Duration(t.late)*time.Microsecond, t.spec.Model))
	}
	return nil
}

// order writes where a row belongs among those of its member.
func (t *taking) order(to []byte, row int) []byte {
	at, _ := t.effective.OfEvent(row)
	return t.AppendPosition(t.changes.AppendSequence(keyvalue.AppendTime(to, at), row), row)
}

// keep holds a change until the end of the epoch.
func (t *taking) keep(row int) {
	data := t.space()
	from := len(data)
	data = t.order(data, row)
	c := change{order: data[from:len(data):len(data)], op: t.changes.Op(row), stamp: t.stamps.Of(row)}
	switch {
	case t.changes.IsDelete(row):
		c.kind = changeDelete
	default:
		if c.holes = t.holes(row); t.hasRaw() {
			c.raw = t.raw(row)
		}
		switch {
		case t.hasRaw() && len(c.holes) > 0:
			c.kind = changePartial
		case !t.meets(row):
			c.kind = changeLeave
		default:
			data = t.splitRow(data, &c.values, t.columns, row)
		}
	}
	t.data = data
	m := t.member(t.memberKey(row))
	m.fresh = append(m.fresh, c)
}

// holes are the columns that a change does not carry and that matter.
func (t *taking) holes(row int) []int {
	switch {
	case t.changes.IsDelete(row):
		return nil
	case t.hasRaw():
		return t.changes.Holes(row, t.inputs)
	}
	return t.changes.Holes(row, t.attributes)
}

// rowReader is the rows of an input with what is computed of them.
type rowReader struct {
	*computed
	rows      int
	key       []arrow.Array
	carried   []arrow.Array // of Program.inputs
	stamps    upstream.Stamps
	effective upstream.Effective
	keys      []byte
	data      []byte // what is held of rows lies here
}

// space is room for a row behind what is held.
func (r *rowReader) space() []byte {
	const least, most = 1 << 10, 64 << 10
	if cap(r.data)-len(r.data) < least {
		r.data = make([]byte, 0, most)
	}
	return r.data
}

func (p *Program) newRowReader(rows arrow.RecordBatch, changes upstream.Changes, fault projection.Fault) (*rowReader, error) {
	r := &rowReader{rows: int(rows.NumRows())}
	var err error
	if r.key, err = upstream.Columns(rows, p.naturalKey.Fields()); err != nil {
		return nil, err
	}
	if r.carried, err = upstream.Columns(rows, p.inputs.Fields()); err != nil {
		return nil, err
	}
	if r.stamps, err = upstream.StampsOf(rows); err != nil {
		return nil, err
	}
	if r.effective, err = upstream.EffectiveOf(rows, p.spec.EffectiveAt, changes, r.stamps); err != nil {
		return nil, err
	}
	r.computed, err = p.compute(rows, fault)
	return r, err
}

// memberKey is the natural key of a row, valid until the next call.
func (r *rowReader) memberKey(row int) []byte {
	r.keys = rowcodec.AppendRow(r.keys[:0], r.key, row)
	return r.keys
}

func (r *rowReader) raw(row int) []byte { return rowcodec.AppendRow(nil, r.carried, row) }

// hasNullKey tells whether a row is of no member.
func (r *rowReader) hasNullKey(row int) bool {
	for _, c := range r.key {
		if c.IsNull(row) {
			return true
		}
	}
	return false
}

// follow holds the changes of a keyed model until the end of the epoch. Its
// unknown member is none here.
func (o *Operator) follow(changes record.Changelog, call uint64) error {
	var failed error
	r, err := o.newRowReader(changes.Rows, upstream.Changes{}, func(row int, c *projection.Compiled, message string) {
		if failed == nil && changes.Ops[row] != record.OpDelete {
			failed = fmt.Errorf("%s cannot be computed for a row: %s; mend the expression, and start again", c.Path, message)
		}
	})
	if err != nil {
		return err
	}
	defer r.release()
	if failed != nil {
		return failed
	}
	for row, op := range changes.Ops {
		if r.hasNullKey(row) || op == record.OpDelete && o.spec.HardDeletes == HardDeletesIgnore {
			continue
		}
		c := change{op: byte(op), stamp: r.stamps.Of(row)}
		c.order = binary.BigEndian.AppendUint64(keyvalue.AppendTime(nil, r.effectiveOf(row, op)), call)
		switch {
		case op == record.OpDelete:
			c.kind = changeDelete
		case !r.meets(row):
			c.kind = changeLeave
		default:
			r.data = o.splitRow(r.space(), &c.values, r.columns, row)
		}
		m := o.member(r.memberKey(row))
		m.fresh = append(m.fresh, c)
	}
	return nil
}

// effectiveOf is when a change of a keyed model took effect: at Beginning, if nothing
// says so.
func (r *rowReader) effectiveOf(row int, op record.Op) int64 {
	if at := r.effective.OfChange(row, op); at != record.NoTime {
		return at
	}
	return Beginning
}
