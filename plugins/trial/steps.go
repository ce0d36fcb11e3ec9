package trial

import (
	"context"
	"errors"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/plugins/wasm"
)

// Step is one call into a plugin that can be made again and again.
type Step struct {
	Name  string // process, accumulate, merge, finish or decide
	Of    string // what it is given: rows, events, pairs of sessions, sessions or changes
	Rows  int    // how many
	Input []arrow.RecordBatch
	Run   func(ctx context.Context) (wasm.Usage, error)
}

// Steps makes the calls of a plugin of any kind for n rows: those that are
// given, over and over. Each time they are of other keys.
func (s *Subject) Steps(ctx context.Context, r Rows, n int) ([]Step, error) {
	if r.Len() == 0 {
		return nil, errors.New("there are no rows to run")
	}
	keep := make([]int, n)
	for i := range keep {
		keep[i] = i % r.Len()
	}
	many, err := r.Take(keep)
	if err != nil {
		return nil, err
	}
	switch {
	case s.session != nil:
		return s.sessionSteps(ctx, r, many)
	case s.scd != nil:
		return s.scdSteps(ctx, many)
	}
	process := func(ctx context.Context) (wasm.Usage, error) {
		result, err := s.transform.Process(ctx, many.Batch, wasm.Meta{}, wasm.NoWatermark)
		result.Release()
		return result.Usage, err
	}
	return []Step{{"process", "rows", n, []arrow.RecordBatch{many.Batch}, process}}, nil
}

func (s *Subject) sessionSteps(ctx context.Context, once, many Rows) ([]Step, error) {
	keyOf, firsts, err := once.keyNumbers()
	if err != nil {
		return nil, err
	}
	run := &sessions{plugin: s.session, rows: many}
	for i := range many.Len() {
		again := i / once.Len()
		run.keyOf = append(run.keyOf, keyOf[i%once.Len()]+again*len(firsts))
	}
	keys := 1 + slices.Max(run.keyOf)
	run.byKey = make([][]*session, keys)
	for key := range keys {
		run.firsts = append(run.firsts, firsts[key%len(firsts)])
	}
	groups := run.arrive(0, many.Len())
	events, err := run.events(groups)
	if err != nil {
		return nil, err
	}
	first, err := s.session.Accumulate(ctx, events.rows, events.groups, events.before)
	if err != nil {
		return nil, err
	}
	for i, g := range groups {
		run.keep(g, first.State.NewSlice(int64(i), int64(i)+1), nil)
	}
	finished, err := run.finished()
	if err != nil {
		return nil, err
	}
	update := func(u wasm.Update, err error) (wasm.Usage, error) {
		if err == nil {
			u.State.Release()
		}
		return u.Usage, err
	}
	return []Step{
		{"accumulate", "events", many.Len(), []arrow.RecordBatch{events.rows, events.before}, func(ctx context.Context) (wasm.Usage, error) {
			return update(s.session.Accumulate(ctx, events.rows, events.groups, events.before))
		}},
		{"merge", "pairs of sessions", len(groups), []arrow.RecordBatch{first.State, first.State}, func(ctx context.Context) (wasm.Usage, error) {
			return update(s.session.Merge(ctx, first.State, first.State))
		}},
		{"finish", "sessions", int(finished.NumRows()), []arrow.RecordBatch{finished}, func(ctx context.Context) (wasm.Usage, error) {
			result, err := s.session.Finish(ctx, finished, many.watermark)
			result.Release()
			return result.Usage, err
		}},
	}, nil
}

// scdSteps decides about changes of as many keys, half of which are new.
func (s *Subject) scdSteps(ctx context.Context, many Rows) ([]Step, error) {
	in := many.changes(s.scd.ChangeSchema())
	nothing := make([]raw, many.Len())
	for i := range nothing {
		nothing[i] = raw{}
	}
	before, err := toArrow(s.inForce, nothing)
	if err != nil {
		return nil, err
	}
	now := wasm.InForce{Rows: before, Absent: slices.Repeat([]bool{true}, many.Len())}
	first, err := s.scd.Decide(ctx, in, now)
	if err != nil {
		return nil, err
	}
	if now.Rows, err = joinRows([]arrow.RecordBatch{first.Attributes}); err != nil {
		return nil, err
	}
	for i := range now.Absent {
		now.Absent[i] = i%2 == 0
	}
	return []Step{{"decide", "changes", many.Len(), []arrow.RecordBatch{in, now.Rows}, func(ctx context.Context) (wasm.Usage, error) {
		d, err := s.scd.Decide(ctx, in, now)
		if err == nil {
			d.Attributes.Release()
		}
		return d.Usage, err
	}}}, nil
}
