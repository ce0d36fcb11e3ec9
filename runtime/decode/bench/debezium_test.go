package bench

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/decode"
)

// updates are updates of a PostgreSQL table by Debezium 3, with both images,
// without schema, of 753 bytes on average.
func updates() [][]byte {
	random := rand.New(rand.NewPCG(3, 4))
	pick := func(words ...string) string { return words[random.IntN(len(words))] }
	out := make([][]byte, batch)
	for i := range out {
		micros := 1_736_245_600_000_000 + int64(i)*1234
		id, customer, amount := 100_000+i, random.IntN(1_000_000), random.IntN(100_000)
		email, gift := fmt.Sprintf("%s.%d@example.org", pick("anne", "sally", "george", "edward"), customer), random.IntN(2) == 0
		image := func(status string) string {
			return fmt.Sprintf(`{"id":%d,"customer_id":%d,"status":"%s","amount":"%d.%02d","email":"%s","is_gift":%t,"created_at":%d,"updated_at":"2025-01-07T10:%02d:%02d.%06dZ"}`,
				id, customer, status, amount/100, amount%100, email, gift, micros, i*60/batch, random.IntN(60), random.IntN(1_000_000))
		}
		lsn := 24_000_000 + int64(i)*56
		out[i] = fmt.Appendf(nil, `{"before":%s,"after":%s,"source":{"version":"3.0.8.Final","connector":"postgresql","name":"shop","ts_ms":%d,"snapshot":"false","db":"shop",`+
			`"sequence":"[\"%d\",\"%d\"]","ts_us":%d,"ts_ns":%d,"schema":"public","table":"orders","txId":%d,"lsn":%d,"xmin":null},"transaction":null,"op":"u","ts_ms":%d}`,
			image("pending"), image(pick("paid", "shipped", "cancelled")), micros/1000, lsn-56, lsn, micros, micros*1000, 700+i/3, lsn, micros/1000+9)
	}
	return packed(out)
}

var orderColumns = []column{
	{"id", "long"}, {"customer_id", "long"}, {"status", "string"}, {"amount", "decimal(12,2)"}, {"email", "string"}, {"is_gift", "boolean"},
	{"created_at", "long"}, {"updated_at", "timestamptz"},
}

// envelopes decodes the event by arrow-go, as a nested schema: the images, what
// tells time and place of the change, and the operation. The row is the image
// after.
func envelopes(t testing.TB, messages [][]byte) candidate {
	row := schemaOf(t, orderColumns)
	image := arrow.StructOf(row.Fields()...)
	source := schemaOf(t, []column{{"connector", "string"}, {"ts_ms", "long"}, {"ts_us", "long"}, {"ts_ns", "long"}, {"lsn", "long"}})
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "before", Type: image, Nullable: true}, {Name: "after", Type: image, Nullable: true},
		{Name: "source", Type: arrow.StructOf(source.Fields()...), Nullable: true}, {Name: "op", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil)
	return candidate{"arrow-go UnmarshalJSON", func(t testing.TB) arrow.RecordBatch {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		defer b.Release()
		b.Reserve(len(messages))
		for _, m := range messages {
			if err := b.UnmarshalJSON(m); err != nil {
				t.Fatal(err)
			}
		}
		made := b.NewRecordBatch()
		defer made.Release()
		after := made.Column(1).(*array.Struct)
		columns := make([]arrow.Array, after.NumField())
		for i := range columns {
			columns[i] = after.Field(i)
		}
		return array.NewRecordBatch(row, columns, int64(len(messages)))
	}}
}

// debeziumReaders are ours, with the natural key of the table, and arrow-go's.
func debeziumReaders(t testing.TB) []candidate {
	messages := updates()
	return []candidate{decoded(t, decode.Spec{Format: "debezium-json", NaturalKey: []string{"id"}}, orderColumns, messages), envelopes(t, messages)}
}

func BenchmarkFigureJSONDebezium(b *testing.B) {
	readers := debeziumReaders(b)
	for b.Loop() {
		took := measure(b, readers...)
		b.ReportMetric(ratio(took[0], took[1]), "decode.json.debezium.vs_arrow")
	}
}
