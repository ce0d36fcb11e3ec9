package plugins

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Promotion is a channel's step to a version: object Number of the channel.
type Promotion struct {
	Format  int       `json:"format"`
	Plugin  string    `json:"plugin"`
	Channel string    `json:"channel"`
	Number  int64     `json:"number"` // from 1
	Version string    `json:"version"`
	Digest  string    `json:"digest"`
	By      string    `json:"by"`
	At      time.Time `json:"at"`
	Entry   string    `json:"entry"` // of the audit log
}

func (p *Promotion) format() int { return p.Format }

// Promote asks a channel to go to a version.
type Promote struct {
	Plugin  string `json:"-"`
	Channel string `json:"-"`
	Version string `json:"version"`
	By      string `json:"-"` // principal
}

// Promoted is where the channel is, and whether this call took it there. A
// channel that is at the version already is left as it is.
type Promoted struct {
	Promotion
	Changed bool `json:"changed"`
}

// Promote takes a channel to a version. To promote the version that the channel
// is at changes nothing, unless a pipeline fell back from it: then it names the
// version anew, and the pipeline tries it again. It fails with ErrConflict, which names
// the winner, if someone else promoted at the same time, and with ErrYanked.
func (r *Registry) Promote(ctx context.Context, p Promote) (Promoted, error) {
	if err := errors.Join(CheckName(p.Plugin), CheckChannel(p.Channel), CheckVersion(p.Version)); err != nil {
		return Promoted{}, err
	}
	v, err := r.version(ctx, p.Plugin, p.Version)
	if err != nil {
		return Promoted{}, err
	}
	if v.Yanked != nil {
		return Promoted{}, v.yankedError("promote another version")
	}
	head, err := r.head(ctx, p.Plugin, p.Channel)
	switch {
	case errors.Is(err, ErrNotFound):
	case err != nil:
		return Promoted{}, err
	case head.Version == p.Version:
		again, err := r.fellBack(ctx, head)
		if err != nil || !again {
			return Promoted{Promotion: head}, err
		}
	}
	next := Promotion{
		Format: formatVersion, Plugin: p.Plugin, Channel: p.Channel, Number: head.Number + 1,
		Version: p.Version, Digest: v.Digest, By: p.By, At: r.now().UTC(),
	}
	next.Entry, err = r.announce(ctx, Entry{
		Action: ActionPromote, Plugin: p.Plugin, Version: p.Version, Digest: v.Digest, By: p.By,
		Channel: p.Channel, Number: next.Number, Before: head.Version,
	})
	if err != nil {
		return Promoted{}, err
	}
	return r.advance(ctx, next)
}

// advance puts a promotion: its number is the fence.
func (r *Registry) advance(ctx context.Context, next Promotion) (Promoted, error) {
	body, err := json.Marshal(next)
	if err != nil {
		return Promoted{}, fmt.Errorf("encode promotion of %s: %w", next.Plugin, err)
	}
	name := promotionName(next.Plugin, next.Channel, next.Number)
	there, created, err := r.create(ctx, name, body)
	if err != nil {
		return Promoted{}, err
	}
	if created {
		return Promoted{Promotion: next, Changed: true}, nil
	}
	var won Promotion
	if err := decodeObject(name, there, &won); err != nil {
		return Promoted{}, err
	}
	if won.Version == next.Version {
		return Promoted{Promotion: won}, nil
	}
	return Promoted{}, fmt.Errorf("%w: %s promoted %s@%s to %s at %s, at the same time; promote again if %s is still wanted",
		ErrConflict, won.By, won.Plugin, won.Channel, won.Version, won.At.Format(time.RFC3339), next.Version)
}

// head is the promotion that a channel is at.
func (r *Registry) head(ctx context.Context, plugin, channel string) (Promotion, error) {
	heads, err := r.heads(ctx, plugin, channel)
	if err != nil {
		return Promotion{}, err
	}
	if len(heads) == 0 {
		return Promotion{}, fmt.Errorf("%w: plugin %s has no channel %s; calve plugin show %s lists them, and calve plugin promote makes one",
			ErrNotFound, plugin, channel, plugin)
	}
	return heads[0], nil
}

// heads are the promotions that a plugin's channels are at, by name; of one
// channel if it is named.
func (r *Registry) heads(ctx context.Context, plugin, channel string) ([]Promotion, error) {
	folder := "names/" + plugin + "/channels/"
	if channel != "" {
		folder += channel + "/"
	}
	names, err := r.list(ctx, folder)
	if err != nil {
		return nil, err
	}
	var heads []Promotion
	for i, name := range names { // the last of each channel has the highest number
		of, file := splitLast(name)
		if i+1 < len(names) {
			if next, _ := splitLast(names[i+1]); next == of {
				continue
			}
		}
		if channel != "" {
			of = channel
		}
		number, err := strconv.ParseInt(strings.TrimSuffix(file, ".json"), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: %s%s is no promotion", ErrCorrupt, folder, name)
		}
		var p Promotion
		if err := r.read(ctx, promotionName(plugin, of, number), &p); err != nil {
			return nil, err
		}
		heads = append(heads, p)
	}
	return heads, nil
}

func splitLast(name string) (folder, file string) {
	i := strings.LastIndexByte(name, '/')
	return name[:max(i, 0)], name[i+1:]
}

// promotionName has 20 digits, so that names sort as numbers do.
func promotionName(plugin, channel string, number int64) string {
	return fmt.Sprintf("names/%s/channels/%s/%020d.json", plugin, channel, number)
}
