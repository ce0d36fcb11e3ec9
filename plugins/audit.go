package plugins

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Action is what an entry of the audit log is about.
type Action string

// The actions.
const (
	ActionUpload  Action = "upload"
	ActionPromote Action = "promote"
	ActionYank    Action = "yank"
	// ActionFallback: a pipeline refused a version in its first epoch.
	ActionFallback Action = "fallback"
)

// Entry is one change of the registry in its audit log.
type Entry struct {
	Format  int       `json:"format"`
	ID      string    `json:"id"` // sorts by time
	Action  Action    `json:"action"`
	Plugin  string    `json:"plugin"`
	Version string    `json:"version"`
	Digest  string    `json:"digest"`
	By      string    `json:"by"`
	At      time.Time `json:"at"`
	Channel string    `json:"channel,omitempty"` // of a promotion, or a fallback from one
	Number  int64     `json:"number,omitempty"`  // of the promotion
	Before  string    `json:"before,omitempty"`  // version that the channel was at
	Reason  string    `json:"reason,omitempty"`  // of a yank or a fallback
	// Pipeline is the one that fell back.
	Pipeline string `json:"pipeline,omitempty"`

	// Done tells whether it happened. An entry is put before what it announces:
	// another may have won, or the process ended between the two.
	Done bool `json:"done"`
}

func (e *Entry) format() int { return e.Format }

// announce puts an entry, before what it announces, and returns its id.
func (r *Registry) announce(ctx context.Context, e Entry) (string, error) {
	at := r.now().UTC()
	e.Format, e.At = formatVersion, at
	e.ID = at.Format("20060102t150405.000000") + "-" + strings.ToLower(rand.Text()[:8])
	body, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("encode audit entry: %w", err)
	}
	_, created, err := r.create(ctx, "audit/"+e.ID+".json", body)
	if err == nil && !created {
		err = fmt.Errorf("%w: audit entry %s is there already", ErrConflict, e.ID)
	}
	if err != nil {
		return "", fmt.Errorf("log what is about to change: nothing was changed: %w", err)
	}
	return e.ID, nil
}

// AuditQuery selects entries.
type AuditQuery struct {
	Plugin string    // "" for all
	Since  time.Time // zero for the beginning
	Limit  int       // of the newest; 0 for all
}

// Audit reads the audit log, newest first.
func (r *Registry) Audit(ctx context.Context, q AuditQuery) ([]Entry, error) {
	names, err := r.list(ctx, "audit/")
	if err != nil {
		return nil, err
	}
	from := q.Since.UTC().Format("20060102t150405.000000")
	all := []Entry{}
	for _, name := range slices.Backward(names) {
		if q.Limit > 0 && len(all) == q.Limit || !q.Since.IsZero() && name < from {
			break
		}
		var e Entry
		if err := r.read(ctx, "audit/"+name, &e); err != nil {
			return nil, err
		}
		if q.Plugin != "" && e.Plugin != q.Plugin {
			continue
		}
		if e.Done, err = r.done(ctx, e); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// done tells whether what an entry announces is there and its own.
func (r *Registry) done(ctx context.Context, e Entry) (bool, error) {
	var entry string
	var err error
	switch e.Action {
	case ActionUpload:
		var v Version
		err = r.read(ctx, versionName(e.Plugin, e.Version), &v)
		entry = v.Entry
	case ActionPromote:
		var p Promotion
		err = r.read(ctx, promotionName(e.Plugin, e.Channel, e.Number), &p)
		entry = p.Entry
	case ActionYank:
		var y Yank
		err = r.read(ctx, yankName(e.Plugin, e.Version), &y)
		entry = y.Entry
	case ActionFallback:
		var f Fallback
		err = r.read(ctx, fallbackName(e.Plugin, e.Channel, e.Number, e.Pipeline), &f)
		entry = f.Entry
	}
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return entry == e.ID, err
}
