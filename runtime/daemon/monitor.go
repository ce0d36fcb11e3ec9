package daemon

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/record"
)

// lookEvery is how often a running pipeline's lag and sources are looked at. A
// look asks the cluster for the ends of the topics.
const lookEvery = 5 * time.Second

// monitor shows how a pipeline does: by metrics and probes, if they are served,
// and by a log line when a source falls silent.
type monitor struct {
	project *project.Project
	metrics *Metrics
	sources *sourceWatch
	admin   *admin // nil if nothing is served
	logger  *slog.Logger

	mu sync.Mutex
	at map[record.TopicPartition]int64 // where reading goes on after the last epoch
}

// openMonitor serves at the address at once, so that a probe finds a process
// that starts; "" serves nothing.
func openMonitor(p *project.Project, address string, logger *slog.Logger) (*monitor, error) {
	m := newMonitor(p, time.Now, logger)
	if address == "" {
		return m, nil
	}
	var err error
	m.admin, err = serveAdmin(address, m.metrics, logger)
	return m, err
}

func newMonitor(p *project.Project, now func() time.Time, logger *slog.Logger) *monitor {
	m := &monitor{project: p, metrics: NewMetrics(now), sources: newSourceWatch(p, now, logger), logger: logger, at: map[record.TopicPartition]int64{}}
	m.metrics.registry.MustRegister(m.sources)
	return m
}

func (m *monitor) close() error {
	if m.admin == nil {
		return nil
	}
	return m.admin.close()
}

// recorder receives what is counted of plugins, for the metrics and for others.
func (m *monitor) recorder(others wasm.Recorder) wasm.Recorder {
	if others == nil {
		return m.metrics
	}
	return recorders{m.metrics, others}
}

type recorders []wasm.Recorder

// Add implements wasm.Recorder.
func (r recorders) Add(name string, delta float64, labels ...string) {
	for _, one := range r {
		one.Add(name, delta, labels...)
	}
}

// begin takes in where the pipeline goes on.
func (m *monitor) begin(start *lakehouse.Start, readers []pipeline.Assignment, keyed *keyedState) {
	m.metrics.Begin(start)
	m.sources.begin(heardBefore(m.project, start.Watermarks))
	if keyed != nil {
		m.metrics.keepState(func() int64 { return keyed.Metrics().Bytes })
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range readers {
		for _, position := range r.Positions {
			if at, ok := m.at[position.TopicPartition]; !ok || position.Offset < at {
				m.at[position.TopicPartition] = position.Offset
			}
		}
	}
}

// observe is told of every epoch that was committed.
func (m *monitor) observe(r pipeline.Report) {
	m.metrics.Epoch(r)
	m.sources.hear(r.Newest)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = r.Positions
}

// watch watches a running pipeline until ctx ends.
func (m *monitor) watch(ctx context.Context, running *Running) {
	m.run(ctx, func(ctx context.Context) ([]pipeline.Topic, error) {
		return readTopics(ctx, running.Broker, running.Topics)
	})
}

// run says that the pipeline runs until ctx ends, and looks now and then how it
// and its sources do.
func (m *monitor) run(ctx context.Context, topics func(context.Context) ([]pipeline.Topic, error)) {
	m.ready(true)
	defer m.ready(false)
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		m.look(ctx, topics)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (m *monitor) ready(runs bool) {
	m.metrics.ready.Set(map[bool]float64{true: 1}[runs])
	if m.admin != nil {
		m.admin.ready.Store(runs)
	}
}

// look compares the ends of topics with what was committed. Brokers that do not
// answer are told of by who polls them.
func (m *monitor) look(ctx context.Context, topics func(context.Context) ([]pipeline.Topic, error)) {
	found, err := topics(ctx)
	if err != nil {
		m.metrics.Lag(nil)
		m.sources.look(nil)
		return
	}
	m.mu.Lock()
	at := maps.Clone(m.at)
	m.mu.Unlock()
	behind := lagOf(found, at)
	m.metrics.Lag(behind)
	unread := map[string]bool{}
	for tp, records := range behind {
		unread[tp.Topic] = unread[tp.Topic] || records > 0
	}
	m.sources.look(unread)
}

// lagOf is how many offsets topics have beyond where reading goes on; what was
// never read begins at the first record that is held.
func lagOf(topics []pipeline.Topic, at map[record.TopicPartition]int64) map[record.TopicPartition]int64 {
	behind := map[record.TopicPartition]int64{}
	for _, t := range topics {
		for _, partition := range t.Partitions {
			tp := record.TopicPartition{Topic: t.Name, Partition: partition.ID}
			next, ok := at[tp]
			if !ok {
				next = partition.Start
			}
			behind[tp] = max(0, partition.End-next)
		}
	}
	return behind
}
