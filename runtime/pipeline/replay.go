package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

// replayBytes bounds the records that a replay holds in memory at once.
const replayBytes = 16 << 20

// replayKey is what the audit table counts together.
type replayKey struct {
	model string
	record.Origin
	record.TopicPartition
}

func (k replayKey) compare(other replayKey) int {
	return cmp.Or(cmp.Compare(k.model, other.model), k.TopicPartition.Compare(other.TopicPartition),
		cmp.Compare(k.ClusterID, other.ClusterID), cmp.Compare(k.TopicID, other.TopicID))
}

func keyOf(l *lakehouse.Letter) replayKey { return replayKey{l.Model, l.Origin, l.TopicPartition} }

// replay goes on with a request until it is done, the epoch is half full or
// half is over. It is a reader whose source is the table of dead letters: each
// letter that it takes gets a row that says what became of it, in the same
// epoch as the rows that became of it (invariant 1), so that what is left is
// what has no such row.
func (p *Pipeline) replay(ctx, half context.Context, e *epoch, a *activeRequest) error {
	limit := lakehouse.ChunkLimit{
		Letters: p.config.PollRecords, Bytes: min(replayBytes, (p.config.MaxBytes+1)/2),
		Payload: a.Kind == lakehouse.RequestReplay,
	}
	before := a.open.Len()
	err := a.open.Read(ctx, limit, func(letters []lakehouse.Letter) (bool, error) {
		take := p.replayLetters
		if a.Kind == lakehouse.RequestDiscard {
			take = p.discardLetters
		}
		if err := take(context.WithoutCancel(ctx), e, a, letters); err != nil {
			return false, err
		}
		for i := range letters {
			e.bytes += int64(len(letters[i].Record.Key) + len(letters[i].Record.Value))
		}
		return half.Err() == nil && e.bytes < (p.config.MaxBytes+1)/2, nil
	})
	if err == nil || a.open.Len() < before { // an error leaves what was taken before it
		e.request = a.record()
	}
	return err
}

// discardLetters gives letters up.
func (p *Pipeline) discardLetters(ctx context.Context, e *epoch, a *activeRequest, letters []lakehouse.Letter) error {
	s := &settled{epoch: e, request: a}
	for i := range letters {
		s.resolve(&letters[i], lakehouse.Discarded, nil)
	}
	return s.write(ctx)
}

// replayLetters runs letters through the present models, by the walk that
// records of a topic take, but for what would stop it (Sparing).
func (p *Pipeline) replayLetters(ctx context.Context, e *epoch, a *activeRequest, letters []lakehouse.Letter) error {
	groups := p.letterSlices(letters)
	pairs := make([]pair, len(groups))
	for i := range groups {
		pairs[i] = pair{groups[i].model, &groups[i].slice}
	}
	outcomes, err := eachPair(pairs, func(m *Model, s *record.Slice) (outcome, error) { return p.carryLetters(ctx, a, m, s) })
	defer release(outcomes)
	if err != nil {
		return err
	}
	for i := range groups {
		s := &settled{epoch: e, request: a}
		rows, err := s.settle(&groups[i], outcomes[i])
		if err != nil {
			return err
		}
		p.stats.replayed(int64(len(rows.Records)), int64(len(s.later)))
		if err = e.feedReplayed(ctx, &groups[i], rows); err == nil {
			err = e.writeRows(ctx, groups[i].model, rows)
		}
		rows.Release()
		if err != nil {
			return fmt.Errorf("write replayed rows of model %s: %w", groups[i].model.Name, err)
		}
		if err := s.write(ctx); err != nil {
			return err
		}
	}
	return nil
}

// letterSlice is letters of one model and TopicPartition as a slice again.
type letterSlice struct {
	model   *Model
	slice   record.Slice
	letters []lakehouse.Letter
	records []int32 // by letter: index in slice.Records
}

// letterSlices cuts letters, which come sorted, into slices: of one model, one
// TopicPartition and one time of arrival, for the rows keep theirs. Letters of
// rows of one record share it.
func (p *Pipeline) letterSlices(letters []lakehouse.Letter) []letterSlice {
	var groups []letterSlice
	for i := range letters {
		l := &letters[i]
		n := len(groups)
		if n == 0 || keyOf(&groups[n-1].letters[0]) != keyOf(l) || groups[n-1].slice.IngestedAt != l.IngestedAt {
			groups = append(groups, letterSlice{
				model: p.model(l.Model),
				slice: record.Slice{TopicPartition: l.TopicPartition, From: l.Record.Offset, LeaderEpoch: -1, IngestedAt: l.IngestedAt},
			})
			n++
		}
		g := &groups[n-1]
		if last := len(g.slice.Records); last == 0 || g.slice.Records[last-1].Offset != l.Record.Offset {
			g.slice.Records = append(g.slice.Records, l.Record)
			g.slice.Bytes += int64(len(l.Record.Key) + len(l.Record.Value))
			g.slice.To = l.Record.Offset + 1
		}
		g.letters = append(g.letters, *l)
		g.records = append(g.records, int32(len(g.slice.Records)-1))
	}
	return groups
}

func (p *Pipeline) model(name string) *Model {
	i := slices.IndexFunc(p.parts.Models, func(m Model) bool { return m.Name == name })
	if i < 0 {
		return nil // letters of such a model are discarded at most
	}
	return &p.parts.Models[i]
}

// settled is what became of some letters: the rows of the table of dead letters
// that say so, and the changes of counts for the audit table.
type settled struct {
	epoch       *epoch
	request     *activeRequest
	digest      string
	resolutions []lakehouse.Resolution
	later       []lakehouse.DeadLetter // rows that a data test refused of records that were replayed
}

// resolve notes what became of a letter.
func (s *settled) resolve(l *lakehouse.Letter, outcome lakehouse.Outcome, refusal *record.Reject) {
	s.resolutions = append(s.resolutions, lakehouse.Resolution{
		Letter: *l, Epoch: s.epoch.number, Request: s.request.ID, Outcome: outcome, Refusal: refusal, PluginDigest: s.digest,
	})
	s.request.result.Add(outcome)
	key := keyOf(l)
	f := s.epoch.replays[key]
	switch {
	case outcome == lakehouse.Replayed && (!l.OfRow || !s.request.open.HasRows(l)):
		f.WithRows++
		f.Dead--
		if l.OfRow {
			s.request.open.GotRows(l)
		}
	case outcome == lakehouse.Filtered && !l.OfRow:
		f.Filtered++
		f.Dead--
	}
	s.epoch.replays[key] = f
}

// settle decides each letter's outcome, and returns the rows that are to be
// written: all of a record whose whole was refused, else those that were.
func (s *settled) settle(g *letterSlice, o outcome) (record.Batch, error) {
	s.digest = g.model.digest()
	ordinals := o.rows.RowOrdinals()
	made := map[rowOf]int{} // index of a row
	count := make([]int32, len(g.slice.Records))
	for i, r := range o.rows.Records {
		made[rowOf{r, ordinals[i]}] = i
		count[r]++
	}
	var keep []int
	for i := range g.letters {
		l, r := &g.letters[i], g.records[i]
		row, isMade := made[rowOf{r, l.Row}]
		refusal := o.refusal(r, l)
		switch {
		case refusal != nil && !refusal.OfRow:
			s.resolve(l, lakehouse.Refused, refusal)
		case !l.OfRow && count[r] > 0:
			first, _ := slices.BinarySearch(o.rows.Records, r) // they never decrease
			for j := first; j < len(o.rows.Records) && o.rows.Records[j] == r; j++ {
				keep = append(keep, j)
			}
			s.resolve(l, lakehouse.Replayed, nil)
			s.refuseRows(g, o, r, count[r])
		case l.OfRow && isMade:
			keep = append(keep, row)
			s.resolve(l, lakehouse.Replayed, nil)
		case refusal != nil:
			s.resolve(l, lakehouse.Refused, refusal)
		default:
			s.resolve(l, lakehouse.Filtered, nil)
		}
	}
	slices.Sort(keep)
	key := keyOf(&g.letters[0])
	f := s.epoch.replays[key]
	f.Rows += int64(len(keep))
	f.Letters += int64(len(s.later))
	s.epoch.replays[key] = f
	s.epoch.countTruncations(o)
	if len(keep) == len(ordinals) { // else tests were run on rows that stand already
		s.epoch.warn(o)
	}
	return o.rows.Select(keep, s.epoch.p.parts.Allocator)
}

// rowOf is a row by its record's index and its ordinal.
type rowOf struct{ record, ordinal int32 }

// refusal is why a letter's record or row is refused again; nil if it is not.
func (o outcome) refusal(index int32, l *lakehouse.Letter) (found *record.Reject) {
	for i := range o.rejects {
		r := &o.rejects[i]
		switch {
		case r.Record != index || r.OfRow && l.OfRow && r.Row != l.Row:
		case !r.OfRow:
			return r // the record as a whole: nothing of it stands
		case found == nil:
			found = r
		}
	}
	return found
}

// refuseRows makes dead letters of the rows of a replayed record that a data
// test refuses.
func (s *settled) refuseRows(g *letterSlice, o outcome, index, rows int32) {
	for _, r := range o.rejects {
		if r.Record == index {
			s.later = append(s.later, lakehouse.DeadLetter{
				Epoch: s.epoch.number, Model: g.model.Name, Reader: lakehouse.ReplayReader, Origin: g.letters[0].Origin,
				Source: &g.slice, Reject: r, RecordRows: rows, PluginDigest: s.digest,
			})
		}
	}
}

// write adds the rows of the table of dead letters.
func (s *settled) write(ctx context.Context) error {
	e := s.epoch
	if len(s.later) > 0 {
		batch := lakehouse.DeadLetterBatch(s.later, e.p.parts.Allocator)
		defer batch.Release()
		if err := e.writeLetters(ctx, batch); err != nil {
			return err
		}
	}
	batch := lakehouse.ResolutionBatch(s.resolutions, e.p.parts.Allocator)
	defer batch.Release()
	return e.writeLetters(ctx, batch)
}
