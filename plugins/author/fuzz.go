package author

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/calvelake/calve/plugins/trial"
	"github.com/calvelake/calve/plugins/wasm"
)

// FuzzOptions say what Fuzz does.
type FuzzOptions struct {
	Batches int
	Seed    uint64
	// Cases give the columns where the plugin takes any, the configs that it is
	// run with, and texts that random ones are made of.
	Cases []Case
}

// FuzzResult is what came of random rows.
type FuzzResult struct {
	Seed      uint64        `json:"seed"`
	Batches   int           `json:"batches"`
	Rows      int           `json:"rows"`
	RowErrors int           `json:"row_errors"` // the plugin's own, which it may make
	Failures  []FuzzFailure `json:"failures,omitempty"`
}

// FuzzFailure is a batch that the plugin failed on.
type FuzzFailure struct {
	Batch            int               `json:"batch"` // from 0
	Config           json.RawMessage   `json:"config,omitempty"`
	trial.Difference                   // Row is of the input, but where two answers differ
	Input            []json.RawMessage `json:"input,omitempty"` // rows that show it
}

// maxFailures is when Fuzz ends: further ones are mostly the same.
const maxFailures = 5

// Fuzz runs a plugin on random batches of its input columns. It must not trap,
// exceed a limit or return what is not valid, and must answer the same on a
// fresh instance, on one that was used, and again. An error is the host's, or
// says that there is nothing to run.
func (m *Module) Fuzz(ctx context.Context, o FuzzOptions) (FuzzResult, error) {
	result := FuzzResult{Seed: o.Seed}
	targets, err := fuzzTargets(ctx, m.plugin, o.Cases)
	if err != nil {
		return result, err
	}
	defer func() {
		for _, t := range targets {
			_ = t.used.Close(ctx) // what it did was judged before
		}
	}()
	r := trial.NewRandom(o.Seed, o.Cases)
	for i := 0; i < o.Batches && len(result.Failures) < maxFailures; i++ {
		target := targets[i%len(targets)]
		rows := r.Rows(m.plugin.Describe().Kind, target.setup, batchLength(r, i))
		failures, rowErrors, err := target.try(ctx, m.plugin, rows)
		rows.Release()
		if err != nil {
			return result, fmt.Errorf("random batch %d of seed %d: %w", i, o.Seed, err)
		}
		for _, f := range failures {
			f.Batch, f.Config = i, target.setup.Config
			result.Failures = append(result.Failures, f)
		}
		result.Batches, result.Rows, result.RowErrors = i+1, result.Rows+rows.Len(), result.RowErrors+rowErrors
	}
	return result, nil
}

// batchLength is the length of batch i: none, one, and mostly a few.
func batchLength(r *trial.Random, i int) int {
	switch {
	case i < 2:
		return i
	case r.IntN(50) == 0:
		return 4096
	}
	return r.IntN(200)
}

// target is a plugin opened for columns and a config.
type target struct {
	setup trial.Setup
	used  *trial.Subject
}

func fuzzTargets(ctx context.Context, p *wasm.Plugin, cases []Case) (targets []target, err error) {
	defer func() {
		if err != nil {
			for _, t := range targets {
				err = errors.Join(err, t.used.Close(ctx))
			}
		}
	}()
	setups, err := trial.Setups(p.Describe(), cases)
	if err != nil {
		return nil, err
	}
	for _, setup := range setups {
		s, err := trial.Open(ctx, p, setup)
		if err != nil {
			return targets, err
		}
		targets = append(targets, target{setup, s})
	}
	return targets, nil
}

// try asks a fresh instance, and one that was used, twice.
func (t target) try(ctx context.Context, p *wasm.Plugin, rows trial.Rows) (failures []FuzzFailure, rowErrors int, err error) {
	fresh, err := trial.Open(ctx, p, t.setup)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, fresh.Close(ctx)) }()
	first, err := fresh.Ask(ctx, rows)
	if err != nil {
		if rows.Len() == 0 && ctx.Err() == nil { // there is no row to blame
			return []FuzzFailure{{Difference: trial.Difference{Row: -1, Message: "on a batch without rows: " + err.Error()}}}, 0, nil
		}
		return nil, 0, err
	}
	input, err := rows.InputRows()
	if err != nil {
		return nil, 0, err
	}
	for _, e := range first.Errors {
		if !e.Host() {
			rowErrors++
			continue
		}
		f := FuzzFailure{Difference: e.Difference(e.Code + ": " + e.Message), Input: input}
		if !e.Session {
			f.Input = input[e.Row : e.Row+1]
		}
		return []FuzzFailure{f}, rowErrors, nil // further rows of the batch mostly tell the same
	}
	var unstable *trial.UnstableError
	for range 2 {
		err := t.used.AskAgain(ctx, rows, first)
		switch {
		case errors.As(err, &unstable):
			d := unstable.Difference
			d.Message = unstable.Error()
			return []FuzzFailure{{Difference: d, Input: input}}, rowErrors, nil
		case err != nil:
			return nil, rowErrors, err
		}
	}
	return nil, rowErrors, nil
}
