package wasm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/sdk/abi"
)

// Bounds on the search for the rows at fault in one batch. Eight poison rows in
// a batch of 8,192 take some 200 calls.
const (
	maxRetryCalls   = 512
	maxRetryBudgets = 8 // work of all calls for one batch, in budgets of a call
	// minBudgetShare bounds from below what a small part of a batch may use: a
	// call has fixed costs, a garbage collection in the guest among them.
	minBudgetShare = 64
)

// bisection runs a batch, in halves and halves of halves where the plugin
// fails, until the rows at fault are alone.
type bisection struct {
	transform *Transform
	meta      Meta
	watermark int64
	rows      int
	callsLeft int
	workLeft  int64
	parts     []part // in row order
}

// run processes rows from start on. again: they failed with a wish to be
// retried, which is granted once.
func (b *bisection) run(ctx context.Context, rows arrow.RecordBatch, start int, again bool) error {
	n := int(rows.NumRows())
	c := call{rows: rows, start: start, budget: b.budget(n)}
	p, work, err := b.transform.attempt(ctx, c, b.meta, b.watermark)
	b.callsLeft--
	b.workLeft -= work
	if err == nil {
		b.parts = append(b.parts, p)
		return nil
	}
	code := failureCode(err)
	if code == "" || errors.Is(err, errNoInstance) || errors.Is(err, ErrRefusedConfig) || ctx.Err() != nil {
		return err
	}
	if b.transform.init.OnError == Stop {
		return fmt.Errorf("plugin %q failed on rows %d to %d of the batch: %w", b.transform.plugin.describe.Name, start, start+n-1, err)
	}
	spent := b.callsLeft <= 0 || b.workLeft <= 0
	switch {
	case n == 0:
		return err // no row to blame
	case errors.Is(err, errRetry) && !again && !spent:
		return b.run(ctx, rows, start, true)
	case n == 1:
		b.reject(start, 1, code, err.Error())
	case spent:
		b.reject(start, n, code, fmt.Sprintf("not isolated: %d rows failed together and the search for the row at fault was given up; fix the plugin and replay them: %v", n, err))
	default:
		return b.split(ctx, rows, start)
	}
	return nil
}

func (b *bisection) split(ctx context.Context, rows arrow.RecordBatch, start int) error {
	n := rows.NumRows()
	for _, half := range [][2]int64{{0, n / 2}, {n / 2, n}} {
		s := rows.NewSlice(half[0], half[1])
		err := b.run(ctx, s, start+int(half[0]), false)
		s.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// budget is a share of the budget in proportion to the rows.
func (b *bisection) budget(n int) int64 {
	full := b.transform.plugin.limits.Budget
	if n == b.rows {
		return full
	}
	return max(full/minBudgetShare, full/int64(b.rows)*int64(n))
}

// reject makes row errors of n rows.
func (b *bisection) reject(start, n int, code, message string) {
	if len(message) > abi.MaxMessageBytes {
		message = message[:abi.MaxMessageBytes]
		for !utf8.ValidString(message) {
			message = message[:len(message)-1]
		}
	}
	p := part{start: start, rows: n}
	for i := range n {
		p.errors = append(p.errors, RowError{Row: uint32(i), Code: code, Message: message})
	}
	b.parts = append(b.parts, p)
}

// result puts the parts together.
func (b *bisection) result() (Result, error) {
	defer releaseParts(b.parts)
	var res Result
	for _, p := range b.parts {
		for _, e := range p.errors {
			e.Row += uint32(p.start)
			res.Errors = append(res.Errors, e)
		}
		res.Metrics.add(p.metrics)
	}
	slices.SortStableFunc(res.Errors, func(x, y RowError) int { return cmp.Compare(x.Row, y.Row) })
	for number := range b.streams() {
		o, err := b.join(number)
		if err != nil {
			res.Release()
			return Result{}, err
		}
		res.Outputs = append(res.Outputs, o)
	}
	slices.SortFunc(res.Outputs, func(x, y Output) int { return cmp.Compare(x.Stream, y.Stream) })
	return res, nil
}

// streams is the outputs of all parts, the main stream in any case.
func (b *bisection) streams() map[uint32]bool {
	numbers := map[uint32]bool{abi.StreamMain: true}
	for _, p := range b.parts {
		for _, o := range p.outputs {
			numbers[o.Stream] = true
		}
	}
	return numbers
}

// join concatenates what the parts have of one stream.
func (b *bisection) join(number uint32) (Output, error) {
	var batches []arrow.RecordBatch
	var origin []int32
	for _, p := range b.parts {
		for _, o := range p.outputs {
			if o.Stream != number {
				continue
			}
			if len(b.parts) == 1 {
				o.Rows.Retain()
				return o, nil
			}
			batches = append(batches, o.Rows)
			for i := range int(o.Rows.NumRows()) {
				from := i
				if o.Origin != nil {
					from = int(o.Origin[i])
				}
				origin = append(origin, int32(p.start+from))
			}
		}
	}
	if batches == nil {
		batches = []arrow.RecordBatch{emptyBatch(b.transform.init.Output)}
		defer batches[0].Release()
	}
	rows, err := concatenate(batches)
	if err != nil {
		return Output{}, fmt.Errorf("join output stream %d: %w", number, err)
	}
	if origin == nil {
		origin = []int32{}
	}
	return Output{Stream: number, Rows: rows, Origin: origin}, nil
}

func emptyBatch(s *arrow.Schema) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	defer b.Release()
	return b.NewRecordBatch()
}

func concatenate(batches []arrow.RecordBatch) (arrow.RecordBatch, error) {
	schema := batches[0].Schema()
	columns := make([]arrow.Array, 0, schema.NumFields())
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	total := int64(0)
	for _, b := range batches {
		total += b.NumRows()
	}
	for i := range schema.NumFields() {
		pieces := make([]arrow.Array, len(batches))
		for k, b := range batches {
			pieces[k] = b.Column(i)
		}
		c, err := array.Concatenate(pieces, memory.DefaultAllocator)
		if err != nil {
			return nil, err
		}
		columns = append(columns, c)
	}
	return array.NewRecordBatch(schema, columns, total), nil
}
