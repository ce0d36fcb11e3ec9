package bridge

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/record"
)

// Take adds rows of a staging model, at a watermark, µs since 1970 UTC. Rows that
// it refuses are rejects, in row order, one for each at most. It does not keep the
// batch.
func (o *Operator) Take(_ context.Context, model string, batch record.Batch, watermark int64) ([]record.Reject, error) {
	if err := o.ready(watermark); err != nil {
		return nil, err
	}
	if o.keyed || model != o.spec.From.Model {
		return nil, fmt.Errorf("bridge %s: %w: staging model %s", o.spec.Model, errModel, model)
	}
	rows, err := record.WithPositions(batch, o.mem)
	if err != nil {
		return nil, fmt.Errorf("bridge %s: %w", o.spec.Model, err)
	}
	defer rows.Release()
	t := &taking{Operator: o, batch: batch, rows: rows, watermark: watermark, ordinals: batch.RowOrdinals(), refused: map[int]record.Reject{}}
	if err := t.take(); err != nil {
		return nil, fmt.Errorf("bridge %s: take rows of %s: %w", o.spec.Model, model, err)
	}
	return t.rejects(), nil
}

// taking is one call of Take.
type taking struct {
	*Operator
	batch     record.Batch
	rows      arrow.RecordBatch // with change and position columns
	ordinals  []int32
	refused   map[int]record.Reject // by row
	mapped    *mapped
	owners    []string
	watermark int64
	times     *array.Timestamp // when changes took effect; nil for the default
	stamps    stamps
	ops       *array.String // nil without change columns
	changedAt *array.Timestamp
	sequences *array.String
	missing   *array.List
}

func (t *taking) take() error {
	if err := t.read(); err != nil {
		return err
	}
	fault := func(row int, c *compiledColumn, message string) {
		if !t.isDelete(row) && len(t.holes(row)) == 0 {
			t.refuse(row, record.CodeExpression, c.name, c.path+": "+message)
		}
	}
	var err error
	if t.mapped, err = t.newMapped(t.rows, fault); err != nil {
		return err
	}
	defer t.mapped.release()
	if len(t.expressions()) > 0 { // the record at fault is at hand now
		if err := t.mapped.widen(fault); err != nil {
			return err
		}
	}
	if t.owners, err = t.mapped.owners(); err != nil {
		return err
	}
	t.judge()
	if err := t.hold(t.owners); err != nil {
		return err
	}
	for row, owner := range t.owners {
		if owner != "" {
			t.add(t.entries[owner], row)
		}
	}
	return nil
}

// read finds the columns that are not of expressions.
func (t *taking) read() (err error) {
	if t.times, err = effectiveTimes(t.rows, t.spec.EffectiveAt); err != nil {
		return err
	}
	if t.stamps, err = stampsOf(t.rows); err != nil || !t.changes {
		return err
	}
	fields := record.ChangeFields()
	arrays := make([]arrow.Array, len(fields))
	for i, f := range fields {
		at := t.rows.Schema().FieldIndices(f.Name)
		if len(at) != 1 || !arrow.TypeEqual(t.rows.Column(at[0]).DataType(), f.Type) {
			return fmt.Errorf("BUG: the rows have no column %s of type %s", f.Name, f.Type)
		}
		arrays[i] = t.rows.Column(at[0])
	}
	t.ops, t.changedAt = arrays[0].(*array.String), arrays[1].(*array.Timestamp)
	t.sequences, t.missing = arrays[2].(*array.String), arrays[3].(*array.List)
	return nil
}

func (t *taking) isDelete(row int) bool { return t.ops != nil && t.ops.Value(row) == "d" }

// holes are the columns that a change does not carry.
func (t *taking) holes(row int) []int {
	if t.missing == nil || t.missing.IsNull(row) {
		return nil
	}
	names := t.missing.ListValues().(*array.String)
	var holes []int
	for i, end := t.missing.ValueOffsets(row); i < end; i++ {
		if at := t.kept.FieldIndices(names.Value(int(i))); len(at) == 1 {
			holes = append(holes, at[0])
		}
	}
	return holes
}

// judge refuses rows that map no member, or have no time. The rows that are refused
// have no owner then.
func (t *taking) judge() {
	for row, owner := range t.owners {
		if owner == "" {
			names := t.ownerColumns()
			t.refuse(row, record.CodeNullKey, names[0], fmt.Sprintf("%s: a part of each key is null: the row maps no member", strings.Join(names, ", ")))
		}
		if _, ok := t.effective(row); !ok {
			name := t.spec.EffectiveAt
			t.refuse(row, record.CodeNullEventTime, name, fmt.Sprintf("effective time %s is null: the change has no place among those of its owner", name))
		}
		if _, refused := t.refused[row]; refused {
			t.owners[row] = ""
		}
	}
}

func (t *taking) ownerColumns() []string {
	var names []string
	for _, k := range t.keys {
		if !k.ofElement {
			names = append(names, k.On...)
		}
	}
	return names
}

// effective is when a change took effect. A deletion did when it was made: its row
// is the one before.
func (t *taking) effective(row int) (int64, bool) {
	made := t.stamps.of(row).recorded
	if t.changedAt != nil && t.changedAt.IsValid(row) {
		made = int64(t.changedAt.Value(row))
	}
	switch {
	case t.times == nil, t.isDelete(row) && t.times.IsNull(row):
		return made, true
	case t.isDelete(row):
		return max(made, int64(t.times.Value(row))), true
	}
	return int64(t.times.Value(row)), t.times.IsValid(row)
}

// add gives a row to its owner.
func (t *taking) add(e *entry, row int) {
	at, _ := t.effective(row)
	c := change{at: within(at), order: t.order(row), stamp: t.stamps.of(row)}
	if e.isLate(&c, t.horizon(t.watermark)) {
		t.refuse(row, record.CodeLateChange, t.spec.EffectiveAt, fmt.Sprintf(
			"the change took effect at %s, before the newest one of its owner at %s, and is late: the watermark is at %s, and changes may be late by %s; let the model begin anew with --reset-model %s",
			timeText(at), timeText(e.old.newest().at), timeText(t.watermark), t.spec.LateChanges, t.spec.Model))
		return
	}
	if c.gone = t.isDelete(row); !c.gone {
		c.row, c.holes = t.mapped.keep(row), t.holes(row)
	}
	e.now.add(c)
}

// isLate tells whether a change comes before others that were known when the epoch
// began, and later than it may: what lies between may have been forgotten. What comes
// behind all others splits nothing, and is not late.
func (e *entry) isLate(c *change, horizon int64) bool {
	if e.old.isLate(c.at) {
		return true
	}
	return c.at <= horizon && !e.old.isEmpty() && c.compare(e.old.newest()) < 0
}

// order is where a change belongs among those of one time: by the source's sequence,
// and then by where it comes from.
func (t *taking) order(row int) []byte {
	var to []byte
	if t.sequences != nil && t.sequences.IsValid(row) {
		to = append(to, t.sequences.Value(row)...)
	}
	s := t.batch.Source
	to = append(append(append(to, 0), s.Topic...), 0)
	to = binary.BigEndian.AppendUint32(to, uint32(s.Partition))
	to = binary.BigEndian.AppendUint64(to, uint64(s.Records[t.batch.Records[row]].Offset))
	return binary.BigEndian.AppendUint32(to, uint32(t.ordinals[row]))
}

// refuse makes a reject of a row, unless it is one.
func (t *taking) refuse(row int, code, column, message string) {
	if _, is := t.refused[row]; is {
		return
	}
	t.refused[row] = record.Reject{Record: t.batch.Records[row], OfRow: true, Row: t.ordinals[row], Code: code, Column: column, Message: message}
}

func (t *taking) rejects() []record.Reject {
	var out []record.Reject
	for _, row := range slices.SortedFunc(maps.Keys(t.refused), cmp.Compare[int]) {
		out = append(out, t.refused[row])
	}
	return out
}

func timeText(us int64) string { return time.UnixMicro(us).UTC().Format(time.RFC3339Nano) }
