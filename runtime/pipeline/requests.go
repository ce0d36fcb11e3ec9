package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/calvelake/calve/lakehouse"
)

// requests are what other commands ask of the writer (replays of dead letters).
// One is carried out at a time, over one epoch or several; its progress is in
// the epochs' records and in the table of dead letters, so that whoever takes
// over goes on with it.
type requests struct {
	objects *lakehouse.Requests
	done    map[string]lakehouse.DoneRequest // by id; their objects may still be there
	there   map[string]bool                  // objects that the last listing showed
	unread  map[string]bool                  // requests that cannot be read; each is told once
	looked  time.Time
	active  *activeRequest // nil if none is being carried out
	pending bool           // there may be more to do
}

// activeRequest is the request that is being carried out.
type activeRequest struct {
	lakehouse.LetterRequest
	open   *lakehouse.OpenLetters
	result lakehouse.RequestResult
	// unchangeable says why a model's table cannot take a change that letters of
	// the request need.
	unchangeable map[modelChange]error
}

// requestsKept is how long a request that is done is remembered after its
// object is gone: a PUT of it that was lost on its way must not come up later
// as a new one.
const requestsKept = 24 * time.Hour

func newRequests(parts Parts) requests {
	r := requests{done: map[string]lakehouse.DoneRequest{}, there: map[string]bool{}, unread: map[string]bool{}}
	if parts.Lake != nil {
		r.objects = parts.Lake.Requests()
	}
	for _, d := range parts.Start.Requests {
		r.done[d.ID] = d
	}
	return r
}

// carryOut goes on with the oldest request that is not done, for at most half
// of the epoch, so that new records go on meanwhile.
func (p *Pipeline) carryOut(ctx, due context.Context, e *epoch) error {
	r := &p.requests
	if r.active == nil {
		if err := p.takeRequest(ctx, e); err != nil || r.active == nil {
			return err
		}
	}
	half, cancel := context.WithTimeout(due, p.config.Interval/2)
	defer cancel()
	var err error
	if r.active.Kind == lakehouse.RequestReconcile {
		err = p.reconcile(ctx, e, r.active)
	} else {
		err = p.replay(ctx, half, e, r.active)
	}
	if stopped(ctx, err) {
		if r.active.Kind == lakehouse.RequestReconcile {
			return err // a part of a chunk was taken
		}
		return nil // what was taken by then is committed
	}
	if err != nil {
		return fmt.Errorf("carry out request %s (%s): %w; it is tried again at the next start, unless its object %s is removed",
			r.active.ID, r.active.Kind, err, r.objects.Location(r.active.ID))
	}
	return nil
}

// takeRequest looks for the oldest request that is not done, every few seconds
// at most; a run that ends looks each time.
func (p *Pipeline) takeRequest(ctx context.Context, e *epoch) error {
	r, now := &p.requests, p.parts.Now()
	if p.config.Until == nil && now.Sub(r.looked) < p.config.requestsEvery() {
		return nil
	}
	r.looked, r.pending = now, false
	request, err := r.next(ctx, p)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil
	case err != nil && p.config.Until != nil:
		return fmt.Errorf("look for requests: %w", err)
	case err != nil:
		p.parts.Logger.Warn("requests not looked up; it is tried again later", "error", err)
		return nil
	case request == nil:
		return nil
	}
	if request.Kind == lakehouse.RequestReconcile {
		r.active, r.pending = &activeRequest{LetterRequest: *request}, true
		p.parts.Logger.Info("request taken", "request", request.ID, "kind", string(request.Kind), "by", request.CreatedBy, "model", request.Filter.Models[0])
		return nil
	}
	query := lakehouse.LetterQuery{Request: request.ID, Filter: request.Filter, Before: e.number}
	if request.Kind == lakehouse.RequestReplay {
		query.Models = []string{}
		for _, m := range p.parts.Models {
			query.Models = append(query.Models, m.Name)
		}
	}
	open, err := p.parts.Lake.OpenLetters(ctx, query)
	if err != nil && ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find the dead letters of request %s: %w", r.objects.Location(request.ID), err)
	}
	r.active, r.pending = &activeRequest{LetterRequest: *request, open: open, result: open.Done()}, true
	p.parts.Logger.Info("request taken", "request", request.ID, "kind", string(request.Kind), "by", request.CreatedBy, "letters", open.Len())
	return nil
}

// next lists the requests and reads the oldest that is not done; nil if there
// is none. It removes those that are.
func (r *requests) next(ctx context.Context, p *Pipeline) (*lakehouse.LetterRequest, error) {
	ids, err := r.objects.List(ctx)
	if err != nil {
		return nil, err
	}
	r.there = map[string]bool{}
	var left []string
	for _, id := range ids {
		if _, done := r.done[id]; done {
			left = append(left, id)
		}
		r.there[id] = true
	}
	if len(left) > 0 {
		p.removeRequests(ctx, left...)
	}
	for _, id := range ids {
		if _, done := r.done[id]; done || r.unread[id] {
			continue
		}
		request, err := r.objects.Read(ctx, id)
		switch {
		case err == nil:
			return &request, nil
		case errors.Is(err, lakehouse.ErrNoRequest):
			continue // removed since it was listed
		case errors.Is(err, lakehouse.ErrRequest):
			r.unread[id] = true
			p.parts.Logger.Warn("request is left alone", "error", err)
		default:
			return nil, err
		}
	}
	return nil, nil
}

// removeRequests removes objects of requests that are done and committed. One
// that stays is removed when it is listed again.
func (p *Pipeline) removeRequests(ctx context.Context, ids ...string) {
	if err := p.requests.objects.Remove(ctx, ids...); err != nil {
		p.parts.Logger.Warn("requests that are done not removed; it is tried again later", "error", err)
		return
	}
	for _, id := range ids {
		delete(p.requests.there, id)
	}
}

// requestCommitted takes note of what an epoch carried on.
func (p *Pipeline) requestCommitted(ctx context.Context, e *lakehouse.Epoch) {
	for _, done := range e.Requests {
		if !done.Done {
			continue
		}
		p.requests.done[done.ID] = lakehouse.DoneRequest{ID: done.ID, Cursor: done.Cursor, DoneAt: e.DecidedAt}
		if a := p.requests.active; a != nil && a.ID == done.ID {
			p.requests.active = nil
		}
		p.parts.Logger.Info("request carried out", "request", done.ID, "result", done.Cursor)
		p.removeRequests(ctx, done.ID)
	}
}

// kept are the requests that the floor of the log must remember.
func (r *requests) kept(now time.Time) []lakehouse.DoneRequest {
	var kept []lakehouse.DoneRequest
	for _, id := range slices.Sorted(maps.Keys(r.done)) {
		d := r.done[id]
		if r.there[id] || now.Sub(time.UnixMicro(d.DoneAt)) < requestsKept {
			kept = append(kept, d)
		} else {
			delete(r.done, id)
		}
	}
	return slices.Clip(kept)
}

// record is what an epoch's record says of the request that it carried on.
func (a *activeRequest) record() *lakehouse.Request {
	return &lakehouse.Request{ID: a.ID, Cursor: a.result.Encode(), Done: a.open.Len() == 0}
}

func (c Config) requestsEvery() time.Duration {
	if c.RequestsEvery > 0 {
		return c.RequestsEvery
	}
	return 3 * time.Second
}
