package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/session"
)

// sessionDefinition tells what the state of sessions depends on, for the record.
func sessionDefinition(p *session.Program) string {
	return fmt.Sprintf("session %08x", p.StateVersion())
}

// startSessions compiles the keyed models of a project and opens their plugins.
// reset are the models that begin anew, so that what they kept does not count.
func startSessions(ctx context.Context, p *project.Project, with tools, begin *lakehouse.Start, reset []string) (_ []keyedModel, err error) {
	all, err := compileKeyed(p)
	if err != nil {
		return nil, err
	}
	if err := checkReset(reset, all); err != nil {
		return nil, err
	}
	defer func() {
		for _, k := range all {
			if err != nil && k.plugin != nil {
				err = errors.Join(err, k.plugin.Close(ctx))
			}
		}
	}()
	for i := range all {
		k := &all[i]
		if err := k.openPlugin(ctx, p, with); err != nil {
			return nil, fmt.Errorf("%s:%d: model %s: %w", k.File, k.Line, k.Name, err)
		}
		if k.plugin == nil || with.registry == nil || with.registry.formers[k.Plugin.Ref] == "" || slices.Contains(reset, k.Name) {
			continue
		}
		if err := goesOn(k, begin); err != nil {
			return nil, fmt.Errorf("%s:%d: model %s: %w", k.File, k.Line, k.Name, &openError{ref: k.Plugin.Ref, error: err})
		}
	}
	return all, nil
}

// openPlugin reads the plugin of a session model or dimension, if it has one, and
// opens it for the model, whose sessions are compiled for it.
func (k *keyedModel) openPlugin(ctx context.Context, p *project.Project, with tools) error {
	if k.session == nil && k.dimension == nil || k.Plugin == nil {
		return nil
	}
	module, err := readModule(ctx, p, k.Model, with.registry)
	if err != nil {
		return fmt.Errorf("plugin %s: %w", k.Plugin.Ref, err)
	}
	if k.dimension != nil {
		return k.openDecider(ctx, p, with, module)
	}
	opened, err := openSession(ctx, p, k, with.host, module)
	if err != nil {
		return &openError{ref: k.Plugin.Ref, error: err}
	}
	k.plugin, k.session = opened, opened.program
	return nil
}

// goesOn refuses a module, other than that of the last epoch, that keeps other
// state than the last record has. A dimension keeps none of its plugin.
func goesOn(k *keyedModel, begin *lakehouse.Start) error {
	if k.session == nil {
		return nil
	}
	for _, recorded := range begin.Keyed {
		if recorded.Name == k.Name && recorded.Definition != sessionDefinition(k.session) {
			return fmt.Errorf("%w than model %s has after epoch %d; start with --reset-model %s, which makes all its rows anew",
				session.ErrOtherState, k.Name, begin.Last, k.Name)
		}
	}
	return nil
}

// closeKeyed closes the plugins that keyed models end with.
func closeKeyed(models []pipeline.KeyedModel) error {
	var errs []error
	for _, m := range models {
		if closer, ok := m.Plugin.(interface{ Close(context.Context) error }); ok {
			errs = append(errs, closer.Close(context.Background()))
		}
	}
	return errors.Join(errs...)
}

// Swap implements pipeline.Swapper.
func (s *sessions) Swap(next pipeline.KeyedPlugin) error {
	plugin, ok := next.(*sessionPlugin)
	if !ok {
		return fmt.Errorf("BUG: sessions are given %T as their plugin", next)
	}
	return s.Operator.Swap(plugin.program)
}
