package lakehouse

import (
	"context"
	"errors"

	"github.com/calvelake/calve/lakehouse/storage"
)

// RequestProgress follows what the log says of a request.
type RequestProgress struct {
	lake *Lake
	log  *Log
	id   string
	read int64 // epochs up to here were looked at
	done *Request
	at   int64  // the epoch that says done
	last string // the table that it commits last, "" if it touches none
}

// Follow begins to follow a request.
func (l *Lake) Follow(id string) *RequestProgress {
	return &RequestProgress{lake: l, log: l.Log(), id: id}
}

// Look reads what was decided since it last looked. It returns how far the
// request has come, or nil if no epoch carried it on since; Done only when the
// tables show it.
func (p *RequestProgress) Look(ctx context.Context) (*Request, error) {
	newest, err := p.decided(ctx)
	if err != nil || p.done == nil {
		return newest, err
	}
	if p.last == "" {
		return p.done, nil
	}
	last, err := p.lake.verifiedTable(ctx, p.last)
	if err != nil {
		return nil, err
	}
	if last.problem != nil {
		return nil, last.problem
	}
	if last.progress.Epoch < p.at {
		return nil, nil // decided, and about to be committed
	}
	return p.done, nil
}

// decided reads the records above those that it read before.
func (p *RequestProgress) decided(ctx context.Context) (newest *Request, err error) {
	floor, err := p.log.floor(ctx)
	if err != nil {
		return nil, err
	}
	for _, done := range floor.Requests {
		if done.ID == p.id {
			p.done = &Request{ID: done.ID, Cursor: done.Cursor, Done: true}
		}
	}
	numbers, err := p.log.numbers(ctx, "epochs/")
	if err != nil {
		return nil, err
	}
	for _, n := range numbers {
		if n <= max(p.read, floor.Number) {
			continue
		}
		e, err := p.log.record(ctx, n)
		if errors.Is(err, storage.ErrNotExist) {
			return newest, nil // pruned since: the next look reads the floor
		}
		if err != nil {
			return nil, err
		}
		for _, r := range e.Requests {
			if r.ID != p.id {
				continue
			}
			if r.Done {
				p.done, p.at = &r, n
				if len(e.Changes) > 0 {
					p.last = e.Changes[len(e.Changes)-1].Table
				}
			} else {
				newest = &r
			}
		}
		p.read = n
	}
	return newest, nil
}
