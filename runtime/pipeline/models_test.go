package pipeline_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/decode"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/watermark"
)

// modelSpec is a model of a scenario. All have the columns id and kind, unless
// they declare others.
type modelSpec struct {
	name      string
	topic     string
	plugin    bool          // rows go through kindPlugin
	strict    bool          // which refuses some rows of records that it splits
	ephemeral bool          // without a table
	maxBytes  int64         // of a record, 0 for no limit
	former    *modelSpec    // what it was before it was changed
	declared  []arrow.Field // beside id and kind, or in their place
	onChange  string        // on_schema_change; "" is ignore
	enforced  bool          // contract.enforced
	stepped   bool          // with where, derive and data tests: see steps_test.go
	// maxErrorRatio is plugin.max_error_ratio.
	maxErrorRatio float64
	idleTimeout   time.Duration // of its watermark, which is that of the records' timestamps
}

var modelColumns = []arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "kind", Type: arrow.BinaryTypes.String, Nullable: true},
}

func (m modelSpec) definition() lakehouse.Definition {
	return lakehouse.Definition{
		ID:     catalog.Identifier{Namespace: "staging", Name: m.name},
		Schema: arrow.NewSchema(slices.Concat(m.columns(), m.derived(), record.PositionFields()), nil),
		Fixed:  m.onChange == decode.SchemaChangeFail,
		Exact:  m.enforced,
	}
}

func (m modelSpec) columns() []arrow.Field {
	columns := slices.Clone(modelColumns)
	for _, f := range m.declared {
		if i := slices.IndexFunc(columns, func(c arrow.Field) bool { return c.Name == f.Name }); i >= 0 {
			columns[i] = f
		} else {
			columns = append(columns, f)
		}
	}
	return columns
}

// build makes what the pipeline runs of a model; t is nil if it is ephemeral.
func (m modelSpec) build(t *lakehouse.Table) (pipeline.Model, error) {
	spec := decode.Spec{Format: "json", MaxRecordBytes: m.maxBytes, Columns: m.decoded(t)}
	decoder, err := decode.Compile(spec)
	if err != nil {
		return pipeline.Model{}, err
	}
	built := pipeline.Model{
		Name: m.name, Topic: m.topic, Table: t, Evolves: m.onChange == decode.SchemaChangeAppend,
		Decoder:   growing{Decoder: decoder, columns: spec.Columns, tells: m.onChange != ""},
		EventTime: pipeline.EventTime{Policy: watermark.Policy{IdleTimeout: m.idleTimeout}},
	}
	if m.plugin {
		built.Plugin, built.PluginRef, built.MaxErrorRatio = kindPlugin{strict: m.strict}, pluginRef, m.maxErrorRatio
	}
	if m.stepped {
		err = m.addSteps(&built)
	}
	return built, err
}

// kindPlugin is a Transformer that does with a row what its kind says: drop,
// reject, twice, trap, torn (a row, and a refusal), or split: three rows, of
// which a strict one refuses the second; of split-all it refuses all. Other
// rows pass.
type kindPlugin struct{ strict bool }

func (kindPlugin) Digest() string { return "sha256-of-by_kind" }

func (p kindPlugin) Transform(_ context.Context, batch record.Batch) (record.Batch, []record.Reject, error) {
	ids := batch.Rows.Column(0).(*array.Int64)
	kinds := batch.Rows.Column(1).(*array.String)
	b := array.NewRecordBuilder(memory.DefaultAllocator, batch.Rows.Schema())
	defer b.Release()
	out := record.Batch{Source: batch.Source}
	var rejects []record.Reject
	for i, origin := range batch.Records {
		copies, refused := 1, ""
		switch kinds.Value(i) {
		case "drop":
			copies = 0
		case "reject":
			copies = 0
			rejects = append(rejects, record.Reject{Record: origin, Code: "by_kind", Message: fmt.Sprintf("id %d asks to be rejected", ids.Value(i)), Column: "kind"})
		case "torn":
			rejects = append(rejects, record.Reject{Record: origin, Code: "by_kind", Message: "half of it is refused"})
		case "twice":
			copies = 2
		case "split", "partly":
			copies, refused = 3, "1"
		case "split-all":
			copies, refused = 3, "012"
		case "trap":
			return record.Batch{}, nil, errors.New("the plugin trapped")
		}
		for ordinal := range int32(copies) {
			if p.strict && strings.Contains(refused, strconv.Itoa(int(ordinal))) {
				rejects = append(rejects, record.Reject{Record: origin, OfRow: true, Row: ordinal, Code: record.CodeTest, Message: "the test fails"})
				continue
			}
			out.Ordinals = append(out.Ordinals, ordinal)
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
	if m.stepped {
		return m.steppedFate(*v.ID, v.Kind)
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
	case "split":
		if m.strict {
			return 2, 1
		}
		return 3, 0
	case "split-all":
		if m.strict {
			return 0, 3
		}
		return 3, 0
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
