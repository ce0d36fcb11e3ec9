package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/contract"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
)

// Operator makes the rows of a keyed model: those of its sessions, members or
// facts. What it decides follows from its state, the rows that it is given and
// the watermark alone, however polls cut them. It holds what an epoch changes
// until End, which writes it to the state; Discard drops it instead. It is not
// safe for concurrent use.
type Operator interface {
	// Take adds rows of a staging model. It returns those that it cannot take, as
	// refusals of single rows (record.Reject.OfRow); the batch stays the caller's.
	Take(ctx context.Context, model string, rows record.Batch, watermark int64) ([]record.Reject, error)
	// Follow adds what the epoch changed in the rows of another keyed model.
	Follow(ctx context.Context, model string, changes record.Changelog, watermark int64) error
	// End returns what the epoch changed, which the caller releases.
	End(ctx context.Context, watermark int64) (record.Changelog, error)
	// Discard drops what it holds; it goes on from the state as it is put then.
	Discard()
}

// KeyedModel is a model that keeps state, as the loop runs it.
type KeyedModel struct {
	Name string
	// Inputs are the models that it reads. Those of kind staging give it rows,
	// keyed ones their changes.
	Inputs []string
	// Keys are the dimensions that it refers to by keys. Its operator asks theirs
	// for them; it is given neither their rows nor their changes.
	Keys []string
	// Before are steps for rows of an input: where.
	Before map[string][]Step
	// Table is nil for an ephemeral model.
	Table    *lakehouse.Table
	Operator Operator
	// Tests are the data tests of its rows, of severity warn and error; nil for
	// none.
	Tests *contract.Contract
	// Untested tells rows of which Tests say nothing: those that stand for members
	// that are not known. nil is none.
	Untested func(rows arrow.RecordBatch, row int) bool
	// Test is set of what is no model, but a data test over the rows of its inputs.
	Test *TableTest
	// Definition is a digest of what the state depends on, and Describes what it is
	// of, for messages.
	Definition string
	Describes  []string
	// Plugin is what Operator calls; nil without one. Then Operator is a Swapper.
	Plugin    KeyedPlugin
	PluginRef string // all models of one reference run one module
	// MaxErrorRatio is how much larger a share of the rows that come to it a new
	// module of the plugin may refuse in its first epoch than the former did.
	MaxErrorRatio float64
}

// State is where operators keep what outlives an epoch.
type State interface {
	// Checkpoint makes durable what operators wrote, in new objects with these
	// names, and returns what names all of it. Nothing refers to it until an
	// epoch record does.
	Checkpoint(ctx context.Context, names *lakehouse.Names) (*lakehouse.StateManifest, error)
	// Rollback goes back to what the last record names, nil for nothing, when an
	// epoch is given up before its record.
	Rollback(ctx context.Context, to *lakehouse.StateManifest) error
	// Part is a part of it beside those of models: see HeldPart.
	Part(name string) (keyvalue.Store, error)
	// Reset forgets what is kept of a model, by its name, or in a Part.
	Reset(name string) error
}

// Collector is a State that can remove what no record needs any more.
type Collector interface {
	// Collect is called when the log is pruned: no record up to floor is left, and
	// the floor's state is at.
	Collect(ctx context.Context, floor int64, at *lakehouse.StateManifest) error
}

// tableName is "" for an ephemeral model.
func (m *KeyedModel) tableName() string {
	if m.Table == nil {
		return ""
	}
	return m.Table.ID.String()
}

// keyed is a keyed model at work.
type keyed struct {
	*KeyedModel
	staging []string // the staging models that it depends on
	behind  *behind  // nil once it is given rows as they come
	rework  *rework  // nil while its table shows the rows that it makes
	reached reached
}

// newKeyed finds whose event time keyed models follow: parts.Keyed has each
// behind those that it reads or refers to.
func newKeyed(parts Parts) []keyed {
	upstream := map[string][]string{}
	for _, m := range parts.Models {
		upstream[m.Name] = []string{m.Name}
	}
	all := make([]keyed, len(parts.Keyed))
	for i := range parts.Keyed {
		k := keyed{KeyedModel: &parts.Keyed[i], reached: reachedOf(parts.Start.Keyed, parts.Keyed[i].Name)}
		for _, name := range k.follows() {
			k.staging = append(k.staging, upstream[name]...)
		}
		slices.Sort(k.staging)
		k.staging = slices.Compact(k.staging)
		k.behind, k.rework = behindOf(parts, &k), reworkOf(parts, k.Name)
		if k.behind == nil && !recordedKeyed(parts.Start, k.Name) && k.refersTo(all[:i], func(d keyed) bool { return d.behind != nil }) {
			k.behind = &behind{watermark: record.NoTime}
		}
		upstream[k.Name] = k.staging
		all[i] = k
	}
	return all
}

// feed gives the rows that a staging model made of a slice to the keyed models
// that read it. What they refuse are dead letters of theirs.
func (e *epoch) feed(ctx context.Context, r *reader, o outcome) error {
	e.sawTimes(o)
	for i := range e.p.keyed {
		k := &e.p.keyed[i]
		if k.behind != nil || !slices.Contains(k.Inputs, o.model.Name) || len(o.rows.Records) == 0 {
			continue
		}
		if err := e.take(ctx, r, k, o); err != nil {
			return fmt.Errorf("model %s: %w", k.Name, err)
		}
	}
	return nil
}

// take gives rows to one keyed model.
func (e *epoch) take(ctx context.Context, r *reader, k *keyed, o outcome) error {
	given, rejects, err := e.taken(ctx, k, o.model.Name, o.rows)
	if err != nil {
		return err
	}
	e.countFate(r, k.Name, o.rows.Source.TopicPartition, given.fate)
	return e.bury(ctx, r, refused{k.Name, k.digest(), o.rows, rejects})
}

// givenRows are what became of rows that were given to a keyed model.
type givenRows struct {
	fate   record.Fate
	passed record.Batch // places of the rows that came to its operator
}

// taken gives rows to a keyed model's operator. The fates are counted in rows,
// each of which is taken, refused or filtered (invariant 6).
func (e *epoch) taken(ctx context.Context, k *keyed, input string, rows record.Batch) (givenRows, []record.Reject, error) {
	made, err := transform(ctx, retained(rows), k.Before[input])
	if err != nil {
		return givenRows{}, nil, err
	}
	defer made.Rows.Release()
	late, err := k.Operator.Take(ctx, input, made.Rows, e.p.watermark(k))
	if err != nil {
		return givenRows{}, nil, k.blame(fmt.Errorf("take rows of %s at %s offset %d: %w", input, rows.Source.TopicPartition, rows.Source.From, err))
	}
	late = onePerPlace(late)
	e.given[k.Name] = e.given[k.Name] || len(rows.Records) > 0
	e.tallyKeyed(k, made.Rows, late)
	f := record.Fate{
		Delivered: int64(len(rows.Records)),
		WithRows:  int64(len(made.Rows.Records) - len(late)),
		Dead:      rowsOf(rows, made.Rejects) + int64(len(late)),
		Letters:   int64(len(made.Rejects) + len(late)),
	}
	f.Filtered = f.Delivered - f.WithRows - f.Dead
	passed := record.Batch{Source: rows.Source, Records: made.Rows.Records, Ordinals: made.Rows.RowOrdinals()}
	return givenRows{f, passed}, append(made.Rejects, late...), nil
}

// feedReplayed gives the rows that dead letters of a staging model became to the
// keyed models that read it. For them they are new.
func (e *epoch) feedReplayed(ctx context.Context, g *letterSlice, rows record.Batch) error {
	for i := range e.p.keyed {
		k := &e.p.keyed[i]
		if !slices.Contains(k.Inputs, g.model.Name) || len(rows.Records) == 0 {
			continue
		}
		if k.behind != nil && k.behind.later(g.model.Name, rows) {
			continue // taken from the table when it comes to that
		}
		if err := e.takeAgain(ctx, k, g.model.Name, g.letters[0].Origin, rows); err != nil {
			return fmt.Errorf("model %s: %w", k.Name, err)
		}
	}
	return nil
}

// rowsOf counts the rows of records that were refused as a whole.
func rowsOf(rows record.Batch, rejects []record.Reject) (count int64) {
	for _, reject := range onePerPlace(rejects) {
		if reject.OfRow {
			count++
		} else {
			count += int64(rowsOfRecord(rows.Records, reject.Record))
		}
	}
	return count
}

// endKeyed lets the keyed models say what the epoch changed: for their tables,
// and for the keyed models that read them, which come behind. Dimensions come
// before the facts that refer to them, and show in the same epoch what these
// infer (invariants 1 and 8).
func (p *Pipeline) endKeyed(ctx context.Context, e *epoch) error {
	shows := showing(p.keyed)
	for i := range p.keyed {
		k := &p.keyed[i]
		if k.Test != nil {
			continue // see testTables
		}
		changes, err := k.Operator.End(ctx, p.end(k))
		if err != nil {
			return k.blame(fmt.Errorf("model %s: %w", k.Name, err))
		}
		err = e.handOn(ctx, k, changes)
		changes.Release()
		if err == nil && shows[i] {
			err = e.show(ctx, k)
		}
		if err != nil {
			return err
		}
	}
	if err := p.endInferred(ctx, e); err != nil {
		return err
	}
	return p.testTables(ctx, e)
}

// pass hands on what a keyed model changed.
func (e *epoch) pass(ctx context.Context, k *keyed, changes record.Changelog) error {
	if changes.Len() == 0 {
		return nil
	}
	e.changed[k.Name] += int64(changes.Len())
	if err := e.test(k, changes); err != nil {
		return err
	}
	if err := e.writeChanges(ctx, k, changes); err != nil {
		return err
	}
	for i := range e.p.keyed {
		next := &e.p.keyed[i]
		if !slices.Contains(next.Inputs, k.Name) || e.p.waits(next) {
			continue
		}
		if err := next.Operator.Follow(ctx, k.Name, changes, e.p.watermark(next)); err != nil {
			return fmt.Errorf("model %s: take changes of %s: %w", next.Name, k.Name, err)
		}
	}
	return nil
}

// discardKeyed drops what an epoch that is given up holds.
func (e *epoch) discardKeyed() {
	for i := range e.p.keyed {
		k := &e.p.keyed[i]
		k.Operator.Discard()
		k.behind, k.rework, k.reached = e.behind[i], e.reworks[i], e.reached[i]
	}
	e.p.watermarks.discard()
}

// dueKeyed tells whether an epoch has work although nothing was delivered: a
// watermark has moved that operators have not seen, or would move now, or an
// operator has rows of its own.
func (p *Pipeline) dueKeyed(now int64) bool {
	if slices.ContainsFunc(p.keyed, func(k keyed) bool { return k.behind != nil || k.rework != nil || k.pending() }) {
		return true
	}
	if len(p.keyed) == 0 {
		return false
	}
	next := p.watermarks.next(p.readers, now)
	return !p.watermarks.settled() || p.watermarks.moved(next) || !p.settledKeyed(next)
}

// Pending is an Operator whose rows do not come from others' alone: it tells
// whether its End would change any.
type Pending interface {
	Pending() bool
}

func (k *keyed) pending() bool {
	operator, ok := k.Operator.(Pending)
	return ok && operator.Pending()
}

// keyedModels are the models that keep state, for the record that has these
// watermarks of staging models.
func (p *Pipeline) keyedModels(staging map[string]record.Watermark) []lakehouse.KeyedModel {
	var all []lakehouse.KeyedModel
	after := newMoment(p.keyed, staging, func(k *keyed) bool { open := k.open(); return open != nil && *open > 0 })
	for i := range p.keyed {
		k := &p.keyed[i]
		m := lakehouse.KeyedModel{
			Name: k.Name, Definition: k.Definition, Describes: k.Describes, Watermark: after.nextReached(k), Open: k.open(), Rework: k.recordedRework(),
		}
		if k.behind != nil {
			epoch := k.behind.epoch
			m.Behind = &epoch
		}
		all = append(all, m)
	}
	return all
}

// checkpointState makes the state durable, if there is any.
func (p *Pipeline) checkpointState(ctx context.Context, e *epoch) (*lakehouse.StateManifest, error) {
	if p.parts.State == nil {
		return p.state, nil
	}
	manifest, err := p.parts.State.Checkpoint(ctx, e.names)
	if err != nil {
		return nil, fmt.Errorf("make keyed state durable: %w", err)
	}
	return manifest, nil
}

// auditKeyed are the rows of the audit table for the keyed models that read a
// staging model: beside its row, of the same range, counted in its rows.
func (e *epoch) auditKeyed(r *reader, of lakehouse.AuditRow) []lakehouse.AuditRow {
	var rows []lakehouse.AuditRow
	for _, k := range e.p.keyed {
		if !slices.Contains(k.Inputs, of.Model) || k.Test != nil {
			continue
		}
		row := of
		row.Model, row.Table, row.PluginDigest = k.Name, k.tableName(), e.keyedDigest(&k)
		row.Fate = e.slices[r].fates[fateKey{k.Name, record.TopicPartition{Topic: of.Range.Topic, Partition: of.Range.Partition}}]
		row.Range.Delivered = row.Fate.Delivered
		rows = append(rows, row)
	}
	return rows
}
