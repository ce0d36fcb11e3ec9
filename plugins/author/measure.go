package author

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/sdk/abi"
)

// MeasureOptions say what Measure does.
type MeasureOptions struct {
	Cases   []Case        // the rows of the first one that has any, over and over; none: random rows
	Rows    int           // of a batch
	Batches int           // whose memory is compared with that of a few
	Time    time.Duration // how long the plugin runs for its speed
	Seed    uint64        // of random rows
}

// Measurement is what a plugin costs.
type Measurement struct {
	Case          string  `json:"case,omitempty"` // where the rows are from; "": they are random
	Rows          int     `json:"rows"`           // of a batch
	RowsPerSecond float64 `json:"rows_per_second"`
	// VsCopy is the best time of a batch, as a multiple of the time of copying
	// the bytes of its input once.
	VsCopy float64 `json:"vs_copy"`
	// ChecksPerRow is what a row takes of the budget, to some hundredths.
	ChecksPerRow float64 `json:"checks_per_row"`
	// AtMost: an instance's start takes more than rows do, or they take too
	// little to be told: ChecksPerRow is a bound.
	AtMost      bool    `json:"at_most"`
	BudgetShare float64 `json:"budget_share"` // of the default budget that a batch takes
	// MemoryBytes is the memory limit that an instance passes a few batches
	// with, MemoryAfter that for Batches, both to an eighth. Grows: these differ.
	MemoryBytes int64 `json:"memory_bytes"`
	Batches     int   `json:"batches"`
	MemoryAfter int64 `json:"memory_after_bytes"` // 0: more than the default limit
	Grows       bool  `json:"grows"`
}

// Measure runs the plugin under smaller and smaller limits, and by the clock.
func (m *Module) Measure(ctx context.Context, o MeasureOptions) (Measurement, error) {
	w, err := o.work(m.plugin.Describe())
	if err != nil {
		return Measurement{}, err
	}
	defer w.batch.Release()
	w.host, w.module = m.host, m.bytes
	got := Measurement{Case: w.name, Rows: int(w.batch.NumRows()), Batches: o.Batches}
	if err := w.clock(ctx, m.plugin, o.Time, &got); err != nil {
		return Measurement{}, err
	}
	if err := w.checks(ctx, &got); err != nil {
		return Measurement{}, err
	}
	return got, w.memory(ctx, &got)
}

// work is the batch that is run, and with what.
type work struct {
	name   string
	config json.RawMessage
	batch  arrow.RecordBatch
	host   *wasm.Host
	module []byte
}

func (o MeasureOptions) work(d abi.Describe) (*work, error) {
	for _, c := range o.Cases {
		if len(c.Input) == 0 || c.Refused != "" {
			continue
		}
		rows := make([]json.RawMessage, o.Rows)
		for i := range rows {
			rows[i] = c.Input[i%len(c.Input)]
		}
		repeated := c
		repeated.Input = rows
		batch, err := repeated.batch(d)
		if err != nil {
			return nil, fmt.Errorf("case %q: %w", c.Name, err)
		}
		return &work{name: c.Name, config: c.Config, batch: batch}, nil
	}
	schema, err := inputSchema(d, Case{})
	if err != nil {
		return nil, err
	}
	return &work{batch: newRandom(o.Seed, nil).batch(schema, o.Rows)}, nil
}

// clock measures the plugin's speed, and a copy of the input in turn with it.
func (w *work) clock(ctx context.Context, p *wasm.Plugin, length time.Duration, m *Measurement) (err error) {
	t, err := w.open(ctx, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close(ctx)) }()
	if err := process(ctx, t, w.batch); err != nil { // the first batch grows memory
		return err
	}
	buffers := buffersOf(w.batch)
	total, batch, copied, rows := time.Duration(0), time.Duration(math.MaxInt64), time.Duration(math.MaxInt64), 0
	for rows == 0 || total < length {
		took, err := timed(func() error { return process(ctx, t, w.batch) })
		if err != nil {
			return err
		}
		total, batch, rows = total+took, min(batch, took), rows+m.Rows
		took, _ = timed(func() error { copyOf(buffers); return nil })
		copied = min(copied, took)
	}
	m.RowsPerSecond = float64(rows) / max(total, 1).Seconds()
	m.VsCopy = float64(batch) / float64(max(copied, 1))
	return nil
}

func timed(do func() error) (time.Duration, error) {
	start := time.Now()
	err := do()
	return time.Since(start), err
}

// buffersOf is the buffers of a batch, and one to copy them to.
func buffersOf(batch arrow.RecordBatch) (all struct{ from, to []byte }) {
	var walk func(d arrow.ArrayData)
	walk = func(d arrow.ArrayData) {
		for _, b := range d.Buffers() {
			if b != nil {
				all.from = append(all.from, b.Bytes()...)
			}
		}
		for _, child := range d.Children() {
			walk(child)
		}
	}
	for _, column := range batch.Columns() {
		walk(column.Data())
	}
	all.to = make([]byte, len(all.from))
	return all
}

func copyOf(b struct{ from, to []byte }) { copy(b.to, b.from) }

func (w *work) open(ctx context.Context, p *wasm.Plugin) (*wasm.Transform, error) {
	return p.Open(ctx, wasm.Init{Pipeline: "bench", Model: "bench", Config: w.config, Input: w.batch.Schema(), OnError: wasm.Stop})
}

func process(ctx context.Context, t *wasm.Transform, batch arrow.RecordBatch) error {
	result, err := t.Process(ctx, batch, wasm.Meta{}, wasm.NoWatermark)
	if err != nil {
		return err
	}
	result.Release()
	return nil
}

// passes tells whether an instance under limits takes batch n times. What a
// guest does for want of memory or budget is not told from other failures: that
// it passes under the default limits was seen before.
func (w *work) passes(ctx context.Context, limits wasm.Limits, batch arrow.RecordBatch, n int) (bool, error) {
	p, err := w.host.Compile(ctx, w.module, limits)
	if err != nil {
		return false, guestsOwn(err)
	}
	defer func() { _ = p.Close(ctx) }() // it has no resources but memory
	t, err := w.open(ctx, p)
	if err != nil {
		return false, guestsOwn(err)
	}
	defer func() { _ = t.Close(ctx) }() // under such limits its end may fail too
	for range n {
		if err := process(ctx, t, batch); err != nil {
			return false, guestsOwn(err)
		}
	}
	return true, nil
}

// guestsOwn is nil for what a guest does under limits that are too small.
func guestsOwn(err error) error {
	for _, own := range []error{wasm.ErrBudget, wasm.ErrMemory, wasm.ErrTrap, wasm.ErrOutput, wasm.ErrModuleTooLarge, wasm.ErrRefusedConfig, wasm.ErrDescription} {
		if errors.Is(err, own) {
			return nil
		}
	}
	return err
}

// Bounds on the search for the budget. The host takes a budget in slices of
// 65,536 checks: a batch of many rows tells more exactly.
const (
	checkSlice    = 1 << 16
	checkBatches  = 8  // how many times the batch's rows are in one
	exactSlices   = 16 // from which on a slice more or less does not matter
	checkCloseTo  = 1.04
	checkSteps    = 8
	startFraction = 0.9
)

// checks searches for the smallest budget. The budget also holds for an
// instance's start; whether that is what decides, a batch without rows tells.
func (w *work) checks(ctx context.Context, m *Measurement) error {
	rows, err := repeat(w.batch, checkBatches)
	if err != nil {
		return fmt.Errorf("measure the budget: %w", err)
	}
	defer rows.Release()
	budget, err := smallest(checkSlice, abi.DefaultBudget, checkSteps, checkCloseTo, func(budget int64) (bool, error) {
		return w.passes(ctx, wasm.Limits{Budget: budget}, rows, 1)
	})
	if err != nil {
		return fmt.Errorf("measure the budget of %d rows: %w", rows.NumRows(), err)
	}
	empty := rows.NewSlice(0, 0)
	defer empty.Release()
	started, err := w.passes(ctx, wasm.Limits{Budget: int64(float64(budget) * startFraction)}, empty, 1)
	if err != nil {
		return fmt.Errorf("measure the budget: %w", err)
	}
	m.AtMost = !started || budget < exactSlices*checkSlice
	m.ChecksPerRow = float64(budget) / float64(max(rows.NumRows(), 1))
	m.BudgetShare = float64(budget) / checkBatches / abi.DefaultBudget
	return nil
}

// repeat is a batch's rows n times over.
func repeat(batch arrow.RecordBatch, n int) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, 0, batch.NumCols())
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for _, c := range batch.Columns() {
		all, err := array.Concatenate(slices.Repeat([]arrow.Array{c}, n), memory.DefaultAllocator)
		if err != nil {
			return nil, fmt.Errorf("repeat rows: %w", err)
		}
		columns = append(columns, all)
	}
	return array.NewRecordBatch(batch.Schema(), columns, batch.NumRows()*int64(n)), nil
}

// fewBatches are enough for a guest's garbage collector to have met its match.
const fewBatches = 10

func (w *work) memory(ctx context.Context, m *Measurement) error {
	const closeTo, steps, least = 1.125, 4, 128 << 10
	search := func(from int64, batches int) (int64, error) {
		return smallest(from, abi.DefaultMemoryBytes, steps, closeTo, func(limit int64) (bool, error) {
			return w.passes(ctx, wasm.Limits{MemoryBytes: limit}, w.batch, batches)
		})
	}
	var err error
	if m.MemoryBytes, err = search(least, min(fewBatches, max(m.Batches, 1))); err != nil {
		return fmt.Errorf("measure the memory: %w", err)
	}
	m.MemoryAfter = m.MemoryBytes
	if m.Batches <= fewBatches {
		return nil
	}
	// What it takes to be in the same steps.
	slack := m.MemoryBytes + m.MemoryBytes/4
	same, err := w.passes(ctx, wasm.Limits{MemoryBytes: slack}, w.batch, m.Batches)
	if err != nil || same {
		return err
	}
	m.Grows = true
	m.MemoryAfter, err = search(slack, m.Batches)
	if errors.Is(err, errNeverPasses) {
		m.MemoryAfter, err = 0, nil
	}
	return err
}

// errNeverPasses: the greatest limit is too small.
var errNeverPasses = errors.New("it does not pass under the default limit")

// smallest searches for the smallest limit from least to most that passes: in
// steps, and then in halves until the one that passes is at most closeTo times
// one that does not.
func smallest(least, most, step int64, closeTo float64, passes func(int64) (bool, error)) (int64, error) {
	fails, limit := int64(0), least
	for {
		ok, err := passes(limit)
		if err != nil {
			return 0, err
		}
		if ok {
			break
		}
		if limit >= most {
			return 0, errNeverPasses
		}
		fails, limit = limit, min(limit*step, most)
	}
	for fails > 0 && float64(limit) > float64(fails)*closeTo {
		middle := int64(math.Sqrt(float64(fails) * float64(limit)))
		ok, err := passes(middle)
		if err != nil {
			return 0, err
		}
		if ok {
			limit = middle
		} else {
			fails = middle
		}
	}
	return limit, nil
}
