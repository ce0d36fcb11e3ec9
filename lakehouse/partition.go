package lakehouse

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/iceberg-go"
)

// partitioner assigns each row of a batch to its partition values and, in a
// table with PropertyCurrent, to the current rows or to the others, which go to
// files of their own.
type partitioner struct {
	spec    iceberg.PartitionSpec
	schema  *iceberg.Schema
	fields  []partitionColumn
	current int // column of PropertyCurrent, -1 if there is none
}

type partitionColumn struct {
	id        int // partition field id
	column    int // index in the table's columns
	source    iceberg.Type
	result    iceberg.Type
	transform iceberg.Transform
	known     map[string]partitionValue // by the source value's bytes
}

// partitionValue is one field's value: key is unique per value within a table
// and keeps null, "" and the string "null" apart.
type partitionValue struct {
	key   string
	value any // nil for null
}

// partitionKey identifies a partition, and keeps its values. Of a table with
// PropertyCurrent it identifies one half of a partition.
type partitionKey struct {
	key     string
	values  map[int]any // by partition field id
	current bool
}

func newPartitioner(spec iceberg.PartitionSpec, schema *iceberg.Schema) (*partitioner, error) {
	p := &partitioner{spec: spec, schema: schema, current: -1}
	for _, f := range spec.Fields() {
		if len(f.SourceIDs) != 1 {
			return nil, fmt.Errorf("partition field %s: transforms of several columns are not written", f.Name)
		}
		source, ok := schema.FindFieldByID(f.SourceIDs[0])
		column := slices.IndexFunc(schema.Fields(), func(c iceberg.NestedField) bool { return c.ID == f.SourceIDs[0] })
		if !ok || column < 0 {
			return nil, fmt.Errorf("partition field %s: its column is not a top-level column", f.Name)
		}
		p.fields = append(p.fields, partitionColumn{
			id: f.FieldID, column: column, source: source.Type, result: f.Transform.ResultType(source.Type),
			transform: f.Transform, known: map[string]partitionValue{},
		})
	}
	return p, nil
}

// run is consecutive rows [from, to) of one partition.
type run struct {
	key      partitionKey
	from, to int64
}

// runs splits a batch, whose columns are in table order, into runs of equal
// partition values.
func (p *partitioner) runs(rows arrow.RecordBatch) ([]run, error) {
	n := int(rows.NumRows())
	if len(p.fields) == 0 && p.current < 0 {
		return []run{{to: int64(n)}}, nil
	}
	isCurrent := p.currentOf(rows)
	now := false
	var runs []run
	var scratch []byte
	current := make([]partitionValue, len(p.fields))
	for i := range n {
		changed := i == 0
		for f := range p.fields {
			v, err := p.fields[f].at(rows.Column(p.fields[f].column), i, &scratch)
			if err != nil {
				return nil, err
			}
			if v.key != current[f].key {
				current[f], changed = v, true
			}
		}
		if c := isCurrent(i); c != now {
			now, changed = c, true
		}
		if changed {
			runs = append(runs, run{key: p.key(current, now), from: int64(i)})
		}
		runs[len(runs)-1].to = int64(i + 1)
	}
	return runs, nil
}

// currentOf tells of each row whether it is current; null is not.
func (p *partitioner) currentOf(rows arrow.RecordBatch) func(i int) bool {
	if p.current < 0 {
		return func(int) bool { return false }
	}
	column := rows.Column(p.current).(*array.Boolean)
	return func(i int) bool { return column.IsValid(i) && column.Value(i) }
}

func (p *partitioner) key(current []partitionValue, isCurrent bool) partitionKey {
	k := partitionKey{values: make(map[int]any, len(current)), current: isCurrent}
	if isCurrent {
		k.key = "current "
	}
	for i, v := range current {
		k.key += string(binary.AppendUvarint(nil, uint64(len(v.key)))) + v.key
		k.values[p.fields[i].id] = v.value
	}
	return k
}

// at returns a row's value. Each distinct source value goes through the
// transform once; of timestamps, once an hour.
func (c *partitionColumn) at(column arrow.Array, i int, scratch *[]byte) (partitionValue, error) {
	b := (*scratch)[:0]
	if column.IsNull(i) {
		b = append(b, 'n')
	} else {
		b = c.appendSource(append(b, 'v'), column, i)
	}
	*scratch = b
	if v, ok := c.known[string(b)]; ok {
		return v, nil
	}
	v, err := c.apply(column, i)
	if err != nil {
		return partitionValue{}, err
	}
	if len(c.known) >= maxKnownValues {
		clear(c.known)
	}
	c.known[string(b)] = v
	return v, nil
}

// maxKnownValues bounds the cache of transformed values: an identity partition
// has few, a bucket of a key has as many as there are keys.
const maxKnownValues = 1 << 16

const microsPerHour = 3_600_000_000

func (c *partitionColumn) appendSource(b []byte, column arrow.Array, i int) []byte {
	switch a := column.(type) {
	case *array.Timestamp:
		v := int64(a.Value(i))
		switch c.transform.(type) {
		case iceberg.HourTransform, iceberg.DayTransform, iceberg.MonthTransform, iceberg.YearTransform:
			v = floorDiv(v, microsPerHour)
		}
		return binary.LittleEndian.AppendUint64(b, uint64(v))
	case *array.Date32:
		return binary.LittleEndian.AppendUint32(b, uint32(a.Value(i)))
	case *array.Int32:
		return binary.LittleEndian.AppendUint32(b, uint32(a.Value(i)))
	case *array.Int64:
		return binary.LittleEndian.AppendUint64(b, uint64(a.Value(i)))
	case *array.String:
		return append(b, a.Value(i)...)
	case *array.Binary:
		return append(b, a.Value(i)...)
	}
	return append(b, column.ValueStr(i)...)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func (c *partitionColumn) apply(column arrow.Array, i int) (partitionValue, error) {
	literal := iceberg.Optional[iceberg.Literal]{}
	if !column.IsNull(i) {
		l, err := sourceLiteral(column, i)
		if err != nil {
			return partitionValue{}, err
		}
		literal = iceberg.Optional[iceberg.Literal]{Valid: true, Val: l}
	}
	out := c.transform.Apply(literal)
	if !out.Valid {
		return partitionValue{key: "n"}, nil
	}
	converted, err := out.Val.To(c.result)
	if err != nil {
		return partitionValue{}, fmt.Errorf("partition value of %s: %w", c.transform, err)
	}
	bytes, err := converted.MarshalBinary()
	if err != nil {
		return partitionValue{}, fmt.Errorf("partition value of %s: %w", c.transform, err)
	}
	return partitionValue{key: "v" + string(bytes), value: converted.Any()}, nil
}

// sourceLiteral is a row's value as the transform takes it.
func sourceLiteral(column arrow.Array, i int) (iceberg.Literal, error) {
	switch a := column.(type) {
	case *array.Boolean:
		return iceberg.NewLiteral(a.Value(i)), nil
	case *array.Int32:
		return iceberg.NewLiteral(a.Value(i)), nil
	case *array.Int64:
		return iceberg.NewLiteral(a.Value(i)), nil
	case *array.Date32:
		return iceberg.NewLiteral(iceberg.Date(a.Value(i))), nil
	case *array.Timestamp:
		return iceberg.NewLiteral(iceberg.Timestamp(a.Value(i))), nil
	case *array.String: // known holds it beyond the batch
		return iceberg.NewLiteral(strings.Clone(a.Value(i))), nil
	case *array.Binary:
		return iceberg.NewLiteral(slices.Clone(a.Value(i))), nil
	case *array.Decimal128:
		return iceberg.NewLiteral(iceberg.Decimal{Val: decimal128.Num(a.Value(i)), Scale: int(a.DataType().(*arrow.Decimal128Type).Scale)}), nil
	}
	return nil, fmt.Errorf("a column of type %s cannot partition a table", column.DataType())
}

// partitionRecord shows a partition's values in spec order, for the folder
// name.
type partitionRecord []any

func (r partitionRecord) Size() int            { return len(r) }
func (r partitionRecord) Get(pos int) any      { return r[pos] }
func (r partitionRecord) Set(pos int, val any) { r[pos] = val }

// folder is the Hive-style path of a partition, "" if unpartitioned. It is for
// people: no reader takes values from it, and two partitions may share one.
func (p *partitioner) folder(k partitionKey) string {
	if len(p.fields) == 0 {
		return ""
	}
	record := make(partitionRecord, len(p.fields))
	for i, f := range p.fields {
		record[i] = k.values[f.id]
	}
	return p.spec.PartitionToPath(record, p.schema) + "/"
}
