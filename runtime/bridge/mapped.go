package bridge

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/rowcodec"
	"github.com/calvelake/calve/runtime/upstream"
)

// mapped is rows of the input, and what they map.
type mapped struct {
	*Program
	narrow  projection.Rows // the rows, and what is computed of them without elements
	meets   *array.Boolean
	wide    projection.Rows // a row of each mapping
	parents []int           // of those, among narrow
	owned   []interface{ Release() }
}

func (m *mapped) release() {
	for _, a := range m.owned {
		a.Release()
	}
}

// newMapped computes what does not depend on elements, of rows that have the columns
// of Program.kept. What cannot be computed is null.
func (p *Program) newMapped(rows arrow.RecordBatch, fault projection.Fault) (*mapped, error) {
	m := &mapped{Program: p, narrow: projection.Rows{Len: int(rows.NumRows())}}
	columns, err := upstream.Columns(rows, p.kept.Fields())
	if err != nil {
		return nil, err
	}
	for i, f := range p.kept.Fields() {
		m.narrow.Add(f, columns[i])
	}
	if err := m.computeNarrow(fault); err != nil {
		m.release()
		return nil, err
	}
	return m, nil
}

func (m *mapped) computeNarrow(fault projection.Fault) error {
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
func (m *mapped) compute(c *projection.Compiled, to *projection.Rows, fault projection.Fault) error {
	made, err := m.eval(c, to, fault)
	if err == nil {
		to.Add(c.Field(), made)
	}
	return err
}

func (m *mapped) eval(c *projection.Compiled, over *projection.Rows, fault projection.Fault) (arrow.Array, error) {
	seen := over.Batch()
	defer seen.Release()
	made, err := c.Compute(seen, m.mem, fault)
	if err == nil {
		m.owned = append(m.owned, made)
	}
	return made, err
}

// isLeftOut tells whether a row does not meet the condition.
func (m *mapped) isLeftOut(row int) bool {
	return m.meets != nil && (m.meets.IsNull(row) || !m.meets.Value(row))
}

// widen makes the mappings of the rows. A row that does not meet the condition has
// none.
func (m *mapped) widen(fault projection.Fault) error {
	if err := m.unnest(); err != nil {
		return err
	}
	above := func(row int, c *projection.Compiled, message string) { fault(m.parents[row], c, message) }
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
		list = m.narrow.Find(u.Column).(*array.List)
	}
	for row := range m.narrow.Len {
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
	needed := projection.Rows{Len: m.narrow.Len}
	for i, f := range m.narrow.Fields {
		if m.isSeen(f.Name) {
			needed.Add(f, m.narrow.Columns[i])
		}
	}
	m.wide.Len = len(m.parents)
	if err := m.spread(&needed, m.parents); err != nil || u == nil {
		return err
	}
	values := projection.Rows{Len: list.ListValues().Len()}
	values.Add(arrow.Field{Name: u.As, Type: list.ListValues().DataType(), Nullable: true}, list.ListValues())
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
		if c.Name == name || slices.Contains(c.Columns(), name) {
			return true
		}
	}
	return false
}

// spread adds rows of some columns, which may repeat, to the mappings.
func (m *mapped) spread(from *projection.Rows, rows []int) error {
	all := from.Batch()
	defer all.Release()
	taken, err := record.Take(all, rows, m.mem)
	if err != nil {
		return err
	}
	m.owned = append(m.owned, taken)
	for i, f := range from.Fields {
		m.wide.Add(f, taken.Column(i))
	}
	return nil
}

// parts are the natural key of a foreign key's members, in the dimension's types. A
// number that they do not hold is null.
func (m *mapped) parts(f *foreign, of *projection.Rows) []arrow.Array {
	parts := make([]arrow.Array, len(f.On))
	for i, name := range f.On {
		if parts[i] = of.Find(name); !arrow.TypeEqual(parts[i].DataType(), f.Keys[i]) {
			parts[i] = dimension.CastPart(parts[i], m.mem)
			m.owned = append(m.owned, parts[i])
		}
	}
	return parts
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
	owners := make([]string, m.narrow.Len)
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
	ignore := func(int, *projection.Compiled, string) {} // it is null: rows that came whole were checked
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
		m.said = append(m.said, m.wide.Find(c.Name))
	}
	m.members = make([][]member, m.narrow.Len)
	for place, row := range m.parents {
		keys := joined(ofElement, place)
		same := func(have member) bool { return have.keys == keys }
		if !slices.ContainsFunc(m.members[row], same) {
			m.members[row] = append(m.members[row], member{keys, string(rowcodec.AppendRow(nil, m.said, place)), place})
		}
	}
	return nil
}
