package wasm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/plugins/wasm/internal/cdata"
	"github.com/calvelake/calve/sdk/abi"
)

// NoWatermark stands for a model that has no watermark yet.
const NoWatermark int64 = abi.NoWatermark

// Meta is where the rows of a batch came from. The zero value is nowhere.
type Meta struct {
	Topic      string
	Partition  int32
	Offsets    []int64 // of each row
	Timestamps []int64 // of each row, µs since 1970-01-01 UTC
}

// Result is what became of a batch. An input row that is in no output and has
// no error was filtered.
type Result struct {
	Outputs []Output   // by stream; the main one is always there, others where the plugin returned them
	Errors  []RowError // at most one a row, in row order
	Metrics Metrics
	Usage   Usage
}

// Release releases the rows of all outputs.
func (r Result) Release() {
	for _, o := range r.Outputs {
		o.Rows.Release()
	}
}

// Output is the rows of one stream, in the model's column order for the main
// stream. They are the caller's, who releases them; columns that the plugin
// passed through are those of the input.
type Output struct {
	Stream uint32
	Rows   arrow.RecordBatch
	Origin []int32 // the input row of each row, never decreasing; nil: one to one
}

// RowError is an input row that did not become rows.
type RowError struct {
	Row     uint32
	Code    string // the plugin's own, or CodeTrap, CodeLimit, CodeOutput
	Column  string // the input column at fault, "" if none in particular
	Message string
}

// Process runs the plugin over a batch, whose schema is Init.Input. It does not
// keep in.
//
// Rows that the plugin fails on come back as row errors; under OnError Stop they
// are an error instead. Other errors have nothing to do with the rows: the
// context ended, the transform is closed, a new instance refused to start.
func (t *Transform) Process(ctx context.Context, in arrow.RecordBatch, meta Meta, watermark int64) (Result, error) {
	if !in.Schema().Equal(t.init.Input) && !sameColumns(in.Schema(), t.init.Input) {
		return Result{}, fmt.Errorf("BUG: batch of %s, the plugin was opened for %s", in.Schema(), t.init.Input)
	}
	n := int(in.NumRows())
	if meta.Offsets != nil && (len(meta.Offsets) != n || len(meta.Timestamps) != n) {
		return Result{}, fmt.Errorf("BUG: batch of %d rows with %d offsets and %d timestamps", n, len(meta.Offsets), len(meta.Timestamps))
	}
	return t.bisect(ctx, &bisection{transform: t, export: abi.ExportProcess, in: in, meta: meta, watermark: watermark})
}

func sameColumns(a, b *arrow.Schema) bool {
	return slices.EqualFunc(a.Fields(), b.Fields(), func(x, y arrow.Field) bool {
		return x.Name == y.Name && arrow.TypeEqual(x.Type, y.Type)
	})
}

// call is one call of an export on rows from start on.
type call struct {
	export string
	rows   arrow.RecordBatch
	start  int
	budget int64
}

// part is the result of one call, its rows numbered within the call.
type part struct {
	start   int
	rows    int
	outputs []Output
	errors  []RowError
	metrics Metrics
}

// attempt runs one call on an instance of its own.
func (t *Transform) attempt(ctx context.Context, c call, meta Meta, watermark int64) (p part, used cost, err error) {
	used, err = t.with(ctx, func(in *instance) error {
		p, err = t.callInstance(ctx, in, c, meta, watermark)
		return err
	})
	return p, used, err
}

// with lends an instance to run. It recovers: whatever a guest returns, it must
// not end the host (invariant 10), even through a check that is missing.
func (t *Transform) with(ctx context.Context, run func(*instance) error) (used cost, err error) {
	in, err := t.take(ctx)
	if err != nil {
		return cost{}, fmt.Errorf("make plugin instance: %w", errors.Join(errNoInstance, err))
	}
	used.start = in.lend()
	err = func() (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("%w: BUG: reading it panicked: %v", ErrOutput, r)
			}
		}()
		return run(in)
	}()
	used.usage = in.used()
	t.observe.call(in, err)
	if err != nil {
		in.close(ctx) // its state is unknown
		return used, err
	}
	t.put(ctx, in)
	return used, nil
}

// errNoInstance: no instance could be made, which says nothing about the rows.
var errNoInstance = errors.New("instance refused to start")

func (t *Transform) callInstance(ctx context.Context, in *instance, c call, meta Meta, watermark int64) (part, error) {
	n := int(c.rows.NumRows())
	b := cdata.Batch{Rows: c.rows, Watermark: watermark, Meta: cdata.Meta{Topic: meta.Topic, Partition: meta.Partition}}
	if meta.Offsets != nil {
		b.Meta.Offsets, b.Meta.Timestamps = meta.Offsets[c.start:c.start+n], meta.Timestamps[c.start:c.start+n]
	}
	reader, res, err := t.exchange(ctx, in, exchange{export: c.export, budget: c.budget, batch: b})
	if err != nil {
		return part{}, err
	}
	p, err := t.read(reader, res, n)
	p.start, p.rows, p.metrics = c.start, n, in.env.metrics
	return p, err
}

// exchange is a batch for an export.
type exchange struct {
	export string
	budget int64
	batch  cdata.Batch
}

// exchange hands a batch to the guest and reads the result struct.
func (t *Transform) exchange(ctx context.Context, in *instance, x exchange) (*cdata.Reader, cdata.Result, error) {
	address, arena, err := in.alloc(ctx, x.budget, cdata.BatchBytes(x.batch))
	if err != nil {
		return nil, cdata.Result{}, err
	}
	batch, input := cdata.WriteBatch(arena, address, x.batch)
	r, err := in.call(ctx, x.budget, x.export, uint64(batch))
	if err != nil {
		return nil, cdata.Result{}, err
	}
	reader := &cdata.Reader{Memory: in.memory(), Budget: t.plugin.limits.OutputBytes}
	if x.batch.InPlace == cdata.InPlaceNone {
		reader.Input = input
	}
	res, err := in.result(reader, r)
	return reader, res, err
}

// read copies the outputs and row errors out of guest memory.
func (t *Transform) read(reader *cdata.Reader, res cdata.Result, n int) (p part, err error) {
	defer func() {
		if err != nil {
			releaseParts([]part{p})
			p = part{}
		}
	}()
	var dropped []bool
	if p.errors, err = rowErrors(reader, res, n); err != nil {
		return p, err
	}
	if len(p.errors) > 0 {
		dropped = make([]bool, n)
		for _, e := range p.errors {
			dropped[e.Row] = true
		}
	}
	seen := map[uint32]bool{}
	for _, o := range res.Outputs {
		s, ok := t.streams[o.Stream]
		if !ok || seen[o.Stream] {
			return p, fmt.Errorf("%w: output stream %d is not declared, or comes twice", ErrOutput, o.Stream)
		}
		seen[o.Stream] = true
		table, err := reader.Table(o, cdata.Want{Schema: s.schema, Input: n, MaxRows: t.plugin.limits.OutputRows, Dropped: dropped})
		if err != nil {
			return p, err
		}
		p.outputs = append(p.outputs, Output{Stream: o.Stream, Rows: s.arrange(table.Rows), Origin: table.Origin})
	}
	return p, nil
}

// rowErrors reads the row errors of a result about n rows.
func rowErrors(reader *cdata.Reader, res cdata.Result, n int) ([]RowError, error) {
	if res.RowErrors == 0 {
		return nil, nil
	}
	read, err := reader.RowErrors(res.RowErrors, n)
	if err != nil {
		return nil, err
	}
	var errs []RowError
	for _, e := range read {
		errs = append(errs, RowError(e))
	}
	return errs, nil
}

// sortedErrors is row errors in row order.
func sortedErrors(errs []RowError) []RowError {
	slices.SortFunc(errs, func(a, b RowError) int { return cmp.Compare(a.Row, b.Row) })
	return errs
}

// arrange puts columns in the model's order and under its schema.
func (s *stream) arrange(rows arrow.RecordBatch) arrow.RecordBatch {
	if s.model == nil {
		return rows
	}
	defer rows.Release()
	columns := make([]arrow.Array, len(s.order))
	for i, at := range s.order {
		columns[i] = retype(rows.Column(at), s.model.Field(i).Type)
		defer columns[i].Release()
	}
	return array.NewRecordBatch(s.model, columns, rows.NumRows())
}

// retype gives an array the model's type, which may name the fields of lists
// and maps in another way. The caller releases it.
func retype(a arrow.Array, t arrow.DataType) arrow.Array {
	if arrow.TypeEqual(a.DataType(), t) {
		a.Retain()
		return a
	}
	data := retypeData(a.Data(), t)
	defer data.Release()
	return array.MakeFromData(data)
}

func retypeData(d arrow.ArrayData, t arrow.DataType) arrow.ArrayData {
	var below []arrow.ArrayData
	for i, child := range d.Children() {
		below = append(below, retypeData(child, childType(t, i)))
	}
	out := array.NewData(t, d.Len(), d.Buffers(), below, d.NullN(), d.Offset())
	for _, child := range below {
		child.Release()
	}
	return out
}

func childType(t arrow.DataType, i int) arrow.DataType {
	if l, ok := t.(arrow.ListLikeType); ok {
		return l.Elem()
	}
	return t.(*arrow.StructType).Field(i).Type
}

func releaseParts(parts []part) {
	for _, p := range parts {
		for _, o := range p.outputs {
			o.Rows.Release()
		}
	}
}
