package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

// epoch is what has been taken since the last commit: data files in the
// making, and the counts that the audit table will show.
type epoch struct {
	number    int64
	started   int64 // µs
	bytes     int64 // of records taken
	from      map[record.TopicPartition]int64
	delivered map[record.TopicPartition]int64 // data records
	fates     map[fateKey]record.Fate
	writers   map[string]*lakehouse.Writer // by table
	names     *lakehouse.Names
	p         *Pipeline
}

type fateKey struct {
	model string
	record.TopicPartition
}

// begin starts the next epoch where the positions are.
func (p *Pipeline) begin() *epoch {
	e := &epoch{
		number:    p.last + 1,
		started:   p.Now().UnixMicro(),
		from:      map[record.TopicPartition]int64{},
		delivered: map[record.TopicPartition]int64{},
		fates:     map[fateKey]record.Fate{},
		writers:   map[string]*lakehouse.Writer{},
		p:         p,
	}
	e.names = p.Lake.Names(e.number)
	for tp, position := range p.at.at {
		e.from[tp] = position.Offset
	}
	return e
}

// write adds a model's rows to its table's files, and its rejects to the dead
// letters.
func (e *epoch) write(ctx context.Context, o outcome) error {
	key := fateKey{model: o.model.Name, TopicPartition: o.rows.Source.TopicPartition}
	f := e.fates[key]
	f.Add(o.fate)
	e.fates[key] = f
	if err := e.bury(ctx, o); err != nil {
		return err
	}
	if o.model.Table == nil || o.rows.Rows.NumRows() == 0 {
		return nil
	}
	rows, err := record.WithPositions(o.rows, e.p.Allocator)
	if err != nil {
		return err
	}
	defer rows.Release()
	w, err := e.writer(o.model.Table)
	if err != nil {
		return err
	}
	return w.Write(ctx, rows)
}

// bury writes rejects as dead letters.
func (e *epoch) bury(ctx context.Context, o outcome) error {
	if len(o.rejects) == 0 {
		return nil
	}
	digest := ""
	if o.model.Plugin != nil {
		digest = o.model.Plugin.Digest()
	}
	origin := e.p.at.at[o.rows.Source.TopicPartition].Origin
	letters := make([]lakehouse.DeadLetter, len(o.rejects))
	for i, r := range o.rejects {
		letters[i] = lakehouse.DeadLetter{
			Epoch: e.number, Model: o.model.Name, Reader: MainReader, Origin: origin,
			Source: o.rows.Source, Reject: r, PluginDigest: digest,
		}
	}
	batch := lakehouse.DeadLetterBatch(letters, e.p.Allocator)
	defer batch.Release()
	w, err := e.writer(e.p.table(lakehouse.DeadLettersDefinition(e.p.config.Name)))
	if err != nil {
		return err
	}
	return w.Write(ctx, batch)
}

// took counts what was polled.
func (e *epoch) took(slices []record.Slice) {
	for _, s := range slices {
		e.bytes += s.Bytes
		e.delivered[s.TopicPartition] += int64(len(s.Records))
	}
}

// moved tells whether any position has moved since the epoch began.
func (e *epoch) moved() bool {
	for tp, from := range e.from {
		if e.p.at.at[tp].Offset != from {
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
	w, err := t.NewWriter(e.names, lakehouse.WriterConfig{Allocator: e.p.Allocator})
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
}

// ranges is what the epoch took, per TopicPartition in order.
func (e *epoch) ranges() []lakehouse.Range {
	var ranges []lakehouse.Range
	for _, position := range e.p.at.sorted() {
		ranges = append(ranges, lakehouse.Range{
			ClusterID: position.ClusterID, TopicID: position.TopicID,
			Topic: position.Topic, Partition: position.Partition,
			From: e.from[position.TopicPartition], To: position.Offset, LeaderEpoch: position.LeaderEpoch,
			Delivered: e.delivered[position.TopicPartition],
		})
	}
	return ranges
}

// audit renders the epoch's rows of the audit table: one for each model and
// each TopicPartition that it reads, unless nothing moved there.
func (e *epoch) audit(ranges []lakehouse.Range, decided int64) []lakehouse.AuditRow {
	var rows []lakehouse.AuditRow
	for i := range e.p.Models {
		m := &e.p.Models[i]
		for _, r := range ranges {
			if r.Topic != m.Topic || r.From == r.To {
				continue
			}
			row := lakehouse.AuditRow{
				Epoch: e.number, Writer: e.p.config.Nonce, ConfigHash: e.p.config.ConfigHash,
				Reader: MainReader, Model: m.Name, Range: r,
				Fate:      e.fates[fateKey{m.Name, record.TopicPartition{Topic: r.Topic, Partition: r.Partition}}],
				StartedAt: e.started, DecidedAt: decided,
			}
			if m.Table != nil {
				row.Table = m.Table.ID.String()
			}
			if m.Plugin != nil {
				row.PluginDigest = m.Plugin.Digest()
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// counts sums a model's fates.
func (e *epoch) counts(model string) lakehouse.Counts {
	c := lakehouse.Counts{Model: model}
	for key, f := range e.fates {
		if key.model == model {
			c.In += f.Delivered
			c.Out += f.Rows
			c.Dead += f.Dead
			c.Filtered += f.Filtered
		}
	}
	return c
}

// check refuses an epoch that does not add up before it is decided: every
// range begins where it must, and every record has one fate (invariants 3, 6).
func (e *epoch) check(ranges []lakehouse.Range, rows []lakehouse.AuditRow) error {
	for _, r := range ranges {
		if r.From > r.To {
			return fmt.Errorf("BUG: epoch %d takes offsets [%d,%d) of %s/%d", e.number, r.From, r.To, r.Topic, r.Partition)
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
	return p.Start.Tables[d.ID.String()]
}

func modelNames(models []Model) []string {
	names := make([]string, len(models))
	for i, m := range models {
		names[i] = m.Name
	}
	slices.Sort(names)
	return names
}
