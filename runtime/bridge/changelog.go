package bridge

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/record"
)

// changelog collects what an epoch changed, in parts.
type changelog struct {
	*Operator
	ops   []record.Op
	parts []arrow.RecordBatch
}

func (c *changelog) release() {
	for _, p := range c.parts {
		p.Release()
	}
}

// join is all of it, which the caller releases.
func (c *changelog) join() (record.Changelog, error) {
	if len(c.ops) == 0 {
		return record.Changelog{}, nil
	}
	arrays := make([]arrow.Array, c.output.NumFields())
	defer func() {
		for _, a := range arrays {
			if a != nil {
				a.Release()
			}
		}
	}()
	for i, f := range c.output.Fields() {
		pieces := make([]arrow.Array, len(c.parts))
		for j, p := range c.parts {
			pieces[j] = p.Column(i)
		}
		var err error
		if arrays[i], err = array.Concatenate(pieces, c.mem); err != nil {
			return record.Changelog{}, fmt.Errorf("join changes: column %s: %w", f.Name, err)
		}
	}
	return record.Changelog{Ops: c.ops, Rows: array.NewRecordBatch(c.output, arrays, int64(len(c.ops)))}, nil
}

// build makes the rows that changed, and adds them to a changelog.
func (e *ending) build(to *changelog) error {
	if len(e.made) == 0 {
		return nil
	}
	var said columns
	said.rows = e.all.wide.rows
	for i, k := range e.keys {
		said.add(arrow.Field{Name: k.Name, Type: arrow.BinaryTypes.String}, e.all.keyOf[i])
	}
	for i, c := range e.said() {
		said.add(arrow.Field{Name: c.name, Type: c.Type(), Nullable: true}, e.all.said[i])
	}
	places := make([]int, len(e.made))
	for i, v := range e.made {
		places[i] = v.place
	}
	batch := said.batch()
	defer batch.Release()
	taken, err := record.Take(batch, places, e.mem)
	if err != nil {
		return err
	}
	defer taken.Release()
	times := e.times()
	defer func() {
		for _, a := range times {
			a.Release()
		}
	}()
	var arrays []arrow.Array
	if e.spec.SurrogateKey != "" {
		keys, err := e.surrogate(taken, times[0])
		if err != nil {
			return err
		}
		defer keys.Release()
		arrays = append(arrays, keys)
	}
	arrays = append(append(arrays, taken.Columns()...), times...)
	to.ops = append(to.ops, e.ops...)
	to.parts = append(to.parts, array.NewRecordBatch(e.output, arrays, int64(len(e.made))))
	return nil
}

// surrogate is the surrogate keys: of the foreign keys and valid_from (invariant 8).
func (e *ending) surrogate(rows arrow.RecordBatch, validFrom arrow.Array) (arrow.Array, error) {
	parts := append(append([]arrow.Array(nil), rows.Columns()[:len(e.keys)]...), validFrom)
	return record.SurrogateKeys(parts, e.mem)
}

// times are valid_from, valid_to, is_current and those of the newest record.
func (e *ending) times() []arrow.Array {
	var builders [4]*array.TimestampBuilder
	for i := range builders {
		builders[i] = array.NewTimestampBuilder(e.mem, record.Timestamptz)
		defer builders[i].Release()
	}
	current := array.NewBooleanBuilder(e.mem)
	defer current.Release()
	for _, v := range e.made {
		for i, at := range []int64{v.from, v.to, v.stamp.recorded, v.stamp.ingested} {
			if at == record.NoTime {
				builders[i].AppendNull()
			} else {
				builders[i].Append(arrow.Timestamp(at))
			}
		}
		current.Append(v.to == dimension.Forever)
	}
	return []arrow.Array{builders[0].NewArray(), builders[1].NewArray(), current.NewArray(), builders[2].NewArray(), builders[3].NewArray()}
}
