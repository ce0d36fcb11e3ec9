package bridge

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/expression"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
)

const us = time.Microsecond

func nullable(name string, t arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: t, Nullable: true}
}

// streamFields are those of the input of tests: livestreams with their categories.
func streamFields() []arrow.Field {
	return []arrow.Field{
		nullable("stream", arrow.BinaryTypes.String), nullable("categories", arrow.ListOf(arrow.BinaryTypes.String)),
		nullable("n", arrow.PrimitiveTypes.Int64), nullable("at", record.Timestamptz), nullable("host", arrow.PrimitiveTypes.Int64),
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
		for _, item := range v.([]any) {
			appendAny(b.ValueBuilder(), item)
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

// recordedAt is the time of the record at an offset.
func recordedAt(offset int64) int64 { return 5 + offset/3 }

const ingested = 5000

// batchOf makes a batch of rows of one topic, each of which is a record.
func batchOf(rows []stream) record.Batch {
	out := record.Batch{Source: &record.Slice{TopicPartition: record.TopicPartition{Topic: rows[0].topic}, IngestedAt: ingested}}
	var values, changes [][]any
	for i, r := range rows {
		values = append(values, r.values())
		if r.op != "" {
			missing := []any{}
			for _, name := range r.missing {
				missing = append(missing, name)
			}
			var sequence any
			if r.sequence != "" {
				sequence = r.sequence
			}
			changes = append(changes, []any{r.op, r.ts, sequence, missing})
		}
		out.Records = append(out.Records, int32(i))
		out.Source.Records = append(out.Source.Records, record.Record{Offset: r.offset, Timestamp: recordedAt(r.offset)})
	}
	out.Rows = rowsOf(streamFields(), values)
	if changes != nil {
		out.Changes = rowsOf(record.ChangeFields(), changes)
	}
	return out
}

func staging(changes bool) Input {
	fields := streamFields()
	if changes {
		fields = append(fields, record.ChangeFields()...)
	}
	return Input{Model: "streams", Schema: arrow.NewSchema(append(fields, record.PositionFields()...), nil)}
}

// keyedFields are those of a keyed model with the same columns, whose key is host.
func keyedFields() []arrow.Field {
	return append(streamFields(), nullable(record.ColumnTimestamp, record.Timestamptz), nullable(record.ColumnIngestedAt, record.Timestamptz))
}

func keyed() Input {
	return Input{Model: "streams", Schema: arrow.NewSchema(keyedFields(), nil), Key: []string{"host"}}
}

func parse(t testing.TB, text string) *expression.Expr {
	t.Helper()
	e, err := expression.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

var texts = []arrow.DataType{arrow.BinaryTypes.String}

// categoriesSpec maps livestreams to their categories, from their time at on.
func categoriesSpec(t testing.TB, from Input) Spec {
	t.Helper()
	return Spec{
		Model: "stream_categories", From: from, SurrogateKey: "k", EffectiveAt: "at", Unnest: &Unnest{Column: "categories", As: "category"},
		ForeignKeys: []ForeignKey{
			{Name: "stream_key", To: "streams_dim", On: []string{"stream"}, Keys: texts},
			{Name: "category_key", To: "categories_dim", On: []string{"category"}, Keys: texts},
		},
		Derive: []Column{{"label", parse(t, "stream || '/' || category")}}, Weight: parse(t, "1.0 / n"), LateChanges: time.Hour,
	}
}

// hostsSpec maps livestreams to their hosts: a row is one mapping.
func hostsSpec(t testing.TB, from Input) Spec {
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
		n := 1
		for n < len(rows) && rows[n].topic == rows[0].topic {
			n++
		}
		b := batchOf(rows[:n])
		refused, err := o.Take(t.Context(), "streams", b, watermark)
		b.Release()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range refused {
			rejects = append(rejects, fmt.Sprintf("%d %s %s: %s", rows[r.Record].offset, r.Code, r.Column, r.Message))
		}
		rows = rows[n:]
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
	var log record.Changelog
	var values [][]any
	for _, c := range changes {
		log.Ops = append(log.Ops, c.op)
		values = append(values, append(c.row.values(), recordedAt(c.row.offset), int64(ingested)))
	}
	log.Rows = rowsOf(keyedFields(), values)
	defer log.Release()
	if err := o.Follow(t.Context(), "streams", log, o.watermark); err != nil {
		t.Fatal(err)
	}
}

// table is what changelogs make, by surrogate key: rows as text.
type table map[string]string

// end ends an epoch, and applies what it changed.
func (tb table) end(t testing.TB, o *Operator, watermark int64) (changes []string) {
	t.Helper()
	log, err := o.End(t.Context(), watermark)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Release()
	if err := log.Check(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, op := range log.Ops {
		var parts []string
		key := ""
		for c, f := range log.Rows.Schema().Fields() {
			v := strings.Clone(log.Rows.Column(c).ValueStr(i)) // the log is released
			if at, ok := log.Rows.Column(c).(*array.Timestamp); ok && at.IsValid(i) {
				v = timeName(int64(at.Value(i)))
			}
			if f.Name == "k" {
				key = v
				continue
			}
			parts = append(parts, f.Name+"="+v)
		}
		row := strings.Join(parts, " ")
		before, have := tb[key]
		switch {
		case seen[key]:
			t.Fatalf("key %s changes twice in an epoch", key)
		case have != (op != record.OpCreate):
			t.Fatalf("%s %s: the table has the key: %v", op, row, have)
		case op == record.OpUpdate && before == row:
			t.Fatalf("update of %s changes nothing", row)
		case op == record.OpDelete && before != row:
			t.Fatalf("deleted row %s, the table has %s", row, before)
		}
		if seen[key] = true; op == record.OpDelete {
			delete(tb, key)
		} else {
			tb[key] = row
		}
		changes = append(changes, op.String()+" "+row)
	}
	return changes
}

// rows are those of the table.
func (tb table) rows() []string {
	var all []string
	for _, row := range tb {
		all = append(all, row)
	}
	slices.Sort(all)
	return all
}

func timeName(at int64) string {
	if at == dimension.Forever {
		return "forever"
	}
	return fmt.Sprint(at)
}
