package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/calvelake/calve/lakehouse"
)

// decide ends an epoch: files, record, commit, in this order (invariants 1
// and 4). An epoch in which nothing moved leaves no trace, unless the log has
// been silent for too long: then its record is a heartbeat.
func (p *Pipeline) decide(ctx context.Context, e *epoch) error {
	if !e.moved() && !p.silent() && !p.dueKeyed(p.parts.Now().UnixMicro()) {
		return nil
	}
	times := newStopwatch(p.parts.Now, e.started)
	took := EpochTimes{Fill: times.lap()}
	r, err := p.record(ctx, e)
	if err != nil {
		e.abort()
		return fmt.Errorf("end epoch %d: %w", e.number, err)
	}
	took.Files = times.lap()
	if err := p.parts.Lake.Log().Append(ctx, r); err != nil {
		return err
	}
	p.recorded = p.parts.Now()
	took.Record = times.lap()
	if err := p.parts.Lake.Commit(ctx, r); err != nil && rule("commit-before-next") { // record n+1 waits for this (†)
		return err
	}
	p.last, p.state = e.number, r.State
	p.watermarks.committed(r.Watermarks)
	p.committedKeyed(r.Keyed)
	for _, c := range r.Changes {
		p.tables[c.Table] = e.number
	}
	for _, reader := range p.readers {
		reader.lost = nil
	}
	took.Commit = times.lap()
	p.stats.committed(r, p.parts.Now())
	if p.parts.Observe != nil {
		p.parts.Observe(e.report(r, took))
	}
	if len(r.Changes) > 0 {
		p.parts.Logger.Info("epoch committed", "epoch", r.Number, "tables", len(r.Changes), "records", delivered(r))
	}
	p.reportWarnings(e)
	p.reportShadows(e)
	p.requestCommitted(ctx, r)
	p.afterCommit(ctx, r)
	return nil
}

func (p *Pipeline) silent() bool {
	return p.config.Heartbeat > 0 && p.parts.Now().Sub(p.recorded) >= p.config.Heartbeat
}

// afterCommit does what may fail without consequence.
func (p *Pipeline) afterCommit(ctx context.Context, r *lakehouse.Epoch) {
	if p.parts.Confirm != nil {
		if err := p.parts.Confirm(ctx, p.readers[0].at.sorted()); err != nil {
			p.parts.Logger.Warn("offsets not confirmed to the broker; lag dashboards show older ones", "error", err)
		}
	}
	if r.Number%p.config.pruneEvery() == 0 {
		if err := p.parts.Lake.Log().Prune(ctx, r, p.requests.kept(p.parts.Now())...); err != nil {
			p.parts.Logger.Warn("epoch log not pruned; it is tried again later", "error", err)
			return
		}
		if c, ok := p.parts.State.(Collector); ok {
			if err := c.Collect(ctx, r.Number, r.State); err != nil {
				p.parts.Logger.Warn("old keyed state not removed; it is tried again later", "error", err)
			}
		}
	}
}

// record uploads the epoch's files and makes its record.
func (p *Pipeline) record(ctx context.Context, e *epoch) (*lakehouse.Epoch, error) {
	if err := cmp.Or(e.checkTallies(), e.checkDeaths()); err != nil {
		return nil, err
	}
	if err := p.endKeyed(ctx, e); err != nil {
		return nil, err
	}
	decided := p.parts.Now().UnixMicro()
	watermarks := p.watermarks.next(p.readers, decided)
	audit := e.audit(decided, watermarks)
	if err := e.check(audit); err != nil {
		return nil, err
	}
	for _, row := range audit {
		e.audited[row.Model] = true
	}
	changes, err := p.changes(ctx, e, audit)
	if err != nil {
		return nil, err
	}
	state, err := p.checkpointState(ctx, e)
	if err != nil {
		return nil, err
	}
	r := &lakehouse.Epoch{
		Number:     e.number,
		Pipeline:   p.config.Name,
		Writer:     p.config.Nonce,
		Host:       p.config.Host,
		StartedAt:  e.started,
		DecidedAt:  decided,
		ConfigHash: p.config.ConfigHash,
		Plugins:    e.plugins(),
		Readers:    e.readers(),
		State:      state,
		Watermarks: watermarks,
		Keyed:      p.keyedModels(watermarks),
		Changes:    changes,
		Tables:     p.tablesAfter(e, changes),
	}
	if e.request != nil {
		r.Requests = append(r.Requests, *e.request)
	}
	r.Requests = append(r.Requests, e.reconciled...)
	return r, nil
}

// changes closes all files. The order is that of a commit table by table: the
// models' own, then dead letters, then the audit table, whose rows promise
// that the others are there.
func (p *Pipeline) changes(ctx context.Context, e *epoch, rows []lakehouse.AuditRow) ([]lakehouse.TableChange, error) {
	audit := p.table(lakehouse.AuditDefinition(p.config.Name))
	if len(rows) > 0 {
		if err := p.writeAudit(ctx, e, audit, rows); err != nil {
			return nil, err
		}
	}
	changes := []lakehouse.TableChange{}
	add := func(t *lakehouse.Table, counts ...lakehouse.Counts) error {
		w, ok := e.writers[t.ID.String()]
		if !ok {
			return nil
		}
		files, err := w.Close()
		if err != nil {
			return fmt.Errorf("close files of %s: %w", t.ID, err)
		}
		changes = append(changes, t.Change(p.tables[t.ID.String()], files, counts...))
		return nil
	}
	for i := range p.parts.Models {
		if m := &p.parts.Models[i]; m.Table != nil {
			if err := add(m.Table, e.counts(m.Name)); err != nil {
				return nil, err
			}
		}
	}
	keyed, err := p.keyedChanges(ctx, e)
	if err != nil {
		return nil, err
	}
	changes = append(changes, keyed...)
	if err := add(p.table(lakehouse.DeadLettersDefinition(p.config.Name))); err != nil {
		return nil, err
	}
	if err := add(audit); err != nil {
		return nil, err
	}
	return changes, nil
}

func (p *Pipeline) writeAudit(ctx context.Context, e *epoch, audit *lakehouse.Table, rows []lakehouse.AuditRow) error {
	w, err := e.writer(audit)
	if err != nil {
		return err
	}
	batch := lakehouse.AuditBatch(rows, p.parts.Allocator)
	defer batch.Release()
	return w.Write(ctx, batch)
}

// plugins are the modules that the models run, keyed ones included.
func (p *Pipeline) plugins() map[string]string {
	digests := map[string]string{}
	for _, m := range p.parts.Models {
		if m.Plugin != nil {
			digests[m.PluginRef] = m.Plugin.Digest()
		}
	}
	for _, k := range p.keyed {
		if k.Plugin != nil {
			digests[k.PluginRef] = k.Plugin.Digest()
		}
	}
	return digests
}

// tablesAfter is every table of the pipeline, with the last epoch that touched
// it, this one included.
func (p *Pipeline) tablesAfter(e *epoch, changes []lakehouse.TableChange) []lakehouse.TableState {
	epochs := maps.Clone(p.tables)
	for _, c := range changes {
		epochs[c.Table] = e.number
	}
	states := []lakehouse.TableState{}
	for _, name := range slices.Sorted(maps.Keys(epochs)) {
		if t, ok := p.parts.Start.Tables[name]; ok {
			states = append(states, lakehouse.TableState{Table: name, UUID: t.UUID, Epoch: epochs[name]})
		}
	}
	return states
}

func modelNames(models []*Model) []string {
	names := make([]string, len(models))
	for i, m := range models {
		names[i] = m.Name
	}
	slices.Sort(names)
	return names
}
