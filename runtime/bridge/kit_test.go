package bridge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/projection/projectiontest"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/recordtest"
	"github.com/calvelake/calve/runtime/upstream"
)

const us = time.Microsecond

// streamFields are those of the input of tests: livestreams with their categories.
func streamFields() []arrow.Field {
	return []arrow.Field{
		recordtest.Nullable("stream", arrow.BinaryTypes.String), recordtest.Nullable("categories", arrow.ListOf(arrow.BinaryTypes.String)),
		recordtest.Nullable("n", arrow.PrimitiveTypes.Int64), recordtest.Nullable("at", record.Timestamptz), recordtest.Nullable("host", arrow.PrimitiveTypes.Int64),
	}
}

// stream is a row of it. Times are µs.
type stream struct {
	id         any   // string
	categories []any // strings; nil for a null list
	n, at      any   // int64
	host       any   // int64

	op, sequence string // of a change of a database
	ts           any    // int64
	missing      []string
	topic        string
	offset       int64
}

func (s stream) list() any {
	if s.categories == nil {
		return nil
	}
	return s.categories
}

func (s stream) values() []any { return []any{s.id, s.list(), s.n, s.at, s.host} }

// some is a list of categories.
func some(categories ...any) []any { return append([]any{}, categories...) }

// recordedAt is the time of the record at an offset.
func recordedAt(offset int64) int64 { return 5 + offset/3 }

// row is what recordtest makes of it.
func (s stream) row() recordtest.Row {
	r := recordtest.Row{Values: s.values(), Topic: s.topic, Offset: s.offset}
	if s.op != "" {
		var sequence any
		if s.sequence != "" {
			sequence = s.sequence
		}
		r.Changes = []any{s.op, s.ts, sequence, s.missing}
	}
	return r
}

func staging(changes bool) upstream.Model {
	return upstream.Model{Name: "streams", Schema: recordtest.StagingSchema(streamFields(), changes)}
}

// keyed is a keyed model with the same columns, whose key is host.
func keyed() upstream.Model {
	return upstream.Model{Name: "streams", Schema: recordtest.KeyedSchema(streamFields()...), Key: []string{"host"}}
}

var texts = []arrow.DataType{arrow.BinaryTypes.String}

// categoriesSpec maps livestreams to their categories, from their time at on.
func categoriesSpec(t testing.TB, from upstream.Model) Spec {
	t.Helper()
	return Spec{
		Model: "stream_categories", From: from, SurrogateKey: "k", EffectiveAt: "at", Unnest: &Unnest{Column: "categories", As: "category"},
		ForeignKeys: []ForeignKey{
			{Name: "stream_key", To: "streams_dim", On: []string{"stream"}, Keys: texts},
			{Name: "category_key", To: "categories_dim", On: []string{"category"}, Keys: texts},
		},
		Derive: []projection.Column{projectiontest.Column(t, "label", "stream || '/' || category")}, Weight: projectiontest.Parse(t, "1.0 / n"), LateChanges: time.Hour,
	}
}

// hostsSpec maps livestreams to their hosts: a row is one mapping.
func hostsSpec(t testing.TB, from upstream.Model) Spec {
	t.Helper()
	s := categoriesSpec(t, from)
	s.Unnest, s.Derive = nil, nil
	s.ForeignKeys[1] = ForeignKey{Name: "host_key", To: "hosts_dim", On: []string{"host"}, Keys: []arrow.DataType{arrow.PrimitiveTypes.Int64}}
	return s
}

// members is a dimension that knows what it was asked for.
type members map[string]int64

func (m members) Resolve(lookups []dimension.Lookup) ([]dimension.Found, error) {
	for _, l := range lookups {
		if at, ok := m[string(l.Member)]; !ok || l.At < at {
			m[string(l.Member)] = l.At
		}
	}
	return make([]dimension.Found, len(lookups)), nil
}

// dimensions are those of all bridges of tests.
func dimensions() map[string]Dimension {
	return map[string]Dimension{"streams_dim": members{}, "categories_dim": members{}, "hosts_dim": members{}}
}

func start(t testing.TB, spec Spec, state keyvalue.Store) *Operator {
	t.Helper()
	o, err := New(spec, state, dimensions())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// take takes rows, each of which may be of another topic.
func take(t testing.TB, o *Operator, watermark int64, rows ...stream) (rejects []string) {
	t.Helper()
	for len(rows) > 0 {
		run := []recordtest.Row{rows[0].row()}
		for len(run) < len(rows) && rows[len(run)].topic == rows[0].topic {
			run = append(run, rows[len(run)].row())
		}
		b := recordtest.Batch(streamFields(), run, recordedAt)
		refused, err := o.Take(t.Context(), "streams", b, watermark)
		b.Release()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range refused {
			rejects = append(rejects, fmt.Sprintf("%d %s %s: %s", rows[r.Record].offset, r.Code, r.Column, r.Message))
		}
		rows = rows[len(run):]
	}
	return rejects
}

// followed is a change of a keyed model.
type followed struct {
	op  record.Op
	row stream
}

func follow(t testing.TB, o *Operator, changes ...followed) {
	t.Helper()
	var rows []recordtest.Change
	for _, c := range changes {
		rows = append(rows, recordtest.Change{Op: c.op, Values: append(c.row.values(), recordedAt(c.row.offset), int64(recordtest.Ingested))})
	}
	log := recordtest.Changelog(keyed().Schema.Fields(), rows)
	defer log.Release()
	if err := o.Follow(t.Context(), "streams", log, o.watermark); err != nil {
		t.Fatal(err)
	}
}

// end ends an epoch, and applies what it changed to a table by surrogate key.
func end(t testing.TB, o *Operator, tb recordtest.Table, watermark int64) []string {
	t.Helper()
	log, err := o.End(t.Context(), watermark)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Release()
	return tb.Apply(t, log, rowText)
}

func rowText(rows arrow.RecordBatch, row int) (key, text string) {
	var parts []string
	for c, f := range rows.Schema().Fields() {
		v := recordtest.Text(rows.Column(c), row, timeName)
		if f.Name == "k" {
			key = v
			continue
		}
		parts = append(parts, f.Name+"="+v)
	}
	return key, strings.Join(parts, " ")
}

func timeName(at int64) string {
	if at == dimension.Forever {
		return "forever"
	}
	return recordtest.Micros(at)
}
