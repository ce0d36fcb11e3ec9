package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// dialer opens connections and says which half of it failed.
type dialer struct {
	timeout time.Duration // of each half
	tls     *tls.Config   // nil for plain connections
}

// handshakeError is a TLS handshake that failed on a connection that stood.
type handshakeError struct {
	address string
	err     error
}

func (e *handshakeError) Error() string {
	return fmt.Sprintf("TLS handshake with %s: %v", e.address, e.err)
}
func (e *handshakeError) Unwrap() error { return e.err }

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: d.timeout}).DialContext(ctx, network, address)
	if err != nil || d.tls == nil {
		return conn, err
	}
	config := d.tls.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(address)
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, &handshakeError{address: address, err: err}
	}
	return secured, nil
}

// probeTimeout is how long speaksTLS may take.
func (d *dialer) probeTimeout() time.Duration { return min(d.timeout/2, 5*time.Second) }

// speaksTLS asks whether a TLS server listens on the address.
func (d *dialer) speaksTLS(ctx context.Context, address string) bool {
	probe := dialer{timeout: d.probeTimeout() / 2, tls: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // nothing is sent
	if _, _, err := net.SplitHostPort(address); err != nil {
		address = net.JoinHostPort(address, "9092")
	}
	conn, err := probe.dial(ctx, "tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// connections watches a client's connections: it logs when a broker is lost
// and when it is back, once each however often it is tried, and keeps the last
// reason for errors that would only say that time is up.
type connections struct {
	logger *slog.Logger
	mu     sync.Mutex
	lost   map[string]bool
	last   error
	// cutOff counts the connections that ended while they authenticated, since
	// one stood; at maxCutOff, giveUp is called.
	cutOff int
	giveUp func()
}

// maxCutOff is after how many connections that end while they authenticate the
// credentials are held to be refused. Kafka says so; some brokers hang up.
const maxCutOff = 2

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (c *connections) OnBrokerConnect(meta kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	address := net.JoinHostPort(meta.Host, fmt.Sprint(meta.Port))
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.lessTelling(err) {
		c.last = err
	}
	if err == nil {
		c.cutOff = 0
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, kgo.ErrClientClosed), errors.Is(err, net.ErrClosed):
		// This end hung up: a source that was closed says nothing of the broker.
	case err != nil && !c.lost[address]:
		c.lost[address] = true
		c.logger.Warn("kafka broker unreachable, trying again", "broker", address, "error", err)
	case err == nil && c.lost[address]:
		delete(c.lost, address)
		c.logger.Info("kafka broker reachable again", "broker", address)
	}
}

// lessTelling tells whether an error says only that time is up, where the one
// before says that a handshake failed: the client dials once more when its own time
// is over.
func (c *connections) lessTelling(err error) bool {
	var handshake *handshakeError
	if !errors.As(c.last, &handshake) || errors.As(err, &handshake) {
		return false
	}
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}

// lastError is why the newest connection failed; nil if it did not.
func (c *connections) lastError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// OnBrokerRead implements kgo.HookBrokerRead.
func (c *connections) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if key != int16(kmsg.SASLAuthenticate) || !errors.Is(err, io.EOF) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cutOff++; c.cutOff >= maxCutOff && c.giveUp != nil {
		c.giveUp()
	}
}

// onHangUp sets what to do once the brokers hang up on the credentials.
func (c *connections) onHangUp(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.giveUp = do
}

// hungUp tells whether the brokers hang up on the credentials.
func (c *connections) hungUp() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cutOff >= maxCutOff
}
