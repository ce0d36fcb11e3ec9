package fact

import (
	"fmt"
	"testing"
	"time"

	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
	"github.com/calvelake/calve/runtime/record/recordtest"
)

// BenchmarkFact takes rows of new facts, and ends their epoch, as rows a second.
func BenchmarkFact(b *testing.B) {
	for _, v := range []struct {
		name    string
		joins   bool
		append  bool
		foreign bool
	}{{"alone", false, false, false}, {"appended", false, true, false}, {"joined", true, false, false}, {"two keys", false, false, true}, {"two keys appended", false, true, true}} {
		b.Run(v.name, func(b *testing.B) {
			const rows, batches = 10_000, 10
			spec := ordersSpec(b)
			if !v.joins {
				spec.Joins, spec.Derive, spec.Columns = nil, spec.Derive[:1], []string{"user", "amount", "gross"}
			}
			if v.append {
				spec.OnUpdate, spec.Milestones = Append, nil
			}
			if v.foreign {
				spec.ForeignKeys, spec.Lateness = buyerKeys()[:2], time.Hour
			}
			offset := int64(0)
			dimensions := map[string]Dimension{"dim_buyers": manyMembers{}}
			for b.Loop() {
				o := openReferring(b, spec, keyvaluetest.New(), dimensions)
				for range batches {
					b.StopTimer()
					var orders, readings []recordtest.Row
					for range rows {
						user, at := fmt.Sprintf("user %d", offset%5000), offset
						orders = append(orders, order(offset, fmt.Sprintf("order %d", offset), at, user, at, at+10, offset%100, "paid"))
						readings = append(readings, reading(offset, user, at+5, offset%200))
						offset++
					}
					left, right := recordtest.Batch(orderFields(), orders, recordtest.RecordedAt), recordtest.Batch(readingFields(), readings, recordtest.RecordedAt)
					b.StartTimer()
					if _, err := o.Take(b.Context(), "stg_orders", left, record.NoTime); err != nil {
						b.Fatal(err)
					}
					if v.joins {
						if _, err := o.Take(b.Context(), "stg_readings", right, record.NoTime); err != nil {
							b.Fatal(err)
						}
					}
					b.StopTimer()
					left.Release()
					right.Release()
					b.StartTimer()
				}
				log, failed, err := o.End(b.Context(), record.NoTime)
				if err != nil || len(failed) > 0 || log.Len() != rows*batches {
					b.Fatalf("%d changes, %v, %v", log.Len(), failed, err)
				}
				log.Release()
			}
			b.ReportMetric(float64(b.N)*rows*batches/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// manyMembers is a dimension that knows everyone, so that what it takes itself
// is left out.
type manyMembers struct{}

func (manyMembers) Resolve(lookups []dimension.Lookup) ([]dimension.Found, error) {
	const key = "0123456789abcdef0123456789abcdef"
	row := append([]byte{0}, textMember("Bern")...)
	out := make([]dimension.Found, len(lookups))
	for i := range out {
		out[i] = dimension.Found{Key: key, Durable: key, Row: row}
	}
	return out, nil
}

func (manyMembers) Moved() []dimension.Moved { return nil }
