package daemon

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/record"
)

// Metrics is what a running pipeline shows to Prometheus. It is safe for
// concurrent use. docs/operations.md lists the names. Labels are names of the
// project, partitions of its topics, and of what plugins name themselves a
// bounded number.
type Metrics struct {
	registry *prometheus.Registry
	now      func() time.Time

	records, rows, dead, filtered, changed        *prometheus.CounterVec
	inferred                                      *prometheus.CounterVec
	files, bytes, written, replaced, tableChanged *prometheus.CounterVec
	watermark, open, lag                          *prometheus.GaugeVec
	phases                                        *prometheus.HistogramVec
	epochs, stateUploaded                         prometheus.Counter
	ready, last, lastCommit                       prometheus.Gauge
	reasons                                       reasons
	freshness                                     *freshness
	plugins                                       *pluginMetrics

	whole sync.Mutex // held while an epoch is taken in and while a scrape gathers

	mu         sync.Mutex
	stateBytes func() int64 // nil without keyed state
}

// epochBuckets are in seconds: an epoch takes from a few milliseconds to
// minutes, where files are rewritten.
var epochBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}

// NewMetrics returns metrics that are all zero.
func NewMetrics(now func() time.Time) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), now: now, reasons: reasons{}}
	m.ready = m.gauge("calve_ready", "1 while the pipeline runs, 0 while it starts or stands by.").WithLabelValues()
	m.epochMetrics()
	m.modelMetrics()
	m.tableMetrics()
	m.lag = m.gauge("calve_source_lag_records", "Offsets between the last committed epoch and the end of a partition. Absent while the broker does not answer.", "topic", "partition")
	m.stateUploaded = m.counter("calve_state_uploaded_bytes_total", "Bytes of keyed state that were uploaded.").WithLabelValues()
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "calve_state_bytes", Help: "Bytes of keyed state on the local disk.",
	}, m.stateSize))
	m.freshness = &freshness{now: now, newest: map[string]int64{}}
	m.plugins = newPluginMetrics(m.counter("calve_plugin_series_dropped_total", "Additions to metrics of plugins beyond the number of series that is kept.").WithLabelValues())
	m.registry.MustRegister(m.freshness, m.plugins, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *Metrics) epochMetrics() {
	m.epochs = m.counter("calve_epochs_total", "Epochs committed by this process, heartbeats included.").WithLabelValues()
	m.phases = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "calve_epoch_seconds", Help: "Where an epoch's time goes: fill, files, record, commit.", Buckets: epochBuckets,
	}, []string{"phase"})
	m.registry.MustRegister(m.phases)
	m.last = m.gauge("calve_epoch_last", "Number of the last epoch committed.").WithLabelValues()
	m.lastCommit = m.gauge("calve_epoch_last_commit_timestamp_seconds", "When the last epoch was committed or, before the first of this process, the pipeline began to run. An idle pipeline commits a heartbeat every minute.").WithLabelValues()
}

func (m *Metrics) modelMetrics() {
	m.records = m.counter("calve_records_total", "Records that a model was given: of its topic, or rows of its input.", "model")
	m.rows = m.counter("calve_rows_total", "Rows that a staging model made of records.", "model")
	m.dead = m.counter("calve_dead_letters_total", "Dead letters, by reason code.", "model", "reason")
	m.filtered = m.counter("calve_filtered_total", "Records that became no row and no dead letter.", "model")
	m.changed = m.counter("calve_changed_rows_total", "Rows of a keyed model that were created, updated or deleted.", "model")
	m.watermark = m.gauge("calve_watermark_timestamp_seconds", "How far a model's event time has come.", "model")
	m.inferred = m.counter("calve_inferred_members_total", "Rows of a dimension for members that facts referred to before they came.", "model")
	m.open = m.gauge("calve_open_sessions", "Sessions that a model holds open.", "model")
}

func (m *Metrics) tableMetrics() {
	m.files = m.counter("calve_table_files_total", "Data files added to a table.", "table")
	m.bytes = m.counter("calve_table_bytes_total", "Bytes of data files added to a table.", "table")
	m.written = m.counter("calve_table_written_rows_total", "Rows in data files added to a table. Divided by calve_table_changed_rows_total: write amplification.", "table")
	m.tableChanged = m.counter("calve_table_changed_rows_total", "Rows of a table that were created, updated or deleted.", "table")
	m.replaced = m.counter("calve_table_replaced_files_total", "Data files of a table that were replaced by others.", "table")
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

// Begin takes in where a pipeline goes on.
func (m *Metrics) Begin(start *lakehouse.Start) {
	m.last.Set(float64(start.Last))
	m.lastCommit.Set(seconds(m.now().UnixMicro()))
	for model, w := range start.Watermarks {
		m.passed(model, w.At)
		for _, p := range w.Partitions {
			m.freshness.saw(model, p.Newest)
		}
	}
	for _, k := range start.Keyed {
		m.held(k.Name, k.Open)
		if w := k.Watermark; w != nil {
			m.passed(k.Name, w.At)
		}
	}
}

// Gather implements prometheus.Gatherer. It never shows a part of an epoch.
func (m *Metrics) Gather() ([]*dto.MetricFamily, error) {
	m.whole.Lock()
	defer m.whole.Unlock()
	return m.registry.Gather()
}

// Epoch takes in what a committed epoch did.
func (m *Metrics) Epoch(r pipeline.Report) {
	m.whole.Lock()
	defer m.whole.Unlock()
	m.epochs.Inc()
	m.last.Set(float64(r.Epoch))
	m.lastCommit.Set(seconds(m.now().UnixMicro()))
	m.stateUploaded.Add(float64(r.State))
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
		m.tableChanged.WithLabelValues(t.Table).Add(float64(t.Changed))
		m.replaced.WithLabelValues(t.Table).Add(float64(t.Replaced))
	}
}

func (m *Metrics) model(r pipeline.ModelReport) {
	m.records.WithLabelValues(r.Model).Add(float64(r.Fate.Delivered))
	m.filtered.WithLabelValues(r.Model).Add(float64(r.Fate.Filtered))
	for reason, count := range r.Reasons {
		m.dead.WithLabelValues(r.Model, m.reasons.label(r.Model, reason)).Add(float64(count))
	}
	if r.Keyed {
		m.changed.WithLabelValues(r.Model).Add(float64(r.Changed))
	} else {
		m.rows.WithLabelValues(r.Model).Add(float64(r.Fate.Rows))
	}
	if r.Inferred != nil {
		m.inferred.WithLabelValues(r.Model).Add(float64(*r.Inferred))
	}
	m.held(r.Model, r.Open)
	m.passed(r.Model, r.Watermark)
	m.freshness.saw(r.Model, r.Newest)
}

// held takes in how many sessions a model holds open; nil for one without.
func (m *Metrics) held(model string, open *int64) {
	if open != nil {
		m.open.WithLabelValues(model).Set(float64(*open))
	}
}

// passed takes in a model's watermark.
func (m *Metrics) passed(model string, watermark int64) {
	if watermark != record.NoTime {
		m.watermark.WithLabelValues(model).Set(seconds(watermark))
	}
}

// Lag takes in how far the ends of partitions are from what was committed; nil
// if that is not known.
func (m *Metrics) Lag(behind map[record.TopicPartition]int64) {
	if behind == nil {
		m.lag.Reset()
	}
	for tp, records := range behind {
		m.lag.WithLabelValues(tp.Topic, strconv.Itoa(int(tp.Partition))).Set(float64(records))
	}
}

// keepState tells who knows how large the keyed state is.
func (m *Metrics) keepState(size func() int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stateBytes = size
}

func (m *Metrics) stateSize() float64 {
	m.mu.Lock()
	size := m.stateBytes
	m.mu.Unlock()
	if size == nil {
		return 0
	}
	return float64(size())
}

// seconds since 1970 of µs since 1970.
func seconds(at int64) float64 { return float64(at) / 1e6 }

// maxReasons bounds the reason codes of a model that are told apart: a plugin's
// codes are its own.
const maxReasons = 64

// reasons are the reason codes seen so far, by model. Only the pipeline's
// goroutine uses it.
type reasons map[string]map[string]bool

// label is the code, or what stands for all further ones.
func (r reasons) label(model, code string) string {
	known := r[model]
	if known == nil {
		known = map[string]bool{}
		r[model] = known
	}
	if !known[code] && len(known) >= maxReasons {
		return pipeline.OtherReasons
	}
	known[code] = true
	return labelText(code)
}
