package state

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/runtime/record/keyvalue"
)

// BenchmarkState is epochs that read and then write 1% of the keys, at random,
// and checkpoint. A key has 16 bytes, a value 60, half of it random. Beside the
// time of an epoch it reports the time of a key read and of a key written, the
// bytes uploaded per byte changed, objects and files, and the process's memory.
// Compactions have come to rest before the next epoch, as they have in the
// minute between two. Run it for 50 epochs or more (-benchtime 50x).
func BenchmarkState(b *testing.B) {
	for _, keys := range []int{1_000_000, 10_000_000} {
		b.Run(fmt.Sprintf("keys=%dM", keys/1_000_000), func(b *testing.B) {
			w := newWorkload(b, keys)
			for b.Loop() {
				w.epoch(b, keys/100)
				b.StopTimer()
				w.rest()
				b.StartTimer()
			}
			w.report(b)
		})
	}
}

type workload struct {
	store    *Store
	space    *Space
	names    sequence
	random   *rand.Rand
	keys     int
	epochs   int
	touched  int
	changed  int64
	uploaded Stats
	reading  time.Duration
	writing  time.Duration
}

func newWorkload(b *testing.B, keys int) *workload {
	b.Helper()
	objects, err := storage.OpenLocal(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	store, err := Open(b.Context(), Config{
		Dir: b.TempDir(), Objects: objects, Prefix: objects.Root() + "/_calve/bench/state", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	space, err := store.Space("sessions", 1)
	if err != nil {
		b.Fatal(err)
	}
	w := &workload{store: store, space: space, random: rand.New(rand.NewPCG(1, 2)), keys: keys}
	const batch = 100_000
	for i := 0; i < keys; i += batch {
		changes := make([]keyvalue.Change, batch)
		for j := range changes {
			changes[j] = w.change(uint64(i + j))
		}
		if err := space.Write(changes); err != nil {
			b.Fatal(err)
		}
	}
	// What loading left to do must not be counted among the epochs.
	if err := store.engine.db.Compact(b.Context(), []byte{0}, []byte{255}, false); err != nil {
		b.Fatal(err)
	}
	w.checkpoint(b)
	w.uploaded = Stats{}
	return w
}

func (w *workload) change(i uint64) keyvalue.Change {
	key := make([]byte, 16)
	binary.BigEndian.PutUint64(key, i*0x9E3779B97F4A7C15) // spread over all keys
	binary.BigEndian.PutUint64(key[8:], i)
	value := make([]byte, 60)
	for at := 0; at < len(value)/2; at += 4 {
		binary.LittleEndian.PutUint32(value[at:], w.random.Uint32())
	}
	return keyvalue.Change{Key: key, Value: value}
}

func (w *workload) epoch(b *testing.B, n int) {
	b.Helper()
	changes, keys := make([]keyvalue.Change, n), make([][]byte, n)
	for i := range changes {
		changes[i] = w.change(w.random.Uint64N(uint64(w.keys)))
		keys[i] = changes[i].Key
		w.changed += int64(len(changes[i].Key) + len(changes[i].Value))
	}
	start := time.Now()
	if _, err := w.space.Get(keys); err != nil {
		b.Fatal(err)
	}
	read := time.Now()
	if err := w.space.Write(changes); err != nil {
		b.Fatal(err)
	}
	w.reading += read.Sub(start)
	w.writing += time.Since(read)
	w.checkpoint(b)
	w.epochs++
	w.touched += n
}

func (w *workload) checkpoint(b *testing.B) {
	b.Helper()
	_, stats, err := w.store.Checkpoint(b.Context(), &w.names)
	if err != nil {
		b.Fatal(err)
	}
	w.uploaded.Files += stats.Files
	w.uploaded.Bytes += stats.Bytes
	w.uploaded.TotalFiles, w.uploaded.TotalBytes = stats.TotalFiles, stats.TotalBytes
}

// rest waits until no compaction runs, and none has begun for a moment.
func (w *workload) rest() {
	for quiet := 0; quiet < 3; quiet++ {
		time.Sleep(2 * time.Millisecond)
		if m := w.store.engine.db.Metrics(); m.Compact.NumInProgress > 0 || m.Flush.NumInProgress > 0 {
			quiet = 0
		}
	}
}

func (w *workload) report(b *testing.B) {
	b.ReportMetric(float64(w.reading.Nanoseconds())/float64(w.touched), "ns/get")
	b.ReportMetric(float64(w.writing.Nanoseconds())/float64(w.touched), "ns/write")
	b.ReportMetric(float64(w.uploaded.Bytes)/float64(w.changed), "uploaded/changed")
	b.ReportMetric(float64(w.uploaded.Files)/float64(w.epochs), "objects/epoch")
	b.ReportMetric(float64(w.uploaded.TotalFiles), "files")
	b.ReportMetric(float64(w.uploaded.TotalBytes)/(1<<20), "MiB")
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.Sys)/(1<<20), "MiB-memory")
}
