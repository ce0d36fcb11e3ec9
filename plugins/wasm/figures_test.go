//go:build unix

package wasm

import (
	"fmt"
	"math"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/plugins/wasm/internal/cdata"
)

// BenchmarkFigurePlugin reports what a plugin costs, as ratios of what was
// measured side by side: each kind of work in turn, many rounds, the best of
// each, in CPU time of the process.
func BenchmarkFigurePlugin(b *testing.B) {
	wide, narrow := wideRows(b, benchmarkRows), stagingRows(benchmarkRows)
	defer wide.Release()
	defer narrow.Release()
	identity, _ := openIdentity(b, wide.Schema())
	c, golang := stagingPlugin(b, "c"), stagingPlugin(b, "go")
	copied := make([]byte, bufferBytes(wide))
	race := newRace(
		entrant{"memcpy", 400, func(*testing.B) { copyBuffers(copied, wide) }},
		entrant{"identity", 200, processed(identity, wide)},
		entrant{"native", 40, func(*testing.B) { fastStaging(narrow).Release() }},
		entrant{"c", 20, processed(c, narrow)},
		entrant{"go", 8, processed(golang, narrow)},
	)
	for b.Loop() {
		race.run(b)
	}
	b.ReportMetric(race.ratio("identity", "memcpy"), "plugin.identity.vs_memcpy")
	b.ReportMetric(race.ratio("c", "native"), "plugin.staging.c.vs_native")
	b.ReportMetric(race.ratio("go", "native"), "plugin.staging.go.vs_native")
}

// rounds is how often each entrant of a race runs.
const rounds = 25

// entrant is work that is measured times over at once: the clock of CPU time is
// coarse.
type entrant struct {
	name  string
	times int
	work  func(b *testing.B)
}

// race measures entrants in turn, so that whatever else the machine does meets
// all of them.
type race struct {
	entrants []entrant
	best     map[string]time.Duration // of one time
}

func newRace(entrants ...entrant) *race {
	return &race{entrants: entrants, best: map[string]time.Duration{}}
}

func (r *race) run(b *testing.B) {
	for range rounds {
		for _, e := range r.entrants {
			used := cpuTime(b, e) / time.Duration(e.times)
			if best, ok := r.best[e.name]; !ok || used < best {
				r.best[e.name] = used
			}
		}
	}
}

func (r *race) ratio(a, b string) float64 { return float64(r.best[a]) / float64(r.best[b]) }

// cpuTime is the process's user and system time while an entrant works, garbage
// collection included.
func cpuTime(b *testing.B, e entrant) time.Duration {
	b.Helper()
	used := func() time.Duration {
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			b.Fatal(err)
		}
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	before := used()
	for range e.times {
		e.work(b)
	}
	return used() - before
}

// processed is a call of Process: copy in, call, check, copy out.
func processed(tr *Transform, in arrow.RecordBatch) func(*testing.B) {
	return func(b *testing.B) {
		r, err := tr.Process(b.Context(), in, Meta{}, NoWatermark)
		if err != nil {
			b.Fatal(err)
		}
		if len(r.Errors) > 0 || r.Outputs[0].Rows.NumRows() == 0 {
			b.Fatalf("got %d rows and %v", r.Outputs[0].Rows.NumRows(), r.Errors)
		}
		r.Release()
	}
}

// openIdentity opens a plugin, assembled by hand, that returns its input. It
// returns the module too.
func openIdentity(b *testing.B, schema *arrow.Schema) (*Transform, []byte) {
	b.Helper()
	columns := make([]string, schema.NumFields())
	for i, f := range schema.Fields() {
		format, err := cdata.Format(f.Type)
		if err != nil {
			b.Fatal(err)
		}
		columns[i] = fmt.Sprintf(`{"name":%q,"format":%q}`, f.Name, format)
	}
	describe := strings.Replace(identity, `{"name":"id","format":"l","nullable":false}`, strings.Join(columns, ","), 1)
	m := hostile{describe: describe, at: arenaAt - 4096, pages: 64}.module()
	p, err := testHost(b).Compile(b.Context(), m, Limits{})
	if err != nil {
		b.Fatal(err)
	}
	tr, err := p.Open(b.Context(), Init{Input: schema, Output: schema})
	if err != nil {
		b.Fatal(err)
	}
	return tr, m
}

// wideRows is the batch of a shop's order lines: twelve columns, half of them
// strings, about 145 bytes a row.
func wideRows(b *testing.B, n int) arrow.RecordBatch {
	b.Helper()
	null := func(name string, t arrow.DataType) arrow.Field {
		return arrow.Field{Name: name, Type: t, Nullable: true}
	}
	schema := arrow.NewSchema([]arrow.Field{
		null("id", arrow.PrimitiveTypes.Int64), null("customer", arrow.PrimitiveTypes.Int64), null("qty", arrow.PrimitiveTypes.Int32),
		null("price", arrow.PrimitiveTypes.Float64), null("discount", arrow.PrimitiveTypes.Float64), null("currency", arrow.BinaryTypes.String),
		null("status", arrow.BinaryTypes.String), null("email", arrow.BinaryTypes.String), null("note", arrow.BinaryTypes.String),
		null("event_time", arrow.BinaryTypes.String), null("created_at", timestamptz), null("active", arrow.FixedWidthTypes.Boolean),
	}, nil)
	r := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer r.Release()
	text := func(i int, s string) { r.Field(i).(*array.StringBuilder).Append(s) }
	for i := range n {
		r.Field(0).(*array.Int64Builder).Append(int64(i))
		r.Field(1).(*array.Int64Builder).Append(int64(i * 7919 % 5000))
		r.Field(2).(*array.Int32Builder).Append(int32(i % 7))
		r.Field(3).(*array.Float64Builder).Append(float64(i%1000) / 4)
		if i%10 == 3 {
			r.Field(4).AppendNull()
		} else {
			r.Field(4).(*array.Float64Builder).Append(0.125)
		}
		text(5, []string{"EUR", "USD", "JPY"}[i%3])
		text(6, []string{"paid", "open", "delivered"}[i%3])
		text(7, fmt.Sprintf("user%d@example.org", i%5000))
		if i%3 == 1 {
			r.Field(8).AppendNull()
		} else {
			text(8, "leave it with the neighbours at number "+fmt.Sprint(i%90))
		}
		text(9, time.Unix(1_767_323_045+int64(i), 0).UTC().Format(time.RFC3339))
		r.Field(10).(*array.TimestampBuilder).Append(arrow.Timestamp(1e15 + i))
		r.Field(11).(*array.BooleanBuilder).Append(i%2 == 0)
	}
	return r.NewRecordBatch()
}

// bufferBytes is the bytes of a batch.
func bufferBytes(rows arrow.RecordBatch) int {
	n := 0
	eachBuffer(rows, func(b []byte) { n += len(b) })
	return n
}

func copyBuffers(to []byte, rows arrow.RecordBatch) {
	eachBuffer(rows, func(b []byte) { to = to[copy(to, b):] })
}

func eachBuffer(rows arrow.RecordBatch, do func([]byte)) {
	for _, c := range rows.Columns() {
		for _, b := range c.Data().Buffers() {
			if b != nil {
				do(b.Bytes())
			}
		}
	}
}

// fastStaging is testdata/guests/staging as a careful Go program does it: whole
// slices, a buffer for each column, nothing a row but the work itself.
func fastStaging(in arrow.RecordBatch) arrow.RecordBatch {
	id, qty := in.Column(0).(*array.Int64).Int64Values(), in.Column(1).(*array.Int32).Int32Values()
	price, discount := in.Column(2).(*array.Float64).Float64Values(), in.Column(3).(*array.Float64)
	status, email, at := in.Column(4).(*array.String), in.Column(5).(*array.String), in.Column(6).(*array.String)
	n := len(id)
	ids, amounts, times := make([]int64, 0, n), make([]float64, 0, n), make([]int64, 0, n)
	statuses, emails := newTexts(n, len(status.ValueBytes())), newTexts(n, len(email.ValueBytes())+n)
	valid, nulls := make([]byte, (n+7)/8), 0
	discounts := discount.Float64Values()
	for i := range n {
		s := status.Value(i)
		if s == "deleted" {
			continue
		}
		d, mail := 0.0, "unknown"
		if discount.IsValid(i) {
			d = discounts[i]
		}
		if email.IsValid(i) {
			mail = email.Value(i)
		}
		us := int64(0)
		if t, err := time.Parse(time.RFC3339, at.Value(i)); err == nil {
			us = t.UnixMicro()
			valid[len(ids)/8] |= 1 << (len(ids) % 8)
		} else {
			nulls++
		}
		ids, amounts, times = append(ids, id[i]), append(amounts, price[i]*float64(qty[i])*(1-d)), append(times, us)
		statuses.add(s)
		emails.add(mail)
	}
	columns := []arrow.ArrayData{
		array.NewData(arrow.PrimitiveTypes.Int64, len(ids), []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(ids))}, nil, 0, 0),
		array.NewData(arrow.PrimitiveTypes.Float64, len(ids), []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Float64Traits.CastToBytes(amounts))}, nil, 0, 0),
		statuses.data(), emails.data(),
		array.NewData(timestamptz, len(ids), []*memory.Buffer{memory.NewBufferBytes(valid), memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(times))}, nil, nulls, 0),
	}
	arrays := make([]arrow.Array, len(columns))
	for i, c := range columns {
		arrays[i] = array.MakeFromData(c)
	}
	return array.NewRecordBatch(stagingOutput(), arrays, int64(len(ids)))
}

// texts is a string column in the making.
type texts struct {
	offsets []int32
	bytes   []byte
}

func newTexts(n, bytes int) *texts {
	return &texts{offsets: make([]int32, 1, n+1), bytes: make([]byte, 0, min(bytes, math.MaxInt32))}
}

func (t *texts) add(s string) {
	t.bytes = append(t.bytes, s...)
	t.offsets = append(t.offsets, int32(len(t.bytes)))
}

func (t *texts) data() arrow.ArrayData {
	return array.NewData(arrow.BinaryTypes.String, len(t.offsets)-1, []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(t.offsets)), memory.NewBufferBytes(t.bytes)}, nil, 0, 0)
}

func TestFastStagingIsThatOfTheBuilders(t *testing.T) {
	in := stagingRows(1000)
	defer in.Release()
	want := nativeStaging(in)
	defer want.Release()
	got := fastStaging(in)
	defer got.Release()
	if !array.RecordEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
