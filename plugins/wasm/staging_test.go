package wasm

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func stagingInput() *arrow.Schema {
	null := func(name string, t arrow.DataType) arrow.Field {
		return arrow.Field{Name: name, Type: t, Nullable: true}
	}
	return arrow.NewSchema([]arrow.Field{
		null("id", arrow.PrimitiveTypes.Int64), null("qty", arrow.PrimitiveTypes.Int32), null("price", arrow.PrimitiveTypes.Float64),
		null("discount", arrow.PrimitiveTypes.Float64), null("status", arrow.BinaryTypes.String),
		null("email", arrow.BinaryTypes.String), null("event_time", arrow.BinaryTypes.String),
	}, nil)
}

func stagingOutput() *arrow.Schema {
	null := func(name string, t arrow.DataType) arrow.Field {
		return arrow.Field{Name: name, Type: t, Nullable: true}
	}
	return arrow.NewSchema([]arrow.Field{
		null("event_id", arrow.PrimitiveTypes.Int64), null("amount", arrow.PrimitiveTypes.Float64),
		null("status", arrow.BinaryTypes.String), null("email", arrow.BinaryTypes.String), null("event_time", timestamptz),
	}, nil)
}

// stagingRows: a tenth is deleted, a tenth has no discount, a twentieth no
// email, a hundredth no time that can be read.
func stagingRows(n int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, stagingInput())
	defer b.Release()
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	statuses := []string{"paid", "open", "sent"}
	for i := range n {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.Int32Builder).Append(int32(i % 7))
		b.Field(2).(*array.Float64Builder).Append(float64(i%1000) / 4)
		status, at := statuses[i%3], start.Add(time.Duration(i)*time.Second).Format(time.RFC3339)
		if i%10 == 3 {
			b.Field(3).AppendNull()
		} else {
			b.Field(3).(*array.Float64Builder).Append(0.125)
		}
		if i%10 == 7 {
			status = "deleted"
		}
		b.Field(4).(*array.StringBuilder).Append(status)
		if i%20 == 5 {
			b.Field(5).AppendNull()
		} else {
			b.Field(5).(*array.StringBuilder).Append(fmt.Sprintf("user%d@example.org", i%5000))
		}
		if i%100 == 11 {
			at = "yesterday"
		}
		b.Field(6).(*array.StringBuilder).Append(at)
	}
	return b.NewRecordBatch()
}

// nativeStaging is testdata/guests/staging with arrow-go's builders.
func nativeStaging(in arrow.RecordBatch) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, stagingOutput())
	defer b.Release()
	b.Reserve(int(in.NumRows()))
	id, qty := in.Column(0).(*array.Int64), in.Column(1).(*array.Int32)
	price, discount := in.Column(2).(*array.Float64), in.Column(3).(*array.Float64)
	status, email, at := in.Column(4).(*array.String), in.Column(5).(*array.String), in.Column(6).(*array.String)
	for i := range int(in.NumRows()) {
		if status.Value(i) == "deleted" {
			continue
		}
		d := 0.0
		if discount.IsValid(i) {
			d = discount.Value(i)
		}
		b.Field(0).(*array.Int64Builder).Append(id.Value(i))
		b.Field(1).(*array.Float64Builder).Append(price.Value(i) * float64(qty.Value(i)) * (1 - d))
		b.Field(2).(*array.StringBuilder).Append(status.Value(i))
		if email.IsValid(i) {
			b.Field(3).(*array.StringBuilder).Append(email.Value(i))
		} else {
			b.Field(3).(*array.StringBuilder).Append("unknown")
		}
		if t, err := time.Parse(time.RFC3339, at.Value(i)); err == nil {
			b.Field(4).(*array.TimestampBuilder).Append(arrow.Timestamp(t.UnixMicro()))
		} else {
			b.Field(4).AppendNull()
		}
	}
	return b.NewRecordBatch()
}

const benchmarkRows = 8192

func benchmarkProcess(b *testing.B, plugin string, init Init, in arrow.RecordBatch) {
	tr, err := goPlugin(b, plugin).Open(b.Context(), init)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = tr.Close(context.Background()) }()
	b.ReportAllocs()
	for b.Loop() {
		r, err := tr.Process(b.Context(), in, Meta{}, NoWatermark)
		if err != nil {
			b.Fatal(err)
		}
		r.Release()
	}
	b.ReportMetric(float64(in.NumRows())*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkIdentity(b *testing.B) {
	in := stagingRows(benchmarkRows)
	defer in.Release()
	renamed := make([]arrow.Field, 0, 2)
	for _, name := range []string{"id", "text"} {
		f, _ := stagingInput().FieldsByName(map[string]string{"id": "id", "text": "email"}[name])
		f[0].Name = name
		renamed = append(renamed, f[0])
	}
	schema := arrow.NewSchema(renamed, nil)
	rows := array.NewRecordBatch(schema, []arrow.Array{in.Column(0), in.Column(5)}, in.NumRows())
	defer rows.Release()
	benchmarkProcess(b, "kit", Init{Input: schema, Output: schema, Config: json.RawMessage(`{"mode":"pass"}`)}, rows)
}

func BenchmarkStaging(b *testing.B) {
	in := stagingRows(benchmarkRows)
	defer in.Release()
	benchmarkProcess(b, "staging", Init{Input: stagingInput(), Output: stagingOutput()}, in)
}

func BenchmarkStagingNative(b *testing.B) {
	in := stagingRows(benchmarkRows)
	defer in.Release()
	b.ReportAllocs()
	for b.Loop() {
		nativeStaging(in).Release()
	}
	b.ReportMetric(float64(in.NumRows())*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkCompile(b *testing.B) {
	module := guest(b, "staging")
	for b.Loop() {
		p, err := testHost(b).Compile(b.Context(), module, Limits{})
		if err != nil {
			b.Fatal(err)
		}
		if err := p.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
