package plugins

import (
	"encoding/json"
	"errors"
	"net/http"
)

// fault is how an error is answered over HTTP, and what the client makes of the
// answer.
type fault struct {
	sentinel error
	code     string
	status   int
}

var faults = []fault{
	{ErrRefused, "refused", http.StatusUnprocessableEntity},
	{ErrYanked, "yanked", http.StatusGone},
	{ErrConflict, "conflict", http.StatusConflict},
	{ErrNotFound, "not_found", http.StatusNotFound},
	{ErrName, "bad_request", http.StatusBadRequest},
	{ErrUnauthorized, "unauthorized", http.StatusUnauthorized},
	{ErrForbidden, "forbidden", http.StatusForbidden},
	{ErrUnknown, "unknown", http.StatusServiceUnavailable},
	{ErrCorrupt, "damaged", http.StatusInternalServerError},
}

// answerFault is the body of an answer that tells of an error.
type answerFault struct {
	Error struct {
		Code    string  `json:"code"`
		Message string  `json:"message"`
		Report  *Report `json:"report,omitempty"` // of a refused module
	} `json:"error"`
}

// fail answers with an error. What the fault is of the server itself is logged,
// and not told.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	code := http.StatusInternalServerError
	var body answerFault
	body.Error.Code, body.Error.Message = "internal", "the registry failed; its log says why"
	var large *http.MaxBytesError
	var refusal *Refusal
	if errors.As(err, &large) {
		code, body.Error.Code, body.Error.Message = http.StatusRequestEntityTooLarge, "too_large", err.Error()
	}
	if errors.As(err, &refusal) {
		body.Error.Report = &refusal.Report
	}
	for _, f := range faults {
		if errors.Is(err, f.sentinel) {
			code, body.Error.Code, body.Error.Message = f.status, f.code, err.Error()
			break
		}
	}
	if code >= http.StatusInternalServerError && r.Context().Err() == nil {
		s.logger.Error("plugin registry failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	if code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	text, _ := json.Marshal(body) // texts always encode
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(text) // who has gone needs no answer
}
