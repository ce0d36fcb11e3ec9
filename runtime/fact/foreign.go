package fact

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/rowcodec"
	"github.com/calvelake/calve/runtime/upstream"
)

// ForeignKey is the key of a dimension's member, of the version that is in force
// at a time.
type ForeignKey struct {
	Name string // of its column
	To   string // the dimension
	// On are the columns with the dimension's natural key, in its order: of the
	// input, joins, milestones, derived ones, or keys before this one.
	On      []string
	At      string // a timestamptz of the same; "" for the event time
	Durable bool   // the durable key instead of the version's
	Copy    []Copy // columns with the version's attributes
	// Keys are the types of the dimension's natural key; int and long are one.
	Keys       []arrow.DataType
	Attributes *arrow.Schema // of the dimension, for Copy; its Program.Attributes
	// Unknown is what the unknown member has there, as rowcodec.AppendRow writes it;
	// nil for nulls.
	Unknown  []byte
	Calendar *Calendar // of a date dimension, nil for others
}

// Calendar is a date dimension. Its keys are of type int, and that of a null or a
// day that it does not have is 0.
type Calendar struct {
	Days Days
	Zone *time.Location // whose days the times of a timestamptz are on
}

// Days finds the keys of days, which are numbered from 1970-01-01 on.
type Days interface{ Resolve(day int32) int32 }

// Dimension is a dimension at work. It ends an epoch before the facts that refer
// to it.
type Dimension interface {
	// Resolve finds the versions of members, in the order of lookups. A member that
	// is not there is inferred.
	Resolve(lookups []dimension.Lookup) ([]dimension.Found, error)
	// Moved is what its End of this epoch changed.
	Moved() []dimension.Moved
}

// unknownDay is the key of a day that is null, or that a calendar does not have.
const unknownDay int32 = 0

// mostForeignKeys is how many a byte tells apart.
const mostForeignKeys = 256

// foreign is a ForeignKey that was compiled.
type foreign struct {
	index      int
	spec       ForeignKey
	at         string        // the column with the time
	schema     *arrow.Schema // what is kept of it, and its columns: the key and copies
	attributes *arrow.Schema // of the dimension, all of which may be null
	copied     []int         // of attributes
	unknown    []byte        // a row of schema: of the unknown member
}

// path is the place of a foreign key in the model.
func (f *foreign) path(rest string) string { return fmt.Sprintf("foreign_keys[%d]%s", f.index, rest) }

// compileForeign finds the columns of foreign keys, each behind what it may be
// found by.
func (p *Program) compileForeign() error {
	if n := len(p.spec.ForeignKeys); n > mostForeignKeys {
		return fmt.Errorf("foreign_keys: %d, a fact has %d at most", n, mostForeignKeys)
	}
	fields := p.output.Fields()
	for i, spec := range p.spec.ForeignKeys {
		f := &foreign{index: i, spec: spec, at: spec.At}
		if f.at == "" {
			f.at = p.spec.EventTime
		}
		seen := upstream.Model{Name: "the fact", Schema: arrow.NewSchema(fields, nil)}
		check := f.checkVersions
		if spec.Calendar != nil {
			check = f.checkCalendar
		}
		if err := check(seen); err != nil {
			return err
		}
		if err := f.columns(p.mem); err != nil {
			return err
		}
		fields = append(fields[:len(fields):len(fields)], f.schema.Fields()...)
		p.foreign = append(p.foreign, f)
		p.referred = append(p.referred, f.names()...)
	}
	p.output = arrow.NewSchema(fields, nil) // all that choose may choose of
	return nil
}

// checkVersions checks what a member is found by.
func (f *foreign) checkVersions(seen upstream.Model) error {
	s := f.spec
	if len(s.On) != len(s.Keys) || len(s.On) == 0 {
		return fmt.Errorf("%s: %d columns, but the natural key of %s has %d", f.path(".on"), len(s.On), s.To, len(s.Keys))
	}
	for i, name := range s.On {
		have, err := seen.Field(f.path(".on"), name)
		if err == nil {
			err = dimension.CheckPart(f.path(".on"), have, s.To, s.Keys[i])
		}
		if err != nil {
			return err
		}
	}
	return seen.CheckTimestamptz(f.path(".at"), f.at)
}

// checkCalendar checks what a day is found by.
func (f *foreign) checkCalendar(seen upstream.Model) error {
	s := f.spec
	switch {
	case s.Calendar.Days == nil || s.Calendar.Zone == nil:
		return fmt.Errorf("BUG: %s: a calendar has days and a zone", f.path(""))
	case len(s.On) != 1:
		return fmt.Errorf("%s: a key of %s takes one column, a date or time, found %d", f.path(".on"), s.To, len(s.On))
	case s.At != "" || s.Durable || len(s.Copy) > 0:
		return fmt.Errorf("%s: the days of %s have no versions, and a key of theirs takes neither at, durable nor copy; name the column in on, and join %s to read its other columns", f.path(""), s.To, s.To)
	}
	have, err := seen.Field(f.path(".on"), s.On[0])
	if err != nil {
		return err
	}
	if id := have.Type.ID(); id != arrow.DATE32 && id != arrow.TIMESTAMP {
		return fmt.Errorf("%s: column %s is %s, a key of %s needs a date or time", f.path(".on"), have.Name, record.FormatType(have.Type), s.To)
	}
	return nil
}

// columns are the key, which is never null, and the copies, which may be.
func (f *foreign) columns(mem memory.Allocator) error {
	key := arrow.DataType(arrow.BinaryTypes.String)
	if f.spec.Calendar != nil {
		key = arrow.PrimitiveTypes.Int32
	}
	fields := []arrow.Field{{Name: f.spec.Name, Type: key}}
	var all []arrow.Field
	if f.spec.Attributes != nil {
		all = slices.Clone(f.spec.Attributes.Fields())
	}
	for i := range all {
		all[i].Nullable = true
	}
	f.attributes = arrow.NewSchema(all, nil)
	for _, c := range f.spec.Copy {
		at := f.attributes.FieldIndices(c.From)
		if len(at) != 1 {
			return fmt.Errorf("%s: %s has no attribute %s that can be copied", f.path(".copy."+c.Name), f.spec.To, c.From)
		}
		f.copied = append(f.copied, at[0])
		fields = append(fields, arrow.Field{Name: c.Name, Type: f.attributes.Field(at[0]).Type, Nullable: true})
	}
	f.schema = arrow.NewSchema(fields, nil)
	if f.spec.Unknown == nil {
		f.spec.Unknown = make([]byte, f.attributes.NumFields()) // nulls
	}
	var err error
	f.unknown, err = f.unknownRow(mem)
	return err
}

// unknownRow is what is kept of a foreign key to the unknown member.
func (f *foreign) unknownRow(mem memory.Allocator) ([]byte, error) {
	attributes, err := rowcodec.Batch(f.attributes, [][]byte{f.spec.Unknown}, mem)
	if err != nil {
		return nil, fmt.Errorf("BUG: %s: the unknown member of %s: %w", f.path(".to"), f.spec.To, err)
	}
	defer attributes.Release()
	b := array.NewRecordBuilder(mem, arrow.NewSchema(f.schema.Fields()[:1], nil))
	defer b.Release()
	switch key := b.Field(0).(type) {
	case *array.StringBuilder:
		key.Append(dimension.UnknownKey)
	case *array.Int32Builder:
		key.Append(unknownDay)
	}
	row := b.NewRecordBatch()
	defer row.Release()
	return rowcodec.AppendRow(nil, append(row.Columns(), pick(attributes.Columns(), f.copied)...), 0), nil
}

func (f *foreign) names() []string {
	var names []string
	for _, c := range f.schema.Fields() {
		names = append(names, c.Name)
	}
	return names
}

// inputs are the columns that it is found by.
func (f *foreign) inputs() []string { return slices.Concat(f.spec.On, []string{f.at}) }

// describe writes what the state depends on. It does not depend on which days a
// calendar has.
func (f *foreign) describe(b *strings.Builder) {
	s := f.spec
	fmt.Fprintf(b, "; foreign key %s to %s on %q at %s durable %t", s.Name, s.To, s.On, f.at, s.Durable)
	if s.Calendar != nil {
		fmt.Fprintf(b, " days of %s", s.Calendar.Zone)
	}
	for _, t := range s.Keys {
		fmt.Fprintf(b, " %s", record.FormatType(t))
	}
	for _, c := range s.Copy {
		fmt.Fprintf(b, " copy %s", c.From)
	}
	b.WriteString(" gives")
	describe(b, f.schema)
}
