package trial

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/sdk/abi"
)

// Columns of versions.
const (
	columnValidFrom = "_valid_from"
	columnValidTo   = "_valid_to"
)

// actionNames are the actions by their numbers.
var actionNames = []string{
	wasm.ActionIgnore: "ignore", wasm.ActionOverwrite: "overwrite", wasm.ActionNewVersion: "new_version", wasm.ActionDelete: "delete",
}

// version is what a member was from a time on.
type version struct {
	from, to   int64
	open       bool              // to is not known yet: it is in force
	attributes arrow.RecordBatch // one row
}

// member is a key with its versions, of which at most the last is in force.
type member struct{ versions []version }

func (m *member) inForce() *version {
	if n := len(m.versions); n > 0 && m.versions[n-1].open {
		return &m.versions[n-1]
	}
	return nil
}

// apply does what was decided about a change. Without a version in force there
// is nothing to delete, and to overwrite is to make the first.
func (m *member) apply(action wasm.Action, at int64, attributes arrow.RecordBatch) {
	current := m.inForce()
	switch {
	case action == wasm.ActionOverwrite && current != nil:
		current.attributes = attributes
	case action == wasm.ActionOverwrite, action == wasm.ActionNewVersion:
		m.end(at)
		m.versions = append(m.versions, version{from: at, open: true, attributes: attributes})
	case action == wasm.ActionDelete:
		m.end(at)
	}
}

// end closes the version in force. One that began at the same time never was.
func (m *member) end(at int64) {
	current := m.inForce()
	switch {
	case current == nil:
	case current.from == at:
		m.versions = m.versions[:len(m.versions)-1]
	default:
		current.to, current.open = at, false
	}
}

// changes plays the host: it keeps the versions of each key.
type changes struct {
	plugin  *wasm.SCD
	rows    Rows
	in      arrow.RecordBatch // of ChangeSchema
	inForce *arrow.Schema
	nothing arrow.RecordBatch // one row of nulls of it
	keyOf   []int
	members []member

	answer    Answer
	decisions [][]json.RawMessage // by change: the action and the attributes
	schema    *arrow.Schema       // of the attributes
}

// attributes is the columns that the plugin stores.
func (s *Subject) attributes(ctx context.Context) (*arrow.Schema, error) {
	none, err := noRows(s.scd.ChangeSchema())
	if err != nil {
		return nil, err
	}
	before, err := noRows(s.inForce)
	if err != nil {
		return nil, err
	}
	d, err := s.scd.Decide(ctx, none, wasm.InForce{Rows: before})
	if err != nil {
		return nil, fmt.Errorf("decide about no changes: %w", err)
	}
	defer d.Attributes.Release()
	return d.Attributes.Schema(), nil
}

func noRows(s *arrow.Schema) (arrow.RecordBatch, error) { return toArrow(s, nil) }

func (s *Subject) askSCD(ctx context.Context, r Rows) (Answer, error) {
	run := &changes{plugin: s.scd, rows: r, inForce: s.inForce, decisions: make([][]json.RawMessage, r.Len())}
	var err error
	var firsts []int
	if run.keyOf, firsts, err = r.keyNumbers(); err != nil {
		return Answer{}, err
	}
	if err := r.checkOrder(run.keyOf); err != nil {
		return Answer{}, err
	}
	run.members = make([]member, len(firsts))
	if run.nothing, err = toArrow(s.inForce, []raw{{}}); err != nil {
		return Answer{}, err
	}
	run.in = r.changes(s.scd.ChangeSchema())
	for _, round := range run.rounds() {
		if err := run.decide(ctx, round); err != nil {
			return Answer{}, err
		}
	}
	if run.schema == nil {
		if run.schema, err = s.attributes(ctx); err != nil {
			return Answer{}, err
		}
	}
	slices.SortStableFunc(run.answer.Errors, func(a, b AnswerError) int { return int(a.Row) - int(b.Row) })
	return run.answer, run.tell(firsts)
}

// changes is the rows with what happened and when before the attributes.
func (r Rows) changes(schema *arrow.Schema) arrow.RecordBatch {
	ops, times := array.NewStringBuilder(memory.DefaultAllocator), array.NewTimestampBuilder(memory.DefaultAllocator, instant)
	for i, op := range r.ops {
		ops.Append(op)
		times.Append(arrow.Timestamp(r.times[i]))
	}
	columns := append([]arrow.Array{ops.NewArray(), times.NewArray()}, r.Batch.Columns()...)
	return array.NewRecordBatch(schema, columns, r.Batch.NumRows())
}

// rounds is the changes that can be decided together: at most one of a key, and
// after the former ones of the same key.
func (c *changes) rounds() [][]int {
	var rounds [][]int
	seen := make([]int, len(c.members))
	for i, key := range c.keyOf {
		n := seen[key]
		seen[key]++
		if n == len(rounds) {
			rounds = append(rounds, nil)
		}
		rounds[n] = append(rounds[n], i)
	}
	return rounds
}

func (c *changes) decide(ctx context.Context, round []int) error {
	rows, err := record.Take(c.in, round, memory.DefaultAllocator)
	if err != nil {
		return fmt.Errorf("take changes: %w", err)
	}
	defer rows.Release()
	now, states := wasm.InForce{Absent: make([]bool, len(round))}, make([]arrow.RecordBatch, len(round))
	for i, row := range round {
		states[i] = c.nothing
		current := c.members[c.keyOf[row]].inForce()
		if now.Absent[i] = current == nil; current != nil {
			states[i] = array.NewRecordBatch(c.inForce, current.attributes.Columns(), 1)
		}
	}
	if now.Rows, err = joinRows(states); err != nil {
		return err
	}
	defer now.Rows.Release()
	d, err := c.plugin.Decide(ctx, rows, now)
	if err != nil {
		return fmt.Errorf("decide: %w", err)
	}
	for _, e := range d.Errors {
		e.Row = uint32(round[e.Row])
		c.answer.addErrors([]wasm.RowError{e}, false)
	}
	return c.apply(round, d)
}

func (c *changes) apply(round []int, d wasm.Decision) error {
	c.schema = d.Attributes.Schema()
	attributes, err := toTable(d.Attributes)
	if err != nil {
		return fmt.Errorf("attributes: %w", err)
	}
	for i, row := range round {
		action := d.Actions[i]
		c.members[c.keyOf[row]].apply(action, c.rows.times[row], d.Attributes.NewSlice(int64(i), int64(i)+1))
		decision := []json.RawMessage{quoted(actionNames[action])}
		for k := range attributes.names {
			value := null // of no meaning unless it is stored
			if action == wasm.ActionOverwrite || action == wasm.ActionNewVersion {
				value = attributes.values[k][i]
			}
			decision = append(decision, value)
		}
		c.decisions[row] = decision
	}
	return nil
}

// tell writes what was decided, and what it made of the members.
func (c *changes) tell(firsts []int) error {
	attributes := nullable(c.schema).Fields()
	decided := arrow.NewSchema(append([]arrow.Field{{Name: abi.ColumnAction, Type: arrow.BinaryTypes.String}}, attributes...), nil)
	versions := arrow.NewSchema(append([]arrow.Field{
		{Name: abi.ColumnKey, Type: c.rows.keys.DataType()}, {Name: columnValidFrom, Type: instant}, {Name: columnValidTo, Type: instant, Nullable: true},
	}, attributes...), nil)
	c.answer.schemas = map[string]*arrow.Schema{partDecisions: decided, partVersions: versions}
	all, err := c.versions(versions, firsts)
	if err != nil {
		return err
	}
	c.answer.tables = map[string]table{partDecisions: tableOf(decided, c.decisions), partVersions: all}
	return nil
}

// versions is a row for each version of each member.
func (c *changes) versions(schema *arrow.Schema, firsts []int) (table, error) {
	parts := []arrow.RecordBatch{}
	var keys []int
	from, to := array.NewTimestampBuilder(memory.DefaultAllocator, instant), array.NewTimestampBuilder(memory.DefaultAllocator, instant)
	for key, m := range c.members {
		for _, v := range m.versions {
			parts, keys = append(parts, v.attributes), append(keys, firsts[key])
			from.Append(arrow.Timestamp(v.from))
			if v.open {
				to.AppendNull()
			} else {
				to.Append(arrow.Timestamp(v.to))
			}
		}
	}
	if len(parts) == 0 {
		none, err := noRows(schema)
		if err != nil {
			return table{}, err
		}
		return toTable(none)
	}
	attributes, err := joinRows(parts)
	if err != nil {
		return table{}, err
	}
	key, err := takeArray(c.rows.keys, keys)
	if err != nil {
		return table{}, err
	}
	columns := append([]arrow.Array{key, from.NewArray(), to.NewArray()}, attributes.Columns()...)
	return toTable(array.NewRecordBatch(schema, columns, int64(len(keys))))
}
