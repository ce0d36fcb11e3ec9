package dimension

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/rowcodec"
)

// taking is one call of Take.
type taking struct {
	*Operator
	batch     record.Batch
	horizon   int64 // changes of that time and before may have been forgotten
	watermark int64
	ordinals  []int32
	rejects   []*record.Reject // by row; nil for those that are taken

	*rowReader
	ops       *array.String // nil without change columns
	changedAt *array.Timestamp
	sequences *array.String
	missing   *array.List
}

func (t *taking) run() ([]record.Reject, error) {
	rows, err := record.WithPositions(t.batch, t.mem)
	if err != nil {
		return nil, err
	}
	defer rows.Release()
	t.rejects = make([]*record.Reject, rows.NumRows())
	if t.changes {
		columns, err := columnsOf(rows, arrow.NewSchema(record.ChangeFields(), nil))
		if err != nil {
			return nil, err
		}
		t.ops, t.changedAt = columns[0].(*array.String), columns[1].(*array.Timestamp)
		t.sequences, t.missing = columns[2].(*array.String), columns[3].(*array.List)
	}
	faults := map[int]string{}
	t.rowReader, err = t.newRowReader(rows, func(row int, c *compiledColumn, message string) {
		if t.op(row) != 'd' {
			t.refuse(row, record.CodeExpression, c.name, c.path+": "+message)
			faults[row] = c.name
		}
	})
	if err != nil {
		return nil, err
	}
	defer t.rowReader.release()
	// What a change does not carry may be what an expression fails for.
	for row := range faults {
		if t.hasRaw() && len(t.holes(row)) > 0 {
			t.rejects[row] = nil
		}
	}
	t.judge()
	if err := t.judgeLate(); err != nil {
		return nil, err
	}
	for row, reject := range t.rejects {
		if op := t.op(row); reject == nil && (op != 'd' || t.spec.HardDeletes != HardDeletesIgnore) {
			t.keep(row, op)
		}
	}
	var out []record.Reject
	for _, reject := range t.rejects {
		if reject != nil {
			out = append(out, *reject)
		}
	}
	return out, nil
}

// refuse makes a reject of a row, unless it is one.
func (t *taking) refuse(row int, code, column, message string) {
	if t.rejects[row] == nil {
		t.rejects[row] = &record.Reject{Record: t.batch.Records[row], OfRow: true, Row: t.ordinals[row], Code: code, Column: column, Message: message}
	}
}

// op is what a row is: c for one that is no change of a database.
func (t *taking) op(row int) byte {
	if t.ops == nil || t.ops.ValueLen(row) == 0 {
		return 'c'
	}
	return t.ops.Value(row)[0]
}

// judge refuses rows without a key or a time.
func (t *taking) judge() {
	for row := range t.rows {
		for i, c := range t.key {
			if c.IsNull(row) {
				name := t.naturalKey.Field(i).Name
				t.refuse(row, record.CodeNullKey, name, fmt.Sprintf("natural key column %s is null: the row is of no member", name))
			}
		}
		if _, ok := t.effective(row); !ok {
			name := t.spec.EffectiveAt
			t.refuse(row, record.CodeNullEventTime, name, fmt.Sprintf("effective time %s is null: the change has no place among those of its member", name))
		}
	}
}

// effective is when a change took effect. A deletion did when it was made: its row
// is the one before.
func (t *taking) effective(row int) (int64, bool) {
	made := int64(t.recorded.Value(row))
	if t.changedAt != nil && t.changedAt.IsValid(row) {
		made = int64(t.changedAt.Value(row))
	}
	switch {
	case t.at == nil && t.changes:
		return made, true
	case t.at == nil:
		return int64(t.recorded.Value(row)), true
	case t.op(row) == 'd' && t.at.IsNull(row):
		return made, true
	case t.op(row) == 'd':
		return max(made, int64(t.at.Value(row))), true
	}
	return int64(t.at.Value(row)), t.at.IsValid(row)
}

// judgeLate refuses changes that come before others of their member, which were
// known when the epoch began, and later than late_changes allows: what lies
// between may have been forgotten. What comes behind all others splits nothing,
// and is never late.
func (t *taking) judgeLate() error {
	var rows []int
	var members []*member
	for row := range t.rows {
		if t.rejects[row] != nil {
			continue
		}
		if at, _ := t.effective(row); at <= t.horizon {
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
		at, _ := t.effective(row)
		t.refuse(row, record.CodeLateChange, t.spec.EffectiveAt, fmt.Sprintf(
			"the change took effect at %s, before the newest one of its member at %s, and is late: the watermark is at %s, and late_changes is %s; raise late_changes, or let the model begin anew with --reset-model %s",
			timeText(at), timeText(keyvalue.Time(h.newest)), timeText(t.watermark), time.Duration(t.late)*time.Microsecond, t.spec.Model))
	}
	return nil
}

// order writes where a row belongs among those of its member.
func (t *taking) order(to []byte, row int) []byte {
	at, _ := t.effective(row)
	s := t.batch.Source
	to = keyvalue.AppendTime(to, at)
	if t.sequences != nil && t.sequences.IsValid(row) {
		to = append(to, t.sequences.Value(row)...)
	}
	to = append(append(append(to, 0), s.Topic...), 0)
	to = binary.BigEndian.AppendUint32(to, uint32(s.Partition))
	to = binary.BigEndian.AppendUint64(to, uint64(s.Records[t.batch.Records[row]].Offset))
	return binary.BigEndian.AppendUint32(to, uint32(t.ordinals[row]))
}

// keep holds a change until the end of the epoch.
func (t *taking) keep(row int, op byte) {
	data := t.space()
	from := len(data)
	data = t.order(data, row)
	c := change{order: data[from:len(data):len(data)], op: op, stamp: t.stamp(row)}
	switch {
	case op == 'd':
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
	if t.missing == nil || t.missing.IsNull(row) || t.op(row) == 'd' {
		return nil
	}
	among := t.attributes
	if t.hasRaw() {
		among = t.inputs
	}
	names := t.missing.ListValues().(*array.String)
	var holes []int
	for i, end := t.missing.ValueOffsets(row); i < end; i++ {
		if at := among.FieldIndices(names.Value(int(i))); len(at) == 1 {
			holes = append(holes, at[0])
		}
	}
	return holes
}

// rowReader is the rows of an input with what is computed of them.
type rowReader struct {
	*computed
	rows     int
	key      []arrow.Array
	carried  []arrow.Array    // of Program.inputs
	at       *array.Timestamp // nil for none
	recorded *array.Timestamp
	ingested *array.Timestamp
	keys     []byte
	data     []byte // what is held of rows lies here
}

// space is room for a row behind what is held.
func (r *rowReader) space() []byte {
	const least, most = 1 << 10, 64 << 10
	if cap(r.data)-len(r.data) < least {
		r.data = make([]byte, 0, most)
	}
	return r.data
}

func (p *Program) newRowReader(rows arrow.RecordBatch, fault func(row int, c *compiledColumn, message string)) (*rowReader, error) {
	r := &rowReader{rows: int(rows.NumRows())}
	var err error
	if r.key, err = columnsOf(rows, p.naturalKey); err != nil {
		return nil, err
	}
	if r.carried, err = columnsOf(rows, p.inputs); err != nil {
		return nil, err
	}
	for name, to := range map[string]**array.Timestamp{record.ColumnTimestamp: &r.recorded, record.ColumnIngestedAt: &r.ingested, p.spec.EffectiveAt: &r.at} {
		if name == "" {
			continue
		}
		c, err := column(rows, name, record.Timestamptz)
		if err != nil {
			return nil, err
		}
		*to = c.(*array.Timestamp)
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

func (r *rowReader) stamp(row int) stamp {
	s := noStamp
	if r.recorded.IsValid(row) {
		s.recorded = int64(r.recorded.Value(row))
	}
	if r.ingested.IsValid(row) {
		s.ingested = int64(r.ingested.Value(row))
	}
	return s
}

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
	r, err := o.newRowReader(changes.Rows, func(row int, c *compiledColumn, message string) {
		if failed == nil && changes.Ops[row] != record.OpDelete {
			failed = fmt.Errorf("%s cannot be computed for a row: %s; mend the expression, and start again", c.path, message)
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
		c := change{op: byte(op), stamp: r.stamp(row)}
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

// effectiveOf is when a change of a keyed model took effect: there is no refusing
// one without a time.
func (r *rowReader) effectiveOf(row int, op record.Op) int64 {
	recorded, has := Beginning, r.recorded.IsValid(row)
	if has {
		recorded = int64(r.recorded.Value(row))
	}
	switch {
	case r.at == nil || r.at.IsNull(row):
		return recorded
	case op == record.OpDelete && has:
		return max(recorded, int64(r.at.Value(row)))
	}
	return int64(r.at.Value(row))
}
