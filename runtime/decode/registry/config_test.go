package registry_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/decode/registry/registrytest"
)

func TestConfigProblems(t *testing.T) {
	one := []string{"http://r:8081"}
	for _, c := range []struct {
		name   string
		config registry.Config
		want   string
	}{
		{"no URL", registry.Config{}, "url: none given"},
		{"no scheme", registry.Config{URLs: []string{"r:8081"}}, "url: not a URL"},
		{"another scheme", registry.Config{URLs: []string{"ftp://r"}}, "url: not a URL"},
		{"a log-in in the URL", registry.Config{URLs: []string{"http://u:hunter2@r"}}, "url: holds a log-in"},
		{"a query", registry.Config{URLs: []string{"http://r/?key=hunter2"}}, "url: has a part after ?"},
		{"two log-ins", registry.Config{URLs: one, Auth: registry.Auth{Username: "u", Password: "hunter2", Token: "hunter2"}}, "expected one way to log in"},
		{"no password", registry.Config{URLs: one, Auth: registry.Auth{Username: "u"}}, "belong together"},
		{"a token of two lines", registry.Config{URLs: one, Auth: registry.Auth{Token: "hunter2\n"}}, "token: has a line break"},
		{"TLS for http", registry.Config{URLs: one, TLS: registry.TLS{CAFile: "ca.pem"}}, "no url begins with https://"},
		{"half a certificate", registry.Config{URLs: []string{"https://r"}, TLS: registry.TLS{CertFile: "c.pem"}}, "cert_file and key_file belong together"},
		{"a negative timeout", registry.Config{URLs: one, Timeout: -time.Second}, "timeout: -1s is negative"},
		{"an absent CA", registry.Config{URLs: []string{"https://r"}, TLS: registry.TLS{CAFile: "absent.pem"}}, "read tls.ca_file"},
		{"a CA that is none", registry.Config{URLs: []string{"https://r"}, TLS: registry.TLS{CAFile: "config_test.go"}}, "holds no certificate"},
		{"an absent certificate", registry.Config{URLs: []string{"https://r"}, TLS: registry.TLS{CertFile: "c.pem", KeyFile: "k.pem"}}, "read tls.cert_file and tls.key_file"},
	} {
		_, err := registry.Open(c.config, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %q and no secret", c.name, err, c.want)
		}
	}
}

func TestAuthPrintsNoSecret(t *testing.T) {
	for _, a := range []registry.Auth{{Username: "calve", Password: "hunter2"}, {Token: "hunter2"}, {}} {
		body, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		printed := fmt.Sprintf("%v %+v %#v %s %s", a, a, a, a, body)
		if strings.Contains(printed, "hunter2") || a.Username != "" && strings.Count(printed, a.Username) != 5 {
			t.Errorf("got %s", printed)
		}
	}
}

func TestTLS(t *testing.T) {
	server := registrytest.New(t, registrytest.Options{TLS: true})
	id := server.Add(t, "orders-value", registry.Schema{Text: order})
	trusted := server.CAFile(t)
	f := func(name string, settings registry.TLS, errorParts ...string) {
		t.Helper()
		config := at(server)
		config.TLS = settings
		client, _ := open(t, config)
		if errorParts == nil {
			wantSchema(t, client, id)
			return
		}
		before := len(server.Requests())
		wantError(t, client, id, append(errorParts, server.URL())...)
		if got := len(server.Requests()); got != before {
			t.Errorf("%s: a request came through", name)
		}
	}
	f("an authority of its own", registry.TLS{CAFile: trusted})
	f("any certificate", registry.TLS{InsecureSkipVerify: true})
	f("a name in the certificate", registry.TLS{CAFile: trusted, ServerName: "example.com"})
	f("an unknown authority", registry.TLS{}, "unknown authority", "give tls.ca_file")
	f("another name", registry.TLS{CAFile: trusted, ServerName: "registry.test"}, "registry.test", "tls.server_name")
}

func TestHTTPSToAPlainServerSaysSo(t *testing.T) {
	server := registrytest.New(t, registrytest.Options{})
	client, _ := open(t, registry.Config{URLs: []string{strings.Replace(server.URL(), "http://", "https://", 1)}})
	wantError(t, client, 1, "begin its url with http://")
}

func TestClientCertificates(t *testing.T) {
	certFile, keyFile, authorities := selfSigned(t)
	server := registrytest.New(t, registrytest.Options{TLS: true, Setup: func(s *httptest.Server) {
		s.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authorities, MaxVersion: tls.VersionTLS12}
	}})
	id := server.Add(t, "orders-value", registry.Schema{Text: order})
	config := at(server)
	config.TLS = registry.TLS{CAFile: server.CAFile(t), CertFile: certFile, KeyFile: keyFile}
	client, _ := open(t, config)
	wantSchema(t, client, id)

	config.TLS.CertFile, config.TLS.KeyFile = "", ""
	without, _ := open(t, config)
	wantError(t, without, id, "check tls.cert_file and tls.key_file")
}

// selfSigned makes a client's certificate, and the pool of the one authority
// that knows it.
func selfSigned(t *testing.T) (certFile, keyFile string, authorities *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "calve"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true, IsCA: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, body []byte) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: body}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	parsed, err := x509.ParseCertificate(certificate)
	if err != nil {
		t.Fatal(err)
	}
	authorities = x509.NewCertPool()
	authorities.AddCert(parsed)
	return write("cert.pem", "CERTIFICATE", certificate), write("key.pem", "PRIVATE KEY", private), authorities
}
