package plugins

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/calvelake/calve/catalog/principal"
)

// Server is a registry over HTTP, for principals with bearer tokens.
//
//	GET  /v1/plugins                                          reader
//	GET  /v1/plugins/{name}                                   reader
//	PUT  /v1/plugins/{name}/versions/{version}                uploader; the body is the module, ?kind= what it must be
//	GET  /v1/plugins/{name}/versions/{version}                reader
//	GET  /v1/plugins/{name}/versions/{version}/module         reader
//	POST /v1/plugins/{name}/versions/{version}/yank           operator; {"reason"}
//	POST /v1/plugins/{name}/channels/{channel}                operator; {"version"}
//	GET  /v1/plugins/{name}/channels/{channel}                reader; the version that it resolves to
//	GET  /v1/audit?plugin=&since=&limit=                      reader
//
// Answers are JSON, but for modules. An error is {"error": {"code", "message"}},
// with "report" where a module was refused.
type Server struct {
	registry   *Registry
	principals *principal.Set
	logger     *slog.Logger
	mux        *http.ServeMux
}

// NewServer makes the handler of a registry.
func NewServer(registry *Registry, principals *principal.Set, logger *slog.Logger) *Server {
	s := &Server{registry: registry, principals: principals, logger: logger, mux: http.NewServeMux()}
	for pattern, route := range map[string]struct {
		role   principal.Role
		handle handler
	}{
		"GET /v1/plugins":                                  {principal.Reader, s.list},
		"GET /v1/plugins/{name}":                           {principal.Reader, s.show},
		"PUT /v1/plugins/{name}/versions/{version}":        {principal.Uploader, s.upload},
		"GET /v1/plugins/{name}/versions/{version}":        {principal.Reader, s.version},
		"GET /v1/plugins/{name}/versions/{version}/module": {principal.Reader, s.module},
		"POST /v1/plugins/{name}/versions/{version}/yank":  {principal.Operator, s.yank},
		"POST /v1/plugins/{name}/channels/{channel}":       {principal.Operator, s.promote},
		"GET /v1/plugins/{name}/channels/{channel}":        {principal.Reader, s.channel},
		"GET /v1/audit":                                    {principal.Reader, s.audit},
	} {
		s.mux.HandleFunc(pattern, s.guard(route.role, route.handle))
	}
	return s
}

// handler answers a request of a principal, or fails before it wrote anything.
type handler func(w http.ResponseWriter, r *http.Request, by principal.Principal) error

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// guard lets in who has the role.
func (s *Server) guard(role principal.Role, handle handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		by, err := s.principals.Of(r)
		switch {
		case err != nil:
			err = fmt.Errorf("%w: %w; send Authorization: Bearer <token>", ErrUnauthorized, err)
		case !by.May(role):
			err = fmt.Errorf("%w: %s has the roles %v, this needs %s", ErrForbidden, by.Name, by.Roles, role)
		default:
			err = handle(w, r, by)
		}
		if err != nil {
			s.fail(w, r, err)
		}
	}
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, _ principal.Principal) error {
	all, err := s.registry.List(r.Context())
	return reply(w, http.StatusOK, all, err)
}

func (s *Server) show(w http.ResponseWriter, r *http.Request, _ principal.Principal) error {
	p, err := s.registry.Show(r.Context(), r.PathValue("name"))
	return reply(w, http.StatusOK, p, err)
}

func (s *Server) upload(w http.ResponseWriter, r *http.Request, by principal.Principal) error {
	u := Upload{Plugin: r.PathValue("name"), Version: r.PathValue("version"), By: by.Name, Expect: Expect{Kind: r.URL.Query().Get("kind")}}
	if err := u.check(); err != nil { // before a body is read for nothing
		return err
	}
	var err error
	if u.Module, err = io.ReadAll(http.MaxBytesReader(w, r.Body, MaxModuleBytes)); err != nil {
		return fmt.Errorf("read the module: %w", err)
	}
	done, err := s.registry.Upload(r.Context(), u)
	return reply(w, status(done.Created), done, err)
}

func (s *Server) version(w http.ResponseWriter, r *http.Request, _ principal.Principal) error {
	v, err := s.find(r)
	return reply(w, http.StatusOK, v, err)
}

// find reads the version that a request names, yanked or not.
func (s *Server) find(r *http.Request) (Version, error) {
	name, version := r.PathValue("name"), r.PathValue("version")
	if err := errors.Join(CheckName(name), CheckVersion(version)); err != nil {
		return Version{}, err
	}
	return s.registry.version(r.Context(), name, version)
}

// module answers with the module of a version. One that is yanked can still be
// had: who looks into it needs it.
func (s *Server) module(w http.ResponseWriter, r *http.Request, _ principal.Principal) error {
	v, err := s.find(r)
	if err != nil {
		return err
	}
	module, err := s.registry.Module(r.Context(), v.Digest)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/wasm")
	w.Header().Set("ETag", `"`+digestPrefix+v.Digest+`"`)
	w.Header().Set("Content-Length", strconv.Itoa(len(module)))
	_, _ = w.Write(module) // who has gone needs no answer
	return nil
}

func (s *Server) yank(w http.ResponseWriter, r *http.Request, by principal.Principal) error {
	q := YankRequest{}
	if err := decodeBody(w, r, &q); err != nil {
		return err
	}
	q.Plugin, q.Version, q.By = r.PathValue("name"), r.PathValue("version"), by.Name
	y, err := s.registry.Yank(r.Context(), q)
	return reply(w, status(y.Changed), y, err)
}

func (s *Server) promote(w http.ResponseWriter, r *http.Request, by principal.Principal) error {
	p := Promote{}
	if err := decodeBody(w, r, &p); err != nil {
		return err
	}
	p.Plugin, p.Channel, p.By = r.PathValue("name"), r.PathValue("channel"), by.Name
	done, err := s.registry.Promote(r.Context(), p)
	return reply(w, status(done.Changed), done, err)
}

func (s *Server) channel(w http.ResponseWriter, r *http.Request, _ principal.Principal) error {
	ref := Ref{Name: r.PathValue("name"), Channel: r.PathValue("channel")}
	if err := errors.Join(CheckName(ref.Name), CheckChannel(ref.Channel)); err != nil {
		return err
	}
	v, err := s.registry.Resolve(r.Context(), ref)
	return reply(w, http.StatusOK, v, err)
}

func (s *Server) audit(w http.ResponseWriter, r *http.Request, _ principal.Principal) error {
	query := r.URL.Query()
	q := AuditQuery{Plugin: query.Get("plugin"), Limit: 100}
	var err error
	if text := query.Get("limit"); text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 0 {
			return fmt.Errorf("%w: limit=%s: expected 0 for all, or more", ErrName, text)
		}
	}
	if text := query.Get("since"); text != "" {
		if q.Since, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return fmt.Errorf("%w: since=%s: expected a time as 2026-01-31T12:00:00Z", ErrName, text)
		}
	}
	entries, err := s.registry.Audit(r.Context(), q)
	return reply(w, http.StatusOK, entries, err)
}

// status tells what was made from what was there.
func status(created bool) int {
	if created {
		return http.StatusCreated
	}
	return http.StatusOK
}

// maxRequestBytes bounds a body that is no module.
const maxRequestBytes = 16 << 10

func decodeBody(w http.ResponseWriter, r *http.Request, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequestBytes))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return err
		}
		return fmt.Errorf("%w: the body is not the JSON that is expected: %w", ErrName, err)
	}
	return nil
}

// reply writes an answer, or hands the error on.
func reply(w http.ResponseWriter, code int, v any, err error) error {
	if err != nil {
		return err
	}
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(body) // who has gone needs no answer
	return nil
}
