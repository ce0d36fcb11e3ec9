// Package eventtime counts with event times, µs since 1970 UTC, and spans of it.
package eventtime

import (
	"math"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
)

// mostSpan is the longest span that a model may name: 100 years, so that sums with
// the times of clocks do not overflow.
const mostSpan = 100 * 366 * 24 * time.Hour

// IsSpan tells whether a model may name a span, for lateness and the like: it is
// within 0 and 100 years, in whole microseconds.
func IsSpan(d time.Duration) bool {
	return d >= 0 && d <= mostSpan && d%time.Microsecond == 0
}

// After is a time some spans later, in µs; the last one where there is none.
func After(t int64, spans ...int64) int64 {
	for _, d := range spans {
		if t > math.MaxInt64-d {
			return math.MaxInt64
		}
		t += d
	}
	return t
}

// Before is a time a span earlier, in µs; record.NoTime where there is none.
func Before(t, span int64) int64 {
	if t < record.NoTime+span {
		return record.NoTime
	}
	return t - span
}

// Text is a time for a message.
func Text(t int64) string { return time.UnixMicro(t).UTC().Format(time.RFC3339Nano) }

// Column is times as a column, where record.NoTime is null. The caller releases it.
func Column(times []int64, mem memory.Allocator) arrow.Array {
	made := array.NewTimestampBuilder(mem, record.Timestamptz)
	defer made.Release()
	made.Reserve(len(times))
	for _, t := range times {
		if t == record.NoTime {
			made.AppendNull()
		} else {
			made.Append(arrow.Timestamp(t))
		}
	}
	return made.NewArray()
}
