package author

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

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
	Batch      int               `json:"batch"` // from 0
	Config     json.RawMessage   `json:"config,omitempty"`
	Difference                   // Row is of the input, but where two answers differ
	Input      []json.RawMessage `json:"input,omitempty"` // rows that show it
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
	r := newRandom(o.Seed, textsOf(o.Cases))
	for i := 0; i < o.Batches && len(result.Failures) < maxFailures; i++ {
		target := targets[i%len(targets)]
		batch := r.batch(target.schema, r.rows(i))
		failures, rowErrors, err := target.try(ctx, m.plugin, batch)
		rows := int(batch.NumRows())
		batch.Release()
		if err != nil {
			return result, fmt.Errorf("random batch %d of seed %d: %w", i, o.Seed, err)
		}
		for _, f := range failures {
			f.Batch, f.Config = i, target.config
			result.Failures = append(result.Failures, f)
		}
		result.Batches, result.Rows, result.RowErrors = i+1, result.Rows+rows, result.RowErrors+rowErrors
	}
	return result, nil
}

// rows is the length of batch i: none, one, and mostly a few.
func (r *random) rows(i int) int {
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
	schema *arrow.Schema
	config json.RawMessage
	used   *wasm.Transform
}

func fuzzTargets(ctx context.Context, p *wasm.Plugin, cases []Case) (targets []target, err error) {
	defer func() {
		if err != nil {
			for _, t := range targets {
				err = errors.Join(err, t.used.Close(ctx))
			}
		}
	}()
	seen := map[string]bool{}
	for _, c := range append(cases[:len(cases):len(cases)], Case{}) {
		if c.Refused != "" || c.Name == "" && c.Input == nil && len(targets) > 0 {
			continue
		}
		schema, err := inputSchema(p.Describe(), c)
		if err != nil {
			return targets, err
		}
		key := schema.String() + string(c.Config)
		if seen[key] {
			continue
		}
		seen[key] = true
		t, err := open(ctx, p, c.Config, schema)
		if err != nil {
			return targets, err
		}
		targets = append(targets, target{schema, c.Config, t})
	}
	return targets, nil
}

// try asks a fresh instance, and one that was used, twice.
func (t target) try(ctx context.Context, p *wasm.Plugin, batch arrow.RecordBatch) (failures []FuzzFailure, rowErrors int, err error) {
	fresh, err := open(ctx, p, t.config, batch.Schema())
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, fresh.Close(ctx)) }()
	first, err := ask(ctx, fresh, batch)
	if err != nil {
		if batch.NumRows() == 0 && ctx.Err() == nil { // there is no row to blame
			return []FuzzFailure{{Difference: Difference{Row: -1, Message: "on a batch without rows: " + err.Error()}}}, 0, nil
		}
		return nil, 0, err
	}
	rows, err := toTable(batch)
	if err != nil {
		return nil, 0, err
	}
	for _, e := range first.errors {
		if e.Code != wasm.CodeTrap && e.Code != wasm.CodeLimit && e.Code != wasm.CodeOutput {
			rowErrors++
			continue
		}
		failures = append(failures, FuzzFailure{
			Difference: Difference{Row: int(e.Row), Column: e.Column, Message: e.Code + ": " + e.Message},
			Input:      []json.RawMessage{rows.row(int(e.Row))},
		})
		return failures, rowErrors, nil // further rows of the batch mostly tell the same
	}
	for range 2 {
		again, err := ask(ctx, t.used, batch)
		if err != nil {
			return nil, rowErrors, err
		}
		if d, ok := first.difference(again); !ok {
			d.Message = fmt.Sprintf("%v: %s", errUnstable, d)
			return append(failures, FuzzFailure{Difference: d, Input: rows.all()}), rowErrors, nil
		}
	}
	return nil, rowErrors, nil
}

// textsOf is the texts in the rows of cases.
func textsOf(cases []Case) []string {
	var texts []string
	for _, c := range cases {
		rows, err := parseRows("input", c.Input)
		if err != nil {
			continue // Check says so
		}
		for _, row := range rows {
			for _, value := range row {
				var text string
				if json.Unmarshal(value, &text) == nil && len(text) < math.MaxUint16 {
					texts = append(texts, text)
				}
			}
		}
	}
	slices.Sort(texts) // a seed gives the same rows whatever the order of a map
	return texts
}
