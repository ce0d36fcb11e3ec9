package daemon

import (
	"context"
	"fmt"
	"slices"

	"github.com/calvelake/calve/plugins"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
)

// ShadowOption asks for a version of the plugin registry to run beside a model's
// plugin. What the reference means is decided when the run begins.
type ShadowOption struct {
	Model string
	Ref   string // name@channel, name@version or name@sha256:<digest>
}

// addShadows opens the plugins that run beside those of models.
func addShadows(ctx context.Context, p *project.Project, with tools, built []pipeline.Model, options []ShadowOption) error {
	for _, o := range options {
		i := slices.IndexFunc(built, func(m pipeline.Model) bool { return m.Name == o.Model })
		switch {
		case i < 0:
			return fmt.Errorf("shadow of model %s: project %s has no such model of kind staging", o.Model, p.Name)
		case built[i].Plugin == nil:
			return fmt.Errorf("shadow of model %s: the model has no plugin to be compared with", o.Model)
		case built[i].Shadow != nil:
			return fmt.Errorf("shadow of model %s: it has one already, %s; a model has one at a time", o.Model, built[i].Shadow.Ref)
		}
		m, _ := p.Model(o.Model)
		opened, version, err := openShadow(ctx, p, with, m, o.Ref)
		if err != nil {
			return fmt.Errorf("shadow of model %s: %s: %w", o.Model, o.Ref, err)
		}
		built[i].Shadow = &pipeline.Shadow{Plugin: opened, Ref: o.Ref}
		with.registry.logger.Info("shadow runs beside the plugin", "model", o.Model, "ref", o.Ref, "version", version, "digest", opened.Digest())
	}
	return nil
}

// openShadow opens a version for a model, which it cannot stop.
func openShadow(ctx context.Context, p *project.Project, with tools, m *project.Model, text string) (*plugin, string, error) {
	ref, err := plugins.ParseRef(text)
	if err != nil {
		return nil, "", err
	}
	v, err := with.registry.registry.Resolve(ctx, ref)
	if err != nil {
		return nil, "", err
	}
	module, err := with.registry.cached(ctx, v.Digest)
	if err != nil {
		return nil, "", err
	}
	opened, err := opening{project: p, model: m, host: with.host, spares: true}.open(ctx, module)
	return opened, v.Version, err
}
