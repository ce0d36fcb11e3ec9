package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
)

// Step is a part of what becomes of a model's rows between decoding and
// writing: where, derive, the data tests. It must be safe for concurrent use.
type Step interface {
	// Apply returns new rows, which the caller releases; the batch given stays
	// the caller's. Rows stay in order. A record of which it refuses something
	// other than single rows (record.Reject.OfRow) ends as a dead letter as a
	// whole: the caller drops its other rows. An error stops the pipeline.
	Apply(ctx context.Context, batch record.Batch) (Applied, error)
}

// Sparing is a part of what becomes of rows, a Step or a Transformer, that may
// stop the pipeline over single rows. A replay of dead letters refuses them
// instead: the letter is there already and stays open, and the request would
// stop every start again.
type Sparing[T any] interface {
	// Sparing returns the part that refuses such rows.
	Sparing() T
}

// Applied is what a step made of a batch.
type Applied struct {
	Rows     record.Batch
	Rejects  []record.Reject
	Warnings []Warning

	tally    *tally       // of the model's plugin; nil if no row came to it
	compared *Differences // between it and its shadow; nil without one
}

// Warning counts the rows of a slice that fail a data test of severity warn.
type Warning struct {
	Test    string
	Rows    int64
	Message string // of the first
	At      record.TopicPartition
	Offset  int64 // of its record
	Keyed   bool  // the row is of a keyed model, and of no single record
}

// transform takes rows, which it releases, through steps.
func transform(ctx context.Context, rows record.Batch, steps []Step) (Applied, error) {
	out := Applied{Rows: rows}
	var plugin trial
	for _, s := range steps {
		if len(out.Rows.Records) == 0 {
			break
		}
		if _, ok := s.(pluginStep); ok {
			plugin.begin(out)
		}
		made, err := s.Apply(ctx, out.Rows)
		out.Rows.Release()
		if err != nil {
			return Applied{}, plugin.blame(err)
		}
		out.Rejects = append(out.Rejects, made.Rejects...)
		out.Warnings = append(out.Warnings, made.Warnings...)
		if made.compared != nil {
			out.compared = made.compared
		}
		if out.Rows, err = dropRecords(made.Rows, made.Rejects); err != nil {
			return Applied{}, plugin.blame(err)
		}
	}
	out.tally = plugin.tally(out.Rejects)
	return out, nil
}

// steps are where, the plugin, and what is behind it.
func (m *Model) steps() []Step {
	steps := slices.Clone(m.Before)
	if m.Plugin != nil {
		steps = append(steps, pluginStep{m.Plugin, m.PluginRef, m.Shadow})
	}
	return append(steps, m.After...)
}

// sparingSteps are those that stop over no row.
func (m *Model) sparingSteps() []Step {
	steps := m.steps()
	for i, s := range steps {
		if sparing, ok := s.(Sparing[Step]); ok {
			steps[i] = sparing.Sparing()
		}
	}
	return steps
}

// pluginStep is a plugin among the steps.
type pluginStep struct {
	plugin Transformer
	ref    string
	shadow *Shadow // nil without one
}

func (s pluginStep) Apply(ctx context.Context, batch record.Batch) (Applied, error) {
	rows, rejects, err := s.plugin.Transform(ctx, batch)
	if err != nil {
		return Applied{}, fmt.Errorf("plugin %s at %s offset %d: %w", s.ref, batch.Source.TopicPartition, batch.Source.From, err)
	}
	made := Applied{Rows: rows, Rejects: rejects}
	if s.shadow != nil {
		made.compared = s.shadow.compare(ctx, batch, made)
	}
	return made, nil
}

// Sparing implements Sparing. A replay has no shadow: its records were compared
// when they came.
func (s pluginStep) Sparing() Step {
	s.shadow = nil
	if sparing, ok := s.plugin.(Sparing[Transformer]); ok {
		s.plugin = sparing.Sparing()
	}
	return s
}

// dropRecords leaves out all rows of records that were refused as a whole, and
// releases the batch: a record is whole as far as decoding, expressions and
// plugins go.
func dropRecords(rows record.Batch, rejects []record.Reject) (record.Batch, error) {
	refused := map[int32]bool{}
	for _, r := range rejects {
		if !r.OfRow {
			refused[r.Record] = true
		}
	}
	keep := make([]int, 0, len(rows.Records))
	for i, r := range rows.Records {
		if !refused[r] {
			keep = append(keep, i)
		}
	}
	if len(keep) == len(rows.Records) {
		return rows, nil
	}
	defer rows.Release()
	return rows.Select(keep, memory.DefaultAllocator)
}

// retained is the batch for a caller of its own.
func retained(b record.Batch) record.Batch {
	b.Rows.Retain()
	if b.Changes != nil {
		b.Changes.Retain()
	}
	return b
}

// withColumns is a batch's rows with the columns that an expression reads: the
// change and position columns are made where one of them is. The caller
// releases it.
func withColumns(b record.Batch, columns []string, mem memory.Allocator) (arrow.RecordBatch, error) {
	for _, name := range columns {
		if !b.Rows.Schema().HasField(name) {
			return record.WithPositions(b, mem)
		}
	}
	b.Rows.Retain()
	return b.Rows, nil
}
