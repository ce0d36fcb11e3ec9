package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

// ErrNotReconciled: a model's rows cannot be made anew from its inputs' tables.
var ErrNotReconciled = errors.New("the model cannot be reconciled")

// KeyKeeper is an Operator whose rows have keys that depend on when they were
// first shown. While it makes rows anew, those that are the same get the keys
// that they had (invariant 8).
type KeyKeeper interface {
	// KeepColumns are the columns of its table that Keep asks for.
	KeepColumns() []string
	// Keep tells of rows that the table shows. It is called before the first rows
	// are taken in again.
	Keep(rows arrow.RecordBatch) error
	// Kept ends this, once the rows are shown.
	Kept() error
}

// rework is a keyed model whose rows are made anew: its operator has begun with
// no state, what it makes is held back, and its table shows the rows from before
// until there is nothing more to take in. What differs by then is changed in one
// epoch.
//
// It is begun by a start that resets a model, or by a request to reconcile one
// (lakehouse.RequestReconcile); either way the models that have keys of it begin anew
// with it, and all of them show their rows in one epoch. In the latter nothing is late that was taken up
// to the epoch before: the operator takes all of it at no watermark (record.NoTime),
// then sees the watermarks of those epochs, some at a time, so that not all that
// is over by then ends at once; and goes on as ever.
type rework struct {
	lakehouse.Rework
	checked bool                   // what is held has the columns of the table
	letters *lakehouse.OpenLetters // of the model, as the request found them; nil until they are looked up
}

func reworkOf(parts Parts, model string) *rework {
	for _, recorded := range parts.Start.Keyed {
		if recorded.Name == model && recorded.Rework != nil {
			return &rework{Rework: *recorded.Rework}
		}
	}
	return nil
}

// restart is the same, for an epoch that is given up.
func (w *rework) restart() *rework {
	if w == nil {
		return nil
	}
	return &rework{Rework: w.Rework}
}

// recorded is what the record of an epoch says.
func (k *keyed) recordedRework() *lakehouse.Rework {
	if k.rework == nil {
		return nil
	}
	w := k.rework.Rework
	if k.behind != nil && w.Until > 0 {
		w.Seen = k.behind.watermark
	}
	return &w
}

// holdKeyed keeps the rows of a keyed model that begins anew back, where its own
// table has rows from before it was reset, or those that it refers to are held
// back.
func (p *Pipeline) holdKeyed(k *keyed) error {
	held := k.refersTo(p.keyed, func(d keyed) bool { return d.rework != nil })
	if k.rework != nil || k.Table == nil || p.tables[k.Table.ID.String()] == 0 && !held {
		return nil
	}
	if err := p.parts.State.Reset(HeldPart(k.Name)); err != nil {
		return err
	}
	k.rework = &rework{checked: true}
	k.rework.Shown = p.shownAt(k)
	return nil
}

// shownAt is the watermark that the rows of a model's table are of, as far as it
// followed its inputs.
func (p *Pipeline) shownAt(k *keyed) int64 {
	plain := *k
	plain.behind, plain.rework = nil, nil
	return p.watermark(&plain)
}

// checkHeld begins again where what is held back has other columns than the
// table now, for the model was changed since.
func (p *Pipeline) checkHeld(k *keyed) error {
	if k.rework == nil || k.rework.checked {
		return nil
	}
	held, err := p.heldRows(k)
	if err != nil {
		return err
	}
	fits, err := held.fits()
	if err != nil {
		return fmt.Errorf("read what is held back: %w", err)
	}
	k.rework.checked = true
	if fits {
		return nil
	}
	p.parts.Logger.Info("model has other columns than the rows that it makes anew; it begins with them again", "model", k.Name)
	return p.rebegin(k)
}

// rebegin puts a keyed model before its first rows, with no state.
func (p *Pipeline) rebegin(k *keyed) error {
	k.Operator.Discard()
	for _, part := range []string{k.Name, HeldPart(k.Name)} {
		if err := p.parts.State.Reset(part); err != nil {
			return fmt.Errorf("reset model %s: %w", k.Name, err)
		}
	}
	k.rework.checked, k.rework.letters, k.rework.Seen = true, nil, record.NoTime
	k.behind, k.reached = &behind{watermark: record.NoTime, until: k.rework.Until}, nowhere
	return nil
}

// keepKeys tells the operator of the rows of its table, where it asks for them.
// A model that was reset may be defined otherwise, and makes keys of its own.
func (p *Pipeline) keepKeys(ctx context.Context, k *keyed) error {
	operator, ok := k.Operator.(KeyKeeper)
	if !ok || k.rework == nil || k.rework.Until == 0 {
		return nil
	}
	_, err := k.Table.Rows(ctx, operator.KeepColumns(), func(_ lakehouse.RowsFile, rows arrow.RecordBatch) error { return operator.Keep(rows) })
	return err
}

// reconcile goes on with a request to make a keyed model's rows anew.
func (p *Pipeline) reconcile(ctx context.Context, e *epoch, a *activeRequest) error {
	k := p.keyedModel(a.Filter.Models[0])
	if err := CheckReconciled(a.Filter.Models[0], k.model()); err != nil {
		a.result.Problem = err.Error()
		e.reconciled = append(e.reconciled, lakehouse.Request{ID: a.ID, Cursor: a.result.Encode(), Done: true})
		p.parts.Logger.Warn("request is not carried out", "request", a.ID, "error", err)
		return nil
	}
	switch {
	case k.rework != nil && k.rework.Request == a.ID:
	case slices.ContainsFunc(p.withReferring(k), func(other *keyed) bool { return p.reworked(e, other) }):
		return nil // one takes in its inputs' tables already, for another reason, and is to end that first
	default:
		if err := p.beginReconcile(ctx, e, k, a); err != nil {
			return err
		}
	}
	e.reconciled = append(e.reconciled, lakehouse.Request{ID: a.ID, Cursor: a.result.Encode()})
	return nil
}

// reworked tells whether a model takes in its inputs' tables, or did when the epoch
// began.
func (p *Pipeline) reworked(e *epoch, k *keyed) bool {
	at := slices.IndexFunc(p.keyed, func(other keyed) bool { return other.Name == k.Name })
	return k.behind != nil || k.rework != nil || e.behind[at] != nil || e.reworks[at] != nil
}

// withReferring is a model and those that refer to it, in the order in which they
// run: the keys that they have are of members that are made anew with it.
func (p *Pipeline) withReferring(k *keyed) []*keyed {
	var all []*keyed
	for i := range p.keyed {
		other := &p.keyed[i]
		if other.Name == k.Name || slices.ContainsFunc(all, func(d *keyed) bool { return slices.Contains(other.Keys, d.Name) }) {
			all = append(all, other)
		}
	}
	return all
}

// beginRework puts a model, and those that refer to it, before their first rows.
func (p *Pipeline) beginRework(k *keyed, request string) ([]*keyed, error) {
	group := p.withReferring(k)
	for _, member := range group {
		shown := p.shownAt(member)
		member.rework = &rework{Rework: lakehouse.Rework{Shown: shown, Request: request, Until: p.last}}
	}
	for _, member := range group {
		if err := p.rebegin(member); err != nil {
			return nil, err
		}
	}
	return group, nil
}

func (p *Pipeline) beginReconcile(ctx context.Context, e *epoch, k *keyed, a *activeRequest) error {
	group, err := p.beginRework(k, a.ID)
	if err != nil {
		return err
	}
	for _, member := range group {
		p.parts.Logger.Info("model is reconciled with its inputs' tables", "model", member.Name, "request", a.ID, "up_to_epoch", p.last)
		if err := p.catchUpOne(ctx, e, member); err != nil {
			return fmt.Errorf("model %s: %w", member.Name, err)
		}
	}
	return nil
}

func (k *keyed) model() *KeyedModel {
	if k == nil {
		return nil
	}
	return k.KeyedModel
}

// CheckReconciled refuses models whose rows cannot be made anew while others go
// on; m is nil if there is no such keyed model.
func CheckReconciled(name string, m *KeyedModel) error {
	if m == nil {
		return fmt.Errorf("%w: the project has no model %s that keeps state", ErrNotReconciled, name)
	}
	switch {
	case m.Table == nil:
		return fmt.Errorf("%w: model %s has no table", ErrNotReconciled, m.Name)
	case len(m.Inputs) == 0:
		return fmt.Errorf("%w: model %s reads no other model", ErrNotReconciled, m.Name)
	}
	return nil
}

// judgeLetters takes note of what became of rows whose dead letters a
// reconciliation found open, and leaves out refusals that repeat one: it stays
// open. passed are the rows that the operator was given.
func (p *Pipeline) judgeLetters(ctx context.Context, k *keyed, origin record.Origin, rows, passed record.Batch, rejects []record.Reject) ([]record.Reject, error) {
	if k.rework == nil || k.rework.Request == "" {
		return rejects, nil
	}
	open, err := p.reworkLetters(ctx, k)
	if err != nil || open.Len() == 0 {
		return rejects, err
	}
	letterAt := func(source *record.Slice, index int32, ofRow bool, ordinal int32) lakehouse.LetterID {
		l := lakehouse.Letter{Model: k.Name, Origin: origin, TopicPartition: source.TopicPartition, Record: source.Records[index], OfRow: ofRow, Row: ordinal}
		return l.ID()
	}
	outcomes := map[lakehouse.LetterID]lakehouse.Outcome{}
	note := func(of record.Batch, outcome lakehouse.Outcome) {
		for i, ordinal := range of.RowOrdinals() {
			for _, ofRow := range []bool{true, false} {
				if id := letterAt(of.Source, of.Records[i], ofRow, ordinal); open.Has(id) {
					outcomes[id] = outcome
				}
			}
		}
	}
	note(rows, lakehouse.Filtered)
	note(passed, lakehouse.Replayed)
	rejects = slices.DeleteFunc(rejects, func(r record.Reject) bool {
		id := letterAt(rows.Source, r.Record, r.OfRow, r.Row)
		if !open.Has(id) {
			return false
		}
		outcomes[id] = lakehouse.Refused
		return true
	})
	held, err := p.heldRows(k)
	if err != nil {
		return nil, err
	}
	return rejects, held.note(outcomes)
}

// reworkLetters are the letters of the model that are open since before the
// reconciliation.
func (p *Pipeline) reworkLetters(ctx context.Context, k *keyed) (*lakehouse.OpenLetters, error) {
	if k.rework.letters != nil {
		return k.rework.letters, nil
	}
	query := lakehouse.LetterQuery{Request: k.rework.Request, Filter: lakehouse.LetterFilter{Models: []string{k.Name}}, Before: k.rework.Until + 1}
	open, err := p.parts.Lake.OpenLetters(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("find dead letters of model %s: %w", k.Name, err)
	}
	k.rework.letters = open
	return open, nil
}

// handOn passes on what a keyed model changed, or holds it back while its rows
// are made anew.
func (e *epoch) handOn(ctx context.Context, k *keyed, changes record.Changelog) error {
	if k.rework == nil {
		return e.pass(ctx, k, changes)
	}
	held, err := e.p.heldRows(k)
	if err != nil {
		return err
	}
	if err := held.put(ctx, changes); err != nil {
		return k.unfit(fmt.Errorf("hold back rows of model %s: %w", k.Name, err))
	}
	return nil
}

// showing tells which models are to show the rows that were made anew in this
// epoch: those that have nothing more to take in, nor has any that is made anew
// beside them and that keys connect with them. So the keys of new rows never meet
// old ones, whichever of the facts of a dimension is made last.
func showing(all []keyed) []bool {
	ready := make([]bool, len(all))
	for i := range all {
		ready[i] = all[i].rework != nil && all[i].behind == nil
	}
	for settled := false; !settled; {
		settled = true
		for i := range all {
			for j := range all {
				anew := all[j].rework != nil || all[j].behind != nil
				if ready[i] && anew && !ready[j] && (slices.Contains(all[i].Keys, all[j].Name) || slices.Contains(all[j].Keys, all[i].Name)) {
					ready[i], settled = false, false
				}
			}
		}
	}
	return ready
}

// show changes what differs between a model's table and the rows that were made
// anew, and resolves the dead letters whose rows are among these.
func (e *epoch) show(ctx context.Context, k *keyed) error {
	held, err := e.p.heldRows(k)
	if err != nil {
		return err
	}
	result := lakehouse.RequestResult{}
	err = held.compare(ctx, func(changes record.Changelog) error {
		for _, op := range changes.Ops {
			result.Count(op)
		}
		return e.pass(ctx, k, changes)
	})
	if err != nil {
		return fmt.Errorf("show the rows of model %s that were made anew: %w", k.Name, err)
	}
	if k.rework.Request != "" {
		if err := e.resolveReconciled(ctx, k, held, &result); err != nil {
			return err
		}
		if err := e.endRequest(k.rework.Request, result); err != nil {
			return err
		}
	}
	if operator, ok := k.Operator.(KeyKeeper); ok {
		if err := operator.Kept(); err != nil {
			return err
		}
	}
	e.p.parts.Logger.Info("model shows the rows that were made anew", "model", k.Name, "epoch", e.number,
		"created", result.Created, "updated", result.Updated, "deleted", result.Deleted, "letters_resolved", result.Replayed+result.Filtered)
	k.rework = nil
	return e.p.parts.State.Reset(HeldPart(k.Name))
}

// endRequest records that a request is done. Models that are made anew together
// are shown in one epoch, and their counts are one result.
func (e *epoch) endRequest(id string, result lakehouse.RequestResult) error {
	at := slices.IndexFunc(e.reconciled, func(r lakehouse.Request) bool { return r.ID == id })
	if at >= 0 {
		if e.reconciled[at].Done {
			before, err := lakehouse.DecodeRequestResult(e.reconciled[at].Cursor)
			if err != nil {
				return err
			}
			result.Join(before)
		}
		e.reconciled = slices.Delete(e.reconciled, at, at+1)
	}
	e.reconciled = append(e.reconciled, lakehouse.Request{ID: id, Cursor: result.Encode(), Done: true})
	return nil
}

// resolveReconciled writes what became of the dead letters.
func (e *epoch) resolveReconciled(ctx context.Context, k *keyed, held *heldRows, result *lakehouse.RequestResult) error {
	open, err := e.p.reworkLetters(ctx, k)
	if err != nil || open.Len() == 0 {
		return err
	}
	k.rework.letters = nil // reading takes them
	limit := lakehouse.ChunkLimit{Letters: heldAtOnce, Bytes: replayBytes}
	return open.Read(ctx, limit, func(letters []lakehouse.Letter) (bool, error) {
		outcomes, err := held.outcomes(letters)
		if err != nil {
			return false, err
		}
		var resolutions []lakehouse.Resolution
		for i, outcome := range outcomes {
			if result.Add(outcome); outcome != lakehouse.Replayed && outcome != lakehouse.Filtered {
				continue
			}
			key := keyOf(&letters[i])
			if _, told := e.replays[key]; !told {
				e.replays[key] = record.Fate{} // the audit table tells of it
			}
			resolutions = append(resolutions, lakehouse.Resolution{
				Letter: letters[i], Epoch: e.number, Request: k.rework.Request, Outcome: outcome, PluginDigest: k.digest(),
			})
		}
		if len(resolutions) == 0 || e.p.dry {
			return true, nil
		}
		batch := lakehouse.ResolutionBatch(resolutions, e.p.parts.Allocator)
		defer batch.Release()
		return true, e.writeLetters(ctx, batch)
	})
}
