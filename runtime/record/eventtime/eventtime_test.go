package eventtime_test

import (
	"math"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/eventtime"
)

func TestSpansAreOfWholeMicrosecondsUpToACentury(t *testing.T) {
	const century = 100 * 366 * 24 * time.Hour
	for d, want := range map[time.Duration]bool{
		0: true, time.Microsecond: true, century: true,
		-time.Microsecond: false, time.Nanosecond: false, century + time.Microsecond: false, time.Millisecond + 1: false,
	} {
		if got := eventtime.IsSpan(d); got != want {
			t.Errorf("%s: got %v", d, got)
		}
	}
}

func TestTimesStayWithinTheirEnds(t *testing.T) {
	for _, c := range []struct {
		what      string
		got, want int64
	}{
		{"after", eventtime.After(5, 3), 8},
		{"after several", eventtime.After(5, 3, 10), 18},
		{"after none", eventtime.After(5), 5},
		{"after no time", eventtime.After(record.NoTime, 3), record.NoTime + 3},
		{"after the last but some", eventtime.After(math.MaxInt64-3, 3), math.MaxInt64},
		{"after the last", eventtime.After(math.MaxInt64-3, 4, 1), math.MaxInt64},
		{"before", eventtime.Before(5, 8), -3},
		{"before no time", eventtime.Before(record.NoTime, 8), record.NoTime},
		{"before the first", eventtime.Before(record.NoTime+8, 9), record.NoTime},
		{"just the first", eventtime.Before(record.NoTime+8, 8), record.NoTime},
		{"behind the first", eventtime.Before(record.NoTime+9, 8), record.NoTime + 1},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %d, want %d", c.what, c.got, c.want)
		}
	}
}

func TestTextIsInUTC(t *testing.T) {
	if got, want := eventtime.Text(1_700_000_000_000_001), "2023-11-14T22:13:20.000001Z"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestNoTimeIsNullInAColumn(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	column := eventtime.Column([]int64{7, record.NoTime, -1}, mem).(*array.Timestamp)
	defer column.Release()
	if column.Len() != 3 || column.Value(0) != 7 || column.IsValid(1) || column.Value(2) != -1 || column.NullN() != 1 {
		t.Errorf("got %v", column)
	}
}
