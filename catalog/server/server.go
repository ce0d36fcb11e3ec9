package server

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/calvelake/calve/lakehouse/storage"
)

// maxBody bounds a request; the largest are commits that remove thousands of
// snapshots at once.
const maxBody = 64 << 20

// Config says what is served.
type Config struct {
	Storage Storage
	Store   storage.Store // the warehouse; locations outside it are refused
	// Token is the bearer token that requests must carry; empty lets all in.
	Token string
	// TableConfig goes to engines with each table: s3.endpoint and the like.
	// It must hold no secrets.
	TableConfig map[string]string
	Logger      *slog.Logger // nil: silent
}

// Server answers the REST catalog protocol. It is an http.Handler, safe for
// concurrent use; several may serve one Storage.
type Server struct {
	storage     Storage
	store       storage.Store
	token       string
	tableConfig map[string]string
	logger      *slog.Logger
	cache       *metadataCache
	mux         *http.ServeMux
	endpoints   []string
}

// New makes a server.
func New(c Config) (*Server, error) {
	if c.Storage == nil || c.Store == nil {
		return nil, errors.New("a catalog server needs a storage and a warehouse")
	}
	s := &Server{
		storage: c.Storage, store: c.Store, token: c.Token, tableConfig: c.TableConfig, logger: c.Logger,
		cache: newMetadataCache(), mux: http.NewServeMux(),
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.tableConfig == nil {
		s.tableConfig = map[string]string{}
	}
	s.routes()
	return s, nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.allowed(r) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		s.fail(w, r, &fault{http.StatusUnauthorized, typeNotAuthorized,
			errors.New("this catalog needs its bearer token: set the property token")})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	s.mux.ServeHTTP(w, r)
}

// allowed compares the bearer token, in a time that does not tell how much of
// it is right.
func (s *Server) allowed(r *http.Request) bool {
	if s.token == "" {
		return true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare([]byte(token), []byte(s.token)) == 1
}

// handler answers a request or says why not.
type handler func(w http.ResponseWriter, r *http.Request) error

// routes registers the endpoints, and with them the list that /v1/config
// gives; the configuration itself is in no such list.
func (s *Server) routes() {
	const (
		namespace = "/namespaces/{namespace}"
		table     = namespace + "/tables/{table}"
	)
	for _, route := range []struct {
		method, path string
		handle       handler
	}{
		{"GET", "/namespaces", s.listNamespaces},
		{"POST", "/namespaces", s.createNamespace},
		{"GET", namespace, s.loadNamespace},
		{"HEAD", namespace, s.namespaceExists},
		{"DELETE", namespace, s.dropNamespace},
		{"POST", namespace + "/properties", s.updateNamespace},
		{"GET", namespace + "/tables", s.listTables},
		{"POST", namespace + "/tables", s.createTable},
		{"POST", namespace + "/register", s.registerTable},
		{"GET", table, s.loadTable},
		{"HEAD", table, s.tableExists},
		{"POST", table, s.commitTable},
		{"DELETE", table, s.dropTable},
		{"POST", table + "/metrics", s.reportMetrics},
		{"POST", "/tables/rename", s.renameTable},
		{"POST", "/transactions/commit", s.commitTransaction},
	} {
		s.handle(route.method+" /v1"+route.path, route.handle)
		s.endpoints = append(s.endpoints, route.method+" /v1/{prefix}"+route.path)
	}
	s.handle("GET /v1/config", s.config)
	s.handle("/", s.unknown)
}

func (s *Server) handle(pattern string, h handler) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

// config tells engines what is served. No prefix is set: one server, one
// catalog.
func (s *Server) config(w http.ResponseWriter, _ *http.Request) error {
	reply(w, http.StatusOK, map[string]any{
		"defaults": map[string]string{}, "overrides": map[string]string{}, "endpoints": s.endpoints,
	})
	return nil
}

// unknown answers what is not served: reads find nothing, so that clients
// which look for a view before a table go on to the table.
func (s *Server) unknown(_ http.ResponseWriter, r *http.Request) error {
	err := fmt.Errorf("%s %s is not served by this catalog", r.Method, r.URL.Path)
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return &fault{http.StatusNotFound, typeNotFound, err}
	}
	return &fault{http.StatusNotImplemented, typeUnsupported, err}
}

// decode reads a request's body.
func decode(r *http.Request, into any) error {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		return badRequest("read request: %w", err)
	}
	return nil
}

// validName refuses names that cannot be part of a path or a key.
func validName(kind, name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == '/' || c == 0x7f }) {
		return badRequest("%s name %q: it must not be empty, . or .., nor hold slashes or control characters", kind, name)
	}
	return nil
}

func (n Namespace) validate() error {
	if len(n) == 0 {
		return badRequest("the namespace is missing")
	}
	for _, level := range n {
		if err := validName("namespace", level); err != nil {
			return err
		}
	}
	return nil
}

func (i Identifier) validate() error {
	if err := i.Namespace.validate(); err != nil {
		return err
	}
	return validName("table", i.Name)
}
