package dimension

import (
	"context"
	"fmt"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/eventtime"
	"github.com/calvelake/calve/runtime/record/keyvalue"
)

// Operator makes the rows of a dimension. An epoch is calls of Take and Follow,
// one of End, any of Moved and Resolve, and one of EndInferred. After an error, or
// when an epoch is given up, put the state back and call Discard. It is not safe
// for concurrent use.
type Operator struct {
	*Program
	store     keyvalue.Store
	meta      *meta // nil until it is read
	members   map[string]*member
	watermark int64   // of the last End
	moved     []Moved // by that
	asked     map[string]*question
	room      room
}

// member is one that the epoch touches.
type member struct {
	key   string
	fresh []change // that the epoch brought
	head  *head    // as the state has it; nil until it is read
	value []byte   // the same, nil if the state has none
}

// New compiles a spec and goes on from what the state has.
func New(spec Spec, state keyvalue.Store) (*Operator, error) {
	p, err := Compile(spec)
	if err != nil {
		return nil, err
	}
	return p.Open(state)
}

// Open goes on from what the state has, which must be of this StateVersion.
func (p *Program) Open(state keyvalue.Store) (*Operator, error) {
	o := &Operator{Program: p, store: state, room: headRoom}
	o.Discard()
	_, err := o.known()
	return o, err
}

// Discard drops what was taken since the last epoch that was made durable. The
// state must have been put back.
func (o *Operator) Discard() {
	o.release()
	o.meta, o.moved, o.watermark = nil, nil, record.NoTime
	o.asked = map[string]*question{}
}

// release ends an epoch.
func (o *Operator) release() { o.members = map[string]*member{} }

// known is what is known of all members, for reading.
func (o *Operator) known() (*meta, error) {
	if o.meta != nil {
		return o.meta, nil
	}
	values, err := o.store.Get([][]byte{{spaceMeta}})
	if err != nil {
		return nil, fmt.Errorf("dimension %s: read state: %w", o.spec.Model, err)
	}
	m, err := loadMeta(values[0])
	if err != nil {
		return nil, fmt.Errorf("dimension %s: %w", o.spec.Model, err)
	}
	o.meta = &m
	return o.meta, nil
}

// ready refuses time that goes backwards: what was forgotten would be missing.
func (o *Operator) ready(watermark int64) (*meta, error) {
	if watermark < o.watermark {
		return nil, fmt.Errorf("BUG: dimension %s: watermark %d after %d", o.spec.Model, watermark, o.watermark)
	}
	return o.known()
}

// horizon is the time up to which changes may be forgotten at a watermark: it
// never goes back, even if late_changes is raised.
func (o *Operator) horizon(m *meta, watermark int64) int64 {
	return max(m.horizon, eventtime.Before(watermark, o.late))
}

// member finds one that the epoch touches.
func (o *Operator) member(key []byte) *member {
	m, ok := o.members[string(key)]
	if !ok {
		m = &member{key: string(key)}
		o.members[m.key] = m
	}
	return m
}

// readHeads reads the heads of members that were not read.
func (o *Operator) readHeads(all []*member) error {
	var unread []*member
	var keys [][]byte
	for _, m := range all {
		if m.head == nil {
			m.head = newHead() // asked for once
			unread, keys = append(unread, m), append(keys, headKey(m.key))
		}
	}
	if len(unread) == 0 {
		return nil
	}
	values, err := o.store.Get(keys)
	if err != nil {
		return fmt.Errorf("read %d members: %w", len(keys), err)
	}
	for i, m := range unread {
		if values[i] == nil {
			continue
		}
		m.value = values[i]
		if m.head, err = loadHead(values[i]); err != nil {
			return fmt.Errorf("member %x: %w", m.key, err)
		}
	}
	return nil
}

// Take adds rows of the staging model that is read, at a watermark, µs since 1970
// UTC. Rows that it refuses are rejects, in row order, one for each at most. It
// does not keep the batch.
func (o *Operator) Take(_ context.Context, model string, batch record.Batch, watermark int64) ([]record.Reject, error) {
	m, err := o.ready(watermark)
	if err != nil {
		return nil, err
	}
	if o.spec.From.IsKeyed() || model != o.spec.From.Name {
		return nil, fmt.Errorf("dimension %s: BUG: rows of staging model %s, which is not read", o.spec.Model, model)
	}
	t := &taking{Operator: o, horizon: o.horizon(m, watermark), watermark: watermark}
	rejects, err := t.run(batch)
	if err != nil {
		return nil, fmt.Errorf("dimension %s: take rows of %s: %w", o.spec.Model, model, err)
	}
	return rejects, nil
}

// Follow adds what an epoch changed in the rows of the keyed model that is read.
// It does not keep the changelog.
func (o *Operator) Follow(_ context.Context, model string, changes record.Changelog, watermark int64) error {
	m, err := o.ready(watermark)
	if err != nil {
		return err
	}
	if !o.spec.From.IsKeyed() || model != o.spec.From.Name {
		return fmt.Errorf("dimension %s: BUG: changes of keyed model %s, which is not read", o.spec.Model, model)
	}
	if err := changes.Check(); err != nil || changes.Len() == 0 {
		return err
	}
	m.follows++
	if err := o.follow(changes, m.follows); err != nil {
		return fmt.Errorf("dimension %s: take changes of %s: %w", o.spec.Model, model, err)
	}
	return nil
}
