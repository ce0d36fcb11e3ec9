package pipeline

import (
	"context"
	"errors"
	"slices"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/decode"
	"github.com/calvelake/calve/runtime/record"
)

// carryLetters takes a slice of dead letters through steps 2 and 3. A record
// over which the pipeline would stop is refused instead (Sparing).
func (p *Pipeline) carryLetters(ctx context.Context, a *activeRequest, m *Model, s *record.Slice) (outcome, error) {
	steps := m.sparingSteps()
	o, err := m.carry(ctx, s, steps)
	if p.refusal(a, m, err) == nil {
		return o, ofLetters(err)
	}
	// The error is of one record, which it need not name, and nothing was made of
	// the others.
	rest, kept := *s, make([]int32, 0, len(s.Records))
	rest.Records = nil
	var refused []record.Reject
	for i := range s.Records {
		err := m.tryRecord(ctx, s, i)
		reject := p.refusal(a, m, err)
		if reject == nil && err != nil {
			return outcome{}, ofLetters(err)
		}
		if reject == nil {
			rest.Records, kept = append(rest.Records, s.Records[i]), append(kept, int32(i))
			continue
		}
		reject.Record = int32(i)
		refused = append(refused, *reject)
	}
	if o, err = m.carry(ctx, &rest, steps); err != nil {
		return outcome{}, ofLetters(err)
	}
	return o.within(s, kept, refused), nil
}

// tryRecord decodes one record of a slice, for the error.
func (m *Model) tryRecord(ctx context.Context, s *record.Slice, i int) error {
	one := *s
	one.Records = s.Records[i : i+1]
	rows, _, err := m.Decoder.Decode(ctx, &one)
	if err != nil {
		return decodeError(m, &one, err)
	}
	rows.Release()
	return nil
}

// refusal makes a reject of an error that a single record is the reason of; nil
// for others, and for a change that the model's table is to follow.
func (p *Pipeline) refusal(a *activeRequest, m *Model, err error) *record.Reject {
	var needed *neededChange
	var truncated *decode.TruncateError
	switch {
	case errors.As(err, &needed) && !p.evolves(m):
		return &record.Reject{Code: record.CodeSchema, Message: needed.refused().Error()}
	case errors.As(err, &needed) && a.unchangeable[needed.change()] != nil:
		return &record.Reject{Code: record.CodeSchema, Message: a.unchangeable[needed.change()].Error()}
	case errors.Is(err, decode.ErrNameTaken):
		return &record.Reject{Code: record.CodeSchema, Message: err.Error()}
	case errors.As(err, &truncated):
		return &record.Reject{Code: record.CodeTruncate, Message: truncated.Error()}
	}
	return nil
}

// modelChange is a change that a model's table needs, in words.
type modelChange struct{ model, change string }

func (e *neededChange) change() modelChange {
	return modelChange{e.model.Name, describeChange(e.Change)}
}

func ofLetters(err error) error {
	var needed *neededChange
	if errors.As(err, &needed) {
		needed.letters = true
	}
	return err
}

// spares tells whether an error of evolve is left to the request whose letters
// need the change: those are refused then.
func (p *Pipeline) spares(needed *neededChange, err error) bool {
	a := p.requests.active
	if a == nil || !needed.letters || !p.evolves(needed.model) || a.unchangeable[needed.change()] != nil {
		return false
	}
	if !errors.Is(err, ErrSourceChanged) && !errors.Is(err, lakehouse.ErrDiffers) {
		return false
	}
	if a.unchangeable == nil {
		a.unchangeable = map[modelChange]error{}
	}
	a.unchangeable[needed.change()] = err
	return true
}

// within makes the outcome of some records of a slice, whose indexes are given,
// one of the slice, in which others were refused.
func (o outcome) within(s *record.Slice, kept []int32, refused []record.Reject) outcome {
	rows := o.rows
	rows.Source, rows.Records = s, make([]int32, len(o.rows.Records))
	for i, r := range o.rows.Records {
		rows.Records[i] = kept[r]
	}
	rejects := slices.Clone(refused)
	for _, r := range o.rejects {
		r.Record = kept[r.Record]
		rejects = append(rejects, r)
	}
	all := newOutcome(o.model, rows, rejects)
	all.warnings = o.warnings
	for _, t := range o.truncations {
		t.Record = kept[t.Record]
		all.truncations = append(all.truncations, t)
	}
	return all
}
