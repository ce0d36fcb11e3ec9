package trial

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/sdk/abi"
)

// noWatermark: all sessions are closed.
const noWatermark = wasm.NoWatermark

// columnEventTime is an event's time in a row of a case; the other names of
// this kind are those of the ABI.
const columnEventTime = "_event_time"

var instant = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}

// Rows is what goes into a plugin.
type Rows struct {
	Batch arrow.RecordBatch // of the plugin's input columns

	// Kinds session and scd.
	keys  arrow.Array
	times []int64 // of events, or when changes take effect; µs

	ops []string // kind scd

	// Kind session.
	arrive    []int // how many rows arrive together; nil: all
	gap       int64 // µs
	watermark int64
}

// Len is the number of rows.
func (r Rows) Len() int { return int(r.Batch.NumRows()) }

// Release releases the rows.
func (r Rows) Release() { r.Batch.Release() }

// Slice is rows [from, to), which arrive together. They are to be released too.
func (r Rows) Slice(from, to int) Rows {
	r.Batch = r.Batch.NewSlice(int64(from), int64(to))
	if r.keys != nil {
		r.keys, r.times = array.NewSlice(r.keys, int64(from), int64(to)), r.times[from:to]
	}
	if r.ops != nil {
		r.ops = r.ops[from:to]
	}
	r.arrive = nil
	return r
}

// Take is copies of rows, which arrive together.
func (r Rows) Take(keep []int) (Rows, error) {
	batch, err := record.Take(r.Batch, keep, memory.DefaultAllocator)
	if err != nil {
		return Rows{}, fmt.Errorf("take rows: %w", err)
	}
	r.Batch, r.arrive = batch, nil
	if r.keys == nil {
		return r, nil
	}
	if r.keys, err = takeArray(r.keys, keep); err != nil {
		return Rows{}, err
	}
	r.times = chosen(r.times, keep)
	if r.ops != nil {
		r.ops = chosen(r.ops, keep)
	}
	return r, nil
}

func chosen[T any](all []T, keep []int) []T {
	taken := make([]T, len(keep))
	for i, at := range keep {
		taken[i] = all[at]
	}
	return taken
}

func takeArray(a arrow.Array, keep []int) (arrow.Array, error) {
	one := array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: abi.ColumnKey, Type: a.DataType(), Nullable: true}}, nil), []arrow.Array{a}, int64(a.Len()))
	defer one.Release()
	taken, err := record.Take(one, keep, memory.DefaultAllocator)
	if err != nil {
		return nil, fmt.Errorf("take keys: %w", err)
	}
	return taken.Column(0), nil
}

// ordered is the rows' indexes in the order of time.
func (r Rows) ordered() []int {
	order := make([]int, r.Len())
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return compareInts(r.times[a], r.times[b]) })
	return order
}

func compareInts(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// keyNumbers numbers the keys by their first row: of each row the number, and
// of each number the first row.
func (r Rows) keyNumbers() (of, firsts []int, err error) {
	texts, err := textsOfArray(abi.ColumnKey, r.keys)
	if err != nil {
		return nil, nil, err
	}
	seen := map[string]int{}
	for i, text := range texts {
		n, ok := seen[string(text)]
		if !ok {
			n = len(firsts)
			seen[string(text)], firsts = n, append(firsts, i)
		}
		of = append(of, n)
	}
	return of, firsts, nil
}

// Rows is the case's input. Its errors name the row and the column.
func (c Case) Rows(d abi.Describe) (Rows, error) {
	if err := c.checkKind(d.Kind); err != nil {
		return Rows{}, err
	}
	schema, err := c.inputSchema(d)
	if err != nil {
		return Rows{}, err
	}
	parsed, err := parseRows("input", c.Input.Rows)
	if err != nil {
		return Rows{}, err
	}
	r := Rows{arrive: c.Input.Arrive}
	taken, err := c.takeHostColumns(&r, d.Kind, parsed)
	if err != nil {
		return Rows{}, fmt.Errorf("input: %w", err)
	}
	if r.Batch, err = toArrow(schema, parsed); err != nil {
		return Rows{}, fmt.Errorf("input: %w", err)
	}
	if err := taken.complete(&r); err != nil {
		return Rows{}, fmt.Errorf("input: %w", err)
	}
	return r, nil
}

// hostColumns is what a case gives for the columns that the host owns: values
// of their own, or an input column.
type hostColumns struct {
	key, time           arrow.Array // nil: of the input column
	keyColumn, timeName string
}

// takeHostColumns takes the values that are not the plugin's out of rows.
func (c Case) takeHostColumns(r *Rows, kind string, rows []raw) (h hostColumns, err error) {
	if kind == abi.KindTransform {
		return h, nil
	}
	if h.keyColumn = c.Key; c.Key == "" {
		t, err := c.keyType()
		if err != nil {
			return h, err
		}
		if h.key, err = takeColumn(rows, arrow.Field{Name: abi.ColumnKey, Type: t}, nil); err != nil {
			return h, err
		}
	}
	if kind == abi.KindSession {
		if h.timeName = c.EventTime; c.EventTime == "" {
			if h.time, err = takeColumn(rows, arrow.Field{Name: columnEventTime, Type: instant}, nil); err != nil {
				return h, err
			}
		}
		gap, err := c.gap()
		if err != nil {
			return h, err
		}
		r.gap = gap.Microseconds()
		r.watermark, err = c.watermark()
		return h, err
	}
	if h.time, err = takeColumn(rows, arrow.Field{Name: abi.ColumnEffectiveAt, Type: instant}, nil); err != nil {
		return h, err
	}
	ops, err := takeColumn(rows, arrow.Field{Name: abi.ColumnOp, Type: arrow.BinaryTypes.String}, json.RawMessage(`"u"`))
	if err != nil {
		return h, err
	}
	for i := range ops.Len() {
		op := ops.(*array.String).Value(i)
		if !slices.Contains(changeOps, op) {
			return h, fmt.Errorf("row %d, column %q: %q: expected c, u, d or r", i, abi.ColumnOp, op)
		}
		r.ops = append(r.ops, op)
	}
	return h, nil
}

// changeOps is what happened to a row at its source: created, updated, deleted,
// read.
var changeOps = []string{"c", "u", "d", "r"}

func (c Case) keyType() (arrow.DataType, error) {
	if c.KeyType == "" {
		return arrow.BinaryTypes.String, nil
	}
	t, err := record.ParseType(c.KeyType)
	if err != nil {
		return nil, fmt.Errorf("key_type: %w", err)
	}
	return t, nil
}

// takeColumn takes a column out of rows. Where a row has none it is instead; nil
// refuses the row.
func takeColumn(rows []raw, field arrow.Field, instead json.RawMessage) (arrow.Array, error) {
	values := make([]json.RawMessage, len(rows))
	for i, row := range rows {
		values[i] = row[field.Name]
		delete(row, field.Name)
		if values[i] == nil {
			values[i] = instead
		}
		if values[i] == nil || string(values[i]) == "null" {
			return nil, fmt.Errorf("row %d, column %q: it is missing, and each row of this kind of plugin needs it", i, field.Name)
		}
	}
	return toColumn(field, values)
}

// complete takes keys and times that are input columns from the batch.
func (h hostColumns) complete(r *Rows) (err error) {
	if h.key == nil && h.keyColumn == "" {
		return nil // a transform
	}
	r.keys = h.key
	if h.key == nil {
		if r.keys, err = wholeColumn(r.Batch, "key", h.keyColumn); err != nil {
			return err
		}
	}
	times := h.time
	if h.time == nil {
		if times, err = wholeColumn(r.Batch, "event_time", h.timeName); err != nil {
			return err
		}
	}
	stamps, ok := times.(*array.Timestamp)
	if !ok {
		return fmt.Errorf("event_time: column %q is of type %s, it must be a timestamp", h.timeName, times.DataType())
	}
	for i := range stamps.Len() {
		r.times = append(r.times, int64(stamps.Value(i)))
	}
	return nil
}

func wholeColumn(batch arrow.RecordBatch, member, name string) (arrow.Array, error) {
	at := batch.Schema().FieldIndices(name)
	if len(at) == 0 {
		return nil, fmt.Errorf("%s: there is no column %q, there is %s", member, name, names(batch.Schema()))
	}
	column := batch.Column(at[0])
	for i := range column.Len() {
		if column.IsNull(i) {
			return nil, fmt.Errorf("row %d, column %q: it is null, and it is the case's %s", i, name, member)
		}
	}
	return column, nil
}

// checkOrder refuses changes of a key that are not in the order of time.
func (r Rows) checkOrder(keyOf []int) error {
	last := map[int]int{}
	for i, key := range keyOf {
		if before, ok := last[key]; ok && r.times[before] > r.times[i] {
			return fmt.Errorf("input: row %d, column %q: it is before that of row %d of the same key: changes of a key are in the order in which they take effect",
				i, abi.ColumnEffectiveAt, before)
		}
		last[key] = i
	}
	return nil
}
