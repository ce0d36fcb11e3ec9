package pipeline_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/record"
)

// censusOf is a keyed model of a scenario: for each kind of a staging model's
// rows how many there are, the sum of their ids, and whether the watermark has
// passed the newest of them. Rows without a kind are refused.
//
// Rows whose kind begins with late are refused as late once there is a watermark.
type censusOf string

func (c censusOf) name() string { return "census_of_" + string(c) }

func (c censusOf) definition() lakehouse.Definition {
	return lakehouse.Definition{
		ID: catalog.Identifier{Namespace: "marts", Name: c.name()},
		Schema: arrow.NewSchema([]arrow.Field{
			{Name: "kind", Type: arrow.BinaryTypes.String},
			{Name: "rows", Type: arrow.PrimitiveTypes.Int64},
			{Name: "sum_of_ids", Type: arrow.PrimitiveTypes.Int64},
			{Name: "is_past", Type: arrow.FixedWidthTypes.Boolean},
		}, nil),
		Key: []string{"kind"},
	}
}

func (c censusOf) build(t *lakehouse.Table, s *censusState) pipeline.KeyedModel {
	return pipeline.KeyedModel{
		Name: c.name(), Inputs: []string{string(c)}, Table: t, Definition: "census 1",
		Operator: &census{state: s.of(c.name()), touched: map[string]counted{}},
	}
}

// counted is what is known of a kind.
type counted struct {
	Rows, Sum, Newest int64
	Shown, Past       bool
}

// census implements pipeline.Operator.
type census struct {
	state   map[string]counted
	touched map[string]counted // in the epoch in hand
	plugin  *censusPlugin      // nil without one
}

func (c *census) get(kind string) counted {
	if k, ok := c.touched[kind]; ok {
		return k
	}
	return c.state[kind]
}

func (c *census) Take(_ context.Context, _ string, rows record.Batch, watermark int64) ([]record.Reject, error) {
	ids, kinds := rows.Rows.Column(0).(*array.Int64), rows.Rows.Column(1).(*array.String)
	ordinals := rows.RowOrdinals()
	var rejects []record.Reject
	for i, index := range rows.Records {
		if kinds.IsNull(i) {
			rejects = append(rejects, record.Reject{Record: index, OfRow: true, Row: ordinals[i], Code: "null_key", Message: "the kind is null", Column: "kind"})
			continue
		}
		if watermark != record.NoTime && strings.HasPrefix(kinds.Value(i), "late") {
			rejects = append(rejects, record.Reject{Record: index, OfRow: true, Row: ordinals[i], Code: record.CodeLate, Message: "the row is late"})
			continue
		}
		refusal, err := c.plugin.judge(rows, i)
		if err != nil {
			return nil, err
		}
		if refusal != nil {
			rejects = append(rejects, *refusal)
			continue
		}
		kind := string(append([]byte(nil), kinds.Value(i)...))
		k := c.get(kind)
		k.Rows++
		k.Sum += ids.Value(i)
		k.Newest = max(k.Newest, rows.Source.Records[index].Timestamp)
		c.touched[kind] = k
	}
	return rejects, nil
}

func (c *census) Follow(context.Context, string, record.Changelog, int64) error { return nil }

func (c *census) End(_ context.Context, watermark int64) (record.Changelog, error) {
	for kind := range c.state {
		c.touched[kind] = c.get(kind)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, censusOf("any").definition().Schema)
	defer b.Release()
	var out record.Changelog
	for _, kind := range slices.Sorted(maps.Keys(c.touched)) {
		k := c.touched[kind]
		k.Past = watermark >= k.Newest
		op := record.OpUpdate
		if !k.Shown {
			op = record.OpCreate
		}
		k.Shown = true
		if k == c.state[kind] {
			continue
		}
		if err := c.plugin.finish(kind); err != nil {
			return record.Changelog{}, err
		}
		c.state[kind] = k
		out.Ops = append(out.Ops, op)
		b.Field(0).(*array.StringBuilder).Append(kind)
		b.Field(1).(*array.Int64Builder).Append(k.Rows)
		b.Field(2).(*array.Int64Builder).Append(k.Sum)
		b.Field(3).(*array.BooleanBuilder).Append(k.Past)
	}
	clear(c.touched)
	if len(out.Ops) > 0 {
		out.Rows = b.NewRecordBatch()
	}
	return out, nil
}

func (c *census) Discard() { clear(c.touched) }

// censusState implements pipeline.State: a checkpoint is one object with all of
// it.
type censusState struct {
	store  storage.Store
	models map[string]map[string]counted
	stars  map[string]starState
	parts  map[string]part
	last   *lakehouse.StateManifest
	body   string // of the last checkpoint
}

// checkpointed is what a checkpoint holds, with keys in order.
type checkpointed struct {
	Models map[string]map[string]counted
	Stars  map[string]starState `json:",omitempty"`
	Parts  map[string]part      `json:",omitempty"`
}

// openCensus restores what a record names.
func openCensus(ctx context.Context, store storage.Store, manifest *lakehouse.StateManifest) (*censusState, error) {
	s := &censusState{store: store, models: map[string]map[string]counted{}, stars: map[string]starState{}, parts: map[string]part{}, last: manifest, body: `{"Models":{}}`}
	if manifest == nil {
		return s, nil
	}
	body, err := store.Get(ctx, manifest.Location)
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	if digest := sha256.Sum256(body); hex.EncodeToString(digest[:]) != manifest.SHA256 {
		return nil, fmt.Errorf("state %s is not what was recorded", manifest.Location)
	}
	s.body = string(body)
	return s, json.Unmarshal(body, &checkpointed{s.models, s.stars, s.parts})
}

func (s *censusState) of(model string) map[string]counted {
	if s.models[model] == nil {
		s.models[model] = map[string]counted{}
	}
	return s.models[model]
}

func (s *censusState) Checkpoint(ctx context.Context, names *lakehouse.Names) (*lakehouse.StateManifest, error) {
	body, err := json.Marshal(checkpointed{s.models, s.stars, s.parts})
	if err != nil || string(body) == s.body {
		return s.last, err
	}
	location := fmt.Sprintf("%s/_calve/%s/state/%s", s.store.Root(), pipelineName, names.Next())
	if err := s.store.Put(ctx, location, body); err != nil {
		return nil, fmt.Errorf("write state: %w", err)
	}
	digest := sha256.Sum256(body)
	s.body, s.last = string(body), &lakehouse.StateManifest{Location: location, SHA256: hex.EncodeToString(digest[:])}
	return s.last, nil
}

// Rollback goes back as a start does.
func (s *censusState) Rollback(ctx context.Context, to *lakehouse.StateManifest) error {
	back, err := openCensus(ctx, s.store, to)
	if err != nil {
		return err
	}
	for model, kinds := range s.models {
		clear(kinds)
		maps.Copy(kinds, back.models[model])
	}
	for model, held := range s.stars {
		clear(held)
		maps.Copy(held, back.stars[model])
	}
	s.body, s.last, s.parts = back.body, back.last, back.parts
	return nil
}

// checkCensus compares a census with the rows of its staging model, counted
// anew.
func (w *world) checkCensus(c censusOf) error {
	staged, err := w.rows(staging(string(c)))
	if err != nil {
		return err
	}
	want := map[string]counted{}
	for _, r := range staged {
		if r.Topic == foreignTopic || r.values["kind"] == nil {
			continue
		}
		k := want[r.text("kind")]
		k.Rows++
		k.Sum += r.number("id")
		want[r.text("kind")] = k
	}
	rows, err := w.rows(c.definition().ID)
	if err != nil {
		return err
	}
	got := map[string]counted{}
	for _, r := range rows {
		if _, twice := got[r.text("kind")]; twice {
			return fmt.Errorf("%s has kind %q twice", c.name(), r.text("kind"))
		}
		got[r.text("kind")] = counted{Rows: r.number("rows"), Sum: r.number("sum_of_ids")}
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("%s holds %v, its rows are %v", c.name(), got, want)
	}
	return nil
}
