package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/decode"
	"github.com/calvelake/calve/runtime/record"
)

// batch is the number of messages in a slice; what a poll brings.
const batch = 8192

// clicks are the events of a web site, of 377 bytes on average: ten members
// and one nested object of four.
func clicks() [][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(words ...string) string { return words[random.IntN(len(words))] }
	out := make([][]byte, batch)
	for i := range out {
		out[i] = fmt.Appendf(nil, `{"event_id":"%08x-%04x-4%03x-9%03x-%012x","event_type":"%s","user_id":%d,"session_id":"%016x","ts":"2024-05-01T12:%02d:%02d.%03dZ",`+
			`"page_url":"https://www.example.com/%s/item-%d","referrer":%s,"duration_ms":%d,"scroll":%.4f,"is_mobile":%t,`+
			`"payload":{"campaign":"%s","position":%d,"price":%.2f,"variant":"%s"}}`,
			random.Uint32(), random.IntN(1<<16), random.IntN(1<<12), random.IntN(1<<12), random.Int64N(1<<48),
			pick("page_view", "click", "add_to_cart", "purchase"), random.IntN(10_000_000), random.Uint64(), i*60/batch, random.IntN(60), random.IntN(1000),
			pick("shoes", "electronics", "garden"), random.IntN(100_000),
			pick("null", `"https://www.google.com/"`, `"https://news.example.org/"`), random.IntN(60_000), random.Float64(), random.IntN(2) == 0,
			pick("spring_sale", "retargeting", "brand"), random.IntN(40), random.Float64()*500, pick("a", "b", "control"))
	}
	return packed(out)
}

var clickColumns = []column{
	{"event_id", "string"}, {"event_type", "string"}, {"user_id", "long"}, {"session_id", "string"}, {"ts", "timestamptz"},
	{"page_url", "string"}, {"referrer", "string"}, {"duration_ms", "int"}, {"scroll", "double"}, {"is_mobile", "boolean"},
	{"payload", "struct<campaign: string, position: int, price: double, variant: string>"},
}

// click is the event for libraries that decode to structs.
type click struct {
	EventID    string  `json:"event_id"`
	EventType  string  `json:"event_type"`
	UserID     int64   `json:"user_id"`
	SessionID  string  `json:"session_id"`
	TS         string  `json:"ts"`
	PageURL    string  `json:"page_url"`
	Referrer   *string `json:"referrer"`
	DurationMS int32   `json:"duration_ms"`
	Scroll     float64 `json:"scroll"`
	IsMobile   bool    `json:"is_mobile"`
	Payload    struct {
		Campaign string  `json:"campaign"`
		Position int32   `json:"position"`
		Price    float64 `json:"price"`
		Variant  string  `json:"variant"`
	} `json:"payload"`
}

// column is a column by its data_type.
type column struct{ name, kind string }

func schemaOf(t testing.TB, columns []column) *arrow.Schema {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		typ, err := record.ParseType(c.kind)
		if err != nil {
			t.Fatal(err)
		}
		fields[i] = arrow.Field{Name: c.name, Type: typ, Nullable: true}
	}
	return arrow.NewSchema(fields, nil)
}

// ours decodes by the public interface, as a pipeline does.
func ours(t testing.TB, format string, columns []column, messages [][]byte) candidate {
	return decoded(t, decode.Spec{Format: format}, columns, messages)
}

func decoded(t testing.TB, spec decode.Spec, columns []column, messages [][]byte) candidate {
	spec.MaxRecordBytes = 1 << 20
	for _, f := range schemaOf(t, columns).Fields() {
		spec.Columns = append(spec.Columns, decode.Column{Name: f.Name, Type: f.Type, Nullable: true})
	}
	d, err := decode.Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	s := &record.Slice{TopicPartition: record.TopicPartition{Topic: "clicks"}}
	for i, m := range messages {
		s.Records = append(s.Records, record.Record{Offset: int64(i), Value: m})
	}
	return candidate{"calve", func(t testing.TB) arrow.RecordBatch {
		made, rejects, err := d.Decode(context.Background(), s)
		if err != nil || len(rejects) > 0 {
			t.Fatalf("%d rejects, error %v", len(rejects), err)
		}
		return made.Rows
	}}
}
