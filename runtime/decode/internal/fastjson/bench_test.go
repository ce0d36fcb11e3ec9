package fastjson

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"github.com/calvelake/calve/runtime/record"
)

const benchRows = 8192

// clicks are events of about 370 bytes, no two alike.
func clicks(n int) [][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	out := make([][]byte, n)
	for i := range out {
		out[i] = fmt.Appendf(nil, `{"event_id":"%08x-%04x-4%03x-9%03x-%012x","event_type":"%s","user_id":%d,"session_id":"%016x","ts":"2024-05-01T12:%02d:%02d.%03dZ",`+
			`"page_url":"https://www.example.com/%s/item-%d?ref=%s","referrer":%s,"duration_ms":%d,"scroll":%.4f,"is_mobile":%t,"payload":{"campaign":"%s","position":%d,"price":%.2f,"variant":"%s"}}`,
			random.Uint32(), random.IntN(1<<16), random.IntN(1<<12), random.IntN(1<<12), random.Int64N(1<<48),
			[]string{"page_view", "click", "add_to_cart", "purchase"}[random.IntN(4)], random.IntN(10_000_000), random.Uint64(), i*60/n, random.IntN(60), random.IntN(1000),
			[]string{"shoes", "electronics", "home-and-garden"}[random.IntN(3)], random.IntN(100_000), []string{"home", "search", "newsletter"}[random.IntN(3)],
			[]string{"null", `"https://www.google.com/"`, `"https://news.example.org/today"`}[random.IntN(3)], random.IntN(60_000), random.Float64(), random.IntN(2) == 0,
			[]string{"spring_sale", "retargeting", "brand"}[random.IntN(3)], random.IntN(40), random.Float64()*500, []string{"a", "b", "control"}[random.IntN(3)])
	}
	return out
}

var clickColumns = []struct{ name, kind string }{
	{"event_id", "string"}, {"event_type", "string"}, {"user_id", "long"}, {"session_id", "string"}, {"ts", "timestamptz"},
	{"page_url", "string"}, {"referrer", "string"}, {"duration_ms", "int"}, {"scroll", "double"}, {"is_mobile", "boolean"},
	{"payload", "struct<campaign: string, position: int, price: double, variant: string>"},
}

func clickPlan(t testing.TB) (*Plan, *arrow.Schema) {
	var fields []Field
	var columns []arrow.Field
	for i, c := range clickColumns {
		typ, err := record.ParseType(c.kind)
		if err != nil {
			t.Fatal(err)
		}
		fields = append(fields, Field{Path: []string{c.name}, Column: i, Type: typ, Nullable: true})
		columns = append(columns, arrow.Field{Name: c.name, Type: typ, Nullable: true})
	}
	plan, err := NewPlan(fields, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return plan, arrow.NewSchema(columns, nil)
}

func BenchmarkClicks(b *testing.B) {
	events := clicks(benchRows)
	plan, schema := clickPlan(b)
	size := 0
	for _, e := range events {
		size += len(e)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		set, err := vector.NewSet(schema, len(events)+1, 0)
		if err != nil {
			b.Fatal(err)
		}
		r := plan.Reader(set)
		for _, e := range events {
			if !r.Read(e) {
				b.Fatalf("gave up on %s", e)
			}
			set.Next()
		}
		r.Close()
		set.Batch().Release()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/row")
}
