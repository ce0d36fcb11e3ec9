package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/lakehouse/storage"
)

const (
	// commitAttempts is how often a commit whose requirements still hold is
	// planned again after another commit came between.
	commitAttempts = 5
	// swapTimeout bounds the swap, which goes on when the client has gone: it
	// would not learn the outcome, but the outcome would be as uncertain.
	swapTimeout = 30 * time.Second
)

// commitRequest is the specification's CommitTableRequest.
type commitRequest struct {
	Identifier   *Identifier        `json:"identifier"`
	Requirements table.Requirements `json:"requirements"`
	Updates      table.Updates      `json:"updates"`
}

// planned is a change with the metadata file that must be written before it.
type planned struct {
	change   Change
	file     *metadataFile
	obsolete []string // metadata files that the table no longer refers to
}

func (s *Server) commitTable(w http.ResponseWriter, r *http.Request) error {
	var body commitRequest
	if err := decode(r, &body); err != nil {
		return err
	}
	id := tableOf(r)
	body.Identifier = &id
	done, err := s.commit(r.Context(), []commitRequest{body})
	if err != nil {
		return err
	}
	w.Header().Set("ETag", done[0].file.etag())
	reply(w, http.StatusOK, map[string]any{
		"metadata-location": done[0].file.location, "metadata": done[0].file.raw,
	})
	return nil
}

func (s *Server) commitTransaction(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Changes []json.RawMessage `json:"table-changes"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	requests := make([]commitRequest, len(body.Changes))
	named := map[string]bool{}
	for i, raw := range body.Changes {
		if err := json.Unmarshal(raw, &requests[i]); err != nil {
			return badRequest("read table change %d: %w", i+1, err)
		}
		if requests[i].Identifier == nil {
			return badRequest("table change %d names no table", i+1)
		}
		id := *requests[i].Identifier
		key := id.Namespace.Key() + levelSeparator + id.Name
		if named[key] {
			return badRequest("table %s is named twice in one transaction", id)
		}
		named[key] = true
	}
	if len(requests) == 0 {
		return badRequest("the transaction changes no table")
	}
	if _, err := s.commit(r.Context(), requests); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// commit plans all requests on the tables as they are, and lands them; again
// where a table moved meanwhile, until a requirement no longer holds.
func (s *Server) commit(ctx context.Context, requests []commitRequest) ([]planned, error) {
	for attempt := 1; ; attempt++ {
		plans := make([]planned, len(requests))
		for i, request := range requests {
			plan, err := s.plan(ctx, request)
			if err != nil {
				return nil, err
			}
			plans[i] = plan
		}
		err := s.land(ctx, plans)
		if err == nil {
			s.removeObsolete(ctx, plans)
			return plans, nil
		}
		if !errors.Is(err, ErrConflict) || attempt == commitAttempts {
			return nil, err
		}
	}
}

// plan checks one table's requirements and makes its next metadata.
func (s *Server) plan(ctx context.Context, request commitRequest) (planned, error) {
	id := *request.Identifier
	if err := id.validate(); err != nil {
		return planned{}, err
	}
	held, err := s.storage.Table(ctx, id)
	if errors.Is(err, ErrNoSuchTable) && creates(request.Requirements) {
		return s.planCreate(request)
	}
	if err != nil {
		return planned{}, err
	}
	current, err := s.readMetadata(ctx, held.Metadata)
	if err != nil {
		return planned{}, fmt.Errorf("commit to %s: %w", id, err)
	}
	for _, requirement := range request.Requirements {
		if err := requirement.Validate(current.parsed); err != nil {
			return planned{}, commitFailed("commit to %s: %w", id, err)
		}
	}
	metadata, err := table.UpdateTableMetadata(current.parsed, request.Updates, current.location)
	if err != nil {
		return planned{}, badRequest("commit to %s: %w", id, err)
	}
	if metadata.TableUUID() != current.parsed.TableUUID() {
		return planned{}, badRequest("commit to %s: a table's uuid cannot change", id)
	}
	file, err := s.nextFile(metadata, current.location)
	if err != nil {
		return planned{}, err
	}
	return planned{
		change:   Change{Table: id, From: current.location, To: file.location},
		file:     file,
		obsolete: obsolete(current.parsed, file.parsed),
	}, nil
}

// planCreate makes a staged table. The updates carry all of it, so they are
// applied to nothing; the format version comes first, since the rest is
// checked against it.
func (s *Server) planCreate(request commitRequest) (planned, error) {
	id := *request.Identifier
	for _, requirement := range request.Requirements {
		if err := requirement.Validate(nil); err != nil {
			return planned{}, commitFailed("create %s: %w", id, err)
		}
	}
	version, err := formatVersion(request.Updates)
	if err != nil {
		return planned{}, badRequest("create %s: %w", id, err)
	}
	builder, err := table.NewMetadataBuilder(version)
	if err != nil {
		return planned{}, badRequest("create %s: %w", id, err)
	}
	for _, update := range request.Updates {
		if err := update.Apply(builder); err != nil {
			return planned{}, badRequest("create %s: %w", id, err)
		}
	}
	metadata, err := builder.Build()
	if err != nil {
		return planned{}, badRequest("create %s: %w", id, err)
	}
	file, err := s.nextFile(metadata, "")
	if err != nil {
		return planned{}, err
	}
	change := Change{Table: id, UUID: file.parsed.TableUUID().String(), To: file.location}
	return planned{change: change, file: file}, nil
}

func (s *Server) nextFile(metadata table.Metadata, previous string) (*metadataFile, error) {
	if err := s.checkLocation(storage.Canonical(metadata.Location())); err != nil {
		return nil, err
	}
	return newMetadataFile(metadata, previous)
}

// land writes the metadata files and swaps the pointers. Files of a swap that
// did not happen are removed; of one that may have happened, none is
// (invariant 5).
func (s *Server) land(ctx context.Context, plans []planned) error {
	var changes []Change
	var written []string
	for _, plan := range plans {
		if err := s.writeMetadata(ctx, plan.file); err != nil {
			s.remove(ctx, written)
			return err
		}
		written = append(written, plan.file.location)
		changes = append(changes, plan.change)
	}
	err := s.swap(ctx, changes)
	if refused(err) {
		s.remove(ctx, written)
	}
	return err
}

// swap moves pointers, and says of other errors than refusals that the outcome
// is unknown.
func (s *Server) swap(ctx context.Context, changes []Change) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), swapTimeout)
	defer cancel()
	err := s.storage.Swap(ctx, changes)
	if err == nil || refused(err) {
		return err
	}
	return commitUnknown(fmt.Errorf("swap table pointers: %w", err))
}

// refused tells the errors of a Swap that say that nothing happened.
func refused(err error) bool {
	return errors.Is(err, ErrConflict) || errors.Is(err, ErrTableExists) || errors.Is(err, ErrNoSuchNamespace)
}

// remove deletes metadata files that nothing refers to. One that stays is
// litter for the removal of orphans.
func (s *Server) remove(ctx context.Context, locations []string) {
	if len(locations) == 0 {
		return
	}
	if err := s.store.Delete(context.WithoutCancel(ctx), locations...); err != nil {
		s.logger.Warn("metadata files not removed", "files", len(locations), "error", err)
	}
}

// removeObsolete deletes the metadata files that commits pushed out of their
// table's log, where the table asks for it.
func (s *Server) removeObsolete(ctx context.Context, plans []planned) {
	for _, plan := range plans {
		properties := iceberg.Properties(plan.file.parsed.Properties())
		if properties.GetBool(table.MetadataDeleteAfterCommitEnabledKey, table.MetadataDeleteAfterCommitEnabledDefault) {
			s.remove(ctx, plan.obsolete)
		}
	}
}

// obsolete lists the metadata files in the log of a table before and not after
// a commit.
func obsolete(before, after table.Metadata) []string {
	kept := map[string]bool{}
	for entry := range after.PreviousFiles() {
		kept[entry.MetadataFile] = true
	}
	var gone []string
	for entry := range before.PreviousFiles() {
		if !kept[entry.MetadataFile] {
			gone = append(gone, storage.Canonical(entry.MetadataFile))
		}
	}
	return gone
}

func creates(requirements table.Requirements) bool {
	for _, requirement := range requirements {
		if requirement.GetType() == table.AssertCreate().GetType() {
			return true
		}
	}
	return false
}

// formatVersion is that of the update that sets it, or the default.
func formatVersion(updates table.Updates) (int, error) {
	for _, update := range updates {
		if update.Action() != table.UpdateUpgradeFormatVersion {
			continue
		}
		encoded, err := json.Marshal(update)
		if err != nil {
			return 0, err
		}
		var body struct {
			Version int `json:"format-version"`
		}
		err = json.Unmarshal(encoded, &body)
		return body.Version, err
	}
	return table.DefaultFormatVersion, nil
}
