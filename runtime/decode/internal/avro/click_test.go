package avro

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/twmb/avro"

	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/record"
)

const clickSchema = `{"type":"record","name":"Click","namespace":"shop","fields":[
 {"name":"event_id","type":"long"},
 {"name":"user_id","type":"long"},
 {"name":"session_id","type":"string"},
 {"name":"event_type","type":"string"},
 {"name":"page_url","type":"string"},
 {"name":"referrer","type":["null","string"],"default":null},
 {"name":"ts","type":{"type":"long","logicalType":"timestamp-micros"}},
 {"name":"duration_ms","type":"int"},
 {"name":"scroll","type":"double"},
 {"name":"logged_in","type":"boolean"},
 {"name":"payload","type":{"type":"record","name":"Payload","fields":[
  {"name":"campaign","type":"string"},{"name":"item_id","type":"long"},{"name":"price","type":"double"},{"name":"quantity","type":"int"}]}}]}`

type click struct {
	EventID    int64   `avro:"event_id"`
	UserID     int64   `avro:"user_id"`
	SessionID  string  `avro:"session_id"`
	EventType  string  `avro:"event_type"`
	PageURL    string  `avro:"page_url"`
	Referrer   *string `avro:"referrer"`
	TS         int64   `avro:"ts"`
	DurationMS int32   `avro:"duration_ms"`
	Scroll     float64 `avro:"scroll"`
	LoggedIn   bool    `avro:"logged_in"`
	Payload    struct {
		Campaign string  `avro:"campaign"`
		ItemID   int64   `avro:"item_id"`
		Price    float64 `avro:"price"`
		Quantity int32   `avro:"quantity"`
	} `avro:"payload"`
}

// clicks encodes n events by the library.
func clicks(t testing.TB, n int) [][]byte {
	t.Helper()
	schema := avro.MustParse(clickSchema)
	random := rand.New(rand.NewPCG(1, 2))
	out := make([][]byte, n)
	for i := range out {
		var c click
		c.EventID, c.UserID = int64(i), random.Int64N(1e9)
		c.SessionID = fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64())
		c.EventType = []string{"page_view", "click", "purchase"}[random.IntN(3)]
		c.PageURL = fmt.Sprintf("https://shop.example/category/%d/item/%d", random.IntN(50), random.IntN(1e6))
		if random.IntN(3) > 0 {
			s := "https://search.example/"
			c.Referrer = &s
		}
		c.TS, c.DurationMS, c.Scroll, c.LoggedIn = 1.7e15+random.Int64N(1e12), random.Int32N(1e5), random.Float64(), random.IntN(2) == 0
		c.Payload.Campaign, c.Payload.ItemID, c.Payload.Price, c.Payload.Quantity = "summer", random.Int64N(1e6), random.Float64(), random.Int32N(10)
		var err error
		if out[i], err = schema.Encode(&c); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// columnsOf makes columns written as name and type, each from the path that
// its name is, and their schema.
func columnsOf(t testing.TB, columns [][2]string) ([]program.Column, *arrow.Schema) {
	t.Helper()
	var out []program.Column
	var fields []arrow.Field
	for i, c := range columns {
		typ, err := record.ParseType(c[1])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, program.Column{Path: splitPath(c[0]), Index: i, Type: typ, Nullable: true})
		fields = append(fields, arrow.Field{Name: c[0], Type: typ, Nullable: true})
	}
	return out, arrow.NewSchema(fields, nil)
}

func BenchmarkClick(b *testing.B) {
	schema, err := Parse(registry.Schema{ID: 1, Type: registry.Avro, Text: clickSchema})
	if err != nil {
		b.Fatal(err)
	}
	columns, arrowSchema := columnsOf(b, clickColumns)
	p, err := schema.Compile(columns)
	if err != nil {
		b.Fatal(err)
	}
	records := clicks(b, 8192)
	size := 0
	for _, r := range records {
		size += len(r)
	}
	b.SetBytes(int64(size / len(records)))
	b.ReportAllocs()
	for i := 0; i < b.N; i += len(records) {
		set, err := vector.NewSet(arrowSchema, len(records), size/4)
		if err != nil {
			b.Fatal(err)
		}
		r := p.Reader(set)
		for _, body := range records {
			if err := r.Read(body); err != nil {
				b.Fatal(err)
			}
			set.Next()
		}
		set.Batch().Release()
	}
}

var clickColumns = [][2]string{{"event_id", "long"}, {"user_id", "long"}, {"session_id", "string"}, {"event_type", "string"}, {"page_url", "string"},
	{"referrer", "string"}, {"ts", "timestamptz"}, {"duration_ms", "int"}, {"scroll", "double"}, {"logged_in", "boolean"},
	{"payload", "struct<campaign: string, item_id: long, price: double, quantity: int>"}}

func splitPath(text string) []string { return strings.Split(text, ".") }
