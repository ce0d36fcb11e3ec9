package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

// epoch is what has been taken since the last commit: data files in the
// making, and the counts that the audit table will show.
type epoch struct {
	number  int64
	started int64 // µs
	bytes   int64 // of records taken
	slices  map[*reader]*taken
	replays map[replayKey]record.Fate // changes that replayed dead letters make
	request *lakehouse.Request        // how far another command's request is; nil if this epoch carries none on
	// reconciled tells how far requests to reconcile models are.
	reconciled []lakehouse.Request
	deaths     map[string]*deaths    // by model
	truncated  map[string]*truncated // by model
	warnings   map[warned]Warning
	tallies    map[string]tally                   // of plugins, by model
	compared   map[string]*Differences            // between plugins and their shadows, by model
	audited    map[string]bool                    // models that the audit rows name
	given      map[string]bool                    // keyed models that were given rows
	before     *checkpoint                        // nil unless a plugin is on probation
	writers    map[string]*lakehouse.Writer       // by table
	changers   map[string]*lakehouse.ChangeWriter // of keyed models, by table
	caught     bool                               // a keyed model that is behind has taken more of its input
	behind     []*behind                          // of keyed models, as the epoch began
	reworks    []*rework                          // of keyed models, as the epoch began
	reached    []reached                          // of keyed models, as the epoch began
	changed    map[string]int64                   // rows that keyed models changed, by model
	inferred   map[string]int64                   // members of dimensions that facts inferred, by model
	newest     map[string]int64                   // event time, by staging model that has seen any
	heard      map[string]int64                   // newest timestamp of records, by topic
	names      *lakehouse.Names
	p          *Pipeline
}

// taken is what an epoch has taken of one reader's topics.
type taken struct {
	from      map[record.TopicPartition]int64
	delivered map[record.TopicPartition]int64 // data records
	fates     map[fateKey]record.Fate
	lost      map[record.TopicPartition]lakehouse.Interval
}

type fateKey struct {
	model string
	record.TopicPartition
}

// begin starts the next epoch where the readers are.
func (p *Pipeline) begin() *epoch {
	e := &epoch{
		number:    p.last + 1,
		started:   p.parts.Now().UnixMicro(),
		slices:    map[*reader]*taken{},
		replays:   map[replayKey]record.Fate{},
		deaths:    map[string]*deaths{},
		truncated: map[string]*truncated{},
		warnings:  map[warned]Warning{},
		tallies:   map[string]tally{},
		compared:  map[string]*Differences{},
		audited:   map[string]bool{},
		given:     map[string]bool{},
		writers:   map[string]*lakehouse.Writer{},
		changers:  map[string]*lakehouse.ChangeWriter{},
		changed:   map[string]int64{},
		inferred:  map[string]int64{},
		newest:    map[string]int64{},
		heard:     map[string]int64{},
		p:         p,
	}
	e.names = p.parts.Lake.Names(e.number)
	for _, k := range p.keyed {
		e.behind, e.reworks = append(e.behind, k.behind.restart()), append(e.reworks, k.rework.restart())
		e.reached = append(e.reached, k.reached)
	}
	for _, r := range p.readers {
		t := &taken{from: r.at.ends(), delivered: map[record.TopicPartition]int64{}, fates: map[fateKey]record.Fate{}, lost: r.lost}
		for tp, lost := range r.lost {
			t.from[tp] = lost.From
		}
		e.slices[r] = t
	}
	if len(p.probations) > 0 {
		e.before = p.checkpoint()
	}
	return e
}

// write adds a model's rows to its table's files, and its rejects to the dead
// letters.
func (e *epoch) write(ctx context.Context, r *reader, o outcome) error {
	e.countFate(r, o.model.Name, o.rows.Source.TopicPartition, o.fate)
	e.warn(o)
	e.tally(o)
	e.compare(o)
	e.countTruncations(o)
	if err := e.bury(ctx, r, refused{o.model.Name, o.model.digest(), o.rows, o.rejects}); err != nil {
		return err
	}
	return e.writeRows(ctx, o.model, o.rows)
}

func (e *epoch) countFate(r *reader, model string, tp record.TopicPartition, more record.Fate) {
	fates := e.slices[r].fates
	f := fates[fateKey{model, tp}]
	f.Add(more)
	fates[fateKey{model, tp}] = f
}

// writeRows adds rows to the files of a model's table, if it has one.
func (e *epoch) writeRows(ctx context.Context, m *Model, batch record.Batch) error {
	if m.Table == nil || batch.Rows.NumRows() == 0 {
		return nil
	}
	rows, err := record.WithPositions(batch, e.p.parts.Allocator)
	if err != nil {
		return err
	}
	defer rows.Release()
	w, err := e.writer(m.Table)
	if err != nil {
		return err
	}
	err = w.Write(ctx, rows)
	if errors.Is(err, lakehouse.ErrUnfit) && m.Plugin != nil {
		return &pluginError{m.PluginRef, err}
	}
	return err
}

// refused is what a model refused of a slice, or of the rows made of it.
type refused struct {
	model, digest string
	rows          record.Batch
	rejects       []record.Reject
}

// bury writes rejects as dead letters.
func (e *epoch) bury(ctx context.Context, r *reader, o refused) error {
	if len(o.rejects) == 0 {
		return nil
	}
	origin := r.at.at[o.rows.Source.TopicPartition].Origin
	letters := make([]lakehouse.DeadLetter, len(o.rejects))
	for i, reject := range o.rejects {
		letters[i] = lakehouse.DeadLetter{
			Epoch: e.number, Model: o.model, Reader: r.name, Origin: origin,
			Source: o.rows.Source, Reject: reject, PluginDigest: o.digest,
		}
		if reject.OfRow {
			letters[i].RecordRows = rowsOfRecord(o.rows.Records, reject.Record)
		}
	}
	e.countDeaths(o)
	batch := lakehouse.DeadLetterBatch(letters, e.p.parts.Allocator)
	defer batch.Release()
	return e.writeLetters(ctx, batch)
}

// rowsOfRecord counts the rows of a record; indexes never decrease.
func rowsOfRecord(records []int32, index int32) int32 {
	first, _ := slices.BinarySearch(records, index)
	end, _ := slices.BinarySearch(records, index+1)
	return int32(end - first)
}

func (e *epoch) writeLetters(ctx context.Context, batch arrow.RecordBatch) error {
	w, err := e.writer(e.p.table(lakehouse.DeadLettersDefinition(e.p.config.Name)))
	if err != nil {
		return err
	}
	return w.Write(ctx, batch)
}

// took counts what was polled.
func (e *epoch) took(r *reader, slices []record.Slice) {
	for i := range slices {
		s := &slices[i]
		e.bytes += s.Bytes
		e.slices[r].delivered[s.TopicPartition] += int64(len(s.Records))
		e.hear(s)
	}
}

// moved tells whether any position has moved since the epoch began, or a
// request was carried on.
func (e *epoch) moved() bool {
	if e.request != nil || len(e.reconciled) > 0 || e.caught {
		return true
	}
	for r, t := range e.slices {
		if !maps.Equal(t.from, r.at.ends()) {
			return true
		}
	}
	return false
}

func (e *epoch) writer(t *lakehouse.Table) (*lakehouse.Writer, error) {
	name := t.ID.String()
	if w, ok := e.writers[name]; ok {
		return w, nil
	}
	w, err := t.NewWriter(e.names, lakehouse.WriterConfig{Allocator: e.p.parts.Allocator})
	if err != nil {
		return nil, err
	}
	e.writers[name] = w
	return w, nil
}

func (e *epoch) abort() {
	for _, w := range e.writers {
		w.Abort()
	}
	for _, w := range e.changers {
		w.Abort()
	}
	e.discardKeyed()
}

// readers is what the epoch took, by reader, and within it by TopicPartition.
func (e *epoch) readers() []lakehouse.Reader {
	readers := make([]lakehouse.Reader, len(e.p.readers))
	for i, r := range e.p.readers {
		inputs := make(map[string]string, len(r.models))
		for _, m := range r.models {
			inputs[m.Name] = m.Topic
		}
		readers[i] = lakehouse.Reader{Name: r.name, Models: modelNames(r.models), Inputs: inputs, Ranges: e.ranges(r)}
	}
	return readers
}

func (e *epoch) ranges(r *reader) []lakehouse.Range {
	t := e.slices[r]
	var ranges []lakehouse.Range
	for _, position := range r.at.sorted() {
		g := lakehouse.Range{
			ClusterID: position.ClusterID, TopicID: position.TopicID,
			Topic: position.Topic, Partition: position.Partition,
			From: t.from[position.TopicPartition], To: position.Offset, LeaderEpoch: position.LeaderEpoch,
			Delivered: t.delivered[position.TopicPartition],
		}
		if lost, ok := t.lost[position.TopicPartition]; ok {
			g.Lost = []lakehouse.Interval{lost}
		}
		ranges = append(ranges, g)
	}
	return ranges
}

// audit renders the epoch's rows of the audit table: one for each model and
// each TopicPartition that it reads, unless nothing moved there.
func (e *epoch) audit(decided int64, watermarks map[string]record.Watermark) []lakehouse.AuditRow {
	var rows []lakehouse.AuditRow
	for _, r := range e.p.readers {
		for _, g := range e.ranges(r) {
			if g.From == g.To {
				continue
			}
			for _, m := range r.reading(g.Topic) {
				row := lakehouse.AuditRow{
					Epoch: e.number, Writer: e.p.config.Nonce, ConfigHash: e.p.config.ConfigHash,
					Reader: r.name, Model: m.Name, Range: g,
					Fate:      e.slices[r].fates[fateKey{m.Name, record.TopicPartition{Topic: g.Topic, Partition: g.Partition}}],
					StartedAt: e.started, DecidedAt: decided,
				}
				row.Table, row.PluginDigest = m.tableName(), m.digest()
				if w, ok := watermarks[m.Name]; ok && w.At != record.NoTime {
					row.Range.Watermark = &w.At
				}
				rows = append(rows, row)
				rows = append(rows, e.auditKeyed(r, row)...)
			}
		}
	}
	return append(rows, e.auditReplays(decided)...)
}

// auditReplays renders what replays changed, a row for each model and
// TopicPartition.
func (e *epoch) auditReplays(decided int64) []lakehouse.AuditRow {
	var rows []lakehouse.AuditRow
	for _, key := range slices.SortedFunc(maps.Keys(e.replays), replayKey.compare) {
		row := lakehouse.AuditRow{
			Epoch: e.number, Writer: e.p.config.Nonce, ConfigHash: e.p.config.ConfigHash,
			Reader: lakehouse.ReplayReader, Model: key.model, Fate: e.replays[key],
			Range: lakehouse.Range{
				ClusterID: key.ClusterID, TopicID: key.TopicID, Topic: key.Topic, Partition: key.Partition, LeaderEpoch: -1,
				Delivered: e.replays[key].Delivered, // rows that are new to a keyed model; else 0
			},
			StartedAt: e.started, DecidedAt: decided,
		}
		if m := e.p.model(key.model); m != nil {
			row.Table, row.PluginDigest = m.tableName(), m.digest()
		}
		if k := e.p.keyedModel(key.model); k != nil {
			row.Table, row.PluginDigest = k.tableName(), e.keyedDigest(k)
		}
		rows = append(rows, row)
	}
	return rows
}

// counts sums a model's fates.
func (e *epoch) counts(model string) lakehouse.Counts {
	c := lakehouse.Counts{Model: model}
	for _, t := range e.slices {
		for key, f := range t.fates {
			if key.model == model {
				c.In += f.Delivered
				c.Out += f.Rows
				c.Dead += f.Dead
				c.Filtered += f.Filtered
			}
		}
	}
	for key, f := range e.replays {
		if key.model == model {
			c.Out += f.Rows
			c.Dead += f.Dead
			c.Filtered += f.Filtered
		}
	}
	return c
}

// check refuses an epoch that does not add up before it is decided: no range
// runs backwards, and every record has one fate (invariants 3 and 6).
func (e *epoch) check(rows []lakehouse.AuditRow) error {
	for _, r := range e.p.readers {
		for _, g := range e.ranges(r) {
			if g.From > g.To {
				return fmt.Errorf("BUG: epoch %d takes offsets [%d,%d) of %s/%d", e.number, g.From, g.To, g.Topic, g.Partition)
			}
		}
	}
	for _, row := range rows {
		f := row.Fate
		if f.WithRows+f.Dead+f.Filtered != f.Delivered || f.Delivered != row.Range.Delivered {
			return fmt.Errorf("BUG: epoch %d, model %s, %s/%d: %d with rows + %d dead + %d filtered records, %d delivered",
				e.number, row.Model, row.Range.Topic, row.Range.Partition, f.WithRows, f.Dead, f.Filtered, row.Range.Delivered)
		}
	}
	return nil
}

func (p *Pipeline) table(d lakehouse.Definition) *lakehouse.Table {
	return p.parts.Start.Tables[d.ID.String()]
}
