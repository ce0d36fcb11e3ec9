package plugins

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Yank takes a version out of use: it is not resolved any more. Pipelines that
// run it go on, warned.
type Yank struct {
	Format  int       `json:"format"`
	Plugin  string    `json:"plugin"`
	Version string    `json:"version"`
	Reason  string    `json:"reason"`
	By      string    `json:"by"`
	At      time.Time `json:"at"`
	Entry   string    `json:"entry"` // of the audit log
}

func (y *Yank) format() int { return y.Format }

// YankRequest asks for a yank.
type YankRequest struct {
	Plugin  string `json:"-"`
	Version string `json:"-"`
	Reason  string `json:"reason"`
	By      string `json:"-"` // principal
}

// Yanked is the yank of a version, and whether this call made it.
type Yanked struct {
	Yank
	Changed  bool     `json:"changed"`
	Channels []string `json:"channels"` // that are at the version, and so resolve to nothing
}

// maxReason bounds the text of a yank, in bytes.
const maxReason = 2000

// Yank takes a version out of use, for good.
func (r *Registry) Yank(ctx context.Context, q YankRequest) (Yanked, error) {
	if err := errors.Join(CheckName(q.Plugin), CheckVersion(q.Version)); err != nil {
		return Yanked{}, err
	}
	if q.Reason == "" || len(q.Reason) > maxReason {
		return Yanked{}, fmt.Errorf("%w: a yank needs a reason, of %d bytes at most: those who run the version are told", ErrName, maxReason)
	}
	v, err := r.version(ctx, q.Plugin, q.Version)
	if err != nil {
		return Yanked{}, err
	}
	if v.Yanked != nil {
		return r.yanked(ctx, *v.Yanked, false)
	}
	y := Yank{Format: formatVersion, Plugin: q.Plugin, Version: q.Version, Reason: q.Reason, By: q.By, At: r.now().UTC()}
	y.Entry, err = r.announce(ctx, Entry{Action: ActionYank, Plugin: q.Plugin, Version: q.Version, Digest: v.Digest, By: q.By, Reason: q.Reason})
	if err != nil {
		return Yanked{}, err
	}
	body, err := json.Marshal(y)
	if err != nil {
		return Yanked{}, fmt.Errorf("encode yank of %s: %w", v.ID(), err)
	}
	there, created, err := r.create(ctx, yankName(q.Plugin, q.Version), body)
	if err != nil {
		return Yanked{}, err
	}
	if !created { // someone else did; it is yanked, which is what was asked
		if err := decodeObject(yankName(q.Plugin, q.Version), there, &y); err != nil {
			return Yanked{}, err
		}
	}
	return r.yanked(ctx, y, created)
}

func (r *Registry) yanked(ctx context.Context, y Yank, changed bool) (Yanked, error) {
	out := Yanked{Yank: y, Changed: changed, Channels: []string{}}
	heads, err := r.heads(ctx, y.Plugin, "")
	if err != nil {
		return out, err
	}
	for _, h := range heads {
		if h.Version == y.Version {
			out.Channels = append(out.Channels, h.Channel)
		}
	}
	return out, nil
}

// yank reads a version's yank; nil if it is not yanked.
func (r *Registry) yank(ctx context.Context, plugin, version string) (*Yank, error) {
	var y Yank
	err := r.read(ctx, yankName(plugin, version), &y)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &y, nil
}

// yankedError says why a yanked version is not used, and what to do.
func (v *Version) yankedError(then string) error {
	return fmt.Errorf("%w: %s, by %s at %s: %s; %s", ErrYanked, v.ID(), v.Yanked.By, v.Yanked.At.Format(time.RFC3339), v.Yanked.Reason, then)
}

func yankName(plugin, version string) string {
	return "names/" + plugin + "/yanks/" + version + ".json"
}
