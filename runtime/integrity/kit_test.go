package integrity_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/integrity"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
)

// events is a staging model; keyed models have the columns of rowSchema.
var (
	eventSchema = arrow.NewSchema([]arrow.Field{
		{Name: "ref", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		{Name: "name", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "at", Type: record.Timestamptz, Nullable: true},
	}, nil)
	events = integrity.Input{Model: "events", Schema: arrow.NewSchema(append(eventSchema.Fields(), record.PositionFields()...), nil)}

	rowSchema = arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64},
		{Name: "ref", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "name", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil)
)

func keyed(model string) integrity.Input {
	return integrity.Input{Model: model, Schema: rowSchema, Key: []string{"id"}}
}

// event is a row of events; 0 and "" are null, the time is in seconds.
type event struct {
	ref  int32
	name string
	at   int64
}

func eventBatch(offset int64, all ...event) record.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, eventSchema)
	defer b.Release()
	source := &record.Slice{TopicPartition: record.TopicPartition{Topic: "events", Partition: 3}, From: offset}
	out := record.Batch{Source: source}
	for i, e := range all {
		appendInt(b.Field(0).(*array.Int32Builder), e.ref)
		appendText(b.Field(1).(*array.StringBuilder), e.name)
		b.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(e.at * 1e6))
		source.Records = append(source.Records, record.Record{Offset: offset + int64(i), Timestamp: e.at * 1e6})
		out.Records = append(out.Records, int32(i))
	}
	source.To = offset + int64(len(all))
	out.Rows = b.NewRecordBatch()
	return out
}

func appendInt(b *array.Int32Builder, v int32) {
	if v == 0 {
		b.AppendNull()
	} else {
		b.Append(v)
	}
}

func appendText(b *array.StringBuilder, v string) {
	if v == "" {
		b.AppendNull()
	} else {
		b.Append(v)
	}
}

// change is one of a row of a keyed model.
type change struct {
	op   record.Op
	id   int64
	ref  int64
	name string
}

func changelog(all ...change) record.Changelog {
	b := array.NewRecordBuilder(memory.DefaultAllocator, rowSchema)
	defer b.Release()
	var out record.Changelog
	for _, c := range all {
		b.Field(0).(*array.Int64Builder).Append(c.id)
		if c.ref == 0 {
			b.Field(1).AppendNull()
		} else {
			b.Field(1).(*array.Int64Builder).Append(c.ref)
		}
		appendText(b.Field(2).(*array.StringBuilder), c.name)
		out.Ops = append(out.Ops, c.op)
	}
	out.Rows = b.NewRecordBatch()
	return out
}

// spec is a test before it is opened.
type spec interface {
	Open(state keyvalue.Store) (integrity.Test, error)
}

func open(t *testing.T, s spec, state keyvalue.Store) integrity.Test {
	t.Helper()
	test, err := s.Open(state)
	if err != nil {
		t.Fatal(err)
	}
	return test
}

// kit is a test at work.
type kit struct {
	*testing.T
	integrity.Test
	watermark int64
	offset    int64
}

func (k *kit) take(all ...event) {
	k.Helper()
	batch := eventBatch(k.offset, all...)
	k.offset += int64(len(all))
	defer batch.Release()
	rejects, err := k.Take(context.Background(), "events", batch, k.watermark)
	if err != nil || len(rejects) > 0 {
		k.Fatalf("got rejects %v, error %v", rejects, err)
	}
}

func (k *kit) follow(model string, all ...change) {
	k.Helper()
	changes := changelog(all...)
	defer changes.Release()
	if err := k.Follow(context.Background(), model, changes, k.watermark); err != nil {
		k.Fatal(err)
	}
}

func (k *kit) end(whole bool) integrity.Findings {
	k.Helper()
	changes, err := k.End(context.Background(), k.watermark)
	if err != nil || changes.Len() != 0 {
		k.Fatalf("got %d changes, error %v", changes.Len(), err)
	}
	found, err := k.Against(whole)
	if err != nil {
		k.Fatal(err)
	}
	return found
}

func (k *kit) want(rows int64, first string) {
	k.Helper()
	if got := k.end(true); got.Rows != rows || got.First != first {
		k.Errorf("got %d rows, the first %q; want %d, %q", got.Rows, got.First, rows, first)
	}
}

func seconds(n int64) int64 { return n * int64(time.Second/time.Microsecond) }

func newKit(t *testing.T, s spec, state keyvalue.Store) *kit {
	t.Helper()
	return &kit{T: t, Test: open(t, s, state), watermark: record.NoTime}
}

func place(offset int) string { return fmt.Sprintf("events/3 offset %d", offset) }
