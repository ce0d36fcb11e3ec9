package daemon

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/runtime/record"
)

// plugin is a compiled plugin as the pipeline's Transformer.
type plugin struct {
	compiled  *wasm.Plugin
	transform *wasm.Transform // nil if it was refused
	digest    string
	rows      int            // of one call at most; 0 takes defaultBatchRows
	sparing   *sparingPlugin // nil unless it stops over a row
}

// defaultBatchRows: a call costs tens of nanoseconds, and a garbage collection
// of the host waits for a guest's longest uninterruptible operation, so calls
// are kept small.
const defaultBatchRows = 8192

func (p *plugin) Digest() string { return p.digest }

// NextEpoch implements pipeline.EpochBounded: the plugin may log again.
func (p *plugin) NextEpoch() {
	p.transform.NextEpoch()
	if p.sparing != nil {
		p.sparing.nextEpoch()
	}
}

// Close frees the plugin's instances and its code. No call may be running.
func (p *plugin) Close(ctx context.Context) error {
	var errs []error
	if p.sparing != nil {
		errs = append(errs, p.sparing.close(ctx))
	}
	if p.transform != nil {
		errs = append(errs, p.transform.Close(ctx))
	}
	return errors.Join(append(errs, p.compiled.Close(ctx))...)
}

// Transform hands a batch to the plugin, in pieces that end between records,
// since the rows of one record get their ordinals together.
func (p *plugin) Transform(ctx context.Context, batch record.Batch) (record.Batch, []record.Reject, error) {
	limit := p.rows
	if limit == 0 {
		limit = defaultBatchRows
	}
	var parts []arrow.RecordBatch
	defer func() {
		for _, part := range parts {
			part.Release()
		}
	}()
	out := record.Batch{Source: batch.Source}
	var origins []int // the row of the batch that each output row comes from
	var rejects []record.Reject
	for from := 0; from < len(batch.Records); {
		to := pieceEnd(batch.Records, from, limit)
		part, origin, refused, err := p.piece(ctx, batch, from, to)
		if err != nil {
			return record.Batch{}, nil, err
		}
		parts = append(parts, part)
		for _, row := range origin {
			origins = append(origins, row)
			out.Records = append(out.Records, batch.Records[row])
		}
		rejects = append(rejects, refused...)
		from = to
	}
	rows, err := concatenate(parts)
	if err != nil {
		return record.Batch{}, nil, err
	}
	out.Rows = rows
	if batch.Changes == nil {
		return out, rejects, nil
	}
	if out.Changes, err = record.Take(batch.Changes, origins, memory.DefaultAllocator); err != nil {
		out.Release()
		return record.Batch{}, nil, fmt.Errorf("keep the change columns of the plugin's rows: %w", err)
	}
	return out, rejects, nil
}

// pieceEnd is where a piece that begins at from ends: after limit rows, or
// where the record of the last row does.
func pieceEnd(records []int32, from, limit int) int {
	to := min(from+limit, len(records))
	for to < len(records) && records[to] == records[to-1] {
		to++
	}
	return to
}

// piece hands rows [from, to) to the plugin. It returns its rows and the row of
// the batch that each comes from.
func (p *plugin) piece(ctx context.Context, batch record.Batch, from, to int) (arrow.RecordBatch, []int, []record.Reject, error) {
	rows := batch.Rows.NewSlice(int64(from), int64(to))
	defer rows.Release()
	result, err := p.transform.Process(ctx, rows, meta(batch, from, to), wasm.NoWatermark)
	if err != nil {
		return nil, nil, nil, err
	}
	if len(result.Outputs) != 1 {
		for _, o := range result.Outputs {
			o.Rows.Release()
		}
		return nil, nil, nil, fmt.Errorf("the plugin returned %d streams, a staging model takes 1", len(result.Outputs))
	}
	output := result.Outputs[0]
	origin := make([]int, output.Rows.NumRows())
	for i := range origin {
		row := i
		if output.Origin != nil {
			row = int(output.Origin[i])
		}
		origin[i] = from + row
		if i > 0 && batch.Records[origin[i]] < batch.Records[origin[i-1]] {
			output.Rows.Release()
			return nil, nil, nil, fmt.Errorf("the plugin returned rows out of the order of its input (output row %d)", i)
		}
	}
	return output.Rows, origin, refusals(batch.Records[from:to], result.Errors), nil
}

// refusals turns row errors into rejects.
func refusals(records []int32, errs []wasm.RowError) []record.Reject {
	rejects := make([]record.Reject, len(errs))
	for i, e := range errs {
		ordinal := int32(0)
		for r := int(e.Row); r > 0 && records[r-1] == records[e.Row]; r-- {
			ordinal++
		}
		rejects[i] = record.Reject{Record: records[e.Row], Row: ordinal, Code: e.Code, Message: e.Message, Column: e.Column}
	}
	return rejects
}

func meta(batch record.Batch, from, to int) wasm.Meta {
	m := wasm.Meta{
		Topic: batch.Source.Topic, Partition: batch.Source.Partition,
		Offsets: make([]int64, to-from), Timestamps: make([]int64, to-from),
	}
	for i, r := range batch.Records[from:to] {
		m.Offsets[i] = batch.Source.Records[r].Offset
		m.Timestamps[i] = batch.Source.Records[r].Timestamp
	}
	return m
}

// concatenate joins pieces; a single one is returned as it is.
func concatenate(parts []arrow.RecordBatch) (arrow.RecordBatch, error) {
	if len(parts) == 1 {
		parts[0].Retain()
		return parts[0], nil
	}
	columns := make([]arrow.Array, parts[0].NumCols())
	defer func() {
		for _, c := range columns {
			if c != nil {
				c.Release()
			}
		}
	}()
	var rows int64
	for _, part := range parts {
		rows += part.NumRows()
	}
	for i := range columns {
		pieces := make([]arrow.Array, len(parts))
		for j, part := range parts {
			pieces[j] = part.Column(i)
		}
		var err error
		if columns[i], err = array.Concatenate(pieces, memory.DefaultAllocator); err != nil {
			return nil, fmt.Errorf("join the plugin's output: %w", err)
		}
	}
	return array.NewRecordBatch(parts[0].Schema(), columns, rows), nil
}
