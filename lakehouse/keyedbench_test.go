package lakehouse

import (
	"crypto/md5"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/runtime/record"
)

var benchMember = arrow.NewSchema([]arrow.Field{
	{Name: "member_key", Type: arrow.BinaryTypes.String}, {Name: "name", Type: arrow.BinaryTypes.String}, {Name: "city", Type: arrow.BinaryTypes.String},
	{Name: "visits", Type: arrow.PrimitiveTypes.Int64}, {Name: "spent", Type: arrow.PrimitiveTypes.Float64}, {Name: "seen_at", Type: record.Timestamptz},
}, nil)

// BenchmarkKeyedChanges updates rows with random keys of a table of 100,000 on
// the local disk, an epoch an iteration: changes, files, record, commit.
func BenchmarkKeyedChanges(b *testing.B) {
	const rows = 100_000
	for _, percent := range []int{1, 10} {
		b.Run(fmt.Sprintf("%d%%", percent), func(b *testing.B) {
			l, s := benchLake(b)
			rng := rand.New(rand.NewPCG(1, 1))
			all := make([]int, rows)
			for i := range all {
				all[i] = i
			}
			benchEpoch(b, l, s, benchChanges(rng, all))
			var total RewriteStats
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
				changes := benchChanges(rng, all[:rows*percent/100])
				b.StartTimer()
				stats := benchEpoch(b, l, s, changes)
				total.Updated += stats.Updated
				total.WrittenRows += stats.WrittenRows
				total.WrittenBytes += stats.WrittenBytes
				total.ChangedBytes += stats.ChangedBytes
			}
			b.ReportMetric(float64(total.Updated)/b.Elapsed().Seconds(), "changes/s")
			b.ReportMetric(float64(total.WrittenRows)/b.Elapsed().Seconds(), "rows-written/s")
			b.ReportMetric(total.Amplification(), "rows-written/change")
			b.ReportMetric(float64(total.WrittenBytes)/float64(total.ChangedBytes), "bytes-written/changed")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func benchLake(b *testing.B) (*Lake, *Start) {
	return benchLakeOf(b, Definition{ID: catalog.Identifier{Namespace: "marts", Name: "members"}, Schema: benchMember, Key: []string{"member_key"}})
}

func benchLakeOf(b *testing.B, definition Definition) (*Lake, *Start) {
	dir := b.TempDir()
	store, err := storage.OpenLocal(filepath.Join(dir, "warehouse"))
	if err != nil {
		b.Fatal(err)
	}
	cat, err := catalog.Open(b.Context(), catalog.Config{Type: catalog.Embedded, Path: filepath.Join(dir, "catalog.db"), Store: store})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cat.Close() })
	l := New(Config{Pipeline: "shop", Nonce: "w1", Logger: slog.New(slog.DiscardHandler)}, store, cat)
	s, err := l.Start(b.Context(), []Definition{definition})
	if err != nil {
		b.Fatal(err)
	}
	return l, s
}

func benchChanges(rng *rand.Rand, keys []int) record.Changelog {
	rows := array.NewRecordBuilder(memory.DefaultAllocator, benchMember)
	defer rows.Release()
	var log record.Changelog
	for _, n := range keys {
		log.Ops = append(log.Ops, record.OpUpdate)
		row := &rowBuilder{builder: rows}
		row.string(fmt.Sprintf("%x", md5.Sum(fmt.Appendf(nil, "member-%d", n))))
		row.string(fmt.Sprintf("member number %d", n))
		row.string(fmt.Sprintf("city %d", n%500))
		row.int64(rng.Int64N(1000))
		row.next().(*array.Float64Builder).Append(rng.Float64() * 1000)
		at := int64(1_700_000_000_000_000) + rng.Int64N(1e12)
		row.timestamp(&at)
	}
	log.Rows = rows.NewRecordBatch()
	return log
}

func benchEpoch(b *testing.B, l *Lake, s *Start, changes record.Changelog) RewriteStats {
	return commitChanges(b, l, s, membersTable, ChangeConfig{}, changes)
}

// commitChanges carries an epoch that changes a table through.
func commitChanges(b *testing.B, l *Lake, s *Start, name string, config ChangeConfig, changes record.Changelog) RewriteStats {
	writer, err := s.Tables[name].NewChangeWriter(l.Names(s.Last+1), config)
	if err != nil {
		b.Fatal(err)
	}
	if err := writer.Write(b.Context(), changes); err != nil {
		b.Fatal(err)
	}
	changes.Release()
	made, err := writer.Close(b.Context(), s.Last)
	if err != nil {
		b.Fatal(err)
	}
	e := &Epoch{Number: s.Last + 1, Pipeline: "shop", Writer: "w1", Readers: []Reader{}, Tables: []TableState{}, Changes: []TableChange{made}}
	if err := l.Log().Append(b.Context(), e); err != nil {
		b.Fatal(err)
	}
	if err := l.Commit(b.Context(), e); err != nil {
		b.Fatal(err)
	}
	s.Last++
	return writer.Stats()
}
