package bridge

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/changelog"
	"github.com/calvelake/calve/runtime/record/eventtime"
)

// build makes the rows that changed, and adds them to a changelog.
func (e *ending) build(to *changelog.Parts) error {
	if len(e.made) == 0 {
		return nil
	}
	said := projection.Rows{Len: e.all.wide.Len}
	for i, k := range e.keys {
		said.Add(arrow.Field{Name: k.Name, Type: arrow.BinaryTypes.String}, e.all.keyOf[i])
	}
	for i, c := range e.said() {
		said.Add(c.Field(), e.all.said[i])
	}
	places := make([]int, len(e.made))
	for i, v := range e.made {
		places[i] = v.place
	}
	batch := said.Batch()
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
	to.Add(record.Changelog{Ops: e.ops, Rows: array.NewRecordBatch(e.output, arrays, int64(len(e.made)))})
	return nil
}

// surrogate is the surrogate keys: of the foreign keys and valid_from (invariant 8).
func (e *ending) surrogate(rows arrow.RecordBatch, validFrom arrow.Array) (arrow.Array, error) {
	parts := append(append([]arrow.Array(nil), rows.Columns()[:len(e.keys)]...), validFrom)
	return record.SurrogateKeys(parts, e.mem)
}

// times are valid_from, valid_to, is_current and those of the newest record.
func (e *ending) times() []arrow.Array {
	of := func(time func(v *version) int64) arrow.Array {
		times := make([]int64, len(e.made))
		for i := range e.made {
			times[i] = time(&e.made[i])
		}
		return eventtime.Column(times, e.mem)
	}
	current := array.NewBooleanBuilder(e.mem)
	defer current.Release()
	for _, v := range e.made {
		current.Append(v.to == dimension.Forever)
	}
	return []arrow.Array{
		of(func(v *version) int64 { return v.from }), of(func(v *version) int64 { return v.to }), current.NewArray(),
		of(func(v *version) int64 { return v.stamp.Recorded }), of(func(v *version) int64 { return v.stamp.Ingested }),
	}
}
