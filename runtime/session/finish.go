package session

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/rowcodec"
)

// finishPlugin lets the plugin make its columns of the chosen sessions. Those
// that it refuses or leaves out have no row.
func (e *ending) finishPlugin(ctx context.Context) error {
	h, err := e.heads(e.chosen)
	if err != nil {
		return err
	}
	defer h.release()
	sessions, err := e.finishRows(h)
	if err != nil {
		return err
	}
	defer sessions.Release()
	done, err := e.spec.Plugin.Finish(ctx, sessions, e.watermark)
	if err != nil {
		return fmt.Errorf("plugin: finish %d sessions: %w", len(e.chosen), err)
	}
	defer done.Rows.Release()
	for _, f := range done.Errors {
		if f.Row < 0 || f.Row >= len(e.chosen) {
			return fmt.Errorf("BUG: the plugin refuses session %d of %d", f.Row, len(e.chosen))
		}
		e.chosen[f.Row].failed = true
		about := h.about(e.Operator, f.Row)
		about.Code, about.Column, about.Message = f.Code, f.Column, f.Message
		e.failed = append(e.failed, about)
	}
	return e.keepColumns(h, done)
}

// keepColumns reads the plugin's columns of each session.
func (e *ending) keepColumns(h *heads, done Finished) error {
	columns := make([]arrow.Array, len(e.spec.Adds))
	for i, f := range e.spec.Adds {
		at := done.Rows.Schema().FieldIndices(f.Name)
		if len(at) != 1 || !arrow.TypeEqual(done.Rows.Column(at[0]).DataType(), f.Type) {
			return fmt.Errorf("BUG: the plugin returned %s, expected a column %s of %s", done.Rows.Schema(), f.Name, f.Type)
		}
		columns[i] = done.Rows.Column(at[0])
	}
	origin, err := e.origins(done)
	if err != nil {
		return err
	}
	rows := make([]int, len(e.chosen)) // of each session
	var data []byte
	for row, session := range origin {
		c := &e.chosen[session]
		if rows[session]++; rows[session] > 1 || c.failed {
			continue
		}
		from := len(data)
		data = rowcodec.AppendRow(data, columns, row)
		c.adds = data[from:len(data):len(data)]
	}
	for i, n := range rows {
		c := &e.chosen[i]
		s := &e.sessions[c.slot]
		switch {
		case c.failed:
		case n == 0: // left out by the plugin: there is no row, and no error
			c.failed = true
		case n > 1:
			c.failed = true
			about := h.about(e.Operator, i)
			about.Code, about.Message = record.CodePluginOutput, fmt.Sprintf("the plugin returned %d rows for a session, it can return one", n)
			e.failed = append(e.failed, about)
		default:
			c.keep = !s.changed && s.flags&flagVisible != 0 && bytes.Equal(c.adds, s.adds)
		}
	}
	return nil
}

// origins is the session of each row.
func (e *ending) origins(done Finished) ([]int32, error) {
	n := int(done.Rows.NumRows())
	if done.Origin == nil {
		if n != len(e.chosen) {
			return nil, fmt.Errorf("BUG: the plugin returned %d rows for %d sessions, one to one", n, len(e.chosen))
		}
		origin := make([]int32, n)
		for i := range origin {
			origin[i] = int32(i)
		}
		return origin, nil
	}
	if len(done.Origin) != n || slices.ContainsFunc(done.Origin, func(s int32) bool { return s < 0 || int(s) >= len(e.chosen) }) {
		return nil, fmt.Errorf("BUG: the plugin returned %d rows with origins %d", n, len(done.Origin))
	}
	return done.Origin, nil
}

// finishRows is what the plugin gets of sessions.
func (e *ending) finishRows(h *heads) (arrow.RecordBatch, error) {
	states := make([][]byte, len(e.chosen))
	counts, closed := array.NewInt64Builder(e.mem), array.NewBooleanBuilder(e.mem)
	defer counts.Release()
	defer closed.Release()
	for i, c := range e.chosen {
		s := &e.sessions[c.slot]
		if states[i] = s.plugin; s.plugin == nil {
			return nil, fmt.Errorf("BUG: a session has no state of the plugin")
		}
		counts.Append(s.rows)
		closed.Append(s.flags&flagClosed != 0)
	}
	state, err := e.decodeStates(states)
	if err != nil {
		return nil, err
	}
	defer state.Release()
	key, err := e.keyColumn(h)
	if err != nil {
		return nil, err
	}
	count, isClosed := counts.NewArray(), closed.NewArray()
	defer count.Release()
	defer isClosed.Release()
	defer key.Release()
	return newBatch(e.finish, slices.Concat(state.Columns(), []arrow.Array{key, h.start, h.end, count, isClosed}), int64(len(e.chosen))), nil
}

// keyColumn is the key as one column, of PluginKeyType.
func (e *ending) keyColumn(h *heads) (arrow.Array, error) {
	if len(h.key) == 1 {
		h.key[0].Retain()
		return h.key[0], nil
	}
	return array.NewStructArrayWithFields(h.key, e.keyFields)
}
