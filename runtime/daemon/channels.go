package daemon

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/calvelake/calve/plugins"
	"github.com/calvelake/calve/runtime/pipeline"
)

// channels follows the channels of the registry that models refer to. When one
// names another module, that is fetched, compiled and opened beside the running
// pipeline, which takes it between two epochs. It implements
// pipeline.Candidates.
type channels struct {
	channelsConfig
	stop   context.CancelFunc
	done   chan struct{}
	wake   chan struct{} // there is something to tell or to close
	failed bool          // the last telling did; it is told once

	mu        sync.Mutex
	all       []*channel
	fallbacks []plugins.Fallback // not told to the registry yet
	retired   []pipeline.Plugin  // that nothing calls any more
}

// channelsConfig is what channels work with.
type channelsConfig struct {
	registry *plugins.Registry
	pipeline string
	every    time.Duration // between two looks at a channel
	logger   *slog.Logger
	// open opens a version for all models that refer to it. An error that is a
	// fetchError may be gone the next time.
	open func(ctx context.Context, ref string, v plugins.Version) (map[string]pipeline.Plugin, error)
	// uses is told which version a reference stands for in this run.
	uses func(ref string, v plugins.Version)
}

// channel is one that models refer to. What the pipeline tells of it is under
// the lock of channels; the rest belongs to the goroutine that looks.
type channel struct {
	text    string // the reference
	ref     plugins.Ref
	seen    int64 // number of the last promotion that was dealt with
	warned  int64 // number of the last promotion of which a failure was told
	blind   bool  // the last look failed; it is told once
	digest  string
	plugins map[string]pipeline.Plugin // that run, by model
	trying  *attempt                   // nil if there is no candidate
}

// attempt is a candidate of a channel.
type attempt struct {
	promotion plugins.Promotion
	version   plugins.Version
	former    plugins.Version // that a run began on probation with; zero else
	candidate pipeline.Candidate
	taken     bool // by the pipeline, which has not decided on it
}

// fetchError: a module could not be read.
type fetchError struct{ error }

// Unwrap is for those who look for the reason.
func (e fetchError) Unwrap() error { return e.error }

// follow begins to look at channels. Close it when the pipeline has ended.
func follow(ctx context.Context, c channelsConfig, all []*channel) *channels {
	f := &channels{channelsConfig: c, all: all, done: make(chan struct{}), wake: make(chan struct{}, 1)}
	ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	go f.run(ctx)
	return f
}

// close ends the looking, tells what is to be told and closes what is retired.
func (f *channels) close() {
	f.stop()
	<-f.done
}

func (f *channels) run(ctx context.Context) {
	defer close(f.done)
	ticks := time.NewTicker(f.every)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			f.finish()
			return
		case <-f.wake:
			f.settle(ctx)
		case <-ticks.C:
			f.settle(ctx)
			for _, c := range f.all {
				f.look(ctx, c)
			}
		}
	}
}

// lastTelling bounds how long the end of a run waits for the registry.
const lastTelling = 10 * time.Second

// finish does what is left when the run has ended.
func (f *channels) finish() {
	ctx, cancel := context.WithTimeout(context.Background(), lastTelling)
	defer cancel()
	f.mu.Lock()
	for _, c := range f.all {
		if c.trying != nil && !c.trying.taken {
			f.retireLocked(c.trying.candidate.Plugins)
			c.trying = nil
		}
	}
	f.mu.Unlock()
	f.settle(ctx)
}

// Take implements pipeline.Candidates.
func (f *channels) Take() []pipeline.Candidate {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ready []pipeline.Candidate
	for _, c := range f.all {
		if c.trying != nil && !c.trying.taken {
			c.trying.taken = true
			ready = append(ready, c.trying.candidate)
		}
	}
	return ready
}

// Kept implements pipeline.Candidates.
func (f *channels) Kept(kept pipeline.Candidate) {
	f.mu.Lock()
	c, tried := f.triedLocked(kept.Ref)
	f.retireLocked(c.plugins)
	c.plugins, c.digest = kept.Plugins, kept.Digest
	f.mu.Unlock()
	f.uses(c.text, tried.version)
	f.poke()
}

// Refused implements pipeline.Candidates.
func (f *channels) Refused(r pipeline.Refusal) {
	f.mu.Lock()
	c, tried := f.triedLocked(r.Ref)
	f.retireLocked(r.Plugins)
	f.fallbacks = append(f.fallbacks, plugins.Fallback{
		Plugin: tried.promotion.Plugin, Channel: tried.promotion.Channel, Number: tried.promotion.Number,
		Version: tried.promotion.Version, Digest: r.Digest, Pipeline: f.pipeline, Epoch: r.Epoch, Former: r.Former, Reason: r.Reason,
	})
	f.mu.Unlock()
	if tried.former.Digest != "" {
		f.uses(c.text, tried.former)
	}
	f.poke()
}

// triedLocked ends the attempt of a reference's channel.
func (f *channels) triedLocked(ref string) (*channel, *attempt) {
	i := slices.IndexFunc(f.all, func(c *channel) bool { return c.text == ref })
	if i < 0 || f.all[i].trying == nil {
		panic("BUG: the pipeline decided on a candidate for " + ref + " that it was not given")
	}
	tried := f.all[i].trying
	f.all[i].trying = nil
	return f.all[i], tried
}

func (f *channels) retireLocked(all map[string]pipeline.Plugin) {
	for _, t := range all {
		f.retired = append(f.retired, t)
	}
}

func (f *channels) poke() {
	select {
	case f.wake <- struct{}{}:
	default: // it is awake already
	}
}

// settle closes what is retired and tells the registry of fallbacks. A telling
// that fails is repeated; without it the next start tries the version again.
func (f *channels) settle(ctx context.Context) {
	f.mu.Lock()
	retired, fallbacks := f.retired, f.fallbacks
	f.retired, f.fallbacks = nil, nil
	f.mu.Unlock()
	closePlugins(ctx, f.logger, retired...)
	for _, fallback := range fallbacks {
		err := f.registry.FallBack(ctx, fallback)
		if err == nil {
			f.failed = false
			continue
		}
		if !f.failed {
			f.logger.Warn("fallback not recorded in the plugin registry; without it the next start tries the version again",
				"plugin", fallback.Plugin, "version", fallback.Version, "error", err)
		}
		f.failed = true
		f.mu.Lock()
		f.fallbacks = append(f.fallbacks, fallback)
		f.mu.Unlock()
	}
}

// closePlugins frees plugins that nothing calls any more.
func closePlugins(ctx context.Context, logger *slog.Logger, all ...pipeline.Plugin) {
	for _, t := range all {
		if closer, ok := t.(interface{ Close(context.Context) error }); ok {
			if err := closer.Close(ctx); err != nil {
				logger.Warn("plugin not closed cleanly", "digest", t.Digest(), "error", err)
			}
		}
	}
}

// look finds out whether a channel names another module, and opens it. It costs
// a listing and a read where it does not.
func (f *channels) look(ctx context.Context, c *channel) {
	head, err := f.registry.Head(ctx, c.ref.Name, c.ref.Channel)
	if err != nil {
		if !c.blind && ctx.Err() == nil {
			f.logger.Warn("channel not looked at; it is tried again", "ref", c.text, "error", err)
		}
		c.blind = true
		return
	}
	c.blind = false
	if head.Number == c.seen || !f.clear(c) {
		return
	}
	if head.Digest == f.running(c) {
		c.seen = head.Number
		return
	}
	tried, err := f.try(ctx, c, head)
	if err != nil {
		f.told(ctx, c, head, err)
		return
	}
	c.seen = head.Number
	if tried != nil {
		f.mu.Lock()
		c.trying = tried
		f.mu.Unlock()
		f.logger.Info("plugin is ready, the next epoch takes it", "ref", c.text, "version", tried.version.Version, "digest", tried.version.Digest)
	}
}

// clear drops a candidate that the pipeline has not taken. It fails while the
// pipeline has one on probation.
func (f *channels) clear(c *channel) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.trying == nil {
		return true
	}
	if c.trying.taken {
		return false
	}
	f.retireLocked(c.trying.candidate.Plugins)
	c.trying = nil
	return true
}

// running is the module that models run.
func (f *channels) running(c *channel) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return c.digest
}

// try opens what a promotion names; nil if this pipeline fell back from it.
func (f *channels) try(ctx context.Context, c *channel, head plugins.Promotion) (*attempt, error) {
	before, err := f.registry.Fallback(ctx, head, f.pipeline)
	if err != nil {
		return nil, fetchError{err}
	}
	if before != nil {
		return nil, nil
	}
	v, err := f.registry.At(ctx, head)
	if err != nil && !permanent(err) {
		err = fetchError{err}
	}
	if err != nil {
		return nil, err
	}
	opened, err := f.open(ctx, c.text, v)
	if err != nil {
		return nil, err
	}
	return &attempt{promotion: head, version: v, candidate: pipeline.Candidate{Ref: c.text, Digest: v.Digest, Plugins: opened}}, nil
}

// told warns once of a promotion that cannot be taken. What could not be read is
// tried again.
func (f *channels) told(ctx context.Context, c *channel, head plugins.Promotion, err error) {
	if ctx.Err() != nil {
		return
	}
	if c.warned != head.Number {
		c.warned = head.Number
		f.logger.Warn("plugin is promoted and cannot be taken, the run keeps the one that it has",
			"ref", c.text, "version", head.Version, "digest", head.Digest, "kept", f.running(c), "error", err)
	}
	if !errors.As(err, new(fetchError)) {
		c.seen = head.Number
	}
}

// permanent tells whether asking the registry again gives the same answer.
func permanent(err error) bool {
	return errors.Is(err, plugins.ErrYanked) || errors.Is(err, plugins.ErrNotFound) || errors.Is(err, plugins.ErrCorrupt)
}
