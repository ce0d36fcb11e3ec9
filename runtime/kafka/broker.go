package kafka

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
)

// DefaultListen is where the embedded broker listens if nothing else is said.
const DefaultListen = "127.0.0.1:9092"

// BrokerConfig is an embedded broker.
type BrokerConfig struct {
	// Dir keeps topics, records and offsets across restarts. Empty keeps them
	// in memory.
	Dir    string
	Listen string // host:port; DefaultListen if empty, port 0 for any free one
	Logger *slog.Logger
}

// Broker is an embedded single-node broker for development and demonstrations:
// the wire protocol of Kafka without replication. With a folder, the cluster's
// id, the topics' ids and every acknowledged record survive restarts and
// crashes, so that a pipeline's positions stay valid.
type Broker struct {
	cluster *kfake.Cluster
	address string
	lock    *os.File // nil without a folder
	close   sync.Once
}

// StartBroker starts a broker. It fails with ErrPortInUse or ErrDirInUse if
// another process has the address or the folder.
func StartBroker(config BrokerConfig) (*Broker, error) {
	if config.Listen == "" {
		config.Listen = DefaultListen
	}
	b := &Broker{}
	if config.Dir != "" {
		lock, err := lockDir(config.Dir)
		if err != nil {
			return nil, err
		}
		b.lock = lock
	}
	if err := b.start(config); err != nil {
		b.unlock()
		return nil, err
	}
	return b, nil
}

func (b *Broker) start(config BrokerConfig) error {
	listener, err := listen(config.Listen)
	if err != nil {
		return err
	}
	b.address = listener.Addr().String()
	options := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID(newClusterID()), // one that is in the folder already wins
		kfake.DefaultNumPartitions(1),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return listener, nil }),
		kfake.WithLogger(brokerLog{config.Logger}),
	}
	if config.Dir != "" {
		options = append(options, kfake.DataDir(config.Dir), kfake.SyncWrites())
	}
	b.cluster, err = kfake.NewCluster(options...)
	if err != nil {
		listener.Close()
		return fmt.Errorf("start embedded broker in %s: %w", config.Dir, err)
	}
	return nil
}

// Addr is the address to connect to, host:port.
func (b *Broker) Addr() string { return b.address }

// Close stops the broker and gives its folder free. Records that were
// acknowledged are on disk.
func (b *Broker) Close() error {
	b.close.Do(func() {
		b.cluster.Close()
		b.unlock()
	})
	return nil
}

func (b *Broker) unlock() {
	if b.lock != nil {
		b.lock.Close() // the lock goes with the file
	}
}

func listen(address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen: %q is no address; expected host:port, as in %s", address, DefaultListen)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return nil, fmt.Errorf("listen: %q is every address of this machine; the broker tells clients where it listens and needs one that they can reach, as in %s", address, DefaultListen)
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if isAddressInUse(err) {
		return nil, fmt.Errorf("listen on %s: %w: another broker may be running; stop it, or give another address (port 0 takes any free one)", address, ErrPortInUse)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return listener, nil
}

// lockDir makes the folder and keeps other processes out of it for as long as
// this one has the file open, whichever way it ends.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make broker folder: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open broker folder: %w", err)
	}
	if err := lockFile(file); err != nil {
		file.Close()
		if errors.Is(err, errLocked) {
			return nil, fmt.Errorf("open broker folder %s: %w: another process runs a broker on it; stop that one, or give another folder", dir, ErrDirInUse)
		}
		return nil, fmt.Errorf("lock broker folder: %w", err)
	}
	return file, nil
}

var errLocked = errors.New("locked by another process")

// newClusterID is a random id in the form of Kafka's: 128 bits in base64url.
func newClusterID() string {
	var id [16]byte
	rand.Read(id[:]) //nolint:errcheck // never fails
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// brokerLog passes on what the broker has to say about itself when something
// is wrong.
type brokerLog struct{ logger *slog.Logger }

func (l brokerLog) Logf(level kfake.LogLevel, format string, args ...any) {
	if level == kfake.LogLevelError && l.logger != nil {
		l.logger.Error("embedded broker failed", "detail", fmt.Sprintf(format, args...))
	}
}
