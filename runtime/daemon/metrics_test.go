package daemon

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/record"
)

var silent = slog.New(slog.DiscardHandler)

// at is a time of the tests, in seconds since 1970.
func at(seconds int64) time.Time { return time.Unix(seconds, 0) }

// micro is that time as records have it.
func micro(seconds int64) int64 { return at(seconds).UnixMicro() }

// scrape asks for /metrics as Prometheus does, and returns values by series.
func scrape(t *testing.T, m *Metrics) map[string]string {
	t.Helper()
	response := ask(t, &admin{}, m, "/metrics")
	if response.Code != http.StatusOK {
		t.Fatalf("/metrics answers %d: %s", response.Code, response.Body)
	}
	values := map[string]string{}
	for _, line := range strings.Split(response.Body.String(), "\n") {
		if name, value, ok := cutLast(line); ok && !strings.HasPrefix(line, "#") {
			values[name] = value
		}
	}
	return values
}

// cutLast splits a line at its last space: labels may have some.
func cutLast(line string) (before, after string, ok bool) {
	i := strings.LastIndexByte(line, ' ')
	if i < 0 {
		return "", "", false
	}
	return line[:i], line[i+1:], true
}

func ask(t *testing.T, a *admin, m *Metrics, path string) *httptest.ResponseRecorder {
	t.Helper()
	response := httptest.NewRecorder()
	a.handler(m).ServeHTTP(response, httptest.NewRequest(http.MethodGet, path, nil))
	return response
}

func wantSeries(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %q, want %q", name, got[name], value)
		}
	}
}

// busy is a report in which everything happened.
func busy() pipeline.Report {
	open, inferred := int64(7), int64(3)
	return pipeline.Report{
		Epoch: 12, State: 4096,
		Took: pipeline.EpochTimes{Fill: 10 * time.Second, Files: 2 * time.Second, Record: 20 * time.Millisecond, Commit: 300 * time.Millisecond},
		Models: []pipeline.ModelReport{
			{
				Model: "events", Fate: record.Fate{Delivered: 10, Rows: 8, WithRows: 8, Dead: 1, Filtered: 1},
				Reasons: map[string]int64{"malformed": 1}, Newest: micro(940), Watermark: micro(930),
			},
			{Model: "sessions", Fate: record.Fate{Delivered: 8, WithRows: 8}, Newest: record.NoTime, Watermark: record.NoTime, Keyed: true, Changed: 2, Open: &open},
			{Model: "customers", Newest: record.NoTime, Watermark: record.NoTime, Keyed: true, Inferred: &inferred},
		},
		Tables:    []pipeline.TableReport{{Table: "marts.sessions", Files: 1, Bytes: 2048, Rows: 50, Replaced: 1, Changed: 2}},
		Positions: map[record.TopicPartition]int64{{Topic: "events", Partition: 3}: 100},
		Newest:    map[string]int64{"events": micro(950)},
	}
}

func TestAScrapeShowsWholeEpochs(t *testing.T) {
	m := NewMetrics(func() time.Time { return at(1000) })
	m.Epoch(busy())
	const epochs = 2000
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range epochs {
			m.Epoch(busy())
		}
	}()
	for scrapes := 0; ; scrapes++ {
		series := scrape(t, m)
		n, changed := number(t, series[`calve_epochs_total`]), number(t, series[`calve_table_changed_rows_total{table="marts.sessions"}`])
		if changed != 2*n {
			t.Fatalf("scrape %d: %v rows were changed by %v epochs of 2", scrapes, changed, n)
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestAnEpochShowsInMetrics(t *testing.T) {
	m := NewMetrics(func() time.Time { return at(1000) })
	m.Epoch(busy())
	m.Epoch(busy())
	wantSeries(t, scrape(t, m), map[string]string{
		`calve_epochs_total`:                                          "2",
		`calve_epoch_last`:                                            "12",
		`calve_epoch_last_commit_timestamp_seconds`:                   "1000",
		`calve_epoch_seconds_count{phase="commit"}`:                   "2",
		`calve_epoch_seconds_bucket{phase="commit",le="0.25"}`:        "0",
		`calve_epoch_seconds_bucket{phase="commit",le="0.5"}`:         "2",
		`calve_epoch_seconds_sum{phase="fill"}`:                       "20",
		`calve_records_total{model="events"}`:                         "20",
		`calve_rows_total{model="events"}`:                            "16",
		`calve_filtered_total{model="events"}`:                        "2",
		`calve_dead_letters_total{model="events",reason="malformed"}`: "2",
		`calve_watermark_timestamp_seconds{model="events"}`:           "930",
		`calve_watermark_timestamp_seconds{model="sessions"}`:         "",
		`calve_freshness_seconds{model="events"}`:                     "60",
		`calve_open_sessions{model="sessions"}`:                       "7",
		`calve_open_sessions{model="events"}`:                         "",
		`calve_inferred_members_total{model="customers"}`:             "6",
		`calve_inferred_members_total{model="events"}`:                "",
		`calve_changed_rows_total{model="sessions"}`:                  "4",
		`calve_rows_total{model="sessions"}`:                          "",
		`calve_table_written_rows_total{table="marts.sessions"}`:      "100",
		`calve_table_changed_rows_total{table="marts.sessions"}`:      "4",
		`calve_table_replaced_files_total{table="marts.sessions"}`:    "2",
		`calve_state_uploaded_bytes_total`:                            "8192",
	})
}

func TestWhatTheLastEpochLeftShowsBeforeTheFirst(t *testing.T) {
	open := int64(3)
	m := NewMetrics(func() time.Time { return at(1000) })
	m.Begin(&lakehouse.Start{
		Last: 41,
		Watermarks: map[string]record.Watermark{"events": {At: micro(800), Partitions: []record.WatermarkPartition{
			{Topic: "events", Newest: micro(900)}, {Topic: "events", Partition: 1, Newest: record.NoTime},
		}}},
		Keyed: []lakehouse.KeyedModel{{Name: "sessions", Open: &open, Watermark: &lakehouse.Reached{At: micro(700)}}},
	})
	wantSeries(t, scrape(t, m), map[string]string{
		`calve_epochs_total`:                                  "0",
		`calve_epoch_last`:                                    "41",
		`calve_epoch_last_commit_timestamp_seconds`:           "1000",
		`calve_watermark_timestamp_seconds{model="events"}`:   "800",
		`calve_watermark_timestamp_seconds{model="sessions"}`: "700",
		`calve_freshness_seconds{model="events"}`:             "100",
		`calve_open_sessions{model="sessions"}`:               "3",
	})
}

func TestLabelsAreBounded(t *testing.T) {
	m := NewMetrics(time.Now)
	const more = 10
	for i := range maxReasons + more {
		m.Epoch(pipeline.Report{Models: []pipeline.ModelReport{{Model: "events", Reasons: map[string]int64{fmt.Sprint("code", i): 1}, Newest: record.NoTime, Watermark: record.NoTime}}})
	}
	for i := range maxPluginSeries + more {
		m.Add("calve_plugin_calls_total", 1, "plugin", "p", "version", fmt.Sprint(i), "model", "events", "result", "ok")
	}
	got := scrape(t, m)
	wantSeries(t, got, map[string]string{
		`calve_dead_letters_total{model="events",reason="code0"}`: "1",
		`calve_dead_letters_total{model="events",reason="other"}`: fmt.Sprint(more),
		`calve_plugin_series_dropped_total`:                       fmt.Sprint(more),
	})
	if len(got) > maxReasons+maxPluginSeries+300 {
		t.Errorf("%d series", len(got))
	}
}

func TestLabelsThatAreNoTextAreServed(t *testing.T) {
	m := NewMetrics(time.Now)
	m.Epoch(pipeline.Report{Models: []pipeline.ModelReport{{Model: "events", Reasons: map[string]int64{"a\xff": 1}, Newest: record.NoTime, Watermark: record.NoTime}}})
	m.Add("calve_plugin_counter_total", 2, "plugin", "p", "name", "b\xff")
	wantSeries(t, scrape(t, m), map[string]string{
		"calve_dead_letters_total{model=\"events\",reason=\"a\uFFFD\"}": "1",
		"calve_plugin_counter_total{name=\"b\uFFFD\",plugin=\"p\"}":     "2",
	})
}

func TestProbes(t *testing.T) {
	a, m := &admin{}, NewMetrics(time.Now)
	for _, c := range []struct {
		path  string
		ready bool
		want  int
	}{
		{"/healthz", false, http.StatusOK}, {"/readyz", false, http.StatusServiceUnavailable},
		{"/healthz", true, http.StatusOK}, {"/readyz", true, http.StatusOK},
		{"/", true, http.StatusNotFound},
	} {
		a.ready.Store(c.ready)
		if got := ask(t, a, m, c.path); got.Code != c.want {
			t.Errorf("%s answers %d while ready is %v, want %d", c.path, got.Code, c.ready, c.want)
		}
	}
}

// calveName is a metric of ours, in text; of a histogram with what Prometheus
// adds.
var calveName = regexp.MustCompile(`\bcalve_[a-z_]+`)

// families are the names of our metrics that a process serves once everything
// has happened.
func families(t *testing.T) map[string]bool {
	t.Helper()
	p := &project.Project{
		Sources: []project.Source{{Name: "shop", Tables: []project.SourceTable{{Name: "events", Topic: "events", Freshness: &project.Freshness{WarnAfter: time.Minute}}}}},
		Models:  []project.Model{{Name: "events", Kind: project.KindStaging, From: project.Ref{Source: "shop", Table: "events"}}},
	}
	m := newMonitor(p, func() time.Time { return at(1000) }, silent)
	m.begin(&lakehouse.Start{}, nil, nil)
	m.observe(busy())
	m.metrics.Lag(map[record.TopicPartition]int64{{Topic: "events"}: 1})
	host, err := os.ReadFile("../../plugins/wasm/observe.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`metric\w+ += "(calve_\w+)"`).FindAllSubmatch(host, -1) {
		m.metrics.Add(string(match[1]), 1, "plugin", "p", "version", "1", "model", "events")
	}
	gathered, err := m.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, family := range gathered {
		names[family.GetName()] = true
	}
	return names
}

// inText are the names of our metrics in a file.
func inText(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, name := range calveName.FindAllString(string(text), -1) {
		names[name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

func TestDocumentationListsTheMetrics(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, match := range regexp.MustCompile("(?m)^\\| `(calve_[a-z_]+)` \\|").FindAllSubmatch(text, -1) {
		listed[string(match[1])] = true
	}
	served := families(t)
	for name := range served {
		if strings.HasPrefix(name, "calve_") && !listed[name] {
			t.Errorf("docs/operations.md does not list %s", name)
		}
	}
	for name := range listed {
		if !served[name] {
			t.Errorf("docs/operations.md lists %s, which is not served", name)
		}
	}
	for _, name := range []string{"go_memstats_heap_inuse_bytes", "process_resident_memory_bytes", "process_cpu_seconds_total"} {
		if !served[name] {
			t.Errorf("docs/operations.md speaks of %s, which is not served", name)
		}
	}
}

func TestAlertsAndDashboardUseMetricsThatExist(t *testing.T) {
	served := families(t)
	for _, file := range []string{"../../deploy/prometheus/alerts.yaml", "../../deploy/grafana/calve.json"} {
		names := inText(t, file)
		if len(names) < 10 {
			t.Errorf("%s names %v: too few", file, names)
		}
		for _, name := range names {
			base := name
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				base = strings.TrimSuffix(base, suffix)
			}
			if !served[name] && !served[base] {
				t.Errorf("%s uses %s, which is not served", file, name)
			}
		}
	}
}

func TestDashboardIsWhole(t *testing.T) {
	text, err := os.ReadFile("../../deploy/grafana/calve.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Title  string
		Panels []struct {
			ID          int
			Type, Title string
			GridPos     struct{ X, Y, W, H int }
			Targets     []struct{ Expr, RefID string }
			Datasource  struct{ UID string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have id %d", p.ID)
		}
		ids[p.ID] = true
		if p.GridPos.X+p.GridPos.W > 24 || p.GridPos.W == 0 {
			t.Errorf("panel %q does not fit into the grid", p.Title)
		}
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" {
			t.Errorf("panel %q has %d queries of data source %q", p.Title, len(p.Targets), p.Datasource.UID)
		}
		for _, target := range p.Targets {
			if !strings.Contains(target.Expr, `{job=~"$job"`) {
				t.Errorf("panel %q shows all pipelines: %s", p.Title, target.Expr)
			}
		}
	}
	if len(ids) < 20 {
		t.Errorf("the dashboard has %d panels", len(ids))
	}
}
