package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

// takePast gives a keyed model the rows of epochs of its inputs: of each input
// those of all of them at once, for a file that was compacted holds rows of many.
// Each row is given at the watermark that its epoch saw.
func (p *Pipeline) takePast(ctx context.Context, e *epoch, k *keyed, chunk []past) error {
	for _, input := range k.Inputs {
		m := p.model(input)
		if m == nil {
			continue
		}
		within := spansOf(chunk, k.behind.seen(chunk), input)
		err := m.Table.RowsWithin(ctx, within.ranges(), func(rows arrow.RecordBatch) error {
			return eachRun(rows, within, func(batch record.Batch) error {
				defer batch.Release()
				g := within.of(batch.Source.TopicPartition, batch.Source.From)
				before := k.behind.watermark
				k.behind.watermark = g.seen
				defer func() { k.behind.watermark = before }()
				return e.takeAgain(ctx, k, input, record.Origin{ClusterID: g.ClusterID, TopicID: g.TopicID}, batch)
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// seen are the watermarks that epochs saw that come next: those of the epochs
// before. Up to until it is none, or that to which it was raised.
func (b *behind) seen(chunk []past) []int64 {
	all, marks, at, epoch := make([]int64, len(chunk)), maps.Clone(b.marks), b.watermark, int64(0)
	for i, part := range chunk {
		if part.Epoch > max(epoch, b.until) {
			at = max(at, lowestOf(marks))
		}
		epoch, all[i] = part.Epoch, at
		if part.Watermark != nil {
			marks[part.model] = max(marks[part.model], *part.Watermark)
		}
	}
	return all
}

// spans are what epochs took of one model, by TopicPartition in order.
type spans map[record.TopicPartition][]span

// span is what one epoch took, and the watermark that it saw.
type span struct {
	lakehouse.Range
	seen int64
}

func spansOf(chunk []past, seen []int64, model string) spans {
	s := spans{}
	for i, part := range chunk {
		if part.model != model {
			continue
		}
		for _, g := range part.Ranges {
			tp := record.TopicPartition{Topic: g.Topic, Partition: g.Partition}
			s[tp] = append(s[tp], span{g, seen[i]})
		}
	}
	for _, all := range s {
		slices.SortFunc(all, func(x, y span) int { return cmp.Compare(x.From, y.From) })
	}
	return s
}

// ranges are what to read: joined where one epoch goes on with another's.
func (s spans) ranges() []lakehouse.Range {
	var all []lakehouse.Range
	for _, tp := range slices.SortedFunc(maps.Keys(s), record.TopicPartition.Compare) {
		first := len(all)
		for _, g := range s[tp] {
			if n := len(all); n > first && g.From <= all[n-1].To {
				all[n-1].To = max(all[n-1].To, g.To)
			} else {
				all = append(all, g.Range)
			}
		}
	}
	return all
}

// of is the span that an offset is in, nil if it is in none.
func (s spans) of(tp record.TopicPartition, offset int64) *span {
	all := s[tp]
	i, _ := slices.BinarySearchFunc(all, offset, func(g span, at int64) int {
		if g.To <= at {
			return -1
		}
		return 1
	})
	if i == len(all) || offset < all[i].From {
		return nil
	}
	return &all[i]
}

// takeAgain gives rows that are in an input's table, or are about to be by a
// replay, to a keyed model for which they are new.
func (e *epoch) takeAgain(ctx context.Context, k *keyed, input string, origin record.Origin, rows record.Batch) error {
	given, rejects, err := e.taken(ctx, k, input, rows)
	if err != nil {
		return err
	}
	fate, known := given.fate, len(rejects)
	if rejects, err = e.p.judgeLetters(ctx, k, origin, rows, given.passed, rejects); err != nil {
		return err
	}
	if e.p.dry {
		return nil
	}
	fate.Letters -= int64(known - len(rejects))
	if k.Test != nil {
		return nil // it refuses none
	}
	key := replayKey{k.Name, origin, rows.Source.TopicPartition}
	sum := e.replays[key]
	sum.Add(fate)
	e.replays[key] = sum
	r := &reader{name: lakehouse.ReplayReader, at: newPositions([]record.Position{{Origin: origin, TopicPartition: key.TopicPartition}})}
	return e.bury(ctx, r, refused{k.Name, k.digest(), rows, rejects})
}

// eachRun cuts rows of a staging table into batches as they came from topics: of
// one TopicPartition, range and time of arrival, by offset. Rows outside of the
// ranges are left out.
func eachRun(rows arrow.RecordBatch, within spans, visit func(record.Batch) error) error {
	p, err := positionsOf(rows)
	if err != nil {
		return err
	}
	for from := 0; from < len(p.offsets); {
		g := within.of(p.at(from), p.offsets[from])
		to := from + 1
		for to < len(p.offsets) && p.follows(to) && g == within.of(p.at(to), p.offsets[to]) {
			to++
		}
		if g != nil {
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
