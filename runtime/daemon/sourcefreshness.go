package daemon

import (
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/record"
)

// freshnessState is how the age of a source's newest record compares with what
// the project allows.
type freshnessState int

const (
	sourceFresh freshnessState = iota
	sourceLate                 // older than warn_after
	sourceStale                // older than error_after
)

// String is the state as commands show it.
func (s freshnessState) String() string { return [...]string{"fresh", "warn", "error"}[s] }

// stateOf compares an age with the limits; a zero limit is none.
func stateOf(f project.Freshness, age time.Duration) freshnessState {
	switch {
	case f.ErrorAfter > 0 && age > f.ErrorAfter:
		return sourceStale
	case f.WarnAfter > 0 && age > f.WarnAfter:
		return sourceLate
	}
	return sourceFresh
}

// watchedSource is a source table that models read and whose records may not be
// older than its freshness says.
type watchedSource struct {
	source, table, topic string
	limits               project.Freshness
}

// watchedSources are those of a project, in order of source and table.
func watchedSources(p *project.Project) []watchedSource {
	read := map[project.Ref]bool{}
	for i := range p.Models {
		read[p.Models[i].From] = true
	}
	var all []watchedSource
	for _, s := range p.Sources {
		for _, t := range s.Tables {
			if t.Freshness != nil && read[project.Ref{Source: s.Name, Table: t.Name}] {
				all = append(all, watchedSource{s.Name, t.Name, t.Topic, *t.Freshness})
			}
		}
	}
	return all
}

// heardBefore is when the newest records of topics were written, as far as the
// epoch log tells: the newest event time of models whose event time is the
// record's timestamp; of others the time at which the last record was read,
// which is no earlier. A topic that has had no record is heard of when the
// pipeline first looked.
func heardBefore(p *project.Project, watermarks map[string]record.Watermark) map[string]int64 {
	heard := map[string]int64{}
	for i := range p.Models {
		m := &p.Models[i]
		for _, tp := range watermarks[m.Name].Partitions {
			at := tp.HeardAt
			if m.EventTime == "" && tp.Newest != record.NoTime {
				at = tp.Newest
			}
			if was, ok := heard[tp.Topic]; !ok || at > was {
				heard[tp.Topic] = at
			}
		}
	}
	return heard
}

// sourceWatch tells once when a source's newest record becomes too old, and when
// a newer one has come. It is safe for concurrent use.
type sourceWatch struct {
	now    func() time.Time
	logger *slog.Logger

	mu    sync.Mutex
	all   []watchedSource
	heard map[string]int64 // newest timestamp of a record, by topic, µs
	state []freshnessState // of all
}

func newSourceWatch(p *project.Project, now func() time.Time, logger *slog.Logger) *sourceWatch {
	all := watchedSources(p)
	return &sourceWatch{now: now, logger: logger, all: all, heard: map[string]int64{}, state: make([]freshnessState, len(all))}
}

// begin takes in what is known when a pipeline begins to run. The age of a
// source of which nothing is known counts from now.
func (w *sourceWatch) begin(heard map[string]int64) {
	w.hear(heard)
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now().UnixMicro()
	for _, s := range w.all {
		if _, ok := w.heard[s.topic]; !ok {
			w.heard[s.topic] = now
		}
	}
}

// hear takes in the newest timestamps of records that were read, by topic.
func (w *sourceWatch) hear(newest map[string]int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for topic, at := range newest {
		if was, ok := w.heard[topic]; !ok || at > was {
			w.heard[topic] = at
		}
	}
}

// look compares ages with limits. A topic that was not read to its end holds
// newer records than those that were read, so that it is not the source that is
// silent: its state gets no worse then.
func (w *sourceWatch) look(unread map[string]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	for i, s := range w.all {
		at, ok := w.heard[s.topic]
		if !ok {
			continue // it has not begun
		}
		newest := time.UnixMicro(at)
		state := stateOf(s.limits, now.Sub(newest))
		if state > w.state[i] && unread[s.topic] {
			continue
		}
		if state != w.state[i] {
			w.tell(s, newest, state, w.state[i])
			w.state[i] = state
		}
	}
}

func (w *sourceWatch) tell(s watchedSource, newest time.Time, state, was freshnessState) {
	about := w.logger.With("source", s.source+"."+s.table, "topic", s.topic, "newest", newest.UTC().Format(time.RFC3339))
	switch {
	case state == sourceFresh:
		about.Info("source has new records again")
	case state < was: // it was told that it is worse
	case state == sourceLate:
		about.Warn("source has no new records", "warn_after", s.limits.WarnAfter)
	case state == sourceStale:
		about.Error("source has no new records", "error_after", s.limits.ErrorAfter)
	}
}

var (
	sourceStateDesc = prometheus.NewDesc("calve_source_freshness_state", "0 while a source's newest record is as new as its freshness asks, 1 after warn_after, 2 after error_after.", []string{"source", "table"}, nil)
	sourceAgeDesc   = prometheus.NewDesc("calve_source_age_seconds", "Age of a source's newest record, of sources with freshness.", []string{"source", "table"}, nil)
)

// Describe implements prometheus.Collector.
func (w *sourceWatch) Describe(out chan<- *prometheus.Desc) {
	out <- sourceStateDesc
	out <- sourceAgeDesc
}

// Collect implements prometheus.Collector.
func (w *sourceWatch) Collect(out chan<- prometheus.Metric) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	for i, s := range w.all {
		at, ok := w.heard[s.topic]
		if !ok {
			continue
		}
		out <- prometheus.MustNewConstMetric(sourceStateDesc, prometheus.GaugeValue, float64(w.state[i]), s.source, s.table)
		out <- prometheus.MustNewConstMetric(sourceAgeDesc, prometheus.GaugeValue, now.Sub(time.UnixMicro(at)).Seconds(), s.source, s.table)
	}
}
