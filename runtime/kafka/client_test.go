package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestConfigRefuses(t *testing.T) {
	tests := []struct {
		name   string
		config Config
		want   string
	}{
		{"no brokers", Config{}, "brokers: none given"},
		{"URL", Config{Brokers: []string{"kafka://host:9092"}}, `"kafka://host:9092" is no address`},
		{"list in one", Config{Brokers: []string{"a:1,b:2"}}, "is no address"},
		{"port", Config{Brokers: []string{"a:99999999"}}, "is no address"},
		{"mechanism", Config{Brokers: []string{"a"}, SASL: SASL{Mechanism: "md5"}}, "expected one of plain, scram-sha-256, scram-sha-512"},
		{"user alone", Config{Brokers: []string{"a"}, SASL: SASL{Username: "u"}}, "sasl.mechanism: missing"},
		{"no password", Config{Brokers: []string{"a"}, SASL: SASL{Mechanism: "PLAIN", Username: "u"}}, "both username and password"},
		{"TLS off", Config{Brokers: []string{"a"}, TLS: TLS{CAFile: "ca.pem"}}, "tls: off"},
		{"certificate alone", Config{Brokers: []string{"a"}, TLS: TLS{Enabled: true, CertFile: "c.pem"}}, "key_file belong together"},
		{"timeout", Config{Brokers: []string{"a"}, Timeout: -1}, "timeout: -1ns is negative"},
		{"size", Config{Brokers: []string{"a"}, MaxRecordBytes: -1}, "max_record_bytes: -1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := test.config.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
	good := Config{Brokers: []string{"a", "b:1", "[::1]:9092"}, SASL: SASL{Mechanism: "SCRAM-SHA-256", Username: "u", Password: "p"}}
	if err := good.Validate(); err != nil {
		t.Errorf("good config: got error %v", err)
	}
}

func TestConfigPrintsWithoutThePassword(t *testing.T) {
	config := Config{Brokers: []string{"a"}, SASL: SASL{Mechanism: "plain", Username: "user", Password: "hush"}}
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("config", "config", config, "sasl", config.SASL)
	encoded, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s", config, config, config, config.SASL), logged.String(), string(encoded)} {
		if strings.Contains(text, "hush") || !strings.Contains(text, "user") {
			t.Errorf("got %s, want the user and no password", text)
		}
	}
}

func TestOpenNamesAnUnreachableBroker(t *testing.T) {
	address := closed(t)
	_, err := Open(t.Context(), Config{Brokers: []string{address}, Timeout: patience}, quiet)
	wantError(t, err, ErrUnreachable, address, "check")
}

// closed is an address where nobody listens: the near end of a connection, which
// keeps the port from other processes.
func closed(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.LocalAddr().String()
}

func TestOpenGivesUpOnASilentBroker(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts, by the backlog, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err = Open(ctx, Config{Brokers: []string{l.Addr().String()}, Timeout: 200 * time.Millisecond}, quiet)
	wantError(t, err, ErrUnreachable, l.Addr().String(), "200ms")
	if ctx.Err() != nil {
		t.Error("Open took longer than its timeout by far")
	}
}

func TestOpenStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Open(ctx, Config{Brokers: newCluster(t).ListenAddrs()}, quiet)
	wantError(t, err, context.Canceled)
	if errors.Is(err, ErrUnreachable) {
		t.Errorf("got error %v, want none that blames the broker", err)
	}
}

func TestSASL(t *testing.T) {
	cluster := newCluster(t, kfake.EnableSASL(),
		kfake.Superuser("PLAIN", "user", "right"), kfake.Superuser("SCRAM-SHA-256", "user", "right"), kfake.Superuser("SCRAM-SHA-512", "user", "right"))
	for _, mechanism := range Mechanisms {
		t.Run(mechanism, func(t *testing.T) {
			config := Config{Brokers: cluster.ListenAddrs(), Timeout: patience, SASL: SASL{Mechanism: mechanism, Username: "user", Password: "right"}}
			c, err := Open(t.Context(), config, quiet)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			topic := "t-" + mechanism
			produce(t, c, topic, "a")
			positions := starts(t, c, topic)
			if got := read(t, c, newSource(t, c, positions...), positions)[tp(topic, 0)]; join(got.values) != "a" {
				t.Errorf("got values %v, want a", got.values)
			}
			config.SASL.Password = "wrong-secret"
			_, err = Open(t.Context(), config, quiet)
			wantError(t, err, ErrAuth, cluster.ListenAddrs()[0], "sasl.password")
			if strings.Contains(err.Error(), "wrong-secret") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
	_, err := Open(t.Context(), Config{Brokers: cluster.ListenAddrs(), Timeout: patience}, quiet)
	wantError(t, err, ErrAuth, "set sasl")
}

// Kafka answers where the fake broker hangs up.
func TestOpenTellsThatTheBrokerRefused(t *testing.T) {
	cluster := newCluster(t, kfake.EnableSASL())
	cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		response := request.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		response.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return response, nil, true
	})
	config := Config{Brokers: cluster.ListenAddrs(), Timeout: patience, SASL: SASL{Mechanism: "plain", Username: "user", Password: "wrong-secret"}}
	_, err := Open(t.Context(), config, quiet)
	wantError(t, err, ErrAuth, cluster.ListenAddrs()[0], "SASL_AUTHENTICATION_FAILED", "sasl.password")
	if strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("the error tells the password: %v", err)
	}
}

func TestTLS(t *testing.T) {
	ca, certificate := newCertificate(t)
	secured := newCluster(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{certificate}}))
	port := secured.ListenAddrs()[0]
	trusted := TLS{Enabled: true, CAFile: ca}
	tests := []struct {
		name    string
		address string
		tls     TLS
		want    error
		part    string
	}{
		{"trusted", port, trusted, nil, ""},
		{"by another name", port, TLS{Enabled: true, CAFile: ca, ServerName: "kafka.test"}, nil, ""},
		{"unverified", port, TLS{Enabled: true, InsecureSkipVerify: true}, nil, ""},
		{"unknown authority", port, TLS{Enabled: true}, ErrTLS, "ca_file"},
		{"wrong name", port, TLS{Enabled: true, CAFile: ca, ServerName: "other.test"}, ErrTLS, "server_name"},
		{"client without", port, TLS{}, ErrTLS, "turn TLS on"},
		{"broker without", withoutTLS(t), trusted, ErrTLS, "port is one for TLS"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := Open(t.Context(), Config{Brokers: []string{test.address}, TLS: test.tls, Timeout: patience}, quiet)
			if test.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				produce(t, c, "t", "a")
				c.Close()
				return
			}
			wantError(t, err, test.want, test.address, test.part)
		})
	}
	_, err := Open(t.Context(), Config{Brokers: []string{"a"}, TLS: TLS{Enabled: true, CAFile: "absent.pem"}}, quiet)
	wantError(t, err, os.ErrNotExist, "tls.ca_file")
}

// withoutTLS is an address where a connection is told at once that it is to be none of
// TLS. The fake broker would wait for more bytes.
func withoutTLS(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("no TLS here"))
			_, _ = io.Copy(io.Discard, conn) // until the client has read it and hangs up
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}

// A broker without TLS may as well say nothing: then what the time-out ends with is
// the handshake.
func TestATimeOutTellsOfTheHandshake(t *testing.T) {
	c := &Client{
		config: Config{Brokers: []string{"a:1"}, Timeout: patience}, dialer: &dialer{tls: &tls.Config{}},
		watch: &connections{logger: quiet, lost: map[string]bool{}},
	}
	c.watch.OnBrokerConnect(kgo.BrokerMetadata{Host: "a", Port: 1}, 0, nil, &handshakeError{address: "a:1", err: context.DeadlineExceeded})
	wantError(t, c.explain(t.Context(), "connect", context.DeadlineExceeded), ErrTLS, "a:1", "no answer within 30s", "port is one for TLS")
	c.watch.OnBrokerConnect(kgo.BrokerMetadata{Host: "a", Port: 1}, 0, nil, nil)
	wantError(t, c.explain(t.Context(), "connect", context.DeadlineExceeded), ErrUnreachable, "a:1", "no answer within 30s")
}

// newCertificate makes a certificate for 127.0.0.1 and kafka.test, and a file
// that holds its authority.
func newCertificate(t *testing.T) (ca string, certificate tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"kafka.test"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return ca, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestLostConnectionsAreLoggedOncePerChange(t *testing.T) {
	var logged strings.Builder
	c := &connections{logger: slog.New(slog.NewTextHandler(&logged, nil)), lost: map[string]bool{}}
	down := errors.New("refused")
	for _, err := range []error{nil, down, down, down, nil, nil, down} {
		c.OnBrokerConnect(kgo.BrokerMetadata{Host: "a", Port: 9092}, 0, nil, err)
	}
	c.OnBrokerConnect(kgo.BrokerMetadata{Host: "b", Port: 9092}, 0, nil, down)
	if got, want := strings.Count(logged.String(), "unreachable"), 3; got != want {
		t.Errorf("lines of a broker lost: got %d, want %d:\n%s", got, want, logged.String())
	}
	if got, want := strings.Count(logged.String(), "reachable again"), 1; got != want {
		t.Errorf("lines of a broker found again: got %d, want %d:\n%s", got, want, logged.String())
	}
	if got := c.lastError(); got != down {
		t.Errorf("last error: got %v, want %v", got, down)
	}
}

// A client dials once more when its own time is over: that says less than the
// handshake that failed before.
func TestATimeOutDoesNotHideAFailedHandshake(t *testing.T) {
	late := &net.OpError{Op: "dial", Net: "tcp", Err: context.DeadlineExceeded}
	handshake := &handshakeError{address: "b:1", err: errors.New("tls: no")}
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("refused")}
	for _, c := range []struct {
		name string
		errs []error
		want error
	}{
		{"time is up after a handshake", []error{handshake, late}, handshake},
		{"time is up", []error{refused, late}, late},
		{"nobody listens any more", []error{handshake, refused}, refused},
		{"it stands", []error{handshake, nil}, nil},
	} {
		watch := &connections{logger: quiet, lost: map[string]bool{}}
		for _, err := range c.errs {
			watch.OnBrokerConnect(kgo.BrokerMetadata{Host: "b", Port: 1}, 0, nil, err)
		}
		if got := watch.lastError(); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}
