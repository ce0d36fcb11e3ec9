package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

// Inferrer is an Operator of a dimension, in which facts infer members: those
// that they refer to, and that have not come yet.
type Inferrer interface {
	// EndInferred is called when all keyed models have ended. It returns the rows
	// of members that were inferred in the epoch, all of them new, which the
	// caller releases, and writes them to the state.
	EndInferred(ctx context.Context, watermark int64) (record.Changelog, error)
}

// follows are the models whose event time a keyed model waits for: those that it
// reads, and the dimensions that it refers to, whose changes move its keys.
func (m *KeyedModel) follows() []string { return slices.Concat(m.Inputs, m.Keys) }

// refersTo tells whether a model has keys of a dimension for which something holds.
func (m *KeyedModel) refersTo(all []keyed, holds func(keyed) bool) bool {
	return slices.ContainsFunc(all, func(d keyed) bool { return slices.Contains(m.Keys, d.Name) && holds(d) })
}

func recordedKeyed(start *lakehouse.Start, name string) bool {
	return slices.ContainsFunc(start.Keyed, func(k lakehouse.KeyedModel) bool { return k.Name == name })
}

// endInferred lets dimensions say which members the epoch's facts inferred.
func (p *Pipeline) endInferred(ctx context.Context, e *epoch) error {
	for i := range p.keyed {
		k := &p.keyed[i]
		operator, ok := k.Operator.(Inferrer)
		if !ok {
			continue
		}
		inferred, err := operator.EndInferred(ctx, p.watermark(k))
		if err != nil {
			return k.blame(fmt.Errorf("model %s: infer members: %w", k.Name, err))
		}
		err = p.checkInferred(k, inferred)
		if err == nil {
			e.inferred[k.Name] += int64(inferred.Len())
			err = e.handOn(ctx, k, inferred)
		}
		inferred.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// checkInferred refuses members of which models that have ended would not hear.
func (p *Pipeline) checkInferred(k *keyed, inferred record.Changelog) error {
	for _, other := range p.keyed {
		if inferred.Len() > 0 && other.Test == nil && slices.Contains(other.Inputs, k.Name) {
			return fmt.Errorf("BUG: model %s reads dimension %s, in which facts infer members", other.Name, k.Name)
		}
	}
	return nil
}
