package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/calvelake/calve/lakehouse/storage"
)

// Types of errors, as the REST specification and its Java client name them.
const (
	typeBadRequest        = "BadRequestException"
	typeNotAuthorized     = "NotAuthorizedException"
	typeForbidden         = "ForbiddenException"
	typeNoSuchNamespace   = "NoSuchNamespaceException"
	typeNoSuchTable       = "NoSuchTableException"
	typeNotFound          = "NotFoundException"
	typeAlreadyExists     = "AlreadyExistsException"
	typeNamespaceNotEmpty = "NamespaceNotEmptyException"
	typeCommitFailed      = "CommitFailedException"
	typeUnprocessable     = "UnprocessableEntityException"
	typeUnsupported       = "UnsupportedOperationException"
	typeNoSpace           = "InsufficientStorageException"
	typeCommitUnknown     = "CommitStateUnknownException"
	typeInternal          = "InternalServerError"
)

// fault is an error that knows how it is answered.
type fault struct {
	status int
	kind   string
	err    error
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

func badRequest(format string, args ...any) error {
	return &fault{http.StatusBadRequest, typeBadRequest, fmt.Errorf(format, args...)}
}

func commitFailed(format string, args ...any) error {
	return &fault{http.StatusConflict, typeCommitFailed, fmt.Errorf(format, args...)}
}

// commitUnknown marks an error after which a commit may have happened.
func commitUnknown(err error) error {
	return &fault{http.StatusInternalServerError, typeCommitUnknown, err}
}

// faultOf decides how an error is answered.
func faultOf(err error) *fault {
	var known *fault
	if errors.As(err, &known) {
		return &fault{known.status, known.kind, err}
	}
	for _, rule := range []struct {
		sentinel error
		status   int
		kind     string
	}{
		{ErrNoSuchNamespace, http.StatusNotFound, typeNoSuchNamespace},
		{ErrNamespaceExists, http.StatusConflict, typeAlreadyExists},
		{ErrNamespaceNotEmpty, http.StatusConflict, typeNamespaceNotEmpty},
		{ErrNoSuchTable, http.StatusNotFound, typeNoSuchTable},
		{ErrTableExists, http.StatusConflict, typeAlreadyExists},
		{ErrConflict, http.StatusConflict, typeCommitFailed},
		{storage.ErrOutside, http.StatusBadRequest, typeBadRequest},
		{storage.ErrPermission, http.StatusForbidden, typeForbidden},
		{storage.ErrNoSpace, http.StatusInsufficientStorage, typeNoSpace},
	} {
		if errors.Is(err, rule.sentinel) {
			return &fault{rule.status, rule.kind, err}
		}
	}
	return &fault{http.StatusInternalServerError, typeInternal, err}
}

// fail answers with the specification's error model.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	f := faultOf(err)
	if f.status >= http.StatusInternalServerError {
		s.logger.Error("catalog request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(f.status)
		return
	}
	reply(w, f.status, map[string]any{
		"error": map[string]any{"message": f.Error(), "type": f.kind, "code": f.status},
	})
}

func reply(w http.ResponseWriter, status int, body any) {
	encoded, err := json.Marshal(body)
	if err != nil { // replies are made of strings, maps and metadata that was parsed
		panic("BUG: encode reply: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(encoded) // the client may have gone
}
