package pipeline

import (
	"context"
	"fmt"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

// DryReconcile tells what a request to reconcile a model would change, and writes
// nothing but to parts.State, which the caller drops. parts are those of a pipeline
// that goes on behind the last epoch, without readers. With a writer at work the
// counts are of about the time at which it was begun.
func DryReconcile(ctx context.Context, config Config, parts Parts, model string) (lakehouse.RequestResult, error) {
	var result lakehouse.RequestResult
	p := New(config, parts)
	p.dry = true
	k := p.keyedModel(model)
	if err := CheckReconciled(model, k.model()); err != nil {
		return result, err
	}
	e := p.begin()
	defer e.abort()
	k.rework = &rework{Rework: lakehouse.Rework{Shown: p.shownAt(k), Request: "dry-run", Until: p.last}}
	if err := p.rebegin(k); err != nil {
		return result, err
	}
	if p.waits(k) || p.inputBehind(k) {
		return result, fmt.Errorf("%w: a model that %s depends on takes in its own inputs' tables first; try again when calve status shows that it has caught up", ErrNotReconciled, model)
	}
	for k.behind != nil {
		if err := ctx.Err(); err != nil {
			return result, err
		}
		if err := p.catchUpOne(ctx, e, k); err != nil {
			return result, fmt.Errorf("model %s takes in what its input's table holds: %w", model, err)
		}
		changes, err := k.Operator.End(ctx, p.watermark(k))
		if err != nil {
			return result, fmt.Errorf("model %s: %w", model, err)
		}
		err = e.handOn(ctx, k, changes)
		changes.Release()
		if err != nil {
			return result, err
		}
	}
	held, err := p.heldRows(k)
	if err != nil {
		return result, err
	}
	err = held.compare(ctx, func(changes record.Changelog) error {
		for _, op := range changes.Ops {
			result.Count(op)
		}
		return nil
	})
	if err != nil {
		return result, err
	}
	return result, e.resolveReconciled(ctx, k, held, &result)
}
