//go:build linux

package daemon

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/state"
)

const (
	openSessions   = 10_000_000
	residentBound  = 2 << 30
	softBound      = 1280 << 20 // GOMEMLIMIT of a process that is to stay below it: with C, the state's 448 MiB are beside Go's heap
	millionsLoaded = 250_000    // sessions that begin in an epoch
	millionsBatch  = 8192       // rows of a call of Take
)

// BenchmarkTenMillionSessions keeps ten million sessions open at once, each of
// another key, on the keyed state of a pipeline whose objects are on the local
// disk, in a process whose GOMEMLIMIT is 1.25 GiB. Epochs then change 1% of them,
// at random, and others 10%; each ends with a checkpoint, and compactions have
// come to rest before the next, as they have in the time between two commits.
// Then the local folder is removed, and the state comes back from the objects
// for one more epoch. At last the watermark moves on, and sessions are over by
// the hundred thousand.
//
// It reports
//
//	MiB-peak            highest resident memory; it fails from 2 GiB on
//	MiB-at-1%           bytes that a checkpoint uploads when an epoch changes 1%
//	bytes/changed-at-1% the same for each session that changed
//	changed/s-at-1%     sessions that epochs changed in a second, checkpoint included
//	MiB-state           bytes of the whole state
//	s-restart           from an empty folder to the end of the first checkpoint,
//	                    what is copied from the objects included
//	s-to-open           what of it opening the state took
//	closed/s            sessions that were over, in a second
//
// and the same of 10% as of 1%. The key index of the sessions' table, 23 bytes a
// row of it, comes on top in a pipeline.
func BenchmarkTenMillionSessions(b *testing.B) {
	for b.Loop() {
		m := openMillions(b, openSessions)
		m.load(b)
		m.report(b, "1%", m.epochs(b, 16, m.sessions/100))
		m.report(b, "10%", m.epochs(b, 5, m.sessions/10))
		m.restart(b)
		m.close(b)
		b.ReportMetric(float64(m.peak)/(1<<20), "MiB-peak")
		if m.peak >= residentBound {
			b.Errorf("resident memory rose to %d MiB, want less than %d", m.peak>>20, residentBound>>20)
		}
	}
}

// millions is a session model without the pipeline around it.
type millions struct {
	*keyedState
	operator  pipeline.Operator
	project   *project.Project
	model     keyedModel
	objects   *storage.Local
	manifest  *state.Manifest
	watermark int64
	dir       string
	names     *lakehouse.Names
	random    *rand.Rand
	sessions  int
	offset    int64
	peak      int64
}

const millionsModel = `name: visits
kind: session
namespace: marts
from: ref.events
key: [visitor]
gap: 30m
allowed_lateness: 1h
emit: early
aggregates: {requests: count(), bytes: sum(bytes), entry: first(path), exit: last(path)}
derive: {seconds: "seconds_between(session_start, session_end)"}
`

// millionsNoon is where the watermark stands.
var millionsNoon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC).UnixMicro()

func openMillions(b *testing.B, sessions int) *millions {
	b.Helper()
	dir := b.TempDir()
	for name, text := range map[string]string{
		"calve.yaml":          "name: scale\nconfig_version: 1\n",
		"models/sources.yaml": "sources: [{name: shop, format: json, tables: [{name: events, topic: events}]}]\n",
		"models/events.yaml": "name: events\nkind: staging\nnamespace: staging\nfrom: source.shop.events\nevent_time: at\n" +
			"columns: [{name: visitor, data_type: string}, {name: at, data_type: timestamptz}, {name: path, data_type: string}, {name: bytes, data_type: long}]\n",
		"models/visits.yaml": millionsModel,
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	p, err := project.Load(dir, os.LookupEnv)
	if err != nil {
		b.Fatal(err)
	}
	compiled, err := compileKeyed(p)
	if err != nil || len(compiled) != 1 {
		b.Fatalf("%d models, error %v", len(compiled), err)
	}
	objects, err := storage.OpenLocal(filepath.Join(dir, "warehouse"))
	if err != nil {
		b.Fatal(err)
	}
	m := &millions{
		project: p, model: compiled[0], objects: objects, dir: filepath.Join(dir, "state"), sessions: sessions,
		names:  lakehouse.New(lakehouse.Config{Pipeline: "scale", Nonce: "bench", Logger: slog.New(slog.DiscardHandler)}, objects, nil).Names(1),
		random: rand.New(rand.NewPCG(1, 2)), watermark: millionsNoon,
	}
	limit := debug.SetMemoryLimit(softBound)
	b.Cleanup(func() { debug.SetMemoryLimit(limit) })
	debug.FreeOSMemory()
	resetResident(b)
	m.open(b)
	b.Cleanup(func() { _ = m.Close() })
	return m
}

// open makes the local folder what the last checkpoint uploaded.
func (m *millions) open(b *testing.B) {
	b.Helper()
	store, err := state.Open(b.Context(), state.Config{
		Dir: m.dir, Objects: m.objects, Prefix: m.objects.Root() + "/_calve/scale/state", Manifest: m.manifest, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	m.keyedState = &keyedState{Store: store}
	built, err := buildKeyed(m.project, m.keyedState, &m.model)
	if err != nil {
		b.Fatal(err)
	}
	m.operator = built.Operator
}

// load begins the sessions, in an order that is none of their keys'.
func (m *millions) load(b *testing.B) {
	b.Helper()
	begun := time.Now()
	for from := 0; from < m.sessions; from += millionsLoaded {
		m.epoch(b, min(millionsLoaded, m.sessions-from), func(i int) int { return (from + i) * 7_368_787 % m.sessions })
	}
	b.ReportMetric(float64(m.sessions)/time.Since(begun).Seconds(), "loaded/s")
	m.wantOpen(b, m.sessions)
	// What loading left to do must not be counted among the epochs.
	m.rest()
	m.epoch(b, 1, func(int) int { return 0 })
	m.seePeak(b, "loaded")
}

// cost is what some epochs came to.
type cost struct {
	epochs, changed int
	uploaded, total int64
	took            time.Duration
}

func (m *millions) epochs(b *testing.B, epochs, rows int) cost {
	b.Helper()
	sum := cost{epochs: epochs}
	for range epochs {
		begun := time.Now()
		changed, stats := m.epoch(b, rows, func(int) int { return m.random.IntN(m.sessions) })
		sum.took += time.Since(begun)
		sum.changed += changed
		sum.uploaded += stats.Bytes
		sum.total = stats.TotalBytes
		m.rest()
	}
	m.seePeak(b, fmt.Sprintf("%d rows an epoch", rows))
	return sum
}

func (m *millions) report(b *testing.B, share string, c cost) {
	b.ReportMetric(float64(c.uploaded)/float64(c.epochs)/(1<<20), "MiB-at-"+share)
	b.ReportMetric(float64(c.uploaded)/float64(c.changed), "bytes/changed-at-"+share)
	b.ReportMetric(float64(c.changed)/c.took.Seconds(), "changed/s-at-"+share)
	b.ReportMetric(float64(c.total)/(1<<20), "MiB-state")
}

// epoch takes one event each of some visitors, and returns how many sessions it
// changed and what its checkpoint cost.
func (m *millions) epoch(b *testing.B, rows int, visitor func(i int) int) (int, state.Stats) {
	b.Helper()
	for from := 0; from < rows; from += millionsBatch {
		batch := m.batch(from, min(from+millionsBatch, rows), visitor)
		rejects, err := m.operator.Take(b.Context(), "events", batch, m.watermark)
		batch.Release()
		if err != nil || len(rejects) > 0 {
			b.Fatalf("%d rows refused, error %v", len(rejects), err)
		}
	}
	changes, err := m.operator.End(b.Context(), m.watermark)
	if err != nil {
		b.Fatal(err)
	}
	changed := changes.Len()
	changes.Release()
	manifest, stats, err := m.Store.Checkpoint(b.Context(), m.names)
	if err != nil {
		b.Fatal(err)
	}
	m.manifest = manifest
	return changed, stats
}

// batch is the events [from, to) of an epoch.
func (m *millions) batch(from, to int, visitor func(i int) int) record.Batch {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "visitor", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "at", Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true},
		{Name: "path", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "bytes", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	}, nil)
	r := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer r.Release()
	out := record.Batch{Source: &record.Slice{TopicPartition: record.TopicPartition{Topic: "events"}, From: m.offset, IngestedAt: millionsNoon}}
	for i := from; i < to; i++ {
		r.Field(0).(*array.StringBuilder).Append(fmt.Sprintf("visitor-%012d", visitor(i)))
		r.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(millionsNoon + m.random.Int64N(20*60*1e6)))
		r.Field(2).(*array.StringBuilder).Append(fmt.Sprintf("/shop/article/%d", m.random.IntN(5000)))
		r.Field(3).(*array.Int64Builder).Append(m.random.Int64N(100_000))
		out.Records = append(out.Records, int32(i-from))
		out.Source.Records = append(out.Source.Records, record.Record{Offset: m.offset, Timestamp: millionsNoon})
		m.offset++
	}
	out.Source.To = m.offset
	out.Rows = r.NewRecordBatch()
	return out
}

// rest waits until no compaction runs, and none has begun for a moment.
func (m *millions) rest() {
	for quiet := 0; quiet < 5; quiet++ {
		time.Sleep(20 * time.Millisecond)
		if m.Metrics().Working > 0 {
			quiet = 0
		}
	}
}

// restart loses the local folder, and goes on from the objects.
func (m *millions) restart(b *testing.B) {
	b.Helper()
	if err := m.Close(); err != nil {
		b.Fatal(err)
	}
	if err := os.RemoveAll(m.dir); err != nil {
		b.Fatal(err)
	}
	m.operator, m.keyedState = nil, nil
	debug.FreeOSMemory() // a process that starts has none
	begun := time.Now()
	m.open(b)
	opened := time.Since(begun)
	m.epoch(b, millionsBatch, func(int) int { return m.random.IntN(m.sessions) })
	b.ReportMetric(opened.Seconds(), "s-to-open")
	b.ReportMetric(time.Since(begun).Seconds(), "s-restart")
	m.wantOpen(b, m.sessions)
	m.seePeak(b, "restarted")
}

// close moves the watermark on until one session in some twenty is over.
func (m *millions) close(b *testing.B) {
	b.Helper()
	begun := time.Now()
	m.watermark += (31 * time.Minute).Microseconds()
	m.epoch(b, 0, nil)
	closed := m.sessions - int(m.operator.(*sessions).Open())
	if closed < m.sessions/40 || closed > m.sessions/10 {
		b.Fatalf("%d sessions are over", closed)
	}
	b.ReportMetric(float64(closed)/time.Since(begun).Seconds(), "closed/s")
	m.seePeak(b, "closed")
}

func (m *millions) wantOpen(b *testing.B, want int) {
	b.Helper()
	if got := m.operator.(*sessions).Open(); got != int64(want) {
		b.Fatalf("%d sessions are open, want %d", got, want)
	}
}

// seePeak notes the highest resident memory since the last call.
func (m *millions) seePeak(b *testing.B, phase string) {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range bytes.Lines(status) {
		if text, ok := strings.CutPrefix(string(line), "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			b.Logf("%s: at most %d MiB resident", phase, kib>>10)
			m.peak = max(m.peak, kib<<10)
		}
	}
	resetResident(b)
}

// resetResident forgets the highest resident memory of the process so far, which
// benchmarks before this one may have caused (proc(5), clear_refs).
func resetResident(b *testing.B) {
	b.Helper()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		b.Fatal(err)
	}
}
