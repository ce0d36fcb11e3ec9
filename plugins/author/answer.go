package author

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/plugins/wasm"
)

// answer is what a plugin made of a batch.
type answer struct {
	tables  map[uint32]table
	schemas map[uint32]*arrow.Schema
	origins map[uint32][]int32
	errors  []wasm.RowError
	metrics wasm.Metrics
}

// ask runs a transform, which makes row errors of what the plugin fails on.
func ask(ctx context.Context, t *wasm.Transform, batch arrow.RecordBatch) (answer, error) {
	result, err := t.Process(ctx, batch, wasm.Meta{}, wasm.NoWatermark)
	if err != nil {
		return answer{}, err
	}
	defer result.Release()
	a := answer{
		tables: map[uint32]table{}, schemas: map[uint32]*arrow.Schema{}, origins: map[uint32][]int32{},
		errors: result.Errors, metrics: result.Metrics,
	}
	for _, o := range result.Outputs {
		if a.tables[o.Stream], err = toTable(o.Rows); err != nil {
			return answer{}, fmt.Errorf("stream %d: %w", o.Stream, err)
		}
		a.schemas[o.Stream], a.origins[o.Stream] = o.Rows.Schema(), o.Origin
	}
	return a, nil
}

// difference says where two answers to the same rows differ; ok if nowhere.
func (a answer) difference(b answer) (d Difference, ok bool) {
	for _, stream := range sortedStreams(a.tables) {
		one, two := a.tables[stream], b.tables[stream]
		if one.rows != two.rows || len(one.names) != len(two.names) {
			return Difference{Stream: stream, Row: -1, Message: fmt.Sprintf("%d rows, and then %d", one.rows, two.rows)}, false
		}
		if all := compareTables(stream, two, one); len(all) > 0 {
			return all[0], false
		}
		if x, y := fmt.Sprint(a.origins[stream]), fmt.Sprint(b.origins[stream]); x != y {
			return Difference{Stream: stream, Row: -1, Message: "the same rows, of other input rows"}, false
		}
	}
	if len(a.tables) != len(b.tables) {
		return Difference{Row: -1, Message: fmt.Sprintf("%d streams, and then %d", len(a.tables), len(b.tables))}, false
	}
	if len(a.errors) != len(b.errors) {
		return Difference{Row: -1, Message: fmt.Sprintf("%d row errors, and then %d", len(a.errors), len(b.errors))}, false
	}
	for i, e := range a.errors {
		if e != b.errors[i] {
			return Difference{Row: int(e.Row), Column: e.Column, Message: fmt.Sprintf("row error %+v, and then %+v", e, b.errors[i])}, false
		}
	}
	// Maps print in the order of their keys.
	if x, y := fmt.Sprint(a.metrics), fmt.Sprint(b.metrics); x != y {
		return Difference{Row: -1, Message: fmt.Sprintf("counted %s, and then %s", x, y)}, false
	}
	return Difference{}, true
}

// compareTables compares tables of as many rows as both have, value by value.
func compareTables(stream uint32, got, want table) []Difference {
	var all []Difference
	for i := range min(got.rows, want.rows) {
		for k, name := range want.names {
			if x, y := got.values[k][i], want.values[k][i]; string(x) != string(y) {
				all = append(all, Difference{Stream: stream, Row: i, Column: name, Got: json.RawMessage(x), Want: json.RawMessage(y)})
			}
		}
	}
	return all
}
