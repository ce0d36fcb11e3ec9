package pipeline

import (
	"context"
	"fmt"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

// changer collects the changes of a keyed model's table.
func (e *epoch) changer(k *keyed) (*lakehouse.ChangeWriter, error) {
	name := k.Table.ID.String()
	if w, ok := e.changers[name]; ok {
		return w, nil
	}
	w, err := k.Table.NewChangeWriter(e.names, lakehouse.ChangeConfig{Allocator: e.p.parts.Allocator})
	if err != nil {
		return nil, err
	}
	e.changers[name] = w
	return w, nil
}

// writeChanges adds what a keyed model changed to what its table's files will
// show.
func (e *epoch) writeChanges(ctx context.Context, k *keyed, changes record.Changelog) error {
	if k.Table == nil {
		return nil
	}
	w, err := e.changer(k)
	if err != nil {
		return err
	}
	if err := w.Write(ctx, changes); err != nil {
		return k.unfit(fmt.Errorf("write changes of model %s: %w", k.Name, err))
	}
	return nil
}

// keyedChanges writes what keyed models changed in their tables: files to add
// and files that they replace.
func (p *Pipeline) keyedChanges(ctx context.Context, e *epoch) ([]lakehouse.TableChange, error) {
	var changes []lakehouse.TableChange
	for _, k := range p.keyed {
		if k.Table == nil {
			continue
		}
		name := k.Table.ID.String()
		w, ok := e.changers[name]
		if !ok {
			continue
		}
		made, err := w.Close(ctx, p.tables[name], e.counts(k.Name))
		if err != nil {
			return nil, k.unfit(fmt.Errorf("rewrite files of %s: %w", name, err))
		}
		changes = append(changes, made)
	}
	return changes, nil
}
