package daemon

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/record"
)

// watching is a monitor of a project with the sources shop.orders, whose newest
// record may be 10 minutes old, or an hour, and shop.prices, without limits.
type watching struct {
	*monitor
	now    time.Time
	log    bytes.Buffer
	topics []pipeline.Topic
	fails  error
}

func newWatching(t *testing.T) *watching {
	t.Helper()
	w := &watching{now: at(100_000)}
	limits := &project.Freshness{WarnAfter: 10 * time.Minute, ErrorAfter: time.Hour}
	p := &project.Project{
		Sources: []project.Source{{Name: "shop", Tables: []project.SourceTable{
			{Name: "orders", Topic: "orders", Freshness: limits}, {Name: "prices", Topic: "prices"}, {Name: "unread", Topic: "unread", Freshness: limits},
		}}},
		Models: []project.Model{
			{Name: "orders", Kind: project.KindStaging, From: project.Ref{Source: "shop", Table: "orders"}},
			{Name: "prices", Kind: project.KindStaging, From: project.Ref{Source: "shop", Table: "prices"}, EventTime: "priced_at"},
		},
	}
	logger := slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	w.monitor = newMonitor(p, func() time.Time { return w.now }, logger)
	w.ends(0)
	return w
}

// ends sets the end of orders/0.
func (w *watching) ends(end int64) {
	w.topics = []pipeline.Topic{{Name: "orders", Partitions: []pipeline.Partition{{ID: 0, Start: 5, End: end}}}}
}

func (w *watching) describe(context.Context) ([]pipeline.Topic, error) { return w.topics, w.fails }

// lookAfter lets time pass and returns what was logged since.
func (w *watching) lookAfter(t *testing.T, passes time.Duration) string {
	t.Helper()
	w.now = w.now.Add(passes)
	w.log.Reset()
	w.look(t.Context(), w.describe)
	return strings.TrimSpace(w.log.String())
}

// reads says that an epoch has read orders/0 up to an offset, with a record that
// is written now.
func (w *watching) reads(to int64) {
	w.observe(pipeline.Report{
		Positions: map[record.TopicPartition]int64{{Topic: "orders"}: to}, Newest: map[string]int64{"orders": w.now.UnixMicro()},
	})
}

func (w *watching) state(t *testing.T) string {
	t.Helper()
	return scrape(t, w.metrics)[`calve_source_freshness_state{source="shop",table="orders"}`]
}

func TestASourceThatFallsSilentIsToldOfOnce(t *testing.T) {
	w := newWatching(t)
	w.begin(&lakehouse.Start{}, nil, nil)
	w.reads(10)
	const source = `source=shop.orders topic=orders newest=1970-01-02T03:46:40Z`
	for _, step := range []struct {
		passes     time.Duration
		log, state string
	}{
		{10 * time.Minute, "", "0"},
		{time.Second, `level=WARN msg="source has no new records" ` + source + ` warn_after=10m0s`, "1"},
		{time.Minute, "", "1"},
		{49 * time.Minute, `level=ERROR msg="source has no new records" ` + source + ` error_after=1h0m0s`, "2"},
		{time.Hour, "", "2"},
	} {
		if got := w.lookAfter(t, step.passes); got != step.log {
			t.Errorf("after %v more it logs\n%s\nwant\n%s", step.passes, got, step.log)
		}
		if got := w.state(t); got != step.state {
			t.Errorf("after %v more the state is %q, want %s", step.passes, got, step.state)
		}
	}
	w.reads(11)
	if got, want := w.lookAfter(t, time.Second), `level=INFO msg="source has new records again"`; !strings.HasPrefix(got, want) || w.state(t) != "0" {
		t.Errorf("with a new record it logs %q and shows state %s", got, w.state(t))
	}
	if got := w.lookAfter(t, time.Minute); got != "" {
		t.Errorf("then it logs %q", got)
	}
}

func TestASourceIsNotBlamedForAPipelineThatIsBehind(t *testing.T) {
	w := newWatching(t)
	w.begin(&lakehouse.Start{}, nil, nil)
	w.reads(10)
	w.ends(500)
	if got := w.lookAfter(t, 2*time.Hour); got != "" || w.state(t) != "0" {
		t.Errorf("with 490 records unread it logs %q and shows state %s", got, w.state(t))
	}
	w.ends(10)
	if got := w.lookAfter(t, time.Second); !strings.Contains(got, "level=ERROR") || w.state(t) != "2" {
		t.Errorf("with none unread it logs %q and shows state %s", got, w.state(t))
	}
}

func TestASilentBrokerDoesNotHideASilentSource(t *testing.T) {
	w := newWatching(t)
	w.begin(&lakehouse.Start{}, nil, nil)
	w.reads(10)
	w.fails = errors.New("unreachable")
	if got := w.lookAfter(t, 11*time.Minute); !strings.Contains(got, "level=WARN") {
		t.Errorf("it logs %q, want the warning", got)
	}
}

func TestTheLogTellsWhenASourceWasHeardOfLast(t *testing.T) {
	w := newWatching(t)
	partition := func(topic string, newest int64) []record.WatermarkPartition {
		return []record.WatermarkPartition{{Topic: topic, Newest: newest, HeardAt: micro(90_000)}, {Topic: topic, Partition: 1, Newest: record.NoTime, HeardAt: micro(20_000)}}
	}
	watermarks := map[string]record.Watermark{
		"orders": {Partitions: partition("orders", micro(80_000))},
		"prices": {Partitions: partition("prices", micro(70_000))}, // by a column, not by the record's timestamp
	}
	got := heardBefore(w.project, watermarks)
	if got["orders"] != micro(80_000) || got["prices"] != micro(90_000) || len(got) != 2 {
		t.Errorf("got %v", got)
	}
	w.begin(&lakehouse.Start{Watermarks: watermarks}, nil, nil)
	if got := w.lookAfter(t, 0); !strings.Contains(got, "level=ERROR") {
		t.Errorf("20000 s after the newest record it logs %q", got)
	}
}

func TestASourceWithoutRecordsIsAsOldAsTheRun(t *testing.T) {
	w := newWatching(t)
	w.begin(&lakehouse.Start{}, nil, nil)
	if got := w.lookAfter(t, 10*time.Minute); got != "" {
		t.Errorf("within warn_after it logs %q", got)
	}
	if got := w.lookAfter(t, time.Second); !strings.Contains(got, "level=WARN") {
		t.Errorf("after warn_after it logs %q", got)
	}
}

func TestLagIsThatOfTheReaderFurthestBehind(t *testing.T) {
	w := newWatching(t)
	position := func(offset int64) []record.Position {
		return []record.Position{{TopicPartition: record.TopicPartition{Topic: "orders"}, Offset: offset}}
	}
	w.topics[0].Partitions = []pipeline.Partition{{ID: 0, Start: 5, End: 100}, {ID: 1, Start: 7, End: 30}}
	w.begin(&lakehouse.Start{}, []pipeline.Assignment{{Name: "main", Positions: position(90)}, {Name: "later", Positions: position(20)}}, nil)
	w.lookAfter(t, 0)
	wantSeries(t, scrape(t, w.metrics), map[string]string{
		`calve_source_lag_records{partition="0",topic="orders"}`: "80",
		`calve_source_lag_records{partition="1",topic="orders"}`: "23", // nobody has read it yet
	})
	w.reads(100)
	w.lookAfter(t, 0)
	wantSeries(t, scrape(t, w.metrics), map[string]string{`calve_source_lag_records{partition="0",topic="orders"}`: "0"})
	w.fails = errors.New("unreachable")
	w.lookAfter(t, 0)
	wantSeries(t, scrape(t, w.metrics), map[string]string{`calve_source_lag_records{partition="0",topic="orders"}`: ""})
}

func TestReadyWhileThePipelineRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatching(t)
		w.admin = &admin{}
		ready := func() int { return ask(t, w.admin, w.metrics, "/readyz").Code }
		if got := ready(); got != http.StatusServiceUnavailable {
			t.Errorf("before it runs /readyz answers %d", got)
		}
		var looks atomic.Int64
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.run(ctx, func(ctx context.Context) ([]pipeline.Topic, error) { looks.Add(1); return w.describe(ctx) })
		}()
		synctest.Wait()
		if got := ready(); got != http.StatusOK || looks.Load() != 1 {
			t.Errorf("while it runs /readyz answers %d after %d looks", got, looks.Load())
		}
		wantSeries(t, scrape(t, w.metrics), map[string]string{"calve_ready": "1"})
		time.Sleep(lookEvery)
		synctest.Wait()
		if got := looks.Load(); got != 2 {
			t.Errorf("after %v there were %d looks, want 2", lookEvery, got)
		}
		stop()
		<-done
		if got := ready(); got != http.StatusServiceUnavailable {
			t.Errorf("after it ran /readyz answers %d", got)
		}
		wantSeries(t, scrape(t, w.metrics), map[string]string{"calve_ready": "0"})
	})
}

func TestRecordersAllReceive(t *testing.T) {
	w := newWatching(t)
	if w.recorder(nil) != w.metrics {
		t.Error("without another recorder the metrics are not the only one")
	}
	other := NewMetrics(time.Now)
	w.recorder(other).Add("calve_plugin_work_total", 3, "plugin", "p")
	for _, m := range []*Metrics{w.metrics, other} {
		wantSeries(t, scrape(t, m), map[string]string{`calve_plugin_work_total{plugin="p"}`: "3"})
	}
}
