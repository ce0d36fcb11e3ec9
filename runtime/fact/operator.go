package fact

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/aggregate"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyspace"
	"github.com/calvelake/calve/runtime/record/rowcodec"
	"github.com/calvelake/calve/runtime/upstream"
)

// Operator makes facts of rows. An epoch is calls of Take and Follow and one of
// End. After an error, or when an epoch is given up, put the state back and call
// Discard. It is not safe for concurrent use.
type Operator struct {
	*Program
	state      keyvalue.Store
	sets       []*aggregate.Set // by join
	dimensions []Dimension      // by foreign key, nil for days
	entries    map[string]*entry
	groups     map[string]*span  // of rows that were changed: from the first of them to the last
	timers     map[string]bool   // that are to be set
	writes     []keyvalue.Change // of rows to be joined
	moved      map[string][]byte // keys of the state that say where rows of keyed models are, with their values
	watermark  int64             // of the last End
}

// entry is a fact that the epoch touches.
type entry struct {
	key string
	old []byte // as the state has it, nil if it does not
	kept
	before   []joined    // the joins as they were
	referred []reference // the foreign keys as they were
	was      bool        // the table had its row
}

// errModel: rows of a model that the fact does not read.
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
	o := &Operator{Program: p, state: state, watermark: record.NoTime}
	for _, j := range p.joins {
		set, err := aggregate.New(j.set, p.spec.Limits)
		if err != nil {
			return nil, err
		}
		o.sets = append(o.sets, set)
	}
	for _, f := range p.foreign {
		d := dimensions[f.spec.To]
		if d == nil && f.spec.Calendar == nil {
			return nil, fmt.Errorf("BUG: fact %s: %s: there is no dimension %s", p.spec.Model, f.path(".to"), f.spec.To)
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
	o.entries, o.groups, o.timers, o.writes = map[string]*entry{}, map[string]*span{}, map[string]bool{}, nil
	o.moved = map[string][]byte{}
}

// ready refuses time that goes backwards: what was forgotten would be missing.
func (o *Operator) ready(watermark int64) error {
	if watermark < o.watermark {
		return fmt.Errorf("BUG: fact %s: watermark %d after %d", o.spec.Model, watermark, o.watermark)
	}
	return nil
}

// Take adds rows of a staging model, at a watermark, µs since 1970 UTC: to the
// facts, and to what is joined. Rows that it refuses are rejects, in row order,
// one for each at most. It does not keep the batch.
func (o *Operator) Take(_ context.Context, model string, batch record.Batch, watermark int64) ([]record.Reject, error) {
	if err := o.ready(watermark); err != nil {
		return nil, err
	}
	rows, err := upstream.NewBatch(batch, o.mem)
	if err != nil {
		return nil, fmt.Errorf("fact %s: %w", o.spec.Model, err)
	}
	defer rows.Release()
	t := &taking{o, rows, watermark}
	read := false
	if o.spec.From.Name == model && !o.spec.From.IsKeyed() {
		read = true
		err = t.lefts()
	}
	for _, j := range o.joins {
		if j.staging && j.spec.To.Name == model && err == nil {
			read = true
			err = t.rights(j)
		}
	}
	if err == nil && !read {
		err = fmt.Errorf("%w: staging model %s", errModel, model)
	}
	if err != nil {
		return nil, fmt.Errorf("fact %s: take rows of %s: %w", o.spec.Model, model, err)
	}
	return t.Rejects(), nil
}

// Follow adds what an epoch changed in the rows of a keyed model: to the facts,
// and to what is joined. It does not keep the changelog.
func (o *Operator) Follow(_ context.Context, model string, changes record.Changelog, watermark int64) error {
	if err := o.ready(watermark); err != nil {
		return err
	}
	if err := changes.Check(); err != nil || changes.Len() == 0 {
		return err
	}
	read := false
	var err error
	if o.spec.From.Name == model && o.spec.From.IsKeyed() {
		read = true
		err = o.followLefts(changes)
	}
	for _, j := range o.joins {
		if !j.staging && j.spec.To.Name == model && err == nil {
			read = true
			err = o.followRights(j, changes)
		}
	}
	if err == nil && !read {
		err = fmt.Errorf("%w: keyed model %s", errModel, model)
	}
	if err != nil {
		return fmt.Errorf("fact %s: take changes of %s: %w", o.spec.Model, model, err)
	}
	return nil
}

// taking is one call of Take.
type taking struct {
	*Operator
	*upstream.Batch
	watermark int64
}

func pick(columns []arrow.Array, at []int) []arrow.Array {
	out := make([]arrow.Array, len(at))
	for i, c := range at {
		out[i] = columns[c]
	}
	return out
}

// whereabouts is what is known of where rows of keyed models are, nil for those
// that are nowhere.
func (o *Operator) whereabouts(names [][]byte) ([][]byte, error) {
	values, err := o.state.Get(names)
	if err != nil {
		return nil, fmt.Errorf("read the places of %d rows: %w", len(names), err)
	}
	for i, name := range names {
		if moved, ok := o.moved[string(name)]; ok {
			values[i] = moved
		}
	}
	return values, nil
}

func anyNull(columns []arrow.Array, row int) int {
	return slices.IndexFunc(columns, func(c arrow.Array) bool { return c.IsNull(row) })
}

// hold finds the facts of keys, and reads those that were not held. An empty key
// is none, and its entry nil.
func (o *Operator) hold(keys [][]byte) ([]*entry, error) {
	out := make([]*entry, len(keys))
	var fresh []*entry
	var names [][]byte
	for i, key := range keys {
		if len(key) == 0 {
			continue
		}
		e, ok := o.entries[string(key)]
		if !ok {
			e = &entry{key: string(key), kept: o.newKept()}
			o.entries[e.key] = e
			fresh, names = append(fresh, e), append(names, keyspace.Key(spaceFacts, key))
		}
		out[i] = e
	}
	if len(fresh) == 0 {
		return out, nil
	}
	values, err := o.state.Get(names)
	if err != nil {
		return nil, fmt.Errorf("read %d facts: %w", len(names), err)
	}
	for i, e := range fresh {
		if values[i] == nil {
			continue
		}
		if err := o.load(&e.kept, values[i]); err != nil {
			return nil, fmt.Errorf("fact %x: %w", e.key, err)
		}
		e.old, e.was = values[i], e.visible
		e.before, e.referred = slices.Clone(e.joins), slices.Clone(e.foreign)
	}
	return out, nil
}

// encode writes the values of columns of each row behind one another, for rows
// that are not left out; nil for those.
func encode(columns []arrow.Array, rows int, leftOut func(row int) bool) [][]byte {
	out := make([][]byte, rows)
	var data []byte
	for row := range out {
		if leftOut(row) {
			continue
		}
		from := len(data)
		data = rowcodec.AppendRow(data, columns, row)
		out[row] = data[from:len(data):len(data)]
	}
	return out
}
