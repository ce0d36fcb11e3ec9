package pipeline_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/decode"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/record"
)

// modelSpec is a model of a scenario. All have the columns id and kind.
type modelSpec struct {
	name      string
	topic     string
	plugin    bool  // rows go through kindPlugin
	ephemeral bool  // without a table
	maxBytes  int64 // of a record, 0 for no limit
}

var modelColumns = []arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "kind", Type: arrow.BinaryTypes.String, Nullable: true},
}

func (m modelSpec) definition() lakehouse.Definition {
	return lakehouse.Definition{
		ID:     catalog.Identifier{Namespace: "staging", Name: m.name},
		Schema: arrow.NewSchema(append(modelColumns[:2:2], record.PositionFields()...), nil),
	}
}

func (m modelSpec) build(tables map[string]*lakehouse.Table) (pipeline.Model, error) {
	spec := decode.Spec{Format: "json", MaxRecordBytes: m.maxBytes}
	for _, f := range modelColumns {
		spec.Columns = append(spec.Columns, decode.Column{Name: f.Name, Type: f.Type, Nullable: f.Nullable})
	}
	decoder, err := decode.Compile(spec)
	if err != nil {
		return pipeline.Model{}, err
	}
	built := pipeline.Model{Name: m.name, Topic: m.topic, Decoder: decoder}
	if !m.ephemeral {
		built.Table = tables[m.definition().ID.String()]
	}
	if m.plugin {
		built.Plugin, built.PluginRef = kindPlugin{}, "by_kind"
	}
	return built, nil
}

// kindPlugin is a Transformer that does with a row what its kind says: drop,
// reject, twice, trap; other rows pass.
type kindPlugin struct{}

func (kindPlugin) Digest() string { return "sha256-of-by_kind" }

func (kindPlugin) Transform(_ context.Context, batch record.Batch) (record.Batch, []record.Reject, error) {
	ids := batch.Rows.Column(0).(*array.Int64)
	kinds := batch.Rows.Column(1).(*array.String)
	b := array.NewRecordBuilder(memory.DefaultAllocator, batch.Rows.Schema())
	defer b.Release()
	out := record.Batch{Source: batch.Source}
	var rejects []record.Reject
	for i, origin := range batch.Records {
		copies := 1
		switch kinds.Value(i) {
		case "drop":
			copies = 0
		case "reject":
			copies = 0
			rejects = append(rejects, record.Reject{Record: origin, Code: "by_kind", Message: fmt.Sprintf("id %d asks to be rejected", ids.Value(i)), Column: "kind"})
		case "twice":
			copies = 2
		case "trap":
			return record.Batch{}, nil, errors.New("the plugin trapped")
		}
		for range copies {
			b.Field(0).(*array.Int64Builder).Append(ids.Value(i))
			b.Field(1).(*array.StringBuilder).AppendValues([]string{kinds.Value(i)}, []bool{kinds.IsValid(i)})
			out.Records = append(out.Records, origin)
		}
	}
	out.Rows = b.NewRecordBatch()
	return out, rejects, nil
}

// fate is what must become of a record in a model: how many rows, how many
// dead letters. It shares no code with what it judges.
func (m modelSpec) fate(r record.Record) (rows, letters int) {
	var v struct {
		ID   *int64  `json:"id"`
		Kind *string `json:"kind"`
	}
	tooLarge := m.maxBytes > 0 && int64(len(r.Key)+len(r.Value)) > m.maxBytes
	if r.Value == nil || tooLarge || json.NewDecoder(bytes.NewReader(r.Value)).Decode(&v) != nil || v.ID == nil {
		return 0, 1
	}
	if !m.plugin || v.Kind == nil {
		return 1, 0
	}
	switch *v.Kind {
	case "drop":
		return 0, 0
	case "reject":
		return 0, 1
	case "twice":
		return 2, 0
	}
	return 1, 0
}

// foreignRow is a row that another engine adds to a model's table.
func foreignRow(id int64) (array.RecordReader, error) {
	schema := modelSpec{name: "any"}.definition().Schema
	text := fmt.Sprintf(`[{"id":%d,"kind":"foreign","kafka_topic":%q,"kafka_partition":0,"kafka_offset":0,"kafka_row":%d,
		"kafka_timestamp":"2000-01-01T00:00:00Z","ingested_at":"2000-01-01T00:00:00Z"}]`, id, foreignTopic, id)
	batch, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	return array.NewRecordReader(schema, []arrow.RecordBatch{batch})
}
