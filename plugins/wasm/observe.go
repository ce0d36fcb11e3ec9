package wasm

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/calvelake/calve/sdk/abi"
)

// Recorder receives what the host and its plugins count. Labels are names and
// values in turn: plugin, version and model always, and what the name says.
// It must be safe for concurrent use.
//
//	calve_plugin_calls_total        result: "ok" or the code of a failure
//	calve_plugin_work_total         units of the budget that calls used
//	calve_plugin_budget_total       units that they were granted
//	calve_plugin_log_cut_total      calls whose log was cut
//	calve_plugin_counter_total      name: the plugin's own
//	calve_plugin_histogram_count    name: the plugin's own
//	calve_plugin_histogram_sum      name: the plugin's own
//	calve_plugin_names_refused_total  counts and observations under too many names
//
// What a plugin counts reaches the recorder when its call succeeded.
type Recorder interface {
	Add(name string, delta float64, labels ...string)
}

const (
	metricCalls     = "calve_plugin_calls_total"
	metricWork      = "calve_plugin_work_total"
	metricBudget    = "calve_plugin_budget_total"
	metricLogCut    = "calve_plugin_log_cut_total"
	metricCounter   = "calve_plugin_counter_total"
	metricCount     = "calve_plugin_histogram_count"
	metricSum       = "calve_plugin_histogram_sum"
	metricRefused   = "calve_plugin_names_refused_total"
	labelPlugin     = "plugin"
	labelVersion    = "version"
	labelModel      = "model"
	labelResult     = "result"
	labelName       = "name"
	resultOK        = "ok"
	resultOtherwise = "failed"
)

// discard is the recorder of a host without one.
type discard struct{}

func (discard) Add(string, float64, ...string) {}

// observer passes on what one opened plugin counts, under a bounded number of
// names, and bounds what it logs in an epoch.
type observer struct {
	recorder Recorder
	labels   []string
	logLeft  atomic.Int64 // bytes of this epoch

	mu    sync.Mutex
	names map[string]bool
}

func newObserver(p *Plugin, model string) *observer {
	o := &observer{
		recorder: p.host.recorder, names: map[string]bool{},
		labels: []string{labelPlugin, p.describe.Name, labelVersion, p.describe.Version, labelModel, model},
	}
	o.logLeft.Store(p.limits.EpochLogBytes)
	return o
}

func (o *observer) add(name string, delta float64, labels ...string) {
	o.recorder.Add(name, delta, slices.Concat(o.labels, labels)...)
}

// call records one call.
func (o *observer) call(in *instance, err error) {
	result := resultOK
	if err != nil {
		if result = failureCode(err); result == "" {
			result = resultOtherwise
		}
	}
	o.add(metricCalls, 1, labelResult, result)
	o.add(metricWork, float64(in.worked))
	o.add(metricBudget, float64(in.granted))
	if in.env.cut {
		o.add(metricLogCut, 1)
	}
	if err == nil {
		o.metrics(in.env.metrics)
	}
}

// metrics records what the plugin counted, in the order of its names.
func (o *observer) metrics(m Metrics) {
	for _, name := range slices.Sorted(maps.Keys(m.Counters)) {
		if o.known(name) {
			o.add(metricCounter, float64(m.Counters[name]), labelName, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Histograms)) {
		if h := m.Histograms[name]; o.known(name) {
			o.add(metricCount, float64(h.Count), labelName, name)
			o.add(metricSum, h.Sum, labelName, name)
		}
	}
}

// known tells whether a name is one of the first that the plugin used. Another
// name in each call would otherwise grow the recorder without end.
func (o *observer) known(name string) bool {
	if !o.learn(name) {
		o.add(metricRefused, 1)
		return false
	}
	return true
}

func (o *observer) learn(name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.names[name] && len(o.names) >= abi.DefaultMetrics {
		return false
	}
	o.names[name] = true
	return true
}
