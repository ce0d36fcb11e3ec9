package session

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/projection/projectiontest"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
)

// hashState is a Store in a map, with the timers in no order: for benchmarks that
// none falls due in.
type hashState struct{ values map[string][]byte }

func (s *hashState) Get(keys [][]byte) ([][]byte, error) {
	out := make([][]byte, len(keys))
	for i, k := range keys {
		out[i] = s.values[string(k)]
	}
	return out, nil
}

func (s *hashState) Write(changes []keyvalue.Change) error {
	for _, c := range changes {
		if c.Value == nil {
			delete(s.values, string(c.Key))
		} else {
			s.values[string(c.Key)] = c.Value
		}
	}
	return nil
}

func (s *hashState) Scan(_, _ []byte, _ func(key, value []byte) (bool, error)) error { return nil }

const (
	benchRows    = 8192 // of a call of Take
	benchCalls   = 12   // of an epoch
	benchSeconds = 1_000_000
)

// BenchmarkSessions is epochs of about 100 000 rows of many users, three events
// of one in a row; the state is in memory.
func BenchmarkSessions(b *testing.B) {
	for _, users := range []int{1000, 100_000} {
		for _, emit := range []Emit{EmitOnClose, EmitEarly} {
			b.Run(fmt.Sprintf("users=%d/%s", users, emit), func(b *testing.B) { benchmark(b, users, emit) })
		}
	}
}

func benchmark(b *testing.B, users int, emit Emit) {
	spec := visitsSpec(b)
	spec.Gap, spec.Emit = 30*60*1e9, emit
	spec.Aggregates = []projection.Column{projectiontest.Column(b, "views", "count()"), projectiontest.Column(b, "total", "sum(bytes)"), projectiontest.Column(b, "entry", "first(page)"), projectiontest.Column(b, "leave", "last(page)"), projectiontest.Column(b, "big", "count_if(bytes > 50)")}
	o := open(b, spec, &hashState{map[string][]byte{}})
	g := rand.New(rand.NewPCG(1, 2))
	batches := make([]record.Batch, benchCalls)
	for i := range batches {
		batches[i] = benchBatch(g, users, int64(i)*benchRows)
	}
	for b.Loop() {
		for _, batch := range batches {
			if _, _, err := o.Take(b.Context(), batch, record.NoTime); err != nil {
				b.Fatal(err)
			}
		}
		log, _, err := o.End(b.Context(), record.NoTime)
		if err != nil {
			b.Fatal(err)
		}
		log.Release()
	}
	b.ReportMetric(float64(b.N)*benchRows*benchCalls/b.Elapsed().Seconds(), "rows/s")
}

func benchBatch(g *rand.Rand, users int, offset int64) record.Batch {
	const own = 5
	r := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(stagingSchema().Fields()[:own], nil))
	defer r.Release()
	out := record.Batch{Source: &record.Slice{TopicPartition: record.TopicPartition{Topic: "clicks"}}}
	user := ""
	for i := range int64(benchRows) {
		if i%3 == 0 {
			user = fmt.Sprintf("user-%08d", g.IntN(users))
		}
		r.Field(0).(*array.StringBuilder).Append(user)
		r.Field(1).(*array.Int64Builder).Append(1)
		r.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp((offset + i) * benchSeconds / 100))
		r.Field(3).(*array.StringBuilder).Append(fmt.Sprintf("/page/%d", g.IntN(500)))
		r.Field(4).(*array.Int64Builder).Append(g.Int64N(100))
		out.Records = append(out.Records, int32(i))
		out.Source.Records = append(out.Source.Records, record.Record{Offset: offset + i})
	}
	out.Rows = r.NewRecordBatch()
	return out
}
