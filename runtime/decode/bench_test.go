package decode

import (
	"context"
	"fmt"
	"testing"
)

const benchRecords = 8192

func benchmarkDecode(b *testing.B, format string, line func(i int) string, columns ...Column) {
	lines := make([]string, benchRecords)
	for i := range lines {
		lines[i] = line(i)
	}
	s := values(lines...)
	for _, r := range s.Records {
		s.Bytes += int64(len(r.Value))
	}
	d, err := Compile(Spec{Format: format, Columns: columns, MaxRecordBytes: 1 << 20})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(s.Bytes)
	b.ReportAllocs()
	for b.Loop() {
		batch, rejects, err := d.Decode(context.Background(), s)
		if err != nil || len(rejects) > 0 {
			b.Fatalf("%d rejects, error %v", len(rejects), err)
		}
		batch.Release()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRecords, "ns/record")
}

func BenchmarkText(b *testing.B) {
	benchmarkDecode(b, "text", func(i int) string {
		return fmt.Sprintf(`83.149.9.%d - - [17/May/2015:10:05:03 +0000] "GET /presentations/logstash-monitorama-2013/images/kibana-search.png HTTP/1.1" 200 203023 "http://semicomplete.com/presentations/logstash-monitorama-2013/" "Mozilla/5.0"`, i%256)
	}, required(from(col("line", "string"), "kafka.value")))
}

func BenchmarkJSON(b *testing.B) {
	benchmarkDecode(b, "json", func(i int) string {
		return fmt.Sprintf(`{"event_id":"7f1c9a52-%08d","session_id":"s-%d","user_id":%d,"event_type":"page_view","ts":%d,"page_url":"https://example.com/products/%d?ref=home","referrer":"https://example.com/","scroll":0.%d,"price":"%d.99","payload":{"campaign":"spring","position":%d,"ab":"b","fast":true}}`,
			i, i/8, i, 1_700_000_000_000+i, i%1000, i%100, i%500, i%7)
	},
		required(col("event_id", "string")), col("session_id", "string"), col("user_id", "long"), col("event_type", "string"),
		encoded(col("ts", "timestamptz"), "epoch_ms"), col("page_url", "string"), col("referrer", "string"), col("scroll", "double"),
		col("price", "decimal(10,2)"), from(col("campaign", "string"), "payload.campaign"), from(col("position", "int"), "payload.position"),
		from(col("fast", "boolean"), "payload.fast"))
}
