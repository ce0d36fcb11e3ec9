package session

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/rowcodec"
)

// initialState is the plugin's state of a new session.
func (p *Program) initialState() ([]byte, error) {
	rows, err := p.spec.Plugin.Initial(1)
	if err != nil {
		return nil, fmt.Errorf("plugin: make initial state: %w", err)
	}
	defer rows.Release()
	if rows.NumRows() != 1 || !sameTypes(rows.Schema(), p.plugin) {
		return nil, fmt.Errorf("BUG: the plugin's initial state is %d rows of %s, expected one of %s", rows.NumRows(), rows.Schema(), p.plugin)
	}
	return rowcodec.AppendRow([]byte{}, rows.Columns(), 0), nil
}

// accumulate lets the plugin merge the sessions that were bridged, and add the
// rows to theirs. Rows that it refuses are refused; then nothing else that it
// has made may be used.
func (t *taking) accumulate(ctx context.Context) error {
	if err := t.mergeStates(ctx); err != nil || t.plan.failed {
		return err
	}
	order, groups, sessions := t.grouped()
	if len(order) == 0 {
		return nil
	}
	rows, err := t.pluginRows(order)
	if err != nil {
		return err
	}
	defer rows.Release()
	state, err := t.states(sessions)
	if err != nil {
		return err
	}
	defer state.Release()
	update, err := t.spec.Plugin.Accumulate(ctx, rows, groups, state)
	if err != nil {
		return fmt.Errorf("plugin: accumulate %d rows: %w", len(order), err)
	}
	defer update.State.Release()
	for _, e := range update.Errors {
		if e.Row < 0 || e.Row >= len(order) {
			return fmt.Errorf("BUG: the plugin refuses row %d of %d", e.Row, len(order))
		}
		t.refuseByPlugin(order[e.Row], e.Code, e.Column, e.Message)
	}
	if len(update.Errors) > 0 {
		return nil
	}
	return t.keepStates(sessions, update.State)
}

// grouped sorts the rows by session, event time and position: the rows of a
// batch are of one topic and partition, in the order of their offsets. groups
// has the number of each row's session in sessions.
func (t *taking) grouped() (order []int, groups []uint32, sessions []int32) {
	for row, slot := range t.slots {
		if slot >= 0 {
			order = append(order, row)
		}
	}
	times := t.times.TimestampValues()
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(t.slots[a], t.slots[b]), cmp.Compare(times[a], times[b]), cmp.Compare(a, b))
	})
	groups = make([]uint32, len(order))
	for i, row := range order {
		if n := len(sessions); n == 0 || sessions[n-1] != t.slots[row] {
			sessions = append(sessions, t.slots[row])
		}
		groups[i] = uint32(len(sessions) - 1)
	}
	return order, groups, sessions
}

// pluginRows is the columns that the plugin reads of some rows.
func (t *taking) pluginRows(order []int) (arrow.RecordBatch, error) {
	fields, columns := make([]arrow.Field, len(t.spec.PluginInput)), make([]arrow.Array, len(t.spec.PluginInput))
	for i, name := range t.spec.PluginInput {
		column, err := t.column(name)
		if err != nil {
			return nil, err
		}
		fields[i], columns[i] = t.spec.Input.Field(t.spec.Input.FieldIndices(name)[0]), column
	}
	all := newBatch(arrow.NewSchema(fields, nil), columns, t.rows.NumRows())
	defer all.Release()
	return record.Take(all, order, t.mem)
}

// states is the plugin's state of sessions.
func (t *taking) states(sessions []int32) (arrow.RecordBatch, error) {
	rows := make([][]byte, len(sessions))
	for i, slot := range sessions {
		if rows[i] = t.sessions[slot].plugin; rows[i] == nil {
			rows[i] = t.initial
		}
	}
	return t.decodeStates(rows)
}

func (o *Operator) decodeStates(rows [][]byte) (arrow.RecordBatch, error) {
	batch, err := rowcodec.Batch(o.plugin, rows, o.mem)
	if err != nil {
		return nil, fmt.Errorf("%w: plugin's state: %w", keyvalue.ErrCorrupt, err)
	}
	return batch, nil
}

// keepStates keeps what the plugin made of the state of sessions.
func (t *taking) keepStates(sessions []int32, state arrow.RecordBatch) error {
	if state.NumRows() != int64(len(sessions)) || !sameTypes(state.Schema(), t.plugin) {
		return fmt.Errorf("BUG: the plugin returned %d rows of %s as state, expected %d of %s", state.NumRows(), state.Schema(), len(sessions), t.plugin)
	}
	var data []byte
	for i, slot := range sessions {
		from := len(data)
		data = rowcodec.AppendRow(data, state.Columns(), i)
		t.edit(slot).plugin = data[from:len(data):len(data)]
	}
	return nil
}

// mergeStates merges the plugin's state of sessions that were bridged. In a
// round no session is merged twice; of one that is bridged several times the
// order of bridging is kept.
func (t *taking) mergeStates(ctx context.Context) error {
	t.plan.failed = false
	rest := slices.Clone(t.plan.merges)
	for len(rest) > 0 && !t.plan.failed {
		busy := map[int32]bool{}
		var round, later []merge
		for _, m := range rest {
			into, from := t.sessions[m.into].plugin, t.sessions[m.from].plugin
			switch {
			case busy[m.into] || busy[m.from]:
				later = append(later, m)
			case from == nil: // all of its rows are of this batch
				continue
			case into == nil:
				t.edit(m.into).plugin = from
			default:
				round = append(round, m)
			}
			busy[m.into], busy[m.from] = true, true
		}
		if err := t.mergeRound(ctx, round); err != nil {
			return err
		}
		rest = later
	}
	return nil
}

func (t *taking) mergeRound(ctx context.Context, round []merge) error {
	if len(round) == 0 {
		return nil
	}
	sessions, others := make([]int32, len(round)), make([]int32, len(round))
	for i, m := range round {
		sessions[i], others[i] = m.into, m.from
	}
	into, err := t.states(sessions)
	if err != nil {
		return err
	}
	defer into.Release()
	from, err := t.states(others)
	if err != nil {
		return err
	}
	defer from.Release()
	update, err := t.spec.Plugin.Merge(ctx, into, from)
	if err != nil {
		return fmt.Errorf("plugin: merge %d sessions: %w", len(round), err)
	}
	defer update.State.Release()
	if err := t.keepStates(sessions, update.State); err != nil {
		return err
	}
	for _, e := range update.Errors {
		if e.Row < 0 || e.Row >= len(round) {
			return fmt.Errorf("BUG: the plugin refuses pair %d of %d", e.Row, len(round))
		}
		t.refuseBridge(t.root(round[e.Row].into), e)
	}
	return nil
}

// refuseBridge refuses the rows of a session whose parts cannot be merged: one
// of them is the bridge, and without it the sessions stay apart.
func (t *taking) refuseBridge(session int32, e RowError) {
	t.plan.failed = true
	for row, slot := range t.slots {
		if slot == session {
			t.refuseByPlugin(row, e.Code, e.Column, "sessions that the event joins cannot be merged: "+e.Message)
		}
	}
}

// sameTypes tells whether columns have the same names and types.
func sameTypes(a, b *arrow.Schema) bool {
	return slices.EqualFunc(a.Fields(), b.Fields(), func(x, y arrow.Field) bool { return x.Name == y.Name && arrow.TypeEqual(x.Type, y.Type) })
}
