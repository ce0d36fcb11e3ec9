package wasm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/plugins/wasm/internal/cdata"
	"github.com/calvelake/calve/sdk/abi"
)

// Session is a plugin of kind session, opened for a model. It keeps no state:
// the caller owns keys, gaps and the state of every session, and any instance
// may serve any call. It is safe for concurrent use.
type Session struct {
	transform *Transform
	state     *arrow.Schema
	initial   json.RawMessage // a row of it
}

var instant = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}

// OpenSession makes an instance, configures it, and compares the plugin's
// columns with the model's: Init.Input with what it accumulates, Init.Output
// with what it makes of a finished session. Its errors are those of Open.
func (p *Plugin) OpenSession(ctx context.Context, init Init) (*Session, error) {
	s := &Session{}
	t, err := p.open(ctx, init, abi.KindSession, func(t *Transform) error { return s.complete(t, p.describe) })
	if err != nil {
		return nil, err
	}
	s.transform = t
	return s, nil
}

// complete fixes the schemas of state, of the accumulated rows and of finished
// sessions.
func (s *Session) complete(t *Transform, d abi.Describe) error {
	if t.init.Key == nil {
		return fmt.Errorf("BUG: a session is opened without the type of its key")
	}
	columns, row := make([]abi.Column, len(d.State)), map[string]json.RawMessage{}
	for i, c := range d.State {
		columns[i] = c.Column
		if row[c.Name] = c.Initial; c.Initial == nil {
			row[c.Name] = json.RawMessage("null")
		}
	}
	var err error
	if s.state, err = cdata.Schema(columns); err != nil {
		return fmt.Errorf("%w: state: %w", ErrMismatch, err)
	}
	if s.initial, err = json.Marshal(row); err != nil {
		return fmt.Errorf("%w: state: initial values: %w", ErrMismatch, err)
	}
	if err := s.checkInitial(); err != nil {
		return err
	}
	t.input = extend(t.init.Input, arrow.Field{Name: abi.ColumnGroup, Type: arrow.PrimitiveTypes.Uint32})
	t.state = extend(s.state,
		arrow.Field{Name: abi.ColumnKey, Type: t.init.Key, Nullable: true},
		arrow.Field{Name: abi.ColumnStart, Type: instant}, arrow.Field{Name: abi.ColumnEnd, Type: instant},
		arrow.Field{Name: abi.ColumnCount, Type: arrow.PrimitiveTypes.Int64}, arrow.Field{Name: abi.ColumnClosed, Type: arrow.FixedWidthTypes.Boolean})
	return nil
}

func extend(s *arrow.Schema, fields ...arrow.Field) *arrow.Schema {
	return arrow.NewSchema(append(append([]arrow.Field{}, s.Fields()...), fields...), nil)
}

// checkInitial makes sure that Initial can be made.
func (s *Session) checkInitial() error {
	one, err := s.rows(1)
	if err != nil {
		return fmt.Errorf("%w: state: initial values %s: %w", ErrMismatch, s.initial, err)
	}
	defer one.Release()
	for i, f := range s.state.Fields() {
		if !f.Nullable && one.Column(i).NullN() > 0 {
			return fmt.Errorf("%w: state: column %q is declared never to be null, but has no initial value", ErrMismatch, f.Name)
		}
	}
	return nil
}

// rows is n rows of initial values. arrow-go's readers of JSON panic on some
// texts.
func (s *Session) rows(n int) (rows arrow.RecordBatch, err error) {
	defer func() {
		if r := recover(); r != nil {
			rows, err = nil, fmt.Errorf("%v", r)
		}
	}()
	text := append([]byte{'['}, bytes.Repeat(append(bytes.Clone(s.initial), ','), n)...)
	if n > 0 {
		text = text[:len(text)-1]
	}
	rows, _, err = array.RecordFromJSON(memory.DefaultAllocator, s.state, bytes.NewReader(append(text, ']')))
	return rows, err
}

// StateSchema is the columns of state.
func (s *Session) StateSchema() *arrow.Schema { return s.state }

// FinishSchema is the columns that Finish takes: those of state, then _key,
// _start, _end, _count and _closed.
func (s *Session) FinishSchema() *arrow.Schema { return s.transform.state }

// Initial is the state of n new sessions. The caller releases it.
func (s *Session) Initial(n int) (arrow.RecordBatch, error) {
	rows, err := s.rows(n)
	if err != nil {
		return nil, fmt.Errorf("make initial state: %w", err)
	}
	return rows, nil
}

// Accumulate adds rows to the state of their groups. Row i belongs to row
// groups[i] of state; rows are sorted by group and event time, and every group
// has some. The rows with an error are not in the new state: where a group
// fails on its own, all of its rows, and its state is as before.
func (s *Session) Accumulate(ctx context.Context, rows arrow.RecordBatch, groups []uint32, state arrow.RecordBatch) (Update, error) {
	if !sameColumns(rows.Schema(), s.transform.init.Input) || !sameColumns(state.Schema(), s.state) {
		return Update{}, fmt.Errorf("BUG: rows of %s and state of %s, the plugin was opened for others", rows.Schema(), state.Schema())
	}
	starts, err := groupStarts(groups, int(rows.NumRows()), int(state.NumRows()))
	if err != nil {
		return Update{}, err
	}
	c := &stateCalls{session: s, export: abi.ExportAccumulate, before: state}
	c.batch = func(from, to int) cdata.Batch {
		slice := rows.NewSlice(int64(starts[from]), int64(starts[to]))
		return cdata.Batch{Rows: withGroups(slice, groups[starts[from]:starts[to]], uint32(from), s.transform.input), State: state.NewSlice(int64(from), int64(to)), InPlace: cdata.InPlaceState}
	}
	c.rows = func(from, to int) (int, int) { return starts[from], starts[to] }
	return c.run(ctx, "groups")
}

// groupStarts is the first row of each group, and behind the last the number of
// rows.
func groupStarts(groups []uint32, rows, states int) ([]int, error) {
	starts := make([]int, 0, states+1)
	for i, g := range groups {
		switch {
		case int(g) == len(starts):
			starts = append(starts, i)
		case int(g) != len(starts)-1:
			return nil, fmt.Errorf("BUG: row %d is of group %d after group %d: rows must be sorted by group, and every group have some", i, g, len(starts)-1)
		}
	}
	if len(groups) != rows || len(starts) != states {
		return nil, fmt.Errorf("BUG: %d rows with %d groups, %d of them different, for %d rows of state", rows, len(groups), len(starts), states)
	}
	return append(starts, rows), nil
}

// withGroups adds the column _group, counted from first on.
func withGroups(rows arrow.RecordBatch, groups []uint32, first uint32, schema *arrow.Schema) arrow.RecordBatch {
	defer rows.Release()
	numbers := make([]uint32, len(groups))
	for i, g := range groups {
		numbers[i] = g - first
	}
	data := array.NewData(arrow.PrimitiveTypes.Uint32, len(numbers), []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Uint32Traits.CastToBytes(numbers))}, nil, 0, 0)
	defer data.Release()
	column := array.NewUint32Data(data)
	defer column.Release()
	return array.NewRecordBatch(schema, append(append([]arrow.Array{}, rows.Columns()...), column), rows.NumRows())
}

// Merge joins the state of sessions that became one, row by row; into is that of
// the earlier. Where a pair fails on its own there is an error for its row, and
// its state is into's.
func (s *Session) Merge(ctx context.Context, into, from arrow.RecordBatch) (Update, error) {
	if !sameColumns(into.Schema(), s.state) || !sameColumns(from.Schema(), s.state) || into.NumRows() != from.NumRows() {
		return Update{}, fmt.Errorf("BUG: merge of %d rows of %s and %d rows of %s", into.NumRows(), into.Schema(), from.NumRows(), from.Schema())
	}
	c := &stateCalls{session: s, export: abi.ExportMerge, before: into}
	c.batch = func(a, b int) cdata.Batch {
		return cdata.Batch{Rows: into.NewSlice(int64(a), int64(b)), State: from.NewSlice(int64(a), int64(b)), InPlace: cdata.InPlaceRows}
	}
	c.rows = func(a, b int) (int, int) { return a, b }
	return c.run(ctx, "pairs")
}

// Finish makes rows of sessions, which are of FinishSchema, as Process does of
// rows. Row errors are about sessions.
func (s *Session) Finish(ctx context.Context, sessions arrow.RecordBatch, watermark int64) (Result, error) {
	if !sameColumns(sessions.Schema(), s.transform.state) {
		return Result{}, fmt.Errorf("BUG: sessions of %s, the plugin was opened for %s", sessions.Schema(), s.transform.state)
	}
	return s.transform.bisect(ctx, &bisection{transform: s.transform, export: abi.ExportFinish, in: sessions, watermark: watermark})
}

// NextEpoch begins another epoch: the plugin may log again.
func (s *Session) NextEpoch() { s.transform.NextEpoch() }

// Close frees the instances, as Transform.Close does.
func (s *Session) Close(ctx context.Context) error { return s.transform.Close(ctx) }
