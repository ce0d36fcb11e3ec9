// Package registrytest is a schema registry in the test's own process, with
// faults to order.
package registrytest

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/calvelake/calve/runtime/decode/registry"
)

// Options say how a Server answers. The zero value is plain HTTP for anybody.
type Options struct {
	Prefix string        // path below which the API is, as in /apis/ccompat/v7
	Auth   registry.Auth // who may ask; anybody if zero
	TLS    bool
	// Setup changes the server before it starts, for its TLS.
	Setup func(*httptest.Server)
}

// Server is a registry. Its methods may be called by several goroutines.
type Server struct {
	options Options
	server  *httptest.Server
	fake    *srfake.Registry

	mu       sync.Mutex
	requests []string
	faults   []int // the next answers: a status, or hangUp
	canned   map[string]canned
	arrived  chan string // nil unless requests are held
	release  chan struct{}
}

type canned struct {
	status int
	body   string
}

// hangUp is the fault of a connection that ends without an answer.
const hangUp = 0

// New starts a server, which the test's end stops.
func New(t testing.TB, options Options) *Server {
	t.Helper()
	s := &Server{options: options, fake: srfake.NewRegistry(), canned: map[string]canned{}}
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	if options.Setup != nil {
		options.Setup(s.server)
	}
	if options.TLS {
		s.server.StartTLS()
	} else {
		s.server.Start()
	}
	t.Cleanup(s.server.Close)
	return s
}

// URL is where the API is, prefix included.
func (s *Server) URL() string { return s.server.URL + s.options.Prefix }

// CAFile writes the certificate to trust to a file, as PEM, and returns its name.
func (s *Server) CAFile(t testing.TB) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw}
	if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Add registers a schema, and what it refers to under its names, and returns
// the schema's id.
func (s *Server) Add(t testing.TB, subject string, schema registry.Schema) int {
	t.Helper()
	var kind sr.SchemaType
	if err := kind.UnmarshalText([]byte(schema.Type)); err != nil {
		t.Fatal(err)
	}
	var references []sr.SchemaReference
	register := func(subject, text string) (id, version int) {
		id, version, err := s.fake.RegisterSchema(subject, sr.Schema{Schema: text, Type: kind, References: slices.Clone(references)})
		if err != nil {
			t.Fatalf("register subject %s: %v", subject, err)
		}
		return id, version
	}
	for _, r := range schema.References {
		_, version := register(r.Name, r.Text)
		references = append(references, sr.SchemaReference{Name: r.Name, Subject: r.Name, Version: version})
	}
	id, _ := register(subject, schema.Text)
	return id
}

// Answer gives path, prefix not included, a fixed answer.
func (s *Server) Answer(path string, status int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.canned[path] = canned{status, body}
}

// Fail answers the next n requests with a status.
func (s *Server) Fail(n, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, slices.Repeat([]int{status}, n)...)
}

// HangUp ends the connections of the next n requests without an answer.
func (s *Server) HangUp(n int) { s.Fail(n, hangUp) }

// Hold makes requests wait until release is called. Each one's line is sent to
// arrived first; the test receives it.
func (s *Server) Hold() (arrived <-chan string, release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrived, s.release = make(chan string), make(chan struct{})
	held := s.release
	return s.arrived, sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.arrived = nil
		close(held)
	})
}

// Requests are the lines of all requests so far, as in "GET /schemas/ids/1",
// prefix and query not included.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	path, below := strings.CutPrefix(r.URL.EscapedPath(), s.options.Prefix)
	line := r.Method + " " + path
	s.mu.Lock()
	s.requests = append(s.requests, line)
	fault, faulty := -1, len(s.faults) > 0
	if faulty {
		fault, s.faults = s.faults[0], s.faults[1:]
	}
	fixed, isFixed := s.canned[path]
	arrived, release := s.arrived, s.release
	s.mu.Unlock()

	if arrived != nil && !pass(r, line, arrived, release) {
		return
	}
	want := authorization(s.options.Auth)
	switch {
	case faulty && fault == hangUp:
		panic(http.ErrAbortHandler)
	case faulty:
		answer(w, fault, fmt.Sprintf(`{"error_code": %d01, "message": "as ordered"}`, fault))
	case want != "" && r.Header.Get("Authorization") != want:
		answer(w, http.StatusUnauthorized, `{"error_code": 401, "message": "HTTP 401 Unauthorized"}`)
	case isFixed:
		answer(w, fixed.status, fixed.body)
	case !below:
		answer(w, http.StatusNotFound, `{"error_code": 404, "message": "HTTP 404 Not Found"}`)
	default:
		http.StripPrefix(s.options.Prefix, s.fake.Handler()).ServeHTTP(w, r)
	}
}

// pass holds a request; false if the client went away.
func pass(r *http.Request, line string, arrived chan<- string, release <-chan struct{}) bool {
	select {
	case arrived <- line:
	case <-release:
	case <-r.Context().Done():
		return false
	}
	select {
	case <-release:
		return true
	case <-r.Context().Done():
		return false
	}
}

func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	w.WriteHeader(status)
	fmt.Fprint(w, body)
}

// authorization is the header that a client sends.
func authorization(a registry.Auth) string {
	switch {
	case a.Token != "":
		return "Bearer " + a.Token
	case a.Username != "":
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(a.Username+":"+a.Password))
	}
	return ""
}
