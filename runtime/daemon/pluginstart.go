package daemon

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/plugins"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
)

// pluggedModels are a run's models, and the plugins among them that are not what
// the last epoch was derived by.
type pluggedModels struct {
	models     []pipeline.Model
	keyed      []keyedModel // with their plugins
	probations []pipeline.Probation
	formers    map[string]plugins.Version // by reference that is on probation
}

// startModels builds the models that a run begins with. Where a channel names
// another module than the last record, it is on probation, as one that is
// promoted while the run lasts; where it does not run, the former one is kept.
func startModels(ctx context.Context, p *project.Project, with tools, begin *lakehouse.Start, reset []string) (pluggedModels, error) {
	if with.registry != nil {
		with.registry.recorded = begin.Plugins
	}
	for {
		all := pluggedModels{formers: map[string]plugins.Version{}}
		var err error
		if all.models, err = models(ctx, p, with, begin.Tables); err == nil {
			all.keyed, err = startSessions(ctx, p, with, begin, reset)
		}
		var failed *openError
		switch {
		case err == nil:
			all.openFormers(ctx, p, with)
			return all, nil
		case with.registry == nil || !errors.As(err, &failed) || !with.registry.keepFormer(ctx, failed):
			return pluggedModels{}, err
		}
	}
}

// openFormers opens the former modules of plugins that begin on probation.
func (all *pluggedModels) openFormers(ctx context.Context, p *project.Project, with tools) {
	if with.registry == nil {
		return
	}
	for ref, digest := range with.registry.formers {
		probation := pipeline.Probation{
			Candidate:    pipeline.Candidate{Ref: ref, Digest: with.registry.resolved[ref].Digest, Plugins: all.plugins(ref)},
			FormerDigest: digest,
		}
		former, err := with.registry.former(ctx, ref, digest)
		if err == nil {
			all.formers[ref] = former
			probation.Former, err = all.openVersion(ctx, p, with, ref, former)
		}
		probation.Gone = err
		all.probations = append(all.probations, probation)
	}
}

// plugins are those of models of a reference, by model.
func (all pluggedModels) plugins(ref string) map[string]pipeline.Plugin {
	of := map[string]pipeline.Plugin{}
	for _, m := range all.models {
		if m.Plugin != nil && m.PluginRef == ref {
			of[m.Name] = m.Plugin
		}
	}
	for _, k := range all.keyed {
		if k.plugin != nil && k.Plugin.Ref == ref {
			of[k.Name] = k.plugin
		}
	}
	return of
}

// openVersion opens a version of a plugin for all models that refer to it. One
// that keeps other state of a session model than there is, is refused.
func (all pluggedModels) openVersion(ctx context.Context, p *project.Project, with tools, ref string, v plugins.Version) (_ map[string]pipeline.Plugin, err error) {
	module, err := with.registry.cached(ctx, v.Digest)
	if err != nil && !permanent(err) {
		err = fetchError{err}
	}
	if err != nil {
		return nil, err
	}
	made := map[string]pipeline.Plugin{}
	defer func() {
		if err != nil {
			closePlugins(ctx, with.registry.logger, slices.Collect(maps.Values(made))...)
		}
	}()
	for i := range p.Models {
		m := &p.Models[i]
		if m.Kind != project.KindStaging || m.Plugin == nil || m.Plugin.Ref != ref {
			continue
		}
		opened, err := opening{project: p, model: m, host: with.host}.open(ctx, module)
		if err != nil {
			return nil, err
		}
		made[m.Name] = opened
	}
	for i := range all.keyed {
		k := &all.keyed[i]
		if k.plugin == nil || k.Plugin.Ref != ref {
			continue
		}
		if k.dimension != nil {
			opened, err := openSCD(ctx, p, k, with.host, module)
			if err != nil {
				return nil, err
			}
			made[k.Name] = opened
			continue
		}
		opened, err := openSession(ctx, p, k, with.host, module)
		if err != nil {
			return nil, err
		}
		made[k.Name] = opened
		if err := opened.program.Follows(k.session); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// channelsEvery is how often a channel is looked at.
const channelsEvery = 5 * time.Second

// follow follows the channels that models refer to. It returns channels to close.
func (all pluggedModels) follow(ctx context.Context, p *project.Project, with tools, options RunOptions) *channels {
	c := channelsConfig{pipeline: p.Name, every: cmp.Or(options.ChannelsEvery, channelsEvery), logger: options.Logger}
	var refs []*channel
	if r := with.registry; r != nil {
		c.registry, c.uses = r.registry, r.use
		c.open = func(ctx context.Context, ref string, v plugins.Version) (map[string]pipeline.Plugin, error) {
			return all.openVersion(ctx, p, with, ref, v)
		}
		for text, head := range r.heads {
			refs = append(refs, all.channel(text, head, r.resolved[text]))
		}
	}
	return follow(ctx, c, refs)
}

// channel is a reference to a channel as the run begins with it.
func (all pluggedModels) channel(text string, head plugins.Promotion, running plugins.Version) *channel {
	c := &channel{text: text, ref: plugins.Ref{Name: head.Plugin, Channel: head.Channel}, seen: head.Number, digest: running.Digest, plugins: all.plugins(text)}
	for _, probation := range all.probations {
		if probation.Ref == text {
			c.digest, c.plugins = probation.FormerDigest, probation.Former
			c.trying = &attempt{promotion: head, version: running, former: all.formers[text], candidate: probation.Candidate, taken: true}
		}
	}
	return c
}
