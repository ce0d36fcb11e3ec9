package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

// ErrDefinition: a keyed model is not defined as its state was made by.
var ErrDefinition = errors.New("the model's state was made by another definition")

// behind is how far a keyed model is that began when its inputs' tables had
// rows already. It takes these in first, from the tables, by the epochs that
// wrote them; what is read meanwhile it takes from the tables as well. Only when
// it has taken all is it given rows as they come.
type behind struct {
	epoch     int64 // the last whose rows it has taken
	watermark int64 // that its operator has seen
	loaded    bool
	// until is the epoch up to which nothing is late, 0 for none: its operator
	// sees no watermark before it has all of it, and then steps, one an epoch.
	until   int64
	steps   []step
	history []past // of all staging models that it reads, in order of epochs
	// marks are the watermarks of the staging models, as far as it has come.
	marks map[string]int64
	// taken is how far it is in each staging model's topics.
	taken map[fateKey]int64
}

// step is a watermark of former times, and the rows that came before it.
type step struct{ watermark, rows int64 }

// past is what one epoch wrote for one staging model.
type past struct {
	model string
	lakehouse.HistoryEpoch
}

// CheckKeyed compares keyed models with those of the last record: one that is
// defined otherwise cannot go on with its state, nor can one whose dimension
// begins anew, since what it knows of its members is gone. A model that the
// record does not know begins.
func CheckKeyed(start *lakehouse.Start, models []KeyedModel) error {
	for _, recorded := range start.Keyed {
		for _, m := range models {
			if m.Name == recorded.Name && m.Definition != recorded.Definition {
				return definedOtherwise(start.Last, recorded, m)
			}
		}
	}
	for _, m := range models {
		i := slices.IndexFunc(m.Keys, func(name string) bool { return !recordedKeyed(start, name) })
		if i >= 0 && recordedKeyed(start, m.Name) {
			return fmt.Errorf("%w: model %s has keys of %s, which begins anew after epoch %d; let both do so with --reset-model %s", ErrDefinition, m.Name, m.Keys[i], start.Last, m.Name)
		}
	}
	return nil
}

// definedOtherwise says what is other about a model, as far as it is known.
func definedOtherwise(last int64, recorded lakehouse.KeyedModel, m KeyedModel) error {
	without := func(all, other []string) string {
		left := slices.DeleteFunc(slices.Clone(all), func(part string) bool { return slices.Contains(other, part) })
		if len(left) == 0 {
			return "nothing else"
		}
		return strings.Join(left, "; ")
	}
	has, had := m.Definition, recorded.Definition
	if len(m.Describes) > 0 && len(recorded.Describes) > 0 && !slices.Equal(m.Describes, recorded.Describes) {
		has, had = without(m.Describes, recorded.Describes), without(recorded.Describes, m.Describes)
	}
	return fmt.Errorf("%w: model %s has %q, its state after epoch %d is of %q; put that back, or let the model begin anew with calve run --reset-model %s, which takes its inputs' tables in again and changes the rows of its own once it has all (calve reconcile keeps the definition, and is for late events)",
		ErrDefinition, m.Name, has, last, had, m.Name)
}

// behindOf is where a keyed model begins; nil if there is nothing to take in
// first.
func behindOf(parts Parts, k *keyed) *behind {
	for _, recorded := range parts.Start.Keyed {
		if recorded.Name != k.Name {
			continue
		}
		if recorded.Behind == nil {
			return nil
		}
		b := &behind{epoch: *recorded.Behind, watermark: record.NoTime}
		if w := recorded.Rework; w != nil && w.Until > 0 {
			b.until, b.watermark = w.Until, w.Seen
		}
		return b
	}
	rows := k.Inputs
	if len(rows) == 0 {
		rows = []string{k.Name} // those of its own that were there before it was reset
	}
	for _, name := range rows {
		if t := tableOf(parts, name); t != nil && parts.Start.Epochs[t.ID.String()] > 0 {
			return &behind{watermark: record.NoTime}
		}
	}
	return nil
}

// tableOf is the table of a model, nil for none.
func tableOf(parts Parts, model string) *lakehouse.Table {
	for i := range parts.Models {
		if parts.Models[i].Name == model {
			return parts.Models[i].Table
		}
	}
	for i := range parts.Keyed {
		if parts.Keyed[i].Name == model {
			return parts.Keyed[i].Table
		}
	}
	return nil
}

// catchUpKeyed lets keyed models that are behind take in more of their inputs'
// tables. It comes before anything else in an epoch, so that what is read or
// replayed in it is known to be there already or not.
func (p *Pipeline) catchUpKeyed(ctx context.Context, e *epoch) error {
	for i := range p.keyed {
		k := &p.keyed[i]
		if err := p.checkHeld(k); err != nil {
			return fmt.Errorf("model %s: %w", k.Name, err)
		}
		if k.behind == nil {
			continue
		}
		if err := p.catchUpOne(ctx, e, k); err != nil {
			return fmt.Errorf("model %s takes in what its input's table holds: %w", k.Name, err)
		}
	}
	return nil
}

func (p *Pipeline) catchUpOne(ctx context.Context, e *epoch, k *keyed) error {
	b := k.behind
	e.caught = true
	if b.epoch == 0 {
		if err := p.holdKeyed(k); err != nil || p.waits(k) {
			return err
		}
		if err := p.beginKeyed(ctx, k); err != nil {
			return err
		}
	}
	if !b.loaded {
		if err := p.loadPast(ctx, k); err != nil {
			return err
		}
	}
	b.proceed()
	for rows, limit := int64(0), p.config.backfillRows(); rows < limit; {
		chunk, err := p.nextPast(ctx, k, limit-rows)
		if err != nil {
			return err
		}
		if len(chunk) == 0 && rows > 0 {
			return nil // it ends with the watermark that it was taken with, as when it came
		}
		if len(chunk) == 0 && b.raise(p.config.backfillRows()) {
			return nil
		}
		if len(chunk) == 0 {
			p.parts.Logger.Info("model has taken in what its inputs held", "model", k.Name, "epoch", b.epoch)
			k.behind = nil
			return nil
		}
		if err := p.takePast(ctx, e, k, chunk); err != nil {
			return err
		}
		for _, part := range chunk {
			rows += part.Rows
		}
		b.pass(chunk)
	}
	return nil
}

// waits tells whether a model has yet to begin, since a dimension that it refers
// to takes in its own inputs' tables first: of rows that come after, fewer have
// members to infer, and no keys that move.
func (p *Pipeline) waits(k *keyed) bool {
	return k.behind != nil && k.behind.epoch == 0 && k.refersTo(p.keyed, func(d keyed) bool { return d.behind != nil })
}

// beginKeyed is what comes before a keyed model's first rows: it is told of all
// rows that keyed models have which it reads. What these change in this epoch
// comes behind.
func (p *Pipeline) beginKeyed(ctx context.Context, k *keyed) error {
	if err := p.keepKeys(ctx, k); err != nil {
		return err
	}
	for i := range p.keyed {
		input := &p.keyed[i]
		if !slices.Contains(k.Inputs, input.Name) {
			continue
		}
		if input.Table == nil {
			return fmt.Errorf("model %s has no table to take them from; make it a table, or begin a project of another name", input.Name)
		}
		err := tableChanges(ctx, input.Table, record.OpCreate, func(all record.Changelog) error {
			return k.Operator.Follow(ctx, input.Name, all, k.behind.watermark)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// tableChanges makes changes of all rows of a keyed table.
func tableChanges(ctx context.Context, t *lakehouse.Table, op record.Op, visit func(record.Changelog) error) error {
	_, err := t.Rows(ctx, nil, func(_ lakehouse.RowsFile, rows arrow.RecordBatch) error {
		return visit(record.Changelog{Ops: slices.Repeat([]record.Op{op}, int(rows.NumRows())), Rows: rows})
	})
	return err
}

// restart is the same place, for an epoch that is given up.
func (b *behind) restart() *behind {
	if b == nil {
		return nil
	}
	return &behind{epoch: b.epoch, watermark: b.watermark, until: b.until}
}

// nextPast is the next epochs of a model's inputs with about so many rows; none
// if it has all.
func (p *Pipeline) nextPast(ctx context.Context, k *keyed, limit int64) ([]past, error) {
	b := k.behind
	if !b.loaded {
		if err := p.loadPast(ctx, k); err != nil {
			return nil, err
		}
	}
	if len(b.history) == 0 && b.epoch < p.last { // others went on meanwhile
		if err := p.loadPast(ctx, k); err != nil {
			return nil, err
		}
	}
	var chunk []past
	rows := int64(0)
	for len(b.history) > 0 {
		next := b.history[0]
		if next.Epoch > b.until && !b.raised() {
			return chunk, nil
		}
		if len(chunk) > 0 && rows+next.Rows > limit && next.Epoch != chunk[len(chunk)-1].Epoch {
			return chunk, nil
		}
		chunk = append(chunk, next)
		rows += next.Rows
		b.history = b.history[1:]
	}
	return chunk, nil
}

// loadPast reads what epochs took for the model's inputs.
func (p *Pipeline) loadPast(ctx context.Context, k *keyed) error {
	b := k.behind
	b.loaded, b.history, b.steps = true, nil, nil
	var former []past
	if b.taken == nil {
		b.taken, b.marks = map[fateKey]int64{}, map[string]int64{}
		for _, model := range k.staging {
			b.marks[model] = record.NoTime
		}
	}
	for _, input := range k.staging {
		m, reads := p.model(input), slices.Contains(k.Inputs, input)
		if reads && m.Table == nil {
			return fmt.Errorf("model %s has no table to take them from; make it a table, or begin a project of another name", input)
		}
		epochs, err := p.parts.Lake.History(ctx, input)
		if err != nil {
			return err
		}
		for _, e := range epochs {
			if !reads { // keyed models make others of its rows: see Follow. Time passes for this one too
				e.Rows, e.Ranges = 0, nil
			}
			if e.Epoch <= b.until {
				former = append(former, past{input, e})
			}
			if one := (past{input, e}); e.Epoch > b.epoch {
				b.history = append(b.history, one)
			} else {
				b.pass([]past{one})
			}
		}
	}
	slices.SortStableFunc(b.history, func(x, y past) int { return cmp.Compare(x.Epoch, y.Epoch) })
	slices.SortStableFunc(former, func(x, y past) int { return cmp.Compare(x.Epoch, y.Epoch) })
	b.stepThrough(former)
	return nil
}

// stepThrough finds the watermarks that the epochs up to until ended with.
func (b *behind) stepThrough(former []past) {
	marks := map[string]int64{}
	for model := range b.marks {
		marks[model] = record.NoTime
	}
	rows := int64(0)
	for _, part := range former {
		rows += part.Rows
		if part.Watermark != nil {
			marks[part.model] = max(marks[part.model], *part.Watermark)
		}
		at := lowestOf(marks)
		if at == record.NoTime || len(b.steps) > 0 && at <= b.steps[len(b.steps)-1].watermark {
			continue
		}
		b.steps, rows = append(b.steps, step{at, rows}), 0
	}
}

// raised tells whether the operator has seen the watermark that the epoch until
// ended with.
func (b *behind) raised() bool {
	return len(b.steps) == 0 || b.watermark >= b.steps[len(b.steps)-1].watermark
}

// raise lets the operator see the watermark behind about so many more rows, and
// tells whether there was one that it has not seen.
func (b *behind) raise(rows int64) bool {
	if b.raised() {
		return false
	}
	for _, s := range b.steps {
		if s.watermark <= b.watermark {
			continue
		}
		b.watermark = s.watermark
		if rows -= s.rows; rows <= 0 {
			break
		}
	}
	return true
}

// lowestOf is the lowest of watermarks, record.NoTime for none.
func lowestOf(marks map[string]int64) int64 {
	if len(marks) == 0 {
		return record.NoTime
	}
	return slices.Min(slices.Collect(maps.Values(marks)))
}

// proceed lets the operator see the watermark after the last of the epochs that were
// taken in, the lowest of all models, those included that were silent then: an older
// one than theirs does, for it only makes fewer rows late. The epoch that took them
// has ended at the watermark before, as when their rows came.
func (b *behind) proceed() {
	if b.epoch > b.until {
		b.watermark = max(b.watermark, lowestOf(b.marks))
	}
}

// pass notes that epochs were taken in.
func (b *behind) pass(chunk []past) {
	for _, part := range chunk {
		b.epoch = max(b.epoch, part.Epoch)
		if part.Watermark != nil {
			b.marks[part.model] = max(b.marks[part.model], *part.Watermark)
		}
		for _, g := range part.Ranges {
			key := fateKey{part.model, record.TopicPartition{Topic: g.Topic, Partition: g.Partition}}
			b.taken[key] = max(b.taken[key], g.To)
		}
	}
}

// later tells whether rows are of records that the model has still to take from
// the table of its input.
func (b *behind) later(model string, rows record.Batch) bool {
	return rows.Source.Records[0].Offset >= b.taken[fateKey{model, rows.Source.TopicPartition}]
}
