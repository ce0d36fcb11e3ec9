package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
)

// checkDefinitions refuses models that are defined otherwise than their state,
// before anything is read of that. What it cannot tell without their operators or
// plugins is left to pipeline.CheckKeyed.
func checkDefinitions(last int64, recorded []lakehouse.KeyedModel, compiled []keyedModel) error {
	var errs []error
	for i := range compiled {
		if err := checkDefinition(last, recorded, &compiled[i]); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func checkDefinition(last int64, recorded []lakehouse.KeyedModel, k *keyedModel) error {
	m := pipeline.KeyedModel{Name: k.Name}
	switch {
	case k.Model.Plugin != nil && k.plugin == nil: // its state is the plugin's too
		return nil
	case k.session != nil:
		m.Definition, m.Describes = sessionDefinition(k.session), k.session.Describe()
	case k.dimension != nil:
		m.Definition, m.Describes = dimensionDefinition(k), k.dimension.Describe()
	case k.fact != nil && k.Kind == project.KindFact:
		m.Definition, m.Describes = fmt.Sprintf("fact %08x", k.fact.StateVersion()), k.fact.Describe()
	default:
		return nil
	}
	for _, r := range recorded {
		if r.Name != k.Name {
			continue
		}
		if k.fact != nil { // what follows is of its dimensions
			r.Definition, _, _ = strings.Cut(r.Definition, ", keys of ")
		}
		return pipeline.CheckKeyed(&lakehouse.Start{Last: last, Keyed: []lakehouse.KeyedModel{r}}, []pipeline.KeyedModel{m})
	}
	return nil
}

// planKeyed says of which keyed models a run would refuse to begin.
func planKeyed(ctx context.Context, p *project.Project, logger *slog.Logger, plan *Plan) error {
	if catalogUnused(p) {
		return nil
	}
	compiled, err := compileKeyed(p)
	if err != nil || len(compiled) == 0 {
		return err
	}
	opened, err := OpenLakehouse(ctx, p, logger)
	if err != nil {
		return err
	}
	defer closeAndLog(logger, "catalog", opened.Close)
	tail, err := newLake(p, opened, logger).Log().Read(ctx)
	if err != nil {
		return fmt.Errorf("read epoch log: %w", err)
	}
	last := lastOf(tail)
	var recorded []lakehouse.KeyedModel
	for _, k := range last.keyed {
		recorded = append(recorded, k)
	}
	for i := range plan.Models {
		m := &plan.Models[i]
		for j := range compiled {
			if compiled[j].Name != m.Name {
				continue
			}
			if err := checkDefinition(last.number, recorded, &compiled[j]); err != nil {
				m.Problems = append(m.Problems, err.Error())
			}
		}
	}
	return nil
}
