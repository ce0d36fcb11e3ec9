package pipeline

import (
	"context"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/calvelake/calve/runtime/record"
)

// outcome is what steps 2 and 3 made of one slice for one model.
type outcome struct {
	model   *Model
	rows    record.Batch
	rejects []record.Reject
	fate    record.Fate
}

// each runs work for every slice and every model that reads its topic, side by
// side, and returns the outcomes in the order of slices, then models: the
// order in which rows are written must not depend on which finished first.
// After an error it returns those that were made, for release.
func (r *reader) each(slices []record.Slice, work func(*Model, *record.Slice) (outcome, error)) ([]outcome, error) {
	type pair struct {
		model *Model
		slice *record.Slice
	}
	var pairs []pair
	for i := range slices {
		for _, m := range r.reading(slices[i].Topic) {
			pairs = append(pairs, pair{m, &slices[i]})
		}
	}
	outcomes := make([]outcome, len(pairs))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, w := range pairs {
		group.Go(func() (err error) {
			outcomes[i], err = work(w.model, w.slice)
			return err
		})
	}
	return outcomes, group.Wait()
}

func release(outcomes []outcome) {
	for _, o := range outcomes {
		o.rows.Release()
	}
}

// transform hands rows to the model's plugin and returns what it made of them.
func (m *Model) transform(ctx context.Context, rows record.Batch) (record.Batch, []record.Reject, error) {
	if m.Plugin == nil || rows.Rows.NumRows() == 0 {
		return rows, nil, nil
	}
	defer rows.Release()
	out, rejects, err := m.Plugin.Transform(ctx, rows)
	if err != nil {
		return record.Batch{}, nil, fmt.Errorf("plugin %s of model %s at %s offset %d: %w", m.PluginRef, m.Name, rows.Source.TopicPartition, rows.Source.From, err)
	}
	return out, rejects, nil
}

// newOutcome counts what became of the records (invariant 6).
func newOutcome(m *Model, rows record.Batch, rejects []record.Reject) outcome {
	return outcome{model: m, rows: rows, rejects: rejects, fate: countFates(rows, rejects)}
}

func countFates(rows record.Batch, rejects []record.Reject) record.Fate {
	records := rows.Source.Records
	const hasRow, isDead = 1, 2
	marks := make([]byte, len(records))
	for _, i := range rows.Records {
		marks[i] |= hasRow
	}
	for _, r := range rejects {
		marks[r.Record] |= isDead
	}
	f := record.Fate{Delivered: int64(len(records)), Rows: int64(len(rows.Records)), Letters: int64(len(rejects))}
	for _, m := range marks {
		switch {
		case m&hasRow != 0:
			f.WithRows++
		case m&isDead != 0:
			f.Dead++
		default:
			f.Filtered++
		}
	}
	return f
}
