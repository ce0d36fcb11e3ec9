package wasm

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/sdk/abi"
)

// bisection runs a batch, in halves and halves of halves where the plugin
// fails, until the rows at fault are alone.
type bisection struct {
	transform *Transform
	export    string
	in        arrow.RecordBatch
	meta      Meta
	watermark int64
	parts     []part // in row order
}

func (t *Transform) bisect(ctx context.Context, b *bisection) (Result, error) {
	h := &halves{transform: t, what: "rows", total: int(b.in.NumRows()), attempt: b.attempt, reject: b.reject}
	if err := h.run(ctx); err != nil {
		releaseParts(b.parts)
		return Result{}, err
	}
	return b.result(h.usage)
}

func (b *bisection) attempt(ctx context.Context, from, to int, budget int64) (cost, error) {
	rows := b.in.NewSlice(int64(from), int64(to))
	defer rows.Release()
	p, used, err := b.transform.attempt(ctx, call{export: b.export, rows: rows, start: from, budget: budget}, b.meta, b.watermark)
	if err == nil {
		b.parts = append(b.parts, p)
	}
	return used, err
}

// reject makes row errors of rows.
func (b *bisection) reject(from, to int, code, message string) {
	p := part{start: from, rows: to - from}
	for i := range to - from {
		p.errors = append(p.errors, RowError{Row: uint32(i), Code: code, Message: message})
	}
	b.parts = append(b.parts, p)
}

// result puts the parts together.
func (b *bisection) result(usage Usage) (Result, error) {
	defer releaseParts(b.parts)
	res := Result{Usage: usage}
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
