package fact

import (
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/record/rowcodec"
)

// reference is the member that a fact refers to.
type reference struct {
	known  bool
	member []byte // its natural key as of dimension.Lookup; nil where the fact says none, and of days
	at     int64
	until  int64  // the later of at and event time: Spec.Rekey after it the key stays
	values []byte // a row of foreign.schema
}

// addForeign adds the keys of dimensions, and what they copy: found anew for rows
// that are to be shown, or as they were kept.
func (b *rowBuilder) addForeign() error {
	for _, f := range b.foreign {
		if b.anew {
			if err := b.resolve(f); err != nil {
				return fmt.Errorf("%s: %w", f.path(""), err)
			}
			continue
		}
		rows := make([][]byte, len(b.list))
		for i, c := range b.list {
			if rows[i] = c.kept.foreign[f.index].values; !c.kept.foreign[f.index].known {
				rows[i] = f.unknown
			}
		}
		values, err := b.decode(f.schema, rows)
		if err != nil {
			return fmt.Errorf("%s: %w", f.path(""), err)
		}
		b.add(f.schema.Fields(), values.Columns())
	}
	return nil
}

// resolve finds what facts refer to, and writes it down.
func (b *rowBuilder) resolve(f *foreign) error {
	var columns []arrow.Array
	var err error
	for _, c := range b.list {
		c.kept.foreign[f.index] = reference{}
	}
	if f.spec.Calendar != nil {
		columns = []arrow.Array{b.days(f)}
	} else if columns, err = b.versions(f); err != nil {
		return err
	}
	for i, c := range b.list {
		if !b.stands(i) {
			continue
		}
		to := &c.kept.foreign[f.index]
		to.known, to.values = true, rowcodec.AppendRow(nil, columns, i)
	}
	b.add(f.schema.Fields(), columns)
	return nil
}

// stands tells whether the table is to have a row: others infer no members.
func (b *rowBuilder) stands(row int) bool { return !b.made.leftOut[row] && !b.made.bad[row] }

// versions are the columns of a foreign key to a dimension.
func (b *rowBuilder) versions(f *foreign) ([]arrow.Array, error) {
	lookups, rows := b.lookups(f)
	found, err := b.dimensions[f.index].Resolve(lookups)
	if err != nil {
		return nil, fmt.Errorf("find %d members of %s: %w", len(lookups), f.spec.To, err)
	}
	if len(found) != len(lookups) {
		return nil, fmt.Errorf("BUG: dimension %s finds %d members of %d", f.spec.To, len(found), len(lookups))
	}
	keys := array.NewStringBuilder(b.mem)
	defer keys.Release()
	copied := make([][]byte, len(b.list))
	next := 0
	for i := range b.list {
		if next == len(rows) || rows[next] != i {
			keys.Append(dimension.UnknownKey)
			continue
		}
		key := found[next].Key
		if f.spec.Durable {
			key = found[next].Durable
		}
		if key == "" {
			return nil, fmt.Errorf("BUG: dimension %s finds a member without a key", f.spec.To)
		}
		keys.Append(key)
		copied[i] = found[next].Row
		next++
	}
	made := keys.NewArray()
	b.owned = append(b.owned, made)
	copies, err := b.copies(f, copied)
	return append([]arrow.Array{made}, copies...), err
}

// copies are columns of attributes, of rows as the dimension gave them; of the
// unknown member for none.
func (b *rowBuilder) copies(f *foreign, rows [][]byte) ([]arrow.Array, error) {
	if len(f.copied) == 0 {
		return nil, nil
	}
	for i, row := range rows {
		if row == nil {
			rows[i] = f.spec.Unknown
		}
	}
	values, err := b.decode(f.attributes, rows)
	if err != nil {
		return nil, fmt.Errorf("attributes of %s: %w", f.spec.To, err)
	}
	return pick(values.Columns(), f.copied), nil
}

// lookups asks for the members of the facts that have one, by row.
func (b *rowBuilder) lookups(f *foreign) (lookups []dimension.Lookup, rows []int) {
	parts := make([]arrow.Array, len(f.spec.On))
	for i, name := range f.spec.On {
		parts[i] = b.whole(b.seen.Find(name), f.spec.Keys[i])
	}
	at, event := b.seen.Find(f.at).(*array.Timestamp), b.seen.Find(b.spec.EventTime).(*array.Timestamp)
	members := encode(parts, len(b.list), func(row int) bool {
		return !b.stands(row) || at.IsNull(row) || anyNull(parts, row) >= 0
	})
	for i, member := range members {
		if member == nil {
			continue
		}
		to := &b.list[i].kept.foreign[f.index]
		to.member, to.at = member, int64(at.Value(i))
		if to.until = to.at; event.IsValid(i) {
			to.until = max(to.at, int64(event.Value(i)))
		}
		lookups, rows = append(lookups, dimension.Lookup{Member: member, At: to.at}), append(rows, i)
	}
	return lookups, rows
}

// whole makes whole numbers those of another type. Such that it does not have are
// those of no member, as nulls are.
func (b *rowBuilder) whole(column arrow.Array, to arrow.DataType) arrow.Array {
	if arrow.TypeEqual(column.DataType(), to) {
		return column
	}
	made := dimension.CastPart(column, b.mem)
	b.owned = append(b.owned, made)
	return made
}

// days is the column of a foreign key to a calendar.
func (b *rowBuilder) days(f *foreign) arrow.Array {
	keys := array.NewInt32Builder(b.mem)
	defer keys.Release()
	column := b.seen.Find(f.spec.On[0])
	for i := range b.list {
		key := unknownDay
		if day, ok := dayOf(column, i, f.spec.Calendar); ok {
			key = f.spec.Calendar.Days.Resolve(day)
		}
		keys.Append(key)
	}
	made := keys.NewArray()
	b.owned = append(b.owned, made)
	return made
}

// dayOf is the day of a date or time; ok is false for a null.
func dayOf(column arrow.Array, row int, c *Calendar) (day int32, ok bool) {
	if column.IsNull(row) {
		return 0, false
	}
	if dates, is := column.(*array.Date32); is {
		return int32(dates.Value(row)), true
	}
	times := column.(*array.Timestamp)
	unit := times.DataType().(*arrow.TimestampType)
	at := times.Value(row).ToTime(unit.Unit)
	if unit.TimeZone != "" {
		at = at.In(c.Zone)
	}
	year, month, date := at.Date()
	const seconds = 24 * 60 * 60
	return int32(time.Date(year, month, date, 0, 0, 0, 0, time.UTC).Unix() / seconds), true
}
