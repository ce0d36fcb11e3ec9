package wasm

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/plugins/wasm/internal/cdata"
	"github.com/calvelake/calve/sdk/abi"
)

// stateCalls runs calls that return state, in halves where they fail.
type stateCalls struct {
	session *Session
	export  string
	before  arrow.RecordBatch                   // state of what is rejected
	batch   func(from, to int) cdata.Batch      // of some groups; its batches are released
	rows    func(from, to int) (first, end int) // what the row errors of some groups are about

	states []arrow.RecordBatch // in order
	errors []RowError
}

// Update is what became of state.
type Update struct {
	State  arrow.RecordBatch // the caller's, who releases it
	Errors []RowError        // at most one a row, in row order
	Usage  Usage
}

func (c *stateCalls) run(ctx context.Context, what string) (Update, error) {
	if c.before.NumRows() == 0 {
		c.before.Retain()
		return Update{State: c.before}, nil
	}
	defer func() {
		for _, s := range c.states {
			s.Release()
		}
	}()
	h := &halves{transform: c.session.transform, what: what, total: int(c.before.NumRows()), attempt: c.attempt, reject: c.reject}
	if err := h.run(ctx); err != nil {
		return Update{}, err
	}
	if len(c.states) == 1 {
		c.states[0].Retain()
		return Update{State: c.states[0], Errors: c.errors, Usage: h.usage}, nil
	}
	state, err := concatenate(c.states)
	if err != nil {
		return Update{}, fmt.Errorf("join state: %w", err)
	}
	return Update{State: state, Errors: c.errors, Usage: h.usage}, nil
}

func (c *stateCalls) attempt(ctx context.Context, from, to int, budget int64) (cost, error) {
	b := c.batch(from, to)
	defer b.Rows.Release()
	defer b.State.Release()
	t := c.session.transform
	return t.with(ctx, func(in *instance) error {
		reader, res, err := t.exchange(ctx, in, exchange{export: c.export, budget: budget, batch: b})
		if err != nil {
			return err
		}
		first, end := c.rows(from, to)
		errs, err := rowErrors(reader, res, end-first)
		if err != nil {
			return err
		}
		if len(errs) > 0 && c.export == abi.ExportMerge {
			return fmt.Errorf("%w: %s returned row errors, it cannot refuse sessions one by one", ErrOutput, c.export)
		}
		state, err := t.oneToOne(reader, res, c.session.state, to-from)
		if err != nil {
			return err
		}
		c.states = append(c.states, state)
		for _, e := range sortedErrors(errs) {
			e.Row += uint32(first)
			c.errors = append(c.errors, e)
		}
		return nil
	})
}

// oneToOne reads a result whose only output has a row for each of n.
func (t *Transform) oneToOne(reader *cdata.Reader, res cdata.Result, schema *arrow.Schema, n int) (arrow.RecordBatch, error) {
	if len(res.Outputs) != 1 {
		return nil, fmt.Errorf("%w: %d outputs, it must be 1", ErrOutput, len(res.Outputs))
	}
	o := res.Outputs[0]
	if o.Stream != abi.StreamMain || o.Selection != 0 || o.Rows != 0 || o.Schema != 0 {
		return nil, fmt.Errorf("%w: output stream %d: it must be stream %d, without selection, rows and a schema of its own", ErrOutput, o.Stream, abi.StreamMain)
	}
	table, err := reader.Table(o, cdata.Want{Schema: schema, Input: n, MaxRows: t.plugin.limits.OutputRows})
	return table.Rows, err
}

func (c *stateCalls) reject(from, to int, code, message string) {
	first, end := c.rows(from, to)
	for i := first; i < end; i++ {
		c.errors = append(c.errors, RowError{Row: uint32(i), Code: code, Message: message})
	}
	c.states = append(c.states, c.before.NewSlice(int64(from), int64(to)))
}
