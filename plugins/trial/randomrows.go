package trial

import (
	"encoding/json"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/sdk/abi"
)

// Bounds of random times, in µs: the years 1 and 9999, and a day in between
// from which on most times are.
const (
	firstTime = -62135596800000000
	lastTime  = 253402300799999999
	usualTime = 1767225600000000 // 2026-01-01
	randomGap = 30 * 60 * 1e6
)

// Rows makes n rows for a plugin of a kind. Those of sessions come in any order,
// in several batches; changes come in the order of time.
func (r *Random) Rows(kind string, s Setup, n int) Rows {
	rows := Rows{Batch: r.batch(s.Input, n)}
	if kind == abi.KindTransform {
		return rows
	}
	rows.keys, rows.gap, rows.watermark = r.keys(s.Key, n), randomGap, noWatermark
	if kind == abi.KindSCD {
		rows.times = r.ascending(n)
		for range n {
			rows.ops = append(rows.ops, changeOps[r.IntN(len(changeOps))])
		}
		return rows
	}
	for range n {
		rows.times = append(rows.times, r.time(n))
	}
	if rows.arrive = pieces(n, 1+r.IntN(4)); r.IntN(3) == 0 {
		rows.watermark = r.time(n)
	}
	return rows
}

// keys is a few keys, each of some rows.
func (r *Random) keys(t arrow.DataType, n int) arrow.Array {
	if t == nil {
		t = arrow.BinaryTypes.String
	}
	b := array.NewBuilder(memory.DefaultAllocator, t)
	defer b.Release()
	few := 1 + r.IntN(n/4+1)
	for range few {
		r.append(b, t, 0)
	}
	all := b.NewArray()
	of := make([]int, n)
	for i := range of {
		of[i] = r.IntN(few)
	}
	keys, err := takeArray(all, of)
	if err != nil {
		panic("BUG: " + err.Error()) // whatever the plugin is
	}
	return keys
}

// time is such that n of them make sessions of some events each.
func (r *Random) time(n int) int64 {
	if r.IntN(100) == 0 {
		return r.integer(firstTime, lastTime)
	}
	return usualTime + r.Int64N(int64(n)*randomGap/4+1)
}

// ascending is times of which some are equal.
func (r *Random) ascending(n int) []int64 {
	times, at := make([]int64, n), int64(usualTime)
	if r.IntN(10) == 0 {
		at = firstTime
	}
	for i := range times {
		at += int64(r.IntN(3)) * r.Int64N(randomGap)
		times[i] = at
	}
	return times
}

// InputRows is the rows as JSON objects, each with its key, its time and what
// happened to it, as in a case.
func (r Rows) InputRows() ([]json.RawMessage, error) {
	t, err := toTable(r.Batch)
	if err != nil || r.keys == nil {
		return t.all(), err
	}
	fields := []arrow.Field{{Name: abi.ColumnKey, Type: r.keys.DataType()}, {Name: columnEventTime, Type: instant}}
	times := array.NewTimestampBuilder(memory.DefaultAllocator, instant)
	for _, at := range r.times {
		times.Append(arrow.Timestamp(at))
	}
	columns := []arrow.Array{r.keys, times.NewArray()}
	if r.ops != nil {
		fields[1].Name = abi.ColumnEffectiveAt
		ops := array.NewStringBuilder(memory.DefaultAllocator)
		for _, op := range r.ops {
			ops.Append(op)
		}
		fields, columns = append(fields, arrow.Field{Name: abi.ColumnOp, Type: arrow.BinaryTypes.String}), append(columns, ops.NewArray())
	}
	host, err := toTable(array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, r.Batch.NumRows()))
	if err != nil {
		return nil, err
	}
	t.names, t.values = append(host.names, t.names...), append(host.values, t.values...)
	return t.all(), nil
}
