package bridge

import (
	"errors"
	"fmt"
	"slices"

	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/eventtime"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyspace"
	"github.com/calvelake/calve/runtime/record/rowcodec"
)

// Dimension is a dimension at work. It ends an epoch before the bridges that refer
// to it.
type Dimension interface {
	// Resolve finds the versions of members, in the order of lookups. A member that
	// is not there is inferred.
	Resolve(lookups []dimension.Lookup) ([]dimension.Found, error)
}

// Operator makes mappings of rows. An epoch is calls of Take and Follow and one of
// End. After an error, or when an epoch is given up, put the state back and call
// Discard. It is not safe for concurrent use.
type Operator struct {
	*Program
	state      keyvalue.Store
	dimensions []Dimension // by foreign key
	entries    map[string]*entry
	moved      map[string]string // rows of a keyed model whose owner is another one, "" for none
	watermark  int64             // of the last End
	atOnce     int               // tests go through fewer
}

// entry is an owner that the epoch touches.
type entry struct {
	owner string
	data  []byte // as the state has it, nil if it does not
	old   history
	now   history
}

// errModel: rows of a model that the bridge does not read.
var errModel = errors.New("BUG: rows of a model that is not read")

// New compiles a spec and goes on from what the state has.
func New(spec Spec, state keyvalue.Store, dimensions map[string]Dimension) (*Operator, error) {
	p, err := Compile(spec)
	if err != nil {
		return nil, err
	}
	return p.Open(state, dimensions)
}

// Open goes on from what the state has, which must be of this StateVersion. It is
// given the dimensions of foreign keys by name.
func (p *Program) Open(state keyvalue.Store, dimensions map[string]Dimension) (*Operator, error) {
	o := &Operator{Program: p, state: state, watermark: record.NoTime, atOnce: atOnce}
	for i := range p.keys {
		d := dimensions[p.keys[i].To]
		if d == nil {
			return nil, fmt.Errorf("BUG: bridge %s: %s: there is no dimension %s", p.spec.Model, p.keys[i].path(".to"), p.keys[i].To)
		}
		o.dimensions = append(o.dimensions, d)
	}
	o.release()
	return o, nil
}

// Discard drops what was taken since the last End that was made durable. The
// state must have been put back.
func (o *Operator) Discard() {
	o.release()
	o.watermark = record.NoTime
}

// release ends an epoch.
func (o *Operator) release() {
	o.entries, o.moved = map[string]*entry{}, map[string]string{}
}

// ready refuses time that goes backwards: what was forgotten would be missing.
func (o *Operator) ready(watermark int64) error {
	if watermark < o.watermark {
		return fmt.Errorf("BUG: bridge %s: watermark %d after %d", o.spec.Model, watermark, o.watermark)
	}
	return nil
}

// horizon is the time up to which changes may be settled at a watermark.
func (o *Operator) horizon(watermark int64) int64 { return eventtime.Before(watermark, o.late) }

// hold finds owners, and reads those that were not held. "" is none.
func (o *Operator) hold(owners []string) error {
	var fresh []*entry
	var names [][]byte
	for _, owner := range owners {
		if _, ok := o.entries[owner]; ok || owner == "" {
			continue
		}
		e := &entry{owner: owner}
		o.entries[owner] = e
		fresh, names = append(fresh, e), append(names, keyspace.Key(spaceOwners, owner))
	}
	if len(fresh) == 0 {
		return nil
	}
	values, err := o.state.Get(names)
	if err != nil {
		return fmt.Errorf("read %d owners: %w", len(names), err)
	}
	for i, e := range fresh {
		if e.data = values[i]; e.data == nil {
			continue
		}
		if err := e.old.load(e.data, o.kept.NumFields()); err != nil {
			return fmt.Errorf("owner %s: %w", e.owner, err)
		}
		e.now = e.old
		e.now.changes = slices.Clone(e.old.changes)
	}
	return nil
}

// keep writes a row down.
func (m *mapped) keep(row int) []byte {
	return rowcodec.AppendRow(nil, m.narrow.Columns[:m.kept.NumFields()], row)
}
