package daemon

import (
	"context"
	"fmt"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/state"
)

// Collect removes objects of keyed state that nothing needs any more: those of
// epochs up to the log's floor that the floor's manifest does not name. Those of
// later epochs may belong to one that is not decided yet (invariant 11).
// Candidates are listed before what is needed is read.
func (s *keyedState) Collect(ctx context.Context, floor int64, at *lakehouse.StateManifest) error {
	if at == nil {
		return nil
	}
	var candidates []string
	for object, err := range s.objects.List(ctx, s.prefix+"/") {
		if err != nil {
			return fmt.Errorf("list objects of keyed state: %w", err)
		}
		if epoch := lakehouse.EpochOf(object.Location); epoch > 0 && epoch <= floor {
			candidates = append(candidates, object.Location)
		}
	}
	live, err := state.Live(ctx, s.objects, *manifestOf(at))
	if err != nil {
		return err
	}
	needed := map[string]bool{}
	for _, location := range live {
		needed[location] = true
	}
	var garbage []string
	for _, location := range candidates {
		if !needed[location] {
			garbage = append(garbage, location)
		}
	}
	if len(garbage) == 0 {
		return nil
	}
	if err := s.objects.Delete(ctx, garbage...); err != nil {
		return fmt.Errorf("remove %d objects of keyed state: %w", len(garbage), err)
	}
	return nil
}
