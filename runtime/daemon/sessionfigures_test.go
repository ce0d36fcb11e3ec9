//go:build unix

package daemon

import (
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/state"
)

// The weblog's sessions: with aggregates alone, and with the same plugin written
// in Go and in C beside them.
const (
	sessionsNative = `kind: session
namespace: marts
from: ref.web_requests
key: [client, agent]
gap: 30m
allowed_lateness: 1h
emit: early
aggregates:
  lines: count()
  pages: count_if(is_page)
  volume: coalesce(sum(bytes), 0)
  entry_page: first(case when is_page then path end)
  exit_page: last(case when is_page then path end)
derive: {seconds: "seconds_between(session_start, session_end)"}
`
	sessionsPlugin = `plugin:
  ref: LANGUAGE_bots
  adds:
    - {name: requests, data_type: long}
    - {name: marks, data_type: long}
    - {name: max_rate, data_type: long}
    - {name: is_bot, data_type: boolean}
`
	sessionsEpoch  = 10                 // rounds of the weblog's lines
	sessionsApart  = 7 * 24 * time.Hour // from one round to the next; the lines are of four days
	sessionsRounds = 5                  // measurements of each, of which the best counts
)

// BenchmarkFigureSessions compares the session operator with staging: the
// processor time that the weblog's staging pipeline takes for its lines, from
// the record to the committed table, divided by what the operator takes for the
// rows that staging makes of them. So 2 says that sessions take half as long as
// staging, and a pipeline with both two thirds of the throughput of staging
// alone, before the sessions' table is written.
//
// The operator is run as a pipeline does: rows are taken in batches of a poll,
// and each epoch of 100,000 lines ends with its changelog, the watermark moved
// on, and a checkpoint of the keyed state to the local disk. Each round of the
// same lines is a week later, so that their sessions are new ones and the former
// close and are forgotten. All are measured in turn, five times, of which the
// best of each counts.
func BenchmarkFigureSessions(b *testing.B) {
	w := openWeblog(b)
	s := w.openSessions(b)
	names := []string{"native", "go", "c"}
	for b.Loop() {
		staging, best := time.Duration(math.MaxInt64), map[string]time.Duration{}
		for range sessionsRounds {
			staging = min(staging, cpuTime(b, s.weblog.runPipeline))
			for _, name := range names {
				took := s.run(b, name)
				if best[name] == 0 || took < best[name] {
					best[name] = took
				}
			}
		}
		for _, name := range names {
			b.ReportMetric(staging.Seconds()/best[name].Seconds(), "session."+name+".vs_staging")
		}
	}
}

// sessionFigures is session models over the weblog, and the rows for them.
type sessionFigures struct {
	weblog  *weblog // with the columns that the example derives for sessions
	project *project.Project
	models  map[string]keyedModel
	rounds  []record.Batch
	newest  []int64 // event time of each round
}

func (w *weblog) openSessions(b *testing.B) *sessionFigures {
	b.Helper()
	dir := w.project.Dir
	for _, language := range []string{"native", "go", "c"} {
		text := "name: " + language + "\n" + sessionsNative
		if language != "native" {
			text += strings.Replace(sessionsPlugin, "LANGUAGE", language, 1)
			module, err := os.ReadFile("../../plugins/wasm/testdata/session/" + language + "/bots.wasm")
			if err != nil {
				b.Fatal(err)
			}
			write(b, filepath.Join(dir, "plugins", language+"_bots.wasm"), module)
		}
		write(b, filepath.Join(dir, "models", "marts", language+".yaml"), []byte(text))
	}
	p, err := project.Load(dir, os.LookupEnv)
	if err != nil {
		b.Fatal(err)
	}
	s := &sessionFigures{weblog: w.derive(b), project: p, models: map[string]keyedModel{}}
	s.nameEventTime()
	compiled, err := compileKeyed(p)
	if err != nil {
		b.Fatal(err)
	}
	for _, k := range compiled {
		s.models[k.Name] = k
	}
	s.stage(b)
	return s
}

// derive is the weblog with the columns that the example derives, but without
// its sessions.
func (w *weblog) derive(b *testing.B) *weblog {
	b.Helper()
	p, err := project.Load(w.project.Dir, os.LookupEnv)
	if err != nil {
		b.Fatal(err)
	}
	p.Models = slices.DeleteFunc(p.Models, func(m project.Model) bool { return m.Kind != project.KindStaging })
	derived := &weblog{project: p, host: w.host, lines: w.lines, naive: w.naive}
	if derived.model, err = buildModel(b.Context(), p, &p.Models[0], tools{host: w.host}, nil); err != nil {
		b.Fatal(err)
	}
	return derived
}

func write(b *testing.B, file string, text []byte) {
	b.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		b.Fatal(err)
	}
}

// pluginTime is the name under which the plugin takes the event time.
const pluginTime = "event_time"

// nameEventTime gives the rows the event time under that name too.
func (s *sessionFigures) nameEventTime() {
	for i := range s.project.Models {
		if m := &s.project.Models[i]; m.Kind == project.KindStaging {
			m.Derived = append(m.Derived, project.Column{Name: pluginTime, Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true})
		}
	}
}

// stage makes the rows of all rounds, as the staging model does.
func (s *sessionFigures) stage(b *testing.B) {
	b.Helper()
	for round := range weblogRounds {
		slice := s.weblog.slice(round)
		batch := s.weblog.staged(b, &slice)
		b.Cleanup(batch.Release)
		at := batch.Rows.Schema().FieldIndices("requested_at")[0]
		times := array.NewTimestampBuilder(memory.DefaultAllocator, arrow.FixedWidthTypes.Timestamp_us.(*arrow.TimestampType))
		newest := int64(math.MinInt64)
		for _, t := range batch.Rows.Column(at).(*array.Timestamp).TimestampValues() {
			t += arrow.Timestamp(int64(round) * sessionsApart.Microseconds())
			newest = max(newest, int64(t))
			times.Append(t)
		}
		moved := times.NewArray()
		times.Release()
		columns := slices.Clone(batch.Rows.Columns())
		columns[at] = moved
		fields := append(batch.Rows.Schema().Fields(), arrow.Field{Name: pluginTime, Type: moved.DataType(), Nullable: true})
		batch.Rows = array.NewRecordBatch(arrow.NewSchema(fields, nil), append(columns, moved), batch.Rows.NumRows())
		moved.Release()
		b.Cleanup(batch.Rows.Release)
		s.rounds, s.newest = append(s.rounds, batch), append(s.newest, newest)
	}
}

// run takes all rows through a model's operator, and returns the processor time.
func (s *sessionFigures) run(b *testing.B, name string) time.Duration {
	b.Helper()
	objects, err := storage.OpenLocal(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	store, err := state.Open(b.Context(), state.Config{
		Dir: b.TempDir(), Objects: objects, Prefix: objects.Root() + "/_calve/weblog/state", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // its folder goes with it
	names := lakehouse.New(lakehouse.Config{Pipeline: "weblog", Nonce: "bench", Logger: slog.New(slog.DiscardHandler)}, objects, nil).Names(1)
	k := s.models[name]
	if err := k.openPlugin(b.Context(), s.project, tools{host: s.weblog.host}); err != nil {
		b.Fatal(err)
	}
	built, err := buildKeyed(s.project, &keyedState{Store: store}, &k)
	if err != nil {
		b.Fatal(err)
	}
	return cpuTime(b, func(b *testing.B) {
		watermark, changed := record.NoTime, 0
		for round, batch := range s.rounds {
			rejects, err := built.Operator.Take(b.Context(), k.From.Model, batch, watermark)
			if err != nil || len(rejects) > 0 {
				b.Fatalf("%s: %d rows refused, error %v", name, len(rejects), err)
			}
			if (round+1)%sessionsEpoch != 0 {
				continue
			}
			watermark = s.newest[round]
			changes, err := built.Operator.End(b.Context(), watermark)
			if err != nil {
				b.Fatal(err)
			}
			changed += changes.Len()
			changes.Release()
			if _, _, err := store.Checkpoint(b.Context(), names); err != nil {
				b.Fatal(err)
			}
		}
		if changed < weblogRounds {
			b.Fatalf("%s: %d rows changed", name, changed)
		}
	})
}
