package author

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/plugins/trial"
	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/sdk/abi"
)

// MeasureOptions say what Measure does.
type MeasureOptions struct {
	Cases   []Case        // the rows of the first one that has any, over and over; none: random rows
	Rows    int           // of a batch
	Batches int           // whose memory is compared with that of a few
	Time    time.Duration // how long each step runs for its speed
	Seed    uint64        // of random rows
}

// Measurement is what a plugin costs.
type Measurement struct {
	Case  string            `json:"case,omitempty"` // where the rows are from; "": they are random
	Steps []StepMeasurement `json:"steps"`
	// MemoryBytes is the linear memory of an instance after a few batches,
	// MemoryAfter that after Batches. Grows: it is a quarter and a MiB more,
	// or so much that it met the limit.
	MemoryBytes int64 `json:"memory_bytes"`
	Batches     int   `json:"batches"`
	MemoryAfter int64 `json:"memory_after_bytes"` // 0: more than the default limit
	Grows       bool  `json:"grows"`
}

// StepMeasurement is what one kind of call costs: process of a transform;
// accumulate, merge and finish of a session plugin; decide of an scd plugin.
type StepMeasurement struct {
	Name          string  `json:"name"`
	Of            string  `json:"of"` // what it is given
	Rows          int     `json:"rows"`
	RowsPerSecond float64 `json:"rows_per_second"`
	// VsCopy is the best time of a call, as a multiple of the time of copying
	// the bytes of its input once.
	VsCopy      float64 `json:"vs_copy"`
	WorkPerRow  float64 `json:"work_per_row"` // units of the budget
	BudgetShare float64 `json:"budget_share"` // of the default budget that a call takes
}

// Measure runs the plugin by the clock, and counts what it uses.
func (m *Module) Measure(ctx context.Context, o MeasureOptions) (got Measurement, err error) {
	name, setup, rows, err := o.rows(m)
	if err != nil {
		return got, err
	}
	defer rows.Release()
	setup.Stop = true
	s, err := trial.Open(ctx, m.plugin, setup)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, s.Close(ctx)) }()
	steps, err := s.Steps(ctx, rows, o.Rows)
	if err != nil {
		return got, err
	}
	got = Measurement{Case: name, Batches: o.Batches}
	// Memory first: the clock runs any number of batches.
	if err := got.memory(ctx, steps); err != nil {
		return got, err
	}
	for _, step := range steps {
		one, err := clock(ctx, step, o.Time)
		if err != nil {
			return got, fmt.Errorf("%s: %w", step.Name, err)
		}
		got.Steps = append(got.Steps, one)
	}
	return got, nil
}

// rows is those of the first case that has any, or random ones.
func (o MeasureOptions) rows(m *Module) (name string, setup trial.Setup, rows trial.Rows, err error) {
	d := m.plugin.Describe()
	for _, c := range o.Cases {
		if len(c.Input.Rows) == 0 || c.Refused != "" {
			continue
		}
		if rows, err = c.Rows(d); err != nil {
			return "", setup, rows, fmt.Errorf("case %q: %w", c.Name, err)
		}
		return c.Name, c.Setup(rows), rows, nil
	}
	setups, err := trial.Setups(d, nil)
	if err != nil {
		return "", setup, rows, err
	}
	return "", setups[0], trial.NewRandom(o.Seed, nil).Rows(d.Kind, setups[0], o.Rows), nil
}

// fewBatches are enough for a guest's garbage collector to have met its match.
const fewBatches = 10

// memorySlack is what a garbage collector may take later than in a few batches.
const memorySlack = 1 << 20

// memory runs all steps in turn, and looks at the memory that they took.
func (m *Measurement) memory(ctx context.Context, steps []trial.Step) error {
	few := min(fewBatches, m.Batches)
	for i := range m.Batches {
		for _, step := range steps {
			usage, err := step.Run(ctx)
			if err != nil && i >= few && isLimit(err) {
				m.Grows, m.MemoryAfter = true, 0
				return nil
			}
			if err != nil {
				return fmt.Errorf("%s, batch %d: %w", step.Name, i, err)
			}
			m.MemoryAfter = max(m.MemoryAfter, usage.Memory)
		}
		if i < few {
			m.MemoryBytes = m.MemoryAfter
		}
	}
	m.Grows = m.MemoryAfter > m.MemoryBytes+max(m.MemoryBytes/4, memorySlack)
	return nil
}

// isLimit tells whether a plugin failed as one does that is out of memory: it may
// trap before the host tells it.
func isLimit(err error) bool { return errors.Is(err, wasm.ErrMemory) || errors.Is(err, wasm.ErrTrap) }

// clock measures a step's speed, and a copy of its input in turn with it.
func clock(ctx context.Context, step trial.Step, length time.Duration) (StepMeasurement, error) {
	m := StepMeasurement{Name: step.Name, Of: step.Of, Rows: step.Rows}
	buffers := buffersOf(step.Input)
	total, batch, copied, rows, work := time.Duration(0), time.Duration(math.MaxInt64), time.Duration(math.MaxInt64), 0, int64(0)
	for rows == 0 || total < length {
		start := time.Now()
		usage, err := step.Run(ctx)
		took := time.Since(start)
		if err != nil {
			return m, err
		}
		total, batch, rows, work = total+took, min(batch, took), rows+step.Rows, work+usage.Work
		start = time.Now()
		copy(buffers.to, buffers.from)
		copied = min(copied, time.Since(start))
	}
	m.RowsPerSecond = float64(rows) / max(total, 1).Seconds()
	m.VsCopy = float64(batch) / float64(max(copied, 1))
	m.WorkPerRow = float64(work) / float64(rows)
	m.BudgetShare = m.WorkPerRow * float64(step.Rows) / abi.DefaultBudget
	return m, nil
}

// buffersOf is the buffers of batches, and one to copy them to.
func buffersOf(batches []arrow.RecordBatch) (all struct{ from, to []byte }) {
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
	for _, batch := range batches {
		for _, column := range batch.Columns() {
			walk(column.Data())
		}
	}
	all.to = make([]byte, len(all.from))
	return all
}
