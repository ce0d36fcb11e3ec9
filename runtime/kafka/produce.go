package kafka

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/calvelake/calve/runtime/record"
)

// ProduceConfig says where records go.
type ProduceConfig struct {
	Topic string
	// CreateTopic makes the topic if there is none; else that is ErrNoTopic.
	CreateTopic bool
	// Partitions of a topic that is created; 0 is the brokers' default.
	Partitions int
	// KeepTimestamps writes the records' own timestamps instead of the time when
	// they are written.
	KeepTimestamps bool
}

// ProduceRecord is a record to be written. A nil Key or Value is a null. The
// bytes must not change after the record was given away.
type ProduceRecord struct {
	Key     []byte
	Value   []byte
	Headers []record.Header
	// Timestamp is written, in milliseconds, if ProduceConfig.KeepTimestamps says so.
	Timestamp time.Time
}

const (
	// deliveryTimeout is Kafka's delivery.timeout.ms: how long a record is tried.
	deliveryTimeout = 2 * time.Minute
	// deliveryTries are about as long: the client waits up to 2.5 s between two.
	deliveryTries = 50
)

// Produce writes records until the sequence ends, and returns how many the
// cluster has acknowledged: written to all in-sync replicas, once each however
// often they had to be sent. Records of a key go to one partition, in order.
// After an error, some records beyond n may be in the topic.
func (c *Client) Produce(ctx context.Context, config ProduceConfig, records iter.Seq2[ProduceRecord, error]) (n int64, err error) {
	if err := c.ensureTopic(ctx, config); err != nil {
		return 0, err
	}
	patience := kgo.RecordDeliveryTimeout(deliveryTimeout)
	if config.KeepTimestamps {
		// The timeout counts from a record's timestamp, which may be years ago.
		patience = kgo.RecordRetries(deliveryTries)
	}
	producer, err := kgo.NewClient(append(c.options(),
		kgo.DefaultProduceTopic(config.Topic),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		patience,
		// A batch has its own header beside the record.
		kgo.ProducerBatchMaxBytes(c.config.MaxRecordBytes),
	)...)
	if err != nil {
		return 0, fmt.Errorf("start producer: %w", err)
	}
	defer producer.Close()
	p := &production{ctx: ctx, client: c, topic: config.Topic, keepTimestamps: config.KeepTimestamps}
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	defer p.cancel(nil)
	return p.run(producer, records)
}

// production is one Produce under way.
type production struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	client *Client
	topic  string

	keepTimestamps bool

	mu     sync.Mutex
	acked  int64
	failed error // the first record's that was refused
}

func (p *production) run(producer *kgo.Client, records iter.Seq2[ProduceRecord, error]) (int64, error) {
	given := int64(0)
	for r, err := range records {
		if err != nil {
			p.fail(err)
			break
		}
		if p.ctx.Err() != nil {
			break
		}
		given++
		number := given
		out := r.kafka()
		if p.keepTimestamps {
			out.Timestamp = r.Timestamp
		}
		producer.Produce(p.ctx, out, func(_ *kgo.Record, err error) { p.done(number, err) })
	}
	// A flush of nothing succeeds, even if the end of ctx cut the sequence.
	if err := errors.Join(producer.Flush(p.ctx), p.ctx.Err()); err != nil {
		p.fail(p.client.explain(p.ctx, fmt.Sprintf("produce to %q", p.topic), err))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acked, p.failed
}

// done notes what became of a record.
func (p *production) done(number int64, err error) {
	if err == nil {
		p.mu.Lock()
		p.acked++
		p.mu.Unlock()
		return
	}
	if errors.Is(err, kerr.MessageTooLarge) {
		err = fmt.Errorf("%w: the topic's max.message.bytes or the connection's max_record_bytes (%d) is smaller", err, p.client.config.MaxRecordBytes)
	}
	p.fail(fmt.Errorf("produce record %d to %q: %w", number, p.topic, err))
}

// fail keeps the first error and stops the production.
func (p *production) fail(err error) {
	p.mu.Lock()
	if p.failed == nil {
		p.failed = err
	}
	p.mu.Unlock()
	p.cancel(err)
}

func (r ProduceRecord) kafka() *kgo.Record {
	out := &kgo.Record{Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return out
}

// ensureTopic makes the topic if that is asked for, or says that there is none.
func (c *Client) ensureTopic(ctx context.Context, config ProduceConfig) error {
	if config.Partitions < 0 || config.Partitions > 100_000 {
		return fmt.Errorf("create topic %q: %d partitions; expected 1 to 100000, or 0 for the brokers' default", config.Topic, config.Partitions)
	}
	if !validTopicName(config.Topic) {
		return fmt.Errorf("produce: %q is no name for a topic; expected 1 to 249 of a-z A-Z 0-9 . _ -", config.Topic)
	}
	_, err := c.Topics(ctx, config.Topic)
	if !config.CreateTopic || !errors.Is(err, ErrNoTopic) {
		return err
	}
	partitions := int32(config.Partitions)
	if partitions == 0 {
		partitions = -1
	}
	bounded, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	_, err = within(bounded, func() (kadm.CreateTopicResponse, error) {
		return c.admin.CreateTopic(bounded, partitions, -1, nil, config.Topic)
	})
	if err == nil || errors.Is(err, kerr.TopicAlreadyExists) { // by another process, since we looked
		return nil
	}
	return c.explain(ctx, fmt.Sprintf("create topic %q", config.Topic), err)
}

func validTopicName(name string) bool {
	if name == "" || name == "." || name == ".." || len(name) > 249 {
		return false
	}
	for _, c := range name {
		if c != '.' && c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}
