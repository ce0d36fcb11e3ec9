package integrity

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyspace"
)

// Keys of the state of a test of a keyed model:
//
//	k <hash of a row's key>                    the hash of its value
//	v <hash of a value> <hash of a row's key>  the key itself
const spaceKeys = 'k'

// keyedUnique is Unique over rows that come and go.
type keyedUnique struct {
	keyedOnly
	spec     Unique
	values   values
	keys     values
	state    keyvalue.Store
	changed  map[hash]changedRow // by key: the last change of the epoch
	findings Findings
}

// changedRow is a row that the epoch changed.
type changedRow struct {
	key   []byte
	value []byte // nil if the row is gone, or has a null
}

func newKeyedUnique(u Unique, v values, state keyvalue.Store) (*keyedUnique, error) {
	keys, err := newValues(u.Of, u.Of.Key)
	if err != nil {
		return nil, err
	}
	t := &keyedUnique{keyedOnly: keyedOnly{u.Of.Model}, spec: u, values: v, keys: keys, state: state}
	t.Discard()
	return t, nil
}

// Follow implements Test.
func (t *keyedUnique) Follow(_ context.Context, _ string, changes record.Changelog, _ int64) error {
	return eachChange(changes, keyedColumns{t.keys, t.values, t.spec.Of.Untested}, func(key, value []byte) {
		t.changed[hashOf(key)] = changedRow{key, value}
	})
}

// keyedColumns is what a test reads of the rows of a keyed model.
type keyedColumns struct {
	keys, values values
	untested     func(rows arrow.RecordBatch, row int) bool // nil for none
}

// eachChange visits changes; value is nil for a row that is gone, has a null, or is
// not tested.
func eachChange(changes record.Changelog, of keyedColumns, visit func(key, value []byte)) error {
	if changes.Len() == 0 {
		return nil
	}
	keyColumns, err := of.keys.of(changes.Rows)
	if err != nil {
		return err
	}
	columns, err := of.values.of(changes.Rows)
	if err != nil {
		return err
	}
	for row, op := range changes.Ops {
		key := read(keyColumns, row)
		if key == nil {
			return fmt.Errorf("BUG: a row of a keyed model has a null in its key")
		}
		var value []byte
		if op != record.OpDelete && (of.untested == nil || !of.untested(changes.Rows, row)) {
			value = read(columns, row)
		}
		visit(key, value)
	}
	return nil
}

// End implements Test.
func (t *keyedUnique) End(context.Context, int64) (record.Changelog, error) {
	if err := t.end(); err != nil {
		return record.Changelog{}, fmt.Errorf("test %s: %w", t.spec.Of.Model, err)
	}
	return record.Changelog{}, nil
}

func (t *keyedUnique) end() error {
	hashes := slices.SortedFunc(maps.Keys(t.changed), func(a, b hash) int { return bytes.Compare(a[:], b[:]) })
	before, err := formerValues(t.state, spaceKeys, hashes)
	if err != nil {
		return err
	}
	var changes []keyvalue.Change
	rows := map[hash][]hash{} // by value, those that the epoch changed
	for i, h := range hashes {
		row := t.changed[h]
		var now []byte
		if row.value != nil {
			v := hashOf(row.value)
			now, rows[v] = v[:], append(rows[v], h)
		}
		if bytes.Equal(before[i], now) {
			continue
		}
		if before[i] != nil {
			changes = append(changes, keyvalue.Change{Key: keyspace.Key(spaceValues, before[i], h[:])})
		}
		if now != nil {
			changes = append(changes, keyvalue.Change{Key: keyspace.Key(spaceValues, now, h[:]), Value: row.key})
		}
		changes = append(changes, keyvalue.Change{Key: keyspace.Key(spaceKeys, h[:]), Value: now})
	}
	if err := t.state.Write(changes); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	for _, h := range hashes {
		row := t.changed[h]
		if row.value == nil {
			continue
		}
		v := hashOf(row.value)
		if err := t.compare(v, rows[v]); err != nil {
			return err
		}
		delete(rows, v) // compared
	}
	clear(t.changed)
	return nil
}

// formerValues is the hashes of the values that rows had, nil where there was none.
func formerValues(state keyvalue.Store, space byte, rows []hash) ([][]byte, error) {
	names := make([][]byte, len(rows))
	for i, h := range rows {
		names[i] = keyspace.Key(space, h[:])
	}
	before, err := state.Get(names)
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	for _, b := range before {
		if b != nil && len(b) != hashBytes {
			return nil, fmt.Errorf("read state: %w: the hash of a value has %d bytes", keyvalue.ErrCorrupt, len(b))
		}
	}
	return before, nil
}

// compare looks for other rows with a value that some changed rows have.
func (t *keyedUnique) compare(v hash, changed []hash) error {
	if len(changed) == 0 {
		return nil
	}
	const enough = 2
	var keys [][]byte
	prefix := keyspace.Key(spaceValues, v[:])
	err := t.state.Scan(prefix, keyvalue.Behind(prefix), func(_, key []byte) (bool, error) {
		keys = append(keys, bytes.Clone(key))
		return len(keys) < enough, nil
	})
	if err != nil {
		return fmt.Errorf("read state: %w", err)
	}
	if len(keys) < enough {
		return nil
	}
	return t.findings.add(int64(len(changed)), func() (string, error) {
		text, err := t.values.show(t.changed[changed[0]].value)
		if err != nil {
			return "", err
		}
		first, err := t.keys.show(keys[0])
		if err != nil {
			return "", err
		}
		second, err := t.keys.show(keys[1])
		return fmt.Sprintf("%s is that of two rows, %s and %s", text, first, second), err
	})
}

// Against implements Test. Two rows that are there are against it whatever else
// there is.
func (t *keyedUnique) Against(bool) (Findings, error) {
	found := t.findings
	t.findings = Findings{}
	return found, nil
}

// Discard implements Test.
func (t *keyedUnique) Discard() { t.changed, t.findings = map[hash]changedRow{}, Findings{} }
