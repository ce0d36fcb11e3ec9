package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"
)

const defaultTimeout = 30 * time.Second

// Config is a connection to a schema registry.
type Config struct {
	// URLs are where the registry answers, a path included where it has one, as
	// in http://apicurio:8080/apis/ccompat/v7. They are servers of one registry:
	// where one does not answer, the next is asked.
	URLs []string
	Auth Auth
	TLS  TLS
	// Timeout bounds a schema with all that it refers to, and all attempts to
	// get it; 30 s if 0.
	Timeout time.Duration
	// Now is the clock by which ids without a schema are remembered; time.Now
	// if nil.
	Now func() time.Time
	// Wait passes the time between two attempts, and ends with the context's
	// error if that ends first; a timer if nil.
	Wait func(ctx context.Context, d time.Duration) error
}

// Auth is who asks: a user, or the bearer of a token. The zero value is nobody.
type Auth struct {
	Username, Password string // HTTP basic authentication
	Token              string // OAuth 2.0 bearer token
}

// String leaves the secrets out, as do the methods below: a Config may be
// printed.
func (a Auth) String() string {
	switch {
	case a.Token != "":
		return "{bearer token}"
	case a.Username != "":
		return "{user " + a.Username + "}"
	}
	return "{}"
}

// GoString is String, for %#v.
func (a Auth) GoString() string { return a.String() }

// LogValue is String, for slog.
func (a Auth) LogValue() slog.Value { return slog.StringValue(a.String()) }

// MarshalJSON is String, for JSON.
func (a Auth) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%q", a.String()), nil }

// TLS is how the registry's certificate is judged, and the client's own. It
// concerns https URLs.
type TLS struct {
	CAFile             string // PEM; the system's authorities if empty
	CertFile, KeyFile  string // PEM; the client's own certificate, if the registry asks for one
	ServerName         string // that the registry's certificate must carry; the URL's host if empty
	InsecureSkipVerify bool   // accept any certificate
}

// Validate checks what can be known without a connection. Its errors name the
// setting, what was found and what was expected.
func (c Config) Validate() error {
	if len(c.URLs) == 0 {
		return errors.New("url: none given; expected at least one, as in http://localhost:8081")
	}
	secure := false
	for _, u := range c.URLs {
		parsed, err := parseURL(u)
		if err != nil {
			return err
		}
		secure = secure || parsed.Scheme == "https"
	}
	if c.TLS != (TLS{}) && !secure {
		return errors.New("tls: given though no url begins with https://; change the url or remove tls")
	}
	if err := c.Auth.validate(); err != nil {
		return err
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		return errors.New("tls: cert_file and key_file belong together; give both or neither")
	}
	if c.Timeout < 0 {
		return fmt.Errorf("timeout: %s is negative; expected a duration, as in 30s", c.Timeout)
	}
	return nil
}

// parseURL does not quote what it refuses: a password may be in it.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errors.New("url: not a URL; expected http://host:port or https://host:port")
	case u.User != nil:
		return nil, errors.New("url: holds a log-in, and URLs are printed; expected username and password, or token, beside it")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("url: has a part after ? or #; expected http://host:port/path")
	}
	return u, nil
}

func (a Auth) validate() error {
	if a.Token != "" && (a.Username != "" || a.Password != "") {
		return errors.New("token: given beside username or password; expected one way to log in")
	}
	if (a.Username == "") != (a.Password == "") {
		return errors.New("username and password belong together; give both or neither")
	}
	if strings.ContainsAny(a.Token, "\r\n") {
		return errors.New("token: has a line break in it; expected the token alone")
	}
	return nil
}

// withDefaults returns c with its zero values replaced.
func (c Config) withDefaults() Config {
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Wait == nil {
		c.Wait = wait
	}
	return c
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// load reads the files.
func (t TLS) load() (*tls.Config, error) {
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
