package dimension

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/changelog"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/rowcodec"
)

// attributesOf are the columns of Program.Attributes of a row.
func (p *Program) attributesOf(r *row) []byte {
	switch {
	case r.isUnknown:
		return p.unknown
	case r.inferred:
		return make([]byte, p.attributes.NumFields()) // nulls
	}
	out := make([]byte, 0, len(r.fixed)+len(r.over)+len(r.other))
	return append(append(append(out, r.fixed...), r.over...), r.other...)
}

// changelog makes the rows of a changelog.
func (p *Program) changelog(ops []record.Op, rows []row) (record.Changelog, error) {
	if len(rows) == 0 {
		return record.Changelog{}, nil
	}
	b := &rowBuilder{Program: p, rows: rows}
	defer b.release()
	for _, step := range []func() error{b.addKeys, b.addAttributes, b.addVersion} {
		if err := step(); err != nil {
			return record.Changelog{}, fmt.Errorf("make rows: %w", err)
		}
	}
	return changelog.Of(ops, array.NewRecordBatch(p.output, b.columns, int64(len(rows))))
}

// rowBuilder makes columns of rows, in the order of the table.
type rowBuilder struct {
	*Program
	rows    []row
	columns []arrow.Array
	owned   []interface{ Release() }
}

func (b *rowBuilder) release() {
	for _, a := range b.owned {
		a.Release()
	}
}

func (b *rowBuilder) own(a arrow.Array) arrow.Array {
	b.owned = append(b.owned, a)
	return a
}

func (b *rowBuilder) decode(schema *arrow.Schema, of func(r *row) []byte) (arrow.RecordBatch, error) {
	rows := make([][]byte, len(b.rows))
	for i := range b.rows {
		rows[i] = of(&b.rows[i])
	}
	batch, err := rowcodec.Batch(schema, rows, b.mem)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", keyvalue.ErrCorrupt, err)
	}
	b.owned = append(b.owned, batch)
	return batch, nil
}

// addKeys adds the surrogate, durable and natural key (invariant 8).
func (b *rowBuilder) addKeys() error {
	nobody := make([]byte, b.naturalKey.NumFields()) // nulls
	members, err := b.decode(b.naturalKey, func(r *row) []byte {
		if r.isUnknown {
			return nobody
		}
		return []byte(r.member)
	})
	if err != nil {
		return err
	}
	froms := make([]int64, len(b.rows))
	for i := range b.rows {
		froms[i] = b.rows[i].from
	}
	keys, durable, err := b.keysOf(members.Columns(), froms)
	if err != nil {
		return err
	}
	b.own(keys)
	b.columns = append(b.columns, b.withUnknown(keys))
	if b.spec.DurableKey != "" {
		b.own(durable)
		b.columns = append(b.columns, b.withUnknown(durable))
	} else if durable != nil {
		durable.Release()
	}
	b.columns = append(b.columns, members.Columns()...)
	return nil
}

// keysOf are the surrogate keys of versions, and the durable ones, which are nil
// where the dimension has none. The caller releases both.
func (p *Program) keysOf(naturalKey []arrow.Array, froms []int64) (keys, durable *array.String, err error) {
	if !p.hasVersions || p.spec.DurableKey != "" {
		if durable, err = record.SurrogateKeys(naturalKey, p.mem); err != nil {
			return nil, nil, err
		}
	}
	if !p.hasVersions {
		durable.Retain()
		return durable, durable, nil
	}
	times := array.NewTimestampBuilder(p.mem, record.Timestamptz)
	defer times.Release()
	for _, from := range froms {
		times.Append(arrow.Timestamp(from))
	}
	from := times.NewArray()
	defer from.Release()
	keys, err = record.SurrogateKeys(append(naturalKey[:len(naturalKey):len(naturalKey)], from), p.mem)
	if err != nil && durable != nil {
		durable.Release()
	}
	return keys, durable, err
}

// withUnknown puts the key of the unknown member in its row.
func (b *rowBuilder) withUnknown(keys *array.String) arrow.Array {
	if !b.rows[0].isUnknown { // it is the first if it is there
		return keys
	}
	made := array.NewStringBuilder(b.mem)
	defer made.Release()
	made.Append(UnknownKey)
	for i := 1; i < keys.Len(); i++ {
		made.Append(keys.Value(i))
	}
	return b.own(made.NewArray())
}

func (b *rowBuilder) addAttributes() error {
	attributes, err := b.decode(b.attributes, b.attributesOf)
	if err != nil {
		return err
	}
	for _, at := range b.place {
		b.columns = append(b.columns, attributes.Column(at))
	}
	return nil
}

// addVersion adds what is said of versions.
func (b *rowBuilder) addVersion() error {
	unset := func(r *row) bool { return r.inferred || r.isUnknown }
	empty := func(r *row) bool { return r.to == Forever && b.spec.ValidToCurrent == ValidToEmpty }
	b.addTimes(func(r *row) (int64, bool) { return r.from, true })
	b.addTimes(func(r *row) (int64, bool) { return r.to, !empty(r) })
	b.addTimes(func(r *row) (int64, bool) { return r.changedAt, !unset(r) })
	b.addBooleans(func(r *row) bool { return r.to == Forever })
	b.addBooleans(func(r *row) bool { return r.deleted })
	b.addBooleans(func(r *row) bool { return r.inferred })
	b.addTimes(func(r *row) (int64, bool) { return r.stamp.Recorded, r.stamp.Recorded != record.NoTime })
	b.addTimes(func(r *row) (int64, bool) { return r.stamp.Ingested, r.stamp.Ingested != record.NoTime })
	return nil
}

func (b *rowBuilder) addTimes(of func(r *row) (int64, bool)) {
	made := array.NewTimestampBuilder(b.mem, record.Timestamptz)
	defer made.Release()
	made.Reserve(len(b.rows))
	for i := range b.rows {
		if at, ok := of(&b.rows[i]); ok {
			made.Append(arrow.Timestamp(at))
		} else {
			made.AppendNull()
		}
	}
	b.columns = append(b.columns, b.own(made.NewArray()))
}

func (b *rowBuilder) addBooleans(of func(r *row) bool) {
	made := array.NewBooleanBuilder(b.mem)
	defer made.Release()
	made.Reserve(len(b.rows))
	for i := range b.rows {
		made.Append(of(&b.rows[i]))
	}
	b.columns = append(b.columns, b.own(made.NewArray()))
}
