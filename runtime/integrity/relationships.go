package integrity

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyspace"
)

// Relationships is the test that each value of a column is one of another model's.
type Relationships struct {
	From   Input
	Column string
	To     Input // may be From
	Field  string
}

// Open goes on from what the state has, which must be of this Definition.
func (r Relationships) Open(state keyvalue.Store) (Test, error) {
	t := &relationships{spec: r, state: state}
	to := r.To
	to.Untested = nil // rows refer to all of them
	for i, s := range []struct {
		of     Input
		column string
	}{{r.From, r.Column}, {to, r.Field}} {
		side, err := newSide(s.of, s.column)
		if err != nil {
			return nil, err
		}
		t.sides[i] = side
	}
	has, needs := t.sides[sideFrom].values.schema.Field(0).Type, t.sides[sideTo].values.schema.Field(0).Type
	if !arrow.TypeEqual(has, needs) {
		return nil, fmt.Errorf("column %s of %s is %s, but %s of %s is %s; both must be of one type", r.Column, r.From.Model, record.FormatType(has), r.Field, r.To.Model, record.FormatType(needs))
	}
	t.Discard()
	return t, nil
}

// Definition is what the state depends on: that of another must not be read.
func (r Relationships) Definition() string {
	v, err := newValues(r.From, []string{r.Column})
	if err != nil {
		return err.Error() // Open says so
	}
	return fmt.Sprintf("relationships %d: %s of %s by %q in %s of %s by %q: %s", stateVersion, r.Column, r.From.Model, r.From.Key, r.Field, r.To.Model, r.To.Key, describe(v.schema))
}

// The two sides of a relationship.
const (
	sideFrom = iota
	sideTo
	sides
)

// side is one of them.
type side struct {
	of     Input
	values values
	keys   values                // of a keyed model
	rows   map[hash]changedRow   // of one: by key, the last change of the epoch
	counts map[hash]*changedSide // by value: how many rows more, or fewer, have it
}

// changedSide is what the epoch did to the rows of a side that have one value.
type changedSide struct {
	value []byte // nil if no row has it any more
	by    int64
}

func newSide(of Input, column string) (*side, error) {
	v, err := newValues(of, []string{column})
	if err != nil {
		return nil, err
	}
	s := &side{of: of, values: v}
	if of.Key != nil {
		if s.keys, err = newValues(of, of.Key); err != nil {
			return nil, err
		}
	}
	s.clear()
	return s, nil
}

func (s *side) clear() { s.rows, s.counts = map[hash]changedRow{}, map[hash]*changedSide{} }

// change counts rows with a value, of which only the hash may be known.
func (s *side) change(h hash, value []byte, by int64) {
	c := s.counts[h]
	if c == nil {
		c = &changedSide{}
		s.counts[h] = c
	}
	c.by += by
	if value != nil {
		c.value = value
	}
}

// Keys of the state of relationships:
//
//	f <hash of a row's key>  the hash of its value: of a keyed model's column
//	o <hash of a row's key>  and of the other's
//	n <hash of a value>      a count
//	m <hash of a value>      it is missing from the other model
//	w                        all rows that were there before were judged
const (
	spaceCounts  = 'n'
	spaceMissing = 'm'
	spaceWhole   = 'w'
)

var spaceRows = [sides]byte{'f', 'o'}

// count is how many rows of each side have a value.
type count struct {
	rows  [sides]int64
	value []byte
}

func (c count) missing() bool { return c.rows[sideFrom] > 0 && c.rows[sideTo] == 0 }

func (c count) encode() []byte {
	if c.rows == [sides]int64{} {
		return nil
	}
	to := binary.AppendUvarint(nil, uint64(c.rows[sideFrom]))
	to = binary.AppendUvarint(to, uint64(c.rows[sideTo]))
	return append(to, c.value...)
}

func decodeCount(data []byte) (c count, err error) {
	if data == nil {
		return c, nil
	}
	r := keyvalue.NewReader(data)
	c.rows = [sides]int64{int64(r.Uvarint()), int64(r.Uvarint())}
	c.value = r.Rest()
	return c, r.Err()
}

// relationships is Relationships at work.
type relationships struct {
	spec    Relationships
	state   keyvalue.Store
	sides   [sides]*side
	touched []count // that are missing, of values that the epoch changed
}

// Take implements Test.
func (t *relationships) Take(_ context.Context, model string, batch record.Batch, _ int64) ([]record.Reject, error) {
	rows, err := withPositions(batch)
	if err != nil {
		return nil, err
	}
	defer rows.Release()
	for _, s := range t.sides {
		if s.of.Model != model {
			continue
		}
		columns, err := s.values.of(rows)
		if err != nil {
			return nil, err
		}
		for row := range int(rows.NumRows()) {
			if value := read(columns, row); value != nil {
				s.change(hashOf(value), value, 1)
			}
		}
	}
	return nil, nil
}

// Follow implements Test.
func (t *relationships) Follow(_ context.Context, model string, changes record.Changelog, _ int64) error {
	for _, s := range t.sides {
		if s.of.Model != model {
			continue
		}
		err := eachChange(changes, keyedColumns{s.keys, s.values, s.of.Untested}, func(key, value []byte) { s.rows[hashOf(key)] = changedRow{value: value} })
		if err != nil {
			return err
		}
	}
	return nil
}

// End implements Test.
func (t *relationships) End(context.Context, int64) (record.Changelog, error) {
	if err := t.end(); err != nil {
		return record.Changelog{}, fmt.Errorf("test %s: %w", t.spec.From.Model, err)
	}
	return record.Changelog{}, nil
}

func (t *relationships) end() error {
	var changes []keyvalue.Change
	for i, s := range t.sides {
		moved, err := s.settle(t.state, spaceRows[i])
		if err != nil {
			return err
		}
		changes = append(changes, moved...)
	}
	hashes := map[hash]bool{}
	for _, s := range t.sides {
		for h := range s.counts {
			hashes[h] = true
		}
	}
	counted, err := t.recount(slices.SortedFunc(maps.Keys(hashes), func(a, b hash) int { return bytes.Compare(a[:], b[:]) }))
	if err != nil {
		return err
	}
	for _, s := range t.sides {
		s.clear()
	}
	if err := t.state.Write(append(changes, counted...)); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// settle finds out how the rows of a keyed model's side count, and what is to be
// written down of them.
func (s *side) settle(state keyvalue.Store, space byte) ([]keyvalue.Change, error) {
	rows := slices.SortedFunc(maps.Keys(s.rows), func(a, b hash) int { return bytes.Compare(a[:], b[:]) })
	before, err := formerValues(state, space, rows)
	if err != nil {
		return nil, err
	}
	var changes []keyvalue.Change
	for i, h := range rows {
		value := s.rows[h].value
		if before[i] != nil {
			s.change(hash(before[i]), nil, -1)
		}
		var now []byte
		if value != nil {
			v := hashOf(value)
			s.change(v, value, 1)
			now = v[:]
		}
		if !bytes.Equal(before[i], now) {
			changes = append(changes, keyvalue.Change{Key: keyspace.Key(space, h[:]), Value: now})
		}
	}
	return changes, nil
}

// recount brings the counts of values up to date, and finds those that are
// missing.
func (t *relationships) recount(hashes []hash) ([]keyvalue.Change, error) {
	names := make([][]byte, len(hashes))
	for i, h := range hashes {
		names[i] = keyspace.Key(spaceCounts, h[:])
	}
	stored, err := t.state.Get(names)
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	var changes []keyvalue.Change
	for i, h := range hashes {
		c, err := decodeCount(stored[i])
		if err != nil {
			return nil, fmt.Errorf("read state: %w", err)
		}
		was := c.missing()
		for at, s := range t.sides {
			changed := s.counts[h]
			if changed == nil {
				continue
			}
			if c.rows[at] += changed.by; c.rows[at] < 0 {
				return nil, fmt.Errorf("%w: fewer than no rows of %s have a value", keyvalue.ErrCorrupt, s.of.Model)
			}
			if changed.value != nil {
				c.value = changed.value
			}
		}
		changes = append(changes, keyvalue.Change{Key: names[i], Value: c.encode()})
		if is := c.missing(); is {
			t.touched = append(t.touched, c)
			changes = append(changes, keyvalue.Change{Key: keyspace.Key(spaceMissing, h[:]), Value: present})
		} else if was {
			changes = append(changes, keyvalue.Change{Key: keyspace.Key(spaceMissing, h[:])})
		}
	}
	return changes, nil
}

// Against implements Test. While a model does not have all of its rows nothing is
// known to be missing; when it has, all is judged.
func (t *relationships) Against(whole bool) (Findings, error) {
	touched := t.touched
	t.touched = nil
	judged, err := t.judged(whole)
	switch {
	case err != nil:
		return Findings{}, err
	case !whole:
		return Findings{}, nil
	case !judged:
		if touched, err = t.allMissing(); err != nil {
			return Findings{}, err
		}
	}
	var found Findings
	for _, c := range touched {
		err := found.add(c.rows[sideFrom], func() (string, error) {
			text, err := t.sides[sideFrom].values.show(c.value)
			return fmt.Sprintf("%s is in no row of %s as %s", text, t.spec.To.Model, t.spec.Field), err
		})
		if err != nil {
			return Findings{}, err
		}
	}
	return found, nil
}

// judged tells whether all that was there before the epoch was judged, and notes
// whether it is now.
func (t *relationships) judged(now bool) (before bool, err error) {
	found, err := t.state.Get([][]byte{{spaceWhole}})
	if err != nil {
		return false, fmt.Errorf("read state: %w", err)
	}
	if before = found[0] != nil; before == now {
		return before, nil
	}
	note := keyvalue.Change{Key: []byte{spaceWhole}}
	if now {
		note.Value = present
	}
	if err := t.state.Write([]keyvalue.Change{note}); err != nil {
		return false, fmt.Errorf("write state: %w", err)
	}
	return before, nil
}

// allMissing reads the values of From that To does not have.
func (t *relationships) allMissing() ([]count, error) {
	var names [][]byte
	prefix := []byte{spaceMissing}
	err := t.state.Scan(prefix, keyvalue.Behind(prefix), func(key, _ []byte) (bool, error) {
		names = append(names, keyspace.Key(spaceCounts, key[1:]))
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	stored, err := t.state.Get(names)
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	all := make([]count, len(stored))
	for i, data := range stored {
		if all[i], err = decodeCount(data); err != nil {
			return nil, fmt.Errorf("read state: %w", err)
		}
	}
	return all, nil
}

// Discard implements Test.
func (t *relationships) Discard() {
	for _, s := range t.sides {
		s.clear()
	}
	t.touched = nil
}
