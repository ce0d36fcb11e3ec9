package upstream

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/record"
)

// Effective is when rows of a model took effect: the time in a column, or else when
// they were made. A deletion did when it was made, but not before the time that its
// row has: that row is the one before.
type Effective struct {
	times   *array.Timestamp // nil for none
	changes Changes
	stamps  Stamps
}

// EffectiveOf finds the column of rows, "" for none.
func EffectiveOf(rows arrow.RecordBatch, column string, changes Changes, stamps Stamps) (Effective, error) {
	e := Effective{changes: changes, stamps: stamps}
	var err error
	if column != "" {
		e.times, err = Times(rows, column)
	}
	return e, err
}

// OfEvent is the time of a row of a staging model; ok is false where it is null.
func (e Effective) OfEvent(row int) (at int64, ok bool) {
	made, known := e.changes.MadeAt(row)
	if !known {
		made = e.stamps.Of(row).Recorded
	}
	deleted := e.changes.IsDelete(row)
	switch {
	case e.times == nil, deleted && e.times.IsNull(row):
		return made, true
	case deleted:
		return max(made, int64(e.times.Value(row))), true
	}
	return int64(e.times.Value(row)), e.times.IsValid(row)
}

// OfChange is the time of a change of a keyed model: when its newest record was made
// where the column is null, for there is no refusing it. It is record.NoTime where
// both are.
func (e Effective) OfChange(row int, op record.Op) int64 {
	recorded := e.stamps.Of(row).Recorded
	switch {
	case e.times == nil || e.times.IsNull(row):
		return recorded
	case op == record.OpDelete:
		return max(recorded, int64(e.times.Value(row)))
	}
	return int64(e.times.Value(row))
}
