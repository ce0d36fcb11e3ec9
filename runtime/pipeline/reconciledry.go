package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

// DryReconcile tells what a request to reconcile a model would change, in its table
// and in those of models that refer to it, and writes nothing but to parts.State,
// which the caller drops. parts are those of a pipeline that goes on behind the last
// epoch, without readers. With a writer at work the counts are of about the time at
// which it was begun.
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
	group, err := p.beginRework(k, "dry-run")
	if err != nil {
		return result, err
	}
	if behind := p.othersBehind(group); behind != "" {
		return result, fmt.Errorf("%w: model %s, which it depends on, takes in its own inputs' tables first; try again when calve status shows that it has caught up", ErrNotReconciled, behind)
	}
	for _, member := range group {
		if err := p.dryCatchUp(ctx, e, member); err != nil {
			return result, err
		}
	}
	if err := p.endInferred(ctx, e); err != nil {
		return result, err
	}
	for _, member := range group {
		one, err := e.dryCompare(ctx, member)
		if err != nil {
			return result, err
		}
		result.Join(one)
	}
	return result, nil
}

// othersBehind is a model that any of a group reads or refers to, not of the group
// itself, and that takes in its inputs' tables; "" for none.
func (p *Pipeline) othersBehind(group []*keyed) string {
	for i := range p.keyed {
		other := &p.keyed[i]
		if other.behind == nil || slices.Contains(group, other) {
			continue
		}
		if slices.ContainsFunc(group, func(k *keyed) bool { return slices.Contains(k.follows(), other.Name) }) {
			return other.Name
		}
	}
	return ""
}

// dryCatchUp lets a model take in all that its inputs' tables hold. Those that it
// refers to have done so.
func (p *Pipeline) dryCatchUp(ctx context.Context, e *epoch, k *keyed) error {
	for k.behind != nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := p.catchUpOne(ctx, e, k); err != nil {
			return fmt.Errorf("model %s takes in what its input's table holds: %w", k.Name, err)
		}
		changes, err := k.Operator.End(ctx, p.end(k))
		if err != nil {
			return fmt.Errorf("model %s: %w", k.Name, err)
		}
		err = e.handOn(ctx, k, changes)
		changes.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// dryCompare counts what differs between a model's table and the rows that were
// made anew.
func (e *epoch) dryCompare(ctx context.Context, k *keyed) (lakehouse.RequestResult, error) {
	var result lakehouse.RequestResult
	held, err := e.p.heldRows(k)
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
