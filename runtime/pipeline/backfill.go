package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

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
	history   []past // of all staging models that it reads, in order of epochs
	// marks are the watermarks of the staging models, as far as it has come.
	marks map[string]int64
	// taken is how far it is in each staging model's topics.
	taken map[fateKey]int64
}

// past is what one epoch wrote for one staging model.
type past struct {
	model string
	lakehouse.HistoryEpoch
}

// CheckKeyed compares keyed models with those of the last record: one that is
// defined otherwise cannot go on with its state. A model that the record does
// not know begins.
func CheckKeyed(start *lakehouse.Start, models []KeyedModel) error {
	for _, recorded := range start.Keyed {
		for _, m := range models {
			if m.Name == recorded.Name && m.Definition != recorded.Definition {
				return fmt.Errorf("%w: model %s is %q, its state after epoch %d is of %q; put back the key, the times and the aggregates that it had, or let it begin anew with --reset-model %s, which takes its input's table in again and replaces the rows of its own",
					ErrDefinition, m.Name, m.Definition, start.Last, recorded.Definition, m.Name)
			}
		}
	}
	return nil
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
		return &behind{epoch: *recorded.Behind, watermark: record.NoTime}
	}
	for _, input := range k.Inputs {
		if t := tableOf(parts, input); t != nil && parts.Start.Epochs[t.ID.String()] > 0 {
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
		if err := p.beginKeyed(ctx, e, k); err != nil {
			return err
		}
	}
	for rows, limit := int64(0), p.config.backfillRows(); rows < limit; {
		chunk, err := p.nextPast(ctx, k, limit-rows)
		if err != nil {
			return err
		}
		if len(chunk) == 0 {
			p.parts.Logger.Info("model has taken in what its inputs held", "model", k.Name, "epoch", b.epoch)
			k.behind = nil
			return nil
		}
		for _, part := range chunk {
			if err := p.takePast(ctx, e, k, part); err != nil {
				return err
			}
			rows += part.Rows
		}
		b.pass(chunk)
	}
	return nil
}

// beginKeyed is what comes before a keyed model's first rows: rows that its own
// table has from before it was reset go, and it is told of all rows that keyed
// models have which it reads.
func (p *Pipeline) beginKeyed(ctx context.Context, e *epoch, k *keyed) error {
	if k.Table != nil && p.tables[k.Table.ID.String()] > 0 {
		err := tableChanges(ctx, k.Table, record.OpDelete, func(all record.Changelog) error { return e.pass(ctx, k, all) })
		if err != nil {
			return err
		}
	}
	for i := range p.keyed {
		input := &p.keyed[i]
		if !slices.Contains(k.Inputs, input.Name) || input.behind != nil {
			continue // one that is behind too tells of its rows as it makes them
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
	return &behind{epoch: b.epoch, watermark: b.watermark}
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
	b.loaded, b.history = true, nil
	if b.taken == nil {
		b.taken, b.marks = map[fateKey]int64{}, map[string]int64{}
		for _, input := range k.Inputs {
			if p.model(input) != nil {
				b.marks[input] = record.NoTime
			}
		}
	}
	for _, input := range k.Inputs {
		m := p.model(input)
		if m == nil {
			continue // keyed: see Follow
		}
		if m.Table == nil {
			return fmt.Errorf("model %s has no table to take them from; make it a table, or begin a project of another name", input)
		}
		epochs, err := p.parts.Lake.History(ctx, input)
		if err != nil {
			return err
		}
		for _, e := range epochs {
			if one := (past{input, e}); e.Epoch > b.epoch {
				b.history = append(b.history, one)
			} else {
				b.pass([]past{one})
			}
		}
	}
	slices.SortStableFunc(b.history, func(x, y past) int { return cmp.Compare(x.Epoch, y.Epoch) })
	return nil
}

// pass notes that epochs were taken in. The watermark that operators see next is
// that after the last of them, as when their rows came, the lowest of all models:
// an older one would do, for it only makes fewer rows late.
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
	lowest := int64(math.MaxInt64)
	for _, at := range b.marks {
		lowest = min(lowest, at)
	}
	if lowest != math.MaxInt64 {
		b.watermark = max(b.watermark, lowest)
	}
}

// later tells whether rows are of records that the model has still to take from
// the table of its input.
func (b *behind) later(model string, rows record.Batch) bool {
	return rows.Source.Records[0].Offset >= b.taken[fateKey{model, rows.Source.TopicPartition}]
}

// takePast gives a keyed model the rows of one epoch of an input.
func (p *Pipeline) takePast(ctx context.Context, e *epoch, k *keyed, part past) error {
	m := p.model(part.model)
	within := map[record.TopicPartition]lakehouse.Range{}
	for _, g := range part.Ranges {
		within[record.TopicPartition{Topic: g.Topic, Partition: g.Partition}] = g
	}
	return m.Table.RowsWithin(ctx, part.Ranges, func(rows arrow.RecordBatch) error {
		return eachRun(rows, within, func(batch record.Batch) error {
			defer batch.Release()
			g := within[batch.Source.TopicPartition]
			return e.takeAgain(ctx, k, part.model, record.Origin{ClusterID: g.ClusterID, TopicID: g.TopicID}, batch)
		})
	})
}

// takeAgain gives rows that are in an input's table, or are about to be by a
// replay, to a keyed model for which they are new.
func (e *epoch) takeAgain(ctx context.Context, k *keyed, input string, origin record.Origin, rows record.Batch) error {
	f, rejects, err := e.taken(ctx, k, input, rows)
	if err != nil {
		return err
	}
	key := replayKey{k.Name, origin, rows.Source.TopicPartition}
	sum := e.replays[key]
	sum.Add(f)
	e.replays[key] = sum
	r := &reader{name: lakehouse.ReplayReader, at: newPositions([]record.Position{{Origin: origin, TopicPartition: key.TopicPartition}})}
	return e.bury(ctx, r, refused{k.Name, k.digest(), rows, rejects})
}

// eachRun cuts rows of a staging table into batches as they came from topics: of
// one TopicPartition and one time of arrival, by offset. Rows outside of the
// ranges are left out.
func eachRun(rows arrow.RecordBatch, within map[record.TopicPartition]lakehouse.Range, visit func(record.Batch) error) error {
	p, err := positionsOf(rows)
	if err != nil {
		return err
	}
	for from := 0; from < len(p.offsets); {
		g, wanted := within[p.at(from)]
		wanted = wanted && g.From <= p.offsets[from] && p.offsets[from] < g.To
		to := from + 1
		for to < len(p.offsets) && p.follows(to) && wanted == (g.From <= p.offsets[to] && p.offsets[to] < g.To) {
			to++
		}
		if wanted {
			if err := visit(p.batch(rows, from, to)); err != nil {
				return err
			}
		}
		from = to
	}
	return nil
}

// tablePositions is the position columns of rows.
type tablePositions struct {
	topics     *array.String
	partitions []int32
	offsets    []int64
	ordinals   []int32
	times      []arrow.Timestamp
	ingested   []arrow.Timestamp
}

func positionsOf(rows arrow.RecordBatch) (*tablePositions, error) {
	p := &tablePositions{}
	var ok [6]bool
	for i, f := range rows.Schema().Fields() {
		switch c := rows.Column(i).(type) {
		case *array.String:
			if f.Name == record.ColumnTopic {
				p.topics, ok[0] = c, true
			}
		case *array.Int32:
			if f.Name == record.ColumnPartition {
				p.partitions, ok[1] = c.Int32Values(), true
			}
			if f.Name == record.ColumnRow {
				p.ordinals, ok[2] = c.Int32Values(), true
			}
		case *array.Int64:
			if f.Name == record.ColumnOffset {
				p.offsets, ok[3] = c.Int64Values(), true
			}
		case *array.Timestamp:
			if f.Name == record.ColumnTimestamp {
				p.times, ok[4] = c.Values(), true
			}
			if f.Name == record.ColumnIngestedAt {
				p.ingested, ok[5] = c.Values(), true
			}
		}
	}
	if ok != [6]bool{true, true, true, true, true, true} {
		return nil, fmt.Errorf("BUG: rows of a staging table have columns %s", rows.Schema())
	}
	return p, nil
}

func (p *tablePositions) at(i int) record.TopicPartition {
	return record.TopicPartition{Topic: p.topics.Value(i), Partition: p.partitions[i]}
}

// follows tells whether a row goes on with the batch of the one before.
func (p *tablePositions) follows(i int) bool {
	return p.partitions[i] == p.partitions[i-1] && p.ingested[i] == p.ingested[i-1] && p.offsets[i] >= p.offsets[i-1] && p.topics.Value(i) == p.topics.Value(i-1)
}

// batch is rows [from, to) as they came: the records have no key and value any
// more.
func (p *tablePositions) batch(rows arrow.RecordBatch, from, to int) record.Batch {
	source := &record.Slice{
		TopicPartition: record.TopicPartition{Topic: string([]byte(p.topics.Value(from))), Partition: p.partitions[from]},
		From:           p.offsets[from], To: p.offsets[to-1] + 1, LeaderEpoch: -1, IngestedAt: int64(p.ingested[from]),
	}
	out := record.Batch{Source: source, Ordinals: p.ordinals[from:to]}
	for i := from; i < to; i++ {
		if n := len(source.Records); n == 0 || source.Records[n-1].Offset != p.offsets[i] {
			source.Records = append(source.Records, record.Record{Offset: p.offsets[i], LeaderEpoch: -1, Timestamp: int64(p.times[i])})
		}
		out.Records = append(out.Records, int32(len(source.Records)-1))
	}
	out.Rows, out.Changes = withoutPositions(rows, from, to)
	return out
}

// withoutPositions is some rows as WithPositions takes them.
func withoutPositions(rows arrow.RecordBatch, from, to int) (own, changes arrow.RecordBatch) {
	slice := rows.NewSlice(int64(from), int64(to))
	defer slice.Release()
	var fields, changed []arrow.Field
	var columns, changedColumns []arrow.Array
	for i, f := range slice.Schema().Fields() {
		switch {
		case record.IsPositionColumn(f.Name):
		case record.IsChangeColumn(f.Name):
			changed, changedColumns = append(changed, f), append(changedColumns, slice.Column(i))
		default:
			fields, columns = append(fields, f), append(columns, slice.Column(i))
		}
	}
	own = array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, slice.NumRows())
	if len(changed) > 0 {
		changes = array.NewRecordBatch(arrow.NewSchema(changed, nil), changedColumns, slice.NumRows())
	}
	return own, changes
}
