package fact

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/expression"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
)

const us = time.Microsecond

// stagingRow is a row of a staging model: its columns in order, and where it comes
// from. Times are µs.
type stagingRow struct {
	values  []any
	changes []any // of record.ChangeFields, nil without
	topic   string
	offset  int64
}

func nullable(name string, t arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: t, Nullable: true}
}

// orderFields are those of the facts' input.
func orderFields() []arrow.Field {
	return []arrow.Field{
		nullable("id", arrow.BinaryTypes.String), nullable("at", record.Timestamptz), nullable("user", arrow.BinaryTypes.String),
		nullable("began", record.Timestamptz), nullable("ended", record.Timestamptz), nullable("amount", arrow.PrimitiveTypes.Int64),
		nullable("status", arrow.BinaryTypes.String),
	}
}

// readingFields are those of a staging model that is joined.
func readingFields() []arrow.Field {
	return []arrow.Field{nullable("who", arrow.BinaryTypes.String), nullable("read_at", record.Timestamptz), nullable("rate", arrow.PrimitiveTypes.Int64)}
}

// keyedFields are those of a keyed model of some columns.
func keyedFields(fields ...arrow.Field) *arrow.Schema {
	return arrow.NewSchema(append(slices.Clone(fields), nullable(record.ColumnTimestamp, record.Timestamptz), nullable(record.ColumnIngestedAt, record.Timestamptz)), nil)
}

func usersSchema() *arrow.Schema {
	return keyedFields(arrow.Field{Name: "user_id", Type: arrow.BinaryTypes.String}, nullable("city", arrow.BinaryTypes.String), nullable("team", arrow.BinaryTypes.String))
}

func staging(model string, fields []arrow.Field, changes bool) Input {
	fields = slices.Clone(fields)
	if changes {
		fields = append(fields, record.ChangeFields()...)
	}
	return Input{Model: model, Schema: arrow.NewSchema(append(fields, record.PositionFields()...), nil)}
}

// scribbler overwrites memory that is given back: what is kept of a batch shows.
type scribbler struct{ memory.Allocator }

func (s scribbler) Free(b []byte) {
	for i := range b {
		b[i] = 0xaa
	}
	s.Allocator.Free(b)
}

func appendAny(b array.Builder, v any) {
	if v == nil {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(v.(string))
	case *array.Int64Builder:
		b.Append(v.(int64))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(v.(int64)))
	case *array.ListBuilder:
		b.Append(true)
		for _, item := range v.([]string) {
			b.ValueBuilder().(*array.StringBuilder).Append(item)
		}
	default:
		panic(fmt.Sprintf("a column of %T", b))
	}
}

func rowsOf(fields []arrow.Field, rows [][]any) arrow.RecordBatch {
	b := array.NewRecordBuilder(scribbler{memory.DefaultAllocator}, arrow.NewSchema(fields, nil))
	defer b.Release()
	for _, row := range rows {
		for i, v := range row {
			appendAny(b.Field(i), v)
		}
	}
	return b.NewRecordBatch()
}

// batchOf makes a batch of rows of one topic, each of which is a record.
func batchOf(fields []arrow.Field, rows []stagingRow) record.Batch {
	out := record.Batch{Source: &record.Slice{TopicPartition: record.TopicPartition{Topic: rows[0].topic}}}
	var values, changes [][]any
	for i, r := range rows {
		values = append(values, r.values)
		if r.changes != nil {
			changes = append(changes, r.changes)
		}
		out.Records = append(out.Records, int32(i))
		out.Source.Records = append(out.Source.Records, record.Record{Offset: r.offset, Timestamp: 1000 + r.offset})
	}
	out.Source.IngestedAt = 5000
	out.Rows = rowsOf(fields, values)
	if changes != nil {
		out.Changes = rowsOf(record.ChangeFields(), changes)
	}
	return out
}

func take(t testing.TB, o *Operator, model string, fields []arrow.Field, watermark int64, rows ...stagingRow) []record.Reject {
	t.Helper()
	var all []record.Reject
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].topic == rows[0].topic && rows[n].offset > rows[n-1].offset {
			n++
		}
		b := batchOf(fields, rows[:n])
		rejects, err := o.Take(t.Context(), model, b, watermark)
		b.Release()
		if err != nil {
			t.Fatal(err)
		}
		all, rows = append(all, rejects...), rows[n:]
	}
	return all
}

// change is a row of a changelog as values, or as text by column.
type change struct {
	op     record.Op
	values []any
}

func follow(t testing.TB, o *Operator, model string, schema *arrow.Schema, watermark int64, changes ...change) {
	t.Helper()
	if len(changes) == 0 {
		return
	}
	log := record.Changelog{}
	var rows [][]any
	for _, c := range changes {
		log.Ops, rows = append(log.Ops, c.op), append(rows, c.values)
	}
	log.Rows = rowsOf(schema.Fields(), rows)
	defer log.Release()
	if err := o.Follow(t.Context(), model, log, watermark); err != nil {
		t.Fatal(err)
	}
}

// table is rows by key, as text by column.
type table map[string]string

// end ends an epoch, and carries out what changed, which must fit.
func end(t testing.TB, o *Operator, tb table, watermark int64) []string {
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

// apply carries out what changed in a table with a key, which must fit.
func apply(t testing.TB, tb table, columns []string, log record.Changelog) []string {
	t.Helper()
	var ops []string
	seen := map[string]bool{}
	for i, op := range log.Ops {
		key, text := rowText(log.Rows, columns, i)
		before, have := tb[key]
		switch {
		case seen[key]:
			t.Fatalf("key %s changes twice in an epoch", key)
		case have != (op != record.OpCreate):
			t.Fatalf("%s of %s: the table has the key: %v", op, text, have)
		case op == record.OpUpdate && before == text:
			t.Fatalf("update changes nothing: %s", text)
		case op == record.OpDelete && before != text:
			t.Fatalf("deleted row is %s, the table has %s", text, before)
		}
		if seen[key], tb[key] = true, text; op == record.OpDelete {
			delete(tb, key)
		}
		ops = append(ops, op.String()+" "+text)
	}
	return ops
}

func rowText(rows arrow.RecordBatch, key []string, row int) (id, text string) {
	var parts []string
	for c, f := range rows.Schema().Fields() {
		v := strings.Clone(rows.Column(c).ValueStr(row)) // rows are released
		if at, ok := rows.Column(c).(*array.Timestamp); ok && at.IsValid(row) {
			v = fmt.Sprint(int64(at.Value(row)))
		}
		if slices.Contains(key, f.Name) {
			id += v + "|"
		}
		if !strings.HasSuffix(f.Name, "_key") {
			parts = append(parts, f.Name+"="+v)
		}
	}
	return id, strings.Join(parts, " ")
}

func (tb table) texts() []string { return slices.Sorted(maps.Values(tb)) }

func columnOf(t testing.TB, name, text string) Column {
	t.Helper()
	return Column{name, parsed(t, text)}
}

func parsed(t testing.TB, text string) *expression.Expr {
	t.Helper()
	e, err := expression.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return e
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
				Aggregates: []Column{columnOf(t, "readings", "count()"), columnOf(t, "mean", "sum(rate) / count(rate)"), columnOf(t, "top", "max(rate)"), columnOf(t, "first_rate", "first(rate)"), columnOf(t, "last_rate", "last(rate)")}},
			{To: Input{"dim_users", usersSchema(), []string{"user_id"}}, On: []Pair{{"user", "user_id"}}, Copy: []Copy{{"user_city", "city"}}},
			{To: Input{"dim_users", usersSchema(), []string{"user_id"}}, On: []Pair{{"status", "team"}}, Aggregates: []Column{columnOf(t, "mates", "count()"), columnOf(t, "cities", "count_distinct(city)")}},
		},
		Milestones: []Column{columnOf(t, "paid_at", "case when status = 'paid' then at end"), columnOf(t, "paid", "case when status = 'paid' then amount end")},
		Derive:     []Column{columnOf(t, "gross", "amount * 2"), columnOf(t, "per_reading", "gross + readings")},
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

func order(offset int64, id string, at int64, user any, began, ended any, amount any, status any) stagingRow {
	return stagingRow{values: []any{id, at, user, began, ended, amount, status}, topic: "orders", offset: offset}
}

func reading(offset int64, who any, at any, rate any) stagingRow {
	return stagingRow{values: []any{who, at, rate}, topic: "readings", offset: offset}
}

func user(op record.Op, id string, city, team any) change {
	return change{op, []any{id, city, team, int64(1), int64(2)}}
}
