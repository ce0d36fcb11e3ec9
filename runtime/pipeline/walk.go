package pipeline

import (
	"cmp"
	"context"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/calvelake/calve/runtime/record"
)

// outcome is what steps 2 and 3 made of one slice for one model.
type outcome struct {
	model    *Model
	rows     record.Batch
	rejects  []record.Reject
	warnings []Warning
	// truncations of the source's tables that were ignored
	truncations []record.Truncation
	fate        record.Fate
	tally       *tally       // of the model's plugin; nil if no row came to it
	compared    *Differences // between it and its shadow; nil without one
}

// each runs work for every slice and every model that reads its topic, side by
// side, and returns the outcomes in the order of slices, then models: the
// order in which rows are written must not depend on which finished first.
// After an error it returns those that were made, for release, and the error of
// the first in that order.
func (r *reader) each(taken []record.Slice, work func(*Model, *record.Slice) (outcome, error)) ([]outcome, error) {
	var pairs []pair
	for i := range taken {
		for _, m := range r.reading(taken[i].Topic) {
			pairs = append(pairs, pair{m, &taken[i]})
		}
	}
	return eachPair(pairs, work)
}

// pair is a slice that goes through a model.
type pair struct {
	model *Model
	slice *record.Slice
}

// eachPair is each for given models and slices.
func eachPair(pairs []pair, work func(*Model, *record.Slice) (outcome, error)) ([]outcome, error) {
	outcomes := make([]outcome, len(pairs))
	errs := make([]error, len(pairs))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, w := range pairs {
		group.Go(func() error {
			outcomes[i], errs[i] = work(w.model, w.slice)
			return nil
		})
	}
	_ = group.Wait() // errs has them, in order
	return outcomes, cmp.Or(errs...)
}

func release(outcomes []outcome) {
	for _, o := range outcomes {
		o.rows.Release()
	}
}

// carry takes a slice through steps 2 and 3, of which the third is given.
func (m *Model) carry(ctx context.Context, s *record.Slice, steps []Step) (outcome, error) {
	rows, rejects, err := m.Decoder.Decode(ctx, s) // 2 decode
	if err != nil {
		return outcome{}, decodeError(m, s, err)
	}
	truncations := rows.Truncations
	made, err := transform(ctx, rows, steps) // 3 transform
	if err != nil {
		return outcome{}, m.stepError(err)
	}
	o := newOutcome(m, made.Rows, append(rejects, made.Rejects...))
	o.tally, o.compared = made.tally, made.compared
	o.warnings, o.truncations = made.Warnings, truncations
	return o, nil
}

// newOutcome counts what became of the records (invariant 6).
func newOutcome(m *Model, rows record.Batch, rejects []record.Reject) outcome {
	rejects = onePerPlace(rejects)
	return outcome{model: m, rows: rows, rejects: rejects, fate: countFates(rows, rejects)}
}

// onePerPlace leaves the first reject of each record, or of each of its rows:
// a record that is refused as a whole is one dead letter, and so is a row that
// fails two tests.
func onePerPlace(rejects []record.Reject) []record.Reject {
	if len(rejects) < 2 {
		return rejects
	}
	whole := map[int32]bool{}
	for _, r := range rejects {
		if !r.OfRow {
			whole[r.Record] = true
		}
	}
	seen := map[rowOf]bool{}
	return slices.DeleteFunc(rejects, func(r record.Reject) bool {
		at := rowOf{r.Record, r.Row}
		if !r.OfRow {
			at.ordinal = -1
		}
		again := seen[at] || r.OfRow && whole[r.Record]
		seen[at] = true
		return again
	})
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
