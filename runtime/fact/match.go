package fact

import (
	"bytes"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/aggregate"
	"github.com/calvelake/calve/runtime/record/eventtime"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyspace"
	"github.com/calvelake/calve/runtime/record/rowcodec"
	"github.com/calvelake/calve/runtime/upstream"
)

// matchRows is how many rows to be joined are read at once.
const matchRows = 8 << 10

// closed tells whether nothing can come into a range any more.
func (e *ending) closed(j *join, within span) bool {
	return j.staging && eventtime.After(within.to, e.lateness) <= e.watermark
}

// join finds out what a join gives to facts.
func (e *ending) join(j *join, b *rowBuilder) error {
	m := &matching{ending: e, join: j, set: e.sets[j.index], builder: b}
	key := pick(b.base.Columns(), j.left)
	for i, c := range b.list {
		want := e.wanted(j, b, key, i)
		have := &c.kept.joins[j.index]
		if have.known && bytes.Equal(have.group, want.group) && (have.group == nil) == (want.group == nil) && e.stays(j, have, want.within) {
			continue
		}
		*have = want
		m.rows = append(m.rows, i)
	}
	if len(m.rows) == 0 {
		return nil
	}
	m.set.Reset()
	m.set.Grow(len(m.rows))
	m.newest, m.first = make([]upstream.Stamp, len(m.rows)), make([][]byte, len(m.rows))
	for i := range m.newest {
		m.newest[i] = upstream.NoStamp
	}
	for slot, row := range m.rows {
		if err := m.scan(slot, b.list[row].kept.joins[j.index]); err != nil {
			return err
		}
	}
	if err := m.flush(); err != nil {
		return err
	}
	return m.settle()
}

// wanted is whose rows a fact is joined to.
func (e *ending) wanted(j *join, b *rowBuilder, key []arrow.Array, row int) joined {
	want := joined{known: true, within: always, newest: upstream.NoStamp}
	if anyNull(key, row) >= 0 {
		return want
	}
	if j.spec.Within != nil {
		from, to := b.base.Column(j.from).(*array.Timestamp), b.base.Column(j.to).(*array.Timestamp)
		if from.IsNull(row) || to.IsNull(row) || from.Value(row) > to.Value(row) {
			return want
		}
		want.within = span{int64(from.Value(row)), int64(to.Value(row))}
	}
	want.group = groupOf(nil, j.index, rowcodec.AppendRow(nil, key, row))
	return want
}

// stays tells whether what is known of a group's rows still holds: nothing of them
// changed in a range that is the same, or what they gave is final. A closed range
// that became another is looked at again where all of its rows are kept.
func (e *ending) stays(j *join, have *joined, within span) bool {
	if have.group == nil {
		return true
	}
	if e.closed(j, have.within) {
		return have.within == within || eventtime.After(within.from, e.lateness) <= e.watermark
	}
	if have.within != within {
		return false
	}
	changed, ok := e.groups[string(have.group)]
	return !ok || changed.to < within.from || within.to < changed.from
}

// matching is one join of one End.
type matching struct {
	*ending
	*join
	set     *aggregate.Set
	builder *rowBuilder
	rows    []int // of the builder, by slot
	newest  []upstream.Stamp
	first   [][]byte // copy: the values of the first row that matches
	rights  [][]byte // rows to be joined that were read
	slots   []int32
	times   []int64
	numbers []int64 // in the order of reading
}

// scan reads the rows that match a fact, in the order of their times, and of their
// positions or keys.
func (m *matching) scan(slot int, want joined) error {
	if want.group == nil {
		return nil
	}
	prefix := keyspace.Key(spaceRights, want.group)
	from, to := keyvalue.AppendTime(prefix[:len(prefix):len(prefix)], want.within.from), keyvalue.Behind(prefix)
	if want.within.to < always.to {
		to = keyvalue.AppendTime(prefix[:len(prefix):len(prefix)], want.within.to+1)
	}
	number := int64(0)
	err := m.state.Scan(from, to, func(key, value []byte) (bool, error) {
		if len(key) < len(prefix)+8 {
			return false, fmt.Errorf("%w: a row to be joined has key %x", keyvalue.ErrCorrupt, key)
		}
		m.rights, m.slots = append(m.rights, bytes.Clone(value)), append(m.slots, int32(slot))
		m.times, m.numbers = append(m.times, keyvalue.Time(key[len(prefix):])), append(m.numbers, number)
		number++
		if len(m.rights) < matchRows {
			return true, nil
		}
		return true, m.flush()
	})
	if err != nil {
		return fmt.Errorf("read rows of %s: %w", m.join.spec.To.Name, err)
	}
	return nil
}

// flush adds the rows that were read.
func (m *matching) flush() error {
	if len(m.rights) == 0 {
		return nil
	}
	rows, err := rowcodec.Batch(m.right, m.rights, m.mem)
	if err != nil {
		return fmt.Errorf("%w: %w", keyvalue.ErrCorrupt, err)
	}
	defer rows.Release()
	n := int(rows.NumCols())
	stamps := upstream.NewStamps(rows.Column(n-2), rows.Column(n-1))
	for i, slot := range m.slots {
		m.newest[slot] = m.newest[slot].Max(stamps.Of(i))
		if len(m.join.spec.Copy) > 0 && m.first[slot] == nil {
			m.first[slot] = rowcodec.AppendRow(nil, rows.Columns()[:n-2], i)
		}
	}
	arguments, next := make([]arrow.Array, len(m.calls)), 0
	for i, c := range m.calls {
		if c.Argument != nil {
			arguments[i], next = rows.Column(next), next+1
		}
	}
	m.set.Add(&aggregate.Rows{Slots: m.slots, Order: aggregate.Order{Times: m.times, Offsets: m.numbers, Ordinals: make([]int32, len(m.slots))}}, arguments)
	m.rights, m.slots, m.times, m.numbers = m.rights[:0], m.slots[:0], m.times[:0], m.numbers[:0]
	return nil
}

// settle writes down what the facts have of the join from now on.
func (m *matching) settle() error {
	slots := make([]int, len(m.rows))
	for i := range slots {
		slots[i] = i
	}
	results, faults := m.set.Results(slots, m.mem)
	defer func() {
		for _, r := range results {
			r.Release()
		}
	}()
	for _, f := range faults {
		m.builder.fail(m.rows[f.Row], m.path(".aggregates"), "", fmt.Sprintf("%s: %s", m.calls[f.Call].Column, f.Message))
	}
	for slot, row := range m.rows {
		j := &m.builder.list[row].kept.joins[m.join.index]
		j.newest = m.newest[slot]
		switch {
		case len(m.join.spec.Copy) == 0:
			j.values = rowcodec.AppendRow(nil, results, slot)
		case m.first[slot] != nil:
			j.values = m.first[slot]
		default:
			j.values = m.join.unmatched
		}
	}
	return nil
}
