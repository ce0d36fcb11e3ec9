package bridge

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/rowcodec"
)

// columns are rows that grow by what is computed of them.
type columns struct {
	fields []arrow.Field
	arrays []arrow.Array
	rows   int
}

func (c *columns) add(f arrow.Field, a arrow.Array) {
	c.fields, c.arrays = append(c.fields, f), append(c.arrays, a)
}

func (c *columns) find(name string) arrow.Array {
	at := slices.IndexFunc(c.fields, func(f arrow.Field) bool { return f.Name == name })
	if at < 0 {
		panic("BUG: the rows have no column " + name)
	}
	return c.arrays[at]
}

func (c *columns) batch() arrow.RecordBatch {
	return array.NewRecordBatch(arrow.NewSchema(c.fields, nil), c.arrays, int64(c.rows))
}

// faults are told of rows of which something cannot be computed.
type faults func(row int, c *compiledColumn, message string)

// mapped is rows of the input, and what they map.
type mapped struct {
	*Program
	narrow  columns // the rows, and what is computed of them without elements
	meets   *array.Boolean
	wide    columns // a row of each mapping
	parents []int   // of those, among narrow
	owned   []interface{ Release() }
}

func (m *mapped) release() {
	for _, a := range m.owned {
		a.Release()
	}
}

// newMapped computes what does not depend on elements, of rows that have the columns
// of Program.kept. What cannot be computed is null.
func (p *Program) newMapped(rows arrow.RecordBatch, fault faults) (*mapped, error) {
	m := &mapped{Program: p, narrow: columns{rows: int(rows.NumRows())}}
	for _, f := range p.kept.Fields() {
		at := rows.Schema().FieldIndices(f.Name)
		if len(at) != 1 || !arrow.TypeEqual(rows.Column(at[0]).DataType(), f.Type) {
			return nil, fmt.Errorf("BUG: the rows have no column %s of type %s", f.Name, f.Type)
		}
		m.narrow.add(f, rows.Column(at[0]))
	}
	if err := m.computeNarrow(fault); err != nil {
		m.release()
		return nil, err
	}
	return m, nil
}

func (m *mapped) computeNarrow(fault faults) error {
	if m.where != nil {
		condition, err := m.eval(m.where, &m.narrow, fault)
		if err != nil {
			return err
		}
		m.meets = condition.(*array.Boolean)
	}
	for i := range m.derive {
		if m.early[i] {
			if err := m.compute(&m.derive[i], &m.narrow, fault); err != nil {
				return err
			}
		}
	}
	return nil
}

// compute adds a derived column.
func (m *mapped) compute(c *compiledColumn, to *columns, fault faults) error {
	made, err := m.eval(c, to, fault)
	if err == nil {
		to.add(arrow.Field{Name: c.name, Type: made.DataType(), Nullable: true}, made)
	}
	return err
}

func (m *mapped) eval(c *compiledColumn, over *columns, fault faults) (arrow.Array, error) {
	seen := over.batch()
	defer seen.Release()
	made, wrong, err := c.Eval(seen, m.mem)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.path, err)
	}
	m.owned = append(m.owned, made)
	for _, f := range wrong {
		fault(f.Row, c, f.Message)
	}
	return made, nil
}

// isLeftOut tells whether a row does not meet the condition.
func (m *mapped) isLeftOut(row int) bool {
	return m.meets != nil && (m.meets.IsNull(row) || !m.meets.Value(row))
}

// widen makes the mappings of the rows. A row that does not meet the condition has
// none.
func (m *mapped) widen(fault faults) error {
	if err := m.unnest(); err != nil {
		return err
	}
	above := func(row int, c *compiledColumn, message string) { fault(m.parents[row], c, message) }
	for i := range m.derive {
		if !m.early[i] {
			if err := m.compute(&m.derive[i], &m.wide, above); err != nil {
				return err
			}
		}
	}
	if m.weight == nil {
		return nil
	}
	return m.compute(m.weight, &m.wide, above)
}

// unnest makes a row of each element.
func (m *mapped) unnest() error {
	u := m.spec.Unnest
	var elements []int
	var list *array.List
	if u != nil {
		list = m.narrow.find(u.Column).(*array.List)
	}
	for row := range m.narrow.rows {
		switch {
		case m.isLeftOut(row):
		case u == nil:
			m.parents = append(m.parents, row)
		case list.IsValid(row):
			for i, end := list.ValueOffsets(row); i < end; i++ {
				m.parents, elements = append(m.parents, row), append(elements, int(i))
			}
		}
	}
	needed := columns{rows: m.narrow.rows}
	for i, f := range m.narrow.fields {
		if m.isSeen(f.Name) {
			needed.add(f, m.narrow.arrays[i])
		}
	}
	m.wide.rows = len(m.parents)
	if err := m.spread(&needed, m.parents); err != nil || u == nil {
		return err
	}
	values := columns{rows: list.ListValues().Len()}
	values.add(arrow.Field{Name: u.As, Type: list.ListValues().DataType(), Nullable: true}, list.ListValues())
	return m.spread(&values, elements)
}

// isSeen tells whether a column is needed beside the elements: a list, for one, is
// not repeated for each of them without need.
func (m *mapped) isSeen(name string) bool {
	for _, k := range m.keys {
		if slices.Contains(k.On, name) {
			return true
		}
	}
	for _, c := range m.said() {
		if c.name == name || slices.Contains(c.Columns(), name) {
			return true
		}
	}
	return false
}

// spread adds rows of some columns, which may repeat, to the mappings.
func (m *mapped) spread(from *columns, rows []int) error {
	all := from.batch()
	defer all.Release()
	taken, err := record.Take(all, rows, m.mem)
	if err != nil {
		return err
	}
	m.owned = append(m.owned, taken)
	for i, f := range from.fields {
		m.wide.add(f, taken.Column(i))
	}
	return nil
}

// parts are the natural key of a foreign key's members, in the dimension's types. A
// number that they do not hold is null.
func (m *mapped) parts(f *foreign, of *columns) []arrow.Array {
	parts := make([]arrow.Array, len(f.On))
	for i, name := range f.On {
		if parts[i] = of.find(name); !arrow.TypeEqual(parts[i].DataType(), f.Keys[i]) {
			parts[i] = m.otherWhole(parts[i])
			m.owned = append(m.owned, parts[i])
		}
	}
	return parts
}

// otherWhole makes longs of ints, and the reverse.
func (m *mapped) otherWhole(a arrow.Array) arrow.Array {
	if ints, ok := a.(*array.Int32); ok {
		b := array.NewInt64Builder(m.mem)
		defer b.Release()
		for i := range ints.Len() {
			if ints.IsNull(i) {
				b.AppendNull()
			} else {
				b.Append(int64(ints.Value(i)))
			}
		}
		return b.NewArray()
	}
	longs := a.(*array.Int64)
	b := array.NewInt32Builder(m.mem)
	defer b.Release()
	for i := range longs.Len() {
		if v := longs.Value(i); longs.IsNull(i) || v < math.MinInt32 || v > math.MaxInt32 {
			b.AppendNull()
		} else {
			b.Append(int32(v))
		}
	}
	return b.NewArray()
}

func anyNull(parts []arrow.Array, row int) bool {
	return slices.ContainsFunc(parts, func(a arrow.Array) bool { return a.IsNull(row) })
}

// durable are the durable keys of members (invariant 8).
func (m *mapped) durable(parts []arrow.Array) (*array.String, error) {
	hashes, err := record.SurrogateKeys(parts, m.mem)
	if err != nil {
		return nil, err
	}
	defer hashes.Release()
	b := array.NewStringBuilder(m.mem)
	defer b.Release()
	b.Reserve(hashes.Len())
	for row := range hashes.Len() {
		if anyNull(parts, row) {
			b.Append(dimension.UnknownKey)
		} else {
			b.Append(hashes.Value(row))
		}
	}
	keys := b.NewStringArray()
	m.owned = append(m.owned, keys)
	return keys, nil
}

// separator is in no durable key.
const separator = ","

// owners are the keys of the rows' owners, joined; "" for a row none of whose members
// is known.
func (m *mapped) owners() ([]string, error) {
	var keys []*array.String
	for i := range m.keys {
		if k := &m.keys[i]; !k.ofElement {
			made, err := m.durable(m.parts(k, &m.narrow))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", k.path(""), err)
			}
			keys = append(keys, made)
		}
	}
	owners := make([]string, m.narrow.rows)
	for row := range owners {
		if slices.ContainsFunc(keys, func(k *array.String) bool { return k.Value(row) != dimension.UnknownKey }) {
			owners[row] = joined(keys, row)
		}
	}
	return owners, nil
}

// joined is some keys of a row, as a text of its own memory.
func joined(keys []*array.String, row int) string {
	var b strings.Builder
	for i, k := range keys {
		if i > 0 {
			b.WriteString(separator)
		}
		b.WriteString(k.Value(row))
	}
	return b.String()
}

// mappings are what is computed of some rows in the end.
type mappings struct {
	*mapped
	foreign [][]arrow.Array // of foreign keys: the parts of the members
	keyOf   []*array.String // and the keys
	said    []arrow.Array
	members [][]member // of the rows
}

// newMappings computes what rows map, which are in the columns of Program.kept.
func (p *Program) newMappings(rows arrow.RecordBatch) (*mappings, error) {
	ignore := func(int, *compiledColumn, string) {} // it is null: rows that came whole were checked
	m, err := p.newMapped(rows, ignore)
	if err != nil {
		return nil, err
	}
	all := &mappings{mapped: m}
	if err = m.widen(ignore); err == nil {
		err = all.compute()
	}
	if err != nil {
		m.release()
		return nil, err
	}
	return all, nil
}

func (m *mappings) compute() error {
	var ofElement []*array.String
	for i := range m.keys {
		k := &m.keys[i]
		parts := m.parts(k, &m.wide)
		keys, err := m.mapped.durable(parts)
		if err != nil {
			return fmt.Errorf("%s: %w", k.path(""), err)
		}
		m.foreign, m.keyOf = append(m.foreign, parts), append(m.keyOf, keys)
		if k.ofElement {
			ofElement = append(ofElement, keys)
		}
	}
	for _, c := range m.Program.said() {
		m.said = append(m.said, m.wide.find(c.name))
	}
	m.members = make([][]member, m.narrow.rows)
	for place, row := range m.parents {
		keys := joined(ofElement, place)
		same := func(have member) bool { return have.keys == keys }
		if !slices.ContainsFunc(m.members[row], same) {
			m.members[row] = append(m.members[row], member{keys, string(rowcodec.AppendRow(nil, m.said, place)), place})
		}
	}
	return nil
}
