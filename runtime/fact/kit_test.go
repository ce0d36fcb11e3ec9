package fact

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/projection/projectiontest"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/recordtest"
	"github.com/calvelake/calve/runtime/upstream"
)

const us = time.Microsecond

// orderFields are those of the facts' input.
func orderFields() []arrow.Field {
	return []arrow.Field{
		recordtest.Nullable("id", arrow.BinaryTypes.String), recordtest.Nullable("at", record.Timestamptz), recordtest.Nullable("user", arrow.BinaryTypes.String),
		recordtest.Nullable("began", record.Timestamptz), recordtest.Nullable("ended", record.Timestamptz), recordtest.Nullable("amount", arrow.PrimitiveTypes.Int64),
		recordtest.Nullable("status", arrow.BinaryTypes.String),
	}
}

// readingFields are those of a staging model that is joined.
func readingFields() []arrow.Field {
	return []arrow.Field{recordtest.Nullable("who", arrow.BinaryTypes.String), recordtest.Nullable("read_at", record.Timestamptz), recordtest.Nullable("rate", arrow.PrimitiveTypes.Int64)}
}

func usersSchema() *arrow.Schema {
	return recordtest.KeyedSchema(arrow.Field{Name: "user_id", Type: arrow.BinaryTypes.String}, recordtest.Nullable("city", arrow.BinaryTypes.String), recordtest.Nullable("team", arrow.BinaryTypes.String))
}

func staging(model string, fields []arrow.Field, changes bool) upstream.Model {
	return upstream.Model{Name: model, Schema: recordtest.StagingSchema(fields, changes)}
}

func take(t testing.TB, o *Operator, model string, fields []arrow.Field, watermark int64, rows ...recordtest.Row) []record.Reject {
	t.Helper()
	var all []record.Reject
	for _, run := range recordtest.Runs(rows) {
		b := recordtest.Batch(fields, run, recordtest.RecordedAt)
		rejects, err := o.Take(t.Context(), model, b, watermark)
		b.Release()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rejects...)
	}
	return all
}

func follow(t testing.TB, o *Operator, model string, schema *arrow.Schema, watermark int64, changes ...recordtest.Change) {
	t.Helper()
	if len(changes) == 0 {
		return
	}
	log := recordtest.Changelog(schema.Fields(), changes)
	defer log.Release()
	if err := o.Follow(t.Context(), model, log, watermark); err != nil {
		t.Fatal(err)
	}
}

// end ends an epoch, and carries out what changed, which must fit.
func end(t testing.TB, o *Operator, tb recordtest.Table, watermark int64) []string {
	t.Helper()
	log, failed, err := o.End(t.Context(), watermark)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Release()
	for _, f := range failed {
		t.Fatalf("no row: %+v", f)
	}
	return apply(t, tb, o.Key(), log)
}

// apply carries out what changed in a table with a key.
func apply(t testing.TB, tb recordtest.Table, key []string, log record.Changelog) []string {
	t.Helper()
	return tb.Apply(t, log, func(rows arrow.RecordBatch, row int) (string, string) { return rowText(rows, key, row) })
}

func rowText(rows arrow.RecordBatch, key []string, row int) (id, text string) {
	var parts []string
	for c, f := range rows.Schema().Fields() {
		v := recordtest.Text(rows.Column(c), row, recordtest.Micros)
		if slices.Contains(key, f.Name) {
			id += v + "|"
		}
		if !strings.HasSuffix(f.Name, "_key") {
			parts = append(parts, f.Name+"="+v)
		}
	}
	return id, strings.Join(parts, " ")
}

// ordersSpec is orders with readings of their user within their time, and the
// user's city.
func ordersSpec(t testing.TB) Spec {
	t.Helper()
	return Spec{
		Model: "orders", From: staging("stg_orders", orderFields(), false), Grain: []string{"id"}, EventTime: "at", Lateness: 100 * us,
		OnUpdate: Upsert, OnDelete: DeleteHard, SurrogateKey: "order_key",
		Joins: []Join{
			{To: staging("stg_readings", readingFields(), false), On: []Pair{{"user", "who"}}, Within: &Within{Time: "read_at", From: "began", To: "ended"},
				Aggregates: []projection.Column{projectiontest.Column(t, "readings", "count()"), projectiontest.Column(t, "mean", "sum(rate) / count(rate)"), projectiontest.Column(t, "top", "max(rate)"), projectiontest.Column(t, "first_rate", "first(rate)"), projectiontest.Column(t, "last_rate", "last(rate)")}},
			{To: upstream.Model{Name: "dim_users", Schema: usersSchema(), Key: []string{"user_id"}}, On: []Pair{{"user", "user_id"}}, Copy: []Copy{{"user_city", "city"}}},
			{To: upstream.Model{Name: "dim_users", Schema: usersSchema(), Key: []string{"user_id"}}, On: []Pair{{"status", "team"}}, Aggregates: []projection.Column{projectiontest.Column(t, "mates", "count()"), projectiontest.Column(t, "cities", "count_distinct(city)")}},
		},
		Milestones: []projection.Column{projectiontest.Column(t, "paid_at", "case when status = 'paid' then at end"), projectiontest.Column(t, "paid", "case when status = 'paid' then amount end")},
		Derive:     []projection.Column{projectiontest.Column(t, "gross", "amount * 2"), projectiontest.Column(t, "per_reading", "gross + readings")},
		Columns:    []string{"user", "began", "ended", "amount", "status", "readings", "mean", "top", "first_rate", "last_rate", "user_city", "mates", "cities", "paid_at", "paid", "gross", "per_reading"},
	}
}

func open(t testing.TB, spec Spec, state keyvalue.Store) *Operator {
	t.Helper()
	return openReferring(t, spec, state, nil)
}

func openReferring(t testing.TB, spec Spec, state keyvalue.Store, dimensions map[string]Dimension) *Operator {
	t.Helper()
	o, err := New(spec, state, dimensions)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func order(offset int64, id string, at int64, user any, began, ended any, amount any, status any) recordtest.Row {
	return recordtest.Row{Values: []any{id, at, user, began, ended, amount, status}, Topic: "orders", Offset: offset}
}

func reading(offset int64, who any, at any, rate any) recordtest.Row {
	return recordtest.Row{Values: []any{who, at, rate}, Topic: "readings", Offset: offset}
}

func user(op record.Op, id string, city, team any) recordtest.Change {
	return recordtest.Change{Op: op, Values: []any{id, city, team, int64(1), int64(2)}}
}
