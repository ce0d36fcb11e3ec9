package daemon_test

import (
	"testing"
	"time"

	"github.com/calvelake/calve/lakehouse"
)

const mixedSource = "max_record_bytes: 1500B"

// mixedFigures is how long the parts took.
type mixedFigures struct{ read, replay time.Duration }

// carry takes the topic through the strict model, and what that refuses through
// models that take more: every record has one fate at all times, as the audit,
// the tables and verify show it.
func (m *mixed) carry() (f mixedFigures) {
	m.Helper()
	n, want := m.records, m.want
	p := m.project(mixedSource, strictClicks)
	m.produce(p)
	began := time.Now()
	stats, err := once(m.Context(), p)
	if err != nil {
		m.Fatal(err)
	}
	f.read = time.Since(began)
	rows := n - want.letters - want.filtered
	if stats.Records != n || stats.Rows != rows || stats.Letters != want.letters || stats.Filtered != want.filtered {
		m.Errorf("%d records: %d rows, %d dead letters, %d filtered; want %d, %d, %d", stats.Records, stats.Rows, stats.Letters, stats.Filtered, rows, want.letters, want.filtered)
	}
	m.wantLetters(p, "")
	m.wantProven(p, proof{n, rows, want.letters, want.filtered, rows})

	p = m.project("max_record_bytes: 1MiB", relaxedClicks)
	began = time.Now()
	again := m.replay(p)
	f.replay = time.Since(began)
	left := want.relaxed[lakehouse.Refused]
	if want := (lakehouse.RequestResult{Replayed: want.relaxed[lakehouse.Replayed], Refused: left, Filtered: want.relaxed[lakehouse.Filtered]}); again.result != want || again.open != left {
		m.Errorf("the relaxed model: %+v, %d open; want %+v, %d", again.result, again.open, want, left)
	}
	m.wantLetters(p, again.request)
	rows += want.relaxed[lakehouse.Replayed]
	filtered := want.filtered + want.relaxed[lakehouse.Filtered]
	m.wantProven(p, proof{n, rows, left, filtered, rows})

	p = m.project("format: bytes", bytesClicks)
	began = time.Now()
	again = m.replay(p)
	f.replay += time.Since(began)
	if again.result != (lakehouse.RequestResult{Replayed: left}) || again.open != 0 {
		m.Errorf("the model of bytes: %+v, %d open; want %d replayed", again.result, again.open, left)
	}
	rows += left
	m.wantProven(p, proof{n, rows, 0, filtered, rows})
	if rows+filtered != n {
		m.Errorf("%d rows and %d filtered of %d records", rows, filtered, n)
	}
	m.wantRows(p)
	return f
}

func TestMixedTopicIsAccountedForAndReplayed(t *testing.T) {
	m := newMixed(t, 20_000)
	if len(m.want.kinds) < 20 || m.want.letters != m.records/10 {
		t.Fatalf("%d records are broken in %d ways", m.want.letters, len(m.want.kinds))
	}
	m.carry()
}

// BenchmarkMixedTopic does the same with a million records. The heap is that of
// the embedded broker too, which is in this process.
func BenchmarkMixedTopic(b *testing.B) {
	const records = 1_000_000
	var total mixedFigures
	var heap uint64
	for b.Loop() {
		m := newMixed(b, records)
		stop := heapPeak()
		f := m.carry()
		heap = max(heap, stop())
		total.read += f.read
		total.replay += f.replay
		b.Log(m.want)
	}
	b.ReportMetric(float64(records*b.N)/total.read.Seconds(), "records/s")
	b.ReportMetric(total.replay.Seconds()/float64(b.N), "replay-s")
	b.ReportMetric(float64(heap)/1e6, "heap-MB")
}
