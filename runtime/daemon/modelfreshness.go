package daemon

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/calvelake/calve/runtime/record"
)

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
