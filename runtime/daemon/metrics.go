package daemon

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/record"
)

// Metrics is what a running pipeline shows to Prometheus. It is safe for
// concurrent use. docs/operations.md lists the names.
type Metrics struct {
	registry *prometheus.Registry
	now      func() time.Time

	records, rows, dead, filtered, changed *prometheus.CounterVec
	epochs                                 prometheus.Counter
	phases                                 *prometheus.HistogramVec
	last, lastCommit                       prometheus.Gauge
	watermark, open                        *prometheus.GaugeVec
	files, bytes, written, replaced        *prometheus.CounterVec
	lag                                    *prometheus.GaugeVec
	freshness                              *freshness
	plugins                                *pluginMetrics
}

// epochBuckets are in seconds: an epoch takes from a few milliseconds to
// minutes, where files are rewritten.
var epochBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}

// NewMetrics returns metrics that are all zero.
func NewMetrics(now func() time.Time) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), now: now}
	m.records = m.counter("calve_records_total", "Records that a model was given: of its topic, or rows of its input.", "model")
	m.rows = m.counter("calve_rows_total", "Rows that a model made of records.", "model")
	m.dead = m.counter("calve_dead_letters_total", "Dead letters, by reason code.", "model", "reason")
	m.filtered = m.counter("calve_filtered_total", "Records that became no row and no dead letter.", "model")
	m.changed = m.counter("calve_changed_rows_total", "Rows of a keyed model that were created, updated or deleted.", "model")
	m.phases = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "calve_epoch_seconds", Help: "Where an epoch's time goes: fill, files, record, commit.", Buckets: epochBuckets,
	}, []string{"phase"})
	m.registry.MustRegister(m.phases)
	m.epochs = prometheus.NewCounter(prometheus.CounterOpts{Name: "calve_epochs_total", Help: "Epochs committed by this process."})
	m.registry.MustRegister(m.epochs)
	m.last = m.gauge("calve_epoch_last", "Number of the last epoch committed.").WithLabelValues()
	m.lastCommit = m.gauge("calve_epoch_last_commit_timestamp_seconds", "When the last epoch was committed.").WithLabelValues()
	m.watermark = m.gauge("calve_watermark_timestamp_seconds", "How far a model's event time has come.", "model")
	m.open = m.gauge("calve_open_sessions", "Sessions that a model holds open.", "model")
	m.files = m.counter("calve_table_files_total", "Data files added to a table.", "table")
	m.bytes = m.counter("calve_table_bytes_total", "Bytes of data files added to a table.", "table")
	m.written = m.counter("calve_table_written_rows_total", "Rows in data files added to a table. Divided by calve_changed_rows_total of its model: write amplification.", "table")
	m.replaced = m.counter("calve_table_replaced_files_total", "Data files of a table that were replaced by others.", "table")
	m.lag = m.gauge("calve_source_lag_records", "Offsets between what was read and the end of a partition.", "topic", "partition")
	m.freshness = &freshness{now: now, newest: map[string]int64{}}
	m.plugins = &pluginMetrics{values: map[string]map[string]*pluginValue{}}
	m.registry.MustRegister(m.freshness, m.plugins)
	return m
}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(g)
	return g
}

// Epoch takes in what a committed epoch did.
func (m *Metrics) Epoch(r pipeline.Report) {
	m.epochs.Inc()
	m.last.Set(float64(r.Epoch))
	m.lastCommit.Set(seconds(m.now().UnixMicro()))
	for phase, took := range map[string]time.Duration{"fill": r.Took.Fill, "files": r.Took.Files, "record": r.Took.Record, "commit": r.Took.Commit} {
		m.phases.WithLabelValues(phase).Observe(took.Seconds())
	}
	for _, model := range r.Models {
		m.model(model)
	}
	for _, t := range r.Tables {
		m.files.WithLabelValues(t.Table).Add(float64(t.Files))
		m.bytes.WithLabelValues(t.Table).Add(float64(t.Bytes))
		m.written.WithLabelValues(t.Table).Add(float64(t.Rows))
		m.replaced.WithLabelValues(t.Table).Add(float64(t.Replaced))
	}
}

func (m *Metrics) model(r pipeline.ModelReport) {
	m.records.WithLabelValues(r.Model).Add(float64(r.Fate.Delivered))
	m.rows.WithLabelValues(r.Model).Add(float64(r.Fate.Rows))
	m.filtered.WithLabelValues(r.Model).Add(float64(r.Fate.Filtered))
	for reason, count := range r.Reasons {
		m.dead.WithLabelValues(r.Model, reason).Add(float64(count))
	}
	if r.Keyed {
		m.changed.WithLabelValues(r.Model).Add(float64(r.Changed))
		m.open.WithLabelValues(r.Model).Set(float64(r.Open))
	}
	if r.Watermark != record.NoTime {
		m.watermark.WithLabelValues(r.Model).Set(seconds(r.Watermark))
	}
	m.freshness.saw(r.Model, r.Newest)
}

// Lag takes in how far the ends of partitions are from what was read.
func (m *Metrics) Lag(tp record.TopicPartition, behind int64) {
	m.lag.WithLabelValues(tp.Topic, strconv.Itoa(int(tp.Partition))).Set(float64(behind))
}

// seconds since 1970 of µs since 1970.
func seconds(at int64) float64 { return float64(at) / 1e6 }

// freshness is how old the newest event of each model is when somebody asks.
type freshness struct {
	now    func() time.Time
	mu     sync.Mutex
	newest map[string]int64
}

var freshnessDesc = prometheus.NewDesc("calve_freshness_seconds", "How long ago the newest event of a model's rows happened.", []string{"model"}, nil)

func (f *freshness) saw(model string, at int64) {
	if at == record.NoTime {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if was, ok := f.newest[model]; !ok || at > was {
		f.newest[model] = at
	}
}

// Describe implements prometheus.Collector.
func (f *freshness) Describe(out chan<- *prometheus.Desc) { out <- freshnessDesc }

// Collect implements prometheus.Collector.
func (f *freshness) Collect(out chan<- prometheus.Metric) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now().UnixMicro()
	for model, at := range f.newest {
		out <- prometheus.MustNewConstMetric(freshnessDesc, prometheus.GaugeValue, seconds(now-at), model)
	}
}

// Add implements wasm.Recorder. What plugins count has labels of its own.
func (m *Metrics) Add(name string, delta float64, labels ...string) {
	m.plugins.add(name, delta, labels)
}

// pluginMetrics are the values that the plugin host and its plugins count,
// under a number of names that the host bounds. A sum that a plugin observes may
// fall, so that none of them is a counter of the client library, which panics
// then.
type pluginMetrics struct {
	mu     sync.Mutex
	values map[string]map[string]*pluginValue // by name, then labels
}

type pluginValue struct {
	names, values []string
	total         float64
}

func (p *pluginMetrics) add(name string, delta float64, labels []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.values[name] == nil {
		p.values[name] = map[string]*pluginValue{}
	}
	key := strings.Join(labels, "\x00")
	v := p.values[name][key]
	if v == nil {
		v = newPluginValue(labels)
		p.values[name][key] = v
	}
	v.total += delta
}

// newPluginValue splits names and values, which come in turn.
func newPluginValue(labels []string) *pluginValue {
	v := &pluginValue{}
	for i := 0; i+1 < len(labels); i += 2 {
		v.names = append(v.names, labels[i])
		v.values = append(v.values, strings.ToValidUTF8(labels[i+1], "\uFFFD"))
	}
	return v
}

// Describe implements prometheus.Collector: the names are not known before.
func (p *pluginMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (p *pluginMetrics) Collect(out chan<- prometheus.Metric) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(p.values)) {
		values := slices.SortedFunc(maps.Values(p.values[name]), func(a, b *pluginValue) int { return slices.Compare(a.values, b.values) })
		for _, v := range values {
			desc := prometheus.NewDesc(name, "Counted by the plugin host, or by a plugin.", v.names, nil)
			out <- prometheus.MustNewConstMetric(desc, kindOf(name), v.total, v.values...)
		}
	}
}

func kindOf(name string) prometheus.ValueType {
	if strings.HasSuffix(name, "_sum") {
		return prometheus.UntypedValue
	}
	return prometheus.CounterValue
}
