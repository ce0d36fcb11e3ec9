package trial

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/sdk/abi"
)

// session is a session of a key. Its bounds and count are those of the events
// that the plugin accepted.
type session struct {
	start, end, count int64
	state             arrow.RecordBatch // one row
}

// group is what became one session: sessions that were there, and events.
type group struct {
	key    int
	end    int64 // of the latest, accepted or not
	joined []*session
	rows   []int // in the order of time
}

// sessions plays the host: it keeps the sessions of each key.
type sessions struct {
	plugin *wasm.Session
	rows   Rows
	keyOf  []int
	firsts []int        // the first row of each key
	byKey  [][]*session // in the order of start
	answer Answer
}

func (s *Subject) askSession(ctx context.Context, r Rows) (Answer, error) {
	run := &sessions{plugin: s.session, rows: r}
	var err error
	if run.keyOf, run.firsts, err = r.keyNumbers(); err != nil {
		return Answer{}, err
	}
	run.byKey = make([][]*session, len(run.firsts))
	arrive := r.arrive
	if arrive == nil {
		arrive = []int{r.Len()}
	}
	from := 0
	for _, n := range arrive {
		if err := run.take(ctx, from, from+n); err != nil {
			return Answer{}, err
		}
		from += n
	}
	slices.SortStableFunc(run.answer.Errors, func(a, b AnswerError) int { return cmp.Compare(a.Row, b.Row) })
	return run.finish(ctx)
}

// take adds events [from, to), which arrive together.
func (s *sessions) take(ctx context.Context, from, to int) error {
	touched := s.arrive(from, to)
	if err := s.merge(ctx, touched); err != nil {
		return err
	}
	return s.accumulate(ctx, touched)
}

// arrive finds the sessions that events [from, to) belong to, and takes those
// that were there out of byKey.
func (s *sessions) arrive(from, to int) (touched []*group) {
	byKey := map[int][]int{}
	var keys []int
	for i := from; i < to; i++ {
		key := s.keyOf[i]
		if byKey[key] == nil {
			keys = append(keys, key)
		}
		byKey[key] = append(byKey[key], i)
	}
	slices.Sort(keys)
	for _, key := range keys {
		rows := byKey[key]
		slices.SortStableFunc(rows, func(a, b int) int { return compareInts(s.rows.times[a], s.rows.times[b]) })
		groups := s.assign(key, rows)
		s.byKey[key] = nil
		for _, g := range groups {
			if len(g.rows) == 0 {
				s.byKey[key] = append(s.byKey[key], g.joined...)
				continue
			}
			touched = append(touched, g)
		}
	}
	return touched
}

// assign finds out which events and sessions of a key are at most a gap apart.
func (s *sessions) assign(key int, rows []int) []*group {
	var groups []*group
	there, times := s.byKey[key], s.rows.times
	for len(there)+len(rows) > 0 {
		isSession := len(there) > 0 && (len(rows) == 0 || there[0].start <= times[rows[0]])
		var start, end int64
		if isSession {
			start, end = there[0].start, there[0].end
		} else {
			start, end = times[rows[0]], times[rows[0]]
		}
		if len(groups) == 0 || start-groups[len(groups)-1].end > s.rows.gap {
			groups = append(groups, &group{key: key, end: end})
		}
		g := groups[len(groups)-1]
		g.end = max(g.end, end)
		if isSession {
			g.joined, there = append(g.joined, there[0]), there[1:]
		} else {
			g.rows, rows = append(g.rows, rows[0]), rows[1:]
		}
	}
	return groups
}

// merge joins the state of sessions that became one, the later into the
// earlier.
func (s *sessions) merge(ctx context.Context, groups []*group) error {
	for {
		var several []*group
		var into, from []arrow.RecordBatch
		for _, g := range groups {
			if len(g.joined) > 1 {
				several, into, from = append(several, g), append(into, g.joined[0].state), append(from, g.joined[1].state)
			}
		}
		if len(several) == 0 {
			return nil
		}
		first, err := joinRows(into)
		if err != nil {
			return err
		}
		second, err := joinRows(from)
		if err != nil {
			return err
		}
		done, err := s.plugin.Merge(ctx, first, second)
		if err != nil {
			return fmt.Errorf("merge: %w", err)
		}
		for i, g := range several {
			one, two := g.joined[0], g.joined[1]
			one.state = done.State.NewSlice(int64(i), int64(i)+1)
			one.end, one.count = max(one.end, two.end), one.count+two.count
			g.joined = slices.Delete(g.joined, 1, 2)
		}
		for _, e := range done.Errors {
			e.Row = uint32(several[e.Row].rows[0]) // the event that made the sessions one
			s.answer.addErrors([]wasm.RowError{e}, false)
		}
	}
}

// groupedEvents is what accumulate is given.
type groupedEvents struct {
	rows   arrow.RecordBatch
	groups []uint32 // of each row
	order  []int    // the input row of each
	before arrow.RecordBatch
}

// events is those of groups, each with one session or none.
func (s *sessions) events(groups []*group) (e groupedEvents, err error) {
	initial, err := s.plugin.Initial(1)
	if err != nil {
		return e, err
	}
	states := make([]arrow.RecordBatch, len(groups))
	for i, g := range groups {
		states[i] = initial
		if len(g.joined) > 0 {
			states[i] = g.joined[0].state
		}
		for _, row := range g.rows {
			e.order, e.groups = append(e.order, row), append(e.groups, uint32(i))
		}
	}
	if e.before, err = joinRows(states); err != nil {
		return e, err
	}
	if e.rows, err = record.Take(s.rows.Batch, e.order, memory.DefaultAllocator); err != nil {
		return e, fmt.Errorf("take events: %w", err)
	}
	return e, nil
}

// accumulate adds the events of groups.
func (s *sessions) accumulate(ctx context.Context, groups []*group) error {
	if len(groups) == 0 {
		return nil
	}
	events, err := s.events(groups)
	if err != nil {
		return err
	}
	defer events.rows.Release()
	done, err := s.plugin.Accumulate(ctx, events.rows, events.groups, events.before)
	if err != nil {
		return fmt.Errorf("accumulate: %w", err)
	}
	refused := map[int]bool{}
	for _, e := range done.Errors {
		e.Row = uint32(events.order[e.Row])
		refused[int(e.Row)] = true
		s.answer.addErrors([]wasm.RowError{e}, false)
	}
	for i, g := range groups {
		s.keep(g, done.State.NewSlice(int64(i), int64(i)+1), refused)
	}
	return nil
}

// keep puts a group's session among those of its key. One without an accepted
// event is none.
func (s *sessions) keep(g *group, state arrow.RecordBatch, refused map[int]bool) {
	var one *session
	if len(g.joined) > 0 {
		one = g.joined[0]
		one.state = state
	}
	for _, row := range g.rows {
		if refused[row] {
			continue
		}
		at := s.rows.times[row]
		if one == nil {
			one = &session{start: at, end: at, state: state}
		}
		one.start, one.end, one.count = min(one.start, at), max(one.end, at), one.count+1
	}
	if one == nil {
		return
	}
	all := append(s.byKey[g.key], one)
	slices.SortStableFunc(all, func(a, b *session) int { return compareInts(a.start, b.start) })
	s.byKey[g.key] = all
}

// finish makes rows of all sessions.
func (s *sessions) finish(ctx context.Context) (Answer, error) {
	in, err := s.finished()
	if err != nil {
		return Answer{}, err
	}
	defer in.Release()
	result, err := s.plugin.Finish(ctx, in, s.rows.watermark)
	if err != nil {
		return Answer{}, fmt.Errorf("finish: %w", err)
	}
	defer result.Release()
	s.answer.metrics = result.Metrics
	s.answer.addErrors(result.Errors, true)
	return s.answer, s.answer.addOutputs(result.Outputs)
}

// finished is all sessions as finish gets them.
func (s *sessions) finished() (arrow.RecordBatch, error) {
	states := []arrow.RecordBatch{}
	var keys []int
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(hostFields(), nil))
	defer b.Release()
	for key, all := range s.byKey {
		for _, one := range all {
			states, keys = append(states, one.state), append(keys, s.firsts[key])
			b.Field(0).(*array.TimestampBuilder).Append(arrow.Timestamp(one.start))
			b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(one.end))
			b.Field(2).(*array.Int64Builder).Append(one.count)
			b.Field(3).(*array.BooleanBuilder).Append(s.rows.watermark == noWatermark || one.end+s.rows.gap < s.rows.watermark)
		}
	}
	host := b.NewRecordBatch()
	defer host.Release()
	if len(states) == 0 {
		none, err := s.plugin.Initial(0)
		if err != nil {
			return nil, err
		}
		states = append(states, none)
	}
	state, err := joinRows(states)
	if err != nil {
		return nil, err
	}
	key, err := takeArray(s.rows.keys, keys)
	if err != nil {
		return nil, err
	}
	columns := slices.Concat(state.Columns(), []arrow.Array{key}, host.Columns())
	return array.NewRecordBatch(s.plugin.FinishSchema(), columns, int64(len(keys))), nil
}

func hostFields() []arrow.Field {
	return []arrow.Field{
		{Name: abi.ColumnStart, Type: instant}, {Name: abi.ColumnEnd, Type: instant},
		{Name: abi.ColumnCount, Type: arrow.PrimitiveTypes.Int64}, {Name: abi.ColumnClosed, Type: arrow.FixedWidthTypes.Boolean},
	}
}

// joinRows puts batches of the same columns below one another.
func joinRows(parts []arrow.RecordBatch) (arrow.RecordBatch, error) {
	schema := parts[0].Schema()
	columns := make([]arrow.Array, schema.NumFields())
	rows := int64(0)
	for _, p := range parts {
		rows += p.NumRows()
	}
	for i := range columns {
		below := make([]arrow.Array, len(parts))
		for k, p := range parts {
			below[k] = p.Column(i)
		}
		joined, err := array.Concatenate(below, memory.DefaultAllocator)
		if err != nil {
			return nil, fmt.Errorf("join rows: %w", err)
		}
		columns[i] = joined
	}
	return array.NewRecordBatch(schema, columns, rows), nil
}
