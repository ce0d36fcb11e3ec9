package session

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/changelog"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/rowcodec"
	"github.com/calvelake/calve/runtime/upstream"
)

// made is rows of sessions, with all columns that are made.
type made struct {
	rows   arrow.RecordBatch
	failed []bool         // of rows: it could not be computed
	errors []SessionError // the first of each row that failed
}

func (m *made) release() {
	if m != nil && m.rows != nil {
		m.rows.Release()
		m.rows = nil
	}
}

// make makes the rows of sessions.
func (o *Operator) make(list []candidate) (*made, error) {
	h, err := o.heads(list)
	if err != nil {
		return nil, err
	}
	defer h.release()
	m := &made{failed: make([]bool, len(list))}
	b := &rowBuilder{Operator: o, heads: h, made: m}
	defer b.release()
	b.add(h.surrogate, h.key...)
	b.add(h.start, h.end)
	if err := b.aggregate(list); err != nil {
		return nil, err
	}
	if err := b.addPlugin(list); err != nil {
		return nil, err
	}
	if err := b.compute(); err != nil {
		return nil, err
	}
	m.rows = newBatch(o.all, b.columns, int64(len(list)))
	return m, nil
}

// leaveOut takes the rows away that could not be computed.
func (m *made) leaveOut(mem memory.Allocator) error {
	if len(m.errors) == 0 {
		return nil
	}
	var keep []int
	for i, failed := range m.failed {
		if !failed {
			keep = append(keep, i)
		}
	}
	rows, err := record.Take(m.rows, keep, mem)
	if err != nil {
		return err
	}
	m.release()
	m.rows = rows
	return nil
}

// rowBuilder collects the columns of sessions in the order of Program.all.
type rowBuilder struct {
	*Operator
	heads   *heads
	made    *made
	columns []arrow.Array
}

func (b *rowBuilder) add(column arrow.Array, more ...arrow.Array) {
	for _, c := range append([]arrow.Array{column}, more...) {
		c.Retain()
		b.columns = append(b.columns, c)
	}
}

func (b *rowBuilder) release() {
	for _, c := range b.columns {
		c.Release()
	}
}

// fail says why a session has no row; the first reason counts.
func (b *rowBuilder) fail(row int, column, message string) {
	if b.made.failed[row] {
		return
	}
	b.made.failed[row] = true
	e := b.heads.about(b.Operator, row)
	e.Code, e.Column, e.Message = record.CodeExpression, column, message
	b.made.errors = append(b.made.errors, e)
}

// aggregate computes the columns of aggregates.
func (b *rowBuilder) aggregate(list []candidate) error {
	slots := make([]int, len(list))
	for i, c := range list {
		slots[i] = int(c.slot)
	}
	results, faults := b.Operator.set.Results(slots, b.mem)
	for _, f := range faults {
		b.fail(f.Row, "", fmt.Sprintf("aggregate %s: %s", b.calls[f.Call].Column, f.Message))
	}
	defer func() {
		for _, r := range results {
			r.Release()
		}
	}()
	group := newBatch(b.group, slices.Concat(b.columns[1:], results), int64(len(list)))
	defer group.Release()
	for i := range b.aggregates {
		if err := b.eval(&b.aggregates[i], group); err != nil {
			return err
		}
	}
	return nil
}

func (b *rowBuilder) eval(c *projection.Compiled, rows arrow.RecordBatch) error {
	values, err := c.Compute(rows, b.mem, func(row int, c *projection.Compiled, message string) { b.fail(row, c.Name, c.Path+": "+message) })
	if err == nil {
		b.columns = append(b.columns, values)
	}
	return err
}

// addPlugin adds the columns that the plugin made.
func (b *rowBuilder) addPlugin(list []candidate) error {
	if len(b.spec.Adds) == 0 {
		return nil
	}
	rows := make([][]byte, len(list))
	for i, c := range list {
		rows[i] = c.adds
	}
	first := len(b.columns)
	batch, err := rowcodec.Batch(arrow.NewSchema(b.all.Fields()[first:first+len(b.spec.Adds)], nil), rows, b.mem)
	if err != nil {
		return fmt.Errorf("%w: plugin's columns: %w", keyvalue.ErrCorrupt, err)
	}
	defer batch.Release()
	for _, c := range batch.Columns() {
		b.add(c)
	}
	return nil
}

// compute computes the derived columns, each over those before it.
func (b *rowBuilder) compute() error {
	for i := range b.derive {
		rows := newBatch(arrow.NewSchema(b.all.Fields()[:len(b.columns)], nil), b.columns, int64(len(b.made.failed)))
		err := b.eval(&b.derive[i], rows)
		rows.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// heads is what all sessions have: key, start and end.
type heads struct {
	surrogate  arrow.Array
	key        []arrow.Array
	start, end arrow.Array
}

func (o *Operator) heads(list []candidate) (*heads, error) {
	h := &heads{}
	if err := o.keyColumns(h, list); err != nil {
		return nil, err
	}
	times := func(of func(*session) int64) arrow.Array {
		b := array.NewTimestampBuilder(o.mem, record.Timestamptz)
		defer b.Release()
		b.Reserve(len(list))
		for _, c := range list {
			b.UnsafeAppend(arrow.Timestamp(of(&o.sessions[c.slot])))
		}
		return b.NewArray()
	}
	h.start, h.end = times(func(s *session) int64 { return s.start }), times(func(s *session) int64 { return s.end })
	named := times(func(s *session) int64 {
		if s.flags&flagNamed == 0 {
			return s.start
		}
		return s.named
	})
	defer named.Release()
	// The key is made of the start that the session had when it was first
	// emitted (invariant 8).
	surrogate, err := record.SurrogateKeys(append(slices.Clone(h.key), named), o.mem)
	if err != nil {
		h.release()
		return nil, err
	}
	h.surrogate = surrogate
	return h, nil
}

func (o *Operator) keyColumns(h *heads, list []candidate) error {
	builders := make([]array.Builder, len(o.keyFields))
	for i, f := range o.keyFields {
		builders[i] = array.NewBuilder(o.mem, f.Type)
		defer builders[i].Release()
		builders[i].Reserve(len(list))
	}
	for _, c := range list {
		if err := loadKey(o.keys.key(c.key), builders); err != nil {
			return err
		}
	}
	for _, b := range builders {
		h.key = append(h.key, b.NewArray())
	}
	return nil
}

func (h *heads) release() {
	for _, a := range append(h.key, h.start, h.end, h.surrogate) {
		if a != nil {
			a.Release()
		}
	}
}

// about is an error about a session, without what is wrong.
func (h *heads) about(o *Operator, row int) SessionError {
	return SessionError{
		Key: upstream.KeyText(o.spec.Key, h.key, row), SurrogateKey: strings.Clone(h.surrogate.ValueStr(row)),
		Start: int64(h.start.(*array.Timestamp).Value(row)), End: int64(h.end.(*array.Timestamp).Value(row)),
	}
}

// table is the rows of several, with the columns of the table.
func (o *Operator) table(some ...*made) (arrow.RecordBatch, error) {
	var parts []arrow.RecordBatch
	defer func() {
		for _, p := range parts {
			p.Release()
		}
	}()
	for _, m := range some {
		if m == nil || m.rows == nil || m.rows.NumRows() == 0 {
			continue
		}
		columns := make([]arrow.Array, len(o.chosen))
		for i, at := range o.chosen {
			columns[i] = m.rows.Column(at)
		}
		parts = append(parts, newBatch(o.output, columns, m.rows.NumRows()))
	}
	return changelog.JoinRows(parts, o.mem)
}

func newBatch(schema *arrow.Schema, columns []arrow.Array, rows int64) arrow.RecordBatch {
	return array.NewRecordBatch(schema, columns, rows)
}
