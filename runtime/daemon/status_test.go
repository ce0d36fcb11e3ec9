package daemon_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/kafka"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
)

// loadSessions is a project of events with sessions of 10 minutes by id.
func loadSessions(t *testing.T, dir string, s setup) *project.Project {
	t.Helper()
	s.source += "    freshness: {warn_after: 1m, error_after: 1h}\n"
	s.model += "event_time: at\nmax_out_of_orderness: 10s\n"
	s.columns = "  - {name: at, data_type: timestamptz}\n"
	s.write(t, dir)
	const sessions = "name: sessions\nkind: session\nfrom: ref.events\nkey: [id]\ngap: 10m\naggregates: {events: count()}\n"
	if err := os.WriteFile(filepath.Join(dir, "models", "sessions.yaml"), []byte(sessions), 0o644); err != nil {
		t.Fatal(err)
	}
	return s.load(t, dir)
}

// clockAt is a clock that stands.
func clockAt(t *testing.T, text string) func() time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return func() time.Time { return at }
}

func readStatus(t *testing.T, p *project.Project, c daemon.StatusConfig) *daemon.Status {
	t.Helper()
	c.Logger = quiet
	if c.Now == nil {
		c.Now = time.Now
	}
	s, err := daemon.ReadStatus(t.Context(), p, c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func text(at *time.Time) string {
	if at == nil {
		return "none"
	}
	return at.Format(time.RFC3339)
}

func count(n *int64) int64 {
	if n == nil {
		return -1
	}
	return *n
}

// endsAt tells that the topic events, as the project's broker made it, ends
// there.
func endsAt(t *testing.T, p *project.Project, end int64) func(context.Context, ...string) ([]kafka.Topic, error) {
	t.Helper()
	broker, err := daemon.OpenBroker(t.Context(), p, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close() //nolint:errcheck // only read from
	topics, err := broker.Topics(t.Context(), "events")
	if err != nil {
		t.Fatal(err)
	}
	topics[0].Partitions[0].End = end
	return func(context.Context, ...string) ([]kafka.Topic, error) { return topics, nil }
}

func TestStatusTellsWhereAPipelineIs(t *testing.T) {
	p := loadSessions(t, t.TempDir(), setup{})
	produce(t, p, "events",
		`{"id":1,"at":"2026-01-02T10:00:00Z"}`, `{"id":2,"at":"2026-01-02T10:01:00Z"}`, `broken`, `{"id":1,"at":"2026-01-02T10:05:00Z"}`)
	stats := mustRun(t, p)
	s := readStatus(t, p, daemon.StatusConfig{Now: clockAt(t, "2026-01-02T11:00:00Z"), Topics: endsAt(t, p, 7)})
	if s.Pipeline != "shop" || s.Epoch == nil || s.Epoch.Number != stats.Last || s.Epoch.Writer == "" || s.Epoch.Host == "" || s.Epoch.AgeSeconds == nil || len(s.Epoch.Uncommitted) != 0 {
		t.Errorf("the epoch is %+v, the run's last was %d", s.Epoch, stats.Last)
	}
	if !s.Broker.Answers || s.Broker.Problem != "" {
		t.Errorf("the broker is %+v", s.Broker)
	}
	if len(s.Models) != 2 {
		t.Fatalf("there are %d models, want 2", len(s.Models))
	}
	events, sessions := s.Models[0], s.Models[1]
	if text(events.Watermark) != "2026-01-02T10:04:50Z" || text(events.NewestEvent) != "2026-01-02T10:05:00Z" || events.FreshnessSeconds == nil || *events.FreshnessSeconds != 55*60 {
		t.Errorf("events: watermark %s, newest %s", text(events.Watermark), text(events.NewestEvent))
	}
	if count(events.Rows) != 3 || events.Table != "staging.events" || count(events.Lag) != 3 || len(events.Partitions) != 1 {
		t.Fatalf("events: %d rows in %s, lag %d", count(events.Rows), events.Table, count(events.Lag))
	}
	if g := events.Partitions[0]; g.Topic != "events" || g.Partition != 0 || g.Reader != "main" || count(g.Position) != 4 || count(g.End) != 7 || count(g.Lag) != 3 || g.Idle {
		t.Errorf("events/0: %+v", g)
	}
	if sessions.Kind != "session" || count(sessions.OpenSessions) != 2 || text(sessions.Watermark) != text(events.Watermark) || sessions.BackfilledTo != nil || sessions.Lag != nil {
		t.Errorf("sessions: %d open, watermark %s", count(sessions.OpenSessions), text(sessions.Watermark))
	}
	if len(s.DeadLetters) != 1 || s.DeadLetters[0].Model != "events" || s.DeadLetters[0].Open != 1 {
		t.Errorf("dead letters: %+v", s.DeadLetters)
	}
	if len(s.Sources) != 1 || s.Sources[0].Source != "shop" || s.Sources[0].Table != "events" {
		t.Errorf("sources: %+v", s.Sources)
	}
}

func TestStatusOfAProjectThatNeverRanLeavesNoTrace(t *testing.T) {
	dir := t.TempDir()
	p := setup{}.load(t, dir)
	s := readStatus(t, p, daemon.StatusConfig{})
	if s.Epoch != nil || len(s.Models) != 1 || s.Models[0].Rows != nil || s.Broker.Answers || !strings.Contains(s.Broker.Problem, "free port") {
		t.Errorf("got %+v", s)
	}
	if _, err := os.Stat(filepath.Join(dir, ".calve")); err == nil {
		t.Error("status left a trace in the project")
	}
}

func TestStatusSaysThatTheBrokerDoesNotAnswer(t *testing.T) {
	p := setup{}.load(t, t.TempDir())
	produce(t, p, "events", `{"id":1}`)
	mustRun(t, p)
	p.Connections.Kafka.Embedded.Listen = closed(t)
	for _, c := range []struct {
		topics func(context.Context, ...string) ([]kafka.Topic, error)
		want   string
	}{
		{nil, "does not run"},
		{func(context.Context, ...string) ([]kafka.Topic, error) { return nil, errors.New("no route") }, "no route"},
	} {
		s := readStatus(t, p, daemon.StatusConfig{Topics: c.topics})
		if s.Broker.Answers || !strings.Contains(s.Broker.Problem, c.want) {
			t.Errorf("the broker is %+v, want a problem that says %q", s.Broker, c.want)
		}
		if m := s.Models[0]; m.Lag != nil || len(m.Partitions) != 1 || count(m.Partitions[0].Position) != 1 || m.Partitions[0].End != nil {
			t.Errorf("without the broker: %+v", m)
		}
	}
}

func TestStatusAsksARunningBrokerAndKnowsAPrunedLog(t *testing.T) {
	p := setup{interval: "50ms"}.load(t, t.TempDir())
	produce(t, p, "events", `{"id":1}`, `{"id":2}`)
	f := follow(t, p)
	r := f.started()
	f.until(r, "an epoch", func(s pipeline.Stats) bool { return s.Epochs > 0 })
	s := readStatus(t, p, daemon.StatusConfig{Topics: r.Broker.Topics})
	if !s.Broker.Answers || count(s.Models[0].Lag) != 0 || count(s.Models[0].Rows) != 2 {
		t.Errorf("beside a running pipeline: %+v, %+v", s.Broker, s.Models[0])
	}
	f.stop()
	before := readStatus(t, p, daemon.StatusConfig{})
	prune(t, p)
	after := readStatus(t, p, daemon.StatusConfig{})
	if after.Epoch == nil || after.Epoch.Number != before.Epoch.Number || after.Epoch.Writer != before.Epoch.Writer || text(after.Epoch.DecidedAt) != text(before.Epoch.DecidedAt) {
		t.Errorf("with a pruned log the epoch is %+v, was %+v", after.Epoch, before.Epoch)
	}
	if count(after.Models[0].Partitions[0].Position) != 2 || text(after.Models[0].NewestEvent) != text(before.Models[0].NewestEvent) {
		t.Errorf("with a pruned log: %+v", after.Models[0])
	}
}

// prune lets a floor take over from the log's records.
func prune(t *testing.T, p *project.Project) {
	t.Helper()
	opened, err := daemon.OpenLakehouse(t.Context(), p, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close() //nolint:errcheck // only read from
	log := lakehouse.NewLog(opened.Store, p.Name, lakehouse.NewNonce(), quiet)
	tail, err := log.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Prune(t.Context(), tail.Epochs[len(tail.Epochs)-1]); err != nil {
		t.Fatal(err)
	}
}

// addressOf receives the address that metrics are served at, from the log.
type addressOf struct {
	slog.Handler
	address chan string
}

func (h addressOf) Enabled(context.Context, slog.Level) bool { return true }
func (h addressOf) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if r.Message == "metrics" && a.Key == "address" {
			h.address <- a.Value.String()
		}
		return true
	})
	return nil
}
func (h addressOf) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h addressOf) WithGroup(string) slog.Handler      { return h }

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url) //nolint:gosec // the test's own server
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// linesWithout are the wanted lines that a text does not have.
func linesWithout(text string, wanted ...string) []string {
	return slices.DeleteFunc(wanted, func(line string) bool { return strings.Contains("\n"+text, "\n"+line+"\n") })
}

func TestARunningPipelineServesItsMetrics(t *testing.T) {
	dir := t.TempDir()
	p := loadSessions(t, dir, setup{interval: "50ms"})
	produce(t, p, "events", `{"id":1,"at":"2026-01-02T10:00:00Z"}`, `broken`)
	logged := addressOf{address: make(chan string, 1)}
	f := followWith(t, p, daemon.RunOptions{Metrics: "127.0.0.1:0", Logger: slog.New(logged)})
	metrics := <-logged.address
	r := f.started()
	// A scrape shows whole epochs, but the sources of an epoch come after it, and
	// that the pipeline is ready when its goroutine says so.
	var body string
	missing := []string{"an answer"}
	t.Cleanup(func() {
		if len(missing) > 0 {
			t.Logf("/metrics does not say %q", missing)
		}
	})
	f.until(r, "an epoch in the metrics", func(pipeline.Stats) bool {
		_, body = get(t, metrics)
		missing = linesWithout(body, "calve_ready 1", `calve_rows_total{model="events"} 1`,
			`calve_dead_letters_total{model="events",reason="malformed"} 1`,
			`calve_open_sessions{model="sessions"} 1`, `calve_records_total{model="sessions"} 1`,
			`calve_watermark_timestamp_seconds{model="events"} 1.76734799e+09`,
			`calve_source_freshness_state{source="shop",table="events"} 0`)
		return len(missing) == 0
	})
	if code, _ := get(t, strings.Replace(metrics, "/metrics", "/readyz", 1)); code != http.StatusOK {
		t.Errorf("/readyz answers %d while the pipeline runs", code)
	}
	for _, name := range []string{"calve_state_bytes", "calve_state_uploaded_bytes_total"} {
		if strings.Contains(body, "\n"+name+" 0\n") {
			t.Errorf("%s is 0 with keyed state", name)
		}
	}
	f.stop()
	if _, err := http.Get(metrics); err == nil { //nolint:bodyclose,gosec // there is none
		t.Error("metrics are served after the pipeline has ended")
	}
}

func TestMetricsAtAnAddressInUseAreRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	p := setup{}.load(t, t.TempDir())
	_, err = daemon.Run(t.Context(), p, daemon.RunOptions{Once: true, Logger: quiet, Metrics: listener.Addr().String()})
	wantError(t, err, nil, listener.Addr().String(), "--metrics")
}
