//go:build unix

package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/examples"
	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/record"
)

// The weblog's 10,000 lines, this many times over.
const weblogRounds = 30

// BenchmarkFigureWeblog carries the example's lines through plugin and tables,
// as the pipeline does but for Kafka, and the same events as JSON documents
// through encoding/json, Arrow builders and iceberg-go's Append. Both write
// the same columns into a table partitioned by day on the local disk.
func BenchmarkFigureWeblog(b *testing.B) {
	w := openWeblog(b)
	events := float64(weblogRounds * len(w.lines))
	var ours, naive time.Duration
	for b.Loop() {
		ours += cpuTime(b, w.runPipeline)
		naive += cpuTime(b, w.runNaive)
	}
	b.ReportMetric(events*float64(b.N)/ours.Seconds(), "pipeline.weblog.events_per_cpu_second")
	b.ReportMetric(naive.Seconds()/ours.Seconds(), "pipeline.weblog.vs_naive")
}

// cpuTime is the process's user and system time while work runs, garbage
// collection included.
func cpuTime(b *testing.B, work func(*testing.B)) time.Duration {
	b.Helper()
	used := func() time.Duration {
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			b.Fatal(err)
		}
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	before := used()
	work(b)
	return used() - before
}

type weblog struct {
	project *project.Project
	host    *wasm.Host
	lines   []record.Record
	naive   [][]byte // the same events as JSON documents
	model   pipeline.Model
}

func openWeblog(b *testing.B) *weblog {
	b.Helper()
	example, files, ok := examples.Find("weblog")
	if !ok {
		b.Fatal("no example weblog")
	}
	dir := b.TempDir()
	if err := os.CopyFS(dir, files); err != nil {
		b.Fatal(err)
	}
	for module, source := range example.Plugins {
		if err := BuildGoPlugin(b.Context(), filepath.Join("../../examples/weblog", source), filepath.Join(dir, module)); err != nil {
			b.Fatal(err)
		}
	}
	p, err := project.Load(dir, os.LookupEnv)
	if err != nil {
		b.Fatal(err)
	}
	// What is compared is the way from lines to typed rows: the naive program
	// derives nothing and knows no sessions.
	p.Models = slices.DeleteFunc(p.Models, func(m project.Model) bool { return m.Kind != project.KindStaging })
	p.Models[0].Derive, p.Models[0].Derived = nil, nil
	host, err := openHost(b.Context(), p, toolsConfig{logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = host.Close(context.Background()) })
	w := &weblog{project: p, host: host}
	if w.model, err = buildModel(b.Context(), p, &p.Models[0], tools{host: host}, nil); err != nil {
		b.Fatal(err)
	}
	text, err := fs.ReadFile(files, example.Topics[0].File)
	if err != nil {
		b.Fatal(err)
	}
	for i, line := range bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) {
		w.lines = append(w.lines, record.Record{Offset: int64(i), Timestamp: int64(i), Value: line})
	}
	w.naive = w.parsed(b)
	return w
}

// weblogRow is a row as a Go program would hold it.
type weblogRow struct {
	Client      string    `json:"client"`
	RequestedAt time.Time `json:"requested_at"`
	Method      string    `json:"method"`
	Path        string    `json:"path"`
	Protocol    string    `json:"protocol"`
	Status      int32     `json:"status"`
	Bytes       *int64    `json:"bytes"`
	Referrer    *string   `json:"referrer"`
	UserAgent   *string   `json:"user_agent"`
	Topic       string    `json:"kafka_topic"`
	Partition   int32     `json:"kafka_partition"`
	Offset      int64     `json:"kafka_offset"`
	Row         int32     `json:"kafka_row"`
	Timestamp   int64     `json:"kafka_timestamp"`
	IngestedAt  int64     `json:"ingested_at"`
}

// staged is the rows of a slice's records.
func (w *weblog) staged(b *testing.B, slice *record.Slice) record.Batch {
	b.Helper()
	batch, _, err := w.model.Decoder.Decode(b.Context(), slice)
	if err != nil {
		b.Fatal(err)
	}
	rows, _, err := w.model.Plugin.Transform(b.Context(), batch)
	if err != nil {
		b.Fatal(err)
	}
	for _, step := range w.model.After {
		made, err := step.Apply(b.Context(), rows)
		if err != nil || len(made.Rejects) > 0 {
			b.Fatalf("%d records refused, error %v", len(made.Rejects), err)
		}
		rows.Release()
		rows = made.Rows
	}
	return rows
}

// parsed renders the rows of the lines as JSON documents.
func (w *weblog) parsed(b *testing.B) [][]byte {
	slice := w.slice(0)
	rows := w.staged(b, &slice)
	defer rows.Release()
	var documents [][]byte
	for i := range int(rows.Rows.NumRows()) {
		document := map[string]any{"kafka_topic": "access_log", "kafka_partition": 0, "kafka_row": 0,
			"kafka_offset": rows.Records[i], "kafka_timestamp": rows.Records[i], "ingested_at": 1}
		for j, c := range rows.Rows.Columns() {
			document[rows.Rows.ColumnName(j)] = c.GetOneForMarshal(i)
		}
		text, err := json.Marshal(document)
		if err != nil {
			b.Fatal(err)
		}
		documents = append(documents, text)
	}
	return documents
}

func (w *weblog) slice(round int) record.Slice {
	n := int64(len(w.lines))
	s := record.Slice{TopicPartition: record.TopicPartition{Topic: "access_log"}, From: int64(round) * n, To: int64(round+1) * n, IngestedAt: 1}
	s.Records = make([]record.Record, n)
	for i, r := range w.lines {
		r.Offset += s.From
		s.Records[i] = r
		s.Bytes += int64(len(r.Value))
	}
	return s
}

// rounds is a pipeline.Source of the lines.
type rounds struct {
	weblog *weblog
	done   int
}

func (r *rounds) Poll(context.Context, int) ([]record.Slice, error) {
	r.done++
	return []record.Slice{r.weblog.slice(r.done - 1)}, nil
}

func (r *rounds) Release() {}
func (r *rounds) Close()   {}

// openLake makes an empty lake on the local disk.
func (w *weblog) openLake(b *testing.B) (*lakehouse.Lake, *catalog.Catalog, *lakehouse.Start) {
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
	lake := lakehouse.New(lakehouse.Config{Pipeline: "weblog", Nonce: "bench", Logger: slog.New(slog.DiscardHandler)}, store, cat)
	all, err := definitions(w.project)
	if err != nil {
		b.Fatal(err)
	}
	start, err := lake.Start(b.Context(), all)
	if err != nil {
		b.Fatal(err)
	}
	return lake, cat, start
}

func (w *weblog) runPipeline(b *testing.B) {
	lake, _, start := w.openLake(b)
	model := w.model
	model.Table = start.Tables["staging.web_requests"]
	tp := record.TopicPartition{Topic: "access_log"}
	p := pipeline.New(pipeline.Config{
		Name: "weblog", Nonce: "bench", Interval: time.Hour, MaxBytes: 1 << 40, PollRecords: pollRecords,
		Until: map[record.TopicPartition]int64{tp: int64(weblogRounds * len(w.lines))},
	}, pipeline.Parts{
		Lake: lake, Start: start, Models: []pipeline.Model{model},
		Readers: []pipeline.Assignment{{Name: pipeline.MainReader, Models: []string{model.Name}, Positions: []record.Position{{TopicPartition: tp, LeaderEpoch: -1}}}},
		Open:    func(context.Context, []record.Position) (pipeline.Source, error) { return &rounds{weblog: w}, nil },
		Now:     time.Now, Logger: slog.New(slog.DiscardHandler), Allocator: memory.DefaultAllocator,
	})
	if err := p.Run(b.Context()); err != nil {
		b.Fatal(err)
	}
	if s := p.Stats(); s.Records != int64(weblogRounds*len(w.lines)) || s.Rows != int64(weblogRounds*len(w.naive)) {
		b.Fatalf("%d records, %d rows", s.Records, s.Rows)
	}
}

func (w *weblog) runNaive(b *testing.B) {
	_, cat, start := w.openLake(b)
	tbl, err := cat.Load(b.Context(), start.Tables["staging.web_requests"].ID)
	if err != nil {
		b.Fatal(err)
	}
	schema := start.Tables["staging.web_requests"].Schema()
	reader := array.ReaderFromIter(schema, w.naiveBatches(b, schema))
	defer reader.Release()
	tx := tbl.NewTransaction()
	if err := tx.Append(b.Context(), reader, iceberg.Properties{}); err != nil {
		b.Fatal(err)
	}
	if _, err := tx.Commit(b.Context()); err != nil {
		b.Fatal(err)
	}
	again, err := cat.Load(b.Context(), start.Tables["staging.web_requests"].ID)
	if err != nil {
		b.Fatal(err)
	}
	if got, want := lakehouse.Summarize(catalog.Identifier{}, again.Metadata()).Rows, int64(weblogRounds*len(w.naive)); got != want {
		b.Fatalf("%d rows, want %d", got, want)
	}
}

func (w *weblog) naiveBatches(b *testing.B, schema *arrow.Schema) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		builder := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		defer builder.Release()
		for range weblogRounds {
			for _, document := range w.naive {
				var row weblogRow
				if err := json.Unmarshal(document, &row); err != nil {
					b.Fatal(err)
				}
				row.append(builder)
			}
			if !yield(builder.NewRecordBatch(), nil) {
				return
			}
		}
	}
}

func (r *weblogRow) append(b *array.RecordBuilder) {
	text := func(i int, s string) { b.Field(i).(*array.StringBuilder).Append(s) }
	maybe := func(i int, s *string) {
		if s == nil {
			b.Field(i).AppendNull()
			return
		}
		text(i, *s)
	}
	at := func(i int, us int64) { b.Field(i).(*array.TimestampBuilder).Append(arrow.Timestamp(us)) }
	text(0, r.Client)
	at(1, r.RequestedAt.UnixMicro())
	text(2, r.Method)
	text(3, r.Path)
	text(4, r.Protocol)
	b.Field(5).(*array.Int32Builder).Append(r.Status)
	if r.Bytes == nil {
		b.Field(6).AppendNull()
	} else {
		b.Field(6).(*array.Int64Builder).Append(*r.Bytes)
	}
	maybe(7, r.Referrer)
	maybe(8, r.UserAgent)
	text(9, r.Topic)
	b.Field(10).(*array.Int32Builder).Append(r.Partition)
	b.Field(11).(*array.Int64Builder).Append(r.Offset)
	b.Field(12).(*array.Int32Builder).Append(r.Row)
	at(13, r.Timestamp)
	at(14, r.IngestedAt)
}
