package server

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
)

// defaultPage is the size of a page where the client asks for pages and not
// for a size.
const defaultPage = 100

func (s *Server) listNamespaces(w http.ResponseWriter, r *http.Request) error {
	parent := ParseKey(r.URL.Query().Get("parent"))
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	found, err := s.storage.Namespaces(r.Context(), parent, page)
	if err != nil {
		return err
	}
	body := map[string]any{"namespaces": append([]Namespace{}, found...)}
	if page.Size > 0 && len(found) == page.Size {
		last := found[len(found)-1]
		body["next-page-token"] = pageToken(last[len(last)-1])
	}
	reply(w, http.StatusOK, body)
	return nil
}

func (s *Server) createNamespace(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Namespace  Namespace         `json:"namespace"`
		Properties map[string]string `json:"properties"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	if err := body.Namespace.validate(); err != nil {
		return err
	}
	if err := s.storage.CreateNamespace(r.Context(), body.Namespace, body.Properties); err != nil {
		return err
	}
	s.replyNamespace(w, body.Namespace, body.Properties)
	return nil
}

func (s *Server) loadNamespace(w http.ResponseWriter, r *http.Request) error {
	n := namespaceOf(r)
	properties, err := s.storage.Namespace(r.Context(), n)
	if err != nil {
		return err
	}
	s.replyNamespace(w, n, properties)
	return nil
}

func (s *Server) namespaceExists(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.storage.Namespace(r.Context(), namespaceOf(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) dropNamespace(w http.ResponseWriter, r *http.Request) error {
	if err := s.storage.DropNamespace(r.Context(), namespaceOf(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) updateNamespace(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Removals []string          `json:"removals"`
		Updates  map[string]string `json:"updates"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	n := namespaceOf(r)
	before, err := s.storage.Namespace(r.Context(), n)
	if err != nil {
		return err
	}
	result := map[string][]string{"updated": {}, "removed": {}, "missing": {}}
	for key := range body.Updates {
		result["updated"] = append(result["updated"], key)
	}
	slices.Sort(result["updated"])
	for _, key := range body.Removals {
		if _, both := body.Updates[key]; both {
			return &fault{http.StatusUnprocessableEntity, typeUnprocessable,
				badRequest("property %s is both removed and set", key)}
		}
		if _, held := before[key]; held {
			result["removed"] = append(result["removed"], key)
		} else {
			result["missing"] = append(result["missing"], key)
		}
	}
	if err := s.storage.UpdateNamespace(r.Context(), n, body.Removals, body.Updates); err != nil {
		return err
	}
	reply(w, http.StatusOK, result)
	return nil
}

func (s *Server) replyNamespace(w http.ResponseWriter, n Namespace, properties map[string]string) {
	if properties == nil {
		properties = map[string]string{}
	}
	reply(w, http.StatusOK, map[string]any{"namespace": n, "properties": properties})
}

// namespaceOf is the namespace in a request's path, its levels joined by the
// unit separator.
func namespaceOf(r *http.Request) Namespace { return ParseKey(r.PathValue("namespace")) }

func tableOf(r *http.Request) Identifier {
	return Identifier{Namespace: namespaceOf(r), Name: r.PathValue("table")}
}

// pageOf reads the page that a client asks for. One that sends no pageToken
// gets everything, whatever its pageSize, since it may not know of pages.
func pageOf(r *http.Request) (Page, error) {
	query := r.URL.Query()
	if !query.Has("pageToken") {
		return Page{}, nil
	}
	after, err := base64.RawURLEncoding.DecodeString(query.Get("pageToken"))
	if err != nil {
		return Page{}, badRequest("pageToken is not one that this catalog gave: %w", err)
	}
	page := Page{After: string(after), Size: defaultPage}
	if size := query.Get("pageSize"); size != "" {
		page.Size, err = strconv.Atoi(size)
		if err != nil || page.Size < 1 {
			return Page{}, badRequest("pageSize %q is not a positive number", size)
		}
	}
	return page, nil
}

func pageToken(last string) string { return base64.RawURLEncoding.EncodeToString([]byte(last)) }
