package daemon

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Add implements wasm.Recorder. What plugins count has labels of its own.
func (m *Metrics) Add(name string, delta float64, labels ...string) {
	m.plugins.add(name, delta, labels)
}

// pluginMetrics are the values that the plugin host and its plugins count,
// under a number of names that the host bounds. A sum that a plugin observes may
// fall, so that none of them is a counter of the client library, which panics
// then.
type pluginMetrics struct {
	mu      sync.Mutex
	values  map[string]map[string]*pluginValue // by name, then labels
	series  int
	dropped prometheus.Counter // beyond maxPluginSeries
}

// maxPluginSeries bounds the values that are kept: each version of a plugin that
// is promoted while the pipeline runs has values of its own.
const maxPluginSeries = 4096

func newPluginMetrics(dropped prometheus.Counter) *pluginMetrics {
	return &pluginMetrics{values: map[string]map[string]*pluginValue{}, dropped: dropped}
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
	if v == nil && p.series >= maxPluginSeries {
		p.dropped.Inc()
		return
	}
	if v == nil {
		p.series++
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
		v.values = append(v.values, labelText(labels[i+1]))
	}
	return v
}

// labelText makes a label's value of text from outside: Prometheus takes UTF-8.
func labelText(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

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
