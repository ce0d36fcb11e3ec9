package calendar

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
)

// stateVersion changes with the encoding of state.
const stateVersion = 1

// layout is the number of the columns' meaning. Where the rows that were made
// have another, all are made again.
const layout = 1

// stateKey is the only key of the state: what the table has.
var stateKey = []byte("range")

// Operator makes the rows of a calendar. It is not safe for concurrent use.
type Operator struct {
	program *Program
	state   keyvalue.Store
	read    bool // of the state
	made    made
}

// made is the rows that the table has.
type made struct {
	days   span // empty for no rows
	layout int64
}

// Pending tells whether End would change rows. It may say so once too often.
func (o *Operator) Pending() bool {
	return !o.read || o.made != o.next()
}

// next is the rows that the table is to have: no day goes that it has.
func (o *Operator) next() made { return made{o.made.days.with(o.program.days), layout} }

// Take refuses rows: a calendar reads nothing.
func (o *Operator) Take(_ context.Context, model string, _ record.Batch, _ int64) ([]record.Reject, error) {
	return nil, fmt.Errorf("BUG: calendar %s is given rows of %s", o.program.model, model)
}

// Follow refuses changes: a calendar reads nothing.
func (o *Operator) Follow(_ context.Context, model string, _ record.Changelog, _ int64) error {
	return fmt.Errorf("BUG: calendar %s is given changes of %s", o.program.model, model)
}

// End makes the rows that the table does not have. The caller releases them.
func (o *Operator) End(context.Context, int64) (record.Changelog, error) {
	if err := o.load(); err != nil {
		return record.Changelog{}, fmt.Errorf("calendar %s: %w", o.program.model, err)
	}
	if !o.Pending() {
		return record.Changelog{}, nil
	}
	next := o.next()
	if next.days.to-next.days.from > mostDays {
		return record.Changelog{}, fmt.Errorf("calendar %s: from %s to %s, with the days that the table has: %w; choose a range that is closer to them, or let the model begin anew with --reset-model %s",
			o.program.model, dayText(next.days.from), dayText(next.days.to-1), ErrTooLong, o.program.model)
	}
	value := binary.AppendVarint(nil, next.layout)
	value = binary.AppendVarint(value, int64(next.days.from))
	value = binary.AppendVarint(value, int64(next.days.to))
	if err := o.state.Write([]keyvalue.Change{{Key: stateKey, Value: value}}); err != nil {
		return record.Changelog{}, fmt.Errorf("calendar %s: write state: %w", o.program.model, err)
	}
	before := o.made
	o.made = next
	return changesOf(before, next), nil
}

// Discard forgets what was read of the state, which was put back or will be.
func (o *Operator) Discard() { o.read, o.made = false, made{} }

func (o *Operator) load() error {
	if o.read {
		return nil
	}
	values, err := o.state.Get([][]byte{stateKey})
	if err != nil {
		return fmt.Errorf("read state: %w", err)
	}
	o.made = made{}
	if values[0] != nil {
		r := keyvalue.NewReader(values[0])
		o.made = made{layout: r.Varint(), days: span{int32(r.Varint()), int32(r.Varint())}}
		r.End()
		if err := r.Err(); err != nil {
			return fmt.Errorf("read state: %w", err)
		}
	}
	o.read = true
	return nil
}

// changesOf is what leads from one calendar to another, which has all its days.
func changesOf(before, after made) record.Changelog {
	var ops []record.Op
	rows := newBuilder(memory.DefaultAllocator)
	defer rows.release()
	switch {
	case before.days.isEmpty():
		ops = append(ops, record.OpCreate)
		rows.unknown()
	case before.layout != after.layout:
		ops = append(ops, record.OpUpdate)
		rows.unknown()
	}
	for day := after.days.from; day < after.days.to; day++ {
		switch {
		case !before.days.has(day):
			ops = append(ops, record.OpCreate)
		case before.layout != after.layout:
			ops = append(ops, record.OpUpdate)
		default:
			continue
		}
		rows.day(day)
	}
	return record.Changelog{Ops: slices.Clip(ops), Rows: rows.batch()}
}

func dayText(day int32) string { return dateOf(day).Format(time.DateOnly) }

// Schema is the columns of every calendar.
func Schema() *arrow.Schema {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: c.name, Type: c.kind, Nullable: c.name != ColumnKey}
	}
	return arrow.NewSchema(fields, nil)
}
