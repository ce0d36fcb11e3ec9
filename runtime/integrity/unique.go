package integrity

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyspace"
)

// stateVersion changes with the encodings of state.
const stateVersion = 1

// Unique is the test that no two rows have the same values.
type Unique struct {
	Of      Input
	Columns []string
	// Of a staging model:
	EventTime string        // a timestamptz column; "" for that of the record
	Horizon   time.Duration // how long a row is remembered behind the watermark
	Held      int           // how many values are in memory before the state has them; 262,144 by default
}

// Open goes on from what the state has, which must be of this Definition.
func (u Unique) Open(state keyvalue.Store) (Test, error) {
	v, err := newValues(u.Of, u.Columns)
	if err != nil {
		return nil, err
	}
	if u.Of.Key != nil {
		return newKeyedUnique(u, v, state)
	}
	if u.Held == 0 {
		u.Held = 1 << 18
	}
	if u.EventTime == "" {
		u.EventTime = record.ColumnTimestamp
	}
	if !u.Of.Schema.HasField(u.EventTime) {
		return nil, fmt.Errorf("model %s has no column %s", u.Of.Model, u.EventTime)
	}
	t := &eventUnique{stagingOnly: stagingOnly{u.Of.Model}, spec: u, values: v, state: state}
	t.Discard()
	return t, nil
}

// Definition is what the state depends on: that of another must not be read.
func (u Unique) Definition() string {
	v, err := newValues(u.Of, u.Columns)
	if err != nil {
		return err.Error() // Open says so
	}
	return fmt.Sprintf("unique %d: %s by %q within %s at %s: %s", stateVersion, u.Of.Model, u.Of.Key, u.Horizon, u.EventTime, describe(v.schema))
}

func describe(s *arrow.Schema) string {
	text := ""
	for _, f := range s.Fields() {
		text += f.Name + " " + record.FormatType(f.Type) + ";"
	}
	return text
}

// Test is a test at work. An epoch is calls of Take and Follow, one of End, and
// one of Against. It is not safe for concurrent use.
type Test interface {
	Take(ctx context.Context, model string, rows record.Batch, watermark int64) ([]record.Reject, error)
	Follow(ctx context.Context, model string, changes record.Changelog, watermark int64) error
	// End writes to the state what is remembered of the epoch; a test changes no
	// rows.
	End(ctx context.Context, watermark int64) (record.Changelog, error)
	// Against is what is against the test. whole tells that it was given all rows
	// that its models have.
	Against(whole bool) (Findings, error)
	// Discard drops what was taken since the last epoch. The state must have been
	// put back, or will be before the next call.
	Discard()
}

// Keys of the state of a test of a staging model:
//
//	v <hash>                 the newest row with a value: event time, place
//	t <time, 8 bytes> <hash> when it is forgotten
const (
	spaceValues = 'v'
	spaceTimers = 't'
)

// present is the value of a key that says all.
var present = []byte{1}

// expiring is how many values are forgotten in one write.
const expiring = 1 << 16

// eventUnique is Unique over events.
type eventUnique struct {
	stagingOnly
	spec     Unique
	values   values
	state    keyvalue.Store
	seen     map[hash]*event // in this epoch
	findings Findings
}

// event is the newest row that has a value.
type event struct {
	at     int64 // µs
	place  string
	stored bool  // in the state, with
	was    int64 // this time
	passed bool  // it is not remembered any more, and only has to go
}

func (t *eventUnique) Take(_ context.Context, _ string, batch record.Batch, watermark int64) ([]record.Reject, error) {
	rows, err := withPositions(batch)
	if err != nil {
		return nil, err
	}
	defer rows.Release()
	columns, err := t.values.of(rows)
	if err != nil {
		return nil, err
	}
	times, err := timesOf(rows, t.spec.EventTime)
	if err != nil {
		return nil, err
	}
	read := t.readRows(columns, int(rows.NumRows()))
	if err := t.load(read, watermark); err != nil {
		return nil, fmt.Errorf("test %s: %w", t.spec.Of.Model, err)
	}
	for row, value := range read {
		if value == nil {
			continue
		}
		at := batch.Source.Records[batch.Records[row]].Timestamp
		if times.IsValid(row) {
			at = int64(times.Value(row))
		}
		place := fmt.Sprintf("%s offset %d", batch.Source.TopicPartition, batch.Source.Records[batch.Records[row]].Offset)
		if err := t.count(value, at, place); err != nil {
			return nil, err
		}
	}
	if len(t.seen) < t.spec.Held {
		return nil, nil
	}
	return nil, t.write()
}

func timesOf(rows arrow.RecordBatch, name string) (*array.Timestamp, error) {
	at := rows.Schema().FieldIndices(name)
	if len(at) == 1 {
		if times, ok := rows.Column(at[0]).(*array.Timestamp); ok {
			return times, nil
		}
	}
	return nil, fmt.Errorf("BUG: rows have no time %s", name)
}

func (t *eventUnique) readRows(columns []arrow.Array, rows int) [][]byte {
	all := make([][]byte, rows)
	for row := range all {
		all[row] = read(columns, row)
	}
	return all
}

// load reads what the state has of values that the epoch has not seen yet.
func (t *eventUnique) load(read [][]byte, watermark int64) error {
	var hashes []hash
	var keys [][]byte
	asked := map[hash]bool{}
	for _, value := range read {
		if value == nil {
			continue
		}
		if h := hashOf(value); t.seen[h] == nil && !asked[h] {
			asked[h] = true
			hashes, keys = append(hashes, h), append(keys, keyspace.Key(spaceValues, h[:]))
		}
	}
	found, err := t.state.Get(keys)
	if err != nil {
		return fmt.Errorf("read state: %w", err)
	}
	for i, data := range found {
		if data == nil {
			continue
		}
		r := keyvalue.NewReader(data)
		e := &event{at: r.Time(), place: string(r.Bytes()), stored: true}
		e.was = e.at
		r.End()
		if err := r.Err(); err != nil {
			return fmt.Errorf("read state: %w", err)
		}
		e.passed = t.passed(e.at, watermark)
		t.seen[hashes[i]] = e
	}
	return nil
}

// passed tells whether a row is not remembered any more.
func (t *eventUnique) passed(at, watermark int64) bool {
	return watermark != record.NoTime && at <= watermark-t.spec.Horizon.Microseconds()
}

func (t *eventUnique) count(value []byte, at int64, place string) error {
	h := hashOf(value)
	e := t.seen[h]
	if e == nil {
		t.seen[h] = &event{at: at, place: place}
		return nil
	}
	if e.passed {
		e.at, e.place, e.passed = at, place, false
		return nil
	}
	err := t.findings.add(1, func() (string, error) {
		text, err := t.values.show(value)
		return fmt.Sprintf("%s is at %s and at %s", text, e.place, place), err
	})
	if at > e.at {
		e.at, e.place = at, place
	}
	return err
}

// End implements Test.
func (t *eventUnique) End(_ context.Context, watermark int64) (record.Changelog, error) {
	if err := t.write(); err != nil {
		return record.Changelog{}, err
	}
	if err := t.forget(watermark); err != nil {
		return record.Changelog{}, fmt.Errorf("test %s: forget old rows: %w", t.spec.Of.Model, err)
	}
	return record.Changelog{}, nil
}

// write puts the values that are in memory into the state.
func (t *eventUnique) write() error {
	var changes []keyvalue.Change
	for h, e := range t.seen {
		if e.stored && e.was == e.at {
			continue
		}
		if e.stored {
			changes = append(changes, keyvalue.Change{Key: keyspace.Timer(spaceTimers, e.was, h[:])})
		}
		changes = append(changes,
			keyvalue.Change{Key: keyspace.Key(spaceValues, h[:]), Value: keyvalue.AppendBytes(keyvalue.AppendTime(nil, e.at), []byte(e.place))},
			keyvalue.Change{Key: keyspace.Timer(spaceTimers, e.at, h[:]), Value: present})
	}
	clear(t.seen)
	if err := t.state.Write(changes); err != nil {
		return fmt.Errorf("test %s: write state: %w", t.spec.Of.Model, err)
	}
	return nil
}

// forget removes the rows that are behind the horizon.
func (t *eventUnique) forget(watermark int64) error {
	if watermark == record.NoTime {
		return nil
	}
	end := keyspace.Timer(spaceTimers, watermark-t.spec.Horizon.Microseconds()+1, "")
	for {
		var changes []keyvalue.Change
		err := t.state.Scan([]byte{spaceTimers}, end, func(key, _ []byte) (bool, error) {
			if len(key) != keyspace.TimerBytes+hashBytes {
				return false, fmt.Errorf("%w: a timer has key %x", keyvalue.ErrCorrupt, key)
			}
			changes = append(changes, keyvalue.Change{Key: append([]byte(nil), key...)}, keyvalue.Change{Key: keyspace.Key(spaceValues, key[keyspace.TimerBytes:])})
			return len(changes) < 2*expiring, nil
		})
		if err != nil || len(changes) == 0 {
			return err
		}
		if err := t.state.Write(changes); err != nil {
			return err
		}
	}
}

// Against implements Test. A row that came twice is against it whatever else there
// is.
func (t *eventUnique) Against(bool) (Findings, error) {
	found := t.findings
	t.findings = Findings{}
	return found, nil
}

// Discard implements Test.
func (t *eventUnique) Discard() { t.seen, t.findings = map[hash]*event{}, Findings{} }
