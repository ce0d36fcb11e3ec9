package plugins

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Fallback is a pipeline's refusal of the version that a promotion took its
// channel to: it failed in its first epoch, and the pipeline runs the former one
// again. Other pipelines are not concerned.
type Fallback struct {
	Format   int       `json:"format"`
	Plugin   string    `json:"plugin"`
	Channel  string    `json:"channel"`
	Number   int64     `json:"number"` // of the promotion
	Version  string    `json:"version"`
	Digest   string    `json:"digest"`
	Pipeline string    `json:"pipeline"`
	Epoch    int64     `json:"epoch"`  // that was abandoned
	Former   string    `json:"former"` // digest that is used again
	Reason   string    `json:"reason"`
	At       time.Time `json:"at"`
	Entry    string    `json:"entry"` // of the audit log
}

func (f *Fallback) format() int { return f.Format }

// Head is the promotion that a channel is at. It costs a listing and a read.
func (r *Registry) Head(ctx context.Context, plugin, channel string) (Promotion, error) {
	if err := errors.Join(CheckName(plugin), CheckChannel(channel)); err != nil {
		return Promotion{}, err
	}
	return r.head(ctx, plugin, channel)
}

// At is the version that a promotion took its channel to. It fails with
// ErrYanked.
func (r *Registry) At(ctx context.Context, p Promotion) (Version, error) {
	v, err := r.version(ctx, p.Plugin, p.Version)
	if err == nil && v.Yanked != nil {
		err = fmt.Errorf("channel %s: %w", p.Channel, v.yankedError("promote another version to the channel"))
	}
	return v, err
}

// FallBack records that a pipeline fell back from a promotion: Plugin, Channel,
// Number, Version, Digest, Pipeline, Epoch, Former and Reason are the caller's.
// Once it is recorded it stays: a pipeline falls back from a promotion once.
func (r *Registry) FallBack(ctx context.Context, f Fallback) error {
	if err := errors.Join(CheckName(f.Plugin), CheckChannel(f.Channel), CheckVersion(f.Version), checkDigest(f.Digest)); err != nil {
		return err
	}
	there, err := r.Fallback(ctx, Promotion{Plugin: f.Plugin, Channel: f.Channel, Number: f.Number}, f.Pipeline)
	if err != nil || there != nil {
		return err
	}
	if len(f.Reason) > maxReason {
		f.Reason = strings.ToValidUTF8(f.Reason[:maxReason], "") + " …"
	}
	f.Format, f.At = formatVersion, r.now().UTC()
	f.Entry, err = r.announce(ctx, Entry{
		Action: ActionFallback, Plugin: f.Plugin, Version: f.Version, Digest: f.Digest, By: "pipeline " + f.Pipeline,
		Channel: f.Channel, Number: f.Number, Pipeline: f.Pipeline, Reason: f.Reason,
	})
	if err != nil {
		return err
	}
	body, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode fallback of %s: %w", f.Pipeline, err)
	}
	_, _, err = r.create(ctx, fallbackName(f.Plugin, f.Channel, f.Number, f.Pipeline), body)
	return err
}

// Fallback is a pipeline's from a promotion; nil if there is none.
func (r *Registry) Fallback(ctx context.Context, p Promotion, pipeline string) (*Fallback, error) {
	var f Fallback
	err := r.read(ctx, fallbackName(p.Plugin, p.Channel, p.Number, pipeline), &f)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &f, nil
}

// fellBack tells whether any pipeline fell back from a promotion. Then the same
// version may be promoted once more, which asks the pipeline to try it again.
func (r *Registry) fellBack(ctx context.Context, p Promotion) (bool, error) {
	names, err := r.list(ctx, fallbackFolder(p.Plugin, p.Channel, p.Number))
	return len(names) > 0, err
}

func fallbackFolder(plugin, channel string, number int64) string {
	return fmt.Sprintf("names/%s/fallbacks/%s/%020d/", plugin, channel, number)
}

func fallbackName(plugin, channel string, number int64, pipeline string) string {
	return fallbackFolder(plugin, channel, number) + pipeline + ".json"
}
