package lakehouse

import (
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse/storage"
)

// BenchmarkFigureEpochCommit commits 2,000 epochs of one file each to a table
// on the local disk and compares the median of the last 100 commits with that
// of the first 100. It also states what the metadata file has grown to.
func BenchmarkFigureEpochCommit(b *testing.B) {
	const epochs, window = 2000, 100
	for b.Loop() {
		dir := b.TempDir()
		store, err := storage.OpenLocal(filepath.Join(dir, "warehouse"))
		if err != nil {
			b.Fatal(err)
		}
		cat, err := catalog.Open(b.Context(), catalog.Config{Type: catalog.Embedded, Path: filepath.Join(dir, "catalog.db"), Store: store})
		if err != nil {
			b.Fatal(err)
		}
		lake := New(Config{Pipeline: "shop", Nonce: "w1", Logger: slog.New(slog.DiscardHandler)}, store, cat)
		times, metadata := commitMany(b, lake, store, epochs)
		if err := cat.Close(); err != nil {
			b.Fatal(err)
		}
		first, last := median(times[:window]), median(times[epochs-window:])
		b.ReportMetric(float64(last)/float64(first), "epoch.commit.last_vs_first")
		b.ReportMetric(float64(first.Microseconds())/1000, "epoch.commit.first_ms")
		b.ReportMetric(float64(metadata), "epoch.commit.metadata_bytes")
	}
}

// commitMany returns how long each commit took, and the size of the table's
// last metadata file.
func commitMany(b *testing.B, lake *Lake, store storage.Store, epochs int) ([]time.Duration, int) {
	definitions := testDefinitions()[1:]
	s, err := lake.Start(b.Context(), definitions)
	if err != nil {
		b.Fatal(err)
	}
	name := definitions[0].ID.String()
	var times []time.Duration
	for n := int64(1); n <= int64(epochs); n++ {
		w, err := s.Tables[name].NewWriter(lake.Names(n), WriterConfig{})
		if err != nil {
			b.Fatal(err)
		}
		if err := w.Write(b.Context(), benchRows); err != nil {
			b.Fatal(err)
		}
		files, err := w.Close()
		if err != nil {
			b.Fatal(err)
		}
		e := &Epoch{Number: n, Pipeline: "shop", Writer: "w1", Readers: []Reader{}, Tables: []TableState{},
			Changes: []TableChange{s.Tables[name].Change(n-1, files)}}
		began := time.Now()
		if err := lake.Log().Append(b.Context(), e); err != nil {
			b.Fatal(err)
		}
		if err := lake.Commit(b.Context(), e); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(began))
	}
	tbl, err := lake.loadNamed(b.Context(), name)
	if err != nil {
		b.Fatal(err)
	}
	body, err := store.Get(b.Context(), tbl.MetadataLocation())
	if err != nil {
		b.Fatal(err)
	}
	return times, len(body)
}

func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2]
}
