package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/calvelake/calve/runtime/record"
)

// Client is a connection to a cluster. It is safe for concurrent use.
type Client struct {
	config  Config
	logger  *slog.Logger
	dialer  *dialer
	watch   *connections
	kafka   *kgo.Client
	admin   *kadm.Client
	cluster string
}

// Open connects to a cluster and waits, at most for the config's timeout, until
// a broker answers. Its errors name the brokers and what to check, never the
// password; they are ErrUnreachable, ErrTLS or ErrAuth where that is known.
func Open(ctx context.Context, config Config, logger *slog.Logger) (*Client, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	secured, err := config.TLS.load()
	if err != nil {
		return nil, err
	}
	// Until Open returns, a failed connection is Open's to report.
	quiet := slog.New(slog.DiscardHandler)
	c := &Client{
		config: config,
		logger: logger,
		// Less than the whole time, so that Open can say which half it was.
		dialer: &dialer{timeout: config.Timeout / 3, tls: secured},
		watch:  &connections{logger: quiet, lost: map[string]bool{}},
	}
	if c.kafka, err = kgo.NewClient(c.options()...); err != nil {
		return nil, fmt.Errorf("make kafka client: %w", err)
	}
	c.admin = kadm.NewClient(c.kafka)
	if err := c.connect(ctx); err != nil {
		c.kafka.Close()
		return nil, err
	}
	c.watch.mu.Lock()
	c.watch.logger = logger
	c.watch.mu.Unlock()
	return c, nil
}

func (c *Client) connect(ctx context.Context) error {
	// What is left of the timeout is for finding out what was wrong.
	bounded, cancel := context.WithTimeout(ctx, c.config.Timeout-c.dialer.probeTimeout())
	defer cancel()
	c.watch.onHangUp(cancel)
	defer c.watch.onHangUp(nil)
	var err error
	if c.cluster, _, err = c.describe(bounded, nil); err != nil {
		return c.explain(ctx, "connect", err)
	}
	return nil
}

// Close closes the connections. Sources have their own and are closed apart.
func (c *Client) Close() { c.kafka.Close() }

// Cluster is the cluster's id, as the brokers report it.
func (c *Client) Cluster() string { return c.cluster }

// Confirm commits positions as offsets of a consumer group, so that dashboards
// of the cluster show the lag. Nothing ever reads them back (invariant 2).
func (c *Client) Confirm(ctx context.Context, group string, positions []record.Position) error {
	if len(positions) == 0 {
		return nil
	}
	offsets := kadm.Offsets{}
	for _, p := range positions {
		offsets.Add(kadm.Offset{Topic: p.Topic, Partition: p.Partition, At: p.Offset, LeaderEpoch: p.LeaderEpoch})
	}
	bounded, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	_, err := within(bounded, func() (struct{}, error) {
		return struct{}{}, c.admin.CommitAllOffsets(bounded, group, offsets)
	})
	if err != nil {
		return c.explain(ctx, fmt.Sprintf("commit offsets of group %q", group), err)
	}
	return nil
}

// EndOffsets returns the end of every partition of the topics, for showing lag:
// the offset after the last record that a reader of committed records can see.
func (c *Client) EndOffsets(ctx context.Context, topics ...string) (map[record.TopicPartition]int64, error) {
	if len(topics) == 0 {
		return nil, nil
	}
	found, err := c.Topics(ctx, topics...)
	if err != nil {
		return nil, err
	}
	ends := map[record.TopicPartition]int64{}
	for _, t := range found {
		for _, p := range t.Partitions {
			ends[record.TopicPartition{Topic: t.Name, Partition: p.ID}] = p.End
		}
	}
	return ends, nil
}

// within calls fn, which asks the cluster something, and returns when ctx ends
// even if fn does not: the library does not give up a connection that it is
// making. fn ends when the library's own timeout does, or the client is closed.
func within[T any](ctx context.Context, fn func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		value, err := fn()
		done <- answer{value, err}
	}()
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// explain turns the library's error into one that says which brokers, what is
// wrong and what to check. ctx is the caller's: that it ended is no fault of
// the brokers.
func (c *Client) explain(ctx context.Context, what string, err error) error {
	brokers := strings.Join(c.config.Brokers, ", ")
	if ctx.Err() != nil {
		return fmt.Errorf("%s: kafka at %s: %w", what, brokers, ctx.Err())
	}
	if c.watch.hungUp() {
		return fmt.Errorf("%s: kafka at %s: %w: the broker closes the connection while it authenticates: check sasl.mechanism, sasl.username and sasl.password", what, brokers, ErrAuth)
	}
	if errors.Is(err, kgo.ErrClientClosed) {
		return fmt.Errorf("%s: kafka at %s: %w", what, brokers, ErrClosed)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %s", c.config.Timeout)
		if last := c.watch.lastError(); last != nil {
			err = fmt.Errorf("%w (last connection: %w)", err, last)
		}
		return c.classify(ctx, what, brokers, err, true)
	}
	return c.classify(ctx, what, brokers, err, false)
}

func (c *Client) classify(ctx context.Context, what, brokers string, err error, timedOut bool) error {
	var handshake *handshakeError
	var eof *kgo.ErrFirstReadEOF
	unexpected := timedOut || errors.As(err, &eof) || !isKafkaError(err) && !isDialError(err)
	switch {
	case isAuth(err):
		return fmt.Errorf("%s: kafka at %s: %w: %w: check sasl.mechanism, sasl.username, sasl.password and what the user may do", what, brokers, ErrAuth, err)
	case errors.As(err, &handshake):
		return fmt.Errorf("%s: kafka at %s: %w: %w: check that the port is one for TLS, and tls.ca_file and tls.server_name", what, brokers, ErrTLS, err)
	case unexpected && c.dialer.tls == nil && c.dialer.speaksTLS(ctx, c.config.Brokers[0]):
		return fmt.Errorf("%s: kafka at %s: %w: the port is one for TLS: turn TLS on (connections.kafka.tls: true), or use a port without TLS", what, brokers, ErrTLS)
	case errors.As(err, &eof) && c.config.SASL.Mechanism == "":
		return fmt.Errorf("%s: kafka at %s: %w: the broker closed the connection at once: it may demand authentication; set sasl: %w", what, brokers, ErrAuth, err)
	case timedOut, isDialError(err), errors.As(err, &eof):
		return fmt.Errorf("%s: kafka at %s: %w: %w: check that the address is right, that the brokers run, and that their advertised listeners can be reached from here", what, brokers, ErrUnreachable, err)
	}
	return fmt.Errorf("%s: kafka at %s: %w", what, brokers, err)
}
