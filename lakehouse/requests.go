package lakehouse

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/runtime/record"
)

// RequestKind is what a command asks the active writer to do.
type RequestKind string

// The kinds of requests.
const (
	RequestReplay  RequestKind = "replay"  // run dead letters through the present models
	RequestDiscard RequestKind = "discard" // give dead letters up
	// RequestReconcile makes the rows of the one keyed model of Filter.Models anew
	// from its inputs' tables, late events included.
	RequestReconcile RequestKind = "reconcile"
)

func (k RequestKind) known() bool {
	return k == RequestReplay || k == RequestDiscard || k == RequestReconcile
}

// LetterRequest is what a command asks of the active writer, as the object
// <warehouse>/_calve/<pipeline>/requests/<id>.
//
// # Format, version 1
//
// One JSON object with the members below. Times are µs since 1970-01-01 UTC. A
// reader refuses a version or a member that it does not know: a filter that is
// only half understood must not be carried out.
//
// The object is create-only. The writer takes the oldest by id, carries it out
// over one epoch or several, says in the last epoch's record that it is done
// (Epoch.Requests), and removes the object after that epoch is committed. What
// keeps a request from being carried out again is the record, then the floor
// (Floor.Requests); and the table of dead letters, whose resolutions name it.
type LetterRequest struct {
	Version   int          `json:"version"`
	ID        string       `json:"id"`
	Kind      RequestKind  `json:"kind"`
	Filter    LetterFilter `json:"filter"`
	CreatedAt int64        `json:"created_at"`
	CreatedBy string       `json:"created_by"` // user@host, for people
}

// RequestVersion is the version of the request format that this code writes.
const RequestVersion = 1

// NewLetterRequest makes a request whose id sorts by time.
func NewLetterRequest(kind RequestKind, filter LetterFilter, by string, now time.Time) LetterRequest {
	return LetterRequest{
		Version: RequestVersion, ID: now.UTC().Format("20060102t150405.000000") + "-" + NewNonce()[:8],
		Kind: kind, Filter: filter, CreatedAt: now.UnixMicro(), CreatedBy: by,
	}
}

// RequestResult is what a request did so far; it is the Cursor of a Request in
// an epoch record, as JSON.
type RequestResult struct {
	Replayed  int64 `json:"replayed"`
	Refused   int64 `json:"refused"`
	Filtered  int64 `json:"filtered"`
	Discarded int64 `json:"discarded"`
	// NoModel are letters of models that the project does not have any more:
	// they stay open.
	NoModel int64 `json:"no_model"`
	// Created, Updated and Deleted are rows of a table that was reconciled.
	Created int64 `json:"created,omitempty"`
	Updated int64 `json:"updated,omitempty"`
	Deleted int64 `json:"deleted,omitempty"`
	// Problem is why the request was not carried out.
	Problem string `json:"problem,omitempty"`
}

// Add counts a letter.
func (r *RequestResult) Add(o Outcome) {
	switch o {
	case Replayed:
		r.Replayed++
	case Refused:
		r.Refused++
	case Filtered:
		r.Filtered++
	case Discarded:
		r.Discarded++
	}
}

// Count counts a changed row.
func (r *RequestResult) Count(op record.Op) {
	switch op {
	case record.OpCreate:
		r.Created++
	case record.OpUpdate:
		r.Updated++
	case record.OpDelete:
		r.Deleted++
	}
}

// Join adds what became of another model for the same request.
func (r *RequestResult) Join(other RequestResult) {
	r.Replayed += other.Replayed
	r.Refused += other.Refused
	r.Filtered += other.Filtered
	r.Discarded += other.Discarded
	r.NoModel += other.NoModel
	r.Created += other.Created
	r.Updated += other.Updated
	r.Deleted += other.Deleted
}

// Encode renders the result for a Request's Cursor.
func (r RequestResult) Encode() string {
	text, _ := json.Marshal(r) // integers always encode
	return string(text)
}

// DecodeRequestResult is the inverse of Encode.
func DecodeRequestResult(cursor string) (RequestResult, error) {
	var r RequestResult
	if err := json.Unmarshal([]byte(cursor), &r); err != nil {
		return r, fmt.Errorf("decode the result of a request: %w", err)
	}
	return r, nil
}

// DoneRequest is a request that was carried out.
type DoneRequest struct {
	ID     string `json:"id"`
	Cursor string `json:"cursor"`
	DoneAt int64  `json:"done_at"` // µs, when the epoch was decided
}

// doneRequests are those of a log, by id.
func doneRequests(tail Tail) []DoneRequest {
	done := slices.Clone(tail.Floor.Requests)
	for _, e := range tail.Epochs {
		for _, r := range e.Requests {
			if r.Done {
				done = append(done, DoneRequest{ID: r.ID, Cursor: r.Cursor, DoneAt: e.DecidedAt})
			}
		}
	}
	return done
}

// ErrRequest: a request's object is damaged or of a newer version.
var ErrRequest = errors.New("request cannot be read")

// ErrNoRequest: a request's object is not there, or not any more.
var ErrNoRequest = errors.New("there is no such request")

// Requests are the requests to a pipeline's writer that wait, or were not
// removed yet.
type Requests struct {
	store  storage.Store
	dir    string // <warehouse>/_calve/<pipeline>/requests/
	logger *slog.Logger
	pause  func(ctx context.Context, attempt int) error
}

// Requests opens the pipeline's requests.
func (l *Lake) Requests() *Requests {
	return &Requests{store: l.store, dir: l.Log().dir + "/requests/", logger: l.logger, pause: l.pause}
}

// Put asks for something. A PUT without a definite answer is repeated with
// identical bytes until the object exists (invariant 5). If ctx ends before,
// it is unknown whether the request is there.
func (r *Requests) Put(ctx context.Context, request LetterRequest) error {
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encode request %s: %w", request.ID, err)
	}
	sent := false
	for attempt := 0; ; attempt++ {
		err := r.store.Put(ctx, r.dir+request.ID, body)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, storage.ErrExists) && sent:
			return nil // the id is of this call alone
		case definite(err) && !sent, errors.Is(err, storage.ErrExists):
			return fmt.Errorf("write request %s: %w", r.dir+request.ID, err)
		}
		sent = true
		r.logger.Warn("request not confirmed, repeating it", "request", request.ID, "attempt", attempt+1, "error", err)
		if pauseErr := r.pause(ctx, attempt); pauseErr != nil {
			return fmt.Errorf("write request %s: %w: %w", r.dir+request.ID, ErrUndecided, err)
		}
	}
}

// List returns the ids of all requests that are there, oldest first. It costs
// one listing.
func (r *Requests) List(ctx context.Context) ([]string, error) {
	var ids []string
	for object, err := range r.store.List(ctx, r.dir) {
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", r.dir, err)
		}
		ids = append(ids, strings.TrimPrefix(object.Location, r.dir))
	}
	slices.Sort(ids)
	return ids, nil
}

// Location is where a request's object is.
func (r *Requests) Location(id string) string { return r.dir + id }

// Read returns a request, or fails with ErrNoRequest or ErrRequest.
func (r *Requests) Read(ctx context.Context, id string) (LetterRequest, error) {
	body, err := r.store.Get(ctx, r.dir+id)
	if errors.Is(err, storage.ErrNotExist) {
		return LetterRequest{}, fmt.Errorf("%w: %s", ErrNoRequest, r.dir+id)
	}
	if err != nil {
		return LetterRequest{}, fmt.Errorf("read request %s: %w", r.dir+id, err)
	}
	var q LetterRequest
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	err = decoder.Decode(&q)
	switch {
	case q.Version > RequestVersion:
		return q, fmt.Errorf("%w: %s is of version %d, this calve reads %d; run the newer calve", ErrRequest, r.dir+id, q.Version, RequestVersion)
	case err != nil:
		return q, fmt.Errorf("%w: %s: %w; remove the object and ask again", ErrRequest, r.dir+id, err)
	case q.ID != id || path.Base(id) != id:
		return q, fmt.Errorf("%w: %s says that its id is %q; remove the object and ask again", ErrRequest, r.dir+id, q.ID)
	case !q.Kind.known():
		return q, fmt.Errorf("%w: %s asks for %q, this calve can replay, discard and reconcile", ErrRequest, r.dir+id, q.Kind)
	case q.Kind == RequestReconcile && len(q.Filter.Models) != 1:
		return q, fmt.Errorf("%w: %s asks to reconcile %d models, it can be one; remove the object and ask again", ErrRequest, r.dir+id, len(q.Filter.Models))
	}
	return q, nil
}

// Remove removes requests that are done.
func (r *Requests) Remove(ctx context.Context, ids ...string) error {
	locations := make([]string, len(ids))
	for i, id := range ids {
		locations[i] = r.dir + id
	}
	if err := r.store.Delete(ctx, locations...); err != nil {
		return fmt.Errorf("remove %d requests: %w", len(ids), err)
	}
	return nil
}
