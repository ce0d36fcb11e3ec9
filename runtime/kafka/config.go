package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

const (
	defaultTimeout  = 10 * time.Second
	defaultClientID = "calve"
	// defaultMaxRecordBytes is the default of Kafka's message.max.bytes.
	defaultMaxRecordBytes = 1_048_588
)

// Mechanisms lists the SASL mechanisms of Config.
var Mechanisms = []string{"plain", "scram-sha-256", "scram-sha-512"}

// Config is a connection to a cluster.
type Config struct {
	Brokers  []string // host:port; the port is 9092 if none is given
	ClientID string   // calve if empty
	SASL     SASL
	TLS      TLS
	// Timeout bounds Open, and each question asked of the cluster; 10 s if 0.
	Timeout time.Duration
	// MaxRecordBytes is the largest record that Produce sends; 1,048,588 if 0.
	// It does not bound reading: a larger record that is in a topic is
	// delivered, and whether it becomes a row is the decoder's to say.
	MaxRecordBytes int32
}

// SASL is a user. The zero value is none.
type SASL struct {
	Mechanism string // one of Mechanisms; empty is no authentication
	Username  string
	Password  string
}

// String leaves the password out, as do the methods below: a Config may be
// printed.
func (s SASL) String() string { return fmt.Sprintf("{%s %s}", s.Mechanism, s.Username) }

// GoString is String, for %#v.
func (s SASL) GoString() string { return s.String() }

// LogValue is String, for slog.
func (s SASL) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON is String, for JSON.
func (s SASL) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%q", s.String()), nil }

// TLS is how connections are encrypted. The zero value is not at all.
type TLS struct {
	Enabled            bool
	CAFile             string // PEM; the system's authorities if empty
	CertFile, KeyFile  string // PEM; the client's own certificate, if the brokers ask for one
	ServerName         string // that the brokers' certificates must carry; each broker's host if empty
	InsecureSkipVerify bool   // accept any certificate
}

// Validate checks what can be known without a connection. Its errors name the
// setting, what was found and what was expected.
func (c Config) Validate() error {
	if len(c.Brokers) == 0 {
		return errors.New("brokers: none given; expected at least one host:port, as in localhost:9092")
	}
	for _, b := range c.Brokers {
		if err := validateBroker(b); err != nil {
			return err
		}
	}
	if err := c.SASL.validate(); err != nil {
		return err
	}
	if err := c.TLS.validate(); err != nil {
		return err
	}
	if c.Timeout < 0 {
		return fmt.Errorf("timeout: %s is negative; expected a duration, as in 10s", c.Timeout)
	}
	if c.MaxRecordBytes < 0 {
		return fmt.Errorf("max_record_bytes: %d is negative; expected a number of bytes", c.MaxRecordBytes)
	}
	return nil
}

func validateBroker(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil { // there may be no port
		host, port = address, "9092"
	}
	_, err = net.LookupPort("tcp", port)
	if host == "" || err != nil || strings.ContainsAny(host, "/ ,") {
		return fmt.Errorf("brokers: %q is no address; expected host:port, as in localhost:9092", address)
	}
	return nil
}

func (s SASL) validate() error {
	if s.Mechanism == "" {
		if s.Username != "" || s.Password != "" {
			return fmt.Errorf("sasl.mechanism: missing though a user is given; expected one of %s", strings.Join(Mechanisms, ", "))
		}
		return nil
	}
	if !slices.Contains(Mechanisms, strings.ToLower(s.Mechanism)) {
		return fmt.Errorf("sasl.mechanism: %q is not known; expected one of %s", s.Mechanism, strings.Join(Mechanisms, ", "))
	}
	if s.Username == "" || s.Password == "" {
		return fmt.Errorf("sasl: mechanism %s needs both username and password", s.Mechanism)
	}
	return nil
}

func (t TLS) validate() error {
	if !t.Enabled {
		if t != (TLS{}) {
			return errors.New("tls: off though other tls settings are given; turn it on or remove them")
		}
		return nil
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		return errors.New("tls: cert_file and key_file belong together; give both or neither")
	}
	return nil
}

// withDefaults returns c with its zero values replaced.
func (c Config) withDefaults() Config {
	if c.ClientID == "" {
		c.ClientID = defaultClientID
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.MaxRecordBytes == 0 {
		c.MaxRecordBytes = defaultMaxRecordBytes
	}
	return c
}

func (s SASL) mechanism() sasl.Mechanism {
	switch strings.ToLower(s.Mechanism) {
	case "plain":
		return plain.Auth{User: s.Username, Pass: s.Password}.AsMechanism()
	case "scram-sha-256":
		return scram.Auth{User: s.Username, Pass: s.Password}.AsSha256Mechanism()
	case "scram-sha-512":
		return scram.Auth{User: s.Username, Pass: s.Password}.AsSha512Mechanism()
	}
	return nil
}

// load reads the files; nil without TLS.
func (t TLS) load() (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil
	}
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         t.ServerName,
		InsecureSkipVerify: t.InsecureSkipVerify, //nolint:gosec // asked for by name
	}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read tls.ca_file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read tls.ca_file: %s holds no certificate in PEM form", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read tls.cert_file and tls.key_file: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// options are what all of a client's connections have in common.
func (c *Client) options() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.config.Brokers...),
		kgo.ClientID(c.config.ClientID),
		kgo.SoftwareNameAndVersion("calve", "1"),
		kgo.Dialer(c.dialer.dial),
		kgo.WithHooks(c.watch),
		// Leaders move within seconds; the default of 5 s would be the whole
		// pause of a pipeline then.
		kgo.MetadataMinAge(time.Second),
		kgo.DisableClientMetrics(),
	}
	if m := c.config.SASL.mechanism(); m != nil {
		opts = append(opts, kgo.SASL(m))
	}
	return opts
}
