package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/lakehouse/storage"
)

func (s *Server) listTables(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	found, err := s.storage.Tables(r.Context(), namespaceOf(r), page)
	if err != nil {
		return err
	}
	body := map[string]any{"identifiers": append([]Identifier{}, found...)}
	if page.Size > 0 && len(found) == page.Size {
		body["next-page-token"] = pageToken(found[len(found)-1].Name)
	}
	reply(w, http.StatusOK, body)
	return nil
}

// createRequest is the specification's CreateTableRequest. Its partition spec
// and sort order speak of field ids of the schema beside them, which get new
// ids when the table is made.
type createRequest struct {
	Name        string                        `json:"name"`
	Location    string                        `json:"location"`
	Schema      *iceberg.Schema               `json:"schema"`
	Spec        *iceberg.UnboundPartitionSpec `json:"partition-spec"`
	WriteOrder  *table.UnboundSortOrder       `json:"write-order"`
	StageCreate bool                          `json:"stage-create"`
	Properties  map[string]string             `json:"properties"`
}

func (s *Server) createTable(w http.ResponseWriter, r *http.Request) error {
	var body createRequest
	if err := decode(r, &body); err != nil {
		return err
	}
	id := Identifier{Namespace: namespaceOf(r), Name: body.Name}
	if err := id.validate(); err != nil {
		return err
	}
	properties, err := s.storage.Namespace(r.Context(), id.Namespace)
	if err != nil {
		return err
	}
	if err := s.mustNotExist(r.Context(), id); err != nil {
		return err
	}
	location := body.Location
	if location == "" {
		location = s.defaultLocation(id, properties)
	}
	metadata, err := s.newTable(body, location)
	if err != nil {
		return err
	}
	file, err := newMetadataFile(metadata, "")
	if err != nil {
		return err
	}
	if body.StageCreate { // nothing is written before the commit that creates it
		s.replyTable(w, "", file)
		return nil
	}
	change := Change{Table: id, UUID: file.parsed.TableUUID().String(), To: file.location}
	if err := s.land(r.Context(), []planned{{change: change, file: file}}); err != nil {
		return err
	}
	s.replyTable(w, file.location, file)
	return nil
}

func (s *Server) newTable(body createRequest, location string) (table.Metadata, error) {
	if body.Schema == nil {
		return nil, badRequest("the schema is missing")
	}
	location = strings.TrimRight(storage.Canonical(location), "/")
	if err := s.checkLocation(location); err != nil {
		return nil, err
	}
	spec, order := *iceberg.UnpartitionedSpec, table.UnsortedSortOrder
	if body.Spec != nil {
		spec = body.Spec.PartitionSpec
	}
	if body.WriteOrder != nil {
		order = body.WriteOrder.SortOrder
	}
	metadata, err := table.NewMetadata(body.Schema, &spec, order, location, body.Properties)
	if err != nil {
		return nil, badRequest("create table: %w", err)
	}
	return metadata, nil
}

// checkLocation keeps tables in the warehouse: nothing else can be read or
// written by this catalog, and the root itself would hold every other table.
func (s *Server) checkLocation(location string) error {
	root := s.store.Root()
	if location == root || !storage.Inside(root, location) {
		return badRequest("table location %s is not below the warehouse %s: leave the location out, or choose one below it",
			location, root)
	}
	return nil
}

// defaultLocation is below the namespace's own location, where it has one
// inside the warehouse. Names may hold what paths may not.
func (s *Server) defaultLocation(id Identifier, properties map[string]string) string {
	base := strings.TrimRight(storage.Canonical(properties["location"]), "/")
	if base == "" || !storage.Inside(s.store.Root(), base) {
		base = s.store.Root()
		for _, level := range id.Namespace {
			base += "/" + pathElement(level)
		}
	}
	var digits [4]byte
	_, _ = rand.Read(digits[:]) // it never fails
	return base + "/" + pathElement(id.Name) + "-" + hex.EncodeToString(digits[:])
}

func pathElement(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
			return c
		}
		return '_'
	}, name)
}

func (s *Server) mustNotExist(ctx context.Context, id Identifier) error {
	_, err := s.storage.Table(ctx, id)
	switch {
	case errors.Is(err, ErrNoSuchTable):
		return nil
	case err == nil:
		return fmt.Errorf("%s: %w", id, ErrTableExists)
	}
	return err
}

func (s *Server) registerTable(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Name      string `json:"name"`
		Metadata  string `json:"metadata-location"`
		Overwrite bool   `json:"overwrite"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	id := Identifier{Namespace: namespaceOf(r), Name: body.Name}
	if err := id.validate(); err != nil {
		return err
	}
	location := storage.Canonical(body.Metadata)
	file, err := s.readMetadata(r.Context(), location)
	if errors.Is(err, storage.ErrNotExist) {
		return badRequest("register table: %w", err)
	}
	if err != nil {
		return err
	}
	if err := s.checkLocation(storage.Canonical(file.parsed.Location())); err != nil {
		return err
	}
	change := Change{Table: id, UUID: file.parsed.TableUUID().String(), To: location}
	changes := []Change{change}
	if body.Overwrite {
		// A drop and a create: the table that is registered keeps its own uuid.
		there, err := s.storage.Table(r.Context(), id)
		if err == nil {
			changes = []Change{{Table: id, From: there.Metadata}, change}
		} else if !errors.Is(err, ErrNoSuchTable) {
			return err
		}
	}
	if err := s.swap(r.Context(), changes); err != nil {
		return err
	}
	s.replyTable(w, location, file)
	return nil
}

func (s *Server) loadTable(w http.ResponseWriter, r *http.Request) error {
	held, err := s.storage.Table(r.Context(), tableOf(r))
	if err != nil {
		return err
	}
	file, err := s.readMetadata(r.Context(), held.Metadata)
	if err != nil {
		return fmt.Errorf("load %s: %w", held.Identifier, err)
	}
	w.Header().Set("ETag", file.etag())
	if match := r.Header.Get("If-None-Match"); match != "" && match == file.etag() {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	s.replyTable(w, file.location, file)
	return nil
}

func (s *Server) tableExists(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.storage.Table(r.Context(), tableOf(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// dropTable forgets a table; its files stay, also where their purge is asked
// for.
func (s *Server) dropTable(w http.ResponseWriter, r *http.Request) error {
	id := tableOf(r)
	held, err := s.storage.Table(r.Context(), id)
	if err != nil {
		return err
	}
	if err := s.swap(r.Context(), []Change{{Table: id, From: held.Metadata}}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) renameTable(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Source      Identifier `json:"source"`
		Destination Identifier `json:"destination"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	if err := body.Destination.validate(); err != nil {
		return err
	}
	held, err := s.storage.Table(r.Context(), body.Source)
	if err != nil {
		return err
	}
	change := Change{Table: body.Source, From: held.Metadata, To: held.Metadata, NewName: &body.Destination}
	if err := s.swap(r.Context(), []Change{change}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// reportMetrics takes an engine's scan or commit report and drops it.
func (s *Server) reportMetrics(w http.ResponseWriter, _ *http.Request) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// replyTable answers with a table; a staged one has no location yet.
func (s *Server) replyTable(w http.ResponseWriter, location string, file *metadataFile) {
	body := map[string]any{"metadata": file.raw, "config": s.tableConfig}
	if location != "" {
		body["metadata-location"] = location
		w.Header().Set("ETag", file.etag())
	}
	reply(w, http.StatusOK, body)
}
