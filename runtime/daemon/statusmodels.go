package daemon

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/kafka"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/record"
)

// models says where each model of the project is.
func (r *statusReader) models() {
	r.status.Models = make([]ModelStatus, 0, len(r.project.Models))
	for i := range r.project.Models {
		m := &r.project.Models[i]
		s := ModelStatus{Model: m.Name, Kind: string(m.Kind)}
		if m.Materialized == project.MaterializedTable {
			s.Table = tableID(m).String()
			if summary, ok := r.tables[s.Table]; ok {
				s.Rows = &summary.Rows
			}
		}
		if m.Kind == project.KindStaging {
			r.staging(m, &s)
		} else {
			r.keyed(m, &s)
		}
		r.status.Models = append(r.status.Models, s)
	}
}

// staging tells of a model that reads a topic.
func (r *statusReader) staging(m *project.Model, s *ModelStatus) {
	newest := record.NoTime
	events := map[record.TopicPartition]record.WatermarkPartition{}
	if w, ok := r.last.watermarks[m.Name]; ok {
		s.Watermark = timeAt(w.At)
		for _, p := range w.Partitions {
			newest = max(newest, p.Newest)
			events[record.TopicPartition{Topic: p.Topic, Partition: p.Partition}] = p
		}
	}
	s.NewestEvent = timeAt(newest)
	s.FreshnessSeconds = r.age(s.NewestEvent)
	table, _ := r.project.SourceTable(m.From)
	for _, reader := range r.last.readers {
		if !slices.Contains(reader.Models, m.Name) {
			continue
		}
		for _, g := range reader.Ranges {
			if g.Topic == cmp.Or(reader.Inputs[m.Name], table.Topic) {
				s.Partitions = append(s.Partitions, partitionStatus(reader.Name, g, events))
			}
		}
	}
}

func partitionStatus(reader string, g lakehouse.Range, events map[record.TopicPartition]record.WatermarkPartition) PartitionStatus {
	s := PartitionStatus{Topic: g.Topic, Partition: g.Partition, Reader: reader, Position: &g.To, topicID: g.TopicID}
	if w, ok := events[record.TopicPartition{Topic: g.Topic, Partition: g.Partition}]; ok {
		s.NewestEvent, s.Idle = timeAt(w.Newest), w.Idle
	}
	return s
}

// keyed tells of a model that keeps state. While it takes in what its inputs'
// tables held its watermark is one of former times, and is not shown.
func (r *statusReader) keyed(m *project.Model, s *ModelStatus) {
	k, begun := r.last.keyed[m.Name]
	if !begun {
		return
	}
	s.OpenSessions, s.BackfilledTo = k.Open, k.Behind
	if k.Behind == nil && k.Watermark != nil {
		s.Watermark = timeAt(k.Watermark.At)
	}
}

// sources compares what was read of sources with their freshness.
func (r *statusReader) sources() {
	heard := heardBefore(r.project, r.last.watermarks)
	for _, w := range watchedSources(r.project) {
		at, ok := heard[w.topic]
		if !ok {
			continue // nothing was read yet
		}
		newest := time.UnixMicro(at).UTC()
		age := r.now.Sub(newest)
		r.status.Sources = append(r.status.Sources, SourceStatus{
			Source: w.source, Table: w.table, Topic: w.topic, State: stateOf(w.limits, age).String(), Newest: newest, AgeSeconds: age.Seconds(),
		})
	}
}

// askBroker asks for the ends of the topics that the models read.
func (r *statusReader) askBroker(ctx context.Context, c StatusConfig) {
	names := r.topics()
	ask := c.Topics
	if ask == nil {
		ask = func(ctx context.Context, names ...string) ([]kafka.Topic, error) {
			return askTopics(ctx, r.project, c.Logger, names)
		}
	}
	if len(names) == 0 {
		return
	}
	topics, err := ask(ctx, names...)
	if err != nil {
		r.status.Broker.Problem = err.Error()
		return
	}
	r.status.Broker.Answers = true
	for i := range r.status.Models {
		if m := &r.status.Models[i]; m.Kind == string(project.KindStaging) {
			r.measure(m, topics)
		}
	}
}

// topics are those of the staging models, each once.
func (r *statusReader) topics() []string {
	var names []string
	for i := range r.project.Models {
		m := &r.project.Models[i]
		if table, ok := r.project.SourceTable(m.From); ok && m.Kind == project.KindStaging && !slices.Contains(names, table.Topic) {
			names = append(names, table.Topic)
		}
	}
	return names
}

// measure tells how far a model is from the ends of its topic. Partitions that no
// epoch has yet are to be read whole. Those of a topic that was made again under
// its name have no lag.
func (r *statusReader) measure(m *ModelStatus, topics []kafka.Topic) {
	model, _ := r.project.Model(m.Model)
	table, _ := r.project.SourceTable(model.From)
	at := slices.IndexFunc(topics, func(t kafka.Topic) bool { return t.Name == table.Topic })
	if at < 0 {
		return
	}
	total := int64(0)
	for _, p := range topics[at].Partitions {
		s := m.partition(table.Topic, p.ID)
		if s.topicID != "" && s.topicID != topics[at].TopicID {
			r.status.Broker.Problem = fmt.Sprintf("topic %s was made again since it was read; see the refusal of calve run", table.Topic)
			return
		}
		next := p.Start
		if s.Position != nil {
			next = *s.Position
		}
		lag := max(0, p.End-next)
		s.End, s.Lag = &p.End, &lag
		total += lag
	}
	m.Lag = &total
}

// partition finds the status of a partition, or begins one.
func (m *ModelStatus) partition(topic string, id int32) *PartitionStatus {
	i := slices.IndexFunc(m.Partitions, func(p PartitionStatus) bool { return p.Topic == topic && p.Partition == id })
	if i < 0 {
		i = len(m.Partitions)
		m.Partitions = append(m.Partitions, PartitionStatus{Topic: topic, Partition: id})
	}
	return &m.Partitions[i]
}

// askWithin bounds how long a status waits for a broker.
const askWithin = 5 * time.Second

// askTopics asks the project's broker. An embedded one is asked where it listens
// and never started: that would keep a pipeline that starts meanwhile from it.
func askTopics(ctx context.Context, p *project.Project, logger *slog.Logger, names []string) ([]kafka.Topic, error) {
	config := kafkaConfig(p)
	config.Timeout = min(cmp.Or(config.Timeout, askWithin), askWithin)
	if e := p.Connections.Kafka.Embedded; e != nil {
		if err := listens(ctx, e.Listen); err != nil {
			return nil, err
		}
		config.Brokers = []string{e.Listen}
	}
	client, err := kafka.Open(ctx, config, logger)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return client.Topics(ctx, names...)
}

// listens tells whether a process has an embedded broker at its address.
func listens(ctx context.Context, address string) error {
	if _, port, err := net.SplitHostPort(address); err == nil && port == "0" {
		return fmt.Errorf("the embedded broker listens on any free port (%s), so that no other process can ask it; give connections.kafka.embedded.listen a port", address)
	}
	conn, err := (&net.Dialer{Timeout: askWithin}).DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("the embedded broker at %s does not run; it does while calve run does", address)
	}
	return conn.Close()
}
