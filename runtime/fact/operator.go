package fact

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/aggregate"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/rowcodec"
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
	t, err := o.newTaking(batch, watermark)
	if err != nil {
		return nil, fmt.Errorf("fact %s: %w", o.spec.Model, err)
	}
	defer t.release()
	read := false
	if o.spec.From.Model == model && o.spec.From.Key == nil {
		read = true
		err = t.lefts()
	}
	for _, j := range o.joins {
		if j.staging && j.spec.To.Model == model && err == nil {
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
	return t.rejects(), nil
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
	if o.spec.From.Model == model && o.spec.From.Key != nil {
		read = true
		err = o.followLefts(changes)
	}
	for _, j := range o.joins {
		if !j.staging && j.spec.To.Model == model && err == nil {
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
	batch     record.Batch
	rows      arrow.RecordBatch // with change and position columns
	watermark int64
	ordinals  []int32
	refused   map[int]record.Reject // by row
}

func (o *Operator) newTaking(batch record.Batch, watermark int64) (*taking, error) {
	rows, err := record.WithPositions(batch, o.mem)
	if err != nil {
		return nil, err
	}
	return &taking{Operator: o, batch: batch, rows: rows, watermark: watermark, ordinals: batch.RowOrdinals(), refused: map[int]record.Reject{}}, nil
}

func (t *taking) release() { t.rows.Release() }

// refuse makes a reject of a row, unless it is one.
func (t *taking) refuse(row int, code, column, message string) {
	if _, is := t.refused[row]; is {
		return
	}
	t.refused[row] = record.Reject{Record: t.batch.Records[row], OfRow: true, Row: t.ordinals[row], Code: code, Column: column, Message: message}
}

func (t *taking) rejects() []record.Reject {
	rows := make([]int, 0, len(t.refused))
	for row := range t.refused {
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b int) int { return cmp.Compare(a, b) })
	var out []record.Reject
	for _, row := range rows {
		out = append(out, t.refused[row])
	}
	return out
}

// position writes where a row comes from: of one topic and partition in the order
// of the bytes.
func (t *taking) position(to []byte, row int) []byte {
	s := t.batch.Source
	to = append(append(to, s.Topic...), 0)
	to = appendNumber(to, uint64(uint32(s.Partition)), 4)
	to = appendNumber(to, uint64(s.Records[t.batch.Records[row]].Offset), 8)
	return appendNumber(to, uint64(uint32(t.ordinals[row])), 4)
}

func appendNumber(to []byte, n uint64, size int) []byte {
	for i := size - 1; i >= 0; i-- {
		to = append(to, byte(n>>(8*i)))
	}
	return to
}

// column is a column of a batch, by name and type.
func column(rows arrow.RecordBatch, f arrow.Field) (arrow.Array, error) {
	at := rows.Schema().FieldIndices(f.Name)
	if len(at) != 1 {
		return nil, fmt.Errorf("BUG: the rows have %d columns %s", len(at), f.Name)
	}
	if c := rows.Column(at[0]); arrow.TypeEqual(c.DataType(), f.Type) {
		return c, nil
	}
	return nil, fmt.Errorf("BUG: column %s is %s, the fact was compiled for %s", f.Name, rows.Column(at[0]).DataType(), f.Type)
}

func columnsOf(rows arrow.RecordBatch, fields []arrow.Field) ([]arrow.Array, error) {
	all := make([]arrow.Array, len(fields))
	for i, f := range fields {
		var err error
		if all[i], err = column(rows, f); err != nil {
			return nil, err
		}
	}
	return all, nil
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
			fresh, names = append(fresh, e), append(names, spaced(spaceFacts, key))
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

func newBatch(schema *arrow.Schema, columns []arrow.Array, rows int) arrow.RecordBatch {
	return array.NewRecordBatch(schema, columns, int64(rows))
}
