package dimension

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/expression"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/rowcodec"
)

const us = time.Microsecond

func nullable(name string, t arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: t, Nullable: true}
}

// customerFields are those of the input of tests.
func customerFields() []arrow.Field {
	return []arrow.Field{
		nullable("id", arrow.BinaryTypes.String), nullable("sub", arrow.PrimitiveTypes.Int64), nullable("at", record.Timestamptz),
		nullable("name", arrow.BinaryTypes.String), nullable("city", arrow.BinaryTypes.String), nullable("level", arrow.PrimitiveTypes.Int64),
	}
}

func staging(model string, changes bool) Input {
	fields := customerFields()
	if changes {
		fields = append(fields, record.ChangeFields()...)
	}
	return Input{Model: model, Schema: arrow.NewSchema(append(fields, record.PositionFields()...), nil)}
}

func keyedSchema() *arrow.Schema {
	return arrow.NewSchema(append(customerFields(), nullable(record.ColumnTimestamp, record.Timestamptz), nullable(record.ColumnIngestedAt, record.Timestamptz)), nil)
}

// stagingRow is a row of a staging model: its columns in order, and where it comes
// from. Times are µs.
type stagingRow struct {
	values  []any
	changes []any // of record.ChangeFields, nil without
	topic   string
	offset  int64
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

// recordedAt is the time of the record at an offset, and ingested when it was
// polled.
func recordedAt(offset int64) int64 { return 1000 + offset }

const ingested = 5000

// batchOf makes a batch of rows of one topic, each of which is a record.
func batchOf(rows []stagingRow) record.Batch {
	out := record.Batch{Source: &record.Slice{TopicPartition: record.TopicPartition{Topic: rows[0].topic}, IngestedAt: ingested}}
	var values, changes [][]any
	for i, r := range rows {
		values = append(values, r.values)
		if r.changes != nil {
			changes = append(changes, r.changes)
		}
		out.Records = append(out.Records, int32(i))
		out.Source.Records = append(out.Source.Records, record.Record{Offset: r.offset, Timestamp: recordedAt(r.offset)})
	}
	out.Rows = rowsOf(customerFields(), values)
	if changes != nil {
		out.Changes = rowsOf(record.ChangeFields(), changes)
	}
	return out
}

func take(t testing.TB, o *Operator, watermark int64, rows ...stagingRow) []record.Reject {
	t.Helper()
	var all []record.Reject
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].topic == rows[0].topic && rows[n].offset > rows[n-1].offset {
			n++
		}
		b := batchOf(rows[:n])
		rejects, err := o.Take(t.Context(), o.spec.From.Model, b, watermark)
		b.Release()
		if err != nil {
			t.Fatal(err)
		}
		all, rows = append(all, rejects...), rows[n:]
	}
	return all
}

// keyedChange is a row of a changelog.
type keyedChange struct {
	op     record.Op
	values []any
}

func follow(t testing.TB, o *Operator, watermark int64, changes ...keyedChange) {
	t.Helper()
	if len(changes) == 0 {
		return
	}
	log := record.Changelog{}
	var rows [][]any
	for _, c := range changes {
		log.Ops, rows = append(log.Ops, c.op), append(rows, c.values)
	}
	log.Rows = rowsOf(keyedSchema().Fields(), rows)
	defer log.Release()
	if err := o.Follow(t.Context(), o.spec.From.Model, log, watermark); err != nil {
		t.Fatal(err)
	}
}

// table is rows by key, as text by column.
type table map[string]string

// apply carries out what changed, which must fit.
func (tb table) apply(t testing.TB, o *Operator, log record.Changelog) (ops []string) {
	t.Helper()
	defer log.Release()
	seen := map[string]bool{}
	for i, op := range log.Ops {
		key, text := rowText(log.Rows, o.Key(), i)
		before, have := tb[key]
		switch {
		case seen[key]:
			t.Fatalf("key %s changes twice in an epoch", key)
		case have != (op != record.OpCreate):
			t.Fatalf("%s of %s: the table has the key: %v", op, text, have)
		case op == record.OpUpdate && before == text:
			t.Fatalf("update changes nothing: %s", text)
		case op == record.OpDelete && before != text:
			t.Fatalf("deleted row is\n%s, the table has\n%s", text, before)
		}
		if seen[key], tb[key] = true, text; op == record.OpDelete {
			delete(tb, key)
		}
		ops = append(ops, op.String()+" "+text)
	}
	return ops
}

// end ends an epoch, and carries out what changed.
func end(t testing.TB, o *Operator, tb table, watermark int64) []string {
	t.Helper()
	log, failed, err := o.End(t.Context(), watermark)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range failed {
		t.Errorf("not decided: %+v", f)
	}
	return tb.apply(t, o, log)
}

func endInferred(t testing.TB, o *Operator, tb table, watermark int64) []string {
	t.Helper()
	log, err := o.EndInferred(t.Context(), watermark)
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range log.Ops {
		if op != record.OpCreate {
			t.Fatalf("an inferred row is no new one: %s", op)
		}
	}
	return tb.apply(t, o, log)
}

func rowText(rows arrow.RecordBatch, key []string, row int) (id, text string) {
	var parts []string
	for c, f := range rows.Schema().Fields() {
		v := strings.Clone(rows.Column(c).ValueStr(row)) // rows are released
		if at, ok := rows.Column(c).(*array.Timestamp); ok && at.IsValid(row) {
			v = instantText(int64(at.Value(row)))
		}
		if slices.Contains(key, f.Name) {
			id += v + "|"
		}
		parts = append(parts, f.Name+"="+v)
	}
	return id, strings.Join(parts, " ")
}

func instantText(at int64) string {
	switch at {
	case Beginning:
		return "begin"
	case Forever:
		return "forever"
	}
	return fmt.Sprint(at)
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

// memberOf is the natural key (id, sub), as lookups have it.
func memberOf(id string, sub int64) []byte {
	if known, ok := knownMembers()[ask{id: id, sub: sub}]; ok {
		return known
	}
	rows := rowsOf(customerFields()[:2], [][]any{{id, sub}})
	defer rows.Release()
	return rowcodec.AppendRow(nil, rows.Columns(), 0)
}

// knownMembers are those of the random tests, which ask a lot.
var knownMembers = sync.OnceValue(func() map[ask][]byte {
	out := map[ask][]byte{}
	for _, id := range []string{"ann", "bob", "cec"} {
		rows := rowsOf(customerFields()[:2], [][]any{{id, int64(7)}})
		out[ask{id: id, sub: 7}] = rowcodec.AppendRow(nil, rows.Columns(), 0)
		rows.Release()
	}
	return out
})

// customersSpec is customers by id and sub, of changes of a database.
func customersSpec() Spec {
	return Spec{
		Model: "customers", From: staging("stg_customers", true), NaturalKey: []string{"id", "sub"}, SurrogateKey: "customer_key", DurableKey: "durable_key",
		EffectiveAt: "at", Attributes: []string{"name", "city", "level"}, Types: map[string]Type{}, DefaultType: Type2,
		Type1Scope: Type1All, HardDeletes: HardDeletesNewRecord, LateChanges: 100 * us, FirstValidFrom: FirstValidFromBeginning, ValidToCurrent: ValidToMaximum,
	}
}
