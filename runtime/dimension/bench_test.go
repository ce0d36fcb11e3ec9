package dimension

import (
	"fmt"
	"testing"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
	"github.com/calvelake/calve/runtime/record/recordtest"
)

// BenchmarkDimension takes changes in order, and ends their epochs, as changes a
// second: each of a new member, each of one of many that are known, and many of few
// members.
func BenchmarkDimension(b *testing.B) {
	const rows, epochs = 20_000, 5
	for _, v := range []struct {
		name    string
		members int64
	}{{"new", rows * epochs}, {"known", rows}, {"hot", 10}} {
		b.Run(v.name, func(b *testing.B) {
			spec := customersSpec()
			spec.Types["level"] = Type1
			spec.Type1Scope = Type1Current
			offset := int64(0)
			for b.Loop() {
				b.StopTimer()
				o, err := New(spec, keyvaluetest.New())
				if err != nil {
					b.Fatal(err)
				}
				var batches []record.Batch
				for range epochs {
					var all []recordtest.Row
					for range rows {
						offset++
						all = append(all, recordtest.Row{
							Values:  []any{fmt.Sprintf("customer %d", offset%v.members), int64(7), offset, "a name", fmt.Sprintf("city %d", offset%5), offset % 100},
							Changes: []any{"u", offset, fmt.Sprintf("%020d", offset), []string{}}, Topic: "customers", Offset: offset,
						})
					}
					batches = append(batches, recordtest.Batch(customerFields(), all, recordtest.RecordedAt))
				}
				b.StartTimer()
				for _, batch := range batches {
					if _, err := o.Take(b.Context(), "stg_customers", batch, record.NoTime); err != nil {
						b.Fatal(err)
					}
					log, _, err := o.End(b.Context(), record.NoTime)
					if err != nil {
						b.Fatal(err)
					}
					log.Release()
				}
				b.StopTimer()
				for _, batch := range batches {
					batch.Release()
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(b.N)*rows*epochs/b.Elapsed().Seconds(), "changes/s")
		})
	}
}
