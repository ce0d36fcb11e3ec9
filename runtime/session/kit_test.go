package session

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/projection/projectiontest"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/recordtest"
)

// event is a row of the staging model; times are µs.
type event struct {
	user    any // string, nil for null
	device  int64
	at      any // int64, nil for null
	page    any // string
	bytes   any // int64
	topic   string
	offset  int64
	ordinal int32
}

func (e event) key() string { return fmt.Sprintf("%v/%d", e.user, e.device) }

func (e event) time() int64 { return e.at.(int64) }

func stagingSchema() *arrow.Schema {
	return arrow.NewSchema(append([]arrow.Field{
		{Name: "user_id", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "device", Type: arrow.PrimitiveTypes.Int64},
		{Name: "at", Type: record.Timestamptz, Nullable: true},
		{Name: "page", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "bytes", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	}, record.PositionFields()...), nil)
}

// batchOf makes a batch of events of one topic, in the order of their offsets.
func batchOf(events []event) record.Batch {
	const own = 5
	b := array.NewRecordBuilder(recordtest.Scribbler{Allocator: memory.DefaultAllocator}, arrow.NewSchema(stagingSchema().Fields()[:own], nil))
	defer b.Release()
	out := record.Batch{Source: &record.Slice{TopicPartition: record.TopicPartition{Topic: events[0].topic}}, Ordinals: []int32{}}
	for _, e := range events {
		recordtest.Append(b.Field(0), e.user)
		recordtest.Append(b.Field(1), e.device)
		recordtest.Append(b.Field(2), e.at)
		recordtest.Append(b.Field(3), e.page)
		recordtest.Append(b.Field(4), e.bytes)
		if n := len(out.Source.Records); n == 0 || out.Source.Records[n-1].Offset != e.offset {
			out.Source.Records = append(out.Source.Records, record.Record{Offset: e.offset, Timestamp: 1000 * e.offset})
		}
		out.Records = append(out.Records, int32(len(out.Source.Records)-1))
		out.Ordinals = append(out.Ordinals, e.ordinal)
	}
	out.Rows = b.NewRecordBatch()
	return out
}

const us = time.Microsecond

// visitsSpec is sessions with a gap of 10 µs.
func visitsSpec(t testing.TB) Spec {
	t.Helper()
	return Spec{
		Model: "visits", Input: stagingSchema(), Key: []string{"user_id", "device"}, EventTime: "at", Gap: 10 * us, Emit: EmitOnClose, SurrogateKey: "session_key",
		Aggregates: []projection.Column{
			projectiontest.Column(t, "views", "count()"), projectiontest.Column(t, "total", "sum(bytes)"), projectiontest.Column(t, "entry", "first(page)"), projectiontest.Column(t, "leave", "last(page)"),
			projectiontest.Column(t, "pages", "count_distinct(page)"), projectiontest.Column(t, "big", "count_if(bytes > 50) > 0"), projectiontest.Column(t, "mean", "sum(bytes) / count(bytes)"),
		},
		Derive: []projection.Column{projectiontest.Column(t, "length", "date_diff('microsecond', session_start, session_end)")},
	}
}

func open(t testing.TB, spec Spec, state keyvalue.Store) *Operator {
	t.Helper()
	o, err := New(spec, state)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// take takes events, each batch of which is those of one topic in a row.
func take(t testing.TB, o *Operator, watermark int64, events ...event) (taken int, rejects []record.Reject) {
	t.Helper()
	for len(events) > 0 {
		n := 1
		for n < len(events) && events[n].topic == events[0].topic && (events[n].offset > events[n-1].offset || events[n].offset == events[n-1].offset && events[n].ordinal > events[n-1].ordinal) {
			n++
		}
		b := batchOf(events[:n])
		did, refused, err := o.Take(t.Context(), b, watermark)
		b.Release()
		if err != nil {
			t.Fatal(err)
		}
		if did+len(refused) != n {
			t.Fatalf("of %d rows %d were taken and %d refused", n, did, len(refused))
		}
		taken, rejects, events = taken+did, append(rejects, refused...), events[n:]
	}
	return taken, rejects
}

// change is a row of a changelog as text, by column.
type change struct {
	op  record.Op
	row map[string]string
}

func (c change) String() string { return c.op.String() + " " + rowText(c.row) }

func rowText(row map[string]string) string {
	var parts []string
	for name, v := range row {
		if name != "session_key" {
			parts = append(parts, name+"="+v)
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

func end(t testing.TB, o *Operator, watermark int64) ([]change, []SessionError) {
	t.Helper()
	log, failed, err := o.End(t.Context(), watermark)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Release()
	out := make([]change, log.Len())
	for i, op := range log.Ops {
		out[i] = change{op, map[string]string{}}
		for c, f := range log.Rows.Schema().Fields() {
			out[i].row[f.Name] = recordtest.Text(log.Rows.Column(c), i, recordtest.Micros)
		}
	}
	return out, failed
}

// table is what a changelog makes, by surrogate key.
type table map[string]map[string]string

// apply applies a changelog, and refuses what it must not have.
func (tb table) apply(t testing.TB, changes []change) {
	t.Helper()
	seen := map[string]bool{}
	for _, c := range changes {
		key := c.row["session_key"]
		before, have := tb[key]
		switch {
		case seen[key]:
			t.Fatalf("key %s changes twice in an epoch", key)
		case have != (c.op != record.OpCreate):
			t.Fatalf("%s: the table has the key: %v", c, have)
		case c.op == record.OpUpdate && rowText(before) == rowText(c.row):
			t.Fatalf("%s changes nothing", c)
		case c.op == record.OpDelete && rowText(before) != rowText(c.row):
			t.Fatalf("deleted row %s, the table has %s", rowText(c.row), rowText(before))
		}
		if seen[key] = true; c.op == record.OpDelete {
			delete(tb, key)
		} else {
			tb[key] = c.row
		}
	}
}

// texts is the rows of a table without their surrogate keys.
func (tb table) texts() []string {
	var out []string
	for _, row := range tb {
		out = append(out, rowText(row))
	}
	slices.Sort(out)
	return out
}
